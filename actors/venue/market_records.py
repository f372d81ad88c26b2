"""What every market remembers of its products: bars, newest prints, and how they read on the wire."""

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice

from actors.venue.candles import DAY_S, Bar, Series
from actors.venue.catalogue import Listing, book_of
from actors.venue.events import Traded
from actors.venue.market import Candle, DayStats

NS = 1_000_000_000
KEPT_PRINTS = 1000


class Record:
    """One product: its listing, its series, its newest prints (newest last)."""

    __slots__ = ("listing", "prints", "series")

    def __init__(self, listing: Listing, series: Series) -> None:
        self.listing = listing
        self.series = series
        self.prints: deque[Traded] = deque(maxlen=KEPT_PRINTS)

    def price(self, ticks: int) -> Decimal:
        """Ticks as a price."""
        return ticks * self.listing.price_increment

    def size(self, lots: int) -> Decimal:
        """Lots as a size in base."""
        return lots * self.listing.base_increment

    def take(self, trade: Traded) -> None:
        """Count a print."""
        self.prints.append(trade)
        ticks = int(trade.price / self.listing.price_increment)
        self.series.record(ticks, int(trade.size / self.listing.base_increment), trade.at_ns // NS)

    def candle(self, bar: Bar) -> Candle:
        """A bar as it reads outside."""
        return Candle(
            start_s=bar.start_s,
            open=self.price(bar.open),
            high=self.price(bar.high),
            low=self.price(bar.low),
            close=self.price(bar.close),
            volume=self.size(bar.lots),
        )


class RecordedMarket:
    """The reading half of a market; the driving half derives from it."""

    def __init__(self, records: Iterable[Record], now_ns: int) -> None:
        self._records = {record.listing.product_id: record for record in records}
        self._started_s = now_ns // NS
        self._now_ns = now_ns

    def products(self) -> tuple[Listing, ...]:
        """Every product traded here, aliases left out."""
        return tuple(record.listing for record in self._records.values())

    def observe(self, trade: Traded) -> None:
        """Take note of a print of the engine."""
        self.record_of(trade.product_id).take(trade)

    def history(self, product: str, granularity_s: int, start_s: int, end_s: int) -> tuple[Candle, ...]:
        """Bars that open from `start_s` to `end_s`, oldest first (see `Market.history`)."""
        record = self.record_of(product)
        return tuple(map(record.candle, record.series.bars(granularity_s, start_s, end_s)))

    def stats_24h(self, product: str) -> DayStats:
        """The rolling day up to the last `advance`."""
        record = self.record_of(product)
        lots, turnover, high, low, reference = record.series.day(self._now_ns // NS)
        scale = float(record.listing.price_increment) * float(record.listing.base_increment)
        return DayStats(
            volume_base=record.size(lots),
            volume_usd=Decimal(f"{turnover * scale:.2f}"),
            open=record.price(reference),
            high=record.price(high),
            low=record.price(low),
            change_pct=Decimal(f"{100.0 * (record.series.close / reference - 1.0):.8f}"),
        )

    def last_price(self, product: str) -> Decimal:
        """Price of the newest print."""
        record = self.record_of(product)
        return record.price(record.series.close)

    def recent_trades(self, product: str, limit: int) -> tuple[Traded, ...]:
        """Up to `limit` newest prints, newest first; those before the start are told from the minute bars."""
        record = self.record_of(product)
        live = list(islice(reversed(record.prints), limit))
        return (*live, *islice(self._before_start(record), limit - len(live)))

    def _before_start(self, record: Record) -> Iterator[Traded]:
        bars = record.series.bars(60, self._started_s - DAY_S // 2, self._started_s // 60 * 60 - 60)
        for number, bar in enumerate(reversed(bars)):
            yield from _prints_of(record, bar, -4 * number)

    def record_of(self, product: str) -> Record:
        """What is remembered of a product or of the one it is an alias of. Raises KeyError: unknown."""
        return self._records[book_of(product)]


def _prints_of(record: Record, bar: Bar, newest_id: int) -> Iterator[Traded]:
    first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    turns = (bar.close, second, first, bar.open)
    for back, (ticks, before) in enumerate(zip(turns, (*turns[1:], bar.open), strict=True)):
        yield Traded(
            product_id=record.listing.product_id,
            trade_id=newest_id - back,
            at_ns=(bar.start_s + 55 - 15 * back) * NS,
            price=record.price(ticks),
            size=record.size(max(bar.lots // 4, 1)),
            maker_side="SELL" if ticks >= before else "BUY",
        )
