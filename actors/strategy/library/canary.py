"""A small purchase just below the threshold, when nothing else is going on (pipeline.md §6)."""

from decimal import Decimal

from actors.strategy.base import StrategyContext
from actors.strategy.library.one_by_one import Miss
from protocol.base import Value
from protocol.policy_strategy import CanaryPolicy
from protocol.strategy import CANARY, Asset

TAG = CANARY


class CanaryRules(Value, frozen=True, kw_only=True):
    """What is configured, and the widest spread of tiers 1, 2, 3 in bps."""

    policy: CanaryPolicy
    max_spread_bps: tuple[Decimal, Decimal, Decimal]


def in_window(conviction: float, threshold: float, rules: CanaryPolicy) -> bool:
    """Whether it lies just below the threshold: what reaches that is bought in full."""
    return rules.enabled and round(threshold - rules.window, 9) <= conviction < threshold


def miss(context: StrategyContext, asset: Asset, rules: CanaryRules) -> Miss | None:
    """The first condition that is not met; None: it may try."""
    place, spread = asset.tier - 1, float(rules.max_spread_bps[asset.tier - 1])
    depth = float(rules.policy.min_depth_usd[place])
    if len(context.triggers) != 1:
        return Miss(code="canary_triggers", value=float(len(context.triggers)), limit=1.0)
    if asset.tier not in rules.policy.tiers:
        return Miss(code="canary_tier", value=float(asset.tier), limit=float(max(rules.policy.tiers, default=0)))
    if asset.spread_bps > spread:
        return Miss(code="canary_spread", value=asset.spread_bps, limit=spread)
    if asset.depth_usd < depth:
        return Miss(code="canary_depth", value=asset.depth_usd, limit=depth)
    return None
