"""The resolved, typed limits that travel to actors: what configuration says once every layer is applied.

Times are seconds (`_s`), minutes or hours are resolved away. Money and limits in per cent or basis points are
`Decimal`; thresholds of market statistics, scores and times are floats. Percentages are of NAV unless said otherwise.
Rows stand in tuples, not mappings, so that a policy is immutable throughout.
"""

from decimal import Decimal
from enum import Enum

from protocol.base import Value
from protocol.policy_strategy import StrategyPolicy
from protocol.policy_triggers import AutoTunePolicy, TriggerPolicy
from protocol.policy_universe import OTHER_THEME, UniversePolicy
from protocol.strategy import Regime

_LEAST_CONFIDENCE = Decimal("0.6")  # of a trigger that is proposed at all


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
    be added to, `max_pyramid_positions` of them at one time; `allow_adds_when_over_cap`: also while every slot is
    taken; `adds_first`: of proposals of like conviction. A cooldown of 0 s is none. `orders_take_slots`: working
    purchases do.
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
    max_pyramid_positions: int
    adds_first: bool
    orders_take_slots: bool
    max_expected_slippage_bps: Decimal

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
    `at_market`: every try is a market order. Else `slippage_tolerance_bps` is how far through the bid the first try
    goes; each of `retry_steps` adds `retry_step_bps`.
    `crash_stop_mult` and `bull_target_mult` scale the distances to stop and target while such a regime lasts.
    `tier3_*` bound positions of tier 3: how far below its peak, and how long; None: not at all.
    """

    check_stop_loss: bool
    check_take_profit: bool
    check_max_hold: bool
    default_stop_loss_pct: Decimal
    default_take_profit_pct: Decimal
    default_max_hold_s: int
    trailing_stop_pct: Decimal | None
    at_market: bool
    slippage_tolerance_bps: Decimal
    retry_every_s: float
    retry_step_bps: Decimal
    retry_steps: int
    confirm_s: float
    crash_stop_mult: Decimal
    bull_target_mult: Decimal
    tier3_drawdown_pct: Decimal | None = None
    tier3_max_hold_s: int | None = None


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
    """The regime table: all four regimes. Not `enabled`: nothing is detected, and the row of chop holds."""

    rows: tuple[RegimeRow, RegimeRow, RegimeRow, RegimeRow]
    enabled: bool = True

    def row(self, regime: Regime) -> RegimeRow:
        """The table's row for a regime."""
        return next(row for row in self.rows if row.regime is regime)


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
    """The decision cycle's rhythm. Jitter is added, never subtracted; back-off when a cycle used too much of it.

    `weekends`: proposals are asked for on Saturdays and Sundays too, of a clock that is `offset_s` ahead of UTC.
    """

    interval_s: float
    jitter_pct: float
    target_utilization_pct: float
    backoff_s: float
    weekends: bool = True
    offset_s: int = 0


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

    @property
    def tier1_ceiling_pct(self) -> Decimal:
        """The largest position in tier 1 of a neutral market, per cent of NAV: its tier's cap, and its theme's."""
        neutral = self.regime.row(Regime.CHOP).position_size_multiplier
        universe = self.universe
        themes = {universe.theme_of(product) for product in universe.tiers[0].products}
        if universe.discovery is not None and universe.found is None:  # what will be found may belong to any theme
            themes = {row.theme for row in self.risk.theme_caps}
        caps = [self.risk.theme_cap_pct(theme) * min(neutral, Decimal(1)) for theme in themes]
        return min([self.risk.tier_cap_pct[0] * neutral, *caps])

    @property
    def least_entries_pct(self) -> tuple[tuple[int, Regime, Decimal], ...]:
        """Entries of the least confidence, per cent of NAV: of every tier with products, in every regime that buys."""
        found = (
            (tier.tier, row.regime, self.strategy.tier_base_pct[tier.tier - 1] * row.position_size_multiplier)
            for tier in self.universe.tiers
            if self.universe.may_hold(tier)
            for row in self.regime.rows
        )
        return tuple((tier, regime, pct * _LEAST_CONFIDENCE) for tier, regime, pct in found if pct > 0)
