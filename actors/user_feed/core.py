"""The user stream `user_feed`: orders as the venue tells them, cumulative, and whether we hear everything. Pure.

Up means: the acknowledgement lists the user channel and its snapshot is complete (batches of 50, a shorter one is the
last). Whatever was missed while down is in the venue's lists only, so every rise is followed by a reconcile.
"""

from decimal import Decimal

import msgspec

from actors.runtime import stream as session
from actors.runtime.stream import Arrival, Phase, Stream, Subscription, TakeFrames, Unknown, read_frame
from protocol.base import Effect, Effects, Message
from protocol.coinbase.border import SIDES, check_user_order
from protocol.coinbase.websocket import (
    USER_SNAPSHOT_BATCH,
    ErrorFrame,
    Heartbeats,
    Subscriptions,
    User,
    UserEvent,
    UserOrder,
)
from protocol.coinbase.wire import BadWire, parse_rfc3339
from protocol.effects import Count, LogLine, Note, Retire, SetTimer, Tell
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.ids import ProductId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Stop, Wake
from protocol.money import ZERO
from protocol.orders import OrderReported, Side, VenueOrder
from protocol.portfolio import Reconcile
from protocol.risk import Alert
from protocol.venue import UserStream

READERS = ("orders", "portfolio")
CHANNEL = Subscription("user")
SNAPSHOT_NS = 5 * SECOND_NS
SNAPSHOT_TRIES = 3
RECONCILE_PAUSE_NS = SECOND_NS
REMEMBERED = 5000
"""Orders whose cumulative figures are kept, newest first to stay: older ones are long terminal."""
_LIVE = frozenset({"PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})


class Totals(msgspec.Struct, frozen=True):
    """Cumulative figures of one order: base, quote, quote fees. They never fall."""

    size: Decimal
    value: Decimal
    fees: Decimal


class UserFeed:
    """State of the user stream. Mutable, as its session is; only `step` touches it."""

    __slots__ = ("asked", "due_ns", "reconciled_ns", "resynced_ns", "snapshot", "stream", "totals", "tries", "up")

    def __init__(self, quiet_ns: int = session.QUIET_NS) -> None:
        self.stream = Stream((Subscription("heartbeats"), CHANNEL), quiet_ns)
        self.up = False
        self.snapshot = False  # complete
        self.due_ns = 0  # when to ask for the snapshot again; 0: not wanted
        self.tries = 0
        self.totals: dict[str, Totals] = {}
        self.resynced_ns = self.reconciled_ns = self.asked = 0


def step(state: UserFeed, message: Message, now_ns: int) -> tuple[UserFeed, Effects]:
    """Advance the user stream by one message."""
    out: list[Effect] = []
    match message:
        case FramesArrived() if message.connection == state.stream.connection:
            _arrived(state, message, now_ns, out)
        case SocketOpened() if message.connection == state.stream.connection:
            out += state.stream.opened(now_ns)
            state.snapshot, state.tries = False, 1
            _await_snapshot(state, now_ns + SNAPSHOT_NS, out)
        case SocketClosed() if message.connection == state.stream.connection:
            out += state.stream.closed(message, now_ns)
            _down(state, f"closed {message.code} {message.reason}".strip(), now_ns, out)
        case Wake():
            _woke(state, message.timer, now_ns, out)
        case Recover():
            _say(state, "started", now_ns, out)
            out += state.stream.connect(now_ns)
        case Stop():
            out += (*state.stream.close("stop"), Retire())
    return state, tuple(out)


def _woke(state: UserFeed, timer: str, now_ns: int, out: list[Effect]) -> None:
    match timer:
        case session.CONNECT if state.stream.phase is Phase.BACKING_OFF:
            out += state.stream.connect(now_ns)
        case session.QUIET:
            out.append(LogLine(level="warning", event="user_feed.quiet"))
        case session.DEAD:
            _down(state, "no heartbeat", now_ns, out)
            out += state.stream.close("no heartbeat")
        case session.ACKNOWLEDGE if state.stream.pending:
            _alert(out, "user channel not acknowledged in time; connecting anew", now_ns)
            out += state.stream.close("not acknowledged")
        case session.RESYNC if state.due_ns and now_ns >= state.due_ns and not state.snapshot:
            _ask_again(state, now_ns, out)


# ---- frames


def _arrived(state: UserFeed, message: FramesArrived, now_ns: int, out: list[Effect]) -> None:
    if message.lost:
        state.stream.skip()
        _resync(state, "overflow", now_ns, out)
    for raw in message.frames:
        _frame(state, raw, now_ns, out)
    out.append(TakeFrames(connection=message.connection))


def _frame(state: UserFeed, raw: bytes, now_ns: int, out: list[Effect]) -> None:
    frame = read_frame(raw)
    if frame is None:
        out.append(Count(metric="user_feed_malformed_frames"))
        _reconcile(state, now_ns, out)
        return
    if isinstance(frame, ErrorFrame):
        _refused(state, frame, now_ns, out)
        return
    arrival = state.stream.arrival(frame.sequence_num)
    if arrival is Arrival.OLD:
        out.append(Count(metric="user_feed_old_frames"))
        return
    if arrival is Arrival.GAP:
        out.append(Count(metric="user_feed_gaps"))
        _resync(state, "sequence gap", now_ns, out)
    if isinstance(frame, User):
        for event in frame.events:
            _event(state, event, now_ns, out)
    elif isinstance(frame, Subscriptions):
        for listing in frame.events:
            state.stream.listed(listing.subscriptions)
    elif isinstance(frame, Heartbeats):
        out += state.stream.beat(now_ns)
    elif isinstance(frame, Unknown):
        out.append(Count(metric="user_feed_unknown_frames"))
    _rise(state, now_ns, out)


def _event(state: UserFeed, event: UserEvent, now_ns: int, out: list[Effect]) -> None:
    for order in event.orders:
        try:
            _order(state, order, now_ns, out)
        except BadWire as exc:
            out.append(Count(metric="user_feed_bad_orders"))
            out.append(LogLine(level="error", event="user_feed.bad_order", fields=(("reason", str(exc)),)))
            _reconcile(state, now_ns, out)
    if event.type == "snapshot" and len(event.orders) < USER_SNAPSHOT_BATCH:
        state.snapshot, state.due_ns = True, 0


def _order(state: UserFeed, wire: UserOrder, now_ns: int, out: list[Effect]) -> None:
    """Report one order with its figures folded upwards; one that went backwards is not believed (faults B3)."""
    told = totals_of(check_user_order(wire))
    known = state.totals.pop(wire.order_id, told)
    if told.size < known.size:
        state.totals[wire.order_id] = known
        out.append(Count(metric="user_feed_regressions"))
        _reconcile(state, now_ns, out)
        return
    folded = Totals(told.size, max(told.value, known.value), max(told.fees, known.fees))
    state.totals[wire.order_id] = folded
    if len(state.totals) > REMEMBERED:
        del state.totals[next(iter(state.totals))]
    out.append(Tell(to="orders", message=OrderReported(order=report(wire, folded), source="stream")))


def totals_of(wire: UserOrder) -> Totals:
    """The cumulative figures of a checked order; the value follows from the average where it is not told."""
    size = Decimal(wire.cumulative_quantity or 0)
    value = Decimal(wire.filled_value) if wire.filled_value else size * Decimal(wire.avg_price or 0)
    return Totals(size, value, Decimal(wire.total_fees or 0))


def report(wire: UserOrder, totals: Totals) -> VenueOrder:
    """An order in our own words. Raises BadWire: it names no side."""
    side = (wire.order_side or "").upper()
    if side not in SIDES:
        raise BadWire("order has no side")
    status = wire.status.upper()
    leaves = Decimal(wire.leaves_quantity or 0)
    return VenueOrder(
        client_order_id=wire.client_order_id or "",
        venue_order_id=VenueOrderId(wire.order_id),
        product_id=ProductId(wire.product_id),
        side=Side(side),
        status=status,
        filled_size=totals.size,
        filled_value=totals.value,
        fees=totals.fees,
        limit_price=Decimal(wire.limit_price or 0) or None,
        # A terminal update may say that nothing is left although it was cancelled: only a live one tells the size.
        base_size=totals.size + leaves if status in _LIVE and leaves > ZERO else None,
        created_ns=parse_rfc3339(wire.creation_time) or 0,
        reason=wire.cancel_reason or wire.rejection,
    )


# ---- up and down


def _rise(state: UserFeed, now_ns: int, out: list[Effect]) -> None:
    if not state.up and state.snapshot and CHANNEL.channel in state.stream.acknowledged:
        state.up = True
        _say(state, "snapshot complete", now_ns, out)


def _down(state: UserFeed, detail: str, now_ns: int, out: list[Effect]) -> None:
    state.snapshot, state.due_ns = False, 0
    if state.up:
        state.up = False
        _say(state, detail, now_ns, out)


def _say(state: UserFeed, detail: str, now_ns: int, out: list[Effect]) -> None:
    told = UserStream(up=state.up, detail=detail, at_ns=now_ns)
    out += [Tell(to=reader, message=told) for reader in READERS]


def _resync(state: UserFeed, detail: str, now_ns: int, out: list[Effect]) -> None:
    """Something was missed: down until a new snapshot, asked for at most once a second."""
    _down(state, detail, now_ns, out)
    state.tries = 0
    due_ns = max(now_ns, state.resynced_ns + session.RESYNC_PAUSE_NS)
    if due_ns > now_ns:
        _await_snapshot(state, due_ns, out)
    else:
        _ask_again(state, now_ns, out)


def _ask_again(state: UserFeed, now_ns: int, out: list[Effect]) -> None:
    state.tries += 1
    state.resynced_ns = now_ns
    if state.tries > SNAPSHOT_TRIES:
        _alert(out, f"no user snapshot after {SNAPSHOT_TRIES} tries; connecting anew", now_ns)
        out += state.stream.close("no snapshot")
        return
    out += state.stream.ask(CHANNEL, now_ns, subscribe=False)
    out += state.stream.ask(CHANNEL, now_ns)
    _await_snapshot(state, now_ns + SNAPSHOT_NS, out)


def _await_snapshot(state: UserFeed, due_ns: int, out: list[Effect]) -> None:
    state.due_ns = due_ns
    out.append(SetTimer(timer=session.RESYNC, due_ns=due_ns))


def _refused(state: UserFeed, frame: ErrorFrame, now_ns: int, out: list[Effect]) -> None:
    given_up, effects = state.stream.refused()
    out += effects
    detail = (frame.message or "")[:200]
    out.append(LogLine(level="warning", event="user_feed.refused", fields=(("message", detail),)))
    if given_up is not None:
        _alert(out, f"{given_up.subscription.channel} refused: {detail}", now_ns)
        out += state.stream.close("subscription refused")


def _reconcile(state: UserFeed, now_ns: int, out: list[Effect]) -> None:
    if now_ns >= state.reconciled_ns + RECONCILE_PAUSE_NS:
        state.reconciled_ns = now_ns
        state.asked += 1
        out.append(Tell(to="portfolio", message=Reconcile(request_id=f"user_feed/{state.asked}", reply_to="user_feed")))


def _alert(out: list[Effect], message: str, now_ns: int) -> None:
    alert = Alert(kind="user_stream", severity="WARNING", subject="user", message=message, context=(), at_ns=now_ns)
    out.append(Note(message=alert))
