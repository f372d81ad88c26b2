"""Border checks: past these functions a wire struct's numbers are numbers, positive where they must be, and coherent.

Every function raises `BadWire` with the reason. Answers that would be lies when incomplete (orders, fills, accounts)
are refused as a whole; of a product listing only the bad products are (`decode_products`).
"""

import contextlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from protocol.coinbase.orders import (
    CancelAnswer,
    CreateOrderAnswer,
    Fill,
    FillsPage,
    Order,
    OrderAnswer,
    OrdersPage,
    PreviewAnswer,
)
from protocol.coinbase.rest import (
    Account,
    AccountsPage,
    BestBidAsk,
    Candle,
    CandlesAnswer,
    ErrorBody,
    FeeTier,
    KeyPermissions,
    PriceBook,
    Product,
    ProductBook,
    ServerTime,
    TransactionSummary,
)
from protocol.coinbase.websocket import L2Event, Ticker, Trade, UserOrder
from protocol.coinbase.wire import (
    BadWire,
    Text,
    Wire,
    decode,
    optional_decimal,
    parse_rfc3339,
    read_decimal,
)

MAX_ERROR_TEXT = 200
SIDES = frozenset({"BUY", "SELL"})
_BOOK_SIDES = frozenset({"bid", "offer"})
_EVENT_TYPES = frozenset({"snapshot", "update"})


class L2Change(msgspec.Struct, frozen=True, gc=False):
    """A level's new absolute size in base; 0 removes it. Price in quote per base."""

    is_bid: bool
    price: Decimal
    size: Decimal


def positive(text: Text, what: str) -> Decimal:
    """A number above zero."""
    value = read_decimal(text, what)
    if value <= 0:
        raise BadWire(f"{what} is not positive")
    return value


def not_negative(text: Text, what: str) -> Decimal:
    """A number of zero or more."""
    value = read_decimal(text, what)
    if value < 0:
        raise BadWire(f"{what} is negative")
    return value


def not_negative_or_none(text: Text, what: str) -> Decimal | None:
    """A number of zero or more, or None where the member is absent."""
    return not_negative(text, what) if text else None


def required_ns(text: Text, what: str) -> int:
    """An instant that must be given, in UTC nanoseconds."""
    at_ns = parse_rfc3339(text)
    if at_ns is None:
        raise BadWire(f"{what} is missing")
    return at_ns


