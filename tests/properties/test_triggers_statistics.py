"""Indicators and triggers against plain computations of the same definitions, over any bars."""

import math
import statistics
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.strategy.indicators import bars as indicators
from actors.strategy.triggers import signals
from actors.strategy.triggers.signals import Refusal
from protocol.market import Bar

pytestmark = pytest.mark.req("S1")

PRICES = st.floats(1.0, 1e6)


@st.composite
def series(draw, least=1, most=220):
    """Any legal bars; each moves at most 30 % from the one before."""
    count = draw(st.integers(least, most))
    seed = Random(draw(st.integers(0, 2**32)))
    close, out = draw(PRICES), []
    for i in range(count):
        start = close
        close = start * (1 + seed.uniform(-0.3, 0.3) * seed.random() ** 2)
        high, low = (
            max(start, close) * (1 + seed.uniform(1e-4, 0.02)),
            min(start, close) * (1 - seed.uniform(1e-4, 0.02)),
        )
        volume = seed.choice([0.0, 1.0, seed.uniform(0.0, 1e4)])
        out.append(Bar(start_s=i * 900, open=start, high=high, low=low, close=close, volume=volume))
    return tuple(out)


def move(bars, back):
    return 100 * (bars[-1].close - bars[-1 - back].close) / bars[-1 - back].close


@given(series(least=15))
def test_atr_is_the_plain_mean_of_fourteen_true_ranges(bars):
    ranges = []
    for i in range(1, len(bars)):
        b, before = bars[i], bars[i - 1].close
        ranges.append(max([b.high - b.low, abs(b.high - before), abs(b.low - before)]))
    plain = [100 * statistics.fmean(ranges[i - 13 : i + 1]) / bars[i + 1].close for i in range(13, len(ranges))]
    assert indicators.atr_pcts(bars) == pytest.approx(plain, rel=1e-6)
    assert len(plain) == len(bars) - 14


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_the_upper_median_has_half_of_the_values_below(values):
    found = indicators.upper_median(values)
    assert found == statistics.median_high(values)


@given(st.lists(st.floats(-100, 100), max_size=60))
def test_standard_deviations(values):
    expected = (statistics.stdev(values), statistics.pstdev(values)) if len(values) > 1 else (0.0, 0.0)
    found = (indicators.sample_stdev(values), indicators.population_stdev(values))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(series(least=2))
def test_volatility_is_annualised_capped_and_has_a_default(bars):
    found = indicators.volatility_pct(bars)
    if len(bars) < 24:
        assert found == 50.0
        return
    closes = [b.close for b in bars[-169:]]
    moves = [100 * (b - a) / a for a, b in pairwise(closes)]
    assert found == pytest.approx(min(200.0, statistics.pstdev(moves) * math.sqrt(24 * 365)), rel=1e-6)


@given(series(least=60), st.floats(0.1, 20), st.floats(0.1, 20))
def test_price_move_fires_exactly_when_a_move_reaches_its_threshold_and_keeps_its_sign(bars, fast_pct, slow_pct):
    ones = [move(bars[: len(bars) - i], 1) for i in range(4)]
    hour = move(bars, 4)
    fast, slow = max(abs(m) for m in ones) >= fast_pct, abs(hour) >= slow_pct
    found = signals.price_move(bars, fast_pct, slow_pct)
    assert isinstance(found, Refusal) is not (fast or slow)
    if not isinstance(found, Refusal):
        grades = {(True, True): (0.8, 0.85), (True, False): (0.6, 0.7), (False, True): (0.7, 0.75)}
        assert (found.strength, found.confidence) == grades[fast, slow]
        assert any(found.change_pct == pytest.approx(m, abs=1e-9) for m in (ones if fast else [hour]))
        assert abs(found.change_pct) >= (fast_pct if fast else slow_pct) - 1e-9


@given(series(least=26), st.integers(5, 25))
def test_breakout_does_not_depend_on_the_current_bar_s_own_extremes(bars, lookback):
    last = bars[-1]
    found = signals.breakout(bars, lookback)
    stretched = Bar(start_s=last.start_s, open=last.open, high=1e12, low=1e-9, close=last.close, volume=last.volume)
    assert signals.breakout((*bars[:-1], stretched), lookback) == found
    above = last.close > max(b.high for b in bars[-lookback - 1 : -1])
    assert isinstance(found, Refusal) is not above


@given(series(least=25), st.sampled_from(["bull", "chop", "bear", "crash"]))
def test_momentum_keeps_its_sign_and_only_falls_count_in_a_bear(bars, regime):
    day = move(bars, 24)
    found = signals.momentum(bars, regime)
    fires = abs(day) >= 2 and not (day > 0 and regime in ("bear", "crash"))
    if abs(abs(day) - 2) > 1e-9:
        assert isinstance(found, Refusal) is not fires
    if not isinstance(found, Refusal):
        assert found.change_pct == pytest.approx(day)
        steps = [move(bars[: len(bars) - i], 1) for i in range(12)]
        same = sum(1 for s in steps if s * day > 0)
        assert found.confidence == pytest.approx(same / 12)
        assert 0 < found.strength <= 1


@given(series(least=28), st.floats(0.1, 3.0))
def test_atr_filter_compares_with_the_median_of_the_last_week(bars, minimum):
    atrs = indicators.atr_pcts(bars)[-168:]
    ratio = atrs[-1] / statistics.median_high(atrs)
    found = signals.atr_filter(bars, minimum)
    if abs(ratio - minimum) > 1e-6:
        assert (found is not None) is (ratio < minimum)


@given(series(least=21), st.floats(1, 30), st.floats(0.01, 1))
def test_outlier_is_far_and_thin(bars, deviation_pct, share):
    before, last = bars[-21:-1], bars[-1]
    mean, volume = statistics.fmean(b.close for b in before), statistics.fmean(b.volume for b in before)
    far = 100 * abs(last.close - mean) / mean
    found = signals.outlier(bars, deviation_pct, share, 20)
    if abs(far - deviation_pct) > 1e-6 and abs(last.volume - share * volume) > 1e-6:
        assert (found is not None) is (far > deviation_pct and last.volume < share * volume)
