"""A whole desk in virtual time, from a seed; it may be dropped at any moment and started again from its store.

With `watchdog=True` the watchdog's process runs beside it, and both may freeze, die and begin again at any moment.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace as replace_world
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

import supervisor
from actors.compose.kernel import KernelDesk, World, launch, resolved
from actors.compose.kernel_pages import KernelPages
from actors.compose.kernel_watchdog import KernelWatchdog
from actors.recorder.memory import MemoryStore
from actors.runtime.clock import VirtualClock
from actors.runtime.port import Failure
from actors.venue.in_kernel import USER, Habits, KernelVenue, synthetic_venue
from actors.venue.lag import Unpleasantness
from actors.venue.requests import FillQuery
from actors.venue.server_venue import Venue
from actors.venue.wire import FillView
from actors.watchdog.core import Settings
from config.load import load
from protocol.base import Message
from protocol.coinbase.keys import SigningKey
from protocol.control import Asked, ControlRequest, KillNow, Rearm, Reply
from protocol.launch import Launch
from protocol.policy import Policy

START_NS = 1_795_003_205_000_000_000  # Wednesday 2026-11-18, 12:00:05 UTC
BOT = "sim"
SECOND_NS = 1_000_000_000
STEP_S = 0.1
"""So much passes between two looks of who waits for something."""
TOKEN_LIFE_S = 10
"""Of a brisk policy; shorter than the shipped one, so that an order which never arrived is given up soon."""
ROOT_S = 0.25
"""How often the root process looks."""


@cache
def shipped() -> Policy:
    """The policy of the embedded profile, by the real loader."""
    return load(
        Path(__file__).resolve().parents[2] / "config", profile="embedded", overrides={"app.mode": "PAPER"}
    ).policy


def policy_for(products: Iterable[str]) -> Policy:
    """The shipped policy, trading only `products`."""
    wanted, policy = set(products), shipped()
    tiers = tuple(replace(row, products=tuple(p for p in row.products if p in wanted)) for row in policy.universe.tiers)
    universe = replace(policy.universe, tiers=tiers, min_eligible_assets=1)
    return replace(policy, universe=universe)


def brisk(products: Iterable[str]) -> Policy:
    """The same without its pacing, and with a shorter token life: more happens in a minute."""
    policy = policy_for(products)
    risk = replace(
        policy.risk,
        max_trades_per_hour=1000,
        max_new_trades_per_hour=1000,
        loss_streak_trades=1000,
        spacing_s=1,
        symbol_spacing_s=1,
        cooldown_fill_s=1,
        cooldown_win_s=1,
        cooldown_loss_s=1,
        cooldown_failed_order_s=1,
    )
    breakers = replace(policy.breakers, rate_limit_cooldown_s=5)
    return replace(policy, risk=risk, breakers=breakers, auth=replace(policy.auth, order_token_life_s=TOKEN_LIFE_S))


@cache
def key() -> SigningKey:
    """The key that desk and venue share."""
    return SigningKey("organizations/0/apiKeys/0", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


class Simulation:
    """World and desk. `make` gives the venue; default: the synthetic market of `products`."""

    def __init__(  # noqa: PLR0913 - any part of a made-up world may be another one
        self,
        seed: int,
        products: tuple[str, ...],
        *,
        habits: Habits | None = None,
        usual: Unpleasantness | None = None,
        make: Callable[[VirtualClock], Venue] | None = None,
        policy: Policy | None = None,
        slow: bool = True,
        pace_ns: int = SECOND_NS,
        watchdog: bool = False,
        start_ns: int = START_NS,
    ) -> None:
        self.seed = seed
        self.products = products
        self.clock = VirtualClock(start_ns)
        if make is None:
            venue = synthetic_venue(
                self.clock.now_ns, key().verifying(), seed=seed, products=products, usual=usual, slow=slow
            )
        else:
            venue = make(self.clock)
        self.venue = venue
        self.store = MemoryStore()
        self.pages = KernelPages()
        outside = KernelVenue(venue, seed, habits)
        made = self._run_of(policy or policy_for(products), outside)
        self._place = self._watchdog(outside, made.policy, seed) if watchdog else None
        self.world = World(
            clock=self.clock,
            store=self.store,
            venue=outside,
            pages=self.pages,
            key=key(),
            launch=made,
            pace_ns=pace_ns,
            watchdog=self._place,
        )
        self.since: dict[tuple[int, str], int] = {}  # when an invariant first saw what must not last
        self.owned: list[tuple[int, bool]] = []
        """Since when a desk stands behind the orders, or none does."""
        self.pages.on_change = self._note_owner
        self.replies: list[Reply] = []
        """What the watchdog answered to who asked it directly."""
        self.begun: Callable[[], None] = lambda: None
        """Called when a desk begins after the first one."""
        self.replaced: Counter[str] = Counter()
        """Why the root process replaced a desk, and how often."""
        self.desks = self._connections = 0
        self._epoch = self._revoked_ns = 0
        self.desk = self.begin()

    @property
    def watchdog(self) -> KernelWatchdog:
        """The one that runs beside the desk."""
        assert self._place is not None, "made without a watchdog"
        return self._place

    def begin(self) -> KernelDesk:
        """Start a desk from what the store has."""
        self.desks += 1
        first = 1 if self.desks == 1 else self.desk.node.directory.next_seq()
        rows = (supervisor.GROUPS, supervisor.ACTORS, supervisor.ALPHA_ACTORS)
        desk = KernelDesk(self.world, *rows, seed=self.seed * 1000 + self.desks, first_seq=first)
        self._epoch, self._revoked_ns = self.pages.current(), 0
        desk.start()
        return desk

    def drop(self, *, power_loss: bool = False) -> None:
        """The desk dies here and now, or the whole machine, and nobody starts another."""
        self.desk.drop()
        if power_loss:
            self.store.power_loss()
        self.store.crash()

    def again(self, *, power_loss: bool = False, down_s: float = 0.0) -> None:
        """The desk dies here and now, or the whole machine; `down_s` later the next one starts."""
        self.drop(power_loss=power_loss)
        self.desk.kernel.after_step = None
        self.run(down_s)
        self.desk = self.begin()
        self.begun()

    def rerun(self, policy: Policy) -> None:
        """The whole run ends, root process and all; the next one follows `policy`, on the same store and venue."""
        self.drop()
        self.world = replace_world(self.world, launch=self._run_of(policy, self.world.venue))
        self.desk = self.begin()

    def freeze(self) -> None:
        """The desk does nothing from here on; its connections stay open."""
        self.desk.freeze()

    def freeze_when(self, seen: Callable[[], bool]) -> None:
        """The desk freezes right after the message whose handling made `seen` true, with all that it had in hand."""
        kernel = self.desk.kernel

        def look() -> None:
            if seen():
                kernel.after_step = None
                self.freeze()

        kernel.after_step = look

    def wake(self) -> None:
        """The frozen desk goes on where it stood."""
        self.desk.wake()

    def end_watchdog(self) -> None:
        """The watchdog dies here and now."""
        self.watchdog.end()

    def begin_watchdog(self) -> None:
        """The next one starts from the log."""
        self.watchdog.begin()

    def kill(self, reason: str = "test", scope: str = "mine") -> None:
        """An operator's kill, to the watchdog's socket; the answer comes to `replies`."""
        self.watchdog.ask(KillNow(by="test", reason=reason, scope=scope), self.replies.append)

    def rearm(self) -> int:
        """An operator's rearm, to the desk's socket; returns the connection on which it will be answered."""
        return self.ask(Rearm(by="test", confirm="checked"))

    def ask(self, request: ControlRequest) -> int:
        """Ask on the desk's socket; `answer` has what came of it."""
        self._connections += 1
        self.tell("control", Asked(connection=self._connections, request=request))
        return self._connections

    def answer(self, connection: int) -> Reply | None:
        """What the desk answered on a connection."""
        return next((a.reply for a in self.desk.control.answers if a.connection == connection), None)

    def watch(self, seconds: float) -> None:
        """Run with a root process: a desk that ended, or whose epoch was revoked 1 s ago, is replaced."""
        end_ns = self.clock.now_ns() + int(seconds * SECOND_NS)
        while (left_ns := end_ns - self.clock.now_ns()) > 0:
            self.run(min(ROOT_S, left_ns / SECOND_NS))
            self._look_after_desk()

    def _look_after_desk(self) -> None:
        now_ns = self.clock.now_ns()
        if self.pages.current() != self._epoch and not self._revoked_ns:
            self._revoked_ns = now_ns
        overdue = self._revoked_ns and now_ns - self._revoked_ns >= SECOND_NS
        reasons = {"gave up": self.desk.ends, "died": not self.pages.desk_alive, "revoked": overdue}
        why = next((name for name, found in reasons.items() if found), None)
        if why is not None:
            self.replaced[why] += 1
            self.again()

    def _note_owner(self) -> None:
        owned = self.pages.owned()
        if not self.owned or self.owned[-1][1] is not owned:
            self.owned.append((self.clock.now_ns(), owned))

    def _run_of(self, policy: Policy, outside: KernelVenue) -> Launch:
        return launch(resolved(policy, outside, self.clock.now_ns()), BOT, self.seed)

    def _watchdog(self, outside: KernelVenue, policy: Policy, seed: int) -> KernelWatchdog:
        lane, life_s = policy.rate_limits.kill_sweep, policy.auth.order_token_life_s + 10
        settings = Settings(bot=BOT, signature_ns=life_s * SECOND_NS, rate_per_s=lane.rate_per_s, burst=lane.burst)
        place = KernelWatchdog(self.clock, self.store, outside, self.pages, settings, seed=seed)
        place.begin()
        return place

    def crash(self, room: str) -> None:
        """End an actor, or all of a kind, at its next turn: as if its step had raised."""
        for name, record in list(self.desk.node.tree.records.items()):
            if record.shell is not None and room in (name, name.partition(":")[0]):
                record.shell.actor_ref.tell(Failure(RuntimeError("ended by the plan")))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.desk.kernel.run_for(int(seconds * SECOND_NS))

    def seconds_until(self, seen: Callable[[], bool], limit_s: float, *, root: bool = False) -> float:
        """Live until `seen`, for less than `limit_s`, with a `root` process or without; how long it took."""
        began_ns = self.clock.now_ns()
        while not seen():
            took_s = (self.clock.now_ns() - began_ns) / SECOND_NS
            assert took_s < limit_s, f"not within {limit_s} s"
            (self.watch if root else self.run)(STEP_S)
        return (self.clock.now_ns() - began_ns) / SECOND_NS

    def tell(self, to: str, message: Message) -> None:
        """Hand an actor a message."""
        self.desk.node.tell(to, message)

    def fills(self) -> list[FillView]:
        """Every fill of ours at the venue, oldest first."""
        query, found = FillQuery(limit=1000), list[FillView]()
        while page := (answer := self.venue.exchange.list_fills(USER, query, self.clock.now_ns())).fills:
            found += page
            if not answer.cursor:
                break
            query = replace(query, cursor=answer.cursor)
        return found[::-1]

    def journal(self) -> list[tuple[int, bytes]]:
        """Every stored entry, as its bytes."""
        return list(self.store.entries())
