"""What must hold between keys where a start finds its products itself (`universe.method: dynamic_discovery`)."""

from collections.abc import Callable, Iterator

from config.files import Config
from config.problems import Problem, shown
from config.resolve_discovery import DYNAMIC
from protocol.money import plain

_DYNAMIC = "universe.dynamic_config"


def discovers(config: Config) -> bool:
    """Whether products are found rather than listed: then the tiers' own lists are not read."""
    return config.universe.universe.method == DYNAMIC


def _counts(config: Config) -> Iterator[Problem]:
    universe, chosen = config.universe.universe, config.universe.universe.dynamic_config
    count = chosen.tier1_max_symbols + chosen.tier2_max_symbols + chosen.tier3_max_symbols
    keys = f"{_DYNAMIC}.tier1_max_symbols, {_DYNAMIC}.tier2_max_symbols, {_DYNAMIC}.tier3_max_symbols"
    if count > universe.max_universe_size:
        rule = "rule 21: the tiers may find more products than the universe may hold"
        yield _universe(f"{keys}, universe.max_universe_size", f"{count}, {universe.max_universe_size}", rule)
    if count < universe.min_eligible_assets:
        rule = "rule 21: the tiers may find fewer products than must be eligible"
        yield _universe(f"{keys}, universe.min_eligible_assets", f"{count}, {universe.min_eligible_assets}", rule)


def _falling(config: Config) -> Iterator[Problem]:
    chosen = config.universe.universe.dynamic_config
    floors = (chosen.tier1_min_volume_usd, chosen.tier2_min_volume_usd, chosen.tier3_min_volume_usd)
    for upper, lower in ((1, 2), (2, 3)):
        if floors[upper - 1] < floors[lower - 1]:
            keys = f"{_DYNAMIC}.tier{upper}_min_volume_usd, {_DYNAMIC}.tier{lower}_min_volume_usd"
            value = f"{plain(floors[upper - 1])}, {plain(floors[lower - 1])}"
            yield _universe(keys, value, "the better tier must not ask for less volume")


def _tradable(config: Config) -> Iterator[Problem]:
    """Nobody is found who could never be eligible: too little volume for the tier's floors, or no allocation."""
    table, chosen = config.universe.tiers, config.universe.universe.dynamic_config
    rows = (
        (1, "tier_1_core", table.tier_1_core, chosen.tier1_max_symbols, chosen.tier1_min_volume_usd),
        (2, "tier_2", table.tier_2, chosen.tier2_max_symbols, chosen.tier2_min_volume_usd),
        (3, "tier_3", table.tier_3, chosen.tier3_max_symbols, chosen.tier3_min_volume_usd),
    )
    for number, name, tier, most, volume in rows:
        floor = max(tier.constraints.min_24h_volume_usd, config.universe.liquidity.min_24h_volume_usd)
        if most and volume < floor:
            keys = f"{_DYNAMIC}.tier{number}_min_volume_usd, tiers.{name}.constraints.min_24h_volume_usd"
            rule = "what is found below the tier's floors could never be eligible"
            yield _universe(f"{keys}, liquidity.min_24h_volume_usd", f"{plain(volume)}, {plain(floor)}", rule)
        if most and tier.constraints.max_allocation_pct == 0:
            key = f"tiers.{name}.constraints.max_allocation_pct"
            yield _universe(key, 0, "a tier that finds products needs an allocation, or none can ever be bought")


def _universe(key: str, value: object, rule: str) -> Problem:
    return Problem(file="universe.yaml", key=key, value=shown(value), rule=rule)


_RULES = (_counts, _falling, _tradable)


def _discovery(config: Config) -> Iterator[Problem]:
    """None of them speaks while the tiers are lists."""
    for rule in _RULES if discovers(config) else ():
        yield from rule(config)


DISCOVERY_RULES: tuple[Callable[[Config], Iterator[Problem]], ...] = (_discovery,)
