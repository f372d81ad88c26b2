"""Regime and sizing against plain computations and the worked examples of the specification."""

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
from actors.universe.regime import Detector, Reading, detect, follow
from protocol.instants import SECOND_NS
from protocol.orders import Side
from protocol.strategy import Regime, TradeProposal, Trigger


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


def trigger(kind="price_move", strength=0.8, confidence=0.85, change=3.0):
    return Trigger(
        product_id="SOL-USD", kind=kind, strength=strength, confidence=confidence, change_pct=change, price=100.0,
        volatility_pct=50.0, metrics=(),
    )  # fmt: skip


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
    assert [(p.product_id, p.strategy) for p in kept] == [("X-USD", "b"), ("P0-USD", "a")]
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
