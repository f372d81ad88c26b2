"""The pure restart decision: OTP's words with OTP's meaning."""

import pytest

from actors.runtime.restarts import (
    Again,
    Beyond,
    Child,
    Escalate,
    Forget,
    GiveUp,
    Group,
    Park,
    Restart,
    Strategy,
    decide,
    taken_along,
)

S = 1_000_000_000
NOW = 1_000 * S


def group(**changes):
    return Group(**({"name": "core", "intensity": 3, "period_s": 60.0} | changes))


def child(name="a", **changes):
    return Child(**({"name": name, "group": "core"} | changes))


@pytest.mark.parametrize(
    ("restart", "normal", "expected"),
    [
        (Restart.PERMANENT, False, Again),
        (Restart.PERMANENT, True, Again),
        (Restart.TRANSIENT, False, Again),
        (Restart.TRANSIENT, True, Forget),
        (Restart.TEMPORARY, False, Forget),
        (Restart.TEMPORARY, True, Forget),
    ],
)
def test_who_is_restarted(restart, normal, expected):
    assert type(decide(child(restart=restart), group(), (), NOW, normal=normal)) is expected


def test_the_restart_past_the_intensity_escalates_and_old_ones_do_not_count():
    recent, old = (NOW - 10 * S,), (NOW - 61 * S,)
    assert decide(child(), group(), recent * 2 + old * 5, NOW, normal=False) == Again(after_ns=0)
    verdict = decide(child(), group(), recent * 3, NOW, normal=False)
    assert verdict == Escalate(group="core", reason="a: 4 exits in 60 s")


@pytest.mark.parametrize(("beyond", "expected"), [(Beyond.PARK, Park(after_ns=300 * S)), (Beyond.GIVE_UP, GiveUp())])
def test_softer_ends(beyond, expected):
    assert decide(child(), group(beyond=beyond), (NOW,) * 3, NOW, normal=False) == expected


def test_backoff_doubles_to_its_ceiling():
    feed, patient = child(backoff_s=(0.25, 30.0)), group(intensity=100, period_s=1e6)
    waits = [decide(feed, patient, (NOW,) * n, NOW, normal=False).after_ns / S for n in range(10)]
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


GROUPS = {
    g.name: g
    for g in (
        Group(name="root"),
        Group(name="core", under="root", strategy=Strategy.REST_FOR_ONE),
        Group(name="orders", under="core"),
        Group(name="edge", under="root"),
    )
}
ORDER = [
    child("recorder"),
    child("risk"),
    child("desk"),
    child("order:1", group="orders"),
    child("order:2", group="orders"),
    child("control"),
    child("gateway", group="edge"),
    child("user_feed", group="edge"),
]


@pytest.mark.parametrize(
    ("failed", "along"),
    [
        ("recorder", ("recorder", "risk", "desk", "order:1", "order:2", "control")),
        ("desk", ("desk", "order:1", "order:2", "control")),
        ("order:1", ("order:1",)),
        ("control", ("control",)),
        ("gateway", ("gateway",)),
    ],
)
def test_rest_for_one_takes_along_what_started_later_in_its_group_and_below(failed, along):
    assert taken_along(failed, ORDER, GROUPS) == along
