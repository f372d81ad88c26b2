"""The desk is killed at random moments while it trades: nothing is lost or doubled, and it comes back by itself."""

import random
import time

import pytest

from tests.support.installation import Installation, running, wait_for


def survive(trader: Installation, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 3.0))  # the moment of death is the input here, not something to wait for
        trader.armed_again(trader.kill_desk())
    trader.verb("pause", "--reason", "counting")
    trader.verb("cancel", "--all")
    wait_for("the ledger to equal the venue's balances", trader.quiet, 30.0)
    sent = trader.places()
    assert len(sent) == len(set(sent)), "an order was placed twice"


@pytest.mark.req("X1")
@pytest.mark.timeout(110)
@pytest.mark.xdist_group("processes")
def test_five_kills_lose_and_double_nothing(tmp_path):
    with running(tmp_path / "state", "--seed", "3") as trader:
        wait_for("a first order", trader.places, 30.0)
        survive(trader, kills=5, seed=11)
        assert trader.stop() == 0


@pytest.mark.slow
@pytest.mark.req("X1")
@pytest.mark.timeout(600)
def test_fifty_kills_lose_and_double_nothing(tmp_path):
    with running(tmp_path / "state", "--seed", "5") as trader:
        wait_for("a first order", trader.places, 30.0)
        survive(trader, kills=50, seed=12)
        assert trader.stop() == 0
