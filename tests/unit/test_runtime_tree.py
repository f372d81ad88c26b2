"""The supervision engine in virtual time, and its two live parts: hung pinned actors and pumps on two threads."""

import asyncio
import threading
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from actors.runtime.clock import SystemClock
from actors.runtime.kernel import Kernel
from actors.runtime.node import Node, in_kernel
from actors.runtime.pumps import AsyncioPump, ThreadPump
from actors.runtime.restarts import Beyond, Child, Group, Restart, Strategy
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol.effects import Count, Spawn, Tell
from tests.support.small_tree import Add, Total, Urgent

S = 1_000_000_000
GROUPS = (
    Group(name="root", intensity=1, period_s=300.0),
    Group(name="core", under="root", strategy=Strategy.REST_FOR_ONE, intensity=3, period_s=60.0),
    Group(name="orders", under="core"),
    Group(name="feeds", under="root", intensity=10, period_s=300.0, beyond=Beyond.PARK),
    Group(name="side", under="root", intensity=2, period_s=600.0, beyond=Beyond.GIVE_UP),
)


class World:
    """recorder, desk, orders by kind, control in the core; a feed; something on the side. `Urgent` ends its reader."""

    def __init__(self):
        self.kernel, self.log, self.escalated = Kernel(seed=3), [], []
        members = (
            Member(child=Child(name="recorder", group="core"), role=self.role),
            Member(child=Child(name="desk", group="core"), role=self.role),
            Member(child=Child(name="order", group="orders", restart=Restart.TRANSIENT), role=self.role, kind=True),
            Member(child=Child(name="control", group="core"), role=self.role),
            Member(child=Child(name="feed", group="feeds", backoff_s=(0.25, 30.0)), role=self.role),
            Member(child=Child(name="side", group="side"), role=self.role),
        )
        self.node = in_kernel(self.kernel, GROUPS, members, journal=None, escalate=self.escalated.append)
        self.node.start()
        self.kernel.drain()

    def role(self, name):
        def step(state, message, now_ns):
            self.log.append((name, type(message).__name__))
            match message:
                case Urgent():
                    raise RuntimeError(message.text)
                case Add():
                    return state, (Spawn(name=f"order:{message.number}", kind="order", first=Total(value=1)),)
            return state, ()

        return Role(step, lambda: 0, (Add, Urgent, Total))

    def crash(self, *names):
        for name in names:
            # The redelivered message ends the next incarnation too: two exits each, as a poison message makes them.
            self.node.directory.tell(name, Urgent(text="crash"))
            self.kernel.drain()

    def incarnations(self):
        return {row["name"]: row["incarnation"] for row in self.node.snapshot()}


@pytest.fixture
def world():
    return World()


def test_children_start_in_order_and_stop_in_reverse(world):
    names = ["recorder", "desk", "control", "feed", "side"]
    assert [row["name"] for row in world.node.snapshot()] == names
    world.log.clear()
    world.node.tree.stop("bye")
    world.kernel.drain()
    assert world.log == [(name, "Stop") for name in reversed(names)]
    assert world.node.tree.stopped


def test_rest_for_one_restarts_what_started_later_and_spawned_children_with_it(world):
    world.node.directory.tell("desk", Add(number=1))
    world.kernel.drain()
    world.crash("desk")
    found = world.incarnations()
    assert {n: found[n] for n in ("recorder", "desk", "order:1", "control", "feed")} == {
        "recorder": 1,
        "desk": 3,
        "order:1": 3,
        "control": 3,
        "feed": 1,
    }


def test_an_order_that_crashes_is_restarted_alone_and_spawning_the_living_does_nothing(world):
    for _ in range(2):
        world.node.directory.tell("desk", Add(number=1))
        world.kernel.drain()
    assert world.log.count(("order:1", "Total")) == 1
    world.crash("order:1")
    assert world.incarnations() == {"recorder": 1, "desk": 1, "control": 1, "feed": 1, "side": 1, "order:1": 3}


