"""Users' own strategies in a running installation: one never ends and costs only itself, one decides in the shadow."""

import shutil
import time
from pathlib import Path

import pytest

from tests.support.installation import ROOT, Installation, running, wait_for

LOOPS = {
    "in Python": "        while True:\n            continue\n",
    "inside one call": "        return max(repeat(1))\n",
}
ENTRY = """  endless:
    class: Endless
    enabled: true
    risk_budgets: {max_at_risk_pct: 5, max_trades_per_cycle: 1}
"""


EXAMPLE = """  dip_buyer:
    class: ExampleStrategy
    shadow: true
    parameters: {dip_pct: 3}
    risk_budgets: {max_at_risk_pct: 5, max_trades_per_cycle: 1}
"""


def installed(folder: Path, entry: str, name: str, source: str) -> Path:
    """The shipped configuration and a strategy of a user's own in its place; returns the configuration's folder."""
    config = folder / "config"
    shutil.copytree(ROOT / "config", config, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = config / "strategies.yaml"
    file.write_text(file.read_text().replace("strategies:\n", f"strategies:\n{entry}", 1))
    own = folder / "state" / "strategies"
    own.mkdir(parents=True, mode=0o700)
    (own / f"{name}.py").write_text(source)
    return config


def row(trader: Installation, name: str) -> dict[str, object]:
    rows = {row["name"]: row for row in trader.view("strategy", "list")["strategies"]}
    return rows.get(name, {})


@pytest.mark.slow
@pytest.mark.req("STR1", "STR4")
@pytest.mark.timeout(180)
@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_an_endless_strategy_is_off_and_the_others_trade_on(tmp_path, loop):
    source = f"from itertools import repeat\n\n\nclass Endless:\n    def generate_proposals(self, context):\n{loop}"
    config = installed(tmp_path, ENTRY, "endless", source)
    with running(tmp_path / "state", "--seed", "3", "--config", str(config)) as trader:
        alpha, desk = trader.facts()["alpha_pid"], trader.facts()["desk_pid"]
        wait_for("another process for strategies", lambda: trader.facts()["alpha_pid"] not in {alpha, None}, 60.0)
        away = time.monotonic()
        wait_for("it to be switched off", lambda: row(trader, "endless").get("state") == "off", 30.0)
        wait_for("the others to be asked again", lambda: row(trader, "rules_engine").get("last"), 30.0)
        print(f"the others had run {time.monotonic() - away:.2f} s after the new process began")
        assert str(row(trader, "endless")["reason"]).startswith("over_time: ")
        second = trader.facts()["alpha_pid"]
        wait_for("an order of the others", trader.places, 60.0)
        facts = trader.facts()
        assert (facts["desk_pid"], facts["alpha_pid"]) == (desk, second)
        assert trader.stop() == 0


@pytest.mark.slow
@pytest.mark.req("STR2")
@pytest.mark.timeout(180)
@pytest.mark.xdist_group("processes")
def test_the_worked_example_decides_in_the_shadow_and_is_switched_over_a_restart(tmp_path):
    example = (ROOT / "actors" / "strategy" / "library" / "example.py").read_text()
    config = installed(tmp_path, EXAMPLE, "dip_buyer", example)
    options = ("--seed", "3", "--config", str(config))
    with running(tmp_path / "state", *options) as trader:
        found = wait_for("a cycle in the shadow", lambda: row(trader, "dip_buyer").get("shadow"), 60.0)
        assert found["cycles"] >= 1
        assert row(trader, "dip_buyer")["state"] == "shadow"
        assert trader.verb("strategy", "report")[0] == 0
        assert trader.verb("strategy", "disable", "nobody")[0] == 2
        assert trader.verb("strategy", "disable", "dip_buyer")[0] == 0
        assert row(trader, "dip_buyer")["state"] == "off"
        assert trader.stop() == 0
    with running(tmp_path / "state", *options) as trader:
        again = wait_for("the board", lambda: row(trader, "dip_buyer"), 60.0)
        assert (again["state"], again["switched"]["on"]) == ("off", False)
        assert again["shadow"]["cycles"] >= found["cycles"]
        assert trader.stop() == 0
