"""The REST surface: routes, authentication, permissions, limits, error bodies; faults at every step."""

import re
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from multidict import MultiMapping

from actors.venue import http_accounts as accounts
from actors.venue import http_convert as convert
from actors.venue import http_market as market
from actors.venue import http_orders as orders
from actors.venue.faults import REST
from actors.venue.http_calls import Answer, Call, Query, Route, forbidden
from actors.venue.http_faults import after, before, deliver
from actors.venue.requests import QueryError
from actors.venue.server_log import Entry
from actors.venue.server_venue import Credential, Venue
from protocol.coinbase.auth import TokenRefused, verify_rest

PREFIX = "/api/v3/brokerage"

_TWINS = [
    ("/products", market.list_products),
    ("/products/{product_id}", market.get_product),
    ("/product_book", market.product_book),
    ("/products/{product_id}/candles", market.candles),
    ("/products/{product_id}/ticker", market.public_trades),
]
ROUTES = [
    Route("GET", "/time", "public", market.server_time),
    *(Route("GET", f"/market{template}", "public", handler) for template, handler in _TWINS),
    *(Route("GET", template, "view", handler) for template, handler in _TWINS),
    Route("GET", "/best_bid_ask", "view", market.best_bid_ask),
    Route("GET", "/accounts", "view", accounts.list_accounts),
    Route("GET", "/accounts/{account_id}", "view", accounts.get_account),
    Route("POST", "/orders", "trade", orders.create_order),
    Route("POST", "/orders/preview", "view", orders.preview_order),
    Route("POST", "/orders/edit", "trade", orders.edit_order),
    Route("POST", "/orders/edit_preview", "view", orders.preview_edit),
    Route("POST", "/orders/batch_cancel", "trade", orders.cancel_orders),
    Route("POST", "/orders/close_position", "trade", orders.close_position),
    Route("GET", "/orders/historical/batch", "view", orders.list_orders),
    Route("GET", "/orders/historical/fills", "view", orders.list_fills),
    Route("GET", "/orders/historical/{order_id}", "view", orders.get_order),
    Route("GET", "/transaction_summary", "view", accounts.transaction_summary),
    Route("GET", "/key_permissions", "view", accounts.key_permissions),
    Route("POST", "/convert/quote", "trade", convert.convert_quote),
    Route("POST", "/convert/trade/{trade_id}", "trade", convert.convert_commit),
    Route("GET", "/convert/trade/{trade_id}", "view", convert.convert_trade),
    Route("GET", "/portfolios", "view", accounts.list_portfolios),
    Route("POST", "/portfolios", "transfer", accounts.change_portfolio),
    Route("POST", "/portfolios/move_funds", "transfer", accounts.change_portfolio),
    Route("GET", "/portfolios/{portfolio_id}", "view", accounts.portfolio_breakdown),
    Route("PUT", "/portfolios/{portfolio_id}", "transfer", accounts.change_portfolio),
    Route("DELETE", "/portfolios/{portfolio_id}", "transfer", accounts.change_portfolio),
    Route("GET", "/payment_methods", "view", accounts.list_payment_methods),
    Route("GET", "/payment_methods/{payment_method_id}", "view", accounts.get_payment_method),
]
"""Every path of the surface; literal paths stand before templates."""

ORDER_ENTRY = frozenset({"create_order", "edit_order", "cancel_orders", "close_position"})

