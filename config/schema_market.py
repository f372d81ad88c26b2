"""`universe.yaml`, `signals.yaml` and `strategies.yaml`: what may be traded, on which signs, by whom."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import field

from config.schema import Section, key

STABLE_COINS = "USDT USDC DAI BUSD USDS USDP PYUSD GUSD TUSD FDUSD RLUSD USD1 USDE EURC EUROC PAX"

Product = Annotated[str, key("BASE-QUOTE", "a product as the venue names it", pattern="[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")]


class NearThreshold(Section, frozen=True, kw_only=True):
    """Near misses of volume or depth that may pass all the same, in every tier."""

    override_enabled: Annotated[bool, key("switch", "off: a floor is a floor")] = False
    tolerance_pct: Annotated[
        Decimal, key("share of the floor, 0 to 1", "how far below its floor a near miss may lie", "0", "0.5")
    ] = Decimal("0.1")
    max_overrides_per_tier: Annotated[
        int, key("products", "so many near misses a tier may have at one time", "0", "100")
    ] = 2


class DynamicConfig(Section, frozen=True, kw_only=True):
    """How products are found by `method: dynamic_discovery`, of everything that the venue lists against USD."""

    tier1_max_symbols: Annotated[int, key("products", "the most volume first", "1", "100")] = 10
    tier2_max_symbols: Annotated[int, key("products", "what found no place in tier 1", "0", "100")] = 20
    tier3_max_symbols: Annotated[int, key("products", "what found no place above; zero: no tier 3", "0", "100")] = 0
    tier1_min_volume_usd: Annotated[
        Decimal, key("USD in 24 h", "less is not liquid enough for the largest positions", "0", "1e12", over=True)
    ] = Decimal(80_000_000)
    tier2_min_volume_usd: Annotated[
        Decimal, key("USD in 24 h", "less cannot be left in a hurry", "0", "1e12", over=True)
    ] = Decimal(8_000_000)
    tier3_min_volume_usd: Annotated[
        Decimal, key("USD in 24 h", "less is not traded at all", "0", "1e12", over=True)
    ] = Decimal(5_000_000)
    max_spread_bps: Annotated[Decimal, key("bps", "a wider one at the start is no market", "0", "1000", over=True)] = (
        Decimal(80)
    )
    min_price_usd: Annotated[
        Decimal, key("USD", "below it one tick is a large move, and pumps are made there", "0", "1e6")
    ] = Decimal("0.01")
    stable_coins: Annotated[
        list[Annotated[str, key("currency", "as the venue names it", pattern="[A-Z0-9]{1,20}")]],
        key("currencies", "they have volume and do not move; listed against USD they are never found"),
    ] = field(default_factory=STABLE_COINS.split)


class Selection(Section, frozen=True, kw_only=True):
    """The universe as a whole."""

    method: Annotated[
        Literal["static", "dynamic_discovery"],
        key("method", "the tiers as listed below, or found by volume at each start and followed until the next"),
    ] = "static"
    max_universe_size: Annotated[
        int, key("products", "each one costs a book, candles and a share of a connection", "1", "300")
    ] = 30
    refresh_interval_hours: Annotated[
        int, key("h: 1, 24 or 168", "how long membership by volume stands before it is judged again", "1", "168")
    ] = 1
    products_cache_minutes: Annotated[
        int, key("min", "how long the venue's product rules are believed before they are asked again", "1", "60")
    ] = 5
    min_eligible_assets: Annotated[
        int, key("products", "fewer: the venue or our data is in trouble, no entries", "1", "100")
    ] = 2
    near_threshold: NearThreshold = field(default_factory=NearThreshold)
    dynamic_config: DynamicConfig = field(default_factory=DynamicConfig)


class Constraints(Section, frozen=True, kw_only=True):
    """A tier's own floors; of these and the global ones the tighter holds."""

    max_allocation_pct: Annotated[
        Decimal,
        key("% of NAV", "the most one product of it may hold, times the regime's multiplier", "0", "100"),
    ]
    min_24h_volume_usd: Annotated[Decimal, key("USD in 24 h", "thin products cannot be left", "0", "1e12", over=True)]
    max_spread_bps: Annotated[Decimal, key("bps", "what entering and leaving costs at once", "0", "1000", over=True)]


