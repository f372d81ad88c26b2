"""The HTTP edge: signs, fences, sends, and says what came of it. It never decides and never retries.

Fencing stands immediately before the socket write (architecture §4): a place request leaves only while its epoch is
current, the pump has come round within the last second, and it is not too old.
"""

import asyncio
import secrets
from collections.abc import Callable

import aiohttp
from yarl import URL

from actors.runtime.role import Epoch, Heartbeat, Port
from protocol.base import Effect, Message
from protocol.coinbase.auth import sign_rest
from protocol.coinbase.endpoints import Endpoint, Scope
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS
from protocol.transport import CallAnswered, CallBroken, HttpCall, SignWith

PUMP_LIMIT_NS = SECOND_NS
CONNECT_S = 1.0
MAX_BODY = 32 * 1024 * 1024

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
        self._offset_ns = 0
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port: Port | None = None

    def bind(self, port: Port) -> None:
        """Open the session; connections are made when first needed and kept warm."""
        self._port = port
        connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=60.0)
        jar = aiohttp.DummyCookieJar()  # the venue's edge sets cookies that mean nothing to it
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=True)

    def perform(self, effect: Effect) -> None:
        """Start a call, or take the venue's clock over."""
        match effect:
            case HttpCall():
                assert self._port is not None, "bound before the first effect"
                task = asyncio.get_running_loop().create_task(self._call(effect, self._port.cause))
                self._tasks.add(task)
                task.add_done_callback(self._landed)
            case SignWith():
                self._offset_ns = effect.offset_ns
            case _:
                raise TypeError(f"not an effect of the gateway: {type(effect).__name__}")

    def close(self) -> None:
        """Drop what is on its way: its outcome is unknown, and its owner has a deadline of its own."""
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
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
        endpoint = Endpoint[call.endpoint]
        try:
            headers = self._headers(endpoint, call.path)
        except LookupError as exc:
            return CallBroken(call=call.call, kind="connection", detail=str(exc), sent=False)
        assert self._port is not None, "bound before the first effect"
        fenced = refusal(call, self._port, self._epoch, self._heartbeat)
        if fenced:
            return CallBroken(call=call.call, kind="fenced", detail=fenced, sent=False)
        return await self._send(call, endpoint, headers)

    def _headers(self, endpoint: Endpoint, path: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
        if endpoint.scope is Scope.PUBLIC:
            return headers
        if self._key is None:
            raise LookupError("no key is loaded in this mode")
        assert self._port is not None, "bound before the first effect"
        host = self._url.authority if self._url.explicit_port else (self._url.host or "")
        now_s = (self._port.now_ns() + self._offset_ns) // SECOND_NS
        nonce = secrets.token_hex(32)
        token = sign_rest(self._key, endpoint.method, host, path, now_s=now_s, nonce=nonce, life_s=self._life_s)
        return {**headers, "Authorization": f"Bearer {token}"}

    async def _send(self, call: HttpCall, endpoint: Endpoint, headers: dict[str, str]) -> Message:
        assert self._session is not None, "open while bound"
        url = self._url.join(URL(f"{call.path}?{call.query}" if call.query else call.path, encoded=True))
        timeout = aiohttp.ClientTimeout(total=call.timeout_s, sock_connect=CONNECT_S)
        try:
            async with self._session.request(
                endpoint.method, url, data=call.body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_BODY)
                while not answer.content.at_eof() and len(body) < MAX_BODY:
                    body += await answer.content.read(MAX_BODY)
                after = answer.headers.get("Retry-After", "")
                return CallAnswered(
                    call=call.call,
                    status=answer.status,
                    body=body,
                    retry_after_s=float(after) if after.isdigit() else 0.0,
                )
        except aiohttp.ClientConnectorError as exc:
            return CallBroken(call=call.call, kind="connection", detail=type(exc).__name__, sent=False)
        except TimeoutError:
            return CallBroken(call=call.call, kind="timeout", detail=f"after {call.timeout_s:g} s", sent=True)
        except (aiohttp.ClientError, OSError) as exc:
            return CallBroken(call=call.call, kind="connection", detail=type(exc).__name__, sent=True)


def _status(outcome: Message) -> str:
    return str(outcome.status) if isinstance(outcome, CallAnswered) else "none"
