"""The `verify` verb: what it prints and its exit codes, on stores that are sound, damaged, missing and in use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.recorder.disk import LmdbStore
from actors.recorder.edge import take_snapshot
from actors.recorder.installation import open_installation
from ops import verify
from ops.bench import commit
from ops.exits import Exit, VerbError
from protocol.policy import Mode
from tests.support.recorder_driver import Driver, request

ROOT = Path(__file__).resolve().parents[2]
DESK = """
import sys
from pathlib import Path
from actors.recorder.installation import open_installation
from protocol.policy import Mode
from tests.support.recorder_driver import Driver, request
driver = Driver(open_installation(Path(sys.argv[1]), "bot", Mode.PAPER, 1).store)
number = 0
while True:
    number += 1
    driver.deliver(request(number, [(f"k/{number % 50}", b"%d" % number)]))
    if number == 1:
        print("open", flush=True)
"""


class Args:
    def __init__(self, state, *, as_json=True):
        self.state, self.json = state, as_json


@pytest.fixture
def state(tmp_path):
    opened = open_installation(tmp_path, "bot", Mode.PAPER, 1)
    driver = Driver(opened.store)
    driver.deliver(*(request(n, [(f"k/{n % 5}", b"%d" % n)], actor=f"a{n}") for n in range(1, 21)))
    take_snapshot(opened.store)
    driver.deliver(*(request(n, [("k/1", b"%d" % n)], actor=f"a{n}") for n in range(21, 31)))
    opened.store.close()
    return tmp_path


def snapshot(state):
    return next((state / "store" / "snapshots").iterdir())


def test_a_sound_store_is_told_in_numbers(state, capsys):
    assert verify.main(Args(state)) == Exit.DONE
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["entries"], said["records"], said["snapshots"]) == (True, 30, 5, [20])


def test_a_damaged_snapshot_is_reported_and_no_failure(state, capsys):
    snapshot(state).write_bytes(b"nonsense")
    assert verify.main(Args(state, as_json=False)) == Exit.DONE
    said = capsys.readouterr()
    assert "snapshot 20 is damaged" in said.err
    assert "bad_snapshots\t20" in said.out


@pytest.mark.parametrize("database", [0, 1])
def test_damage_is_named_and_exits_1(state, database):
    store = LmdbStore(state / "store")
    key = (b"k/3", (7).to_bytes(8, "big"))[database]
    with store._env.begin(write=True, db=store.databases[database]) as txn:
        txn.put(key, bytes(txn.get(key))[:-1] + b"\xff")
    store.close()
    with pytest.raises(VerbError, match=("record k/3", "entry 7")[database]) as ended:
        verify.main(Args(state))
    assert ended.value.code == Exit.FAILED


def test_without_a_store_it_exits_2(tmp_path):
    with pytest.raises(VerbError, match="no store") as ended:
        verify.main(Args(tmp_path))
    assert ended.value.code == Exit.USAGE


def test_it_verifies_beside_a_desk_at_work(tmp_path, capsys):
    desk = subprocess.Popen(
        [sys.executable, "-c", DESK, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert desk.stdout.readline() == b"open\n"
        entries = []
        while len(entries) < 5 or entries[-1] == entries[0]:
            assert verify.main(Args(tmp_path)) == Exit.DONE
            entries.append(json.loads(capsys.readouterr().out)["entries"])
        assert entries == sorted(entries)
    finally:
        desk.kill()
        desk.communicate()


def test_the_bench_measures_and_leaves_nothing(tmp_path):
    found = commit.run(tmp_path, rounds=5)
    assert found["start_entries"] == 5 + 5 * commit.GROUP
    assert all(value > 0 for value in found.values())
    assert list(tmp_path.iterdir()) == []
