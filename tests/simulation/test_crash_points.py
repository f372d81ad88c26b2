"""The desk dies at every commit of an order's life and at every answer; the next one owns what is left.

For each transaction: before it is written, and after it is durable but before anybody is told. For each request: when
it has arrived and the answer will find nobody, and when the answer is back and nobody has taken it. Then a new desk
starts from what was durable, and lives on until everything is quiet.
"""

from random import Random

import pytest

from protocol import codec
from protocol.orders import OrderState
from tests.support.invariants import OPEN, at_rest, of_journal
from tests.support.order_lives import LIVES, live
from tests.support.settled import ledger_totals, venue_totals

SAMPLE = 20


def points(name):
    """Every point of one undisturbed life."""
    return live(name)


def lived(name, death):
    """One life with this death, and what was wrong: on the way, and at its end."""
    faults, last = [], {}

    def look(simulation):
        last["simulation"] = simulation
        faults.extend(at_rest(simulation))

    passed = live(name, death, look)
    simulation = last["simulation"]
    faults += of_journal(simulation)
    if ledger_totals(simulation) != venue_totals(simulation):
        faults.append(f"the ledger says {ledger_totals(simulation)}, the venue {venue_totals(simulation)}")
    booked = {record.key.rpartition("/")[2] for record in simulation.store.records("portfolio/fill/")}
    if booked != {fill.entry_id for fill in simulation.fills()}:
        faults.append(f"booked {sorted(booked)}, filled {sorted(fill.entry_id for fill in simulation.fills())}")
    for record in simulation.store.records(OPEN):
        order = codec.decode_value(record.value, OrderState)
        owner = simulation.desk.node.tree.records.get(f"order:{order.client_order_id}")
        if owner is None or owner.shell is None:
            faults.append(f"{order.client_order_id} is {order.status.value} and has no owner")
    assert death is None or simulation.desks == 2, "the desk did not die there"
    return passed, faults


@pytest.mark.req("X1")
@pytest.mark.parametrize("name", LIVES)
def test_a_life_without_a_death_is_in_order(name):
    passed, faults = lived(name, None)
    assert faults == []
    assert {death.where for death in passed} >= {"before", "after", "arrived"}


@pytest.mark.req("X1")
def test_a_sample_of_deaths_leaves_everything_in_order():
    every = [(name, death) for name in LIVES for death in points(name)]
    chosen = Random(20).sample(every, SAMPLE)
    assert {str(one): faults for one in chosen if (faults := lived(*one)[1])} == {}


@pytest.mark.slow
@pytest.mark.req("X1")
@pytest.mark.parametrize("name", LIVES)
def test_every_death_leaves_everything_in_order(name):
    every = points(name)
    print(f"{name}: {len(every)} deaths")
    assert {str(death): faults for death in every if (faults := lived(name, death)[1])} == {}
