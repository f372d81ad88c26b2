"""The resolved, typed limits that travel to actors: what configuration says once every layer is applied.

Times are seconds (`_s`), minutes or hours are resolved away. Money and limits in per cent or basis points are
`Decimal`; thresholds of market statistics, scores and times are floats. Percentages are of NAV unless said otherwise.
Rows stand in tuples, not mappings, so that a policy is immutable throughout.
"""

from decimal import Decimal
from enum import Enum

from protocol.base import Value
from protocol.ids import ProductId
from protocol.policy_strategy import StrategyPolicy
from protocol.strategy import Regime

OTHER_THEME = "OTHER"


class Mode(Enum):
    """What a run may do (requirements.md §3)."""

    DRY_RUN = "DRY_RUN"
    PAPER = "PAPER"
    LIVE = "LIVE"


class FeeSource(Enum):
    """Where fee rates come from: the venue's own word, or the configured constants alone."""

    VENUE = "venue"
    CONSTANTS = "constants"


class SizingMethod(Enum):
    """How the size of an entry is found (risk.md §9)."""

    FIXED = "fixed"
    RISK_PARITY = "risk_parity"
    KELLY = "kelly"


class ThemeCap(Value, frozen=True, kw_only=True):
    """The most one theme may hold."""

    theme: str
    cap_pct: Decimal


class RiskPolicy(Value, frozen=True, kw_only=True):
    """Caps, stops, slots and pacing. `tier_cap_pct` (tiers 1, 2, 3) is already the lesser of profile and global cap.

    `daily_stop_pnl_pct` and `weekly_stop_pnl_pct` are zero or negative; reaching one stops.
    `managed_position_tag` is the prefix of our client order ids, without its dash. `allow_pyramiding`: a position may
    be added to; `allow_adds_when_over_cap`: also while every slot is taken.
    """

    risk_profile: str
    managed_position_tag: str
    max_total_at_risk_pct: Decimal
    max_position_size_pct: Decimal
    max_per_asset_pct: Decimal
    min_position_size_pct: Decimal
    tier_cap_pct: tuple[Decimal, Decimal, Decimal]
    theme_caps: tuple[ThemeCap, ...]
    max_open_positions: int
    max_new_positions_per_cycle: int
    min_trade_notional_usd: Decimal
    dust_threshold_usd: Decimal
    require_depth_mult: Decimal
    daily_stop_pnl_pct: Decimal
    weekly_stop_pnl_pct: Decimal
    max_drawdown_pct: Decimal
    protective_exits_when_halted: bool
    max_trades_per_day: int
    max_trades_per_hour: int
    max_new_trades_per_hour: int
    spacing_s: int
    symbol_spacing_s: int
    loss_streak_trades: int
    loss_streak_cooldown_s: int
    cooldown_fill_s: int
    cooldown_win_s: int
    cooldown_loss_s: int
    cooldown_stop_s: int
    cooldown_failed_order_s: int
    count_external_positions: bool
    external_exposure_buffer_pct: Decimal
    allow_pyramiding: bool
    pyramid_cooldown_s: int
    max_adds_per_asset_per_day: int
    allow_adds_when_over_cap: bool

    def theme_cap_pct(self, theme: str) -> Decimal:
        """The cap of a theme; one that is not named has the cap of OTHER, and nothing where that is missing too."""
        caps = {row.theme: row.cap_pct for row in self.theme_caps}
        return caps.get(theme, caps.get(OTHER_THEME, Decimal(0)))


class SizingPolicy(Value, frozen=True, kw_only=True):
    """How large an entry is before caps (risk.md §9), and the smallest and largest order there may be, USD.

    `bump_to_min`: a request below the minimum becomes the minimum, and meets every cap as that.
    """

    method: SizingMethod
    fixed_size_usd: Decimal
    min_order_usd: Decimal
    max_order_usd: Decimal
    bump_to_min: bool


class ExecutionPolicy(Value, frozen=True, kw_only=True):
    """Routing, lives and minima of orders (execution.md §4, §8). `partial_fill_min_share` is a share of 0 to 1."""

    min_notional_usd: Decimal
    hard_max_spread_bps: Decimal
    maker_max_reprices: int
    maker_max_ttl_s: float
    maker_first_min_ttl_s: float
    maker_retry_min_ttl_s: float
    maker_reprice_decay: float
    partial_fill_min_share: Decimal
    order_expiry_s: int
    order_expiry_margin_s: int
    cancel_retry_backoff_s: tuple[float, ...]


class ExitPolicy(Value, frozen=True, kw_only=True):
    """When and how positions are left (execution.md §10).

    `default_*` serve positions without targets of their own. `trailing_stop_pct` None: no trailing stop.
    `slippage_tolerance_bps` is how far through the bid the first try goes; each of `retry_steps` adds `retry_step_bps`.
    `crash_stop_mult` and `bull_target_mult` scale the distances to stop and target while such a regime lasts.
    """

    check_stop_loss: bool
    check_take_profit: bool
    check_max_hold: bool
    default_stop_loss_pct: Decimal
    default_take_profit_pct: Decimal
    trailing_stop_pct: Decimal | None
    slippage_tolerance_bps: Decimal
    retry_every_s: float
    retry_step_bps: Decimal
    retry_steps: int
    confirm_s: float
    crash_stop_mult: Decimal
    bull_target_mult: Decimal


