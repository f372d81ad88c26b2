"""Everything triggers look at of one product: its three series of closed candles and their figures. Pure; mutable."""

from collections.abc import Iterable
from functools import partial

from actors.strategy.indicators.hours import HourFigures, Lookbacks
from actors.strategy.indicators.minutes import FiveFigures, QuarterFigures
from actors.strategy.indicators.series import Series
from protocol.market import Bar

HOUR_S, QUARTER_S, FIVE_S = 3600, 900, 300
KEPT = {HOUR_S: 200, QUARTER_S: 100, FIVE_S: 60}
"""Candles held per granularity in seconds."""


class Lens:
    """One product's candles, each counted once as it closes. Granularities nobody reads are ignored."""

    __slots__ = ("_by_granularity", "fives", "hours", "quarters")

    def __init__(self, look: Lookbacks) -> None:
        kept = max(KEPT[HOUR_S], look.week + look.atr + 1, look.breakout + 1, look.outlier + 1, look.z_score)
        self.hours = Series(HOUR_S, kept, partial(HourFigures, look))
        self.quarters = Series(QUARTER_S, KEPT[QUARTER_S], QuarterFigures)
        self.fives = Series(FIVE_S, KEPT[FIVE_S], FiveFigures)
        self._by_granularity: dict[int, Series[HourFigures] | Series[QuarterFigures] | Series[FiveFigures]] = {
            HOUR_S: self.hours,
            QUARTER_S: self.quarters,
            FIVE_S: self.fives,
        }

    def closed(self, granularity_s: int, bar: Bar) -> None:
        """One candle closed."""
        series = self._by_granularity.get(granularity_s)
        if series is not None:
            series.closed(bar)

    def history(self, granularity_s: int, bars: Iterable[Bar]) -> None:
        """A series anew, oldest candle first."""
        series = self._by_granularity.get(granularity_s)
        if series is not None:
            series.history(bars)
