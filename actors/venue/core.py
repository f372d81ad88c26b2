"""The embedded Coinbase's exchange, sans-IO: books, orders, balances and time. The facade of this room's core.

Deterministic: the same calls with the same `now_ns` and an equally seeded generator give the same answers and events.
Time never runs backwards: a `now_ns` older than one already seen counts as the newest seen. Every call first does
what is due until its `now_ns`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.venue.events import Traded, VenueEvent
from actors.venue.fees import FeeSchedule
from actors.venue.lag import Rng, Unpleasantness
from actors.venue.products import ProductSpec
from actors.venue.requests import EditRequest, FillQuery, OrderQuery, PlaceRequest
from actors.venue.wire import (
    AccountsPage,
    AccountView,
    CancelResult,
    ChannelOrder,
    EditAnswer,
    FillsPage,
    OrdersPage,
    OrderView,
    PlaceAnswer,
    PreviewAnswer,
    ProductBook,
    ProductView,
    TradeView,
    TransactionSummary,
)

Levels = Sequence[tuple[Decimal, Decimal]]  # (price, size) pairs


class Exchange:
    """The venue without wire and clock."""

    def __init__(
        self,
        products: Iterable[ProductSpec],
        rng: Rng,
        now_ns: int,
        *,
        unpleasantness: Unpleasantness = Unpleasantness(),
        fees: FeeSchedule = FeeSchedule(),
    ) -> None: ...

    # -- administration ------------------------------------------------------------------------------------------

    def open_user(self, user: str, now_ns: int, balances: Mapping[str, Decimal] | None = None) -> None:
        """Give `user` a portfolio. `balances` by currency; default 10000 USD and 0 USDC. Known user: ValueError."""

    def deposit(self, user: str, currency: str, amount: Decimal, now_ns: int) -> AccountView:
        """Credit `amount` (negative: withdraw) to the wallet. Raises ValueError if it would fall below zero."""

    def set_product(self, product_id: str, now_ns: int, **changes: Any) -> ProductSpec:
        """Replace fields of a product at run time, or add a product: `set_product(id, now, spec=ProductSpec(...))`.

        Leaving `auction_mode` uncrosses the book by continuous matching.
        """

    def set_unpleasantness(self, unpleasantness: Unpleasantness) -> None:
        """Change the delays for what happens from now on."""

    def set_fees(self, fees: FeeSchedule) -> None:
        """Change the fee schedule for orders placed from now on; a placed order keeps its rates."""

    # -- the market driver -----------------------------------------------------------------------------------------

    def quote_market(
        self, product_id: str, bids: Levels, asks: Levels, now_ns: int, *, complete: bool = True
    ) -> list[Traded]:
        """Set the market's own liquidity: absolute sizes per level, beside users' orders.

        `complete=True` replaces the whole ladder; False changes only the levels named (size 0 removes). Growth joins
        the back of the level's queue, shrinkage thins what is there pro rata, so a user's order keeps its place.
        New liquidity that crosses users' resting orders trades with them at their prices; the rest of it rests.

        Returns:
            The trades that crossing made.

        Raises:
            ValueError: unknown product, a crossed ladder, a negative size or a price that is not positive.
        """

    def market_order(
        self, product_id: str, taker_side: str, size: Decimal, now_ns: int, limit_price: Decimal | None = None
    ) -> list[Traded]:
        """An anonymous aggressor takes up to `size` base in price-time order; what it does not get vanishes."""

    def seed_day(
        self, product_id: str, now_ns: int, *, open_: Decimal, high: Decimal, low: Decimal, volume: Decimal
    ) -> None:
        """Give a product a past: the 24 h statistics of before the venue was started, rolling off with the hours."""

    # -- orders ----------------------------------------------------------------------------------------------------

    def place(self, user: str, request: PlaceRequest, now_ns: int) -> PlaceAnswer:
        """POST /orders."""

    def preview(self, user: str, request: PlaceRequest, now_ns: int) -> PreviewAnswer:
        """POST /orders/preview: judged like a placement, nothing placed."""

    def cancel(self, user: str, order_ids: Sequence[str], now_ns: int) -> list[CancelResult]:
        """POST /orders/batch_cancel: one result per id, in order. Raises QueryError (400): more than 100 ids."""

    def edit(self, user: str, request: EditRequest, now_ns: int) -> EditAnswer:
        """POST /orders/edit: good-till-cancelled limit orders only."""

    # -- queries ---------------------------------------------------------------------------------------------------

    def order(self, user: str, order_id: str, now_ns: int) -> OrderView:
        """GET /orders/historical/{id}, never lagging. Raises QueryError (404): unknown or another user's."""

    def list_orders(self, user: str, query: OrderQuery, now_ns: int) -> OrdersPage:
        """GET /orders/historical/batch. Raises QueryError (400): OPEN mixed with other statuses, bad cursor or limit."""

    def list_fills(self, user: str, query: FillQuery, now_ns: int) -> FillsPage:
        """GET /orders/historical/fills. Raises QueryError (400): order and product ids together, bad cursor."""

    def open_orders(self, user: str) -> list[ChannelOrder]:
        """The user channel's snapshot: every order not in a terminal state, oldest first, never lagging."""

    def accounts(self, user: str, *, limit: int = 49, cursor: str = "") -> AccountsPage:
        """GET /accounts."""

    def account(self, user: str, uuid: str) -> AccountView:
        """GET /accounts/{uuid}. Raises QueryError (404)."""

    def transaction_summary(self, user: str, now_ns: int) -> TransactionSummary:
        """GET /transaction_summary."""

    def product_ids(self) -> list[str]:
        """Every product, aliases included."""

    def spec(self, product_id: str) -> ProductSpec:
        """The product's current specification. Raises QueryError (404)."""

    def product_view(self, product_id: str, now_ns: int, *, tradability: bool = False) -> ProductView:
        """A product object; `view_only` is told only with `tradability` (get_tradability_status=true)."""

    def book(self, product_id: str, depth: int | None = None) -> tuple[Levels, Levels]:
        """Bids and asks, best first, absolute sizes; all levels without `depth`. Raises QueryError (404)."""

    def product_book(self, product_id: str, now_ns: int, depth: int | None = None) -> ProductBook:
        """GET /product_book."""

    def recent_trades(self, product_id: str, limit: int = 100) -> list[TradeView]:
        """The newest public trades, newest first, at most 1000."""

    # -- time ------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Do everything that is due: orders reaching the book, cancels, expiries."""

    def next_due_ns(self) -> int | None:
        """When `advance` next has something to do; None when nothing is scheduled."""

    def drain(self) -> list[VenueEvent]:
        """What happened since the last drain, in order of happening; book and account changes last, one per key."""
