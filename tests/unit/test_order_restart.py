"""One order over disk trouble, restarts and its end; and how often it asks about itself."""

import pytest
from msgspec.structs import replace

from actors.order.core import CLOSED_KEY, LISTENERS, OPEN_KEY, Life, step
from actors.order.plan import LOST
from protocol import codec
from protocol.effects import Commit, SetTimer, Tell
from protocol.lifecycle import Recover, StoreRecord, Wake
from protocol.orders import (
    CancelOrder,
    OrderBooked,
    OrderState,
    OrderUpdate,
    Place,
    Status,
    TimeInForce,
)
from protocol.venue import LookUpOrder, RequestCancel
from tests.support.order_play import (
    ACCEPTED,
    CANCEL,
    COID,
    REFUSED,
    START_NS,
    UNKNOWN,
    VENUE_ID,
    Play,
    S,
    d,
    initial,
    report,
)

# --- the disk -------------------------------------------------------------------------------------------------------


def test_the_request_travels_with_the_commit_that_makes_it_durable_and_nowhere_else():
    play = Play().submit()
    commit = next(effect for effect in play.effects if isinstance(effect, Commit))
    assert [request.client_order_id for request in commit.outbox] == [COID]
    assert codec.decode_value(commit.records[0].value, OrderState).status is Status.SUBMITTED
    assert not play.told(LookUpOrder)


def test_a_commit_that_failed_aborts_what_was_never_sent():
    play = Play()
    play.disk_fails = True
    play.submit()
    assert play.order.status is Status.ABORTED
    assert play.submits() == []
    assert [update.state.status for update in play.told(OrderUpdate)][-1] is Status.ABORTED


@pytest.mark.req("X1")
def test_an_order_that_was_lost_with_its_actor_is_ended_unsent():
    play = Play(cancel_wanted=LOST)
    play.submit()
    assert (play.order.status, play.order.error, play.submits()) == (Status.ABORTED, LOST, [])


@pytest.mark.req("X1")
def test_a_place_behind_the_first_changes_nothing():
    play = Play()
    second = Place(state=replace(initial(), cancel_wanted=LOST))
    play.tell(second)
    play.submit()
    assert (play.order.status, len(play.submits())) == (Status.SUBMITTED, 1)
    before = play.order
    play.tell(second)
    assert play.order == before


@pytest.mark.req("X1")
@pytest.mark.parametrize("key", [OPEN_KEY + COID, CLOSED_KEY + COID])
def test_an_id_that_the_store_has_seen_is_never_sent_again(key):
    play = Play()
    play.store[key] = b"an order of long ago"
    play.submit()
    assert (play.order.status, play.submits()) == (Status.ABORTED, [])
    assert "used before" in play.order.error
    assert play.store[key] == b"an order of long ago"


def test_a_verdict_that_could_not_be_written_is_asked_for_again():
    play = Play().submit()
    play.disk_fails = True
    play.wait(5)
    assert play.order.status is Status.SUBMITTED
    play.disk_fails = False
    play.wait(2)
    assert play.told(LookUpOrder)
    play.tell(report("OPEN", source="lookup"))
    assert play.order.status is Status.ACCEPTED


def test_listeners_hear_of_a_state_with_or_after_its_commit_never_before():
    _, effects = step(Play().life, Wake(timer="submit", due_ns=START_NS), START_NS)
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Commit) == 0
    assert Tell in kinds


# --- recovery -------------------------------------------------------------------------------------------------------


@pytest.mark.req("X1")
def test_a_request_that_may_have_left_is_looked_up_after_a_restart_and_never_sent_again():
    play = Play().submit()
    after = play.reborn()
    assert after.order.status is Status.UNRESOLVED
    assert len(after.told(LookUpOrder)) == 1
    after.wait(600)
    assert after.submits() == []
    after.tell(report("OPEN", 3))
    assert (after.order.status, after.order.filled_size) == (Status.PARTIALLY_FILLED, 3)


def test_the_place_that_started_it_does_not_start_it_again_after_a_restart():
    after = Play().submit().reborn().tell(Place(state=initial())).wait(10)
    assert after.submits() == []
    assert after.order.status is Status.UNRESOLVED


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([ACCEPTED], {"lookup": 1, "cancel": 0}, id="a resting order is looked up"),
        pytest.param([ACCEPTED, CANCEL], {"lookup": 1, "cancel": 1}, id="a pending cancel is asked for again"),
        pytest.param([UNKNOWN, CANCEL], {"lookup": 1, "cancel": 0}, id="an unresolved order is looked up"),
    ],
)
def test_a_restart_takes_up_what_was_under_way(events, expected):
    after = Play().submit().tell(*events).reborn()
    assert (len(after.told(LookUpOrder)), len(after.told(RequestCancel))) == tuple(expected.values())
    assert after.submits() == []


def test_a_cancel_wanted_before_the_restart_is_remembered_after_it():
    after = Play().submit().tell(UNKNOWN, CANCEL).reborn().tell(report("OPEN"))
    assert (after.order.status, after.order.cancel_wanted) == (Status.PENDING_CANCEL, "operator")
    assert len(after.told(RequestCancel)) == 1


