"""The recorder's behaviour on a store in memory: what commits together, what is released, what trouble does."""

import pytest

from actors.recorder.core import APPEND_DELAY_NS, MAX_BATCH, MAX_PENDING
from actors.recorder.memory import MemoryStore
from actors.recorder.store import OutcomeUnknownError, StoreFailedError
from actors.runtime.journal_format import unseal
from protocol.effects import Retire
from protocol.journal import Released, StoreTrouble
from protocol.lifecycle import Committed, Load, Recover, Stop
from tests.support.recorder_driver import Driver, note, request


def values(store):
    return {record.key: record.value for record in store.records()}


def journal(store):
    return [unseal(index, data) for index, data in store.entries()]


class Disk:
    """Fails or counts commits at a point of the store's own choosing."""

    def __init__(self):
        self.error, self.synced = None, 0

    def __call__(self, point):
        if point == "written" and self.error is not None:
            raise self.error
        self.synced += point == "synced"


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def store(disk):
    return MemoryStore(disk)


@pytest.fixture
def driver(store):
    return Driver(store)


def test_a_commit_writes_records_and_entries_then_releases_then_answers(driver, store):
    driver.deliver(request(1, [("order/o1", b"state")], outbox=["o1"], drafts=2))
    assert values(store) == {"order/o1": b"state"}
    assert [e.entry.draft.seq for e in journal(store)] == [10, 11]
    assert [(to, type(m), cause) for to, m, cause in driver.sent] == [
        ("gateway", Released, 10),
        ("portfolio", Committed, 10),
    ]
    assert driver.to("gateway")[0].index == 1


def test_every_request_of_a_sync_is_released_before_anybody_hears_of_it(driver):
    both = [request(number, [(f"order/o{number}", b"state")], outbox=[f"o{number}"]) for number in (1, 2)]
    driver.deliver(*both)
    assert [type(m) for _, m, _ in driver.sent] == [Released, Released, Committed, Committed]


def test_everything_waiting_shares_one_sync(driver, disk, store):
    before = disk.synced
    driver.deliver(*(request(n, [(f"k/{n}", b"v")], actor=f"a{n}") for n in range(1, 51)), note(1))
    assert disk.synced == before + 1
    assert driver.committed() == {(f"a{n}", n) for n in range(1, 51)}
    assert store.head().index == 51


def test_what_arrives_during_a_commit_is_the_next_one_whole_and_at_once(driver, disk, store):
    """Three waves, each sent while the one before is being synced: three syncs, and no time passes between them."""
    waves = [[request(100 * wave + n, actor=f"a{n}") for n in range(20)] for wave in (2, 3)]
    sizes = []

    def busy(point):
        disk(point)
        if point == "written" and waves:
            driver.post(*waves.pop(0))
        if point == "synced":
            sizes.append(store.head().index - sum(sizes))

    store.at_point = busy
    driver.deliver(request(1))
    assert sizes == [1, 20, 20]
    assert len(driver.committed()) == 41
    assert (driver.clock_ns, set(driver.timers)) == (0, {"tidy"})


def test_a_load_waits_neither_for_company_nor_for_entries_that_change_no_record(driver, disk):
    driver.deliver(request(1, [("order/o1", b"state")]))
    synced = disk.synced
    loads = (Load(prefixes=(f"order/{name}",), reply_to=f"order:{name}") for name in ("o2", "o1"))
    driver.post(note(1), *loads)
    for _ in range(2 + 1 + 2):  # the loads, the entry, the loads in their turn
        driver.handle(next(lane for lane in driver.lanes.values() if lane).popleft())
    assert driver.to("order:o2") == [Recover()]
    assert [record.value for record in driver.to("order:o1")[0].records] == [b"state"]
    assert (disk.synced, driver.clock_ns) == (synced, 0)


def test_a_transaction_is_bounded(driver, disk):
    before = disk.synced
    driver.post(*(request(n, actor=f"a{n}") for n in range(MAX_BATCH + 10)))
    driver.drain()
    assert disk.synced == before + 2


def test_entries_that_nobody_waits_for_wait_for_company(driver, disk, store):
    before = disk.synced
    driver.post(note(1), note(2))
    driver.handle(driver.lanes[note(1).lane].popleft())
    driver.handle(driver.lanes[note(1).lane].popleft())
    assert (disk.synced, driver.timers["flush"]) == (before, APPEND_DELAY_NS)
    driver.fire("flush")
    driver.drain()
    assert (disk.synced, store.head().index) == (before + 1, 2)


