"""The desk in virtual time: the rooms of `roles`, stepped by one kernel, against the venue of `in_kernel`.

Nothing but edges differs from the process in `desk`. Whoever holds store, clock and venue may drop a desk at any moment
and start the next one from what the store has, as the root process does with a desk that died.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pykka
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from actors.compose import roles
from actors.compose.roles import Outside, Rows
from actors.gateway.edge import refusal
from actors.recorder.store import Store
from actors.runtime.clock import VirtualClock
from actors.runtime.kernel import Kernel
from actors.runtime.node import Node
from actors.runtime.restarts import Group
from actors.runtime.role import Context, Edge, Port, Run
from actors.runtime.tree import Member
from actors.strategy import actor as strategy
from actors.venue.in_kernel import KernelVenue
from protocol.base import Effect
from protocol.coinbase.auth import sign_ws
from protocol.coinbase.keys import SigningKey
from protocol.control import NO_LATCH, Answer, Arm, Leave, Pages, PassOn, Reply, WatchdogAnswered
from protocol.instants import SECOND_NS
from protocol.launch import Launch
from protocol.policy import Policy
from protocol.risk import LaneLoad

NO_WATCHDOG = Reply(code=3, text="there is no watchdog in the kernel")


def launch(policy: Policy, bot: str, seed: int) -> Launch:
    """As the root process would resolve it; nothing that it names is reached in the kernel."""
    return Launch(
        version="0",
        mode="embedded",
        venue="embedded",
        profile="embedded",
        overlay=(),
        bot=bot,
        seed=seed,
        rest_url="http://kernel",
        market_url="ws://kernel",
        user_url="ws://kernel",
        key_file="",
        health_port=0,
        metrics_port=0,
        move_ports=True,
        policy=policy,
    )


class KernelPages:
    """Epoch and pulse as plain numbers: the pumps of a kernel are never late, its watchdog beats while told to."""

    def __init__(self) -> None:
        self.epoch = 0
        self.latch = NO_LATCH
        self.watchdog_age_s = 0.0

    def current(self) -> int:
        """The epoch now."""
        return self.epoch

    def age_ns(self, slot: str) -> int:  # noqa: ARG002 - there is one thread, and it runs
        """No pump is late."""
        return 0


class ControlEdge:
    """Tells the control actor what the pages say, at the run's pace; keeps what it answers. Nobody is connected."""

    def __init__(self, kernel: Kernel, pages: KernelPages, pace_ns: int, leave: Callable[[int], None]) -> None:
        self._kernel = kernel
        self._pages = pages
        self._pace_ns = pace_ns
        self._leave = leave
        self._port: Port
        self.answers: list[Answer] = []
        self.armed = False

    def bind(self, port: Port) -> None:
        """Begin to look at the pages."""
        self._port = port
        self._kernel.call_at(port.now_ns(), self._look)

    def perform(self, effect: Effect) -> None:
        """One interpreter per effect."""
        match effect:
            case Answer():
                self.answers.append(effect)
            case PassOn():
                self._port.tell(self._port.name, WatchdogAnswered(connection=effect.connection, reply=NO_WATCHDOG))
            case Arm():
                self.armed = effect.armed
            case Leave():
                self._leave(effect.code)
            case _:
                raise TypeError(f"not an effect of control: {type(effect).__name__}")

    def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> None:
        if not self._port.valid():
            return
        pages = self._pages
        told = Pages(epoch=pages.epoch, watchdog_age_s=pages.watchdog_age_s, latch=pages.latch, kill_file=False)
        self._port.tell(self._port.name, told)
        self._kernel.call_at(self._port.now_ns() + self._pace_ns, self._look)


