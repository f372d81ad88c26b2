"""From five checked files to the limits that travel to actors, and the hash that names them."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum

import msgspec

from config.files import Config
from config.resolve_discovery import DYNAMIC, discovery_rules
from config.resolve_strategy import strategy_policy
from config.schema import Section
from config.schema_market import Band, ModularSignals, Thresholds, Tier, TierMultipliers, TrendFilter, UniverseFile
from config.schema_policy import Fallback, Lane
from config.schema_policy import RegimeRow as RegimeSection
from protocol import policy as resolved
from protocol import policy_triggers
from protocol.ids import ProductId
from protocol.money import plain
from protocol.policy_universe import (
    BandRow,
    NearMiss,
    Theme,
    TierRow,
    TierScale,
    TierScales,
    UniversePolicy,
    VolumeSteps,
)
from protocol.strategy import Regime

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400
_HASH_DIGITS = 16


def resolve(config: Config) -> resolved.Policy:
    """Make the policy of a checked configuration."""
    app = config.app
    return resolved.Policy(
        config_hash=config_hash(config),
        mode=app.app.mode,
        read_only=app.app.mode is not resolved.Mode.LIVE or app.exchange.read_only,
        live_trading_enabled=config.policy.governance.live_trading_enabled,
        risk=_risk(config),
        sizing=_sizing(config),
        execution=_execution(config),
        exits=_exits(config),
        universe=_universe(config),
        regime=_regime(config),
        triggers=_triggers(config),
        auto_tune=_auto_tune(config),
        strategy=strategy_policy(config),
        ignore_assets=tuple(asset.upper() for asset in config.policy.portfolio.ignore_assets),
        staleness=_staleness(config),
        breakers=_breakers(config),
        loop=_loop(config),
        rate_limits=_rate_limits(config),
        fees=_fees(config),
        auth=resolved.Auth(order_token_life_s=app.auth.order_token_life_s),
        monitoring=_monitoring(config),
    )


def config_hash(config: Config) -> str:
    """First 16 hex digits of SHA-256 over everything effective. How a number is written does not count: 10 is 10.0."""
    text = msgspec.json.encode(_canonical(config), order="sorted")
    return hashlib.sha256(text).hexdigest()[:_HASH_DIGITS]


def _canonical(value: object) -> object:
    if isinstance(value, Section):
        return {name: _canonical(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, Decimal):
        return plain(value)
    return value.value if isinstance(value, Enum) else value


def _risk(config: Config) -> resolved.RiskPolicy:
    policy, risk = config.policy, config.policy.risk
    cools = _MINUTE_S if risk.per_symbol_cooldown_enabled else 0
    cap, tiers = risk.max_position_size_pct, risk.max_tier_position_pct
    return resolved.RiskPolicy(
        risk_profile=policy.risk_profile,
        managed_position_tag=risk.managed_position_tag,
        max_total_at_risk_pct=risk.max_total_at_risk_pct,
        max_position_size_pct=cap,
        max_per_asset_pct=risk.max_per_asset_pct,
        min_position_size_pct=risk.min_position_size_pct,
        tier_cap_pct=(min(cap, tiers.tier1), min(cap, tiers.tier2), min(cap, tiers.tier3)),
        theme_caps=tuple(
            resolved.ThemeCap(theme=theme, cap_pct=pct) for theme, pct in sorted(risk.max_per_theme_pct.items())
        ),
        max_open_positions=risk.max_open_positions,
        max_new_positions_per_cycle=policy.strategy.max_new_positions_per_cycle,
        min_trade_notional_usd=risk.min_trade_notional_usd,
        dust_threshold_usd=risk.dust_threshold_usd,
        require_depth_mult=policy.liquidity.require_depth_mult,
        daily_stop_pnl_pct=risk.daily_stop_pnl_pct,
        weekly_stop_pnl_pct=risk.weekly_stop_pnl_pct,
        max_drawdown_pct=risk.max_drawdown_pct,
        protective_exits_when_halted=risk.protective_exits_when_halted,
        max_trades_per_day=risk.max_trades_per_day,
        max_trades_per_hour=risk.max_trades_per_hour,
        max_new_trades_per_hour=risk.max_new_trades_per_hour,
        spacing_s=risk.min_seconds_between_trades,
        symbol_spacing_s=risk.per_symbol_trade_spacing_seconds,
        loss_streak_trades=risk.cooldown_after_loss_trades,
        loss_streak_cooldown_s=risk.cooldown_minutes * _MINUTE_S,
        cooldown_fill_s=risk.per_symbol_cooldown_minutes * cools,
        cooldown_win_s=risk.per_symbol_cooldown_win_minutes * cools,
        cooldown_loss_s=risk.per_symbol_cooldown_loss_minutes * cools,
        cooldown_stop_s=risk.per_symbol_cooldown_after_stop * cools,
        cooldown_failed_order_s=policy.execution.failed_order_cooldown_seconds,
        count_external_positions=risk.count_external_positions,
        external_exposure_buffer_pct=risk.external_exposure_buffer_pct,
        allow_pyramiding=risk.allow_pyramiding and policy.position_sizing.allow_pyramiding,
        pyramid_cooldown_s=risk.pyramid_cooldown_seconds,
        max_adds_per_asset_per_day=risk.max_adds_per_asset_per_day,
        allow_adds_when_over_cap=risk.allow_adds_when_over_cap,
        max_pyramid_positions=policy.position_sizing.max_pyramid_positions,
        adds_first=policy.strategy.prefer_add_to_existing,
        orders_take_slots=risk.count_open_orders_in_cap,
        max_expected_slippage_bps=policy.microstructure.max_expected_slippage_bps,
    )


def _sizing(config: Config) -> resolved.SizingPolicy:
    sizing = config.policy.position_sizing
    return resolved.SizingPolicy(
        method=sizing.method,
        fixed_size_usd=sizing.fixed_size_usd,
        min_order_usd=sizing.min_order_usd,
        max_order_usd=sizing.max_order_usd,
        bump_to_min=config.policy.execution.allow_min_bump_in_risk,
    )


def _execution(config: Config) -> resolved.ExecutionPolicy:
    execution = config.policy.execution
    return resolved.ExecutionPolicy(
        min_notional_usd=execution.min_notional_usd,
        hard_max_spread_bps=execution.hard_max_spread_bps,
        maker_max_reprices=execution.maker_max_reprices,
        maker_max_ttl_s=float(execution.maker_max_ttl_sec),
        maker_first_min_ttl_s=float(execution.maker_first_min_ttl_sec),
        maker_retry_min_ttl_s=float(execution.maker_retry_min_ttl_sec),
        maker_reprice_decay=float(execution.maker_reprice_decay),
        partial_fill_min_share=execution.partial_fill_min_pct,
        order_expiry_s=execution.order_expiry_s,
        order_expiry_margin_s=execution.order_expiry_margin_s,
        cancel_retry_backoff_s=tuple(ms / 1000 for ms in execution.cancel_retry_backoff_ms),
    )


def _exits(config: Config) -> resolved.ExitPolicy:
    exits, risk = config.policy.exits, config.policy.risk
    third = config.universe.tiers.tier_3.constraints
    holds = exits.enabled and exits.check_max_hold
    return resolved.ExitPolicy(
        check_stop_loss=exits.enabled and exits.check_stop_loss,
        check_take_profit=exits.enabled and exits.check_take_profit,
        check_max_hold=exits.enabled and exits.check_max_hold,
        default_stop_loss_pct=risk.stop_loss_pct,
        default_take_profit_pct=risk.take_profit_pct,
        default_max_hold_s=int(exits.default_max_hold_hours * 3600),
        trailing_stop_pct=exits.trailing_stop_pct if exits.enabled and exits.use_trailing_stop else None,
        at_market=exits.exit_order_type == "market",
        slippage_tolerance_bps=exits.exit_slippage_tolerance_bps,
        retry_every_s=float(exits.retry_every_s),
        retry_step_bps=exits.retry_step_bps,
        retry_steps=exits.retry_steps,
        confirm_s=exits.confirm_ms / 1000,
        crash_stop_mult=exits.crash_stop_mult if exits.tighten_stops_in_crash else Decimal(1),
        bull_target_mult=exits.bull_target_mult if exits.widen_targets_in_bull else Decimal(1),
        tier3_drawdown_pct=third.max_drawdown_pct if exits.enabled else None,
        tier3_max_hold_s=third.max_hold_period_hours * _HOUR_S if holds else None,
    )


def _universe(config: Config) -> UniversePolicy:
    universe, floors = config.universe, config.universe.liquidity
    depths = (floors.min_orderbook_depth_usd_t1, floors.min_orderbook_depth_usd_t2, floors.min_orderbook_depth_usd_t3)
    tiers = universe.tiers
    return UniversePolicy(
        tiers=(
            _tier(config, 1, tiers.tier_1_core, depths[0], forced=tiers.tier_1_core.force_eligible_symbols),
            _tier(config, 2, tiers.tier_2, depths[1], band=tiers.tier_2.near_threshold_override),
            _tier(config, 3, tiers.tier_3, depths[2]),
        ),
        themes=tuple(
            Theme(name=name, products=tuple(map(ProductId, products)))
            for name, products in sorted(universe.clusters.items())
        ),
        never_trade=tuple(map(ProductId, universe.exclusions.never_trade)),
        min_eligible_assets=max(
            universe.universe.min_eligible_assets, config.policy.circuit_breakers.min_eligible_assets
        ),
        refresh_s=universe.universe.refresh_interval_hours * _HOUR_S,
        products_cache_s=min(
            universe.universe.products_cache_minutes * _MINUTE_S, config.app.loop.universe_cache_seconds
        ),
        near_miss=_near_miss(universe),
        volume_steps=_volume_steps(universe),
        scales=_scales(universe),
        red_flags=tuple(universe.exclusions.red_flags),
        ban_s=universe.exclusions.temporary_ban_hours * _HOUR_S,
        discovery=discovery_rules(universe) if universe.universe.method == DYNAMIC else None,
    )


def _near_miss(universe: UniverseFile) -> NearMiss | None:
    near = universe.universe.near_threshold
    if not near.override_enabled:
        return None
    return NearMiss(tolerance_share=near.tolerance_pct, max_per_tier=near.max_overrides_per_tier)


def _volume_steps(universe: UniverseFile) -> VolumeSteps:
    steps = universe.eligibility_hysteresis.volume_24h
    return VolumeSteps(
        enter_mult=steps.enter_mult,
        exit_mult=steps.exit_mult,
        enter_builds=steps.cycles_confirm_enter,
        exit_builds=steps.cycles_confirm_exit,
    )


def _scales(universe: UniverseFile) -> TierScales:
    tiers, floors = universe.regime_modifiers, universe.volume_floor_scalers
    return (
        _scale(Regime.BULL, tiers.bull, floors.bull),
        _scale(Regime.CHOP, tiers.chop, floors.chop),
        _scale(Regime.BEAR, tiers.bear, floors.bear),
        _scale(Regime.CRASH, tiers.crash, None),
    )


def _scale(regime: Regime, row: TierMultipliers, volume_mult: Decimal | None) -> TierScale:
    mults = (row.tier_1_multiplier, row.tier_2_multiplier, row.tier_3_multiplier)
    return TierScale(regime=regime, allocation_mults=mults, volume_mult=volume_mult)


def _band(band: Band | None) -> BandRow | None:
    if band is None or not band.enable:
        return None
    return BandRow(
        lower_mult=band.lower_mult,
        max_spread_bps=band.max_spread_bps,
        min_listing_age_s=band.min_listing_age_days * _DAY_S,
        require_depth_mult=band.require_depth_mult,
        slippage_budget_bps=band.slippage_budget_bps,
    )


def _tier(
    config: Config,
    number: int,
    tier: Tier,
    depth_usd: Decimal,
    *,
    forced: Sequence[str] = (),
    band: Band | None = None,
) -> TierRow:
    floors = config.universe.liquidity
    return TierRow(
        tier=number,
        products=() if config.universe.universe.method == DYNAMIC else tuple(map(ProductId, tier.symbols)),
        min_24h_volume_usd=max(floors.min_24h_volume_usd, tier.constraints.min_24h_volume_usd),
        max_spread_bps=min(floors.max_spread_bps, tier.constraints.max_spread_bps),
        min_depth_usd=depth_usd,
        max_allocation_pct=tier.constraints.max_allocation_pct,
        force_eligible=tuple(map(ProductId, forced)),
        band=_band(band),
    )


def _regime(config: Config) -> resolved.RegimePolicy:
    table = config.policy.regime
    return resolved.RegimePolicy(
        enabled=table.enabled,
        rows=(
            _row(Regime.BULL, table.bull),
            _row(Regime.CHOP, table.chop),
            _row(Regime.BEAR, table.bear),
            _row(Regime.CRASH, table.crash),
        ),
    )


def _row(regime: Regime, row: RegimeSection) -> resolved.RegimeRow:
    return resolved.RegimeRow(
        regime=regime,
        position_size_multiplier=row.position_size_multiplier,
        max_positions=row.max_positions,
        allowed_signals=tuple(row.allowed_signals),
        signal_confidence_boost=float(row.signal_confidence_boost),
    )


def _triggers(config: Config) -> policy_triggers.TriggerPolicy:
    signals, breakers = config.signals.triggers, config.policy.circuit_breakers
    table = signals.regime_thresholds
    rows = ((Regime.BULL, table.bull), (Regime.CHOP, table.chop), (Regime.BEAR, table.bear))
    return policy_triggers.TriggerPolicy(
        thresholds=tuple(_threshold(regime, row) for regime, row in rows),
        breakout_lookback_h=config.policy.triggers.breakout.lookback_hours,
        max_triggers_per_cycle=signals.max_triggers_per_cycle,
        min_score=float(signals.min_trigger_score),
        min_confidence=float(signals.min_trigger_confidence),
        only_upside=config.policy.triggers.only_upside,
        outlier_enabled=breakers.check_price_outliers,
        outlier_max_deviation_pct=float(breakers.max_price_deviation_pct),
        outlier_min_volume_ratio=float(breakers.min_volume_ratio),
        outlier_lookback_bars=breakers.outlier_lookback_periods,
        atr_filter_enabled=breakers.enable_atr_filter,
        atr_lookback_bars=breakers.atr_lookback_periods,
        synthetic_minutes_max_pct=float(config.policy.staleness.synthetic_minutes_max_pct),
        trend=_trend(signals.trend_filter),
        bounce_min_pct=float(signals.reversal_confirm.bounce_min_pct),
        z_max=float(signals.mean_reversion.max_z_score),
        z_lookback_h=signals.mean_reversion.lookback_hours,
        z_worst_tier=int(signals.mean_reversion.min_liquidity_tier.removeprefix("T")),
        higher_low=signals.reversal_confirm.higher_low_vs_prev,
        rsi_cross=signals.reversal_confirm.rsi_cross_up_50,
        fallback=_fallback(config.policy.triggers.fallback),
        modular=_modular(config.signals.modular),
    )


def _trend(trend: TrendFilter) -> policy_triggers.TrendFilter:
    return policy_triggers.TrendFilter(
        ema_h=trend.ema_hours,
        slope_h=trend.slope_lookback_hours,
        min_slope_pct_h=float(trend.min_slope_pct_per_hour),
        regime_slopes=tuple(
            policy_triggers.RegimeSlope(regime=Regime(name), min_slope_pct_h=float(least))
            for name, least in sorted(trend.min_slope_by_regime.items())
        ),
    )


def _fallback(fallback: Fallback) -> policy_triggers.FallbackScan:
    return policy_triggers.FallbackScan(
        enabled=fallback.enabled,
        min_streak=fallback.min_no_trigger_streak,
        relax_share=float(fallback.relax_pct),
        max_new=fallback.max_new,
        allow_downside=fallback.allow_downside,
    )


def _modular(modular: ModularSignals) -> policy_triggers.ModularSignals:
    return policy_triggers.ModularSignals(
        enabled=modular.enabled,
        momentum_trending_pct=float(modular.momentum_trending_pct),
        momentum_pct=float(modular.momentum_pct),
        deviation_pct=float(modular.mean_reversion_pct),
    )


def _auto_tune(config: Config) -> policy_triggers.AutoTunePolicy:
    tune = config.app.auto_tune
    return policy_triggers.AutoTunePolicy(
        allowed=tune.allow_in_live or config.app.app.mode is not resolved.Mode.LIVE,
        zero_trigger_cycles=tune.zero_trigger_cycles,
        move_15m_delta_pct=float(tune.loosen.pct_change_15m_delta),
        move_60m_delta_pct=float(tune.loosen.pct_change_60m_delta),
        min_conviction_delta=float(tune.loosen.min_conviction_delta),
        move_15m_floor_pct=float(tune.floors.pct_change_15m),
        move_60m_floor_pct=float(tune.floors.pct_change_60m),
        min_conviction_floor=float(tune.floors.min_conviction),
    )


def _threshold(regime: Regime, row: Thresholds) -> policy_triggers.ThresholdRow:
    return policy_triggers.ThresholdRow(
        regime=regime,
        move_15m_pct=float(row.pct_change_15m),
        move_60m_pct=float(row.pct_change_60m),
        volume_ratio=float(row.volume_ratio_1h_vs_24h),
        atr_min_mult=float(row.atr_filter_min_mult),
    )


def _staleness(config: Config) -> resolved.StalenessPolicy:
    staleness = config.policy.staleness
    return resolved.StalenessPolicy(
        quote_age_s=float(staleness.quote_age_s),
        candle_age_s=float(staleness.candle_age_s),
        heartbeat_age_s=float(staleness.heartbeat_age_s),
        transport_lag_s=float(staleness.transport_lag_s),
        no_change_check_s=float(staleness.no_change_check_s),
        no_change_check_t1_s=float(staleness.no_change_check_t1_s),
    )


def _breakers(config: Config) -> resolved.BreakerPolicy:
    breakers = config.policy.circuit_breakers
    return resolved.BreakerPolicy(
        max_consecutive_api_errors=breakers.max_consecutive_api_errors,
        api_error_window_s=breakers.api_error_window_seconds,
        max_realized_volatility_pct=float(breakers.max_realized_volatility_pct),
        volatility_lookback_h=breakers.volatility_lookback_hours,
        rate_limit_cooldown_s=breakers.rate_limit_cooldown_seconds if breakers.pause_on_rate_limit else 0,
        move_window_s=breakers.outlier_window_s,
        move_min_samples=breakers.outlier_min_samples,
        max_move_sigma=breakers.max_move_sigma,
    )


def _loop(config: Config) -> resolved.LoopPolicy:
    loop, interval, backoff = config.app.loop, config.app.loop.interval, config.app.loop.utilization_autobackoff
    return resolved.LoopPolicy(
        interval_s=float(interval.seconds),
        jitter_pct=float(interval.jitter_pct),
        target_utilization_pct=float(backoff.target_util_pct),
        backoff_s=float(backoff.backoff_seconds),
        weekends=not loop.skip_weekends,
        offset_s=int(loop.timezone.removeprefix("UTC") or 0) * _HOUR_S,
    )


def _rate_limits(config: Config) -> resolved.RateLimits:
    rates = config.policy.rate_limits
    return resolved.RateLimits(
        public=_lane(rates.public),
        private=_lane(rates.private),
        exit_cancel=_lane(rates.exit_cancel),
        kill_sweep=_lane(rates.kill_sweep),
    )


def _lane(lane: Lane) -> resolved.LaneRate:
    return resolved.LaneRate(rate_per_s=float(lane.rate), burst=lane.burst)


def _fees(config: Config) -> resolved.Fees:
    execution = config.policy.execution
    return resolved.Fees(
        source=execution.fees, maker_fee_bps=execution.maker_fee_bps, taker_fee_bps=execution.taker_fee_bps
    )


def _monitoring(config: Config) -> resolved.Monitoring:
    monitoring = config.app.monitoring
    return resolved.Monitoring(
        health_port=monitoring.healthcheck_port,
        metrics_port=monitoring.metrics_port,
        log_level=config.app.logging.level,
    )
