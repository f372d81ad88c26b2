"""Switching the regime changes sizes, caps and slots in the same cycle, from the one table (U3)."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.risk.exposure import Exposure, Stake
from actors.risk.limits import Limits
from actors.risk.sizing import Ask, rooms
from protocol.orders import Side
from protocol.risk import Decision, Reason
from protocol.strategy import Regime
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import BTC, DOGE, limits, noted, position, proposal, view

pytestmark = pytest.mark.req("U3")

D = Decimal
NAV = D(10_000)
EMPTY = Exposure(nav_usd=NAV, stakes=(), foreign=())


def ask(regime, product=BTC, tier=1):
    return Ask(
        product_id=product,
        tier=tier,
        theme="LAYER1",
        strategy="rules_engine",
        regime=regime,
        requested_usd=D(1000),
        available_usd=NAV,
        venue_min_usd=D(1),
    )


def caps(regime, product=BTC, tier=1, held: Limits | None = None, exposure=EMPTY):
    """USD caps in their order: strategy, total, position, asset, theme."""
    found = rooms(ask(regime, product, tier), exposure, NAV, held or limits())
    codes = (Reason.STRATEGY_CAP, Reason.TOTAL_AT_RISK_CAP, Reason.POSITION_CAP, Reason.POSITION_CAP, Reason.THEME_CAP)
    assert tuple(room.code for room in found)[:5] == codes
    return [room.cap_usd for room in found][:5]


TABLE = {
    Regime.CHOP: [1500, 2500, 300, 400, 1000],
    Regime.BULL: [1500, 2500, 360, 400, 1000],  # the position's cap alone rises above what is configured
    Regime.BEAR: [900, 1500, 180, 240, 600],
    Regime.CRASH: [0, 0, 0, 0, 0],
}


@pytest.mark.parametrize(("regime", "expected"), TABLE.items(), ids=[r.value for r in TABLE])
def test_every_cap_in_every_regime(regime, expected):
    assert caps(regime) == expected


def test_an_allocation_below_the_asset_cap_binds():
    rows = tuple(replace(r, allocations_pct=(D(2), D(1), D(0))) for r in limits().regimes)
    held = limits(regimes=rows)
    assert caps(Regime.CHOP, held=held)[3] == 200
    assert caps(Regime.CHOP, DOGE, 2, held)[3] == 100
    assert caps(Regime.CHOP, DOGE, 3, held)[3] == 0


def test_a_wrapped_coin_is_its_originals_exposure():
    stakes = (Stake(product_id="WBTC-USD", strategy="x", theme="OTHER", held_usd=D(150), pending_usd=D(50)),)
    found = rooms(ask(Regime.CHOP), replace(EMPTY, stakes=stakes), NAV, limits())
    position_room, asset_room = found[2], found[3]
    assert (position_room.used_usd, asset_room.used_usd) == (0, 200)


def granted(regime, pct, *messages):
    desk = RiskDesk()
    desk.tell(*messages)
    (decision,) = noted(desk.ask(proposal(pct=pct), regime=regime), Decision)
    assert decision.side is Side.BUY
    return decision


@pytest.mark.parametrize(("regime", "usd"), [(Regime.CHOP, 300), (Regime.BULL, 360), (Regime.BEAR, 180)])
def test_the_batch_is_sized_by_its_own_cycles_regime(regime, usd):
    """Risk has heard of no other regime before: the batch says in which cycle it was made."""
    assert granted(regime, 10).approved_usd == usd


@pytest.mark.parametrize(("regime", "slots"), [(Regime.BULL, 5), (Regime.CHOP, 3), (Regime.BEAR, 2)])
def test_open_positions_are_bounded_by_the_regime(regime, slots):
    others = ("ETH-USD", "SOL-USD", "DOGE-USD", "LINK-USD", "XRP-USD")
    for held in (slots - 1, slots):
        positions = tuple(position(p, "0.3") for p in others[:held])
        decision = granted(regime, 1, view(positions=positions))
        refused = {v.code for v in decision.verdicts if not v.passed}
        assert (Reason.MAX_OPEN_POSITIONS in refused) is (held == slots)
