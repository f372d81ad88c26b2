"""The watchdog inside a whole installation: what arrives late, who dies in the middle, what the next run finds."""

import itertools
import json
import os
import signal
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.compose.leftovers import holders
from actors.runtime.control_frames import ask
from protocol.control import View
from tests.support import installation
from tests.support.installation import Installation, running, wait_for
from tests.support.venue_server import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
RESTING = 10
HARD_S = 10.0
LATE_S = 5.0
NUMBERS = itertools.count(900_000)


@pytest.fixture
def trader(tmp_path):
    """An armed trader with orders of its own resting at the venue."""
    with running(tmp_path / "state", "--seed", "7") as made:
        made.load(RESTING)
        yield made


def emptied(trader: Installation, since: float, limit_s: float = HARD_S) -> None:
    """The venue's list is empty at most `limit_s` after `since`."""
    wait_for("the venue's list to be empty", lambda: not trader.resting(), limit_s)
    assert time.monotonic() - since <= limit_s


def late(trader: Installation, like: str) -> str:
    """What a request still on its way does: an order under an old epoch, from a client that knows nothing of a kill."""
    facts = trader.facts()
    client = Client({"rest": facts["venue_url"], "key_file": trader.state / "venue-key.json"})
    head, _, tail = like.rpartition("_")
    coid = f"{head}_{next(NUMBERS)}-{tail.rpartition('-')[2]}"
    ends = (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    leg = {"base_size": "0.001", "limit_price": "20000", "end_time": ends, "post_only": True}
    answer = client.post("/orders", client.order(limit_limit_gtd=leg) | {"client_order_id": coid})
    assert answer["success"], answer
    return coid


def latch(trader: Installation) -> dict:
    """What the watchdog says of itself; raises while there is none."""
    reply = ask(trader.state / "watchdog.sock", View(by="tester", what="status"), 1.0)
    return json.loads(reply.data)["latch"]


def latched(trader: Installation) -> bool:
    try:
        return bool(latch(trader)["killed"])
    except (OSError, ValueError):
        return False


def faulty(trader: Installation, *plan: dict) -> None:
    """Post a fault plan; with none, end the one there is."""
    url = f"{trader.facts()['venue_url']}/_venue/faults"
    body = json.dumps({"faults": plan}).encode() if plan else None
    request = urllib.request.Request(url, data=body, method="POST" if plan else "DELETE")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def state(trader: Installation) -> str:
    return trader.view("status")["state"]


@pytest.mark.req("K1")
def test_late_arrivals_after_a_kill_are_cancelled_and_a_second_kill_is_the_same(trader):
    like = trader.resting()[0]["client_order_id"]
    epoch = latch(trader)["epoch"]
    assert trader.verb("kill", "--reason", "practice")[0] == 0
    assert trader.resting() == []
    for _ in range(3):
        late(trader, like)
        emptied(trader, time.monotonic(), LATE_S)
    assert trader.verb("kill", "--reason", "again")[0] == 0
    now = latch(trader)
    assert (now["reason"], now["epoch"]) == ("practice", epoch + 2)
    late(trader, like)
    emptied(trader, time.monotonic(), LATE_S)


@pytest.mark.req("K1")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "frozen"])
def test_a_kill_needs_no_desk(trader, number):
    os.kill(trader.facts()["desk_pid"], number)
    since = time.monotonic()
    killing = threading.Thread(target=trader.verb, args=("kill", "--reason", "practice"))
    killing.start()
    emptied(trader, since)
    killing.join()
    assert latched(trader)
    sent = len(trader.places())
    wait_for("a successor that knows", lambda: state(trader) == "killed", 20.0)
    assert len(trader.places()) == sent


@pytest.mark.req("K1")
def test_a_desk_that_wakes_after_the_sweep_places_nothing_and_ends(trader):
    desk, since = trader.facts()["desk_pid"], time.monotonic()
    os.kill(desk, signal.SIGSTOP)
    emptied(trader, since)
    sent = trader.places()
    os.kill(desk, signal.SIGCONT)
    wait_for("the desk's end", lambda: trader.facts()["desk_pid"] != desk, 3.0)
    woken = [coid for coid in trader.places()[len(sent) :] if epoch_of(coid) <= epoch_of(sent[-1])]
    assert woken == []


def epoch_of(coid: str) -> int:
    return int(coid.rsplit("-", 2)[1].partition("_")[0])


@pytest.mark.req("K1")
def test_a_desk_that_wakes_after_the_sweep_without_a_root_places_nothing_and_ends(trader):
    facts = trader.facts()
    since = time.monotonic()
    os.kill(facts["desk_pid"], signal.SIGSTOP)
    os.kill(facts["pid"], signal.SIGKILL)
    emptied(trader, since)
    sent = len(trader.places())
    os.kill(facts["desk_pid"], signal.SIGCONT)
    wait_for("the desk's end", lambda: not alive(facts["desk_pid"]), 15.0)
    assert len(trader.places()) == sent
    assert trader.resting() == []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.req("K1")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "frozen"])
