"""The desk dies at every commit of an order's life and at every answer; the next one owns what is left.

For each transaction: before it is written, and after it is durable but before anybody is told. For each request: when
it has arrived and the answer will find nobody, and when the answer is back and nobody has taken it. Then a new desk
starts from what was durable, and lives on until everything is quiet.
"""

from dataclasses import replace
from functools import cache
from random import Random

import pytest

from protocol import codec
from protocol.orders import OrderState
from tests.support.invariants import OPEN, at_rest, of_journal, unsealed
from tests.support.order_lives import LIVES, live
from tests.support.settled import ledger_totals, venue_totals

SAMPLE = 20
ROOM_SAMPLE = 2
ROOMS = ("recorder", "portfolio", "risk", "orders", "order", "cycle", "control", "gateway", "user_feed", "universe")


def suits(room, death):
    """An order can only die while there is one: from its first commit on."""
    return room != "order" or death.where != "before"


@cache
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
    assert death is None or died(simulation, death), "nobody died there"
    return passed, faults


def died(simulation, death):
    """Whether the death took place: another desk, or a room in its second incarnation."""
    if not death.room:
        return simulation.desks == 2
    handed_over = {
        entry.draft.actor for entry in (s.entry for s in unsealed(simulation)) if entry.draft.incarnation > 1
    }
    rows = {row["name"]: row["incarnation"] for row in simulation.desk.node.snapshot()}
    return rows.get(death.room, 0) > 1 or any(name.partition(":")[0] == death.room for name in handed_over)


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


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_dies_leaves_everything_in_order(room):
    """Faults D1, D10 to D14: one room alone ends, the recorder in the middle of a transaction."""
    every = [(name, replace(death, room=room)) for name in LIVES for death in points(name) if suits(room, death)]
    chosen = Random(room).sample(every, ROOM_SAMPLE)
    assert {str(one): faults for one in chosen if (faults := lived(*one)[1])} == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_may_die_anywhere(room):
    every = [(name, replace(death, room=room)) for name in LIVES for death in points(name) if suits(room, death)]
    assert {str(one): faults for one in every if (faults := lived(*one)[1])} == {}
