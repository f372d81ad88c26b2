"""Editing a resting limit order: same id, new price or size."""

from decimal import Decimal

import msgspec

from actors.venue.book import BUY, crosses
from actors.venue.checks import check_base, check_notional
from actors.venue.configurations import GTC, LIMIT
from actors.venue.exact import on_grid, parse_amount, plain
from actors.venue.instants import rfc3339
from actors.venue.matching import Matcher
from actors.venue.orders import CANCEL_QUEUED, OPEN, Order
from actors.venue.refusals import UNKNOWN_PREVIEW, RefusedError
from actors.venue.requests import EditRequest
from actors.venue.state import State
from actors.venue.wire import EditAnswer, EditError, EditRecord

_UNKNOWN_EDIT = "UNKNOWN_EDIT_ORDER_FAILURE_REASON"
_KEPT_EDITS = 5


class EditRefusedError(Exception):
    """An edit that is not made. Attributes: `reason` of the edit enum, `preview` of the preview enum."""

    def __init__(self, reason: str, preview: str = UNKNOWN_PREVIEW) -> None:
        super().__init__(reason)
        self.reason = reason
        self.preview = preview


def edit(state: State, matcher: Matcher, user: str, request: EditRequest) -> EditAnswer:
    """Judge and make an edit: a new price or a raised size loses the place in the queue, a lowered size keeps it."""
    try:
        order = _editable(state, user, request.order_id)
        price, size = _judge(state, order, request)
        _refund(state, matcher, order, price, size)
    except EditRefusedError as no:
        error = EditError(edit_failure_reason=no.reason, preview_failure_reason=no.preview)
        return EditAnswer(success=False, errors=[error])
    _apply(state, matcher, order, price, size)
    return EditAnswer(success=True, errors=[])


def _editable(state: State, user: str, order_id: str) -> Order:
    order = state.orders.get(order_id)
    if order is None or order.user != user:
        raise EditRefusedError("ORDER_NOT_FOUND")
    if (order.terms.order_type, order.terms.time_in_force) != (LIMIT, GTC):
        raise EditRefusedError("ONLY_LIMIT_ORDER_EDITS_SUPPORTED")
    if order.status == CANCEL_QUEUED:
        raise EditRefusedError("CANNOT_EDIT_ORDER_PENDING_CANCEL")
    if order.status != OPEN:
        raise EditRefusedError("ONLY_OPEN_ORDERS_CAN_BE_EDITED")
    if order.sized_in_quote:
        raise EditRefusedError("SIZE_IN_QUOTE_EDITS_NOT_ALLOWED")
    if order.edit_count >= state.rules.edits_per_order:
        raise EditRefusedError("EXCEEDED_MAX_ALLOWED_EDIT_REQUEST_COUNT")
    return order


def _judge(state: State, order: Order, request: EditRequest) -> tuple[Decimal, Decimal]:
    price, size = parse_amount(request.price or "0"), parse_amount(request.size or "0")
    if price is None or price <= 0 or not on_grid(price, order.product.price_increment):
        raise EditRefusedError("INVALID_EDITED_PRICE")
    if size is None or size <= 0:
        raise EditRefusedError("INVALID_EDITED_SIZE")
    if size <= order.filled_size:
        raise EditRefusedError("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
    if (price, size) == (order.limit_price, order.base_size):
        raise EditRefusedError("EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST")
    try:
        check_base(order.product, size)
        check_notional(order.product, size * price)
    except RefusedError as no:
        raise EditRefusedError("INVALID_EDITED_SIZE", no.preview) from no
    touch = state.floor(order.product.product_id).facts().touch(order.side)
    if order.terms.post_only and touch is not None and crosses(order.side, price, touch):
        raise EditRefusedError("INVALID_EDITED_PRICE", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY")
    return price, size


def _refund(state: State, matcher: Matcher, order: Order, price: Decimal, size: Decimal) -> None:
    left = size - order.filled_size
    needed = left * price * (1 + order.taker_rate) if order.side == BUY else left
    if needed - order.hold > state.ledger.available(order.user, order.hold_currency):
        raise EditRefusedError(_UNKNOWN_EDIT, "PREVIEW_INSUFFICIENT_FUND")
    matcher.set_hold(order, needed)


def _apply(state: State, matcher: Matcher, order: Order, price: Decimal, size: Decimal) -> None:
    floor = state.floor(order.product.product_id)
    keeps_place = price == order.limit_price and size < (order.base_size or size)
    order.limit_price, order.base_size = price, size
    order.edit_count += 1
    record = EditRecord(price=plain(price), size=plain(size), replace_accept_timestamp=rfc3339(state.now_ns))
    order.edits = [*order.edits, record][-_KEPT_EDITS:]
    order.configuration = {
        key: members | {"base_size": plain(size), "limit_price": plain(price)}
        for key, members in order.configuration.items()
    }
    order.terms = msgspec.structs.replace(order.terms, limit_price=price, base_size=size)
    order.updated_ns = state.now_ns
    state.publish(order)
    if keeps_place:
        floor.book.resize(order.order_id, order.leaves())
        return
    floor.book.remove(order.order_id)
    matcher.enter(order)
    matcher.fire_stops(floor)
