"""SIGKILL in the middle of commits: nothing acknowledged is lost, nothing released is unknown, nothing is torn."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from actors.recorder.installation import open_installation
from actors.recorder.recovery import check_whole
from protocol.policy import Mode

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from pathlib import Path
from actors.recorder.installation import open_installation
from protocol.policy import Mode
from tests.support.recorder_driver import Driver, request

opened = open_installation(Path(sys.argv[1]), "bot", Mode.PAPER, 1)
driver = Driver(opened.store)
number = opened.findings.records
print("open", flush=True)
while True:
    batch = range(number + 1, number + 4)
    number += 3
    driver.sent.clear()
    for n in batch:
        driver.post(request(n, [(f"order/{n}", b"s" * 2048)], outbox=[f"{n}"], fresh=[f"order/{n}"], actor=f"a{n}"))
    driver.drain()
    print(*driver.released(), flush=True)
"""


def killed_at(state, answers, delay_s):
    """Lets a recorder work until it released `answers` batches and `delay_s` more; the keys it released."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(state)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    released = []
    try:
        assert process.stdout.readline() == "open\n"
        for _ in range(answers):
            released += process.stdout.readline().split()
        time.sleep(delay_s)  # the point of death within a commit is what is varied
    finally:
        process.send_signal(signal.SIGKILL)
    out, err = process.communicate()
    assert err == ""
    whole = out[: out.rfind("\n") + 1]
    return {f"order/{key}" for key in (*released, *whole.split())}


def survive(state, deaths, seed):
    random = Random(seed)
    known = set()
    for death in range(deaths):
        known |= killed_at(state, random.randrange(6), random.random() * 0.002)
        opened = open_installation(state, "bot", Mode.PAPER, 1)
        try:
            keys = {record.key for record in opened.store.records("order/")}
            assert known <= keys, f"seed {seed}, death {death}: {sorted(known - keys)} were released, and are gone"
            assert keys == {f"order/{n}" for n in range(1, len(keys) + 1)}, f"seed {seed}, death {death}: a hole"
            found = check_whole(opened.store, opened.store.shelf)
            assert found.entries == len(keys), f"seed {seed}, death {death}: torn"
            assert len(keys) % 3 == 0, f"seed {seed}, death {death}: half a batch"
        finally:
            opened.store.close()
    return len(known)


# Faults F1, D10.
@pytest.mark.req("X1")
def test_ten_deaths_lose_and_tear_nothing(tmp_path):
    assert survive(tmp_path, deaths=10, seed=1) > 0


@pytest.mark.slow
# Faults F1.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_deaths_lose_and_tear_nothing(tmp_path, seed):
    assert survive(tmp_path, deaths=100, seed=100 + seed) > 0
