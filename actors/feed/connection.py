"""One market-data connection `market:<n>` of up to 16 level2 products, shared by their feeds. Pure.

It subscribes, keeps the connection's one sequence, listens for heartbeats, and hands each feed its products' events in
order. A lost message voids every book of the connection; a book without snapshot is asked for again.
"""

from collections.abc import Mapping

import msgspec

from actors.runtime import stream as session
from actors.runtime.stream import Arrival, Phase, Stream, Subscription, TakeFrames, Unknown, read_frame, stamp_ns
from protocol.base import Effect, Effects, Message
from protocol.coinbase.websocket import (
    LEVEL2,
    MAX_LEVEL2_PRODUCTS,
    ErrorFrame,
    Heartbeats,
    L2Data,
    MarketTrades,
    ServerFrame,
    Subscriptions,
)
from protocol.coinbase.wire import BadWire
from protocol.effects import Count, LogLine, Note, Retire, SetTimer, Tell
from protocol.feed import (
    FeedData,
    FeedPulse,
    FeedReset,
    FramesArrived,
    Levels,
    ResyncWanted,
    SocketClosed,
    SocketOpened,
    Trades,
)
from protocol.ids import ProductId
from protocol.instants import MINUTE_NS, SECOND_NS
from protocol.lifecycle import Recover, Stop, Wake
from protocol.market import FeedStatus
from protocol.risk import Alert

HEARTBEATS = "heartbeats"
TRADES = "market_trades"
SNAPSHOT_NS = 5 * SECOND_NS
SNAPSHOT_TRIES = 3
PARKED_NS = 300 * SECOND_NS
MALFORMED_PER_MINUTE = 3
OVERFLOW_CARE_NS = 5 * SECOND_NS
"""After an overflow trades count as whole again only so much later: what was dropped is at most that new."""


class Route(msgspec.Struct, frozen=True):
    """A product as the venue labels its data (`BTC-USD`), and the products of ours it stands for (also `BTC-USDC`)."""

    wire_id: str
    product_ids: tuple[ProductId, ...]


class Market:
    """State of one connection. Mutable, for it is touched at every frame; only `step` touches it."""

    __slots__ = ("awaited", "feeds", "frames", "malformed", "resynced_ns", "stamp", "stream", "tries", "vouched")

    def __init__(self, routes: tuple[Route, ...], quiet_ns: int = session.QUIET_NS) -> None:
        wire_ids = tuple(route.wire_id for route in routes)
        if len(wire_ids) > MAX_LEVEL2_PRODUCTS:
            raise ValueError(f"a connection takes {MAX_LEVEL2_PRODUCTS} level2 products, not {len(wire_ids)}")
        wanted = (Subscription(HEARTBEATS), Subscription(LEVEL2, wire_ids), Subscription(TRADES, wire_ids))
        self.stream = Stream(wanted, quiet_ns)
        self.feeds = {route.wire_id: tuple(feed_name(product) for product in route.product_ids) for route in routes}
        self.awaited: dict[str, int] = {}  # wire id -> when to ask again for its snapshot
        self.tries: dict[str, int] = {}
        self.resynced_ns = 0
        self.stamp = ""
        self.vouched: frozenset[str] = frozenset()
        self.malformed: list[int] = []
        self.frames = 0

    def venue_ns(self) -> int:
        """Venue time of the newest in-sequence frame; 0: it told none that can be read."""
        try:
            return stamp_ns(self.stamp)
        except BadWire:
            return 0


def share_out(aliases: Mapping[ProductId, str]) -> tuple[tuple[Route, ...], ...]:
    """Divide products over connections. `aliases`: product -> the product whose book it shares, or "" (rest.md §4)."""
    behind: dict[str, list[ProductId]] = {}
    for product_id, alias in aliases.items():
        behind.setdefault(alias or product_id, []).append(product_id)
    routes = [Route(wire_id, tuple(product_ids)) for wire_id, product_ids in behind.items()]
    return tuple(tuple(routes[at : at + MAX_LEVEL2_PRODUCTS]) for at in range(0, len(routes), MAX_LEVEL2_PRODUCTS))


def feed_name(product_id: str) -> str:
    """The address of a product's feed."""
    return f"feed:{product_id}"


