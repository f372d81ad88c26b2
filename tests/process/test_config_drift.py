"""The configuration of a running trader: not exchanged under it, and a change by hand closes the way to entries."""

import shutil

import pytest

from tests.support.installation import ROOT, running, wait_for


def gates(trader):
    return {gate["code"] for gate in trader.view("status")["gates"]}


@pytest.mark.slow
@pytest.mark.req("C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_a_change_under_a_running_trader_reduces_it_until_it_is_started_anew(tmp_path):
    config, candidate = tmp_path / "config", tmp_path / "candidate"
    for folder in (config, candidate):
        shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    policy = candidate / "policy.yaml"
    policy.write_text(policy.read_text().replace("max_drawdown_pct: 10", "max_drawdown_pct: 9"))
    options = ("--config", str(config))
    with running(tmp_path / "state", "--seed", "5", *options) as trader:
        wait_for("it to be armed", lambda: trader.facts()["armed"], 60.0)
        ran = trader.view("status")["config_hash"]
        assert trader.verb("config", "apply", str(candidate), *options)[0] == 4
        assert trader.view("status")["state"] == "active"

        shutil.copy(policy, config / "policy.yaml")
        wait_for("the gate", lambda: "config_drift" in gates(trader), 120.0)
        status = trader.view("status")
        assert (status["state"], status["config_hash"]) == ("reducing", ran)
        shutil.copy(ROOT / "config" / "policy.yaml", config / "policy.yaml")
        assert trader.stop() == 0

    assert trader.verb("config", "apply", str(candidate), *options)[0] == 0
    with running(tmp_path / "state", "--seed", "5", *options) as trader:
        wait_for("it to be armed", lambda: trader.facts()["armed"], 60.0)
        assert trader.view("status")["config_hash"] != ran
        assert "config_drift" not in gates(trader)
        assert trader.stop() == 0
