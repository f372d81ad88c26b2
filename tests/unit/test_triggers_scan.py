"""The scan (pipeline.md §5): best of each product, order and cut, minima, fallback, and a word on all that refused."""

import pytest
from msgspec.structs import replace

from actors.strategy.triggers.modular import price_move
from actors.strategy.triggers.scan import Candidate, scan
from protocol.ids import ProductId
from protocol.strategy import Regime
from tests.support.trigger_scenes import (
    FALLBACK,
    MODULAR,
    bars,
    candidate,
    case,
    flat,
    lens_of,
    scan_rules,
    spiked,
    strong,
    thresholds,
)

pytestmark = pytest.mark.req("S1")


def codes(found, product="BTC-USD"):
    return [row.code for row in found.passed if row.product_id == product]


def test_the_strongest_come_first_ties_by_name_and_the_rest_is_cut_and_said():
    found = scan([strong(f"{letter}-USD") for letter in "GCADFBE"], Regime.CHOP, scan_rules(max_triggers=3))
    assert [t.product_id for t in found.triggers] == ["A-USD", "B-USD", "C-USD"]
    rows = {row.product_id: (row.code, row.limit) for row in found.passed}
    assert rows == dict.fromkeys(("D-USD", "E-USD", "F-USD", "G-USD"), ("max_triggers", 3.0))


def test_one_trigger_per_product_the_one_with_the_largest_score():
    rising = candidate(hours=bars([*flat(60), 101.0]), quarters=bars([*flat(60), 102.0, 100.0, 100.0, 100.0]))
    (kept,) = scan([rising], Regime.CHOP, scan_rules()).triggers
    assert kept.kind == "breakout"  # .56 against a fast move's .42
    assert kept.price == 101.0


@pytest.mark.parametrize(("minimum", "fires"), [(0.68, True), (0.6801, False)], ids=["at the minimum", "below it"])
def test_the_minimum_score_itself_passes(minimum, fires):
    found = scan([strong()], Regime.CHOP, scan_rules(min_score=minimum))
    assert bool(found.triggers) is fires
    assert ("min_score" in codes(found)) is not fires


@pytest.mark.parametrize(("minimum", "fires"), [(0.85, True), (0.8501, False)], ids=["at the minimum", "below it"])
def test_the_minimum_confidence_is_enforced(minimum, fires):
    found = scan([strong()], Regime.CHOP, scan_rules(min_confidence=minimum))
    assert bool(found.triggers) is fires
    assert ("min_confidence" in codes(found)) is not fires


