"""What may trade: mode, the switches of the files, who sets them, and the venue (requirements.md M1).

Kill switch, credentials and clock are gates of a running desk: `test_risk_breakers.py`.
"""

import itertools
import os
import shutil
from pathlib import Path

import pytest
import yaml

import ops.cli
import supervisor
from actors.risk.actor import limits
from config.load import ConfigError, load
from protocol.policy import Mode

SHIPPED = Path(__file__).resolve().parents[2] / "config"
MODES = ("DRY_RUN", "PAPER", "LIVE", None)
SWITCHES = (True, False, None)
"""None: the key is missing."""
OPENED = {"app:app.mode": "LIVE", "app:exchange.read_only": False, "policy:governance.live_trading_enabled": True}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("TRADER__")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def put(folder, changes):
    """Writes keys into the files; None takes one out."""
    for place, value in changes.items():
        which, _, key = place.partition(":")
        section, name = key.split(".")
        path = folder / f"{which}.yaml"
        tree = yaml.safe_load(path.read_text())
        tree[section].pop(name, None)
        tree[section] |= {} if value is None else {name: value}
        path.write_text(yaml.safe_dump(tree))


@pytest.mark.req("M1")
@pytest.mark.parametrize(("mode", "read_only", "enabled"), list(itertools.product(MODES, SWITCHES, SWITCHES)))
def test_only_three_words_in_the_files_together_open_the_way_to_real_orders(folder, mode, read_only, enabled):
    put(folder, dict(zip(OPENED, (mode, read_only, enabled), strict=True)))
    closed = {"read_only": read_only is not False, "live_trading_enabled": enabled is not True}
    if mode == "LIVE" and any(closed.values()):
        with pytest.raises(ConfigError) as refused:
            load(folder)
        named = {key.rpartition(".")[2] for problem in refused.value.problems for key in problem.key.split(", ")}
        assert named - {"mode"} == {key for key, is_closed in closed.items() if is_closed}
        return
    policy = load(folder).policy
    assert policy.mode is Mode(mode or "DRY_RUN")
    assert policy.read_only is (mode != "LIVE")
    assert policy.live_trading_enabled is (enabled is True)


@pytest.mark.req("M1")
def test_a_run_that_is_under_way_may_lose_the_word_of_governance_and_then_buys_no_more(folder):
    put(folder, {**OPENED, "policy:governance.live_trading_enabled": False})
    with pytest.raises(ConfigError):
        load(folder)
    assert not limits(load(folder, under_way=True).policy).live_enabled
    put(folder, OPENED)
    assert limits(load(folder, under_way=True).policy).live_enabled
    put(folder, {"app:exchange.read_only": True})
    with pytest.raises(ConfigError):
        load(folder, under_way=True)


LAYERS = {
    "variable": lambda place, value: {"environ": {f"TRADER__{spelt(place)}": value}},
    "variable with its file": lambda place, value: {
        "environ": {f"TRADER__{place.partition(':')[0].upper()}__{spelt(place)}": value}
    },
    "profile": lambda place, value: {"profile": (place, value)},
}


def spelt(place):
    return place.partition(":")[2].upper().replace(".", "__")


@pytest.mark.req("M1")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("place", OPENED)
@pytest.mark.parametrize("files", [{}, OPENED], ids=["closed", "open"])
def test_no_layer_above_the_files_opens_it(folder, layer, place, files):
    put(folder, files)
    asked = LAYERS[layer](place, str(OPENED[place]).lower())
    if "profile" in asked:
        which, _, key = place.partition(":")
        section, name = key.split(".")
        (folder / "profiles" / "mine.yaml").write_text(f"{which}: {{{section}: {{{name}: {asked['profile'][1]}}}}}")
        asked = {"profile": "mine"}
    with pytest.raises(ConfigError) as refused:
        load(folder, **asked)
    ours = [p for p in refused.value.problems if p.rule.startswith("rule 17")]
    assert [p.key for p in ours] == [place.partition(":")[2]]
    assert ours[0].file in {"environment", "profiles/mine.yaml"}


