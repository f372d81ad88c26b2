"""The watchdog itself freezes, dies and comes back in virtual time: what its log and its successors make of it."""

import pytest

from actors.compose.kernel_watchdog import DiedError
from actors.venue.faults import Fault
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.lookback import empty_after_kill, same_trace, unowned_cancelled
from ops.simulate.moment import at_rest
from protocol.control import KillEvidence, KillNow
from protocol.risk import TradingState
from tests.support.watched_desk import Watched

KILL_S = 10.0
SERVER_ERROR = {"status": 500, "accepted": False}
EXPIRY_S, REDUCING_S, BACK_S = 121.0, 2.5, 5.0


def no_cancels(seconds):
    """Requests to cancel fail, lists do not."""
    return Fault(kind="error", target="cancel_orders", for_s=seconds, parameters=SERVER_ERROR)


# --- what it leaves behind ----------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_watchdog_that_died_in_the_middle_of_a_kill_takes_it_up_again():
    watched = Watched()
    watched.post(no_cancels(4.0))
    watched.drop()
    watched.kill()
    watched.run(1.0)
    watched.end_watchdog()
    watched.run(5.0)
    assert len(watched.resting()) == 3, "nobody is there"
    watched.begin_watchdog()
    assert watched.seconds_until(watched.empty, BACK_S) <= BACK_S
    watched.live(20, asking=True)
    assert (watched.places(), watched.resting(), watched.state()) == (3, [], TradingState.KILLED)
    assert watched.found() == []


@pytest.mark.req("K1")
@pytest.mark.parametrize("lost", ["drop", "freeze"])
def test_a_watchdog_that_died_in_the_middle_of_a_sweep_sees_the_cause_again(lost):
    watched = Watched()
    watched.post(no_cancels(9.0))
    getattr(watched, lost)()
    watched.run(8.0)
    assert watched.watchdog.cried
    watched.end_watchdog()
    watched.run(2.0)
    assert len(watched.resting()) == 3, "nobody is there"
    watched.begin_watchdog()
    back_ns = watched.clock.now_ns()
    watched.seconds_until(watched.empty, 7.5)
    watched.live(20)
    assert (watched.state(), watched.watchdog.log.lines) == (TradingState.ACTIVE, [])
    assert watched.found(back_ns) == []


@pytest.mark.req("K1")
def test_a_watchdog_that_sleeps_through_a_freeze_sweeps_when_it_wakes():
    watched = Watched()
    watched.end_watchdog()
    watched.run(1.0)
    watched.freeze()
    watched.run(5.0)
    assert len(watched.resting()) == 3
    watched.begin_watchdog()
    back_ns = watched.clock.now_ns()
    assert watched.seconds_until(watched.empty, 1.0) < 1.0
    watched.live(10)
    assert (watched.state(), watched.found(back_ns)) == (TradingState.ACTIVE, [])


@pytest.mark.req("K1")
def test_with_both_gone_the_orders_end_by_their_date():
    """Renewed while both beat; with the watchdog gone no more, and with the desk gone it could not be."""
    watched = Watched(0)
    watched.ask_order(drill=False)
    watched.live(300)
    assert len(watched.resting()) == 1, "renewed"
    watched.drop()
    watched.end_watchdog()
    watched.seconds_until(watched.empty, EXPIRY_S)
    watched.begin_watchdog()
    watched.live(10)
    assert (watched.state(), watched.open_records()) == (TradingState.ACTIVE, 0)
    assert [*at_rest(watched), *of_journal(watched)] == []


# --- the latch ----------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_killed_stays_killed_over_restarts_of_both_until_a_rearm_after_a_clean_reconcile():
    watched = Watched()
    watched.kill("practice")
    watched.live(3)
    for _ in range(2):
        watched.again()
        watched.end_watchdog()
        watched.begin_watchdog()
        watched.live(5, asking=True)
        assert (watched.state(), watched.places()) == (TradingState.KILLED, 3)
    watched.post(Fault(kind="error", target="list_accounts", for_s=8.0, parameters=SERVER_ERROR))
    refused = watched.rearm()
    watched.live(12)
    assert (watched.answer(refused).code, watched.state()) == (4, TradingState.KILLED)
    before = watched.desks
    rearmed = watched.rearm()
    watched.seconds_until(lambda: watched.answer(rearmed) is not None, 5.0)
    assert watched.answer(rearmed).code == 0
    (kept,) = (m for _, m in messages(unsealed(watched)) if isinstance(m, KillEvidence))
    assert (kept.reason, kept.empty_s is not None) == ("practice", True)
    watched.live(10)
    assert (watched.desks, watched.state()) == (before + 1, TradingState.ACTIVE)
    watched.ask_order()
    watched.live(30)
    assert len(watched.resting()) == 1
    assert watched.found() == []


