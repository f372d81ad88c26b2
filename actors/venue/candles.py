"""One product's prints as one coherent series of bars, at whatever granularity is asked.

Prices are whole ticks and volumes whole lots inside, so that every aggregate is exact. History comes as blocks
(an hour or less) whose minutes are drawn only when somebody asks: a bridge inside the block's open, high, low,
close and volume, the same every time. Live prints make the minutes after that.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import exp, sqrt
from random import Random
from typing import NamedTuple

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
KEEP_S = 12 * DAY_S
"""What is older than this is forgotten."""


class Bar(NamedTuple):
    """A bar that opens at `start_s`; prices in ticks, volume in lots."""

    start_s: int
    open: int
    high: int
    low: int
    close: int
    lots: int


class Block:
    """Up to an hour of history that never straddles a full hour: its totals, and its minutes once drawn."""

    __slots__ = ("_minutes", "length_s", "seed", "total")

    def __init__(self, total: Bar, length_s: int, seed: int) -> None:
        self.total = total
        self.length_s = length_s
        self.seed = seed
        self._minutes: array[int] | None = None

    @classmethod
    def of_minutes(cls, minutes: list[Bar]) -> "Block":
        """A block of known minutes, oldest first, at least one."""
        first, last = minutes[0], minutes[-1]
        block = cls(merge(first.start_s, minutes), last.start_s - first.start_s + MINUTE_S, 0)
        block._minutes = array("q", (field for bar in minutes for field in bar))
        return block

    def minutes(self) -> list[Bar]:
        """The minute bars, oldest first; drawn at the first call."""
        if self._minutes is None:
            self._minutes = array("q", (field for bar in _draw(self) for field in bar))
        flat = self._minutes
        return [Bar(*flat[at : at + 6]) for at in range(0, len(flat), 6)]


def merge(start_s: int, bars: Iterable[Bar]) -> Bar:
    """One bar of several, oldest first, at least one."""
    every = list(bars)
    return Bar(
        start_s,
        every[0].open,
        max(bar.high for bar in every),
        min(bar.low for bar in every),
        every[-1].close,
        sum(bar.lots for bar in every),
    )


def _draw(block: Block) -> list[Bar]:
    total, count = block.total, block.length_s // MINUTE_S
    random = Random(block.seed)  # noqa: S311 - a market's noise, not a secret
    scale = max(total.high - total.low, 1) / (1.6 * sqrt(count))
    path = _bridge(random, float(total.open), float(total.close), count, scale)
    highs = [max(pair) + abs(random.gauss(0.0, 0.4)) * scale for pair in pairwise(path)]
    lows = [min(pair) - abs(random.gauss(0.0, 0.4)) * scale for pair in pairwise(path)]
    fit = _fit(total, max(highs), min(lows))
    at_high, at_low = highs.index(max(highs)), lows.index(min(lows))
    closes = [fit(value) for value in path]
    tops = [fit(value) for value in highs]
    bottoms = [fit(value) for value in lows]
    tops[at_high], bottoms[at_low] = total.high, total.low
    shares = [exp(random.gauss(0.0, 0.5)) * (1.0 + abs(b - a) / scale) for a, b in pairwise(path)]
    lots = split(total.lots, shares)
    starts = range(total.start_s, total.start_s + block.length_s, MINUTE_S)
    return [Bar(*row) for row in zip(starts, closes[:-1], tops, bottoms, closes[1:], lots, strict=True)]


def _bridge(random: Random, start: float, end: float, count: int, scale: float) -> list[float]:
    walk = [0.0]
    for _ in range(count):
        walk.append(walk[-1] + random.gauss(0.0, scale))
    slope = (end - start - walk[-1]) / count
    return [start + value + slope * i for i, value in enumerate(walk)]


class _fit:  # noqa: N801 - used as a function
    """Stretch what lies outside open and close so that the extremes are exactly the block's."""

    __slots__ = ("high", "low", "over", "ratio_down", "ratio_up", "under")

    def __init__(self, total: Bar, top: float, bottom: float) -> None:
        self.over, self.under = max(total.open, total.close), min(total.open, total.close)
        self.high, self.low = total.high, total.low
        self.ratio_up = (total.high - self.over) / (top - self.over) if top > self.over else 0.0
        self.ratio_down = (self.under - total.low) / (self.under - bottom) if bottom < self.under else 0.0

    def __call__(self, value: float) -> int:
        if value > self.over:
            return min(round(self.over + (value - self.over) * self.ratio_up), self.high)
        if value < self.under:
            return max(round(self.under - (self.under - value) * self.ratio_down), self.low)
        return round(value)


def split(total: int, shares: list[float]) -> list[int]:
    """`total` whole lots in proportion to `shares` (positive), at least one each; the largest share takes the rest.

    Raises ValueError: fewer lots than shares.
    """
    if total < len(shares):
        raise ValueError(f"{total} lots cannot make {len(shares)} parts")
    whole, free = sum(shares), total - len(shares)
    parts = [1 + int(free * (share / whole)) for share in shares]
    parts[shares.index(max(shares))] += total - sum(parts)
    return parts


