"""The watchdog's decisions, as tables: what it sees, what it asks of its edges."""

import json
from itertools import pairwise

import pytest
from msgspec.structs import replace

from actors.watchdog import core, facts
from actors.watchdog.core import Settings
from actors.watchdog.facts import Asked, KillSignalled, Known, LeaveAsked, Listed, Resting, Tick
from protocol.control import KillNow, Latch, Rearm, View

MS, S = 1_000_000, 1_000_000_000
BOT, EPOCH, DESK = "bot", 7, 100
BEAT = 100 * MS


def order(name: str, *, epoch: int = EPOCH, bot: str = BOT) -> Resting:
    """One of our orders, minted under `epoch`; `name` is its venue id."""
    counter = int.from_bytes(name.encode(), "big")
    coid = f"{bot}-btc-usd-20261122t153809123z-{epoch}_{counter}-a1"
    return Resting(client_order_id=coid, venue_order_id=name)


def resting(*names: str) -> tuple[Resting, ...]:
    return tuple(order(name) for name in names)


class Scene:
    """A core on a clock of its own. `does` keeps every action with its time; nothing is answered unless told to."""

    def __init__(self, *, latch: Latch | None = None, **settings) -> None:
        self.now = 1_000 * S
        self.does: list[tuple[int, object]] = []
        self.seen = Tick(
            pulse_age_ns=0,
            armed=True,
            desk_pid=DESK,
            desk_alive=True,
            root_alive=True,
            kill_file=False,
            file_text="",
            epoch=EPOCH,
        )
        made = Settings(bot=BOT, **settings)
        self.state, actions = core.resumed(made, latch, self.now)
        self._take(actions)

    def _take(self, actions) -> list[object]:
        """Keep the actions; a stepped epoch shows on the page, as it would."""
        steps = sum(isinstance(a, facts.StepEpoch) for a in actions)
        self.seen = replace(self.seen, epoch=self.seen.epoch + steps)
        self.does += [(self.now, action) for action in actions]
        return list(actions)

    def hear(self, event) -> list[object]:
        self.state, actions = core.step(self.state, event, self.now)
        return self._take(actions)

    def tick(self, **changed) -> list[object]:
        """Look once, 100 ms later."""
        self.seen = replace(self.seen, **changed)
        self.now += BEAT
        return self.hear(self.seen)

    def wait(self, seconds: float, **changed) -> list[object]:
        """Look ten times a second for that long."""
        did = []
        for _ in range(round(seconds * 10)):
            did += self.tick(**changed)
        return did

    def listed(self, *orders: Resting, failed: bool = False) -> list[object]:
        """Answer the list that is out."""
        return self.hear(Listed(number=self.state.listing, orders=None if failed else orders))

    def serve(self, seconds: float, *orders: Resting) -> list[object]:
        """For that long the venue answers each list with the same orders."""
        did = []
        for _ in range(round(seconds * 10)):
            did += self.tick()
            if self.state.listing:
                did += self.listed(*orders)
        return did

    def ask(self, request, connection: int = 1) -> list[object]:
        return self.hear(Asked(connection=connection, request=request))

    def kill(self, scope: str = "mine", connection: int = 1) -> list[object]:
        return self.ask(KillNow(by="op", reason="practice", scope=scope), connection)

    def rearm(self) -> int:
        """The code of the answer to a rearm."""
        return only(self.ask(Rearm(by="op", confirm="checked")), facts.Answer).reply.code

    def replaced_desk(self, pid: int) -> None:
        self.tick(desk_pid=pid, pulse_age_ns=0, armed=False)
        self.tick(armed=True)

    def told(self) -> dict:
        answer = only(self.ask(View(by="op", what="status"), 99), facts.Answer)
        return json.loads(answer.reply.data)


def of(actions, kind) -> list:
    return [action for action in actions if isinstance(action, kind)]


def only(actions, kind):
    found = of(actions, kind)
    assert len(found) == 1, actions
    return found[0]


def cancelled(actions) -> set[str]:
    return {name for cancel in of(actions, facts.Cancel) for name in cancel.venue_order_ids}


def kinds(actions) -> list[str]:
    return [type(action).__name__ for action in actions]


@pytest.fixture
def scene():
    made = Scene()
    made.tick()
    assert made.does == []
    return made


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

OTHERS = Resting(client_order_id="somebody-else", venue_order_id="X")
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
