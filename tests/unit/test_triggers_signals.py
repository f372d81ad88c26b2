"""Triggers and guards, row by row (pipeline.md §5): signed moves, inclusive thresholds, the current bar left out."""

import pytest

from actors.strategy.base import MarketWindow
from actors.strategy.triggers import signals
from actors.strategy.triggers.scan import ScanRules, Thresholds, scan
from actors.strategy.triggers.signals import Refusal, Signal
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

pytestmark = pytest.mark.req("S1")


def bars(closes, *, span=0.5, volume=100.0, seconds=3600, synthetic=()):
    """Bars that close there; high and low stand `span` around, open at the close before."""
    opens = [closes[0], *closes[:-1]]
    return tuple(
        Bar(
            start_s=i * seconds,
            open=o,
            high=max(o, c) + span,
            low=min(o, c) - span,
            close=c,
            volume=volume,
            synthetic=i in synthetic,
        )
        for i, (o, c) in enumerate(zip(opens, closes, strict=True))
    )


def flat(count, price=100.0):
    return [price] * count


# --- price_move ---------------------------------------------------------------------------------------------------

MOVES = {
    "both, up": ([102, 102, 102, 104.5], (0.8, 0.85, 2.4510)),
    "both, down": ([98, 98, 98, 96], (0.8, 0.85, -2.0408)),
    "fast only: it came back": ([102, 100, 100, 100], (0.6, 0.70, 2.0)),
    "fast only, down": ([98, 100, 100, 100], (0.6, 0.70, 2.0408)),
    "slow only": ([101, 102, 103, 104], (0.7, 0.75, 4.0)),
    "slow only, down": ([99, 98, 97, 96], (0.7, 0.75, -4.0)),
    "fast exactly at its threshold": ([100, 100, 100, 102], (0.6, 0.70, 2.0)),
    "slow exactly at its threshold": ([101, 102, 103, 104], (0.7, 0.75, 4.0)),
    "neither": ([100.5, 101, 101, 101.5], None),
}


@pytest.mark.parametrize(("last", "expected"), MOVES.values(), ids=MOVES)
def test_price_move(last, expected):
    fired = signals.price_move(bars([*flat(60), *map(float, last)]), 2.0, 4.0)
    if expected is None:
        assert isinstance(fired, Refusal)
        return
    assert isinstance(fired, Signal)
    assert (fired.strength, fired.confidence) == expected[:2]
    assert fired.change_pct == pytest.approx(expected[2], abs=1e-3)


def test_the_fifth_bar_back_moves_nothing():
    assert isinstance(signals.price_move(bars([*flat(60), 110.0, *flat(5, 110.0)]), 2.0, 4.0), Refusal)


def test_a_crash_is_never_told_as_a_rise():
    fired = signals.price_move(bars([*flat(60), 95.0]), 2.0, 4.0)
    assert fired.change_pct == pytest.approx(-5.0)
    assert dict(fired.metrics)["move_60m_pct"] < 0


# --- breakout -----------------------------------------------------------------------------------------------------


def test_breakout_leaves_the_current_bar_out():
    hours = bars([*flat(30), 100.5])  # within the highs of the bars before, at the top of its own
    assert isinstance(signals.breakout(hours, 24), Refusal)


def test_a_quiet_market_near_its_high_does_not_break_out():
    assert isinstance(signals.breakout(bars(flat(60)), 24), Refusal)


def test_breakout_is_strictly_above_the_high_before_and_tells_the_rise_from_the_low():
    fired = signals.breakout(bars([*flat(30), 101.0]), 24)
    assert isinstance(fired, Signal)
    assert (fired.strength, fired.confidence) == (0.7, 0.8)
    assert fired.change_pct == pytest.approx((101.0 / 99.5 - 1) * 100)
    at_high = signals.breakout(bars([*flat(30), 100.5]), 24)
    assert isinstance(at_high, Refusal)
    assert (at_high.value, at_high.limit) == (100.5, 100.5)


def test_a_high_of_25_hours_ago_is_forgotten():
    fallen = [130.0, *flat(24)]  # the second bar's high is still the old price
    assert isinstance(signals.breakout(bars([*fallen, 105.0]), 24), Refusal)
    assert isinstance(signals.breakout(bars([*fallen, 100.0, 105.0]), 24), Signal)


