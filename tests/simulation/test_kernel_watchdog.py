"""Desk, watchdog and venue together in virtual time: kills and protective sweeps, whatever else fails meanwhile."""

import pytest

from actors.compose.kernel_pages import KillFile
from actors.venue.faults import Fault
from ops.simulate.world import Simulation
from protocol.control import KillNow
from protocol.risk import TradingState
from tests.support.watched_desk import Watched

KILL_S, FROZEN_S, ORPHANED_S, LATE_S = 10.0, 6.0, 8.0, 5.0
OUTAGE_S, EXPIRY_S = 30, 121.0
REFUSE = {"accepted": False}


def silence(seconds):
    """No request is answered, no connection stands."""
    return (
        Fault(kind="drop", for_s=seconds, parameters=REFUSE),
        Fault(kind="ws_close", for_s=seconds, parameters={"code": 1006}),
        Fault(kind="ws_refuse", for_s=seconds),
    )


# --- kill ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_kill_empties_the_book_and_it_stays_empty_whatever_is_asked_for():
    watched = Watched()
    watched.kill("practice")
    watched.seconds_until(watched.empty, KILL_S, root=True)
    sent = watched.places()
    watched.live(60, asking=True)
    assert watched.replies[0].code == 0
    assert (watched.places(), watched.resting(), watched.state()) == (sent, [], TradingState.KILLED)
    assert watched.found() == []


@pytest.mark.req("K1")
@pytest.mark.parametrize("way", ["desk", "file", "twice"])
def test_every_way_to_kill_is_the_same_kill(way):
    watched = Watched()
    if way == "desk":
        asked = watched.ask(KillNow(by="test", reason="practice", scope="mine"))
    elif way == "file":
        watched.pages.kill_file = KillFile(text="practice", at_ns=watched.clock.now_ns())
    else:
        watched.kill("practice")
        watched.kill("again")
    watched.seconds_until(watched.empty, KILL_S)
    if way == "desk":
        assert watched.seconds_until(lambda: watched.answer(asked) is not None, 1.0) < 1.0
    watched.live(20, asking=True)
    assert {latch.reason for latch in watched.watchdog.log.lines} == {"practice"}
    assert (watched.resting(), watched.state()) == ([], TradingState.KILLED)
    assert watched.found() == []


@pytest.mark.req("K1")
@pytest.mark.parametrize("ms", [4000, 9000])
@pytest.mark.parametrize("desk", [True, False])
def test_requests_that_arrive_after_the_kill_are_cancelled_within_five_seconds(ms, desk):
    """They had left before the kill and were on their way for seconds: no fence can hold them back any more."""
    watched = Watched(2)
    watched.post(Fault(kind="delay", target="create_order", parameters={"ms": ms}))
    for _ in range(3):
        watched.ask_order()
        watched.run(0.1)
    sent = watched.places()
    if not desk:
        watched.drop()
    watched.kill()
    watched.seconds_until(watched.empty, 2.0, root=desk)
    watched.seconds_until(lambda: not watched.empty(), ms / 1000, root=desk)
    watched.run(0.5)
    watched.seconds_until(watched.empty, LATE_S, root=desk)
    watched.live(40)
    assert (sent, watched.places(), watched.resting()) == (5, 5, [])
    assert watched.found() == []


@pytest.mark.req("K1")
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("error", {"status": 500, **REFUSE}), ("rate_limit", {}), ("error", {"status": 500}), ("drop", {})],
    ids=["500", "429", "500-after-acting", "no-answer"],
)
def test_a_kill_while_half_of_the_calls_fail(kind, parameters):
    watched = Watched(5)
    watched.post(Fault(kind=kind, probability=0.5, parameters=parameters))
    watched.kill()
    watched.seconds_until(watched.empty, KILL_S, root=True)
    watched.live(20, asking=True)
    assert (watched.places(), watched.resting()) == (5, [])
    assert watched.found() == []


@pytest.mark.req("K1")
def test_a_kill_while_the_venue_is_away_is_done_when_it_answers():
    watched = Watched()
    watched.post(*silence(OUTAGE_S))
    watched.kill()
    watched.live(OUTAGE_S)
    back_ns = watched.clock.now_ns()
    assert len(watched.resting()) == 3
    assert (watched.replies[0].code, "the sweep goes on" in watched.replies[0].text) == (5, True)
    watched.seconds_until(watched.empty, KILL_S, root=True)
    watched.live(30, asking=True)
    assert (watched.places(), watched.resting()) == (3, [])
    assert watched.found(back_ns) == []


@pytest.mark.req("K1")
def test_a_kill_while_no_connection_to_the_venue_can_be_made_is_loud_and_the_orders_end_by_their_date():
    watched = Watched(0)
    watched.ask_order(drill=False)
    watched.run(1.0)
    watched.post(*silence(200))
    watched.kill()
    assert watched.seconds_until(watched.empty, EXPIRY_S, root=True) > 100.0
    told = watched.replies[0]
    assert watched.watchdog.core.sweep.empty_ns == 0
    assert (told.code, "the sweep goes on" in told.text) == (5, True), "it never claims what no list has shown"
    assert [cry for _, cry, _ in watched.watchdog.cried] == ["kill"]
    watched.live(110)
    assert (watched.places(), watched.resting(), watched.state()) == (1, [], TradingState.KILLED)
    assert watched.watchdog.core.sweep is None, "the venue is back: two of its lists were empty"
    assert watched.found(watched.clock.now_ns()) == []


