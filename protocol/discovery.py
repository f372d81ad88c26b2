"""The universe as the venue's own listing gives it: what is listed, how it is chosen from, and what came of it."""

from decimal import Decimal
from enum import Enum

from protocol.base import Message, Value
from protocol.ids import ProductId

LEADER = ProductId("BTC-USD")
"""Always followed: the regime is read from its candles."""


class Listing(Value, frozen=True, kw_only=True):
    """One product as the venue lists it. USD; None: the venue does not say.

    `tradable`: entries and exits are possible without restriction; `status` is the venue's word. The volume is the
    quote currency's of 24 h, never the base one's.
    """

    product_id: ProductId
    base: str
    tradable: bool
    status: str
    price: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    volume_24h_usd: Decimal | None


class TierFloor(Value, frozen=True, kw_only=True):
    """Who is found for one tier: at most so many products, each with at least so much volume in 24 h, USD."""

    max_products: int
    min_volume_usd: Decimal


class DiscoveryRules(Value, frozen=True, kw_only=True):
    """What is chosen from a listing, for tiers 1, 2, 3 (pipeline.md §3).

    `fallback` are the products of tier 1 when nothing can be chosen. `stable_coins` are currencies.
    """

    tiers: tuple[TierFloor, TierFloor, TierFloor]
    max_products: int
    max_spread_bps: Decimal
    min_price_usd: Decimal
    stable_coins: tuple[str, ...]
    fallback: tuple[ProductId, ...]


class LeftOut(Value, frozen=True, kw_only=True, array_like=True):
    """Why a listed product was not chosen: the first bound it fails, value against limit where there are any."""

    product_id: ProductId
    reason: str
    value: Decimal | None = None
    limit: Decimal | None = None


class Source(Enum):
    """Where the chosen products come from."""

    VENUE = "venue"
    FALLBACK = "fallback"


Tiers = tuple[tuple[ProductId, ...], tuple[ProductId, ...], tuple[ProductId, ...]]


class UniverseDiscovered(Message, frozen=True, kw_only=True, tag="universe.discovered"):
    """Products by tier, most volume first, with whatever was left out and why.

    `detail` says why the source is the fallback. `unread` names what in the listing was malformed.
    """

    at_ns: int
    source: Source
    detail: str
    tiers: Tiers
    left_out: tuple[LeftOut, ...]
    unread: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[ProductId, ...]:
        """Every product of every tier, in order."""
        return tuple(product for tier in self.tiers for product in tier)