@pytest.mark.req("M1")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADER__APP__MODE", "DRY_RUN"),
        ("TRADER__EXCHANGE__READ_ONLY", "true"),
        ("TRADER__GOVERNANCE__LIVE_TRADING_ENABLED", "false"),
    ],
)
def test_a_variable_may_close_it(folder, name, value):
    if name == "TRADER__APP__MODE":
        put(folder, OPENED)
        assert load(folder, environ={name: value}).policy.read_only
    else:
        put(folder, {**OPENED, "app:app.mode": "PAPER"})
        assert load(folder, environ={name: value}).applied == (name,)
        with pytest.raises(ConfigError):
            load(folder, environ={name: value}, overrides={"app.mode": "LIVE"})


# ---- the verb


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    """Runs `run …`; returns the exit code, what was said, and the plan that the root process would have had."""
    plans = []
    monkeypatch.setattr(supervisor, "root", lambda plan: plans.append(plan) or 0)

    def ran(*arguments):
        plans.clear()
        code = ops.cli.run(["run", *arguments, "--state", str(tmp_path / "state"), "--config", str(folder)])
        return code, capsys.readouterr().err, plans[0] if plans else None

    return ran


@pytest.mark.req("M1")
@pytest.mark.parametrize("opened", [{}, OPENED], ids=["closed", "open"])
@pytest.mark.parametrize("venue", ["embedded", "coinbase"])
@pytest.mark.parametrize("mode", ["dry-run", "paper", "live"])
def test_a_run_that_may_not_be_starts_nothing(folder, run, mode, venue, opened):
    put(folder, opened)
    code, said, plan = run("--mode", mode, "--venue", venue)
    if venue == "coinbase" or mode == "live":
        assert (code, plan) == (4, None)
        assert "venue" in said
    else:
        assert code == 0
        assert plan.policy.mode is Mode(mode.upper().replace("-", "_"))
        assert plan.policy.read_only


def test_without_options_the_run_is_paper_whatever_the_files_say(folder, run):
    put(folder, OPENED)
    code, _, plan = run()
    assert (code, plan.mode, plan.policy.mode, plan.policy.read_only) == (0, "PAPER", Mode.PAPER, True)


@pytest.mark.req("C1")
def test_a_run_names_its_configuration_and_every_variable_that_it_follows(run, monkeypatch):
    monkeypatch.setenv("TRADER__RISK__MAX_OPEN_POSITIONS", "4")
    monkeypatch.setenv("TRADER__LOGGING__LEVEL", "INFO")
    code, said, plan = run()
    assert code == 0
    assert "from the environment: TRADER__LOGGING__LEVEL, TRADER__RISK__MAX_OPEN_POSITIONS" in said
    assert f"configuration {plan.policy.config_hash}, risk profile conservative, environment profile embedded" in said
    assert "policy.yaml risk.max_open_positions: 5 -> 4 (environment)" in plan.overlay
    assert plan.variables == ("TRADER__LOGGING__LEVEL", "TRADER__RISK__MAX_OPEN_POSITIONS")


@pytest.mark.req("C1")
def test_a_run_can_say_at_any_time_what_its_configuration_would_be_now(folder, run):
    _, _, plan = run("--metrics-port", "0")
    assert plan.found() == plan.policy.config_hash
    policy = folder / "policy.yaml"
    policy.write_text(policy.read_text() + "# a word more changes nothing\n")
    assert plan.found() == plan.policy.config_hash
    put(folder, {"policy:risk.max_open_positions": 4})
    changed = plan.found()
    assert changed != plan.policy.config_hash
    profile = folder / "profiles" / "embedded.yaml"
    profile.write_text(profile.read_text().replace("seconds: 5", "seconds: 6"))
    assert plan.found() not in {changed, plan.policy.config_hash}
    policy.unlink()
    assert plan.found() == "refused"


def test_a_variable_that_opens_the_way_starts_nothing(folder, run, monkeypatch):
    monkeypatch.setenv("TRADER__EXCHANGE__READ_ONLY", "false")
    code, said, plan = run()
    assert (code, plan) == (4, None)
    assert "rule 17: an environment variable may never" in said
