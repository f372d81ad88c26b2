"""How far a mid moved within a short window, in multiples of its usual moves (requirements O1). Pure; mutable.

The usual moves are those from window to window, one after the other: moves of windows that overlap would repeat each
other and make every market look calmer than it is. The minute candles of before the start count as the first of them.
"""

import math
from collections import deque
from itertools import pairwise

from protocol.market import Bar

MINUTE_S = 60
KEPT = 240
"""So many usual moves are remembered."""
NO_MEASURE = 1e6
"""Said of a move in a market that never moved before: more than any limit."""


class Moves:
    """The newest `window_s` seconds of one mid, second by second, and its usual moves, `least` of them at least."""

    __slots__ = ("_from", "_least", "_mid", "_now", "_second", "_seconds", "_usual", "_window", "_window_s", "spread")

    def __init__(self, window_s: int = 60, least: int = 30) -> None:
        self._window_s = window_s
        self._least = least
        self._usual: deque[float] = deque(maxlen=max(KEPT, least))
        self.spread: float | None = None
        self.broken()

    def broken(self) -> None:
        """The mid was not seen for a while: what it did meanwhile is no move."""
        self._seconds: deque[tuple[int, float, float]] = deque()  # the finished ones of the window: lowest, highest
        self._second = -1
        self._mid = 0.0
        self._now = self._window = (0.0, 0.0)  # lowest and highest of this second, and of the window with it
        self._from: float | None = None

    def seed(self, minutes: tuple[Bar, ...]) -> None:
        """Moves between minutes of before the start, oldest first; only where windows are minutes and none is known."""
        if self._window_s != MINUTE_S or self._usual:
            return
        closes = [bar.close for bar in minutes]
        self._usual.extend(share_moved(a, b) for a, b in pairwise(closes))
        self._measure()

    def sigma(self, mid: float, second: int) -> float | None:
        """The largest move from any mid of the window to this one, in standard deviations; None: too few are known.

        Args:
            mid: the newest.
            second: when, never less than before.
        """
        if second != self._second:
            self._turn(mid, second)
        if mid != self._mid:
            self._mid = mid
            self._now = _widened(self._now, mid)
            self._window = _widened(self._window, mid)
        low, high = self._window
        if self.spread is None:
            return None
        move = (mid / low if mid * mid > low * high else high / mid) - 1.0  # the larger of the two
        if self.spread > 0.0:
            return min(move / self.spread, NO_MEASURE)
        return NO_MEASURE if move > 0.0 else 0.0

    def _turn(self, mid: float, second: int) -> None:
        """Once a second: what left the window is forgotten, and the mid that stood until now stands in this one."""
        if self._second < 0:
            self._second, self._now, self._window = second, (mid, mid), (mid, mid)
            return
        self._ended(second)
        self._seconds.append((self._second, *self._now))
        while self._seconds and self._seconds[0][0] <= second - self._window_s:
            self._seconds.popleft()
        self._second, self._now = second, (self._mid, self._mid)
        lows = (low for _, low, _ in self._seconds)
        highs = (high for _, _, high in self._seconds)
        self._window = min(lows, default=self._mid), max(highs, default=self._mid)

    def _ended(self, second: int) -> None:
        """Where a window ended, its move becomes a usual one; windows in which nothing changed moved by nothing."""
        ended = second // self._window_s - self._second // self._window_s
        if ended <= 0:
            return
        if self._from is not None:
            self._usual.append(share_moved(self._from, self._mid))
            self._usual.extend(0.0 for _ in range(min(ended - 1, KEPT)))
            self._measure()
        self._from = self._mid

    def _measure(self) -> None:
        count = len(self._usual)
        if count >= self._least:
            mean = math.fsum(self._usual) / count
            self.spread = math.sqrt(math.fsum((move - mean) ** 2 for move in self._usual) / count)


def _widened(bounds: tuple[float, float], mid: float) -> tuple[float, float]:
    low, high = bounds
    return (min(low, mid)), (max(high, mid))


def share_moved(start: float, end: float) -> float:
    """The signed share by which a price moved."""
    return (end - start) / start
