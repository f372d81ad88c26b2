"""Market regime from BTC-USD hourly closes (pipeline.md §4), with the two-cycle rule for leaving a crash."""

import itertools
import math
from collections.abc import Sequence

from msgspec.structs import replace

from protocol.base import Value
from protocol.money import ONE
from protocol.policy import RegimeRow
from protocol.strategy import Regime, RegimeChanged

LOOKBACK = 168
_HOURS_PER_YEAR = 24 * 365
_LEAVE_CRASH_AFTER = 2


class Reading(Value, frozen=True, kw_only=True):
    """One detection. Trend over 168 h and annualised volatility in per cent; None with too few closes."""

    regime: Regime
    confidence: float
    trend_pct: float | None = None
    volatility_pct: float | None = None


class Detector(Value, frozen=True, kw_only=True):
    """What the hysteresis remembers: the regime that holds, how sure that was, and how often another was seen since."""

    regime: Regime = Regime.CHOP
    confidence: float = 0.5
    calm: int = 0


def detect(closes: Sequence[float]) -> Reading:
    """Classify the last 168 hourly closes, oldest first. The first row of the table that matches wins."""
    if len(closes) < LOOKBACK:
        return Reading(regime=Regime.CHOP, confidence=0.5)
    window = closes[-LOOKBACK:]
    trend = (window[-1] / window[0] - 1) * 100
    volatility = _annualised_pct(window)
    regime, confidence = _classify(trend, volatility)
    return Reading(regime=regime, confidence=confidence, trend_pct=trend, volatility_pct=volatility)


def realised_pct(closes: Sequence[float], hours: int) -> float | None:
    """Volatility of the last `hours` hourly moves, per cent a year; None with too few closes to tell."""
    return _annualised_pct(closes[-hours - 1 :]) if len(closes) > hours else None


def _annualised_pct(closes: Sequence[float]) -> float:
    moves = [(b / a - 1) * 100 for a, b in itertools.pairwise(closes)]
    mean = math.fsum(moves) / len(moves)
    variance = math.fsum((m - mean) ** 2 for m in moves) / (len(moves) - 1)
    return math.sqrt(variance) * math.sqrt(_HOURS_PER_YEAR)


def _classify(trend: float, volatility: float) -> tuple[Regime, float]:
    if trend < -15 and volatility > 120:
        return Regime.CRASH, 0.9
    if trend < -10 or volatility > 100:
        return Regime.CRASH, 0.7
    if trend >= 10 and volatility < 60:
        return Regime.BULL, min(0.9, 0.5 + (trend - 10) / 50)
    if trend <= -5:
        return Regime.BEAR, min(0.8, 0.5 + abs(trend + 5) / 20)
    return Regime.CHOP, 0.8 if abs(trend) < 5 else 0.6


def follow(detector: Detector, reading: Reading) -> Detector:
    """Enter a crash at once; leave it only when two cycles in a row say so. Too few closes to tell say nothing."""
    if detector.regime is not Regime.CRASH or reading.regime is Regime.CRASH:
        return Detector(regime=reading.regime, confidence=reading.confidence)
    if reading.trend_pct is None:
        return replace(detector, calm=0)
    calm = detector.calm + 1
    if calm < _LEAVE_CRASH_AFTER:
        return replace(detector, calm=calm)
    return Detector(regime=reading.regime, confidence=reading.confidence)


def change(before: Detector, after: Detector, reading: Reading, row: RegimeRow, now_ns: int) -> RegimeChanged:
    """The record of another regime, with everything that the table makes of it from this cycle on (U3)."""
    return RegimeChanged(
        at_ns=now_ns,
        before=before.regime,
        after=after.regime,
        confidence=after.confidence,
        trend_pct=reading.trend_pct,
        volatility_pct=reading.volatility_pct,
        size_multiplier=row.position_size_multiplier,
        cap_multiplier=min(ONE, row.position_size_multiplier),
        max_positions=row.max_positions,
        allowed_signals=row.allowed_signals,
        signal_confidence_boost=row.signal_confidence_boost,
    )
