"""An account with a coin in it that the desk does not follow is worth something all the same, and trades."""

from decimal import Decimal

import pytest

from actors.venue.in_kernel import USER, synthetic_venue
from actors.venue.server_venue import Venue
from ops.simulate.world import Simulation, key, policy_for

FOLLOWED, COIN = ("BTC-USD", "ETH-USD"), "SOL-USD"


def venue(clock) -> Venue:
    made = synthetic_venue(clock.now_ns, key().verifying(), seed=3, products=(*FOLLOWED, COIN), slow=True)
    made.exchange.deposit(USER, "SOL", Decimal(5), clock.now_ns())
    return made


@pytest.mark.req("E1")
def test_a_coin_outside_the_tiers_is_priced_and_stays_somebody_elses():
    desk = Simulation(3, FOLLOWED, make=venue, policy=policy_for(FOLLOWED))
    desk.run(150.0)  # longer than a price holds
    seen = desk.desk.node.tree.records["control"].shell.state.portfolio
    bids, asks = desk.venue.exchange.book(COIN, 1)
    mid = (bids[0][0] + asks[0][0]) / 2
    (held,) = [h for h in seen.external if h.currency == "SOL"]
    assert held.quantity == 5
    assert abs(held.value_usd / (5 * mid) - 1) < Decimal("0.05")
    assert seen.nav_usd is not None
    assert seen.nav_usd > held.value_usd