class Series:
    """The bars of one product: blocks of history, then live minutes."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.total.start_s)
        self._starts = [block.total.start_s for block in self._blocks]
        self._hour: list[Bar] = []
        self._now: Bar | None = None
        self._day_cache: tuple[int, tuple[int, float, int, int, int]] | None = None

    @property
    def close(self) -> int:
        """The newest price in ticks. Raises LookupError: no print and no history yet."""
        bars = (self._now, *reversed(self._hour[-1:]))
        newest = next((bar for bar in bars if bar), None) or (self._blocks[-1].total if self._blocks else None)
        if newest is None:
            raise LookupError("no price yet")
        return newest.close

    def record(self, price: int, lots: int, time_s: int) -> None:
        """Take a print; one older than the running minute counts into the running minute."""
        start_s = time_s // MINUTE_S * MINUTE_S
        now = self._now
        if now is None or start_s > now.start_s:
            self._roll(start_s)
            self._now = Bar(start_s, price, price, price, price, lots)
        else:
            high, low = max(now.high, price), min(now.low, price)
            self._now = Bar(now.start_s, now.open, high, low, price, now.lots + lots)

    def extend(self, bar: Bar) -> None:
        """Take a whole minute that is known to be over. It must open after everything taken before."""
        self._roll(bar.start_s)
        self._now = bar

    def _roll(self, start_s: int) -> None:
        if self._now is not None:
            self._hour.append(self._now)
        if self._hour and self._hour[0].start_s // HOUR_S != start_s // HOUR_S:
            self._append(Block.of_minutes(self._hour))
            self._hour = []

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self._starts.append(block.total.start_s)
        old = bisect_left(self._starts, block.total.start_s - KEEP_S)
        del self._blocks[:old], self._starts[:old]

    def bars(self, granularity_s: int, start_s: int, end_s: int) -> list[Bar]:
        """Bars opening from `start_s` to `end_s` inclusive, oldest first.

        Raises ValueError: the granularity is no positive multiple of a minute.
        """
        if granularity_s < MINUTE_S or granularity_s % MINUTE_S:
            raise ValueError(f"granularity must be whole minutes, got {granularity_s} s")
        first = -(-start_s // granularity_s) * granularity_s
        stop = end_s // granularity_s * granularity_s + granularity_s
        return list(_aggregate(self._parts(first, stop, granularity_s), granularity_s))

    def _parts(self, first: int, stop: int, granularity_s: int) -> Iterator[Bar]:
        for block in self._blocks[max(bisect_right(self._starts, first) - 1, 0) : bisect_left(self._starts, stop)]:
            last_s = block.total.start_s + block.length_s - MINUTE_S
            whole = block.total.start_s // granularity_s == last_s // granularity_s
            parts = (block.total,) if whole else block.minutes()
            yield from (bar for bar in parts if first <= bar.start_s < stop)
        live = self._hour if self._now is None else [*self._hour, self._now]
        yield from (bar for bar in live if first <= bar.start_s < stop)

    def day(self, now_s: int) -> tuple[int, float, int, int, int]:
        """The rolling day up to `now_s`: lots, lots x price in ticks, high, low, and the price a day ago.

        Raises LookupError: no price yet.
        """
        minute = now_s // MINUTE_S * MINUTE_S
        if self._day_cache is None or self._day_cache[0] != minute:
            self._day_cache = (minute, self._day_before(minute))
        lots, turnover, high, low, reference = self._day_cache[1]
        now = self._now
        if now is None or now.start_s < minute:
            return lots, turnover, high, low, reference
        return lots + now.lots, turnover + _turnover(now), max(high, now.high), min(low, now.low), reference

    def _day_before(self, minute: int) -> tuple[int, float, int, int, int]:
        parts = [bar for bar in self._day_parts(minute - DAY_S, minute) if bar.lots > 0]
        if not parts:
            return 0, 0.0, self.close, self.close, self.close
        lots, turnover = sum(bar.lots for bar in parts), sum(map(_turnover, parts))
        return lots, turnover, max(bar.high for bar in parts), min(bar.low for bar in parts), parts[0].open

    def _day_parts(self, first: int, stop: int) -> Iterator[Bar]:
        for block in self._blocks[max(bisect_right(self._starts, first) - 1, 0) : bisect_left(self._starts, stop)]:
            inside = first <= block.total.start_s and block.total.start_s + block.length_s <= stop
            parts = (block.total,) if inside else block.minutes()
            yield from (bar for bar in parts if first <= bar.start_s < stop)
        live = self._hour if self._now is None else [*self._hour, self._now]
        yield from (bar for bar in live if first <= bar.start_s < stop)


def _turnover(bar: Bar) -> float:
    return bar.lots * ((bar.high + bar.low + bar.close) / 3.0)


def _aggregate(parts: Iterable[Bar], granularity_s: int) -> Iterator[Bar]:
    bucket: list[Bar] = []
    for bar in parts:
        if bucket and bar.start_s // granularity_s != bucket[0].start_s // granularity_s:
            yield merge(bucket[0].start_s // granularity_s * granularity_s, bucket)
            bucket = []
        bucket.append(bar)
    if bucket:
        yield merge(bucket[0].start_s // granularity_s * granularity_s, bucket)
