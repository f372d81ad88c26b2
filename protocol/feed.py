"""What passes between a socket, its connection actor, and the products' feeds. It never leaves the I/O pump.

Rows are the venue's own structs and texts as decoded (Coinbase Advanced Trade WebSocket, channels l2_data and
market_trades), handed on without a copy.
"""

import msgspec

from protocol.base import Message
from protocol.coinbase.websocket import L2Update, Trade
from protocol.ids import ProductId
from protocol.market import FeedStatus


class SocketOpened(Message, frozen=True, kw_only=True, tag="feed.socket_opened"):
    """Connection number `connection` stands; nothing has been sent on it yet."""

    connection: int


class SocketClosed(Message, frozen=True, kw_only=True, tag="feed.socket_closed"):
    """The connection ended or never came to be; said once per connection, whatever the code (1006: without one).

    `retry_s`: the wait before the next try, drawn with jitter by the edge, for cores have no chance of their own.
    """

    connection: int
    code: int
    reason: str
    retry_s: float


class FramesArrived(Message, frozen=True, kw_only=True, tag="feed.frames"):
    """Text frames in order of arrival. `lost`: before these the buffer overflowed, and everything in it was dropped."""

    connection: int
    frames: tuple[bytes, ...]
    received_ns: int
    lost: bool = False


class Levels(msgspec.Struct, frozen=True, gc=False):
    """One l2_data event: a full snapshot, or a batch of changes to be applied whole before anybody looks.

    `stamp`: the frame's RFC 3339 text, for a batch that tells no time of its own.
    """

    snapshot: bool
    rows: tuple[L2Update, ...]
    stamp: str


class Trades(msgspec.Struct, frozen=True, gc=False):
    """One market_trades event for one product. A snapshot's trades were before the subscription: no new volume."""

    snapshot: bool
    rows: tuple[Trade, ...]
    venue_ns: int


class FeedData(Message, frozen=True, kw_only=True, tag="feed.data"):
    """In-sequence events of one product, oldest first.

    `vouched_ns`: venue time of the newest frame behind this, or 0 while the connection vouches for nothing (level2
    not acknowledged, or heartbeats late; requirements ST1).
    """

    parts: list[Levels | Trades]
    vouched_ns: int
    received_ns: int


class FeedPulse(Message, frozen=True, kw_only=True, tag="feed.pulse"):
    """A heartbeat came (`alive`), about once a second; or none came for 2.5 s. `vouched_ns` as in `FeedData`."""

    alive: bool
    vouched_ns: int
    received_ns: int


class FeedReset(Message, frozen=True, kw_only=True, tag="feed.reset"):
    """The book is void until the next snapshot; `detail` says why.

    `trades_lost`: trades may have been missed too. `whole_ns`: the venue time from which on none is missed; 0: only
    the next trade snapshot will tell.
    """

    status: FeedStatus
    detail: str
    trades_lost: bool
    whole_ns: int = 0


class FeedContinue(Message, frozen=True, kw_only=True, tag="feed.continue"):
    """A feed to itself: apply the next slice of snapshot number `load`."""

    load: int


class ResyncWanted(Message, frozen=True, kw_only=True, tag="feed.resync"):
    """A feed to its connection: get this product a new level2 snapshot. Asking twice is asking once."""

    product_id: ProductId
    reason: str


FeedMessage = (
    SocketOpened | SocketClosed | FramesArrived | FeedData | FeedPulse | FeedReset | FeedContinue | ResyncWanted
)
