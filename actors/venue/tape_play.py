"""One product's recording: its past as blocks, and its future as ticks of time, price, size and side."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, pairwise
from typing import NamedTuple

import msgspec

from actors.venue.candles import DAY_S, HOUR_S, MINUTE_S, Bar, Block, split
from actors.venue.catalogue import LISTINGS, Listing
from actors.venue.synthetic_past import simple_past
from actors.venue.tape_files import TapeFile, TapeRow, rows

HISTORY_S = 10 * DAY_S
SPREADS_BPS = {1: 10.0, 2: 20.0, 3: 40.0}
"""Simulated spreads by tier (operations.md §8)."""
LEGS_A_MINUTE = 4
"""Prints on each of a bar's three legs, per minute of the bar."""


class TapeTick(NamedTuple):
    """Something recorded at `at_s`: a print (`side` BUY or SELL), or a mere price (side empty, no lots)."""

    at_s: float
    price: int
    lots: int
    side: str
    spread: int = 0
    """In ticks where a quote recorded it, else 0."""


def listing_of(file: TapeFile, product_id: str) -> Listing:
    """The listing a recording plays under: the catalogue's with the tape's spread, or one made from its decimals."""
    known = LISTINGS.get(product_id)
    if known:
        return msgspec.structs.replace(known, spread_bps=SPREADS_BPS[known.tier])
    base, _, quote = product_id.partition("-")
    like = LISTINGS["OP-USD"]
    return msgspec.structs.replace(
        like,
        product_id=product_id,
        base=base,
        quote=quote,
        base_name=base,
        price_increment=Decimal(1).scaleb(-file.decimals),
        base_increment=Decimal("0.00000001"),
        base_min_size=Decimal("0.00000001"),
        spread_bps=SPREADS_BPS[3],
    )


