"""One clock per process, and timers that come back as messages.

`SystemClock` reads the wall once, at the start of the process, and adds what the monotonic clock says has passed: it
never jumps, and differences of it are durations. `VirtualClock` moves only when it is told to.
"""

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

from actors.runtime.role import Clock

_COMPACT_ABOVE = 64


class TurnClock(Clock, Protocol):
    """A clock whose reading is `zero_ns + ticks()`: what every message pays for, without a call in between."""

    ticks: Callable[[], int]
    zero_ns: int


class SystemClock:
    """UTC nanoseconds: the wall at the start plus elapsed monotonic time."""

    __slots__ = ("ticks", "zero_ns")

    def __init__(self) -> None:
        self.ticks: Callable[[], int] = time.monotonic_ns
        self.zero_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, never running backwards."""
        return self.zero_ns + self.ticks()

    def wall_offset_ns(self) -> int:
        """How far the wall has moved away from this clock since the start (positive: the wall is ahead)."""
        return time.time_ns() - self.now_ns()


class VirtualClock:
    """Time that stands still until moved."""

    __slots__ = ("_now_ns", "ticks", "zero_ns")

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = start_ns
        self.ticks: Callable[[], int] = self.now_ns
        self.zero_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Moves forward; a time already past leaves the clock where it is."""
        self._now_ns = max(self._now_ns, now_ns)


class Timer:
    """One pending call. `action` None: cancelled or done."""

    __slots__ = ("action", "due_ns")

    def __init__(self, due_ns: int, action: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.action: Callable[[], None] | None = action


class Timers:
    """Pending calls by due time; of equal times the one set first comes first. One dispatcher's, used by it alone."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count().__next__
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def call_at(self, due_ns: int, action: Callable[[], None]) -> Timer:
        """Calls `action` once `due_ns` is reached."""
        timer = Timer(due_ns, action)
        heapq.heappush(self._heap, (due_ns, self._order(), timer))
        return timer

    def cancel(self, timer: Timer) -> None:
        """Forgets a timer; one that fired already is no error."""
        if timer.action is None:
            return
        timer.action = None
        self._dead += 1
        if self._dead > _COMPACT_ABOVE and self._dead * 2 > len(
            self._heap
        ):  # thousands of orders cancel theirs unfired
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def next_due_ns(self) -> int | None:
        """When the next call is due; None: nothing is pending."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def fire_next(self, now_ns: int) -> bool:
        """Makes the first call that is due; False: none is."""
        due_ns = self.next_due_ns()
        if due_ns is None or due_ns > now_ns:
            return False
        timer = heapq.heappop(self._heap)[2]
        action, timer.action = timer.action, None
        if action is not None:
            action()
        return True

    def fire(self, now_ns: int) -> None:
        """Makes every call that is due."""
        while self.fire_next(now_ns):
            continue
