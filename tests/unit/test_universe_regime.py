"""The regime table row by row, and how a crash is entered and left (pipeline.md §4)."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.universe.regime import Detector, Reading, _classify, detect, follow
from protocol.strategy import Regime

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
        detector = follow(detector, Reading(regime=regime, confidence=0.5))
        walked.append(detector.regime)
    assert walked == held
