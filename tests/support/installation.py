"""A whole installation under test: the real `run` in a process of its own, its verbs, and its venue's admin side."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
POLL_S = 0.05
FREE_PORTS = ("--metrics-port", "0", "--health-port", "0")


def wait_for(what: str, check: Callable[[], Any], within_s: float) -> Any:
    """The first true answer of `check`; what it waits for happens in other processes, so it has to look again."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(POLL_S)
    raise AssertionError(f"{what}: not within {within_s:g} s")


@dataclass
class Installation:
    """One running trader."""

    state: Path
    process: "subprocess.Popen[str]"

    def facts(self) -> dict[str, Any]:
        """What `run.json` says now."""
        return json.loads((self.state / "run.json").read_text())

    def verb(self, *arguments: str, within_s: float = 30.0) -> tuple[int, str]:
        """Run a verb as a user does: exit code and standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments, "--state", str(self.state)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        return done.returncode, done.stdout

    def view(self, *arguments: str) -> Any:
        """A verb's JSON document."""
        code, text = self.verb(*arguments, "--json")
        assert text, f"{arguments} printed nothing (exit {code})"
        return json.loads(text)

    def venue(self, path: str) -> Any:
        """A question to the venue's admin side."""
        with urllib.request.urlopen(f"{self.facts()['venue_url']}/_venue/{path}", timeout=5) as answer:
            return json.load(answer)

    def resting(self) -> list[dict[str, Any]]:
        """What the venue itself lists as open."""
        return self.venue("orders?open=true")["orders"]

    def load(self, orders: int, within_s: float = 30.0) -> None:
        """Rest `orders` of the trader's own at the venue; asked again while no product has a quote yet."""

        def taken() -> bool:
            code, said = self.verb("drill", "load", "--orders", str(orders))
            assert code == 0 or "no product has a quote yet" in said, said
            return code == 0

        wait_for("the drill to be taken", taken, within_s)
        wait_for("the orders to rest", lambda: len(self.resting()) >= orders, within_s)

    def places(self) -> list[str]:
        """Client order ids of every place request that reached the venue, in order of arrival."""
        requests = self.venue("requests")["requests"]
        return [
            coid
            for request in requests
            if request["method"] == "POST" and request["path"].endswith("/orders")
            for coid in request["client_order_ids"]
        ]

    def armed_again(self, after_pid: int, within_s: float = 20.0) -> dict[str, Any]:
        """Wait for an armed desk that is not `after_pid`."""

        def ready() -> dict[str, Any] | None:
            facts = self.facts()
            return facts if facts["armed"] and facts["desk_pid"] not in (None, after_pid) else None

        return wait_for("a new desk to be armed", ready, within_s)

    def kill_desk(self) -> int:
        """SIGKILL the desk; returns its pid."""
        pid = int(self.facts()["desk_pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, within_s: float = 25.0) -> int:
        """SIGTERM to the root, as an operator does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def quiet(self) -> dict[str, Any] | None:
        """The status, when nothing is in flight: every order settled and the ledger equal to the venue's balances."""
        status = self.view("status")
        venue = {name: row["total"] for name, row in self.venue("balances")["balances"].items()}
        ledger = status["ledger"]
        equal = all(same(ledger.get(name, "0"), total) for name, total in venue.items())
        return status if equal and status["open_orders"] == 0 else None


def same(one: str, other: str) -> bool:
    """Two decimal texts of one number."""
    return Decimal(one) == Decimal(other)


@contextmanager
def running(state: Path, *options: str) -> Iterator[Installation]:
    """Run the trader until the block ends; whatever is left of it then is killed."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ops.cli",
            "run",
            "--state",
            str(state),
            *FREE_PORTS,
            *options,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    installation = Installation(state, process)
    try:
        wait_for("the desk to be armed", lambda: _armed(installation), START_S)
        yield installation
    finally:
        _end(installation)


def _armed(installation: Installation) -> bool:
    code = installation.process.poll()
    if code is not None:
        told = installation.process.stdout.read() if installation.process.stdout else ""
        raise AssertionError(f"run ended with {code}: {told}")
    try:
        facts = installation.facts()
        return facts["pid"] == installation.process.pid and facts["armed"]  # what an earlier run left says nothing
    except (FileNotFoundError, ValueError):
        return False


def _end(installation: Installation) -> None:
    if installation.process.poll() is None:
        installation.process.send_signal(signal.SIGTERM)
        try:
            installation.process.wait(25.0)
        except subprocess.TimeoutExpired:
            installation.process.kill()
    try:
        facts = installation.facts()
    except (FileNotFoundError, ValueError):
        facts = {}
    for name in ("desk_pid", "alpha_pid", "watchdog_pid", "venue_pid"):
        if facts.get(name):
            try:
                os.kill(facts[name], signal.SIGKILL)
            except ProcessLookupError:
                continue
    installation.process.wait()
    if installation.process.stdout:
        installation.process.stdout.close()
