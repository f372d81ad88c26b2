"""The public channels: what each product's subscribers get, gathered from the exchange's events and cut into frames."""

from collections import defaultdict
from decimal import Decimal

from actors.venue import server_frames as frames
from actors.venue.book import Levels
from actors.venue.catalogue import book_of
from actors.venue.events import BookChanged, Traded
from actors.venue.exact import plain
from actors.venue.instants import MILLISECOND_NS, SECOND_NS
from actors.venue.server_data import MarketData
from actors.venue.server_frames import BID, OFFER, Frame

LEVEL2, TRADES, TICKER, TICKER_BATCH, CANDLES = "level2", "market_trades", "ticker", "ticker_batch", "candles"
STATUS, HEARTBEATS, USER, FUTURES = "status", "heartbeats", "user", "futures_balance_summary"
BY_PRODUCT = frozenset({LEVEL2, TRADES, TICKER, TICKER_BATCH, CANDLES})
CHANNELS = BY_PRODUCT | {STATUS, HEARTBEATS, USER, FUTURES}
PRIVATE = frozenset({USER, FUTURES})

_LEVEL2_NS = 50 * MILLISECOND_NS
_TRADES_NS = 250 * MILLISECOND_NS
_CANDLES_NS = SECOND_NS
_BATCH_NS = 5 * SECOND_NS
_BUCKET_S = 300
_SNAPSHOT_TRADES = 100

Addressed = tuple[str, str, Frame]
"""Channel, book and frame."""


