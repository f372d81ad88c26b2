"""What a feed asks of REST: candles that it did not see being made. Pure; mutable, one owner."""

import msgspec

from actors.feed.candles import MAX_BACKLOG, MINUTE_S, Candles, Closed, Span, without_holes
from actors.feed.moves import Moves
from protocol.base import Effect
from protocol.effects import SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.market import CandleClosed, CandleHistory
from protocol.venue import CandlesListed, ListCandles, QueryFailed

ASK = "ask"
HISTORIES = ((MINUTE_S, 60), (300, 60), (900, 96), (3600, 200))
"""Granularity in seconds and number of candles asked for at start."""
SETTLED_NS = 5 * SECOND_NS
"""A bucket just over may not be complete at the venue's REST for so long."""
AGAIN_NS = 5 * SECOND_NS
UNANSWERED_NS = 30 * SECOND_NS
HOUR_S = 3600


class Question(msgspec.Struct, frozen=True):
    """One span to be asked for at `due_ns`. `history`: the answer replaces the readers' series."""

    span: Span
    history: bool
    due_ns: int


class History:
    """Open questions, the candle builder they serve, and the mid's usual moves, which begin with what they tell."""

    __slots__ = ("_asked", "_product_id", "_readers", "candles", "leader", "moves", "questions")

    def __init__(self, product_id: ProductId, readers: tuple[str, ...], *, leader: bool, moves: Moves) -> None:
        self._product_id = product_id
        self._readers = readers
        self.leader = leader
        self.candles = Candles(0)
        self.moves = moves
        self.questions: dict[str, Question] = {}
        self._asked = 0

    def start(self, now_ns: int, out: list[Effect]) -> None:
        """Begin with the running minute, and ask for what was before."""
        self.candles = Candles(now_ns)
        self.ask_histories(now_ns, out)

    def ask_histories(self, now_ns: int, out: list[Effect]) -> None:
        """Ask for what was before, for readers that know nothing; what is asked for already is not asked for twice."""
        asked = {question.span for question in self.questions.values() if question.history}
        for granularity_s, count in HISTORIES:
            span = self.candles.history(granularity_s, count)
            if span not in asked:
                self._want(span, now_ns, history=True)
        self.ask(now_ns, out)

    def close(self, now_ns: int, out: list[Effect]) -> None:
        """Close the minutes that are over."""
        closed, spans = self.candles.close(now_ns)
        self._said(closed, spans, out)
        waiting = sum((span.end_s - span.start_s) // MINUTE_S + 1 for span in self.candles.waiting())
        if waiting > MAX_BACKLOG:
            self.candles.restart()
            self.questions.clear()
            self.ask_histories(now_ns, out)
        self.ask(now_ns, out)

    def _said(self, closed: list[Closed], spans: list[Span], out: list[Effect]) -> None:
        for candle in closed:
            self._tell(candle, out)
        for span in spans:
            self._want(span, (span.end_s + span.granularity_s) * SECOND_NS + SETTLED_NS)

    def _tell(self, candle: Closed, out: list[Effect]) -> None:
        message = CandleClosed(product_id=self._product_id, granularity_s=candle.granularity_s, bar=candle.bar)
        out += [Tell(to=reader, message=message) for reader in self._to(candle.granularity_s)]

    def _to(self, granularity_s: int) -> tuple[str, ...]:
        """Hourly candles of the market's leader also make the regime."""
        return (*self._readers, "universe") if self.leader and granularity_s == HOUR_S else self._readers

    def _want(self, span: Span, due_ns: int, *, history: bool = False) -> None:
        self._asked += 1
        name = f"{self._product_id}/{span.granularity_s}/{span.start_s}/{self._asked}"
        self.questions[name] = Question(span, history, due_ns)

    def ask(self, now_ns: int, out: list[Effect]) -> None:
        """Ask what is due; an answer that does not come is asked for again."""
        for request_id, question in self.questions.items():
            if question.due_ns <= now_ns:
                out.append(Tell(to="gateway", message=self._query(request_id, question.span)))
                self.questions[request_id] = msgspec.structs.replace(question, due_ns=now_ns + UNANSWERED_NS)
        if self.questions:
            due_ns = min(question.due_ns for question in self.questions.values())
            out.append(SetTimer(timer=ASK, due_ns=due_ns))

    def _query(self, request_id: str, span: Span) -> ListCandles:
        return ListCandles(
            request_id=request_id,
            reply_to=f"feed:{self._product_id}",
            product_id=self._product_id,
            granularity_s=span.granularity_s,
            start_s=span.start_s,
            end_s=span.end_s,
        )

    def failed(self, message: QueryFailed, now_ns: int, out: list[Effect]) -> None:
        """The gateway could not ask: try again a little later."""
        question = self.questions.get(message.request_id)
        if question is not None:
            self.questions[message.request_id] = msgspec.structs.replace(question, due_ns=now_ns + AGAIN_NS)
            self.ask(now_ns, out)

    def listed(self, message: CandlesListed, now_ns: int, out: list[Effect]) -> None:
        """An answer came."""
        question = self.questions.pop(message.request_id, None)
        if question is None:
            return
        if question.history:
            self._told_history(question.span, message, now_ns, out)
        else:
            self._said(*self.candles.filled(question.span, message.bars), out)
        self.ask(now_ns, out)

    def _told_history(self, span: Span, message: CandlesListed, now_ns: int, out: list[Effect]) -> None:
        count = (span.end_s - span.start_s) // span.granularity_s + 1
        if self.candles.history(span.granularity_s, count) != span:  # a bucket closed since: it would be missing
            self._want(self.candles.history(span.granularity_s, count), now_ns, history=True)
            return
        bars = without_holes(tuple(bar for bar in message.bars if bar.start_s <= span.end_s), span.granularity_s)
        if span.granularity_s == MINUTE_S:
            self.candles.seed(bars, span.end_s + MINUTE_S)
            self.moves.seed(bars)
        history = CandleHistory(product_id=self._product_id, granularity_s=span.granularity_s, bars=bars)
        out += [Tell(to=reader, message=history) for reader in self._to(span.granularity_s)]
