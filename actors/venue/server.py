"""The loopback server: REST, WebSocket and admin on one port, the loop that plays the market, start and end.

The wall clock is read here and nowhere below: everything else is handed the venue's clock.
"""

import asyncio
import contextlib
import signal
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import uvloop
from aiohttp import web

from actors.venue import admin, http_app, sockets
from actors.venue.catalogue import specs
from actors.venue.core import Exchange
from actors.venue.keeper import Keeper
from actors.venue.lag import Unpleasantness
from actors.venue.server_keys import registered_key, tls_context
from actors.venue.server_options import Options
from actors.venue.server_venue import Credential, Venue
from actors.venue.tape_market import listings_of, open_market
from actors.venue.tape_source import parse_market

USER = "main"
HOST = "127.0.0.1"
TICK_S = 0.05


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ready line: where everything is."""

    rest: str
    ws: str
    key_file: str
    admin: str
    ca: str = ""


def run(asked: Options) -> int:
    """Serve until SIGTERM or SIGINT; prints the ready line on standard output. Returns the exit code."""
    uvloop.run(_run(asked))
    return 0


async def _run(asked: Options) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    async with serving(asked) as ready:
        print(msgspec.json.encode(ready).decode(), flush=True)  # noqa: T201 - the one line it says
        await ended.wait()


@contextlib.asynccontextmanager
async def serving(asked: Options) -> AsyncIterator[Ready]:
    """A running venue and where it is."""
    with tempfile.TemporaryDirectory(prefix="venue-") as scratch:
        key_file = (asked.key_file or Path(scratch) / "key.json").absolute()
        context, ca = tls_context(Path(scratch)) if asked.tls else (None, None)
        venue = build(asked, key_file)
        with kept(venue, asked.state):
            async with _listening(venue, asked.port, context) as port:
                yield _ready(port, key_file, ca)


@contextlib.asynccontextmanager
async def _listening(venue: Venue, port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    runner = web.AppRunner(application(venue), access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    # In a group: a market that fails ends the venue with its traceback, it does not leave a server without a market.
    async with asyncio.TaskGroup() as group:
        player = group.create_task(play(venue))
        try:
            bound = await _listen(runner, port, context)
            venue.hosts |= _hosts(bound)
            yield bound
        finally:
            player.cancel()
            await runner.cleanup()


def build(asked: Options, key_file: Path) -> Venue:
    """Exchange and market with one funded user and one key.

    Identities of user, portfolio and first wallets come from the seed alone; orders' from the start time too, so that
    a venue that is started again never hands out an id a second time.

    Raises:
        ValueError: no such market, or a tape that cannot be read.
        BadKey: the key file holds no usable key.
    """
    now_ns = time.time_ns()
    usual = Unpleasantness()
    chance = Random(asked.seed)  # noqa: S311 - a market's noise, not a secret
    source = parse_market(asked.market)
    exchange = Exchange(specs(listings_of(source)), chance, now_ns, unpleasantness=usual)
    exchange.open_user(USER, now_ns, {"USD": asked.cash_usd, "USDC": Decimal(0)})
    chance.seed(f"{asked.seed}:{now_ns}")
    market = open_market(source, exchange, seed=asked.seed, now_ns=now_ns)
    venue = Venue(exchange, market, time.time_ns, seed=asked.seed, usual=usual)
    key = registered_key(key_file)
    venue.credentials[key.name] = Credential(key=key, user=USER)
    return venue


@contextlib.contextmanager
def kept(venue: Venue, path: Path | None) -> Iterator[None]:
    """Restore what the file at `path` knows and keep every change there; without a path nothing is kept.

    A kept state takes the place of users and money; its live orders go back to the market's new books.

    Raises:
        CorruptStateError: the file is damaged.
        OSError: it cannot be read or written, or another venue has it.
    """
    if path is None:
        yield
        return
    keeper = Keeper.open(path, venue.exchange, venue.clock_ns())
    venue.keep = keeper.keep
    try:
        yield
    finally:
        keeper.close()


def application(venue: Venue) -> web.Application:
    """The routes: admin, the socket at `/` and `/ws`, everything else is REST."""

    async def socket(request: web.Request) -> web.StreamResponse:
        return await sockets.serve(request, venue)

    async def rest(request: web.Request) -> web.StreamResponse:
        return await http_app.serve(request, venue)

    async def own(request: web.Request) -> web.StreamResponse:
        return await admin.serve(request, venue)

    async def close_sockets(_: web.Application) -> None:
        venue.hub.close_all()

    app = web.Application(client_max_size=1024 * 1024)
    app.router.add_get("/", socket)
    app.router.add_get("/ws", socket)
    app.router.add_route("*", admin.PREFIX, own)
    app.router.add_route("*", admin.PREFIX + "/{rest:.*}", own)
    app.router.add_route("*", "/{rest:.*}", rest)
    app.on_shutdown.append(close_sockets)
    return app


async def play(venue: Venue) -> None:
    """Tick about twenty times a second, sooner when the exchange has something due."""
    while True:
        venue.tick()
        due_ns = venue.exchange.next_due_ns()
        wait_s = TICK_S if due_ns is None else min((due_ns - venue.clock_ns()) / 1e9, TICK_S)
        await asyncio.sleep(max(wait_s, 0.001))


async def _listen(runner: web.AppRunner, port: int, context: ssl.SSLContext | None) -> int:
    site = web.TCPSite(runner, HOST, port, ssl_context=context, reuse_address=True)
    await site.start()
    return int(runner.addresses[0][1])


def _hosts(port: int) -> set[str]:
    names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    return names | {f"{scheme}://{name}" for scheme in ("http", "https", "ws", "wss") for name in names}


def _ready(port: int, key_file: Path, ca: Path | None) -> Ready:
    name, tls = f"{HOST}:{port}", "s" if ca else ""
    return Ready(
        rest=f"http{tls}://{name}",
        ws=f"ws{tls}://{name}/ws",
        key_file=str(key_file),
        admin=f"http{tls}://{name}{admin.PREFIX}",
        ca=str(ca or ""),
    )
