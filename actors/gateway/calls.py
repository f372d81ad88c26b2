"""Each question and command as the HTTP calls it takes, page by page, and its answer put together. Pure.

A list that could not be read to its end is a failure, never a shorter list (M-04).
"""

from msgspec.structs import replace

from actors.gateway import translate
from actors.gateway.limiter import Lane
from protocol.base import Message, Value
from protocol.coinbase import border, queries
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.orders import OPEN_STATUS, QUEUED_STATUSES, TERMINAL_STATUSES, CancelOrders
from protocol.coinbase.orders import PreviewOrder as WirePreview
from protocol.coinbase.wire import encode, format_rfc3339, optional_decimal
from protocol.ids import VenueOrderId
from protocol.instants import DAY_NS, MINUTE_NS, SECOND_NS
from protocol.journal import Released
from protocol.market import Bar, ProductRules
from protocol.money import ZERO
from protocol.orders import OrderNotFound, OrderReported, OrderSpec, Side, TimeInForce, VenueOrder
from protocol.venue import (
    AccountsListed,
    Balance,
    BookListed,
    CandlesListed,
    FeesKnown,
    FillRecord,
    FillsListed,
    GetBook,
    GetFees,
    ListAccounts,
    ListCandles,
    ListFills,
    ListOpenOrders,
    ListProducts,
    LookUpOrder,
    OpenOrdersListed,
    OrderPreviewed,
    PreviewOrder,
    ProductsListed,
    Query,
    RequestCancel,
)

PAGE = 250
_ORDER_TIMEOUT_S = 3.0
_QUERY_TIMEOUT_S = 20.0
_LOOK_BACK_NS = 60 * SECOND_NS

Row = VenueOrder | FillRecord | Balance | ProductRules | Bar


class CancelBatch(Value, frozen=True, kw_only=True):
    """Cancels that go in one request, at most 100."""

    cancels: tuple[RequestCancel, ...]

    @property
    def order_ids(self) -> tuple[VenueOrderId, ...]:
        """Every order once, however often its cancel was asked for."""
        return tuple(dict.fromkeys(c.venue_order_id for c in self.cancels))


class AskTime(Value, frozen=True, kw_only=True):
    """The gateway's own question: what time is it at the venue?"""


Asked = Query | Released | CancelBatch | AskTime


class Work(Value, frozen=True, kw_only=True):
    """One piece of work and how far it has come: `part` and `cursor` say which page is next, `rows` what is read."""

    asked: Asked
    begun_ns: int
    part: int = 0
    cursor: str = ""
    rows: tuple[Row, ...] = ()
    tries: int = 0
    resigned: bool = False


class Request(Value, frozen=True, kw_only=True):
    """The next HTTP request of a piece of work."""

    endpoint: Endpoint
    path: str
    query: str = ""
    body: bytes = b""
    timeout_s: float = _QUERY_TIMEOUT_S


def lane(asked: Asked) -> Lane:
    """Which budget it draws on: exits and cancels have their own, drills too, market data is public."""
    match asked:
        case CancelBatch():
            return Lane.EXIT_CANCEL
        case Released() if asked.submit.spec.drill:
            return Lane.DRILL
        case Released():
            return Lane.EXIT_CANCEL if asked.submit.spec.side is Side.SELL else Lane.PRIVATE
        case ListProducts() | ListCandles() | GetBook() | AskTime():
            return Lane.PUBLIC
    return Lane.PRIVATE


