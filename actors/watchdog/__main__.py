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
from pathlib import Path
from typing import Any

from actors.runtime import control_frames
from actors.runtime.clock import SystemClock
from actors.runtime.logging import configure, get
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.runtime.redaction import hide
from actors.runtime.store_reader import STORE, open_reader
from actors.watchdog import core
from actors.watchdog.core import Action, Asked, Event, Known, Listed, Resting, Settings, Tick, Watchdog
from actors.watchdog.log import LatchLog
from actors.watchdog.venue import UnreachableError, VenueClient
from protocol.coinbase.keys import load_key_file
from protocol.control import ControlRequest, Reply
from protocol.instants import SECOND_NS
from protocol.orders import IN_DOUBT

TICK_S = 0.1
STORE_S = 0.2
CLOCK_S = 60.0
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
            with contextlib.suppress(ProcessLookupError):
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


class Process:
    """Edges around the core: ticks, sockets, the venue, the log."""

    def __init__(self, args: argparse.Namespace, log: LatchLog, client: VenueClient) -> None:
        self._state_dir: Path = args.state
        self._root_pid: int = args.root_pid
        self._clock = SystemClock()
        self._epoch = EpochPage(self._state_dir / EPOCH_FILE)
        self._pulse = PulsePage(self._state_dir / PULSE_FILE)
        self._desk, self._root = ProcessHandle(), ProcessHandle()
        self._log, self._client = log, client
        self._say = get("watchdog")
        self._settings = Settings(bot=args.bot, signature_ns=(args.token_life + 10) * SECOND_NS)
        self._core = Watchdog(settings=self._settings)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._connection = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Watch until the duty is done."""
        latch = self._log.last()
        if latch is not None:
            self._epoch.restore("watchdog", latch.epoch)
        server = await control_frames.serve(self._state_dir / "watchdog.sock", self._asked)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._feed, core.LeaveAsked())
        self._pulse.stamp("watchdog")
        print(json.dumps({"pid": os.getpid()}), flush=True)  # noqa: T201 - the ready line that the root waits for
        self._core, actions = core.resumed(self._settings, latch, self._clock.now_ns())
        self._perform(actions)
        self._start(self._ticks())
        self._start(self._keep_time())
        await self._left
        server.close()
        for task in self._tasks:
            task.cancel()
        return 0

    def _feed(self, event: Event) -> None:
        self._core, actions = core.step(self._core, event, self._clock.now_ns())
        self._perform(actions)

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
            self._feed(self._tick())
            await asyncio.sleep(TICK_S)

    def _tick(self) -> Tick:
        desk_pid = self._desk_pid()
        flag = self._state_dir / "KILL_SWITCH"
        there = flag.exists()
        return Tick(
            pulse_age_ns=self._pulse.oldest_ns(),
            armed=self._pulse.armed,
            desk_pid=desk_pid,
            desk_alive=self._desk.alive(desk_pid),
            root_alive=self._root.alive(self._root_pid),
            kill_file=there,
            file_text=_text(flag) if there else "",
            epoch=self._epoch.current(),
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

    async def _asked(self, request: ControlRequest) -> Reply:
        self._connection += 1
        number = self._connection
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._feed(Asked(connection=number, request=request))
        try:
            return await asyncio.wait_for(self._waiting[number], ANSWER_S)
        except TimeoutError:
            return Reply(code=core.TIMED_OUT, text="no answer")
        finally:
            del self._waiting[number]

    # --- doing ----------------------------------------------------------------------------------------------------

    def _perform(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case core.StepEpoch():
                    self._epoch.step("watchdog")
                case core.Write():
                    self._log.write(action.latch)
                case core.ReadKnown():
                    self._start(self._read_known())
                case core.TakeList():
                    self._start(self._take_list(action.number))
                case core.Cancel():
                    self._start(self._cancel(action.venue_order_ids))
                case core.Answer():
                    self._answer(action)
                case core.Cry():
                    self._say.critical(action.event, detail=action.detail)
                case core.Leave():
                    if not self._left.done():
                        self._left.set_result(None)

    def _answer(self, answer: core.Answer) -> None:
        waiting = self._waiting.get(answer.connection)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.reply)

    async def _read_known(self) -> None:
        """What the desk's store knows, if it says so in time; the lists do not wait for it."""
        reading = asyncio.get_running_loop().run_in_executor(None, known_orders, self._state_dir / STORE)
        with contextlib.suppress(TimeoutError):
            self._feed(await asyncio.wait_for(asyncio.shield(reading), STORE_S))

    async def _take_list(self, number: int) -> None:
        try:
            orders: tuple[Resting, ...] | None = await self._client.complete_list()
        except UnreachableError as error:
            self._say.warning("no_list", error=str(error))
            orders = None
        self._feed(Listed(number=number, orders=orders))

    async def _cancel(self, ids: tuple[str, ...]) -> None:
        try:
            await self._client.cancel(ids)
        except UnreachableError as error:  # the next list shows what still rests, and it is cancelled again
            self._say.warning("no_cancel", error=str(error))


def known_orders(store: Path) -> Known:
    """Orders of the desk's store that the venue has an id for. A store that cannot be read says nothing."""
    try:
        reader = open_reader(store)
    except OSError:
        return Known(orders=(), in_doubt=True)
    try:
        states = reader.open_orders()
    except ValueError:
        return Known(orders=(), in_doubt=True)
    finally:
        reader.close()
    orders = tuple(
        Resting(client_order_id=s.client_order_id, venue_order_id=s.venue_order_id)
        for s in states
        if s.venue_order_id is not None and not s.terminal
    )
    return Known(orders=orders, in_doubt=any(s.status in IN_DOUBT for s in states))


def _text(flag: Path) -> str:
    with contextlib.suppress(OSError):
        return flag.read_text(errors="replace").strip()[:200]
    return ""


async def serve(args: argparse.Namespace) -> int:
    """Open what is needed, then watch."""
    configure("watchdog", args.state)
    text = args.key_file.read_text()
    hide(text)
    log = LatchLog(args.state / "watchdog.log")
    client = VenueClient(args.rest, load_key_file(text), args.token_life)
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