def step(state: Market, message: Message, now_ns: int) -> tuple[Market, Effects]:
    """Advance one connection by one message."""
    out: list[Effect] = []
    match message:
        case FramesArrived():
            _arrived(state, message, now_ns, out)
        case Recover():
            out += state.stream.connect(now_ns)
        case SocketOpened() if message.connection == state.stream.connection:
            _opened(state, now_ns, out)
        case SocketClosed() if message.connection == state.stream.connection:
            _closed(state, message, now_ns, out)
        case Wake():
            _woke(state, message.timer, now_ns, out)
        case ResyncWanted():
            _wanted(state, message, now_ns, out)
        case Stop():
            out += (*state.stream.close("stop"), Retire())
    return state, tuple(out)


def _opened(state: Market, now_ns: int, out: list[Effect]) -> None:
    out += state.stream.opened(now_ns)
    state.tries = dict.fromkeys(state.feeds, 1)
    state.awaited = dict.fromkeys(state.feeds, now_ns + SNAPSHOT_NS)
    _reset(state, tuple(state.feeds), FeedReset(status=FeedStatus.SYNCING, detail="connected", trades_lost=True), out)
    _arm(state, now_ns, out)


def _closed(state: Market, message: SocketClosed, now_ns: int, out: list[Effect]) -> None:
    out += state.stream.closed(message, now_ns)
    state.vouched, state.awaited = frozenset(), {}
    detail = f"closed {message.code} {message.reason}".strip()
    _reset(state, tuple(state.feeds), FeedReset(status=FeedStatus.DOWN, detail=detail, trades_lost=True), out)
    out.append(Count(metric="feed_closes", labels=(("code", str(message.code)),)))


def _woke(state: Market, timer: str, now_ns: int, out: list[Effect]) -> None:
    match timer:
        case session.CONNECT if state.stream.phase is Phase.BACKING_OFF:
            out += state.stream.connect(now_ns)
        case session.QUIET:
            _quiet(state, now_ns, out)
        case session.DEAD:
            out += state.stream.close("no heartbeat")
        case session.ACKNOWLEDGE if state.stream.pending:
            missing = ", ".join(request.subscription.channel for request in state.stream.pending)
            _alert(out, "subscription", missing, "subscription not acknowledged in time; connecting anew", now_ns)
            out += state.stream.close("not acknowledged")
        case session.RESYNC:
            _resync(state, now_ns, out)


def _quiet(state: Market, now_ns: int, out: list[Effect]) -> None:
    state.vouched = frozenset()
    state.stream.beating = False
    pulse = FeedPulse(alive=False, vouched_ns=0, received_ns=now_ns)
    out += [Tell(to=name, message=pulse) for names in state.feeds.values() for name in names]


# ---- frames


def _arrived(state: Market, message: FramesArrived, now_ns: int, out: list[Effect]) -> None:
    if message.connection != state.stream.connection:
        return
    gathered: dict[str, list[Levels | Trades]] = {}
    if message.lost:
        _overflowed(state, now_ns, out)
    for raw in message.frames:
        try:
            _frame(state, raw, gathered, now_ns, out)
        except BadWire:  # its place in the sequence is known, its content is not: that is a loss
            _malformed(state, now_ns, out)
            _flush(state, gathered, message.received_ns, out)
            _void(state, "malformed frame", state.venue_ns(), now_ns, out)
    _flush(state, gathered, message.received_ns, out)
    state.frames += len(message.frames)
    out.append(TakeFrames(connection=message.connection))


def _frame(
    state: Market, raw: bytes, gathered: dict[str, list[Levels | Trades]], now_ns: int, out: list[Effect]
) -> None:
    frame = read_frame(raw)
    if type(frame) is L2Data and state.stream.follows(frame.sequence_num):  # nearly always
        state.stamp = frame.timestamp
        _levels(state, frame, gathered)
    elif frame is None:
        _malformed(state, now_ns, out)
    elif isinstance(frame, ErrorFrame):
        _refused(state, frame, now_ns, out)
    else:
        _numbered(state, frame, gathered, now_ns, out)


def _numbered(
    state: Market,
    frame: ServerFrame | Unknown,
    gathered: dict[str, list[Levels | Trades]],
    now_ns: int,
    out: list[Effect],
) -> None:
    arrival = state.stream.arrival(frame.sequence_num)
    if arrival is Arrival.OLD:
        out.append(Count(metric="feed_old_frames"))
        return
    if not isinstance(frame, Unknown):
        state.stamp = frame.timestamp
    if arrival is Arrival.GAP:
        _flush(state, gathered, now_ns, out)
        _gap(state, now_ns, out)
    if isinstance(frame, Unknown):
        out.append(Count(metric="feed_unknown_frames"))
    elif isinstance(frame, L2Data):
        _levels(state, frame, gathered)
    elif isinstance(frame, MarketTrades):
        _trades(frame, state.venue_ns(), gathered)
    else:
        _seldom(state, frame, now_ns, out)


