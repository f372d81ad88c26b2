"""One connection's outgoing side: numbers and faults; over a WebSocket also an outbox that nobody can make grow."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from actors.venue.faults import FRAMES, FaultPlan, rewritten
from actors.venue.instants import MILLISECOND_NS, SECOND_NS
from actors.venue.server_channels import LEVEL2
from actors.venue.server_frames import Frame

PATIENCE_NS = 20 * SECOND_NS
"""How long a frame may wait for a consumer that does not read; then the connection is cut."""
SUBSCRIBE_DEADLINE_NS = 5 * SECOND_NS
SILENCE_NS = 90 * SECOND_NS
CUT = 1006


class Session(ABC):
    """Numbers frames and lets faults strike them. `subscribed`: product ids by channel, in the order of asking."""

    def __init__(self, faults: FaultPlan, clock_ns: Callable[[], int]) -> None:
        self.subscribed: dict[str, dict[str, None]] = {}
        self.user = ""
        self.asked = False
        self.opened_ns = self.sent_ns = clock_ns()
        self.closed_by: set[tuple[int, int]] = set()
        self._faults = faults
        self._clock_ns = clock_ns
        self._sequence = 0
        self._held: str | None = None

    @abstractmethod
    def put(self, text: str, due_ns: int) -> None:
        """Take a frame to be sent, not before `due_ns` where that is not 0."""

    @abstractmethod
    def close(self, code: int) -> None:
        """Close with a code; 1006 cuts the connection without a word."""

    @abstractmethod
    def stalled(self, now_ns: int) -> bool:
        """The consumer has not taken a single frame for too long."""

    def send(self, frame: Frame) -> None:
        """Number a frame and queue it, unless a fault has it otherwise."""
        now_ns = self._clock_ns()
        names = (frame.channel, LEVEL2) if frame.channel == "l2_data" else (frame.channel,)
        struck = self._faults.strike(FRAMES, names, now_ns)
        if "ws_mute" in struck:
            return
        text = frame.text(self._sequence, client_id=bool(self.user))
        self._sequence += 1
        if not struck:
            self._queue(text, 0)
        elif not struck.keys() & {"ws_silence", "ws_gap"}:
            self._send_struck(text, {kind: fault.parameters for kind, fault in struck.items()}, now_ns)

    def send_error(self, text: str) -> None:
        """Queue an error frame, which has no number."""
        self._queue(text, 0)

    def expired(self, now_ns: int) -> bool:
        """Nothing was subscribed in time, or nothing was said for too long."""
        late = not self.asked and now_ns - self.opened_ns > SUBSCRIBE_DEADLINE_NS
        return late or now_ns - self.sent_ns > SILENCE_NS

    def _send_struck(self, text: str, struck: dict[str, dict[str, Any]], now_ns: int) -> None:
        if "ws_rewrite" in struck:
            members = struck["ws_rewrite"].get("members", {})
            text = msgspec.json.encode(rewritten(msgspec.json.decode(text), members)).decode()
        if "ws_malformed" in struck:
            text = text[: len(text) // 2]
        if "ws_reorder" in struck and self._held is None:
            self._held = text
            return
        lag_ms = int(str(struck["ws_delay"].get("ms", 1000))) if "ws_delay" in struck else 0
        due_ns = now_ns + lag_ms * MILLISECOND_NS if lag_ms else 0
        for _ in range(2 if "ws_duplicate" in struck else 1):
            self._queue(text, due_ns)

    def _queue(self, text: str, due_ns: int) -> None:
        self.sent_ns = self._clock_ns()
        held, self._held = self._held, None
        for one in (text, held):
            if one is not None:
                self.put(one, due_ns)


class Connection(Session):
    """A session on a WebSocket; sends frames in order."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, faults: FaultPlan, clock_ns: Callable[[], int]
    ) -> None:
        super().__init__(faults, clock_ns)
        self._socket = socket
        self._transport = request.transport
        self._outbox: deque[tuple[int, str]] = deque()
        self._waiting_ns: int | None = None
        self._ready = asyncio.Event()
        self._closing: asyncio.Task[bool] | None = None

    def put(self, text: str, due_ns: int) -> None:
        """Queue it."""
        self._outbox.append((due_ns, text))
        self._ready.set()

    def stalled(self, now_ns: int) -> bool:
        """The consumer has not taken a single frame for too long."""
        return self._waiting_ns is not None and now_ns - self._waiting_ns > PATIENCE_NS

    def close(self, code: int) -> None:
        """Close with a code; 1006 cuts the connection without a word."""
        if code == CUT:
            self._cut()
        elif self._closing is None:
            self._closing = asyncio.ensure_future(self._socket.close(code=code))

    async def write(self) -> None:
        """Send what is queued until cancelled."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._outbox:
                due_ns, text = self._outbox.popleft()
                if due_ns:
                    await asyncio.sleep(max(due_ns - self._clock_ns(), 0) / SECOND_NS)
                self._waiting_ns = self._clock_ns()
                await self._socket.send_str(text)
                self._waiting_ns = None

    def _cut(self) -> None:
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()
