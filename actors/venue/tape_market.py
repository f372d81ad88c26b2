"""A market that plays recordings; products they lack are made up (`synthetic`)."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from math import lcm
from random import Random

from actors.venue.candles import MINUTE_S, Series
from actors.venue.catalogue import LISTINGS, Listing, book_of
from actors.venue.market import Market, Matching
from actors.venue.market_records import NS, Record, RecordedMarket
from actors.venue.synthetic import SyntheticMarket
from actors.venue.synthetic_plant import Past, make_past
from actors.venue.synthetic_prices import Path as PricePath
from actors.venue.synthetic_prices import checked_path
from actors.venue.tape_files import TapeFile, tape_files
from actors.venue.tape_maker import TapeMaker
from actors.venue.tape_play import Recording, TapeTick, listing_of
from actors.venue.tape_source import MarketSource

REFRESH_NS = NS // 2


class _Deck:
    """One recording while it plays."""

    __slots__ = ("halted", "maker", "next", "path", "played_s", "ticks")

    def __init__(self, maker: TapeMaker, ticks: Iterator[TapeTick]) -> None:
        self.maker = maker
        self.ticks = ticks
        self.next = next(ticks, None)
        self.halted = False
        self.path: PricePath | None = None
        self.played_s = 0.0


class TapeMarket(RecordedMarket):
    """See `actors.venue.market.Market`.

    Recorded time `from` is the venue's start, to within one bar: the shift is whole bars, so that bars stay bars.
    From then on `speed` recorded seconds pass per second; prints bear the venue's time.
    """

    def __init__(self, venue: Matching, source: MarketSource, seed: int, now_ns: int) -> None:
        files = _chosen(source)
        from_s = min(file.first_s for _, file in files) if source.from_s is None else source.from_s
        shift_s = _shift(files, now_ns / NS - from_s)
        self._from_s, self._speed, self._start_ns = now_ns / NS - shift_s, source.speed, now_ns
        tapes = [
            Recording(listing_of(group[0], product_id), group, self._from_s, shift_s, seed)
            for product_id, group in _grouped(files)
        ]
        super().__init__((Record(tape.listing, Series(tape.blocks)) for tape in tapes), now_ns)
        self._venue = venue
        self._hot: frozenset[str] = frozenset()
        self._refresh_ns = now_ns
        self._decks = {tape.listing.product_id: _Deck(_maker(tape.listing, seed), tape.future()) for tape in tapes}
        for product_id, deck in self._decks.items():
            deck.maker.show(venue, self._records[product_id].series.close, now_ns)
        self._rest = SyntheticMarket(venue, seed, now_ns, _without(make_past(seed, now_ns // NS), self._decks))

    def products(self) -> tuple[Listing, ...]:
        """The recorded products, then the made-up ones."""
        return (*super().products(), *self._rest.products())

    def watch(self, products: Iterable[str]) -> None:
        """Name the hot products."""
        self._hot = frozenset(map(book_of, products))
        self._rest.watch(self._hot - self._decks.keys())

    def is_synthetic(self, product: str) -> bool:
        """False for what a recording drives."""
        return book_of(product) not in self._decks and self._rest.is_synthetic(product)

    def set_path(self, product: str, points: Sequence[tuple[float, Decimal]]) -> None:
        """Lead the price along an operator's path; the recording goes on unplayed meanwhile."""
        deck = self._decks.get(book_of(product))
        if deck is None:
            self._rest.set_path(product, points)
            return
        path = [(seconds, float(price)) for seconds, price in points]
        checked_path(path)
        deck.path = PricePath(path, float(self.last_price(product)))
        deck.played_s = (self._now_ns - self._start_ns) / NS

    def halt(self, product: str, halted: bool) -> None:
        """Stop or resume one product; what is recorded meanwhile is not played."""
        deck = self._decks.get(book_of(product))
        if deck is None:
            self._rest.halt(product, halted)
            return
        deck.halted = halted

    def advance(self, now_ns: int) -> None:
        """Play up to `now_ns`."""
        self._rest.advance(now_ns)
        if now_ns <= self._now_ns:
            return
        self._now_ns = now_ns
        until_s = self._from_s + (now_ns - self._start_ns) / NS * self._speed
        for deck in self._decks.values():
            self._play(deck, until_s)
        if now_ns - self._refresh_ns >= REFRESH_NS:
            self._refresh()

    def _play(self, deck: _Deck, until_s: float) -> None:
        while deck.next is not None and deck.next.at_s <= until_s:
            if not deck.halted and deck.path is None:
                deck.maker.play(self._venue, deck.next, self._venue_ns(deck.next.at_s))
            deck.next = next(deck.ticks, None)
        if deck.path is not None and not deck.halted:
            self._lead(deck, deck.path)

    def _lead(self, deck: _Deck, path: PricePath) -> None:
        age_s = (self._now_ns - self._start_ns) / NS
        price, over = path.step(age_s - deck.played_s)
        deck.played_s = age_s
        tick = max(round(price / float(deck.maker.listing.price_increment)), 1)
        deck.maker.lead(self._venue, tick, self._now_ns)
        if over:
            deck.path = None

    def _venue_ns(self, recorded_s: float) -> int:
        at_ns = self._start_ns + int((recorded_s - self._from_s) / self._speed * NS)
        return min(at_ns, self._now_ns)

    def _refresh(self) -> None:
        """Between prints, let the watched books refill."""
        seconds = (self._now_ns - self._refresh_ns) / NS
        self._refresh_ns = self._now_ns
        for product_id in self._hot & self._decks.keys():
            if not self._decks[product_id].halted:
                self._decks[product_id].maker.refill(self._venue, seconds, self._now_ns)

    def record_of(self, product: str) -> Record:
        """What is remembered of a product, recorded or made up."""
        product_id = book_of(product)
        return self._records.get(product_id) or self._rest.record_of(product_id)