_PATTERNS = [(route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", PREFIX + route.template))) for route in ROUTES]
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Asker(NamedTuple):
    """Whose request it is, None on a public path, and from which address it comes."""

    credential: Credential | None
    address: str


class UnauthorizedError(Exception):
    """401, whose body never says why."""


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and its path parameters. Raises QueryError (404)."""
    for route, pattern in _PATTERNS:
        if route.method == method and (found := pattern.fullmatch(path.rstrip("/"))):
            return route, found.groupdict()
    raise QueryError(404, "NOT_FOUND", f"no route for {method} {path}")


async def serve(request: web.Request, venue: Venue) -> web.StreamResponse:
    """One REST request from arrival to answer."""
    arrived_ns = venue.clock_ns()
    body = read_json(await request.read())
    try:
        route, path = find(request.method, request.path)
    except QueryError as error:
        return await deliver(request, error_answer(error), {})
    entry = None
    if route.name in ORDER_ENTRY:
        entry = venue.log.arrive(request.method, request.path, route.name, body, arrived_ns)
    struck = venue.faults.strike(REST, names_of(route, request.method, request.path), arrived_ns)
    if entry is not None:
        entry.faults = list(struck)
    answer = await before(request, struck)
    if answer is None:
        answer = act(venue, route, path, request, body)
        if entry is not None:
            note(entry, answer)
        answer = await after(request, struck, answer)
    if entry is not None:
        entry.status, entry.answered_ns = answer.status, venue.clock_ns() if answer.status else None
    answer.headers["Trace-Id"] = str(venue.chance.getrandbits(63))
    return await deliver(request, answer, struck)


def act(venue: Venue, route: Route, path: dict[str, str], request: web.Request, body: Any) -> Answer:
    """Authenticate, then do what is asked."""
    try:
        credential = _authenticate(venue, route, request)
    except UnauthorizedError:
        venue.settle()
        return unauthorized()
    return perform(venue, route, path, Asker(credential, request.remote or ""), (request.query, body))


def perform(
    venue: Venue, route: Route, path: dict[str, str], asker: Asker, told: tuple[MultiMapping[str], Any]
) -> Answer:
    """Limit, handle, and encode what comes of it. `told`: the query's members and the decoded body."""
    now_ns = venue.clock_ns()
    credential = asker.credential
    standing = (
        venue.limits.private.take(credential.key.name, now_ns)
        if credential and route.scope != "public"
        else venue.limits.public.take(asker.address, now_ns)
    )
    headers = standing.headers()
    if not standing.allowed:
        venue.settle()
        return too_many(headers)
    try:
        if credential and route.scope not in credential.scopes | {"public"}:
            raise forbidden("Missing required scopes")
        call = Call(
            venue=venue,
            now_ns=now_ns,
            user=credential.user if credential else "",
            credential=credential,
            path=path,
            query=Query(told[0]),
            body=told[1],
        )
        answer = Answer(status=200, body=_encode(route.handler(call)), headers=headers)
    except QueryError as error:
        answer = error_answer(error, headers)
    venue.settle()  # also after a query: it may have told of what just came due
    return answer


def unauthorized() -> Answer:
    """401 as production has it: plain text, no hint of the cause."""
    return Answer(status=401, body=b"Unauthorized\n", content_type="text/plain; charset=utf-8")


def too_many(headers: dict[str, str]) -> Answer:
    """429 as documented."""
    body = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
    return Answer(status=429, body=_encode(body), headers=headers)


def error_answer(error: QueryError, headers: dict[str, str] | None = None) -> Answer:
    """The normal error body."""
    body = {"error": error.code, "error_details": error.message, "message": error.message}
    return Answer(status=error.status, body=_encode(body), headers=dict(headers or {}))


def _authenticate(venue: Venue, route: Route, request: web.Request) -> Credential | None:
    """Whose request it is; None on a public path, where a token is tolerated and not looked at."""
    if route.scope == "public":
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthorizedError
    now_s = venue.shown_ns() / 1e9
    try:
        good = verify_rest(token, venue.keys(), request.method, venue.hosts, request.path, now_s=now_s)
    except TokenRefused:
        raise UnauthorizedError from None
    return venue.credentials[good.key_name]


def names_of(route: Route, method: str, path: str) -> list[str]:
    """What fault plans can call this request."""
    group = ["orders"] if route.name in ORDER_ENTRY else []
    return [route.name, *group, "rest", path, f"{method} {path}"]


def read_json(raw: bytes) -> Any:
    """A body's content; None where it is no JSON."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def note(entry: Entry, answer: Answer) -> None:
    """What the venue did, whether or not the client hears of it."""
    told = read_json(answer.body)
    if isinstance(told, dict):
        entry.success = told.get("success")
        placed = told.get("success_response")
        if isinstance(placed, dict) and placed.get("order_id"):
            entry.order_ids = [placed["order_id"]]