def request(work: Work) -> Request:
    """What to send next."""
    match work.asked:
        case Released() as asked:
            body = encode(translate.create_order(asked.submit.spec))
            return _request(Endpoint.CREATE_ORDER, body=body, timeout_s=_ORDER_TIMEOUT_S)
        case CancelBatch() as asked:
            body = encode(CancelOrders(order_ids=asked.order_ids))
            return _request(Endpoint.CANCEL_ORDERS, body=body, timeout_s=_ORDER_TIMEOUT_S)
        case LookUpOrder() as asked:
            return _look_up(work, asked)
        case ListOpenOrders():
            query = replace(_PARTS[work.part](work.begun_ns), limit=PAGE, cursor=work.cursor)
            return _request(Endpoint.ORDERS, query, timeout_s=_ORDER_TIMEOUT_S)
        case ListFills() as asked:
            return _request(Endpoint.FILLS, _fills_query(asked, work.cursor))
        case ListAccounts():
            return _request(Endpoint.ACCOUNTS, queries.AccountsQuery(limit=PAGE, cursor=work.cursor))
        case ListProducts() as asked:
            query_ = queries.ProductsQuery(
                product_type="SPOT", product_ids=tuple(asked.product_ids), limit=PAGE, offset=int(work.cursor or 0)
            )
            return _request(Endpoint.PUBLIC_PRODUCTS, query_)
        case ListCandles() as asked:
            return _candles(asked)
        case GetBook() as asked:
            return _request(Endpoint.PUBLIC_BOOK, queries.BookQuery(product_id=asked.product_id, limit=1))
        case GetFees():
            return _request(Endpoint.TRANSACTION_SUMMARY, queries.SummaryQuery(product_type="SPOT"))
        case PreviewOrder() as asked:
            return _request(Endpoint.PREVIEW_ORDER, body=encode(_preview(asked)))
    return _request(Endpoint.TIME, timeout_s=_ORDER_TIMEOUT_S)


def answer(work: Work, body: bytes, now_ns: int) -> Work | Message:
    """Take one answer in: more work, or the message that ends it. Raises BadWire: the answer cannot be believed."""
    match work.asked:
        case LookUpOrder() as asked:
            return _looked_up(work, asked, body)
        case ListOpenOrders() as asked:
            page = border.decode_orders(body)
            open_ones = (o for o in page.orders if o.status not in TERMINAL_STATUSES)
            work = _grown(work, tuple(translate.venue_order(o) for o in open_ones))
            if page.has_next and page.cursor:
                return replace(work, cursor=page.cursor)
            if work.part == 0:
                return replace(work, part=1, cursor="")
            orders = tuple(r for r in work.rows if isinstance(r, VenueOrder))
            unique = {o.venue_order_id: o for o in orders}
            return OpenOrdersListed(request_id=asked.request_id, asked_ns=work.begun_ns, orders=tuple(unique.values()))
        case ListFills() as asked:
            return _fills(work, asked, body)
        case ListAccounts() as asked:
            accounts = border.decode_accounts(body)
            work = _grown(work, tuple(translate.balance(a) for a in accounts.accounts))
            if accounts.has_next and accounts.cursor:
                return replace(work, cursor=accounts.cursor)
            wallets = translate.summed(r for r in work.rows if isinstance(r, Balance))
            return AccountsListed(request_id=asked.request_id, asked_ns=work.begun_ns, balances=wallets)
        case ListProducts() as asked:
            good, refused = border.decode_products(body)
            work = _grown(work, tuple(translate.product(p) for p in good))
            told = len(good) + len(refused)
            if told >= PAGE and not asked.product_ids:
                return replace(work, cursor=str(int(work.cursor or 0) + told))
            rules = tuple(r for r in work.rows if isinstance(r, ProductRules))
            return ProductsListed(request_id=asked.request_id, products=rules)
        case ListCandles() as asked:
            bars = translate.bars(border.decode_candles(body), asked.granularity_s, now_ns)
            return CandlesListed(
                request_id=asked.request_id,
                product_id=asked.product_id,
                granularity_s=asked.granularity_s,
                bars=bars,
            )
        case GetBook() as asked:
            book = border.decode_book(body).pricebook
            return BookListed(
                request_id=asked.request_id,
                product_id=asked.product_id,
                bid=translate.best(book.bids),
                ask=translate.best(book.asks),
            )
        case GetFees() as asked:
            tier = border.decode_fees(body)
            return FeesKnown(
                request_id=asked.request_id,
                maker_bps=translate.bps(tier.maker_fee_rate),
                taker_bps=translate.bps(tier.taker_fee_rate),
            )
        case PreviewOrder() as asked:
            preview = border.decode_preview(body)
            return OrderPreviewed(
                request_id=asked.request_id,
                errors=preview.errs,
                total=optional_decimal(preview.order_total, "order_total") or ZERO,
                commission=optional_decimal(preview.commission_total, "commission_total") or ZERO,
            )
    raise AssertionError(f"{type(work.asked).__name__} is not answered here")


def elsewhere(work: Work) -> Work | None:
    """Where to read what the venue will not tell this way; None: nowhere.

    A refused query for queued orders becomes one for every status from a day and ten minutes back (architecture §4).
    """
    if isinstance(work.asked, ListOpenOrders) and work.part == 1:
        return replace(work, part=2, cursor="", tries=0)
    return None


