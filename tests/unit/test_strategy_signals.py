"""Triggers, guards, regime and sizing against plain computations and the worked examples of the specification."""

import itertools
import math
import statistics
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.cycle.core import Settings, wait_ns
from actors.strategy.aggregate import aggregate
from actors.strategy.base import Budget
from actors.strategy.indicators.bars import atr_pcts, upper_median
from actors.strategy.library.rules_engine import RulesEngine, RulesSettings, Weights
from actors.strategy.triggers.signals import Refusal, Signal, atr_filter, breakout, momentum, outlier, price_move
from actors.universe.regime import Detector, Reading, detect, follow
from protocol.instants import SECOND_NS
from protocol.market import Bar
from protocol.orders import Side
from protocol.strategy import Asset, Regime, TradeProposal, Trigger


def bars(closes, *, width=0.0, volume=1.0):
    return tuple(
        Bar(start_s=i * 900, open=c, high=c * (1 + width), low=c * (1 - width), close=c, volume=volume)
        for i, c in enumerate(closes)
    )


def flat_then(*moves_pct, n=64, start=100.0):
    closes = [start] * (n - len(moves_pct))
    for move in moves_pct:
        closes.append(closes[-1] * (1 + move / 100))
    return bars(closes)


MOVES = {
    "a quarter of exactly the threshold fires": (flat_then(2.0), "price_move", 0.6, 2.0),
    "a fall keeps its sign": (flat_then(-2.5), "price_move", 0.6, -2.5),
    "four small quarters are one large hour": (flat_then(1.1, 1.1, 1.1, 1.1), "price_move", 0.7, 4.47),
    "both at once are strongest": (flat_then(2.1, 1.0, 1.0, 1.0), "price_move", 0.8, 2.1),
}


@pytest.mark.req("S1")
@pytest.mark.parametrize("name", MOVES)
def test_price_move(name):
    window, kind, strength, change = MOVES[name]
    fired = price_move(window, 2.0 - 1e-9, 4.0)
    assert isinstance(fired, Signal), fired
    assert (fired.kind, fired.strength) == (kind, strength)
    assert fired.change_pct == pytest.approx(change, abs=0.02)


@pytest.mark.req("S1")
def test_what_is_too_small_too_old_or_too_short_fires_nothing():
    assert isinstance(price_move(flat_then(1.9), 2.0, 4.0), Refusal)
    assert isinstance(price_move(flat_then(5.0, 0, 0, 0, 0), 2.0, 4.0), Refusal)
    assert price_move(flat_then(5.0, n=59), 2.0, 4.0).code == "too_few_bars"


@pytest.mark.req("S1")
def test_a_breakout_is_measured_against_the_hours_before_it():
    quiet = bars([100.0] * 25, width=0.001)
    assert isinstance(breakout(quiet, 24), Refusal), "a quiet market near its high is no breakout"
    assert isinstance(breakout((*quiet[:-1], bars([101.0])[0]), 24), Signal)


def test_momentum_in_a_bear_market_is_a_falling_one():
    rising, falling = bars([100 + i * 0.2 for i in range(30)]), bars([100 - i * 0.2 for i in range(30)])
    assert isinstance(momentum(rising, "bull"), Signal)
    assert isinstance(momentum(rising, "bear"), Refusal)
    assert momentum(falling, "bear").change_pct < 0


@pytest.mark.req("O1")
def test_a_jump_on_hardly_any_volume_is_an_outlier_and_the_limits_themselves_pass():
    calm = bars([100.0] * 20)
    jump = Bar(start_s=0, open=100, high=111, low=100, close=111.0, volume=0.05)
    assert outlier((*calm, jump), 10.0, 0.1, 20).code == "outlier"
    loud = Bar(start_s=0, open=100, high=111, low=100, close=111.0, volume=0.1)
    assert outlier((*calm, loud), 10.0, 0.1, 20) is None
    near = Bar(start_s=0, open=100, high=110, low=100, close=110.0, volume=0.0)
    assert outlier((*calm, near), 10.0, 0.1, 20) is None


prices = st.lists(st.floats(50, 150, allow_nan=False), min_size=30, max_size=60)


@given(prices, st.floats(0.0, 0.05))
@settings(max_examples=60, deadline=None)
def test_atr_equals_the_plain_computation(closes, width):
    series = bars(closes, width=width)
    plain = []
    for i in range(14, len(series)):
        ranges = [
            max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close))
            for a, b in zip(series[i - 14 : i], series[i - 13 : i + 1], strict=True)
        ]
        plain.append(sum(ranges) / 14 / series[i].close * 100)
    assert atr_pcts(series) == pytest.approx(plain, rel=1e-9, abs=1e-12)


def test_a_sleepy_asset_is_filtered():
    lively = bars([100.0] * 60, width=0.02)
    asleep = (*lively[:-15], *bars([100.0] * 15, width=0.001))
    assert atr_filter(asleep, 1.1).code == "atr_filter"
    assert upper_median([1.0, 2.0, 3.0, 4.0]) == 3.0


def closes_with(trend_pct, hourly_pct, n=168):
    drift = (1 + trend_pct / 100) ** (1 / (n - 1))
    return [100 * drift**i * (1 + (hourly_pct / 100 if i % 2 else 0)) for i in range(n)]


