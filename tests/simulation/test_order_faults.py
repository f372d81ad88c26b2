"""Faults of order entry and of rooms that hold orders, in the whole desk and in its time: each bound is measured."""

from collections import Counter

import pytest
from msgspec.structs import replace

from actors.venue.faults import Fault
from actors.venue.in_kernel import USER
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from ops.simulate.world import TOKEN_LIFE_S
from protocol.orders import OrderUpdate, Side, Status
from protocol.risk import TradingState
from tests.support.order_lives import (
    BUY,
    MAKER,
    MUTE,
    armed,
    cancel_all,
    fault,
    hit,
    intent,
    posted,
    quiet,
)

MARGIN_S = 10
ROOMS = ("recorder", "portfolio", "risk", "orders", "order", "cycle", "control", "gateway", "user_feed", "universe")
RESTS = replace(MAKER, ttl_s=600.0)
LOST = {
    "C1: no answer": fault("drop"),
    "C4: an error": fault("error"),
    "C9: half a body": fault("truncate"),
    "C10: a reset": fault("reset"),
}


def states(simulation):
    """The states that the newest order went through."""
    told = [m.state for _, m in messages(unsealed(simulation)) if isinstance(m, OrderUpdate)]
    return [state.status for state in told if state.client_order_id == told[-1].client_order_id]


def reached(simulation, status):
    return status in states(simulation)


def wrong(simulation):
    return [*of_journal(simulation), *at_rest(simulation)]


def places(simulation):
    return sum(entry.route == "create_order" for entry in simulation.venue.log.entries())


def resting(simulation):
    return {order.client_order_id for order in simulation.venue.exchange.open_orders(USER)}


def owned(simulation):
    """The orders whose actors live."""
    records = simulation.desk.node.tree.records
    return {name.removeprefix("order:") for name, r in records.items() if name.startswith("order:") and r.shell}


@pytest.mark.req("X1")
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_an_order_whose_answer_is_lost_is_found_within_five_seconds_and_never_sent_again(lost):
    """The stream says nothing meanwhile: only asking tells."""
    simulation = armed()
    for act in (MUTE, lost, BUY):
        act(simulation)
    simulation.seconds_until(lambda: reached(simulation, Status.UNRESOLVED), 4)
    assert simulation.seconds_until(lambda: states(simulation)[-1] is Status.ACCEPTED, 5) <= 5
    simulation.run(TOKEN_LIFE_S + MARGIN_S)
    assert (places(simulation), len(resting(simulation)), wrong(simulation)) == (1, 1, [])


@pytest.mark.req("X1")
def test_an_order_that_never_arrived_is_given_up_when_its_signature_died_and_not_before():
    simulation = armed()
    fault("drop", accepted=False)(simulation)
    BUY(simulation)
    simulation.seconds_until(lambda: reached(simulation, Status.UNRESOLVED), 4)
    ended = simulation.seconds_until(lambda: reached(simulation, Status.REJECTED), TOKEN_LIFE_S + MARGIN_S)
    assert ended >= TOKEN_LIFE_S - 4, "its signature was still good"
    simulation.run(MARGIN_S)
    assert (places(simulation), resting(simulation), wrong(simulation)) == (1, set(), [])


@pytest.mark.req("K1")
def test_cancels_that_are_turned_away_for_three_seconds_empty_the_book_within_six():
    simulation = armed()
    for number in range(5):
        intent(f"buy-{number}", Side.BUY, RESTS)(simulation)
    simulation.seconds_until(lambda: len(resting(simulation)) == 5, 5)
    posted(Fault(kind="rate_limit", target="cancel_orders", for_s=3.0, parameters={"retry_after_s": 1}))(simulation)
    cancel_all(simulation)
    simulation.seconds_until(lambda: not resting(simulation), 6)
    asked = sum(entry.route == "cancel_orders" for entry in simulation.venue.log.entries())
    assert asked <= 5 * 20, "turned away is no reason to hammer"
    simulation.run(MARGIN_S)
    assert wrong(simulation) == []


