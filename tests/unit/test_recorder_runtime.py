"""The recorder under the real runtime: stepped in the kernel, and pinned to its thread beside a pump."""

import threading
from queue import SimpleQueue

import msgspec
import pytest

from actors.recorder.actor import role
from actors.recorder.disk import LmdbStore
from actors.recorder.memory import MemoryStore
from actors.recorder.recovery import check_whole
from actors.recorder.store import OutcomeUnknownError
from actors.runtime.clock import SystemClock
from actors.runtime.journal_format import unseal
from actors.runtime.kernel import Kernel
from actors.runtime.node import Node, in_kernel
from actors.runtime.pumps import ThreadPump
from actors.runtime.restarts import Child, Group, Strategy
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol import codec
from protocol.effects import Commit
from protocol.journal import Released
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from tests.support.recorder_driver import request, submit

GROUPS = (
    Group(name="root", intensity=1, period_s=300.0),
    Group(name="core", under="root", strategy=Strategy.REST_FOR_ONE),
)


class Booked(msgspec.Struct, frozen=True):
    """What the actor believes is on record."""

    keys: tuple[str, ...] = ()


class Desk:
    """A recorder on `store`, a room that books one order per `Wake`, and a gateway that notes what is released."""

    def __init__(self, store):
        self.released, self.beliefs, self.wanted, self.enough = [], [], 0, threading.Event()
        child = lambda name, beat_s=None: Child(name=name, group="core", beat_s=beat_s)  # noqa: E731 - a table below
        self.members = (
            Member(child=child("recorder", 1.0), role=lambda _: role(store, background=False), pump="pinned"),
            Member(child=child("portfolio"), role=lambda _: self.booker()),
            Member(child=child("gateway"), role=lambda _: self.gateway()),
            Member(child=child("risk"), role=lambda _: self.gateway()),
        )

    def booker(self):
        return Role(step=self.book, initial=Booked, accepts=(), store_prefixes=("order/",))

    def gateway(self):
        return Role(step=self.release, initial=Booked, accepts=(Released,), journaled=False)

    def book(self, state, message, _now_ns):
        if isinstance(message, Recover):
            self.beliefs.append([r.key for r in message.records])
            return Booked(tuple(r.key for r in message.records)), ()
        if isinstance(message, CommitFailed) or not isinstance(message, Wake):
            return state, ()
        key = f"order/{message.timer}"
        records = (StoreRecord(key=key, value=b"x"),)
        return Booked((*state.keys, key)), (Commit(records=records, outbox=(submit(message.timer),), fresh=(key,)),)

    def release(self, state, message, _now_ns):
        if isinstance(message, Released):
            self.released.append(message.submit.client_order_id)
        if len(self.released) >= self.wanted:
            self.enough.set()
        return state, ()


def wake(node, *names):
    for name in names:
        node.tell("portfolio", Wake(timer=name, due_ns=0))


def keys(store):
    return [r.key for r in store.records("order/")]


def handled(store, actor):
    entries = [unseal(index, data).entry.draft for index, data in store.entries()]
    return [codec.decode(e.body).timer for e in entries if e.actor == actor and b"lifecycle.wake" in e.body]


@pytest.mark.parametrize("seed", range(5))
def test_in_the_kernel_every_commit_is_released_once_and_journalled_once(seed):
    store, kernel = MemoryStore(), Kernel(seed)
    desk = Desk(store)
    node = in_kernel(kernel, GROUPS, desk.members)
    node.start()
    kernel.drain()
    wake(node, "a", "b", "a", "c")  # the second a is a duplicate
    kernel.run_for(1_000_000_000)
    assert desk.released == ["a", "b", "c"]
    assert keys(store) == ["order/a", "order/b", "order/c"]
    assert handled(store, "portfolio") == ["a", "b", "a", "c"]
    assert check_whole(store, store.shelf).records == 3


# Faults D10.
@pytest.mark.parametrize("point", ["written", "flipped"])
def test_a_recorder_that_dies_in_a_commit_takes_the_rest_along_and_all_agree_again(point):
    store, kernel = MemoryStore(), Kernel(7)
    desk = Desk(store)
    node = in_kernel(kernel, GROUPS, desk.members)
    node.start()
    wake(node, "a")
    kernel.run_for(1_000_000_000)
    deaths = [point]

    def die(reached):
        if reached in deaths:
            deaths.remove(reached)
            raise OutcomeUnknownError(reached)

    store.at_point = die
    wake(node, "b")
    kernel.run_for(5_000_000_000)
    wake(node, "c")
    kernel.run_for(1_000_000_000)
    assert desk.beliefs[-1] == [k for k in keys(store) if k != "order/c"]  # it knows what the disk knew
    assert desk.released.count("c") == desk.released.count("a") == 1
    assert set(desk.released) <= {key.removeprefix("order/") for key in keys(store)}
    check_whole(store, store.shelf)


def test_pinned_beside_a_pump_on_a_real_disk(tmp_path):
    store, clock = LmdbStore(tmp_path / "store"), SystemClock()
    desk = Desk(store)
    desk.wanted = 50
    pump = ThreadPump("core", clock)
    node = Node(clock, GROUPS, desk.members, {"core": pump})
    pump.start()
    node.start()
    wake(node, *(f"o{n:02d}" for n in range(50)))
    assert desk.enough.wait(20)
    assert node.stop("done")
    assert pump.stop()
    assert desk.released == [f"o{n:02d}" for n in range(50)]
    assert len(keys(store)) == 50
    assert check_whole(store, store.shelf).records == 50
    store.close()


class Committer:
    """Takes what the recorder answers, from its thread."""

    def __init__(self):
        self.answers = SimpleQueue()

    def put(self, envelope):
        self.answers.put(envelope.body)

    def wait(self, count):
        """The numbers of so many answers; fails when one does not come."""
        return [self.answers.get(timeout=20).number for _ in range(count)]


def test_a_burst_during_a_commit_is_the_next_commit():
    """On its own thread: one commit is held, a hundred requests come meanwhile, and one sync makes them durable."""
    began, go_on, synced = threading.Event(), threading.Event(), []

    def at_point(point):
        if point == "synced":
            synced.append(store.head().index)
        if point == "written" and store.head().index == 1 and not began.is_set():
            began.set()
            assert go_on.wait(20)

    store, asker = MemoryStore(at_point), Committer()
    recorder = Member(
        child=Child(name="recorder", group="core"), role=lambda _: role(store, background=False), pump="pinned"
    )
    clock = SystemClock()
    pump = ThreadPump("core", clock)
    node = Node(clock, GROUPS, (recorder,), {"core": pump})
    pump.start()
    node.directory.route("asker", asker)
    node.start()
    node.tell("recorder", request(0, actor="asker"))
    assert asker.wait(1) == [0]
    node.tell("recorder", request(1, actor="asker"))
    assert began.wait(20)
    for number in range(2, 102):
        node.tell("recorder", request(number, actor="asker"))
    go_on.set()
    assert asker.wait(101) == list(range(1, 102))
    assert [index for index in synced if index] == [1, 2, 102]
    assert node.stop("done")
    assert pump.stop()