def test_a_market_without_any_range_does_not_break_out():
    hours = [*bars(flat(30), span=0.0), Bar(start_s=1, open=100, high=110, low=100, close=110, volume=1)]
    assert isinstance(signals.breakout(hours, 24), Refusal)


# --- momentum -----------------------------------------------------------------------------------------------------

MOMENTA = {
    "up": (102.0, "chop", 2.0),
    "down": (98.0, "chop", -2.0),
    "exactly at its threshold": (102.0, "bull", 2.0),
    "below it": (101.9, "chop", None),
    "up in a bear": (105.0, "bear", None),
    "up in a crash": (105.0, "crash", None),
    "down in a bear": (95.0, "bear", -5.0),
}


@pytest.mark.parametrize(("last", "regime", "expected"), MOMENTA.values(), ids=MOMENTA)
def test_momentum(last, regime, expected):
    fired = signals.momentum(bars([*flat(24), last]), regime)
    if expected is None:
        assert isinstance(fired, Refusal)
    else:
        assert fired.change_pct == pytest.approx(expected)
        assert fired.strength == pytest.approx(abs(expected) / 10)


def test_momentum_s_confidence_is_the_share_of_bars_moving_the_same_way():
    steps = [1.0, 1.0, -0.5, 0.0] * 3
    closes = flat(30)
    for move in steps:
        closes.append(closes[-1] + move)
    assert signals.momentum(bars(closes), "chop").confidence == pytest.approx(6 / 12)
    assert signals.momentum(bars([*flat(24), 150.0]), "chop").strength == 1.0


# --- guards -------------------------------------------------------------------------------------------------------


def spiked(close, volume, count=20):
    return [*bars(flat(count)), Bar(start_s=10**6, open=100, high=close, low=100, close=close, volume=volume)]


OUTLIERS = {
    "11 % off on no volume": (111.0, 9.9, "outlier"),
    "11 % below on no volume": (89.0, 9.9, "outlier"),
    "exactly 10 % passes": (110.0, 0.0, None),
    "exactly a tenth of the volume passes": (150.0, 10.0, None),
    "far off on real volume passes": (150.0, 100.0, None),
    "near on no volume passes": (105.0, 0.0, None),
}


@pytest.mark.req("O1")
@pytest.mark.parametrize(("close", "volume", "code"), OUTLIERS.values(), ids=OUTLIERS)
def test_outlier(close, volume, code):
    refused = signals.outlier(spiked(close, volume), 10.0, 0.1, 20)
    assert (refused.code if refused else None) == code


@pytest.mark.req("O1")
def test_a_market_that_never_traded_cannot_vouch_for_a_jump():
    hours = [*bars(flat(20), volume=0.0), Bar(start_s=10**6, open=100, high=120, low=100, close=120, volume=0.0)]
    assert signals.outlier(hours, 10.0, 0.1, 20).code == "outlier"


SHORT = {
    "price_move": (lambda n: signals.price_move(bars(flat(n)), 2.0, 4.0), 60),
    "breakout": (lambda n: signals.breakout(bars(flat(n)), 24), 25),
    "momentum": (lambda n: signals.momentum(bars(flat(n)), "chop"), 25),
    "outlier": (lambda n: signals.outlier(bars(flat(n)), 10.0, 0.1, 20), 21),
    "atr_filter": (lambda n: signals.atr_filter(bars(flat(n)), 0.5), 28),
}


@pytest.mark.parametrize(("test", "needed"), SHORT.values(), ids=SHORT)
def test_too_few_bars_are_said_and_never_judged(test, needed):
    refused = test(needed - 1)
    assert (refused.code, refused.value, refused.limit) == ("too_few_bars", needed - 1, needed)
    enough = test(needed)
    assert enough is None or isinstance(enough, Signal) or enough.code != "too_few_bars"


