"""Triggers and guards, row by row (pipeline.md §5.1, §5.2): signed moves, inclusive thresholds, the newest left out."""

import pytest

from actors.strategy.triggers import guards, signals
from actors.strategy.triggers.signals import Signal
from protocol.strategy import Regime
from tests.support.trigger_scenes import GUARDS, bars, case, flat, lens_of, spiked

pytestmark = pytest.mark.req("S1")


def only(outcome):
    """The one refusal of an outcome."""
    assert not isinstance(outcome, Signal), outcome
    (refused,) = outcome
    return refused


# --- price_move ---------------------------------------------------------------------------------------------------

MOVES = {
    "both, up": ([102, 102, 102, 104.5], (0.8, 0.85, 2.4510)),
    "both, down": ([98, 98, 98, 96], (0.8, 0.85, -2.0408)),
    "fast only: it came back": ([102, 100, 100, 100], (0.6, 0.70, 2.0)),
    "fast only, down": ([97.5, 97.5, 97.5, 97.5], (0.6, 0.70, -2.5)),
    "the larger of two fast ones, a rise after a fall": ([98, 100, 100, 100], (0.6, 0.70, 2.0408)),
    "slow only": ([101, 102, 103, 104], (0.7, 0.75, 4.0)),
    "slow only, down": ([99, 98, 97, 96], (0.7, 0.75, -4.0)),
    "fast exactly at its threshold": ([100, 100, 100, 102], (0.6, 0.70, 2.0)),
    "slow exactly at its threshold": ([101, 102, 103, 104], (0.7, 0.75, 4.0)),
}


@pytest.mark.parametrize(("last", "expected"), MOVES.values(), ids=MOVES)
def test_price_move(last, expected):
    fired = signals.price_move(case(quarters=bars([*flat(60), *map(float, last)])))
    assert isinstance(fired, Signal)
    assert (fired.strength, fired.confidence) == expected[:2]
    assert fired.change_pct == pytest.approx(expected[2], abs=1e-3)


NEAREST = {
    "the hour was nearer": ([101.3, 102.6, 103.3, 103.9], 3.9, 4.0, "60m +3.90 %"),
    "the quarter was nearer": ([100, 98.1, 99.5, 99.5], 1.9, 2.0, "15m -1.90 %"),
    "nothing moved": ([100, 100, 100, 100], 0.0, 2.0, "15m +0.00 %"),
}


@pytest.mark.parametrize(("last", "value", "limit", "detail"), NEAREST.values(), ids=NEAREST)
def test_price_move_missed_names_the_nearest_of_its_two_bounds(last, value, limit, detail):
    refused = only(signals.price_move(case(quarters=bars([*flat(60), *map(float, last)]))))
    assert (refused.code, refused.limit, refused.detail) == ("price_move", limit, detail)
    assert refused.value == pytest.approx(value)


def test_the_fifth_bar_back_moves_nothing():
    assert only(signals.price_move(case(quarters=bars([*flat(60), 110.0, *flat(5, 110.0)])))).value == 0.0


def test_a_crash_is_never_told_as_a_rise():
    fired = signals.price_move(case(quarters=bars([*flat(60), 95.0])))
    assert fired.change_pct == pytest.approx(-5.0)
    assert dict(fired.metrics)["move_60m_pct"] < 0


def test_hours_are_no_quarters():
    """A large hourly candle without true 15-minute closes fires no price move (G-04)."""
    assert only(signals.price_move(case(hours=bars([*flat(60), 110.0]), quarters=()))).code == "insufficient_candles"


# --- volume_spike -------------------------------------------------------------------------------------------------

SPIKES = {  # volume v against 23 hours of 100: ratio = v / ((2300 + v) / 24)
    "below": (197.5, None, None),
    "exactly 1.9": (100 * 1.9 * 23 / (24 - 1.9), 0.3, 0.475),
    "strong": (100 * 4 * 23 / 20, 1.0, 1.0),
    "beyond": (5000.0, 1.0, 1.0),
}


