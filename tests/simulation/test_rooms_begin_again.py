"""A room that ends and begins anew knows again what it was told once: positions are still left, purchases still made.

Source: requirements.md §2 (restored within one decision cycle), execution.md §10 (exits in every trading state).
"""

import pytest

from actors.universe.regime import LOOKBACK
from protocol.risk import TradingState
from tests.support.refusal_desk import RefusalDesk

ROOMS = ("recorder", "portfolio", "risk", "orders", "cycle", "control", "gateway", "user_feed", "universe")
FEED = "feed:ETH-USD"


def trading():
    desk = RefusalDesk()
    desk.until(lambda: desk.view() is not None and desk.view().state is TradingState.ACTIVE, 30)
    desk.run(10.0)
    return desk


@pytest.mark.req("E1", "EX1")
@pytest.mark.parametrize("room", [*ROOMS, FEED])
def test_a_stop_still_sells_after_a_room_has_ended(room):
    desk = trading()
    desk.buy("ETH-USD")
    desk.crash(room)
    desk.run(6.0)
    desk.venue.market.set_path("ETH-USD", [(5.0, desk.mid("ETH-USD") * 85 / 100)])
    desk.until(lambda: desk.held("ETH-USD") == 0, 30)


@pytest.mark.parametrize("room", [*ROOMS, FEED])
def test_a_purchase_is_made_after_a_room_has_ended(room):
    desk = trading()
    desk.crash(room)
    desk.run(6.0)
    desk.buy("ETH-USD")


@pytest.mark.req("U3")
def test_the_regime_and_its_hours_outlive_the_universe():
    desk = trading()
    state = desk.desk.node.tree.records["universe"].shell.state
    assert len(state.hours) == LOOKBACK
    desk.crash("universe")
    desk.run(10.0)
    begun = desk.desk.node.tree.records["universe"].shell.state
    assert begun is not state
    assert (len(begun.hours), begun.detector.regime) == (LOOKBACK, state.detector.regime)
