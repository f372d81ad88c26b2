"""The whole desk in virtual time: it trades, repeats itself to the byte, and its books are the venue's."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from actors.venue.synthetic_plant import scenario_of
from ops.simulate.journal import of_journal
from ops.simulate.lookback import same_trace
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from ops.simulate.world import Simulation

MINUTES_S = 600.0
ROOT = Path(__file__).resolve().parents[2]


def lived(seed, seconds=MINUTES_S):
    print(f"seed {seed}")
    planted = scenario_of(seed).planted
    simulation = Simulation(seed, ("BTC-USD", *planted[:2]))
    simulation.run(seconds)
    return simulation


def fingerprint(simulation):
    digest = hashlib.sha256()
    for index, data in simulation.journal():
        digest.update(index.to_bytes(8, "big") + data)
    return digest.hexdigest()


@pytest.mark.req("X1", "X2")
def test_ten_minutes_trade_and_the_books_are_the_venues():
    simulation = lived(1)
    placed = Counter(one for entry in simulation.venue.log.entries() for one in entry.client_order_ids)
    assert placed, "nothing was placed"
    assert set(placed.values()) == {1}
    assert simulation.fills(), "nothing was filled"
    assert ledger_totals(simulation) == venue_totals(simulation)
    assert [*of_journal(simulation), *at_rest(simulation)] == []
    assert simulation.desk.ends == []
    assert not simulation.desk.node.dead_letters


def test_the_same_seed_writes_the_same_journal():
    one, other = lived(2, 60.0), lived(2, 60.0)
    assert same_trace(one, other) == []
    assert len(one.journal()) > 100
    assert fingerprint(lived(3, 5.0)) != fingerprint(lived(4, 5.0))


@pytest.mark.slow
def test_another_process_writes_the_same_journal():
    """Not even the seed of Python's own hashes moves anything."""
    code = (
        "from tests.simulation.test_kernel_trades import fingerprint, lived\n"
        "import sys; print('', file=sys.stderr); print(fingerprint(lived(2, 120.0)))"
    )
    said = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True)
        said.append(done.stdout.split()[-1])
    assert said[0] == said[1]
