"""The watchdog's own way to the venue: complete lists and cancels, on connections that nothing else uses.

Every try ends within 1.5 s; one that gets no answer is sent again on a second connection, and what failed is asked
again by the core, for ever. The budget is the kill lane's, in whichever process it is spent.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import aiohttp
from msgspec.structs import replace
from yarl import URL

from actors.watchdog.facts import Resting
from protocol.coinbase import border, queries
from protocol.coinbase.auth import sign_rest
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.coinbase.orders import (
    MAX_CANCEL_IDS,
    OPEN_STATUS,
    QUEUED_STATUSES,
    TERMINAL_STATUSES,
    CancelOrders,
    OrdersPage,
)
from protocol.coinbase.wire import BadWire, encode, format_rfc3339
from protocol.instants import DAY_NS, MINUTE_NS, SECOND_NS

CALL_S = 1.5
PAGE = 250
RATE_PER_S, BURST = 15.0, 20.0
_SLACK_S = 0.005


class UnreachableError(Exception):
    """The venue did not answer, or not with what was asked for. Says which call and why.

    `status` is the HTTP status, 0 where nothing came back.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


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
        self._sessions = tuple(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8, keepalive_timeout=120.0)) for _ in range(2)
        )

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions:
            await session.close()

    async def measure_clock(self) -> None:
        """Take the venue's clock over for signing, and keep both connections warm. Raises UnreachableError."""
        for session in self._sessions:
            before = time.time_ns()
            body = await self._try(session, Endpoint.TIME, "", b"")
            try:
                self._offset_ns = border.decode_time_ms(body) * 1_000_000 - (before + time.time_ns()) // 2
            except BadWire as exc:
                raise UnreachableError(f"time: {exc}") from exc

    async def complete_list(self, oldest_ns: int | None = None) -> tuple[Resting, ...]:
        """Every order that may still fill: all pages of OPEN, and of the states before and after it.

        Where the venue refuses the second question, all statuses from 10 minutes before `oldest_ns`, the birth of the
        oldest order not known terminal (None: nobody knows, then a day back).

        Raises UnreachableError: any page of it failed; half a list is none.
        """
        found = await self._read(queries.OrdersQuery(order_status=(OPEN_STATUS,), limit=PAGE))
        try:
            found |= await self._read(queries.OrdersQuery(order_status=QUEUED_STATUSES, limit=PAGE))
        except UnreachableError as error:
            if error.status != 400:
                raise
            since_ns = (time.time_ns() - DAY_NS if oldest_ns is None else oldest_ns) - 10 * MINUTE_NS
            found |= await self._read(queries.OrdersQuery(start_date=format_rfc3339(since_ns), limit=PAGE))
        return tuple(found.values())

    async def _read(self, asked: queries.OrdersQuery) -> dict[str, Resting]:
        """All pages; what has ended is left out, every other status may still fill."""
        return {
            order.order_id: Resting(client_order_id=order.client_order_id or "", venue_order_id=order.order_id)
            async for page in self._pages(asked)
            for order in page.orders
            if order.status not in TERMINAL_STATUSES
        }

    async def _pages(self, asked: queries.OrdersQuery) -> AsyncIterator[OrdersPage]:
        cursor = ""
        while True:
            query = queries.encode_query(replace(asked, cursor=cursor))
            try:
                page = border.decode_orders(await self._call(Endpoint.ORDERS, query))
            except BadWire as exc:
                raise UnreachableError(f"orders: {exc}") from exc
            yield page
            if not (page.has_next and page.cursor):
                return
            if page.cursor == cursor:
                raise UnreachableError("orders: a page that points to itself")
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
        first, second = self._sessions
        try:
            return await self._try(first, endpoint, query, body)
        except UnreachableError as error:
            if error.status == 401:  # the clocks may have moved apart: the next try signs by the venue's
                await self.measure_clock()
            elif error.status:
                raise
        return await self._try(second, endpoint, query, body)

    async def _try(self, session: aiohttp.ClientSession, endpoint: Endpoint, query: str, body: bytes) -> bytes:
        await self._budget.take()
        path = endpoint.path()
        url = self._url.join(URL(f"{path}?{query}" if query else path, encoded=True))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token(endpoint, path)}"}
        timeout = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CALL_S / 2)
        try:
            async with session.request(
                endpoint.method, url, data=body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UnreachableError(f"{endpoint.name}: {type(exc).__name__}") from exc
        if answer.status != 200:
            raise UnreachableError(f"{endpoint.name}: HTTP {answer.status}", answer.status)
        return data

    def _token(self, endpoint: Endpoint, path: str) -> str:
        host = self._url.authority if self._url.explicit_port else (self._url.host or "")
        now_s = (time.time_ns() + self._offset_ns) // SECOND_NS
        nonce = secrets.token_hex(32)
        return sign_rest(self._key, endpoint.method, host, path, now_s=now_s, nonce=nonce, life_s=self._life_s)
