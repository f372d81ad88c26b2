"""A configuration that is exchanged under a trading installation, for real: accepted, vetoed, taken back, disturbed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.installation import ROOT, running, wait_for

STAYS = ("pid", "watchdog_pid", "venue_pid")
NAMES = ("app.yaml", "policy.yaml", "universe.yaml", "signals.yaml", "strategies.yaml")
TIGHT = ("policy.yaml", "max_drawdown_pct: 10", "max_drawdown_pct: 9")
LOOSE = ("policy.yaml", "max_drawdown_pct: 10", "max_drawdown_pct: 11")
SWEEP = ("policy.yaml", "kill_sweep: { rate: 15, burst: 20 }", "kill_sweep: { rate: 14, burst: 20 }")
TOKEN = ("app.yaml", "order_token_life_s: 120", "order_token_life_s: 100")


@pytest.fixture
def folders(tmp_path):
    """The configuration in use and a candidate, alike."""
    for name in ("config", "candidate"):
        shutil.copytree(ROOT / "config", tmp_path / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return tmp_path


def swap(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def without(folder, product):
    """The candidate feeds that product no more."""
    path = folder / "universe.yaml"
    kept = [line for line in path.read_text().splitlines() if line.strip() != f"- {product}"]
    path.write_text(
        "\n".join(kept).replace(f"symbols: [{product}, ", "symbols: [").replace(f", {product}]", "]") + "\n"
    )


def files(folder):
    return {name: (folder / name).read_bytes() for name in NAMES}


def config(trader, folders, *arguments):
    """A `config` verb with JSON: exit code and document, None where there is none."""
    code, text = trader.verb("config", *arguments, "--json", "--config", str(folders / "config"), within_s=60.0)
    return code, json.loads(text) if text else None


def facts_when_armed(trader):
    return wait_for("it to be armed", lambda: (facts := trader.facts())["armed"] and facts, 30.0)


def held(trader):
    return {position["product_id"] for position in trader.view("positions")}


def journalled(trader, what):
    """Every entry of a kind, oldest first."""
    return [row["body"] for row in trader.view("tail", "-n", "20000") if row["what"] == what]


def root_events(trader):
    return [json.loads(line)["event"] for line in (trader.state / "logs" / "root.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.req("C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_a_configuration_comes_into_force_while_it_trades_and_is_taken_back(folders):
    swap(folders / "candidate", *TIGHT)
    before = files(folders / "config")
    with running(folders / "state", "--seed", "5", "--config", str(folders / "config")) as trader:
        wait_for("a position", lambda: held(trader), 60.0)
        trader.load(2)
        was, ran, had = facts_when_armed(trader), trader.view("status")["config_hash"], held(trader)
        resting = {order["client_order_id"] for order in trader.resting()}

        code, applied = config(trader, folders, "apply", str(folders / "candidate"))
        assert code == 0
        status, now = trader.view("status"), facts_when_armed(trader)
        assert status["config_hash"] == applied["running"] != ran
        assert files(folders / "config") == files(folders / "candidate")
        assert [now[name] for name in STAYS] == [was[name] for name in STAYS]
        assert (now["desk_pid"] != was["desk_pid"], now["alpha_pid"] != was["alpha_pid"]) == (True, True)
        assert resting
        assert resting.isdisjoint(order["client_order_id"] for order in trader.resting())
        assert had <= held(trader)
        assert status["state"] == "active"
        trader.load(1)

        code, back = config(trader, folders, "rollback")
        assert (code, trader.view("status")["config_hash"]) == (4, applied["running"]), "it loosens"
        code, back = config(trader, folders, "rollback", "--confirm", "too tight")
        assert (code, back["running"], back["version"]) == (0, ran, 3)
        assert files(folders / "config") == before
        trader.load(1)

        assert [fact["config_hash"] for fact in journalled(trader, "control.config_followed")] == [
            ran,
            applied["running"],
            ran,
        ]
        first, second = journalled(trader, "control.config_taken_up")
        assert (first["version"], first["before"], first["after"]) == (2, ran, applied["running"])
        assert first["risk"] == ["max drawdown: 10 % -> 9 %"]
        assert (second["said"], bool(second["by"])) == ("too tight", True)
        assert trader.stop() == 0
        assert "config_drift" not in root_events(trader)


@pytest.mark.slow
@pytest.mark.req("C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_what_the_trader_cannot_go_on_with_is_vetoed_and_nothing_moves(folders):
    before = files(folders / "config")
    with running(folders / "state", "--seed", "5", "--config", str(folders / "config")) as trader:
        product = min(wait_for("a position", lambda: held(trader), 60.0))
        was, ran = facts_when_armed(trader), trader.view("status")["config_hash"]

        swap(folders / "candidate", *LOOSE)
        assert config(trader, folders, "apply", str(folders / "candidate"))[0] == 4, "nobody confirmed it"
        without(folders / "candidate", product)
        swap(folders / "candidate", *TOKEN)
        swap(folders / "candidate", *SWEEP)
        code, said = config(trader, folders, "apply", str(folders / "candidate"), "--confirm", "a trial")
        reasons = [f"{veto['actor']}: {veto['reason']}" for veto in said["vetoes"]]
        assert code == 4
        assert any(reason.startswith(f"portfolio: {product}") for reason in reasons)
        assert any(reason.startswith("root: app.auth.order_token_life_s") for reason in reasons)
        assert any(reason.startswith("root: policy.rate_limits.kill_sweep") for reason in reasons)
        command = Path(f"/proc/{was['watchdog_pid']}/cmdline").read_text().split("\0")
        assert command[command.index("--rate") :][:4] == ["--rate", "15.0", "--burst", "20"]

        assert files(folders / "config") == before
        assert not list((folders / "state" / "config").glob("0*"))
        status, now = trader.view("status"), trader.facts()
        assert (status["config_hash"], status["armed"]) == (ran, True)
        assert now["desk_pid"] == was["desk_pid"]
        assert product in held(trader)
        assert trader.stop() == 0


@pytest.mark.slow
@pytest.mark.req("C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_a_desk_that_dies_over_it_and_one_that_is_killed_take_it_up_all_the_same(folders):
    candidate, options = str(folders / "candidate"), ("--config", str(folders / "config"))
    swap(folders / "candidate", *TIGHT)
    with running(folders / "state", "--seed", "5", *options) as trader:
        facts = facts_when_armed(trader)
        before, ran = files(folders / "config"), trader.view("status")["config_hash"]
        command = [
            sys.executable,
            "-m",
            "ops.cli",
            "config",
            "apply",
            candidate,
            "--state",
            str(trader.state),
            *options,
        ]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as verb:
            wait_for("the exchange", lambda: files(folders / "config") != before, 30.0)
            with contextlib.suppress(ProcessLookupError):
                os.kill(facts["desk_pid"], signal.SIGKILL)
            assert verb.wait(60.0) == 0
        applied = trader.view("status")
        assert applied["config_hash"] != ran
        assert applied["armed"]

        killed = facts_when_armed(trader)["desk_pid"]
        trader.verb("kill", "--reason", "a trial")
        wait_for("one that knows the latch", lambda: trader.facts()["desk_pid"] not in {None, killed}, 30.0)
        wait_for("its status", lambda: trader.verb("status")[0] == 0, 30.0)
        wait_for("the kill", lambda: trader.view("status")["state"] == "killed", 30.0)
        code, document = config(trader, folders, "rollback", "--confirm", "under a kill")
        assert code == 0, document
        status = trader.view("status")
        assert (status["config_hash"], status["state"]) == (ran, "killed")
        assert trader.verb("rearm", "--confirm", "over")[0] == 0
        trader.armed_again(facts["desk_pid"], 30.0)
        assert wait_for("its status", lambda: trader.view("status"), 30.0)["config_hash"] == ran
        assert trader.stop() == 0
        assert "config_drift" not in root_events(trader)