def test_a_watchdog_lost_in_the_middle_of_a_kill_is_back_and_goes_on(trader, number):
    faulty(trader, {"kind": "error", "target": "cancel_orders", "parameters": {"status": 500, "accepted": False}})
    watchdog = trader.facts()["watchdog_pid"]
    (trader.state / "KILL_SWITCH").touch()
    wait_for("the latch", lambda: latched(trader), 2.0)
    held = latch(trader)
    (trader.state / "KILL_SWITCH").unlink()
    os.kill(watchdog, number)
    since = time.monotonic()
    wait_for("the restarted watchdog's word", lambda: back(trader, watchdog), 5.0 if number == signal.SIGKILL else 15.0)
    since = since if number == signal.SIGKILL else time.monotonic()
    assert latch(trader) == held
    assert len(trader.resting()) >= RESTING, "nothing can have been cancelled"
    faulty(trader)
    emptied(trader, since, HARD_S)


def back(trader: Installation, before: int) -> bool:
    """Another watchdog than `before` answers."""
    try:
        return trader.facts()["watchdog_pid"] != before and bool(latch(trader))
    except (OSError, ValueError):
        return False


def gate_trips(trader: Installation, code: str) -> list[datetime]:
    """When the desk's journal says that a gate tripped."""
    rows = [
        row["body"]["gate"] | row for row in trader.view("tail", "-n", "5000") if row["what"] == "risk.gate_changed"
    ]
    return [datetime.fromisoformat(row["at"]) for row in rows if row["code"] == code and row["body"]["tripped"]]


@pytest.mark.req("K1")
def test_a_frozen_watchdog_makes_the_desk_reduce_and_is_replaced_once_it_is_gone(trader):
    old, desk, stopped = trader.facts()["watchdog_pid"], trader.facts()["desk_pid"], datetime.now(UTC)
    os.kill(old, signal.SIGSTOP)
    assert holders(trader.state / "watchdog.lock") == [old], "asleep or not, nobody else can watch while it is there"
    wait_for("another watchdog", lambda: back(trader, old), 15.0)
    assert not alive(old), "what is gone cannot wake and write"
    assert holders(trader.state / "watchdog.lock") == [trader.facts()["watchdog_pid"]]
    wait_for("the desk to be active again", lambda: state(trader) == "active", 20.0)
    reducing = min(at for at in gate_trips(trader, "watchdog_absent") if at > stopped)
    assert 1.5 <= (reducing - stopped).total_seconds() <= 5.0
    assert trader.facts()["desk_pid"] == desk
    assert len(trader.resting()) >= RESTING, "a watchdog's loss costs no order"
    since = time.monotonic()
    assert trader.verb("kill", "--reason", "practice")[0] == 0
    emptied(trader, since)


@pytest.mark.req("K1")
def test_a_kill_while_the_venue_fails_is_done_when_it_answers_again(trader):
    faulty(trader, {"kind": "error", "target": "*", "for_s": 3.0, "parameters": {"status": 500, "accepted": False}})
    since = time.monotonic()
    assert trader.verb("kill", "--reason", "practice")[0] == 0
    emptied(trader, since, 3.0 + HARD_S)
    assert time.monotonic() - since >= 3.0, "the venue failed meanwhile"


@pytest.mark.req("K1")
def test_a_signal_to_the_root_is_the_same_kill(trader):
    since = time.monotonic()
    os.kill(trader.facts()["pid"], signal.SIGUSR1)
    emptied(trader, since)
    assert (latch(trader)["killed"], latch(trader)["reason"]) == (True, "SIGUSR1")


@pytest.mark.req("K1")
@pytest.mark.parametrize("desk_signal", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "frozen"])
def test_the_next_run_ends_what_is_left_and_arms_with_the_same_accounts(tmp_path, monkeypatch, desk_signal):
    monkeypatch.setenv("TRADER__AUTH__ORDER_TOKEN_LIFE_S", "10")
    monkeypatch.setattr(installation, "START_S", 75.0)  # a frozen desk's 12 s, then 20 s if a request is undecided
    place = tmp_path / "state"
    with running(place, "--seed", "7") as first:
        first.load(RESTING)
        old, before = first.facts(), set(first.places())
        os.kill(old["desk_pid"], desk_signal)
        os.kill(old["pid"], signal.SIGKILL)
        first.process.wait()
        (place / "run.json").write_text(json.dumps(old | {"armed": False}))
        with running(place, "--seed", "7") as second:
            new = wait_for("the second run", lambda: second.facts() if second.facts()["armed"] else None, 5.0)
            for name in ("pid", "desk_pid", "watchdog_pid", "venue_pid"):
                assert new[name] != old[name]
                assert not alive(old[name]), name
            listed = {order["client_order_id"] for order in second.venue("orders")["orders"]}
            assert before <= listed, "these are other accounts"
            assert not {order["client_order_id"] for order in second.resting()} & before
            assert state(second) in {"active", "reducing"}
