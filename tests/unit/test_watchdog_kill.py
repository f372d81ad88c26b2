"""Kill, rearm, starts and ends of the watchdog, as tables."""

import json

import pytest
from msgspec.structs import replace

from actors.watchdog import core, facts
from actors.watchdog.facts import KillSignalled, Known, LeaveAsked
from protocol.control import KillNow, Latch, Rearm, View
from tests.support.watchdog_scene import (
    DESK,
    EPOCH,
    OTHERS,
    S,
    Scene,
    cancelled,
    kinds,
    of,
    only,
    order,
    resting,
    scene,
)

__all__ = ["scene"]

# --- kill ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_kill_is_fenced_and_on_disk_before_the_first_cancel(scene):
    did = scene.kill()
    assert kinds(did) == ["StepEpoch", "Write", "Cry", "ReadKnown", "TakeList"]
    latch = only(did, facts.Write).latch
    assert (latch.killed, latch.reason, latch.by, latch.scope) == (True, "practice", "op", "mine")
    assert (latch.epoch, latch.at_ns) == (EPOCH + 1, scene.now)


@pytest.mark.parametrize(
    ("event", "by"),
    [(KillSignalled(), "signal"), (None, "file")],
)
def test_signal_and_file_are_the_same_kill(scene, event, by):
    did = scene.hear(event) if event else scene.tick(kill_file=True, file_text="enough")
    latch = only(did, facts.Write).latch
    assert (latch.killed, latch.by, latch.scope) == (True, by, "mine")
    assert not of(scene.wait(3.0), facts.Write), "the file that stays there is one kill"


@pytest.mark.req("K1")
def test_a_kill_said_twice_is_one_kill_with_an_answer_for_each(scene):
    first = only(scene.kill(connection=1), facts.Write).latch
    again = scene.ask(KillNow(by="other", reason="me too", scope="mine"), 2)
    assert len(of(again, facts.StepEpoch)) == 1
    latch = only(again, facts.Write).latch
    assert (latch.reason, latch.by, latch.at_ns) == (first.reason, first.by, first.at_ns)
    answers = of(scene.serve(1.0), facts.Answer)
    assert {a.connection: a.reply.code for a in answers} == {1: 0, 2: 0}
    assert answers[0].reply.data == answers[1].reply.data


def test_a_flood_of_kills_does_not_keep_it_from_being_done(scene):
    answers = []
    for number in range(50):
        scene.kill(connection=number)
        answers += of(scene.serve(0.1), facts.Answer)
    assert {a.reply.code for a in answers} == {core.DONE}
    assert len(answers) >= 40


def test_a_kill_after_the_book_was_empty_looks_again(scene):
    scene.kill()
    scene.serve(1.0)
    did = scene.kill(connection=2)
    assert of(did, facts.TakeList)
    assert cancelled(scene.listed(*resting("A"))) == {"A"}
    assert [a.connection for a in of(scene.serve(1.0), facts.Answer)] == [2]


def test_a_wider_scope_widens_and_a_narrower_one_does_not_narrow(scene):
    scene.kill("mine")
    assert not cancelled(scene.listed(OTHERS))
    assert only(scene.kill("all", 2), facts.Write).latch.scope == "all"
    assert cancelled(scene.listed(OTHERS)) == {"X"}
    assert only(scene.kill("mine", 3), facts.Write).latch.scope == "all"
    assert cancelled(scene.serve(0.5, OTHERS)) == {"X"}


def test_a_scope_nobody_knows_kills_nothing_and_says_so(scene):
    did = scene.kill("everything")
    assert only(did, facts.Answer).reply.code == core.USAGE
    assert len(did) == 1


def test_a_kill_takes_a_protective_sweep_over(scene):
    scene.tick(pulse_age_ns=3 * S)
    assert scene.state.sweep.kind == core.PROTECTIVE
    scene.kill()
    assert scene.state.sweep.kind == core.KILL
    assert of(scene.serve(1.0), facts.Answer)


def test_nobody_waits_longer_than_ten_seconds_and_the_sweep_goes_on(scene):
    scene.kill()
    did = scene.serve(9.9, *resting("A"))
    assert not of(did, facts.Answer)
    late = only(scene.serve(0.2, *resting("A")), facts.Answer).reply
    assert late.code == core.TIMED_OUT
    assert json.loads(late.data)["remaining"] == 1
    assert cancelled(scene.serve(2.0, *resting("A"))) == {"A"}


def test_the_answer_says_how_it_went(scene):
    scene.kill()
    scene.hear(Known(orders=resting("A", "B"), unresolved=1))
    told = json.loads(only(scene.serve(1.0), facts.Answer).reply.data)
    assert (told["cancelled"], told["remaining"], told["unresolved"]) == (2, 0, 1)
    assert told["detected_s"] == 0.0
    assert 0.0 < told["empty_s"] <= 1.0


