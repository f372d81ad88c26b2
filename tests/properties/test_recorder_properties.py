"""Random commits, damage and deaths: the journal is the record, and nothing acknowledged is ever lost or torn."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.recorder.core import fold
from actors.recorder.edge import take_snapshot
from actors.recorder.memory import POINTS, MemoryStore
from actors.recorder.recovery import CorruptStoreError, check_start, check_whole
from actors.runtime.journal_format import CorruptEntryError, Head, seal, unseal
from tests.support.recorder_driver import Driver, draft, note, request

KEYS = st.sampled_from(["order/a", "order/b", "portfolio/cash", "portfolio/fill/1", "portfolio/fill/2", "risk/x"])
PAIRS = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=8)), max_size=4)
COMMITS = st.tuples(PAIRS, st.lists(KEYS, max_size=2), st.integers(0, 3))
BATCHES = st.lists(st.lists(COMMITS | st.just(None), min_size=1, max_size=4), max_size=12)


class Died(BaseException):
    """The process or the machine ends here."""


def plain(records):
    return {record.key: record.value for record in records}


def chain(count):
    entries, head = [], Head()
    for n in range(count):
        head, data = seal(head, draft(n + 1))
        entries.append((head.index, data))
    return entries


@given(BATCHES)
@settings(max_examples=100, deadline=None)
def test_records_are_the_fold_of_the_journal_and_of_every_snapshot_and_its_tail(batches):
    store = MemoryStore()
    driver = Driver(store)
    number = 0
    for batch in batches:
        for commit in batch:
            number += 1
            pairs, fresh, drafts = commit or ((), (), 0)
            made = request(number, pairs, fresh=fresh, drafts=drafts, actor=f"a{number}") if commit else note(number)
            driver.post(made)
        driver.drain()
        take_snapshot(store)
    folded, head = fold({}, Head(), store.entries())
    assert (folded, head) == (plain(store.records()), store.head())
    assert check_whole(store, store.shelf).bad_snapshots in ((), (0,))
    assert check_start(store, store.shelf).records == len(folded)


@given(st.lists(st.sampled_from(["f1", "f2", "f3"]), max_size=20), st.lists(st.integers(1, 4), max_size=20))
@settings(max_examples=100, deadline=None)
@pytest.mark.req("X1")
def test_a_fill_is_booked_exactly_once_however_often_it_arrives(fills, sizes):
    driver = Driver(MemoryStore())
    waiting = list(fills)
    number = 0
    for size in [*sizes, len(fills)]:
        for fill in waiting[:size]:
            number += 1
            driver.post(request(number, [(f"portfolio/fill/{fill}", b"%d" % number)], fresh=[f"portfolio/fill/{fill}"]))
        driver.drain()
        waiting = waiting[size:]
    booked = [r.key for _, data in driver.store.entries() for r in unseal(_, data).records]
    assert sorted(booked) == sorted({f"portfolio/fill/{fill}" for fill in fills})
    assert len(driver.committed()) == len(set(fills))
    assert all(failure.duplicate for failure in driver.failures().values())


@given(st.integers(2, 12), st.data())
@settings(max_examples=150, deadline=None)
# Faults F9.
def test_one_flipped_bit_is_found_and_its_entry_named(count, data):
    entries = chain(count)
    at = data.draw(st.integers(0, count - 1))
    index, raw = entries[at]
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    flipped = bytearray(raw)
    flipped[bit // 8] ^= 1 << bit % 8
    entries[at] = (index, bytes(flipped))
    with pytest.raises(CorruptEntryError) as found:
        fold({}, Head(), entries)
    assert found.value.index == index


@given(st.integers(3, 12), st.data())
@settings(max_examples=100, deadline=None)
# Faults F9.
def test_a_missing_or_reordered_entry_is_found_and_named(count, data):
    entries = chain(count)
    at = data.draw(st.integers(0, count - 2))
    if data.draw(st.booleans()):
        del entries[at]
    else:  # each under the other's index
        (i, a), (j, b) = entries[at : at + 2]
        entries[at : at + 2] = [(i, b), (j, a)]
    with pytest.raises(CorruptEntryError) as found:
        fold({}, Head(), entries)
    assert found.value.index == at + 1


# Faults F9.
@pytest.mark.parametrize("place", [1, 4, 6])
def test_a_whole_entry_of_another_history_is_found_and_named(place):
    entries, head = chain(6), Head()
    for number in range(1, place + 1):
        head, foreign = seal(head, draft(number * 100))
    entries[place - 1] = (place, foreign)
    with pytest.raises(CorruptEntryError) as found:
        fold({}, Head(), [*entries, (7, seal(Head(index=6, sha=unseal(*chain(6)[5]).entry.sha), draft(7))[1])])
    assert found.value.index == (2 if place == 1 else place)  # a first entry shows only by what follows it


def test_an_entry_holds_at_its_own_index_only():
    index, data = chain(3)[1]
    assert unseal(index, data).entry.index == 2
    with pytest.raises(CorruptEntryError, match="entry 3"):
        unseal(3, data)


def live(store, seed, deaths):
    """One life of a recorder until it dies at a random point; returns who was acknowledged, by key."""
    random = Random(seed)
    acknowledged = {}
    driver = Driver(store)
    due = random.randrange(3, 40)
    passed = 0

    def reach(point):
        nonlocal passed
        passed += 1
        if passed == due:
            deaths.append(point)
            raise Died

    store.at_point = reach
    try:
        for number in range(1, 60):
            key = f"order/{seed}-{number}"
            driver.post(request(number, [(key, b"%d" % number)], outbox=[key], fresh=[key], actor=f"a{number}"))
            if random.random() < 0.4:
                driver.drain()
                acknowledged |= {f"order/{seed}-{n}": b"%d" % n for _, n in driver.committed()}
    except Died:
        acknowledged |= {f"order/{seed}-{n}": b"%d" % n for _, n in driver.committed()}
    assert set(driver.released()) == set(acknowledged)
    store.at_point = None
    return acknowledged


# Faults F2, D10.
@pytest.mark.parametrize("power", [False, True])
def test_nothing_acknowledged_is_lost_and_nothing_is_torn_over_a_thousand_deaths(power):
    deaths = []
    for seed in range(250):
        store = MemoryStore()
        acknowledged = {}
        for life in range(4):
            acknowledged |= live(store, seed * 10 + life, deaths)
            (store.power_loss if power else store.crash)()
            found = plain(store.records())
            assert acknowledged.items() <= found.items(), f"seed {seed}, life {life}"
            findings = check_start(store, store.shelf)
            assert findings.head.index == len(found), f"seed {seed}: an entry without its record, or the reverse"
    assert set(deaths) == set(POINTS)


def filled(lives=3):
    store = MemoryStore()
    driver = Driver(store)
    for number in range(1, lives * 10 + 1):
        driver.deliver(request(number, [(f"k/{number % 7}", b"%d" % number)]))
        if number % 10 == 0:
            take_snapshot(store)
    return store


# Faults F8.
def test_a_damaged_snapshot_is_bridged_by_an_older_one_and_more_journal():
    store = filled()
    good = check_start(store, store.shelf)
    assert (good.base, good.entries) == (30, 0)
    store.shelf.blobs[30] = store.shelf.blobs[30][:-1] + b"x"
    found = check_start(store, store.shelf)
    assert (found.base, found.entries, found.bad_snapshots) == (20, 10, (30,))
    store.shelf.blobs.update({10: b"", 20: b"short"})
    assert check_start(store, store.shelf).base == 0
    assert check_whole(store, store.shelf).bad_snapshots == (10, 20, 30)


# Faults F8.
def test_a_snapshot_of_another_history_is_passed_over():
    store, other = filled(), MemoryStore()
    Driver(other).deliver(*(request(n, [("k", b"other")], actor=f"x{n}") for n in range(1, 31)))
    take_snapshot(other)
    store.shelf.blobs[30] = other.shelf.blobs[30]
    assert check_start(store, store.shelf).base == 20
    assert check_whole(store, store.shelf).bad_snapshots == (30,)


# Faults F9.
@pytest.mark.parametrize("damage", ["flip", "drop", "last"])
def test_a_damaged_entry_refuses_and_names_itself_and_the_ways_out(damage):
    store = filled()
    store.shelf.remove(30)
    index = 30 if damage == "last" else 25
    data = dict(store.entries())[index]
    store.damage(index, None if damage != "flip" else data[:-1] + b"\x00")
    with pytest.raises(CorruptStoreError, match=rf"entry {index}\b.*restore.*rebuild-positions"):
        check_start(store, store.shelf)


# Faults F9.
def test_damage_before_the_newest_snapshot_is_found_by_the_whole_check():
    store = filled()
    store.damage(5, dict(store.entries())[5][:-1] + b"\x00")
    assert check_start(store, store.shelf).base == 30
    with pytest.raises(CorruptStoreError, match="entry 5"):
        check_whole(store, store.shelf)


@pytest.mark.parametrize("value", [b"forged", None])
def test_a_record_that_the_journal_does_not_know_refuses(value):
    store = filled()
    store.damage_record("k/3", value)
    with pytest.raises(CorruptStoreError, match="record k/3"):
        check_start(store, store.shelf)
