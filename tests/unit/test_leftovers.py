"""What an earlier run left behind is known by the locks it holds, and ended in order."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from actors.compose import leftovers
from actors.compose.leftovers import LEFTOVERS, Leftover, end, holders

HOLD = """
import fcntl, signal, sys, time
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[2] == "brief":
    time.sleep(0.5)
    sys.exit()
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(lock, manner="plain"):
    """A process that holds this lock."""
    command = [sys.executable, "-c", HOLD, str(lock), manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if manner != "brief":
                process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_lock_that_is_not_there_or_not_held_has_no_holder(tmp_path):
    assert holders(tmp_path / "none") == []
    (tmp_path / "free").touch()
    assert holders(tmp_path / "free") == []


def test_the_holder_of_a_lock_is_found_and_of_another_is_not(tmp_path):
    (tmp_path / "other").touch()
    with holder(tmp_path / "lock") as process:
        assert holders(tmp_path / "lock") == [process.pid]
        assert holders(tmp_path / "other") == []


def test_a_stranger_whose_lock_has_the_same_inode_number_elsewhere_is_left_alone(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    lock.touch()
    with holder(tmp_path / "strangers") as process:
        table = tmp_path / "locks"
        table.write_text(f"1: FLOCK  ADVISORY  WRITE {process.pid} 08:01:{lock.stat().st_ino} 0 EOF\n")
        monkeypatch.setattr(leftovers, "LOCKS", table)
        assert holders(lock) == []


def test_who_only_waits_for_a_lock_does_not_hold_it(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    lock.touch()
    table = tmp_path / "locks"
    table.write_text(f"1: -> FLOCK  ADVISORY  WRITE {os.getpid()} 08:01:{lock.stat().st_ino} 0 EOF\n")
    monkeypatch.setattr(leftovers, "LOCKS", table)
    with lock.open():
        assert holders(lock) == []


def test_with_nothing_left_it_says_nothing(tmp_path, capfd):
    end(tmp_path)
    assert capfd.readouterr().err == ""


def test_an_old_venue_is_asked_to_end_and_said_so(tmp_path, capfd):
    with holder(tmp_path / "venue.state.lock") as process:
        end(tmp_path)
        assert process.wait(1.0) == -signal.SIGTERM
        assert str(process.pid) in capfd.readouterr().err


def test_an_old_watchdog_is_only_waited_for(tmp_path):
    with holder(tmp_path / "watchdog.lock", "brief") as process:
        while not holders(tmp_path / "watchdog.lock"):
            assert process.poll() is None
        end(tmp_path)
        assert process.wait(1.0) == 0


@pytest.mark.parametrize("frozen", [False, True])
def test_an_old_desk_is_asked_and_then_killed(tmp_path, frozen):
    left = (Leftover("desk.lock", ((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0))),)
    with holder(tmp_path / "desk.lock", "plain" if frozen else "deaf") as process:
        if frozen:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # until it stands still a SIGTERM would overtake the stop
        end(tmp_path, left)
        assert process.wait(1.0) == -signal.SIGKILL


def test_one_that_does_not_end_is_an_error_and_the_next_is_not_touched(tmp_path):
    left = (Leftover("watchdog.lock", ((0, 0.2),)), Leftover("venue.state.lock", ((signal.SIGTERM, 5.0),)))
    with holder(tmp_path / "watchdog.lock") as watchdog, holder(tmp_path / "venue.state.lock") as venue:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=f"{watchdog.pid} .* 0.2 s"):
            end(tmp_path, left)
        assert time.monotonic() - began < 2.0
        assert (watchdog.poll(), venue.poll()) == (None, None)


def test_the_desk_ends_before_the_watchdog_and_the_watchdog_before_the_venue():
    assert [left.lock for left in LEFTOVERS] == ["desk.lock", "watchdog.lock", "venue.state.lock"]
    assert LEFTOVERS[1].signals == ((0, 150.0),), "a watchdog at work is never signalled"
