"""A kill in virtual time: what rests is cancelled, and nothing new leaves, restarts included, until a rearm."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.venue.in_kernel import USER, Habits
from ops.simulate.journal import of_journal
from ops.simulate.moment import at_rest
from ops.simulate.world import Simulation, brisk
from protocol.control import NO_LATCH, Latch
from protocol.risk import TradingState
from tests.support.order_lives import BTC, quiet_venue, resting_order


def armed():
    simulation = Simulation(1, (BTC,), make=quiet_venue, policy=brisk((BTC,)), habits=Habits(tick_ms=500))
    simulation.run(5.0)
    return simulation


def ask(simulation, number, price="99000.00"):
    simulation.tell("risk", resting_order(number, Decimal(price)))


def kill(simulation):
    """What the watchdog does first: the latch, and the epoch. The desk hears of it by its pages."""
    pages = simulation.world.pages
    pages.epoch += 1
    pages.latch = Latch(killed=True, epoch=1, reason="test", by="test", at_ns=simulation.clock.now_ns(), scope="mine")


def resting(simulation):
    return [order.client_order_id for order in simulation.venue.exchange.open_orders(USER)]


def places(simulation):
    return sum(entry.route == "create_order" for entry in simulation.venue.log.entries())


def state(simulation):
    return simulation.desk.node.tree.records["control"].shell.state.risk.state


@pytest.mark.req("K1")
def test_a_killed_desk_cancels_and_its_successors_place_nothing_until_rearmed():
    simulation = armed()
    ask(simulation, 0)
    simulation.run(2.0)
    assert len(resting(simulation)) == 1
    kill(simulation)
    for second in range(8):
        ask(simulation, second + 1)
        simulation.run(1.0)
        if simulation.desk.ends:
            simulation.again()
    assert resting(simulation) == []
    assert simulation.desks > 1, "a desk whose epoch was revoked leaves"
    assert places(simulation) == 1
    simulation.again()
    for second in range(10):
        ask(simulation, second + 20)
        simulation.run(1.0)
    assert (places(simulation), state(simulation)) == (1, TradingState.KILLED)
    simulation.world.pages.latch = replace(NO_LATCH, at_ns=simulation.clock.now_ns())
    simulation.run(5.0)
    assert state(simulation) is TradingState.ACTIVE
    ask(simulation, 99)
    simulation.run(2.0)
    assert places(simulation) == 2
    assert [*of_journal(simulation), *at_rest(simulation)] == []


@pytest.mark.req("K1")
def test_a_moved_epoch_fences_a_request_that_the_desk_had_released():
    """Nobody has told the desk yet: the request is refused where it would have left."""
    simulation = armed()
    simulation.world.pages.epoch += 1
    ask(simulation, 0)
    simulation.run(0.05)
    assert places(simulation) == 0
    simulation.run(3.0)
    assert (places(simulation), resting(simulation)) == (0, [])
    assert of_journal(simulation) == []