def digits(text: str, what: str) -> int:
    """A whole number given as text, not negative."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise BadWire(f"{what} is not a whole number")
    return int(text)


def _require(condition: object, reason: str) -> None:
    if not condition:
        raise BadWire(reason)


def check_product(product: Product) -> Product:
    """A product whose grids and limits are known (rest.md §4)."""
    name = product.product_id
    for increment in ("price_increment", "base_increment", "quote_increment"):
        positive(getattr(product, increment), f"{name} {increment}")
    for side in ("base", "quote"):
        least = not_negative(getattr(product, f"{side}_min_size"), f"{name} {side}_min_size")
        most = positive(getattr(product, f"{side}_max_size"), f"{name} {side}_max_size")
        _require(least <= most, f"{name} {side}_min_size is above its maximum")
    not_negative_or_none(product.price, f"{name} price")
    not_negative_or_none(product.approximate_quote_24h_volume, f"{name} approximate_quote_24h_volume")
    _require(product.base_currency_id and product.quote_currency_id, f"{name} names no currencies")
    return product


def decode_product(raw: bytes) -> Product:
    """GET /products/{id}."""
    return check_product(decode(raw, Product))


class _RawProducts(Wire, frozen=True, kw_only=True):
    products: tuple[msgspec.Raw, ...]


def decode_products(raw: bytes) -> tuple[tuple[Product, ...], tuple[str, ...]]:
    """GET /products: the good products, and why each of the others was refused. A bad one must not hide the rest."""
    good, refused = [], []
    for item in decode(raw, _RawProducts).products:
        try:
            good.append(decode_product(bytes(item)))
        except BadWire as exc:
            refused.append(str(exc))
    return tuple(good), tuple(refused)


def check_book(book: PriceBook) -> PriceBook:
    """Positive levels, best first, not crossed. An empty side is no error."""
    bids = [_level(level.price, level.size) for level in book.bids]
    asks = [_level(level.price, level.size) for level in book.asks]
    _require(_rising([-price for price in bids]), f"{book.product_id} bids are out of order")
    _require(_rising(asks), f"{book.product_id} asks are out of order")
    _require(not (bids and asks and bids[0] >= asks[0]), f"{book.product_id} book is crossed")
    return book


def _level(price: str, size: str) -> Decimal:
    positive(size, "level size")
    return positive(price, "level price")


def _rising(values: Sequence[Decimal]) -> bool:
    return all(a < b for a, b in pairwise(values))


def decode_book(raw: bytes) -> ProductBook:
    """GET /product_book."""
    answer = decode(raw, ProductBook)
    check_book(answer.pricebook)
    return answer


def decode_best_quotes(raw: bytes) -> tuple[PriceBook, ...]:
    """GET /best_bid_ask: the good books. One that is crossed or malformed is left out, and hides no other."""
    good = []
    for book in decode(raw, BestBidAsk).pricebooks:
        with contextlib.suppress(BadWire):
            good.append(check_book(book))
    return tuple(good)


def check_candle(candle: Candle) -> Candle:
    """Positive prices with low and high at the ends, a volume, a start."""
    digits(candle.start, "candle start")
    low, high = positive(candle.low, "candle low"), positive(candle.high, "candle high")
    for price in (positive(candle.open, "candle open"), positive(candle.close, "candle close")):
        _require(low <= price <= high, "candle price outside its range")
    not_negative(candle.volume, "candle volume")
    return candle


def decode_candles(raw: bytes) -> tuple[Candle, ...]:
    """GET …/candles, newest first as they came."""
    return tuple(check_candle(candle) for candle in decode(raw, CandlesAnswer).candles)


def check_order(order: Order) -> Order:
    """Identities, a side, and filled figures that agree with each other. Any status passes: the set is open."""
    _require(order.order_id and order.product_id and order.status, "order without id, product or status")
    _require(order.side in SIDES, "order has no side")
    filled = not_negative(order.filled_size or "0", "filled_size")
    average = not_negative(order.average_filled_price or "0", "average_filled_price")
    _require(filled == 0 or average > 0, "filled without price")
    for member in ("filled_value", "total_fees", "outstanding_hold_amount"):
        not_negative_or_none(getattr(order, member), member)
    parse_rfc3339(order.created_time)
    parse_rfc3339(order.last_fill_time)
    return order


def decode_order(raw: bytes) -> Order:
    """GET /orders/historical/{order_id}."""
    return check_order(decode(raw, OrderAnswer).order)


def decode_orders(raw: bytes) -> OrdersPage:
    """GET /orders/historical/batch, one page."""
    page = decode(raw, OrdersPage)
    for order in page.orders:
        check_order(order)
    _require(page.cursor or not page.has_next, "orders page says there is more but not where")
    return page


def check_fill(fill: Fill) -> Fill:
    """Identities, a side, positive price and size, a commission of zero or more, a time."""
    _require(fill.entry_id and fill.order_id and fill.product_id, "fill without id, order or product")
    _require(fill.side in SIDES, "fill has no side")
    positive(fill.price, "fill price")
    positive(fill.size, "fill size")
    not_negative(fill.commission, "fill commission")
    required_ns(fill.trade_time, "fill time")
    parse_rfc3339(fill.sequence_timestamp)
    return fill


def decode_fills(raw: bytes) -> FillsPage:
    """GET /orders/historical/fills, one page."""
    page = decode(raw, FillsPage)
    for fill in page.fills:
        check_fill(fill)
    return page


def check_account(account: Account) -> Account:
    """Both balances known, not negative, in the wallet's currency."""
    for what, money in (("available_balance", account.available_balance), ("hold", account.hold)):
        not_negative(money.value, f"{account.currency} {what}")
        _require(money.currency == account.currency, f"{account.currency} {what} in another currency")
    _require(account.currency, "account without currency")
    return account


def decode_accounts(raw: bytes) -> AccountsPage:
    """GET /accounts, one page."""
    page = decode(raw, AccountsPage)
    for account in page.accounts:
        check_account(account)
    _require(page.cursor or not page.has_next, "accounts page says there is more but not where")
    return page


