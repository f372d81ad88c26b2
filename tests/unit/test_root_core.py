"""The root's decisions: who is restarted, what is a storm, in which order a stop goes, and who may be late."""

import pytest

from actors.root.core import (
    DESK,
    GAVE_UP,
    KILLED,
    REFUSED,
    REVOKED,
    STILL,
    Exited,
    Finish,
    Kill,
    Kind,
    LatchKill,
    Root,
    Spec,
    Start,
    Started,
    StopAsked,
    TakeUp,
    Terminate,
    Tick,
    TookUp,
    step,
)
from protocol.control import TAKE_UP
from protocol.instants import SECOND_NS

SPECS = (
    Spec(name="venue", kind=Kind.ESSENTIAL, stop_order=3, stop_s=5.0),
    Spec(name="watchdog", kind=Kind.OUTLIVES, stop_order=2, stop_s=8.0),
    Spec(name=DESK, kind=Kind.DESK, stop_order=1, stop_s=10.0),
    Spec(name="alpha", kind=Kind.ESSENTIAL, stop_order=1, stop_s=3.0),
)


class Rig:
    """A root whose children all run."""

    def __init__(self):
        self.now_ns, self.actions, self.root = 1_000_000 * SECOND_NS, (), Root(specs=SPECS)
        for number, spec in enumerate(SPECS):
            self.tell(Started(name=spec.name, pid=100 + number))

    def tell(self, *events, after_s=0.0):
        self.now_ns += int(after_s * SECOND_NS)
        for event in events:
            self.root, self.actions = step(self.root, event, self.now_ns)
        return self

    def desk_dies(self, code=GAVE_UP, *, after_s=1.0, armed_s=None):
        """Restarted at once, armed for `armed_s` if given, then dead again; what that caused."""
        if DESK not in self.root.children:
            self.tell(Started(name=DESK, pid=1))
        if armed_s is not None:
            self.tell(Tick(revoked=False, armed=True))
            after_s = armed_s
        return self.tell(Exited(name=DESK, code=code), after_s=after_s).actions


# --- restarts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["venue", "watchdog", "alpha"])
@pytest.mark.parametrize("code", [0, 1, GAVE_UP, KILLED, -15])
def test_every_other_child_is_restarted_at_once_however_often(name, code):
    rig = Rig()
    for _ in range(10):
        assert rig.tell(Exited(name=name, code=code)).actions == (Start(name=name),)
        rig.tell(Started(name=name, pid=7))


COUNTS = {
    "gave up (70)": ({"code": GAVE_UP}, True),
    "gave up although armed for long": ({"code": GAVE_UP, "armed_s": 60.0}, True),
    "ended before it was armed": ({"code": 1}, True),
    "ended well before it was armed": ({"code": 0}, True),
    "killed before it was armed": ({"code": KILLED}, True),
    "crashed when armed for nine seconds": ({"code": 1, "armed_s": 9.0}, True),
    "crashed when armed for ten seconds": ({"code": 1, "armed_s": 10.0}, False),
    "killed from outside when armed": ({"code": KILLED, "armed_s": 1.0}, False),
    "revoked (75)": ({"code": REVOKED}, False),
}


@pytest.mark.parametrize(("death", "counts"), COUNTS.values(), ids=COUNTS)
def test_which_deaths_count_towards_a_storm(death, counts):
    rig = Rig()
    for _ in range(2):
        assert rig.desk_dies(**death) == (Start(name=DESK),)
    third = rig.desk_dies(**death)
    assert any(isinstance(a, LatchKill) for a in third) is counts
    assert any(isinstance(a, Start) for a in third), "it is restarted in any case"


@pytest.mark.req("K1")
def test_a_storm_latches_a_kill_once_and_restarts_more_slowly():
    rig = Rig()
    rig.desk_dies()
    rig.desk_dies()
    latch, start = rig.desk_dies()
    assert isinstance(latch, LatchKill)
    assert start == Start(name=DESK, after_ns=5 * SECOND_NS)
    for _ in range(5):
        assert rig.desk_dies() == (Start(name=DESK, after_ns=5 * SECOND_NS),)


def test_deaths_of_five_minutes_ago_are_forgotten():
    rig = Rig()
    for _ in range(10):
        assert rig.desk_dies(after_s=150.1) == (Start(name=DESK),)


@pytest.mark.req("K1")
def test_a_second_storm_after_a_calm_latches_again():
    rig = Rig()
    for _ in range(3):
        rig.desk_dies()
    assert rig.desk_dies(after_s=400.0) == (Start(name=DESK),)
    rig.desk_dies()
    assert any(isinstance(a, LatchKill) for a in rig.desk_dies())