@pytest.mark.parametrize(("volume", "strength", "confidence"), SPIKES.values(), ids=SPIKES)
def test_volume_spike(volume, strength, confidence):
    given = case(hours=[*bars(flat(40)), *bars([100.0, 101.0], start=39, volume=volume)[1:]])
    fired = signals.volume_spike(given)
    if strength is None:
        refused = only(fired)
        assert (refused.code, refused.limit) == ("volume_spike", 1.9)
        assert refused.value == pytest.approx(volume / ((2300 + volume) / 24))
        return
    assert (fired.strength, fired.confidence) == (pytest.approx(strength), pytest.approx(confidence))
    assert fired.change_pct == pytest.approx(1.0)


def test_a_fall_on_volume_is_told_as_a_fall_and_a_dead_market_has_no_spike():
    fall = [*bars(flat(40)), *bars([100.0, 97.0], start=39, volume=900.0)[1:]]
    assert signals.volume_spike(case(hours=fall)).change_pct == pytest.approx(-3.0)
    assert only(signals.volume_spike(case(hours=bars(flat(40), volume=0.0)))).value == 0.0


# --- breakout -----------------------------------------------------------------------------------------------------


def test_breakout_leaves_the_current_bar_out():
    refused = only(signals.breakout(case(hours=bars([*flat(30), 100.5]))))
    assert (refused.code, refused.value, refused.limit) == ("breakout", 100.5, 100.5)


def test_a_quiet_market_near_its_high_does_not_break_out():
    assert only(signals.breakout(case(hours=bars(flat(60))))).code == "breakout"


def test_breakout_is_strictly_above_the_high_before_and_tells_the_rise_from_the_low():
    fired = signals.breakout(case(hours=bars([*flat(30), 101.0])))
    assert (fired.strength, fired.confidence) == (0.7, 0.8)
    assert fired.change_pct == pytest.approx((101.0 / 99.5 - 1) * 100)


def test_a_high_of_25_hours_ago_is_forgotten():
    fallen = [130.0, *flat(24)]  # the second bar's high is still the old price
    assert not isinstance(signals.breakout(case(hours=bars([*fallen, 105.0]))), Signal)
    assert isinstance(signals.breakout(case(hours=bars([*fallen, 100.0, 105.0]))), Signal)


def test_a_market_without_any_range_does_not_break_out():
    hours = [*bars(flat(30), span=0.0), *bars([100.0, 110.0], start=29)[1:]]
    assert only(signals.breakout(case(hours=hours))).detail == "no range"


# --- reversal -----------------------------------------------------------------------------------------------------


def recovered(to, low):
    """Sixty rising hours, then a dip to `low` in one hour's wick and a close at `to`."""
    rising = [94 + 0.1 * i for i in range(60)]
    made = list(bars([*rising, to], span=0.0))
    made[-2] = bars([99.0, rising[-1]], start=58, low=low)[1]
    return made


REVERSALS = {
    "5 % is no recovery yet": (5.0, None, 5.0),
    "just above 5 %": (5.01, 0.2505, None),
    "10 % still counts": (10.0, 0.5, None),
    "11 % is a rise like any other": (11.0, None, 10.0),
}


@pytest.mark.parametrize(("recovery", "strength", "limit"), REVERSALS.values(), ids=REVERSALS)
def test_reversal(recovery, strength, limit):
    fired = signals.reversal(case(hours=recovered(95 * (1 + recovery / 100), low=95.0)))
    if strength is None:
        refused = {row.code: row for row in fired}
        assert (refused["reversal"].value, refused["reversal"].limit) == (pytest.approx(recovery), limit)
        return
    assert (fired.strength, fired.confidence) == (pytest.approx(strength), 0.6)
    assert fired.change_pct == pytest.approx(recovery)
    shown = dict(fired.metrics)
    assert (shown["ema_period"], shown["ema_lookback"], shown["trend_passed"]) == (21, 3, 1.0)
    assert shown["ema_slope_pct_h"] == pytest.approx((shown["ema_now"] / shown["ema_prior"] - 1) * 100 / 3)


