"""The triggers of pipeline.md §5.2, each a pure function of one product's figures, thresholds and rules.

A trigger fires a `Signal`, or says every bound that it missed: value against the nearest value that would have passed.
Moves keep their sign: a falling bar is a falling bar. A breakout is measured against the candles before the newest.
"""

from actors.strategy.indicators.hours import HALF_DAY, HourFigures
from actors.strategy.indicators.lens import Lens
from actors.strategy.indicators.minutes import MOVE_BARS
from actors.strategy.indicators.series import move_pct
from protocol.base import Value
from protocol.strategy import Regime

DAY_BARS = 24
MOMENTUM_PCT = 2.0
REVERSAL_FROM_PCT = 5.0
REVERSAL_TO_PCT = 10.0
TREND_CLOSES = 24
FALLING_ONLY = {Regime.BEAR, Regime.CRASH}
"""In these a daily move counts only downwards (pipeline.md §5.2)."""


class Thresholds(Value, frozen=True, kw_only=True):
    """One regime's thresholds, per cent and multiples, the triggers allowed in it, and what it adds to confidence.

    `slope_pct_h`: the least that confirms a reversal's trend; None: that of every regime.
    """

    move_15m_pct: float
    move_60m_pct: float
    volume_ratio: float
    atr_min_mult: float
    allowed: tuple[str, ...]
    confidence_boost: float = 0.0
    slope_pct_h: float | None = None


class TriggerRules(Value, frozen=True, kw_only=True):
    """What is the same in every regime. `slope_pct_h`, `bounce_pct`: the least that confirms; `z_max`: the highest.

    `worst_tier`: down to which mean reversion looks; `higher_low`, `rsi_cross`: whether these signs count.
    """

    breakout_hours: int
    slope_pct_h: float
    bounce_pct: float
    z_max: float
    z_hours: int
    ema_hours: int
    slope_hours: int
    worst_tier: int = 1
    higher_low: bool = True
    rsi_cross: bool = True


class Case(Value, frozen=True, kw_only=True):
    """One product in one cycle."""

    lens: Lens
    tier: int
    regime: Regime
    limits: Thresholds
    rules: TriggerRules


class Signal(Value, frozen=True, kw_only=True):
    """A trigger that fired: how strongly (0..1), how surely (0..1), and the signed move behind it in per cent."""

    kind: str
    strength: float
    confidence: float
    change_pct: float
    metrics: tuple[tuple[str, float], ...] = ()
    qualifiers: tuple[str, ...] = ()


class Refusal(Value, frozen=True, kw_only=True):
    """Why a guard or trigger did not pass: value against the nearest limit that would have. `detail`: what was read."""

    code: str
    value: float | None
    limit: float | None
    detail: str = ""


Outcome = Signal | tuple[Refusal, ...]


def price_move(case: Case) -> Outcome:
    """A move from one of the last four 15-minute closes to the next (A), over the last 60 minutes (B), or both."""
    return moved(case, case.limits.move_15m_pct, case.limits.move_60m_pct)


def moved(case: Case, move_15m_pct: float, move_60m_pct: float) -> Outcome:
    """The same at other thresholds, per cent."""
    quarters = case.lens.quarters.figures
    if quarters.count < MOVE_BARS:
        return insufficient("price_move", quarters.count, MOVE_BARS)
    fast, slow = quarters.fastest_pct, quarters.hour_pct
    a, b = abs(fast) >= move_15m_pct, abs(slow) >= move_60m_pct
    metrics = (("move_15m_pct", fast), ("move_60m_pct", slow))
    if a and b:
        return Signal(kind="price_move", strength=0.8, confidence=0.85, change_pct=fast, metrics=metrics)
    if a:
        return Signal(kind="price_move", strength=0.6, confidence=0.70, change_pct=fast, metrics=metrics)
    if b:
        return Signal(kind="price_move", strength=0.7, confidence=0.75, change_pct=slow, metrics=metrics)
    nearest_fast = abs(fast) * move_60m_pct >= abs(slow) * move_15m_pct
    value, limit, window = (fast, move_15m_pct, "15m") if nearest_fast else (slow, move_60m_pct, "60m")
    return (Refusal(code="price_move", value=abs(value), limit=limit, detail=f"{window} {value:+.2f} %"),)


def volume_spike(case: Case) -> Outcome:
    """The newest hour's volume against the mean of the newest 24."""
    hours = case.lens.hours.figures
    if hours.count < DAY_BARS:
        return insufficient("volume_spike", hours.count, DAY_BARS)
    ratio = hours.volume_ratio
    if ratio < case.limits.volume_ratio:
        return (Refusal(code="volume_spike", value=ratio, limit=case.limits.volume_ratio),)
    return Signal(
        kind="volume_spike",
        strength=min(max((ratio - 1) / 3, 0.0), 1.0),
        confidence=min(ratio / 4, 1.0),
        change_pct=hours.last_move_pct,
        metrics=(("volume_ratio", ratio),),
    )


