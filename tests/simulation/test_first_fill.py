"""The embedded default honestly trades at once: the shipped policy on every seed, in virtual time."""

import pytest

from ops.simulate.world import Simulation, shipped
from protocol.strategy import Regime

WITHIN_S = 60


def first_fill_s(seed: int) -> int | None:
    print(f"seed {seed}")
    simulation = Simulation(seed, shipped().universe.products, policy=shipped())
    for second in range(1, WITHIN_S + 1):
        simulation.run(1.0)
        if simulation.fills():
            return second
    return None


@pytest.mark.parametrize("seed", [1, 7, 18])
def test_a_first_fill_within_a_minute(seed):
    assert first_fill_s(seed) is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_a_first_fill_within_a_minute_on_every_seed(seed):
    assert first_fill_s(seed) is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1, 21))
def test_no_crash_regime_within_ten_minutes(seed):
    print(f"seed {seed}")
    simulation = Simulation(seed, shipped().universe.products, policy=shipped())
    simulation.run(600.0)
    universe = simulation.desk.node.tree.records["universe"].shell.state
    assert universe.detector.regime in {Regime.BULL, Regime.CHOP}
