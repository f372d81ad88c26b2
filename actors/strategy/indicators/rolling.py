"""Statistics of the newest values of a series, kept as values come: never a loop over the window. Pure; mutable.

Sums are kept as integers in units of 2**-100, which holds every float of a market exactly: adding and taking away
leaves no rounding behind, however long a series runs. Floats: these judge the market, they never become money.
"""

import math
from collections import deque
from collections.abc import Callable

from sortedcontainers import SortedList

_UNIT_BITS = 100
_REST = 1e-15
"""Share of a price: no move of a market is so small, even faded to the end of a window."""


def _exact(value: float) -> int:
    return int(math.ldexp(value, _UNIT_BITS))


class RollingSum:
    """Sum and mean of the newest `size` values. O(1) a value."""

    __slots__ = ("_size", "_terms", "_total")

    def __init__(self, size: int) -> None:
        self._size = size
        self._terms: deque[int] = deque()
        self._total = 0

    def push(self, value: float) -> None:
        """Take one value; the oldest leaves a full window."""
        term = _exact(value)
        self._terms.append(term)
        self._total += term
        if len(self._terms) > self._size:
            self._total -= self._terms.popleft()

    @property
    def sum(self) -> float:
        """Of the window, correctly rounded."""
        return self._total / (1 << _UNIT_BITS)

    @property
    def mean(self) -> float:
        """Of the window, correctly rounded; 0.0 of nothing."""
        return self._total / (len(self._terms) << _UNIT_BITS) if self._terms else 0.0


class RollingSpread:
    """Mean and population standard deviation of the newest `size` values. O(1) a value."""

    __slots__ = ("_size", "_squares", "_terms", "_total")

    def __init__(self, size: int) -> None:
        self._size = size
        self._terms: deque[int] = deque()
        self._total = 0
        self._squares = 0

    def push(self, value: float) -> None:
        """Take one value; the oldest leaves a full window."""
        term = _exact(value)
        self._terms.append(term)
        self._total += term
        self._squares += term * term
        if len(self._terms) > self._size:
            gone = self._terms.popleft()
            self._total -= gone
            self._squares -= gone * gone

    @property
    def mean(self) -> float:
        """Of the window, correctly rounded; 0.0 of nothing."""
        return self._total / (len(self._terms) << _UNIT_BITS) if self._terms else 0.0

    @property
    def stdev(self) -> float:
        """With n, not n - 1; 0.0 for fewer than two values, and exactly 0.0 for equal ones."""
        count = len(self._terms)
        if count < 2:
            return 0.0
        return math.sqrt(count * self._squares - self._total * self._total) / (count << _UNIT_BITS)


class RollingExtreme:
    """The value that beats all others of the newest `size`; with `operator.ge` the highest. O(1) a value, amortised."""

    __slots__ = ("_beats", "_count", "_size", "_standing")

    def __init__(self, size: int, beats: Callable[[float, float], bool]) -> None:
        self._size = size
        self._beats = beats
        self._standing: deque[tuple[int, float]] = deque()  # each beats all that came after it
        self._count = 0

    def push(self, value: float) -> None:
        """Take one value; the oldest leaves a full window."""
        while self._standing and self._beats(value, self._standing[-1][1]):
            self._standing.pop()
        self._standing.append((self._count, value))
        self._count += 1
        if self._standing[0][0] <= self._count - 1 - self._size:
            self._standing.popleft()

    @property
    def value(self) -> float:
        """The extreme. Raises IndexError: no value yet."""
        return self._standing[0][1]


class RollingMedian:
    """The middle one of the newest `size` values, the upper one of two. O(log n) a value."""

    __slots__ = ("_order", "_ranked", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._order: deque[float] = deque()
        self._ranked = SortedList()

    def push(self, value: float) -> None:
        """Take one value; the oldest leaves a full window."""
        self._order.append(value)
        self._ranked.add(value)
        if len(self._order) > self._size:
            self._ranked.remove(self._order.popleft())

    @property
    def value(self) -> float:
        """The upper median. Raises IndexError: no value yet."""
        return float(self._ranked[len(self._ranked) // 2])


class Smoothed:
    """Exponential smoothing of the newest `size` values, seeded with the mean of their first `seed`. O(1) a value.

    The window is bounded, seed and all: a reader that restarts with the window's values sees the same number as one
    that has read for months. `alpha`: weight of the newest value (EMA of n: 2 / (n + 1); Wilder's of n: 1 / n).
    """

    __slots__ = ("_alpha", "_limit", "_seed", "_tail", "_weight", "_window", "seed")

    def __init__(self, alpha: float, seed: int, size: int) -> None:
        self.seed = seed
        self._alpha = alpha
        self._limit = size
        self._window: deque[float] = deque()
        self._seed = RollingSum(seed)
        self._tail = 0.0  # the values after the seed, each weighted by its age
        self._weight = 1.0  # of the seed

    def push(self, value: float) -> None:
        """Take one value; the oldest leaves a full window, and the seed moves on by one."""
        self._window.append(value)
        if len(self._window) <= self.seed:
            self._seed.push(value)
            return
        self._tail = (1.0 - self._alpha) * self._tail + value
        if len(self._window) <= self._limit:
            self._weight *= 1.0 - self._alpha
            return
        self._window.popleft()
        moved = self._window[self.seed - 1]
        self._seed.push(moved)
        self._tail -= self._weight * moved

    @property
    def value(self) -> float | None:
        """The smoothed value; None before the seed is whole."""
        if len(self._window) < self.seed:
            return None
        return self._alpha * self._tail + self._weight * self._seed.mean


class Rsi:
    """Wilder's relative strength index over the newest `size` closes, and the one before it. 50 in a market at rest.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).
    """

    __slots__ = ("_close", "_falls", "_rises", "before", "value")

    def __init__(self, length: int, size: int) -> None:
        self._rises = Smoothed(1.0 / length, length, size - 1)
        self._falls = Smoothed(1.0 / length, length, size - 1)
        self._close: float | None = None
        self.value: float | None = None
        self.before: float | None = None

    def push(self, close: float) -> None:
        """Take one close."""
        self.before = self.value
        if self._close is not None:
            self._rises.push(max(close - self._close, 0.0))
            self._falls.push(max(self._close - close, 0.0))
            self.value = self._read(_REST * close)
        self._close = close

    def _read(self, rest: float) -> float | None:
        """Sums below `rest` are what rounding leaves of moves that left the window."""
        up, down = self._rises.value, self._falls.value
        if up is None or down is None:
            return None
        up, down = max(up, 0.0), max(down, 0.0)
        return 100.0 * up / (up + down) if up + down > rest else 50.0
