"""`policy.yaml`, the part that says how orders are made and left, and the file as a whole."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import field

from config.schema import Section, key
from config.schema_risk import CircuitBreakers, Risk, RiskProfile, Staleness, TierSizes
from protocol.policy import FeeSource, SizingMethod

Signal = Literal["price_move", "momentum", "breakout", "volume_spike", "reversal", "mean_reversion"]


class Exits(Section, frozen=True, kw_only=True):
    """When positions are left, and how hard."""

    enabled: Annotated[bool, key("switch", "false never sells by itself, whatever a price does; for tests only")] = True
    check_stop_loss: Annotated[bool, key("switch", "false leaves losses to grow; for tests only")] = True
    check_take_profit: Annotated[bool, key("switch", "false lets gains run to the stop or the end of the hold")] = True
    check_max_hold: Annotated[bool, key("switch", "false keeps positions whose reason is long gone")] = True
    default_max_hold_hours: Annotated[
        Decimal, key("h", "positions without targets of their own, as a purchase by hand", "0", "8760", over=True)
    ] = Decimal(72)
    use_trailing_stop: Annotated[bool, key("switch", "sell when the price falls from its peak since entry")] = False
    trailing_stop_pct: Annotated[
        Decimal, key("% of the peak", "how far it may fall; not wider than the stop", "0", "99")
    ] = Decimal(5)
    exit_order_type: Annotated[
        Literal["limit_ioc", "market"],
        key("limit_ioc or market", "limit_ioc bounds what the first tries may give away; market takes any price"),
    ] = "limit_ioc"
    exit_slippage_tolerance_bps: Annotated[
        Decimal, key("bps through the bid", "the first try of an exit", "0", "500")
    ] = Decimal(100)
    retry_every_s: Annotated[Decimal, key("s", "least time between two tries", "0", "10", over=True)] = Decimal(2)
    retry_step_bps: Annotated[Decimal, key("bps", "each try goes this much further", "0", "500")] = Decimal(50)
    retry_steps: Annotated[int, key("tries", "then a market order; all within 15 s of the crossing", "0", "10")] = 3
    confirm_ms: Annotated[int, key("ms", "a level that an outlier crosses must be crossed again", "0", "5000")] = 250
    tighten_stops_in_crash: Annotated[bool, key("switch", "a crash goes on; leave it earlier")] = True
    crash_stop_mult: Annotated[
        Decimal, key("x stop distance", "how much earlier, while the regime is crash", "0", "1", over=True)
    ] = Decimal("0.5")
    widen_targets_in_bull: Annotated[bool, key("switch", "a bull market goes on; stay longer")] = True
    bull_target_mult: Annotated[
        Decimal, key("x target distance", "how much longer, while the regime is bull", "1", "5")
    ] = Decimal("1.2")


class PositionSizing(Section, frozen=True, kw_only=True):
    """How large an entry is before caps."""

    method: Annotated[
        SizingMethod,
        key("fixed, risk_parity or kelly", "kelly sizes by risk parity until 50 trades of a strategy closed"),
    ] = SizingMethod.RISK_PARITY
    risk_per_trade_pct: Annotated[
        Decimal, key("% of NAV", "what a stopped-out entry may lose", "0", "100", over=True)
    ] = Decimal(1)
    fixed_size_usd: Annotated[Decimal, key("USD", "an entry's size by the method fixed", "0", "1000000", over=True)] = (
        Decimal(100)
    )
    min_order_usd: Annotated[Decimal, key("USD, net of fees", "smaller orders are not sent", "0", "1000000")] = Decimal(
        10
    )
    max_order_usd: Annotated[Decimal, key("USD", "no single order is larger", "0", "1000000000", over=True)] = Decimal(
        10_000
    )
    allow_pyramiding: Annotated[bool, key("switch", "the same as in risk: both hands on one switch")] = False
    max_pyramid_positions: Annotated[
        int, key("positions", "so many may have been added to at one time; 0 exactly while none may", "0", "100")
    ] = 0


class Liquidity(Section, frozen=True, kw_only=True):
    """Whether the book carries an order, at decision time."""

    require_depth_mult: Annotated[
        Decimal, key("x order size", "depth within 20 bps of the mid; less moves the price against us", "1", "1000")
    ] = Decimal(10)


class Microstructure(Section, frozen=True, kw_only=True):
    """What a purchase may cost against the mid, at decision time."""

    max_expected_slippage_bps: Annotated[
        Decimal,
        key(
            "bps from the mid",
            "half the spread and our part of 20 bps of depth; more is no price",
            "0",
            "500",
            over=True,
        ),
    ] = Decimal(50)


class Breakout(Section, frozen=True, kw_only=True):
    """The breakout trigger."""

    lookback_hours: Annotated[int, key("h", "whose high must be passed", "2", "167")] = 24


class Fallback(Section, frozen=True, kw_only=True):
    """Smaller price moves, when nothing fires for long (pipeline.md §5.4)."""

    enabled: Annotated[bool, key("switch", "off: no trigger is no trade")] = True
    min_no_trigger_streak: Annotated[
        int, key("scans without a trigger", "so many pass before it is tried", "0", "1000")
    ] = 1
    relax_pct: Annotated[Decimal, key("share of the thresholds, 0 to 0.9", "how much they give way", "0", "0.9")] = (
        Decimal("0.3")
    )
    max_new: Annotated[int, key("triggers", "the best of them are kept", "1", "100")] = 1
    allow_downside: Annotated[bool, key("switch", "whether a fall counts too, as a bounce to come")] = True


class Triggers(Section, frozen=True, kw_only=True):
    """Triggers that need no regime table."""

    only_upside: Annotated[bool, key("switch", "whether a falling move is no signal at all")] = False
    min_score: Annotated[
        Decimal, key("strength x confidence, 0 to 1", "the rules strategy leaves weaker triggers alone", "0", "1")
    ] = Decimal("0.2")
    fallback: Fallback = field(default_factory=Fallback)
    breakout: Breakout = field(default_factory=Breakout)


class QualityBoosts(Section, frozen=True, kw_only=True):
    """What adds to conviction."""

    reversal_close_above_vwap_5m: Annotated[
        Decimal, key("0 to 1", "buyers pay more than the hour's mean", "0", "1")
    ] = Decimal("0.04")
    reversal_higher_low: Annotated[Decimal, key("0 to 1", "the fall did not go on", "0", "1")] = Decimal("0.04")
    reversal_rsi_cross_50: Annotated[Decimal, key("0 to 1", "gains outweigh losses again", "0", "1")] = Decimal("0.03")
    reversal_bounce_confirmed: Annotated[Decimal, key("0 to 1", "the low is left behind", "0", "1")] = Decimal("0.04")
    tier_bias_T1: Annotated[Decimal, key("0 to 1", "tier 1 fills better", "0", "1")] = Decimal("0.02")  # noqa: N815 - tiers are T1, T2, T3 in every file


class ConvictionWeights(Section, frozen=True, kw_only=True):
    """Conviction = base + weight · strength + weight · confidence + boosts, kept within 0 to 1."""

    base: Annotated[Decimal, key("0 to 1", "conviction of a trigger of no strength", "0", "1")] = Decimal(0)
    trigger_strength: Annotated[Decimal, key("0 to 1", "what strength is worth", "0", "1")] = Decimal("0.5")
    trigger_confidence: Annotated[Decimal, key("0 to 1", "what confidence is worth", "0", "1")] = Decimal("0.3")
    quality_boosts: QualityBoosts = field(default_factory=QualityBoosts)


class ReversalConfirmation(Section, frozen=True, kw_only=True):
    """How many of the four signs a reversal needs."""

    enforce: Annotated[bool, key("switch", "off: the signs only add to conviction")] = True
    min_required: Annotated[int, key("signs of 4", "fewer are chance", "1", "4")] = 3


class CanaryDepths(Section, frozen=True, kw_only=True):
    """Depth within 20 bps of the mid that a canary needs, by tier."""

    tier1: Annotated[Decimal, key("USD", "what a try in tier 1 needs", "0", "1e12")] = Decimal(50_000)
    tier2: Annotated[Decimal, key("USD", "what a try in tier 2 needs", "0", "1e12")] = Decimal(25_000)
    tier3: Annotated[Decimal, key("USD", "what a try in tier 3 needs", "0", "1e12")] = Decimal(10_000)


class Canary(Section, frozen=True, kw_only=True):
    """A small purchase just below the threshold, when nothing else is going on; post-only."""

    enabled: Annotated[bool, key("switch", "off: below the threshold nothing is bought")] = True
    window: Annotated[
        Decimal, key("of conviction", "it begins so far below the threshold and ends at it", "0", "1", over=True)
    ] = Decimal("0.02")
    require_tier_in: Annotated[
        list[Annotated[str, key("T1, T2 or T3", "a tier", pattern="T[123]")]], key("tiers", "where it may be tried")
    ] = field(default_factory=lambda: ["T1", "T2"])
    size_multiplier: Annotated[Decimal, key("x size", "it is meant to be small", "0", "1", over=True)] = Decimal("0.25")
    maker_only: Annotated[bool, key("switch", "a try that has to take was none: only post-only orders are made")] = True
    min_depth_usd: CanaryDepths = field(default_factory=CanaryDepths)


class HighVolatility(Section, frozen=True, kw_only=True):
    """Smaller sizes after a wild hour."""

    lookback_minutes: Annotated[int, key("min", "in steps of 15; over which the move is taken", "15", "1440")] = 60
    move_threshold_pct: Annotated[Decimal, key("%", "a move of this much either way", "0", "100", over=True)] = Decimal(
        8
    )
    size_reduction_factor: Annotated[Decimal, key("x size", "what is left of it", "0", "1", over=True)] = Decimal("0.5")


class ReversionTrade(Section, frozen=True, kw_only=True):
    """How a mean reversion is traded."""

    stop_atr: Annotated[Decimal, key("ATR", "distance of the stop", "0", "10", over=True)] = Decimal("1.2")
    take_profit_atr: Annotated[
        Decimal, key("ATR", "distance of the target, beyond the stop's", "0", "20", over=True)
    ] = Decimal("1.8")
    max_hold_hours: Annotated[int, key("h", "what has not reverted by then will not", "1", "720")] = 48


class Strategy(Section, frozen=True, kw_only=True):
    """What becomes of triggers. `base_position_pct` and `min_conviction_to_propose` come from the risk profile."""

    base_position_pct: TierSizes = field(
        default_factory=lambda: TierSizes(tier1=Decimal("1.5"), tier2=Decimal(1), tier3=Decimal("0.5"))
    )
    min_conviction_to_propose: Annotated[
        Decimal, key("0 to 1", "below it nothing is proposed; from the risk profile", "0", "1")
    ] = Decimal("0.40")
    momentum_downside_reversal_pct: Annotated[
        Decimal, key("% in 24 h", "a fall of this much is bought as a dip", "0", "100", over=True)
    ] = Decimal(3)
    max_new_positions_per_cycle: Annotated[int, key("positions", "one cycle sees one market", "1", "100")] = 1
    prefer_add_to_existing: Annotated[
        bool, key("switch", "of proposals of like conviction adds are judged before new positions")
    ] = True
    conviction_weights: ConvictionWeights = field(default_factory=ConvictionWeights)
    min_conviction_by_regime: dict[str, Annotated[Decimal, key("0 to 1", "the threshold of that regime", "0", "1")]] = (
        field(default_factory=dict)
    )
    reversal_confirmation: ReversalConfirmation = field(default_factory=ReversalConfirmation)
    canary: Canary = field(default_factory=Canary)
    high_volatility: HighVolatility = field(default_factory=HighVolatility)
    mean_reversion: ReversionTrade = field(default_factory=ReversionTrade)


class RegimeRow(Section, frozen=True, kw_only=True):
    """What one market regime allows."""

    position_size_multiplier: Annotated[
        Decimal, key("x", "scales sizes and caps; total, theme and strategy caps never above 1", "0", "2")
    ]
    max_positions: Annotated[int, key("positions", "the lesser of it and the global slots holds", "0", "100")]
    allowed_signals: Annotated[list[Signal], key("triggers", "which may lead to an entry")]
    signal_confidence_boost: Annotated[
        Decimal, key("-1 to 1", "added to every trigger's confidence; below zero it is a penalty", "-1", "1")
    ] = Decimal(0)


class Regimes(Section, frozen=True, kw_only=True):
    """The regime table."""

    enabled: Annotated[bool, key("switch", "false: the market is held for chop, whatever it does")] = True
    bull: RegimeRow
    chop: RegimeRow
    bear: RegimeRow
    crash: RegimeRow


class Execution(Section, frozen=True, kw_only=True):
    """Routing, fees and lives of orders."""

    fees: Annotated[FeeSource, key("venue or constants", "the venue's own rates, or the constants below alone")] = (
        FeeSource.VENUE
    )
    maker_fee_bps: Annotated[Decimal, key("bps", "until the venue's rate is known, and its floor", "0", "200")] = (
        Decimal(40)
    )
    taker_fee_bps: Annotated[Decimal, key("bps", "until the venue's rate is known, and its floor", "0", "200")] = (
        Decimal(60)
    )
    min_notional_usd: Annotated[
        Decimal,
        key("USD, net of fees", "the same minimum as risk has; from the risk profile", "0", "1000000", over=True),
    ] = Decimal(10)
    allow_min_bump_in_risk: Annotated[
        bool, key("switch", "whether a request below the minimum becomes the minimum")
    ] = False
    clamp_small_trades: Annotated[
        bool, key("switch", "whether a proposal below the minimum is raised to it, then to meet every cap")
    ] = False
    hard_max_spread_bps: Annotated[Decimal, key("bps", "a wider spread is not paid", "0", "1000", over=True)] = Decimal(
        80
    )
    maker_max_reprices: Annotated[int, key("tries after the first", "a market that runs away is let go", "0", "10")] = 1
    maker_max_ttl_sec: Annotated[Decimal, key("s", "longest life of a maker try", "1", "300")] = Decimal(30)
    maker_first_min_ttl_sec: Annotated[Decimal, key("s", "shortest life of the first try", "1", "300")] = Decimal(20)
    maker_retry_min_ttl_sec: Annotated[Decimal, key("s", "shortest life of a later try", "1", "300")] = Decimal(15)
    maker_reprice_decay: Annotated[Decimal, key("x", "each try lives this much of the last", "0", "1", over=True)] = (
        Decimal("0.7")
    )
    partial_fill_min_pct: Annotated[
        Decimal, key("share of the size, 0 to 1", "a try that filled so much ends the plan", "0", "1")
    ] = Decimal("0.25")
    order_expiry_s: Annotated[
        int, key("s", "good-till-date life of operators' orders: they end by themselves if we die", "30", "3600")
    ] = 120
    order_expiry_margin_s: Annotated[
        int, key("s", "what strategy orders live beyond their try, should our cancel not arrive", "1", "300")
    ] = 30
    failed_order_cooldown_seconds: Annotated[int, key("s", "no entry on a product after a refusal", "0", "86400")] = 300
    cancel_retry_backoff_ms: Annotated[
        list[Annotated[int, key("ms", "wait before that try", "1", "60000")]],
        key("ms, in order", "waits between the first cancels of one order"),
    ] = field(default_factory=lambda: [250, 500, 1000])


class PortfolioSection(Section, frozen=True, kw_only=True):
    """What of the account is looked at."""

    ignore_assets: Annotated[
        list[str], key("currencies", "holdings that nobody can price would leave the net value unknown")
    ] = field(default_factory=list)


class Governance(Section, frozen=True, kw_only=True):
    """What only people decide."""

    live_trading_enabled: Annotated[bool, key("switch", "a second hand on the switch to real money")] = False


class Lane(Section, frozen=True, kw_only=True):
    """One lane's token bucket."""

    rate: Annotated[Decimal, key("requests/s", "what the lane may use for long", "0", "30", over=True)]
    burst: Annotated[int, key("requests", "what it may use at once", "1", "100")]


