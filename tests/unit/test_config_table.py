"""The dossier of configuration keys against the schema: every key it lists is there, or refused with a word."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from config.check import check, known_keys
from config.deprecated import DEPRECATED
from config.files import FILES
from config.layers import planted
from config.left_out import LEFT_OUT, RENAMED, word
from config.load import ConfigError, load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config"
DOSSIER = ROOT.parent / "shared" / "spec" / "configuration.md"
SECTIONS = frozenset("1234568")
"""Those with keys in them; 7 has rules."""
KEYS = tuple(key.partition(":")[2] for key in known_keys())
REFUSED = {**DEPRECATED, **RENAMED, **LEFT_OUT}

IN_SHORT = {
    # what a row of the dossier calls a key, and the key
    "dynamic_config T1/T2/T3 max symbols:max": "universe.dynamic_config.tier1_max_symbols",
    "dynamic_config T1/T2/T3 max symbols:symbols": "universe.dynamic_config.tier1_max_symbols",
    "dynamic_config T1/T2/T3 min volume:min": "universe.dynamic_config.tier1_min_volume_usd",
    "dynamic_config T1/T2/T3 min volume:volume": "universe.dynamic_config.tier1_min_volume_usd",
    "_max_symbols": "universe.dynamic_config.tier1_max_symbols",
    "_min_volume_usd": "universe.dynamic_config.tier1_min_volume_usd",
    "logging.redact_*": "logging.redact_tokens",
    "weekly": "risk.weekly_stop_pnl_pct",
    "per_symbol_cooldown_win": "risk.per_symbol_cooldown_win_minutes",
    "per_symbol_cooldown_win/loss/after_stop:loss": "risk.per_symbol_cooldown_loss_minutes",
    "after_stop": "risk.per_symbol_cooldown_after_stop",
    "take_profit": "exits.check_take_profit",
    "max_hold": "exits.check_max_hold",
    "pct_15m": "triggers.price_move.pct_15m",
    "governance reasoning/override keys:reasoning": "governance.require_decision_reasoning",
    "governance reasoning/override keys:override": "governance.require_override_reason",
    "volume/breakout legacy keys:volume": "triggers.volume_lookback_periods",
    "eligibility_persistence.ineligible_grace_cycles": "liquidity.eligibility_persistence.ineligible_grace_cycles",
    "conviction_window.lower": "strategy.canary.conviction_window.lower",
    "taker_promotion_requirements.min_confidence": "execution.taker_promotion_requirements.min_confidence",
    "_t1": "liquidity.min_orderbook_depth_usd_t1",
    "universe.liquidity:_t2": "liquidity.min_orderbook_depth_usd_t2",
    "universe.liquidity:_t3": "liquidity.min_orderbook_depth_usd_t3",
    "rules_engine.risk_budgets.max_at_risk_pct": "strategies.*.risk_budgets.max_at_risk_pct",
    "vwap": "strategy.conviction_weights.quality_boosts.reversal_close_above_vwap_5m",
    "higher_low": "strategy.conviction_weights.quality_boosts.reversal_higher_low",
    "rsi": "strategy.conviction_weights.quality_boosts.reversal_rsi_cross_50",
    "bounce": "strategy.conviction_weights.quality_boosts.reversal_bounce_confirmed",
    "canary:upper": "strategy.canary.conviction_window",
    "_t1_s": "staleness.no_change_check_t1_s",
    "regime.<r>.signal_confidence_boost/penalty:penalty": "regime.chop.signal_confidence_penalty",
    "first_min": "execution.maker_first_min_ttl_sec",
    "retry_min": "execution.maker_retry_min_ttl_sec",
    "decay": "execution.maker_reprice_decay",
    "slippage_budget_t1": "execution.slippage_budget_t1_bps",
    "slippage_budget_t1/t2/t3_bps:t2": "execution.slippage_budget_t2_bps",
    "t3_bps": "execution.slippage_budget_t3_bps",
    "_t2_bps": "execution.slippage_budget_t2_bps",
    "_t3_bps": "execution.slippage_budget_t3_bps",
    "high_volatility:lookback": "strategy.high_volatility.lookback_minutes",
    "high_volatility:threshold": "strategy.high_volatility.move_threshold_pct",
    "high_volatility:factor": "strategy.high_volatility.size_reduction_factor",
    "trim_target_buffer_pct:tolerance": "portfolio_management.trim_tolerance_pct",
    "min_value": "portfolio_management.trim_min_value_usd",
    "max_liquidations": "portfolio_management.trim_max_liquidations",
    "slippage_buffer_pct": "portfolio_management.trim_slippage_buffer_pct",
    "interval_hours": "state.backup_interval_hours",
    "monitoring.healthcheck_enabled/port:port": "monitoring.healthcheck_port",
    "monitoring.metrics_enabled/port:port": "monitoring.metrics_port",
    "monitoring.prometheus_enabled/port:port": "monitoring.prometheus_port",
    "governance.kill_switch_enabled/file:file": "governance.kill_switch_file",
    "rate_limits:alert": "rate_limits.alert_threshold",
    "rate_limits:critical": "rate_limits.critical_threshold",
    "min_price_usd": "universe.dynamic_config.min_price_usd",
    "regime_modifiers:tier": "regime_modifiers.chop.tier_1_multiplier",
    "eligible_grace_cycles": "liquidity.eligibility_persistence.eligible_grace_cycles",
    "inclusive_upper": "strategy.canary.conviction_window.inclusive_upper",
    "max_tier_3_symbols": "tiers.tier_3.constraints.max_tier_3_symbols",
    "volume_ratio_1h": "triggers.regime_thresholds.bull.volume_ratio_1h",
    "momentum.trend_threshold_pct": "signals.momentum.trend_threshold_pct",
    "mean_reversion.deviation_threshold_pct": "signals.mean_reversion.deviation_threshold_pct",
    "strategies.rules_engine": "strategies.*.enabled",
    "universe.tiers T1/T2/T3 constraints:volume_spike": "tiers.tier_2.filters.volume_spike",
    "trend_strength": "tiers.tier_2.filters.trend_strength",
    "regime_adjusted": "tiers.tier_2.filters.regime_adjusted",
    "policy.circuit_breakers / circuit_breaker:api_error_threshold": "circuit_breaker.api_error_threshold",
    "api_error_window_minutes": "circuit_breaker.api_error_window_minutes",
    "rate_limit_threshold": "circuit_breaker.rate_limit_threshold",
    "rate_limit_window_minutes": "circuit_breaker.rate_limit_window_minutes",
}
WITHIN = {
    # sections of the index whose keys are named without it
    "…purge_execution": "portfolio_management.purge_execution",
    "policy.latency": "latency",
    "app.logging": "logging",
    "policy.portfolio_management": "portfolio_management",
    "policy.governance": "governance",
    "policy.execution (inert, drop)": "execution",
    "policy.rate_limits": "rate_limits.endpoints",
    "universe.universe.dynamic_config": "universe.dynamic_config",
    "universe.liquidity": "liquidity",
    "signals.signals.* (unwired)": "signals",
    "purge_execution": "portfolio_management.purge_execution",
    "dynamic_config": "universe.dynamic_config",
    "liquidity.eligibility_persistence": "liquidity.eligibility_persistence",
    "optional advisor keys": "ai",
}
WORDS = {
    *("ref", "ours", "default", "active", "second", "section", "incl", "legacy", "keys", "mult", "m", "_SWITCH"),
    *("conservative", "swing_trader", "day_trader"),
    *("major_exchange_listing", "mainnet_launch", "protocol_upgrade"),
}
"""What stands among the keys and is none."""


def rows():
    """Section, the row's own name, and the words in it that may be keys."""
    section = ""
    for line in DOSSIER.read_text().splitlines():
        if heading := re.match(r"## (\d)", line):
            section = heading[1]
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if section not in SECTIONS or not cells or cells[0] in {"Key", "Section", "Risk profile"} or "---" in line:
            continue
        words = re.findall(r"[a-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_<>*]+)*", cells[1] if section == "8" else cells[0])
        yield section, cells[0], [w for w in words if section != "8" or "_" in w]


