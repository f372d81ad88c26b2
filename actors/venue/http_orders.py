"""Orders and fills: place, preview, edit, cancel, list."""

from decimal import Decimal

import msgspec

from actors.venue.exact import exact, parse_amount, plain, quotient
from actors.venue.faults import PER_ID
from actors.venue.http_calls import Call, bad_request
from actors.venue.refusals import RefusedError, by_preview, past_preview
from actors.venue.requests import EditRequest, FillQuery, OrderQuery, PlaceRequest, QueryError
from actors.venue.wire import CancelResult, EditError, OrderView, PlaceAnswer

_DEFAULT_ORDERS = 250
_DEFAULT_FILLS = 100


class _Asked(PlaceRequest, frozen=True, kw_only=True):
    attached_order_configuration: dict[str, object] | None = None
    leverage: str | None = None
    margin_type: str | None = None


class _Cancel(msgspec.Struct):
    order_ids: list[str] | None = None


class _Close(msgspec.Struct):
    client_order_id: str = ""
    product_id: str = ""


def create_order(call: Call) -> object:
    """POST /orders: 200 whether it succeeded or not."""
    asked = call.read(_Asked)
    if not asked.client_order_id:
        raise bad_request("client_order_id is required")
    unsupported = _unsupported(asked)
    if unsupported is not None:
        return _refusal(asked, unsupported)
    return call.venue.exchange.place(call.user, asked, call.now_ns)


def preview_order(call: Call) -> object:
    """POST /orders/preview."""
    return call.venue.exchange.preview(call.user, call.read(_Asked), call.now_ns)


def edit_order(call: Call) -> object:
    """POST /orders/edit."""
    return call.venue.exchange.edit(call.user, call.read(EditRequest), call.now_ns)


@exact
def preview_edit(call: Call) -> object:
    """POST /orders/edit_preview: what the order would cost after the edit."""
    request = call.read(EditRequest)
    try:
        order = call.venue.exchange.order(call.user, request.order_id, call.now_ns)
    except QueryError:
        return _edit_estimate(Decimal(0), Decimal(0), ["ORDER_NOT_FOUND"], Decimal(0), ("", ""))
    price, size = parse_amount(request.price) or Decimal(0), parse_amount(request.size) or Decimal(0)
    summary = call.venue.exchange.transaction_summary(call.user, call.now_ns)
    return _edit_estimate(
        price, size, _edit_errors(order), Decimal(summary.fee_tier.maker_fee_rate), _best(call, order.product_id)
    )


def cancel_orders(call: Call) -> object:
    """POST /orders/batch_cancel."""
    order_ids = call.read(_Cancel).order_ids
    if not order_ids:
        raise bad_request("order_ids is required")
    refused = {order_id: reason for order_id in order_ids if (reason := _refusal_of_cancel(call))}
    taken = iter(call.venue.exchange.cancel(call.user, [one for one in order_ids if one not in refused], call.now_ns))
    return {
        "results": [
            CancelResult(success=False, failure_reason=refused[order_id], order_id=order_id)
            if order_id in refused
            else next(taken)
            for order_id in order_ids
        ]
    }


def close_position(call: Call) -> object:
    """POST /orders/close_position: for derivatives; a spot product is refused."""
    asked = call.read(_Close)
    request = PlaceRequest(client_order_id=asked.client_order_id, product_id=asked.product_id)
    return _refusal(request, by_preview("INVALID_PRODUCT_ID", "only derivatives positions can be closed"))


def list_orders(call: Call) -> object:
    """GET /orders/historical/batch."""
    query = call.query
    if query.one("product_type") not in ("", "SPOT", "UNKNOWN_PRODUCT_TYPE"):
        return {"orders": [], "sequence": "0", "has_next": False, "cursor": ""}
    asked = OrderQuery(
        order_ids=query.many("order_ids", "order_id"),
        product_ids=query.many("product_ids", "product_id"),
        statuses=query.many("order_status"),
        time_in_forces=query.many("time_in_forces", "time_in_force"),
        order_types=query.many("order_types", "order_type"),
        side=query.one("order_side"),
        start_ns=query.instant("start_date"),
        end_ns=query.instant("end_date"),
        sort_by=query.one("sort_by"),
        limit=query.number("limit", 0) or _DEFAULT_ORDERS,
        cursor=query.one("cursor"),
    )
    return call.venue.exchange.list_orders(call.user, asked, call.now_ns)


def get_order(call: Call) -> object:
    """GET /orders/historical/{order_id}."""
    return {"order": call.venue.exchange.order(call.user, call.path["order_id"], call.now_ns)}


def list_fills(call: Call) -> object:
    """GET /orders/historical/fills."""
    query = call.query
    asked = FillQuery(
        order_ids=query.many("order_ids", "order_id"),
        trade_ids=query.many("trade_ids", "trade_id"),
        product_ids=query.many("product_ids", "product_id"),
        order_types=query.many("order_types", "order_type"),
        side=query.one("order_side"),
        start_ns=query.instant("start_sequence_timestamp"),
        end_ns=query.instant("end_sequence_timestamp"),
        sort_by=query.one("sort_by"),
        limit=query.number("limit", 0) or _DEFAULT_FILLS,
        cursor=query.one("cursor"),
    )
    return call.venue.exchange.list_fills(call.user, asked, call.now_ns)


def _refusal_of_cancel(call: Call) -> str:
    """Why a fault has this cancel refused; "" where none has."""
    struck = call.venue.faults.strike(PER_ID, ("cancel_orders", "orders"), call.now_ns).get("refuse_cancel")
    return str(struck.parameters.get("reason", "COMMANDER_REJECTED_CANCEL_ORDER")) if struck else ""


def _unsupported(asked: _Asked) -> RefusedError | None:
    """What this venue does not do must not look done."""
    if asked.attached_order_configuration:
        return past_preview("UNSUPPORTED_ORDER_CONFIGURATION", "attached orders are not supported")
    if asked.leverage not in (None, "", "1") or asked.margin_type == "ISOLATED":
        return past_preview("UNSUPPORTED_ORDER_CONFIGURATION", "spot orders have no leverage")
    return None


def _refusal(request: PlaceRequest, why: RefusedError) -> PlaceAnswer:
    return PlaceAnswer(success=False, error_response=why.wire(), order_configuration=request.order_configuration)


def _edit_errors(order: OrderView) -> list[str]:
    if order.order_type != "LIMIT" or order.time_in_force != "GOOD_UNTIL_CANCELLED":
        return ["ONLY_LIMIT_ORDER_EDITS_SUPPORTED"]
    return [] if order.status == "OPEN" else ["ONLY_OPEN_ORDERS_CAN_BE_EDITED"]


def _best(call: Call, product_id: str) -> tuple[str, str]:
    bids, asks = call.venue.exchange.book(product_id, 1)
    return plain(bids[0][0]) if bids else "", plain(asks[0][0]) if asks else ""


def _edit_estimate(
    price: Decimal, size: Decimal, reasons: list[str], rate: Decimal, best: tuple[str, str]
) -> dict[str, object]:
    value = price * size
    return {
        "errors": [EditError(edit_failure_reason=reason, preview_failure_reason="") for reason in reasons],
        "slippage": "0",
        "order_total": plain(value * (1 + rate)),
        "commission_total": plain(value * rate),
        "quote_size": plain(value),
        "base_size": plain(size),
        "best_bid": best[0],
        "best_ask": best[1],
        "average_filled_price": plain(quotient(value, size)),
    }
