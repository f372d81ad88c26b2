"""The universe's role, with its bounds from the policy."""

from decimal import Decimal
from functools import partial

from actors.runtime.role import Context, Role
from actors.universe.core import Settings, Universe, step
from actors.universe.eligibility import Bounds, TierRules
from protocol.instants import SECOND_NS
from protocol.market import CandleClosed, CandleHistory, Quote
from protocol.policy import Policy
from protocol.strategy import UniverseWanted
from protocol.venue import ProductsListed, QueryFailed


def settings(policy: Policy) -> Settings:
    """What the universe needs of the policy."""
    universe = policy.universe
    tiers = tuple(
        TierRules(
            tier=row.tier,
            products=row.products,
            min_volume_usd=row.min_24h_volume_usd,
            max_spread_bps=row.max_spread_bps,
            min_depth_usd=row.min_depth_usd,
            multiplier=Decimal(1),
        )
        for row in universe.tiers
    )
    bounds = Bounds(
        tiers=tiers,
        never=frozenset(universe.never_trade),
        quote_age_ns=int(policy.staleness.quote_age_s * SECOND_NS),
        themes={product: universe.theme_of(product) for product in universe.products},
    )
    multipliers = {row.regime.value: row.position_size_multiplier for row in policy.regime.rows}
    return Settings(bounds=bounds, multipliers=multipliers)


def role(context: Context) -> Role[Universe]:
    """Who may be traded, and in what regime."""
    return Role(
        step=step,
        initial=partial(Universe, settings=settings(context.policy)),
        accepts=(Quote, CandleClosed, CandleHistory, UniverseWanted, ProductsListed, QueryFailed),
    )
