"""The rules strategy's table, conviction and sizes (pipeline.md §6), with the shipped policy unless a row says else."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.strategy.actor import rules_settings, settings, strategies
from actors.strategy.base import StrategyContext
from actors.strategy.library.rules_engine import RulesEngine, shape
from protocol.ids import ProductId
from protocol.orders import Side
from protocol.strategy import Asset, Regime, Trigger
from tests.support.desk_scenes import NOON_NS, policy

D = Decimal
BTC = ProductId("BTC-USD")


def trigger(kind="breakout", *, change=3.0, strength=0.7, confidence=0.8, volatility=50.0, product=BTC):
    return Trigger(
        product_id=product,
        kind=kind,
        strength=strength,
        confidence=confidence,
        change_pct=change,
        price=100.0,
        volatility_pct=volatility,
        metrics=(),
    )


def asset(tier=1, product=BTC):
    return Asset(
        product_id=product,
        tier=tier,
        theme="LAYER1",
        bid=D(100),
        ask=D(101),
        spread_bps=2.0,
        depth_usd=1e6,
        volume_24h_usd=1e8,
    )


def context(*triggers, assets=None, regime=Regime.BULL):
    assets = assets or (asset(),)
    return StrategyContext(
        cycle=7, now_ns=NOON_NS, regime=regime, assets=assets, triggers=triggers, windows=(), held=()
    )


def engine(**changes):
    return RulesEngine(replace(rules_settings(policy()), **changes))


def propose(given, *, tier=1, regime=Regime.BULL, **changes):
    """The one proposal, or the code with which it was passed over."""
    ideas = engine(**changes).generate_proposals(context(given, assets=(asset(tier),), regime=regime))
    assert len(ideas.proposals) + len(ideas.passed) == 1
    return ideas.proposals[0] if ideas.proposals else ideas.passed[0].code


ENTRIES = {
    "a rise above 1.5 %": ("price_move", 1.51, ("6", "12", 48, "1.0", "")),
    "a rise of just 1.5 % is too small": ("price_move", 1.5, None),
    "a fall beyond 2.5 % bounces": ("price_move", -2.51, ("10", "20", 24, "0.7", "bounce")),
    "a fall of just 2.5 % is too small": ("price_move", -2.5, None),
    "a breakout always": ("breakout", 0.01, ("6", "20", 120, "1.2", "")),
    "momentum up": ("momentum", 0.01, ("8", "15", 72, "1.0", "")),
    "a dip of 3 % itself": ("momentum", -3.0, ("10", "18", 48, "0.85", "momentum_dip")),
    "a smaller dip is too small": ("momentum", -2.99, None),
    "momentum that does not move": ("momentum", 0.0, None),
    "a kind nobody knows": ("astrology", 9.0, None),
}


@pytest.mark.req("S1")
@pytest.mark.parametrize(("kind", "change", "row"), ENTRIES.values(), ids=ENTRIES)
def test_entry_conditions(kind, change, row):
    found = shape(trigger(kind, change=change), 3.0)
    if row is None:
        assert found is None
        return
    stop, target, hold_h, factor, tag = row
    assert (found.stop_pct, found.target_pct, found.hold_h) == (D(stop), D(target), hold_h)
    assert (found.factor, found.tag) == (D(factor), tag)


@pytest.mark.req("R1")
@pytest.mark.parametrize("kind", ["price_move", "breakout", "momentum"])
@pytest.mark.parametrize("change", [-20.0, -3.0, -1.0, 0.0, 1.0, 3.0, 20.0])
def test_only_purchases_are_ever_proposed(kind, change):
    found = propose(trigger(kind, change=change), min_conviction=0.0)
    assert isinstance(found, str) or (found.side is Side.BUY and found.notional_pct > 0)


CONVICTIONS = {
    "strength .25, confidence .60": (0.25, 0.60, 2, 0.305),
    "strength .26, confidence .60, tier 1": (0.26, 0.60, 1, 0.330),
    "both price moves, tier 1": (0.80, 0.85, 1, 0.675),
    "breakout": (0.70, 0.80, 2, 0.59),
    "nothing": (0.0, 0.0, 2, 0.0),
    "everything is no more than certain": (2.0, 2.0, 1, 1.0),
}


@pytest.mark.parametrize(("strength", "confidence", "tier", "expected"), CONVICTIONS.values(), ids=CONVICTIONS)
def test_conviction_as_worked_in_the_specification(strength, confidence, tier, expected):
    given = trigger(strength=strength, confidence=confidence)
    assert engine().conviction(given, asset(tier)) == pytest.approx(expected)


@pytest.mark.req("R2")
@pytest.mark.parametrize(("minimum", "passes"), [(0.59, True), (0.5901, False)], ids=["at the minimum", "below it"])
def test_the_minimum_conviction_itself_passes(minimum, passes):
    found = propose(trigger(), tier=2, min_conviction=minimum)
    assert (found == "min_conviction") is not passes


SIZES = {
    # parity = 1 / stop x 100 x 50 / max(volatility, 10); base x factor; then x confidence x regime
    "the tier's base decides": ({"kind": "breakout"}, 1, Regime.CHOP, "3.0", "2.88"),  # min(16.7, 3.6) x .8
    "a rising price": ({"kind": "price_move", "confidence": 0.85}, 1, Regime.CHOP, "3.0", "2.55"),
    "a bounce is smaller": ({"kind": "price_move", "change": -5.0}, 1, Regime.CHOP, "3.0", "1.68"),  # 3 x .7 x .8
    "a dip counts its confidence twice": ({"kind": "momentum", "change": -5.0}, 1, Regime.CHOP, "3.0", "1.4688"),
    "parity binds where it is wild": ({"volatility": 400.0}, 1, Regime.CHOP, "3.0", "1.6667"),  # 1/6x100x50/400 x .8
    "half a per cent is the least": ({"volatility": 5000.0}, 1, Regime.CHOP, "3.0", "0.4"),
    "a bull enlarges": ({"kind": "breakout"}, 1, Regime.BULL, "3.0", "3.456"),
    "a bear shrinks": ({"kind": "breakout"}, 1, Regime.BEAR, "3.0", "1.728"),
}


@pytest.mark.req("U3")
@pytest.mark.parametrize(("given", "tier", "regime", "base", "expected"), SIZES.values(), ids=SIZES)
def test_sizes(given, tier, regime, base, expected):
    sized = engine(tier_size_pct=(D(base), D(2), D(1)), risk_per_trade_pct=D(1))
    asked = trigger(**({"confidence": 0.8} | given))
    found = sized.size_pct(asked, asset(tier), shape(asked, 3.0), regime)
    assert found == pytest.approx(D(expected), abs=D("0.0001"))


def test_doubling_volatility_halves_the_size_where_parity_binds():
    sized, row = engine(tier_size_pct=(D(50), D(50), D(50)), risk_per_trade_pct=D(1)), shape(trigger(), 3.0)
    calm, wild = (sized.size_pct(trigger(volatility=v), asset(), row, Regime.CHOP) for v in (60.0, 120.0))
    assert calm == pytest.approx(wild * 2)


@pytest.mark.req("U3")
def test_a_crash_proposes_nothing():
    assert propose(trigger(), regime=Regime.CRASH) == "regime_size_zero"


def test_the_size_grows_with_conviction():
    sizes = []
    for tenth in range(1, 11):
        found = propose(trigger(strength=tenth / 10, confidence=tenth / 10), min_conviction=0.0)
        sizes.append((found.conviction, found.notional_pct))
    assert sizes == sorted(sizes)


@pytest.mark.req("R2")
def test_stops_keep_to_the_policy_and_every_field_is_there():
    found = propose(trigger("momentum", change=-5.0), max_stop_pct=D(7))
    assert found.stop_loss_pct == 7
    assert found.take_profit_pct == 18
    assert found.max_hold_s == 48 * 3600
    assert found.tags == ("momentum_dip",)
    assert (found.tier, found.theme, found.regime, found.strategy) == (1, "LAYER1", Regime.BULL, "rules_engine")
    assert found.created_ns == NOON_NS
    assert 0 < found.stop_loss_pct < 100 < 100 + found.take_profit_pct
    assert 0 <= found.conviction <= 1


def test_what_is_not_eligible_is_passed_over():
    assert propose(trigger(product=ProductId("DOGE-USD"))) == "not_eligible"


@pytest.mark.req("STR1")
def test_the_same_context_gives_the_same_answer_and_cannot_be_changed():
    given = context(trigger(), trigger("momentum", product=BTC))
    before = repr(given)
    assert engine().generate_proposals(given) == engine().generate_proposals(given)
    assert repr(given) == before
    with pytest.raises(AttributeError):
        given.assets = ()


def test_correlations_differ_by_product_and_cycle():
    two = context(
        trigger(), trigger(product=ProductId("ETH-USD")), assets=(asset(), asset(product=ProductId("ETH-USD")))
    )
    names = [p.correlation for g in (two, replace(two, cycle=8)) for p in engine().generate_proposals(g).proposals]
    assert len(set(names)) == 4


@pytest.mark.req("STR2")
@pytest.mark.parametrize("enabled", [True, False], ids=["enabled", "disabled"])
def test_only_enabled_strategies_are_loaded_and_the_others_are_named(enabled):
    shipped = policy()
    rows = tuple(replace(row, enabled=enabled) for row in shipped.strategy.strategies)
    changed = replace(shipped, strategy=replace(shipped.strategy, strategies=rows))
    assert [s.name for s in strategies(changed)] == (["rules_engine"] if enabled else [])
    assert bool(settings(changed).budgets) is enabled
    assert settings(changed).disabled == (() if enabled else tuple(row.name for row in rows))
