"""What the universe knows: a durable record of memberships and bans, and the market of the moment."""

from decimal import Decimal

from msgspec import field

from actors.universe.eligibility import Bounds, Member
from actors.universe.hysteresis import Standing
from actors.universe.regime import Detector
from protocol.base import Value
from protocol.discovery import UniverseDiscovered
from protocol.ids import ProductId
from protocol.market import Bar, ProductRules, Quote
from protocol.policy import RegimeRow
from protocol.policy_universe import TierScale
from protocol.strategy import RedFlag, Regime


class Settings(Value, frozen=True, kw_only=True):
    """Bounds, the regime table, and how long product rules and memberships are believed.

    Not `detects`: the regime is chop, whatever the market does.
    `fed_only` is followed and stands in no tier; `found` is where the tiers come from, None: they are configured.
    """

    bounds: Bounds
    regimes: tuple[RegimeRow, ...]
    scales: tuple[TierScale, ...]
    tier_base_pct: tuple[Decimal, ...]
    products_ns: int
    refresh_ns: int
    min_eligible: int
    red_flags: tuple[str, ...]
    ban_ns: int
    volatility_h: int = 24
    detects: bool = True
    fed_only: tuple[ProductId, ...] = ()
    found: UniverseDiscovered | None = None

    def traded(self) -> tuple[ProductId, ...]:
        """Every product of every tier."""
        return tuple(p for tier in self.bounds.tiers for p in tier.products)

    def products(self) -> tuple[ProductId, ...]:
        """Every product that is followed."""
        return (*self.traded(), *self.fed_only)

    def row(self, regime: Regime) -> RegimeRow:
        """The regime's row of the one table."""
        return next(row for row in self.regimes if row.regime is regime)

    def scale(self, regime: Regime) -> TierScale:
        """What a regime makes of tiers and volume floors."""
        return next(row for row in self.scales if row.regime is regime)


class Record(Value, frozen=True, kw_only=True):
    """The durable part, bans aside. `counted_ns`: by regime, the last build whose counting changed something."""

    regime: Regime = Regime.CHOP
    standings: dict[ProductId, Standing] = field(default_factory=dict)
    counted_ns: dict[str, int] = field(default_factory=dict)


class Snapshot(Value, frozen=True, kw_only=True):
    """One build: what volume said of each product that had any."""

    built_ns: int
    members: dict[ProductId, Member]


class Universe(Value, frozen=True, kw_only=True):
    """The universe's state. `hours` are BTC's closed hourly bars; `snapshots` the last build in each regime.

    `rules` are the product list as everybody has it, as of `rules_ns`; `clock_offset_ns` is the venue's clock minus
    ours, 0 while it was not measured.
    """

    settings: Settings
    record: Record = Record()
    flags: dict[ProductId, RedFlag] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    rules_ns: int = 0
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    hours: tuple[Bar, ...] = ()
    detector: Detector = Detector()
    snapshots: dict[Regime, Snapshot] = field(default_factory=dict)
    eligible: frozenset[ProductId] = frozenset()
    short: bool = False
    clock_offset_ns: int = 0
