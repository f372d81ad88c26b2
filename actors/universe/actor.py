"""The universe's role, with its bounds from the policy."""

from functools import partial

from actors.runtime.role import Context, Role
from actors.universe.core import STORE_PREFIX, step
from actors.universe.eligibility import Bounds, TierRules
from actors.universe.state import Settings, Universe
from protocol.instants import SECOND_NS
from protocol.market import CandleClosed, CandleHistory, FactsWanted, Quote
from protocol.policy import Policy
from protocol.policy_universe import TierRow
from protocol.strategy import FlagProduct, UnflagProduct, UniverseWanted
from protocol.venue import ProductsListed, QueryFailed, VenueHealth


def settings(policy: Policy) -> Settings:
    """What the universe needs of the policy."""
    universe = policy.universe
    bounds = Bounds(
        tiers=tuple(map(_tier, universe.tiers)),
        never=frozenset(universe.never_trade),
        quote_age_ns=int(policy.staleness.quote_age_s * SECOND_NS),
        themes={product: universe.theme_of(product) for product in universe.products},
        steps=universe.volume_steps,
        near=universe.near_miss,
    )
    return Settings(
        bounds=bounds,
        regimes=policy.regime.rows,
        scales=universe.scales,
        tier_base_pct=policy.strategy.tier_base_pct,
        products_ns=universe.products_cache_s * SECOND_NS,
        refresh_ns=universe.refresh_s * SECOND_NS,
        min_eligible=universe.min_eligible_assets,
        red_flags=universe.red_flags,
        ban_ns=universe.ban_s * SECOND_NS,
        detects=policy.regime.enabled,
        volatility_h=policy.breakers.volatility_lookback_h,
        fed_only=universe.fed_only,
        found=universe.found,
    )


def _tier(row: TierRow) -> TierRules:
    return TierRules(
        tier=row.tier,
        products=row.products,
        min_volume_usd=row.min_24h_volume_usd,
        max_spread_bps=row.max_spread_bps,
        min_depth_usd=row.min_depth_usd,
        max_allocation_pct=row.max_allocation_pct,
        forced=frozenset(row.force_eligible),
        band=row.band,
    )


def role(context: Context) -> Role[Universe]:
    """Who may be traded, and in what regime."""
    return Role(
        step=step,
        initial=partial(Universe, settings=settings(context.policy)),
        accepts=(
            *(Quote, CandleClosed, CandleHistory, ProductsListed, QueryFailed, VenueHealth),
            *(UniverseWanted, FactsWanted, FlagProduct, UnflagProduct),
        ),
        store_prefixes=(STORE_PREFIX,),
    )
