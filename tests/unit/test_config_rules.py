"""Every rule of configuration.md §7 by what breaks it: the refusal names file, key, value and rule."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from config.check import known_keys
from config.load import ConfigError, load

SHIPPED = Path(__file__).resolve().parents[2] / "config"
GONE = object()
LIVE = {"app:app.mode": "LIVE", "app:exchange.read_only": False, "policy:governance.live_trading_enabled": True}
BOTH_PYRAMIDS = {
    "policy:risk.allow_pyramiding": True,
    "policy:position_sizing.allow_pyramiding": True,
    "policy:position_sizing.max_pyramid_positions": 1,
}
NO_RSI = {"signals:triggers.reversal_confirm.rsi_cross_up_50": False}
PYRAMID_COUNT = "risk.allow_pyramiding, position_sizing.max_pyramid_positions"
POLICY, APP, UNIVERSE, SIGNALS, STRATEGIES = (
    *("policy.yaml", "app.yaml", "universe.yaml", "signals.yaml", "strategies.yaml"),
)
PYRAMIDS = "risk.allow_pyramiding, position_sizing.allow_pyramiding"
SLOTS = "risk.max_open_positions, risk.max_position_size_pct, risk.max_total_at_risk_pct"
BAND = (
    "risk.min_position_size_pct, risk.min_trade_notional_usd, risk.max_position_size_pct, "
    "risk.max_tier_position_pct.tier1, risk.max_per_theme_pct, regime.chop.position_size_multiplier"
)
CONVICTION = "strategy.min_conviction_to_propose, strategy.conviction_weights"
FOUND_COUNTS = ", ".join(f"universe.dynamic_config.tier{tier}_max_symbols" for tier in (1, 2, 3))
NUMBERED = [
    # rule, what is changed, and of the refusal: file, key, value, rule
    (1, {"signals": GONE}, SIGNALS, "(file)", "unreadable", "cannot be read"),
    (1, {"app": "app:\n  mode: [DRY_RUN\n"}, APP, "(syntax)", "unreadable", "flow sequence"),
    (1, {"app": "- a list\n"}, APP, "(root)", "unreadable", "a mapping must stand at the root"),
    (1, {"policy:profiles": GONE}, POLICY, "profiles", "missing", "a required key is missing"),
    (
        1,
        {"policy:risk.max_open_positions": "five"},
        POLICY,
        "risk.max_open_positions",
        "five",
        "must be a whole number",
    ),
    (1, {"policy:risk.max_drawdown_pct": 101}, POLICY, "risk.max_drawdown_pct", "101", "must be > 0 and ≤ 100"),
    (1, {"policy:risk.max_drawdwon_pct": 9}, POLICY, "risk.max_drawdwon_pct", "9", "did you mean max_drawdown_pct?"),
    (1, {"app:app.mode": "LIVEISH"}, APP, "app.mode", "LIVEISH", "must be one of DRY_RUN, PAPER, LIVE"),
    (2, {"policy:risk.allow_pyramiding": True}, POLICY, PYRAMIDS, "true, false", "both switches"),
    (2, {"policy:position_sizing.allow_pyramiding": True}, POLICY, PYRAMIDS, "false, true", "both switches"),
    (
        *(2, {**BOTH_PYRAMIDS, "policy:risk.max_adds_per_asset_per_day": 0}, POLICY),
        *("risk.allow_pyramiding, risk.max_adds_per_asset_per_day", "true, 0", "without an add a day"),
    ),
    (
        *(2, {"policy:position_sizing.max_pyramid_positions": 1}, POLICY, PYRAMID_COUNT, "false, 1"),
        "exactly where pyramiding is allowed",
    ),
    (
        *(2, {**BOTH_PYRAMIDS, "policy:position_sizing.max_pyramid_positions": 0}, POLICY, PYRAMID_COUNT, "true, 0"),
        "exactly where pyramiding is allowed",
    ),
    (3, {"policy:risk.take_profit_pct": 10}, POLICY, "risk.take_profit_pct, risk.stop_loss_pct", "10, 10", "beyond"),
    (3, {"policy:risk.stop_loss_pct": 100}, POLICY, "risk.stop_loss_pct", "100", "out of range"),
    (3, {"policy:risk.stop_loss_pct": -1}, POLICY, "risk.stop_loss_pct", "-1", "out of range"),
    (3, {"policy:risk.take_profit_pct": 0}, POLICY, "risk.take_profit_pct", "0", "out of range"),
    (
        *(3, {"policy:strategy.mean_reversion.take_profit_atr": 1.2}, POLICY),
        *("strategy.mean_reversion.take_profit_atr, strategy.mean_reversion.stop_atr", "1.2, 1.2", "beyond the stop"),
    ),
    (
        *(4, {"policy:risk.max_position_size_pct": 4.1}, POLICY),
        *("risk.max_position_size_pct, risk.max_per_asset_pct", "4.1, 4.0", "fit into its asset's cap"),
    ),
    (
        *(4, {"policy:risk.max_per_theme_pct.MEME": 3.9}, POLICY),
        *("risk.max_per_asset_pct, risk.max_per_theme_pct.MEME", "4.0, 3.9", "fit into its theme"),
    ),
    (
        *(4, {"policy:risk.max_total_at_risk_pct": 2.9}, POLICY),
        *("risk.max_position_size_pct, risk.max_total_at_risk_pct", "3.0, 2.9", "fit into the total cap"),
    ),
    (5, {"policy:risk.max_open_positions": 9}, POLICY, SLOTS, "9, 3.0, 25", "all slots at full size"),
    (
        *(6, {"policy:risk.max_total_at_risk_pct": 15}, POLICY),
        *("risk.max_per_theme_pct, risk.max_total_at_risk_pct", "25, 15", "named theme caps together"),
    ),
    (
        *(7, {"policy:risk.weekly_stop_pnl_pct": -3}, POLICY),
        *("risk.daily_stop_pnl_pct, risk.weekly_stop_pnl_pct", "-3, -3", "before the weekly one"),
    ),
    (
        *(8, {"overrides": {"execution.min_notional_usd": "9"}}, POLICY),
        *("execution.min_notional_usd, risk.min_trade_notional_usd", "9, 10", "one minimum"),
    ),
    (
        *(9, {"policy:position_sizing.min_order_usd": 10001}, POLICY),
        *("position_sizing.min_order_usd, position_sizing.max_order_usd", "10001, 10000", "larger than the largest"),
    ),
    (
        *(9, {"policy:position_sizing.max_order_usd": 9, "policy:position_sizing.min_order_usd": 5}, POLICY),
        *("risk.min_trade_notional_usd, position_sizing.max_order_usd", "10, 9", "larger than the largest"),
    ),
    (
        *(9, {"policy:risk.dust_threshold_usd": 10.01}, POLICY),
        *("risk.dust_threshold_usd, risk.min_trade_notional_usd", "10.01, 10", "count as dust"),
    ),
    (
        *(10, {"policy:execution.hard_max_spread_bps": 1001}, POLICY),
        *("execution.hard_max_spread_bps", "1001", "≤ 1000"),
    ),
    (10, {"universe:liquidity.max_spread_bps": 1001}, UNIVERSE, "liquidity.max_spread_bps", "1001", "≤ 1000"),
    (
        *(11, {"policy:risk.max_trades_per_day": 119}, POLICY),
        *("risk.max_trades_per_day, risk.max_trades_per_hour", "119, 5", "24 hours' worth"),
    ),
    (
        *(12, {"policy:risk.max_new_trades_per_hour": 6}, POLICY),
        *("risk.max_new_trades_per_hour, risk.max_trades_per_hour", "6, 5", "are entries too"),
    ),
    (
        *(13, {"policy:risk.min_seconds_between_trades": 1801}, POLICY),
        *("risk.min_seconds_between_trades, risk.per_symbol_cooldown_minutes", "1801, 1800", "global spacing"),
    ),
    (
        *(14, {"policy:execution.maker_fee_bps": 61}, POLICY),
        *("execution.maker_fee_bps, execution.taker_fee_bps", "61, 60", "never pays more than a taker"),
    ),
    (
        *(15, {"policy:execution.maker_retry_min_ttl_sec": 21}, POLICY),
        *("execution.maker_retry_min_ttl_sec, execution.maker_first_min_ttl_sec", "21, 20", "than the first try"),
    ),
    (
        *(15, {"policy:execution.maker_first_min_ttl_sec": 31}, POLICY),
        *("execution.maker_first_min_ttl_sec, execution.maker_max_ttl_sec", "31, 30", "than the longest life"),
    ),
    *(
        (
            *(16, {f"policy:risk.{key}": 0}, POLICY, f"risk.per_symbol_cooldown_enabled, risk.{key}", "true, 0"),
            "needs its minutes",
        )
        for key in (
            *("per_symbol_cooldown_win_minutes", "per_symbol_cooldown_loss_minutes", "per_symbol_cooldown_after_stop"),
        )
    ),
    (17, {"policy:risk_profile": "brave"}, POLICY, "risk_profile", "brave", "there are conservative, day_trader"),
    (
        *(17, {"policy:profiles.swing_trader.tier_size_pct.tier2": 3.1}, POLICY),
        *("profiles.swing_trader.tier_size_pct.tier2, profiles.swing_trader.tier_max_pct.tier2", "3.1, 3"),
        "fit into its cap",
    ),
    (17, {"profile": "app: {app: {mode: LIVE}}"}, "profiles/mine.yaml", "app.mode", "LIVE", "may never set mode LIVE"),
    (
        *(17, {"profile": "app: {exchange: {read_only: false}}"}, "profiles/mine.yaml"),
        *("exchange.read_only", "false", "read_only false"),
    ),
    (
        *(18, {"policy:exits.use_trailing_stop": True, "policy:exits.trailing_stop_pct": 0}, POLICY),
        *("exits.use_trailing_stop, exits.trailing_stop_pct", "true, 0", "needs a distance"),
    ),
    (
        *(18, {"policy:exits.trailing_stop_pct": 10.5}, POLICY),
        *("exits.trailing_stop_pct, risk.stop_loss_pct", "10.5, 10", "wider than the stop"),
    ),
    (
        *(19, {"policy:risk.max_exposure_pct": 20}, POLICY, "risk.max_exposure_pct", "20"),
        "deprecated: use risk.max_total_at_risk_pct",
    ),
    (
        *(19, {"universe:universe.cache_ttl_seconds": 9}, UNIVERSE, "universe.cache_ttl_seconds", "9"),
        "deprecated: remove it",
    ),
    (
        20,
        {"policy:risk.max_per_theme_pct.L2": 6},
        POLICY,
        "risk.max_per_theme_pct.L2",
        "6",
        "DEFI, LAYER1, LAYER2, MEME",
    ),
    (20, {"universe:clusters.GAMING": ["AXS-USD"]}, POLICY, "risk.max_per_theme_pct.GAMING", "missing", "needs a cap"),
    (20, {"universe:clusters.LAYER2": []}, UNIVERSE, "clusters.LAYER2", "a list of 0", "an empty cluster"),
    (
        *(20, {"universe:clusters.LAYER2": ["OP-USD", "USDC-USD"]}, UNIVERSE),
        *("clusters.LAYER2, exclusions.never_trade", "USDC-USD", "exclusions.never_trade as well"),
    ),
    (
        *(20, {"universe:clusters.LAYER2": ["OP-USD", "UNI-USD"]}, UNIVERSE),
        *("clusters.DEFI, clusters.LAYER2", "UNI-USD", "belongs to one cluster"),
    ),
    (21, {"universe:tiers.tier_3": GONE}, UNIVERSE, "tiers.tier_3", "missing", "a required key is missing"),
    (
        *(21, {"universe:tiers.tier_3.symbols": ["BTC-USD"]}, UNIVERSE),
        *("tiers.tier_1_core, tiers.tier_3", "BTC-USD", "belongs to one tier"),
    ),
    (
        *(21, {"universe:tiers.tier_3.symbols": ["DAI-USD"]}, UNIVERSE),
        *("tiers.tier_3.symbols, exclusions.never_trade", "DAI-USD", "either traded or never"),
    ),
    (
        *(21, {"universe:universe.min_eligible_assets": 15}, UNIVERSE),
        *("tiers, universe.min_eligible_assets", "14, 15", "fewer products than must be eligible"),
    ),
    (
        *(21, {"policy:circuit_breakers.min_eligible_assets": 15}, UNIVERSE),
        *("tiers, circuit_breakers.min_eligible_assets", "14, 15", "fewer products than must be eligible"),
    ),
    (
        *(21, {"universe:universe.max_universe_size": 13}, UNIVERSE),
        *("tiers, universe.max_universe_size", "14, 13", "more products than the universe may"),
    ),
    (
        *(21, {"universe:universe.method": "dynamic_discovery", "universe:universe.max_universe_size": 29}, UNIVERSE),
        *(f"{FOUND_COUNTS}, universe.max_universe_size", "30, 29", "may find more products than the universe may hold"),
    ),
    (
        *(21, {"universe:universe.method": "dynamic_discovery", "universe:universe.min_eligible_assets": 31}, UNIVERSE),
        *(f"{FOUND_COUNTS}, universe.min_eligible_assets", "30, 31", "may find fewer products than must be eligible"),
    ),
    (
        *(21, {"universe:universe.refresh_interval_hours": 2}, UNIVERSE),
        *("universe.refresh_interval_hours", "2", "hourly, daily or weekly"),
    ),
    (22, {"policy:circuit_breakers": GONE}, POLICY, "circuit_breakers", "missing", "a required key is missing"),
    (22, {"policy:staleness": GONE}, POLICY, "staleness", "missing", "a required key is missing"),
    *(
        (22, {f"policy:staleness.{key}": 300.1}, POLICY, f"staleness.{key}", "300.1", "≤ 300")
        for key in (
            *("quote_age_s", "candle_age_s", "heartbeat_age_s", "transport_lag_s", "no_change_check_s"),
            "no_change_check_t1_s",
        )
    ),
    (
        *(23, {**LIVE, "policy:risk.max_total_at_risk_pct": 51}, POLICY),
        *("risk.max_total_at_risk_pct", "51", "LIVE refuses over 50 %"),
    ),
    (24, {"app:app.api_secret": "abc"}, APP, "app.api_secret", "(hidden)", "a literal secret"),
    (
        *(24, {"policy:risk.managed_position_tag": "organizations/1c9a/apiKeys/77aa"}, POLICY),
        *("(text)", "(hidden)", "a literal secret"),
    ),
    (25, {"policy:risk.min_position_size_pct": 3.1}, POLICY, BAND, "3.10 % of NAV", "leave 3 % of NAV"),
    (
        *(26, {"policy:strategy.canary.window": 0.41}, POLICY),
        *("strategy.canary.window, strategy.min_conviction_to_propose", "0.41, 0.4", "must not begin below zero"),
    ),
    (
        *(26, {"signals:triggers.min_trigger_score": 0.43}, SIGNALS, "triggers.min_trigger_score", "0.43"),
        "in bear price_move reaches only 0.42",
    ),
    (
        *(26, {"signals:triggers.min_trigger_confidence": 0.71}, SIGNALS, "triggers.min_trigger_confidence", "0.71"),
        "in bear price_move reaches only 0.7,",
    ),
    (
        *(26, {"signals:triggers.min_trigger_score": 0.3}, SIGNALS, "triggers.min_trigger_score", "0.3"),
        "in chop reversal reaches only 0.25",
    ),
    (
        *(26, {"policy:regime.chop.signal_confidence_boost": -0.5}, SIGNALS),
        *("triggers.min_trigger_confidence", "0.5", "in chop breakout reaches only 0.3"),
    ),
    (
        *(26, {"policy:regime.bear.signal_confidence_boost": -1}, POLICY),
        *(CONVICTION, "0.4", "in bear price_move reaches only 0.3"),
    ),
    (
        *(26, {"policy:triggers.min_score": 0.3}, POLICY, "triggers.min_score", "0.3"),
        "in chop reversal reaches only 0.25",
    ),
    (
        *(26, {"signals:triggers.reversal_confirm.higher_low_vs_prev": False, **NO_RSI}, POLICY),
        *("strategy.reversal_confirmation.min_required", "3", "only 2 signs are looked at"),
    ),
    (26, {"policy:profiles.conservative.min_conviction": 0.52}, POLICY, CONVICTION, "0.52", "reaches only 0.51"),
    (
        *(26, {"policy:strategy.min_conviction_by_regime": {"bear": 0.52}}, POLICY),
        *("strategy.min_conviction_by_regime.bear", "0.52", "reaches only 0.51"),
    ),
]

DYNAMIC = {"universe:universe.method": "dynamic_discovery"}
FINDS = "universe.dynamic_config"

OURS = [
    (
        *({"policy:rate_limits.kill_sweep.rate": 4.9}, POLICY, "rate_limits.kill_sweep.rate", "4.9"),
        "a kill needs at least 5",
    ),
    (
        *({"policy:rate_limits.kill_sweep.burst": 4}, POLICY, "rate_limits.kill_sweep.burst", "4"),
        "a kill needs at least 5",
    ),
    (
        *({"signals:triggers.trend_filter.min_slope_by_regime": {"crash": 1}}, SIGNALS),
        *("triggers.trend_filter.min_slope_by_regime.crash", "1", "there are bull, chop, bear"),
    ),
    # what is changed, and of the refusal: file, key, value, rule
    (
        *({"universe:tiers.tier_1_core.force_eligible_symbols": ["DOGE-USD"]}, UNIVERSE),
        *("tiers.tier_1_core.force_eligible_symbols", "DOGE-USD", "forces nothing"),
    ),
    (
        *({"universe:tiers.tier_1_core.symbols": ["ETH-USD", "SOL-USD"]}, UNIVERSE),
        *("tiers", "missing", "the regime is read from BTC-USD"),
    ),
    (
        *({"universe:eligibility_hysteresis.volume_24h.exit_mult": 1.01}, UNIVERSE),
        "eligibility_hysteresis.volume_24h.exit_mult, eligibility_hysteresis.volume_24h.enter_mult",
        *("1.01, 1", "leave at the volume that lets it in"),
    ),
    (
        *({"universe:regime_modifiers.crash.tier_1_multiplier": 1}, UNIVERSE),
        *("regime_modifiers.crash.tier_1_multiplier", "1", "a crash allows no entry"),
    ),
    (
        *({"universe:tiers.tier_2.constraints.max_allocation_pct": 0}, UNIVERSE),
        *("tiers.tier_2.constraints.max_allocation_pct", "0", "needs an allocation"),
    ),
    (
        *({**DYNAMIC, f"universe:{FINDS}.tier2_min_volume_usd": 90_000_000}, UNIVERSE),
        f"{FINDS}.tier1_min_volume_usd, {FINDS}.tier2_min_volume_usd",
        *("80000000, 90000000", "must not ask for less volume"),
    ),
    (
        *({**DYNAMIC, f"universe:{FINDS}.tier2_min_volume_usd": 7_000_000}, UNIVERSE),
        f"{FINDS}.tier2_min_volume_usd, tiers.tier_2.constraints.min_24h_volume_usd, liquidity.min_24h_volume_usd",
        *("7000000, 8000000", "could never be eligible"),
    ),
    (
        *({**DYNAMIC, "universe:tiers.tier_2.constraints.max_allocation_pct": 0}, UNIVERSE),
        *("tiers.tier_2.constraints.max_allocation_pct", "0", "needs an allocation"),
    ),
    (
        *({"policy:regime.crash.max_positions": 1}, POLICY),
        "regime.crash.position_size_multiplier, regime.crash.max_positions, regime.crash.allowed_signals",
        *("0, 1, none", "a crash allows no entry"),
    ),
    (
        *({"policy:rate_limits.private.rate": 5.1}, POLICY),
        "rate_limits.private.rate, rate_limits.exit_cancel.rate, rate_limits.kill_sweep.rate",
        *("30.1 together", "30 signed requests"),
    ),
    (
        *({"policy:staleness.no_change_check_t1_s": 61}, POLICY),
        *("staleness.no_change_check_t1_s, staleness.no_change_check_s", "61, 60", "tier 1"),
    ),
    (
        *({"policy:strategy.min_conviction_by_regime": {"crash": 0.5}}, POLICY),
        *("strategy.min_conviction_by_regime.crash", "0.5", "there are bull, chop, bear"),
    ),
    (
        *({"policy:strategy.high_volatility.lookback_minutes": 50}, POLICY),
        *("strategy.high_volatility.lookback_minutes", "50", "candles of 15 minutes"),
    ),
    (
        *(
            {"strategies:strategies.mine": {"risk_budgets": {"max_at_risk_pct": 5, "max_trades_per_cycle": 1}}},
            STRATEGIES,
        ),
        *("strategies.mine.class", "missing", "name the class of yours"),
    ),
    ({**LIVE, "app:exchange.read_only": True}, APP, "app.mode, exchange.read_only", "LIVE, true", "read_only: false"),
    (
        *({**LIVE, "policy:governance.live_trading_enabled": False}, POLICY),
        *("governance.live_trading_enabled", "false", "live_trading_enabled: true"),
    ),
]

NOT_YET = {
    # parts of rules that speak of keys which nothing reads, so that the schema has none of them
    (10, "max_slippage_bps"): "no purchase is judged by the slippage it expects",
    (27, "slippage_budget_t1_bps"): "nothing budgets fee and slippage of a purchase",
    (27, "taker_fallback"): "no purchase is promoted to taker",
}


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "c", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def refused(folder, changes):
    """What is wrong after `changes`: dotted keys after their file; a whole file's text; a profile; overrides."""
    options = {}
    for name, value in changes.items():
        which, _, key = name.partition(":")
        if name == "overrides":
            options["overrides"] = value
        elif name == "profile":
            (folder / "profiles" / "mine.yaml").write_text(value)
            options["profile"] = "mine"
        elif key:
            put(folder / f"{which}.yaml", key.split("."), value)
        elif value is GONE:
            (folder / f"{which}.yaml").unlink()
        else:
            (folder / f"{which}.yaml").write_text(value)
    with pytest.raises(ConfigError) as caught:
        load(folder, **options)
    return caught.value.problems


