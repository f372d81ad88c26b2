"""The products of a run, found in the venue's own listing; the root process and the kernel alike.

It happens before the launch file is written, so that desk and alpha mean the same products, and a desk that is replaced
comes back without a question to the venue.
"""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from msgspec.structs import replace
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from actors.compose.common import key_of
from actors.gateway import catalogue
from actors.gateway.tokens import Tokens
from actors.runtime import logging
from actors.universe.discovery import discover, undiscovered
from protocol.coinbase.endpoints import Endpoint, Scope
from protocol.coinbase.keys import SigningKey
from protocol.coinbase.queries import BestBidAskQuery, ProductsQuery, encode_query
from protocol.coinbase.wire import BadWire
from protocol.discovery import Listing, UniverseDiscovered
from protocol.launch import Launch
from protocol.policy import Policy

TIMEOUT_S = 3.0
TRIES, PAUSE_S = 3, 0.5
PAGE = 250

Send = Callable[[Endpoint, str], tuple[int, bytes]]
"""One request with its query: status and body. Raises OSError, HTTPException: there was no answer."""
Pause = Callable[[float], None]
Listed = tuple[tuple[Listing, ...], tuple[str, ...]]
"""What is listed, and what of the listing was malformed."""


class ListingError(Exception):
    """The venue did not list its products; says why."""


def at_start(launched: Launch, now_ns: Callable[[], int]) -> Policy:
    """The policy of a run whose venue is there and whose desk is not yet."""
    policy = launched.policy
    send = over_http(launched.rest_url, key_of(launched), policy.auth.order_token_life_s, now_ns)
    return settled(policy, send, now_ns(), time.sleep)


def settled(policy: Policy, send: Send, now_ns: int, pause: Pause) -> Policy:
    """The policy with the products of this run. Tiers that are configured stay as they are."""
    rules = policy.universe.discovery
    if rules is None:
        return policy
    barred = frozenset(policy.universe.never_trade)
    try:
        listings, unread = _listed(send, pause)
    except (ListingError, BadWire) as error:
        found = undiscovered(rules, barred, f"the listing failed: {error}", now_ns)
    else:
        found = replace(discover(listings, rules, barred, now_ns), unread=unread)
    _say(found)
    return replace(policy, universe=policy.universe.settled(found))


def _say(found: UniverseDiscovered) -> None:
    log = logging.get("universe")
    fields = {
        "tiers": [len(tier) for tier in found.tiers],
        "left_out": len(found.left_out),
        "unread": list(found.unread),
    }
    if found.detail:
        log.warning("universe_fallback", detail=found.detail, products=list(found.chosen), **fields)
    else:
        log.info("universe_discovered", **fields)


# --- the venue ----------------------------------------------------------------------------------------------------


def _listed(send: Send, pause: Pause) -> Listed:
    """Every page to an empty one; then, where a product came without its quote, every quote at once.

    A listing that could not be read to its end is none (M-09). Raises ListingError, BadWire.
    """
    rows: list[Listing] = []
    unread: list[str] = []
    offset: int | None = 0
    while offset is not None:
        query = encode_query(ProductsQuery(product_type="SPOT", limit=PAGE, offset=offset))
        page = catalogue.page(_answered(send, Endpoint.PUBLIC_PRODUCTS, query, pause), "USD")
        rows += page.listings
        unread += page.unread
        offset = catalogue.further(offset, page.told)
    listings = catalogue.unique(rows)
    if catalogue.lacks_quotes(listings):
        body = _answered(send, Endpoint.BEST_BID_ASK, encode_query(BestBidAskQuery()), pause)
        listings = catalogue.quoted(listings, body)
    return listings, tuple(unread)


def _answered(send: Send, endpoint: Endpoint, query: str, pause: Pause) -> bytes:
    tries = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_fixed(PAUSE_S),
        retry=retry_if_exception_type((OSError, HTTPException)),
        sleep=pause,
    )
    try:
        return tries(_good, send, endpoint, query)
    except RetryError as failed:
        raise ListingError(str(failed.last_attempt.exception())) from failed


def _good(send: Send, endpoint: Endpoint, query: str) -> bytes:
    """Raises ConnectionError: another status than 200."""
    status, body = send(endpoint, query)
    if status != 200:
        raise ConnectionError(f"HTTP {status} from {endpoint.path()}")
    return body


def over_http(rest_url: str, key: SigningKey | None, token_life_s: int, now_ns: Callable[[], int]) -> Send:
    """Requests of the root process, which has no gateway: one after the other, each on a connection of its own."""
    url = urlsplit(rest_url)
    connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
    tokens = Tokens(key, url.netloc, now_ns, token_life_s)

    def send(endpoint: Endpoint, query: str) -> tuple[int, bytes]:
        signed = endpoint.scope is not Scope.PUBLIC
        if signed and key is None:
            raise ConnectionError("quotes are listed for a key only, and none is loaded")
        path = endpoint.path()
        headers = {"Authorization": f"Bearer {tokens.sign(endpoint.method, path)}"} if signed else {}
        connection = connect(url.netloc, timeout=TIMEOUT_S)
        try:
            connection.request(endpoint.method, f"{path}?{query}" if query else path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return send
