"""The signals of 15-minute candles alone (pipeline.md §5.5), off unless configured.

The order in which a regime allows them decides: the first that fires speaks for the product. Pure.
"""

from collections.abc import Callable

from actors.strategy.indicators.minutes import DAY, HALF_DAY, HOUR, QuarterFigures
from actors.strategy.indicators.series import move_pct
from actors.strategy.triggers.signals import Case, Outcome, Refusal, Signal, insufficient
from protocol.base import Value
from protocol.strategy import Regime

TRENDING = {Regime.BULL, Regime.BEAR}
SAMPLES, SAMPLE_BARS = 7, 6
MARK = (("modular", 1.0),)


class ModularRules(Value, frozen=True, kw_only=True):
    """Thresholds in per cent; `momentum_trending_pct` in bull and bear, `momentum_pct` elsewhere."""

    enabled: bool
    momentum_trending_pct: float
    momentum_pct: float
    deviation_pct: float


def modular(case: Case, rules: ModularRules) -> Outcome:
    """The first allowed signal that fires, or every bound that was missed."""
    missed: tuple[Refusal, ...] = ()
    for kind in case.limits.allowed:
        outcome = SIGNALS[kind](case, rules) if kind in SIGNALS else ()
        if isinstance(outcome, Signal):
            return outcome
        missed += outcome
    return missed


def price_move(case: Case, _rules: ModularRules) -> Outcome:
    """The newest quarter moved far, on volume."""
    quarters, limits = case.lens.quarters.figures, case.limits
    if quarters.count < DAY:
        return insufficient("modular_price_move", quarters.count, DAY)
    move, ratio = quarters.move(-2, -1), _volume_ratio(quarters)
    missed = _below("modular_price_move", abs(move), limits.move_15m_pct)
    missed += _below("modular_volume", ratio, limits.volume_ratio)
    if missed:
        return missed
    consistent = sum(quarters.move(-i - 2, -i - 1) * move > 0 for i in range(HOUR)) / HOUR
    return Signal(
        kind="price_move",
        strength=min(abs(quarters.move(-5, -1)) / 5, 1.0),
        confidence=0.6 * min(ratio, 2.0) / 2 + 0.4 * consistent,
        change_pct=move,
        metrics=(*MARK, ("volume_ratio", ratio)),
    )


def momentum(case: Case, rules: ModularRules) -> Outcome:
    """Half a day's move whose second half traded no less than the first."""
    quarters = case.lens.quarters.figures
    if quarters.count < HALF_DAY:
        return insufficient("modular_momentum", quarters.count, HALF_DAY)
    move = quarters.move(-HALF_DAY, -1)
    least = rules.momentum_trending_pct if case.regime in TRENDING else rules.momentum_pct
    second = quarters.volume(HALF_DAY // 2)
    first = quarters.volume(HALF_DAY) - second
    missed = _below("modular_momentum", abs(move), least) + _below("modular_momentum_volume", second, first)
    if missed:
        return missed
    steps = [quarters.move(-1 - SAMPLE_BARS * (i + 1), -1 - SAMPLE_BARS * i) for i in range(SAMPLES)]
    agreeing = sum(step * move > 0 for step in steps) / SAMPLES
    return Signal(
        kind="momentum", strength=min(abs(move) / 10, 1.0), confidence=agreeing, change_pct=move, metrics=MARK
    )


def mean_reversion(case: Case, rules: ModularRules) -> Outcome:
    """Far from the day's mean, and moving ever slower: chop only."""
    quarters = case.lens.quarters.figures
    if case.regime is not Regime.CHOP:
        return (Refusal(code="modular_mean_reversion_regime", value=None, limit=None, detail=case.regime.value),)
    if quarters.count < DAY:
        return insufficient("modular_mean_reversion", quarters.count, DAY)
    closes = quarters.closes
    deviation = move_pct(quarters.mean_close, closes[-1])
    now, before = abs(closes[-1] - closes[-4]), abs(closes[-4] - closes[-8])
    missed = _below("modular_mean_reversion", abs(deviation), rules.deviation_pct)
    if now >= before:
        missed += (Refusal(code="modular_slowing", value=now, limit=before),)
    if missed:
        return missed
    falling = 2 * quarters.volume(HOUR) < quarters.volume(2 * HOUR)
    return Signal(
        kind="mean_reversion",
        strength=min(abs(deviation) / 5, 1.0),
        confidence=0.8 if falling else 0.6,
        change_pct=deviation,
        metrics=MARK,
    )


def _volume_ratio(quarters: QuarterFigures) -> float:
    day = quarters.volume(DAY)
    return quarters.volume(HOUR) / (HOUR * day / DAY) if day > 0 else 0.0


def _below(code: str, value: float, least: float) -> tuple[Refusal, ...]:
    return (Refusal(code=code, value=value, limit=least),) if value < least else ()


SIGNALS: dict[str, Callable[[Case, ModularRules], Outcome]] = {
    "price_move": price_move,
    "momentum": momentum,
    "mean_reversion": mean_reversion,
}
