"""First run, later run, or refuse: what a start says about the state it finds."""

import shutil
import time

import msgspec
import pytest

from actors.recorder.disk import LmdbStore
from actors.recorder.edge import take_snapshot
from actors.recorder.installation import MARKER, RefusedError, open_installation, refuse_mode
from actors.recorder.memory import MemoryStore
from actors.recorder.recovery import CorruptStoreError, check_whole
from actors.recorder.retention import RETENTION_NS, drop_old
from actors.recorder.snapshots import EVERY, KEEP, due
from actors.runtime.journal_format import seal
from protocol import codec
from protocol.policy import Mode
from tests.support.recorder_driver import Driver, draft, request

BOT = "bot1"


def run(state, commits=0, bot=BOT, mode=Mode.PAPER, against=lambda _: ""):
    opened = open_installation(state, bot, mode, 1_000, against)
    Driver(opened.store).deliver(*(request(n, [(f"k/{n}", b"v")], actor=f"a{n}") for n in range(1, commits + 1)))
    return opened


def rewrite(state, **changes):
    kept = msgspec.json.decode((state / MARKER).read_bytes())
    (state / MARKER).write_bytes(msgspec.json.encode(kept | changes))


def flip_last(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))


def test_a_first_run_makes_marker_and_store_and_the_next_finds_them(tmp_path):
    first = run(tmp_path, commits=5)
    first.store.close()
    again = run(tmp_path)
    again.store.close()
    assert (first.first_run, again.first_run) == (True, False)
    assert (again.findings.head.index, again.findings.records) == (5, 5)
    assert again.installation == first.installation


# Faults F10.
def test_marker_without_store_refuses_and_names_the_ways_out(tmp_path):
    run(tmp_path, commits=1).store.close()
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(RefusedError, match=r"restore.*rebuild-positions"):
        run(tmp_path)
    assert not (tmp_path / "store").exists()  # never silently a new one


# Faults F10.
def test_a_store_with_contents_but_no_marker_refuses(tmp_path):
    run(tmp_path, commits=1).store.close()
    (tmp_path / MARKER).unlink()
    with pytest.raises(RefusedError, match=MARKER):
        run(tmp_path)


def test_a_first_run_that_died_before_its_marker_is_a_first_run_again(tmp_path):
    run(tmp_path).store.close()
    (tmp_path / MARKER).unlink()
    again = run(tmp_path)
    again.store.close()
    assert again.first_run


# Faults F12.
def test_a_newer_schema_refuses(tmp_path):
    run(tmp_path, commits=1).store.close()
    rewrite(tmp_path, schema=codec.SCHEMA_VERSION + 1)
    with pytest.raises(RefusedError, match="newer"):
        run(tmp_path)


# Faults F11.
def test_an_older_schema_is_taken_over(tmp_path, monkeypatch):
    run(tmp_path, commits=1).store.close()
    monkeypatch.setattr(codec, "SCHEMA_VERSION", codec.SCHEMA_VERSION + 1)
    opened = run(tmp_path)
    opened.store.close()
    assert (opened.installation.schema, opened.first_run) == (codec.SCHEMA_VERSION, False)
    monkeypatch.undo()
    with pytest.raises(RefusedError, match="newer"):
        run(tmp_path)
    rewrite(tmp_path, schema=codec.SCHEMA_VERSION)  # an older marker does not make the store older
    with pytest.raises(RefusedError, match="newer"):
        run(tmp_path)


def test_another_bot_refuses(tmp_path):
    run(tmp_path).store.close()
    with pytest.raises(RefusedError, match="bot1"):
        run(tmp_path, bot="other")


@pytest.mark.req("M1")
def test_another_mode_refuses_names_the_option_and_loses_nothing(tmp_path):
    first = run(tmp_path, commits=3)
    first.store.close()
    before = {path: path.read_bytes() for path in (tmp_path / MARKER, tmp_path / "store" / "data.mdb")}
    for mode in (Mode.DRY_RUN, Mode.LIVE):
        with pytest.raises(RefusedError, match=rf"paper's: .*`--state {tmp_path}-{mode.value.lower()}`"):
            run(tmp_path, mode=mode)
        with pytest.raises(RefusedError, match="--state"):
            refuse_mode(tmp_path, mode)
    assert {path: path.read_bytes() for path in before} == before
    refuse_mode(tmp_path, Mode.PAPER)
    again = run(tmp_path)
    again.store.close()
    assert (again.installation.namespace, again.findings.records) == ("paper", 3)


@pytest.mark.req("M1")
def test_a_state_older_than_namespaces_is_the_first_modes_that_nothing_speaks_against(tmp_path):
    run(tmp_path, commits=1).store.close()
    kept = msgspec.json.decode((tmp_path / MARKER).read_bytes())
    del kept["namespace"]
    older = msgspec.json.encode(kept)
    (tmp_path / MARKER).write_bytes(older)
    store = LmdbStore(tmp_path / "store")
    store.put_meta(b"installation", older)
    store.close()
    with pytest.raises(RefusedError, match=r"not live's, for its books tell otherwise: .*--state"):
        run(tmp_path, mode=Mode.LIVE, against=lambda _: "its books tell otherwise")
    assert (tmp_path / MARKER).read_bytes() == older
    run(tmp_path).store.close()
    (tmp_path / MARKER).write_bytes(older)  # it died between marking the store and marking the state
    with pytest.raises(RefusedError, match="paper's"):
        run(tmp_path, mode=Mode.DRY_RUN)
    run(tmp_path).store.close()
    with pytest.raises(RefusedError, match="paper's"):
        run(tmp_path, mode=Mode.DRY_RUN)


