"""Drawn portfolios, limits and batches for properties of the risk room, and how a property is tried on many of them.

Every price is 100 USD, so that a test can add up exposures by itself.
"""

import copy
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.portfolio import Holding
from protocol.strategy import Regime
from protocol.venue import Balance
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import PRODUCTS, D, limits, periods, position, proposal, view

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
SLOW = settings(FAST, max_examples=1000)
PER_EXAMPLE = 10
EPSILON = D("0.000001")
STRATEGIES = ("rules_engine", "second")


def share(rng, low, high):
    """Per cent with two decimals."""
    return D(rng.randrange(low * 100, high * 100 + 1)) / 100


def a_proposal(rng):
    product, strategy = rng.choice(PRODUCTS), rng.choice(STRATEGIES)
    return proposal(
        product,
        share(rng, 0, 12),
        rng.choice((0.3, 0.5, 0.9)),
        strategy=strategy,
        tier=rng.randrange(1, 4),
        correlation=f"{strategy}-{product}",
    )


def caps(rng):
    """Caps of any height in any order."""
    return {
        "max_total_at_risk_pct": share(rng, 2, 40),
        "max_position_size_pct": share(rng, 1, 10),
        "max_per_asset_pct": share(rng, 1, 10),
        "tier_caps_pct": tuple(share(rng, 1, 10) for _ in range(3)),
        "theme_caps_pct": tuple((theme, share(rng, 1, 20)) for theme in ("LAYER1", "MEME", "DEFI", "OTHER")),
        "strategy_budgets_pct": tuple((name, share(rng, 1, 30)) for name in STRATEGIES),
    }


def limits_of(rng):
    """Caps of any height in any order; pacing aside, which would hide them."""
    return {
        **caps(rng),
        "min_position_size_pct": rng.choice((D(0), D("0.25"))),
        "min_notional_usd": rng.choice((D(1), D(10))),
        "min_order_usd": rng.choice((D(1), D(10))),
        "max_order_usd": rng.choice((D(40), D(10_000))),
        "maker_fee_bps": rng.choice((D(0), D(40), D(60))),
        "count_external": rng.random() < 0.5,
        "regimes": tuple(replace(row, max_positions=rng.randrange(3, 11)) for row in BASE.regimes),
        "max_new_per_cycle": rng.randrange(1, 6),
        "max_open_positions": rng.randrange(3, 11),
        "spacing_ns": 0,
        "symbol_spacing_ns": 0,
        "new_per_hour": 1000,
        "trades_per_hour": 1000,
    }


def view_of(rng):
    nav = rng.choice((500, 3_000, 10_000, 80_000))
    held = rng.sample(PRODUCTS, rng.randrange(4))
    return view(
        nav=nav,
        positions=tuple(
            position(product, quantity=nav * share(rng, 0, 6) / 10_000, strategy=rng.choice(STRATEGIES))
            for product in held
        ),
        external=(Holding(currency="ABC", quantity=D(1), value_usd=D(nav) * rng.choice((0, 0, 5, 30)) / 100),),
        periods=periods(nav, nav, nav),
        balances=(Balance(currency="USD", available=D(rng.choice((nav, nav // 4))), hold=D(0)),),
    )


PROPOSALS = [a_proposal(Random(seed)) for seed in range(300)]
REGIMES = tuple(Regime)
READY = RiskDesk()
BASE = limits()


def a_batch(rng):
    """Up to four proposals, no two of one correlation."""
    chosen = rng.sample(PROPOSALS, rng.randrange(5))
    return list({p.correlation: p for p in chosen}.values())


def desk_of(rules):
    """A desk ready to trade under these limits; made once, for making one takes longer than asking it."""
    desk = copy.copy(READY)
    desk.durable, desk.state = {}, replace(READY.state, limits=replace(BASE, **rules))
    return desk


def holds(*requirements):
    """Make fast and slow tests of a check of one scene, which is drawn from a seeded generator."""

    def made(check, scale):
        @pytest.mark.req(*requirements)
        @scale
        @given(st.integers(0, 2**40))
        def run(block):
            for number in range(block * PER_EXAMPLE, (block + 1) * PER_EXAMPLE):
                try:
                    check(Random(number))
                except AssertionError as error:
                    raise AssertionError(f"scene {number}: {error}") from error

        return run

    def rings(check):
        return made(check, FAST), pytest.mark.slow(made(check, SLOW))

    return rings
