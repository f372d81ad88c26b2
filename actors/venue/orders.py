"""Orders and fills as the venue keeps them."""

from collections import defaultdict, deque
from collections.abc import Iterable, Reversible
from decimal import Decimal

import msgspec

from actors.venue.book import BUY
from actors.venue.configurations import BRACKET, Terms
from actors.venue.exact import ZERO, ceil_to, floor_to
from actors.venue.products import ProductSpec
from actors.venue.wire import Configuration, EditRecord

PENDING, OPEN, CANCEL_QUEUED = "PENDING", "OPEN", "CANCEL_QUEUED"
FILLED, CANCELLED, EXPIRED, FAILED = "FILLED", "CANCELLED", "EXPIRED", "FAILED"
TERMINAL = frozenset({FILLED, CANCELLED, EXPIRED, FAILED})

NO_TRIGGER, STOP_PENDING, STOP_TRIGGERED = "INVALID_ORDER_TYPE", "STOP_PENDING", "STOP_TRIGGERED"

_STOP_OUT = Decimal("0.05")


class Order(msgspec.Struct, kw_only=True, eq=False):
    """One order, changed in place by the engine alone.

    `base_size` is None for market buys sized in quote. `hold` is what is still set aside of `hold_currency`; fee
    rates are those of the user's tier when the order was placed. `hold_before` is the hold before the last fill.
    """

    seq: int
    order_id: str
    user: str
    client_order_id: str
    product: ProductSpec
    side: str
    terms: Terms
    configuration: Configuration
    base_size: Decimal | None
    limit_price: Decimal | None
    maker_rate: Decimal
    taker_rate: Decimal
    hold: Decimal
    created_ns: int
    listed_ns: int
    updated_ns: int
    status: str = PENDING
    hold_before: Decimal = ZERO
    filled_size: Decimal = ZERO
    filled_value: Decimal = ZERO
    fees: Decimal = ZERO
    fill_count: int = 0
    last_fill_ns: int | None = None
    trigger_status: str = NO_TRIGGER
    reject_reason: str = "REJECT_REASON_UNSPECIFIED"
    reject_message: str = ""
    cancel_message: str = ""
    edits: list[EditRecord] = []
    edit_count: int = 0

    @property
    def at_ns(self) -> int:
        """When it happened, as of a fill: when it was created."""
        return self.created_ns

    @property
    def terminal(self) -> bool:
        """Whether the order's status can no longer change."""
        return self.status in TERMINAL

    @property
    def hold_currency(self) -> str:
        """Buys hold quote, sells hold base."""
        return self.product.quote if self.side == BUY else self.product.base

    @property
    def sized_in_quote(self) -> bool:
        """Whether the size was given in quote currency."""
        return self.terms.quote_size is not None

    def leaves(self) -> Decimal:
        """Base not yet filled; zero for an order sized in quote alone."""
        return ZERO if self.base_size is None else self.base_size - self.filled_size

    def wants(self, price: Decimal) -> Decimal:
        """Base it would still take at `price`: what is left, for market buys no more than the hold affords."""
        if self.limit_price is not None or self.side != BUY:
            return self.leaves()
        affordable = floor_to(self.hold / (price * (1 + self.taker_rate)), self.product.base_increment)
        return affordable if self.base_size is None else min(self.leaves(), affordable)

    def hold_needed(self) -> Decimal:
        """What must stay set aside for the part not yet filled."""
        if self.side != BUY:
            return self.leaves()
        worst = self.worst_price()
        return self.hold if worst is None else self.leaves() * worst * (1 + self.taker_rate)

    def worst_price(self) -> Decimal | None:
        """The highest price a buy may yet pay: a bracket's stop reaches beyond its limit. None: market order."""
        if self.limit_price is None or self.trigger_status != STOP_PENDING or self.terms.order_type != BRACKET:
            return self.limit_price
        return max(self.limit_price, stop_out_price(self.product, self.side, self.terms))


def stop_out_price(product: ProductSpec, side: str, terms: Terms) -> Decimal:
    """The limit of a triggered bracket: 5 % through its trigger, on the price grid."""
    assert terms.stop_price is not None  # a bracket without trigger was refused
    if side == BUY:
        return ceil_to(terms.stop_price * (1 + _STOP_OUT), product.price_increment)
    return floor_to(terms.stop_price * (1 - _STOP_OUT), product.price_increment)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a user's order; `visible_ns` is when the fills list first shows it."""

    seq: int
    entry_id: str
    trade_id: str
    order: Order
    at_ns: int
    visible_ns: int
    price: Decimal
    size: Decimal
    commission: Decimal
    liquidity: str


