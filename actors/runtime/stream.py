"""One connection to a streaming venue, as a pure session: subscribe, sequence, heartbeats, back-off.

Pure. Market and user connections share it; what the frames mean stays with their rooms. Rules: Coinbase Advanced
Trade WebSocket (docs: first subscribe within 5 s, one sequence per connection over all channels, one heartbeat per
second) and requirements ST1.
"""

from enum import Enum
from functools import lru_cache
from typing import get_args

import msgspec

from protocol.base import Effect, Effects
from protocol.coinbase.websocket import SUBSCRIBE_DEADLINE_S, ErrorFrame, ServerFrame, decode_frame
from protocol.coinbase.wire import BadWire, parse_rfc3339
from protocol.effects import ClearTimer, SetTimer
from protocol.feed import SocketClosed
from protocol.instants import SECOND_NS

QUIET_NS = 2_500_000_000
DEAD_AFTER = 4
"""A connection without heartbeats is given up after so many times what makes it quiet."""
RESYNC_PAUSE_NS = SECOND_NS
_ANY = -2
ACKNOWLEDGE_NS = int(SUBSCRIBE_DEADLINE_S * SECOND_NS)

CONNECT = "connect"
QUIET = "quiet"
DEAD = "dead"
ACKNOWLEDGE = "acknowledge"
RESYNC = "resync"


class OpenSocket(Effect, frozen=True, kw_only=True, tag="stream.open"):
    """Connect as number `connection`, when the shared budget allows. `attempt` from 1 scales the next wait."""

    connection: int
    attempt: int


class SendSubscribe(Effect, frozen=True, kw_only=True, tag="stream.subscribe"):
    """(Un)subscribe one channel; the edge signs it anew when it has a key."""

    connection: int
    channel: str
    product_ids: tuple[str, ...]
    subscribe: bool = True


class CloseSocket(Effect, frozen=True, kw_only=True, tag="stream.close"):
    """End this connection; `SocketClosed` follows."""

    connection: int
    reason: str


class TakeFrames(Effect, frozen=True, kw_only=True, tag="stream.take"):
    """The last frames are handled: hand over what has gathered meanwhile."""

    connection: int


class Phase(Enum):
    """Where a connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    BACKING_OFF = "backing_off"


class Arrival(Enum):
    """What a frame's sequence number says."""

    IN_ORDER = "in_order"
    GAP = "gap"
    OLD = "old"


class Subscription(msgspec.Struct, frozen=True):
    """One channel and its products; none: a channel without products."""

    channel: str
    product_ids: tuple[str, ...] = ()


class Request(msgspec.Struct, frozen=True):
    """A message of ours that the venue has not answered yet."""

    subscription: Subscription
    subscribe: bool
    retried: bool = False


