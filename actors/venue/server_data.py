"""What REST and the sockets tell of the market: the exchange's books beside the market's candles, days and trades."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.venue.catalogue import book_of
from actors.venue.core import Exchange
from actors.venue.events import Traded
from actors.venue.exact import exact, plain
from actors.venue.instants import SECOND_NS
from actors.venue.market import Candle, DayStats, Market
from actors.venue.views import trade_view
from actors.venue.wire import ProductView, TradeView, Wire

_FRESH_NS = SECOND_NS
_HOT_NS = 30 * SECOND_NS
_CENT = Decimal("0.01")
_YEAR_CANDLE_S = 21_600


class CandleView(Wire, frozen=True, kw_only=True):
    """A bucket; `start` UNIX seconds as text."""

    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str


class MarketData:
    """Reads a market and an exchange that trade the same books.

    Trade ids on the wire count up from the venue's start time, so that a restarted venue never repeats one.
    """

    def __init__(self, exchange: Exchange, market: Market, now_ns: int) -> None:
        self.exchange = exchange
        self.market = market
        self._first_id = now_ns // 10_000_000
        self._days: dict[str, tuple[int, DayStats]] = {}
        self._extremes: dict[str, tuple[int, tuple[Decimal, Decimal]]] = {}
        self._asked: dict[str, int] = {}
        self._books = frozenset(listing.product_id for listing in market.products())

    def asked(self, product_id: str, now_ns: int) -> None:
        """Somebody polls this product: it stays hot for half a minute."""
        self._asked[book_of(product_id)] = now_ns

    def watch(self, subscribed: Iterable[str], now_ns: int) -> None:
        """Tell the market which products are hot: those subscribed to and those polled lately."""
        self._asked = {product: at for product, at in self._asked.items() if now_ns - at < _HOT_NS}
        self.market.watch({*subscribed, *self._asked})

    def trades_here(self, product_id: str) -> bool:
        """Whether the market knows the product's book; a product listed by hand has none."""
        return book_of(product_id) in self._books

    def day(self, product_id: str, now_ns: int) -> DayStats:
        """The rolling day, at most a second old."""
        book = book_of(product_id)
        at_ns, day = self._days.get(book, (0, None))
        if day is None or now_ns - at_ns > _FRESH_NS:
            day = self.market.stats_24h(book)
            self._days[book] = (now_ns, day)
        return day

    def extremes(self, product_id: str, now_ns: int) -> tuple[Decimal, Decimal]:
        """Lowest and highest price of everything the venue remembers, at most six hours old."""
        book = book_of(product_id)
        at_ns, pair = self._extremes.get(book, (0, None))
        if pair is None or now_ns - at_ns > _YEAR_CANDLE_S * SECOND_NS:
            bars = self.market.history(book, _YEAR_CANDLE_S, now_ns // SECOND_NS - 365 * 86_400, now_ns // SECOND_NS)
            day = self.day(book, now_ns)
            pair = (min(day.low, *(bar.low for bar in bars)), max(day.high, *(bar.high for bar in bars)))
            self._extremes[book] = (now_ns, pair)
        return pair

    @exact
    def product(self, product_id: str, now_ns: int, *, tradability: bool = False) -> ProductView:
        """A product object whose day and price agree with candles and trades. Raises QueryError (404)."""
        view = self.exchange.product_view(product_id, now_ns, tradability=tradability)
        if not self.trades_here(product_id):
            return view
        day, price = self.day(product_id, now_ns), self.market.last_price(product_id)
        return msgspec.structs.replace(
            view,
            price=plain(price),
            price_percentage_change_24h=plain(day.change_pct),
            volume_24h=plain(day.volume_base),
            approximate_quote_24h_volume=plain(day.volume_usd.quantize(_CENT)),
            high_24h=plain(max(day.high, price)),
            low_24h=plain(min(day.low, price)),
        )

    def trade(self, trade: Traded, product_id: str) -> TradeView:
        """A trade as the wire tells it."""
        return trade_view(msgspec.structs.replace(trade, trade_id=self._first_id + trade.trade_id), product_id)

    @exact
    def trades(self, product_id: str, limit: int) -> list[TradeView]:
        """Newest public trades, newest first, reaching back before the venue's start. Raises QueryError (404)."""
        self.exchange.spec(product_id)
        if not self.trades_here(product_id):
            return self.exchange.recent_trades(product_id, limit)
        return [self.trade(trade, product_id) for trade in self.market.recent_trades(product_id, limit)]

    @exact
    def candles(self, product_id: str, granularity_s: int, start_s: int, end_s: int) -> list[CandleView]:
        """Bars opening from `start_s` to `end_s`, newest first. Raises QueryError (404)."""
        self.exchange.spec(product_id)
        if not self.trades_here(product_id):
            return []
        bars = self.market.history(product_id, granularity_s, start_s, end_s)
        return [_candle(bar) for bar in reversed(bars)]


def _candle(bar: Candle) -> CandleView:
    return CandleView(
        start=str(bar.start_s),
        low=plain(bar.low),
        high=plain(bar.high),
        open=plain(bar.open),
        close=plain(bar.close),
        volume=plain(bar.volume),
    )