def test_entries_keep_the_order_of_arrival(driver, store):
    driver.deliver(note(1), request(1), note(2), request(2, actor="risk"))
    assert [e.entry.draft.seq for e in journal(store)] == [1, 10, 2, 20]


@pytest.mark.req("X1")
def test_a_key_that_exists_fails_that_request_alone(driver, store):
    driver.deliver(request(1, [("fill/1", b"a")], fresh=["fill/1"]))
    driver.deliver(
        request(2, [("fill/1", b"b"), ("cash", b"b")], fresh=["fill/1"], outbox=["never"]),
        request(3, [("fill/2", b"c")], fresh=["fill/2"], actor="risk"),
    )
    failure = driver.failures()["portfolio", 2]
    assert (failure.duplicate, "fill/1" in failure.detail) == (True, True)
    assert values(store) == {"fill/1": b"a", "fill/2": b"c"}
    assert (driver.released(), driver.committed()) == ([], {("portfolio", 1), ("risk", 3)})


def test_a_fresh_key_is_also_taken_by_an_earlier_request_of_the_batch(driver, store):
    driver.deliver(request(1, [("f", b"1")], fresh=["f"]), request(2, [("f", b"2")], fresh=["f"], actor="risk"))
    assert values(store) == {"f": b"1"}
    assert driver.failures()["risk", 2].duplicate


def test_a_key_is_fresh_again_once_deleted(driver, store):
    driver.deliver(request(1, [("f", b"1")], fresh=["f"]))
    driver.deliver(request(2, [("f", None)]), request(3, [("f", b"3")], fresh=["f"], actor="risk"))
    assert values(store) == {"f": b"3"}


@pytest.mark.parametrize("key", ["", "x" * 600])
def test_an_impossible_key_does_not_take_its_batch_down(driver, store, key):
    driver.deliver(request(1, [(key, b"")]), request(2, [("good", b"1")], actor="risk"))
    assert not driver.failures()["portfolio", 1].duplicate
    assert values(store) == {"good": b"1"}


def test_a_commit_without_entries_still_reaches_the_journal(driver, store):
    driver.deliver(request(1, [("a", b"1")], drafts=0, outbox=["o1"]))
    assert [r.key for e in journal(store) for r in e.records] == ["a"]
    assert driver.to("gateway")[0].index == 1


def test_a_load_is_answered_with_the_records_below_its_prefix(driver):
    driver.deliver(request(1, [("risk/a", b"1"), ("risk/b", b"2"), ("riskier", b"3")]))
    driver.deliver(Load(prefixes=("risk/",), reply_to="risk"), Load(prefixes=("none/",), reply_to="cycle"))
    assert [(r.key, r.value) for r in driver.to("risk")[0].records] == [("risk/a", b"1"), ("risk/b", b"2")]
    assert driver.to("cycle") == [Recover()]


def test_a_load_may_ask_for_a_second_place(driver):
    driver.deliver(request(1, [("order/a", b"1"), ("closed-order/a", b"2"), ("closed-order/b", b"3")]))
    driver.deliver(Load(prefixes=("order/a", "closed-order/a"), reply_to="order:a"))
    assert {r.key: r.value for r in driver.to("order:a")[0].records} == {"order/a": b"1", "closed-order/a": b"2"}


# Faults D14.
def test_a_load_waits_for_what_its_askers_predecessor_still_sent(driver):
    driver.post(request(7, [("portfolio/x", b"new")]))
    driver.post(Load(prefixes=("portfolio/",), reply_to="portfolio"))  # its lane is served first
    driver.drain()
    assert [type(m) for m in driver.to("portfolio")] == [Committed, Recover]
    assert driver.to("portfolio")[1].records[0].value == b"new"


# Faults F4.
def test_a_failing_disk_fails_every_commit_and_halts(driver, disk, store):
    disk.error = StoreFailedError("no space left")
    driver.deliver(request(1, [("a", b"1")], outbox=["o1"]), request(2, actor="risk"), note(5))
    assert set(driver.failures()) == {("portfolio", 1), ("risk", 2)}
    assert driver.released() == []
    assert driver.to("risk")[0] == StoreTrouble(ok=False, kind="failed", detail="no space left")
    assert values(store) == {}
    driver.deliver(request(3))
    assert len([m for m in driver.to("risk") if isinstance(m, StoreTrouble)]) == 1  # said once


