"""The synthetic market: every listed product, made up from a seed, from a planted past on (see `synthetic_plant`)."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from random import Random

from actors.venue.candles import Series
from actors.venue.catalogue import LISTINGS, Listing, book_of
from actors.venue.market import Matching
from actors.venue.market_records import NS, Record, RecordedMarket
from actors.venue.synthetic_book import Maker
from actors.venue.synthetic_plant import Past, make_past
from actors.venue.synthetic_prices import Coin, Path, PriceModel, checked_path

STEP_NS = NS // 10
COLD_NS = 2 * NS
STALL_NS = 5 * NS
"""After a longer pause than this, prices catch up without showing every step to the engine."""
PLANTED_HEAT = 1.5
PLANTED_ACTIVITY = 4.0
ACTIVITY_FADE = 0.99997
"""Per step: a burst of trading halves within forty minutes."""


class _Desk:
    """One product's live side: its maker, when it is due, where it last stood."""

    __slots__ = ("due_ns", "halted", "last_fair", "maker", "trend")

    def __init__(self, maker: Maker, due_ns: int, fair: float) -> None:
        self.maker = maker
        self.due_ns = due_ns
        self.halted = False
        self.last_fair = fair
        self.trend = 0.0


class SyntheticMarket(RecordedMarket):
    """See `actors.venue.market.Market`. Prices depend on the seed and the start only, not on who watches."""

    def __init__(self, venue: Matching, seed: int, now_ns: int, past: Past | None = None) -> None:
        past = past or make_past(seed, now_ns // NS)
        listings = [LISTINGS[name] for name in past.blocks]
        super().__init__((Record(item, Series(past.blocks[item.product_id])) for item in listings), now_ns)
        self._venue = venue
        self._hot: frozenset[str] = frozenset()
        self._model = PriceModel(((item.product_id, _coin(item, past)) for item in listings), seed)
        self._desks = {
            item.product_id: _Desk(_maker(item, past, seed), now_ns + number * COLD_NS // len(listings), 0.0)
            for number, item in enumerate(listings)
        }
        for product_id, desk in self._desks.items():
            desk.last_fair = self._model.coins[product_id].price
            desk.maker.quote(venue, desk.last_fair, 1.0, 0.1, now_ns)

    def watch(self, products: Iterable[str]) -> None:
        """Name the hot products; one that becomes hot moves at once, not when it would have been due cold."""
        hot = frozenset(map(book_of, products)) & self._desks.keys()
        for product_id in hot - self._hot:
            self._desks[product_id].due_ns = self._now_ns
        self._hot = hot

    def is_synthetic(self, product: str) -> bool:
        """Always, for a listed product."""
        self.record_of(product)
        return True

    def set_path(self, product: str, points: Sequence[tuple[float, Decimal]]) -> None:
        """Lead the price along an operator's path."""
        path = [(seconds, float(price)) for seconds, price in points]
        checked_path(path)
        coin = self._model.coins[self.record_of(product).listing.product_id]
        coin.path = Path(path, coin.price)

    def halt(self, product: str, halted: bool) -> None:
        """Stop or resume trading and quoting in one product; its fair price goes on."""
        self._desks[self.record_of(product).listing.product_id].halted = halted

    def advance(self, now_ns: int) -> None:
        """Play up to `now_ns` in steps of a tenth of a second."""
        if now_ns - self._now_ns > STALL_NS:
            self._catch_up(now_ns - STEP_NS)
        while self._now_ns + STEP_NS <= now_ns:
            self._now_ns += STEP_NS
            self._model.step(STEP_NS / NS)
            self._act()

    def _act(self) -> None:
        now_ns, hot = self._now_ns, self._hot
        for product_id, desk in self._desks.items():
            if now_ns < desk.due_ns or desk.halted:
                continue
            period_ns = STEP_NS if product_id in hot else COLD_NS
            desk.due_ns = now_ns + period_ns
            self._play(product_id, desk, period_ns / NS)

    def _play(self, product_id: str, desk: _Desk, seconds: float) -> None:
        coin, maker = self._model.coins[product_id], desk.maker
        fair = coin.price
        step_bps = (fair / desk.last_fair - 1.0) * 1e4
        desk.last_fair = fair
        weight = min(seconds / 10.0, 1.0)
        desk.trend += weight * (step_bps / seconds - desk.trend)
        tilt = max(-1.0, min(1.0, desk.trend / 3.0))
        maker.activity = 1.0 + (maker.activity - 1.0) * ACTIVITY_FADE ** (seconds * 10.0)
        maker.quote(self._venue, fair, coin.heat, seconds, self._now_ns)
        maker.flow(self._venue, seconds, tilt, self._now_ns)

    def _catch_up(self, until_ns: int) -> None:
        """After a stall: a few seconds at a time straight into the bars, the engine sees only the end of it."""
        stride_s = min(max(1, (until_ns - self._now_ns) // NS // 15), 10)
        while self._now_ns + stride_s * NS <= until_ns:
            self._now_ns += stride_s * NS
            self._model.step(float(stride_s))
            for product_id, desk in self._desks.items():
                if not desk.halted:
                    self._note(product_id, stride_s)

    def _note(self, product_id: str, seconds: int) -> None:
        record, fair = self._records[product_id], self._model.coins[product_id].price
        usd = record.listing.daily_volume_usd * seconds / 86_400
        lots = max(int(usd / fair / float(record.listing.base_increment)), 1)
        record.series.record(max(round(fair / float(record.listing.price_increment)), 1), lots, self._now_ns // NS)


def _coin(listing: Listing, past: Past) -> Coin:
    heat = PLANTED_HEAT if listing.product_id in past.scenario.planted else 1.0
    return Coin(listing, past.prices[listing.product_id], heat)


def _maker(listing: Listing, past: Past, seed: int) -> Maker:
    maker = Maker(listing, Random(f"maker:{seed}:{listing.product_id}"))  # noqa: S311 - a market's noise
    maker.activity = PLANTED_ACTIVITY if listing.product_id in past.scenario.planted else 1.0
    return maker