@pytest.mark.req("K1")
def test_a_rearm_while_the_sweep_works_is_refused():
    watched = Watched()
    watched.post(no_cancels(6.0))
    watched.kill()
    watched.run(0.2)
    asked = watched.rearm()
    watched.seconds_until(lambda: watched.answer(asked) is not None, 3.0, root=False)
    assert watched.answer(asked).code == 4
    watched.live(20)
    assert (watched.resting(), watched.state(), watched.found()) == ([], TradingState.KILLED, [])


@pytest.mark.req("K1")
@pytest.mark.parametrize("disk", ["fails", "damaged"])
def test_a_disk_that_fails_keeps_nobody_from_cancelling(disk):
    watched = Watched()
    log = watched.watchdog.log
    if disk == "fails":
        log.at_point = failing
        watched.kill()
    else:
        watched.end_watchdog()
        log.damaged = True
        watched.begin_watchdog()
    watched.seconds_until(watched.empty, KILL_S)
    assert watched.watchdog.cried[0][1] == ("latch_not_written" if disk == "fails" else "log_damaged")
    watched.live(10, asking=True)
    assert (watched.state(), watched.places(), watched.found()) == (TradingState.KILLED, 3, [])


def failing(_):
    raise OSError("no space")


@pytest.mark.req("K1")
@pytest.mark.parametrize(
    ("point", "power", "killed"), [("written", True, False), ("written", False, True), ("synced", True, True)]
)
def test_a_watchdog_that_dies_while_it_latches(point, power, killed):
    """Its line is on disk, or nobody was told of a kill; the epoch has moved, so the desk that was there is gone."""
    watched = Watched()
    log = watched.watchdog.log
    log.at_point = dying_at(point)
    watched.kill()
    watched.run(0.1)
    assert (watched.watchdog.core, [reply.code for reply in watched.replies]) == (None, [3])
    if power:
        log.power_loss()
    log.at_point = None
    watched.begin_watchdog()
    watched.live(20, asking=True)
    assert (watched.pages.epoch > 0, watched.desks > 1) == (True, True)
    assert watched.state() is (TradingState.KILLED if killed else TradingState.ACTIVE)
    assert watched.empty() is killed
    assert watched.found() == []


def dying_at(point):
    def reach(reached):
        if reached == point:
            raise DiedError

    return reach


# --- what the desk makes of it ------------------------------------------------------------------------------------


@pytest.mark.req("K1")
@pytest.mark.parametrize("way", ["end", "freeze"])
def test_a_desk_without_a_watchdog_is_reducing_until_it_beats_again(way):
    watched = Watched()
    getattr(watched.watchdog, way)()
    took_s = watched.seconds_until(lambda: watched.state() is TradingState.REDUCING, BACK_S)
    assert took_s <= REDUCING_S
    asked = watched.ask(KillNow(by="test", reason="practice", scope="mine"))
    watched.run(20.0)
    assert watched.answer(asked).code == (3 if way == "end" else 5)
    assert len(watched.resting()) == 3
    (watched.begin_watchdog if way == "end" else watched.watchdog.wake)()
    if way == "end":
        assert watched.seconds_until(lambda: watched.state() is TradingState.ACTIVE, BACK_S) <= BACK_S
    else:
        watched.seconds_until(watched.empty, KILL_S)  # the request waited for it in its socket
    assert watched.found() == []


# --- the whole ----------------------------------------------------------------------------------------------------


def whole_story():
    """A kill under faults, a dead watchdog, a frozen desk, a rearm: everything draws from the seed."""
    watched = Watched()
    watched.post(Fault(kind="error", probability=0.4, for_s=20.0, parameters=SERVER_ERROR))
    watched.freeze()
    watched.live(6)
    watched.kill()
    watched.live(2)
    watched.end_watchdog()
    watched.live(3, asking=True)
    watched.begin_watchdog()
    watched.live(20)
    watched.rearm()
    watched.live(10, asking=True)
    return watched


def test_the_same_seed_gives_the_same_trace():
    one, other = whole_story(), whole_story()
    assert same_trace(one, other) == []
    assert one.watchdog.did == other.watchdog.did
    assert one.replies == other.replies
    assert one.found() == []


def test_an_order_that_nobody_cancels_is_found():
    """What the checkers are for: nobody owns it, and nobody kills it."""
    watched = Watched()
    watched.watchdog.log.at_point = dying_at("synced")
    watched.drop()
    watched.kill()
    watched.run(9.0)
    assert (len(unowned_cancelled(watched)), empty_after_kill(watched)) == (3, [])
    watched.run(3.0)
    assert (len(unowned_cancelled(watched)), len(empty_after_kill(watched))) == (3, 3)
    now_ns = watched.clock.now_ns()
    assert (unowned_cancelled(watched, now_ns), empty_after_kill(watched, now_ns)) == ([], [])
