"""Order and fill lists: filters, lag and pages."""

from collections.abc import Callable, Iterator, Reversible
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from actors.venue.orders import OPEN, Fill, Order
from actors.venue.requests import FillQuery, OrderQuery, QueryError
from actors.venue.state import State, User
from actors.venue.views import fill_view, order_view
from actors.venue.wire import FillsPage, OrdersPage

_LIVE = frozenset({"PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})
_MOST = 1000

T = TypeVar("T", Order, Fill)
Query = OrderQuery | FillQuery


def _by_seq(order: Order) -> int:
    return order.seq


_ORDER_KEYS: dict[str, Callable[[Order], tuple[Any, int]]] = {
    "LIMIT_PRICE": lambda order: (order.limit_price or Decimal(0), order.seq),
    "LAST_FILL_TIME": lambda order: (order.last_fill_ns or 0, order.seq),
    "LAST_UPDATE_TIME": lambda order: (order.updated_ns, order.seq),
}
_FILL_KEYS: dict[str, Callable[[Fill], tuple[Any, int]]] = {"PRICE": lambda fill: (fill.price, fill.seq)}


def orders_page(state: State, user: User, query: OrderQuery) -> OrdersPage:
    """One page of orders, newest first unless sorted otherwise; orders still lagging are missing. Raises QueryError."""
    statuses = set(query.statuses)
    if OPEN in statuses and len(statuses) > 1:
        raise QueryError(400, "INVALID_ARGUMENT", "OPEN cannot be combined with other order statuses")

    def wanted(order: Order) -> bool:
        return order.listed_ns <= state.now_ns and _matches(order, query, statuses)

    candidates = _candidates(state, user, query, statuses)
    page, more, cursor = _page(candidates, wanted, _ORDER_KEYS.get(query.sort_by), query)
    return OrdersPage(
        orders=[order_view(order, user.user_id, user.portfolio_id) for order in page],
        sequence="0",
        has_next=more,
        cursor=cursor if more else "",
    )


def fills_page(state: State, user: User, query: FillQuery) -> FillsPage:
    """One page of fills, newest first unless sorted by price; fills still lagging are missing.

    A full page carries a cursor even where nothing follows, as the venue's last page can. Raises QueryError.
    """
    if query.order_ids and query.product_ids:
        raise QueryError(400, "INVALID_ARGUMENT", "order_ids and product_ids cannot be combined")

    def wanted(fill: Fill) -> bool:
        return fill.visible_ns <= state.now_ns and _fill_matches(fill, user, query)

    candidates = state.orders.fills_of(query.order_ids) if query.order_ids else state.orders.fills(user.name)
    page, _, cursor = _page(candidates, wanted, _FILL_KEYS.get(query.sort_by), query)
    full = len(page) == query.limit
    return FillsPage(
        fills=[fill_view(fill, user.user_id, user.portfolio_id) for fill in page], cursor=cursor if full else ""
    )


def _page(
    items: Reversible[T], wanted: Callable[[T], bool], key: Callable[[T], tuple[Any, int]] | None, query: Query
) -> tuple[list[T], bool, str]:
    """At most `limit` of the wanted items after the cursor, whether more follow, and the cursor of the last one.

    Newest first the cursor is a sequence number, so that a page stays right while the list changes; lists sorted
    otherwise are paged by offset, as a sort key may change between pages.
    """
    if not 1 <= query.limit <= _MOST:
        raise QueryError(400, "INVALID_ARGUMENT", f"limit must be between 1 and {_MOST}")
    if query.cursor and not query.cursor.isdecimal():
        raise QueryError(400, "INVALID_ARGUMENT", "cursor is not one of ours")
    at = int(query.cursor or 0)
    if key is None:
        found = list(islice((item for item in _before(items, at, query.start_ns) if wanted(item)), query.limit + 1))
        page = found[: query.limit]
        return page, len(found) > query.limit, str(page[-1].seq) if page else ""
    found = sorted((item for item in items if wanted(item)), key=key, reverse=True)
    page = found[at : at + query.limit]
    return page, len(found) > at + query.limit, str(at + len(page))


def _before(items: Reversible[T], seq: int, start_ns: int | None) -> Iterator[T]:
    """Items older than `seq` (0: all), newest first, no further back than `start_ns`: both rise along the list."""
    for item in reversed(items):
        if start_ns is not None and item.at_ns < start_ns:
            return
        if not seq or item.seq < seq:
            yield item


def _candidates(state: State, user: User, query: OrderQuery, statuses: set[str]) -> Reversible[Order]:
    if query.order_ids:
        found = (state.orders.get(order_id) for order_id in dict.fromkeys(query.order_ids))
        return sorted((order for order in found if order is not None and order.user == user.name), key=_by_seq)
    # The open orders are few, all orders ever are many: the two queries of a complete list look at the few.
    if statuses and statuses <= _LIVE:
        return state.orders.live(user.name)
    return state.orders.all_of(user.name)


def _matches(order: Order, query: OrderQuery, statuses: set[str]) -> bool:
    return (
        (not statuses or order.status in statuses)
        and (not query.product_ids or order.product.product_id in query.product_ids)
        and (not query.side or order.side == query.side)
        and (not query.order_types or order.terms.order_type in query.order_types)
        and (not query.time_in_forces or order.terms.time_in_force in query.time_in_forces)
        and (query.start_ns is None or order.created_ns >= query.start_ns)
        and (query.end_ns is None or order.created_ns < query.end_ns)
    )


def _fill_matches(fill: Fill, user: User, query: FillQuery) -> bool:
    order = fill.order
    return (
        order.user == user.name
        and (not query.product_ids or order.product.product_id in query.product_ids)
        and (not query.trade_ids or fill.trade_id in query.trade_ids)
        and (not query.side or order.side == query.side)
        and (not query.order_types or order.terms.order_type in query.order_types)
        and (query.start_ns is None or fill.at_ns >= query.start_ns)
        and (query.end_ns is None or fill.at_ns < query.end_ns)
    )
