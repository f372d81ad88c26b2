"""The venue's own side, loopback only and no part of Coinbase's surface: what it holds, what goes wrong, what moves."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import web

from actors.venue.exact import exact
from actors.venue.faults import Fault
from actors.venue.fees import FeeSchedule, FeeTier
from actors.venue.lag import Unpleasantness
from actors.venue.limits import Rate
from actors.venue.requests import OrderQuery, QueryError
from actors.venue.server_venue import ALL_SCOPES, Venue
from actors.venue.wire import OrderView

PREFIX = "/_venue"
_GRIDS = frozenset(
    {
        "price_increment",
        "base_increment",
        "quote_increment",
        "base_min_size",
        "base_max_size",
        "quote_min_size",
        "quote_max_size",
    }
)
_encode = msgspec.json.Encoder(decimal_format="string").encode

View = Callable[[Venue, web.Request, Any], object]


class _Aggressor(msgspec.Struct, forbid_unknown_fields=True):
    side: str
    size: Decimal
    limit_price: Decimal | None = None


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    """POST /_venue/market: any of these. Prices and sizes as decimal text or numbers; times in seconds from now.

    Of `product_id`: `path` leads its price, `halt` stops or resumes its market, `increments` moves its grids and
    bounds, `state` sets its flags, `aggressor` sends one anonymous market order. Of the user: `deposit` adds,
    `balances` sets what is available. Of the venue: `unpleasantness` (milliseconds), `fees` (fractions),
    `scopes` of every key, `most_candles`, `limits` (by name: private, public, connections, messages).
    """

    product_id: str = ""
    path: list[tuple[float, Decimal]] | None = None
    halt: bool | None = None
    increments: dict[str, Decimal] | None = None
    state: dict[str, bool | str] | None = None
    aggressor: _Aggressor | None = None
    user: str = "main"
    deposit: dict[str, Decimal] | None = None
    balances: dict[str, Decimal] | None = None
    unpleasantness: Unpleasantness | None = None
    fees: tuple[Decimal, Decimal] | None = None
    scopes: list[str] | None = None
    most_candles: int | None = None
    limits: dict[str, Rate] | None = None


async def serve(request: web.Request, venue: Venue) -> web.StreamResponse:
    """One admin request."""
    if not _is_loopback(request.remote):
        return _answer(403, {"error": "loopback only"})
    view = _VIEWS.get((request.method, request.path.rstrip("/")))
    if view is None:
        return _answer(404, {"error": f"no {request.method} {request.path}"})
    raw = await request.read()
    try:
        result = view(venue, request, msgspec.json.decode(raw) if raw else None)
    except QueryError as error:
        return _answer(error.status, {"error": error.message})
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        return _answer(400, {"error": f"{type(error).__name__}: {error}"})
    venue.tick()
    return _answer(200, result)


def _is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False


def _answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=_encode(body), content_type="application/json")


def _state(venue: Venue, _: web.Request, __: Any) -> object:
    return {
        "started_ns": venue.started_ns,
        "now_ns": venue.clock_ns(),
        "connections": [
            {"subscribed": {channel: list(names) for channel, names in one.subscribed.items()}, "user": one.user}
            for one in venue.hub.connections
        ],
        "requests": venue.log.total,
        "faults": venue.faults.totals,
    }


def _orders(venue: Venue, request: web.Request, _: Any) -> object:
    user, orders, cursor = request.query.get("user", "main"), list[OrderView](), ""
    if request.query.get("open") == "true":
        shown = [venue.exchange.order(user, one.order_id, venue.clock_ns()) for one in venue.exchange.open_orders(user)]
        return {"orders": shown}
    while True:
        page = venue.exchange.list_orders(user, OrderQuery(limit=1000, cursor=cursor), venue.clock_ns())
        orders += page.orders
        if not page.has_next:
            return {"orders": orders}
        cursor = page.cursor


@exact
def _balances(venue: Venue, request: web.Request, _: Any) -> object:
    user, found, cursor = request.query.get("user", "main"), {}, ""
    while True:
        page = venue.exchange.accounts(user, limit=250, cursor=cursor)
        for one in page.accounts:
            available, hold = Decimal(one.available_balance.value), Decimal(one.hold.value)
            found[one.currency] = {"available": available, "hold": hold, "total": available + hold}
        if not page.has_next:
            return {"balances": found}
        cursor = page.cursor


def _requests(venue: Venue, request: web.Request, _: Any) -> object:
    entries = venue.log.entries(int(request.query.get("since_ns", 0)))
    return {"total": venue.log.total, "requests": entries}


def _products(venue: Venue, _: web.Request, __: Any) -> object:
    return {
        "products": [
            {"synthetic": not venue.data.trades_here(name) or venue.market.is_synthetic(name)}
            | msgspec.to_builtins(venue.data.product(name, venue.clock_ns()))
            for name in venue.exchange.product_ids()
        ]
    }


def _faults(venue: Venue, _: web.Request, __: Any) -> object:
    return {"faults": venue.faults.entries(), "struck": venue.faults.totals}


def _add_faults(venue: Venue, request: web.Request, body: Any) -> object:
    entries = body.get("faults") if isinstance(body, dict) and "faults" in body else body
    plan = msgspec.convert(entries if isinstance(entries, list) else [entries], list[Fault])
    venue.faults.add(plan, venue.clock_ns())
    return _faults(venue, request, None)


def _end_faults(venue: Venue, request: web.Request, _: Any) -> object:
    venue.faults.clear()
    return _faults(venue, request, None)


def _change_market(venue: Venue, _: web.Request, body: Any) -> object:
    change = msgspec.convert(body, _Change, strict=False)
    if change.product_id:
        venue.exchange.spec(change.product_id)
        _change_product(venue, change)
    _change_user(venue, change)
    _change_venue(venue, change)
    return {"ok": True}


def _change_product(venue: Venue, change: _Change) -> None:
    now_ns, product_id = venue.clock_ns(), change.product_id
    if change.path is not None:
        venue.market.set_path(product_id, change.path)
    if change.halt is not None:
        venue.market.halt(product_id, change.halt)
    if change.aggressor is not None:
        one = change.aggressor
        venue.exchange.market_order(product_id, one.side, one.size, now_ns, one.limit_price)
    if strange := (change.increments or {}).keys() - _GRIDS:
        raise ValueError(f"no grid or bound is called {sorted(strange)}")
    fields: dict[str, Any] = {**(change.increments or {}), **(change.state or {})}
    if fields:
        venue.exchange.set_product(product_id, now_ns, **fields)
        venue.hub.product_changed(product_id, now_ns)


@exact
def _change_user(venue: Venue, change: _Change) -> None:
    now_ns = venue.clock_ns()
    for currency, amount in (change.deposit or {}).items():
        venue.exchange.deposit(change.user, currency, amount, now_ns)
    for currency, wanted in (change.balances or {}).items():
        wallet = venue.exchange.deposit(change.user, currency, Decimal(0), now_ns)
        venue.exchange.deposit(change.user, currency, wanted - Decimal(wallet.available_balance.value), now_ns)


def _change_venue(venue: Venue, change: _Change) -> None:
    if change.unpleasantness is not None:
        venue.states.usual = change.unpleasantness
        venue.states.set_delays()
    if change.fees is not None:
        maker, taker = change.fees
        tier = FeeTier(name="Set", usd_from=Decimal(0), maker_rate=maker, taker_rate=taker)
        venue.exchange.set_fees(FeeSchedule(tiers=(tier,)))
    if change.scopes is not None:
        scopes = ALL_SCOPES & frozenset(change.scopes)
        venue.credentials = {
            name: msgspec.structs.replace(one, scopes=scopes) for name, one in venue.credentials.items()
        }
    if change.most_candles is not None:
        venue.most_candles = change.most_candles
    for name, rate in (change.limits or {}).items():
        venue.limits.change(name, rate)


_VIEWS: dict[tuple[str, str], View] = {
    ("GET", PREFIX): _state,
    ("GET", f"{PREFIX}/orders"): _orders,
    ("GET", f"{PREFIX}/balances"): _balances,
    ("GET", f"{PREFIX}/requests"): _requests,
    ("GET", f"{PREFIX}/products"): _products,
    ("GET", f"{PREFIX}/faults"): _faults,
    ("POST", f"{PREFIX}/faults"): _add_faults,
    ("DELETE", f"{PREFIX}/faults"): _end_faults,
    ("POST", f"{PREFIX}/market"): _change_market,
}