@pytest.mark.req("K1")
def test_a_revoked_desk_has_one_second_to_leave_and_its_death_does_not_count():
    rig = Rig()
    assert rig.tell(Tick(revoked=True, armed=True)).actions == ()
    assert rig.tell(Tick(revoked=True, armed=True), after_s=0.9).actions == ()
    assert rig.tell(Tick(revoked=True, armed=True), after_s=0.1).actions == (Kill(name=DESK),)
    assert rig.tell(Exited(name=DESK, code=KILLED)).actions == (Start(name=DESK),)
    assert rig.root.deaths_ns == ()


def test_a_new_desk_is_not_revoked_by_what_was_said_of_the_old_one():
    rig = Rig().tell(Tick(revoked=True, armed=False), Exited(name=DESK, code=REVOKED), Started(name=DESK, pid=2))
    assert rig.tell(Tick(revoked=False, armed=False), after_s=5.0).actions == ()


def test_a_store_that_must_not_be_used_ends_everything_with_4():
    rig = Rig().tell(Exited(name=DESK, code=REFUSED))
    assert rig.actions == (Terminate(name="alpha"),)
    rig.tell(Exited(name="alpha", code=0), Exited(name="watchdog", code=0), Exited(name="venue", code=0))
    assert rig.actions == (Finish(code=REFUSED),)


# --- a frozen watchdog --------------------------------------------------------------------------------------------


def beats(rig, *stamps):
    """A tick each, a quarter of a second apart, with the watchdog's last stamp; the watchdogs that were ended."""
    ended = []
    for stamp in stamps:
        rig.tell(Tick(revoked=False, armed=True, beat_ns=stamp), after_s=0.25)
        ended += [action.name for action in rig.actions if isinstance(action, Kill)]
    return ended


@pytest.mark.req("K1")
def test_a_watchdog_whose_beat_stands_still_is_ended_once_and_the_next_starts_when_it_is_gone():
    rig = Rig()
    assert beats(rig, 1, 2, 3, *[4] * STILL) == []
    assert beats(rig, 4) == ["watchdog"]
    assert beats(rig, *[4] * 100) == [], "a signal that cannot be refused is sent once"
    assert rig.tell(Exited(name="watchdog", code=KILLED)).actions == (Start(name="watchdog"),)


def test_a_new_watchdog_is_not_judged_by_the_old_one_s_beat():
    rig = Rig()
    beats(rig, 1, 2, *[3] * (STILL + 1))
    rig.tell(Exited(name="watchdog", code=KILLED), Started(name="watchdog", pid=9))
    assert beats(rig, *[3] * 100, 4, *[5] * STILL, *[6] * STILL) == []
    assert beats(rig, 6) == ["watchdog"]


def test_a_machine_that_stood_still_itself_has_no_frozen_watchdog():
    rig = Rig()
    beats(rig, 1, 2)
    rig.tell(Tick(revoked=False, armed=True, beat_ns=2), after_s=3600.0)
    assert rig.actions == ()
    assert beats(rig, 3, *[4] * STILL) == []


def test_nobody_is_ended_for_standing_still_during_a_stop():
    rig = Rig()
    beats(rig, 1, 2)
    rig.tell(StopAsked(), Exited(name="alpha", code=0))
    assert beats(rig, *[2] * (STILL + 4)) == []


# --- another configuration ----------------------------------------------------------------------------------------


@pytest.mark.req("C1")
def test_a_desk_that_makes_way_is_followed_by_one_that_reads_what_was_taken_up_and_so_is_alpha():
    rig = Rig()
    assert rig.tell(Exited(name=DESK, code=TAKE_UP)).actions == (TakeUp(),), "first it is written"
    assert rig.tell(Tick(revoked=False, armed=False)).actions == ()
    actions = rig.tell(TookUp()).actions
    assert actions == (Terminate(name="alpha"), Terminate(name="venue"), Start(name=DESK))
    assert rig.tell(Exited(name="alpha", code=0)).actions == (Start(name="alpha"),)


@pytest.mark.req("C1")
def test_who_outlives_the_root_outlives_a_configuration():
    specs = tuple(
        Spec(name=s.name, kind=Kind.OUTLIVES, stop_order=3, stop_s=5.0) if s.name == "venue" else s for s in SPECS
    )
    root = Root(specs=specs)
    for spec in specs:
        root, _ = step(root, Started(name=spec.name, pid=1), 0)
    root, _ = step(root, Exited(name=DESK, code=TAKE_UP), 1)
    assert step(root, TookUp(), 1)[1] == (Terminate(name="alpha"), Start(name=DESK))


