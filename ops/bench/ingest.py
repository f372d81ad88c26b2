"""CPU per market-data message: our whole path from socket to quote, against a bare client and two that keep books.

The bar is 1.5 times a bare `websockets` client on the same event loop that only decodes the same frames with msgspec,
and less than cryptofeed and ccxt need to keep their books of the same frames in the same run. All read the same frames
from a server in another process, each from a socket and in a process of its own; the two peers in environments of their
own (`ops/bench/peers.py`), at the flood alone: at a pace every client pays the same waking. Where a peer cannot be
installed the bench says so beside the figure that others have published, which is no measurement of this machine and
judges nothing.
"""

import asyncio
import json
import multiprocessing
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from actors.feed.actor import connection_role, role
from actors.feed.connection import Route
from actors.runtime.address import Directory
from actors.runtime.clock import SystemClock
from actors.runtime.mailbox import Mailbox
from actors.runtime.pumps import AsyncioPump
from actors.runtime.role import Role
from actors.runtime.shell import Shell, SteppedShell
from actors.runtime.stream_socket import Budget
from config.load import load
from ops.bench.figures import Figure, at_most, below, told, untold
from ops.bench.peers import NotInstalled, interpreter
from protocol.base import Envelope
from protocol.coinbase.websocket import MAX_FRAME_BYTES
from protocol.coinbase.wire import format_rfc3339
from protocol.effects import LogLine, Spawn
from protocol.ids import ProductId
from protocol.lifecycle import ActorExited
from protocol.market import Quote

BENCH = "ingest"
ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = (ProductId("BTC-USD"), ProductId("ETH-USD"))
WARM = 500
MESSAGES = 8_000
ROUNDS = 3
PACED_PER_S = 2_000
LEVELS = 5_000
SIZES = ("0", "0.35", "1.25", "2.5")
START_NS = 1_790_000_000_000_000_000
BAR = 1.5
PUBLISHED_US = {"cryptofeed": 15, "ccxt": 43}
"""The peers, and what was found of them elsewhere: told where they cannot be measured, never judged by."""
LIMIT_S = 120


# ---- the server's side


