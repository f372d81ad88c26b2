"""Every order of ours has an owner until it has ended: cancels, drains, renewals, restarts, orphans."""

import pytest
from msgspec.structs import replace

from actors.order import desk as desks
from actors.order.plan import LOST
from protocol import codec
from protocol.effects import Note
from protocol.ids import parse_client_order_id
from protocol.lifecycle import ActorExited, StoreRecord
from protocol.orders import (
    CancelOrder,
    Drain,
    Drained,
    OrderReported,
    Place,
    Purpose,
    Status,
)
from protocol.risk import EpochChanged
from protocol.venue import RequestCancel
from tests.support.order_room import LIMIT, REFUSED_POST_ONLY, START_NS, TAKER, TTL, Room, S, d, seen, view

# --- cancels and kills ----------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_kill_cancels_every_live_order_at_once():
    room = Room()
    ids = {room.start().client_order_id for _ in range(5)}
    room.tell(EpochChanged(epoch=4, killed=True, reason="file", by="watchdog", at_ns=START_NS))
    assert {coid for coid, reason in room.cancels() if reason == "kill"} == ids


def test_a_new_epoch_is_in_the_ids_from_then_on():
    room = Room().tell(EpochChanged(epoch=9, killed=False, reason="", by="", at_ns=START_NS))
    assert parse_client_order_id(room.start().client_order_id).epoch == 9


@pytest.mark.req("K1")
@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(CancelOrder(client_order_id="*", reason="operator"), id="cancel all"),
        pytest.param(EpochChanged(epoch=4, killed=True, reason="", by="", at_ns=0), id="kill"),
    ],
)
def test_an_intent_between_two_orders_is_stopped_too(stop):
    room = Room()
    room.start()
    room.becomes(Status.REJECTED, **REFUSED_POST_ONLY)
    room.tell(stop).tell(view()).wait(1)
    assert len(room.orders) == 1
    assert room.outcomes() == [f"canceled:{'kill' if isinstance(stop, EpochChanged) else 'operator'}"]


def test_a_cancel_that_names_an_order_which_its_intent_has_left_reaches_the_one_it_has_now():
    room = Room()
    first, other = room.start(), room.start()
    room.becomes(Status.CANCELED, 0, of=first, **TTL)
    room.tell(CancelOrder(client_order_id=first.client_order_id, reason="operator"))
    assert room.cancels() == [(room.order.client_order_id, "operator")]
    assert other.client_order_id not in {coid for coid, _ in room.cancels()}


def test_a_cancel_of_what_is_not_ours_is_nothing():
    room = Room()
    room.start()
    room.tell(CancelOrder(client_order_id="strange", reason="operator"))
    assert room.cancels() == []


# --- draining -------------------------------------------------------------------------------------------------------


def test_a_drain_cancels_everything_and_is_answered_when_nothing_might_rest():
    room = Room()
    first, second = room.start(), room.start()
    room.tell(Drain(reason="stop", reply_to="root"))
    assert {coid for coid, _ in room.cancels()} == {first.client_order_id, second.client_order_id}
    room.becomes(Status.CANCELED, 0, of=first, cancel_wanted="stop")
    room.becomes(Status.UNRESOLVED, 0, of=second)
    assert room.told(Drained) == []
    room.becomes(Status.REJECTED, 0, of=second)
    assert [message.reason for message in room.told(Drained, "root")] == ["stop"]


def test_an_empty_desk_is_drained_at_once():
    assert Room().tell(Drain(reason="stop", reply_to="root")).told(Drained, "root")


# --- renewal --------------------------------------------------------------------------------------------------------


def operators(room, status=Status.ACCEPTED, filled=0):
    room.start(LIMIT, purpose=Purpose.OPERATOR)
    room.becomes(status, filled)
    return room.order


