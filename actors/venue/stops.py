"""Orders that wait for a trade to reach their trigger."""

from decimal import Decimal

from sortedcontainers import SortedDict

from actors.venue.book import SELL
from actors.venue.configurations import BRACKET, STOP_UP
from actors.venue.orders import Order


class Stops:
    """Triggers of one book, nearest first: those that wait for a rise and those that wait for a fall."""

    def __init__(self) -> None:
        self._up: SortedDict = SortedDict()
        self._down: SortedDict = SortedDict()

    def add(self, order: Order) -> None:
        """Begin to watch an order's trigger."""
        self._side(order)[_key(order)] = order

    def remove(self, order: Order) -> None:
        """Stop watching; an order not watched is no error."""
        if order.terms.stop_price is not None:
            self._side(order).pop(_key(order), None)

    def pop_due(self, last: Decimal) -> Order | None:
        """The next order whose trigger the last trade reached, no longer watched; None when there is no other."""
        for waiting, reached in ((self._up, last), (self._down, -last)):
            if waiting and waiting.peekitem(0)[0][0] <= reached:
                order: Order = waiting.popitem(0)[1]
                return order
        return None

    def _side(self, order: Order) -> SortedDict:
        return self._up if _rises(order) else self._down


def _rises(order: Order) -> bool:
    if order.terms.order_type == BRACKET:
        return order.side != SELL
    return order.terms.stop_direction == STOP_UP


def _key(order: Order) -> tuple[Decimal, int]:
    # Falling triggers are kept by negative price, so that the nearest one comes first on both sides.
    assert order.terms.stop_price is not None
    return (order.terms.stop_price if _rises(order) else -order.terms.stop_price, order.seq)
