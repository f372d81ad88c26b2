"""The watchdog's eyes: who lives, what the flag file says, what the desk's store knows."""

import os
import subprocess
import sys
import threading

import pytest

from actors.watchdog.__main__ import TEXT_LIMIT, ProcessHandle, _text, known_orders

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_lives_until_it_has_ended_also_while_nobody_has_reaped_it():
    with subprocess.Popen(SLEEPER) as process:
        handle = ProcessHandle()
        assert handle.alive(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not handle.alive(process.pid)
        assert not handle.alive(process.pid)


def test_another_number_is_another_process():
    with subprocess.Popen(SLEEPER) as one, subprocess.Popen(SLEEPER) as other:
        handle = ProcessHandle()
        assert handle.alive(one.pid)
        other.kill()
        other.wait()
        assert not handle.alive(other.pid)
        assert handle.alive(one.pid)
        one.kill()


@pytest.mark.parametrize("pid", [0, -1, 2**31 - 1])
def test_a_number_that_is_nobodys_is_nobody(pid):
    assert not ProcessHandle().alive(pid)


@pytest.mark.req("K1")
@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"", ""),
        (b" enough \n", "enough"),
        (b'{"reason":"enough","by":"op"}', "enough"),
        (b'{"by":"op"}', '{"by":"op"}'),
        (b'{"reason":7}', "7"),
        (b"[1]", "[1]"),
        (b"x" * 5000, "x" * TEXT_LIMIT),
        (b"[" * 5000, "[" * TEXT_LIMIT),
        (b'{"a":' * 5000, ('{"a":' * TEXT_LIMIT)[:TEXT_LIMIT]),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_the_flag_file_may_hold_anything(tmp_path, written, told):
    flag = tmp_path / "KILL_SWITCH"
    flag.write_bytes(written)
    assert _text(flag) == told


@pytest.mark.req("K1")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_a_flag_that_is_no_file_is_a_flag_and_is_not_waited_for(tmp_path, make):
    flag = tmp_path / "KILL_SWITCH"
    make(flag)
    told = []
    reading = threading.Thread(target=lambda: told.append(_text(flag)), daemon=True)
    reading.start()
    reading.join(2.0)
    assert told == [""]


@pytest.mark.parametrize(("began", "unresolved"), [(False, 0), (True, None)])
def test_a_store_that_is_not_there_says_nothing_once_a_desk_has_run(tmp_path, began, unresolved):
    known = known_orders(tmp_path / "store", began=began)
    assert (known.orders, known.unresolved) == ((), unresolved)


def test_a_store_that_is_no_store_says_nothing(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "data.mdb").write_bytes(os.urandom(8192))
    assert known_orders(store, began=False).unresolved is None