def test_a_reversal_against_the_trend_is_dropped_and_both_bounds_are_told():
    falling = [130 - 0.5 * i for i in range(60)]
    hours = bars([*falling, falling[-1] * 1.07], span=0.0)
    (refused,) = signals.reversal(case(hours=hours))
    assert (refused.code, refused.limit) == ("trend_filter", 0.05)
    assert refused.value < 0
    assert {row.code for row in signals.reversal(case(hours=bars(flat(60))))} == {"reversal", "trend_filter"}


# --- momentum -----------------------------------------------------------------------------------------------------

MOMENTA = {
    "up": (102.0, Regime.CHOP, 2.0),
    "down": (98.0, Regime.CHOP, -2.0),
    "exactly at its threshold": (102.0, Regime.BULL, 2.0),
    "below it": (101.9, Regime.CHOP, None),
    "up in a bear": (105.0, Regime.BEAR, None),
    "up in a crash": (105.0, Regime.CRASH, None),
    "down in a bear": (95.0, Regime.BEAR, -5.0),
    "down in a crash": (95.0, Regime.CRASH, -5.0),
}


@pytest.mark.parametrize(("last", "regime", "expected"), MOMENTA.values(), ids=MOMENTA)
def test_momentum(last, regime, expected):
    fired = signals.momentum(case(hours=bars([*flat(24), last]), regime=regime))
    if expected is None:
        refused = only(fired)
        assert (refused.code, abs(refused.limit)) == ("momentum", 2.0)
        return
    assert fired.change_pct == pytest.approx(expected)
    assert fired.strength == pytest.approx(abs(expected) / 10)


def test_momentum_s_window_is_the_newest_24_closes():
    assert isinstance(signals.momentum(case(hours=bars([100.0, *flat(22, 103.0), 103.0]))), Signal)
    assert not isinstance(signals.momentum(case(hours=bars([100.0, *flat(23, 103.0), 103.0]))), Signal)


def test_momentum_s_confidence_is_the_share_of_bars_moving_the_same_way():
    closes = flat(30)
    for move in [1.0, 1.0, -0.5, 0.0] * 3:
        closes.append(closes[-1] + move)
    assert signals.momentum(case(hours=bars(closes))).confidence == pytest.approx(6 / 12)
    assert signals.momentum(case(hours=bars([*flat(24), 150.0]))).strength == 1.0


# --- mean_reversion -----------------------------------------------------------------------------------------------


def fallen(z, count=24):
    """`count` closes, the last of which lies `z` population deviations from their mean."""
    closes = [100.0 + (1 if i % 2 else -1) for i in range(count - 1)]
    low, high = -2000.0, 2000.0
    for _ in range(200):  # the score rises with the last close
        last = (low + high) / 2
        mean = (sum(closes) + last) / count
        spread = (sum((c - mean) ** 2 for c in [*closes, last]) / count) ** 0.5
        low, high = (last, high) if (last - mean) / spread < z else (low, last)
    return [*flat(10), *closes, high]


SCORES = {
    "deep enough": (-1.5, 1, Regime.CHOP, ()),
    "just past": (-1.2001, 1, Regime.CHOP, ()),
    "not deep enough": (-1.1999, 1, Regime.CHOP, ("mean_reversion",)),
    "a rise is none": (1.5, 1, Regime.CHOP, ("mean_reversion",)),
    "tier 1 only": (-1.5, 2, Regime.CHOP, ("mean_reversion_tier",)),
    "chop only": (-1.5, 1, Regime.BULL, ("mean_reversion_regime",)),
    "everything against it": (0.5, 3, Regime.BEAR, ("mean_reversion_tier", "mean_reversion_regime", "mean_reversion")),
}


@pytest.mark.parametrize(("z", "tier", "regime", "codes"), SCORES.values(), ids=SCORES)
def test_mean_reversion(z, tier, regime, codes):
    found = signals.mean_reversion(case(hours=bars(fallen(z)), tier=tier, regime=regime))
    if codes:
        assert tuple(row.code for row in found) == codes
        return
    assert (found.strength, found.confidence) == (pytest.approx(abs(z) / 3, abs=1e-4), 0.6)
    assert dict(found.metrics)["z_score"] == pytest.approx(z, abs=1e-4)
    assert dict(found.metrics)["atr_pct"] > 0