# Faults F4.
def test_entries_nobody_waits_for_survive_a_failing_disk(driver, disk, store):
    disk.error = StoreFailedError("no space left")
    driver.deliver(note(5))
    disk.error = None
    driver.fire("probe")
    driver.drain()
    assert [e.entry.draft.seq for e in journal(store)] == [5]
    assert driver.to("risk")[-1].ok


def test_what_is_kept_for_a_failing_disk_is_bounded(driver, disk):
    disk.error = StoreFailedError("no space left")
    driver.deliver(*(note(n) for n in range(MAX_PENDING + 500)))
    driver.deliver(request(1))
    assert len(driver.state.pending) == MAX_PENDING - 1  # the refused commit took a place
    assert set(driver.failures()) == {("portfolio", 1)}
    disk.error = None
    driver.fire("probe")
    driver.drain()
    assert driver.store.head().index == MAX_PENDING - 1


# Faults F3.
def test_a_full_store_grows_and_resumes_without_loss():
    store = MemoryStore(capacity=3_000)
    driver = Driver(store)
    for n in range(1, 40):
        driver.deliver(request(n, [(f"k/{n}", b"v" * 200)]))
    assert driver.committed() == {("portfolio", n) for n in range(1, 40)}
    assert len(values(store)) == 39
    troubles = driver.to("risk")
    assert {m.kind for m in troubles} == {"full"}
    assert [m.ok for m in troubles] == [False, True] * (len(troubles) // 2)


# Faults F5, D5.
def test_behind_a_hung_commit_requests_and_loads_wait_and_nothing_is_lost(driver, store):
    with store.transaction():
        driver.deliver(request(1, [("a", b"1")], outbox=["o1"]), Load(prefixes=("a",), reply_to="cycle"))
        assert driver.to("risk")[0].kind == "slow"
        driver.fire("probe")
        driver.drain()
        driver.deliver(request(2, actor="orders"))
        assert driver.committed() == set()
        assert driver.to("cycle") == []
    driver.fire("probe")
    driver.drain()
    assert driver.committed() == {("portfolio", 1), ("orders", 2)}
    assert driver.to("cycle")[0] == Recover(records=store.records("a"))
    assert driver.released() == ["o1"]
    assert [m.ok for m in driver.to("risk")] == [False, True]


# Faults F5.
def test_a_slow_commit_is_reported_until_one_is_quick(disk, store):
    driver = Driver(store)
    disk_is_slow = True

    def stall(point):
        if point == "synced" and disk_is_slow:
            driver.clock_ns += 3_000_000_000

    store.at_point = stall
    driver.deliver(request(1))
    assert [(m.ok, m.kind) for m in driver.to("risk")] == [(False, "slow")]
    disk_is_slow = False
    driver.fire("probe")
    driver.drain()
    assert [m.ok for m in driver.to("risk")] == [False, True]
    assert "probe" not in driver.timers


# Faults D6.
def test_a_superseded_incarnation_writes_nothing(driver, store):
    driver.superseded = True
    driver.deliver(request(1, [("a", b"1")], outbox=["o1"]))
    assert (values(store), driver.sent) == ({}, [])


# Faults D6.
def test_superseded_between_commit_and_release_it_releases_and_acknowledges_nothing(driver, store):
    def fence(point):
        driver.superseded = point == "synced"

    store.at_point = fence
    driver.deliver(request(1, [("a", b"1")], outbox=["o1"]))
    assert (values(store), driver.sent) == ({"a": b"1"}, [])


def test_an_unknown_outcome_ends_the_recorder(driver, disk):
    disk.error = OutcomeUnknownError("fsync failed")
    with pytest.raises(OutcomeUnknownError):
        driver.deliver(request(1))
    assert driver.sent == []


def test_stop_writes_what_waits_and_ends(driver, store):
    driver.handle(request(1, [("a", b"1")]))
    driver.deliver(Stop(reason="end"))
    assert (values(store), driver.committed()) == ({"a": b"1"}, {("portfolio", 1)})
    assert Retire() in driver.notices


def test_commits_are_observed(store):
    seen = []
    driver = Driver(store, observe=lambda took_ns, entries: seen.append(entries))
    driver.deliver(request(1, drafts=3))
    assert seen == [0, 3]  # the first is the probe of the start
