"""`config`: shown with sources, checked, compared; exchanged whole, versioned, confirmed; one exchange at a time."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ops.cli
from config.load import ConfigError, load
from config.versions import MARK, NAMES, install, interrupted, kept, read_files

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("TRADER__")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folders(tmp_path):
    """The configuration in use and a candidate, alike."""
    for name in ("used", "candidate"):
        shutil.copytree(SHIPPED, tmp_path / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.rmtree(tmp_path / "candidate" / "profiles")
    return tmp_path


@pytest.fixture
def config(folders, capsys):
    """Runs `config ACTION …` on them; returns exit code, standard output and standard error."""

    def run(*arguments):
        common = ("--state", str(folders / "state"), "--config", str(folders / "used"))
        code = ops.cli.run(["config", *map(str, arguments), *common])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def swap(folder, old, new, name="policy.yaml"):
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


LOOSE = ("max_total_at_risk_pct: 25", "max_total_at_risk_pct: 26")
TIGHT = ("max_drawdown_pct: 10", "max_drawdown_pct: 9")


# ---- see


@pytest.mark.req("C1")
def test_every_value_is_shown_with_its_source_and_the_hash_of_such_a_run(config, folders, monkeypatch):
    monkeypatch.setenv("TRADER__RISK__MAX_OPEN_POSITIONS", "4")
    code, out, _ = config("show", "--json")
    told = json.loads(out)
    sources = {value["key"]: (value["value"], value["source"]) for value in told["values"]}
    assert code == 0
    assert sources["risk.max_total_at_risk_pct"] == ("25", "file")
    assert sources["risk.max_open_positions"] == (4, "environment")
    assert sources["loop.interval.seconds"] == ("5", "profile embedded")
    assert sources["strategy.min_conviction_to_propose"][1] == "risk profile conservative"
    assert sources["app.mode"] == ("PAPER", "operator")
    run = load(folders / "used", profile="embedded", overrides={"app.mode": "PAPER"}, environ=os.environ)
    assert told["config_hash"] == run.policy.config_hash
    assert told["environment"] == ["TRADER__RISK__MAX_OPEN_POSITIONS"]


def test_a_key_that_no_file_names_is_a_default(config, folders):
    swap(folders / "used", "  healthcheck_port: 8080\n", "", "app.yaml")
    told = json.loads(config("show", "--json")[1])
    [port] = [value for value in told["values"] if value["key"] == "monitoring.healthcheck_port"]
    assert (port["value"], port["source"]) == (8080, "default")


def test_what_is_shown_of_a_refused_configuration_is_the_refusal(config, folders):
    swap(folders / "used", *("max_drawdown_pct: 10", "max_drawdown_pct: 101"))
    code, out, err = config("show")
    assert (code, out) == (4, "")
    assert "risk.max_drawdown_pct = 101" in err


@pytest.mark.req("C1")
def test_check_tells_all_problems_with_file_key_value_and_rule(config, folders):
    swap(folders / "candidate", *("max_drawdown_pct: 10", "max_drawdown_pct: 101"))
    swap(folders / "candidate", "seconds: 60", "second: 60", "app.yaml")
    code, out, _ = config("check", folders / "candidate", "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (4, False)
    assert {(p["file"], p["key"], p["value"]) for p in told["problems"]} == {
        ("app.yaml", "loop.interval.second", "60"),
        ("policy.yaml", "risk.max_drawdown_pct", "101"),
    }
    assert all(p["rule"] and p["line"] for p in told["problems"])
    code, out, _ = config("check", folders / "candidate")
    assert (code, len(out.splitlines())) == (4, 2)


def test_check_finds_what_only_a_profile_breaks(config, folders):
    (folders / "used" / "profiles" / "mine.yaml").write_text("policy: {risk: {max_open_positions: 9}}")
    code, out, _ = config("check")
    assert code == 4
    assert "rule 5" in out


def test_check_finds_a_mistaken_variable(config, monkeypatch):
    monkeypatch.setenv("TRADER__RISK__NOTHING", "1")
    assert config("check")[0] == 4


@pytest.mark.parametrize(("nav", "code", "warned"), [("10000", 0, False), ("1000", 0, True), ("255", 4, False)])
def test_check_with_an_account_tells_what_it_cannot_trade(config, nav, code, warned):
    found, out, err = config("check", "--nav", nav)
    assert (found, "rule 25" in err, "rule 25" in out) == (code, warned, code == 4)


@pytest.mark.parametrize("nav", ["nothing", "0", "-1", "NaN", "Infinity"])
def test_an_account_that_is_none_is_bad_usage(config, nav):
    with pytest.raises(SystemExit) as end:
        config("check", f"--nav={nav}")
    assert end.value.code == 2


def test_schema_is_one_json_document(config):
    assert json.loads(config("schema")[1])["$ref"] == "#/$defs/Config"
    assert json.loads(config("schema", "policy")[1])["$ref"] == "#/$defs/PolicyFile"


def test_diff_tells_effective_risk_and_changes_nothing(config, folders):
    before = read_files(folders / "used")
    swap(folders / "candidate", *LOOSE)
    swap(folders / "candidate", *TIGHT)
    code, out, _ = config("diff", folders / "candidate", "--json")
    answer = json.loads(out)
    told = {d["key"]: (d["before"], d["after"], d["effect"]) for d in answer["differences"]}
    assert answer["before"] != answer["after"]
    assert {"name": "max exposure", "before": "25 %", "after": "26 %"} in answer["risk"]
    assert (code, read_files(folders / "used")) == (0, before)
    assert told == {
        "risk.max_total_at_risk_pct": ("25", "26", "LOOSENS"),
        "risk.max_drawdown_pct": ("10", "9", "tightens"),
    }


@pytest.mark.parametrize("action", ["diff", "apply"])
def test_a_candidate_that_is_not_there_is_refused(config, folders, action):
    code, _, err = config(action, folders / "nowhere")
    assert code in {2, 4}
    assert "cannot be read" in err


# ---- exchange


def refused_without_a_trace(config, folders, *arguments):
    before = read_files(folders / "used")
    code, out, err = config(*arguments)
    assert code == 4
    assert read_files(folders / "used") == before
    assert list((folders / "state").glob("config/*")) == []
    assert sorted(path.name for path in (folders / "used").glob(".*")) == []
    return out, err


@pytest.mark.req("C1")
def test_tightening_is_applied_and_the_old_files_are_kept(config, folders):
    before = read_files(folders / "used")
    swap(folders / "candidate", *TIGHT)
    assert config("apply", folders / "candidate")[0] == 0
    assert read_files(folders / "used") == read_files(folders / "candidate")
    first, second = kept(folders / "state")
    assert read_files(folders / "state" / "config" / "000001") == before
    assert (first.number, second.number) == (1, 2)
    assert second.config_hash == load(folders / "used").policy.config_hash != first.config_hash
    assert second.by
    assert second.at.endswith("+00:00")


def test_apply_and_rollback_answer_in_one_document(config, folders):
    swap(folders / "candidate", *TIGHT)
    applied = json.loads(config("apply", folders / "candidate", "--json")[1])
    assert (applied["version"], applied["config_hash"]) == (2, load(folders / "used").policy.config_hash)
    assert [d["key"] for d in applied["differences"]] == ["risk.max_drawdown_pct"]
    assert applied["risk"] == [{"name": "max drawdown", "before": "10 %", "after": "9 %"}]
    same = json.loads(config("apply", folders / "candidate", "--json")[1])
    assert (same["version"], same["differences"]) == (None, [])
    back = json.loads(config("rollback", "--json", "--confirm", "too tight")[1])
    assert (back["version"], back["differences"][0]["after"]) == (3, "10")


@pytest.mark.parametrize("confirm", [(), ("--confirm", ""), ("--confirm", "  ")])
def test_loosening_without_a_word_changes_nothing(config, folders, confirm):
    swap(folders / "candidate", *LOOSE)
    swap(folders / "candidate", *TIGHT)
    _, err = refused_without_a_trace(config, folders, "apply", folders / "candidate", *confirm)
    assert "max exposure: 25 % -> 26 %" in err
    assert "risk.max_total_at_risk_pct" in err
    assert "risk.max_drawdown_pct" not in err
    assert "--confirm" in err


def test_loosening_with_a_word_is_applied_and_the_word_kept(config, folders):
    swap(folders / "candidate", *LOOSE)
    assert config("apply", folders / "candidate", "--confirm", "tested a month")[0] == 0
    assert [version.said for version in kept(folders / "state")] == ["", "tested a month"]


def test_a_loosening_that_a_profile_or_variable_covers_needs_a_word_all_the_same(config, folders, monkeypatch):
    monkeypatch.setenv("TRADER__RISK__MIN_SECONDS_BETWEEN_TRADES", "300")
    swap(folders / "candidate", "min_seconds_between_trades: 180", "min_seconds_between_trades: 60")
    refused_without_a_trace(config, folders, "apply", folders / "candidate")


def test_an_invalid_candidate_changes_nothing(config, folders):
    swap(folders / "candidate", *("max_drawdown_pct: 10", "max_drawdown_pct: 101"))
    out, _ = refused_without_a_trace(config, folders, "apply", folders / "candidate", "--confirm", "yes")
    assert "risk.max_drawdown_pct = 101" in out


def test_a_candidate_that_breaks_below_a_profile_changes_nothing(config, folders):
    (folders / "used" / "profiles" / "mine.yaml").write_text("policy: {risk: {max_position_size_pct: 4}}")
    swap(folders / "candidate", "max_per_asset_pct: 4.0", "max_per_asset_pct: 3.5")
    out, _ = refused_without_a_trace(config, folders, "apply", folders / "candidate")
    assert "rule 4" in out


def test_what_replaces_files_that_do_not_load_needs_a_word(config, folders):
    swap(folders / "used", *("max_drawdown_pct: 10", "max_drawdown_pct: 101"))
    _, err = refused_without_a_trace(config, folders, "apply", folders / "candidate")
    assert "nobody can say" in err
    assert config("apply", folders / "candidate", "--confirm", "back to what was shipped")[0] == 0
    assert [version.config_hash != "" for version in kept(folders / "state")] == [False, True]


def test_the_same_files_are_no_version(config, folders):
    assert config("apply", folders / "candidate")[0] == 0
    assert kept(folders / "state") == ()


def test_rollback_goes_back_and_forth_and_to_any_version(config, folders):
    original = read_files(folders / "used")
    swap(folders / "candidate", *TIGHT)
    config("apply", folders / "candidate")
    tight = read_files(folders / "candidate")
    assert config("rollback")[0] == 4, "the old files are looser"
    assert read_files(folders / "used") == tight
    assert config("rollback", "--confirm", "too tight")[0] == 0
    assert read_files(folders / "used") == original
    assert config("rollback")[0] == 0
    assert read_files(folders / "used") == tight
    assert config("rollback", "1", "--confirm", "again")[0] == 0
    assert read_files(folders / "used") == original
    assert [version.number for version in kept(folders / "state")] == [1, 2, 3, 4, 5]


def test_rollback_after_an_edit_by_hand_ends_at_the_newest_version_and_keeps_the_edit(config, folders):
    swap(folders / "candidate", *TIGHT)
    config("apply", folders / "candidate")
    swap(folders / "used", "max_drawdown_pct: 9", "max_drawdown_pct: 9.5")
    edited = read_files(folders / "used")
    assert config("rollback")[0] == 0
    assert read_files(folders / "used") == read_files(folders / "candidate")
    assert read_files(folders / "state" / "config" / "000003") == edited


@pytest.mark.parametrize("number", [(), ("1",), ("0",), ("-3",)])
def test_rollback_to_what_there_is_not_is_bad_usage(config, number):
    assert config("rollback", *number)[0] == 2


def test_a_damaged_version_is_named(config, folders):
    swap(folders / "candidate", *TIGHT)
    config("apply", folders / "candidate")
    (folders / "state" / "config" / "000001" / "version.json").write_text("{")
    code, _, err = config("rollback", "1", "--confirm", "x")
    assert code == 2
    assert "damaged" in err


BARRED = {
    "lock": "is starting",
    "desk.lock": "outlived its root",
    "config.lock": "another exchange",
}


@pytest.mark.req("SI1")
@pytest.mark.parametrize("lock", BARRED)
@pytest.mark.parametrize("action", ["apply", "rollback", "recover"])
def test_nothing_is_exchanged_while_a_root_starts_a_desk_leaves_or_another_exchange_goes_on(
    config, folders, lock, action
):
    swap(folders / "candidate", *TIGHT)
    before = read_files(folders / "used")
    (folders / "state").mkdir()
    with (folders / "state" / lock).open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, err = config(action, *([folders / "candidate"] if action == "apply" else []))
    assert (code, BARRED[lock] in err) == (4, True)
    assert read_files(folders / "used") == before


@pytest.mark.req("SI1")
@pytest.mark.req("C1")
def test_no_run_starts_while_the_configuration_is_exchanged(folders, capsys):
    state = folders / "state"
    state.mkdir()
    with (state / "config.lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code = ops.cli.run(["run", "--state", str(state), "--config", str(folders / "used")])
    assert (code, "is being exchanged" in capsys.readouterr().err) == (4, True)
    assert not (state / "launch.json").exists()


# ---- cut short

CUT_SHORT = """
import os, signal, sys
from pathlib import Path
from config import versions
folder, new, old, after = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
calls = 0
def dying(self, target, real=Path.replace):
    global calls
    calls += 1
    if calls > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = dying
