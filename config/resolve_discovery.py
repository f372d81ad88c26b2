"""From `universe.dynamic_config` to the rules by which a start finds its products (pipeline.md §3)."""

from config.schema_market import UniverseFile
from protocol.discovery import DiscoveryRules, TierFloor
from protocol.ids import ProductId

DYNAMIC = "dynamic_discovery"
FALLBACK_CLUSTER = "LAYER1"
CORE = ("BTC-USD", "ETH-USD", "SOL-USD")


def discovery_rules(universe: UniverseFile) -> DiscoveryRules:
    """The rules; where nothing can be found, the cluster of base layers stands in, or the three largest of them."""
    chosen = universe.universe.dynamic_config
    return DiscoveryRules(
        tiers=(
            TierFloor(max_products=chosen.tier1_max_symbols, min_volume_usd=chosen.tier1_min_volume_usd),
            TierFloor(max_products=chosen.tier2_max_symbols, min_volume_usd=chosen.tier2_min_volume_usd),
            TierFloor(max_products=chosen.tier3_max_symbols, min_volume_usd=chosen.tier3_min_volume_usd),
        ),
        max_products=universe.universe.max_universe_size,
        max_spread_bps=chosen.max_spread_bps,
        min_price_usd=chosen.min_price_usd,
        stable_coins=tuple(chosen.stable_coins),
        fallback=tuple(map(ProductId, universe.clusters.get(FALLBACK_CLUSTER) or CORE)),
    )