def breakout(case: Case) -> Outcome:
    """The newest close above the highest high of the hours before it."""
    hours, lookback = case.lens.hours.figures, case.rules.breakout_hours
    if hours.count < lookback + 1:
        return insufficient("breakout", hours.count, lookback + 1)
    high, low = hours.prior_high, hours.prior_low
    if high <= low:
        return (Refusal(code="breakout", value=None, limit=None, detail="no range"),)
    if hours.close <= high:
        return (Refusal(code="breakout", value=hours.close, limit=high),)
    rise = move_pct(low, hours.close)
    return Signal(kind="breakout", strength=0.7, confidence=0.8, change_pct=rise, metrics=(("prior_high", high),))


def reversal(case: Case) -> Outcome:
    """A recovery of more than 5 and at most 10 % from the day's low, in a rising trend."""
    hours = case.lens.hours.figures
    if hours.count < TREND_CLOSES:
        return insufficient("reversal", hours.count, TREND_CLOSES)
    slope = hours.slope_pct_h
    if slope is None:
        return insufficient("reversal", hours.count, case.rules.ema_hours + case.rules.slope_hours)
    recovery = move_pct(hours.day_low, hours.close)
    own = case.limits.slope_pct_h
    refused = _not_recovered(recovery, hours) + _not_rising(slope, case.rules.slope_pct_h if own is None else own)
    if refused:
        return refused
    return Signal(
        kind="reversal",
        strength=min(recovery / 20, 1.0),
        confidence=0.6,
        change_pct=recovery,
        metrics=_trend_metrics(hours, slope, case.rules),
    )


def _not_recovered(recovery: float, hours: HourFigures) -> tuple[Refusal, ...]:
    if recovery <= REVERSAL_FROM_PCT:
        return (Refusal(code="reversal", value=recovery, limit=REVERSAL_FROM_PCT, detail="% above the low"),)
    if hours.close > hours.day_low * (1 + REVERSAL_TO_PCT / 100):
        return (Refusal(code="reversal", value=recovery, limit=REVERSAL_TO_PCT, detail="% above the low"),)
    return ()


def _not_rising(slope: float, least: float) -> tuple[Refusal, ...]:
    return (Refusal(code="trend_filter", value=slope, limit=least, detail="%/h"),) if slope < least else ()


def _trend_metrics(hours: HourFigures, slope: float, rules: TriggerRules) -> tuple[tuple[str, float], ...]:
    return (
        ("ema_period", float(rules.ema_hours)),
        ("ema_slope_pct_h", slope),
        ("ema_now", hours.ema_now or 0.0),
        ("ema_prior", hours.ema_prior or 0.0),
        ("ema_lookback", float(rules.slope_hours)),
        ("trend_passed", 1.0),
    )


def momentum(case: Case) -> Outcome:
    """The day's move; in bear and crash only a falling one counts."""
    hours = case.lens.hours.figures
    if hours.count < DAY_BARS:
        return insufficient("momentum", hours.count, DAY_BARS)
    move = hours.day_move_pct
    if move > 0 and case.regime in FALLING_ONLY:
        return (Refusal(code="momentum", value=move, limit=-MOMENTUM_PCT),)
    if abs(move) < MOMENTUM_PCT:
        return (Refusal(code="momentum", value=abs(move), limit=MOMENTUM_PCT, detail=f"24h {move:+.2f} %"),)
    return Signal(
        kind="momentum",
        strength=min(abs(move) / 10, 1.0),
        confidence=hours.agreeing(rising=move > 0),
        change_pct=move,
        metrics=(("agreeing_of_12", hours.agreeing(rising=move > 0) * HALF_DAY),),
    )


def mean_reversion(case: Case) -> Outcome:
    """A close far below its mean of a day: in chop only, and in liquid tiers."""
    hours = case.lens.hours.figures
    refused: tuple[Refusal, ...] = ()
    worst = case.rules.worst_tier
    if case.tier > worst:
        refused += (Refusal(code="mean_reversion_tier", value=float(case.tier), limit=float(worst)),)
    if case.regime is not Regime.CHOP:
        refused += (Refusal(code="mean_reversion_regime", value=None, limit=None, detail=case.regime.value),)
    if hours.count < case.rules.z_hours:
        return refused + insufficient("mean_reversion", hours.count, case.rules.z_hours)
    z = hours.z_score
    if z > case.rules.z_max:
        refused += (Refusal(code="mean_reversion", value=z, limit=case.rules.z_max),)
    if refused:
        return refused
    return Signal(
        kind="mean_reversion",
        strength=min(abs(z) / 3, 1.0),
        confidence=0.6,
        change_pct=hours.day_move_pct,
        metrics=(("z_score", z), ("atr_pct", hours.atr_pct)),
    )


def insufficient(kind: str, known: int, needed: int) -> tuple[Refusal, ...]:
    """Too few candles in a row are said and never judged."""
    return (Refusal(code="insufficient_candles", value=float(known), limit=float(needed), detail=kind),)
