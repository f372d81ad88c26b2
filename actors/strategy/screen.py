"""What a strategy answered, held against the proposal's form and bounds (R1, R2). Pure.

Nothing that comes from a strategy is believed: types are checked field by field, and who proposed what, when and for
which product's tier is the host's to say.
"""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

import msgspec
from msgspec.structs import replace

from actors.strategy.base import Bounds, StrategyContext
from actors.strategy.library.canary import TAG, in_window
from actors.strategy.running import sendable
from protocol.base import Value
from protocol.effects import LogLine
from protocol.ids import ProductId
from protocol.orders import Side
from protocol.policy_strategy import CanaryPolicy
from protocol.risk import Reason
from protocol.strategy import Passed, TradeProposal

SCHEMA_INVALID = Reason.SCHEMA_INVALID.value
NO_SHORT = Reason.SHORTING_DISALLOWED.value
_HUNDRED = Decimal(100)
_MS = 1_000_000
_DIGITS = Decimal("0.0001")


class Screened(Value, frozen=True, kw_only=True):
    """What may go on, and a row and a log line for each that may not."""

    proposals: tuple[TradeProposal, ...]
    passed: tuple[Passed, ...]
    logs: tuple[LogLine, ...]


def screened(name: str, offered: Sequence[object], context: StrategyContext, canary: CanaryPolicy) -> Screened:
    """Check each proposal of the strategy `name` and put the host's word on it."""
    kept: list[TradeProposal] = []
    passed: list[Passed] = []
    logs: list[LogLine] = []
    for thing in offered:
        answer = _judged(name, thing, context, canary)
        if isinstance(answer, TradeProposal):
            kept.append(answer)
            continue
        passed.append(answer)
        if answer.code in {SCHEMA_INVALID, NO_SHORT}:
            fields = (("strategy", name), ("product", answer.product_id), ("fields", answer.detail))
            logs.append(LogLine(level="error", event=answer.code, fields=fields))
    return Screened(proposals=tuple(kept), passed=tuple(passed), logs=tuple(logs))


def _judged(name: str, thing: object, context: StrategyContext, canary: CanaryPolicy) -> TradeProposal | Passed:
    typed = _typed(thing)
    if isinstance(typed, str):
        return _row(name, _product(thing), SCHEMA_INVALID, detail=typed)
    broken = _malformed(typed, context)
    if broken is not None:
        return replace(broken, detail=f"{name}: {broken.detail}")
    return _allowed(_stamped(name, typed, context), context, canary)


def _typed(thing: object) -> TradeProposal | str:
    """The proposal with every field of its own type, or what is wrong: nothing checked that when it was made."""
    if type(thing) is not TradeProposal:
        return f"a {type(thing).__name__} is no TradeProposal"
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(thing), type=TradeProposal)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        return sendable(error)


def _product(thing: object) -> ProductId:
    product = getattr(thing, "product_id", "")
    return ProductId(sendable(product) if isinstance(product, str) else "")


def _malformed(asked: TradeProposal, context: StrategyContext) -> Passed | None:
    """The first field that is missing, no number, or outside its bound: value against the nearest that would pass."""
    for field in ("notional_pct", "stop_loss_pct", "take_profit_pct"):
        if not getattr(asked, field).is_finite():
            return _row("", asked.product_id, SCHEMA_INVALID, detail=field)
    bounds, asset = context.bounds, context.asset(asked.product_id)
    if asked.notional_pct < 0:
        return _row("", asked.product_id, NO_SHORT, asked.notional_pct, Decimal(0), "notional_pct is negative")
    tier = asset.tier if asset is not None else 1
    most = bounds.tier_cap_pct[tier - 1] if asked.side is Side.BUY else _HUNDRED
    stop = min(bounds.max_stop_loss_pct, _HUNDRED - 1)
    checks: tuple[tuple[str, bool, Decimal | float, Decimal | float], ...] = (
        ("notional_pct", 0 < asked.notional_pct <= most, asked.notional_pct, most),
        (
            "stop_loss_pct",
            0 < asked.stop_loss_pct <= stop,
            asked.stop_loss_pct,
            stop,
        ),
        (
            "take_profit_pct",
            asked.take_profit_pct > asked.stop_loss_pct,
            asked.take_profit_pct,
            asked.stop_loss_pct,
        ),
        ("conviction", 0 <= asked.conviction <= 1, asked.conviction, 1.0),
        ("max_hold_s", asked.max_hold_s > 0, float(asked.max_hold_s), 1.0),
    )
    for field, good, value, limit in checks:
        if not good:
            return _row("", asked.product_id, SCHEMA_INVALID, value, limit, field)
    return None


def _stamped(name: str, asked: TradeProposal, context: StrategyContext) -> TradeProposal:
    asset = context.asset(asked.product_id)
    product = asked.product_id.lower()
    return replace(
        asked,
        correlation=f"c{context.cycle}-{name}-{product}-{context.now_ns // _MS}",
        strategy=name,
        tier=asset.tier if asset is not None else 1,
        theme=asset.theme if asset is not None else "",
        regime=context.regime,
        created_ns=context.now_ns,
    )


def _allowed(asked: TradeProposal, context: StrategyContext, canary: CanaryPolicy) -> TradeProposal | Passed:
    """What the market and the account allow; a sale only of what is held."""
    bounds, name = context.bounds, asked.strategy
    if asked.side is Side.SELL:
        held = asked.product_id in context.held
        return asked if held else _row(name, asked.product_id, NO_SHORT, detail="nothing is held")
    if context.asset(asked.product_id) is None:
        return _row(name, asked.product_id, "not_eligible")
    least = bounds.min_conviction
    if asked.conviction < least and not (TAG in asked.tags and in_window(asked.conviction, least, canary)):
        return _row(name, asked.product_id, "min_conviction", asked.conviction, least)
    if bounds.clamp_pct is not None:
        asked = replace(asked, notional_pct=max(asked.notional_pct, _raised(asked.tier, bounds, bounds.clamp_pct)))
    if bounds.least_pct is not None and asked.notional_pct < bounds.least_pct:
        return _row(name, asked.product_id, "below_min_notional", asked.notional_pct, bounds.least_pct, "% of NAV")
    return asked


def _raised(tier: int, bounds: Bounds, least_pct: Decimal) -> Decimal:
    """The least that is worth sending, as far as its tier's cap goes; risk holds it against every other cap."""
    return min(least_pct.quantize(_DIGITS, rounding=ROUND_CEILING), bounds.tier_cap_pct[tier - 1])


def _row(
    name: str,
    product: ProductId,
    code: str,
    value: Decimal | float | None = None,
    limit: Decimal | float | None = None,
    detail: str = "",
) -> Passed:
    return Passed(
        product_id=product, stage="screen", code=code, value=_number(value), limit=_number(limit), detail=detail or name
    )


def _number(value: Decimal | float | None) -> float | None:
    """A number for the record; one that is none is not written as one."""
    if value is None or not (math.isfinite(value) if isinstance(value, float) else value.is_finite()):
        return None
    return float(value)