def test_a_strong_signal_that_does_not_qualify_hides_none_that_does():
    day = [*flat(48), *[102.0 + 2 * (i // 2) for i in range(12)]]  # 12 % up, in every other of the last 12 hours
    torn = candidate(hours=bars(day), quarters=bars([*flat(63), 102.0]))
    limits = thresholds(allowed=("momentum", "price_move"))
    found = scan([torn], Regime.CHOP, scan_rules(limits=limits))
    assert [(t.kind, t.confidence) for t in found.triggers] == [("momentum", 0.5)]
    found = scan([torn], Regime.CHOP, scan_rules(limits=limits, min_confidence=0.6))
    assert [t.kind for t in found.triggers] == ["price_move"]


@pytest.mark.parametrize(("boost", "confidence"), [(0.05, 0.90), (-0.10, 0.75), (0.5, 1.0), (-1.0, 0.0)])
def test_the_regime_adds_to_confidence_within_bounds(boost, confidence):
    rules = scan_rules(limits=thresholds(confidence_boost=boost), min_score=0.0, min_confidence=0.0)
    (kept,) = scan([strong()], Regime.CHOP, rules).triggers
    assert kept.confidence == pytest.approx(confidence)


def test_a_regime_fires_only_what_it_allows():
    assert codes(scan([strong()], Regime.CRASH, scan_rules(limits=thresholds(allowed=())))) == [
        "regime_allows_no_trigger"
    ]
    assert codes(scan([strong()], Regime.CHOP, scan_rules(limits=thresholds(allowed=("momentum",))))) == ["momentum"]


def test_only_upside_drops_what_falls():
    falling = candidate(quarters=bars([*flat(63), 95.0]))
    assert scan([falling], Regime.CHOP, scan_rules()).triggers[0].change_pct < 0
    assert "only_upside" in codes(scan([falling], Regime.CHOP, scan_rules(only_upside=True)))


def test_a_reversal_is_looked_for_where_nothing_breaks_out():
    rising = [94 + 0.1 * i for i in range(60)]
    dipped = list(bars([*rising, 102.0], span=0.0))
    dipped[-2] = bars([99.0, rising[-1]], start=58, low=95.0)[1]
    both = candidate(hours=dipped)
    only_reversal = scan_rules(limits=thresholds(allowed=("reversal",)))
    assert [t.kind for t in scan([both], Regime.CHOP, only_reversal).triggers] == ["reversal"]
    rules = scan_rules(limits=thresholds(allowed=("reversal", "breakout")))
    assert [t.kind for t in scan([both], Regime.CHOP, rules).triggers] == ["breakout"]


# --- every refusing rule ------------------------------------------------------------------------------------------


def test_every_rule_that_refused_is_said_with_value_and_limit():
    quiet = candidate(tier=2)
    found = scan([quiet], Regime.CHOP, scan_rules(limits=thresholds(atr_min_mult=1.1)))
    expected = [
        "atr_filter",
        "price_move",
        "volume_spike",
        "breakout",
        "reversal",
        "trend_filter",
        "momentum",
        "mean_reversion_tier",
        "mean_reversion",
    ]
    assert codes(found) == expected
    assert all(row.value is not None and row.limit is not None for row in found.passed)


@pytest.mark.req("O1")
def test_a_guard_ends_a_product_and_the_triggers_that_fired_are_not_among_the_refusals():
    lone = candidate(hours=[*bars(flat(40)), *spiked(150.0, 0.0)], quarters=bars([*flat(63), 104.5]))
    found = scan([lone], Regime.CHOP, scan_rules())
    assert found.triggers == ()
    assert codes(found)[0] == "outlier"
    assert "price_move" not in codes(found)


@pytest.mark.parametrize(("guard", "off"), [("outlier", "outlier"), ("atr_filter", "atr_filter")])
def test_a_guard_can_be_switched_off(guard, off):
    lone = candidate(hours=spiked(150.0, 0.0, usual=100.0))
    rules = scan_rules(limits=thresholds(atr_min_mult=50.0))
    without = replace(rules, guards=replace(rules.guards, **{off: False}))
    details = [(row.code, row.detail) for row in scan([lone], Regime.CHOP, without).passed]
    assert guard not in [code for code, _ in details]
    assert ("insufficient_candles", guard) not in details


def test_no_candles_and_too_few_are_said():
    blind = Candidate(product_id=ProductId("X-USD"), tier=1, lens=None)
    short = candidate("Y-USD", hours=bars(flat(10)), quarters=bars(flat(10)))
    found = scan([blind, short], Regime.CHOP, scan_rules())
    assert [(r.stage, r.code) for r in found.passed if r.product_id == "X-USD"] == [
        ("data", "data_unavailable:candles")
    ]
    assert set(codes(found, "Y-USD")) == {"insufficient_candles"}
    assert {row.detail for row in found.passed if row.product_id == "Y-USD"} >= {"price_move", "breakout", "atr_filter"}


def test_candles_behind_a_hole_are_not_counted_on():
    lens = lens_of(bars(flat(60)))
    for number in [*range(50), *range(51, 64)]:
        lens.closed(900, bars(flat(1), seconds=900, start=number)[0])
    holed = Candidate(product_id=ProductId("BTC-USD"), tier=1, lens=lens)
    rows = {r.detail: (r.code, r.value) for r in scan([holed], Regime.CHOP, scan_rules()).passed}
    assert rows["price_move"] == ("insufficient_candles", 13.0)
    lens.closed(900, bars(flat(1), seconds=900, start=50)[0])  # it came late
    assert "price_move" in codes(scan([holed], Regime.CHOP, scan_rules()))


# --- fallback -----------------------------------------------------------------------------------------------------

RELAXED = thresholds(allowed=("price_move",))


def moved(name, pct):
    return candidate(name, quarters=bars([*flat(63), 100.0 + pct]))


def fallback(streak, *candidates, **changes):
    rules = scan_rules(limits=RELAXED, fallback=replace(FALLBACK, **({"enabled": True} | changes)))
    return scan(candidates, Regime.CHOP, rules, streak)


def test_the_fallback_waits_for_its_streak_then_relaxes_and_begins_anew():
    one = moved("X-USD", 1.5)
    first = fallback(0, one)
    assert (first.triggers, first.streak) == ((), 1)
    second = fallback(1, one)
    assert [(t.kind, t.change_pct) for t in second.triggers] == [("price_move", pytest.approx(1.5))]
    assert dict(second.triggers[0].metrics)["fallback"] == 1.0
    assert second.streak == 0


def test_a_miss_goes_on_counting_and_is_said():
    found = fallback(4, moved("X-USD", 1.3))
    assert (found.triggers, found.streak) == ((), 5)
    (row,) = [r for r in found.passed if r.code == "fallback_price_move"]
    assert (row.value, row.limit) == (pytest.approx(1.3), pytest.approx(1.4))


def test_a_trigger_ends_the_streak():
    assert fallback(7, strong("X-USD"), moved("Y-USD", 1.5)).streak == 0
    assert [t.product_id for t in fallback(7, strong("X-USD"), moved("Y-USD", 1.5)).triggers] == ["X-USD"]


def test_the_fallback_keeps_the_best_few():
    found = fallback(1, moved("Z-USD", 1.5), moved("X-USD", 1.5), moved("Y-USD", 1.6))
    assert [t.product_id for t in found.triggers] == ["X-USD"], "equal scores: by name"
    assert {r.product_id for r in found.passed if r.code == "fallback_max_new"} == {"Y-USD", "Z-USD"}
    assert len(fallback(1, moved("Z-USD", 1.5), moved("X-USD", 1.5), max_new=2).triggers) == 2


@pytest.mark.parametrize(("share", "fires"), [(0.24, False), (0.25, True), (0.95, True), (-1.0, False)])
def test_how_far_the_fallback_relaxes_is_bounded(share, fires):
    assert bool(fallback(1, moved("X-USD", 1.5), relax_share=share).triggers) is fires
    assert not fallback(1, moved("X-USD", 0.19), relax_share=5.0).triggers, "never beyond nine tenths"


def test_the_fallback_keeps_minima_guards_and_direction():
    down = moved("X-USD", -1.5)
    assert fallback(1, down).triggers
    assert [r.code for r in fallback(1, down, allow_downside=False).passed][-1] == "fallback_downside"
    guarded = candidate("X-USD", hours=[*bars(flat(40)), *spiked(150.0, 0.0)], quarters=bars([*flat(63), 101.5]))
    assert not fallback(1, guarded).triggers
    rules = scan_rules(limits=RELAXED, fallback=replace(FALLBACK, enabled=True), min_score=0.43)
    assert "min_score" in [r.code for r in scan([down], Regime.CHOP, rules, 1).passed]


def test_the_fallback_can_be_switched_off():
    assert not fallback(9, moved("X-USD", 1.5), enabled=False).triggers


# --- modular signals ----------------------------------------------------------------------------------------------


def modular(quarters, regime=Regime.BULL, allowed=("momentum", "price_move", "mean_reversion"), **changes):
    rules = scan_rules(
        limits=thresholds(allowed=allowed, move_15m_pct=50.0, move_60m_pct=50.0),
        modular=replace(MODULAR, **({"enabled": True} | changes)),
        min_score=0.0,
        min_confidence=0.0,
    )
    found = scan([candidate(quarters=quarters)], regime, rules)
    return found, [t for t in found.triggers if ("modular", 1.0) in t.metrics]


def test_modular_signals_are_off_unless_configured():
    rise = bars([*flat(60), *[100 + 0.25 * i for i in range(40)]])
    assert modular(rise)[1]
    found, signals = modular(rise, enabled=False)
    assert (signals, [c for c in codes(found) if c.startswith("modular")]) == ([], [])


@pytest.mark.parametrize(("regime", "pct", "fires"), [
    (Regime.BULL, 5.0, True), (Regime.BULL, 4.9, False), (Regime.BEAR, -5.0, True),
    (Regime.CHOP, 7.9, False), (Regime.CHOP, 8.0, True),
])  # fmt: skip
def test_modular_momentum(regime, pct, fires):
    closes = [*flat(53), *[100 + pct * i / 47 for i in range(48)]]
    _, signals = modular(bars(closes), regime, allowed=("momentum",))
    assert [s.kind for s in signals] == (["momentum"] if fires else [])
    if fires:
        assert (signals[0].strength, signals[0].confidence) == (pytest.approx(abs(pct) / 10), 1.0)
        assert signals[0].change_pct == pytest.approx(pct)


def test_modular_momentum_wants_volume_that_does_not_fade():
    closes = [*flat(53), *[100 + 10 * i / 47 for i in range(48)]]
    first, last = bars(closes, volume=100.0)[:77], bars(closes, volume=99.0)[77:]
    found, signals = modular([*first, *last], allowed=("momentum",))
    assert (signals, "modular_momentum_volume" in codes(found)) == ([], True)


def test_modular_price_move_wants_move_and_volume():
    still, quick = bars([*flat(96), *flat(3), 160.0])[:96], bars([*flat(96), *flat(3), 160.0], volume=400.0)[96:]
    _, signals = modular([*still, *quick], allowed=("price_move",))
    (fired,) = signals
    ratio = 4 * 400 / (4 * (92 * 100 + 4 * 400) / 96)
    assert dict(fired.metrics)["volume_ratio"] == pytest.approx(ratio)
    assert fired.confidence == pytest.approx(0.6 + 0.4 * 1 / 4)
    (refused,) = price_move(case(quarters=bars([*flat(99), 160.0])), MODULAR)
    assert (refused.code, refused.value, refused.limit) == ("modular_volume", pytest.approx(1.0), 1.9)
    (refused,) = price_move(case(quarters=[*bars(flat(100))[:96], *bars(flat(100), volume=400.0)[96:]]), MODULAR)
    assert (refused.code, refused.value, refused.limit) == ("modular_price_move", 0.0, 2.0)


@pytest.mark.parametrize(("volume", "confidence"), [(50.0, 0.8), (100.0, 0.6)], ids=["on less volume", "on as much"])
def test_modular_mean_reversion_wants_a_move_that_slows(volume, confidence):
    closes = [*flat(92), 98.0, 95.0, 94.5, 94.4, 94.3, 94.2, 94.1]
    made = [*bars(closes)[:-4], *bars(closes, volume=volume)[-4:]]
    _, (fired,) = modular(made, Regime.CHOP, allowed=("mean_reversion",))
    assert (fired.confidence, fired.change_pct < -3) == (confidence, True)
    quick = bars([*flat(92), 99.9, 99.8, 99.7, 99.6, 98.0, 96.0, 94.0])
    found, signals = modular(quick, Regime.CHOP, allowed=("mean_reversion",))
    assert (signals, "modular_slowing" in codes(found)) == ([], True)
    assert not modular(made, Regime.BULL, allowed=("mean_reversion",))[1]


def test_the_order_in_which_a_regime_allows_them_decides():
    closes = [*flat(92), 98.0, 95.0, 92.5, 91.9, 91.5, 91.2, 91.0]
    for first, second in (("momentum", "mean_reversion"), ("mean_reversion", "momentum")):
        _, signals = modular(bars(closes), Regime.CHOP, allowed=(first, second))
        assert [s.kind for s in signals] == [first]
