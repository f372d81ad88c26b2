"""The regime table row by row, and how a crash is entered and left (pipeline.md §4)."""

import math
import statistics
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.universe.regime import Detector, Reading, _classify, change, detect, follow
from protocol.strategy import Regime
from tests.support.desk_scenes import policy

pytestmark = pytest.mark.req("U3")

BULL, CHOP, BEAR, CRASH = Regime.BULL, Regime.CHOP, Regime.BEAR, Regime.CRASH

ROWS = {
    "deep fall and wild": (-15.1, 120.1, CRASH, 0.9),
    "deep fall, not wild enough for the first row": (-15.1, 120.0, CRASH, 0.7),
    "a fall beyond 10 %": (-10.1, 50.0, CRASH, 0.7),
    "a fall of just 10 % is a bear": (-10.0, 50.0, BEAR, 0.75),
    "wild without direction": (0.0, 100.1, CRASH, 0.7),
    "wild upwards": (50.0, 100.1, CRASH, 0.7),
    "just not too wild": (0.0, 100.0, CHOP, 0.8),
    "a rise of 10 % itself": (10.0, 59.9, BULL, 0.5),
    "a great rise": (40.0, 10.0, BULL, 0.9),
    "a rise, too lively for a bull": (10.0, 60.0, CHOP, 0.6),
    "a fall of 5 % itself": (-5.0, 50.0, BEAR, 0.5),
    "a fall of 9 %": (-9.0, 50.0, BEAR, 0.7),
    "nearly flat": (4.9, 50.0, CHOP, 0.8),
    "nearly flat, down": (-4.9, 50.0, CHOP, 0.8),
    "in between": (7.0, 50.0, CHOP, 0.6),
    "5 % up itself": (5.0, 50.0, CHOP, 0.6),
}


@pytest.mark.parametrize(("trend", "volatility", "regime", "confidence"), ROWS.values(), ids=ROWS)
def test_first_row_that_matches(trend, volatility, regime, confidence):
    found = _classify(trend, volatility)
    assert found[0] is regime
    assert found[1] == pytest.approx(confidence)


def test_too_few_closes_are_chop_with_little_confidence():
    assert detect([100.0] * 167) == Reading(regime=CHOP, confidence=0.5)
    assert detect([]).regime is CHOP
    assert detect([100.0] * 168).confidence == 0.8


def climb(total_pct, wobble_pct=0.0):
    """168 closes that end `total_pct` away from their beginning."""
    step = (1 + total_pct / 100) ** (1 / 167)
    return [100 * step**i * (1 + (wobble_pct / 100 if i % 2 else 0) * (0 < i < 167)) for i in range(168)]


CLOSES = {
    "a calm rise": (climb(12), BULL),
    "a calm fall": (climb(-7), BEAR),
    "a fall of 12 %": (climb(-12), CRASH),
    "a wild week": (climb(0, 2.0), CRASH),
    "nothing": (climb(0), CHOP),
}


@pytest.mark.parametrize(("closes", "regime"), CLOSES.values(), ids=CLOSES)
def test_a_week_of_closes(closes, regime):
    assert detect(closes).regime is regime


@given(st.lists(st.floats(-3, 3), min_size=167, max_size=300), st.floats(1, 1e6))
def test_trend_and_volatility_are_plain_statistics_of_the_last_week(moves, start):
    closes = [start]
    for move in moves:
        closes.append(closes[-1] * (1 + move / 100))
    found, week = detect(closes), closes[-168:]
    assert found.trend_pct == pytest.approx((week[-1] - week[0]) / week[0] * 100, rel=1e-6, abs=1e-9)
    returns = [(week[i + 1] - week[i]) / week[i] * 100 for i in range(167)]
    expected = statistics.stdev(returns) * math.sqrt(8760)
    assert found.volatility_pct == pytest.approx(expected, rel=1e-6, abs=1e-6)


WALKS = {
    "a crash is entered at once": ([BULL, CRASH], [BULL, CRASH]),
    "and left after two cycles in a row": ([CRASH, CHOP, CHOP], [CRASH, CRASH, CHOP]),
    "one calm cycle is not enough": ([CRASH, CHOP, CRASH, CHOP, CHOP], [CRASH, CRASH, CRASH, CRASH, CHOP]),
    "the second one decides into what": ([CRASH, CHOP, BEAR, BULL], [CRASH, CRASH, BEAR, BULL]),
    "elsewhere there is no waiting": ([CHOP, BULL, BEAR, CHOP], [CHOP, BULL, BEAR, CHOP]),
}


@pytest.mark.parametrize(("seen", "held"), WALKS.values(), ids=WALKS)
def test_hysteresis(seen, held):
    detector, walked = Detector(), []
    for regime in seen:
        detector = follow(detector, Reading(regime=regime, confidence=0.5, trend_pct=0.0))
        walked.append(detector.regime)
    assert walked == held


def test_too_few_closes_end_no_crash_and_break_the_row():
    blind = detect([])
    detector = follow(Detector(), Reading(regime=CRASH, confidence=0.9, trend_pct=-20.0))
    calm = Reading(regime=CHOP, confidence=0.8, trend_pct=0.0)
    for reading in (blind, blind, calm, blind, calm):
        detector = follow(detector, reading)
        assert (detector.regime, detector.confidence) == (CRASH, 0.9)
    assert follow(detector, calm) == Detector(regime=CHOP, confidence=0.8)


@given(st.lists(st.sampled_from([BULL, CHOP, BEAR, CRASH]), min_size=1, max_size=30))
def test_a_crash_holds_exactly_until_two_other_readings_in_a_row(seen):
    detector = Detector()
    for index, regime in enumerate(seen):
        detector = follow(detector, Reading(regime=regime, confidence=0.5, trend_pct=0.0))
        last = next((i for i in range(index, -1, -1) if seen[i] is CRASH), None)
        assert (detector.regime is CRASH) is (last is not None and index - last < 2)


def test_a_change_tells_what_the_table_makes_of_it():
    row = policy().regime.row(BULL)
    reading = Reading(regime=BULL, confidence=0.7, trend_pct=20.0, volatility_pct=30.0)
    after = follow(Detector(), reading)
    told = change(Detector(), after, reading, row, 5)
    assert (told.before, told.after, told.confidence, told.trend_pct) == (CHOP, BULL, 0.7, 20.0)
    assert (told.size_multiplier, told.cap_multiplier, told.max_positions) == (Decimal("1.2"), 1, 5)
    assert told.allowed_signals == ("momentum", "price_move", "breakout", "volume_spike")
    assert told.signal_confidence_boost == 0.05
