"""One product's feed `feed:<product>`: book, top and depth, candles, and whether they can be trusted. Pure.

Quotes leave only from a whole, uncrossed, ungapped book on a connection whose heartbeats come (requirements ST1).
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from actors.feed.book import Book, Half
from actors.feed.candles import numbers
from actors.feed.history import ASK, History
from actors.feed.moves import Moves
from actors.feed.unchanged import Unchanged
from actors.runtime.stream import stamp_ns
from protocol.base import Effect, Effects, Message
from protocol.coinbase.wire import BadWire
from protocol.effects import Count, Retire, SetTimer, Tell
from protocol.feed import FeedContinue, FeedData, FeedPulse, FeedReset, Levels, ResyncWanted, Trades
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Stop, Wake
from protocol.market import FactsWanted, FeedState, FeedStatus, PublicTrade, Quote
from protocol.money import ZERO
from protocol.strategy import HistoryWanted
from protocol.venue import BookListed, CandlesListed, GetBook, QueryFailed

if TYPE_CHECKING:
    from protocol.coinbase.websocket import L2Update, Trade

QUOTE_READERS = ("risk", "portfolio", "orders", "universe", "control")
STATE_READERS = ("risk",)
TRADE_READERS = ("portfolio",)
CANDLE_READERS = ("strategy:host",)
CLOSE = "close"
SLICE = 800
"""Rows of a snapshot applied at once: well under a millisecond."""
UNCROSSED_NS = SECOND_NS
DEPTH_EVERY_NS = SECOND_NS // 2


class Loading:
    """A snapshot being applied in slices, and the batches that came meanwhile."""

    __slots__ = ("book", "later", "number", "part", "position")

    def __init__(self, number: int, part: Levels) -> None:
        self.number = number
        self.part = part
        self.position = 0
        self.book = Book()
        self.later: list[Levels] = []


class Feed:
    """State of one feed. Mutable, for a book is big; only `step` touches it."""

    __slots__ = (
        *(
            "alive",
            "book",
            "changed",
            "crossed",
            "depth",
            "depth_ns",
            "detail",
            "history",
            "loading",
            "loads",
            "market",
            "name",
            "product_id",
        ),
        *("received_ns", "reset", "sequence", "status", "synced", "top", "unchanged", "venue_ns", "vouched_ns"),
    )

    def __init__(
        self,
        product_id: ProductId,
        market: str,
        *,
        leader: bool = False,
        unchanged_ns: int = 60 * SECOND_NS,
        moves: Moves | None = None,
    ) -> None:
        self.product_id = product_id
        self.name = f"feed:{product_id}"
        self.market = market
        self.history = History(product_id, CANDLE_READERS, leader=leader, moves=moves or Moves())
        self.unchanged = Unchanged(unchanged_ns)
        self.book = Book()
        self.loading: Loading | None = None
        self.loads = 0
        self.synced = False
        self.alive = False
        self.reset = (FeedStatus.DOWN, "started")
        self.status = FeedStatus.DOWN
        self.detail = ""
        self.crossed: tuple[int, int | None] | None = None  # when the book locked or crossed, and when it ended
        self.top: tuple[L2Update, L2Update] | None = None
        self.changed: Levels | None = None  # the newest batch whose time has not been read yet
        self.depth = (ZERO, ZERO)
        self.depth_ns = 0
        self.sequence = self.venue_ns = self.vouched_ns = self.received_ns = 0


def step(state: Feed, message: Message, now_ns: int) -> tuple[Feed, Effects]:
    """Advance one feed by one message."""
    out: list[Effect] = []
    match message:
        case FeedData():
            _data(state, message, now_ns, out)
        case FeedPulse():
            _pulse(state, message, now_ns, out)
        case FeedContinue() if state.loading is not None and state.loading.number == message.load:
            _load(state, state.loading, out)
            _judge(state, now_ns, out)
        case FeedReset():
            _reset(state, message, now_ns, out)
        case Wake():
            _woke(state, message.timer, now_ns, out)
        case FactsWanted():
            out.append(Tell(to=message.reply_to, message=_told(state, now_ns)))
        case HistoryWanted():  # the reader began anew and knows nothing
            state.history.ask_histories(now_ns, out)
        case BookListed():
            _compared(state, message, now_ns, out)
        case QueryFailed() if message.request_id == _question(state):
            state.unchanged.failed(now_ns)
        case CandlesListed():
            state.history.listed(message, now_ns, out)
        case QueryFailed():
            state.history.failed(message, now_ns, out)
        case Recover():
            _begin(state, now_ns, out)
        case Stop():
            out.append(Retire())
    return state, tuple(out)


def _begin(state: Feed, now_ns: int, out: list[Effect]) -> None:
    state.history.start(now_ns, out)
    out.append(SetTimer(timer=CLOSE, due_ns=state.history.candles.next_due_ns()))
    out.append(Tell(to=state.market, message=ResyncWanted(product_id=state.product_id, reason="started")))
    _judge(state, now_ns, out)


def _woke(state: Feed, timer: str, now_ns: int, out: list[Effect]) -> None:
    if timer == CLOSE:
        state.history.close(now_ns, out)
        out.append(SetTimer(timer=CLOSE, due_ns=state.history.candles.next_due_ns()))
    elif timer == ASK:
        state.history.ask(now_ns, out)


# ---- data


def _data(state: Feed, message: FeedData, now_ns: int, out: list[Effect]) -> None:
    state.received_ns = message.received_ns
    for part in message.parts:
        if isinstance(part, Levels):
            _levels(state, part, out)
        else:
            _trades(state, part, out)
    state.vouched_ns = message.vouched_ns or state.vouched_ns
    _judge(state, now_ns, out)


def _levels(state: Feed, part: Levels, out: list[Effect]) -> None:
    if part.snapshot:
        state.loads += 1
        state.synced = False
        state.loading = Loading(state.loads, part)
        _load(state, state.loading, out)
    elif state.loading is not None:
        state.loading.later.append(part)
    elif state.synced:
        _apply(state, part, out)


def _apply(state: Feed, part: Levels, out: list[Effect]) -> None:
    try:
        state.book.apply(part.rows)
    except ValueError as exc:
        _void(state, f"bad level: {exc}", out)
        return
    state.sequence += 1
    state.changed = part


def _load(state: Feed, loading: Loading, out: list[Effect]) -> None:
    """Apply the next slice; the last one makes the book whole, with everything that came since."""
    end = loading.position + SLICE
    try:
        loading.book.load(loading.part.rows[loading.position : end])
    except ValueError as exc:
        _void(state, f"bad level: {exc}", out)
        return
    loading.position = end
    if end < len(loading.part.rows):
        out.append(Tell(to=state.name, message=FeedContinue(load=loading.number)))
        return
    loading.book.settle()
    state.book, state.loading, state.synced, state.crossed, state.top = loading.book, None, True, None, None
    state.changed = loading.part
    state.sequence += 1
    for part in loading.later:
        if state.synced:
            _apply(state, part, out)


def _trades(state: Feed, part: Trades, out: list[Effect]) -> None:
    candles = state.history.candles
    try:
        rows = [(stamp_ns(trade.time), *numbers(trade)) for trade in part.rows]
    except (BadWire, ValueError):
        out.append(Count(metric="feed_bad_trades"))
        candles.broken()
        candles.resumed(part.venue_ns)
        return
    if part.snapshot:
        candles.resumed(part.venue_ns, max(rows)[2] if rows else None)
        return
    for at_ns, number, price, size in rows:
        candles.trade(at_ns, number, price, size)
    if rows and state.status is FeedStatus.LIVE:
        newest = max(range(len(rows)), key=rows.__getitem__)
        out += [Tell(to=reader, message=_traded(state, part.rows[newest], rows[newest][0])) for reader in TRADE_READERS]


def _traded(state: Feed, trade: "Trade", at_ns: int) -> PublicTrade:
    return PublicTrade(
        product_id=state.product_id,
        trade_id=trade.trade_id,
        price=Decimal(trade.price),
        size=Decimal(trade.size),
        aggressor_buy=trade.side == "SELL",
        venue_ns=at_ns,
    )


# ---- trust


def _pulse(state: Feed, message: FeedPulse, now_ns: int, out: list[Effect]) -> None:
    state.alive = message.alive
    state.received_ns = message.received_ns
    state.vouched_ns = message.vouched_ns or state.vouched_ns
    state.book.touch()
    if state.book.near_edge:
        _void(state, "market left the part of the book that is held", out)
    if state.crossed is not None and state.book.crossed and now_ns >= state.crossed[0] + UNCROSSED_NS:
        _void(state, "crossed", out)
    _judge(state, now_ns, out)
    if state.status is FeedStatus.LIVE and state.unchanged.due(state.sequence, now_ns):
        asked = GetBook(request_id=_question(state), reply_to=state.name, product_id=state.product_id)
        out.append(Tell(to="gateway", message=asked))


def _question(state: Feed) -> str:
    return f"book/{state.product_id}"


def _compared(state: Feed, message: BookListed, now_ns: int, out: list[Effect]) -> None:
    """REST's word on a book that stands still: another top means that its changes do not reach us."""
    if not state.synced or not state.book.two_sided:
        return
    bid, ask = _top(state.book.bids), _top(state.book.asks)
    if state.unchanged.contradicted(state.sequence, bid, ask, message):
        _void(state, "REST tells another book", out)
        _judge(state, now_ns, out)