versions.install(folder, versions.read_files(new), old)
"""


@pytest.mark.req("C1")
@pytest.mark.parametrize("after", range(7))
def test_an_exchange_killed_at_any_point_is_whole_or_refused_and_can_be_undone(folders, config, after):
    for name in NAMES:
        with (folders / "candidate" / name).open("a") as file:
            file.write("# of the candidate\n")
    used, new, old = folders / "used", folders / "candidate", folders / "old"
    shutil.copytree(used, old)
    before = read_files(used)
    done = subprocess.run(
        [sys.executable, "-c", CUT_SHORT, used, new, old, str(after)], cwd=SHIPPED.parent, check=False
    )
    assert done.returncode == (-signal.SIGKILL if after < 6 else 0)
    marked = 1 <= after <= 5
    assert (used / MARK).exists() is marked
    if marked:
        with pytest.raises(ConfigError, match="cut short"):
            load(used)
        assert config("recover")[0] == 0
    assert read_files(used) == (before if after < 6 else read_files(new))
    assert interrupted(used) == ()
    assert load(used).policy


def test_a_version_that_is_gone_leaves_the_mark(folders, config):
    (folders / "used" / MARK).write_text(str(folders / "gone"))
    assert config("recover")[0] == 2
    assert (folders / "used" / MARK).exists()


def test_apply_first_ends_what_was_cut_short(folders, config):
    shutil.copytree(folders / "used", folders / "old")
    (folders / "used" / MARK).write_text(str(folders / "old"))
    swap(folders / "used", *LOOSE)
    swap(folders / "candidate", *TIGHT)
    assert config("apply", folders / "candidate")[0] == 0
    assert read_files(folders / "state" / "config" / "000001") == read_files(folders / "old")
    assert read_files(folders / "used") == read_files(folders / "candidate")


def test_a_disk_that_refuses_puts_everything_back(folders, monkeypatch):
    used, before = folders / "used", read_files(folders / "used")
    shutil.copytree(used, folders / "old")
    swap(folders / "candidate", *TIGHT)
    real, calls = Path.replace, []

    def failing(self, target):
        calls.append(target)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="No space"):
        install(used, read_files(folders / "candidate"), folders / "old")
    assert (read_files(used), interrupted(used)) == (before, ())