class MuteEdge:
    """For who only shows something: nobody looks."""

    def bind(self, port: Port) -> None:
        """Nobody asks."""

    def perform(self, effect: Effect) -> None:
        """Nobody sees it."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What outlives a desk: time, disk, venue, pages, credentials."""

    clock: VirtualClock
    store: Store
    venue: KernelVenue
    pages: KernelPages
    key: SigningKey
    launch: Launch
    pace_ns: int = SECOND_NS


class KernelDesk:
    """One desk from its start to its end, which is its being dropped: no actor is asked."""

    def __init__(
        self, world: World, groups: Iterable[Group], actors: Rows, alpha: Rows, *, seed: int, first_seq: int = 1
    ) -> None:
        """`alpha`: the rows of the strategy host, which lives in the same kernel. `seed` chooses who acts first."""
        self.world = world
        self.kernel = Kernel(seed, world.clock)
        self.ends: list[str] = []
        self._nonce = Random(f"nonce:{seed}")  # noqa: S311 - tokens of a made-up venue
        context = self._context()
        self.control = ControlEdge(
            self.kernel, world.pages, world.pace_ns, lambda code: self.ends.append(f"left with {code}")
        )
        outside = Outside(
            launch=world.launch,
            context=context,
            store=world.store,
            key=world.key,
            sign=self._sign,
            registry=CollectorRegistry(),
            told=lambda *_: None,
            control=lambda: self.control,
            background=False,
        )
        host = [
            Member(child=replace(child, group="side"), role=lambda _: strategy.role(context), pump=pump)
            for child, pump in alpha
        ]
        self.node = Node(
            world.clock,
            groups,
            [*roles.members(actors, outside), *host],
            {"core": self.kernel},
            escalate=self.ends.append,
            overflow=lambda name, waiting, bound: self.node.tell(
                "risk", LaneLoad(actor=name, waiting=waiting, bound=bound)
            ),
            crashed=lambda exit_: self.node.tell("risk", exit_),
            edges=self._edges(context),
            virtual=True,
            first_seq=first_seq,
        )
        self.kernel.trees += [self.node.tree, world.venue]

    def start(self) -> None:
        """Start every actor."""
        self.node.start()

    def drop(self) -> None:
        """The process is gone, whatever it was doing: its actors, its timers, its connections."""
        self.world.venue.cut_off()
        for record in self.node.tree.records.values():
            if record.shell is not None:
                record.shell.supersede()
                pykka.ActorRegistry.unregister(record.shell.actor_ref)

    def _edges(self, context: Context) -> dict[str, Callable[[], Edge]]:
        venue = self.world.venue
        fence = partial(refusal, epoch=context.epoch, heartbeat=context.heartbeat)
        return {
            "gateway": lambda: venue.http(fence),
            "user_feed": lambda: venue.stream(self._sign),
            "market": lambda: venue.stream(None),
            "metrics": MuteEdge,
        }

    def _sign(self) -> str:
        nonce = f"{self._nonce.getrandbits(256):064x}"
        return sign_ws(self.world.key, now_s=self.world.clock.now_ns() // SECOND_NS, nonce=nonce)

    def _context(self) -> Context:
        launch, pages = self.world.launch, self.world.pages
        run = Run(
            bot=launch.bot,
            mode=launch.mode,
            state_dir=Path(),
            rest_url=launch.rest_url,
            market_url=launch.market_url,
            user_url=launch.user_url,
            epoch=pages.current(),
            seed=launch.seed,
            pace_ns=self.world.pace_ns,
        )
        return Context(
            clock=self.world.clock,
            policy=launch.policy,
            run=run,
            metrics=_LateMetrics(self),
            epoch=pages,
            heartbeat=pages,
        )


class _LateMetrics:
    """The node's counters, for contexts that are made before the node is."""

    def __init__(self, desk: KernelDesk) -> None:
        self._desk = desk

    def count(self, metric: str, labels: tuple[tuple[str, str], ...] = (), by: float = 1.0) -> None:
        """Add `by` to a counter."""
        self._desk.node.metrics.count(metric, labels, by)