def there(key):
    """Whether it is a key or section of the schema, or refused with a word, itself or all that is around it."""
    key = key.replace("<r>", "chop")
    parts = key.split(".")
    prefixes = [".".join(parts[: n + 1]) for n in range(len(parts))]
    own = any(f".{known}.".find(f".{key}.") >= 0 for known in KEYS)
    return own or any(word(prefix) for prefix in prefixes) or any(f".{one}.".endswith(f".{key}.") for one in REFUSED)


def accounted(name, one):
    """Whether a word of a row is no key, or one that is accounted for."""
    head = name.split(" ")[0]
    places = [f"{WITHIN[place]}.{one}" for place in (name, head) if place in WITHIN]
    section = re.match(r"[a-z_.]*(?=\.)", name)
    if section and "." not in one:
        places.append(f"{section[0]}.{one}")
    shorts = (f"{name}:{one}", f"{head}:{one}", one)
    spelt = [IN_SHORT[short] for short in shorts if short in IN_SHORT]
    return one in WORDS or any(there(key) for key in (*spelt[:1], *([] if spelt else [one, *places])))


@pytest.mark.req("C1")
def test_every_key_of_the_dossier_is_in_the_schema_or_refused_with_a_word():
    if not DOSSIER.exists():
        pytest.skip("the dossier of configuration keys does not stand beside the repository")
    found = list(rows())
    assert len(found) > 200
    missing = [
        f"{section} {name}: {one}" for section, name, words in found for one in words if not accounted(name, one)
    ]
    assert missing == []


