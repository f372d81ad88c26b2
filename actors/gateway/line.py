"""The way of a place request: aiohttp's connections and parser, without what its session does between them.

A session composes every request anew and writes a body from a task of its own, turns of the loop later. Of a place
request all but token and body is known beforehand, so here it is one write, on a connection of the session's own pool.
"""

from typing import NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from protocol.coinbase.endpoints import Endpoint

MAX_BODY = 32 * 1024 * 1024
HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What an exchange raises when the connection failed it (besides TimeoutError)."""


class Answer(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    body: bytes
    retry_after_s: float


class OrderLine:
    """Place requests to one origin, over the connections of `connector`. Made on the event loop."""

    def __init__(self, connector: aiohttp.BaseConnector, origin: URL, connect_s: float) -> None:
        endpoint = Endpoint.CREATE_ORDER
        url = origin.join(URL(endpoint.path(), encoded=True))
        # Never sent: it says where connections lead, and which headers the library would send there.
        self._model = aiohttp.ClientRequest(
            endpoint.method, url, headers=HEADERS, skip_auto_headers=(hdrs.ACCEPT_ENCODING,)
        )
        fixed = {k: v for k, v in self._model.headers.items() if k != hdrs.CONTENT_LENGTH}
        lines = (f"{endpoint.method} {url.raw_path} HTTP/1.1", *(f"{name}: {value}" for name, value in fixed.items()))
        self._head = "\r\n".join(lines)
        self._connector = connector
        self._timeout = aiohttp.ClientTimeout(sock_connect=connect_s)

    async def open(self) -> Connection:
        """A connection: a warm one where there is one. Raises what `BROKEN` says, TimeoutError: nothing was sent."""
        way = await self._connector.connect(self._model, [], self._timeout)
        if way.protocol is None or not way.protocol.is_connected():  # a peer may end it before we come round to it
            way.close()
            raise aiohttp.ServerDisconnectedError
        return way

    async def exchange(self, way: Connection, token: str, body: bytes) -> Answer:
        """Send one request on `way` and read its answer; the connection goes back, or ends where anything failed.

        Raises:
            TimeoutError, what `BROKEN` says: the request may have been received.
        """
        protocol = way.protocol
        assert protocol is not None, "an open connection"
        assert protocol.transport is not None, "an open connection"
        head = f"{self._head}\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            protocol.set_response_params(read_until_eof=True)
            protocol.transport.write(head.encode() + body)
            message, content = await protocol.read()
            while message.code < 200:  # a word in between
                message, content = await protocol.read()
            answer = Answer(
                message.code, await whole(content), retry_after_s(message.headers.get(hdrs.RETRY_AFTER, ""))
            )
        except BaseException:
            way.close()
            raise
        way.release()
        return answer


async def whole(content: aiohttp.StreamReader) -> bytes:
    """A body to its end, or to the most that is taken."""
    body = await content.read(MAX_BODY)
    while not content.at_eof() and len(body) < MAX_BODY:
        body += await content.read(MAX_BODY)
    return body


def retry_after_s(header: str) -> float:
    """Seconds of a `Retry-After` header; 0 where it names none."""
    return float(header) if header.isdigit() else 0.0
