"""The rules strategy's table, conviction and sizes (pipeline.md §6), with the shipped policy unless a row says else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.strategy.actor import rules_settings, settings
from actors.strategy.base import Bounds, MarketWindow, StrategyContext
from actors.strategy.library.conviction import SIGNS, conviction
from actors.strategy.library.entries import shape
from actors.strategy.library.rules_engine import RulesEngine
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.orders import Side
from protocol.strategy import Asset, Passed, Regime, TradeProposal, Trigger
from tests.support.desk_scenes import NOON_NS, policy

D = Decimal
BTC, ETH = ProductId("BTC-USD"), ProductId("ETH-USD")
ALL_SIGNS = SIGNS


def trigger(kind="breakout", **changes):
    parts = Trigger(
        product_id=BTC,
        kind=kind,
        strength=0.7,
        confidence=0.8,
        change_pct=3.0,
        price=100.0,
        volatility_pct=50.0,
        metrics=(("atr_pct", 2.0),) if kind == "mean_reversion" else (),
    )
    return replace(parts, **changes)


def asset(tier=1, product=BTC, **changes):
    parts = Asset(
        product_id=product,
        tier=tier,
        theme="LAYER1",
        bid=D(100),
        ask=D(101),
        spread_bps=2.0,
        depth_usd=1e6,
        volume_24h_usd=1e8,
    )
    return replace(parts, **changes)


def bounds(regime=Regime.BULL, min_conviction=0.4):
    return Bounds(
        tier_base_pct=policy().strategy.tier_base_pct,
        tier_cap_pct=policy().risk.tier_cap_pct,
        max_stop_loss_pct=policy().strategy.max_stop_loss_pct,
        min_conviction=min_conviction,
        size_mult=policy().regime.row(regime).position_size_multiplier,
    )


def window(*closes, product=BTC):
    quarters = tuple(Bar(start_s=n * 900, open=c, high=c, low=c, close=c, volume=1.0) for n, c in enumerate(closes))
    return MarketWindow(product_id=product, hours=(), quarters=quarters, fives=())


def context(*triggers, assets=None, regime=Regime.BULL, min_conviction=0.4, windows=()):
    return StrategyContext(
        cycle=7,
        now_ns=NOON_NS,
        regime=regime,
        assets=assets or (asset(),),
        triggers=triggers,
        windows=windows,
        held=(),
        bounds=bounds(regime, min_conviction),
    )


def engine(**changes):
    """The shipped strategy; `max_stop_pct` and the like are changed where they stand."""
    made = rules_settings(policy())
    sizes = {name: changes.pop(name) for name in list(changes) if name in made.sizes.__struct_fields__}
    return RulesEngine(replace(made, sizes=replace(made.sizes, **sizes), **changes))


def answers(given, **parts):
    """Every proposal and every row about what was passed over: one for each trigger."""
    changes = {name: parts.pop(name) for name in ("max_stop_pct", "signs") if name in parts}
    changes |= {"min_score": 0.0}  # the scan lets through what it likes; conviction is what is looked at here
    seen, rules = context(*given, **parts), engine(**changes)
    found = [*rules.generate_proposals(seen), *rules.passed_over(seen)]
    assert len(found) == len(given)
    return found


def propose(given, *, tier=1, **parts):
    """The one proposal, or the code with which it was passed over."""
    (found,) = answers((given,), assets=(asset(tier, given.product_id),), **parts)
    return found if isinstance(found, TradeProposal) else found.code


def row_of(given, regime=Regime.BULL):
    return shape(given, regime, rules_settings(policy()).entries)


ENTRIES = {
    "a rise above 1.5 %": ("price_move", 1.51, ("6", "12", 48, "1.0", "")),
    "a rise of just 1.5 % is too small": ("price_move", 1.5, 1.5),
    "a fall beyond 2.5 % bounces": ("price_move", -2.51, ("10", "20", 24, "0.7", "bounce")),
    "a fall of just 2.5 % is too small": ("price_move", -2.5, -2.5),
    "a spike that rises": ("volume_spike", 2.01, ("8", "15", 72, "1.0", "")),
    "a spike that falls": ("volume_spike", -2.01, ("8", "15", 72, "1.0", "")),
    "a spike that goes nowhere": ("volume_spike", 2.0, 2.0),
    "a spike that hardly falls": ("volume_spike", -1.0, -2.0),
    "a breakout always": ("breakout", 0.01, ("6", "20", 120, "1.2", "")),
    "a reversal": ("reversal", 7.0, ("12", "25", 48, "0.8", "")),
    "momentum up": ("momentum", 0.01, ("8", "15", 72, "1.0", "")),
    "a dip of 3 % itself": ("momentum", -3.0, ("10", "18", 48, "0.85", "momentum_dip")),
    "a smaller dip is too small": ("momentum", -2.99, -3.0),
    "momentum that does not move": ("momentum", 0.0, -3.0),
    "mean reversion by what it usually moves": ("mean_reversion", -2.0, ("2.4", "3.6", 48, "0.8", "")),
    "a kind nobody knows": ("astrology", 9.0, None),
}


@pytest.mark.req("S1")
@pytest.mark.parametrize(("kind", "change", "row"), ENTRIES.values(), ids=ENTRIES)
def test_entry_conditions(kind, change, row):
    found = row_of(trigger(kind, change_pct=change))
    if not isinstance(row, tuple):
        assert isinstance(found, Passed)
        assert (found.code, found.limit) == ("entry_condition", row)
        return
    stop, target, hold_h, factor, tag = row
    assert (found.stop_pct, found.target_pct, found.hold_s) == (D(stop), D(target), hold_h * 3600)
    assert (found.factor, found.tag) == (D(factor), tag)


def test_a_reversal_in_a_crash_and_a_reversion_without_its_range_have_no_entry():
    assert row_of(trigger("reversal"), Regime.CRASH).code == "entry_condition"
    assert row_of(trigger("mean_reversion", metrics=())).code == "data_unavailable:atr"


KINDS = ("price_move", "volume_spike", "breakout", "reversal", "momentum", "mean_reversion")


@pytest.mark.req("R1", "R2")
@given(
    st.sampled_from(KINDS),
    st.floats(-20, 20),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(list(Regime)),
    st.integers(1, 3),
)
def test_only_purchases_are_ever_proposed(kind, change, strength, confidence, regime, tier):
    given_ = trigger(kind, change_pct=change, strength=strength, confidence=confidence, qualifiers=ALL_SIGNS)
    found = propose(given_, tier=tier, regime=regime, min_conviction=0.0)
    if isinstance(found, str):
        return
    assert found.side is Side.BUY
    assert 0 < found.notional_pct <= policy().risk.tier_cap_pct[tier - 1] * D("1.2")
    assert 0 < found.stop_loss_pct <= policy().strategy.max_stop_loss_pct
    assert found.take_profit_pct > found.stop_loss_pct
    assert 0 <= found.conviction <= 1
    assert found.max_hold_s > 0


CONVICTIONS = {
    "strength .25, confidence .60": (0.25, 0.60, 2, (), 0.305),
    "the same with all four signs": (0.25, 0.60, 2, ALL_SIGNS, 0.455),
    "strength .26, confidence .60, tier 1": (0.26, 0.60, 1, (), 0.330),
    "both price moves, tier 1": (0.80, 0.85, 1, (), 0.675),
    "breakout": (0.70, 0.80, 2, (), 0.59),
    "RSI alone": (0.0, 0.0, 2, SIGNS[2:3], 0.03),
    "a sign nobody knows": (0.0, 0.0, 2, ("full_moon",), 0.0),
    "everything is no more than certain": (2.0, 2.0, 1, ALL_SIGNS, 1.0),
}


@pytest.mark.parametrize(("strength", "confidence", "tier", "signs", "expected"), CONVICTIONS.values(), ids=CONVICTIONS)
def test_conviction_as_worked_in_the_specification(strength, confidence, tier, signs, expected):
    fired = trigger(strength=strength, confidence=confidence, qualifiers=signs)
    assert conviction(fired, asset(tier), rules_settings(policy()).weights).value == pytest.approx(expected)


@pytest.mark.req("R2")
@pytest.mark.parametrize(("minimum", "passes"), [(0.59, True), (0.61, False)], ids=["at the minimum", "below it"])
def test_the_minimum_conviction_itself_passes(minimum, passes):
    found = propose(trigger(), tier=3, min_conviction=minimum)
    assert (found == "min_conviction") is not passes


def test_the_sum_behind_a_conviction_is_on_record():
    found = dict(propose(trigger("reversal", qualifiers=ALL_SIGNS[:3])).metadata)
    parts = {"base", "strength", "strength_weight", "confidence", "confidence_weight", "trigger_score", "threshold"}
    assert set(found) == parts | {*ALL_SIGNS[:3], "tier_bias_T1"}
    total = found["strength"] * found["strength_weight"] + found["confidence"] * found["confidence_weight"]
    assert total + 0.04 + 0.04 + 0.03 + 0.02 == pytest.approx(
        propose(trigger("reversal", qualifiers=SIGNS[:3])).conviction
    )
    (row,) = answers([trigger(strength=0.1, confidence=0.5)])
    assert (row.code, row.limit) == ("min_conviction", 0.4)
    assert "strength=0.1" in row.detail


SIZES = {
    # parity = 1 / stop x 100 x 50 / max(volatility, 10); base x factor; then x confidence x regime
    "the tier's base decides": ({"kind": "breakout"}, 1, Regime.CHOP, "3.0", "2.88"),  # min(16.7, 3.6) x .8
    "a rising price": ({"kind": "price_move", "confidence": 0.85}, 1, Regime.CHOP, "3.0", "2.55"),
    "a bounce is smaller": ({"kind": "price_move", "change_pct": -5.0}, 1, Regime.CHOP, "3.0", "1.68"),  # 3 x .7 x .8
    "a dip counts its confidence twice": ({"kind": "momentum", "change_pct": -5.0}, 1, Regime.CHOP, "3.0", "1.4688"),
    "a reversal too": ({"kind": "reversal", "confidence": 0.5}, 1, Regime.CHOP, "3.0", "0.48"),  # 2.4 x .5 x (.5 x .8)
    "mean reversion": ({"kind": "mean_reversion", "confidence": 0.6}, 1, Regime.CHOP, "3.0", "1.44"),  # 2.4 x .6
    "parity binds where it is wild": (
        {"volatility_pct": 400.0},
        1,
        Regime.CHOP,
        "3.0",
        "1.6667",
    ),  # 1/6x100x50/400 x .8
    "unknown volatility is left out": ({"volatility_pct": 0.0}, 1, Regime.CHOP, "30", "13.3333"),  # 1/6x100 x .8
    "half a per cent is the least": ({"volatility_pct": 5000.0}, 1, Regime.CHOP, "3.0", "0.4"),
    "a bull enlarges": ({"kind": "breakout"}, 1, Regime.BULL, "3.0", "3.456"),
    "a bear shrinks": ({"kind": "breakout"}, 1, Regime.BEAR, "3.0", "1.728"),
}


@pytest.mark.req("U3")
@pytest.mark.parametrize(("given", "tier", "regime", "base", "expected"), SIZES.values(), ids=SIZES)
def test_sizes(given, tier, regime, base, expected):
    sized = engine(tier_size_pct=(D(base), D(2), D(1)), risk_per_trade_pct=D(1))
    asked = trigger(**({"confidence": 0.8} | given))
    found = sized.size_pct(asked, asset(tier), row_of(asked), regime)
    assert found == pytest.approx(D(expected), abs=D("0.0001"))


def test_doubling_volatility_halves_the_size_where_parity_binds():
    sized, row = engine(tier_size_pct=(D(50), D(50), D(50)), risk_per_trade_pct=D(1)), row_of(trigger())
    calm, wild = (sized.size_pct(trigger(volatility_pct=v), asset(), row, Regime.CHOP) for v in (60.0, 120.0))
    assert calm == pytest.approx(wild * 2)


@pytest.mark.parametrize(
    ("closes", "wild"),
    [
        ((100, 101, 102, 103, 107.9), False),
        ((100, 101, 102, 103, 108), True),
        ((100, 99, 97, 95, 92), True),
        ((108,), False),
    ],
    ids=["just less", "8 % up", "8 % down", "too few candles"],
)
def test_a_wild_hour_halves_the_size(closes, wild):
    calm, moved = (propose(trigger(), windows=w) for w in ((), (window(*closes),)))
    assert moved.notional_pct == (calm.notional_pct / 2 if wild else calm.notional_pct)
    assert ("high_volatility" in moved.tags) is wild


@pytest.mark.req("U3")
def test_a_crash_proposes_nothing():
    assert propose(trigger(), regime=Regime.CRASH) == "regime_size_zero"


# --- reversals and canaries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "passes"), [(4, True), (3, True), (2, False), (0, False)])
def test_a_reversal_needs_three_signs_of_four(count, passes):
    (found,) = answers([trigger("reversal", strength=0.9, qualifiers=ALL_SIGNS[:count])])
    assert isinstance(found, TradeProposal) is passes
    if not passes:
        assert (found.code, found.value, found.limit) == ("reversal_confirmations", float(count), 3.0)


def test_where_signs_are_not_enforced_none_is_needed():
    (found,) = answers([trigger("reversal", strength=0.9)], signs=0)
    assert isinstance(found, TradeProposal)


WEAK = {"strength": 0.3, "confidence": 0.74, "change_pct": 3.0}  # tier 1: .15 + .222 + .02 = .392
CANARIES = {
    "just below the threshold, alone": ({}, {}, 1, True),
    "beside another trigger": ({}, {}, 2, False),
    "in tier 3": ({"tier": 3}, {"strength": 0.35}, 1, False),
    "over a wide spread": ({"spread_bps": 21.0}, {}, 1, False),
    "in a thin book": ({"depth_usd": 49_000.0}, {}, 1, False),
    "too weak": ({}, {"strength": 0.27}, 1, False),
    "strong enough for all of it": ({}, {"strength": 0.32}, 1, None),
}


@pytest.mark.parametrize(("of_asset", "of_trigger", "count", "expected"), CANARIES.values(), ids=CANARIES)
def test_canary(of_asset, of_trigger, count, expected):
    weak = trigger("price_move", **(WEAK | of_trigger))
    others = [trigger(product_id=ETH)][: count - 1]
    found = answers([weak, *others], assets=(asset(**({"tier": 1} | of_asset)), asset(product=ETH)))
    (found,) = [f for f in found if f.product_id == BTC]
    if expected is False:
        assert found.code == "min_conviction"
        return
    assert ("canary" in found.tags) is (expected is True)
    full = propose(trigger("price_move", **(WEAK | of_trigger)), min_conviction=0.0)
    assert found.notional_pct == full.notional_pct * (D("0.25") if expected else 1)
    assert found.size_share == (D("0.25") if expected else 1)


def test_only_a_canary_passes_without_confirmation():
    (found,) = answers([trigger("reversal", **WEAK)])
    assert set(found.tags) == {"canary", "reversal_unconfirmed"}
    (refused,) = answers([trigger("reversal", **WEAK)], assets=(asset(spread_bps=30.0),))
    assert (refused.code, refused.detail) == ("reversal_confirmations", "canary_spread 30 against 20")


def test_the_size_grows_with_conviction_across_the_canary_s_window():
    sizes = []
    for thousandth in range(100, 1000, 5):
        found = propose(trigger("price_move", strength=thousandth / 1000, confidence=0.74))
        if not isinstance(found, str):
            sizes.append((found.conviction, found.notional_pct))
    assert len({size for _, size in sizes}) == 2
    assert sizes == sorted(sizes)


def test_the_size_grows_with_conviction():
    sizes = []
    for tenth in range(1, 11):
        found = propose(trigger(strength=tenth / 10, confidence=tenth / 10), min_conviction=0.0)
        sizes.append((found.conviction, found.notional_pct))
    assert sizes == sorted(sizes)


# --- the proposal -------------------------------------------------------------------------------------------------


@pytest.mark.req("R2")
def test_stops_keep_to_the_policy_and_every_field_is_there():
    found = propose(trigger("momentum", change_pct=-5.0), max_stop_pct=D(7))
    assert found.stop_loss_pct == 7
    assert found.take_profit_pct == 18
    assert found.max_hold_s == 48 * 3600
    assert found.tags == ("momentum_dip",)
    assert (found.tier, found.theme, found.regime) == (1, "LAYER1", Regime.BULL)
    assert found.created_ns == NOON_NS


def test_a_reversal_s_stop_is_clamped():
    assert propose(trigger("reversal", qualifiers=ALL_SIGNS)).stop_loss_pct == 10


def test_what_is_not_eligible_is_passed_over():
    (found,) = answers([trigger(product_id=ProductId("DOGE-USD"))])
    assert found.code == "not_eligible"


@pytest.mark.req("STR1")
def test_the_same_context_gives_the_same_answer_and_cannot_be_changed():
    given_ = context(trigger(), trigger("momentum"))
    before = repr(given_)
    assert engine().generate_proposals(given_) == engine().generate_proposals(given_)
    assert isinstance(engine().generate_proposals(given_), list)
    assert repr(given_) == before
    with pytest.raises(AttributeError):
        given_.assets = ()


@pytest.mark.req("STR2")
def test_new_strategies_are_off_until_somebody_says_otherwise():
    shipped = settings(policy())
    assert shipped.live == ("rules_engine",)
    assert set(shipped.names) == {"rules_engine", "momentum", "mean_reversion", "breakout"}