def test_what_a_row_calls_a_key_is_still_said_there():
    if not DOSSIER.exists():
        pytest.skip("the dossier of configuration keys does not stand beside the repository")
    said = {
        short
        for _, name, words in rows()
        for one in words
        for short in (one, f"{name}:{one}", f"{name.split()[0]}:{one}")
    }
    assert set(IN_SHORT) - said == set()


OWN = {
    # keys that the dossier has by what they do, or by another name, or not at all
    "auto_tune.allow_in_live": "never writes files (pipeline §9)",
    "universe.dynamic_config.stable_coins": "",
    "universe.dynamic_config.tier?_*": "dynamic_config",
    "*.tier2": "T2",
    "*.tier3": "T3",
    "*_t1_s": "_t1_s",
    "*_usd_t1": "_t1 100 000",
    "*_usd_t2": "_t2 25 000",
    "*_usd_t3": "_t3 10 000",
    "circuit_breakers.outlier_window_s": "check_price_outliers",
    "circuit_breakers.outlier_min_samples": "check_price_outliers",
    "circuit_breakers.max_move_sigma": "check_price_outliers",
    "exits.check_take_profit": "check_stop_loss/take_profit/max_hold",
    "exits.check_max_hold": "check_stop_loss/take_profit/max_hold",
    "exits.default_max_hold_hours": "",
    "exits.crash_stop_mult": "factors explicit",
    "exits.bull_target_mult": "factors explicit",
    "*.volume_ratio_1h_vs_24h": "volume_ratio_1h",
    "*.bounce_min_pct": "min_bounce_from_low_pct",
    "*.ema_hours": "ema_period_hours",
    "*.max_z_score": "zscore_max",
    "modular.*": "signals.* (modular)",
    "strategies.*.shadow": "",
    "strategies.*.class": "",
    "strategies.*.time_budget_ms": "",
}


def test_every_key_of_the_schema_is_in_the_dossier_or_known_to_be_our_own():
    if not DOSSIER.exists():
        pytest.skip("the dossier of configuration keys does not stand beside the repository")
    text = DOSSIER.read_text()
    assert [row for row in OWN.values() if row not in text] == []
    said = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))
    unsaid = {key for key in KEYS if (last := key.rpartition(".")[2]) not in said and last != "*"}
    used = {row for key in unsaid for row in OWN if fnmatch(key, row)}
    assert {key for key in unsaid if not any(fnmatch(key, row) for row in OWN)} == set()
    assert used == set(OWN)


# --- the tables themselves ----------------------------------------------------------------------------------------

NAMED = {"tiers.*": "tiers.tier_2", "regime.*": "regime.chop", "regime_thresholds.*": "regime_thresholds.chop"}


def spelt(pattern):
    """A key that a pattern means."""
    for star, name in NAMED.items():
        pattern = pattern.replace(star, name)
    return pattern


@pytest.mark.parametrize("pattern", sorted({**RENAMED, **LEFT_OUT}))
def test_a_configuration_that_names_a_key_which_is_not_there_is_told_why(pattern):
    key = spelt(pattern)
    assert word(key).startswith(("here it is ", "left out: ", "deprecated: "))
    sections = key.split(".")[:-1]
    found = [which for which, cls in FILES.items() if refuses(which, key)]
    reachable = word(sections[0]) or word(".".join(sections)) if sections else ""
    assert found or reachable, "named in no file, and nothing around it is refused"


def refuses(which, key):
    """Whether one of the files, with that key in it, is refused with the key's word."""
    checked = check(which, planted(key, 1), file="f", whole=False)
    return any((p.key, p.rule) == (key, word(key)) for p in checked.problems)


def test_what_is_refused_is_no_key_and_stands_in_one_table():
    assert set(KEYS) & set(REFUSED) == set()
    assert len(REFUSED) == len(DEPRECATED) + len(RENAMED) + len(LEFT_OUT)


@pytest.mark.parametrize("where", RENAMED.values(), ids=RENAMED)
def test_where_a_key_went_there_is_one(where):
    named = [one.rstrip(".:,") for one in re.findall(r"[a-z_]+(?:\.[a-z_0-9*]+)+", where) if not one.endswith("yaml")]
    sections = [f".{key}.".replace(".bull.", ".*.").replace(".tier_2.", ".*.") for key in KEYS]
    for one in named:
        assert any(f".{one}." in section for section in sections), one


def test_a_word_is_said_of_a_variable_too():
    with pytest.raises(ConfigError) as caught:
        load(SHIPPED, environ={"TRADER__EXECUTION__TAKER_FALLBACK": "true"})
    assert [p.rule for p in caught.value.problems] == [word("execution.taker_fallback")]
