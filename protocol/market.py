"""Market data as decisions see it: quotes, closed candles, product rules, and whether the feed can be trusted."""

from decimal import Decimal
from enum import Enum
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ProductId
from protocol.instants import SECOND_NS


class FeedStatus(Enum):
    """How far a product's feed may be believed."""

    DOWN = "down"
    SYNCING = "syncing"
    LIVE = "live"
    STALE = "stale"


AHEAD_NS = SECOND_NS
"""So far ahead of the venue's clock a stamp may be, for our measure of that clock is not exact."""


def off_ns(age_ns: int, limit_ns: int) -> tuple[int, int]:
    """How far a stamp is off, and how far it may be: it is old, or (a negative age) from the future."""
    return (age_ns, limit_ns) if age_ns >= 0 else (-age_ns, AHEAD_NS)


class Quote(Message, frozen=True, kw_only=True, tag="market.quote"):
    """The top of an uncrossed, ungapped book.

    Prices in quote per base, sizes in base. Depth is USD resting within 20 bps of mid, each side. `venue_ns` is
    the venue's time of the last book change, `fresh_ns` the venue's time up to which the feed vouches for it
    (requirements ST1), `received_ns` ours; `sequence` rises by one per book state of this feed incarnation.
    `move_sigma` is how far the mid moved within the last minute, up or down, in multiples of the standard deviation
    of such moves (requirements O1); None while too few are known. `candle_ns` is the end of the newest closed minute,
    None before there is one.
    """

    lane: ClassVar[Lane] = Lane.STATE
    product_id: ProductId
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    bid_depth_usd: Decimal
    ask_depth_usd: Decimal
    venue_ns: int
    fresh_ns: int
    received_ns: int
    sequence: int
    move_sigma: float | None = None
    candle_ns: int | None = None

    @property
    def key(self) -> str:
        """One per product."""
        return self.product_id

    def age_ns(self, now_ns: int, clock_offset_ns: int) -> int:
        """How old it is on the venue's clock, which alone its stamps are of (requirements ST1).

        Args:
            now_ns: our clock.
            clock_offset_ns: the venue's clock minus ours, as `VenueHealth` tells it; 0 while it was not measured.
        """
        return now_ns + clock_offset_ns - self.fresh_ns

    def young(self, now_ns: int, clock_offset_ns: int, limit_ns: int) -> bool:
        """Whether its age is within `limit_ns`; one from the future is as bad as an old one (execution.md §3)."""
        off, most = off_ns(self.age_ns(now_ns, clock_offset_ns), limit_ns)
        return off <= most

    @property
    def mid(self) -> Decimal:
        """Half way between bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> Decimal:
        """(ask - bid) / mid, in basis points."""
        return (self.ask - self.bid) / self.mid * 10_000


class FeedState(Message, frozen=True, kw_only=True, tag="market.feed_state"):
    """A product's feed changed status; `detail` says why. Anything but LIVE means: decide nothing on it."""

    product_id: ProductId
    status: FeedStatus
    detail: str
    at_ns: int


class FactsWanted(Message, frozen=True, kw_only=True, tag="market.facts_wanted"):
    """A room that began anew to one that tells it things once: tell me again what holds. Silence: nothing does yet."""

    reply_to: str


class PublicTrade(Message, frozen=True, kw_only=True, tag="market.trade"):
    """Somebody traded. `aggressor_buy` is the taker's side (the wire tells the maker's)."""

    lane: ClassVar[Lane] = Lane.STATE
    product_id: ProductId
    trade_id: str
    price: Decimal
    size: Decimal
    aggressor_buy: bool
    venue_ns: int

    @property
    def key(self) -> str:
        """One per product."""
        return self.product_id


class Bar(Value, frozen=True, kw_only=True):
    """One closed candle. `start_s` UNIX seconds; `volume` in base units; `synthetic`: without a trade.

    `quiet_minutes`: how many minutes of a longer candle with trades had none, as far as we saw them ourselves.
    """

    start_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    synthetic: bool = False
    quiet_minutes: int = 0


class CandleClosed(Message, frozen=True, kw_only=True, tag="market.candle"):
    """A candle of `granularity_s` closed; it never changes again."""

    product_id: ProductId
    granularity_s: int
    bar: Bar


class CandleHistory(Message, frozen=True, kw_only=True, tag="market.history"):
    """Closed candles up to now, oldest first, from REST. Replaces what the receiver held for this series."""

    product_id: ProductId
    granularity_s: int
    bars: tuple[Bar, ...]


class ProductRules(Value, frozen=True, kw_only=True):
    """What the venue allows for one product: grids, minima, state. Increments in the unit they quantise.

    `volume_24h_usd` is the quote currency's, never the base one's; `listed_ns` None: the venue does not say since when.
    """

    product_id: ProductId
    base: str
    quote: str
    price_increment: Decimal
    base_increment: Decimal
    quote_increment: Decimal
    base_min_size: Decimal
    quote_min_size: Decimal
    base_max_size: Decimal
    quote_max_size: Decimal
    status: str
    trading_disabled: bool
    cancel_only: bool
    limit_only: bool
    post_only: bool
    view_only: bool
    auction_mode: bool
    alias: str
    volume_24h_usd: Decimal | None
    listed_ns: int | None = None

    @property
    def tradable(self) -> bool:
        """Entries and exits are possible without restriction (EX1: an unknown status is not)."""
        flags = (self.trading_disabled, self.cancel_only, self.limit_only, self.post_only, self.view_only)
        return self.status == "online" and not any(flags) and not self.auction_mode


class ProductsKnown(Message, frozen=True, kw_only=True, tag="market.products"):
    """The venue's rules for the products we follow, complete, as of `at_ns`."""

    products: tuple[ProductRules, ...]
    at_ns: int


MarketMessage = Quote | FeedState | FactsWanted | PublicTrade | CandleClosed | CandleHistory | ProductsKnown
