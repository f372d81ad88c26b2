"""The desk process: every room that touches orders, put together. The composition modules alone know several rooms."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from actors.compose import roles
from actors.compose.common import accept, key_of, launch_of, orphaned, root_of, seed_of, signer, tell_crash
from actors.compose.following import following
from actors.compose.modes import against
from actors.compose.roles import Outside, Rows
from actors.control.edge import ControlEdge, Hooks
from actors.feed.connection import feed_name
from actors.recorder.installation import Opened, RefusedError, open_installation
from actors.recorder.recovery import CorruptStoreError
from actors.recorder.tape import Tape
from actors.runtime import logging
from actors.runtime.bridge import Bridge
from actors.runtime.clock import SystemClock
from actors.runtime.key_file import KeyFileError
from actors.runtime.node import Node
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.runtime.pumps import AsyncioPump, ThreadPump
from actors.runtime.restarts import Group
from actors.runtime.role import Context, Run
from protocol.codec import CodecError
from protocol.coinbase.keys import SigningKey
from protocol.control import Asked, Shutdown
from protocol.launch import Launch
from protocol.risk import LaneLoad
from protocol.strategy import (
    HistoryWanted,
    HostStarted,
    ProposalsMade,
    ShadowDecided,
    StrategiesRan,
    StrategyFailed,
)

if TYPE_CHECKING:
    from protocol.base import Message

GAVE_UP, REFUSED = 70, 4
HELPERS = 2
"""Threads for what would block the loop: name look-ups and the watchdog's socket."""
SWITCH_S = 0.0005  # a busy thread gives the interpreter up this soon, so that the order path never waits long


class Desk:
    """One desk process from its start to its end."""

    def __init__(self, state_dir: Path, launch: Launch, key: SigningKey | None, opened: Opened) -> None:
        self._state_dir = state_dir
        self._launch = launch
        self._key = key
        self._opened = opened
        self._clock = SystemClock()
        self._epoch = EpochPage(state_dir / EPOCH_FILE)
        self._pulse = PulsePage(state_dir / PULSE_FILE)
        self._registry = CollectorRegistry()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._log = logging.get("desk")
        self._tape = Tape(state_dir / "tape")
        self._node: Node

    async def run(self, groups: Iterable[Group], actors: Rows) -> int:
        """Serve until somebody ends it; returns the exit code."""
        loop = self._loop
        loop.set_default_executor(ThreadPoolExecutor(HELPERS, "helper"))
        self._pulse.begin(os.getpid(), 0)
        core = ThreadPump("core", self._clock, partial(self._pulse.stamp, "core"), self._fatal)
        io = AsyncioPump(self._clock, loop, partial(self._pulse.stamp, "io"))
        members = list(roles.members(actors, self._outside()))
        self._node = Node(
            self._clock,
            groups,
            members,
            {"core": core, "io": io},
            escalate=self._escalate,
            overflow=self._overflow,
            crashed=lambda exit_: tell_crash(self._node.tell, exit_),
            tape=self._tape.put,
        )
        self._registry.register(self._node.collector)
        feeds = frozenset(feed_name(product) for product in self._launch.policy.universe.products)
        registry = frozenset({"strategies"})
        says: dict[type[Message], frozenset[str]] = {
            ProposalsMade: frozenset({"cycle"}),
            HistoryWanted: feeds,
            **dict.fromkeys((HostStarted, StrategyFailed, StrategiesRan, ShadowDecided), registry),
        }
        bridge = Bridge(self._state_dir / "alpha.sock", self._node.directory, "strategies", accepts=says)
        await bridge.listen()
        self._node.directory.route("strategy:", bridge)
        core.start()
        io.start()
        self._node.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        orphan = loop.create_task(orphaned(root_of(self._state_dir)))
        orphan.add_done_callback(lambda task: None if task.cancelled() else self._stop("the root process is gone"))
        code = await self._ended
        orphan.cancel()
        bridge.close()
        stopped = await asyncio.to_thread(self._node.stop, "leaving", 3.0)
        self._log.info("ended", code=code, stopped=stopped)
        self._tape.close()
        self._opened.store.close()
        return code

    # --- parts ----------------------------------------------------------------------------------------------------

    def _outside(self) -> Outside:
        key = self._key
        return Outside(
            launch=self._launch,
            context=self._context(),
            store=self._opened.store,
            key=key,
            sign=signer(key, self._clock) if key is not None else None,
            registry=self._registry,
            told=self._told,
            control=lambda: ControlEdge(self._hooks()),
        )

    def _context(self) -> Context:
        launch = self._launch
        run = Run(
            bot=launch.bot,
            mode=launch.mode,
            state_dir=self._state_dir,
            rest_url=launch.rest_url,
            market_url=launch.market_url,
            user_url=launch.user_url,
            epoch=self._epoch.current(),
            seed=seed_of(launch, self._clock.now_ns()),
        )
        return Context(
            clock=self._clock,
            policy=launch.policy,
            run=run,
            metrics=_LateMetrics(self),
            epoch=self._epoch,
            heartbeat=self._pulse,
        )

    def _hooks(self) -> Hooks:
        return Hooks(
            state_dir=self._state_dir,
            epoch=self._epoch,
            pulse=self._pulse,
            actors=lambda: list(self._node.snapshot()),
            leave=self._leave,
            wall_ahead_ns=self._clock.wall_offset_ns,
        )

    def _stop(self, reason: str) -> None:
        """A stop is a request like an operator's: no new work, nothing resting, then the end."""
        self._node.tell("control", Asked(connection=0, request=Shutdown(by="root", reason=reason)))

    # --- ends -----------------------------------------------------------------------------------------------------

    def _told(self, metrics_url: str, health_url: str) -> None:
        """Say where this desk is served, for `run.json`."""
        facts = {"desk_pid": os.getpid(), "metrics_url": metrics_url, "health_url": health_url}
        target = self._state_dir / "desk.json"
        draft = target.with_suffix(".json.new")
        draft.write_text(json.dumps(facts))
        draft.replace(target)

    def _leave(self, code: int, successor: str = "") -> None:
        if successor:
            accept(self._state_dir, successor)
        if not self._ended.done():
            self._ended.set_result(code)

    def _overflow(self, name: str, waiting: int, bound: int) -> None:
        """An event lane passed half of its bound or all of it, or fell well below: risk decides what that means."""
        self._node.tell("risk", LaneLoad(actor=name, waiting=waiting, bound=bound))

    def _escalate(self, reason: str) -> None:
        """From any thread: the supervising one notices first."""
        self._loop.call_soon_threadsafe(self._give_up, reason)

    def _give_up(self, reason: str) -> None:
        """Nothing in here can mend it: fence what may still be under way, and let the root start another desk."""
        self._log.critical("gave_up", reason=reason)
        self._epoch.step("desk")
        self._leave(GAVE_UP)

    def _fatal(self, name: str, error: BaseException) -> None:
        self._log.critical("pump_ended", pump=name, error=repr(error))
        self._epoch.step("desk")
        os._exit(GAVE_UP)


