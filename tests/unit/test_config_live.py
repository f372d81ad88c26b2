"""`config apply` and `rollback` while a trader runs: asked, exchanged, taken up; vetoed without a trace.

The trader is a lock, a launch file and a desk that answers as it is told to: its own part has tests of its own.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import ops.cli
from actors.compose.kernel import launch
from actors.runtime.control_frames import serve
from config.load import load
from config.versions import interrupted, kept, read_files
from ops import config_live
from protocol.control import ProposeConfig, Reply, TakeUpConfig, Veto, View

SHIPPED = Path(__file__).resolve().parents[2] / "config"
OVERRIDES = (("app.mode", "PAPER"),)
TIGHT = ("policy.yaml", "max_drawdown_pct: 10", "max_drawdown_pct: 9")
LOOSE = ("policy.yaml", "max_total_at_risk_pct: 25", "max_total_at_risk_pct: 26")
WORDS = ("policy.yaml", "max_drawdown_pct: 10", "max_drawdown_pct:  10")
FIND = ("universe.yaml", "method: static", "method: dynamic_discovery")
HELD = Veto(actor="portfolio", reason="SOL-USD is held")


def swap(folder, change):
    name, old, new = change
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))


def hash_of(folder):
    return load(folder, profile="embedded", overrides=dict(OVERRIDES), environ={}).policy.config_hash


class Desk:
    """A desk that accepts or vetoes; one that takes a configuration up follows it when it is looked at again.

    `deaths`: how often it dies over that first, and comes back as it was; `takes` False: it makes way for nobody.
    """

    def __init__(self, root):
        self.used, self.state = root / "used", root / "state"
        self.follows, self.armed, self.heard = hash_of(self.used), True, []
        self.vetoes = {ProposeConfig: (), TakeUpConfig: ()}
        self.takes, self.deaths, self.pid = True, 0, 0
        self.kills_on, self.verb = None, None

    async def __call__(self, request):
        if isinstance(request, View):
            status = {"config_hash": self.follows, "armed": self.armed}
            return Reply(code=0, text="", data=json.dumps(status))
        self.heard.append(request)
        if type(request) is self.kills_on:
            self.verb.kill()
        vetoes = self.vetoes[type(request)]
        if vetoes:
            return Reply(code=4, text="no", data=msgspec.json.encode(vetoes).decode())
        if isinstance(request, TakeUpConfig) and self.deaths:
            self.deaths -= 1
            self.begins(pid=self.pid + 1)
        elif isinstance(request, TakeUpConfig) and self.takes:
            self.follows = request.config_hash
        return Reply(code=0, text="")

    @property
    def kinds(self):
        return [type(request) for request in self.heard]

    def write(self):
        """What a root tells its children, and everybody else."""
        plain = launch(load(self.used, profile="embedded", overrides=dict(OVERRIDES)).policy, "bot", 1)
        told = replace(plain, config_dir=str(self.used.resolve()), overrides=OVERRIDES)
        (self.state / "launch.json").write_bytes(msgspec.json.encode(told))
        self.begins(pid=1)

    def begins(self, pid):
        """A desk, perhaps after the death of another one."""
        self.pid = pid
        (self.state / "run.json").write_text(json.dumps({"desk_pid": pid}))

    @contextmanager
    def runs(self):
        """Holds the installation's lock and answers on its socket, in a thread."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def here(work):
            return asyncio.run_coroutine_threadsafe(work, loop).result(30.0)

        async def close(server):
            server.close()
            await server.wait_closed()

        with (self.state / "lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = here(serve(self.state / "control.sock", self))
            try:
                yield self
            finally:
                here(close(server))
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
                loop.close()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("TRADER__")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folders(tmp_path):
    for name in ("used", "candidate"):
        shutil.copytree(SHIPPED, tmp_path / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def desk(folders):
    desk = Desk(folders)
    desk.write()
    with desk.runs():
        yield desk


@pytest.fixture
def config(folders, capsys):
    def run(*arguments):
        common = ("--state", str(folders / "state"), "--config", str(folders / "used"))
        code = ops.cli.run(["config", *map(str, arguments), *common])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def untouched(folders, before):
    assert read_files(folders / "used") == before
    assert [path for path in (folders / "state").glob("config/*") if path.name.isdigit()] == []
    assert sorted(path.name for path in (folders / "used").glob(".*")) == []


# --- accepted -----------------------------------------------------------------------------------------------------


@pytest.mark.req("C1")
def test_it_is_asked_for_exchanged_and_in_force(folders, config, desk):
    swap(folders / "candidate", TIGHT)
    ran, wanted = desk.follows, hash_of(folders / "candidate")
    code, out, _ = config("apply", folders / "candidate", "--json")
    applied = json.loads(out)
    assert (code, applied["version"], applied["running"]) == (0, 2, wanted)
    assert read_files(folders / "used") == read_files(folders / "candidate")
    asked, taken = desk.heard
    assert (asked.config_hash, asked.before) == (taken.config_hash, taken.before) == (wanted, ran)
    assert dict(asked.fixed)["app.mode"] == "PAPER"
    assert (taken.version, taken.risk) == (2, ("max drawdown: 10 % -> 9 %",))
    assert taken.what.startswith("apply ")


@pytest.mark.req("C1")
def test_a_rollback_is_in_force_too(folders, config, desk):
    swap(folders / "candidate", TIGHT)
    before, ran = read_files(folders / "used"), desk.follows
    assert config("apply", folders / "candidate")[0] == 0
    desk.write()
    assert config("rollback")[0] == 4, "it loosens"
    code, _, err = config("rollback", "--confirm", "too tight")
    assert (code, desk.follows, ran in err) == (0, ran, True)
    assert read_files(folders / "used") == before
    assert desk.heard[-1].said == "too tight"


@pytest.mark.req("C1")
def test_words_that_change_nothing_are_exchanged_and_the_desk_is_left_alone(folders, config, desk):
    swap(folders / "candidate", WORDS)
    code, out, _ = config("apply", folders / "candidate", "--json")
    assert (code, json.loads(out)["running"], desk.heard) == (0, desk.follows, [])
    assert read_files(folders / "used") == read_files(folders / "candidate")


@pytest.mark.req("C1", "U1")
def test_products_that_are_to_be_found_drop_nothing_that_is_traded(folders, config, desk):
    swap(folders / "candidate", FIND)
    code, _, err = config("apply", folders / "candidate", "--confirm", "whatever is liquid")
    assert code == 0, err
    asked, taken = desk.heard
    assert asked.products == taken.products == load(SHIPPED).policy.universe.traded


def test_the_same_files_are_nothing_to_do(folders, config, desk):
    assert config("apply", folders / "candidate")[0] == 0
    assert (desk.heard, kept(folders / "state")) == ([], ())


@pytest.mark.req("C1")
def test_a_desk_that_was_not_armed_before_need_not_be_afterwards(folders, config, desk):
    desk.armed = False
    swap(folders / "candidate", TIGHT)
    assert config("apply", folders / "candidate")[0] == 0


@pytest.mark.req("C1")
def test_a_desk_that_dies_before_it_makes_way_is_asked_again(folders, config, desk):
    desk.deaths = 2
    swap(folders / "candidate", TIGHT)
    assert config("apply", folders / "candidate")[0] == 0
    assert desk.kinds == [ProposeConfig, TakeUpConfig, TakeUpConfig, TakeUpConfig]
    assert desk.follows == hash_of(folders / "candidate")


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.req("C1")
def test_a_veto_changes_nothing_and_names_actor_and_reason(folders, config, desk):
    swap(folders / "candidate", TIGHT)
    before, ran = read_files(folders / "used"), desk.follows
    desk.vetoes[ProposeConfig] = (HELD,)
    code, out, err = config("apply", folders / "candidate", "--json")
    assert (code, json.loads(out)) == (4, {"vetoes": [{"actor": "portfolio", "reason": "SOL-USD is held"}]})
    assert "portfolio: SOL-USD is held" in err
    untouched(folders, before)
    assert (desk.kinds, desk.follows) == ([ProposeConfig], ran)


@pytest.mark.req("C1")
def test_loosening_without_a_word_is_refused_before_anybody_is_asked(folders, config, desk):
    swap(folders / "candidate", LOOSE)
    before = read_files(folders / "used")
    code, _, err = config("apply", folders / "candidate")
    assert (code, "--confirm" in err, desk.heard) == (4, True, [])
    untouched(folders, before)


def test_what_is_wrong_is_refused_before_anybody_is_asked(folders, config, desk):
    swap(folders / "candidate", ("policy.yaml", "max_drawdown_pct: 10", "max_drawdown_pct: 101"))
    assert config("apply", folders / "candidate")[0] == 4
    assert desk.heard == []


@pytest.mark.req("C1")
def test_a_veto_after_the_exchange_puts_the_old_files_back(folders, config, desk):
    swap(folders / "candidate", TIGHT)
    before = read_files(folders / "used")
    desk.vetoes[TakeUpConfig] = (HELD,)
    code, _, err = config("apply", folders / "candidate")
    assert (code, HELD.reason in err) == (4, True)
    assert (read_files(folders / "used"), interrupted(folders / "used")) == (before, ())
    assert [version.number for version in kept(folders / "state")] == [1, 2, 3]
    assert config("rollback", "2")[0] == 4, "it is kept, and still vetoed"


@pytest.mark.req("C1")
def test_no_answer_is_a_veto(folders, config):
    desk = Desk(folders)
    desk.write()
    swap(folders / "candidate", TIGHT)
    before = read_files(folders / "used")
    with (folders / "state" / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = config("apply", folders / "candidate")
    assert (code, "does not answer" in err) == (4, True)
    untouched(folders, before)


@pytest.mark.req("C1")
def test_a_trader_that_follows_another_folder_is_not_the_one_that_is_meant(folders, desk, capsys):
    shutil.copytree(folders / "used", folders / "elsewhere")
    swap(folders / "candidate", TIGHT)
    arguments = ["config", "apply", str(folders / "candidate"), "--state", str(folders / "state")]
    assert ops.cli.run([*arguments, "--config", str(folders / "elsewhere")]) == 4
    assert str(folders / "used") in capsys.readouterr().err
    assert desk.heard == []


@pytest.mark.req("C1")
def test_a_desk_that_does_not_come_back_is_told_with_the_way_back(folders, config, desk, monkeypatch):
    monkeypatch.setattr(config_live, "FORCE_S", 1.0)
    desk.takes = False
    swap(folders / "candidate", TIGHT)
    code, _, err = config("apply", folders / "candidate")
    assert code == 5
    assert "config rollback 1" in err
    assert "trader status" in err
    assert read_files(folders / "used") == read_files(folders / "candidate"), "nothing is taken back by itself"


# --- cut short ----------------------------------------------------------------------------------------------------


@pytest.mark.req("C1")
@pytest.mark.parametrize("moment", [ProposeConfig, TakeUpConfig])
def test_an_apply_killed_between_its_steps_leaves_whole_files_and_may_be_repeated(folders, config, desk, moment):
    swap(folders / "candidate", TIGHT)
    before, new = read_files(folders / "used"), read_files(folders / "candidate")
    desk.kills_on, desk.takes = moment, False
    common = ("--state", str(folders / "state"), "--config", str(folders / "used"))
    command = [sys.executable, "-m", "ops.cli", "config", "apply", str(folders / "candidate"), *common]
    with subprocess.Popen(command, cwd=SHIPPED.parent, stderr=subprocess.DEVNULL) as desk.verb:
        assert desk.verb.wait(30.0) == -signal.SIGKILL
    assert read_files(folders / "used") == (before if moment is ProposeConfig else new)
    assert interrupted(folders / "used") == ()
    desk.kills_on, desk.takes = None, True
    assert config("apply", folders / "candidate")[0] == 0
    assert desk.follows == hash_of(folders / "candidate")
    assert read_files(folders / "used") == new


@pytest.mark.req("C1")
def test_an_edit_by_hand_that_loosens_is_no_way_around_the_word(folders, config, desk):
    assert config("apply", folders / "candidate")[0] == 0
    swap(folders / "used", LOOSE)
    shutil.copy(folders / "used" / "policy.yaml", folders / "candidate" / "policy.yaml")
    code, _, err = config("apply", folders / "candidate")
    assert (code, "nobody can say" in err, desk.heard) == (4, True, [])
    assert config("apply", folders / "candidate", "--confirm", "meant so")[0] == 0
    assert desk.follows == hash_of(folders / "used")


@pytest.mark.req("C1")
def test_recover_ends_what_was_cut_short_under_a_running_trader(folders, config, desk):
    shutil.copytree(folders / "used", folders / "old")
    before = read_files(folders / "used")
    (folders / "used" / ".applying").write_text(str(folders / "old"))
    swap(folders / "used", LOOSE)
    assert config("recover")[0] == 0
    assert (read_files(folders / "used"), desk.heard) == (before, [])