def room_of(simulation, kind):
    """The actor of a kind, as the tree tells of it."""
    return next(row for row in simulation.desk.node.snapshot() if kind in (row["name"], row["name"].partition(":")[0]))


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_crashes_is_back_within_a_tenth_of_a_second_and_has_recovered_within_one(room):
    """Whoever started after it begins anew as well; the desk trades when it has its picture again."""
    simulation = armed()
    intent("before", Side.BUY, RESTS)(simulation)
    simulation.seconds_until(lambda: len(resting(simulation)) == 1, 2)
    before = room_of(simulation, room)["incarnation"]
    simulation.crash(room)
    simulation.run(0.1)
    row = room_of(simulation, room)
    assert (row["alive"], row["incarnation"] > before) == (True, True), row
    simulation.run(0.9)
    rows = simulation.desk.node.snapshot()
    assert [row for row in rows if (row["state"], row["mailbox_depth"]) != ("running", 0)] == []
    assert owned(simulation) == resting(simulation)
    simulation.seconds_until(lambda: trading(simulation) is TradingState.ACTIVE, 4)
    assert wrong(simulation) == []


def trading(simulation):
    """What the control room heard of risk; None: nothing yet."""
    view = simulation.desk.node.tree.records["control"].shell.state.risk
    return view and view.state


@pytest.mark.slow
def test_a_gateway_that_dies_with_twenty_requests_in_flight_leaves_all_in_doubt_and_sends_none_again():
    simulation = armed()
    posted(Fault(kind="delay", target="create_order", for_s=2.0, parameters={"ms": 2000, "after": True}))(simulation)
    MUTE(simulation)
    for number in range(20):
        intent(f"buy-{number}", Side.BUY, RESTS, size="0.0001")(simulation)  # together below the product's cap
    simulation.seconds_until(lambda: places(simulation) >= 15, 2)
    simulation.crash("gateway")
    arrived = places(simulation)
    simulation.seconds_until(lambda: Status.SUBMITTED not in newest(simulation).values(), 5)
    assert len(owned(simulation)) == 20
    assert Counter(newest(simulation).values()) == {Status.ACCEPTED: arrived, Status.UNRESOLVED: 20 - arrived}
    simulation.run(TOKEN_LIFE_S + MARGIN_S)
    assert Counter(newest(simulation).values()) == {Status.ACCEPTED: arrived, Status.REJECTED: 20 - arrived}
    assert (places(simulation), len(resting(simulation)), wrong(simulation)) == (arrived, arrived, [])


def newest(simulation):
    """What was said last of each order."""
    told = (m.state for _, m in messages(unsealed(simulation)) if isinstance(m, OrderUpdate))
    return {state.client_order_id: state.status for state in told}


@pytest.mark.slow
def test_a_desk_room_that_dies_with_two_hundred_orders_owns_them_all_again_within_five_seconds():
    simulation = armed()
    for number in range(200):
        intent(f"buy-{number}", Side.BUY, RESTS, size="0.0003")(simulation)
        simulation.run(0.4)  # what the entries' lane lets through
    simulation.seconds_until(lambda: len(resting(simulation)) == 200, 5)
    held = resting(simulation)
    simulation.crash("orders")
    simulation.run(0.01)
    simulation.seconds_until(lambda: owned(simulation) == held == resting(simulation), 5)
    cancel_all(simulation)
    simulation.seconds_until(lambda: not resting(simulation), 10)
    assert places(simulation) == 200
    assert wrong(simulation) == []


@pytest.mark.req("X2")
def test_a_portfolio_that_dies_in_a_burst_of_fills_books_each_once():
    simulation = armed()
    BUY(simulation)
    simulation.run(1.0)
    for number in range(18):
        hit("0.00005")(simulation)
        if number % 6 == 3:
            simulation.crash("portfolio")
        simulation.run(0.05)
    cancel_all(simulation)
    simulation.seconds_until(lambda: quiet(simulation), MARGIN_S)
    assert len(simulation.fills()) >= 15
    assert ledger_totals(simulation) == venue_totals(simulation)
    assert wrong(simulation) == []
