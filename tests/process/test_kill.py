"""Kill and protective sweep, judged by the venue's own list of open orders, from the operator's action on."""

import os
import signal
import time

import pytest

from tests.support.installation import Installation, running, wait_for

RESTING = 20
HARD_S = 10.0


@pytest.fixture
def trader(tmp_path):
    """An armed trader with twenty orders of its own resting at the venue."""
    with running(tmp_path / "state", "--seed", "7") as installation:
        installation.load(RESTING)
        yield installation


def emptied(trader: Installation, since: float) -> float:
    """Seconds from `since` to the venue's list being empty; then it must stay so for a second."""
    wait_for("the venue's list to be empty", lambda: not trader.resting(), HARD_S)
    took_s = time.monotonic() - since
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        assert trader.resting() == []
        time.sleep(0.1)
    return took_s


def killed(trader: Installation) -> dict:
    def says() -> dict | None:
        status = trader.view("status")
        return status if status["state"] == "killed" else None

    return wait_for("status to say killed", says, 10.0)


@pytest.mark.slow
@pytest.mark.req("K1")
@pytest.mark.timeout(120)
def test_the_kill_verb_empties_the_book_and_latches(trader):
    since = time.monotonic()
    code, _ = trader.verb("kill", "--reason", "practice")
    assert code == 0
    assert emptied(trader, since) <= HARD_S
    status = killed(trader)
    assert status["halt"]["reason"] == "practice"
    assert status["halt"]["at"]
    assert status["halt"]["by"]
    sent = len(trader.places())
    desk = trader.kill_desk()
    wait_for("another desk", lambda: trader.facts()["desk_pid"] not in (None, desk), 10.0)
    assert killed(trader)["halt"]["reason"] == "practice"
    assert len(trader.places()) == sent, "a killed trader placed an order"


@pytest.mark.slow
@pytest.mark.req("K1")
@pytest.mark.timeout(120)
def test_the_flag_file_is_the_same_kill_and_removing_it_does_not_rearm(trader):
    flag = trader.state / "KILL_SWITCH"
    since = time.monotonic()
    flag.touch()
    assert emptied(trader, since) <= HARD_S
    killed(trader)
    code, _ = trader.verb("rearm", "--confirm", "checked")
    assert code == 4, "rearmed with the file still there"
    flag.unlink()
    assert killed(trader)
    code, said = trader.verb("rearm", "--confirm", "checked")
    assert code == 0, said
    wait_for("the trader to be active again", lambda: trader.view("status")["state"] == "active", 20.0)


@pytest.mark.slow
@pytest.mark.req("K1")
@pytest.mark.timeout(120)
def test_a_frozen_desk_is_swept_and_replaced(trader):
    desk = int(trader.facts()["desk_pid"])
    since = time.monotonic()
    os.kill(desk, signal.SIGSTOP)
    assert emptied(trader, since) <= HARD_S
    trader.armed_again(desk)
    assert trader.view("status")["state"] in {"active", "reducing"}


@pytest.mark.slow
@pytest.mark.req("K1")
@pytest.mark.timeout(120)
def test_desk_and_root_killed_together_are_swept_by_the_watchdog(trader):
    facts = trader.facts()
    sent = len(trader.places())
    since = time.monotonic()
    os.kill(facts["pid"], signal.SIGKILL)
    os.kill(facts["desk_pid"], signal.SIGKILL)
    assert emptied(trader, since) <= HARD_S
    assert len(trader.places()) == sent


@pytest.mark.slow
@pytest.mark.req("SI1")
@pytest.mark.timeout(120)
def test_a_second_signal_ends_a_run_whose_desk_does_not_and_leaves_nothing_resting(tmp_path):
    with running(tmp_path / "state", "--seed", "7") as first:
        first.load(RESTING)
        left = {order["order_id"] for order in first.resting()}
        os.kill(first.facts()["desk_pid"], signal.SIGSTOP)
        for _ in range(2):
            first.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)  # two signals of one kind that wait together are one
        assert first.process.wait(25.0) in {1, 5}, "a forced end is no clean one"
    with running(tmp_path / "state", "--seed", "7") as second:
        assert left.isdisjoint(order["order_id"] for order in second.resting())
