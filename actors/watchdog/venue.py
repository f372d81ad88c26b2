"""The watchdog's own way to the venue: complete lists and cancels, on connections that nothing else uses.

Every call ends within 1.5 s; what failed is asked again by the core, on another connection. The budget is the kill
lane's, in whichever process it is spent.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from actors.watchdog.core import Resting
from protocol.coinbase import border, queries
from protocol.coinbase.auth import sign_rest
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.coinbase.orders import MAX_CANCEL_IDS, CancelOrders, OrdersPage
from protocol.coinbase.wire import BadWire, encode
from protocol.instants import SECOND_NS

CALL_S = 1.5
PAGE = 250
QUEUED = ("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED")
RATE_PER_S, BURST = 15.0, 20.0
_SLACK_S = 0.005


class UnreachableError(Exception):
    """The venue did not answer, or not with what was asked for. Says which call and why."""


class Budget:
    """The kill lane's tokens."""

    def __init__(self, rate_per_s: float = RATE_PER_S, burst: float = BURST) -> None:
        self._rate, self._burst, self._tokens = rate_per_s, burst, burst
        self._at = time.monotonic()

    async def take(self) -> None:
        """Wait for a token."""
        while not self._taken():  # noqa: ASYNC110 - tokens come with time, and nothing else tells of them
            await asyncio.sleep((1.0 - self._tokens) / self._rate + _SLACK_S)

    def _taken(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class VenueClient:
    """Lists and cancels. Lives on one event loop."""

    def __init__(self, base_url: str, key: SigningKey, token_life_s: int) -> None:
        self._url = URL(base_url).origin()
        self._key = key
        self._life_s = token_life_s
        self._budget = Budget()
        self._offset_ns = 0
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8, keepalive_timeout=120.0))

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def measure_clock(self) -> None:
        """Take the venue's clock over for signing, and keep the connection warm. Raises UnreachableError."""
        before = time.time_ns()
        body = await self._call(Endpoint.TIME)
        self._offset_ns = border.decode_time_ms(body) * 1_000_000 - (before + time.time_ns()) // 2

    async def complete_list(self) -> tuple[Resting, ...]:
        """Every order that may still fill: all pages of OPEN, and of the states before and after it.

        Raises UnreachableError: any page of it failed; half a list is none.
        """
        found: dict[str, Resting] = {}
        for statuses in (("OPEN",), QUEUED):
            async for page in self._pages(statuses):
                for order in page.orders:
                    found[order.order_id] = Resting(
                        client_order_id=order.client_order_id or "", venue_order_id=order.order_id
                    )
        return tuple(found.values())

    async def _pages(self, statuses: tuple[str, ...]) -> AsyncIterator[OrdersPage]:
        cursor = ""
        while True:
            query = queries.encode_query(queries.OrdersQuery(order_status=statuses, limit=PAGE, cursor=cursor))
            try:
                page = border.decode_orders(await self._call(Endpoint.ORDERS, query))
            except BadWire as exc:
                raise UnreachableError(f"orders: {exc}") from exc
            yield page
            if not (page.has_next and page.cursor):
                return
            cursor = page.cursor

    async def cancel(self, venue_order_ids: tuple[str, ...]) -> None:
        """Ask for these to be cancelled, in batches side by side. Only a list says whether they were.

        Raises UnreachableError: a batch was not answered.
        """
        batches = [venue_order_ids[at : at + MAX_CANCEL_IDS] for at in range(0, len(venue_order_ids), MAX_CANCEL_IDS)]
        await asyncio.gather(
            *(self._call(Endpoint.CANCEL_ORDERS, body=encode(CancelOrders(order_ids=b))) for b in batches)
        )

    async def _call(self, endpoint: Endpoint, query: str = "", body: bytes = b"") -> bytes:
        await self._budget.take()
        path = endpoint.path()
        url = self._url.join(URL(f"{path}?{query}" if query else path, encoded=True))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token(endpoint, path)}"}
        timeout = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CALL_S / 2)
        try:
            async with self._session.request(
                endpoint.method, url, data=body or None, headers=headers, timeout=timeout
            ) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UnreachableError(f"{endpoint.name}: {type(exc).__name__}") from exc
        if answer.status != 200:
            raise UnreachableError(f"{endpoint.name}: HTTP {answer.status}")
        return data

    def _token(self, endpoint: Endpoint, path: str) -> str:
        host = self._url.authority if self._url.explicit_port else (self._url.host or "")
        now_s = (time.time_ns() + self._offset_ns) // SECOND_NS
        nonce = secrets.token_hex(32)
        return sign_rest(self._key, endpoint.method, host, path, now_s=now_s, nonce=nonce, life_s=self._life_s)
