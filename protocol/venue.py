"""What the desk asks of the venue through the gateway, and the answers.

Every query carries `reply_to` and `request_id`; its answer is the named message, or `QueryFailed`: "no orders"
and "could not ask" never look alike.
"""

from decimal import Decimal
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ClientOrderId, ProductId, VenueOrderId
from protocol.market import Bar, ProductRules
from protocol.orders import Side, VenueOrder


class Query(Message, frozen=True, kw_only=True):
    """Base of the questions."""

    request_id: str
    reply_to: str


class RequestCancel(Message, frozen=True, kw_only=True, tag="venue.cancel"):
    """Cancel one order by the venue's id. Goes in the cancel lane, never waits for disk."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    reply_to: str


class LookUpOrder(Query, frozen=True, kw_only=True, tag="venue.lookup"):
    """What became of this order? By venue id where known, else by listing from just before `since_ns`."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId | None
    product_id: ProductId
    since_ns: int


class ListOpenOrders(Query, frozen=True, kw_only=True, tag="venue.list_open"):
    """A complete list: all pages of OPEN and of PENDING, QUEUED, CANCEL_QUEUED, EDIT_QUEUED."""


class ListFills(Query, frozen=True, kw_only=True, tag="venue.list_fills"):
    """Fills of one order, or all of them from `since_ns` on (inclusive)."""

    venue_order_id: VenueOrderId | None = None
    since_ns: int = 0


class ListAccounts(Query, frozen=True, kw_only=True, tag="venue.list_accounts"):
    """All balances, every page."""


class ListProducts(Query, frozen=True, kw_only=True, tag="venue.list_products"):
    """Product rules; empty `product_ids`: all spot products."""

    product_ids: tuple[ProductId, ...] = ()


class ListCandles(Query, frozen=True, kw_only=True, tag="venue.list_candles"):
    """Closed candles from `start_s` to `end_s`, both inclusive, at most 300."""

    product_id: ProductId
    granularity_s: int
    start_s: int
    end_s: int


class GetBook(Query, frozen=True, kw_only=True, tag="venue.get_book"):
    """The top of a product's book as REST has it, to hold a feed that says nothing against (requirements ST1)."""

    product_id: ProductId


class GetFees(Query, frozen=True, kw_only=True, tag="venue.get_fees"):
    """The account's current maker and taker rates."""


class PreviewOrder(Query, frozen=True, kw_only=True, tag="venue.preview"):
    """What would this order cost? Entries only (X2)."""

    product_id: ProductId
    side: Side
    base_size: Decimal
    limit_price: Decimal


class OpenOrdersListed(Message, frozen=True, kw_only=True, tag="venue.open_listed"):
    """Every order that may still fill, whoever placed it, asked at `asked_ns`."""

    request_id: str
    asked_ns: int
    orders: tuple[VenueOrder, ...]


class FillRecord(Value, frozen=True, kw_only=True):
    """One fill, final. `size` in base and `value` in quote whatever the wire said; `fee` in quote currency."""

    entry_id: str
    venue_order_id: VenueOrderId
    product_id: ProductId
    side: Side
    price: Decimal
    size: Decimal
    value: Decimal
    fee: Decimal
    maker: bool
    trade_ns: int


class FillsListed(Message, frozen=True, kw_only=True, tag="venue.fills_listed"):
    """All fills that the question covers, oldest first."""

    request_id: str
    fills: tuple[FillRecord, ...]


class Balance(Value, frozen=True, kw_only=True):
    """One currency: total = available + hold."""

    currency: str
    available: Decimal
    hold: Decimal

    @property
    def total(self) -> Decimal:
        """What the account holds of it, in its own units."""
        return self.available + self.hold


class AccountsListed(Message, frozen=True, kw_only=True, tag="venue.accounts_listed"):
    """Every wallet, asked at `asked_ns`. A currency that is missing here is zero."""

    request_id: str
    asked_ns: int
    balances: tuple[Balance, ...]


class ProductsListed(Message, frozen=True, kw_only=True, tag="venue.products_listed"):
    """Rules of the products asked for; a product the venue does not know is absent."""

    request_id: str
    products: tuple[ProductRules, ...]


class CandlesListed(Message, frozen=True, kw_only=True, tag="venue.candles_listed"):
    """Closed candles, oldest first; minutes without trades are absent, as at the venue."""

    request_id: str
    product_id: ProductId
    granularity_s: int
    bars: tuple[Bar, ...]


class BookListed(Message, frozen=True, kw_only=True, tag="venue.book_listed"):
    """The best bid and ask as (price, size), None where a side is empty."""

    request_id: str
    product_id: ProductId
    bid: tuple[Decimal, Decimal] | None
    ask: tuple[Decimal, Decimal] | None


class FeesKnown(Message, frozen=True, kw_only=True, tag="venue.fees_known"):
    """Current rates, in basis points."""

    request_id: str
    maker_bps: Decimal
    taker_bps: Decimal


class OrderPreviewed(Message, frozen=True, kw_only=True, tag="venue.previewed"):
    """The venue's opinion; `errors` not empty means that it would refuse."""

    request_id: str
    errors: tuple[str, ...]
    total: Decimal
    commission: Decimal


class QueryFailed(Message, frozen=True, kw_only=True, tag="venue.query_failed"):
    """A question went unanswered after the retry policy.

    `kind` is timeout, connection, auth, rate_limit, server, client or malformed.
    """

    request_id: str
    kind: str
    detail: str


class VenueHealth(Message, frozen=True, kw_only=True, tag="venue.health"):
    """Gateway to risk: how calls fare. `rate_limited_until_ns` after a 429.

    `clock_offset_ns` = venue minus ours, measured at `clock_ns` and wrong by at most `clock_error_ns`, half the round
    trip. `probe_failed`: the last question for the venue's time, which needs nothing but a venue, had no good answer.
    """

    lane: ClassVar[Lane] = Lane.STATE
    consecutive_errors: int
    last_success_ns: int
    rate_limited_until_ns: int
    auth_failing: bool
    clock_offset_ns: int | None
    clock_error_ns: int = 0
    clock_ns: int = 0
    probe_failed: bool = False


class UserStream(Message, frozen=True, kw_only=True, tag="venue.user_stream"):
    """The user channel came up (acknowledged, snapshot received) or went down."""

    up: bool
    detail: str
    at_ns: int


VenueMessage = (
    RequestCancel
    | LookUpOrder
    | ListOpenOrders
    | ListFills
    | ListAccounts
    | ListProducts
    | ListCandles
    | GetBook
    | GetFees
    | PreviewOrder
    | OpenOrdersListed
    | FillsListed
    | AccountsListed
    | ProductsListed
    | CandlesListed
    | BookListed
    | FeesKnown
    | OrderPreviewed
    | QueryFailed
    | VenueHealth
    | UserStream
)