def test_a_file_is_timed_from_its_writing(scene):
    scene.tick(kill_file=True, file_ns=scene.now - S // 2)
    assert scene.told()["sweep"]["detected_s"] == pytest.approx(0.6)


# --- rearm --------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_rearm_lifts_the_latch_under_a_new_epoch(scene):
    scene.kill()
    scene.serve(1.0)
    did = scene.ask(Rearm(by="op", confirm="checked"))
    assert kinds(did) == ["Write", "StepEpoch", "Answer"]
    latch = only(did, facts.Write).latch
    assert (latch.killed, latch.reason, latch.by) == (False, "checked", "op")
    assert not scene.told()["latch"]["killed"]


def test_a_rearm_is_refused_while_the_file_is_there(scene):
    scene.tick(kill_file=True)
    scene.serve(1.0)
    assert scene.rearm() == core.REFUSED
    scene.tick(kill_file=False)
    assert scene.rearm() == core.DONE


def test_a_rearm_is_refused_while_the_sweep_is_not_over(scene):
    scene.kill()
    assert scene.rearm() == core.REFUSED
    scene.listed()
    assert scene.rearm() == core.REFUSED
    scene.serve(1.0)
    scene.serve(2.0, *resting("L"))
    assert scene.rearm() == core.REFUSED, "a late arrival still rests"
    scene.serve(1.0)
    assert scene.rearm() == core.DONE


@pytest.mark.parametrize("confirm", ["", "  "])
def test_a_rearm_needs_a_reason(scene, confirm):
    scene.kill()
    scene.serve(1.0)
    did = scene.ask(Rearm(by="op", confirm=confirm))
    assert only(did, facts.Answer).reply.code == core.USAGE
    assert len(did) == 1


def test_a_rearm_of_what_is_not_killed_changes_nothing(scene):
    assert scene.rearm() == core.DONE
    assert kinds(action for _, action in scene.does) == ["Answer"]


def test_after_a_rearm_what_was_sent_before_the_kill_is_still_cancelled_and_new_work_is_not(scene):
    scene.kill()
    scene.serve(1.0)
    assert scene.rearm() == core.DONE
    scene.replaced_desk(DESK + 1)
    new, late = order("N", epoch=scene.seen.epoch), order("L")
    assert cancelled(scene.serve(3.0, new, late)) == {"L"}


def test_after_a_rearm_the_desk_has_its_seven_seconds_again(scene):
    scene.kill()
    scene.serve(1.0)
    scene.seen = replace(scene.seen, desk_pid=DESK + 1, armed=False)
    scene.serve(200.0)
    assert scene.rearm() == core.DONE
    assert scene.wait(6.5) == []


# --- starts and ends ----------------------------------------------------------------------------------------------

KILLED = Latch(killed=True, epoch=EPOCH, reason="before", by="op", at_ns=1, scope="all")


@pytest.mark.req("K1")
def test_a_start_with_the_latch_down_takes_the_sweep_up_again_without_a_new_epoch():
    scene = Scene(latch=KILLED)
    did = [action for _, action in scene.does]
    assert kinds(did) == ["ReadKnown", "TakeList"]
    assert cancelled(scene.listed(OTHERS)) == {"X"}
    told = scene.told()["latch"]
    assert (told["killed"], told["reason"]) == (True, "before")


@pytest.mark.parametrize("latch", [None, replace(KILLED, killed=False)])
def test_a_start_without_the_latch_sweeps_nothing(latch):
    assert Scene(latch=latch).does == []


def test_the_file_found_at_a_start_while_latched_is_the_same_kill():
    scene = Scene(latch=KILLED)
    assert not of(scene.wait(2.0, kill_file=True), facts.Write)


def test_asked_to_leave_it_cancels_and_leaves_when_two_lists_are_clean(scene):
    scene.tick(desk_alive=False, armed=False)
    did = scene.hear(LeaveAsked())
    assert kinds(did) == ["ReadKnown", "TakeList"]
    scene.hear(Known(orders=(), unresolved=0))
    assert cancelled(scene.listed(*resting("A"))) == {"A"}
    assert of(scene.serve(1.5), facts.Leave)


@pytest.mark.parametrize("unresolved", [1, None])
def test_asked_to_leave_with_a_request_undecided_it_stays_until_its_signature_is_dead(scene, unresolved):
    scene.tick(desk_alive=False, armed=False)
    scene.hear(LeaveAsked())
    scene.hear(Known(orders=(), unresolved=unresolved))
    assert not of(scene.serve(128.0), facts.Leave)
    assert cancelled(scene.serve(1.0, *resting("L"))) == {"L"}
    assert of(scene.serve(3.0), facts.Leave)


def test_asked_to_leave_it_reads_a_store_that_did_not_answer_again(scene):
    scene.tick(desk_alive=False, armed=False)
    scene.hear(LeaveAsked())
    did = scene.serve(1.0)
    assert of(did, facts.ReadKnown)
    scene.hear(Known(orders=(), unresolved=0))
    assert of(scene.tick(), facts.Leave)


def test_asked_to_leave_while_the_venue_says_nothing_it_stays(scene):
    scene.tick(desk_alive=False, armed=False)
    scene.hear(LeaveAsked())
    scene.hear(Known(orders=(), unresolved=0))
    assert not of(scene.wait(300.0), facts.Leave)


def test_asked_for_what_the_desk_knows_it_says_whom_to_ask(scene):
    assert only(scene.ask(View(by="op", what="orders")), facts.Answer).reply.code == core.USAGE