class RateLimits(Section, frozen=True, kw_only=True):
    """The venue allows 30 signed requests a second; no lane may starve a more urgent one."""

    public: Lane = field(default_factory=lambda: Lane(rate=Decimal(10), burst=10))
    private: Lane = field(default_factory=lambda: Lane(rate=Decimal(5), burst=10))
    exit_cancel: Lane = field(default_factory=lambda: Lane(rate=Decimal(10), burst=10))
    kill_sweep: Lane = field(default_factory=lambda: Lane(rate=Decimal(15), burst=20))


class PolicyFile(Section, frozen=True, kw_only=True):
    """`policy.yaml`."""

    risk_profile: Annotated[str, key("name in `profiles`", "scales conviction, sizes and minimum at once")] = (
        "conservative"
    )
    profiles: dict[str, RiskProfile]
    risk: Risk
    portfolio: PortfolioSection = field(default_factory=PortfolioSection)
    staleness: Staleness
    circuit_breakers: CircuitBreakers
    exits: Exits
    position_sizing: PositionSizing
    liquidity: Liquidity
    microstructure: Microstructure = field(default_factory=Microstructure)
    triggers: Triggers
    strategy: Strategy
    regime: Regimes
    execution: Execution
    rate_limits: RateLimits
    governance: Governance = field(default_factory=Governance)