class _LateMetrics:
    """The node's counters, for contexts that are made before the node is."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def count(self, metric: str, labels: tuple[tuple[str, str], ...] = (), by: float = 1.0) -> None:
        """Add `by` to a counter."""
        self._desk._node.metrics.count(metric, labels, by)  # noqa: SLF001 - one object in two halves


async def run(state_dir: Path, groups: Iterable[Group], actors: Rows) -> int:
    """Open the store, recover, serve. Exit 4 with one clear line where the store must not be used."""
    sys.setswitchinterval(SWITCH_S)
    launch = launch_of(state_dir)
    logging.configure("desk", state_dir, launch.policy.monitoring.log_level)
    if os.getppid() != root_of(state_dir):
        sys.stderr.write("the desk does not start: the root process that wanted it is gone\n")
        return REFUSED
    with (state_dir / "desk.lock").open("a") as lock:  # falls with this process, whatever ends it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"the desk does not start: another one runs on {state_dir}\n")
            return REFUSED
        return await _serve(state_dir, launch, groups, actors)


async def _serve(state_dir: Path, launch: Launch, groups: Iterable[Group], actors: Rows) -> int:
    try:
        key, mode = key_of(launch), launch.policy.mode
        opened = open_installation(
            state_dir, launch.bot, mode, SystemClock().now_ns(), lambda store: against(store, mode)
        )
        followed = following(launch, opened.store.records)
    except (KeyFileError, RefusedError, CorruptStoreError, CodecError) as error:
        sys.stderr.write(f"the desk does not start: {error}\n")
        return REFUSED
    return await Desk(state_dir, followed, key, opened).run(groups, actors)