class ThirdConstraints(Constraints, frozen=True, kw_only=True):
    """Tier 3's, which bounds positions too: such coins fall far, and stay there."""

    max_drawdown_pct: Annotated[
        Decimal, key("% from its peak", "a position of tier 3 that fell so far is sold", "0", "99", over=True)
    ] = Decimal(15)
    max_hold_period_hours: Annotated[
        int, key("h", "no position of tier 3 is held longer, whatever its own targets say", "1", "8760")
    ] = 72


class Band(Section, frozen=True, kw_only=True):
    """When a tier 2 product just below its volume floor may be traded all the same."""

    enable: Annotated[bool, key("switch", "off: a floor is a floor")] = False
    lower_mult: Annotated[Decimal, key("x volume floor", "the lower end of the band", "0.5", "1")] = Decimal("0.95")
    max_spread_bps: Annotated[
        Decimal, key("bps", "a product in the band must be cheaper to trade than others", "0", "1000", over=True)
    ] = Decimal(30)
    min_listing_age_days: Annotated[int, key("days", "a new listing's volume says little", "0", "3650")] = 30
    require_depth_mult: Annotated[
        Decimal, key("x order size", "depth within 20 bps of the mid, more than elsewhere", "1", "1000")
    ] = Decimal(12)
    slippage_budget_bps: Annotated[
        Decimal, key("bps from the mid", "what an order of ours may cost in such a book", "0", "500", over=True)
    ] = Decimal(35)


class Tier(Section, frozen=True, kw_only=True):
    """Products of like liquidity."""

    symbols: Annotated[list[Product], key("products", "which; an empty tier is allowed")]
    constraints: Constraints


class CoreTier(Tier, frozen=True, kw_only=True):
    """Tier 1, which may name products whose volume is not asked for."""

    force_eligible_symbols: Annotated[
        list[Product], key("products of this tier", "the volume floor is skipped for these, and nothing else")
    ] = field(default_factory=list)


class SecondTier(Tier, frozen=True, kw_only=True):
    """Tier 2, which has a rule of its own for near misses."""

    near_threshold_override: Band = field(default_factory=Band)


class ThirdTier(Tier, frozen=True, kw_only=True):
    """Tier 3, whose positions have bounds of their own."""

    constraints: ThirdConstraints


class TierTable(Section, frozen=True, kw_only=True):
    """All three tiers."""

    tier_1_core: CoreTier
    tier_2: SecondTier
    tier_3: ThirdTier


class VolumeHysteresis(Section, frozen=True, kw_only=True):
    """How often volume must be seen beyond a bound before membership changes. One build counts once."""

    enter_mult: Annotated[Decimal, key("x volume floor", "a product enters from here on", "0.1", "10")] = Decimal(1)
    exit_mult: Annotated[
        Decimal, key("x volume floor", "a product leaves below this; between the two nothing changes", "0.1", "10")
    ] = Decimal("0.95")
    cycles_confirm_enter: Annotated[int, key("builds in a row", "one busy hour is no market", "1", "100")] = 3
    cycles_confirm_exit: Annotated[int, key("builds in a row", "one quiet hour is no reason to leave", "1", "100")] = 3


class Hysteresis(Section, frozen=True, kw_only=True):
    """What keeps products from coming and going with every measurement."""

    volume_24h: VolumeHysteresis = field(default_factory=VolumeHysteresis)


class TierMultipliers(Section, frozen=True, kw_only=True):
    """What one regime makes of each tier's allocation; zero excludes the tier."""

    tier_1_multiplier: Annotated[Decimal, key("x allocation", "zero: nothing of tier 1 is eligible", "0", "2")]
    tier_2_multiplier: Annotated[Decimal, key("x allocation", "zero: nothing of tier 2 is eligible", "0", "2")]
    tier_3_multiplier: Annotated[Decimal, key("x allocation", "zero: nothing of tier 3 is eligible", "0", "2")]