class BandRow(Value, frozen=True, kw_only=True):
    """When a product just below its volume floor may pass (pipeline.md §3, 3a). Depth against our order's size."""

    lower_mult: Decimal
    max_spread_bps: Decimal
    min_listing_age_s: int
    require_depth_mult: Decimal
    slippage_budget_bps: Decimal


class TierRow(Value, frozen=True, kw_only=True):
    """One tier's products and floors, the tighter of the tier's and the global ones.

    `force_eligible` skip the volume floor; `band` None: the tier has no rule of its own for near misses.
    `max_allocation_pct` is of NAV, before the regime's multiplier.
    """

    tier: int
    products: tuple[ProductId, ...]
    min_24h_volume_usd: Decimal
    max_spread_bps: Decimal
    min_depth_usd: Decimal
    max_allocation_pct: Decimal = Decimal(100)
    force_eligible: tuple[ProductId, ...] = ()
    band: BandRow | None = None


class TierScale(Value, frozen=True, kw_only=True):
    """What one regime makes of tiers 1, 2, 3 (zero: excluded) and of the volume floors (None: nothing is eligible)."""

    regime: Regime
    allocation_mults: tuple[Decimal, Decimal, Decimal]
    volume_mult: Decimal | None


TierScales = tuple[TierScale, TierScale, TierScale, TierScale]


class NearMiss(Value, frozen=True, kw_only=True):
    """How far below a floor of volume or depth, as a share of it, how many products of a tier may pass."""

    tolerance_share: Decimal
    max_per_tier: int


class VolumeSteps(Value, frozen=True, kw_only=True):
    """When volume makes a product come or go: multiples of the floor, and builds in a row."""

    enter_mult: Decimal
    exit_mult: Decimal
    enter_builds: int
    exit_builds: int


class Theme(Value, frozen=True, kw_only=True):
    """The products that move together."""

    name: str
    products: tuple[ProductId, ...]


class UniversePolicy(Value, frozen=True, kw_only=True):
    """Who may be traded at all. Depth is bid plus ask side within 20 bps of the mid, USD.

    `near_miss` None: a floor is a floor. `red_flags` are the reasons for which a product may be banned, for `ban_s`.
    """

    tiers: tuple[TierRow, TierRow, TierRow]
    themes: tuple[Theme, ...]
    never_trade: tuple[ProductId, ...]
    min_eligible_assets: int
    refresh_s: int
    products_cache_s: int
    near_miss: NearMiss | None
    volume_steps: VolumeSteps
    scales: TierScales
    red_flags: tuple[str, ...]
    ban_s: int

    @property
    def products(self) -> tuple[ProductId, ...]:
        """Every product of every tier, in order."""
        return tuple(product for row in self.tiers for product in row.products)

    def tier_of(self, product: str) -> int | None:
        """The tier of a product; None when it stands in none."""
        return next((row.tier for row in self.tiers if product in row.products), None)

    def scale(self, regime: Regime) -> TierScale:
        """What a regime makes of the tiers."""
        return next(row for row in self.scales if row.regime is regime)

    def theme_of(self, product: str) -> str:
        """The theme of a product; OTHER when it stands in none."""
        return next((theme.name for theme in self.themes if product in theme.products), OTHER_THEME)


class RegimeRow(Value, frozen=True, kw_only=True):
    """One row of the regime table. `position_size_multiplier` scales sizes and caps; `allowed_signals` are triggers.

    `signal_confidence_boost` is added to a trigger's confidence, the result kept within 0 to 1; negative: a penalty.
    """

    regime: Regime
    position_size_multiplier: Decimal
    max_positions: int
    allowed_signals: tuple[str, ...]
    signal_confidence_boost: float = 0.0


class RegimePolicy(Value, frozen=True, kw_only=True):
    """The regime table: all four regimes."""

    rows: tuple[RegimeRow, RegimeRow, RegimeRow, RegimeRow]

    def row(self, regime: Regime) -> RegimeRow:
        """The table's row for a regime."""
        return next(row for row in self.rows if row.regime is regime)


class ThresholdRow(Value, frozen=True, kw_only=True):
    """Trigger thresholds of one regime: absolute moves in per cent, volume against its mean, ATR against its median."""

    regime: Regime
    move_15m_pct: float
    move_60m_pct: float
    volume_ratio: float
    atr_min_mult: float


class TrendFilter(Value, frozen=True, kw_only=True):
    """What a reversal's trend must show: the slope, per cent an hour over `slope_h`, of the EMA of `ema_h` closes."""

    ema_h: int
    slope_h: int
    min_slope_pct_h: float


