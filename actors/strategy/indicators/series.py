"""The closed candles of one product and granularity, and the figures that are kept of them. Pure; mutable.

Figures hold for candles without a hole between them: behind a hole they begin anew, and a late candle that fills it
makes them whole again. Only such corrections cost as much as the series is long.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from protocol.market import Bar

MINUTE_S = 60
_HUGE = 1e15


class Figures(Protocol):
    """What is kept of candles that follow each other."""

    count: int

    def push(self, bar: Bar) -> None:
        """Take the next candle."""


F = TypeVar("F", bound=Figures)


class Series(Generic[F]):
    """The newest `kept` candles, oldest first, and the figures of those since the last hole."""

    __slots__ = ("_fresh", "_granularity_s", "_kept", "_window", "bars", "figures")

    def __init__(self, granularity_s: int, kept: int, fresh: Callable[[], F]) -> None:
        self._granularity_s = granularity_s
        self._kept = kept
        self._fresh = fresh
        self._window: tuple[Bar, ...] | None = ()
        self.bars: deque[Bar] = deque(maxlen=kept)
        self.figures = fresh()

    def closed(self, bar: Bar) -> None:
        """One more candle. The newest may be told anew; an older one fills a hole, or says nothing new."""
        if not _sound(bar) or (self.bars and bar == self.bars[-1]):
            return
        if not self.bars or bar.start_s > self.bars[-1].start_s:
            self._append(bar)
        else:
            self._correct(bar)

    def history(self, bars: Iterable[Bar]) -> None:
        """All candles anew, oldest first."""
        self.bars.clear()
        self.figures = self._fresh()
        for bar in bars:
            if _sound(bar):
                self._append(bar)

    def window(self) -> tuple[Bar, ...]:
        """The candles as they stand; made once for all who ask before the next candle."""
        if self._window is None:
            self._window = tuple(self.bars)
        return self._window

    def _append(self, bar: Bar) -> None:
        if self.bars and self.bars[-1].start_s + self._granularity_s != bar.start_s:
            self.figures = self._fresh()
        self.bars.append(bar)
        self._window = None
        self.figures.push(bar)

    def _correct(self, bar: Bar) -> None:
        held = {one.start_s: one for one in self.bars}
        beyond = len(held) == self._kept and bar.start_s < self.bars[0].start_s
        if beyond or (bar.start_s in held and bar.start_s != self.bars[-1].start_s):
            return
        held[bar.start_s] = bar
        self.history([held[start] for start in sorted(held)])


def quiet_minutes(bar: Bar, minutes: int) -> int:
    """How many minutes of a candle of `minutes` had no trade, as far as is known (requirements ST1)."""
    return minutes if bar.synthetic else bar.quiet_minutes


def _sound(bar: Bar) -> bool:
    """Prices and volume a market can have; a candle without them counts as missing."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    return all(0.0 < price < _HUGE for price in prices) and 0.0 <= bar.volume < _HUGE * _HUGE and bar.low <= bar.high


def move_pct(start: float, end: float) -> float:
    """The signed move between two prices, per cent, to ten places: 100 to 100.6 is 0.6, as a bound is written."""
    return round((end - start) / start * 100, 10)


def true_range(bar: Bar, close: float) -> float:
    """max(h - l, |h - previous close|, |l - previous close|), in price units.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).
    """
    return max(bar.high - bar.low, abs(bar.high - close), abs(bar.low - close))


def annualised(hourly_stdev_pct: float) -> float:
    """An hourly standard deviation told for a year of 8,760 hours."""
    return hourly_stdev_pct * math.sqrt(8760)