@pytest.mark.parametrize(("status", "filled"), [(Status.ACCEPTED, 0), (Status.PARTIALLY_FILLED, 3)])
def test_an_operators_resting_order_is_renewed_at_half_its_life_when_the_old_one_has_ended(status, filled):
    room = Room()
    first = operators(room, status, filled)
    room.wait(59)
    assert room.cancels() == []
    room.wait(1)
    assert room.cancels() == [(first.client_order_id, "renew")]
    assert len(room.orders) == 1, "at most one rests at a time"
    room.becomes(Status.CANCELED, filled, of=first, cancel_wanted="renew").wait(0)
    assert (room.order.attempt, room.order.spec.base_size) == (2, d(10) - filled)
    assert room.order.spec.expires_at_ns == room.now_ns + 120 * S


def test_an_order_filled_while_it_is_renewed_is_filled():
    room = Room()
    first = operators(room)
    room.wait(60).becomes(Status.FILLED, 10, of=first, cancel_wanted="renew").wait(1)
    assert (len(room.orders), room.outcomes()) == (1, ["filled"])


def test_without_a_watchdog_nothing_is_renewed():
    room = Room()
    operators(room)
    room.tell(view(watchdog=False)).wait(120)
    assert room.cancels() == []


@pytest.mark.parametrize("purpose", [Purpose.ENTRY, Purpose.DRILL])
def test_other_orders_are_never_renewed(purpose):
    room = Room()
    room.start(LIMIT, purpose=purpose)
    room.becomes(Status.ACCEPTED)
    assert room.wait(600).cancels() == []


# --- restarts -------------------------------------------------------------------------------------------------------


def kept(order):
    return StoreRecord(key=f"order/{order.client_order_id}", value=codec.encode_value(order))


def test_after_a_restart_every_open_order_has_an_owner_again_and_none_is_placed():
    first = Room()
    order = replace(first.start(), status=Status.ACCEPTED)
    room = Room(kept(order), StoreRecord(key="orders/counter", value=codec.encode_value(desks.Counter(reserved=1000))))
    assert [one.client_order_id for one in room.orders] == [order.client_order_id]
    room.tell(CancelOrder(client_order_id="*", reason="kill"))
    assert room.cancels() == [(order.client_order_id, "kill")]


def test_an_intent_taken_up_after_a_restart_never_asks_for_more_than_its_order_did():
    first = Room()
    first.start()
    first.becomes(Status.CANCELED, 2, **TTL)
    second = replace(first.order, status=Status.ACCEPTED)
    assert second.spec.base_size == d(8)
    room = Room(kept(second))
    room.becomes(Status.CANCELED, 1, of=second, **TTL)
    assert (room.order.attempt, room.order.spec.base_size) == (3, d(7))


def test_a_quote_sized_intent_taken_up_after_a_restart_is_bounded_by_its_order_too():
    first = Room()
    first.start(base_size=None, quote_size=d(1000))
    first.becomes(Status.CANCELED, 2, **TTL)
    second = replace(first.order, status=Status.ACCEPTED)
    room = Room(kept(second))
    room.becomes(Status.CANCELED, 1, of=second, **TTL)
    assert room.order.spec.base_size == second.spec.base_size - 1


def test_an_order_whose_actor_outlived_the_desk_is_owned_again():
    order = Room().start()
    room = Room()
    room.becomes(Status.ACCEPTED, of=order)
    room.tell(CancelOrder(client_order_id="*", reason="kill"))
    assert room.cancels() == [(order.client_order_id, "kill")]


def exited(order, *, normal=False):
    error = "" if normal else "RuntimeError()"
    return ActorExited(name=f"order:{order.client_order_id}", incarnation=1, normal=normal, error=error)


@pytest.mark.req("X1")
def test_what_an_order_may_have_lost_with_its_actor_is_ended_by_the_next_one_and_never_sent():
    room = Room()
    order = room.start()
    room.tell(exited(order)).wait(0)
    (again,) = room.told(Place, f"order:{order.client_order_id}")
    assert again.state == replace(order, cancel_wanted=LOST)
    room.becomes(Status.ABORTED, error=LOST)
    assert room.outcomes() == [f"aborted:{LOST}"]