def _maker(listing: Listing, seed: int) -> TapeMaker:
    return TapeMaker(listing, Random(f"tape:{seed}:{listing.product_id}"))  # noqa: S311 - a market's noise


def _chosen(source: MarketSource) -> list[tuple[str, TapeFile]]:
    """The files to play with the product each one plays as; a product recorded as such beats a mapped one."""
    files = tape_files(source.path)
    native = {file.product_id for file in files}
    named: dict[str, str] = {}
    for recorded in sorted(native):
        base, dash, quote = recorded.partition("-")
        if not (base and dash and quote):
            raise ValueError(f"a recording's product must read BASE-QUOTE, got {recorded!r}")
        mapped = f"{base}-{source.as_quote}" if source.as_quote else recorded
        free = mapped == recorded or (mapped not in native and mapped not in named.values())
        named[recorded] = mapped if free else recorded
    return [(named[file.product_id], file) for file in files]


def _grouped(files: list[tuple[str, TapeFile]]) -> Iterator[tuple[str, list[TapeFile]]]:
    for product_id, group in groupby(sorted(files, key=lambda item: item[0]), key=lambda item: item[0]):
        yield product_id, [file for _, file in group]


def _shift(files: list[tuple[str, TapeFile]], wanted_s: float) -> float:
    """Seconds from recorded to venue time: what is wanted, rounded down to whole bars; exact for trades alone."""
    bars = [max(int(file.bar_s), MINUTE_S) for _, file in files if file.kind == "candles"]
    if not bars:
        return wanted_s
    whole = lcm(*bars)
    return float(wanted_s // whole * whole)


def _without(past: Past, products: Iterable[str]) -> Past:
    left = {name: blocks for name, blocks in past.blocks.items() if name not in set(products)}
    return Past(past.scenario, left, past.prices)


def listings_of(source: MarketSource) -> tuple[Listing, ...]:
    """Every product that the market of `source` will have: what the exchange must know before the market opens.

    Raises ValueError: a tape that is not there or cannot be read.
    """
    if source.kind != "tape":
        return tuple(LISTINGS.values())
    recorded = {product_id: listing_of(file, product_id) for product_id, file in _chosen(source)}
    return tuple({**LISTINGS, **recorded}.values())


def open_market(source: MarketSource, venue: Matching, *, seed: int, now_ns: int) -> Market:
    """The market a run asked for, quoting on `venue` (which must know `listings_of(source)`) from `now_ns` on.

    Raises ValueError: a mirror, which has no market of its own; a tape that cannot be read or ends too early.
    """
    if source.kind == "synthetic":
        return SyntheticMarket(venue, seed, now_ns)
    if source.kind == "tape":
        return TapeMarket(venue, source, seed, now_ns)
    raise ValueError("a mirror's market comes from Coinbase's feed, not from here")