REGIMES = {
    "too few closes are chop, unsure": ([100.0] * 167, Regime.CHOP, 0.5),
    "a flat quiet week is chop": (closes_with(0, 0.1), Regime.CHOP, 0.8),
    "a steady rise is bull": (closes_with(12, 0.0), Regime.BULL, 0.54),
    "a fall is bear": (closes_with(-7, 0.1), Regime.BEAR, 0.6),
    "a deep fall is a crash": (closes_with(-12, 0.1), Regime.CRASH, 0.7),
    "wild moves are a crash": (closes_with(0, 2.0), Regime.CRASH, 0.7),
}


@pytest.mark.req("U3")
@pytest.mark.parametrize("name", REGIMES)
def test_the_regime_table(name):
    closes, regime, confidence = REGIMES[name]
    reading = detect(closes)
    assert reading.regime is regime
    assert reading.confidence == pytest.approx(confidence, abs=0.05)
    if reading.volatility_pct is not None:
        moves = [(b / a - 1) * 100 for a, b in itertools.pairwise(closes)]
        assert reading.volatility_pct == pytest.approx(statistics.stdev(moves) * math.sqrt(8760), rel=1e-9)


@pytest.mark.req("U3")
def test_a_crash_is_entered_at_once_and_left_after_two_cycles():
    calm = Reading(regime=Regime.CHOP, confidence=0.8, trend_pct=0.0)
    crash = Reading(regime=Regime.CRASH, confidence=0.9, trend_pct=-20.0)
    state = follow(Detector(), crash)
    assert state.regime is Regime.CRASH
    state = follow(state, calm)
    assert state.regime is Regime.CRASH
    assert follow(state, calm).regime is Regime.CHOP
    assert follow(follow(state, crash), calm).regime is Regime.CRASH


def engine(min_conviction=0.4):
    return RulesEngine(
        RulesSettings(
            tier_size_pct=(Decimal("1.5"), Decimal("1.0"), Decimal("0.5")),
            risk_per_trade_pct=Decimal(1),
            max_stop_pct=Decimal(10),
            min_conviction=min_conviction,
            dip_pct=3.0,
            weights=Weights(base=0.0, strength=0.5, confidence=0.3, tier_1_boost=0.02),
            multipliers={"bull": Decimal("1.2"), "chop": Decimal(1), "bear": Decimal("0.6"), "crash": Decimal(0)},
        )
    )


def trigger(kind="price_move", strength=0.8, confidence=0.85, change=3.0):
    return Trigger(
        product_id="SOL-USD", kind=kind, strength=strength, confidence=confidence, change_pct=change, price=100.0,
        volatility_pct=50.0, metrics=(),
    )  # fmt: skip


def asset(tier):
    return Asset(
        product_id="SOL-USD", tier=tier, theme="LAYER1", bid=Decimal(100), ask=Decimal(101), spread_bps=1.0,
        depth_usd=1e6, volume_24h_usd=1e9,
    )  # fmt: skip


CONVICTIONS = {
    "both moves in tier 1": (trigger(), 1, 0.675),
    "a weak signal in tier 1": (trigger(strength=0.26, confidence=0.60), 1, 0.330),
    "a breakout": (trigger("breakout", 0.7, 0.8), 2, 0.59),
}


@pytest.mark.req("R2")
@pytest.mark.parametrize("name", CONVICTIONS)
def test_worked_convictions(name):
    fired, tier, conviction = CONVICTIONS[name]
    assert engine().conviction(fired, asset(tier)) == pytest.approx(conviction)


def proposal(product, strategy, conviction):
    return TradeProposal(
        correlation=f"{product}{strategy}", product_id=product, side=Side.BUY, notional_pct=Decimal(1),
        stop_loss_pct=Decimal(6), take_profit_pct=Decimal(12), max_hold_s=3600, conviction=conviction,
        strategy=strategy, tier=1, theme="X", regime=Regime.CHOP, trigger=trigger(), reason="", tags=(), created_ns=0,
    )  # fmt: skip


@pytest.mark.req("STR3", "STR4")
def test_one_proposal_per_product_survives_and_budgets_come_first():
    budgets = [Budget(name=n, max_trades_per_cycle=2, max_at_risk_pct=Decimal(15)) for n in ("a", "b")]
    asked = [
        proposal("X-USD", "a", 0.5),
        proposal("X-USD", "b", 0.6),
        *(proposal(f"P{i}-USD", "a", 0.4) for i in range(4)),
    ]
    kept, passed = aggregate(asked, budgets, 10)
    assert [(p.product_id, p.strategy) for p in kept] == [("X-USD", "b"), ("P0-USD", "a"), ("P1-USD", "a")]
    assert {p.code for p in passed} == {"duplicate_product", "strategy_cap"}
    assert aggregate(list(reversed(asked)), budgets, 10)[0] == kept


@pytest.mark.req("SCH1")
@given(st.integers(0, 10_000), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_jitter_only_ever_adds_up_to_its_share(number, seed):
    rhythm = Settings(interval_ns=60 * SECOND_NS, jitter_share=0.1, seed=seed)
    wait = wait_ns(rhythm, number, elapsed_ns=SECOND_NS)
    assert 59 * SECOND_NS <= wait < 65 * SECOND_NS


@pytest.mark.req("SCH1")
def test_a_busy_cycle_backs_off():
    rhythm = Settings(interval_ns=60 * SECOND_NS, jitter_share=0.0)
    assert wait_ns(rhythm, 1, 43 * SECOND_NS) == (17 + 15) * SECOND_NS
    assert wait_ns(rhythm, 1, 42 * SECOND_NS) == 18 * SECOND_NS