@pytest.mark.req("K1")
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.3])
def test_a_kill_while_the_desk_recovers(after_s):
    watched = Watched()
    watched.again()
    watched.run(after_s)
    watched.kill()
    watched.seconds_until(watched.empty, KILL_S, root=True)
    watched.live(20, asking=True)
    assert (watched.places(), watched.resting(), watched.state()) == (3, [], TradingState.KILLED)
    assert watched.found() == []


@pytest.mark.req("K1")
@pytest.mark.parametrize("lost", ["drop", "freeze"])
def test_a_kill_needs_no_desk(lost):
    watched = Watched()
    getattr(watched, lost)()
    watched.kill()
    watched.seconds_until(watched.empty, KILL_S)
    watched.live(20, asking=True)
    assert (watched.places(), watched.resting(), watched.state()) == (3, [], TradingState.KILLED)
    assert watched.found() == []


def test_without_a_watchdog_a_kill_is_refused():
    """Nobody else may say that it was done."""
    simulation = Simulation(1, ("BTC-USD",))
    asked = simulation.ask(KillNow(by="test", reason="practice", scope="mine"))
    simulation.run(1.0)
    assert simulation.answer(asked).code == 3


# --- sweep --------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_dead_desk_without_a_successor_is_swept_after_seven_seconds():
    watched = Watched()
    watched.drop()
    assert watched.seconds_until(watched.empty, ORPHANED_S) >= 7.0
    assert watched.pages.epoch == 0, "a successor on its way up is not thrown back"
    watched.live(20)
    assert (watched.state(), watched.resting()) == (TradingState.ACTIVE, [])
    assert watched.found() == []


@pytest.mark.req("K1")
def test_desk_and_root_dead_are_swept_at_once_and_then_the_watchdog_leaves():
    watched = Watched()
    watched.pages.root_alive = False
    watched.drop()
    watched.seconds_until(watched.empty, 2.0)
    watched.run(3.0)
    assert watched.watchdog.core is None
    assert watched.found() == []


def test_a_successor_in_time_keeps_the_orders():
    watched = Watched()
    watched.drop()
    watched.run(3.0)
    watched.live(60)
    assert (watched.state(), len(watched.resting()), watched.watchdog.cried) == (TradingState.ACTIVE, 3, [])
    assert watched.found() == []


@pytest.mark.req("K1")
def test_a_frozen_desk_is_swept_and_its_successor_trades():
    watched = Watched()
    watched.freeze()
    assert watched.seconds_until(watched.empty, FROZEN_S, root=True) >= 2.0
    watched.live(10)
    assert watched.state() is TradingState.ACTIVE
    watched.ask_order()
    watched.live(30)
    assert len(watched.resting()) == 1, "what the successor places is its own"
    assert watched.found() == []


@pytest.mark.parametrize(("frozen_s", "swept"), [(1.8, False), (1.9, False), (2.2, True)])
def test_a_pulse_that_is_late_is_a_false_alarm_or_a_sweep(frozen_s, swept):
    watched = Watched()
    watched.freeze()
    watched.run(frozen_s)
    watched.wake()
    watched.live(20)
    assert (watched.desks > 1, bool(watched.watchdog.cried)) == (swept, swept)
    assert (len(watched.resting()), watched.state()) == (0 if swept else 3, TradingState.ACTIVE)
    assert watched.found() == []


@pytest.mark.req("K1")
def test_the_fourth_frozen_desk_in_an_hour_is_a_kill():
    watched = Watched(1)
    for number in range(4):
        assert (watched.state(), watched.watchdog.log.lines) == (TradingState.ACTIVE, []), number
        watched.freeze()
        watched.live(12)
    assert watched.watchdog.log.last().reason == "4 frozen desks in an hour"
    assert (watched.resting(), watched.state()) == ([], TradingState.KILLED)
    assert watched.found() == []


# --- a desk that wakes --------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
@pytest.mark.parametrize(("frozen_s", "sent"), [(1.0, 1), (3.0, 0), (30.0, 0)])
def test_what_a_desk_had_decided_before_it_froze_leaves_only_under_its_epoch(frozen_s, sent):
    """It freezes between the commit of a place request and the socket; the successor learns that it never left."""
    watched = Watched()
    before = watched.places(), watched.open_records()
    watched.freeze_when(lambda: watched.open_records() > before[1])
    watched.ask_order()
    watched.run(frozen_s)
    assert (watched.open_records(), watched.places()) == (before[1] + 1, before[0])
    watched.wake()
    watched.run(0.9)
    assert watched.places() - before[0] == sent
    watched.live(25)
    assert (watched.state(), watched.places() - before[0]) == (TradingState.ACTIVE, sent)
    assert len(watched.resting()) == (4 if sent else 0)
    assert watched.found() == []


@pytest.mark.req("K1")
def test_a_desk_woken_after_a_kill_sends_nothing_and_leaves():
    watched = Watched()
    watched.freeze()
    watched.kill()
    watched.run(3.0)
    watched.wake()
    for _ in range(5):
        watched.ask_order()
        watched.run(1.0)
    assert (watched.places(), watched.resting(), watched.desk.ends[0]) == (3, [], "left with 75")
    assert watched.found() == []