class RegimeModifiers(Section, frozen=True, kw_only=True):
    """Tiers by regime."""

    bull: TierMultipliers
    chop: TierMultipliers
    bear: TierMultipliers
    crash: TierMultipliers


class VolumeScalers(Section, frozen=True, kw_only=True):
    """Volume floors by regime. A crash has none: nothing is eligible in it, whatever its volume."""

    bull: Annotated[Decimal, key("x volume floor", "a rising market can be left more easily", "0.1", "10")] = Decimal(
        "0.9"
    )
    chop: Annotated[Decimal, key("x volume floor", "the floors as they stand", "0.1", "10")] = Decimal(1)
    bear: Annotated[Decimal, key("x volume floor", "a falling market is harder to leave", "0.1", "10")] = Decimal("1.2")


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
    """What is never traded, and what may be banned for a time."""

    never_trade: Annotated[list[Product], key("products", "stable coins do not move, scams do not return")]
    red_flags: Annotated[
        list[Annotated[str, key("word", "why a product is banned for a time", pattern="[a-z][a-z_]{1,40}")]],
        key("reasons", "what an operator may ban a product for"),
    ] = field(default_factory=lambda: ["recent_exploit", "regulatory_action", "delisting_rumors", "team_rug"])
    temporary_ban_hours: Annotated[int, key("h", "a ban ends by itself after so long", "1", "8760")] = 168


class UniverseFile(Section, frozen=True, kw_only=True):
    """`universe.yaml`. A product in no cluster belongs to the theme OTHER, which has a cap of its own."""

    universe: Selection = field(default_factory=Selection)
    tiers: TierTable
    liquidity: Floors
    clusters: dict[str, Annotated[list[Product], key("products", "which fall together")]]
    exclusions: Exclusions
    eligibility_hysteresis: Hysteresis = field(default_factory=Hysteresis)
    regime_modifiers: RegimeModifiers
    volume_floor_scalers: VolumeScalers = field(default_factory=VolumeScalers)


class Thresholds(Section, frozen=True, kw_only=True):
    """Trigger thresholds in one regime."""

    pct_change_15m: Annotated[Decimal, key("%", "a smaller move of 15 minutes is noise", "0", "100", over=True)]
    pct_change_60m: Annotated[Decimal, key("%", "a smaller move of 60 minutes is noise", "0", "100", over=True)]
    volume_ratio_1h_vs_24h: Annotated[
        Decimal, key("x mean volume of 24 h", "less volume in an hour is no spike", "1", "24", over=True)
    ]
    atr_filter_min_mult: Annotated[
        Decimal, key("x median ATR of a week", "a market that sleeps gives no signal", "0", "10")
    ]


class ThresholdTable(Section, frozen=True, kw_only=True):
    """The one table of thresholds. A crash has none: nothing may fire in it."""

    chop: Thresholds
    bull: Thresholds
    bear: Thresholds


class ReversalConfirm(Section, frozen=True, kw_only=True):
    """What counts as a sign that a reversal is real; a close above the VWAP always does."""

    higher_low_vs_prev: Annotated[bool, key("switch", "whether a low above the low before it is a sign")] = True
    rsi_cross_up_50: Annotated[bool, key("switch", "whether an RSI that crosses 50 is a sign")] = True
    bounce_min_pct: Annotated[
        Decimal, key("% above the low", "less is the spread going to and fro", "0", "100", over=True)
    ] = Decimal("0.6")


class TrendFilter(Section, frozen=True, kw_only=True):
    """The trend a reversal needs: a moving average that rises."""

    ema_hours: Annotated[int, key("hourly closes", "the average's length", "2", "100")] = 21
    slope_lookback_hours: Annotated[int, key("h", "over which its slope is taken", "1", "24")] = 3
    min_slope_pct_per_hour: Annotated[
        Decimal, key("%/h", "a flatter average is a falling knife taking breath", "-10", "10")
    ] = Decimal("0.05")
    min_slope_by_regime: dict[str, Annotated[Decimal, key("%/h", "the least slope in that regime", "-10", "10")]] = (
        field(default_factory=dict)
    )