def _every_status(begun_ns: int) -> queries.OrdersQuery:
    return queries.OrdersQuery(start_date=format_rfc3339(max(0, begun_ns - DAY_NS - 10 * MINUTE_NS)))


_PARTS = (
    lambda _: queries.OrdersQuery(order_status=(OPEN_STATUS,)),
    lambda _: queries.OrdersQuery(order_status=QUEUED_STATUSES),
    _every_status,
)
"""The queries of a complete list of what may still fill; the last one only where the second is refused."""


def _request(
    endpoint: Endpoint,
    query: queries.Query | None = None,
    *,
    path: str = "",
    body: bytes = b"",
    timeout_s: float = _QUERY_TIMEOUT_S,
) -> Request:
    return Request(
        endpoint=endpoint,
        path=path or endpoint.path(),
        query=queries.encode_query(query) if query is not None else "",
        body=body,
        timeout_s=timeout_s,
    )


def _grown(work: Work, rows: tuple[Row, ...]) -> Work:
    return replace(work, rows=(*work.rows, *rows))


def _look_up(work: Work, asked: LookUpOrder) -> Request:
    """By the venue's id where we have it; else through the list from just before the request was made."""
    if asked.venue_order_id is not None:
        path = Endpoint.ORDER.path(order_id=asked.venue_order_id)
        return _request(Endpoint.ORDER, path=path, timeout_s=_ORDER_TIMEOUT_S)
    start = format_rfc3339(max(0, asked.since_ns - _LOOK_BACK_NS))
    query = queries.OrdersQuery(product_ids=(asked.product_id,), start_date=start, limit=PAGE, cursor=work.cursor)
    return _request(Endpoint.ORDERS, query, timeout_s=_ORDER_TIMEOUT_S)


def _looked_up(work: Work, asked: LookUpOrder, body: bytes) -> Work | Message:
    if asked.venue_order_id is not None:
        return OrderReported(order=translate.venue_order(border.decode_order(body)), source="lookup")
    page = border.decode_orders(body)
    found = next((o for o in page.orders if o.client_order_id == asked.client_order_id), None)
    if found is not None:
        return OrderReported(order=translate.venue_order(found), source="lookup")
    if page.has_next and page.cursor:
        return replace(work, cursor=page.cursor)
    return not_found(work, asked)


def not_found(work: Work, asked: LookUpOrder) -> OrderNotFound:
    """The venue does not know the order, as of when the question was begun."""
    return OrderNotFound(client_order_id=asked.client_order_id, asked_ns=work.begun_ns)


def _fills_query(asked: ListFills, cursor: str) -> queries.FillsQuery:
    if asked.venue_order_id is not None:
        return queries.FillsQuery(order_ids=(asked.venue_order_id,), limit=PAGE, cursor=cursor)
    return queries.FillsQuery(start_sequence_timestamp=format_rfc3339(asked.since_ns), limit=PAGE, cursor=cursor)


def _fills(work: Work, asked: ListFills, body: bytes) -> Work | Message:
    page = border.decode_fills(body)
    work = _grown(work, tuple(translate.fill(f) for f in page.fills))
    if page.fills and page.cursor:
        return replace(work, cursor=page.cursor)
    fills = {r.entry_id: r for r in work.rows if isinstance(r, FillRecord)}
    ordered = tuple(sorted(fills.values(), key=lambda f: (f.trade_ns, f.entry_id)))
    return FillsListed(request_id=asked.request_id, fills=ordered)


def _candles(asked: ListCandles) -> Request:
    query = queries.CandlesQuery(
        start=asked.start_s, end=asked.end_s, granularity=translate.GRANULARITIES[asked.granularity_s]
    )
    path = Endpoint.PUBLIC_CANDLES.path(product_id=asked.product_id)
    return _request(Endpoint.PUBLIC_CANDLES, query, path=path)


def _preview(asked: PreviewOrder) -> WirePreview:
    spec = OrderSpec(
        client_order_id=translate.PREVIEW_ID,
        product_id=asked.product_id,
        side=asked.side,
        time_in_force=TimeInForce.IOC,
        base_size=asked.base_size,
        quote_size=None,
        limit_price=asked.limit_price,
        post_only=False,
        expires_at_ns=0,
        not_after_ns=0,
    )
    return WirePreview(
        product_id=asked.product_id, side=asked.side.value, order_configuration=translate.configuration(spec)
    )
