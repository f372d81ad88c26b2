"""A state directory is one mode's for life: another mode's start is refused as a whole process, and changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.recorder.disk import LmdbStore
from actors.runtime.store_reader import STORE, open_reader
from protocol import codec
from protocol.control import RunEvidence
from tests.support.installation import FREE_PORTS, ROOT, running, wait_for


def refused(state: Path, mode: str, within_s: float = 60.0) -> str:
    """Starts the trader in a mode it must not start in; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "run", "--mode", mode, "--state", str(state), *FREE_PORTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    return done.stderr


def kept(state: Path) -> dict[str, bytes]:
    """All that the next run of the right mode depends on."""
    files = ("installation.json", "store/data.mdb", "launch.json", "venue.state", "run.json")
    return {name: (state / name).read_bytes() for name in files}


def last_stretch(state: Path) -> RunEvidence:
    """What the newest run left for the ladder."""
    reader = open_reader(state / STORE)
    said = [codec.decode(entry.draft.body) for entry in reader.newest(2000)]
    reader.close()
    return [message for message in said if isinstance(message, RunEvidence)][-1]


@pytest.mark.slow
@pytest.mark.req("M1")
@pytest.mark.timeout(300)
def test_papers_state_is_refused_to_a_dry_run_which_takes_one_of_its_own(tmp_path):
    state = tmp_path / "state"
    with running(state, "--seed", "1") as trader:
        wait_for("a cycle", lambda: trader.view("status")["cycle"]["n"], 60.0)
        assert trader.stop() == 0
    stretch = last_stretch(state)
    assert (stretch.mode, stretch.market, stretch.ended) == ("PAPER", "synthetic", True)
    assert stretch.cycles > 0
    assert stretch.resident_bytes > 10_000_000
    before = kept(state)
    said = refused(state, "dry-run")
    assert f"--state {state}-dry_run" in said
    assert kept(state) == before
    with running(tmp_path / "state-dry_run", "--mode", "dry-run") as trader:
        status = wait_for("an equity", lambda: (s := trader.view("status"))["equity_usd"] and s, 60.0)
        assert (status["mode"], status["equity_usd"], status["drawdown_pct"]) == ("DRY_RUN", "10000", None)
        assert trader.stop() == 0
    assert json.loads((tmp_path / "state-dry_run" / "installation.json").read_text())["namespace"] == "dry_run"
    with running(state) as trader:
        assert trader.stop() == 0


@pytest.mark.slow
@pytest.mark.req("M1")
@pytest.mark.timeout(300)
def test_a_state_without_a_mark_is_whose_its_books_are(tmp_path):
    state = tmp_path / "state"
    with running(state, "--seed", "1") as trader:
        wait_for("an account", lambda: trader.view("status")["equity_usd"], 60.0)
        assert trader.stop() == 0
    older = json.loads((state / "installation.json").read_text())
    del older["namespace"]
    text = json.dumps(older).encode()
    (state / "installation.json").write_bytes(text)
    store = LmdbStore(state / "store")
    store.put_meta(b"installation", text)
    store.close()
    said = refused(state, "dry-run")
    assert "its books are those of PAPER" in said
    assert f"--state {state}-dry_run" in said
    with running(state) as trader:
        assert trader.stop() == 0
    assert json.loads((state / "installation.json").read_text())["namespace"] == "paper"
