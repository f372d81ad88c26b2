"""Pumps: what gives stepped actors their turns. A thread of their own, or an event loop beside their sockets.

Both sleep until mail, a timer or a quarter of a second comes, stamp a pulse as they go round, and can be woken from
any thread. What an actor raises never reaches them; what the runtime itself raises ends the pump and is reported.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from actors.runtime.clock import Timers
from actors.runtime.role import Clock
from actors.runtime.stepped import MESSAGES_PER_TURN, TURN_NS

if TYPE_CHECKING:
    from actors.runtime.mailbox import Hurried, Ready

PULSE_S = 0.1
_PULSE_NS = 100_000_000
_SHARE_NS = 2_000_000
"""How long an event loop lets actors run before its sockets come again."""

_log = logging.getLogger(__name__)


def _no_pulse() -> None:
    """For a pump that nobody watches."""


class ThreadLoop:
    """The dispatcher of one thread: `run` it there. `pulse` is called at least every tenth of a second."""

    def __init__(self, clock: Clock, pulse: Callable[[], None] = _no_pulse) -> None:
        self.ready: deque[Ready] = deque()
        self.urgent: deque[Hurried] = deque()
        self.idle = False
        self.timers = Timers()
        self._clock = clock
        self._pulse = pulse
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def wake(self) -> None:
        """Ends the sleep; from any thread."""
        self.idle = False
        self._wakes.put(None)

    def run(self, done: Callable[[], bool]) -> None:
        """Gives turns until `done`, which is asked before each."""
        now_ns, ready, urgent, timers = self._clock.now_ns, self.ready, self.urgent, self.timers
        pulse_due = 0
        while not done():
            now = now_ns()
            if now >= pulse_due:
                self._pulse()
                pulse_due = now + _PULSE_NS
            timers.fire(now)
            if urgent:
                urgent.popleft().hurry()
            elif ready:
                actor = ready.popleft()
                if actor.turn(MESSAGES_PER_TURN, TURN_NS):
                    ready.append(actor)
            else:
                self._sleep(now)

    def _sleep(self, now: int) -> None:
        due = self.timers.next_due_ns()
        wait_s = PULSE_S if due is None else min(PULSE_S, max(0.0, (due - now) / 1e9))
        self.idle = True
        if not self.ready:  # who made an actor ready before `idle` was seen did not wake us
            with contextlib.suppress(Empty):
                self._wakes.get(timeout=wait_s)
            while not self._wakes.empty():
                self._wakes.get()
        self.idle = False


class ThreadPump(ThreadLoop):
    """A thread that gives turns until it is stopped. `fatal` hears of an error of the runtime itself."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        pulse: Callable[[], None] = _no_pulse,
        fatal: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        super().__init__(clock, pulse)
        self._stopping = False
        self._fatal = fatal
        self.thread = threading.Thread(target=self._main, name=f"pump-{name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self.thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ends the thread after its present turn; False when it did not end in time."""
        self._stopping = True
        self.wake()
        self.thread.join(timeout_s)
        return not self.thread.is_alive()

    def _main(self) -> None:
        try:
            self.run(lambda: self._stopping)
        except BaseException as error:
            _log.exception("pump %s ended", self.thread.name)
            if self._fatal is not None:
                self._fatal(self.thread.name, error)
            raise


class AsyncioPump:
    """Turns on a running event loop, in shares that leave its sockets their time."""

    def __init__(
        self,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        pulse: Callable[[], None] = _no_pulse,
    ) -> None:
        self.ready: deque[Ready] = deque()
        self.urgent: deque[Hurried] = deque()
        self.idle = True
        self.timers = Timers()
        self._clock = clock
        self._loop = loop
        self._pulse = pulse
        self._thread = threading.get_ident()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ns = 0
        self._beat: asyncio.TimerHandle | None = None
        self._stopping = False

    def start(self) -> None:
        """Begins to stamp the pulse and takes what is ready already. Call it on the loop."""
        self._thread = threading.get_ident()
        self._tick()
        self.wake()

    def stop(self) -> None:
        """No more turns, timers or pulses. Call it on the loop."""
        self._stopping = True
        for handle in (self._alarm, self._beat):
            if handle is not None:
                handle.cancel()

    def wake(self) -> None:
        """Has the loop come round; from any thread."""
        self.idle = False
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._run)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run)

    def _tick(self) -> None:
        self._pulse()
        self._beat = self._loop.call_later(PULSE_S, self._tick)

    def _run(self) -> None:
        if self._stopping:
            return
        ready, now_ns = self.ready, self._clock.now_ns
        now = now_ns()
        self.timers.fire(now)
        end = now + _SHARE_NS
        while ready:
            while self.urgent:
                self.urgent.popleft().hurry()
            actor = ready.popleft()
            if actor.turn(MESSAGES_PER_TURN, TURN_NS):
                ready.append(actor)
            if now_ns() >= end:
                break
        if not ready:
            self.idle = True
        if ready:  # more to do, or made ready before `idle` was seen
            self.idle = False
            self._loop.call_soon(self._run)
        self._arm()

    def _arm(self) -> None:
        due = self.timers.next_due_ns()
        if due is None or (self._alarm is not None and self._alarm_ns <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_ns = due
        self._alarm = self._loop.call_later(max(0.0, (due - self._clock.now_ns()) / 1e9), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._run()
