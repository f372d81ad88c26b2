"""One embedded exchange with one customer and a ladder around 100, for tests that trade on it."""

from decimal import Decimal
from random import Random
from typing import Any

from actors.venue.core import Exchange
from actors.venue.events import OrderChanged, VenueEvent
from actors.venue.fees import FeeSchedule
from actors.venue.lag import Unpleasantness, calm
from actors.venue.orders import TERMINAL
from actors.venue.products import ProductSpec
from actors.venue.requests import FillQuery, OrderQuery, PlaceRequest
from actors.venue.wire import FillView, OrderView, PlaceAnswer

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
USER = "desk"
BTC = "BTC-USD"


def d(value: str | int) -> Decimal:
    return Decimal(value)


def product(product_id: str = BTC, **changes: Any) -> ProductSpec:
    """Three different grids: prices step by 0.05, base by 0.001, quote by 0.01."""
    base, quote = product_id.split("-")
    grids = {
        "price_increment": d("0.05"),
        "base_increment": d("0.001"),
        "quote_increment": d("0.01"),
        "base_min_size": d("0.002"),
        "base_max_size": d(1000),
        "quote_min_size": d(1),
        "quote_max_size": d(50_000),
    }
    return ProductSpec(product_id=product_id, base=base, quote=quote, **(grids | changes))


class Floor:
    """The exchange, a clock that moves when told, and short words for what tests do all the time."""

    def __init__(
        self,
        *,
        unpleasantness: Unpleasantness | None = None,
        seed: int = 7,
        fees: FeeSchedule | None = None,
        balances: dict[str, Decimal] | None = None,
        ladder: bool = True,
        products: tuple[ProductSpec, ...] | None = None,
    ) -> None:
        self.now_ns = START_NS
        self.exchange = Exchange(
            products or (product(alias_to=("BTC-USDC",)), product("BTC-USDC", alias=BTC), product("ETH-USD")),
            Random(seed),
            START_NS,
            unpleasantness=unpleasantness or calm(),
            fees=fees,
        )
        self.exchange.open_user(USER, START_NS, balances or {"USD": d(10_000), "USDC": d(5_000), "BTC": d(10)})
        self._ids = 0
        if ladder:
            self.quote()
            self.print_trade()

    def quote(self, bids: str = "100x5 99x5 98x5", asks: str = "101x5 102x5 103x5", **options: Any) -> None:
        """Set the market's ladder: "price x size" words, best first."""
        self.exchange.quote_market(BTC, levels(bids), levels(asks), self.now_ns, **options)

    def print_trade(self) -> None:
        """A tiny print at each side, refilled, so that the book has a last trade (100)."""
        for side in ("BUY", "SELL"):
            self.exchange.market_order(BTC, side, d("0.001"), self.now_ns)
        self.quote()
        self.exchange.drain()

    def market(self, side: str, size: str, limit: str | None = None) -> None:
        self.exchange.market_order(BTC, side, d(size), self.now_ns, None if limit is None else d(limit))

    def place(self, side: str, kind: str, *, product_id: str = BTC, cid: str = "", **members: Any) -> PlaceAnswer:
        self._ids += 1
        request = PlaceRequest(
            client_order_id=cid or f"cid-{self._ids}",
            product_id=product_id,
            side=side,
            order_configuration={kind: members},
        )
        return self.exchange.place(USER, request, self.now_ns)

    def placed(self, side: str, kind: str, **members: Any) -> str:
        """Place and return the order id; the order must be accepted."""
        answer = self.place(side, kind, **members)
        assert answer.success, answer.error_response
        return answer.success_response.order_id

    def limit(self, side: str, size: str, price: str, **more: Any) -> str:
        return self.placed(side, "limit_limit_gtc", base_size=size, limit_price=price, **more)

    def order(self, order_id: str) -> OrderView:
        return self.exchange.order(USER, order_id, self.now_ns)

    def listed(self, **query: Any) -> list[OrderView]:
        return self.exchange.list_orders(USER, OrderQuery(**query), self.now_ns).orders

    def fills(self, **query: Any) -> list[FillView]:
        return self.exchange.list_fills(USER, FillQuery(**query), self.now_ns).fills

    def cancel(self, *order_ids: str) -> list[str]:
        """Failure reasons, "" for an accepted cancel."""
        results = self.exchange.cancel(USER, order_ids, self.now_ns)
        return ["" if result.success else result.failure_reason for result in results]

    def wait(self, ms: float) -> None:
        self.now_ns += int(ms * MS_NS)
        self.exchange.advance(self.now_ns)

    def balance(self, currency: str) -> tuple[Decimal, Decimal]:
        """Available and held."""
        for account in self.exchange.accounts(USER, limit=250).accounts:
            if account.currency == currency:
                return d(account.available_balance.value), d(account.hold.value)
        return d(0), d(0)

    def bids(self) -> list[tuple[Decimal, Decimal]]:
        return list(self.exchange.book(BTC)[0])

    def asks(self) -> list[tuple[Decimal, Decimal]]:
        return list(self.exchange.book(BTC)[1])


def levels(text: str) -> list[tuple[Decimal, Decimal]]:
    return [(d(price), d(size)) for price, size in (word.split("x") for word in text.split())]


def walk(events: list[VenueEvent], order_id: str) -> list[str]:
    """The statuses an order was published with, in order."""
    return [event.order.status for event in events if isinstance(event, OrderChanged) and _is(event, order_id)]


def _is(event: OrderChanged, order_id: str) -> bool:
    return event.order.order_id == order_id


def ended(view: OrderView) -> bool:
    return view.status in TERMINAL
