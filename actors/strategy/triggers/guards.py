"""The guards before the triggers (pipeline.md §5.1, requirements O1 and ST1). Pure functions of a product's figures."""

from actors.strategy.indicators.lens import Lens
from actors.strategy.triggers.signals import Refusal, insufficient
from protocol.base import Value

ATR_BARS = 28


class GuardRules(Value, frozen=True, kw_only=True):
    """What a product has to pass. None of the two switches: that guard does not judge."""

    outlier: bool
    atr_filter: bool
    max_deviation_pct: float
    min_volume_ratio: float
    outlier_lookback: int
    synthetic_max_pct: float


def guarded(lens: Lens, rules: GuardRules, atr_min_mult: float) -> tuple[Refusal, ...]:
    """Every guard that refuses."""
    refused = quiet(lens, rules.synthetic_max_pct)
    if rules.outlier:
        refused += outlier(lens, rules)
    if rules.atr_filter:
        refused += atr_filter(lens, atr_min_mult)
    return refused


def quiet(lens: Lens, most_pct: float) -> tuple[Refusal, ...]:
    """Minutes without trades say nothing: of the newest 24 hours and the newest 60 quarters, the worse counts."""
    share = max(lens.hours.figures.quiet_pct, lens.quarters.figures.quiet_pct)
    return (Refusal(code="synthetic_minutes", value=share, limit=most_pct),) if share > most_pct else ()


def outlier(lens: Lens, rules: GuardRules) -> tuple[Refusal, ...]:
    """A close far from its mean on hardly any volume is no signal. Both limits themselves still pass."""
    hours = lens.hours.figures
    if hours.newest is None or hours.count < rules.outlier_lookback + 1:
        return insufficient("outlier", hours.count, rules.outlier_lookback + 1)
    deviation = abs(hours.close - hours.prior_close) / hours.prior_close * 100
    if deviation <= rules.max_deviation_pct:
        return ()
    volume = hours.prior_volume
    if volume <= 0 or hours.newest.volume / volume < rules.min_volume_ratio:
        return (Refusal(code="outlier", value=deviation, limit=rules.max_deviation_pct),)
    return ()


def atr_filter(lens: Lens, minimum: float) -> tuple[Refusal, ...]:
    """The newest range against its own median over a week: a sleepy asset triggers nothing."""
    hours = lens.hours.figures
    if hours.count < ATR_BARS:
        return insufficient("atr_filter", hours.count, ATR_BARS)
    ratio = hours.atr_ratio
    return (Refusal(code="atr_filter", value=ratio, limit=minimum),) if ratio < minimum else ()
