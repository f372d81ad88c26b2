"""The whole tree, asked whether another configuration may come into force under it, and made to make way for it."""

import json
from decimal import Decimal

import pytest

from actors.venue.faults import Fault
from actors.venue.in_kernel import USER, Habits
from ops.simulate.journal import of_journal
from ops.simulate.world import Simulation, brisk
from protocol.control import TAKE_UP, ProposeConfig, TakeUpConfig, View
from protocol.ids import ProductId
from protocol.launch import fixed
from protocol.orders import Side, Step, StepKind
from protocol.risk import OperatorOrder
from tests.support.order_lives import BTC, quiet_venue

OTHER = ProductId("ETH-USD")
REST = Step(kind=StepKind.LIMIT, limit_price=Decimal("99000.00"), post_only=True)
BUY = Step(kind=StepKind.IOC, through_bps=Decimal(20))


def armed(*steps):
    """A desk with an order by hand for each of these steps."""
    sim = Simulation(1, (BTC,), make=quiet_venue, policy=brisk((BTC,)), habits=Habits(tick_ms=500))
    sim.run(5.0)
    for number, step in enumerate(steps):
        order = OperatorOrder(
            correlation=f"hand/{number}",
            product_id=BTC,
            side=Side.BUY,
            base_size=Decimal("0.0003"),
            quote_size=None,
            steps=(step,),
            by="test",
            drill=False,
            reply_to="control",
        )
        sim.tell("risk", order)
        sim.run(5.0)
    return sim


def candidate(sim, *products, kind=ProposeConfig, **more):
    policy = sim.world.launch.policy
    parts = {"config_hash": "new", "before": policy.config_hash, "products": products, "fixed": fixed(policy)}
    return kind(by="test", **parts, **more)


def answer(sim, request):
    connection = sim.ask(request)
    sim.run(1.0)
    reply = sim.answer(connection)
    assert reply is not None
    return reply


def vetoes(sim, *products):
    reply = answer(sim, candidate(sim, *products))
    return {veto["actor"] for veto in json.loads(reply.data)} if reply.code else set()


def held(sim):
    return {p["product_id"]: p["quantity"] for p in json.loads(answer(sim, View(by="test", what="positions")).data)}


def resting(sim):
    return [order.client_order_id for order in sim.venue.exchange.open_orders(USER)]


@pytest.mark.req("C1")
def test_a_tree_that_holds_nothing_may_feed_something_else():
    assert vetoes(armed(), OTHER) == set()


@pytest.mark.req("C1")
def test_what_is_held_or_worked_on_has_to_be_fed_still():
    sim = armed(BUY)
    assert held(sim)
    assert (vetoes(sim, BTC, OTHER), vetoes(sim, OTHER)) == (set(), {"portfolio"})
    sim = armed(REST)
    assert resting(sim)
    assert (vetoes(sim, BTC, OTHER), vetoes(sim, OTHER)) == (set(), {"portfolio", "orders"})
    assert (sim.desk.ends, len(resting(sim))) == ([], 1), "asking changes nothing"


@pytest.mark.req("C1")
def test_a_tree_that_makes_way_leaves_nothing_resting_and_keeps_what_it_holds():
    sim = armed(BUY, REST)
    before = held(sim)
    assert answer(sim, candidate(sim, BTC, kind=TakeUpConfig, version=2, what="apply")).code == 0
    sim.run(5.0)
    assert sim.desk.ends == [f"left with {TAKE_UP}"]
    assert resting(sim) == []
    sim.again()
    sim.run(10.0)
    assert held(sim) == before
    assert of_journal(sim) == []


@pytest.mark.req("C1")
def test_a_venue_that_is_gone_holds_a_desk_that_makes_way_up_for_seconds_only():
    sim = armed(BUY)
    sim.venue.faults.add([Fault(kind="maintenance", target="*", for_s=60.0)], sim.clock.now_ns())
    assert answer(sim, candidate(sim, BTC, kind=TakeUpConfig, version=2, what="apply")).code == 0
    sim.run(12.0)
    assert sim.desk.ends == [f"left with {TAKE_UP}"]
