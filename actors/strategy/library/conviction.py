"""How sure the rules strategy is, with every part of the sum on record (pipeline.md §6)."""

from protocol.base import Value
from protocol.policy_strategy import QualityBoosts
from protocol.strategy import Asset, Trigger

SIGNS = (
    "reversal_close_above_vwap_5m",
    "reversal_higher_low",
    "reversal_rsi_cross_50",
    "reversal_bounce_confirmed",
)
"""The signs that make a reversal believable; any trigger that has one is believed more."""
TIER_1 = "tier_bias_T1"


class Weights(Value, frozen=True, kw_only=True):
    """Conviction = base + strength x its weight + confidence x its weight + boosts, within 0 and 1."""

    base: float
    strength: float
    confidence: float
    boosts: QualityBoosts


class Conviction(Value, frozen=True, kw_only=True):
    """The sum, and its parts by name: what trigger and tier gave, the weights, each boost."""

    value: float
    parts: tuple[tuple[str, float], ...]


def conviction(trigger: Trigger, asset: Asset, weights: Weights) -> Conviction:
    """How sure the strategy is, 0 to 1."""
    boosts = _boosts(trigger, asset, weights.boosts)
    parts = (
        ("base", weights.base),
        ("strength", trigger.strength),
        ("strength_weight", weights.strength),
        ("confidence", trigger.confidence),
        ("confidence_weight", weights.confidence),
        ("trigger_score", trigger.score),
        *boosts,
    )
    total = weights.base + weights.strength * trigger.strength + weights.confidence * trigger.confidence
    total += sum(boost for _, boost in boosts)
    return Conviction(value=min(max(round(total, 9), 0.0), 1.0), parts=parts)


def _boosts(trigger: Trigger, asset: Asset, boosts: QualityBoosts) -> tuple[tuple[str, float], ...]:
    worth = (boosts.close_above_vwap, boosts.higher_low, boosts.rsi_cross_50, boosts.bounce_confirmed)
    found = tuple((sign, boost) for sign, boost in zip(SIGNS, worth, strict=True) if sign in trigger.qualifiers)
    return (*found, (TIER_1, boosts.tier_1)) if asset.tier == 1 else found


def signs(trigger: Trigger) -> int:
    """How many of the four signs hold."""
    return sum(sign in trigger.qualifiers for sign in SIGNS)