# --- guards -------------------------------------------------------------------------------------------------------

OUTLIERS = {
    "11 % off on no volume": (111.0, 9.9, "outlier"),
    "11 % below on no volume": (89.0, 9.9, "outlier"),
    "exactly 10 % passes": (110.0, 0.0, None),
    "just above 10 % does not": (110.001, 0.0, "outlier"),
    "exactly a tenth of the volume passes": (150.0, 10.0, None),
    "far off on real volume passes": (150.0, 100.0, None),
    "near on no volume passes": (105.0, 0.0, None),
}


@pytest.mark.req("O1")
@pytest.mark.parametrize(("close", "volume", "code"), OUTLIERS.values(), ids=OUTLIERS)
def test_outlier(close, volume, code):
    refused = guards.outlier(lens_of(spiked(close, volume)), GUARDS)
    assert [row.code for row in refused] == ([code] if code else [])


@pytest.mark.req("O1")
def test_a_market_that_never_traded_cannot_vouch_for_a_jump():
    hours = spiked(120.0, 0.0, usual=0.0)
    assert [row.code for row in guards.outlier(lens_of(hours), GUARDS)] == ["outlier"]


SHORT = {
    "price_move": (lambda n: signals.price_move(case(quarters=bars(flat(n)))), 60),
    "volume_spike": (lambda n: signals.volume_spike(case(hours=bars(flat(n)))), 24),
    "breakout": (lambda n: signals.breakout(case(hours=bars(flat(n)))), 25),
    "reversal": (lambda n: signals.reversal(case(hours=bars(flat(n)))), 24),
    "momentum": (lambda n: signals.momentum(case(hours=bars(flat(n)))), 24),
    "mean_reversion": (lambda n: signals.mean_reversion(case(hours=bars(flat(n)))), 24),
    "outlier": (lambda n: guards.outlier(lens_of(bars(flat(n))), GUARDS), 21),
    "atr_filter": (lambda n: guards.atr_filter(lens_of(bars(flat(n))), 0.5), 28),
}


@pytest.mark.parametrize("name", SHORT)
def test_too_few_bars_are_said_and_never_judged(name):
    test, needed = SHORT[name]
    refused = only(test(needed - 1))
    assert (refused.code, refused.value, refused.limit) == ("insufficient_candles", needed - 1, needed)
    assert refused.detail == name
    enough = test(needed)
    assert isinstance(enough, Signal) or all(row.code != "insufficient_candles" for row in enough)


def test_a_sleepy_asset_triggers_nothing():
    closes = flat(170)
    wide, narrow = bars(closes[:150], span=1.0), bars(closes, span=0.3)[150:]
    lens = lens_of([*wide, *narrow])
    (refused,) = guards.atr_filter(lens, 0.9)
    assert refused.code == "atr_filter"
    assert refused.value == pytest.approx(0.3, abs=0.01)
    assert guards.atr_filter(lens, refused.value) == (), "the limit itself passes"


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("count", "skipped"), [(12, False), (13, True)], ids=["20 % pass", "more do not"])
def test_quarters_without_trades(count, skipped):
    lens = lens_of(bars(flat(60)), bars(flat(60), seconds=900, synthetic=range(60 - count, 60)))
    assert [row.code for row in guards.quiet(lens, 20.0)] == (["synthetic_minutes"] if skipped else [])


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("minutes", "skipped"), [(12, False), (13, True)], ids=["20 % pass", "more do not"])
def test_minutes_without_trades_within_hours_that_had_some(minutes, skipped):
    lens = lens_of(bars(flat(60), quiet=minutes), bars(flat(60), seconds=900))
    refused = guards.quiet(lens, 20.0)
    assert [row.code for row in refused] == (["synthetic_minutes"] if skipped else [])
    assert all(row.value == pytest.approx(minutes / 60 * 100) and row.limit == 20.0 for row in refused)


@pytest.mark.req("ST1")
def test_what_left_the_window_is_forgotten():
    lens = lens_of(bars(flat(60)), bars(flat(90), seconds=900, synthetic=range(30)))
    assert guards.quiet(lens, 20.0) == ()
