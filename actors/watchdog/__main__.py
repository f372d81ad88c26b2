"""`python -m actors.watchdog`: the process that can stop everything alone.

It shares with the desk no process, no connection, no lock and no code of the desk's rooms; it reads the desk's store
in a thread that it never waits for.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import lmdb

from actors.runtime import control_frames
from actors.runtime.clock import SystemClock
from actors.runtime.key_file import KeyFileError, read_key
from actors.runtime.logging import configure, get
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.runtime.store_reader import STORE, NoStoreError, open_reader
from actors.watchdog import core, facts
from actors.watchdog.core import Settings
from actors.watchdog.edges import Edges
from actors.watchdog.facts import CLOCK_S, LIST_S, STORE_S, TICK_S, Asked, Known, Listed, Resting, Tick
from actors.watchdog.log import LatchLog
from actors.watchdog.questions import UnreachableError
from actors.watchdog.venue import VenueClient
from protocol.control import ControlRequest, Reply
from protocol.instants import SECOND_NS

TEXT_LIMIT = 200
ANSWER_S = 30.0
REFUSED = 4


class ProcessHandle:
    """A process by its handle, which no reused number can fool."""

    def __init__(self) -> None:
        self._pid, self._handle = 0, -1

    def alive(self, pid: int) -> bool:
        """Whether `pid` lives; the handle is taken when the number is first seen."""
        if pid != self._pid:
            self._close()
            self._pid = pid
            with contextlib.suppress(OSError):
                self._handle = os.pidfd_open(pid) if pid else -1
        if self._handle < 0:
            return False
        if select.select([self._handle], [], [], 0)[0]:
            self._close()
            return False
        return True

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


class Process(Edges):
    """The live edges: ticks, sockets, the venue, the log."""

    def __init__(self, args: argparse.Namespace, log: LatchLog, client: VenueClient) -> None:
        self._state_dir: Path = args.state
        self._root_pid: int = args.root_pid
        self._clock = SystemClock()
        self._epoch_page = EpochPage(self._state_dir / EPOCH_FILE)
        self._pulse = PulsePage(self._state_dir / PULSE_FILE)
        self._desk, self._root = ProcessHandle(), ProcessHandle()
        self._client = client
        self._say = get("watchdog")
        settings = Settings(bot=args.bot, signature_ns=(args.token_life + 10) * SECOND_NS)
        super().__init__(settings, log, self._epoch_page)
        self._oldest_ns: int | None = None
        late = Reply(code=core.TIMED_OUT, text="no answer")
        self._waiting = control_frames.Waiting(self._asked, ANSWER_S, late)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Watch until the duty is done."""
        self.resume()
        self.feed(self._tick())  # before anybody can ask: the epoch, and who lives
        server = await control_frames.serve(self._state_dir / "watchdog.sock", self._waiting)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.feed, facts.LeaveAsked())
        loop.add_signal_handler(signal.SIGUSR1, self.feed, facts.KillSignalled())
        self._pulse.stamp("watchdog")
        print(json.dumps({"pid": os.getpid()}), flush=True)  # noqa: T201 - the ready line that the root waits for
        self._start(self._ticks())
        self._start(self._keep_time())
        await self._left
        server.close()
        for task in self._tasks:
            task.cancel()
        return 0

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        """A piece of this process that dies takes the process with it: the root starts it again."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._left.done():
            self._left.set_exception(error)

    # --- seeing ---------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            self._pulse.stamp("watchdog")
            self.feed(self._tick())
            await asyncio.sleep(TICK_S)

    def _tick(self) -> Tick:
        desk_pid = self._desk_pid()
        flag = self._state_dir / "KILL_SWITCH"
        there = os.path.lexists(flag)
        return Tick(
            pulse_age_ns=self._pulse.oldest_ns(),
            armed=self._pulse.armed and self._pulse.pid == desk_pid,
            desk_pid=desk_pid,
            desk_alive=self._desk.alive(desk_pid),
            root_alive=self._root.alive(self._root_pid),
            kill_file=there,
            file_text=_text(flag) if there else "",
            file_ns=_written_ns(flag) if there else 0,
            epoch=self._epoch_page.current(),
        )

    def _desk_pid(self) -> int:
        """The desk as the root last wrote it; the pulse page's own word where that cannot be read."""
        try:
            return int(json.loads((self._state_dir / "run.json").read_text())["desk_pid"] or 0)
        except (OSError, ValueError, KeyError, TypeError):
            return self._pulse.pid

    async def _keep_time(self) -> None:
        while True:
            try:
                await self._client.measure_clock()
            except UnreachableError as error:
                self._say.warning("clock_unmeasured", error=str(error))
            await asyncio.sleep(CLOCK_S)

    def _asked(self, number: int, request: ControlRequest) -> None:
        self.feed(Asked(connection=number, request=request))

    # --- doing ----------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The system's clock."""
        return self._clock.now_ns()

    def read_known(self) -> None:
        """In a thread of its own."""
        self._start(self._read_known())

    def take_list(self, number: int) -> None:
        """In a task of its own."""
        self._start(self._take_list(number))

    def cancel(self, venue_order_ids: tuple[str, ...]) -> None:
        """In a task of its own."""
        self._start(self._cancel(venue_order_ids))

    def answer(self, connection: int, reply: Reply) -> None:
        """On the socket."""
        self._waiting.answer(connection, reply)

    def cry(self, event: str, detail: str) -> None:
        """A CRITICAL line of the log."""
        self._say.critical(event, detail=detail)

    def leave(self) -> None:
        """End the process."""
        if not self._left.done():
            self._left.set_result(None)

    async def _read_known(self) -> None:
        """What the desk's store knows, if it says so in time; the lists do not wait for it."""
        loop = asyncio.get_running_loop()
        read: asyncio.Future[Known] = loop.create_future()
        began = self._pulse.pid != 0

        def reading() -> None:
            known = known_orders(self._state_dir / STORE, began=began)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_set, read, known)

        threading.Thread(target=reading, name="store", daemon=True).start()  # a daemon: one that hangs holds nobody up
        with contextlib.suppress(TimeoutError):
            known = await asyncio.wait_for(read, STORE_S)
            self._oldest_ns = known.oldest_ns
            self.feed(known)

    async def _take_list(self, number: int) -> None:
        try:
            taking = self._client.complete_list(self._oldest_ns)
            orders: tuple[Resting, ...] | None = await asyncio.wait_for(taking, LIST_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweep goes on
            self._say.warning("no_list", error=repr(error))
            orders = None
        self.feed(Listed(number=number, orders=orders))

    async def _cancel(self, ids: tuple[str, ...]) -> None:
        try:
            await self._client.cancel(ids)
        except Exception as error:  # noqa: BLE001 - the next list shows what still rests, and it is cancelled again
            self._say.warning("no_cancel", error=repr(error))


def _set(read: "asyncio.Future[Known]", known: Known) -> None:
    if not read.done():
        read.set_result(known)


def known_orders(store: Path, *, began: bool) -> Known:
    """Orders of the desk's store that the venue has an id for. A store that cannot be read says nothing.

    `began`: a desk has run here. Without one, a store that is not there means that nothing was ever placed.
    """
    try:
        reader = open_reader(store)
    except NoStoreError:
        return Known(orders=(), unresolved=None if began else 0)
    except (OSError, lmdb.Error):
        return Known(orders=(), unresolved=None)
    try:
        return facts.known_of(reader.open_orders())
    except (ValueError, lmdb.Error):
        return Known(orders=(), unresolved=None)
    finally:
        reader.close()


def _text(flag: Path) -> str:
    """What stands in the flag file: its JSON member `reason`, or its first words."""
    text = ""
    with contextlib.suppress(OSError):
        if not flag.is_file():  # a directory is a flag too; to read a pipe would wait for its writer
            return text
        with flag.open(errors="replace") as file:
            text = file.read(1024).strip()
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            text = str(json.loads(text)["reason"])
    return text[:TEXT_LIMIT]


def _written_ns(flag: Path) -> int:
    with contextlib.suppress(OSError):
        return flag.lstat().st_mtime_ns
    return 0


async def serve(args: argparse.Namespace) -> int:
    """Open what is needed, then watch."""
    configure("watchdog", args.state)
    try:
        key = read_key(args.key_file)
    except KeyFileError as error:
        sys.stderr.write(f"the watchdog does not start: {error}\n")
        return REFUSED
    log = LatchLog(args.state / "watchdog.log")
    client = VenueClient(args.rest, key, args.token_life, (args.rate, args.burst))
    try:
        return await Process(args, log, client).run()
    finally:
        await client.close()
        log.close()


def main() -> int:
    """Parse, take the lock that says that this installation is watched, and serve."""
    parser = argparse.ArgumentParser(prog="python -m actors.watchdog", allow_abbrev=False)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--rest", required=True, help="the venue's REST side, without a path")
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--bot", required=True, help="prefix of our client order ids, without its dash")
    parser.add_argument("--root-pid", type=int, required=True)
    parser.add_argument("--token-life", type=int, default=120, help="seconds")
    parser.add_argument("--rate", type=float, default=15.0, help="requests to the venue a second")
    parser.add_argument("--burst", type=int, default=20, help="requests to the venue at once")
    args = parser.parse_args()
    with (args.state / "watchdog.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"another watchdog watches {args.state}\n")
            return REFUSED
        return asyncio.run(serve(args))


if __name__ == "__main__":
    sys.exit(main())