class Recording:
    """One product's files around the recorded time `from_s` that becomes now.

    `shift_s` is added to recorded times to get the venue's; it must be whole bars so that bars stay bars.
    """

    def __init__(self, listing: Listing, files: Iterable[TapeFile], from_s: float, shift_s: float, seed: int) -> None:
        self.listing = listing
        self._tick, self._lot = float(listing.price_increment), float(listing.base_increment)
        kinds: dict[str, list[TapeFile]] = {}
        for file in files:
            kinds.setdefault(file.kind, []).append(file)
        self._files = kinds
        self._from_s, self._shift_s, self._seed = from_s, shift_s, seed
        self._past_rows: list[TapeRow] = []
        self._future_rows: Iterator[TapeRow] = iter(())
        self._live = next(name for name in ("trades", "candles", "quotes") if name in kinds)
        self._open()
        self._future: Iterator[TapeTick] = self._ticks_ahead()
        self.blocks = self._past()

    def _open(self) -> None:
        """Read up to `from_s`; what comes after stays in the files until it is played."""
        every = rows(self._files[self._live])
        for row in every:
            if row.at_s >= self._from_s:
                self._future_rows = chain((row,), every)
                return
            if row.at_s >= self._from_s - HISTORY_S:
                self._past_rows.append(row)
        raise ValueError(f"the recording of {self.listing.product_id} ends before the time asked for")

    def _past(self) -> list[Block]:
        recorded = self._recorded_blocks()
        self._past_rows = []
        now_s = int(self._from_s + self._shift_s)
        joins_s = recorded[0].total.start_s if recorded else now_s
        joins_at = recorded[0].total.open if recorded else self._first_price()
        before = simple_past(self.listing, joins_s, joins_at * self._tick, self._seed)
        return [block for block in (*before, *recorded) if block.total.start_s >= now_s - HISTORY_S]

    def _recorded_blocks(self) -> list[Block]:
        kind = "candles" if "candles" in self._files else self._live
        if kind == "quotes":
            return []
        files = self._files[kind]
        before = self._past_rows if kind == self._live else _between(files, self._from_s - HISTORY_S, self._from_s)
        bar_s = int(files[0].bar_s)
        if kind == "candles" and bar_s > MINUTE_S:
            return [self._long_block(row, bar_s) for row in before]
        return [Block.of_minutes(hour) for hour in _by_hour(self._minutes(kind, before))]

    def _long_block(self, row: TapeRow, bar_s: int) -> Block:
        bar = self._bar(row)
        lots = max(bar.lots, bar_s // MINUTE_S)
        return Block(bar._replace(lots=lots), bar_s, self._seed * 1_000_003 + bar.start_s)

    def _minutes(self, kind: str, before: Iterable[TapeRow]) -> Iterator[Bar]:
        running: Bar | None = None
        for row in before:
            bar = self._bar(row) if kind == "candles" else self._print_bar(row)
            if running is not None and bar.start_s == running.start_s:
                high, low = max(running.high, bar.high), min(running.low, bar.low)
                running = Bar(bar.start_s, running.open, high, low, bar.close, running.lots + bar.lots)
                continue
            if running is not None:
                yield running
            running = bar
        if running is not None:
            yield running

    def _bar(self, row: TapeRow) -> Bar:
        first, high, low, last, volume = row.values
        prices = (self.ticks(price) for price in (first, high, low, last))
        start_s = int(row.at_s + self._shift_s) // MINUTE_S * MINUTE_S
        return Bar(start_s, *prices, lots=round(volume / self._lot))  # type: ignore[misc] # four prices, always

    def _print_bar(self, row: TapeRow) -> Bar:
        price = self.ticks(row.values[0])
        start_s = int(row.at_s + self._shift_s) // MINUTE_S * MINUTE_S
        return Bar(start_s, price, price, price, price, round(row.values[1] / self._lot))

    def ticks(self, price: float) -> int:
        """A recorded price on the product's grid, at least one tick."""
        return max(round(price / self._tick), 1)

    def _first_price(self) -> int:
        ticks = self.future()
        first = next(ticks)
        self._future = chain((first,), ticks)
        return first.price

    def future(self) -> Iterator[TapeTick]:
        """Everything from `from_s` on in order of time, read as it is consumed: trades, else bars, else quotes."""
        return self._future

    def _ticks_ahead(self) -> Iterator[TapeTick]:
        bar_s = self._files[self._live][0].bar_s
        if self._live == "trades":
            return map(self._trade, self._future_rows)
        if self._live == "quotes":
            return (self._quote(row, bar_s) for row in self._future_rows)
        return chain.from_iterable(self._walk(row, bar_s) for row in self._future_rows)

    def _trade(self, row: TapeRow) -> TapeTick:
        price, size, taker = row.values
        return TapeTick(row.at_s, self.ticks(price), max(round(size / self._lot), 1), "BUY" if taker > 0 else "SELL")

    def _quote(self, row: TapeRow, bar_s: float) -> TapeTick:
        bid, ask = self.ticks(row.values[0]), self.ticks(row.values[1])
        return TapeTick(row.at_s + bar_s, (bid + ask) // 2, 0, "", max(ask - bid, 1))

    def _walk(self, row: TapeRow, bar_s: float) -> Iterator[TapeTick]:
        """A bar as prints: from open over both extremes to close, its volume in equal parts."""
        bar = self._bar(row)
        turns = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        corners = (bar.open, *turns, bar.close)
        steps = 3 * LEGS_A_MINUTE * max(int(bar_s) // MINUTE_S, 1) + 1
        path = list(_through(corners, steps))
        if bar.lots < steps:
            yield from (TapeTick(row.at_s + i * bar_s / steps, price, 0, "") for i, price in enumerate(path))
            return
        parts = split(bar.lots, [1.0] * steps)
        for i, (before, price) in enumerate(pairwise((path[0], *path))):
            yield TapeTick(row.at_s + i * bar_s / steps, price, parts[i], "BUY" if price >= before else "SELL")


def _through(corners: tuple[int, ...], steps: int) -> Iterator[int]:
    for i in range(steps):
        at = i * (len(corners) - 1) / (steps - 1)
        left = min(int(at), len(corners) - 2)
        yield round(corners[left] + (corners[left + 1] - corners[left]) * (at - left))


def _between(files: Iterable[TapeFile], first_s: float, stop_s: float) -> Iterator[TapeRow]:
    for row in rows(files):
        if row.at_s >= stop_s:
            return
        if row.at_s >= first_s:
            yield row


def _by_hour(minutes: Iterable[Bar]) -> Iterator[list[Bar]]:
    hour: list[Bar] = []
    for bar in minutes:
        if hour and hour[0].start_s // HOUR_S != bar.start_s // HOUR_S:
            yield hour
            hour = []
        hour.append(bar)
    if hour:
        yield hour
