"""Strategies as operators see them: `strategy list` and `strategy report`."""

from decimal import Decimal

import pytest

from actors.control.strategies import view
from protocol.instants import SECOND_NS
from protocol.strategy import BoardRow, ShadowTally, StrategyBoard, StrategyRun, Switch
from tests.support.desk_scenes import NOON_NS

TALLY = ShadowTally(
    name="dip_buyer",
    since_ns=NOON_NS,
    cycles=9,
    agreed=4,
    alone=2,
    missed=1,
    conviction_gap_sum=-0.2,
    size_gap_pct_sum=Decimal("1.5"),
)


def shown(**changes):
    row = {"name": "dip_buyer", "state": "off", "reason": "", "switch": None, "last": None, "tally": None} | changes
    (found,) = view(StrategyBoard(alpha_up=True, rows=(BoardRow(**row),)))["strategies"]
    return found


@pytest.mark.req("STR2")
def test_what_nobody_has_said_is_null_and_not_invented():
    assert view(None) == {"alpha_up": None, "strategies": []}
    assert shown() == {
        "name": "dip_buyer",
        "state": "off",
        "reason": "",
        "switched": None,
        "last": None,
        "shadow": None,
    }


def test_a_switch_says_who_and_when_and_why():
    switch = Switch(name="dip_buyer", on=False, by="ann@desk", reason="switched off", at_ns=NOON_NS + SECOND_NS)
    assert shown(switch=switch)["switched"] == {
        "on": False,
        "by": "ann@desk",
        "reason": "switched off",
        "at": "2026-11-18T12:00:01.000Z",
    }


def test_the_newest_run_tells_its_time_in_milliseconds():
    run = StrategyRun(name="dip_buyer", shadow=False, proposed=3, kept=1, elapsed_us=1234)
    assert shown(last=run)["last"] == {"proposed": 3, "kept": 1, "elapsed_ms": 1.234}


def test_differences_are_averages_over_what_both_wanted():
    shadow = shown(tally=TALLY)["shadow"]
    assert (shadow["cycles"], shadow["agreed"], shadow["alone"], shadow["missed"]) == (9, 4, 2, 1)
    assert (shadow["conviction_difference"], shadow["size_difference_pct"]) == (-0.05, "0.375")


def test_there_is_no_average_over_nothing():
    shadow = shown(tally=ShadowTally(name="dip_buyer", since_ns=NOON_NS))["shadow"]
    assert (shadow["conviction_difference"], shadow["size_difference_pct"]) == (None, None)