class FallbackScan(Value, frozen=True, kw_only=True):
    """After more than `min_streak` scans without a trigger price moves shrink by `relax_share`; `max_new` are kept."""

    enabled: bool
    min_streak: int
    relax_share: float
    max_new: int
    allow_downside: bool


class ModularSignals(Value, frozen=True, kw_only=True):
    """The signals of 15-minute candles alone; thresholds in per cent, the first of them in bull and bear."""

    enabled: bool
    momentum_trending_pct: float
    momentum_pct: float
    deviation_pct: float


class AutoTunePolicy(Value, frozen=True, kw_only=True):
    """Loosening after cycles without a trigger (pipeline.md §9). Deltas are negative; `allowed`: in this mode."""

    allowed: bool
    zero_trigger_cycles: int
    move_15m_delta_pct: float
    move_60m_delta_pct: float
    min_conviction_delta: float
    move_15m_floor_pct: float
    move_60m_floor_pct: float
    min_conviction_floor: float


class TriggerPolicy(Value, frozen=True, kw_only=True):
    """When triggers fire (pipeline.md §5). Scores and confidences are 0 to 1. A crash has no thresholds."""

    thresholds: tuple[ThresholdRow, ...]
    breakout_lookback_h: int
    max_triggers_per_cycle: int
    min_score: float
    min_confidence: float
    only_upside: bool
    outlier_enabled: bool
    outlier_max_deviation_pct: float
    outlier_min_volume_ratio: float
    outlier_lookback_bars: int
    atr_filter_enabled: bool
    atr_lookback_bars: int
    synthetic_minutes_max_pct: float
    trend: TrendFilter
    bounce_min_pct: float
    z_max: float
    z_lookback_h: int
    fallback: FallbackScan
    modular: ModularSignals

    def threshold(self, regime: Regime) -> ThresholdRow | None:
        """The thresholds of a regime; None where no trigger may fire."""
        return next((row for row in self.thresholds if row.regime is regime), None)


class StalenessPolicy(Value, frozen=True, kw_only=True):
    """How old what may be (requirements.md ST1)."""

    quote_age_s: float
    candle_age_s: float
    heartbeat_age_s: float
    transport_lag_s: float
    no_change_check_s: float
    no_change_check_t1_s: float


class BreakerPolicy(Value, frozen=True, kw_only=True):
    """When the venue's trouble, or a price that jumps, stops entries. `max_move_sigma`: standard deviations in 60 s.

    The mid's moves are measured over `move_window_s`, and against at least `move_min_samples` usual ones.
    """

    max_consecutive_api_errors: int
    api_error_window_s: int
    max_realized_volatility_pct: float
    volatility_lookback_h: int
    rate_limit_cooldown_s: int
    move_window_s: int
    move_min_samples: int
    max_move_sigma: Decimal


class LoopPolicy(Value, frozen=True, kw_only=True):
    """The decision cycle's rhythm. Jitter is added, never subtracted; back-off when a cycle used too much of it."""

    interval_s: float
    jitter_pct: float
    target_utilization_pct: float
    backoff_s: float


class LaneRate(Value, frozen=True, kw_only=True):
    """One token bucket."""

    rate_per_s: float
    burst: int


class RateLimits(Value, frozen=True, kw_only=True):
    """What each kind of call may use; no lane waits behind another."""

    public: LaneRate
    private: LaneRate
    exit_cancel: LaneRate
    kill_sweep: LaneRate


class Fees(Value, frozen=True, kw_only=True):
    """Fee rates until the venue's are known, and the floor under them."""

    source: FeeSource
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal


class Auth(Value, frozen=True, kw_only=True):
    """How long a signed order request can be accepted."""

    order_token_life_s: int


class Monitoring(Value, frozen=True, kw_only=True):
    """Loopback ports and the least severe log level kept."""

    health_port: int
    metrics_port: int
    log_level: str


class Policy(Value, frozen=True, kw_only=True):
    """Everything effective in one run. `config_hash`: first 16 hex digits of SHA-256 over the effective configuration.

    `ignore_assets` are currencies left out of NAV and caps (risk.md §10).
    `read_only` is the effective switch: true in every mode but LIVE, and in LIVE what the configuration says.
    """

    config_hash: str
    mode: Mode
    read_only: bool
    live_trading_enabled: bool
    risk: RiskPolicy
    sizing: SizingPolicy
    execution: ExecutionPolicy
    exits: ExitPolicy
    universe: UniversePolicy
    regime: RegimePolicy
    triggers: TriggerPolicy
    auto_tune: AutoTunePolicy
    strategy: StrategyPolicy
    staleness: StalenessPolicy
    breakers: BreakerPolicy
    loop: LoopPolicy
    rate_limits: RateLimits
    fees: Fees
    auth: Auth
    monitoring: Monitoring
    ignore_assets: tuple[str, ...] = ()
