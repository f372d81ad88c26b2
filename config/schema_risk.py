"""`policy.yaml`, the part that bounds what may be lost: risk, the profiles that scale it, breakers, staleness."""

from decimal import Decimal
from typing import Annotated

from msgspec import field

from config.schema import Section, key


class TierSizes(Section, frozen=True, kw_only=True):
    """Base size of an entry by tier, before strength, confidence and regime."""

    tier1: Annotated[Decimal, key("% of NAV", "the most liquid products carry the largest size", "0", "100", over=True)]
    tier2: Annotated[Decimal, key("% of NAV", "less liquid, smaller size", "0", "100", over=True)]
    tier3: Annotated[Decimal, key("% of NAV", "least liquid, smallest size", "0", "100", over=True)]


class TierCaps(Section, frozen=True, kw_only=True):
    """The most one position may be, by tier."""

    tier1: Annotated[Decimal, key("% of NAV", "one failing major must not hurt much", "0", "100", over=True)]
    tier2: Annotated[Decimal, key("% of NAV", "one failing alternative coin must hurt less", "0", "100", over=True)]
    tier3: Annotated[Decimal, key("% of NAV", "a coin that may go to zero must hardly count", "0", "100", over=True)]


class RiskProfile(Section, frozen=True, kw_only=True):
    """What `risk_profile` chooses at once; nothing else sets these keys but an environment profile or an operator."""

    min_conviction: Annotated[Decimal, key("0 to 1", "below it nothing is proposed", "0", "1")]
    tier_size_pct: TierSizes
    tier_max_pct: TierCaps
    min_notional_usd: Annotated[Decimal, key("USD", "smaller orders lose to fees", "0", "1000000", over=True)]


class Risk(Section, frozen=True, kw_only=True):
    """Caps, stops, slots, pacing and cooldowns; exits pass all of them."""

    managed_position_tag: Annotated[
        str, key("client order id prefix", "by it we know our own orders at the venue", pattern="[a-z0-9]{1,12}")
    ] = "t247"
    max_total_at_risk_pct: Annotated[
        Decimal, key("% of NAV", "what all positions and open buys together may lose", "0", "100", over=True)
    ] = Decimal(15)
    max_position_size_pct: Annotated[Decimal, key("% of NAV", "what one position may lose", "0", "100", over=True)] = (
        Decimal(5)
    )
    max_per_asset_pct: Annotated[
        Decimal, key("% of NAV", "the same coin against several quotes is one risk", "0", "100", over=True)
    ] = Decimal(4)
    max_tier_position_pct: TierCaps = field(
        default_factory=lambda: TierCaps(tier1=Decimal(3), tier2=Decimal(2), tier3=Decimal(1))
    )
    min_position_size_pct: Annotated[
        Decimal, key("% of NAV", "a smaller position is not worth its slot", "0", "100")
    ] = Decimal("0.25")
    max_open_positions: Annotated[int, key("positions", "more cannot be watched or left in time", "1", "100")] = 5
    max_per_theme_pct: dict[
        str, Annotated[Decimal, key("% of NAV", "coins of one theme fall together", "0", "100", over=True)]
    ]
    daily_stop_pnl_pct: Annotated[
        Decimal, key("% of the day's opening equity", "reached: no entries until the next UTC day", "-100", "0")
    ] = Decimal(-3)
    weekly_stop_pnl_pct: Annotated[
        Decimal, key("% of the week's opening equity", "reached: no entries until Monday UTC", "-100", "0")
    ] = Decimal(-7)
    max_drawdown_pct: Annotated[
        Decimal, key("% of peak equity", "reached: no entries until a person resets the peak", "0", "100", over=True)
    ] = Decimal(10)
    protective_exits_when_halted: Annotated[
        bool, key("switch", "whether stops still sell after a daily, weekly or drawdown stop")
    ] = True
    max_trades_per_day: Annotated[int, key("entries in a UTC day", "a runaway loop ends here", "1", "1000")] = 120
    max_trades_per_hour: Annotated[int, key("entries in 60 min", "fees eat a busier trader", "1", "100")] = 5
    max_new_trades_per_hour: Annotated[
        int, key("new positions in 60 min", "one market move is one bet", "1", "100")
    ] = 3
    min_seconds_between_trades: Annotated[
        int, key("s", "time to see what the last entry did, on any product", "0", "3600")
    ] = 180
    per_symbol_trade_spacing_seconds: Annotated[int, key("s", "the same on one product", "0", "86400")] = 900
    cooldown_after_loss_trades: Annotated[int, key("losses in a row", "then entries rest", "1", "20")] = 3
    cooldown_minutes: Annotated[int, key("min", "how long they rest", "0", "1440")] = 60
    per_symbol_cooldown_enabled: Annotated[
        bool, key("switch", "false: fills, gains, losses and stops cool nothing down; refused orders still do")
    ] = True
    per_symbol_cooldown_minutes: Annotated[
        int, key("min", "no entry on a product after any fill of it", "0", "1440")
    ] = 30
    per_symbol_cooldown_win_minutes: Annotated[int, key("min", "no re-entry after a gain", "0", "1440")] = 10
    per_symbol_cooldown_loss_minutes: Annotated[int, key("min", "no re-entry after a loss", "0", "1440")] = 60
    per_symbol_cooldown_after_stop: Annotated[int, key("min", "no re-entry after a stop", "0", "1440")] = 120
    min_trade_notional_usd: Annotated[
        Decimal,
        key("USD, net of fees", "smaller entries lose to fees; from the risk profile", "0", "1000000", over=True),
    ] = Decimal(10)
    dust_threshold_usd: Annotated[Decimal, key("USD", "less than this is no position", "0", "1000")] = Decimal(1)
    stop_loss_pct: Annotated[
        Decimal,
        key("% of entry price", "stop of a position without its own, and the widest allowed", "0", "99", over=True),
    ] = Decimal(10)
    take_profit_pct: Annotated[
        Decimal, key("% of entry price", "target of a position without its own", "0", "1000", over=True)
    ] = Decimal(12)
    count_open_orders_in_cap: Annotated[
        bool, key("switch", "whether a working purchase takes a slot; the caps in per cent count it in any case")
    ] = True
    count_external_positions: Annotated[
        bool, key("switch", "whether coins that are not ours use up the caps; they fall with ours")
    ] = True
    external_exposure_buffer_pct: Annotated[
        Decimal, key("% of NAV", "external holdings up to it are not counted", "0", "100")
    ] = Decimal(0)
    allow_pyramiding: Annotated[
        bool, key("switch", "whether a position may be added to; the same in position_sizing")
    ] = False
    pyramid_cooldown_seconds: Annotated[
        int, key("s", "from the last purchase of a product to an add", "0", "86400")
    ] = 600
    max_adds_per_asset_per_day: Annotated[
        int, key("adds in 24 h", "averaging in again and again is one large position", "0", "100")
    ] = 1
    allow_adds_when_over_cap: Annotated[bool, key("switch", "whether adds pass while every slot is taken")] = False


