"""How each trigger is traded (the entry table of pipeline.md §6): long only, a fall can only lead to a bounce trade."""

from decimal import ROUND_HALF_EVEN, Decimal

from protocol.base import Value
from protocol.policy_strategy import ReversionTargets
from protocol.strategy import Passed, Regime, Trigger

_HOUR_S = 3600
RISE_PCT = 1.5
FALL_PCT = -2.5
SPIKE_PCT = 2.0


class Shape(Value, frozen=True, kw_only=True):
    """One kind of entry: stop, target (per cent of price), hold, size factors. `extra` counts beside confidence."""

    stop_pct: Decimal
    target_pct: Decimal
    hold_s: int
    factor: Decimal
    extra: Decimal = Decimal(1)
    tag: str = ""


class EntryRules(Value, frozen=True, kw_only=True):
    """What is configured of the table: how deep a dip is bought, and the distances of mean reversion."""

    dip_pct: float
    reversion: ReversionTargets


def shape(trigger: Trigger, regime: Regime, rules: EntryRules) -> Shape | Passed:
    """The table's row for a trigger, or the condition that it misses."""
    change = trigger.change_pct
    match trigger.kind:
        case "price_move" if change > RISE_PCT:
            return _shape("6", "12", 48, "1.0")
        case "price_move" if change < FALL_PCT:
            return _shape("10", "20", 24, "0.7", tag="bounce")
        case "price_move":
            return _missed(trigger, RISE_PCT if change >= 0 else FALL_PCT)
        case "volume_spike" if abs(change) > SPIKE_PCT:
            return _shape("8", "15", 72, "1.0")
        case "volume_spike":
            return _missed(trigger, SPIKE_PCT if change >= 0 else -SPIKE_PCT)
        case "breakout":
            return _shape("6", "20", 120, "1.2")
        case "reversal" if regime is not Regime.CRASH:
            return _shape("12", "25", 48, "0.8", extra=_number(trigger.confidence) * Decimal("0.8"))
        case "momentum" if change > 0:
            return _shape("8", "15", 72, "1.0")
        case "momentum" if change <= -rules.dip_pct:
            extra = _number(trigger.confidence) * Decimal("0.9")
            return _shape("10", "18", 48, "0.85", extra=extra, tag="momentum_dip")
        case "momentum":
            return _missed(trigger, -rules.dip_pct)
        case "mean_reversion":
            return _reversion(trigger, rules.reversion)
    return passed(trigger, "entry_condition", detail=f"{trigger.kind} in {regime.value} has no entry")


def _shape(stop: str, target: str, hold_h: int, factor: str, *, extra: Decimal = Decimal(1), tag: str = "") -> Shape:
    return Shape(
        stop_pct=Decimal(stop),
        target_pct=Decimal(target),
        hold_s=hold_h * _HOUR_S,
        factor=Decimal(factor),
        extra=extra,
        tag=tag,
    )


def _reversion(trigger: Trigger, rules: ReversionTargets) -> Shape | Passed:
    """Stop and target move with what the product usually moves in an hour; without that there are none."""
    atr = number_of(trigger, "atr_pct")
    if atr is None or atr <= 0:
        return passed(trigger, "data_unavailable:atr", atr, 0.0)
    return Shape(
        stop_pct=_number(atr) * rules.stop_atr,
        target_pct=_number(atr) * rules.take_profit_atr,
        hold_s=rules.max_hold_s,
        factor=Decimal("0.8"),
    )


def number_of(trigger: Trigger, name: str) -> float | None:
    """A figure behind the trigger; None where it is not known."""
    return dict(trigger.metrics).get(name)


def _number(value: float) -> Decimal:
    """A statistic on its way into a price or size: four decimals, so that it is the same on every machine."""
    return Decimal(value).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def _missed(trigger: Trigger, limit: float) -> Passed:
    return passed(trigger, "entry_condition", trigger.change_pct, limit, trigger.kind)


def passed(
    trigger: Trigger, code: str, value: float | None = None, limit: float | None = None, detail: str = ""
) -> Passed:
    """Why a trigger led to nothing."""
    return Passed(
        product_id=trigger.product_id, stage="rules_engine", code=code, value=value, limit=limit, detail=detail
    )
