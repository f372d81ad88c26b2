"""An order's life in time: acceptance, opening, cancel, expiry; and the agenda of what is due."""

from collections.abc import Sequence
from heapq import heappop, heappush

from actors.venue.configurations import BRACKET, FOK, IOC, STOP_LIMIT
from actors.venue.lag import draw_ns
from actors.venue.matching import Matcher
from actors.venue.orders import (
    CANCEL_QUEUED,
    CANCELLED,
    EXPIRED,
    FAILED,
    FILLED,
    OPEN,
    PENDING,
    STOP_PENDING,
    Order,
)
from actors.venue.state import State
from actors.venue.wire import CancelResult

_OPEN, _CANCEL, _EXPIRE = "open", "cancel", "expire"


class Lifecycle:
    """PENDING -> OPEN -> FILLED, or CANCEL_QUEUED -> CANCELLED, or EXPIRED; FAILED where the book refuses it."""

    def __init__(self, state: State, matcher: Matcher) -> None:
        self._state = state
        self._matcher = matcher
        self._agenda: list[tuple[int, int, str, Order]] = []
        self._entries = 0

    def accept(self, order: Order) -> None:
        """Take a judged order: hold its money, tell of it, open it after the venue's delay."""
        state = self._state
        crowd = state.orders.live_count(order.user, order.product.product_id)
        state.ledger.hold(order.user, order.hold_currency, order.hold, state.now_ns)
        state.orders.add(order)
        state.publish(order)
        if crowd >= state.rules.open_orders_per_product:
            order.reject_reason = "TOO_MANY_OPEN_ORDERS"
            self._matcher.finish(order, FAILED)
            return
        if order.terms.end_time_ns is not None:
            self._schedule(order.terms.end_time_ns, _EXPIRE, order)
        self._schedule(state.now_ns + draw_ns(state.rng, state.unpleasantness.pending_ms), _OPEN, order)
        self.advance(state.now_ns)

    def resume(self, order: Order) -> None:
        """Put an order back that was live before a restart; what its delays waited for is due now."""
        end_ns = order.terms.end_time_ns
        if order.status == CANCEL_QUEUED:
            self._matcher.finish(order, CANCELLED, "User requested cancel")
        elif end_ns is not None and end_ns <= self._state.now_ns:
            self._matcher.finish(order, EXPIRED)
        elif order.terms.time_in_force in {IOC, FOK}:
            self._matcher.finish(order, CANCELLED, "the venue was started anew")
        else:
            if end_ns is not None:
                self._schedule(end_ns, _EXPIRE, order)
            self._reopen(order)

    def _reopen(self, order: Order) -> None:
        if order.status == PENDING:
            self._open(order)
            return
        waits = order.trigger_status == STOP_PENDING
        if waits:
            self._state.floor(order.product.product_id).stops.add(order)
        if not waits or order.terms.order_type == BRACKET:
            self._matcher.rest_again(order)

    def cancel(self, user: str, order_ids: Sequence[str]) -> list[CancelResult]:
        """Queue cancels; success means accepted, the order may still fill until the delay is over."""
        reasons = [self._request_cancel(user, order_id) for order_id in order_ids]
        self.advance(self._state.now_ns)
        return [
            CancelResult(
                success=not reason, failure_reason=reason or "UNKNOWN_CANCEL_FAILURE_REASON", order_id=order_id
            )
            for order_id, reason in zip(order_ids, reasons, strict=True)
        ]

    def end(self, product_id: str, status: str) -> None:
        """End every working order of a product at once, as the venue itself may: EXPIRED, FAILED or CANCELLED."""
        working = [o for o in self._state.orders.everything() if o.product.product_id == product_id and not o.terminal]
        for order in working:
            self._matcher.finish(order, status)

    def advance(self, now_ns: int) -> None:
        """Do what is due until `now_ns`, each thing at its own time. Time never runs backwards."""
        state = self._state
        while self._agenda and self._agenda[0][0] <= max(now_ns, state.now_ns):
            due_ns, _, action, order = heappop(self._agenda)
            state.now_ns = max(state.now_ns, due_ns)
            if not order.terminal:
                self._perform(action, order)
        state.now_ns = max(state.now_ns, now_ns)

    def next_due_ns(self) -> int | None:
        """When something is due next; entries of orders that have ended are dropped."""
        while self._agenda and self._agenda[0][3].terminal:
            heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    def _schedule(self, due_ns: int, action: str, order: Order) -> None:
        self._entries += 1
        heappush(self._agenda, (due_ns, self._entries, action, order))

    def _perform(self, action: str, order: Order) -> None:
        if action == _OPEN:
            self._open(order)
        elif action == _CANCEL:
            self._matcher.finish(order, CANCELLED, "User requested cancel")
        else:
            self._matcher.finish(order, EXPIRED)

    def _open(self, order: Order) -> None:
        state = self._state
        floor = state.floor(order.product.product_id)
        waits = order.terms.order_type in {STOP_LIMIT, BRACKET}
        if order.status == PENDING:  # a cancel that came first keeps its word in the status
            order.status = OPEN
        order.updated_ns = state.now_ns
        if waits:
            floor.stops.add(order)
        state.publish(order)
        if order.terms.order_type != STOP_LIMIT:
            self._matcher.enter(order)
        self._matcher.fire_stops(floor)

    def _request_cancel(self, user: str, order_id: str) -> str:
        """Why the cancel is refused; "" when it is queued."""
        state = self._state
        order = state.orders.get(order_id)
        if order is None or order.user != user:
            return "UNKNOWN_CANCEL_ORDER"
        if order.terminal:
            return "ORDER_IS_FULLY_FILLED" if order.status == FILLED else "INVALID_CANCEL_REQUEST"
        if order.status == CANCEL_QUEUED:
            return "DUPLICATE_CANCEL_REQUEST"
        order.status = CANCEL_QUEUED
        order.updated_ns = state.now_ns
        state.publish(order)
        self._schedule(state.now_ns + draw_ns(state.rng, state.unpleasantness.cancel_ms), _CANCEL, order)
        return ""