def put(path, keys, value):
    tree = yaml.safe_load(path.read_text())
    node = tree
    for key in keys[:-1]:
        node = node[key]
    if value is GONE:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    path.write_text(yaml.safe_dump(tree))


def rules(problems, file, key, value, rule):
    """The rules that are said of exactly this file, key and value, with these words in them."""
    found = [p.rule for p in problems if (p.file, p.key, p.value) == (file, key, value) and rule in p.rule]
    assert found, "\n".join(map(str, problems))
    return found


@pytest.mark.req("C1")
@pytest.mark.parametrize(("number", "changes", "refusal"), [(n, changes, told) for n, changes, *told in NUMBERED])
def test_broken_rule_is_refused_by_file_key_value_and_rule(folder, number, changes, refusal):
    found = rules(refused(folder, changes), *refusal)
    assert {int(n) for text in found for n in re.findall(r"^rule (\d+):", text)} <= {number}


@pytest.mark.req("C1")
@pytest.mark.parametrize(("changes", "refusal"), [(changes, told) for changes, *told in OURS])
def test_broken_rule_of_our_own_is_refused_by_file_key_value_and_rule(folder, changes, refusal):
    assert rules(refused(folder, changes), *refusal)


def test_every_rule_has_a_row_or_a_reason():
    assert {row[0] for row in NUMBERED} | {number for number, _ in NOT_YET} == set(range(1, 28))


@pytest.mark.parametrize(("number", "name"), NOT_YET, ids=str)
def test_a_key_that_enters_the_schema_needs_its_rule(number, name):
    assert [key for key in known_keys() if name in re.split(r"[.:]", key)] == [], f"rule {number} has to know it now"


def test_all_that_is_broken_is_said_at_once(folder):
    changes = {"policy:risk.max_drawdown_pct": 101, "policy:risk.weekly_stop_pnl_pct": -2, "universe:clusters.MEME": []}
    assert [problem.key for problem in refused(folder, changes)] == [
        *("risk.max_drawdown_pct", "risk.daily_stop_pnl_pct, risk.weekly_stop_pnl_pct", "clusters.MEME"),
    ]