class MeanReversion(Section, frozen=True, kw_only=True):
    """The mean reversion trigger, in chop only."""

    min_liquidity_tier: Annotated[
        Literal["T1", "T2", "T3"], key("T1, T2 or T3", "thinner coins than of this tier fall for a reason")
    ] = "T1"
    max_z_score: Annotated[
        Decimal, key("standard deviations", "how far under its mean a close must lie", "-10", "-0.1")
    ] = Decimal("-1.2")
    lookback_hours: Annotated[int, key("hourly closes", "of which mean and deviation are taken", "3", "167")] = 24


class SignalTriggers(Section, frozen=True, kw_only=True):
    """Which triggers count."""

    regime_thresholds: ThresholdTable
    max_triggers_per_cycle: Annotated[int, key("triggers", "the strongest are kept", "1", "100")] = 5
    min_trigger_score: Annotated[Decimal, key("strength x confidence, 0 to 1", "weaker ones are dropped", "0", "1")] = (
        Decimal("0.2")
    )
    min_trigger_confidence: Annotated[Decimal, key("0 to 1", "less sure ones are dropped", "0", "1")] = Decimal("0.5")
    reversal_confirm: ReversalConfirm = field(default_factory=ReversalConfirm)
    trend_filter: TrendFilter = field(default_factory=TrendFilter)
    mean_reversion: MeanReversion = field(default_factory=MeanReversion)


class ModularSignals(Section, frozen=True, kw_only=True):
    """Signals of 15-minute candles alone, beside the triggers (pipeline.md §5.5)."""

    enabled: Annotated[bool, key("switch", "off: the triggers above are enough")] = False
    momentum_trending_pct: Annotated[
        Decimal, key("% in 12 h", "in bull and bear a smaller move is no momentum", "0", "100", over=True)
    ] = Decimal(5)
    momentum_pct: Annotated[
        Decimal, key("% in 12 h", "elsewhere a smaller move is no momentum", "0", "100", over=True)
    ] = Decimal(8)
    mean_reversion_pct: Annotated[
        Decimal, key("% off the mean of a day", "nearer there is nothing to revert", "0", "100", over=True)
    ] = Decimal(3)


class SignalsFile(Section, frozen=True, kw_only=True):
    """`signals.yaml`."""

    triggers: SignalTriggers
    modular: ModularSignals = field(default_factory=ModularSignals)


class Budget(Section, frozen=True, kw_only=True):
    """What one strategy may use."""

    max_at_risk_pct: Annotated[Decimal, key("% of NAV", "no strategy takes the whole cap", "0", "100", over=True)]
    max_trades_per_cycle: Annotated[int, key("proposals", "no strategy floods a cycle", "1", "100")]


class StrategyEntry(Section, frozen=True, kw_only=True):
    """One strategy. Without a class it is one of the library, by its name."""

    enabled: Annotated[bool, key("switch", "whether it trades; a missing key means it does not")] = False
    shadow: Annotated[bool, key("switch", "it decides on live data and never trades, whatever `enabled` says")] = False
    class_: Annotated[str, key("class name", "of a strategy of your own", pattern="([A-Za-z][A-Za-z0-9_]*)?")] = field(
        name="class", default=""
    )
    path: Annotated[str, key("file", "where the class stands; default: STATE/strategies/<name>.py")] = ""
    parameters: dict[str, Annotated[Decimal, key("number", "given to its constructor by name", "-1e12", "1e12")]] = (
        field(default_factory=dict)
    )
    time_budget_ms: Annotated[
        int, key("ms of processor time", "a decision that takes longer ends the strategy", "10", "10000")
    ] = 1000
    risk_budgets: Budget


class Aggregation(Section, frozen=True, kw_only=True):
    """What is kept of all strategies' proposals."""

    max_total_proposals_per_cycle: Annotated[int, key("proposals", "what risk judges at most", "1", "100")] = 10
    dedupe_by_symbol: Annotated[
        bool, key("switch", "of several strategies' proposals of a product the surest alone is judged")
    ] = True


class StrategiesFile(Section, frozen=True, kw_only=True):
    """`strategies.yaml`."""

    strategies: dict[str, StrategyEntry]
    global_: Aggregation = field(name="global", default_factory=Aggregation)
