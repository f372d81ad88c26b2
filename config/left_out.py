"""Keys that one may look for and that are not there: under another name, or left out for a reason.

Keys are dotted, as in the files; `*` stands for one part of a name. A section stands for all that is in it.
"""

from config.deprecated import DEPRECATED

RENAMED: dict[str, str] = {
    "liquidity.spreads_bps": "tiers.*.constraints.max_spread_bps in universe.yaml",
    "liquidity.min_depth_floor_usd": "strategy.canary.min_depth_usd, and liquidity in universe.yaml for eligibility",
    "liquidity.min_depth_20bps_usd": "liquidity.min_orderbook_depth_usd_t1 and its neighbours in universe.yaml",
    "liquidity.min_orderbook_depth_usd": "liquidity.min_orderbook_depth_usd_t1 and its neighbours, one a tier",
    "liquidity.eligibility_persistence": "eligibility_hysteresis in universe.yaml",
    "triggers.price_move": "triggers.regime_thresholds in signals.yaml, a row for each regime",
    "triggers.volume_spike": "triggers.regime_thresholds in signals.yaml, a row for each regime",
    "triggers.mean_reversion": "strategy.mean_reversion, for stop, target and hold",
    "strategy.canary.conviction_window": "strategy.canary.window: it ends at the threshold, and begins so far below it",
    "circuit_breakers.atr_min_multiplier": "triggers.regime_thresholds.*.atr_filter_min_mult in signals.yaml",
    "circuit_breaker": "circuit_breakers, the one section of breakers",
    "regime.*.signal_confidence_penalty": "regime.*.signal_confidence_boost below zero",
    "execution.high_volatility": "strategy.high_volatility",
    "execution.maker_first": "execution.maker_max_reprices: every entry is maker first",
    "execution.max_retries": "execution.maker_max_reprices",
    "execution.limit_timeout_seconds": "execution.maker_max_ttl_sec and its neighbours",
    "execution.fill_timeout_seconds": "execution.maker_max_ttl_sec and its neighbours",
    "monitoring.prometheus_enabled": "monitoring.metrics_port",
    "tiers.*.refresh": "universe.refresh_interval_hours, the same for every tier",
    "tiers.*.constraints.refresh": "universe.refresh_interval_hours, the same for every tier",
    "triggers.regime_thresholds.*.volume_ratio_1h": "triggers.regime_thresholds.*.volume_ratio_1h_vs_24h",
    "triggers.reversal_confirm.min_bounce_from_low_pct": "triggers.reversal_confirm.bounce_min_pct",
    "triggers.trend_filter.ema_period_hours": "triggers.trend_filter.ema_hours",
    "triggers.mean_reversion.zscore_max": "triggers.mean_reversion.max_z_score",
    "triggers.regime_multipliers": "regime.*.position_size_multiplier in policy.yaml, the one table",
    "triggers.volume_spike_min_ratio": "triggers.regime_thresholds.*.volume_ratio_1h_vs_24h",
    "triggers.breakout_lookback_bars": "triggers.breakout.lookback_hours in policy.yaml",
    "signals": "modular: enabled, momentum_trending_pct, momentum_pct and mean_reversion_pct",
}
"""Keys that have another name or place here, and which."""

_ADVISOR = "no adviser decides here: what decides is a pure function that can be judged again"
_NO_ALERTS = "no alert leaves the machine: alerts are in the journal and the log, `tail` shows them"
_SERVED = "health and metrics are always served, on the loopback address"
_LOGS = "logs are JSON with time and process below STATE/logs, of a fixed length; secrets are always taken out"
_STORE = "the store is in the state directory (--state), durable at each transition"
_NO_BACKUP = "no backup is made by itself; copy the state directory of a trader that is stopped"
_NO_TAKER = "no entry ever takes: every try is post-only, and what does not fill is let go"
_NO_CONVERT = "nothing is converted: an entry spends the money of its product's own quote currency"
_NO_TRIM = "nothing is trimmed: a cap that is exceeded stops entries, and positions are left by their exits"
_NO_PURGE = "nothing is purged: an ineligible product is not bought, and a position in it is left by its exits"
_NO_REBALANCE = "nothing is sold to make room: a full house blocks new positions"
_VENUE_STATE = "what the venue says of itself and of a product is always obeyed; a switch could only disarm that"
_ENDS = "every order carries its end with it: its try's life and execution.order_expiry_margin_s"
_NO_BUDGET = (
    "no purchase takes, so that there is no slippage to budget; microstructure.max_expected_slippage_bps bounds it"
)
_DECIDED = "every decision is on record with every rule's verdict, and what people do with their names and reasons"
_NO_NEWS = "no events are listened to: tier 3 holds what is listed in it"
_LATENCY = "stages have fixed times (actors/cycle), and what every call took is in the metrics"

