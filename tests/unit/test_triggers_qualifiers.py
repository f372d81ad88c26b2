"""What makes a reversal believable (pipeline.md §5.3), bound by bound, and the inclusive bounds of the z-score."""

import pytest
from msgspec.structs import replace

from actors.strategy.triggers import qualifiers as q
from actors.strategy.triggers import signals
from actors.strategy.triggers.scan import scan
from actors.strategy.triggers.signals import Signal
from protocol.strategy import Regime
from tests.support.trigger_scenes import bars, candidate, case, flat, lens_of, scan_rules

pytestmark = pytest.mark.req("S1")


def fives(*closes, span=0.0, **more):
    return lens_of(fives=bars(closes, seconds=300, span=span, **more))


@pytest.mark.parametrize(("last", "above"), [(101.0, True), (100.0, False), (99.0, False)])
def test_close_above_the_vwap_of_an_hour(last, above):
    assert q.above_vwap(fives(*flat(11), last)) is above


def test_no_vwap_without_an_hour_or_without_trades():
    assert not q.above_vwap(fives(*flat(10), 150.0))
    assert not q.above_vwap(fives(*flat(11), 150.0, volume=0.0))


def lows(*values):
    """Hours whose lows are these; pivots need two on each side."""
    made = bars(flat(len(values)), span=0.5)
    return lens_of([replace(bar, low=low) for bar, low in zip(made, values, strict=True)])


PIVOTS = {
    "higher": ([99, 98, 95, 98, 99, 98, 96, 98, 99], True),
    "as low": ([99, 98, 95, 98, 99, 98, 95, 98, 99], False),
    "lower": ([99, 98, 96, 98, 99, 98, 95, 98, 99], False),
    "one only": ([99, 98, 95, 98, 99, 99, 99, 99, 99], None),
    "level before counts": ([95, 95, 95, 98, 99, 98, 96, 98, 99], True),
    "level after does not": ([99, 98, 95, 98, 95, 99, 99, 99, 99], None),
    "not whole yet": ([99, 98, 95, 98, 99, 98, 96, 98], None),
}


@pytest.mark.parametrize(("values", "expected"), PIVOTS.values(), ids=PIVOTS)
def test_a_higher_low(values, expected):
    assert lows(*values).hours.figures.higher_low is expected


@pytest.mark.parametrize(("between", "known"), [(45, True), (46, False)], ids=["48 hours ago", "49 hours ago"])
def test_a_pivot_older_than_two_days_is_forgotten(between, known):
    low = lows(99, 98, 95, 98, 99, *flat(between - 5, 99), 98, 96, 98, 99, 99)
    assert (low.hours.figures.higher_low is not None) is known


def test_rsi_has_to_cross_fifty_upwards_now():
    falling = [110 - i for i in range(30)]
    assert q.rsi_crossed(fives(*map(float, falling), 100.0))
    assert not q.rsi_crossed(fives(*map(float, falling), 82.0)), "still below"
    assert not q.rsi_crossed(fives(*map(float, falling), 100.0, 101.0)), "crossed one candle ago"


def test_rsi_and_bounce_are_told_of_hours_while_there_are_too_few_fives():
    falling = bars([*[110.0 - i for i in range(30)], 100.0], span=0.0)
    assert q.rsi_crossed(lens_of(falling, fives=bars(flat(10), seconds=300)))
    assert q.bounced_pct(lens_of(falling, fives=bars(flat(35), seconds=300))) == pytest.approx(100 / 81 * 100 - 100)
    assert q.bounced_pct(lens_of(falling, fives=bars(flat(36), seconds=300, span=0.0))) == 0.0
    assert q.bounced_pct(lens_of(bars(flat(11)))) is None


@pytest.mark.parametrize(("last", "confirmed"), [(100.6, True), (100.59, False)])
def test_a_bounce_of_six_tenths_confirms(last, confirmed):
    lens = fives(*flat(40), last)
    assert (q.BOUNCE in q.qualifiers(lens, 0.6)) is confirmed


def test_a_reversal_names_what_holds_and_other_triggers_name_nothing():
    rising = [94 + 0.1 * i for i in range(60)]
    hours = list(bars([*rising, 102.0], span=0.0))
    hours[-2] = bars([99.0, rising[-1]], start=58, low=95.0)[1]
    (found,) = scan([candidate(hours=hours)], Regime.BEAR, scan_rules()).triggers
    assert found.kind == "breakout"
    assert found.qualifiers == ()
    limits = replace(scan_rules().regimes["bear"], allowed=("reversal",))
    (found,) = scan([candidate(hours=hours)], Regime.BEAR, scan_rules(limits=limits)).triggers
    assert (found.kind, found.qualifiers) == ("reversal", (q.BOUNCE,))


def test_the_highest_z_score_itself_passes():
    given = case(hours=bars([*flat(20), 101.0, 99.0, 100.0, 98.0]))
    z = given.lens.hours.figures.z_score
    at, above = (replace(given, rules=replace(given.rules, z_max=limit)) for limit in (z, z - 1e-9))
    assert isinstance(signals.mean_reversion(at), Signal)
    assert not isinstance(signals.mean_reversion(above), Signal)
