"""Figures kept candle by candle, against plain computations over the same window and against TA-Lib, to 1e-9 relative.

Series are random walks with wicks, dead minutes and jumps; each figure is read after every candle, growing and sliding.
"""

import math
import statistics
from itertools import pairwise
from operator import ge, le
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.strategy.indicators.hours import HourFigures, Lookbacks
from actors.strategy.indicators.lens import FIVE_S, HOUR_S, KEPT, QUARTER_S, Lens
from actors.strategy.indicators.minutes import RSI_BARS, FiveFigures, QuarterFigures
from actors.strategy.indicators.rolling import RollingExtreme, RollingMedian, RollingSpread, RollingSum, Rsi, Smoothed
from actors.strategy.triggers import qualifiers
from protocol.market import Bar

pytestmark = pytest.mark.req("S1")

REL = 1e-9
SHORT = Lookbacks(breakout=5, outlier=4, atr=3, z_score=6, ema=5, slope=2, rsi=4, week=12)


def close_to(value):
    return pytest.approx(value, rel=REL, abs=1e-9)


@st.composite
def series(draw, least=1, most=80, seconds=HOUR_S):
    """Any legal candles; each moves at most 30 % from the one before."""
    count = draw(st.integers(least, most))
    seed = Random(draw(st.integers(0, 2**32)))
    price, out = 10 ** seed.uniform(-6, 5), []
    for i in range(count):
        start = price
        price = start * (1 + seed.choice([0.0, 1.0, 1.0]) * seed.uniform(-0.3, 0.3) * seed.random() ** 2)
        high, low = max(start, price) * (1 + seed.uniform(0, 0.02)), min(start, price) * (1 - seed.uniform(0, 0.02))
        volume = seed.choice([0.0, 1.0, seed.uniform(0.0, 1e7)])
        out.append(Bar(start_s=i * seconds, open=start, high=high, low=low, close=price, volume=volume))
    return tuple(out)


NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


@settings(deadline=None)
@given(NUMBERS, st.integers(1, 20))
def test_rolling_values_equal_those_of_the_window(values, size):
    total, spread, median = RollingSum(size), RollingSpread(size), RollingMedian(size)
    high, low = RollingExtreme(size, ge), RollingExtreme(size, le)
    for end, value in enumerate(values, 1):
        for kept in (total, spread, median, high, low):
            kept.push(value)
        window = values[max(0, end - size) : end]
        assert total.sum == pytest.approx(math.fsum(window), rel=REL, abs=1e-20)
        assert (total.mean, spread.mean) == (close_to(statistics.fmean(window)),) * 2
        assert spread.stdev == pytest.approx(statistics.pstdev(window), rel=REL, abs=1e-9)
        assert (median.value, high.value, low.value) == (statistics.median_high(window), max(window), min(window))


def test_a_rolling_sum_forgets_what_left_it_to_the_last_bit():
    total, spread = RollingSum(3), RollingSpread(3)
    for value in (1e12, 1e-8, 3e11, 0.1, 0.1, 0.1):
        total.push(value)
        spread.push(value)
    assert (total.mean, spread.stdev) == (0.1, 0.0)


def plain_ema(values, alpha, seed):
    found = statistics.fmean(values[:seed])
    for value in values[seed:]:
        found += alpha * (value - found)
    return found


@settings(deadline=None)
@given(NUMBERS, st.integers(1, 10), st.integers(1, 30))
def test_smoothing_equals_the_recursion_over_its_window(values, seed, more):
    kept = Smoothed(2 / (seed + 1), seed, seed + more)
    for end, value in enumerate(values, 1):
        kept.push(value)
        window = values[max(0, end - seed - more) : end]
        expected = plain_ema(window, 2 / (seed + 1), seed) if len(window) >= seed else None
        assert kept.value == (None if expected is None else pytest.approx(expected, rel=REL, abs=1e-6))


def plain_rsi(closes, length):
    moves = [b - a for a, b in pairwise(closes)]
    if len(moves) < length:
        return None
    up = plain_ema([max(m, 0.0) for m in moves], 1 / length, length)
    down = plain_ema([max(-m, 0.0) for m in moves], 1 / length, length)
    return 100 * up / (up + down) if up + down > 0 else 50.0


