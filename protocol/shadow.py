"""DRY_RUN's record of an order that would have been placed, or of a request that was refused (execution.md §11)."""

from decimal import Decimal
from enum import Enum

from msgspec.structs import replace

from protocol.base import Message, Value
from protocol.ids import ProductId
from protocol.market import Quote
from protocol.money import ZERO, bps_of
from protocol.orders import OrderSpec, Side, Step, StepKind
from protocol.policy import Mode, Policy

SHADOW_MODE = "SHADOW_DRY_RUN"
_DEPTH_WITHIN_BPS = 20
_MS_NS = 1_000_000


class ShadowKind(Enum):
    """An order that was made and not sent, or a request of which none was made."""

    ORDER = "order"
    REJECTION = "rejection"


class ShadowOrder(Message, frozen=True, kw_only=True, tag="orders.shadow"):
    """DRY_RUN: the order that would have been placed, on record instead of at the venue (execution.md §11).

    `spec` is the order as it was made, None where none was. `bid` to `age_ms` are the market it was held against, as
    are the checks; None: nobody knows. `units` are of the base currency. `intended_route` is the kind of its try,
    `intended_price` its limit, None for a market order. `depth_20bps_usd` rests on the side that it would take from.
    `would_place`: an order, by a spread and a depth that are known and bearable. Older records lack what has a default.
    """

    spec: OrderSpec | None
    correlation: str
    strategy: str
    bid: Decimal | None
    ask: Decimal | None
    at_ns: int
    kind: ShadowKind = ShadowKind.ORDER
    mode: str = SHADOW_MODE
    config_hash: str = ""
    client_order_id: str = ""
    product_id: ProductId = ProductId("")
    side: Side | None = None
    purpose: str = ""
    size_usd: Decimal | None = None
    units: Decimal | None = None
    mid: Decimal | None = None
    spread_bps: Decimal | None = None
    age_ms: int | None = None
    intended_route: str = ""
    intended_price: Decimal | None = None
    expected_slippage_bps: Decimal | None = None
    expected_fees_usd: Decimal | None = None
    tier: int = 0
    confidence: float = 0.0
    conviction: float = 0.0
    passed_spread_check: bool = False
    passed_depth_check: bool = False
    depth_20bps_usd: Decimal | None = None
    would_place: bool = False
    rejection_reason: str = ""


class ShadowRules(Value, frozen=True, kw_only=True):
    """What such a record is measured by: the widest spread, the depth an order needs, the constants for fees."""

    max_spread_bps: Decimal
    depth_multiple: Decimal
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    config_hash: str = ""


def shadow_rules(policy: Policy) -> ShadowRules | None:
    """None in every mode that places orders."""
    if policy.mode is not Mode.DRY_RUN:
        return None
    return ShadowRules(
        max_spread_bps=policy.execution.hard_max_spread_bps,
        depth_multiple=policy.risk.require_depth_mult,
        maker_fee_bps=policy.fees.maker_fee_bps,
        taker_fee_bps=policy.fees.taker_fee_bps,
        config_hash=policy.config_hash,
    )


class Wish(Value, frozen=True, kw_only=True):
    """What somebody wanted, as far as it got. `step`: the try that would be made; `reason`: why none was."""

    correlation: str
    strategy: str
    product_id: ProductId
    side: Side
    purpose: str
    step: Step
    size_usd: Decimal
    tier: int = 0
    confidence: float = 0.0
    conviction: float = 0.0
    reason: str = ""


class Moment(Value, frozen=True, kw_only=True):
    """What is known of the market then; `clock_offset_ns` is the venue's clock minus ours."""

    quote: Quote | None
    now_ns: int
    clock_offset_ns: int


def shadow_order(wish: Wish, spec: OrderSpec | None, at: Moment, rules: ShadowRules) -> ShadowOrder:
    """The record of a wish: with its order, or with the reason why there is none."""
    record = ShadowOrder(
        spec=spec,
        correlation=wish.correlation,
        strategy=wish.strategy,
        bid=None,
        ask=None,
        at_ns=at.now_ns,
        kind=ShadowKind.REJECTION if spec is None else ShadowKind.ORDER,
        config_hash=rules.config_hash,
        client_order_id="" if spec is None else spec.client_order_id,
        product_id=wish.product_id,
        side=wish.side,
        purpose=wish.purpose,
        size_usd=wish.size_usd,
        units=None if spec is None else spec.base_size,
        intended_route=wish.step.kind.value,
        intended_price=wish.step.limit_price if spec is None else spec.limit_price,
        tier=wish.tier,
        confidence=wish.confidence,
        conviction=wish.conviction,
        rejection_reason=wish.reason,
    )
    return record if at.quote is None else _priced(record, wish, at.quote, at, rules)


def _priced(record: ShadowOrder, wish: Wish, quote: Quote, at: Moment, rules: ShadowRules) -> ShadowOrder:
    buys = wish.side is Side.BUY
    touch, depth = (quote.ask, quote.ask_depth_usd) if buys else (quote.bid, quote.bid_depth_usd)
    price = touch if record.intended_price is None else record.intended_price
    size_usd = wish.size_usd if record.units is None else record.units * price
    takes = _takes(wish.step, record.intended_price, touch, buys=buys)
    narrow = quote.spread_bps <= rules.max_spread_bps
    deep = depth >= size_usd * rules.depth_multiple
    return replace(
        record,
        bid=quote.bid,
        ask=quote.ask,
        mid=quote.mid,
        spread_bps=quote.spread_bps,
        age_ms=quote.age_ns(at.now_ns, at.clock_offset_ns) // _MS_NS,
        size_usd=size_usd,
        units=size_usd / price if record.units is None else record.units,
        expected_slippage_bps=_slippage_bps(size_usd, quote.spread_bps, depth) if takes else ZERO,
        expected_fees_usd=bps_of(size_usd, rules.taker_fee_bps if takes else rules.maker_fee_bps),
        passed_spread_check=narrow,
        passed_depth_check=deep,
        depth_20bps_usd=depth,
        would_place=record.kind is ShadowKind.ORDER and narrow and deep,
    )


def _takes(step: Step, price: Decimal | None, touch: Decimal, *, buys: bool) -> bool:
    """Whether it would trade at once, as taker; a limit may reach through the touch."""
    if step.kind is StepKind.MAKER or step.post_only:
        return False
    return price is None or (price >= touch if buys else price <= touch)


def _slippage_bps(size_usd: Decimal, spread_bps: Decimal, depth_usd: Decimal) -> Decimal | None:
    """What taking costs from the mid, the order's part of the depth taken evenly; None where the book does not tell."""
    if size_usd > depth_usd or depth_usd <= ZERO:
        return None
    return spread_bps / 2 + _DEPTH_WITHIN_BPS * size_usd / depth_usd
