"""The watchdog as a process beside a real venue; the venue's own list of open orders is the judge."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import pytest

from actors.runtime.control_frames import ask
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from protocol.control import KillNow, Rearm, View
from tests.support.venue_server import ROOT, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
BOT = "testbot"
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue"), "--port", "0", "--cash", "100000") as client:
        yield client


class Guarded:
    """A watchdog over a state directory whose desk and root are throw-away processes."""

    def __init__(self, state: Path, venue) -> None:
        self.state, self.venue = state, venue
        self.root = subprocess.Popen(SLEEPER)
        self.desk = subprocess.Popen(SLEEPER)
        self.epoch = EpochPage(state / EPOCH_FILE)
        self.pulse = PulsePage(state / PULSE_FILE)
        self.beating = threading.Event()
        self.ended = threading.Event()
        self.heart = threading.Thread(target=self._beat)
        self.store_of_nothing()
        self.adopt(self.desk)
        self.beating.set()
        self.heart.start()
        self.process = self.start()

    def store_of_nothing(self) -> None:
        """A desk's store in which no order stands."""
        with lmdb.open(str(self.state / "store"), map_size=1 << 20, max_dbs=3) as environment:
            for name in (b"records", b"journal", b"meta"):
                environment.open_db(name)

    def start(self):
        command = [
            *(sys.executable, "-m", "actors.watchdog", "--state", str(self.state)),
            *("--rest", self.venue.ready["rest"], "--key-file", self.venue.ready["key_file"]),
            *("--bot", BOT, "--root-pid", str(self.root.pid), "--token-life", "120"),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        json.loads(process.stdout.readline())
        return process

    def adopt(self, desk, *, armed=True) -> None:
        """The root's and the desk's own words about a desk."""
        facts = {"pid": self.root.pid, "desk_pid": desk.pid}
        (self.state / "run.json").write_text(json.dumps(facts))
        self.pulse.begin(desk.pid, 1)
        self.pulse.arm(armed)

    def _beat(self) -> None:
        while not self.ended.wait(0.05):
            if self.beating.is_set():
                self.pulse.stamp("core")
                self.pulse.stamp("io")

    def ask(self, request, within_s=15.0):
        return ask(self.state / "watchdog.sock", request, within_s)

    def kill(self, scope="mine"):
        return self.ask(KillNow(by="tester", reason="practice", scope=scope))

    def status(self):
        return json.loads(self.ask(View(by="tester", what="status")).data)

    def place(self, count=1, bot=BOT):
        """Rest orders with a plain client of the venue."""
        ends = (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        leg = {"base_size": "0.001", "limit_price": "20000", "end_time": ends, "post_only": True}
        ids = []
        for _ in range(count):
            order = self.venue.order(limit_limit_gtd=leg) | {"client_order_id": f"{bot}-{uuid.uuid4().hex}"}
            answer = self.venue.post("/orders", order)
            assert answer["success"], answer
            ids.append(answer["success_response"]["order_id"])
        return ids

    def resting(self, bot=BOT):
        listed = self.venue.admin("GET", "/orders?open=true")["orders"]
        return [order for order in listed if order["client_order_id"].startswith(f"{bot}-")]

    def emptied(self, since: float) -> float:
        """Seconds from `since` to nothing of ours in the venue's list."""
        self.venue.until(lambda: not self.resting(), 12.0)
        return time.monotonic() - since

    def close(self) -> None:
        self.ended.set()
        self.heart.join()
        for process in (self.process, self.desk, self.root):
            process.kill()
            process.wait()
        self.process.stdout.close()
        self.epoch.close()
        self.pulse.close()


@contextmanager
def guarded(state, venue):
    guard = Guarded(state, venue)
    try:
        yield guard
    finally:
        guard.close()
        venue.admin("DELETE", "/faults")
        ids = [order["order_id"] for order in venue.admin("GET", "/orders?open=true")["orders"]]
        if ids:
            venue.post("/orders/batch_cancel", {"order_ids": ids})


@pytest.fixture
def guard(tmp_path, venue):
    with guarded(tmp_path, venue) as made:
        yield made


@pytest.mark.req("K1")
def test_a_kill_by_socket_empties_the_book_and_cancels_what_arrives_late(guard):
    guard.place(20)
    others = guard.place(1, bot="somebody")
    before, since = guard.epoch.current(), time.monotonic()
    reply = guard.kill()
    assert (reply.code, guard.resting()) == (0, []), reply
    assert time.monotonic() - since <= 10.0
    assert guard.epoch.current() > before
    assert [order["order_id"] for order in guard.resting("somebody")] == others
    guard.place(1)
    assert guard.emptied(time.monotonic()) <= 5.0
    assert guard.kill("all").code == 0
    assert guard.resting("somebody") == []


@pytest.mark.req("K1")
def test_the_flag_file_kills_and_only_a_rearm_without_it_lifts_the_latch(guard):
    guard.place(20)
    since = time.monotonic()
    (guard.state / "KILL_SWITCH").touch()
    assert guard.emptied(since) <= 10.0
    guard.venue.until(lambda: guard.status()["latch"]["killed"])
    rearm = Rearm(by="tester", confirm="checked")
    assert guard.ask(rearm).code == 4
    (guard.state / "KILL_SWITCH").unlink()
    epoch = guard.epoch.current()
    guard.venue.until(lambda: guard.ask(rearm).code == 0)
    assert not guard.status()["latch"]["killed"]
    assert guard.epoch.current() > epoch


@pytest.mark.req("K1")
def test_a_frozen_desk_is_swept_without_a_latch(guard):
    guard.place(5)
    time.sleep(0.5)
    guard.desk.send_signal(signal.SIGSTOP)
    guard.beating.clear()
    epoch, since = guard.epoch.current(), time.monotonic()
    assert 1.5 <= guard.emptied(since) <= 10.0
    assert not guard.status()["latch"]["killed"]
    assert guard.epoch.current() > epoch


def test_a_dead_desk_whose_orders_are_owned_again_keeps_them(guard):
    guard.place(3)
    time.sleep(0.5)
    guard.desk.kill()
    guard.desk.wait()
    guard.desk = subprocess.Popen(SLEEPER)
    guard.adopt(guard.desk)
    end = time.monotonic() + 9.0
    while time.monotonic() < end:
        assert len(guard.resting()) == 3
        time.sleep(0.2)


@pytest.mark.req("K1")
def test_a_successor_that_never_arms_does_not_own_the_orders(guard):
    guard.place(3)
    time.sleep(0.5)
    since = time.monotonic()
    guard.desk.kill()
    guard.desk.wait()
    guard.desk = subprocess.Popen(SLEEPER)
    guard.adopt(guard.desk, armed=False)
    assert 6.0 <= guard.emptied(since) <= 10.0


@pytest.mark.req("K1")
def test_desk_and_root_gone_are_swept_at_once_and_the_watchdog_leaves(guard):
    guard.place(5)
    since = time.monotonic()
    for process in (guard.root, guard.desk):
        process.kill()
        process.wait()
    assert guard.emptied(since) <= 5.0
    assert guard.process.wait(20.0) == 0


@pytest.mark.req("K1")
def test_a_watchdog_killed_in_a_sweep_takes_it_up_again(guard):
    guard.venue.fault("error", target="cancel_orders", parameters={"status": 500, "accepted": False})
    guard.place(5)
    (guard.state / "KILL_SWITCH").touch()
    guard.venue.until(lambda: guard.status()["latch"]["killed"])
    guard.process.kill()
    guard.process.wait()
    guard.process.stdout.close()
    (guard.state / "KILL_SWITCH").unlink()
    epoch = guard.epoch.current()
    guard.venue.admin("DELETE", "/faults")
    since = time.monotonic()
    guard.process = guard.start()
    assert guard.emptied(since) <= 5.0
    assert guard.status()["latch"]["killed"]
    assert guard.epoch.current() == epoch


@pytest.mark.req("K1")
def test_a_venue_that_fails_is_asked_until_it_answers(guard):
    guard.place(5)
    guard.venue.fault("error", target="*", parameters={"status": 500, "accepted": False})
    assert guard.kill().code == 5
    assert len(guard.resting()) == 5
    guard.venue.admin("DELETE", "/faults")
    assert guard.emptied(time.monotonic()) <= 3.0


def test_an_answer_cut_short_ends_nothing(guard):
    guard.place(2)
    guard.venue.fault("truncate", target="*", count=6)
    assert guard.kill().code == 0
    assert guard.resting() == []
    assert guard.process.poll() is None


@pytest.mark.req("K1")
def test_an_unreadable_store_keeps_nobody_from_killing(guard):
    (guard.state / "store" / "data.mdb").write_bytes(os.urandom(8192))
    guard.place(5)
    assert guard.kill().code == 0
    assert guard.resting() == []
    assert guard.process.poll() is None


def test_asked_to_leave_it_leaves_when_nothing_rests(guard):
    guard.desk.kill()
    guard.desk.wait()
    guard.process.terminate()
    assert guard.process.wait(3.0) == 0


def test_asked_to_leave_after_a_kill_it_leaves_when_no_request_is_undecided(guard):
    guard.place(2)
    assert guard.kill().code == 0
    guard.desk.kill()
    guard.desk.wait()
    guard.process.terminate()
    assert guard.process.wait(5.0) == 0
