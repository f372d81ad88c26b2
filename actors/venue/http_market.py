"""Products, books, candles, trades and the time: the public paths and their signed twins."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from actors.venue.exact import exact, parse_amount, plain
from actors.venue.http_calls import Call, bad_request
from actors.venue.instants import SECOND_NS, rfc3339
from actors.venue.wire import Level, ProductBook

GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "FOUR_HOUR": 14_400,
    "SIX_HOUR": 21_600,
    "ONE_DAY": 86_400,
}
_MOST_TRADES = 1000


def server_time(call: Call) -> object:
    """GET /time."""
    now_ns = call.venue.shown_ns()
    return {
        "iso": rfc3339(now_ns // SECOND_NS * SECOND_NS),
        "epochSeconds": str(now_ns // SECOND_NS),
        "epochMillis": str(now_ns // 1_000_000),
    }


def list_products(call: Call) -> object:
    """GET /products."""
    query, exchange = call.query, call.venue.exchange
    wanted = query.many("product_ids", "product_id")
    names = [name for name in exchange.product_ids() if not wanted or name in wanted]
    if query.one("product_type") not in ("", "SPOT", "UNKNOWN_PRODUCT_TYPE"):
        names = []
    first = query.number("cursor", query.number("offset", 0))
    limit = query.number("limit", 0) or len(names)
    page = names[first : first + limit]
    more = first + limit < len(names)
    views = [
        call.venue.data.product(name, call.now_ns, tradability=bool(call.user) and query.flag("get_tradability_status"))
        for name in page
    ]
    pagination = {
        "prev_cursor": str(max(first - limit, 0)) if first else "",
        "next_cursor": str(first + limit) if more else "",
        "has_next": more,
        "has_prev": first > 0,
    }
    return {"products": views, "num_products": len(views), "pagination": pagination}


def get_product(call: Call) -> object:
    """GET /products/{product_id}: a bare object."""
    tradability = bool(call.user) and call.query.flag("get_tradability_status")
    return call.venue.data.product(call.path["product_id"], call.now_ns, tradability=tradability)


def product_book(call: Call) -> object:
    """GET /product_book."""
    product_id = call.query.one("product_id")
    if not product_id:
        raise bad_request("product_id is required")
    depth = call.query.number("limit", 0) or None
    step = parse_amount(call.query.one("aggregation_price_increment") or "0")
    if step is None or step < 0:
        raise bad_request("aggregation_price_increment is not a number")
    call.venue.data.asked(product_id, call.now_ns)
    book = call.venue.exchange.product_book(product_id, call.now_ns, None if step else depth)
    if call.venue.data.trades_here(product_id):
        book = msgspec.structs.replace(book, last=plain(call.venue.market.last_price(product_id)))
    return _aggregated(book, step, depth) if step else book


def best_bid_ask(call: Call) -> object:
    """GET /best_bid_ask; no product named: all."""
    names = call.query.many("product_ids", "product_id")
    for name in names:
        call.venue.data.asked(name, call.now_ns)
    exchange = call.venue.exchange
    books = (exchange.product_book(name, call.now_ns, 1) for name in names or exchange.product_ids())
    return {"pricebooks": [book.pricebook for book in books]}


def candles(call: Call) -> object:
    """GET …/candles: newest first, buckets without trades left out."""
    query = call.query
    size_s = GRANULARITIES.get(query.one("granularity"))
    if size_s is None:
        raise bad_request("granularity is invalid")
    start_s, end_s = query.number("start", -1), query.number("end", -1)
    if start_s < 0 or end_s < start_s:
        raise bad_request("start and end argument is invalid")
    first_s = -(-start_s // size_s) * size_s
    most = call.venue.most_candles
    if (end_s - first_s) // size_s + 1 > most:
        raise bad_request(f"start and end argument is invalid - number of candles requested should be less than {most}")
    rows = call.venue.data.candles(call.path["product_id"], size_s, first_s, min(end_s, call.now_ns // SECOND_NS))
    return {"candles": rows[: query.number("limit", most) or most]}


def public_trades(call: Call) -> object:
    """GET …/ticker: public trades, newest first."""
    query, product_id = call.query, call.path["product_id"]
    limit = query.number("limit", 0)
    if not limit:
        raise bad_request("limit is required")
    start_s, end_s = query.number("start", 0), query.number("end", 0)
    call.venue.data.asked(product_id, call.now_ns)
    trades = call.venue.data.trades(product_id, _MOST_TRADES if start_s or end_s else min(limit, _MOST_TRADES))
    earliest, latest = rfc3339(start_s * SECOND_NS), rfc3339(end_s * SECOND_NS) if end_s else "9"
    trades = [trade for trade in trades if earliest <= trade.time <= latest][:limit]
    bids, asks = call.venue.exchange.book(product_id, 1)
    return {
        "trades": trades,
        "best_bid": plain(bids[0][0]) if bids else "",
        "best_ask": plain(asks[0][0]) if asks else "",
    }


@exact
def _aggregated(book: ProductBook, step: Decimal, depth: int | None) -> ProductBook:
    bids = _steps(book.pricebook.bids, step, ROUND_FLOOR)[:depth]
    asks = _steps(book.pricebook.asks, step, ROUND_CEILING)[:depth]
    return msgspec.structs.replace(book, pricebook=msgspec.structs.replace(book.pricebook, bids=bids, asks=asks))


def _steps(levels: Iterable[Level], step: Decimal, rounding: str) -> list[Level]:
    sizes: dict[Decimal, Decimal] = {}
    for level in levels:
        price = (Decimal(level.price) / step).to_integral_value(rounding=rounding) * step
        sizes[price] = sizes.get(price, Decimal(0)) + Decimal(level.size)
    return [Level(price=plain(price), size=plain(size)) for price, size in sizes.items()]
