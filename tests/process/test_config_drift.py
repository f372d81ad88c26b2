"""A change of a running trader's files by hand closes the way to entries, until somebody applies or stops it."""

import shutil

import pytest

from tests.support.installation import ROOT, running, wait_for


def gates(trader):
    return {gate["code"] for gate in trader.view("status")["gates"]}


@pytest.mark.slow
@pytest.mark.req("C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_a_change_by_hand_reduces_a_running_trader_until_somebody_applies_it(tmp_path):
    config, candidate = tmp_path / "config", tmp_path / "candidate"
    for folder in (config, candidate):
        shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    policy = candidate / "policy.yaml"
    policy.write_text(policy.read_text().replace("max_drawdown_pct: 10", "max_drawdown_pct: 9"))
    options = ("--config", str(config))
    with running(tmp_path / "state", "--seed", "5", *options) as trader:
        wait_for("it to be armed", lambda: trader.facts()["armed"], 60.0)
        ran = trader.view("status")["config_hash"]
        assert trader.view("status")["state"] == "active"
        assert trader.verb("config", "apply", str(candidate), *options, within_s=60.0)[0] == 0
        applied = trader.view("status")["config_hash"]
        assert applied != ran

        shutil.copy(ROOT / "config" / "policy.yaml", config / "policy.yaml")
        wait_for("the gate", lambda: "config_drift" in gates(trader), 120.0)
        status = trader.view("status")
        assert (status["state"], status["config_hash"]) == ("reducing", applied)

        assert trader.verb("config", "apply", str(config), *options, within_s=60.0)[0] == 4, "it loosens what runs"
        by_hand = ("--confirm", "it was a mistake")
        assert trader.verb("config", "apply", str(config), *options, *by_hand, within_s=60.0)[0] == 0
        assert trader.view("status")["config_hash"] == ran
        wait_for("entries again", lambda: trader.view("status")["state"] == "active", 60.0)
        assert trader.stop() == 0

    assert trader.verb("config", "apply", str(candidate), *options)[0] == 0
    with running(tmp_path / "state", "--seed", "5", *options) as trader:
        wait_for("it to be armed", lambda: trader.facts()["armed"], 60.0)
        assert trader.view("status")["config_hash"] == applied
        assert "config_drift" not in gates(trader)
        assert trader.stop() == 0
