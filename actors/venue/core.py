"""The embedded Coinbase's exchange, sans-IO: books, orders, balances and time. The facade of this room's core.

Deterministic: the same calls with the same `now_ns` and an equally seeded generator give the same answers and events.
Time never runs backwards: a `now_ns` older than one already seen counts as the newest seen. Every call that takes
the time first does what is due until then. Every method that names a user raises QueryError (403) for one that has
no portfolio, every one that names a product QueryError (404) for one that is not listed.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from actors.venue.book import BUY, SELL, Levels
from actors.venue.checks import VenueRules
from actors.venue.edits import edit
from actors.venue.events import AccountChanged, BookChanged, Traded, VenueEvent
from actors.venue.exact import BPS, ZERO, exact, plain, quotient
from actors.venue.fees import FeeSchedule, VolumeWindow
from actors.venue.instants import rfc3339
from actors.venue.lag import Rng, Unpleasantness, draw_id
from actors.venue.ledger import Balance
from actors.venue.lifecycle import Lifecycle
from actors.venue.listing import fills_page, orders_page
from actors.venue.matching import Matcher, Stranger
from actors.venue.orders import Order
from actors.venue.placement import accepted, build, draft, preview_answer, refused, replayed
from actors.venue.products import ProductSpec
from actors.venue.refusals import RefusedError
from actors.venue.requests import EditRequest, FillQuery, OrderQuery, PlaceRequest, QueryError
from actors.venue.state import Floor, State, User
from actors.venue.summary import transaction_summary
from actors.venue.views import account_view, channel_order, order_view, product_view, trade_view
from actors.venue.wire import (
    AccountsPage,
    AccountView,
    CancelResult,
    ChannelOrder,
    EditAnswer,
    FillsPage,
    Level,
    OrdersPage,
    OrderView,
    PlaceAnswer,
    PreviewAnswer,
    PriceBook,
    ProductBook,
    ProductView,
    TradeView,
    TransactionSummary,
)

OPENING_CASH = {"USD": Decimal(10_000), "USDC": Decimal(0)}
_MOST_CANCELS = 100
_MOST_ACCOUNTS = 250


class Exchange:
    """The venue without wire and clock."""

    def __init__(
        self,
        products: Iterable[ProductSpec],
        rng: Rng,
        now_ns: int,
        *,
        unpleasantness: Unpleasantness | None = None,
        fees: FeeSchedule | None = None,
    ) -> None:
        """List `products`. Default: unpleasant delays, the entry tier's fees. Raises ValueError: alias of nothing."""
        self._state = State(rng, now_ns, unpleasantness or Unpleasantness(), fees or FeeSchedule())
        self._matcher = Matcher(self._state)
        self._lifecycle = Lifecycle(self._state, self._matcher)
        specs = sorted(products, key=lambda spec: bool(spec.alias))  # stable: books before their aliases
        for spec in specs:
            self._list(spec)

    # -- administration ------------------------------------------------------------------------------------------

    @exact
    def open_user(self, user: str, now_ns: int, balances: Mapping[str, Decimal] | None = None) -> None:
        """Give `user` a portfolio. `balances` by currency; default 10000 USD and 0 USDC. Known user: ValueError."""
        state = self._state
        self._lifecycle.advance(now_ns)
        state.ledger.open(user)
        state.users[user] = User(
            name=user,
            user_id=draw_id(state.rng),
            portfolio_id=draw_id(state.rng),
            created_ns=state.now_ns,
            volume=VolumeWindow(),
        )
        for currency, amount in (OPENING_CASH if balances is None else balances).items():
            state.ledger.deposit(user, currency, amount, state.now_ns)

    def portfolio_id(self, user: str) -> str:
        """The uuid of the user's one portfolio."""
        return self._user(user).portfolio_id

    def user_id(self, user: str) -> str:
        """The uuid by which the venue knows the user."""
        return self._user(user).user_id

    @exact
    def deposit(self, user: str, currency: str, amount: Decimal, now_ns: int) -> AccountView:
        """Credit `amount` (negative: withdraw) to the wallet. Raises ValueError if it would fall below zero."""
        self._lifecycle.advance(now_ns)
        portfolio = self._user(user).portfolio_id
        return account_view(self._state.ledger.deposit(user, currency, amount, self._state.now_ns), portfolio)

    @exact
    def set_product(self, product_id: str, now_ns: int, *, lasting: bool = True, **changes: Any) -> ProductSpec:
        """Change fields of a listed product, flags above all. Resting orders stay; leaving an auction uncrosses.

        A `lasting` change is part of a saved state. Raises ValueError: a field of the wrong type.
        """
        self._lifecycle.advance(now_ns)
        spec = _altered(self.spec(product_id), changes)
        self._list(spec)
        if lasting:
            self._state.alter(_altered(self._state.altered.get(product_id, spec), changes))
        self._settle(self._floor(product_id))
        return spec

    def list_product(self, spec: ProductSpec) -> None:
        """List another product. Raises ValueError: listed already, or alias of nothing."""
        if spec.product_id in self._state.products:
            raise ValueError(f"{spec.product_id} is listed")
        self._list(spec)

    @exact
    def trial_balance(self) -> dict[str, Balance]:
        """Per currency who has what; the four parts add up to zero, whatever happened."""
        return self._state.ledger.trial_balance()

    def set_unpleasantness(self, unpleasantness: Unpleasantness) -> None:
        """Change the delays for what happens from now on."""
        self._state.unpleasantness = unpleasantness

    def set_fees(self, fees: FeeSchedule) -> None:
        """Change the fee schedule for orders placed from now on; a placed order keeps its rates."""
        self._state.fee_schedule = self._state.fees_set = fees

    def set_rules(self, rules: VenueRules) -> None:
        """Change the venue's bounds: price band, longest good-till-date, open orders per product, edits per order."""
        self._state.rules = rules

    # -- the market driver -----------------------------------------------------------------------------------------

    @exact
    def quote_market(
        self,
        product_id: str,
        bids: Sequence[tuple[Decimal, Decimal]],
        asks: Sequence[tuple[Decimal, Decimal]],
        now_ns: int,
        *,
        complete: bool = True,
    ) -> list[Traded]:
        """Set the market's own liquidity: absolute (price, size) per level, beside users' orders.

        `complete=True` replaces the whole ladder; False changes only the levels named (size 0 removes). Growth joins
        the back of the level's queue, shrinkage thins what is there pro rata, so a user's order keeps its place.
        New liquidity that crosses users' resting orders trades with them at their prices; the rest of it rests.
        Market liquidity that new market liquidity crosses gives way without a trade.

        Returns:
            The trades that crossing made.

        Raises:
            ValueError: a crossed ladder, a negative size or a price that is not positive.
        """
        self._lifecycle.advance(now_ns)
        floor = self._floor(product_id)
        sides = _ladder(bids, asks)
        trades = self._matcher.quote(floor, *sides, complete=complete)
        self._matcher.fire_stops(floor)
        return trades

    @exact
    def market_order(
        self, product_id: str, taker_side: str, size: Decimal, now_ns: int, limit_price: Decimal | None = None
    ) -> list[Traded]:
        """An anonymous aggressor takes up to `size` base in price-time order; what it does not get vanishes."""
        self._lifecycle.advance(now_ns)
        floor = self._floor(product_id)
        trades = self._matcher.market_order(floor, Stranger(taker_side, size, limit_price))
        self._matcher.fire_stops(floor)
        return trades

    # -- orders ----------------------------------------------------------------------------------------------------

    @exact
    def place(self, user: str, request: PlaceRequest, now_ns: int) -> PlaceAnswer:
        """POST /orders. A client_order_id used before is answered with the original order, whatever else is asked."""
        self._lifecycle.advance(now_ns)
        customer = self._user(user)
        try:
            order = replayed(self._state, customer, request.client_order_id)
            if order is None:
                order = build(self._state, customer, request, draft(self._state, customer, request))
                self._lifecycle.accept(order)
        except RefusedError as no:
            return refused(request, no.wire())
        return accepted(order)

    @exact
    def preview(self, user: str, request: PlaceRequest, now_ns: int) -> PreviewAnswer:
        """POST /orders/preview: judged like a placement, nothing placed; the client id does not matter."""
        self._lifecycle.advance(now_ns)
        customer = self._user(user)
        try:
            return preview_answer(self._state, request, draft(self._state, customer, request))
        except RefusedError as no:
            return preview_answer(self._state, request, no)

    @exact
    def cancel(self, user: str, order_ids: Sequence[str], now_ns: int) -> list[CancelResult]:
        """POST /orders/batch_cancel: one result per id, in order. Raises QueryError (400): more than 100 ids."""
        self._lifecycle.advance(now_ns)
        if len(order_ids) > _MOST_CANCELS:
            raise QueryError(400, "INVALID_ARGUMENT", f"at most {_MOST_CANCELS} order_ids per request")
        return self._lifecycle.cancel(self._user(user).name, order_ids)

    @exact
    def edit(self, user: str, request: EditRequest, now_ns: int) -> EditAnswer:
        """POST /orders/edit: good-till-cancelled limit orders only; the order keeps its id."""
        self._lifecycle.advance(now_ns)
        return edit(self._state, self._matcher, self._user(user).name, request)

    # -- queries ---------------------------------------------------------------------------------------------------

    @exact
    def order(self, user: str, order_id: str, now_ns: int) -> OrderView:
        """GET /orders/historical/{id}, never lagging. Raises QueryError (404): unknown or another user's."""
        self._lifecycle.advance(now_ns)
        order = self._order(user, order_id)
        customer = self._user(user)
        return order_view(order, customer.user_id, customer.portfolio_id)

    @exact
    def list_orders(self, user: str, query: OrderQuery, now_ns: int) -> OrdersPage:
        """GET /orders/historical/batch. Raises QueryError (400): OPEN with other statuses, bad cursor or limit."""
        self._lifecycle.advance(now_ns)
        return orders_page(self._state, self._user(user), query)

    @exact
    def list_fills(self, user: str, query: FillQuery, now_ns: int) -> FillsPage:
        """GET /orders/historical/fills. Raises QueryError (400): order and product ids, bad cursor or limit."""
        self._lifecycle.advance(now_ns)
        return fills_page(self._state, self._user(user), query)

    @exact
    def open_orders(self, user: str) -> list[ChannelOrder]:
        """The user channel's snapshot: every order not in a terminal state, oldest first, never lagging."""
        customer = self._user(user)
        return [channel_order(order, customer.portfolio_id) for order in self._state.orders.live(user)]

    @exact
    def accounts(self, user: str, *, limit: int = 49, cursor: str = "") -> AccountsPage:
        """GET /accounts: at most `limit` (1 to 250) wallets. Raises QueryError (400): bad limit or cursor."""
        customer = self._user(user)
        if not 1 <= limit <= _MOST_ACCOUNTS or (cursor and not cursor.isdecimal()):
            raise QueryError(400, "INVALID_ARGUMENT", "bad limit or cursor")
        first = int(cursor or 0)
        wallets = self._state.ledger.wallets(user)
        page = [account_view(wallet, customer.portfolio_id) for wallet in wallets[first : first + limit]]
        more = first + limit < len(wallets)
        return AccountsPage(accounts=page, has_next=more, cursor=str(first + limit) if more else "", size=len(page))

    @exact
    def account(self, user: str, uuid: str) -> AccountView:
        """GET /accounts/{uuid}. Raises QueryError (404)."""
        customer = self._user(user)
        for wallet in self._state.ledger.wallets(user):
            if wallet.uuid == uuid:
                return account_view(wallet, customer.portfolio_id)
        raise QueryError(404, "NOT_FOUND", "account not found")

    @exact
    def transaction_summary(self, user: str, now_ns: int) -> TransactionSummary:
        """GET /transaction_summary."""
        self._lifecycle.advance(now_ns)
        return transaction_summary(self._state, self._user(user))

    def product_ids(self) -> list[str]:
        """Every product, aliases included."""
        return list(self._state.products)

    def spec(self, product_id: str) -> ProductSpec:
        """The product's current specification."""
        if product_id not in self._state.products:
            raise QueryError(404, "NOT_FOUND", f"product {product_id} was not found")
        return self._state.products[product_id]

    @exact
    def product_view(self, product_id: str, now_ns: int, *, tradability: bool = False) -> ProductView:
        """A product object without the day's statistics, which are the market's to know.

        `view_only` is told only with `tradability` (get_tradability_status=true).
        """
        self._lifecycle.advance(now_ns)
        return product_view(self.spec(product_id), self._floor(product_id).facts(), tradability=tradability)

    def book(self, product_id: str, depth: int | None = None) -> tuple[Levels, Levels]:
        """Bids and asks as (price, shown size), best first; all levels without `depth`."""
        book = self._floor(product_id).book
        return book.levels(BUY, depth), book.levels(SELL, depth)

    @exact
    def product_book(self, product_id: str, now_ns: int, depth: int | None = None) -> ProductBook:
        """GET /product_book; what an empty side leaves undefined is ""."""
        facts = self._floor(product_id).facts()
        bids, asks = self.book(product_id, depth)
        levels = [[Level(price=plain(price), size=plain(size)) for price, size in side] for side in (bids, asks)]
        both = facts.best_bid is not None and facts.best_ask is not None
        mid, spread = (facts.reference or ZERO, asks[0][0] - bids[0][0]) if both else (ZERO, ZERO)
        return ProductBook(
            pricebook=PriceBook(product_id=product_id, bids=levels[0], asks=levels[1], time=rfc3339(now_ns)),
            last="" if facts.last is None else plain(facts.last),
            mid_market=plain(mid) if both else "",
            spread_bps=plain(quotient(spread * BPS, mid)) if both else "",
            spread_absolute=plain(spread) if both else "",
        )

    def recent_trades(self, product_id: str, limit: int = 100) -> list[TradeView]:
        """The newest public trades, newest first, at most 1000."""
        return [trade_view(trade, product_id) for trade in self._floor(product_id).tape.recent(limit)]

    # -- time ------------------------------------------------------------------------------------------------------

    @exact
    def end_orders(self, product_id: str, status: str, now_ns: int) -> None:
        """The venue ends what works in a product, nobody asked it to. `status`: EXPIRED, FAILED or CANCELLED."""
        self._lifecycle.advance(now_ns)
        self._lifecycle.end(product_id, status)

    @exact
    def advance(self, now_ns: int) -> None:
        """Do everything that is due: orders reaching the book, cancels, expiries."""
        self._lifecycle.advance(now_ns)

    def next_due_ns(self) -> int | None:
        """When `advance` next has something to do; None when nothing is scheduled."""
        return self._lifecycle.next_due_ns()

    @exact
    def drain(self) -> list[VenueEvent]:
        """What happened since the last drain.

        Trades and orders in the order of happening, then one event per changed book and wallet with its state now.
        """
        state = self._state
        events, state.events = state.events, []
        for floor in state.floors.values():
            bids, asks = floor.book.drain_changes()
            if bids or asks:
                events.append(BookChanged(product_id=floor.book_id, at_ns=state.now_ns, bids=bids, asks=asks))
        for user, wallet in state.ledger.drain_changes():
            view = account_view(wallet, state.users[user].portfolio_id)
            events.append(AccountChanged(user=user, at_ns=state.now_ns, account=view))
        return events

    # -- over a restart --------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The exchange's memory, for `persistence` alone."""
        return self._state

    @exact
    def resume(self, now_ns: int) -> None:
        """Bring the live orders of a restored memory back to the books, in the order in which they were placed."""
        self._lifecycle.advance(now_ns)
        for order in [order for order in self._state.orders.everything() if not order.terminal]:
            self._lifecycle.resume(order)
        for floor in self._state.floors.values():
            self._settle(floor)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _list(self, spec: ProductSpec) -> None:
        if spec.alias and spec.alias not in self._state.floors:
            raise ValueError(f"{spec.product_id} is an alias of {spec.alias}, which has no book")
        self._state.list_product(spec)

    def _settle(self, floor: Floor) -> None:
        if not floor.auction:
            self._matcher.uncross(floor)
            self._matcher.fire_stops(floor)

    def _user(self, user: str) -> User:
        if user not in self._state.users:
            raise QueryError(403, "PERMISSION_DENIED", "User does not have access to portfolio")
        return self._state.users[user]

    def _order(self, user: str, order_id: str) -> Order:
        order = self._state.orders.get(order_id)
        if order is None or order.user != user:
            raise QueryError(404, "unknown", "order with this orderID was not found")
        return order

    def _floor(self, product_id: str) -> Floor:
        return self._state.floors[self.spec(product_id).book_id]


def _altered(spec: ProductSpec, changes: Mapping[str, Any]) -> ProductSpec:
    try:
        return msgspec.convert({**msgspec.structs.asdict(spec), **changes}, ProductSpec)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def _ladder(
    bids: Sequence[tuple[Decimal, Decimal]], asks: Sequence[tuple[Decimal, Decimal]]
) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    targets = dict(bids), dict(asks)
    if any(price <= 0 or size < 0 for side in targets for price, size in side.items()):
        raise ValueError("prices must be positive, sizes not negative")
    shown = [[price for price, size in side.items() if size > 0] for side in targets]
    if shown[0] and shown[1] and max(shown[0]) >= min(shown[1]):
        raise ValueError(f"crossed ladder: bid {max(shown[0])} against ask {min(shown[1])}")
    return targets