def _levels(state: Market, frame: L2Data, gathered: dict[str, list[Levels | Trades]]) -> None:
    for event in frame.events:
        snapshot = _is_snapshot(event.type)
        if snapshot:
            state.awaited.pop(event.product_id, None)
            state.tries[event.product_id] = 0
        part = Levels(snapshot, event.updates, frame.timestamp)
        if event.product_id in gathered:
            gathered[event.product_id].append(part)
        else:
            gathered[event.product_id] = [part]


def _trades(frame: MarketTrades, venue_ns: int, gathered: dict[str, list[Levels | Trades]]) -> None:
    for event in frame.events:
        for product in {trade.product_id: None for trade in event.trades}:
            rows = tuple(trade for trade in event.trades if trade.product_id == product)
            gathered.setdefault(product, []).append(Trades(_is_snapshot(event.type), rows, venue_ns))


def _is_snapshot(kind: str) -> bool:
    if kind == "update":
        return False
    if kind == "snapshot":
        return True
    raise BadWire("event is neither snapshot nor update")


def _seldom(state: Market, frame: ServerFrame, now_ns: int, out: list[Effect]) -> None:
    if isinstance(frame, Heartbeats):
        _beat(state, now_ns, out)
    elif isinstance(frame, Subscriptions):
        for event in frame.events:
            _acknowledged(state, event.subscriptions, now_ns, out)


def _flush(state: Market, gathered: dict[str, list[Levels | Trades]], received_ns: int, out: list[Effect]) -> None:
    for wire_id, parts in gathered.items():
        vouched_ns = state.venue_ns() if wire_id in state.vouched else 0
        data = FeedData(parts=parts, vouched_ns=vouched_ns, received_ns=received_ns)
        out += [Tell(to=name, message=data) for name in state.feeds.get(wire_id, ())]
    gathered.clear()


def _beat(state: Market, now_ns: int, out: list[Effect]) -> None:
    out += state.stream.beat(now_ns)
    _vouch(state)
    for wire_id, names in state.feeds.items():
        vouched_ns = state.venue_ns() if wire_id in state.vouched else 0
        pulse = FeedPulse(alive=True, vouched_ns=vouched_ns, received_ns=now_ns)
        out += [Tell(to=name, message=pulse) for name in names]
    out.append(Count(metric="feed_frames", by=state.frames))
    state.frames = 0


def _vouch(state: Market) -> None:
    listed = state.stream.acknowledged.get(LEVEL2, ()) if state.stream.beating else ()
    state.vouched = frozenset(listed) & state.feeds.keys()


def _acknowledged(state: Market, channels: dict[str, tuple[str, ...] | None], now_ns: int, out: list[Effect]) -> None:
    for absent in state.stream.listed(channels):
        wire_ids = tuple(wire_id for wire_id in absent.product_ids if wire_id in state.feeds)
        detail = f"{absent.channel} not acknowledged"
        _alert(out, "subscription", ", ".join(absent.product_ids), f"{detail}: the venue does not know it", now_ns)
        if absent.channel == LEVEL2:
            state.awaited = {wire_id: due for wire_id, due in state.awaited.items() if wire_id not in wire_ids}
            _reset(state, wire_ids, FeedReset(status=FeedStatus.DOWN, detail=detail, trades_lost=True), out)
    _vouch(state)


# ---- what goes wrong


def _gap(state: Market, now_ns: int, out: list[Effect]) -> None:
    out.append(Count(metric="feed_gaps"))
    _void(state, "sequence gap", state.venue_ns(), now_ns, out)


def _overflowed(state: Market, now_ns: int, out: list[Effect]) -> None:
    state.stream.skip()
    out.append(Count(metric="feed_overflows"))
    _void(state, "overflow", now_ns + OVERFLOW_CARE_NS, now_ns, out)


def _void(state: Market, detail: str, whole_ns: int, now_ns: int, out: list[Effect]) -> None:
    reset = FeedReset(status=FeedStatus.STALE, detail=detail, trades_lost=True, whole_ns=whole_ns)
    _reset(state, tuple(state.feeds), reset, out)
    state.awaited = dict.fromkeys(state.feeds, now_ns)
    state.tries = dict.fromkeys(state.feeds, 0)
    _resync(state, now_ns, out)


