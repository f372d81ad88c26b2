"""Keys that other versions of this trader had, and what to write today."""

_QUOTE_AGE = "use staleness.quote_age_s, the one place for quote age"
_NO_VALUE = "remove it: nothing replaces it"

DEPRECATED: dict[str, str] = {
    "profile": "use risk_profile",
    "risk.max_exposure_pct": "use risk.max_total_at_risk_pct",
    "risk.daily_stop_loss_pct": "use risk.daily_stop_pnl_pct (a negative number)",
    "risk.weekly_stop_loss_pct": "use risk.weekly_stop_pnl_pct (a negative number)",
    "universe.cache_ttl_seconds": _NO_VALUE,
    "cache_ttl_seconds": _NO_VALUE,
    "loop.interval_minutes": "use loop.interval.seconds in app.yaml",
    "loop.interval_seconds": "use loop.interval.seconds in app.yaml",
    "exchange.api_key": "remove it: keys come from the environment alone",
    "exchange.api_secret": "remove it: keys come from the environment alone",
    "exchange.rate_limit": "use rate_limits in policy.yaml",
    "execution.post_only_ttl_seconds": "use execution.maker_first_min_ttl_sec and its neighbours",
    "microstructure.max_quote_age_seconds": _QUOTE_AGE,
    "circuit_breakers.max_quote_age_seconds": _QUOTE_AGE,
    "circuit_breakers.max_ohlcv_age_seconds": "use staleness.candle_age_s",
    "data.max_age_s": _QUOTE_AGE,
    "data.max_quote_staleness_seconds": _QUOTE_AGE,
    "liquidity.max_quote_staleness_seconds": _QUOTE_AGE,
    "strategy.max_open_positions": "use risk.max_open_positions",
    "governance.kill_switch_enabled": "remove it: the kill switch is always on",
    "governance.kill_switch_file": "remove it: the file is KILL_SWITCH in the state directory",
    "alerts.webhook_env": _NO_VALUE,
    "monitoring.prometheus_port": "use monitoring.metrics_port",
}
