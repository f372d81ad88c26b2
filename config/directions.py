"""Which change of a key allows more risk, or takes a protection away: one direction for every key of the schema.

`UP` and `DOWN` count for numbers, for switches (true is up), for ordered words and for lists (more entries are up). A
section's `*` stands for any one part of a key's name. What nobody can order stands in `EITHER`: whatever changes it has
to be confirmed, as a key that is missing here has to be.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache


class Looser(Enum):
    """Which way is looser."""

    UP = "higher is looser"
    DOWN = "lower is looser"
    NEUTRAL = "neutral"
    EITHER = "either way"


Sections = Mapping[str, str]
"""Names of keys by section; a section begins with the name of its file."""

UP: Sections = {
    "app.app": "mode",
    "app.auth": "order_token_life_s",
    "app.loop": "universe_cache_seconds",
    "app.auto_tune": "allow_in_live",
    "policy.profiles.*.tier_size_pct": "tier1 tier2 tier3",
    "policy.profiles.*.tier_max_pct": "tier1 tier2 tier3",
    "policy.risk": "max_total_at_risk_pct max_position_size_pct max_per_asset_pct max_open_positions max_drawdown_pct "
    "max_trades_per_day max_trades_per_hour max_new_trades_per_hour cooldown_after_loss_trades dust_threshold_usd "
    "stop_loss_pct take_profit_pct external_exposure_buffer_pct allow_pyramiding max_adds_per_asset_per_day "
    "allow_adds_when_over_cap",
    "policy.risk.max_tier_position_pct": "tier1 tier2 tier3",
    "policy.risk.max_per_theme_pct": "*",
    "policy.staleness": "quote_age_s candle_age_s heartbeat_age_s transport_lag_s no_change_check_s "
    "no_change_check_t1_s synthetic_minutes_max_pct",
    "policy.circuit_breakers": "max_consecutive_api_errors max_realized_volatility_pct outlier_min_samples "
    "max_price_deviation_pct max_move_sigma",
    "policy.exits": "default_max_hold_hours trailing_stop_pct retry_every_s retry_steps confirm_ms crash_stop_mult "
    "widen_targets_in_bull bull_target_mult",
    "policy.position_sizing": "risk_per_trade_pct fixed_size_usd max_order_usd allow_pyramiding max_pyramid_positions",
    "policy.microstructure": "max_expected_slippage_bps",
    "policy.triggers.fallback": "enabled relax_pct max_new allow_downside",
    "policy.strategy": "max_new_positions_per_cycle",
    "policy.strategy.base_position_pct": "tier1 tier2 tier3",
    "policy.strategy.conviction_weights": "base trigger_strength trigger_confidence",
    "policy.strategy.conviction_weights.quality_boosts": "*",
    "policy.strategy.canary": "enabled window require_tier_in size_multiplier",
    "policy.strategy.high_volatility": "move_threshold_pct size_reduction_factor",
    "policy.strategy.mean_reversion": "stop_atr take_profit_atr max_hold_hours",
    "policy.regime.*": "position_size_multiplier max_positions allowed_signals signal_confidence_boost",
    "policy.execution": "allow_min_bump_in_risk clamp_small_trades hard_max_spread_bps maker_max_reprices "
    "maker_max_ttl_sec maker_first_min_ttl_sec maker_retry_min_ttl_sec maker_reprice_decay "
    "order_expiry_s order_expiry_margin_s",
    "policy.governance": "live_trading_enabled",
    "universe.universe": "max_universe_size refresh_interval_hours products_cache_minutes",
    "universe.universe.dynamic_config": "tier1_max_symbols tier2_max_symbols tier3_max_symbols max_spread_bps",
    "universe.universe.near_threshold": "override_enabled tolerance_pct max_overrides_per_tier",
    "universe.tiers.*": "symbols force_eligible_symbols",
    "universe.tiers.*.constraints": "max_allocation_pct max_spread_bps max_drawdown_pct max_hold_period_hours",
    "universe.tiers.*.near_threshold_override": "enable max_spread_bps slippage_budget_bps",
    "universe.liquidity": "max_spread_bps",
    "universe.eligibility_hysteresis.volume_24h": "cycles_confirm_exit",
    "universe.regime_modifiers.*": "tier_1_multiplier tier_2_multiplier tier_3_multiplier",
    "signals.triggers": "max_triggers_per_cycle",
    "signals.triggers.reversal_confirm": "higher_low_vs_prev rsi_cross_up_50",
    "signals.triggers.mean_reversion": "max_z_score",
    "signals.modular": "enabled",
    "strategies.strategies.*": "enabled time_budget_ms",
    "strategies.strategies.*.risk_budgets": "max_at_risk_pct max_trades_per_cycle",
    "strategies.global": "max_total_proposals_per_cycle",
}

DOWN: Sections = {
    "app.exchange": "read_only",
    "app.loop": "skip_weekends",
    "app.auto_tune": "zero_trigger_cycles",
    "app.auto_tune.loosen": "pct_change_15m_delta pct_change_60m_delta min_conviction_delta",
    "app.auto_tune.floors": "pct_change_15m pct_change_60m min_conviction",
    "policy.profiles.*": "min_conviction min_notional_usd",
    "policy.risk": "min_position_size_pct daily_stop_pnl_pct weekly_stop_pnl_pct protective_exits_when_halted "
    "min_seconds_between_trades per_symbol_trade_spacing_seconds cooldown_minutes per_symbol_cooldown_minutes "
    "per_symbol_cooldown_win_minutes per_symbol_cooldown_loss_minutes per_symbol_cooldown_after_stop "
    "min_trade_notional_usd count_external_positions pyramid_cooldown_seconds per_symbol_cooldown_enabled "
    "count_open_orders_in_cap",
    "policy.circuit_breakers": "api_error_window_seconds min_eligible_assets pause_on_rate_limit "
    "rate_limit_cooldown_seconds check_price_outliers "
    "enable_atr_filter min_volume_ratio",
    "policy.exits": "enabled check_stop_loss check_take_profit check_max_hold use_trailing_stop tighten_stops_in_crash",
    "policy.position_sizing": "min_order_usd",
    "policy.liquidity": "require_depth_mult",
    "policy.triggers": "only_upside min_score",
    "policy.triggers.fallback": "min_no_trigger_streak",
    "policy.triggers.breakout": "lookback_hours",
    "policy.strategy": "min_conviction_to_propose momentum_downside_reversal_pct",
    "policy.strategy.reversal_confirmation": "enforce min_required",
    "policy.strategy.canary": "maker_only",
    "policy.strategy.canary.min_depth_usd": "tier1 tier2 tier3",
    "policy.regime": "enabled",
    "policy.execution": "maker_fee_bps taker_fee_bps min_notional_usd failed_order_cooldown_seconds",
    "universe.universe": "min_eligible_assets",
    "universe.universe.dynamic_config": "tier1_min_volume_usd tier2_min_volume_usd tier3_min_volume_usd min_price_usd "
    "stable_coins",
    "universe.tiers.*.constraints": "min_24h_volume_usd",
    "universe.tiers.*.near_threshold_override": "lower_mult min_listing_age_days require_depth_mult",
    "universe.liquidity": "min_24h_volume_usd min_orderbook_depth_usd_t1 min_orderbook_depth_usd_t2 "
    "min_orderbook_depth_usd_t3",
    "universe.exclusions": "never_trade red_flags temporary_ban_hours",
    "universe.eligibility_hysteresis.volume_24h": "enter_mult exit_mult cycles_confirm_enter",
    "universe.volume_floor_scalers": "bull chop bear",
    "signals.triggers": "min_trigger_score min_trigger_confidence",
    "signals.triggers.regime_thresholds.*": "pct_change_15m pct_change_60m volume_ratio_1h_vs_24h atr_filter_min_mult",
    "signals.triggers.reversal_confirm": "bounce_min_pct",
    "signals.triggers.trend_filter": "min_slope_pct_per_hour",
    "strategies.global": "dedupe_by_symbol",
    "signals.modular": "momentum_trending_pct momentum_pct mean_reversion_pct",
    "strategies.strategies.*": "shadow",
}

EITHER: Sections = {
    "app.loop.interval": "seconds",
    "app.loop": "timezone",
    "policy.risk": "managed_position_tag",
    "policy.portfolio": "ignore_assets",
    "policy.circuit_breakers": "volatility_lookback_hours atr_lookback_periods outlier_window_s "
    "outlier_lookback_periods",
    "policy.exits": "exit_order_type exit_slippage_tolerance_bps retry_step_bps",
    "policy.position_sizing": "method",
    "policy.strategy": "prefer_add_to_existing",
    "policy.strategy.min_conviction_by_regime": "*",
    "signals.triggers.trend_filter.min_slope_by_regime": "*",
    "policy.strategy.high_volatility": "lookback_minutes",
    "policy.execution": "fees partial_fill_min_pct cancel_retry_backoff_ms",
    "policy.rate_limits.*": "rate burst",
    "universe.universe": "method",
    "universe.clusters": "*",
    "signals.triggers.trend_filter": "ema_hours slope_lookback_hours",
    "signals.triggers.mean_reversion": "lookback_hours min_liquidity_tier",
    "strategies.strategies.*": "class path",
    "strategies.strategies.*.parameters": "*",
}

NEUTRAL: Sections = {
    "app.loop.interval": "jitter_pct",
    "app.loop.utilization_autobackoff": "target_util_pct backoff_seconds",
    "app.logging": "level",
    "app.monitoring": "healthcheck_port metrics_port",
    "policy": "risk_profile",  # what it sets is compared key by key
}

_TABLES = {Looser.UP: UP, Looser.DOWN: DOWN, Looser.EITHER: EITHER, Looser.NEUTRAL: NEUTRAL}


def directions(which: str, key: str) -> tuple[Looser, ...]:
    """Every direction that the tables give a key of one file: one, or none where the key is missing in them."""
    parts = [which, *key.split(".")]
    return tuple(direction for direction, pattern in _patterns() if _fits(parts, pattern))


def direction(which: str, key: str) -> Looser:
    """Which change of a key loosens; a key that the tables do not name may loosen either way."""
    return next(iter(directions(which, key)), Looser.EITHER)


@cache
def _patterns() -> tuple[tuple[Looser, list[str]], ...]:
    return tuple((looser, pattern) for looser, table in _TABLES.items() for pattern in _spelt(table))


def _spelt(table: Sections) -> Iterator[list[str]]:
    for section, names in table.items():
        for name in names.split():
            yield [*section.split("."), name]


def _fits(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) == len(pattern) and all(one in {"*", part} for part, one in zip(parts, pattern, strict=True))
