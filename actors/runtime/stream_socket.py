"""The socket of one streaming connection: `websockets` on the running event loop. It carries, it never decides.

Frames are taken as they are read (`stream_tap`), before the receive queue: a reader task of our own would cost
a third of the ingest budget. What the actor has not taken gathers here, up to a bound; past it everything is dropped
and said so, for a book that misses one change is worthless (faults A10).
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import tenacity
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from actors.runtime.role import Port
from actors.runtime.stream import CloseSocket, OpenSocket, SendSubscribe, TakeFrames
from actors.runtime.stream_tap import Tap
from protocol.base import Effect
from protocol.coinbase.websocket import MAX_FRAME_BYTES, MAX_MESSAGES_PER_S, Subscribe, Unsubscribe
from protocol.coinbase.wire import encode
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.instants import SECOND_NS

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
BATCH_FRAMES = 32
GATHER_S = 0.02
"""While frames come densely, batches are at least so far apart unless full: a burst is worth one wake."""
DENSE_S = 0.001
"""Frames closer than this on average are dense; others go at once, for an exit may hang on each."""
SMOOTH = 8
MAX_WAITING_FRAMES = 20_000
MAX_WAITING_BYTES = 128 * 1024 * 1024
ABNORMAL = 1006
BACK_OFF = tenacity.wait_random_exponential(multiplier=0.25, max=30, min=0.25)

Signer = Callable[[], str]
"""Makes a fresh token for one message."""


class Pace:
    """A budget shared by connections: slots at least `interval_ns` apart, given out in order of asking."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._next_ns = 0

    def wait_s(self, now_ns: int) -> float:
        """Reserve the next slot; how long until it comes."""
        slot_ns = max(self._next_ns, now_ns)
        self._next_ns = slot_ns + self._interval_ns
        return (slot_ns - now_ns) / SECOND_NS


class Budget:
    """What the venue allows one address: a connection per second, eight messages per second (faults A19)."""

    def __init__(self) -> None:
        self.connections = Pace(SECOND_NS)
        self.messages = Pace(SECOND_NS // MAX_MESSAGES_PER_S)


def retry_s(attempt: int) -> float:
    """The wait after the `attempt`th failure in a row, drawn with jitter: 0.25 s to at most 30 s."""
    state = tenacity.RetryCallState(retry_object=tenacity.Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    return BACK_OFF(state)


class StreamSocket:
    """The edge of a market or user connection. Lives on the event loop that its actor is stepped on."""

    def __init__(self, url: str, budget: Budget, sign: Signer | None = None) -> None:
        self._url = url
        self._budget = budget
        self._sign = sign
        self._port: Port
        self._tasks: set[asyncio.Task[None]] = set()
        self._live: Tap | None = None
        self._connection = 0
        self._outbox: asyncio.Queue[SendSubscribe] = asyncio.Queue()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._lost = False
        self._taken = False  # nothing is handed over before `SocketOpened`
        self._handed_s = 0.0
        self._gap_s = 1.0  # smoothed time between frames
        self._alarm: asyncio.TimerHandle | None = None
        self._close_reason = ""

    def bind(self, port: Port) -> None:
        """Learn whose edge this is."""
        self._port = port

    def perform(self, effect: Effect) -> None:
        """Carry out one of the session's effects."""
        match effect:
            case TakeFrames() if effect.connection == self._connection:
                self._taken = True
                self._hand_over()
            case OpenSocket():
                self._open(effect)
            case SendSubscribe() if effect.connection == self._connection:
                self._outbox.put_nowait(effect)
            case CloseSocket() if effect.connection == self._connection:
                self._close(effect.reason)

    def close(self) -> None:
        """Let go of the connection and of every task."""
        if self._live is not None:
            self._live.transport.abort()
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._tasks:
            task.cancel()

    def _open(self, effect: OpenSocket) -> None:
        self._connection = effect.connection
        self._outbox = asyncio.Queue()
        self._waiting, self._waiting_bytes, self._lost, self._taken = [], 0, False, False
        self._close_reason = ""
        self._start(self._run(effect))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._port.failed(error)

    def _close(self, reason: str) -> None:
        self._close_reason = reason
        if self._live is not None:
            self._live.transport.abort()  # a half-open peer would not answer a polite close

    async def _run(self, effect: OpenSocket) -> None:
        """One connection from its slot in the budget to its end, which is always told."""
        code, reason = ABNORMAL, ""
        try:
            await asyncio.sleep(self._budget.connections.wait_s(self._port.now_ns()))
            code, reason = await self._converse(effect.connection)
        except (OSError, TimeoutError, EOFError, WebSocketException) as exc:
            reason = type(exc).__name__
        self._live, self._waiting = None, []
        closed = SocketClosed(
            connection=effect.connection,
            code=code,
            reason=self._close_reason or reason,
            retry_s=retry_s(effect.attempt),
        )
        self._port.tell(self._port.name, closed)

    async def _converse(self, connection: int) -> tuple[int, str]:
        options: dict[str, Any] = {"proxy": None} if self._url.startswith("ws://") else {}
        async with connect(
            self._url,
            create_connection=cast("type[ClientConnection]", self._tap),  # any maker of one will do
            max_size=MAX_FRAME_BYTES,
            compression=None if self._url.startswith("ws://") else "deflate",
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # the venue's heartbeats tell more, and the session listens for them
            **options,
        ) as live:
            self._port.tell(self._port.name, SocketOpened(connection=connection))
            self._taken = True
            self._hand_over()  # what came before we could say that it stands
            sender = asyncio.create_task(self._send(live))
            await live.wait_closed()
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            return live.close_code or ABNORMAL, live.close_reason or ""

    def _tap(self, *args: Any, **options: Any) -> Tap:
        tap = Tap(*args, **options)
        tap.sink = self._arrived
        self._live = tap
        return tap

    async def _send(self, live: ClientConnection) -> None:
        while True:
            request = await self._outbox.get()
            await asyncio.sleep(self._budget.messages.wait_s(self._port.now_ns()))
            kind = Subscribe if request.subscribe else Unsubscribe
            token = self._sign() if self._sign is not None else ""
            message = kind(product_ids=request.product_ids, channel=request.channel, jwt=token)
            await live.send(encode(message), text=True)

    def _arrived(self, data: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING_FRAMES or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._lost = True
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._taken:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the actor what gathered, one batch at a time: under load the batches grow, not the mailbox."""
        full = len(self._waiting) >= BATCH_FRAMES
        if not self._taken or not self._waiting or (self._alarm is not None and not full):
            return
        loop = asyncio.get_running_loop()
        early_s = self._handed_s + GATHER_S - loop.time()
        if full or early_s <= 0 or self._gap_s > DENSE_S:
            self._give(loop.time())
        else:
            self._alarm = loop.call_later(early_s, self._gathered)

    def _gathered(self) -> None:
        self._alarm = None
        if self._taken and self._waiting:
            self._give(asyncio.get_running_loop().time())

    def _give(self, now_s: float) -> None:
        gap_s, self._handed_s = (now_s - self._handed_s) / len(self._waiting), now_s
        self._gap_s += (min(gap_s, GATHER_S) - self._gap_s) / SMOOTH
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        batch, self._waiting = self._waiting[:BATCH_FRAMES], self._waiting[BATCH_FRAMES:]
        self._waiting_bytes -= sum(map(len, batch))
        self._taken = False
        frames = FramesArrived(
            connection=self._connection, frames=tuple(batch), received_ns=self._port.now_ns(), lost=self._lost
        )
        self._lost = False
        self._port.tell(self._port.name, frames)