def test_a_market_at_rest_has_an_rsi_of_50_once_its_last_move_left_the_window():
    rsi, seen = Rsi(4, 12), []
    for close in [0.0053, 0.0061, *[0.0054] * 40]:
        rsi.push(close)
        seen.append(rsi.value)
    assert seen[:4] == [None] * 4
    assert all(value != 50.0 for value in seen[4:13])
    assert set(seen[13:]) == {50.0}


def true_ranges(bars):
    return [max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close)) for a, b in pairwise(bars)]


def atr_pcts(bars, length):
    ranges = true_ranges(bars)
    ends = range(length, len(ranges) + 1)
    return [100 * statistics.fmean(ranges[end - length : end]) / bars[end].close for end in ends]


def plain_pivots(bars):
    lows = [bar.low for bar in bars]
    return [
        i for i in range(2, len(lows) - 2) if lows[i] <= min(lows[i - 2 : i]) and lows[i] < min(lows[i + 1 : i + 3])
    ]


@settings(max_examples=40, deadline=None)
@given(series())
def test_hourly_figures_equal_plain_computations_after_every_candle(bars):
    look, kept = SHORT, HourFigures(SHORT)
    for end in range(1, len(bars) + 1):
        kept.push(bars[end - 1])
        seen, closes = bars[:end], [bar.close for bar in bars[:end]]
        prior = seen[:-1]
        assert kept.count == end
        if prior:
            day = prior[-look.breakout :]
            assert (kept.prior_high, kept.prior_low) == (max(b.high for b in day), min(b.low for b in day))
            before = prior[-look.outlier :]
            assert kept.prior_close == close_to(statistics.fmean(b.close for b in before))
            assert kept.prior_volume == close_to(statistics.fmean(b.volume for b in before))
        if atrs := atr_pcts(seen, look.atr):
            assert kept.atr_pct == close_to(atrs[-1])
            typical = statistics.median_high(atrs[-look.week :])
            assert kept.atr_ratio == close_to(atrs[-1] / typical if typical else 0.0)
        window = closes[-look.z_score :]
        spread = statistics.pstdev(window)
        if spread > 1e-6 * closes[-1]:
            assert kept.z_score == pytest.approx((closes[-1] - statistics.fmean(window)) / spread, rel=1e-6, abs=1e-6)
        emas = [plain_ema(closes[max(0, n - look.week) : n], 2 / 6, 5) for n in range(5, end + 1)]
        assert kept.ema_now == (close_to(emas[-1]) if emas else None)
        slope = 100 * (emas[-1] / emas[-1 - look.slope] - 1) / look.slope if len(emas) > look.slope else None
        assert kept.slope_pct_h == (None if slope is None else pytest.approx(slope, rel=1e-6, abs=1e-9))
        rsi = plain_rsi(closes[-look.week :], look.rsi)
        assert kept.rsi.value == (None if rsi is None else pytest.approx(rsi, rel=1e-6, abs=1e-6))


@settings(max_examples=40, deadline=None)
@given(series(least=26, most=220))
def test_daily_figures_equal_plain_computations(bars):
    kept = HourFigures(Lookbacks())
    for bar in bars:
        kept.push(bar)
    closes = [bar.close for bar in bars]
    mean = statistics.fmean(b.volume for b in bars[-24:])
    assert kept.volume_ratio == close_to(bars[-1].volume / mean if mean else 0.0)
    assert kept.day_move_pct == close_to(100 * (closes[-1] - closes[-24]) / closes[-24])
    assert kept.last_move_pct == close_to(100 * (closes[-1] - closes[-2]) / closes[-2])
    assert (kept.day_low, kept.half_day_low) == (min(b.low for b in bars[-24:]), min(b.low for b in bars[-12:]))
    moves = [b - a for a, b in pairwise(closes[-13:])]
    assert kept.agreeing(rising=True) == pytest.approx(sum(m > 0 for m in moves) / 12)
    assert kept.agreeing(rising=False) == pytest.approx(sum(m < 0 for m in moves) / 12)
    returns = [100 * (b - a) / a for a, b in pairwise(closes[-169:])]
    expected = min(200.0, statistics.pstdev(returns) * math.sqrt(24 * 365))
    assert kept.volatility_pct == pytest.approx(expected, rel=1e-6, abs=1e-6)
    within = [i for i in plain_pivots(bars)[-2:] if i >= len(bars) - 48]
    expected = bars[within[1]].low > bars[within[0]].low if len(within) == 2 else None
    assert kept.higher_low is expected