class Channels:
    """Pending changes by book, and when each channel is cut next."""

    def __init__(self, data: MarketData, now_ns: int) -> None:
        self._data = data
        self._levels: dict[str, dict[tuple[str, Decimal], Decimal]] = defaultdict(dict)
        self._traded: dict[str, list[Traded]] = defaultdict(list)
        self._matched: set[str] = set()
        self._batched: set[str] = set()
        self._candled: set[str] = set()
        self._due = dict.fromkeys((LEVEL2, TRADES, CANDLES, TICKER_BATCH), now_ns)

    def book_changed(self, event: BookChanged) -> None:
        """Take changes of a book; of a level only the newest size counts."""
        levels = self._levels[event.product_id]
        levels.update({(BID, price): size for price, size in event.bids})
        levels.update({(OFFER, price): size for price, size in event.asks})

    def traded(self, event: Traded) -> None:
        """Take a print."""
        book = event.product_id
        self._traded[book].append(event)
        for changed in (self._matched, self._batched, self._candled):
            changed.add(book)

    def cut(self, now_ns: int, listened: set[tuple[str, str]]) -> list[Addressed]:
        """The frames that are due, for those (channel, book) pairs that somebody listens to."""
        out: list[Addressed] = []
        if self._is_due(LEVEL2, _LEVEL2_NS, now_ns):
            out += self._cut_levels(now_ns, listened)
        out += self._cut_tickers(TICKER, self._matched, now_ns, listened)
        self._matched.clear()
        if self._is_due(TRADES, _TRADES_NS, now_ns):
            out += self._cut_trades(now_ns, listened)
        if self._is_due(CANDLES, _CANDLES_NS, now_ns):
            out += self._cut_candles(now_ns, listened)
        if self._is_due(TICKER_BATCH, _BATCH_NS, now_ns):
            out += self._cut_tickers(TICKER_BATCH, self._batched, now_ns, listened)
            self._batched.clear()
        return out

    def snapshot(self, channel: str, book: str, now_ns: int, *, extra_levels: int = 0) -> Frame | None:
        """What a new subscriber of a product gets first; None where the channel begins with its next update.

        `extra_levels` a side make a book as deep as production's, beyond what anybody trades at.
        """
        if channel == LEVEL2:
            return self._book_snapshot(book, now_ns, extra_levels)
        if channel == TRADES:
            return self._trades_snapshot(book, now_ns)
        if channel == CANDLES:
            return frames.candles("snapshot", now_ns, self._buckets(book, now_ns, 2))
        if not self._data.trades_here(book):
            return None
        return frames.tickers(channel, "snapshot", now_ns, [self._ticker(channel, book, now_ns)])

    def status(self, kind: str, products: list[str], now_ns: int) -> Frame:
        """The states of `products`."""
        return frames.status(kind, now_ns, [self._status(product) for product in products])

    def _is_due(self, channel: str, period_ns: int, now_ns: int) -> bool:
        due = now_ns >= self._due[channel]
        if due:
            self._due[channel] = max(self._due[channel] + period_ns, now_ns - now_ns % period_ns)
        return due

    def _cut_levels(self, now_ns: int, listened: set[tuple[str, str]]) -> list[Addressed]:
        out = [
            (LEVEL2, book, frames.level2(book, "update", now_ns, _in_order(levels)))
            for book, levels in self._levels.items()
            if levels and (LEVEL2, book) in listened
        ]
        self._levels.clear()
        return out

    def _cut_trades(self, now_ns: int, listened: set[tuple[str, str]]) -> list[Addressed]:
        out = [
            (TRADES, book, frames.market_trades("update", now_ns, [self._data.trade(one, book) for one in trades]))
            for book, trades in self._traded.items()
            if (TRADES, book) in listened
        ]
        self._traded.clear()
        return out

    def _cut_tickers(
        self, channel: str, books: set[str], now_ns: int, listened: set[tuple[str, str]]
    ) -> list[Addressed]:
        return [
            (channel, book, frames.tickers(channel, "update", now_ns, [self._ticker(channel, book, now_ns)]))
            for book in sorted(books)
            if (channel, book) in listened
        ]

    def _cut_candles(self, now_ns: int, listened: set[tuple[str, str]]) -> list[Addressed]:
        out = [
            (CANDLES, book, frames.candles("update", now_ns, self._buckets(book, now_ns, 1)))
            for book in sorted(self._candled)
            if (CANDLES, book) in listened
        ]
        self._candled.clear()
        return out

    def _book_snapshot(self, book: str, now_ns: int, extra_levels: int) -> Frame:
        bids, asks = self._data.exchange.book(book)
        step = self._data.exchange.spec(book).price_increment
        levels = [(BID, plain(price), plain(size)) for price, size in _deepened(bids, -step, extra_levels)]
        levels += [(OFFER, plain(price), plain(size)) for price, size in _deepened(asks, step, extra_levels)]
        return frames.level2(book, "snapshot", now_ns, levels)

    def _trades_snapshot(self, book: str, now_ns: int) -> Frame:
        # What is still pending comes with the next update: told once, not twice.
        pending = len(self._traded[book])
        return frames.market_trades("snapshot", now_ns, self._data.trades(book, _SNAPSHOT_TRADES + pending)[pending:])

    def _buckets(self, book: str, now_ns: int, count: int) -> list[dict[str, str]]:
        now_s = now_ns // SECOND_NS
        start_s = now_s - now_s % _BUCKET_S - (count - 1) * _BUCKET_S
        rows = self._data.candles(book, _BUCKET_S, start_s, now_s)
        return [
            {
                "start": row.start,
                "high": row.high,
                "low": row.low,
                "open": row.open,
                "close": row.close,
                "volume": row.volume,
                "product_id": book,
            }
            for row in rows
        ]

    def _ticker(self, channel: str, book: str, now_ns: int) -> dict[str, str]:
        day, price = self._data.day(book, now_ns), self._data.market.last_price(book)
        low, high = self._data.extremes(book, now_ns)
        members = {
            "product_id": book,
            "price": plain(price),
            "volume_24_h": plain(day.volume_base),
            "low_24_h": plain(min(day.low, price)),
            "high_24_h": plain(max(day.high, price)),
            "low_52_w": plain(min(low, day.low, price)),
            "high_52_w": plain(max(high, day.high, price)),
            "price_percent_chg_24_h": plain(day.change_pct),
        }
        return members | (self._best(book) if channel == TICKER else {})

    def _best(self, book: str) -> dict[str, str]:
        bids, asks = self._data.exchange.book(book, 1)
        bid, bid_size = map(plain, bids[0]) if bids else ("", "")
        ask, ask_size = map(plain, asks[0]) if asks else ("", "")
        return {"best_bid": bid, "best_ask": ask, "best_bid_quantity": bid_size, "best_ask_quantity": ask_size}

    def _status(self, product_id: str) -> dict[str, str]:
        spec = self._data.exchange.spec(product_id)
        return {
            "product_type": "SPOT",
            "id": product_id,
            "base_currency": spec.base,
            "quote_currency": spec.quote,
            "base_increment": plain(spec.base_increment),
            "quote_increment": plain(spec.quote_increment),
            "display_name": product_id.replace("-", "/"),
            "status": spec.status,
            "status_message": "",
            "min_market_funds": plain(spec.quote_min_size),
        }


def _deepened(levels: Levels, step: Decimal, extra: int) -> Levels:
    if not levels or not extra:
        return levels
    worst = levels[-1][0]
    more = ((worst + step * number, Decimal(1)) for number in range(1, extra + 1))
    return levels + tuple((price, size) for price, size in more if price > 0)


def _in_order(levels: dict[tuple[str, Decimal], Decimal]) -> list[frames.Level]:
    """Bids descending, then offers ascending."""
    bids = sorted(((price, size) for (side, price), size in levels.items() if side == BID), reverse=True)
    offers = sorted((price, size) for (side, price), size in levels.items() if side == OFFER)
    named = [(BID, *level) for level in bids] + [(OFFER, *level) for level in offers]
    return [(side, plain(price), plain(size)) for side, price, size in named]


def books_of(product_ids: list[str]) -> list[str]:
    """The books behind products, each once."""
    return list(dict.fromkeys(book_of(product) for product in product_ids))
