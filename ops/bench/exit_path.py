"""From a quote on the socket to the order request at the venue: how long an exit takes, beside one durable commit.

The desk is the whole process that `run` starts, over thirty positions. A bare venue in this process sends it market
data, lets one bid after the other fall below its stop, and notes when the order request arrived. Between two falls
one record is committed durably on the same disk: nothing that commits before it sends can be faster than that.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import msgspec
import uvloop
from msgspec.structs import replace

from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger, as_totals
from actors.recorder.edge import RecorderEdge
from actors.recorder.effects import Write
from actors.recorder.installation import open_installation
from actors.runtime import control_frames
from actors.runtime.clock import SystemClock
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.venue.server_keys import registered_key
from config.load import load
from ops.bench.bare_venue import CASH_USD, HELD, TOP, BareVenue
from ops.bench.commit import Port
from ops.bench.figures import Figure, at_most, p50, p99, told
from ops.bench.footprint import configuration
from ops.cli import ROOT
from protocol import codec, launch
from protocol.control import ControlRequest, Latch, Reply, SweepProgress, WatchdogStatus
from protocol.ids import ProductId
from protocol.journal import CommitRequest
from protocol.launch import Launch
from protocol.lifecycle import StoreRecord
from protocol.orders import Targets
from protocol.policy import LaneRate, Mode, Policy
from protocol.portfolio import Position

BENCH = "exit_path"
SAMPLES = 200
WARM_UP = 10
FRAMES_PER_S = 20.0
PAUSE_S = 0.12
ARM_S = 30.0
LOST_S = 2.0
VALUE_BYTES = 2048
BOT = "bench"


def run(samples: int = SAMPLES) -> dict[str, float]:
    """So many exits; about forty seconds at the usual number."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        exits_us, commits_us = uvloop.run(_measure(Path(folder), samples))
    return {
        "exits": float(len(exits_us)),
        "exit_p50_us": p50(exits_us),
        "exit_p99_us": p99(exits_us),
        "commit_p50_us": p50(commits_us),
        "commit_p99_us": p99(commits_us),
    }


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bounds, both in commits of this disk: p50 within 5 p50, p99 within 15 p50 or 6 p99."""
    commit_p50, commit_p99 = found["commit_p50_us"], found["commit_p99_us"]
    yield at_most(told(BENCH, "socket_to_order_p50", found["exit_p50_us"], "us"), 5 * commit_p50, " = 5 x commit p50")
    most = max(15 * commit_p50, 6 * commit_p99)
    yield at_most(told(BENCH, "socket_to_order_p99", found["exit_p99_us"], "us"), most, " = 15 x p50 or 6 x p99")
    yield told(BENCH, "durable_commit_p50", commit_p50, "us")
    yield told(BENCH, "durable_commit_p99", commit_p99, "us")
    yield told(BENCH, "ratio_p50", found["exit_p50_us"] / commit_p50, "x")


# ---- the measurement


async def _measure(folder: Path, samples: int) -> tuple[list[float], list[float]]:
    policy = _policy(configuration(folder))
    venue = BareVenue(policy.universe.products, FRAMES_PER_S)
    rest, sockets = await venue.start()
    try:
        state = folder / "state"
        _settle(state, policy, rest, sockets)
        async with _watchdog(state), _desk(state) as pulse:
            await _ready(pulse, venue)
            commits = Commits(folder / "commits")
            await _exits(venue, commits, WARM_UP)
            return await _exits(venue, commits, samples)
    finally:
        await venue.stop()


async def _exits(venue: BareVenue, commits: "Commits", samples: int) -> tuple[list[float], list[float]]:
    """Microseconds of exits, and of commits made between them."""
    chance = Random(samples)  # noqa: S311 - when something happens, no secret
    exits, beside = [], []
    for number in range(samples):
        product = venue.products[number % len(venue.products)]
        left_ns = venue.fall(product)
        arrived_ns = await asyncio.wait_for(venue.arrived[product], LOST_S)
        exits.append((arrived_ns - left_ns) / 1e3)
        await asyncio.sleep(PAUSE_S * chance.uniform(0.5, 1.5))
        beside.append(commits.one())
        await asyncio.sleep(0.01)
    return exits, beside


class Commits:
    """A bare LMDB on the same disk: one value, one transaction, synced."""

    def __init__(self, folder: Path) -> None:
        self._environment = lmdb.open(str(folder), map_size=1 << 30)
        self._number = 0

    def one(self) -> float:
        """Microseconds of one durable commit."""
        self._number += 1
        begun_ns = time.monotonic_ns()
        with self._environment.begin(write=True) as transaction:
            transaction.put(f"{self._number:012d}".encode(), bytes(VALUE_BYTES), append=True)
        return (time.monotonic_ns() - begun_ns) / 1e3


async def _ready(pulse: PulsePage, venue: BareVenue) -> None:
    """Armed, and every book on its way."""
    async with asyncio.timeout(ARM_S):
        while not (pulse.armed and venue.carried >= set(venue.products)):  # noqa: ASYNC110 - a page tells no event
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.0)


# ---- the desk, its state, and who watches it


@contextlib.asynccontextmanager
async def _desk(state: Path) -> AsyncIterator[PulsePage]:
    command = (sys.executable, "-m", "supervisor", "desk", "--state", str(state))
    with (state / "bench.log").open("wb") as log, PulsePage(state / PULSE_FILE) as pulse:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield pulse
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15.0)
            except TimeoutError:
                process.kill()


@contextlib.asynccontextmanager
async def _watchdog(state: Path) -> AsyncIterator[None]:
    """Beats, and says that nothing is latched."""
    latch = Latch(killed=False, epoch=0, reason="", by="", at_ns=0, scope="mine")
    sweep = SweepProgress(
        active=False,
        kind="",
        detected_s=None,
        last_cancel_s=None,
        empty_s=None,
        cancelled=0,
        remaining=0,
        unresolved=0,
        note="",
    )
    status = WatchdogStatus(latch=latch, sweep=sweep, beat_age_s=0.0, desk_alive=True)

    async def answer(_: ControlRequest) -> Reply:
        return Reply(code=0, text="", data=msgspec.json.encode(status).decode())

    async def beat() -> None:
        with PulsePage(state / PULSE_FILE) as page:
            while True:
                page.stamp("watchdog")
                await asyncio.sleep(0.2)

    server = await control_frames.serve(state / "watchdog.sock", answer)
    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        server.close()


def _policy(config: Path) -> Policy:
    """The shipped policy for thirty products.

    Call budgets and the doubt about a jump (an outlier waits for a second look) are not what is measured.
    """
    policy = load(config, profile="embedded", overrides={"app.mode": "PAPER"}).policy
    ample = LaneRate(rate_per_s=1000.0, burst=1000)
    limits = replace(policy.rate_limits, public=ample, private=ample, exit_cancel=ample)
    believed = replace(policy.breakers, max_move_sigma=Decimal(10**9))
    return replace(policy, rate_limits=limits, breakers=believed)


def _settle(state: Path, policy: Policy, rest: str, sockets: str) -> None:
    """What the root would have left: launch file, key, pages; and books that hold a position in every product."""
    state.mkdir(mode=0o700)
    registered_key(state / "venue-key.json")
    for page, name in ((EpochPage, EPOCH_FILE), (PulsePage, PULSE_FILE)):
        page(state / name).close()
    launched = Launch(
        version="bench",
        mode="PAPER",
        venue="embedded",
        profile="embedded",
        overlay=(),
        bot=BOT,
        seed=1,
        rest_url=rest,
        market_url=sockets,
        user_url=sockets,
        key_file=str(state / "venue-key.json"),
        health_port=0,
        metrics_port=0,
        move_ports=True,
        policy=policy,
    )
    (state / "launch.json").write_bytes(launch.encode(launched))
    _keep_books(state, policy.universe.products)


def _keep_books(state: Path, products: tuple[ProductId, ...]) -> None:
    now_ns = SystemClock().now_ns()
    store = open_installation(state, BOT, Mode.PAPER, now_ns).store
    edge = RecorderEdge(store, None, background=False)
    edge.bind(Port())
    record = StoreRecord(key=LEDGER_KEY, value=codec.encode_value(_ledger(products, now_ns)))
    edge.perform(
        Write(requests=(CommitRequest(reply_to=BENCH, number=1, drafts=(), records=(record,), outbox=(), fresh=()),))
    )
    store.close()


def _ledger(products: tuple[ProductId, ...], now_ns: int) -> Ledger:
    targets = Targets(stop_loss_pct=Decimal(2), take_profit_pct=Decimal(50), max_hold_s=864_000)
    positions = tuple(
        Position(
            product_id=product,
            strategy=BENCH,
            quantity=HELD,
            unbooked=Decimal(0),
            average_price=TOP,
            entry_fees=Decimal(0),
            opened_ns=now_ns,
            targets=targets,
            peak=TOP,
            mark=None,
            realised_usd=Decimal(0),
            correlation=f"bench/{product}",
        )
        for product in sorted(products)
    )
    totals = as_totals({"USD": CASH_USD, **{product.partition("-")[0]: HELD for product in products}})
    return Ledger(positions=positions, totals=totals, cursor_ns=now_ns, opened_ns=now_ns)