def test_volatility_has_a_default_and_a_cap():
    kept = HourFigures(Lookbacks())
    for number in range(60):
        price = 100.0 if number % 2 else 150.0
        kept.push(Bar(start_s=number * HOUR_S, open=price, high=price, low=price, close=price, volume=1.0))
        assert kept.volatility_pct == (50.0 if number < 23 else 200.0)


@settings(max_examples=40, deadline=None)
@given(series(least=97, most=130, seconds=QUARTER_S))
def test_quarterly_figures_equal_plain_computations(bars):
    kept = QuarterFigures()
    for bar in bars:
        kept.push(bar)
    closes = [bar.close for bar in bars]
    moves = [100 * (b - a) / a for a, b in pairwise(closes[-5:])]
    assert abs(kept.fastest_pct) == close_to(max(map(abs, moves)))
    assert kept.hour_pct == close_to(100 * (closes[-1] - closes[-5]) / closes[-5])
    assert kept.mean_close == close_to(statistics.fmean(closes[-96:]))
    for size in (4, 8, 24, 48, 96):
        assert kept.volume(size) == close_to(math.fsum(b.volume for b in bars[-size:]))


@settings(max_examples=40, deadline=None)
@given(series(least=1, most=90, seconds=FIVE_S), series(least=1, most=40))
def test_qualifiers_equal_plain_computations(fives, hours):
    lens, kept = Lens(Lookbacks()), FiveFigures()
    for bar in hours:
        lens.closed(HOUR_S, bar)
    for bar in fives:
        lens.closed(FIVE_S, bar)
        kept.push(bar)
    traded = math.fsum(b.volume for b in fives[-12:])
    vwap = None
    if len(fives) >= 12 and traded:
        vwap = math.fsum((b.high + b.low + b.close) / 3 * b.volume for b in fives[-12:]) / traded
    assert kept.vwap == (None if vwap is None else close_to(vwap))
    closes = [b.close for b in fives]
    now, before = plain_rsi(closes[-RSI_BARS:], 14), plain_rsi(closes[:-1][-RSI_BARS:], 14)
    if before is None:
        closes = [b.close for b in hours]
        now, before = plain_rsi(closes, 14), plain_rsi(closes[:-1], 14)
    crossed = now is not None and before is not None and before <= 50 < now
    if before is None or min(abs(now - 50), abs(before - 50)) > 1e-6:
        assert qualifiers.rsi_crossed(lens) is crossed
    source, count = (fives, 36) if len(fives) >= 36 else (hours, 12)
    bounced = None
    if len(source) >= count:
        low = min(b.low for b in source[-count:])
        bounced = 100 * (source[-1].close - low) / low
    assert qualifiers.bounced_pct(lens) == (None if bounced is None else close_to(bounced))


# --- a stream as it comes -----------------------------------------------------------------------------------------


def read(lens):
    """Everything that is said of hours, quarters and fives."""
    hours, quarters, fives = lens.hours.figures, lens.quarters.figures, lens.fives.figures
    names = ("prior_high", "prior_low", "prior_close", "prior_volume", "atr_pct", "volatility_pct", "quiet_pct")
    out = {name: getattr(hours, name) for name in names} | {"fives": (fives.vwap, fives.rsi.value, fives.rsi.before)}
    if hours.count:
        more = ("day_low", "half_day_low", "volume_ratio", "z_score", "ema_now", "slope_pct_h", "higher_low")
        out |= {name: getattr(hours, name) for name in more}
    counts = [min(f.count, most) for f, most in zip((hours, quarters, fives), KEPT.values(), strict=True)]
    return out | {"counts": counts, "volumes": quarters.volume(96)}


def alike(found, other):
    """Equal to 1e-9; what is no number, exactly."""
    if isinstance(found, tuple):
        return all(map(alike, found, other))
    return found == other or (isinstance(found, float) and found == pytest.approx(other, rel=REL, abs=1e-9))