def _wanted(state: Market, message: ResyncWanted, now_ns: int, out: list[Effect]) -> None:
    name = feed_name(message.product_id)
    wire_id = next((wire_id for wire_id, names in state.feeds.items() if name in names), None)
    if wire_id is None or wire_id in state.awaited or not state.stream.acknowledged:
        return  # not ours, or a snapshot of it is on its way anyway
    out.append(Count(metric="feed_resyncs"))
    out.append(LogLine(level="info", event="feed.resync", fields=(("product", wire_id), ("reason", message.reason))))
    state.awaited[wire_id] = now_ns
    _resync(state, now_ns, out)


def _resync(state: Market, now_ns: int, out: list[Effect]) -> None:
    """Subscribe anew what is due, at most once per second."""
    due = tuple(wire_id for wire_id, at_ns in state.awaited.items() if at_ns <= now_ns)
    if due and now_ns >= state.resynced_ns + session.RESYNC_PAUSE_NS:
        state.resynced_ns = now_ns
        _ask_again(state, due, now_ns, out)
    _arm(state, now_ns, out)


def _ask_again(state: Market, due: tuple[str, ...], now_ns: int, out: list[Effect]) -> None:
    for wire_id in due:
        state.tries[wire_id] += 1
        state.awaited[wire_id] = now_ns + SNAPSHOT_NS * 2 ** (state.tries[wire_id] - 1)
    parked = tuple(wire_id for wire_id in due if state.tries[wire_id] > SNAPSHOT_TRIES)
    _park(state, parked, now_ns, out)
    asked = Subscription(LEVEL2, tuple(wire_id for wire_id in due if wire_id not in parked))
    if asked.product_ids:
        reset = FeedReset(status=FeedStatus.SYNCING, detail="resync", trades_lost=False, whole_ns=state.venue_ns())
        _reset(state, asked.product_ids, reset, out)
        out += state.stream.ask(asked, now_ns, subscribe=False)
        out += state.stream.ask(asked, now_ns)


def _park(state: Market, wire_ids: tuple[str, ...], now_ns: int, out: list[Effect]) -> None:
    for wire_id in wire_ids:
        state.tries[wire_id] = 0
        state.awaited[wire_id] = now_ns + PARKED_NS
        _alert(out, "feed_down", wire_id, f"no snapshot after {SNAPSHOT_TRIES} tries", now_ns)
    _reset(state, wire_ids, FeedReset(status=FeedStatus.DOWN, detail="no snapshot", trades_lost=False), out)


def _arm(state: Market, now_ns: int, out: list[Effect]) -> None:
    if state.awaited:
        due_ns = max(min(state.awaited.values()), state.resynced_ns + session.RESYNC_PAUSE_NS, now_ns)
        out.append(SetTimer(timer=session.RESYNC, due_ns=due_ns))


def _refused(state: Market, frame: ErrorFrame, now_ns: int, out: list[Effect]) -> None:
    given_up, effects = state.stream.refused()
    out += effects
    out.append(LogLine(level="warning", event="feed.refused", fields=(("message", (frame.message or "")[:200]),)))
    if given_up is not None:
        subject = " ".join((given_up.subscription.channel, *given_up.subscription.product_ids))
        _alert(out, "subscription", subject, f"refused: {(frame.message or '')[:200]}", now_ns)
        out += state.stream.close("subscription refused")


def _malformed(state: Market, now_ns: int, out: list[Effect]) -> None:
    out.append(Count(metric="feed_malformed_frames"))
    state.malformed = [at_ns for at_ns in state.malformed if at_ns > now_ns - MINUTE_NS] + [now_ns]
    if len(state.malformed) == MALFORMED_PER_MINUTE:
        _alert(out, "malformed_frames", "market data", f"{MALFORMED_PER_MINUTE} within a minute", now_ns)


def _reset(state: Market, wire_ids: tuple[str, ...], reset: FeedReset, out: list[Effect]) -> None:
    out += [Tell(to=name, message=reset) for wire_id in wire_ids for name in state.feeds[wire_id]]


def _alert(out: list[Effect], kind: str, subject: str, message: str, now_ns: int) -> None:
    alert = Alert(kind=kind, severity="WARNING", subject=subject, message=message, context=(), at_ns=now_ns)
    out.append(Note(message=alert))
