"""Everything the exchange remembers, and how it tells of a change."""

from decimal import Decimal

import msgspec

from actors.venue.book import BUY, SELL, Book
from actors.venue.checks import MarketFacts, VenueRules
from actors.venue.events import OrderChanged, VenueEvent
from actors.venue.exact import plain
from actors.venue.fees import FeeSchedule, FeeTier, VolumeWindow
from actors.venue.lag import Rng, Unpleasantness
from actors.venue.ledger import Ledger
from actors.venue.orders import Order, Orders
from actors.venue.products import ProductSpec
from actors.venue.stops import Stops
from actors.venue.tape import Tape
from actors.venue.views import channel_order, order_view


class User(msgspec.Struct, kw_only=True):
    """A customer: one portfolio, one fee tier."""

    name: str
    user_id: str
    portfolio_id: str
    created_ns: int
    volume: VolumeWindow


class Floor:
    """Where one book trades: its queue, its waiting stops, its trades."""

    __slots__ = ("auction", "book", "book_id", "stops", "tape")

    def __init__(self, spec: ProductSpec) -> None:
        self.book_id = spec.book_id
        self.book = Book(spec.base_increment)
        self.stops = Stops()
        self.tape = Tape(spec.book_id)
        self.auction = spec.auction_mode

    def facts(self) -> MarketFacts:
        """Best prices and last trade."""
        return MarketFacts(best_bid=self.book.best(BUY), best_ask=self.book.best(SELL), last=self.tape.last)


class State:
    """The exchange's memory. Changed by matching and lifecycle only."""

    def __init__(self, rng: Rng, now_ns: int, unpleasantness: Unpleasantness, fees: FeeSchedule) -> None:
        self.rng = rng
        self.now_ns = now_ns
        self.unpleasantness = unpleasantness
        self.fee_schedule = fees
        self.rules = VenueRules()
        self.products: dict[str, ProductSpec] = {}
        self.floors: dict[str, Floor] = {}
        self.users: dict[str, User] = {}
        self.ledger = Ledger(rng)
        self.orders = Orders()
        self.events: list[VenueEvent] = []
        self.altered: dict[str, ProductSpec] = {}
        """Products whose fields an operator set; replaced as a whole by every change."""
        self.fees_set: FeeSchedule | None = None

    def list_product(self, spec: ProductSpec) -> None:
        """List a product or change one; a product without alias gets a book of its own."""
        self.products[spec.product_id] = spec
        if spec.book_id == spec.product_id:
            floor = self.floors.setdefault(spec.product_id, Floor(spec))
            floor.auction = spec.auction_mode

    def alter(self, spec: ProductSpec) -> None:
        """Note what an operator made of a product."""
        self.altered = {**self.altered, spec.product_id: spec}

    def floor(self, product_id: str) -> Floor:
        """The floor a product trades on. Raises KeyError: no such product."""
        return self.floors[self.products[product_id].book_id]

    def tier(self, user: User) -> FeeTier:
        """The user's tier now."""
        return self.fee_schedule.tier(user.volume.totals(self.now_ns)[0])[0]

    def publish(self, order: Order, hold: Decimal | None = None) -> None:
        """Tell the user channel of an order's state; `hold` overrides the outstanding hold it shows."""
        user = self.users[order.user]
        view = order_view(order, user.user_id, user.portfolio_id)
        channel = channel_order(order, user.portfolio_id)
        if hold is not None:
            view = msgspec.structs.replace(view, outstanding_hold_amount=plain(hold))
            channel = msgspec.structs.replace(channel, outstanding_hold_amount=plain(hold))
        self.events.append(OrderChanged(user=order.user, at_ns=self.now_ns, order=view, channel=channel))
