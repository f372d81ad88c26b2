"""The triggers and the guards before them (pipeline.md §5). Pure functions of closed bars, oldest first.

Moves keep their sign: a falling bar is a falling bar. A breakout is measured against the bars before the current one.
"""

from collections.abc import Sequence

from actors.strategy.indicators.bars import atr_pcts, upper_median
from protocol.base import Value
from protocol.market import Bar

ATR_BARS = 28
MOVE_BARS = 60


class Signal(Value, frozen=True, kw_only=True):
    """A trigger that fired: how strongly (0..1), how surely (0..1), and the signed move behind it in per cent."""

    kind: str
    strength: float
    confidence: float
    change_pct: float
    metrics: tuple[tuple[str, float], ...]


class Refusal(Value, frozen=True, kw_only=True):
    """Why a guard or trigger did not pass: value against limit."""

    code: str
    value: float | None
    limit: float | None


def price_move(quarters: Sequence[Bar], move_15m_pct: float, move_60m_pct: float) -> Signal | Refusal:
    """A move within one of the last four 15-minute bars (A), over the last 60 minutes (B), or both.

    Args:
        quarters: true 15-minute closes.
        move_15m_pct: threshold of A, per cent.
        move_60m_pct: threshold of B, per cent.
    """
    if len(quarters) < MOVE_BARS:
        return Refusal(code="too_few_bars", value=float(len(quarters)), limit=float(MOVE_BARS))
    moves = [_move(quarters, -i - 2, -i - 1) for i in range(4)]
    fast = max(moves, key=abs)
    slow = _move(quarters, -5, -1)
    a, b = abs(fast) >= move_15m_pct, abs(slow) >= move_60m_pct
    metrics = (("move_15m_pct", fast), ("move_60m_pct", slow))
    if a and b:
        return Signal(kind="price_move", strength=0.8, confidence=0.85, change_pct=fast, metrics=metrics)
    if a:
        return Signal(kind="price_move", strength=0.6, confidence=0.70, change_pct=fast, metrics=metrics)
    if b:
        return Signal(kind="price_move", strength=0.7, confidence=0.75, change_pct=slow, metrics=metrics)
    return Refusal(code="price_move", value=abs(fast), limit=move_15m_pct)


def breakout(hours: Sequence[Bar], lookback: int) -> Signal | Refusal:
    """The last close above the highest high of the `lookback` hours before it."""
    if len(hours) < lookback + 1:
        return Refusal(code="too_few_bars", value=float(len(hours)), limit=float(lookback + 1))
    before, close = hours[-lookback - 1 : -1], hours[-1].close
    high, low = max(b.high for b in before), min(b.low for b in before)
    if high <= low or close <= high:
        return Refusal(code="breakout", value=close, limit=high)
    rise = (close / low - 1) * 100
    return Signal(kind="breakout", strength=0.7, confidence=0.8, change_pct=rise, metrics=(("high_24h", high),))


def momentum(hours: Sequence[Bar], regime: str, threshold_pct: float = 2.0) -> Signal | Refusal:
    """The 24-hour return; in bear and crash only a falling one counts."""
    if len(hours) < 25:
        return Refusal(code="too_few_bars", value=float(len(hours)), limit=25.0)
    move = _move(hours, -25, -1)
    if abs(move) < threshold_pct or (regime in {"bear", "crash"} and move > 0):
        return Refusal(code="momentum", value=move, limit=threshold_pct)
    steps = [_move(hours, -i - 2, -i - 1) for i in range(12)]
    agreeing = sum((step > 0) == (move > 0) for step in steps if step) / len(steps)
    strength = min(abs(move) / 10, 1.0)
    return Signal(kind="momentum", strength=strength, confidence=agreeing, change_pct=move, metrics=())


def outlier(hours: Sequence[Bar], max_deviation_pct: float, min_volume_ratio: float, lookback: int) -> Refusal | None:
    """A close far from its mean on hardly any volume is no signal. Both limits themselves still pass."""
    if len(hours) < lookback + 1:
        return Refusal(code="too_few_bars", value=float(len(hours)), limit=float(lookback + 1))
    before, last = hours[-lookback - 1 : -1], hours[-1]
    mean = sum(b.close for b in before) / lookback
    volume = sum(b.volume for b in before) / lookback
    if mean <= 0:
        return Refusal(code="outlier", value=mean, limit=0.0)
    deviation = abs(last.close - mean) / mean * 100
    if deviation <= max_deviation_pct:
        return None
    if volume <= 0 or last.volume / volume < min_volume_ratio:
        return Refusal(code="outlier", value=deviation, limit=max_deviation_pct)
    return None


def atr_filter(hours: Sequence[Bar], minimum: float, window: int = 168) -> Refusal | None:
    """Today's range against its own median over a week: a sleepy asset triggers nothing."""
    if len(hours) < ATR_BARS:
        return Refusal(code="too_few_bars", value=float(len(hours)), limit=float(ATR_BARS))
    atrs = atr_pcts(hours[-window - 14 :])[-window:]
    typical = upper_median(atrs)
    ratio = atrs[-1] / typical if typical > 0 else 0.0
    return Refusal(code="atr_filter", value=ratio, limit=minimum) if ratio < minimum else None


def _move(bars: Sequence[Bar], start: int, end: int) -> float:
    return (bars[end].close / bars[start].close - 1) * 100
