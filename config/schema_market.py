"""`universe.yaml`, `signals.yaml` and `strategies.yaml`: what may be traded, on which signs, by whom."""

from decimal import Decimal
from typing import Annotated

from msgspec import field

from config.schema import Section, key

Product = Annotated[str, key("BASE-QUOTE", "a product as the venue names it", pattern="[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")]


class Selection(Section, frozen=True, kw_only=True):
    """The universe as a whole."""

    min_eligible_assets: Annotated[
        int, key("products", "fewer: the venue or our data is in trouble, no entries", "1", "100")
    ] = 2


class Constraints(Section, frozen=True, kw_only=True):
    """A tier's own floors; of these and the global ones the tighter holds."""

    min_24h_volume_usd: Annotated[Decimal, key("USD in 24 h", "thin products cannot be left", "0", "1e12", over=True)]
    max_spread_bps: Annotated[Decimal, key("bps", "what entering and leaving costs at once", "0", "1000", over=True)]


class Tier(Section, frozen=True, kw_only=True):
    """Products of like liquidity."""

    symbols: Annotated[list[Product], key("products", "which; an empty tier is allowed")]
    constraints: Constraints


class TierTable(Section, frozen=True, kw_only=True):
    """All three tiers."""

    tier_1_core: Tier
    tier_2: Tier
    tier_3: Tier


class Floors(Section, frozen=True, kw_only=True):
    """Liquidity floors. Depth is bid plus ask side within 20 bps of the mid."""

    min_24h_volume_usd: Annotated[Decimal, key("USD in 24 h", "for every tier", "0", "1e12", over=True)] = Decimal(
        8_000_000
    )
    max_spread_bps: Annotated[Decimal, key("bps", "for every tier", "0", "1000", over=True)] = Decimal(80)
    min_orderbook_depth_usd_t1: Annotated[Decimal, key("USD", "tier 1 must carry our exits", "0", "1e12")] = Decimal(
        100_000
    )
    min_orderbook_depth_usd_t2: Annotated[Decimal, key("USD", "tier 2 must carry our exits", "0", "1e12")] = Decimal(
        25_000
    )
    min_orderbook_depth_usd_t3: Annotated[Decimal, key("USD", "tier 3 must carry our exits", "0", "1e12")] = Decimal(
        10_000
    )


class Exclusions(Section, frozen=True, kw_only=True):
    """What is never traded."""

    never_trade: Annotated[list[Product], key("products", "stable coins do not move, scams do not return")]


class UniverseFile(Section, frozen=True, kw_only=True):
    """`universe.yaml`. A product in no cluster belongs to the theme OTHER, which has a cap of its own."""

    universe: Selection = field(default_factory=Selection)
    tiers: TierTable
    liquidity: Floors
    clusters: dict[str, Annotated[list[Product], key("products", "which fall together")]]
    exclusions: Exclusions


class Thresholds(Section, frozen=True, kw_only=True):
    """Trigger thresholds in one regime."""

    pct_change_15m: Annotated[Decimal, key("%", "a smaller move of 15 minutes is noise", "0", "100", over=True)]
    pct_change_60m: Annotated[Decimal, key("%", "a smaller move of 60 minutes is noise", "0", "100", over=True)]
    atr_filter_min_mult: Annotated[
        Decimal, key("x median ATR of a week", "a market that sleeps gives no signal", "0", "10")
    ]


class ThresholdTable(Section, frozen=True, kw_only=True):
    """The one table of thresholds. A crash has none: nothing may fire in it."""

    chop: Thresholds
    bull: Thresholds
    bear: Thresholds


class SignalTriggers(Section, frozen=True, kw_only=True):
    """Which triggers count."""

    regime_thresholds: ThresholdTable
    max_triggers_per_cycle: Annotated[int, key("triggers", "the strongest are kept", "1", "100")] = 5
    min_trigger_score: Annotated[Decimal, key("strength x confidence, 0 to 1", "weaker ones are dropped", "0", "1")] = (
        Decimal("0.2")
    )
    min_trigger_confidence: Annotated[Decimal, key("0 to 1", "less sure ones are dropped", "0", "1")] = Decimal("0.5")


class SignalsFile(Section, frozen=True, kw_only=True):
    """`signals.yaml`."""

    triggers: SignalTriggers


class Budget(Section, frozen=True, kw_only=True):
    """What one strategy may use."""

    max_at_risk_pct: Annotated[Decimal, key("% of NAV", "no strategy takes the whole cap", "0", "100", over=True)]
    max_trades_per_cycle: Annotated[int, key("proposals", "no strategy floods a cycle", "1", "100")]


class StrategyEntry(Section, frozen=True, kw_only=True):
    """One strategy."""

    enabled: Annotated[bool, key("switch", "whether it runs; a missing key means it does not")] = False
    risk_budgets: Budget


class StrategyTable(Section, frozen=True, kw_only=True):
    """The strategies that exist."""

    rules_engine: StrategyEntry


class Aggregation(Section, frozen=True, kw_only=True):
    """What is kept of all strategies' proposals."""

    max_total_proposals_per_cycle: Annotated[int, key("proposals", "what risk judges at most", "1", "100")] = 10


class StrategiesFile(Section, frozen=True, kw_only=True):
    """`strategies.yaml`."""

    strategies: StrategyTable
    global_: Aggregation = field(name="global", default_factory=Aggregation)
