"""The control actor's edge: its socket, the shared pages, the watchdog's socket, and the end of the process."""

import asyncio
import contextlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.runtime import control_frames
from actors.runtime.pages import EpochPage, PulsePage
from actors.runtime.role import Port
from protocol.base import Effect
from protocol.control import (
    Answer,
    Arm,
    Asked,
    ControlRequest,
    Latch,
    Leave,
    Pages,
    PassOn,
    Reply,
    View,
    WatchdogAnswered,
    WatchdogStatus,
)
from protocol.instants import SECOND_NS

POLL_S = 0.1
ANSWER_S = 30.0
WATCHDOG_S = 15.0
LATCH_S = 1.0
PAGE_SIZE = resource.getpagesize()
_STATM = Path("/proc/self/statm")
_FAILED, _NOT_RUNNING, _TIMED_OUT = 1, 3, 5
NO_ANSWER = Reply(code=_TIMED_OUT, text="the watchdog did not answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the process lends this edge. `actors`: every actor's row; `leave`: end with this code, for this successor.

    `wall_ahead_ns`: how far the wall clock has moved away from the process's own.
    """

    state_dir: Path
    epoch: EpochPage
    pulse: PulsePage
    actors: Callable[[], list[Any]]
    leave: Callable[[int, str], None]
    wall_ahead_ns: Callable[[], int]


class ControlEdge:
    """Performs answers and hands requests on; decides nothing."""

    def __init__(self, hooks: Hooks) -> None:
        """Nothing is opened before `bind`."""
        self._hooks = hooks
        self._port: Port
        self._tasks: set[asyncio.Task[Any]] = set()
        late = Reply(code=_TIMED_OUT, text="the desk took the request but has not answered")
        self._waiting = control_frames.Waiting(self._asked, ANSWER_S, late)
        self._server: asyncio.Server | None = None

    def bind(self, port: Port) -> None:
        """Open the socket and begin to look at the pages."""
        self._port = port
        self._start(self._serve())
        self._start(self._watch())

    def perform(self, effect: Effect) -> None:
        """One interpreter per effect."""
        match effect:
            case Answer():
                self._answer(effect)
            case PassOn():
                self._start(self._pass_on(effect))
            case Arm():
                self._hooks.pulse.arm(effect.armed)
            case Leave():
                asyncio.get_running_loop().call_later(0.05, self._hooks.leave, effect.code, effect.config_hash)
            case _:
                raise TypeError(f"not an effect of control: {type(effect).__name__}")

    def close(self) -> None:
        """Let go of socket and tasks; whoever still waits is told."""
        self._waiting.dismiss(Reply(code=_FAILED, text="the desk is restarting: ask again"))
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._port.failed(error)

    # --- requests -------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._server = await control_frames.serve(self._hooks.state_dir / "control.sock", self._waiting)

    def _asked(self, number: int, request: ControlRequest) -> None:
        self._port.tell(self._port.name, Asked(connection=number, request=request))

    def _answer(self, answer: Answer) -> None:
        reply = answer.reply
        if answer.with_actors:
            reply = replace(reply, data=msgspec.json.encode(self._hooks.actors()).decode())
        self._waiting.answer(answer.connection, reply)

    async def _pass_on(self, effect: PassOn) -> None:
        reply = await self._watchdog(effect.request, WATCHDOG_S)
        self._port.tell(self._port.name, WatchdogAnswered(connection=effect.connection, reply=reply))

    async def _watchdog(self, request: ControlRequest, timeout_s: float) -> Reply:
        path = self._hooks.state_dir / "watchdog.sock"
        try:
            return await asyncio.to_thread(control_frames.ask, path, request, timeout_s)
        except TimeoutError:
            return NO_ANSWER
        except (OSError, ValueError) as exc:
            return Reply(code=_NOT_RUNNING, text=f"the watchdog does not answer: {exc}")

    # --- pages ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Tell what the pages say: at every change, and once a second. The latch is asked for until it is heard."""
        latch: Latch | None = None
        told: Pages | None = None
        told_ns = 0
        while True:
            if latch is None:
                latch = await self._latch()
            now_ns = self._port.now_ns()
            pages = self._pages(latch)
            if told is None or differs(pages, told) or now_ns - told_ns >= SECOND_NS:
                told, told_ns = pages, now_ns
                self._port.tell(self._port.name, pages)
            await asyncio.sleep(POLL_S)

    def _pages(self, latch: Latch | None) -> Pages:
        return Pages(
            epoch=self._hooks.epoch.current(),
            watchdog_age_s=self._hooks.pulse.age_ns("watchdog") / SECOND_NS,
            latch=latch,
            kill_file=(self._hooks.state_dir / "KILL_SWITCH").exists(),
            wall_ahead_ns=self._hooks.wall_ahead_ns(),
            resident_bytes=_resident_bytes(),
        )

    async def _latch(self) -> Latch | None:
        reply = await self._watchdog(View(by="desk", what="status"), LATCH_S)
        if reply.code:
            return None
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(reply.data, type=WatchdogStatus).latch
        return None


def _resident_bytes() -> int | None:
    """What this process holds in memory, as Linux counts it."""
    try:
        return int(_STATM.read_text().split()[1]) * PAGE_SIZE
    except (OSError, ValueError, IndexError):
        return None


def differs(one: Pages, other: Pages) -> bool:
    """Whether two looks differ in more than the beat's age, the clocks' drift and the memory, which always move.

    Of the beat only whether it is late counts.
    """
    late = (one.watchdog_age_s > 2.0) is not (other.watchdog_age_s > 2.0)
    moving: dict[str, Any] = {"watchdog_age_s": 0.0, "wall_ahead_ns": 0, "resident_bytes": None}
    return late or replace(one, **moving) != replace(other, **moving)