class Orders:
    """Every order by its ids and its user, oldest first, and every fill, until too many have ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, Order] = {}
        self._by_client: dict[tuple[str, str], Order] = {}
        self._by_user: dict[str, dict[str, Order]] = defaultdict(dict)
        self._live: dict[str, dict[str, Order]] = defaultdict(dict)
        self._fills: dict[str, dict[int, Fill]] = defaultdict(dict)
        self._fills_by_order: dict[str, list[Fill]] = defaultdict(list)
        self._ended: deque[Order] = deque()
        self._live_counts: dict[tuple[str, str], int] = defaultdict(int)
        self._next_seq = 1
        self._next_fill = 1

    def next_seq(self) -> int:
        """The number of the next order, rising over the venue's life."""
        seq = self._next_seq
        self._next_seq += 1
        return seq

    def counters(self) -> tuple[int, int]:
        """The numbers of the next order and of the next fill."""
        return self._next_seq, self._next_fill

    def everything(self) -> Iterable[Order]:
        """Every order that is remembered, of all users."""
        return self._by_id.values()

    @classmethod
    def restored(cls, orders: Iterable[Order], fills: Iterable[Fill], counters: tuple[int, int]) -> "Orders":
        """What was remembered before a restart, oldest first; ended orders are yet to be retired."""
        remembered = cls()
        for order in orders:
            remembered.add(order)
        for fill in fills:
            remembered.add_fill(fill)
        remembered._next_seq, remembered._next_fill = counters
        return remembered

    def add(self, order: Order) -> None:
        """Keep a new order."""
        self._by_id[order.order_id] = order
        self._by_client[(order.user, order.client_order_id)] = order
        self._by_user[order.user][order.order_id] = order
        self._live[order.user][order.order_id] = order
        self._live_counts[(order.user, order.product.product_id)] += 1

    def retire(self, order: Order, kept: int) -> None:
        """An order reached a terminal state; of all that did, only the newest `kept` are remembered."""
        if self._live[order.user].pop(order.order_id, None) is None:
            return
        self._live_counts[(order.user, order.product.product_id)] -= 1
        self._ended.append(order)
        while len(self._ended) > kept:
            self._forget(self._ended.popleft())

    def live_count(self, user: str, product_id: str) -> int:
        """How many orders of a user on a product are not in a terminal state."""
        return self._live_counts[(user, product_id)]

    def get(self, order_id: str) -> Order | None:
        """Any user's order."""
        return self._by_id.get(order_id)

    def of_client(self, user: str, client_order_id: str) -> Order | None:
        """The order a user's client id stands for, as long as the order is remembered."""
        return self._by_client.get((user, client_order_id))

    def all_of(self, user: str) -> Reversible[Order]:
        """A user's orders, oldest first."""
        return self._by_user[user].values()

    def live(self, user: str) -> Reversible[Order]:
        """A user's orders that are not in a terminal state, oldest first."""
        return self._live[user].values()

    def add_fill(self, fill: Fill) -> None:
        """Keep an execution."""
        self._fills[fill.order.user][fill.seq] = fill
        self._fills_by_order[fill.order.order_id].append(fill)

    def next_fill(self) -> int:
        """The number of the next fill."""
        seq = self._next_fill
        self._next_fill += 1
        return seq

    def fills(self, user: str) -> Reversible[Fill]:
        """A user's fills, oldest first."""
        return self._fills[user].values()

    def fills_of(self, order_ids: Iterable[str]) -> list[Fill]:
        """The fills of some orders, oldest first."""
        found = [fill for order_id in dict.fromkeys(order_ids) for fill in self._fills_by_order.get(order_id, [])]
        return sorted(found, key=lambda fill: fill.seq)

    def _forget(self, order: Order) -> None:
        del self._by_id[order.order_id], self._by_user[order.user][order.order_id]
        del self._by_client[(order.user, order.client_order_id)]
        for fill in self._fills_by_order.pop(order.order_id, []):
            del self._fills[order.user][fill.seq]