class Staleness(Section, frozen=True, kw_only=True):
    """How old market data may be; an aged product is not traded."""

    quote_age_s: Annotated[Decimal, key("s", "a decision on an older quote is a guess", "0", "300", over=True)] = (
        Decimal(5)
    )
    candle_age_s: Annotated[Decimal, key("s", "age of the newest closed minute", "60", "300")] = Decimal(90)
    heartbeat_age_s: Annotated[
        Decimal, key("s", "without heartbeats a quiet book and a dead connection look alike", "0", "300", over=True)
    ] = Decimal("2.5")
    transport_lag_s: Annotated[Decimal, key("s", "the way from venue to us", "0", "300", over=True)] = Decimal(2)
    no_change_check_s: Annotated[
        Decimal, key("s", "a book unchanged so long is compared with REST once", "0", "300", over=True)
    ] = Decimal(60)
    no_change_check_t1_s: Annotated[
        Decimal, key("s", "the same for tier 1, whose books never rest long", "0", "300", over=True)
    ] = Decimal(20)
    synthetic_minutes_max_pct: Annotated[
        Decimal, key("% of a trigger's window", "minutes without trades say nothing", "0", "100")
    ] = Decimal(20)


class CircuitBreakers(Section, frozen=True, kw_only=True):
    """What stops entries while venue or prices cannot be trusted."""

    max_consecutive_api_errors: Annotated[
        int, key("errors", "then only exits pass, until a probe succeeds", "1", "100")
    ] = 3
    api_error_window_seconds: Annotated[int, key("s", "errors further apart are no row", "1", "3600")] = 300
    max_realized_volatility_pct: Annotated[
        Decimal, key("% a year", "no entries while the reference moves more", "0", "1000", over=True)
    ] = Decimal(150)
    volatility_lookback_hours: Annotated[int, key("hourly bars", "which volatility is taken of", "3", "167")] = 24
    min_eligible_assets: Annotated[
        int,
        key(
            "products", "fewer eligible ones: no entries; of it and universe.min_eligible_assets the larger", "1", "100"
        ),
    ] = 2
    pause_on_rate_limit: Annotated[bool, key("switch", "false goes on buying after the venue said too many")] = True
    rate_limit_cooldown_seconds: Annotated[int, key("s", "no entries after the venue said too many", "0", "3600")] = 60
    check_price_outliers: Annotated[bool, key("switch", "false lets far closes on thin volume trigger")] = True
    enable_atr_filter: Annotated[bool, key("switch", "false lets sleepy assets trigger")] = True
    atr_lookback_periods: Annotated[int, key("hourly bars", "true ranges averaged to one ATR", "2", "27")] = 14
    outlier_window_s: Annotated[
        int, key("s", "a jump of the mid within it is held against its usual moves", "5", "600")
    ] = 60
    outlier_min_samples: Annotated[
        int, key("moves", "with fewer nobody knows what is usual, and nothing is judged", "10", "1000")
    ] = 30
    max_price_deviation_pct: Annotated[
        Decimal, key("% off the mean close", "further away on thin volume is an outlier", "0", "100", over=True)
    ] = Decimal(10)
    min_volume_ratio: Annotated[Decimal, key("share of mean volume", "below it volume is thin", "0", "1")] = Decimal(
        "0.1"
    )
    max_move_sigma: Annotated[
        Decimal,
        key("standard deviations in 60 s", "a faster mid is a jump, not a price to enter at", "0", "100", over=True),
    ] = Decimal(6)
    outlier_lookback_periods: Annotated[int, key("hourly bars", "which the mean is taken of", "2", "167")] = 20