def decode_create_answer(raw: bytes) -> CreateOrderAnswer:
    """POST /orders. BadWire here means an unknown outcome, never "not placed" (pitfalls 5)."""
    answer = decode(raw, CreateOrderAnswer)
    if answer.success:
        _require(answer.success_response and answer.success_response.order_id, "success without an order id")
    return answer


def decode_cancel_answer(raw: bytes, asked: Sequence[str]) -> CancelAnswer:
    """POST /orders/batch_cancel: one result per id asked, in whatever order."""
    answer = decode(raw, CancelAnswer)
    _require(sorted(r.order_id for r in answer.results) == sorted(asked), "cancel results are not those asked for")
    return answer


def decode_preview(raw: bytes) -> PreviewAnswer:
    """POST /orders/preview; without `errs` its cost must be known."""
    answer = decode(raw, PreviewAnswer)
    if not answer.errs:
        positive(answer.order_total, "order_total")
        not_negative(answer.commission_total, "commission_total")
    return answer


def decode_fees(raw: bytes) -> FeeTier:
    """GET /transaction_summary: the tier whose rates are fractions of 0 to below 1."""
    tier = decode(raw, TransactionSummary).fee_tier
    for what, rate in (("taker_fee_rate", tier.taker_fee_rate), ("maker_fee_rate", tier.maker_fee_rate)):
        _require(not_negative(rate, what) < 1, f"{what} is no fraction")
    return tier


def decode_permissions(raw: bytes) -> KeyPermissions:
    """GET /key_permissions."""
    return decode(raw, KeyPermissions)


def decode_time_ms(raw: bytes) -> int:
    """GET /time: the venue's clock, UTC milliseconds."""
    return digits(decode(raw, ServerTime).epochMillis, "epochMillis")


def decode_error(raw: bytes) -> ErrorBody:
    """What an HTTP error's body says; never fails, and of a body that is no JSON object keeps the first 200 bytes."""
    try:
        return decode(raw[:65_536], ErrorBody)
    except BadWire:
        return ErrorBody(message=raw[:MAX_ERROR_TEXT].decode("utf-8", "replace").strip())


def check_l2(event: L2Event) -> tuple[L2Change, ...]:
    """The changes of one level-2 event, in their order. Crossing is checked on the book, after the whole batch."""
    _require(event.type in _EVENT_TYPES, "l2 event is neither snapshot nor update")
    changes = []
    for update in event.updates:
        _require(update.side in _BOOK_SIDES, "l2 side is neither bid nor offer")
        price = positive(update.price_level, "price_level")
        size = not_negative(update.new_quantity, "new_quantity")
        changes.append(L2Change(update.side == "bid", price, size))
    return tuple(changes)


def check_trade(trade: Trade) -> Trade:
    """A public trade: positive price and size, the maker's side, a time, a numeric id."""
    positive(trade.price, "trade price")
    positive(trade.size, "trade size")
    _require(trade.side in SIDES, "trade has no side")
    digits(trade.trade_id, "trade id")
    required_ns(trade.time, "trade time")
    return trade


def check_ticker(ticker: Ticker) -> Ticker:
    """A ticker with a price; bid and ask, where given, not crossed."""
    positive(ticker.price, "ticker price")
    bid = optional_decimal(ticker.best_bid or None, "best_bid")
    ask = optional_decimal(ticker.best_ask or None, "best_ask")
    _require(bid is None or bid > 0, "best_bid is not positive")
    _require(ask is None or ask > 0, "best_ask is not positive")
    _require(bid is None or ask is None or bid < ask, "ticker is crossed")
    return ticker


def check_user_order(order: UserOrder) -> UserOrder:
    """Identities and cumulative figures that agree with each other. Any status passes: the set is open."""
    _require(order.order_id and order.product_id and order.status, "order without id, product or status")
    filled = not_negative(order.cumulative_quantity or "0", "cumulative_quantity")
    average = not_negative(order.avg_price or "0", "avg_price")
    _require(filled == 0 or average > 0, "filled without price")
    for member in ("total_fees", "filled_value", "leaves_quantity", "limit_price"):
        not_negative_or_none(getattr(order, member), member)
    parse_rfc3339(order.creation_time)
    return order
