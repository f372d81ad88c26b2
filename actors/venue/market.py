"""What a market is to the embedded venue: prices, books and public trades up to now, and the history before.

Sans-I/O where it decides: the server owns the loop and the clock and calls `advance` about ten times a second.
A market drives the matching engine through `Matching` and never looks at orders.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from actors.venue.catalogue import Listing
from actors.venue.events import Traded

Levels = Sequence[tuple[Decimal, Decimal]]
"""Price and size of each level, best first."""


class Candle(msgspec.Struct, frozen=True):
    """One bar: `start_s` UTC seconds of its opening, prices in quote, volume in base. No trades: no bar."""

    start_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class DayStats(msgspec.Struct, frozen=True):
    """The last 24 hours: volumes in base and in USD, the price a day ago, extremes, change in per cent (2.0 = 2 %)."""

    volume_base: Decimal
    volume_usd: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    change_pct: Decimal


class Matching(Protocol):
    """The side of the matching engine that a market drives (`actors.venue.core.Exchange`)."""

    def quote_market(self, product_id: str, bids: Levels, asks: Levels, now_ns: int) -> list[Traded]:
        """Replace the market makers' ladders, best level first; users' orders stay and trade with what crosses them."""

    def market_order(
        self, product_id: str, taker_side: str, size: Decimal, now_ns: int, limit_price: Decimal | None = None
    ) -> list[Traded]:
        """Take up to `size` (base) of the other side, no further than `limit_price`; the rest is dropped."""


class Market(Protocol):
    """One market for all products of a venue."""

    def products(self) -> tuple[Listing, ...]:
        """Every product traded here, aliases left out."""

    def watch(self, products: Iterable[str]) -> None:
        """Name the hot products, the ones somebody listens to: refreshed at 10 Hz; the others every few seconds."""

    def advance(self, now_ns: int) -> None:
        """Do to the matching engine what happened up to `now_ns` (UTC). Going back in time does nothing."""

    def observe(self, trade: Traded) -> None:
        """Take note of a print. The server calls this for every `Traded` it drains from the engine, in order.

        Only so do candles, 24 h volume, last price and recent trades agree with what the wire said.
        """

    def history(self, product: str, granularity_s: int, start_s: int, end_s: int) -> tuple[Candle, ...]:
        """Bars that open from `start_s` to `end_s` (both inclusive), oldest first, the newest one unfinished.

        Bars of all granularities are aggregates of the same minutes. Raises KeyError: unknown product;
        ValueError: a granularity that is no multiple of a minute.
        """

    def stats_24h(self, product: str) -> DayStats:
        """The rolling day up to the last `advance`. Raises KeyError: unknown product."""

    def last_price(self, product: str) -> Decimal:
        """Price of the newest print. Raises KeyError: unknown product."""

    def recent_trades(self, product: str, limit: int) -> tuple[Traded, ...]:
        """Up to `limit` newest prints, newest first, reaching back before the start (ids 0 and below there).

        Raises KeyError: unknown product.
        """

    def is_synthetic(self, product: str) -> bool:
        """Is this product's price made up (True) or a recording's (False)? Raises KeyError: unknown product."""

    def set_path(self, product: str, points: Sequence[tuple[float, Decimal]]) -> None:
        """Lead the price along an operator's path: (seconds from now, price), straight lines between, then free.

        Raises KeyError: unknown product; ValueError: no points, times not rising, or a price not positive.
        """

    def halt(self, product: str, halted: bool) -> None:
        """Stop or resume everything the market does in `product`: no trades, an unchanged book."""
