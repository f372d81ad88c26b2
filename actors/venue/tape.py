"""Public trades of one book."""

from collections import deque
from decimal import Decimal
from itertools import islice

from actors.venue.events import Traded

_KEPT_TRADES = 1000


class Tape:
    """Trades with ids that rise by one, and the last price."""

    def __init__(self, book_id: str) -> None:
        self._book_id = book_id
        self._trades: deque[Traded] = deque(maxlen=_KEPT_TRADES)
        self._next_id = 1
        self.last: Decimal | None = None

    def record(self, now_ns: int, price: Decimal, size: Decimal, maker_side: str) -> Traded:
        """Print a trade."""
        trade = Traded(
            product_id=self._book_id,
            trade_id=self._next_id,
            at_ns=now_ns,
            price=price,
            size=size,
            maker_side=maker_side,
        )
        self._next_id += 1
        self._trades.append(trade)
        self.last = price
        return trade

    def recent(self, limit: int) -> list[Traded]:
        """The newest trades, newest first."""
        return list(islice(reversed(self._trades), limit))