class Stream:
    """The session. Mutable, for it is asked at every frame; only its actor's step touches it."""

    __slots__ = ("acknowledged", "attempt", "beating", "connection", "last", "pending", "phase", "quiet_ns", "wanted")

    def __init__(self, wanted: tuple[Subscription, ...], quiet_ns: int = QUIET_NS) -> None:
        self.wanted = wanted
        self.quiet_ns = quiet_ns
        self.phase = Phase.IDLE
        self.connection = 0
        self.attempt = 0
        self.last = -1
        self.beating = False
        self.pending: list[Request] = []
        self.acknowledged: dict[str, tuple[str, ...]] = {}

    def connect(self, now_ns: int) -> Effects:
        """Ask for a new connection. Its number never repeats, for mail of an earlier incarnation may still come."""
        self.phase = Phase.CONNECTING
        self.connection = max(now_ns, self.connection + 1)
        self.attempt += 1
        self._forget()
        return (OpenSocket(connection=self.connection, attempt=self.attempt),)

    def _forget(self) -> None:
        self.last = -1
        self.beating = False
        self.pending = []
        self.acknowledged = {}

    def opened(self, now_ns: int) -> Effects:
        """The connection stands: subscribe everything at once, heartbeats first, and start to listen for them."""
        self.phase = Phase.SUBSCRIBING
        asked = [effect for subscription in self.wanted for effect in self.ask(subscription, now_ns)]
        return (*asked, *self._listen(now_ns))

    def ask(self, subscription: Subscription, now_ns: int, *, subscribe: bool = True) -> Effects:
        """(Un)subscribe, and expect an answer in time."""
        self.pending.append(Request(subscription, subscribe))
        return (
            self._send(subscription, subscribe=subscribe),
            SetTimer(timer=ACKNOWLEDGE, due_ns=now_ns + ACKNOWLEDGE_NS),
        )

    def _send(self, subscription: Subscription, *, subscribe: bool) -> SendSubscribe:
        return SendSubscribe(
            connection=self.connection,
            channel=subscription.channel,
            product_ids=subscription.product_ids,
            subscribe=subscribe,
        )

    def _listen(self, now_ns: int) -> Effects:
        return (
            SetTimer(timer=QUIET, due_ns=now_ns + self.quiet_ns),
            SetTimer(timer=DEAD, due_ns=now_ns + DEAD_AFTER * self.quiet_ns),
        )

    def closed(self, message: SocketClosed, now_ns: int) -> Effects:
        """Any close, any code: wait as drawn, then connect again."""
        self.phase = Phase.BACKING_OFF
        self._forget()
        return (
            ClearTimer(timer=QUIET),
            ClearTimer(timer=DEAD),
            ClearTimer(timer=ACKNOWLEDGE),
            SetTimer(timer=CONNECT, due_ns=now_ns + int(message.retry_s * SECOND_NS)),
        )

    def close(self, reason: str) -> Effects:
        """Give this connection up."""
        return (CloseSocket(connection=self.connection, reason=reason),)

    def arrival(self, sequence: int) -> Arrival:
        """Place a frame in the connection's one sequence, which starts at 0 and rises by 1."""
        expected = self.last + 1 if self.last != _ANY else sequence
        if sequence < expected:
            return Arrival.OLD
        self.last = sequence
        return Arrival.IN_ORDER if sequence == expected else Arrival.GAP

    def follows(self, sequence: int) -> bool:
        """Whether this frame is the very next; then it counts as arrived."""
        if sequence != self.last + 1:
            return False
        self.last = sequence
        return True

    def skip(self) -> None:
        """Frames were dropped here, and that is being dealt with: the next one is no further gap."""
        self.last = _ANY

    def beat(self, now_ns: int) -> Effects:
        """A heartbeat came: the connection is alive, and a later failure starts its back-off anew."""
        self.beating = True
        self.attempt = 0
        return self._listen(now_ns)

    def listed(self, channels: dict[str, tuple[str, ...] | None]) -> tuple[Subscription, ...]:
        """The venue listed its whole current set. Returns what was asked and is not in it (a misspelt product)."""
        self.acknowledged = {channel: tuple(products or ()) for channel, products in channels.items()}
        answered = next((request for request in self.pending if self._answers(request)), None)
        if answered is None:
            return ()
        self.pending.remove(answered)
        if not self.pending:
            self.phase = Phase.LIVE
        absent = self._absent(answered.subscription) if answered.subscribe else ()
        return (Subscription(answered.subscription.channel, absent),) if absent else ()

    def _answers(self, request: Request) -> bool:
        """The first unanswered request of its channel is answered once the list reflects it."""
        channel, wanted = request.subscription.channel, set(request.subscription.product_ids)
        first = next(other for other in self.pending if other.subscription.channel == channel)
        if first is not request:
            return False
        if request.subscribe:
            return channel in self.acknowledged
        return not (wanted & set(self.acknowledged.get(channel, ())) if wanted else channel in self.acknowledged)

    def _absent(self, subscription: Subscription) -> tuple[str, ...]:
        listed = self.acknowledged.get(subscription.channel, ())
        return tuple(product for product in subscription.product_ids if product not in listed)

    def refused(self) -> tuple[Request | None, Effects]:
        """An error frame answers the oldest open request: repeat it once with a new token, then give up.

        Returns the request that is given up, if any.
        """
        if not self.pending:
            return None, ()
        request = self.pending.pop(0)
        if request.retried:
            return request, ()
        self.pending.append(Request(request.subscription, request.subscribe, retried=True))
        return None, (self._send(request.subscription, subscribe=request.subscribe),)

    def is_acknowledged(self, channel: str, product_id: str) -> bool:
        """The venue says that it sends us this."""
        return product_id in self.acknowledged.get(channel, ())


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a channel that we do not know: it counts in the sequence and says nothing (faults A12)."""

    channel: str
    sequence_num: int


_envelope = msgspec.json.Decoder(Unknown)
_KNOWN = frozenset(kind.__struct_config__.tag for kind in get_args(ServerFrame))


def read_frame(raw: bytes) -> ServerFrame | ErrorFrame | Unknown | None:
    """Decode one frame; None: not what a venue says (faults A11). What it lost shows as a gap at the next one."""
    try:
        return decode_frame(raw)
    except BadWire:
        return _unknown(raw)


def _unknown(raw: bytes) -> Unknown | None:
    try:
        found = _envelope.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return None if found.channel in _KNOWN else found


def stamp_ns(text: str) -> int:
    """RFC 3339 as UTC ns, quickly, for stamps that come at every frame. Raises BadWire: it is not one; 0: zero time."""
    if len(text) < 20 or text[-1] != "Z" or (text[19] != "." and len(text) != 20):
        return parse_rfc3339(text) or 0
    fraction = text[20:-1]
    if not fraction:
        return _second_ns(text[:19])
    if not (fraction.isdigit() and len(fraction) <= 9):
        raise BadWire("not an RFC 3339 time in UTC")
    return int(fraction.ljust(9, "0")) + _second_ns(text[:19])


@lru_cache(maxsize=64)
def _second_ns(second: str) -> int:
    return parse_rfc3339(second + "Z") or 0
