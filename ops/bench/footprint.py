"""How soon a desk is there and how little it needs: import, arming, memory and threads with thirty products."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml

from actors.runtime.pages import PULSE_FILE, PageError, PulsePage
from actors.venue.catalogue import LISTINGS
from ops.bench.figures import Figure, at_most, p50, told
from ops.cli import ROOT

BENCH = "footprint"
IMPORTS = 5
PRODUCTS = 30
SETTLE_S = 10.0
START_S = 40.0
_IMPORT = """
import time
begun = time.perf_counter()
import supervisor
supervisor.room("desk")
print(time.perf_counter() - begun)
"""
_MIB = 1024.0


def run(settle_s: float = SETTLE_S, imports: int = IMPORTS) -> dict[str, float]:
    """Import in fresh interpreters, then one whole installation with thirty products, looked at from outside."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return {"import_s": p50([import_s() for _ in range(imports)]), **_installation(Path(folder), settle_s)}


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bounds: import 0.6 s, armed in 5 s, 150 MiB, 8 threads."""
    yield at_most(told(BENCH, "desk_import", found["import_s"], "s"), 0.6)
    yield at_most(told(BENCH, "armed_after", found["armed_s"], "s"), 5.0)
    yield at_most(told(BENCH, "desk_rss", found["rss_mib"], "MiB"), 150.0, f" with {PRODUCTS} products")
    yield at_most(told(BENCH, "desk_threads", found["threads"], "threads"), 8)


def import_s() -> float:
    """Seconds a fresh interpreter takes to load the desk's rooms, as the desk process loads them."""
    done = subprocess.run([sys.executable, "-c", _IMPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _installation(folder: Path, settle_s: float) -> dict[str, float]:
    begun = time.perf_counter()
    with desk(folder / "state", configuration(folder)) as pid:
        armed_s = time.perf_counter() - begun
        time.sleep(settle_s)  # every book loaded, histories fetched, a cycle or two run
        status = Path(f"/proc/{pid}/status").read_text()
    return {"armed_s": armed_s, "rss_mib": _field(status, "VmRSS") / _MIB, "threads": float(_field(status, "Threads"))}


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None, f"the kernel says nothing of {name}"
    return int(found[1])


def configuration(folder: Path) -> Path:
    """The shipped configuration, but for a universe of thirty products."""
    target = folder / "config"
    (target / "profiles").mkdir(parents=True)
    for file in (ROOT / "config").rglob("*.yaml"):
        (target / file.relative_to(ROOT / "config")).write_text(file.read_text())
    universe = yaml.safe_load((target / "universe.yaml").read_text())
    tiers = [tier["symbols"] for tier in universe["tiers"].values()]
    known = [symbol for symbols in tiers for symbol in symbols]
    more = [product for product in LISTINGS if product not in known]
    tiers[-1].extend(more[: PRODUCTS - len(known)])
    (target / "universe.yaml").write_text(yaml.safe_dump(universe))
    return target


@contextmanager
def desk(state: Path, config: Path) -> Iterator[int]:
    """A whole installation on the embedded venue; yields the desk's pid as soon as it is armed."""
    state.mkdir(mode=0o700)
    log = (state / "bench.log").open("wb")
    ports = ("--metrics-port", "0", "--health-port", "0")
    command = [sys.executable, "-m", "ops.cli", "run", "--state", str(state), "--config", str(config), *ports]
    with log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            yield _armed(state, process)
        finally:
            process.send_signal(signal.SIGTERM)
            _wait(process)


def _armed(state: Path, process: "subprocess.Popen[bytes]") -> int:
    """The desk's pid, from `run.json`, once it says that it is armed."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if _says_armed(state):
            facts = msgspec.json.decode((state / "run.json").read_bytes())
            if facts["armed"]:
                return int(facts["desk_pid"])
        time.sleep(0.02)
    raise RuntimeError(f"no armed desk: {(state / 'bench.log').read_text()[-500:]}")


def _says_armed(state: Path) -> bool:
    if not (state / PULSE_FILE).exists() or not (state / "run.json").exists():
        return False
    try:
        with PulsePage(state / PULSE_FILE) as page:
            return page.armed
    except (PageError, OSError):
        return False


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(30.0)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
