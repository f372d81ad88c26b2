"""The alpha process: the strategy host behind a bridge. It may load what it likes and die when it likes."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from actors.compose.common import launch_of, orphaned, root_of
from actors.runtime import logging
from actors.runtime.bridge import Bridge
from actors.runtime.clock import SystemClock
from actors.runtime.metrics import Counters
from actors.runtime.node import Node
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.runtime.pumps import AsyncioPump
from actors.runtime.restarts import Child, Group
from actors.runtime.role import Context, Role, Run
from actors.runtime.tree import Member
from actors.strategy import actor as strategy
from actors.strategy.guard import Guard

GUARD_FILE = "alpha.page"
NICENESS = 5
MEMORY_BYTES = 4 * 1024**3


async def run(state_dir: Path, groups: Iterable[Group], actors: Iterable[tuple[Child, str]]) -> int:
    """Serve the desk until this process is told to end. A lost bridge is reconnected for ever."""
    launch = launch_of(state_dir)
    logging.configure("alpha", state_dir, launch.policy.monitoring.log_level)
    clock, loop = SystemClock(), asyncio.get_running_loop()
    run_ = Run(
        bot=launch.bot, mode=launch.mode, state_dir=state_dir, rest_url="", market_url="", user_url="", seed=launch.seed
    )
    context = Context(
        clock=clock,
        policy=launch.policy,
        run=run_,
        metrics=Counters(),
        epoch=EpochPage(state_dir / EPOCH_FILE),
        heartbeat=PulsePage(state_dir / PULSE_FILE),
    )
    guard = Guard(state_dir / GUARD_FILE)
    _bounded()
    roles: dict[str, Callable[[str], Role[Any]]] = {
        "strategy:host": lambda _: strategy.role(context, guard.watch, time.perf_counter_ns, guard.accused)
    }
    pump = AsyncioPump(clock, loop)
    members = [Member(child=child, role=roles[child.name], pump=name) for child, name in actors]
    ended: asyncio.Future[int] = loop.create_future()
    node = Node(
        clock, groups, members, {"core": pump}, journal=None, escalate=lambda _: _end(loop, ended, 1), first_seq=1
    )
    bridge = Bridge(state_dir / "alpha.sock", node.directory)
    node.directory.route("", bridge)
    await bridge.connect()
    pump.start()
    node.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, loop, ended, 0)
    orphan = loop.create_task(orphaned(root_of(state_dir)))
    orphan.add_done_callback(lambda _: _end(loop, ended, 0))
    return await ended


def _bounded() -> None:
    """The desk comes first on a busy machine, and a strategy that eats memory fails before the machine does."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _end(loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[int]", code: int) -> None:
    loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(code))