def frames(count: int, seed: int = 42) -> list[str]:
    """A session like a recorded one: six levels a batch near the top, some trades, heartbeats."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable tape, no secret
    acknowledged = {"subscriptions": {"heartbeats": ["heartbeats"], "level2": PRODUCTS, "market_trades": PRODUCTS}}
    out = [_frame(n, "subscriptions", acknowledged) for n in range(3)]
    out += [_frame(number, "l2_data", _snapshot(product)) for number, product in enumerate(PRODUCTS, len(out))]
    while len(out) < count:
        out.append(_frame(len(out), *_event(len(out), chance)))
    return out


def _frame(number: int, channel: str, event: dict[str, Any]) -> str:
    at = format_rfc3339(START_NS + number * 1_000_000)
    frame = {"channel": channel, "timestamp": at, "sequence_num": number, "events": [event]}
    return json.dumps(frame, separators=(",", ":"))


def _event(number: int, chance: random.Random) -> tuple[str, dict[str, Any]]:
    product = chance.choice(PRODUCTS)
    if number % 40 == 0:
        return "heartbeats", {"current_time": "2026-08-09 21:05:48 +0000 UTC", "heartbeat_counter": number}
    if number % 13 == 0:
        trade = {"product_id": product, "trade_id": str(number), "price": "100000.01", "size": "0.002"}
        at = format_rfc3339(START_NS + number * 1_000_000)
        return "market_trades", {"type": "update", "trades": [trade | {"time": at, "side": "BUY"}]}
    sign = chance.choice((-1, 1))
    depths = [int(chance.expovariate(1 / 300)) for _ in range(6)]
    levels = [_level(sign, steps, chance.choice(SIZES if steps > 1 else SIZES[1:])) for steps in depths]
    return "l2_data", {"type": "update", "product_id": product, "updates": levels}


def _level(sign: int, steps: int, size: str) -> dict[str, str]:
    side, price = ("bid", 100_000 - steps / 2) if sign < 0 else ("offer", 100_000.1 + steps / 2)
    at = format_rfc3339(START_NS)
    return {"side": side, "event_time": at, "price_level": f"{price:.2f}", "new_quantity": size}


def _snapshot(product: str) -> dict[str, Any]:
    levels = [_level(sign, steps, "0.5") for sign in (-1, 1) for steps in range(LEVELS)]
    return {"type": "snapshot", "product_id": product, "updates": levels}


def _serve(pipe: Connection, per_s: int) -> None:
    asyncio.run(_server(pipe, frames(WARM + MESSAGES), per_s))


async def _server(pipe: Connection, tape: list[str], per_s: int) -> None:
    async def session(live: ServerConnection) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number, frame in enumerate(tape):
            await live.send(frame)
            if per_s and (ahead := begun + number / per_s - loop.time()) > 0:
                await asyncio.sleep(ahead)
        await live.wait_closed()

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)


# ---- the two clients


class Meter:
    """CPU of this process between the warm-up and the last message, per message."""

    def __init__(self) -> None:
        self.seen = 0
        self.begun = 0.0
        self.us = 0.0

    def count(self, messages: int = 1) -> None:
        """So many more were handled."""
        before = self.seen
        self.seen += messages
        if before < WARM <= self.seen:
            self.begun = time.process_time()
        if before < WARM + MESSAGES <= self.seen:
            self.us = (time.process_time() - self.begun) / MESSAGES * 1e6


async def bare(port: int) -> float:
    """A client as its manual shows it, which decodes and forgets. Returns microseconds of CPU per message."""
    meter, decoder = Meter(), msgspec.json.Decoder()
    async with connect(f"ws://127.0.0.1:{port}", max_size=MAX_FRAME_BYTES, compression=None, proxy=None) as live:
        async for message in live:
            decoder.decode(message)
            meter.count()
            if meter.us:
                break
    return meter.us


class Quiet:
    """The services of a process without recorder, whose metrics nobody reads; unknown names take mail and forget it."""

    journal = None
    tape = None

    def __init__(self, clock: SystemClock) -> None:
        self.directory = Directory(clock, lambda _envelope, _reason: None)
        self.metrics = self
        self.ended: list[ActorExited] = []
        self.quotes = 0
        self.directory.route("", self)

    def put(self, envelope: Envelope) -> None:
        """A reader that only takes, and counts the quotes."""
        self.quotes += type(envelope.body) is Quote

    def count(self, metric: str, labels: tuple[tuple[str, str], ...] = (), by: float = 1.0) -> None:
        """Counts nothing."""

    def log(self, name: str, line: LogLine, cause: int) -> None:
        """Logs nothing."""

    def spawn(self, parent: str, spawn: Spawn, cause: int) -> None:
        """Starts nobody."""

    def exited(self, _shell: Shell, exit_: ActorExited) -> None:
        """Keeps who ended: nobody should."""
        self.ended.append(exit_)

    def overflow(self, box: Mailbox) -> None:
        """Notes nothing."""


async def whole(port: int) -> float:
    """Our path: socket, connection actor, two feeds, quotes to four readers. Microseconds of CPU per message."""
    clock, meter, closed = SystemClock(), Meter(), asyncio.Event()
    services, pump = Quiet(clock), AsyncioPump(clock, asyncio.get_running_loop())
    market = connection_role(_at(port), tuple(Route(product, (product,)) for product in PRODUCTS), Budget())
    roles = {f"feed:{product}": role(_at(port), product, "market:0") for product in PRODUCTS}
    roles["market:0"] = _metered(market, meter, closed)
    shells = [
        SteppedShell.start(services, services.directory.open(name, pump), made, lambda _shell: None)
        for name, made in roles.items()
    ]
    pump.start()
    await closed.wait()
    pump.stop()
    for shell in shells:
        shell.stop(block=False)
    if services.ended or services.quotes < MESSAGES // 100:
        raise RuntimeError(f"the desk did not quote: {services.quotes} quotes, ended: {services.ended}")
    return meter.us


def _at(port: int) -> Any:
    """The part of a context that the feed room reads: where its venue is, and the shipped limits."""
    run = type("Run", (), {"market_url": f"ws://127.0.0.1:{port}"})
    return type("Context", (), {"run": run, "policy": load(ROOT / "config", profile="embedded").policy})


def _metered(market: Role[Any], meter: Meter, closed: asyncio.Event) -> Role[Any]:
    """The connection's role, with its frames counted as they are handled."""

    def step(state: Any, message: Any, now_ns: int) -> Any:
        result = market.step(state, message, now_ns)
        meter.count(len(getattr(message, "frames", ())))
        if meter.us:
            closed.set()
        return result

    return Role(step=step, initial=market.initial, accepts=market.accepts, journaled=False, edge=market.edge)


