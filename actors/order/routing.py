"""From an approved intent to the next concrete order: prices on the grid, sizes floored, minima met.

Source: execution.md §3 (product constraints) and §4 (route plan). Pure Decimal arithmetic.
"""

from decimal import Decimal

from protocol.base import Value
from protocol.ids import ClientOrderId
from protocol.instants import SECOND_NS
from protocol.market import ProductRules, Quote
from protocol.money import ZERO, bps_of, ceil_to, floor_to
from protocol.orders import Intent, OrderSpec, Purpose, Side, Step, StepKind, TimeInForce

IOC_LIFE_NS = 30 * SECOND_NS


class Expiry(Value, frozen=True, kw_only=True):
    """Good-till-date lives, nanoseconds (execution.md §8)."""

    margin_ns: int = 30 * SECOND_NS
    operator_ns: int = 120 * SECOND_NS
    drill_ns: int = 900 * SECOND_NS


class Try(Value, frozen=True, kw_only=True):
    """One try of a plan, for what is left.

    `remaining` is in base units if the intent names a base size, else in quote currency; `extra_ticks` are further
    ticks away from the touch, after a post-only refusal. `most_base` bounds the order in base units whatever is left.
    """

    step: Step
    remaining: Decimal
    extra_ticks: int = 0
    most_base: Decimal | None = None


class Refused(Value, frozen=True, kw_only=True):
    """No order can be made of it; `code` says why."""

    code: str


def build(
    coid: ClientOrderId,
    intent: Intent,
    attempt: Try,
    market: tuple[ProductRules, Quote],
    timing: tuple[int, Expiry],
) -> OrderSpec | Refused:
    """Make the order for one try of a plan.

    Args:
        coid: the id minted for it.
        intent: what was approved.
        attempt: the try.
        market: the product's rules and its current quote.
        timing: now (UTC ns) and the good-till-date lives.
    """
    rules, quote = market
    now_ns, expiry = timing
    step = attempt.step
    price = limit_price(intent.side, step, rules, quote, attempt.extra_ticks)
    if price is not None and price <= ZERO:
        return Refused(code="price_below_tick")
    reference = price if price is not None else (quote.ask if intent.side is Side.BUY else quote.bid)
    size = attempt.remaining if intent.base_size is not None else attempt.remaining / reference
    most = rules.base_max_size if attempt.most_base is None else min(attempt.most_base, rules.base_max_size)
    base = floor_to(min(size, most), rules.base_increment)
    if base < rules.base_min_size or base <= ZERO:
        return Refused(code="below_base_minimum")
    if base * reference < rules.quote_min_size:
        return Refused(code="below_quote_minimum")
    rests = step.kind in {StepKind.MAKER, StepKind.LIMIT}
    post_only = step.kind is StepKind.MAKER or step.post_only
    if intent.maker_only and not post_only:
        return Refused(code="maker_only")
    return OrderSpec(
        client_order_id=coid,
        product_id=intent.product_id,
        side=intent.side,
        time_in_force=TimeInForce.GTD if rests else TimeInForce.IOC,
        base_size=base,
        quote_size=None,
        limit_price=price,
        post_only=post_only,
        expires_at_ns=now_ns + _life_ns(intent, step, expiry),
        not_after_ns=intent.not_after_ns,
        drill=intent.purpose is Purpose.DRILL,
    )


def limit_price(side: Side, step: Step, rules: ProductRules, quote: Quote, extra_ticks: int) -> Decimal | None:
    """The try's limit price: buys round down to the tick, sells up; None for a market order."""
    tick = rules.price_increment
    if step.kind is StepKind.MARKET:
        return None
    if step.kind is StepKind.MAKER:
        away = tick * (1 + extra_ticks)
        return floor_to(quote.bid, tick) - away if side is Side.BUY else ceil_to(quote.ask, tick) + away
    if step.kind is StepKind.LIMIT:
        assert step.limit_price is not None, "a limit step names its price"
        return floor_to(step.limit_price, tick) if side is Side.BUY else ceil_to(step.limit_price, tick)
    if side is Side.BUY:
        return floor_to(quote.ask + bps_of(quote.ask, step.through_bps), tick)
    return ceil_to(quote.bid - bps_of(quote.bid, step.through_bps), tick)


def _life_ns(intent: Intent, step: Step, expiry: Expiry) -> int:
    if step.kind not in {StepKind.MAKER, StepKind.LIMIT}:
        return IOC_LIFE_NS
    if intent.purpose is Purpose.OPERATOR:
        return expiry.operator_ns
    if intent.purpose is Purpose.DRILL:
        return expiry.drill_ns
    return int(step.ttl_s * SECOND_NS) + expiry.margin_ns
