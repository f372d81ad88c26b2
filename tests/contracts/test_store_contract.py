"""What every store keeps, on disk and in memory: all of a transaction or none of it, in order, readable at once."""

import pytest

from actors.recorder.disk import LmdbStore
from actors.recorder.memory import MemoryStore
from actors.recorder.store import StoreBusyError, StoreFailedError, StoreFullError
from actors.runtime.journal_format import GENESIS, Head, seal
from protocol.lifecycle import StoreRecord
from tests.support.recorder_driver import draft


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path):
    made = LmdbStore(tmp_path / "store") if request.param == "disk" else MemoryStore()
    yield made
    made.close()


@pytest.fixture(params=["disk", "memory"])
def small(request, tmp_path):
    """A store that takes about 100 KiB, then is full."""
    made = LmdbStore(tmp_path / "store", 160 << 10) if request.param == "disk" else MemoryStore(capacity=100 << 10)
    yield made
    made.close()


def put(store, *pairs):
    with store.transaction() as txn:
        for key, value in pairs:
            txn.put(StoreRecord(key=key, value=value))


def append(store, count):
    with store.transaction() as txn:
        for n in range(count):
            txn.append(*seal(txn.head(), draft(n + 1)))


def write_and_raise(store):
    with store.transaction() as txn:
        txn.put(StoreRecord(key="a", value=b"2"))
        txn.put(StoreRecord(key="b", value=b"2"))
        txn.append(*seal(txn.head(), draft(9)))
        raise ZeroDivisionError


def plain(store, prefix=""):
    return [(record.key, record.value) for record in store.records(prefix)]


def test_an_empty_store_has_no_head_and_no_records(store):
    assert (store.head(), store.first(), store.count()) == (Head(index=0, sha=GENESIS), 0, 0)
    assert (store.records(), list(store.entries())) == ((), [])


def test_records_come_back_by_prefix_in_order_of_key(store):
    put(store, ("b/2", b"x"), ("a/1", b"y"), ("b/10", b"z"), ("b", b"w"), ("c/ä", b""))
    assert plain(store, "b/") == [("b/10", b"z"), ("b/2", b"x")]
    assert [key for key, _ in plain(store)] == ["a/1", "b", "b/10", "b/2", "c/ä"]
    assert plain(store, "zzz") == []


def test_the_later_write_wins_and_none_deletes(store):
    put(store, ("a", b"1"), ("b", b"1"))
    put(store, ("a", b"2"), ("b", None), ("never", None))
    assert plain(store) == [("a", b"2")]
    assert store.count() == 1


def test_a_transaction_sees_its_own_writes(store):
    put(store, ("a", b"1"), ("b", b"1"))
    with store.transaction() as txn:
        txn.put(StoreRecord(key="a", value=None))
        txn.put(StoreRecord(key="c", value=b"3"))
        assert (txn.get("a"), txn.get("b"), txn.get("c")) == (None, b"1", b"3")


def test_entries_and_head_move_together(store):
    append(store, 3)
    append(store, 2)
    entries = list(store.entries())
    assert [index for index, _ in entries] == [1, 2, 3, 4, 5]
    assert store.head().index == 5
    assert [index for index, _ in store.entries(4)] == [4, 5]
    assert list(store.entries(6)) == []


def test_nothing_of_a_transaction_that_raised_is_seen(store):
    put(store, ("a", b"1"))
    append(store, 1)
    before = store.head()
    with pytest.raises(ZeroDivisionError):
        write_and_raise(store)
    assert plain(store) == [("a", b"1")]
    assert (store.head(), len(list(store.entries()))) == (before, 1)
    put(store, ("c", b"3"))  # and the store is not stuck
    assert plain(store) == [("a", b"1"), ("c", b"3")]


def test_a_view_is_one_moment(store):
    append(store, 1)
    put(store, ("a", b"1"))
    head, records = store.view()
    put(store, ("a", b"2"))
    append(store, 1)
    assert (head.index, [r.value for r in records]) == (1, [b"1"])


def test_a_second_transaction_meanwhile_is_refused_not_waited_for(store):
    with store.transaction(), pytest.raises(StoreBusyError), store.transaction():
        pytest.fail("two writers")
    put(store, ("a", b"1"))
    assert plain(store) == [("a", b"1")]


def test_dropped_entries_are_gone_and_the_rest_stays(store):
    append(store, 5)
    with store.transaction() as txn:
        txn.drop_entry(1)
        txn.drop_entry(2)
        txn.drop_entry(99)
    assert ([index for index, _ in store.entries()], store.first(), store.head().index) == ([3, 4, 5], 3, 5)


@pytest.mark.parametrize("key", ["", "x" * 512, "ä" * 256])
def test_keys_that_no_store_takes_fail_alone(store, key):
    with pytest.raises(StoreFailedError), store.transaction() as txn:
        txn.put(StoreRecord(key=key, value=b""))
    put(store, ("x" * 511, b"1"))
    assert store.count() == 1


# Faults F3.
def test_a_full_store_loses_nothing_and_takes_more_after_growing(small):
    def fill():
        for n in range(1000):
            put(small, (f"k{n:04d}", b"v" * 4096))

    with pytest.raises(StoreFullError):
        fill()
    written = small.count()
    assert 0 < written < 1000
    small.grow()
    put(small, ("after", b"v" * 4096))
    assert small.count() == written + 1


def test_a_touch_changes_nothing(store):
    append(store, 2)
    before = store.view()
    with store.transaction() as txn:
        txn.touch()
    assert store.view() == before


def test_the_shelf_keeps_snapshots_by_index(store):
    for index in (30, 10, 20):
        store.shelf.write(index, b"%d" % index)
    store.shelf.remove(10)
    store.shelf.remove(10)
    assert store.shelf.indices() == (20, 30)
    assert store.shelf.read(20) == b"20"
    with pytest.raises(OSError, match="10"):
        store.shelf.read(10)


def test_tidying_a_healthy_store_changes_nothing(store):
    put(store, ("a", b"1"))
    store.tidy()
    assert plain(store) == [("a", b"1")]
