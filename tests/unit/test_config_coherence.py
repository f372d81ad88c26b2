"""Rules between keys (configuration.md §7), each broken by the smallest change; and modes against venues."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from config import coherence
from config.load import ConfigError, load
from protocol.policy import Mode
from protocol.strategy import Regime

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return tmp_path / "config"


def change(folder, changes):
    """Sets dotted keys, each named with its file: `policy:risk.max_open_positions`."""
    for name, value in changes.items():
        file, _, key = name.partition(":")
        path = folder / f"{file}.yaml"
        tree = yaml.safe_load(path.read_text())
        node = tree
        *parents, last = key.split(".")
        for part in parents:
            node = node[part]
        node[last] = value
        path.write_text(yaml.safe_dump(tree))


def broken(folder, changes, **options):
    """The keys and rules of what is broken after `changes`."""
    change(folder, changes)
    with pytest.raises(ConfigError) as caught:
        load(folder, **options)
    return {problem.key: problem.rule for problem in caught.value.problems}


BREAKS = [
    (
        {"policy:risk.allow_pyramiding": True},
        "risk.allow_pyramiding, position_sizing.allow_pyramiding",
        "rule 2",
    ),
    (
        {"policy:position_sizing.allow_pyramiding": True},
        "risk.allow_pyramiding, position_sizing.allow_pyramiding",
        "rule 2",
    ),
    (
        {
            "policy:risk.allow_pyramiding": True,
            "policy:position_sizing.allow_pyramiding": True,
            "policy:risk.max_adds_per_asset_per_day": 0,
        },
        "risk.allow_pyramiding, risk.max_adds_per_asset_per_day",
        "rule 2",
    ),
    (
        {"policy:position_sizing.min_order_usd": 10001},
        "position_sizing.min_order_usd, position_sizing.max_order_usd",
        "rule 9",
    ),
    (
        {"policy:position_sizing.max_order_usd": 9, "policy:position_sizing.min_order_usd": 5},
        "risk.min_trade_notional_usd, position_sizing.max_order_usd",
        "rule 9",
    ),
    ({"policy:risk.take_profit_pct": 10}, "risk.take_profit_pct, risk.stop_loss_pct", "rule 3"),
    ({"policy:risk.max_position_size_pct": 4.1}, "risk.max_position_size_pct, risk.max_per_asset_pct", "rule 4"),
    ({"policy:risk.max_per_theme_pct.MEME": 3.9}, "risk.max_per_asset_pct, risk.max_per_theme_pct.MEME", "rule 4"),
    (
        {"policy:risk.max_total_at_risk_pct": 2.9},
        "risk.max_position_size_pct, risk.max_total_at_risk_pct",
        "rule 4",
    ),
    (
        {"policy:risk.max_open_positions": 9},
        "risk.max_open_positions, risk.max_position_size_pct, risk.max_total_at_risk_pct",
        "rule 5",
    ),
    ({"policy:risk.max_total_at_risk_pct": 15}, "risk.max_per_theme_pct, risk.max_total_at_risk_pct", "rule 6"),
    ({"policy:risk.weekly_stop_pnl_pct": -3}, "risk.daily_stop_pnl_pct, risk.weekly_stop_pnl_pct", "rule 7"),
    ({"policy:risk.dust_threshold_usd": 10.01}, "risk.dust_threshold_usd, risk.min_trade_notional_usd", "rule 9"),
    ({"policy:risk.max_trades_per_day": 119}, "risk.max_trades_per_day, risk.max_trades_per_hour", "rule 11"),
    ({"policy:risk.max_new_trades_per_hour": 6}, "risk.max_new_trades_per_hour, risk.max_trades_per_hour", "rule 12"),
    (
        {"policy:risk.min_seconds_between_trades": 1801},
        "risk.min_seconds_between_trades, risk.per_symbol_cooldown_minutes",
        "rule 13",
    ),
    ({"policy:execution.maker_fee_bps": 61}, "execution.maker_fee_bps, execution.taker_fee_bps", "rule 14"),
    (
        {"policy:execution.maker_retry_min_ttl_sec": 21},
        "execution.maker_retry_min_ttl_sec, execution.maker_first_min_ttl_sec",
        "rule 15",
    ),
    (
        {"policy:execution.maker_first_min_ttl_sec": 31},
        "execution.maker_first_min_ttl_sec, execution.maker_max_ttl_sec",
        "rule 15",
    ),
    (
        {"policy:profiles.swing_trader.tier_size_pct.tier2": 3.1},
        "profiles.swing_trader.tier_size_pct.tier2, profiles.swing_trader.tier_max_pct.tier2",
        "rule 17",
    ),
    (
        {"policy:exits.use_trailing_stop": True, "policy:exits.trailing_stop_pct": 0},
        "exits.use_trailing_stop, exits.trailing_stop_pct",
        "rule 18",
    ),
    ({"policy:exits.trailing_stop_pct": 10.5}, "exits.trailing_stop_pct, risk.stop_loss_pct", "rule 18"),
    ({"policy:risk.max_per_theme_pct.L2": 6}, "risk.max_per_theme_pct.L2", "rule 20"),
    ({"universe:clusters.GAMING": ["AXS-USD"]}, "risk.max_per_theme_pct.GAMING", "rule 20"),
    ({"universe:clusters.LAYER2": []}, "clusters.LAYER2", "rule 20"),
    (
        {"universe:clusters.LAYER2": ["OP-USD", "USDC-USD"]},
        "clusters.LAYER2, exclusions.never_trade",
        "rule 20",
    ),
    ({"universe:clusters.LAYER2": ["OP-USD", "UNI-USD"]}, "clusters.DEFI, clusters.LAYER2", "rule 20"),
    ({"universe:tiers.tier_3.symbols": ["BTC-USD"]}, "tiers.tier_1_core, tiers.tier_3", "rule 21"),
    ({"universe:tiers.tier_3.symbols": ["DAI-USD"]}, "tiers.tier_3.symbols, exclusions.never_trade", "rule 21"),
    ({"universe:universe.min_eligible_assets": 15}, "tiers, universe.min_eligible_assets", "rule 21"),
    ({"universe:universe.max_universe_size": 13}, "tiers, universe.max_universe_size", "rule 21"),
    ({"universe:universe.refresh_interval_hours": 2}, "universe.refresh_interval_hours", "rule 21"),
    (
        {"universe:tiers.tier_1_core.force_eligible_symbols": ["DOGE-USD"]},
        "tiers.tier_1_core.force_eligible_symbols",
        "forces nothing",
    ),
    ({"universe:tiers.tier_1_core.symbols": ["ETH-USD", "SOL-USD"]}, "tiers", "regime is read from BTC-USD"),
    (
        {"universe:eligibility_hysteresis.volume_24h.exit_mult": 1.01},
        "eligibility_hysteresis.volume_24h.exit_mult",
        "leave at the volume",
    ),
    (
        {"universe:regime_modifiers.crash.tier_1_multiplier": 1},
        "regime_modifiers.crash.tier_1_multiplier",
        "a crash allows no entry",
    ),
    (
        {"universe:tiers.tier_2.constraints.max_allocation_pct": 0},
        "tiers.tier_2.constraints.max_allocation_pct",
        "needs an allocation",
    ),
    ({"signals:triggers.min_trigger_score": 0.43}, "triggers.min_trigger_score", "rule 26"),
    ({"signals:triggers.min_trigger_confidence": 0.71}, "triggers.min_trigger_confidence", "rule 26"),
    (
        {"policy:profiles.conservative.min_conviction": 0.52},
        "strategy.min_conviction_to_propose, strategy.conviction_weights",
        "rule 26",
    ),
    ({"policy:regime.crash.max_positions": 1}, "regime.crash", "a crash allows no entry"),
    ({"policy:rate_limits.private.rate": 5.1}, "rate_limits.private.rate", "30 signed requests"),
    ({"policy:staleness.no_change_check_t1_s": 61}, "staleness.no_change_check_t1_s", "tier 1"),
    ({"policy:risk.min_position_size_pct": 3.1}, "risk.min_position_size_pct", "rule 25"),
]


@pytest.mark.req("C1")
@pytest.mark.parametrize(("changes", "key", "rule"), BREAKS)
def test_broken_rule_names_its_keys(folder, changes, key, rule):
    found = broken(folder, changes)
    assert any(name == key or name.startswith(f"{key}.") or key in name.split(", ") for name in found), found
    assert any(rule in text for text in found.values()), found


def test_both_minima_must_be_one(folder):
    with pytest.raises(ConfigError, match="rule 8"):
        load(folder, overrides={"execution.min_notional_usd": "9"})


@pytest.mark.parametrize("at_risk", [50, 51])
def test_over_half_at_risk_warns_and_live_refuses(folder, at_risk):
    change(folder, {"policy:risk.max_total_at_risk_pct": at_risk})
    over = at_risk > 50
    assert [w.key for w in load(folder).warnings] == (["risk.max_total_at_risk_pct"] if over else [])
    live = {"app:app.mode": "LIVE", "app:exchange.read_only": False, "policy:governance.live_trading_enabled": True}
    if over:
        assert "rule 23" in broken(folder, live)["risk.max_total_at_risk_pct"]
    else:
        change(folder, live)
        assert load(folder).policy.mode is Mode.LIVE


@pytest.mark.parametrize(
    ("nav", "refused"),
    [("255", True), ("333", True), ("334", False), ("1000", False), ("10000", False)],
)
def test_account_too_small_for_any_order_is_refused(nav, refused):
    found = coherence.viability(load(SHIPPED).policy, Decimal(nav))
    assert bool(found.problems) is refused
    assert all("rule 25" in str(p) and "risk.min_trade_notional_usd" in p.key for p in found.problems)


def test_small_account_is_told_which_entries_will_be_dropped():
    warned = coherence.viability(load(SHIPPED).policy, Decimal(1000)).warnings
    values = {w.key: w.value for w in warned}
    cell = "strategy.base_position_pct.tier2, regime.bear.position_size_multiplier"
    assert values[cell] == "0.36 % of NAV", "1.0 % x 0.6 x the least confidence 0.6"
    assert not any("tier3" in w.key or "crash" in w.key for w in warned), "empty tiers and regimes of 0 say nothing"
    assert coherence.viability(load(SHIPPED).policy, Decimal(10_000)).warnings == ()


@pytest.mark.req("M1")
@pytest.mark.parametrize(
    ("mode", "venue", "allowed"),
    [
        (Mode.DRY_RUN, "embedded", True),
        (Mode.DRY_RUN, "coinbase", True),
        (Mode.PAPER, "embedded", True),
        (Mode.PAPER, "coinbase", True),
        (Mode.LIVE, "coinbase", True),
        (Mode.LIVE, "embedded", False),
        (Mode.PAPER, "elsewhere", False),
    ],
)
def test_modes_and_venues(mode, venue, allowed):
    refusal = coherence.run_refusal(mode, venue)
    assert (refusal is None) is allowed
    assert allowed or venue in str(refusal)


def test_each_trigger_is_allowed_in_some_regime_and_none_in_a_crash():
    regimes = load(SHIPPED).policy.regime
    allowed = {kind for row in regimes.rows for kind in row.allowed_signals}
    assert allowed == {"price_move", "momentum", "breakout", "volume_spike", "reversal", "mean_reversion"}
    assert regimes.row(Regime.CRASH).allowed_signals == ()
