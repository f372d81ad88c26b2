"""From a request to an order: judged, priced, funded, but not yet accepted. Placement and preview share it."""

from decimal import Decimal

import msgspec

from actors.venue.book import BUY, OPPOSITE, SELL
from actors.venue.checks import check, limit_base
from actors.venue.configurations import BRACKET, MARKET, STOP_LIMIT, Terms, parse
from actors.venue.exact import ONE, ZERO, plain, quotient
from actors.venue.fees import FeeTier
from actors.venue.lag import draw_id, draw_ns
from actors.venue.orders import NO_TRIGGER, STOP_PENDING, Order, stop_out_price
from actors.venue.products import ProductSpec
from actors.venue.refusals import RefusedError, by_preview, past_preview
from actors.venue.requests import PlaceRequest
from actors.venue.state import Floor, State, User
from actors.venue.wire import CommissionDetail, PlaceAnswer, PlaceError, PlaceSuccess, PreviewAnswer

_LONGEST_ID = 128
_MARKET_SLACK = Decimal("1.05")  # a market buy sized in base may find the book 5 % dearer than it was when judged


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A judged order. `base` and `value` are what it would trade: the estimate of a preview."""

    spec: ProductSpec
    side: str
    terms: Terms
    tier: FeeTier
    base_size: Decimal | None
    base: Decimal
    value: Decimal
    hold: Decimal


def draft(state: State, user: User, request: PlaceRequest) -> Draft:
    """Judge a request and find what it must hold. Raises RefusedError."""
    if request.side not in {BUY, SELL}:
        raise by_preview("INVALID_SIDE", "side must be BUY or SELL")
    spec = state.products.get(request.product_id)
    if spec is None:
        raise by_preview("INVALID_PRODUCT_ID", f"unknown product {request.product_id!r}")
    terms = parse(request.order_configuration)
    floor = state.floor(spec.product_id)
    check(spec, request.side, terms, floor.facts(), state.rules, state.now_ns)
    judged = _estimate(floor, spec, request.side, terms, state.tier(user))
    available = state.ledger.available(user.name, spec.quote if request.side == BUY else spec.base)
    return _fund(judged, available)


def build(state: State, user: User, request: PlaceRequest, judged: Draft) -> Order:
    """The order of a judged request, with identities and delays drawn."""
    waits = judged.terms.order_type in {STOP_LIMIT, BRACKET}
    return Order(
        seq=state.orders.next_seq(),
        order_id=draw_id(state.rng),
        user=user.name,
        client_order_id=request.client_order_id,
        product=judged.spec,
        side=judged.side,
        terms=judged.terms,
        configuration=judged.terms.configuration,
        base_size=judged.base_size,
        limit_price=judged.terms.limit_price,
        maker_rate=judged.tier.maker_rate,
        taker_rate=judged.tier.taker_rate,
        hold=judged.hold,
        created_ns=state.now_ns,
        updated_ns=state.now_ns,
        listed_ns=state.now_ns + draw_ns(state.rng, state.unpleasantness.list_ms),
        trigger_status=STOP_PENDING if waits else NO_TRIGGER,
    )


def replayed(state: State, user: User, client_order_id: str) -> Order | None:
    """The order this client id already stands for. Raises RefusedError: an unusable id, or duplicates are refused."""
    if not 0 < len(client_order_id) <= _LONGEST_ID:
        raise past_preview("INVALID_REQUEST", f"client_order_id must have 1 to {_LONGEST_ID} characters")
    order = state.orders.of_client(user.name, client_order_id)
    if order is not None and state.unpleasantness.refuse_duplicates:
        raise past_preview("DUPLICATE_CLIENT_ORDER_ID", "client_order_id was used before")
    return order


def accepted(order: Order) -> PlaceAnswer:
    """The answer for an order that exists: the one it was first accepted with, also after edits."""
    return PlaceAnswer(
        success=True,
        success_response=PlaceSuccess(
            order_id=order.order_id,
            product_id=order.product.product_id,
            side=order.side,
            client_order_id=order.client_order_id,
        ),
        order_configuration=order.terms.configuration,
    )


def refused(request: PlaceRequest, error: PlaceError) -> PlaceAnswer:
    """The answer for an order that does not."""
    return PlaceAnswer(success=False, error_response=error, order_configuration=request.order_configuration)


def preview_answer(state: State, request: PlaceRequest, judged: Draft | RefusedError) -> PreviewAnswer:
    """What the order would cost; a refusal stands in `errs`."""
    product = request.product_id if request.product_id in state.products else None
    facts = state.floor(product).facts() if product else None
    good = judged if isinstance(judged, Draft) else None
    base, value = (good.base, good.value) if good else (ZERO, ZERO)
    commission = value * good.tier.taker_rate if good and not good.terms.post_only else ZERO
    if good and good.terms.post_only:
        commission = value * good.tier.maker_rate
    average, touch = quotient(value, base), facts.touch(request.side) if facts else None
    return PreviewAnswer(
        order_total=plain(value + commission if request.side == BUY else value - commission),
        commission_total=plain(commission),
        errs=[judged.preview_name()] if isinstance(judged, RefusedError) else [],
        warning=[],
        quote_size=plain(value),
        base_size=plain(base),
        best_bid=plain(facts.best_bid) if facts and facts.best_bid is not None else "",
        best_ask=plain(facts.best_ask) if facts and facts.best_ask is not None else "",
        is_max=False,
        order_margin_total="0",
        leverage="0",
        long_leverage="0",
        short_leverage="0",
        slippage=plain(abs(quotient(average - touch, touch))) if touch and average else "0",
        preview_id=draw_id(state.rng),
        est_average_filled_price=plain(average),
        commission_detail_total=CommissionDetail(total_commission=plain(commission)),
    )


def _estimate(floor: Floor, spec: ProductSpec, side: str, terms: Terms, tier: FeeTier) -> Draft:
    fee = ONE + tier.taker_rate
    if terms.order_type == MARKET:
        budget = None if terms.quote_size is None else terms.quote_size / fee
        base, value = _walk(floor, side, terms.base_size, budget, spec)
        hold = terms.base_size if side != BUY else (terms.quote_size or value * fee)
        base_size = terms.base_size
    else:
        assert terms.limit_price is not None  # check() refused limit orders without a price
        base = base_size = limit_base(spec, terms, terms.limit_price)
        value = base * terms.limit_price
        hold = base * _worst(spec, side, terms) * fee if side == BUY else base
    assert hold is not None  # market sells are sized in base
    return Draft(spec=spec, side=side, terms=terms, tier=tier, base_size=base_size, base=base, value=value, hold=hold)


def _worst(spec: ProductSpec, side: str, terms: Terms) -> Decimal:
    assert terms.limit_price is not None
    if terms.order_type != BRACKET:
        return terms.limit_price
    return max(terms.limit_price, stop_out_price(spec, side, terms))


def _walk(
    floor: Floor, side: str, size: Decimal | None, budget: Decimal | None, spec: ProductSpec
) -> tuple[Decimal, Decimal]:
    """Base and value that a market order of `size`, or of `budget` without fees, would get from the book now."""
    base = value = ZERO
    for head in floor.book.queued(OPPOSITE[side]):
        wanted = size - base if size is not None else ((budget or ZERO) - value) / head.price
        if wanted < spec.base_increment:
            break
        part = min(head.size, wanted // spec.base_increment * spec.base_increment)
        base, value = base + part, value + part * head.price
    return base, value


def _fund(judged: Draft, available: Decimal) -> Draft:
    if available < judged.hold:
        raise by_preview("INSUFFICIENT_FUND", "Insufficient balance in source account")
    if judged.side != BUY or judged.terms.order_type != MARKET or judged.terms.base_size is None:
        return judged
    return msgspec.structs.replace(judged, hold=min(available, judged.hold * _MARKET_SLACK))
