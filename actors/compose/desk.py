"""The desk process: every room that touches orders, put together. The composition modules alone know several rooms."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from actors.compose.common import key_of, launch_of, orphaned, signer
from actors.control import actor as control
from actors.control.state import Settings as ControlSettings
from actors.cycle import actor as cycle
from actors.feed import actor as feed
from actors.feed.connection import Route, feed_name, share_out
from actors.gateway import actor as gateway
from actors.gateway.core import Settings as GatewaySettings
from actors.metrics import actor as metrics
from actors.order import actor as order
from actors.portfolio import actor as portfolio
from actors.recorder import actor as recorder
from actors.recorder.installation import Opened, RefusedError, open_installation
from actors.recorder.recovery import CorruptStoreError
from actors.recorder.tape import Tape
from actors.risk import actor as risk
from actors.runtime import logging
from actors.runtime.bridge import Bridge
from actors.runtime.clock import SystemClock
from actors.runtime.mailbox import EVENT_BOUND
from actors.runtime.node import Node
from actors.runtime.pages import EPOCH_FILE, PULSE_FILE, EpochPage, PulsePage
from actors.runtime.pumps import AsyncioPump, ThreadPump
from actors.runtime.restarts import Child, Group
from actors.runtime.role import Context, Role, Run
from actors.runtime.stream_socket import Budget
from actors.runtime.tree import Member
from actors.universe import actor as universe
from actors.user_feed import actor as user_feed
from protocol.control import Asked, Shutdown
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.launch import Launch
from protocol.policy import LaneRate
from protocol.risk import LaneLoad
from protocol.strategy import HistoryWanted, ProposalsMade

if TYPE_CHECKING:
    from protocol.base import Message

BTC = "BTC-USD"
GAVE_UP, REFUSED = 70, 4
SWITCH_S = 0.0005  # a busy thread gives the interpreter up this soon, so that the order path never waits long

Rows = Iterable[tuple[Child, str]]
Roles = dict[str, Callable[[str], Role[Any]]]


class Desk:
    """One desk process from its start to its end."""

    def __init__(self, state_dir: Path, launch: Launch, opened: Opened) -> None:
        self._state_dir = state_dir
        self._launch = launch
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
        self._pulse.begin(os.getpid(), 0)
        core = ThreadPump("core", self._clock, partial(self._pulse.stamp, "core"), self._fatal)
        io = AsyncioPump(self._clock, loop, partial(self._pulse.stamp, "io"))
        members = list(self._members(actors))
        self._node = Node(
            self._clock,
            groups,
            members,
            {"core": core, "io": io},
            escalate=self._escalate,
            overflow=self._overflow,
            tape=self._tape.put,
        )
        self._registry.register(self._node.collector)
        feeds = frozenset(feed_name(product) for product in self._products())
        says: dict[type[Message], frozenset[str]] = {ProposalsMade: frozenset({"cycle"}), HistoryWanted: feeds}
        bridge = Bridge(self._state_dir / "alpha.sock", self._node.directory, "cycle", accepts=says)
        await bridge.listen()
        self._node.directory.route("strategy:", bridge)
        core.start()
        io.start()
        self._node.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        orphan = loop.create_task(orphaned(os.getppid()))
        orphan.add_done_callback(lambda task: None if task.cancelled() else self._stop("the root process is gone"))
        code = await self._ended
        orphan.cancel()
        bridge.close()
        stopped = await asyncio.to_thread(self._node.stop, "leaving", 3.0)
        self._log.info("ended", code=code, stopped=stopped)
        self._tape.close()
        self._opened.store.close()
        return code

    # --- roles ----------------------------------------------------------------------------------------------------

    def _members(self, actors: Rows) -> Iterable[Member]:
        roles = self._roles()
        connections = self._connections()
        for child, pump in actors:
            match child.name:
                case "order":
                    yield Member(child=child, role=roles["order"], pump=pump, kind=True)
                case "market":
                    for name in connections:
                        yield Member(child=_named(child, name), role=roles["market"], pump=pump)
                case "feed":
                    for product in self._products():
                        yield Member(child=_named(child, feed_name(product)), role=roles["feed"], pump=pump)
                case _:
                    yield Member(child=child, role=roles[child.name], pump=pump)

    def _roles(self) -> Roles:
        launch, context = self._launch, self._context()
        key = key_of(launch)
        budget = Budget()
        sign = signer(key, self._clock) if key is not None else None
        connections = self._connections()
        behind = {p: name for name, routes in connections.items() for route in routes for p in route.product_ids}
        settings = GatewaySettings(
            public=_rate(launch.policy.rate_limits.public),
            private=_rate(launch.policy.rate_limits.private),
            exit_cancel=_rate(launch.policy.rate_limits.exit_cancel),
            rate_limit_pause_ns=launch.policy.breakers.rate_limit_cooldown_s * SECOND_NS,
            epoch=context.run.epoch,
        )
        life_s = launch.policy.auth.order_token_life_s
        return {
            "recorder": lambda _: recorder.role(self._opened.store),
            "portfolio": lambda _: portfolio.role(context),
            "risk": lambda _: risk.role(context),
            "orders": lambda _: order.desk_role(context),
            "order": partial(order.order_role, context),
            "cycle": lambda _: cycle.role(context),
            "control": lambda _: control.role(context, self._control_settings(context), self._hooks()),
            "gateway": lambda _: gateway.role(context, settings, key, life_s),
            "user_feed": lambda _: user_feed.role(context, budget, sign),
            "market": lambda name: feed.connection_role(context, connections[name], budget),
            "feed": lambda name: self._feed_role(context, name, behind),
            "universe": lambda _: universe.role(context),
            "metrics": lambda _: metrics.role(context, self._registry, self._told, move_ports=launch.move_ports),
        }

    def _feed_role(self, context: Context, name: str, behind: dict[ProductId, str]) -> Role[Any]:
        product = ProductId(name.partition(":")[2])
        return feed.role(context, product, behind[product], leader=product == BTC)

    def _products(self) -> tuple[ProductId, ...]:
        return self._launch.policy.universe.products

    def _connections(self) -> dict[str, tuple[Route, ...]]:
        shared = share_out(dict.fromkeys(self._products(), ProductId("")))
        return {f"market:{number}": routes for number, routes in enumerate(shared)}

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
            seed=launch.seed,
        )
        return Context(
            clock=self._clock,
            policy=launch.policy,
            run=run,
            metrics=_LateMetrics(self),
            epoch=self._epoch,
            heartbeat=self._pulse,
        )

    def _control_settings(self, context: Context) -> ControlSettings:
        launch = self._launch
        return ControlSettings(
            bot=launch.bot,
            mode=launch.mode,
            venue=launch.venue,
            profile=launch.profile,
            epoch=context.run.epoch,
            config_hash=launch.policy.config_hash,
            versions=(("python", sys.version.split()[0]), ("trader", launch.version)),
        )

    def _hooks(self) -> control.Hooks:
        return control.Hooks(
            state_dir=self._state_dir,
            epoch=self._epoch,
            pulse=self._pulse,
            actors=lambda: list(self._node.snapshot()),
            leave=self._leave,
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

    def _leave(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _overflow(self, name: str, waiting: int) -> None:
        """An event lane passed its bound, or fell well below it again: risk decides what that means."""
        self._node.tell("risk", LaneLoad(actor=name, waiting=waiting, over=waiting > EVENT_BOUND))

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


def _named(child: Child, name: str) -> Child:
    return replace(child, name=name)


def _rate(lane: LaneRate) -> tuple[float, float]:
    return float(lane.rate_per_s), float(lane.burst)


async def run(state_dir: Path, groups: Iterable[Group], actors: Rows) -> int:
    """Open the store, recover, serve. Exit 4 with one clear line where the store must not be used."""
    sys.setswitchinterval(SWITCH_S)
    launch = launch_of(state_dir)
    logging.configure("desk", state_dir, launch.policy.monitoring.log_level)
    try:
        opened = open_installation(state_dir, launch.bot, SystemClock().now_ns())
    except (RefusedError, CorruptStoreError) as error:
        sys.stderr.write(f"the desk does not start: {error}\n")
        return REFUSED
    return await Desk(state_dir, launch, opened).run(groups, actors)