def _top(side: Half) -> tuple[Decimal, Decimal]:
    best = side.levels[side.keys[-1]]
    return Decimal(best.price_level), Decimal(best.new_quantity)


def _reset(state: Feed, message: FeedReset, now_ns: int, out: list[Effect]) -> None:
    candles = state.history.candles
    if message.trades_lost:
        candles.broken()
    if message.whole_ns and candles.whole_ns is None:
        candles.resumed(message.whole_ns)
    if message.status is FeedStatus.DOWN:
        state.alive = False
    _forget(state, message.status, message.detail)
    _judge(state, now_ns, out)


def _void(state: Feed, reason: str, out: list[Effect]) -> None:
    """The book cannot be believed: stale until a new snapshot is applied."""
    out.append(Count(metric="feed_voided_books"))
    out.append(Tell(to=state.market, message=ResyncWanted(product_id=state.product_id, reason=reason)))
    _forget(state, FeedStatus.STALE, reason)


def _forget(state: Feed, status: FeedStatus, detail: str) -> None:
    state.book, state.loading, state.synced, state.crossed, state.top = Book(), None, False, None, None
    state.vouched_ns = 0
    state.history.moves.broken()
    state.reset = (status, detail)


def _judge(state: Feed, now_ns: int, out: list[Effect]) -> None:
    """Say what has changed: the status, and the quote while it may be believed."""
    status, detail = _standing(state, now_ns)
    if status is not state.status or detail != state.detail:
        state.status, state.detail = status, detail
        out += [Tell(to=reader, message=_told(state, now_ns)) for reader in STATE_READERS]
    if status is FeedStatus.LIVE:
        _quote(state, now_ns, out)


