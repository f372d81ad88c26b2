"""Rules between keys that ask for more than one look, and modes against venues; the others: `test_config_rules.py`."""

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
