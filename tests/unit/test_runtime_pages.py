"""Epoch and pulse pages: one writer per word, any number of readers, in files that belong to one user."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actors.runtime.pages import EpochPage, PageError, PulsePage

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.req("K1")
def test_the_epoch_is_the_sum_of_its_writers_and_survives_them(tmp_path):
    path = tmp_path / "epoch"
    with EpochPage(path) as desk, EpochPage(path) as watchdog:
        assert desk.current() == 0
        assert [desk.step("desk"), watchdog.step("watchdog"), watchdog.step("command")] == [1, 2, 3]
        assert desk.current() == watchdog.current() == 3
    with EpochPage(path, create=False) as later:
        assert later.slots() == {"desk": 1, "watchdog": 1, "command": 1}
        later.restore("watchdog", 10)
        later.restore("watchdog", 5)  # never backwards
        assert later.current() == 10


def test_pages_are_private_and_refuse_what_is_not_theirs(tmp_path):
    path = tmp_path / "epoch"
    EpochPage(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(PageError, match="not a pulse page"):
        PulsePage(path)
    path.chmod(0o644)
    with pytest.raises(PageError, match="0600"):
        EpochPage(path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        EpochPage(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        EpochPage(tmp_path / "missing", create=False)


def test_two_processes_that_create_a_page_at_once_see_the_same_one(tmp_path):
    pages = []
    threads = [threading.Thread(target=lambda: pages.append(EpochPage(tmp_path / "e"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pages[0].step("desk")
    assert [page.current() for page in pages] == [1] * 8
    for page in pages:
        page.close()


def test_the_pulse_says_how_old_who_and_whether_armed(tmp_path):
    with PulsePage(tmp_path / "p") as page:
        assert page.oldest_ns() > 1_000_000_000  # never stamped: as old as the machine
        page.begin(pid=123, incarnation=4)
        page.arm(True)
        page.stamp("io")
        assert 0 <= page.age_ns("io") <= page.oldest_ns() < 5_000_000_000
        assert (page.pid, page.incarnation, page.armed) == (123, 4, True)
        page.begin(pid=124, incarnation=5)
        assert not page.armed


def test_another_process_reads_whole_words_while_they_are_written(tmp_path):
    path, stop = tmp_path / "p", threading.Event()
    page = PulsePage(path)
    page.begin(pid=1, incarnation=1)

    def write():
        while not stop.is_set():
            page.stamp("core")

    code = (
        "import sys; from pathlib import Path; from actors.runtime.pages import PulsePage\n"
        "page = PulsePage(Path(sys.argv[1]), create=False)\n"
        "print(max(page.age_ns('core') for _ in range(20000)))\n"
        "print('pykka' in sys.modules, 'msgspec' in sys.modules)"
    )
    writer = threading.Thread(target=write)
    writer.start()
    try:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env=env, timeout=30
        )
    finally:
        stop.set()
        writer.join()
        page.close()
    oldest, imported = run.stdout.splitlines()
    assert int(oldest) < 2_000_000_000  # a torn word would be off by seconds at least
    assert imported == "False False"  # watchdog and command line load it cheaply