def _told(state: Feed, now_ns: int) -> FeedState:
    return FeedState(product_id=state.product_id, status=state.status, detail=state.detail, at_ns=now_ns)


def _standing(state: Feed, now_ns: int) -> tuple[FeedStatus, str]:
    if not state.synced:
        return (FeedStatus.SYNCING, "snapshot") if state.loading is not None else state.reset
    if not state.alive:
        return FeedStatus.STALE, "no heartbeat"
    if not state.book.two_sided:
        return FeedStatus.STALE, "one-sided"
    if state.book.crossed:
        state.crossed = (state.crossed[0] if state.crossed is not None else now_ns, None)
    elif state.crossed is not None and state.crossed[1] is None:
        state.crossed = (state.crossed[0], now_ns)
    if state.crossed is not None and (state.crossed[1] is None or now_ns < state.crossed[1] + UNCROSSED_NS):
        return FeedStatus.STALE, "crossed"
    state.crossed = None
    return FeedStatus.LIVE, ""


def _quote(state: Feed, now_ns: int, out: list[Effect]) -> None:
    """Say the top as soon as it moves, and the depth near it at most every half second."""
    book = state.book
    bid, ask = book.bids.levels[book.bids.keys[-1]], book.asks.levels[book.asks.keys[-1]]
    still = state.top is not None and state.top[0] is bid and state.top[1] is ask
    deep = book.touched and now_ns >= state.depth_ns + DEPTH_EVERY_NS
    if still and not deep:
        return
    try:
        quote = _as_quote(state, bid, ask, now_ns if deep else None)
    except (ValueError, ArithmeticError) as exc:
        _void(state, f"bad size: {exc}", out)
        _judge(state, now_ns, out)
        return
    state.top = (bid, ask)
    out += [Tell(to=reader, message=quote) for reader in QUOTE_READERS]


def _as_quote(state: Feed, bid: "L2Update", ask: "L2Update", deep_ns: int | None) -> Quote:
    if deep_ns is not None or state.top is None:
        state.depth, state.depth_ns = state.book.depth(), deep_ns or 0
    _read_time(state)
    mid = (float(bid.price_level) + float(ask.price_level)) / 2
    return Quote(
        product_id=state.product_id,
        bid=Decimal(bid.price_level),
        bid_size=_positive(bid.new_quantity),
        ask=Decimal(ask.price_level),
        ask_size=_positive(ask.new_quantity),
        bid_depth_usd=state.depth[0],
        ask_depth_usd=state.depth[1],
        venue_ns=state.venue_ns,
        fresh_ns=state.vouched_ns or state.venue_ns,
        received_ns=state.received_ns,
        sequence=state.sequence,
        move_sigma=state.history.moves.sigma(mid, state.received_ns // SECOND_NS),
        candle_ns=state.history.candles.closed_ns,
    )


def _positive(text: str) -> Decimal:
    size = Decimal(text)
    if not (size.is_finite() and size > 0):
        raise ValueError(f"size {text[:40]!r}")
    return size


def _read_time(state: Feed) -> None:
    """Venue time of the last book change, read only when a quote tells it; a stamp that is none moves nothing on."""
    part, state.changed = state.changed, None
    if part is not None:
        stamp = part.rows[0].event_time if part.rows else None
        state.venue_ns = max(state.venue_ns, _stamp_ns(stamp) or _stamp_ns(part.stamp))


def _stamp_ns(text: str | None) -> int:
    try:
        return stamp_ns(text or "")
    except BadWire:
        return 0
