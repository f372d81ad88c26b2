"""The HTTP edge: signs, fences, sends, and says what came of it. It never decides and never retries.

Fencing stands immediately before the socket write (architecture §4): a place request leaves only while its epoch is
current, the pump has come round within the last second, and it is not too old.
"""

import asyncio
from collections.abc import Callable

import aiohttp
from yarl import URL

from actors.gateway.line import BROKEN, HEADERS, Answer, OrderLine, retry_after_s, whole
from actors.gateway.tokens import Tokens
from actors.runtime.role import Epoch, Heartbeat, Port
from protocol.base import Effect, Message
from protocol.coinbase.endpoints import Endpoint, Scope
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS
from protocol.transport import CallAnswered, CallBroken, HttpCall, SignWith

PUMP_LIMIT_NS = SECOND_NS
CONNECT_S = 1.0
PLACE = Endpoint.CREATE_ORDER

Observe = Callable[[str, float, str], None]


def refusal(call: HttpCall, port: Port, epoch: Epoch, heartbeat: Heartbeat) -> str:
    """Why a place request may not leave now; empty if it may, or if it is none."""
    if not call.fence_ns:
        return ""
    if not port.valid():
        return "superseded"
    if epoch.current() != call.epoch:
        return "the epoch has moved"
    if heartbeat.age_ns("core") > PUMP_LIMIT_NS or heartbeat.age_ns("io") > PUMP_LIMIT_NS:
        return "the pump is late"
    return "too old" if port.now_ns() > call.fence_ns else ""


class HttpEdge:
    """Performs `HttpCall` on one aiohttp session; every call ends in exactly one `CallAnswered` or `CallBroken`."""

    def __init__(
        self,
        base_url: str,
        key: SigningKey | None,
        epoch: Epoch,
        heartbeat: Heartbeat,
        token_life_s: int = 120,
        observe: Observe | None = None,
    ) -> None:
        """`base_url`: scheme, host and port of the REST side, without a path. `key` None: public calls only."""
        self._url = URL(base_url).origin()
        self._key = key
        self._epoch = epoch
        self._heartbeat = heartbeat
        self._life_s = token_life_s
        self._observe = observe
        self._session: aiohttp.ClientSession | None = None
        self._line: OrderLine
        self._tokens: Tokens
        self._tasks: set[asyncio.Task[None]] = set()
        self._port: Port | None = None

    def bind(self, port: Port) -> None:
        """Open the session; connections are made when first needed and kept warm."""
        self._port = port
        host = self._url.authority if self._url.explicit_port else (self._url.host or "")
        self._tokens = Tokens(self._key, host, port.now_ns, self._life_s)
        self._tokens.start()
        connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=60.0)
        jar = aiohttp.DummyCookieJar()  # the venue's edge sets cookies that mean nothing to it
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=True)
        self._line = OrderLine(connector, self._url, CONNECT_S)

    def perform(self, effect: Effect) -> None:
        """Start a call, or take the venue's clock over."""
        match effect:
            case HttpCall():
                assert self._port is not None, "bound before the first effect"
                task = asyncio.get_running_loop().create_task(self._call(effect, self._port.cause))
                self._tasks.add(task)
                task.add_done_callback(self._landed)
            case SignWith():
                self._tokens.date(effect.offset_ns)
            case _:
                raise TypeError(f"not an effect of the gateway: {type(effect).__name__}")

    def close(self) -> None:
        """Drop what is on its way: its outcome is unknown, and its owner has a deadline of its own."""
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
            self._tokens.close()
            session, self._session = self._session, None
            closing = asyncio.get_running_loop().create_task(session.close())
            self._tasks.add(closing)
            closing.add_done_callback(self._tasks.discard)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._port is not None:
            self._port.failed(error)

    async def _call(self, call: HttpCall, cause: int) -> None:
        assert self._port is not None, "bound before the first effect"
        started = asyncio.get_running_loop().time()
        outcome = await self._exchange(call)
        if self._observe is not None:
            took_s = asyncio.get_running_loop().time() - started
            self._observe(call.endpoint, took_s, _status(outcome))
        self._port.tell(self._port.name, outcome, cause)

    async def _exchange(self, call: HttpCall) -> Message:
        return await (self._place(call) if call.fence_ns else self._ask(call))

    async def _place(self, call: HttpCall) -> Message:
        """The fence stands between the connection, which may have had to be made, and the write."""
        assert self._port is not None, "bound before the first effect"
        assert (call.endpoint, call.path) == (PLACE.name, PLACE.path()), "what line and token are made for"
        sent = False
        try:
            token = self._tokens.take()
        except LookupError as exc:
            return CallBroken(call=call.call, kind="connection", detail=str(exc), sent=False)
        try:
            async with asyncio.timeout(call.timeout_s):
                way = await self._line.open()
                fenced = refusal(call, self._port, self._epoch, self._heartbeat)
                if fenced:
                    way.release()
                    return CallBroken(call=call.call, kind="fenced", detail=fenced, sent=False)
                sent = True
                answer = await self._line.exchange(way, token, call.body)
        except TimeoutError:
            kind = "timeout" if sent else "connection"
            return CallBroken(call=call.call, kind=kind, detail=f"after {call.timeout_s:g} s", sent=sent)
        except BROKEN as exc:
            return CallBroken(call=call.call, kind="connection", detail=type(exc).__name__, sent=sent)
        return _answered(call, answer)

    async def _ask(self, call: HttpCall) -> Message:
        endpoint = Endpoint[call.endpoint]
        try:
            headers = self._headers(endpoint, call.path)
        except LookupError as exc:
            return CallBroken(call=call.call, kind="connection", detail=str(exc), sent=False)
        return await self._send(call, endpoint, headers)

    def _headers(self, endpoint: Endpoint, path: str) -> dict[str, str]:
        if endpoint.scope is Scope.PUBLIC:
            return HEADERS
        return {**HEADERS, "Authorization": f"Bearer {self._tokens.sign(endpoint.method, path)}"}

    async def _send(self, call: HttpCall, endpoint: Endpoint, headers: dict[str, str]) -> Message:
        assert self._session is not None, "open while bound"
        url = self._url.join(URL(f"{call.path}?{call.query}" if call.query else call.path, encoded=True))
        timeout = aiohttp.ClientTimeout(total=call.timeout_s, sock_connect=CONNECT_S)
        try:
            async with self._session.request(
                endpoint.method, url, data=call.body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                after_s = retry_after_s(answer.headers.get("Retry-After", ""))
                return _answered(call, Answer(answer.status, await whole(answer.content), after_s))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            return CallBroken(call=call.call, kind="connection", detail=type(exc).__name__, sent=False)
        except TimeoutError:
            return CallBroken(call=call.call, kind="timeout", detail=f"after {call.timeout_s:g} s", sent=True)
        except BROKEN as exc:
            return CallBroken(call=call.call, kind="connection", detail=type(exc).__name__, sent=True)


def _answered(call: HttpCall, answer: Answer) -> CallAnswered:
    return CallAnswered(call=call.call, status=answer.status, body=answer.body, retry_after_s=answer.retry_after_s)


def _status(outcome: Message) -> str:
    return str(outcome.status) if isinstance(outcome, CallAnswered) else "none"