def test_an_ended_order_whose_fills_are_not_booked_is_told_again_after_a_restart():
    after = Play().submit().tell(report("FILLED", 10)).reborn()
    assert [update.state.status for update in after.told(OrderUpdate)] == [Status.FILLED] * 4
    after.tell(OrderBooked(client_order_id=COID, booked_size=d(10))).wait(10)
    assert after.retired()


def test_a_restart_without_a_record_knows_nothing_and_does_nothing():
    after = Play().reborn()
    assert after.order is None
    after.tell(ACCEPTED, REFUSED, report("OPEN"), CANCEL, Wake(timer="submit", due_ns=0))
    assert after.effects == []


# --- the end --------------------------------------------------------------------------------------------------------


def test_an_order_is_settled_only_when_everything_it_filled_is_booked():
    play = Play().submit().tell(ACCEPTED, report("FILLED", 10))
    assert OPEN_KEY + COID in play.store
    play.tell(OrderBooked(client_order_id=COID, booked_size=d(4))).wait(60)
    assert OPEN_KEY + COID in play.store
    assert not play.retired()
    play.tell(OrderBooked(client_order_id=COID, booked_size=d(10)))
    assert play.store.keys() == {CLOSED_KEY + COID}
    play.wait(6)
    assert play.retired()


def test_what_was_booked_before_the_venue_said_filled_counts():
    play = Play().submit().tell(ACCEPTED, OrderBooked(client_order_id=COID, booked_size=d(10)), report("FILLED", 10))
    assert play.order.settled
    assert play.store.keys() == {CLOSED_KEY + COID}


def test_a_late_fill_opens_a_settled_order_again_until_it_is_booked():
    play = Play().submit().tell(ACCEPTED, report("CANCELLED"))
    assert play.store.keys() == {CLOSED_KEY + COID}
    play.tell(report("CANCELLED", 2)).wait(60)
    assert OPEN_KEY + COID in play.store
    assert not play.retired()
    play.tell(OrderBooked(client_order_id=COID, booked_size=d(2)))
    assert play.store.keys() == {CLOSED_KEY + COID}


# --- why it was cancelled -------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_kill_after_the_plans_own_cancel_is_the_reason_that_counts():
    play = Play(ttl_s=20).submit().tell(ACCEPTED).wait(20.5)
    assert play.order.cancel_wanted == "ttl"
    asked = len(play.told(RequestCancel))
    play.tell(CancelOrder(client_order_id=COID, reason="kill"))
    assert play.order.cancel_wanted == "kill"
    assert len(play.told(RequestCancel)) == asked
    play.tell(CancelOrder(client_order_id=COID, reason="renew"))
    assert play.order.cancel_wanted == "kill"


# --- asking ---------------------------------------------------------------------------------------------------------


def test_doubt_is_asked_about_soon_and_then_every_few_seconds():
    play = Play().submit().tell(UNKNOWN)
    first_s = [0, 0.3, 1.0, 2.5, 5.5]
    asked = []
    for seconds in first_s:
        play.wait(seconds - (play.now_ns - START_NS) / S)
        asked.append(len(play.told(LookUpOrder)))
    assert asked == [1, 2, 3, 4, 5]
    play.wait(60)
    assert 20 <= len(play.told(LookUpOrder)) - asked[-1] <= 21


def test_a_resting_order_is_asked_about_now_and_then_for_the_stream_may_be_silent():
    play = Play().submit().tell(ACCEPTED).wait(61)
    assert len(play.told(LookUpOrder)) == 6


def test_an_immediate_order_is_asked_about_within_a_second():
    play = Play(tif=TimeInForce.IOC).submit().tell(ACCEPTED).wait(1)
    assert len(play.told(LookUpOrder)) == 1


def test_a_look_up_names_the_venues_id_where_it_is_known_and_the_request_time_where_not():
    play = Play().submit().tell(UNKNOWN)
    assert play.told(LookUpOrder)[-1].venue_order_id is None
    assert play.told(LookUpOrder)[-1].since_ns == START_NS
    play.tell(report("OPEN")).wait(11)
    assert play.told(LookUpOrder)[-1].venue_order_id == VENUE_ID


def test_a_settled_order_whose_actor_died_before_the_word_of_it_is_told_again_and_retires():
    ended = replace(initial(), status=Status.REJECTED, closed_ns=START_NS, error="no")
    assert ended.settled
    life = Life(client_order_id=COID)
    record = StoreRecord(key=CLOSED_KEY + COID, value=codec.encode_value(ended))
    other = StoreRecord(key=CLOSED_KEY + COID + "0", value=codec.encode_value(initial()))
    life, effects = step(life, Recover(records=(other, record)), START_NS)
    told = {effect.to: effect.message for effect in effects if isinstance(effect, Tell)}
    assert life.order == ended
    assert told == dict.fromkeys(LISTENERS, OrderUpdate(state=ended))
    assert [effect.timer for effect in effects if isinstance(effect, SetTimer)] == ["retire"]
