"""The watchdog's own way to the venue: its questions, on connections that nothing else uses.

Every try ends within 1.5 s; one that gets no answer is sent again on a second connection, and what failed is asked
again by the core, for ever. The budget is the kill lane's, in whichever process it is spent.
"""

import asyncio
import secrets
import time
from typing import TypeVar

import aiohttp
from yarl import URL

from actors.watchdog.facts import Resting
from actors.watchdog.questions import CALL_S, LINES, Ask, Budget, Question, Questions, UnreachableError, batches
from protocol.coinbase.auth import sign_rest
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS

T = TypeVar("T")


class VenueClient:
    """Lists and cancels. Lives on one event loop."""

    def __init__(self, base_url: str, key: SigningKey, token_life_s: int, lane: tuple[float, float]) -> None:
        """`lane`: requests a second and at once."""
        self._url = URL(base_url).origin()
        self._key = key
        self._life_s = token_life_s
        self._budget = Budget(time.monotonic, *lane)
        self._questions = Questions(time.time_ns)
        self._sessions = tuple(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8, keepalive_timeout=120.0)) for _ in LINES
        )

    @property
    def offset_ns(self) -> int:
        """The venue's clock minus ours, as last measured."""
        return self._questions.offset_ns

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions:
            await session.close()

    async def measure_clock(self) -> None:
        """As `Questions.measure_clock`."""
        await self._asked(self._questions.measure_clock())

    async def complete_list(self, oldest_ns: int | None = None) -> tuple[Resting, ...]:
        """As `Questions.complete_list`."""
        return await self._asked(self._questions.complete_list(oldest_ns))

    async def cancel(self, venue_order_ids: tuple[str, ...]) -> None:
        """Ask for these to be cancelled, in batches side by side. Only a list says whether they were.

        Raises UnreachableError: a batch was not answered.
        """
        await asyncio.gather(*(self._asked(self._questions.cancel(one)) for one in batches(venue_order_ids)))

    async def _asked(self, question: Question[T]) -> T:
        """Carry a question's calls until it has its answer."""
        try:
            ask = next(question)
            while True:
                try:
                    body = await self._try(ask)
                except UnreachableError as error:
                    ask = question.throw(error)
                else:
                    ask = question.send(body)
        except StopIteration as end:
            answer: T = end.value
            return answer

    async def _try(self, ask: Ask) -> bytes:
        while wait_s := self._budget.wait_s():  # noqa: ASYNC110 - tokens come with time, and nothing else tells of them
            await asyncio.sleep(wait_s)
        endpoint, path = ask.endpoint, ask.endpoint.path()
        url = self._url.join(URL(f"{path}?{ask.query}" if ask.query else path, encoded=True))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token(endpoint, path)}"}
        timeout = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CALL_S / 2)
        try:
            async with self._sessions[ask.line].request(
                endpoint.method, url, data=ask.body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                data = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UnreachableError(f"{endpoint.name}: {type(exc).__name__}") from exc
        if answer.status != 200:
            raise UnreachableError(f"{endpoint.name}: HTTP {answer.status}", answer.status)
        return data

    def _token(self, endpoint: Endpoint, path: str) -> str:
        host = self._url.authority if self._url.explicit_port else (self._url.host or "")
        now_s = (time.time_ns() + self._questions.offset_ns) // SECOND_NS
        nonce = secrets.token_hex(32)
        return sign_rest(self._key, endpoint.method, host, path, now_s=now_s, nonce=nonce, life_s=self._life_s)