def test_a_desk_that_drains_waits_for_no_order_that_was_lost():
    room = Room()
    order = room.start()
    room.tell(Drain(reason="stop", reply_to="root"), exited(order)).wait(0)
    assert room.told(Place)
    room.becomes(Status.ABORTED, error=LOST)
    assert room.told(Drained)


@pytest.mark.parametrize(
    "heard", [Status.SUBMITTED, Status.ACCEPTED, Status.FILLED, None], ids=["sent", "resting", "over", "retired"]
)
def test_an_order_that_was_heard_of_is_on_disk_and_its_next_actor_finds_it_there(heard):
    """Also where the word of it was still waiting when its actor's end was heard."""
    room = Room()
    order = room.start()
    room.tell(exited(order, normal=heard is None))
    if heard is not None:
        room.becomes(heard, 10 if heard is Status.FILLED else 0)
    room.wait(0)
    assert room.told(Place) == []


def test_an_order_that_turns_up_during_a_drain_is_cancelled_and_waited_for():
    before = Room()
    _, order = before.start(), before.start()
    room = Room()
    started = room.start()
    room.tell(Drain(reason="stop", reply_to="root"))
    room.becomes(Status.SUBMITTED, of=order)
    room.becomes(Status.ABORTED, of=started)
    assert (order.client_order_id, "stop") in room.cancels()
    assert room.told(Drained) == []
    room.becomes(Status.CANCELED, of=order)
    assert room.told(Drained)


# --- orphans --------------------------------------------------------------------------------------------------------

OURS = "bot1-btc-usd-20261122t153809123z-0_77-a1"


@pytest.mark.parametrize("status", ["OPEN", "PENDING", "QUEUED", "CANCEL_QUEUED", "SOMETHING_NEW"])
def test_an_order_of_ours_that_nobody_owns_is_cancelled_and_alerts(status):
    room = Room().tell(seen(OURS, status))
    assert [ask.client_order_id for ask in room.told(RequestCancel, "gateway")] == [OURS]
    assert [note.message.kind for note in room.effects if isinstance(note, Note)] == ["orphan_order"]


@pytest.mark.parametrize("coid", ["", "bot2-btc-usd-20261122t153809123z-0_77-a1", "bot12-x", "somebody"])
def test_orders_of_others_are_never_touched(coid):
    room = Room().tell(seen(coid))
    assert room.told(RequestCancel) == []
    assert room.told(OrderReported) == []


@pytest.mark.parametrize("status", ["FILLED", "CANCELLED", "EXPIRED", "FAILED", "REJECTED"])
def test_an_ended_order_of_ours_that_nobody_owns_is_left_alone(status):
    assert Room().tell(seen(OURS, status)).told(RequestCancel) == []


def test_evidence_goes_to_the_orders_own_actor():
    room = Room()
    order = room.start()
    room.tell(seen(order.client_order_id, "OPEN", 1))
    assert room.told(OrderReported, f"order:{order.client_order_id}")
    assert room.told(RequestCancel) == []


def test_a_lagging_list_does_not_make_an_orphan_of_an_order_that_just_ended():
    room = Room()
    order = room.start(TAKER)
    room.becomes(Status.CANCELED, 0, **TTL)
    room.wait(5).tell(seen(order.client_order_id, "OPEN"))
    assert room.told(RequestCancel) == []


def test_an_order_given_up_that_turns_up_resting_long_after_is_cancelled():
    room = Room()
    order = room.start(TAKER)
    room.becomes(Status.REJECTED, 0, error="unknown to the venue after its signature died")
    room.wait(30).tell(seen(order.client_order_id, "OPEN"))
    assert [ask.client_order_id for ask in room.told(RequestCancel, "gateway")] == [order.client_order_id]


def test_a_late_fill_of_an_ended_order_reaches_its_actor():
    room = Room()
    order = room.start(TAKER)
    room.becomes(Status.CANCELED, 0, **TTL)
    room.tell(seen(order.client_order_id, "CANCELLED", 1))
    assert room.told(OrderReported, f"order:{order.client_order_id}")