def test_a_sleepy_asset_triggers_nothing():
    wide, narrow = bars(flat(150), span=1.0), bars(flat(20), span=0.3)
    refused = signals.atr_filter([*wide, *narrow], 0.9)
    assert refused.code == "atr_filter"
    assert refused.value == pytest.approx(0.3, abs=0.01)
    assert signals.atr_filter([*wide, *narrow], 0.29) is None
    assert signals.atr_filter(wide, 1.0) is None, "the limit itself passes"


# --- scan ---------------------------------------------------------------------------------------------------------

ALL = ("price_move", "breakout", "momentum")


def rules(*, allowed=ALL, **changes):
    limits = Thresholds(move_15m_pct=2.0, move_60m_pct=4.0, atr_min_mult=0.0, allowed=allowed)
    parts = {
        "regimes": {regime.value: limits for regime in Regime},
        "breakout_hours": 24,
        "min_score": 0.2,
        "min_confidence": 0.5,
        "max_triggers": 5,
        "max_deviation_pct": 10.0,
        "min_volume_ratio": 0.1,
        "outlier_lookback": 20,
        "synthetic_max_pct": 20.0,
    }
    return ScanRules(**(parts | changes))


def window(name="BTC-USD", hours=None, quarters=None):
    return MarketWindow(
        product_id=ProductId(name),
        hours=hours or bars(flat(60)),
        quarters=quarters or bars(flat(64), seconds=900),
        fives=(),
    )


def strong(name):
    return window(name, quarters=bars([*flat(60), 102.0, 102.0, 102.0, 104.5], seconds=900))


def codes(passed):
    return {p.product_id: p.code for p in passed}


def test_the_strongest_come_first_ties_by_name_and_the_rest_is_cut_and_said():
    names = [f"{letter}-USD" for letter in "GCADFBE"]
    kept, passed = scan([strong(n) for n in names], Regime.CHOP, rules(max_triggers=3))
    assert [t.product_id for t in kept] == ["A-USD", "B-USD", "C-USD"]
    assert codes(passed) == dict.fromkeys(("D-USD", "E-USD", "F-USD", "G-USD"), "max_triggers")


def test_one_trigger_per_product_the_one_with_the_largest_score():
    rising = window(hours=bars([*flat(60), 101.0]), quarters=bars([*flat(60), 102.0, 100.0, 100.0, 100.0]))
    (kept,), _ = scan([rising], Regime.CHOP, rules())
    assert kept.kind == "breakout"  # .56 against a fast move's .42
    assert kept.price == 101.0


@pytest.mark.parametrize(("minimum", "fires"), [(0.68, True), (0.6801, False)], ids=["at the minimum", "below it"])
def test_the_minimum_score_itself_passes(minimum, fires):
    kept, passed = scan([strong("A-USD")], Regime.CHOP, rules(min_score=minimum))
    assert bool(kept) is fires
    assert codes(passed) == ({} if fires else {"A-USD": "min_score"})


def test_the_minimum_confidence_is_enforced():
    assert codes(scan([strong("A-USD")], Regime.CHOP, rules(min_confidence=0.86))[1]) == {"A-USD": "min_confidence"}


def test_a_regime_fires_only_what_it_allows():
    assert codes(scan([strong("A-USD")], Regime.CRASH, rules(allowed=()))[1]) == {"A-USD": "regime_allows_no_trigger"}
    assert codes(scan([strong("A-USD")], Regime.CHOP, rules(allowed=("momentum",)))[1]) == {"A-USD": "momentum"}


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("count", "code"), [(20, None), (21, "synthetic_minutes")], ids=["20 % pass", "more do not"])
def test_minutes_without_trades(count, code):
    closes = [*flat(96), 102.0, 102.0, 102.0, 104.5]
    quiet = window(quarters=bars(closes, synthetic=range(count)))
    kept, passed = scan([quiet], Regime.CHOP, rules())
    assert bool(kept) is (code is None)
    assert codes(passed).get("BTC-USD") == code


@pytest.mark.req("O1")
def test_a_guard_ends_a_product_before_any_trigger():
    lone = window(hours=tuple(spiked(150.0, 0.0, 60)), quarters=strong("A-USD").quarters)
    assert codes(scan([lone], Regime.CHOP, rules())[1]) == {"BTC-USD": "outlier"}
