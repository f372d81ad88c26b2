"""What the shipped files mean to actors, and when two configurations are one."""

import shutil
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from config.load import load
from protocol.policy import FeeSource, Policy
from protocol.strategy import Regime

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return tmp_path / "config"


@pytest.fixture(scope="module")
def policy():
    return load(SHIPPED).policy


def test_limits_have_the_shipped_values(policy):
    risk = policy.risk
    assert (risk.max_total_at_risk_pct, risk.max_position_size_pct) == (25, 3)
    assert (risk.daily_stop_pnl_pct, risk.weekly_stop_pnl_pct, risk.max_drawdown_pct) == (-3, -7, 10)
    assert (risk.spacing_s, risk.symbol_spacing_s, risk.loss_streak_cooldown_s) == (180, 900, 3600)
    cooldowns = (risk.cooldown_fill_s, risk.cooldown_win_s, risk.cooldown_loss_s, risk.cooldown_stop_s)
    assert cooldowns == (1800, 600, 3600, 7200)
    assert (policy.fees.source, policy.fees.maker_fee_bps, policy.fees.taker_fee_bps) == (FeeSource.VENUE, 40, 60)
    assert policy.execution.cancel_retry_backoff_s == (0.25, 0.5, 1.0)
    assert policy.exits.trailing_stop_pct is None
    assert policy.auth.order_token_life_s == 120


def test_tighter_floor_of_tier_and_whole_holds(policy):
    first, second, third = policy.universe.tiers
    assert (first.min_24h_volume_usd, first.max_spread_bps, first.min_depth_usd) == (10_000_000, 20, 100_000)
    assert (second.min_24h_volume_usd, second.max_spread_bps, second.min_depth_usd) == (8_000_000, 35, 25_000)
    assert (third.min_24h_volume_usd, third.products) == (8_000_000, ())


def test_lookups(policy):
    universe, risk = policy.universe, policy.risk
    assert (universe.tier_of("BTC-USD"), universe.tier_of("DOGE-USD"), universe.tier_of("LTC-USD")) == (1, 2, None)
    assert (universe.theme_of("UNI-USD"), universe.theme_of("XRP-USD")) == ("DEFI", "OTHER")
    assert (risk.theme_cap_pct("DEFI"), risk.theme_cap_pct("OTHER"), risk.theme_cap_pct("NEW")) == (5, 10, 10)
    assert len(universe.products) == 14
    assert policy.triggers.threshold(Regime.CHOP).move_15m_pct == 2.0
    assert policy.triggers.threshold(Regime.CRASH) is None
    assert [policy.regime.row(r).max_positions for r in Regime] == [5, 3, 2, 0]
    assert policy.strategy.strategy("rules_engine").max_at_risk_pct == 15
    assert policy.strategy.strategy("hunch") is None


def test_trailing_stop_switched_on_has_its_distance(folder):
    assert load(folder, overrides={"exits.use_trailing_stop": "true"}).policy.exits.trailing_stop_pct == 5


def test_policy_is_immutable_and_survives_the_wire(policy):
    with pytest.raises(AttributeError):
        policy.risk.max_open_positions = 50
    hash(policy)  # nothing mutable anywhere inside
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(policy), type=Policy)
    assert again == policy
    assert isinstance(again.risk.max_position_size_pct, Decimal)


def test_hash_does_not_depend_on_how_things_are_written(folder):
    before = load(folder).policy.config_hash
    assert len(before) == 16
    assert int(before, 16) >= 0
    text = (folder / "policy.yaml").read_text()
    text = text.replace("max_total_at_risk_pct: 25", "max_total_at_risk_pct: 2.50e1 # a note")
    text = text.replace("max_drawdown_pct: 10", "max_drawdown_pct: 10.000")
    risk, governance = text.index("\nrisk:"), text.index("\ngovernance:")
    (folder / "policy.yaml").write_text(text[:risk] + text[governance:] + text[risk:governance] + "\n")
    assert load(folder).policy.config_hash == before


def test_hash_does_not_depend_on_where_a_value_came_from():
    from_profile = load(SHIPPED, profile="paper").policy.config_hash
    assert load(SHIPPED, overrides={"app.mode": "paper"}).policy.config_hash == from_profile
    assert load(SHIPPED, environ={"TRADER__APP__MODE": "PAPER"}).policy.config_hash == from_profile


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app.mode", "PAPER"),
        ("loop.interval.jitter_pct", "11"),
        ("logging.level", "DEBUG"),
        ("risk.max_drawdown_pct", "9.99"),
        ("risk.max_per_theme_pct.OTHER", "9"),
        ("regime.bear.position_size_multiplier", "0.5"),
        ("regime.bull.allowed_signals", "[momentum, price_move]"),
        ("profiles.swing_trader.min_conviction", "0.35"),
        ("tiers.tier_3.symbols", "[LTC-USD]"),
        ("exclusions.never_trade", "[USDT-USD]"),
        ("triggers.regime_thresholds.bull.pct_change_15m", "3.6"),
        ("strategies.rules_engine.risk_budgets.max_at_risk_pct", "14"),
        ("global.max_total_proposals_per_cycle", "9"),
        ("execution.fees", "constants"),
        ("rate_limits.public.burst", "11"),
    ],
)
def test_hash_changes_with_any_value(policy, key, value):
    assert load(SHIPPED, overrides={key: value}).policy.config_hash != policy.config_hash