def test_too_many_exits_restart_the_group_then_escalate(world):
    world.crash("recorder")
    assert world.escalated == []
    world.crash("recorder")  # the fourth exit: the group starts again as a whole
    assert world.incarnations()["recorder"] == 5
    world.crash("recorder", "recorder")
    assert world.escalated == ["recorder: 4 exits in 60 s"]


def test_a_feed_backs_off_then_is_parked_and_tried_again_without_touching_others(world):
    for patience_s in (1, 3, 13, 47, 61):  # each crash is redelivered once: two exits, two backoffs
        world.crash("feed")
        world.kernel.run_for(patience_s * S)
    assert world.incarnations()["feed"] == 11
    world.crash("feed")
    row = next(row for row in world.node.snapshot() if row["name"] == "feed")
    assert (row["alive"], row["state"]) == (False, "parked")
    world.kernel.run_for(301 * S)
    assert world.incarnations() == {"recorder": 1, "desk": 1, "control": 1, "feed": 13, "side": 1}
    assert world.escalated == []


def test_the_first_backoff_is_waited_for(world):
    world.crash("feed")
    assert world.incarnations()["feed"] == 1
    world.kernel.run_for(S // 4)
    assert world.incarnations()["feed"] == 2
    world.kernel.run_for(S // 2)
    assert world.incarnations()["feed"] == 3


def test_what_is_given_up_stays_down_and_trading_goes_on(world):
    world.crash("side", "side")
    world.kernel.run_for(3600 * S)
    states = {row["name"]: row["state"] for row in world.node.snapshot()}
    assert states == {"recorder": "running", "desk": "running", "control": "running", "feed": "running"} | {
        "side": "given_up"
    }
    assert world.escalated == []


def test_a_factory_that_fails_is_an_exit_like_any_other():
    kernel, escalated = Kernel(seed=1), []

    def role(name):
        raise OSError("no such key")

    member = Member(child=Child(name="a", group="g"), role=role)
    node = in_kernel(kernel, (Group(name="g", intensity=2),), (member,), journal=None, escalate=escalated.append)
    node.start()
    assert escalated == ["a: 3 exits in 60 s"]


def test_one_label_per_actor_and_orders_share_theirs_for_good(world):
    for number in range(5):
        world.node.directory.tell("desk", Add(number=number))
    world.kernel.drain()
    world.crash("order:2")
    world.node.metrics.count("trader_things_total", (("kind", "x"),), 2)
    registry = CollectorRegistry()
    registry.register(world.node.collector)
    text = generate_latest(registry).decode()
    assert 'trader_actor_handled_total{actor="order"} 5.0' in text
    assert 'trader_actor_errors_total{actor="order"} 2.0' in text
    assert 'trader_handled_messages_total{actor="desk",message="Add"} 5.0' in text
    assert 'trader_things_total{kind="x"} 2.0' in text
    assert "order:" not in text


# --- live -------------------------------------------------------------------------------------------------------------


def until(condition, limit_s=5.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


def live(member_of, dispatchers, **kw):
    node = Node(SystemClock(), GROUPS, member_of, dispatchers, journal=None, **kw)
    node.start()
    return node


def test_a_hung_pinned_actor_is_fenced_and_its_message_handled_by_the_next():
    hang, heard, pump = threading.Event(), [], ThreadPump("core", SystemClock())

    def step(state, message, now_ns):
        if isinstance(message, Add):
            mine = len(heard)
            heard.append(message.number)
            if mine == 0:
                hang.wait(10)
            return state, (Tell(to="b", message=Total(value=mine)),)
        return state, ()

    told = []

    def listen(state, message, now_ns):
        told.append(message)
        return state, ()

    members = (
        Member(
            child=Child(name="a", group="side", beat_s=0.2), role=lambda _: Role(step, lambda: 0, (Add,)), pump="pinned"
        ),
        Member(child=Child(name="b", group="side"), role=lambda _: Role(listen, lambda: 0, (Total,))),
    )
    pump.start()
    node = live(members, {"core": pump})
    node.directory.tell("a", Add(number=1))
    node.directory.tell("a", Add(number=2))
    until(lambda: heard == [1, 1, 2])
    hang.set()  # the predecessor wakes, and may do nothing
    until(lambda: len(told) == 3)
    threading.Event().wait(0.05)
    assert [m for m in told if isinstance(m, Total)] == [Total(value=1), Total(value=2)]
    assert next(r for r in node.snapshot() if r["name"] == "a")["incarnation"] == 2
    assert node.stop("done")
    assert pump.stop()


def test_a_hung_pump_cannot_be_mended_in_place_and_is_escalated():
    hang, reasons, pump = threading.Event(), [], ThreadPump("core", SystemClock())

    def step(state, message, now_ns):
        if isinstance(message, Add):
            hang.wait(10)
        return state, ()

    member = Member(child=Child(name="a", group="core", beat_s=0.2), role=lambda _: Role(step, lambda: 0, (Add,)))
    pump.start()
    node = live((member,), {"core": pump}, escalate=reasons.append)
    node.directory.tell("a", Add(number=1))
    until(lambda: reasons)
    assert "a hangs on its pump" in reasons[0]
    hang.set()
    node.stop("done")
    assert pump.stop()


def test_two_pumps_pass_mail_back_and_forth_and_timers_wake_a_sleeping_loop():
    async def world():
        clock, loop, done = SystemClock(), asyncio.get_running_loop(), asyncio.Event()
        core, io = ThreadPump("core", clock), AsyncioPump(clock, loop)

        def pong(to, limit):
            def step(state, message, now_ns):
                match message:
                    case Add(number=n) if n == limit:
                        loop.call_soon_threadsafe(done.set)
                    case Add():
                        return state, (Tell(to=to, message=Add(number=message.number + 1)), Count(metric="hops_total"))
                return state, ()

            return lambda _: Role(step, lambda: 0, (Add,))

        members = (
            Member(child=Child(name="a", group="core", beat_s=1.0), role=pong("b", 500)),
            Member(child=Child(name="b", group="core", beat_s=1.0), role=pong("a", 500), pump="io"),
        )
        core.start()
        io.start()
        node = live(members, {"core": core, "io": io})
        node.directory.tell("a", Add(number=0))
        await asyncio.wait_for(done.wait(), 5)
        assert node.metrics.values() == {("hops_total", ()): 500.0}
        assert await asyncio.to_thread(node.stop, "done")
        assert core.stop()
        io.stop()

    asyncio.run(world())


def test_an_event_lane_over_its_bound_is_reported_and_nothing_is_dropped():
    reports, gate, heard = [], threading.Event(), []
    pump = ThreadPump("core", SystemClock())

    def step(state, message, now_ns):
        if isinstance(message, Add):
            gate.wait(5)
            heard.append(message.number)
        return state, ()

    member = Member(child=Child(name="a", group="core"), role=lambda _: Role(step, lambda: 0, (Add,)), bound=50)
    pump.start()
    node = live((member,), {"core": pump}, overflow=lambda *said: reports.append(said))
    for number in range(100):
        node.directory.tell("a", Add(number=number))
    until(lambda: reports)
    assert reports[0][1] > 50
    gate.set()
    until(lambda: len(heard) == 100)
    until(lambda: len(reports) == 2)  # and once more, when it is over
    assert heard == list(range(100))
    assert node.stop("done")
    assert pump.stop()


def test_a_recorder_less_process_refuses_actors_that_keep_records():
    reasons, kernel = [], Kernel(seed=1)
    member = Member(
        child=Child(name="a", group="g"), role=lambda _: Role(lambda s, m, n: (s, ()), int, (), store_prefixes=("a/",))
    )
    node = in_kernel(kernel, (Group(name="g"),), (member,), journal=None, escalate=reasons.append)
    node.start()
    kernel.drain()
    assert len(reasons) == 1
