"""The root process: spawns, waits, restarts, forwards signals, and keeps `run.json` true. Decisions are `core`'s."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors.root import core
from actors.root.core import (
    DESK,
    Action,
    Event,
    Exited,
    Finish,
    Kill,
    LatchKill,
    Root,
    Start,
    Started,
    TakeUp,
    Terminate,
)
from actors.runtime import control_frames
from actors.runtime.clock import SystemClock
from actors.runtime.logging import get
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from protocol.control import KillNow
from protocol.instants import SECOND_NS, iso

TICK_S = 0.25
READY_S = 30.0
ARMED_S = 10.0

Argv = Callable[[], list[str]]


class RootProcess:
    """Runs one tree of processes until it is asked to stop.

    `commands` give each child's command line at the moment it is spawned; `before` are awaited once with the ready
    line of a child that prints one, so that the next child can be told; `take_up` writes the configuration that a desk
    made way for where the next one reads it.
    """

    def __init__(
        self,
        specs: tuple[core.Spec, ...],
        commands: dict[str, Argv],
        state_dir: Path,
        facts: dict[str, Any],
        ready: dict[str, Callable[[dict[str, Any]], Awaitable[None]]],
        take_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._root = Root(specs=specs)
        self._commands = commands
        self._state_dir = state_dir
        self._facts = {**facts, "pid": os.getpid()}
        self._ready = ready
        self._take_up = take_up
        self._clock = SystemClock()
        self._log = get("root")
        self._epoch = EpochPage(state_dir / EPOCH_FILE)
        self._pulse = PulsePage(state_dir / PULSE_FILE)
        self._desk_epoch = self._epoch.current()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._written = ""

    async def run(self, for_s: float | None, started: Callable[[dict[str, Any]], None]) -> int:
        """Start every child in order, then serve until the end; returns the exit code."""
        self._watch_signals()
        for spec in self._root.specs:
            await self._spawn(spec.name)
        self._task(self._announce(started))
        if for_s is not None:
            asyncio.get_running_loop().call_later(for_s, self._event, core.StopAsked())
        self._task(self._ticks())
        try:
            return await self._finished
        finally:
            for task in self._tasks:
                task.cancel()

    # --- events and actions ---------------------------------------------------------------------------------------

    def learn(self, **facts: Any) -> None:
        """Put facts into `run.json`."""
        self._facts.update(facts)
        self._write()

    def _event(self, event: Event) -> None:
        self._root, actions = core.step(self._root, event, self._clock.now_ns())
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case Start():
                self._log.info("start", process=action.name, after_s=action.after_ns / SECOND_NS)
                self._task(self._later(action.after_ns / SECOND_NS, lambda: self._spawn_again(action.name)))
            case TakeUp():
                self._task(self._replace_desk())
            case Terminate():
                self._signal(action.name, signal.SIGTERM)
            case Kill():
                self._log.warning("kill", process=action.name)
                self._signal(action.name, signal.SIGKILL)
            case LatchKill():
                self._log.critical("storm", reason=action.reason)
                self._task(self._kill(action.reason))
            case Finish():
                if not self._finished.done():
                    self._finished.set_result(action.code)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes.get(name)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _task(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, after_s: float, work: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(after_s)
        if self._root.stopping is None:
            await work()

    async def _replace_desk(self) -> None:
        """Whatever becomes of the new configuration, a desk starts: with the old one if need be."""
        try:
            await self._take_up()
        except OSError as error:
            self._log.error("config_not_taken_up", error=str(error))
        finally:
            self._event(core.TookUp())

    async def _kill(self, reason: str) -> None:
        """Ask until a watchdog has answered: the one that dies over it is replaced, and must not take it along."""
        request = KillNow(by="root", reason=reason, scope="mine")
        path = self._state_dir / "watchdog.sock"
        while True:
            try:
                await asyncio.to_thread(control_frames.ask, path, request, 15.0)
            except (OSError, ValueError) as error:
                self._log.warning("kill_unanswered", error=str(error))
                await asyncio.sleep(TICK_S)
            else:
                return

    # --- children -------------------------------------------------------------------------------------------------

    async def _spawn(self, name: str) -> None:
        if name == DESK:
            self._desk_epoch = self._epoch.current()
            self._pulse.arm(False)
            self._facts.update(desk_pid=None, armed=False)
        ready = self._ready.get(name)
        process = await asyncio.create_subprocess_exec(
            *self._commands[name](),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if ready else asyncio.subprocess.DEVNULL,
            stderr=None,
            start_new_session=True,
            limit=2**20,
        )
        self._processes[name] = process
        self._event(Started(name=name, pid=process.pid))
        self._facts[f"{name}_pid"] = process.pid
        self._write()
        self._task(self._wait(name, process))  # at once: who ends before its ready line has ended too
        if ready and process.stdout is not None:
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
            if line:
                await ready(json.loads(line))

    async def _spawn_again(self, name: str) -> None:
        """As `_spawn`; one that does not say in time that it is ready makes way for the next."""
        try:
            await self._spawn(name)
        except TimeoutError:
            self._log.error("not_ready", process=name)
            self._signal(name, signal.SIGKILL)

    async def _wait(self, name: str, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._log.info("exited", process=name, code=code)
        self._processes.pop(name, None)
        self._event(Exited(name=name, code=code))

    # --- time -----------------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            revoked = self._epoch.current() != self._desk_epoch
            armed = self._pulse.armed
            self._event(core.Tick(revoked=revoked, armed=armed, beat_ns=self._pulse.stamped_ns("watchdog")))
            self._adopt_desk(armed)
            await asyncio.sleep(TICK_S)

    def _adopt_desk(self, armed: bool) -> None:
        """Take over what the running desk says of itself: sockets, ports, whether it is armed."""
        with contextlib.suppress(OSError, ValueError):
            told = json.loads((self._state_dir / "desk.json").read_text())
            if told.pop("desk_pid") == self._facts.get("desk_pid"):
                self._facts.update(told, armed=armed)
                self._write()

    def _write(self) -> None:
        """Replace `run.json` in one step whenever something in it changed."""
        text = json.dumps(self._facts, indent=1)
        if text == self._written:
            return
        target = self._state_dir / "run.json"
        draft = target.with_suffix(".json.new")
        draft.write_text(text)
        draft.chmod(0o600)
        draft.replace(target)
        self._written = text

    async def _announce(self, started: Callable[[dict[str, Any]], None]) -> None:
        """Say how it stands: at once when it is armed, else when it has had time to be (a latched kill never is)."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ARMED_S
        while not self._facts.get("armed") and loop.time() < end:
            await asyncio.sleep(0.05)
            self._adopt_desk(self._pulse.armed)
        started(self._facts)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._event, core.StopAsked(signal=True))
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._task(self._kill("SIGUSR1")))


def command(module: str, *arguments: str) -> list[str]:
    """A child's command line: this interpreter, a module, its arguments."""
    return [sys.executable, "-m", module, *arguments]


def facts(mode: str, state_dir: Path, now_ns: int) -> dict[str, Any]:
    """What `run.json` holds before anything runs; what does not exist yet is null."""
    unknown = dict.fromkeys(
        (
            "desk_pid",
            "alpha_pid",
            "watchdog_pid",
            "observer_pid",
            "venue_pid",
            "venue_url",
            "venue_ws_url",
            "dashboard_url",
            "metrics_url",
            "health_url",
        )
    )
    return {
        "pid": os.getpid(),
        **unknown,
        "armed": False,
        "control_socket": str(state_dir / "control.sock"),
        "watchdog_socket": str(state_dir / "watchdog.sock"),
        "mode": mode,
        "started_at": iso(now_ns),
    }