@settings(max_examples=60, deadline=None)
@given(series(least=2, most=70), st.integers(0, 2**32))
def test_gaps_late_candles_and_a_newest_told_anew_end_in_the_same_figures(bars, seed):
    """Told in any of the orders a feed may tell them, figures equal those of the same candles told once, in order."""
    chance, streamed = Random(seed), {g: Lens(Lookbacks()) for g in (HOUR_S, QUARTER_S, FIVE_S)}
    kept = [bar for bar in bars if chance.random() > 0.05]
    late = {bar.start_s for bar in kept[:-1] if chance.random() < 0.1}
    for seconds, lens in streamed.items():
        moved = [replace(bar, start_s=bar.start_s // HOUR_S * seconds) for bar in kept]
        behind = [m for m, b in zip(moved, kept, strict=True) if b.start_s in late]
        for bar in (m for m in moved if m not in behind):
            if chance.random() < 0.2:
                lens.closed(seconds, Bar(start_s=bar.start_s, open=1, high=2, low=1, close=1.5, volume=3))
            lens.closed(seconds, bar)
            if chance.random() < 0.2:
                lens.closed(seconds, bar)
        chance.shuffle(behind)
        for bar in behind:
            lens.closed(seconds, bar)
        plain, told = Lens(Lookbacks()), Lens(Lookbacks())
        for bar in moved[-KEPT[seconds] :]:
            plain.closed(seconds, bar)
        told.history(seconds, moved)
        found = read(lens)
        assert all(alike(found[name], other[name]) for other in (read(plain), read(told)) for name in found)


@pytest.mark.parametrize("bad", [{"close": 0.0}, {"low": -1.0}, {"high": math.inf}, {"volume": math.nan}, {"low": 9e9}])
def test_a_candle_no_market_can_have_counts_as_missing(bad):
    good = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 1.0}
    lens = Lens(Lookbacks())
    for number in range(5):
        lens.closed(HOUR_S, Bar(start_s=number * HOUR_S, **(good | (bad if number == 2 else {}))))
    assert (lens.hours.figures.count, len(lens.hours.bars)) == (2, 4)


# --- TA-Lib -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talib():
    return pytest.importorskip("talib", reason="TA-Lib has no wheel for this platform")


def dear(bars):
    """The same market at a price of 100: TA-Lib takes sums below 1e-14 for nothing."""
    scale = 100.0 / bars[0].close
    prices = ("open", "high", "low", "close")
    return tuple(replace(bar, **{name: getattr(bar, name) * scale for name in prices}) for bar in bars)


def arrays(bars):
    numpy = pytest.importorskip("numpy", reason="comes with TA-Lib")
    return {n: numpy.array([getattr(b, n) for b in bars], dtype=float) for n in ("high", "low", "close")}


@settings(max_examples=25, deadline=None)
@given(bars=series(least=40, most=160))
def test_true_range_ema_rsi_and_deviation_equal_talib(talib, bars):
    bars = dear(bars)
    a = arrays(bars)
    ema, rsi = Smoothed(2 / 22, 21, 1000), Rsi(14, 1000)
    spread, hours = RollingSpread(24), HourFigures(Lookbacks())
    for bar in bars:
        ema.push(bar.close)
        rsi.push(bar.close)
        spread.push(bar.close)
        hours.push(bar)
    assert ema.value == pytest.approx(talib.EMA(a["close"], 21)[-1], rel=REL)
    expected = talib.RSI(a["close"], 14)[-1]  # which calls a sum below 1e-14 nothing, whatever the price
    if sum(abs(y - x) for x, y in pairwise(a["close"])) > 0:
        assert rsi.value == pytest.approx(expected, rel=1e-6, abs=1e-6)
    ranges = talib.TRANGE(a["high"], a["low"], a["close"])
    assert hours.atr_pct == pytest.approx(talib.SMA(ranges[1:], 14)[-1] / bars[-1].close * 100, rel=1e-6)
    scale = float(a["close"].mean())
    assert spread.stdev == pytest.approx(talib.STDDEV(a["close"], 24)[-1], rel=1e-4, abs=1e-6 * scale)


@given(bars=series(least=70, most=120, seconds=FIVE_S))
@settings(max_examples=25, deadline=None)
def test_a_sliding_rsi_equals_talib_over_its_window(talib, bars):
    bars, rsi = dear(bars), Rsi(14, 60)
    for bar in bars:
        rsi.push(bar.close)
    expected = talib.RSI(arrays(bars[-60:])["close"], 14)[-1]
    assert rsi.value == pytest.approx(expected, rel=1e-6, abs=1e-6)