def test_another_installations_marker_refuses(tmp_path):
    run(tmp_path, commits=1).store.close()
    rewrite(tmp_path, created_ns=7)
    with pytest.raises(RefusedError, match="does not belong"):
        run(tmp_path)


def test_an_unreadable_marker_refuses(tmp_path):
    run(tmp_path).store.close()
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(RefusedError, match="restore"):
        run(tmp_path)


# Faults F9.
def test_a_file_that_is_no_store_refuses(tmp_path):
    run(tmp_path, commits=1).store.close()
    (tmp_path / "store" / "data.mdb").write_bytes(b"x" * 65536)
    with pytest.raises(CorruptStoreError, match="restore"):
        run(tmp_path)


# Faults F8.
def test_a_damaged_snapshot_file_is_passed_over_and_removed(tmp_path):
    opened = run(tmp_path, commits=3)
    take_snapshot(opened.store)
    Driver(opened.store).deliver(request(9, [("k/9", b"v")]))
    newest = take_snapshot(opened.store)
    opened.store.close()
    flip_last(tmp_path / "store" / "snapshots" / f"{newest:020d}.snapshot")
    again = run(tmp_path)
    again.store.close()
    assert (again.findings.base, again.findings.entries, again.findings.bad_snapshots) == (3, 1, (4,))
    assert again.store.shelf.indices() == (3,)


def test_a_few_snapshots_are_kept():
    store = MemoryStore()
    driver = Driver(store)
    for number in range(1, KEEP + 4):
        driver.deliver(request(number))
        take_snapshot(store)
    assert store.shelf.indices() == tuple(range(4, KEEP + 4))


def test_snapshots_come_by_themselves_and_cost_at_most_two_records_an_entry(monkeypatch):
    monkeypatch.setattr("actors.recorder.snapshots.EVERY", 100)
    store = MemoryStore()
    driver = Driver(store)
    for number in range(1, 260):
        driver.deliver(request(number))
    assert store.shelf.indices() == (100, 200)
    assert (due(EVERY, lambda: EVERY), due(EVERY, lambda: EVERY + 1)) == (True, False)


def test_a_store_that_cannot_take_snapshots_still_commits(monkeypatch, tmp_path):
    store = LmdbStore(tmp_path / "store")
    driver = Driver(store)
    driver.deliver(request(1, [("a", b"1")]))
    shutil.rmtree(tmp_path / "store" / "snapshots")
    assert take_snapshot(store) == 0
    driver.deliver(request(2, [("b", b"1")]))
    assert store.count() == 2
    store.close()


@pytest.mark.req("RET1")
def test_entries_past_retention_go_but_none_that_a_start_needs():
    store = MemoryStore()
    driver = Driver(store)
    driver.deliver(*(request(n, [(f"k/{n}", b"v")], at_ns=n, actor=f"a{n}") for n in range(1, 21)))
    assert drop_old(store, RETENTION_NS + 100) == 0  # no snapshot yet: all of them are needed
    take_snapshot(store)
    assert drop_old(store, RETENTION_NS + 5) == 5
    assert drop_old(store, RETENTION_NS + 100, at_once=4) == 4
    assert drop_old(store, RETENTION_NS + 100) == 10
    assert (store.first(), check_whole(store, store.shelf).entries) == (20, 1)


def test_a_journal_whose_beginning_is_gone_needs_a_good_snapshot():
    store = MemoryStore()
    driver = Driver(store)
    driver.deliver(*(request(n, [(f"k/{n}", b"v")], actor=f"a{n}") for n in range(1, 11)))
    take_snapshot(store)
    drop_old(store, RETENTION_NS * 2)
    store.shelf.remove(10)
    with pytest.raises(CorruptStoreError, match="begins at entry 10"):
        check_whole(store, store.shelf)


# P9: the store's share of a start within 10 s.
@pytest.mark.slow
def test_a_million_entries_start_within_two_seconds(tmp_path):
    opened = run(tmp_path)
    for _ in range(100):
        with opened.store.transaction() as txn:
            for number in range(10_000):
                txn.append(*seal(txn.head(), draft(number + 1)))
    Driver(opened.store).deliver(*(request(n, [(f"order/{n}", b"v" * 1500)], actor=f"a{n}") for n in range(1000)))
    take_snapshot(opened.store)
    for _ in range(2):
        with opened.store.transaction() as txn:
            for number in range(5_000):
                txn.append(*seal(txn.head(), draft(number + 1)))
    opened.store.close()
    began = time.monotonic()
    again = open_installation(tmp_path, BOT, Mode.PAPER, 0)
    took_s = time.monotonic() - began
    again.store.close()
    assert (again.findings.entries, again.findings.records) == (10_000, 1000)
    assert took_s < 2.0, f"{took_s:.2f} s"