@pytest.mark.req("C1")
def test_making_way_never_counts_as_a_death():
    rig = Rig()
    for _ in range(10):
        assert rig.desk_dies(TAKE_UP) == (TakeUp(),)
        rig.tell(TookUp())
    assert rig.root.deaths_ns == ()


def test_a_stop_that_comes_while_a_desk_makes_way_is_a_stop():
    rig = Rig().tell(StopAsked(), Exited(name="alpha", code=0), Exited(name=DESK, code=TAKE_UP))
    assert rig.actions == (Terminate(name="watchdog"),)
    assert rig.tell(Exited(name="watchdog", code=0), Exited(name="venue", code=0)).actions == (Finish(code=0),)
    rig = Rig().tell(Exited(name=DESK, code=TAKE_UP), StopAsked())
    assert rig.tell(TookUp()).actions == ()


# --- the stop -----------------------------------------------------------------------------------------------------


def test_a_stop_goes_group_by_group_and_the_root_follows_the_last():
    rig = Rig().tell(StopAsked())
    assert rig.actions == (Terminate(name="alpha"), Terminate(name=DESK))
    assert rig.tell(Exited(name="alpha", code=0)).actions == ()
    assert rig.tell(Exited(name=DESK, code=0)).actions == (Terminate(name="watchdog"),)
    assert rig.tell(Exited(name="watchdog", code=0)).actions == (Terminate(name="venue"),)
    assert rig.tell(Exited(name="venue", code=0)).actions == (Finish(code=0),)


def test_nobody_is_restarted_during_a_stop_not_even_out_of_turn():
    rig = Rig().tell(StopAsked())
    assert rig.tell(Exited(name="venue", code=1)).actions == ()
    assert rig.tell(Exited(name="alpha", code=1)).actions == ()
    assert rig.tell(Exited(name=DESK, code=0)).actions == (Terminate(name="watchdog"),)
    assert rig.tell(Exited(name="watchdog", code=0)).actions == (Finish(code=0),)


def test_a_signal_after_the_time_was_up_changes_nothing():
    assert Rig().tell(StopAsked(), StopAsked(signal=True)).actions == ()
    assert Rig().tell(StopAsked(signal=True), StopAsked()).actions == ()


@pytest.mark.req("SI1")
def test_a_second_signal_forces_the_end_of_what_was_asked_and_of_nothing_else():
    rig = Rig().tell(StopAsked(signal=True), StopAsked(signal=True))
    assert rig.actions == (Kill(name="alpha"), Kill(name=DESK))
    rig.tell(Exited(name="alpha", code=KILLED), Exited(name=DESK, code=KILLED))
    assert rig.actions == (Terminate(name="watchdog"),)
    assert rig.tell(StopAsked(signal=True)).actions == (Finish(code=5),), "its duty outlives the root"


def test_a_stop_with_nothing_running_is_over_at_once():
    _, actions = step(Root(specs=SPECS), StopAsked(), 0)
    assert actions == (Finish(code=0),)


def test_the_desk_s_code_becomes_the_root_s():
    rig = Rig().tell(StopAsked(), Exited(name=DESK, code=5), Exited(name="alpha", code=1))
    rig.tell(Exited(name="watchdog", code=1), Exited(name="venue", code=1))
    assert rig.actions == (Finish(code=5),)


def test_a_child_that_does_not_end_in_its_time_is_killed_and_only_that_one():
    rig = Rig().tell(StopAsked())
    tick = Tick(revoked=True, armed=True)
    assert rig.tell(tick, after_s=2.9).actions == ()
    assert rig.tell(tick, after_s=0.1).actions == (Kill(name="alpha"),)
    rig.tell(Exited(name="alpha", code=KILLED))
    assert rig.tell(tick, after_s=6.9).actions == ()
    assert rig.tell(tick, after_s=0.1).actions == (Kill(name=DESK),)


def test_each_group_s_time_begins_when_it_is_asked():
    rig = Rig().tell(StopAsked()).tell(Exited(name="alpha", code=0), Exited(name=DESK, code=0), after_s=9.0)
    assert rig.tell(Tick(revoked=False, armed=False), after_s=7.9).actions == ()


@pytest.mark.req("K1")
def test_a_watchdog_with_something_to_decide_outlives_the_root_which_says_5():
    rig = Rig().tell(StopAsked(), Exited(name="alpha", code=0), Exited(name=DESK, code=0))
    assert rig.tell(Tick(revoked=False, armed=False), after_s=8.0).actions == (Finish(code=5),)