LEFT_OUT: dict[str, str] = {
    "ai": _ADVISOR,
    "ai_trader": _ADVISOR,
    "alerts": _NO_ALERTS,
    "app.name": "the program says its own name",
    "app.version": "the program says its own version",
    "circuit_breakers.check_exchange_status": _VENUE_STATE,
    "circuit_breakers.check_product_status": _VENUE_STATE,
    "circuit_breakers.halt_on_maintenance": _VENUE_STATE,
    "cooldowns": "exits pass every cooldown by what they are, not by a tag; there are no other sales of ours",
    "execution.auto_convert_preferred_quote": _NO_CONVERT,
    "execution.cancel_after_seconds": _ENDS,
    "execution.convert_api_retry_seconds": _NO_CONVERT,
    "execution.default_order_type": _NO_TAKER,
    "execution.limit_offset_bps": "a try rests at the touch, a tick away from crossing",
    "execution.max_order_age_seconds": _ENDS,
    "execution.max_slippage_bps": _NO_BUDGET,
    "execution.post_trade_reconcile_wait_seconds": "fills are booked as they are told, and read again each cycle",
    "execution.prefer_ioc": _NO_TAKER,
    "execution.preferred_quote_currencies": _NO_CONVERT,
    "execution.promote_to_taker_if_budget_allows": _NO_TAKER,
    "execution.purge_maker_ttl_sec": _NO_PURGE,
    "execution.require_fill_confirmation": "a fill is what the venue tells as one",
    "execution.retry_delay_seconds": "a next try begins when the one before has ended",
    "execution.slippage_budget_t1_bps": _NO_BUDGET,
    "execution.slippage_budget_t2_bps": _NO_BUDGET,
    "execution.slippage_budget_t3_bps": _NO_BUDGET,
    "execution.small_order_market_threshold_usd": _NO_TAKER,
    "execution.taker_fallback": _NO_TAKER,
    "execution.taker_max_slippage_bps": _NO_TAKER,
    "execution.taker_promotion_requirements": _NO_TAKER,
    "exits.venue_stop": "no stop rests at the venue: exits are judged by the desk on every quote",
    "exits.venue_stop_mult": "no stop rests at the venue: exits are judged by the desk on every quote",
    "global.log_proposal_details": _DECIDED,
    "governance.allow_manual_override": _DECIDED,
    "governance.emergency_email": _NO_ALERTS,
    "governance.emergency_webhook": _NO_ALERTS,
    "governance.log_all_decisions": _DECIDED,
    "governance.min_reasoning_length": _DECIDED,
    "governance.require_decision_reasoning": _DECIDED,
    "governance.require_override_reason": _DECIDED,
    "latency": _LATENCY,
    "liquidity.slippage_budget_bps": _NO_BUDGET,
    "logging.backup_count": _LOGS,
    "logging.file": _LOGS,
    "logging.format": _LOGS,
    "logging.include_hostname": _LOGS,
    "logging.include_timestamps": _LOGS,
    "logging.max_bytes": _LOGS,
    "logging.redact_api_keys": _LOGS,
    "logging.redact_tokens": _LOGS,
    "logging.rotate": _LOGS,
    "monitoring.alerts_enabled": _NO_ALERTS,
    "monitoring.dashboard_port": "there is no dashboard: `status`, `why` and `tail` show what there is",
    "monitoring.healthcheck_enabled": _SERVED,
    "monitoring.metrics_enabled": _SERVED,
    "portfolio_management.auto_liquidate_ineligible": _NO_PURGE,
    "portfolio_management.auto_rebalance_worst_performer": _NO_REBALANCE,
    "portfolio_management.auto_trim_to_risk_cap": _NO_TRIM,
    "portfolio_management.max_liquidations_per_cycle": _NO_PURGE,
    "portfolio_management.max_trim_failures_before_alert": _NO_TRIM,
    "portfolio_management.min_liquidation_value_usd": _NO_PURGE,
    "portfolio_management.purge_execution": _NO_PURGE,
    "portfolio_management.trim_max_liquidations": _NO_TRIM,
    "portfolio_management.trim_min_value_usd": _NO_TRIM,
    "portfolio_management.trim_preferred_quotes": _NO_TRIM,
    "portfolio_management.trim_slippage_buffer_pct": _NO_TRIM,
    "portfolio_management.trim_target_buffer_pct": _NO_TRIM,
    "portfolio_management.trim_tolerance_pct": _NO_TRIM,
    "portfolio_management": "nothing is sold but by exits and by hand",
    "rate_limits.alert_threshold": "a lane that is used up makes its calls wait; nobody is alerted",
    "rate_limits.critical_threshold": "a lane that is used up makes its calls wait; nobody is alerted",
    "rate_limits.endpoints": "every endpoint has its lane's rate",
    "signals.enabled_signals": "which signals count says regime.*.allowed_signals in policy.yaml",
    "state.backup_enabled": _NO_BACKUP,
    "state.backup_interval_hours": _NO_BACKUP,
    "state.interval_hours": _NO_BACKUP,
    "state.max_files": _NO_BACKUP,
    "state.path": _STORE,
    "state.persist_interval_seconds": _STORE,
    "state.store": _STORE,
    "state.tape_days": "the tape of a run is bounded by its length on disk alone",
    "state.tape_max_gb": "the tape of a run is bounded by its length on disk alone",
    "state": _STORE,
    "tiers.*.constraints.event_types_allowed": _NO_NEWS,
    "tiers.*.constraints.min_news_sources": _NO_NEWS,
    "tiers.*.constraints.require_verification": _NO_NEWS,
    "tiers.*.constraints.max_tier_3_symbols": "universe.max_universe_size bounds all lists together",
    "tiers.*.filters": "a product's own rules are its tier's constraints",
    "triggers.breakout_threshold_pct": "a breakout is a close above the high before it, by however little",
    "triggers.volume_lookback_periods": "an hour's volume is held against the mean of 24",
}
"""Keys that are left out, and why."""


def word(path: str) -> str:
    """What to say of a key that the schema does not have; empty where nobody thought of it."""
    for table, begins in ((DEPRECATED, "deprecated: "), (RENAMED, "here it is "), (LEFT_OUT, "left out: ")):
        found = next((key for key in table if _fits(path.split("."), key.split("."))), None)
        if found is not None:
            return begins + table[found]
    return ""


def _fits(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) == len(pattern) and all(one in {"*", part} for part, one in zip(parts, pattern, strict=True))
