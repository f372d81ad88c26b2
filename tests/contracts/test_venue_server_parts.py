"""The venue's buckets, fault plans and slow consumers, without a server around them."""

import asyncio

import pytest

from actors.venue.faults import REST, Fault, FaultPlan
from actors.venue.limits import Buckets, Rate
from actors.venue.server_connection import PATIENCE_NS, Connection
from actors.venue.server_frames import Frame

pytestmark = pytest.mark.req("X1")

S = 1_000_000_000


def test_a_bucket_holds_its_burst_and_refills_at_its_rate():
    buckets = Buckets(Rate(per_s=30, burst=30))
    assert [buckets.take("key", 0).allowed for _ in range(31)] == [True] * 30 + [False]
    assert buckets.take("other", 0).allowed
    assert not buckets.take("key", S // 31).allowed
    assert buckets.take("key", S // 31 + S // 200).allowed
    assert [buckets.take("key", 100 * S).remaining for _ in range(2)] == [29, 28]


def test_a_bucket_survives_a_clock_that_goes_back():
    buckets = Buckets(Rate(per_s=1, burst=1))
    assert buckets.take("key", 10 * S).allowed
    assert not buckets.take("key", 5 * S).allowed


@pytest.mark.parametrize(
    ("fault", "turns"),
    [
        ({}, {0: 0, 5: 0, 100: 0}),
        ({"at_s": 2}, {0: None, 1.9: None, 2: 0, 100: 0}),
        ({"at_s": 2, "for_s": 3}, {1: None, 2: 0, 4.9: 0, 5: None}),
        ({"every": 10, "for_s": 1}, {0: 0, 0.9: 0, 1: None, 10: 1, 11: None, 20.5: 2}),
        ({"at_s": 1, "every": 10}, {0: None, 1: 0, 10.9: 0, 11: 1}),
    ],
)
def test_when_an_entry_is_on(fault, turns):
    entry = Fault(kind="drop", **fault)
    assert {at_s: entry.turn(at_s) for at_s in turns} == turns


def strikes(seed):
    plan = FaultPlan(seed)
    plan.add([Fault(kind="drop", probability=0.5, target="create_*")], 0)
    return ["drop" in plan.strike(REST, ["create_order", "rest"], at * S) for at in range(64)]


def test_the_same_seed_strikes_the_same_requests():
    assert strikes(1) == strikes(1) != strikes(2)
    assert 16 < sum(strikes(1)) < 48


def test_count_is_per_turn_and_the_target_matters():
    plan = FaultPlan(1)
    plan.add([Fault(kind="drop", every=10, count=2, target="orders")], 0)
    times = [0, 1, 2, 3, 10, 11, 12]
    assert not plan.strike(REST, ["rest"], 0)
    assert [bool(plan.strike(REST, ["orders"], at * S)) for at in times] == [1, 1, 0, 0, 1, 1, 0]
    assert plan.totals == {"drop": 4}


class Transport:
    aborted = False

    def abort(self):
        self.aborted = True


class Request:
    def __init__(self):
        self.transport = Transport()


class DeafSocket:
    """A peer whose window is full: what is sent never leaves."""

    async def send_str(self, _):
        await asyncio.Event().wait()


def test_a_consumer_that_takes_nothing_is_cut():
    async def scene():
        now_ns = S
        request = Request()
        connection = Connection(DeafSocket(), request, FaultPlan(1), lambda: now_ns)
        writer = asyncio.create_task(connection.write())
        connection.send(Frame("heartbeats", now_ns, []))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not connection.stalled(now_ns + PATIENCE_NS)
        assert connection.stalled(now_ns + PATIENCE_NS + 1)
        connection.close(1006)
        writer.cancel()
        return request.transport.aborted

    assert asyncio.run(scene())
