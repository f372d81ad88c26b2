"""Statistics of closed bars, oldest first. Floats: these judge the market, they never become money."""

import itertools
import math
from collections.abc import Sequence

from protocol.market import Bar

HOURS_PER_YEAR = 8760


def true_ranges(bars: Sequence[Bar]) -> list[float]:
    """max(h - l, |h - previous close|, |l - previous close|) of every bar but the first, in price units.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).
    """
    return [
        max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close))
        for before, bar in itertools.pairwise(bars)
    ]


def atr_pcts(bars: Sequence[Bar], length: int = 14) -> list[float]:
    """ATR (mean of `length` true ranges) in per cent of the close, for every bar that has enough before it."""
    ranges = true_ranges(bars)
    out: list[float] = []
    total = sum(ranges[: length - 1])
    for i in range(length - 1, len(ranges)):
        total += ranges[i]
        out.append(total / length / bars[i + 1].close * 100)
        total -= ranges[i - length + 1]
    return out


def upper_median(values: Sequence[float]) -> float:
    """The middle element, the upper one of two. Raises ValueError: no values."""
    if not values:
        raise ValueError("no values have no median")
    return sorted(values)[len(values) // 2]


def returns_pct(bars: Sequence[Bar]) -> list[float]:
    """Close-to-close returns in per cent."""
    return [(bar.close / before.close - 1) * 100 for before, bar in itertools.pairwise(bars)]


def sample_stdev(values: Sequence[float]) -> float:
    """Standard deviation with n - 1; 0.0 for fewer than two values."""
    return _stdev(values, len(values) - 1)


def population_stdev(values: Sequence[float]) -> float:
    """Standard deviation with n; 0.0 for fewer than two values."""
    return _stdev(values, len(values))


def _stdev(values: Sequence[float], divisor: int) -> float:
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / divisor)


def volatility_pct(bars: Sequence[Bar], lookback: int = 168) -> float:
    """Annualised volatility of hourly bars in per cent, capped at 200; 50 when fewer than 24 bars are known.

    Source: pipeline.md §5.1.
    """
    if len(bars) < 24:
        return 50.0
    return min(population_stdev(returns_pct(bars[-lookback - 1 :])) * math.sqrt(HOURS_PER_YEAR), 200.0)


def synthetic_share_pct(bars: Sequence[Bar]) -> float:
    """Per cent of bars that closed without a trade."""
    return 100.0 * sum(bar.synthetic for bar in bars) / len(bars) if bars else 100.0
