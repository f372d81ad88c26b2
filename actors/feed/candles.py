"""Closed candles of one product from its trades. Pure; mutable, one owner.

Minutes are built from trades while no message can have been missed; others are asked for over REST. The longer
candles are put together from minutes where all of them are at hand, and asked for where not. They come out in order,
each once, and never change again. Floats: candles are market statistics.
"""

from math import inf

import msgspec

from protocol.coinbase.websocket import Trade
from protocol.instants import SECOND_NS
from protocol.market import Bar

MINUTE_S = 60
LONGER_S = (300, 900, 3600)
LAG_NS = 1_500_000_000
"""How long after its end a minute closes: trades come in batches of 250 ms."""
KEPT_MINUTES = 60
MAX_BACKLOG = 240
"""More open minutes than this are not worth single questions: the history is asked for anew."""


class Span(msgspec.Struct, frozen=True):
    """Candles that REST has to tell: starts from `start_s` to `end_s`, both inclusive."""

    granularity_s: int
    start_s: int
    end_s: int


class Closed(msgspec.Struct, frozen=True):
    """One candle that is final."""

    granularity_s: int
    bar: Bar


Progress = tuple[list[Closed], list[Span]]
"""What is final now, and what REST has to tell before more can be."""


class Minute:
    """A minute under construction. First and last are decided by venue time and id, not by arrival."""

    __slots__ = ("close", "first", "high", "ids", "last", "low", "open", "volume")

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.volume = 0.0
        self.open = self.high = self.low = self.close = 0.0
        self.first = self.last = (0, 0)

    def add(self, at: tuple[int, int], price: float, size: float) -> None:
        """Count one trade; a repeated id is ignored."""
        if at[1] in self.ids:
            return
        if not self.ids:
            self.open = self.high = self.low = self.close = price
            self.first = self.last = at
        if at < self.first:
            self.first, self.open = at, price
        if at >= self.last:
            self.last, self.close = at, price
        self.ids.add(at[1])
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += size

    def bar(self, start_s: int) -> Bar:
        """The minute as it stands; only with a trade in it."""
        return Bar(start_s=start_s, open=self.open, high=self.high, low=self.low, close=self.close, volume=self.volume)


