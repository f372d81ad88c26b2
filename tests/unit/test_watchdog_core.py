"""When the watchdog sweeps, what it cancels, and when the book is empty, as tables."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from actors.watchdog import core, facts
from actors.watchdog.facts import Known, Listed, Resting
from tests.support.watchdog_scene import (
    BOT,
    DESK,
    EPOCH,
    MS,
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

# --- when it sweeps -----------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
@pytest.mark.parametrize(("age_s", "sweeps"), [(0.0, False), (1.9, False), (2.0, False), (2.1, True), (60.0, True)])
def test_a_pulse_older_than_two_seconds_is_a_frozen_desk(scene, age_s, sweeps):
    did = scene.tick(pulse_age_ns=int(age_s * S))
    assert bool(of(did, facts.TakeList)) is sweeps
    assert bool(of(did, facts.StepEpoch)) is sweeps
    assert not of(did, facts.Write), "a protective sweep does not latch"


def test_a_frozen_desk_is_fenced_before_anything_else_and_swept_once(scene):
    did = scene.tick(pulse_age_ns=3 * S)
    assert kinds(did) == ["StepEpoch", "Cry", "ReadKnown", "TakeList"]
    scene.listed()
    assert not of(scene.serve(5.0), facts.StepEpoch)


def test_a_desk_that_was_never_armed_is_not_frozen():
    scene = Scene()
    assert not of(scene.wait(6.5, armed=False, pulse_age_ns=30 * S), facts.StepEpoch)
    assert not of(scene.does and [a for _, a in scene.does], facts.TakeList)


def test_a_desk_that_froze_while_disarmed_still_has_its_orders_swept(scene):
    scene.tick(armed=False)
    assert of(scene.tick(pulse_age_ns=3 * S), facts.StepEpoch)


@pytest.mark.req("K1")
def test_a_dead_desk_with_a_living_root_is_given_seven_seconds(scene):
    assert scene.wait(7.0, desk_alive=False, armed=False) == []
    did = scene.tick()
    assert of(did, facts.TakeList)
    assert not of(did, facts.StepEpoch), "a successor on its way up must not be thrown back"


def test_a_successor_that_arms_within_seven_seconds_keeps_the_orders(scene):
    scene.wait(3.0, desk_alive=False, desk_pid=0, armed=False)
    scene.wait(3.0, desk_alive=True, desk_pid=DESK + 1, armed=False)
    assert scene.wait(20.0, armed=True) == []


def test_a_successor_that_does_not_arm_owns_nothing(scene):
    scene.wait(1.0, desk_alive=False, desk_pid=0, armed=False)
    did = scene.wait(7.0, desk_alive=True, desk_pid=DESK + 1, armed=False)
    assert of(did, facts.TakeList)
    assert cancelled(scene.listed(*resting("A"))) == {"A"}
    scene.tick(armed=True)
    assert scene.state.sweep is None, "an armed desk stands behind the orders"
    assert scene.wait(5.0) == []


def test_run_json_without_a_desk_for_a_moment_is_no_death(scene):
    scene.wait(0.5, desk_pid=0, desk_alive=False, armed=False)
    assert scene.wait(20.0, desk_pid=DESK + 1, desk_alive=True, armed=True) == []


@pytest.mark.req("K1")
def test_desk_and_root_dead_are_swept_at_once_and_then_it_leaves(scene):
    did = scene.tick(desk_alive=False, root_alive=False, armed=False)
    assert kinds(did) == ["StepEpoch", "Cry", "ReadKnown", "TakeList"]
    assert cancelled(scene.hear(Known(orders=resting("A"), unresolved=0))) == {"A"}
    assert of(scene.serve(1.0), facts.Leave)


def test_desk_and_root_dead_with_a_request_undecided_it_stays_until_its_signature_is_dead(scene):
    scene.tick(desk_alive=False, root_alive=False, armed=False)
    scene.hear(Known(orders=(), unresolved=1))
    assert not of(scene.serve(128.0), facts.Leave)
    late = order("L")
    assert "L" in cancelled(scene.serve(1.2, late))
    assert of(scene.serve(3.0), facts.Leave)


def test_a_root_that_dies_alone_leaves_the_desk_to_stop_by_itself(scene):
    assert scene.wait(9.0, root_alive=False) == []
    assert of(scene.tick(desk_alive=False), facts.TakeList)


def test_desk_and_root_dead_after_a_kill_are_the_kills_business(scene):
    scene.kill()
    scene.serve(1.0)
    did = scene.tick(desk_alive=False, root_alive=False, armed=False)
    assert not of(did, facts.StepEpoch)
    scene.hear(Known(orders=(), unresolved=0))
    assert of(scene.serve(1.0), facts.Leave)


# --- the list is the authority ------------------------------------------------------------------------------------


def test_empty_is_two_clean_lists_asked_apart(scene):
    scene.kill()
    asked = scene.now
    assert not of(scene.listed(), facts.Answer)
    did = scene.serve(1.0)
    assert only(did, facts.Answer).reply.code == core.DONE
    second = [at for at, action in scene.does if isinstance(action, facts.TakeList)][1]
    assert second - asked >= 200 * MS


def test_a_dirty_list_between_two_clean_ones_starts_the_count_again(scene):
    scene.kill()
    scene.listed()
    scene.wait(0.2)
    assert cancelled(scene.listed(*resting("A"))) == {"A"}
    scene.wait(0.2)
    assert not of(scene.listed(), facts.Answer)
    scene.wait(0.2)
    assert of(scene.listed(), facts.Answer)


@pytest.mark.req("K1")
def test_a_list_that_fails_is_asked_again_soon_and_for_ever(scene):
    scene.kill()
    asked = []
    for _ in range(300):
        if scene.state.listing:
            asked.append(scene.now)
            scene.listed(failed=True)
        scene.tick()
    gaps = {after - before for before, after in pairwise(asked)}
    assert len(asked) > 100
    assert gaps <= {100 * MS, 200 * MS}


def test_a_failed_list_is_not_an_empty_one(scene):
    scene.kill()
    scene.listed()
    for _ in range(20):
        scene.tick()
        if scene.state.listing:
            assert not of(scene.listed(failed=True), facts.Answer)


def test_a_list_that_never_returns_is_asked_anew_and_its_late_answer_counts_for_nothing(scene):
    scene.kill()
    lost = scene.state.listing
    assert len(of(scene.wait(11.0), facts.TakeList)) == 1
    scene.hear(Listed(number=lost, orders=()))
    assert scene.state.listing, "the second list is still out"
    assert cancelled(scene.listed(*resting("A"))) == {"A"}


def test_what_still_rests_is_cancelled_again_and_again_at_a_bounded_rate(scene):
    scene.kill()
    cancels = of(scene.serve(30.0, *resting("A")), facts.Cancel)
    assert 100 <= len(cancels) <= 300


@pytest.mark.req("K1")
def test_a_late_arrival_is_cancelled_until_no_signature_can_be_valid(scene):
    scene.kill()
    scene.serve(1.0)
    for _ in range(9):
        scene.serve(8.0)
        assert cancelled(scene.serve(5.0, *resting("L"))) == {"L"}
    scene.serve(15.0)
    assert scene.wait(10.0) == [], "it looks for ever"


def test_the_late_arrival_is_found_within_five_seconds(scene):
    scene.kill()
    scene.serve(20.0)
    arrived = scene.now
    scene.serve(5.0, *resting("L"))
    found = [at for at, action in scene.does if isinstance(action, facts.Cancel)]
    assert found[0] - arrived <= 2 * S


# --- whose orders -------------------------------------------------------------------------------------------------

NAMELESS = Resting(client_order_id="", venue_order_id="Y")
LIKE_OURS = Resting(client_order_id=f"{BOT}x-1", venue_order_id="Z")


@pytest.mark.req("K1")
@pytest.mark.parametrize(("scope", "gone"), [("mine", {"A"}), ("all", {"A", "X", "Y", "Z"})])
def test_scope(scene, scope, gone):
    scene.kill(scope)
    book = (order("A"), OTHERS, NAMELESS, LIKE_OURS)
    assert cancelled(scene.listed(*book)) == gone
    assert of(scene.serve(1.0, *(o for o in book if o.venue_order_id not in gone)), facts.Answer)


def test_what_the_store_knows_is_cancelled_without_waiting_for_the_list(scene):
    scene.kill()
    assert cancelled(scene.hear(Known(orders=(*resting("A", "B"), OTHERS), unresolved=0))) == {"A", "B"}


def test_a_store_that_cannot_be_read_says_nothing_and_the_list_decides(scene):
    scene.kill()
    assert not cancelled(scene.hear(Known(orders=(), unresolved=None)))
    assert cancelled(scene.listed(*resting("A"))) == {"A"}


def test_a_sweep_leaves_the_work_of_the_desk_that_came_after_alone_and_a_kill_does_not(scene):
    later = order("N", epoch=EPOCH + 1)
    scene.tick(pulse_age_ns=3 * S)
    assert cancelled(scene.listed(order("A"), later)) == {"A"}
    assert not cancelled(scene.serve(1.0, later))
    scene.kill()
    assert cancelled(scene.serve(0.5, later)) == {"N"}


def test_an_id_that_has_our_prefix_only_is_swept_whatever_else_it_says(scene):
    odd = Resting(client_order_id=f"{BOT}-odd", venue_order_id="O")
    scene.tick(pulse_age_ns=3 * S)
    assert cancelled(scene.listed(odd)) == {"O"}


# --- a second desk ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stuck", [False, True])
def test_a_second_desk_that_freezes_is_swept_while_the_first_sweep_still_works_or_watches(scene, stuck):
    held = resting("A") if stuck else ()
    scene.tick(pulse_age_ns=3 * S)
    scene.serve(1.0, *held)
    scene.replaced_desk(DESK + 1)
    mine = order("B", epoch=scene.seen.epoch)
    assert "B" not in cancelled(scene.serve(1.0, *held, mine))
    did = scene.tick(pulse_age_ns=3 * S)
    assert of(did, facts.StepEpoch)
    assert "B" in cancelled(scene.serve(0.5, *held, mine))


def test_orphans_of_a_successor_do_not_end_the_watch_for_what_the_frozen_desk_sent(scene):
    scene.tick(pulse_age_ns=3 * S)
    scene.serve(1.0)
    scene.serve(0.5)
    scene.seen = replace(scene.seen, desk_pid=0, desk_alive=False, armed=False, pulse_age_ns=0)
    scene.serve(8.0)
    assert scene.state.sweep is not None
    assert scene.state.sweep.until_owned
    scene.replaced_desk(DESK + 1)
    scene.tick(desk_alive=True)
    own, late = order("N", epoch=scene.seen.epoch), order("L")
    assert cancelled(scene.serve(5.0, own, late)) == {"L"}


@pytest.mark.req("K1")
def test_the_fourth_frozen_desk_in_an_hour_is_a_kill(scene):
    for number in range(1, 4):
        did = scene.tick(pulse_age_ns=3 * S)
        assert of(did, facts.StepEpoch)
        assert not of(did, facts.Write)
        scene.serve(1.0)
        scene.replaced_desk(DESK + number)
    did = scene.tick(pulse_age_ns=3 * S)
    assert only(did, facts.Write).latch.killed
    assert "frozen" in only(did, facts.Write).latch.reason


def test_frozen_desks_more_than_an_hour_apart_are_no_kill(scene):
    for number in range(1, 7):
        assert not of(scene.tick(pulse_age_ns=3 * S), facts.Write)
        scene.serve(1.0)
        scene.replaced_desk(DESK + number)
        scene.now += 1_300 * S
