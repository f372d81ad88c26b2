"""What an actor costs to start, to keep and to forget: orders come and go by the thousand."""

import gc
import statistics
import threading
import time
import tracemalloc

import pykka
import pytest

from actors.runtime.kernel import Kernel
from actors.runtime.node import in_kernel
from actors.runtime.restarts import Child, Group, Restart
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol.effects import Retire, SetTimer, Spawn
from protocol.lifecycle import Recover, Wake
from tests.support.small_tree import Add

SPAWNS = 500


def desk(state, message, now_ns):
    if not isinstance(message, Add):
        return state, ()
    return state, tuple(
        Spawn(name=f"order:{state + n}", kind="order", first=Add(number=n)) for n in range(message.number)
    )


def order(state, message, now_ns):
    match message:
        case Add():
            timers = ("answer", "expiry", "lookup")
            return state, tuple(SetTimer(timer=t, due_ns=now_ns + 30_000_000_000) for t in timers)
        case Wake():
            return state, (Retire(),)
    return state, ()


def world():
    kernel = Kernel(seed=1)
    members = (
        Member(child=Child(name="orders", group="core"), role=lambda _: Role(desk, lambda: 0, (Add,))),
        Member(
            child=Child(name="order", group="core", restart=Restart.TRANSIENT),
            role=lambda _: Role(order, lambda: 0, (Add,)),
            kind=True,
        ),
    )
    node = in_kernel(kernel, (Group(name="core"),), members, journal=None)
    node.start()
    kernel.drain()
    return kernel, node


@pytest.fixture(autouse=True)
def _forget_everything():
    yield
    for ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)


def spawn(kernel, node, number):
    node.directory.tell("orders", Add(number=number))
    kernel.drain()


def test_five_hundred_orders_start_in_fifty_milliseconds():
    took = []
    for _ in range(5):
        kernel, node = world()
        gc.collect()
        begun = time.thread_time()
        spawn(kernel, node, SPAWNS)
        took.append(time.thread_time() - begun)
        assert len(node.snapshot()) == SPAWNS + 1
    assert statistics.median(took) <= 0.050, took


def test_a_live_order_costs_at_most_sixteen_kib():
    kernel, node = world()
    spawn(kernel, node, 10)
    kernel.run_for(60_000_000_000)
    gc.collect()
    tracemalloc.start()
    spawn(kernel, node, SPAWNS)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / SPAWNS <= 16 * 1024


def test_ten_thousand_finished_orders_leave_nothing_behind():
    kernel, node = world()
    spawn(kernel, node, SPAWNS)
    kernel.run_for(60_000_000_000)
    threads, registered = threading.active_count(), len(pykka.ActorRegistry.get_all())
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(10_000 // SPAWNS):
        spawn(kernel, node, SPAWNS)
        kernel.run_for(60_000_000_000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert threading.active_count() == threads
    assert len(pykka.ActorRegistry.get_all()) == registered
    assert list(node.directory.targets) == ["orders"]
    assert len(kernel.timers) == 0
    assert after - before <= 64 * 1024
    counts, _ = node.totals.now(node.directory.boxes())
    assert counts["order"]["handled"] == 2 * (10_000 + SPAWNS)


def test_a_recover_comes_first_and_its_own_mail_after():
    heard = []

    def step(state, message, now_ns):
        heard.append(type(message))
        return state, ()

    kernel = Kernel(seed=1)
    members = (Member(child=Child(name="a", group="core"), role=lambda _: Role(step, lambda: 0, (Add,))),)
    node = in_kernel(kernel, (Group(name="core"),), members, journal=None)
    node.start()
    node.directory.tell("a", Add(number=1))
    kernel.drain()
    assert heard == [Recover, Add]
