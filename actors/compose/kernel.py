"""The desk in virtual time: the rooms of `roles`, stepped by one kernel, against the venue of `in_kernel`.

Nothing but edges differs from the process in `desk`. Whoever holds store, clock and venue may drop a desk at any moment
and start the next one from what the store has, as the root process does with a desk that died.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pykka
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from actors.compose import roles
from actors.compose.common import tell_crash
from actors.compose.discovery import settled
from actors.compose.following import following
from actors.compose.kernel_pages import KernelPages
from actors.compose.kernel_watchdog import KernelWatchdog
from actors.compose.roles import Outside, Rows
from actors.control.edge import LATCH_S, NO_ANSWER, POLL_S, WATCHDOG_S, differs
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
from protocol.control import (
    Answer,
    Arm,
    ControlRequest,
    Latch,
    Leave,
    Pages,
    PassOn,
    Reply,
    View,
    WatchdogAnswered,
    WatchdogStatus,
)
from protocol.instants import SECOND_NS
from protocol.launch import Launch
from protocol.policy import Policy
from protocol.risk import LaneLoad

NO_WATCHDOG = Reply(code=3, text="there is no watchdog in the kernel")


def resolved(policy: Policy, venue: KernelVenue, now_ns: int) -> Policy:
    """The policy of a run that starts now, as the root process settles it before it launches anything."""
    return settled(policy, venue.ask, now_ns, lambda _: None)


def launch(policy: Policy, bot: str, seed: int) -> Launch:
    """As the root process would write it; nothing that it names is reached in the kernel."""
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
        market="synthetic",
    )


class ControlEdge:
    """Tells the control actor what the pages say; keeps what it answers. Nobody is connected but the watchdog.

    Without one the pages are told at the run's pace; with one as the process does it: looked at ten times a second,
    told at every change and each second, and the latch asked for until it is heard.
    """

    def __init__(self, kernel: Kernel, world: "World", leave: Callable[[int], None]) -> None:
        self._kernel = kernel
        self._pages = world.pages
        self._watchdog = world.watchdog
        self._pace_ns = world.pace_ns if world.watchdog is None else int(POLL_S * SECOND_NS)
        self._leave = leave
        self._port: Port
        self._latch: Latch | None = None
        self._told: tuple[int, Pages] | None = None
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
                self._pass_on(effect)
            case Arm():
                self.armed = effect.armed
                self._pages.arm(effect.armed)
            case Leave():
                self._leave(effect.code)
            case _:
                raise TypeError(f"not an effect of control: {type(effect).__name__}")

    def close(self) -> None:
        """Nothing is held."""

    # --- the watchdog's socket ------------------------------------------------------------------------------------

    def _pass_on(self, effect: PassOn) -> None:
        def answered(reply: Reply) -> None:
            self._port.tell(self._port.name, WatchdogAnswered(connection=effect.connection, reply=reply))

        self._ask(effect.request, WATCHDOG_S, answered)

    def _ask(self, request: ControlRequest, timeout_s: float, answered: Callable[[Reply], None]) -> None:
        """The first answer counts: the watchdog's, or that there was none. It is heard when this process next runs."""
        if self._watchdog is None:
            answered(NO_WATCHDOG)
            return
        waiting = [answered]

        def once(reply: Reply) -> None:
            if waiting:
                waiting.pop()(reply)

        self._kernel.call_at(self._port.now_ns() + int(timeout_s * SECOND_NS), lambda: once(NO_ANSWER))
        self._watchdog.ask(request, lambda reply: self._heard(lambda: once(reply)))

    def _heard(self, act: Callable[[], None]) -> None:
        self._kernel.call_at(self._port.now_ns(), act)

    # --- pages ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if not self._port.valid():
            return
        if self._watchdog is None or self._latch is not None:
            self._show()
        else:
            self._ask(View(by="desk", what="status"), LATCH_S, self._latched)

    def _latched(self, reply: Reply) -> None:
        if not reply.code:
            self._latch = msgspec.json.decode(reply.data, type=WatchdogStatus).latch
        self._show()

    def _show(self) -> None:
        now_ns, pages = self._port.now_ns(), self._pages
        told = Pages(
            epoch=pages.epoch,
            watchdog_age_s=pages.beat_age_s(now_ns),
            latch=pages.latch if self._watchdog is None else self._latch,
            kill_file=pages.kill_file is not None,
        )
        if self._watchdog is None or self._worth(told, now_ns):
            self._told = now_ns, told
            self._port.tell(self._port.name, told)
        self._kernel.call_at(now_ns + self._pace_ns, self._look)

    def _worth(self, pages: Pages, now_ns: int) -> bool:
        return self._told is None or now_ns - self._told[0] >= SECOND_NS or differs(pages, self._told[1])


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
    """What outlives a desk: time, disk, venue, pages, credentials, the watchdog's place where there is one."""

    clock: VirtualClock
    store: Store
    venue: KernelVenue
    pages: KernelPages
    key: SigningKey
    launch: Launch
    pace_ns: int = SECOND_NS
    watchdog: KernelWatchdog | None = None


class KernelDesk:
    """One desk from its start to its end, which is its being dropped: no actor is asked."""

    def __init__(
        self, world: World, groups: Iterable[Group], actors: Rows, alpha: Rows, *, seed: int, first_seq: int = 1
    ) -> None:
        """`alpha`: the rows of the strategy host, which lives in the same kernel. `seed` chooses who acts first."""
        self.world = world
        self._launch = following(world.launch, world.store.records)
        self.kernel = Kernel(seed, world.clock)
        self.ends: list[str] = []
        self._nonce = Random(f"nonce:{seed}")  # noqa: S311 - tokens of a made-up venue
        context = self._context()
        self.control = ControlEdge(self.kernel, world, lambda code: self.ends.append(f"left with {code}"))
        outside = Outside(
            launch=self._launch,
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
            crashed=lambda exit_: tell_crash(self.node.tell, exit_),
            edges=self._edges(context),
            virtual=True,
            first_seq=first_seq,
        )
        self.kernel.trees.append(self.node.tree)
        self.kernel.outside += [world.venue, *([world.watchdog] if world.watchdog is not None else [])]

    def start(self) -> None:
        """Start every actor."""
        self.world.pages.begin(self.world.pages.desk_pid + 1)
        self.node.start()

    def freeze(self) -> None:
        """The process does nothing until woken, in the middle of whatever it does; its connections stay open."""
        self.kernel.freeze()
        self.world.pages.stand(self.world.clock.now_ns())

    def wake(self) -> None:
        """It goes on where it stood; what it had decided leaves now, if the fence lets it. Who is gone stays gone."""
        if not self.world.pages.desk_alive:
            return
        self.kernel.thaw()
        self.world.pages.go_on()

    def drop(self) -> None:
        """The process is gone, whatever it was doing: its actors, its timers, its connections."""
        self.kernel.freeze()
        self.world.pages.end(self.world.clock.now_ns())
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
        launch, pages = self._launch, self.world.pages
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
