"""The desk dies at every commit of an order's life and at every answer; the next one owns what is left.

For each transaction: before it is written, and after it is durable but before anybody is told. For each request: when
it has arrived and the answer will find nobody, and when the answer is back and nobody has taken it. Then a new desk
starts from what was durable, and lives on until everything is quiet. An order alone also dies over each message that it
takes, and right behind each: between its `Place` and the commit, between the commit and the word of it.
"""

from dataclasses import replace
from functools import cache
from random import Random

import pytest

from ops.simulate import moment
from ops.simulate.journal import OPEN, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from protocol import codec
from protocol.orders import OrderState
from tests.support.order_lives import LIVES, live

SAMPLE = 20
ROOM_SAMPLE = 2
ROOMS = ("recorder", "portfolio", "risk", "orders", "order", "cycle", "control", "gateway", "user_feed", "universe")


def suits(room, death):
    """An order can only die while there is one: from its first commit on."""
    return room != "order" or death.where != "before"


@cache
def passed_by(name):
    """Every point of one undisturbed life."""
    return live(name)


def points(name):
    """Those at which a desk can die."""
    return [death for death in passed_by(name) if not death.room]


def turns(name):
    """Those at which an order can die over a message, or right behind it."""
    return [death for death in passed_by(name) if death.room == "order"]


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
    runs = moment.room(simulation, "orders").runs.values()
    stuck = [r for r in runs if r.order is None or simulation.store.value(OPEN + r.order.client_order_id) is None]
    faults += [f"{run.intent.correlation} never came to its end" for run in stuck]
    assert death is None or died(simulation, death), "nobody died there"
    return passed, faults


def broken(deaths):
    """What was wrong after which of these deaths, each in a life of its own."""
    return {str(one): faults for one in deaths if (faults := lived(*one)[1])}


def of_room(room):
    """Every death of a room in every life."""
    return [(name, replace(death, room=room)) for name in LIVES for death in points(name) if suits(room, death)]


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
    assert broken(chosen) == {}


@pytest.mark.slow
@pytest.mark.req("X1")
@pytest.mark.parametrize("name", LIVES)
def test_every_death_leaves_everything_in_order(name):
    every = points(name)
    print(f"{name}: {len(every)} deaths")
    assert broken((name, death) for death in every) == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_dies_leaves_everything_in_order(room):
    """Faults D1, D10 to D14: one room alone ends, the recorder in the middle of a transaction."""
    chosen = Random(room).sample(of_room(room), ROOM_SAMPLE)
    assert broken(chosen) == {}


FIRST_TURNS = 3
"""What an order takes first: nothing stored, its `Place`, the venue's answer."""


@pytest.mark.req("X1")
@pytest.mark.parametrize("name", ["taken_at_once", "cancel_before_the_answer", "answer_dropped"])
def test_an_order_may_die_between_its_place_and_the_word_of_its_commit(name):
    """Faults D12: one request reached the venue at most, and what reached it is owned."""
    first = [death for death in turns(name) if death.number <= FIRST_TURNS]
    assert {death.where for death in first} == {"taking", "taken"}
    assert broken((name, death) for death in first) == {}


@pytest.mark.slow
@pytest.mark.req("X1")
@pytest.mark.parametrize("name", LIVES)
def test_an_order_may_die_over_every_message_and_right_behind_it(name):
    every = turns(name)
    print(f"{name}: {len(every)} deaths")
    assert broken((name, death) for death in every) == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_may_die_anywhere(room):
    assert broken(of_room(room)) == {}