def _client(pipe: Connection, kind: str, port: int) -> None:
    client = {"bare": bare, "whole": whole}[kind]
    pipe.send(uvloop.run(client(port)))


# ---- the comparison


@contextmanager
def _served(per_s: int) -> Iterator[int]:
    """A server in a process of its own. Yields its port."""
    spawn = multiprocessing.get_context("spawn")
    end, pipe = spawn.Pipe()
    server = spawn.Process(target=_serve, args=(pipe, per_s), daemon=True)
    server.start()
    pipe.close()  # so that its death ends the wait
    try:
        yield end.recv()
    finally:
        if server.is_alive():
            end.send("stop")
        server.join(5)
        server.kill()


def _measure(kind: str, per_s: int) -> float:
    spawn = multiprocessing.get_context("spawn")
    with _served(per_s) as port:
        end, pipe = spawn.Pipe()
        client = spawn.Process(target=_client, args=(pipe, kind, port), daemon=True)
        client.start()
        pipe.close()  # so that a client's death ends the wait
        try:
            if not end.poll(LIMIT_S):
                raise TimeoutError(f"{kind} client did not finish")
            return float(end.recv())
        finally:
            client.join(5)
            client.kill()


def _measure_peer(name: str, python: Path) -> float:
    """A peer's client, by the interpreter that has it.

    Raises:
        RuntimeError: it failed, or kept no books; its own last line says why.
        subprocess.TimeoutExpired: it did not finish.
    """
    script = Path(__file__).with_name("ingest_peer.py")
    with _served(0) as port:
        command: list[str | Path] = [python, "-I", script, name, str(port), str(WARM), str(MESSAGES)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{name}: {(ran.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    found = json.loads(ran.stdout)
    if found["levels"] < LEVELS:
        raise RuntimeError(f"{name} kept no books: {found}")
    return float(found["us"])


Count = Callable[[], float]
"""One client's microseconds of CPU per message, counted once."""


def _best(counts: dict[str, Count], rounds: int) -> dict[str, float]:
    """The best of a few rounds each, taken in turn: noise only ever adds, and to all."""
    found = [{name: count() for name, count in counts.items()} for _ in range(rounds)]
    return {name: round(min(one[name] for one in found), 2) for name in counts}


def _ours(per_s: int) -> dict[str, Count]:
    return {kind: partial(_measure, kind, per_s) for kind in ("bare", "whole")}


def _peers(find: Callable[[str], Path]) -> tuple[dict[str, Count], dict[str, str]]:
    """The peers that can be counted here, and of the others why not."""
    counts: dict[str, Count] = {}
    missing: dict[str, str] = {}
    for name in PUBLISHED_US:
        try:
            counts[name] = partial(_measure_peer, name, find(name))
        except NotInstalled as error:
            missing[name] = str(error)
    return counts, missing


def run(rounds: int = ROUNDS, find: Callable[[str], Path] = interpreter) -> dict[str, Any]:
    """CPU microseconds per message of all, flooded; of ours and the bare client, paced too.

    Args:
        rounds: of each the best of so many counts.
        find: the interpreter of a peer's environment, by its name.
    """
    peers, missing = _peers(find)
    flooded, paced = _best(_ours(0) | peers, rounds), _best(_ours(PACED_PER_S), rounds)
    return {"messages": MESSAGES, "flooded": flooded, "paced": paced, "missing": missing}


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bars, and what they are made of."""
    for pace in ("flooded", "paced"):
        us = found[pace]
        yield at_most(told(BENCH, f"{pace}_over_bare", round(us["whole"] / us["bare"], 3), "x CPU"), BAR)
        yield from (told(BENCH, f"{pace}_{name}", us[name], "us CPU/msg") for name in us)
    for name in filter(found["flooded"].__contains__, PUBLISHED_US):
        ratio = found["flooded"]["whole"] / found["flooded"][name]
        yield below(told(BENCH, f"flooded_over_{name}", round(ratio, 3), "x CPU"), 1.0)
    for name, why in found["missing"].items():
        note = f"not measured here: {why}; {PUBLISHED_US[name]} us was published of another machine"
        yield untold(BENCH, f"flooded_{name}", "us CPU/msg", note)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