class Candles:
    """The candle builder. `whole_ns`: from this venue time on no trade can have been missed; None: not now.

    `closed_ns`: the end of the newest minute that is known for good; None before there is one.
    """

    __slots__ = ("_building", "_close", "_due", "_kept", "_next_s", "_told", "closed_ns", "late", "whole_ns")

    def __init__(self, now_ns: int) -> None:
        self.whole_ns: int | None = None
        self.closed_ns: int | None = None
        self.late = 0
        self._building: dict[int, Minute] = {}
        self._next_s = now_ns // SECOND_NS // MINUTE_S * MINUTE_S  # the first minute that is not over
        self._due: list[int] = []  # minutes that are over but not out, ascending
        self._told: dict[int, Bar | None] = {}  # of these, the known ones; None: without a trade
        self._kept: dict[int, Bar] = {}  # the last hour that is out
        self._close: float | None = None  # of the last minute that is out

    def next_due_ns(self) -> int:
        """When the next minute closes."""
        return (self._next_s + MINUTE_S) * SECOND_NS + LAG_NS

    def history(self, granularity_s: int, count: int) -> Span:
        """The `count` buckets before the one that runs."""
        end = self._next_s // granularity_s * granularity_s
        return Span(granularity_s, end - count * granularity_s, end - granularity_s)

    def resumed(self, venue_ns: int, last_price: float | None = None) -> None:
        """From `venue_ns` on every trade comes."""
        self.whole_ns = venue_ns
        self._building.clear()
        if self._close is None:
            self._close = last_price

    def broken(self) -> None:
        """Trades may be missed from here on: every minute that is not over is void."""
        self.whole_ns = None

    def trade(self, at_ns: int, number: int, price: float, size: float) -> None:
        """Count one live trade. One that comes after its minute closed changes nothing any more."""
        start = at_ns // SECOND_NS // MINUTE_S * MINUTE_S
        if start < self._next_s:
            self.late += 1
        elif self.whole_ns is not None:
            self._building.setdefault(start, Minute()).add((at_ns, number), price, size)

    def close(self, now_ns: int) -> Progress:
        """Close every minute whose time has come."""
        asked: list[int] = []
        while now_ns >= self.next_due_ns():
            start = self._next_s
            self._due.append(start)
            self._next_s += MINUTE_S
            minute = self._building.pop(start, None)
            if self.whole_ns is None or self.whole_ns > start * SECOND_NS:
                asked.append(start)
            else:
                self._told[start] = minute.bar(start) if minute is not None else None
        closed, spans = self._release()
        return closed, [*_minutes(asked), *spans]

    def waiting(self) -> list[Span]:
        """The minutes that REST has yet to tell."""
        return _minutes([start for start in self._due if start not in self._told])

    def restart(self) -> None:
        """Give up what waits: too much was missed, and the history comes anew."""
        self._due.clear()
        self._told.clear()
        self._kept.clear()

    def filled(self, span: Span, bars: tuple[Bar, ...]) -> Progress:
        """REST told `span`; buckets absent there had no trade."""
        told = {bar.start_s: bar for bar in bars}
        if span.granularity_s != MINUTE_S:
            return [Closed(span.granularity_s, bar) for bar in bars if span.start_s <= bar.start_s <= span.end_s], []
        for start in self.unanswered(span):
            self._told[start] = told.get(start)
        return self._release()

    def unanswered(self, span: Span) -> list[int]:
        """Minutes of `span` that still wait for REST."""
        return [start for start in self._due if span.start_s <= start <= span.end_s and start not in self._told]

    def seed(self, bars: tuple[Bar, ...], until_s: int) -> None:
        """Remember minutes of before the start, for the longer candles; with `until_s` the last of them ended."""
        self._kept |= {bar.start_s: bar for bar in bars}
        if bars and self._close is None:
            self._close = bars[-1].close
        if bars:
            self.closed_ns = max(self.closed_ns or 0, until_s * SECOND_NS)

    def _release(self) -> Progress:
        out: list[Closed] = []
        asked: list[Span] = []
        while self._due and self._due[0] in self._told:
            start = self._due[0]
            bar = self._told[start] or (quiet(start, self._close) if self._close is not None else None)
            if bar is None:  # no trade since before anybody looked: there is no price to invent
                break
            self._out(start, bar)
            out.append(Closed(MINUTE_S, bar))
            out += self._longer(start + MINUTE_S, asked)
        return out, asked

    def _out(self, start: int, bar: Bar) -> None:
        del self._due[0], self._told[start]
        self._close = bar.close
        self.closed_ns = max(self.closed_ns or 0, (start + MINUTE_S) * SECOND_NS)
        self._kept[start] = bar
        for old in [key for key in self._kept if key <= start - KEPT_MINUTES * MINUTE_S]:
            del self._kept[old]

    def _longer(self, end_s: int, asked: list[Span]) -> list[Closed]:
        """The longer candles that end here; those whose minutes are not all at hand are asked for."""
        out: list[Closed] = []
        for length in (length for length in LONGER_S if end_s % length == 0):
            start = end_s - length
            minutes = [self._kept[at] for at in range(start, end_s, MINUTE_S) if at in self._kept]
            if len(minutes) * MINUTE_S == length:
                out.append(Closed(length, merge(start, minutes)))
            else:
                asked.append(Span(length, start, start))
        return out


def merge(start_s: int, bars: list[Bar]) -> Bar:
    """One bar of several, oldest first, at least one. Minutes without trades count only where all are."""
    real = [bar for bar in bars if not bar.synthetic] or bars
    return Bar(
        start_s=start_s,
        open=real[0].open,
        high=max(bar.high for bar in real),
        low=min(bar.low for bar in real),
        close=real[-1].close,
        volume=sum(bar.volume for bar in real),
        synthetic=real[0].synthetic,
        quiet_minutes=0 if real[0].synthetic else sum(bar.synthetic for bar in bars),
    )


def quiet(start_s: int, price: float) -> Bar:
    """A bucket without trades: zero volume at the last price, marked synthetic."""
    return Bar(start_s=start_s, open=price, high=price, low=price, close=price, volume=0.0, synthetic=True)


def without_holes(bars: tuple[Bar, ...], granularity_s: int) -> tuple[Bar, ...]:
    """History with the buckets that the venue leaves out (no trades) put in, marked synthetic."""
    out: list[Bar] = []
    for bar in bars:
        while out and out[-1].start_s + granularity_s < bar.start_s:
            out.append(quiet(out[-1].start_s + granularity_s, out[-1].close))
        out.append(bar)
    return tuple(out)


def numbers(trade: Trade) -> tuple[int, float, float]:
    """A trade's id, price and size. Raises ValueError: not numbers, or none that a trade can have (faults A13)."""
    price, size = float(trade.price), float(trade.size)
    if not (0.0 < price < inf and 0.0 <= size < inf):
        raise ValueError("trade without a positive price or with a bad size")
    return int(trade.trade_id), price, size


def _minutes(starts: list[int]) -> list[Span]:
    """Contiguous minutes, put together."""
    spans: list[Span] = []
    for start in starts:
        if spans and spans[-1].end_s + MINUTE_S == start:
            spans[-1] = Span(MINUTE_S, spans[-1].start_s, start)
        else:
            spans.append(Span(MINUTE_S, start, start))
    return spans
