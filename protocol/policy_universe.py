"""The resolved policy of the universe: who may be traded at all, and what is followed besides."""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from protocol.base import Value
from protocol.discovery import LEADER, DiscoveryRules, UniverseDiscovered
from protocol.ids import ProductId
from protocol.strategy import Regime

OTHER_THEME = "OTHER"


class BandRow(Value, frozen=True, kw_only=True):
    """When a product just below its volume floor may pass (pipeline.md §3, 3a). Depth against our order's size."""

    lower_mult: Decimal
    max_spread_bps: Decimal
    min_listing_age_s: int
    require_depth_mult: Decimal
    slippage_budget_bps: Decimal


class TierRow(Value, frozen=True, kw_only=True):
    """One tier's products and floors, the tighter of the tier's and the global ones.

    `force_eligible` skip the volume floor; `band` None: the tier has no rule of its own for near misses.
    `max_allocation_pct` is of NAV, before the regime's multiplier.
    """

    tier: int
    products: tuple[ProductId, ...]
    min_24h_volume_usd: Decimal
    max_spread_bps: Decimal
    min_depth_usd: Decimal
    max_allocation_pct: Decimal = Decimal(100)
    force_eligible: tuple[ProductId, ...] = ()
    band: BandRow | None = None


class TierScale(Value, frozen=True, kw_only=True):
    """What one regime makes of tiers 1, 2, 3 (zero: excluded) and of the volume floors (None: nothing is eligible)."""

    regime: Regime
    allocation_mults: tuple[Decimal, Decimal, Decimal]
    volume_mult: Decimal | None


TierScales = tuple[TierScale, TierScale, TierScale, TierScale]


class NearMiss(Value, frozen=True, kw_only=True):
    """How far below a floor of volume or depth, as a share of it, how many products of a tier may pass."""

    tolerance_share: Decimal
    max_per_tier: int


class VolumeSteps(Value, frozen=True, kw_only=True):
    """When volume makes a product come or go: multiples of the floor, and builds in a row."""

    enter_mult: Decimal
    exit_mult: Decimal
    enter_builds: int
    exit_builds: int


class Theme(Value, frozen=True, kw_only=True):
    """The products that move together."""

    name: str
    products: tuple[ProductId, ...]


class UniversePolicy(Value, frozen=True, kw_only=True):
    """Who may be traded at all. Depth is bid plus ask side within 20 bps of the mid, USD.

    `near_miss` None: a floor is a floor. `red_flags` are the reasons for which a product may be banned, for `ban_s`.
    `discovery` None: the tiers are those configured; else they are empty until a start has `found` their products.
    `fed_only` are followed without standing in a tier, so that nothing of them is bought: what is held, and the leader.
    """

    tiers: tuple[TierRow, TierRow, TierRow]
    themes: tuple[Theme, ...]
    never_trade: tuple[ProductId, ...]
    min_eligible_assets: int
    refresh_s: int
    products_cache_s: int
    near_miss: NearMiss | None
    volume_steps: VolumeSteps
    scales: TierScales
    red_flags: tuple[str, ...]
    ban_s: int
    discovery: DiscoveryRules | None = None
    found: UniverseDiscovered | None = None
    fed_only: tuple[ProductId, ...] = ()

    @property
    def traded(self) -> tuple[ProductId, ...]:
        """Every product of every tier, in order."""
        return tuple(product for row in self.tiers for product in row.products)

    @property
    def products(self) -> tuple[ProductId, ...]:
        """Every product that is followed: feeds, books and limits are made for these."""
        return (*self.traded, *self.fed_only)

    def following(self, held: Iterable[ProductId]) -> "UniversePolicy":
        """The same, with what is held followed too, whatever the tiers say."""
        more = sorted({*self.fed_only, *held} - set(self.traded))
        return replace(self, fed_only=tuple(more))

    def may_hold(self, tier: TierRow) -> bool:
        """Whether the tier has products, or a start may find some for it."""
        if self.discovery is None or self.found is not None:
            return bool(tier.products)
        return self.discovery.tiers[tier.tier - 1].max_products > 0

    def settled(self, found: UniverseDiscovered) -> "UniversePolicy":
        """The same with the products of a discovery: from here on they count as if they had been configured."""
        first, second, third = self.tiers
        tiers = (
            replace(first, products=found.tiers[0]),
            replace(second, products=found.tiers[1]),
            replace(third, products=found.tiers[2]),
        )
        return replace(self, tiers=tiers, found=found).following((LEADER,))

    def tier_of(self, product: str) -> int | None:
        """The tier of a product; None when it stands in none."""
        return next((row.tier for row in self.tiers if product in row.products), None)

    def scale(self, regime: Regime) -> TierScale:
        """What a regime makes of the tiers."""
        return next(row for row in self.scales if row.regime is regime)

    def theme_of(self, product: str) -> str:
        """The theme of a product; OTHER when it stands in none."""
        return next((theme.name for theme in self.themes if product in theme.products), OTHER_THEME)
