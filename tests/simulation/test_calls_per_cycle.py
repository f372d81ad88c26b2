"""A desk that hears its market over streams asks the venue for little, however many products it follows."""

from collections import Counter

import pytest

from config.load import load
from ops.bench.footprint import PRODUCTS, configuration
from ops.simulate.world import Simulation

MOST = 12


@pytest.mark.slow
def test_a_cycle_of_thirty_products_makes_at_most_twelve_calls(tmp_path):
    policy = load(configuration(tmp_path), profile="embedded", overrides={"app.mode": "PAPER"}).policy
    simulation = Simulation(1, policy.universe.products, policy=policy)
    simulation.run(90.0)  # the minute that was under way at the start has been asked for, product by product
    calls, cycle = Counter(), simulation.desk.node.tree.records["cycle"].shell
    first = cycle.state.number
    simulation.world.venue.on_answer = lambda route, _: calls.update([cycle.state.number])
    simulation.run(120.0)
    calls.pop(first, None)
    assert len(policy.universe.products) == PRODUCTS
    assert cycle.state.number - first >= 15
    assert max(calls.values()) <= MOST
