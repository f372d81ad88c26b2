"""A whole desk in virtual time, from a seed; it may be dropped at any moment and started again from its store."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

import supervisor
from actors.compose.kernel import KernelDesk, KernelPages, World, launch
from actors.recorder.memory import MemoryStore
from actors.runtime.clock import VirtualClock
from actors.runtime.port import Failure
from actors.venue.in_kernel import USER, Habits, KernelVenue, synthetic_venue
from actors.venue.lag import Unpleasantness
from actors.venue.requests import FillQuery
from actors.venue.server_venue import Venue
from actors.venue.wire import FillView
from config.load import load
from protocol.base import Message
from protocol.coinbase.keys import SigningKey
from protocol.policy import Policy

START_NS = 1_795_003_205_000_000_000  # Wednesday 2026-11-18, 12:00:05 UTC
BOT = "sim"
SECOND_NS = 1_000_000_000


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


@cache
def key() -> SigningKey:
    return SigningKey("organizations/0/apiKeys/0", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


class Simulation:
    """World and desk. `make` gives the venue; default: the synthetic market of `products`."""

    def __init__(
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
    ) -> None:
        self.seed = seed
        self.clock = VirtualClock(START_NS)
        if make is None:
            venue = synthetic_venue(
                self.clock.now_ns, key().verifying(), seed=seed, products=products, usual=usual, slow=slow
            )
        else:
            venue = make(self.clock)
        self.venue = venue
        self.store = MemoryStore()
        self.world = World(
            clock=self.clock,
            store=self.store,
            venue=KernelVenue(venue, seed, habits),
            pages=KernelPages(),
            key=key(),
            launch=launch(policy or policy_for(products), BOT, seed),
            pace_ns=pace_ns,
        )
        self.desks = 0
        self.desk = self.begin()

    def begin(self) -> KernelDesk:
        """Start a desk from what the store has."""
        self.desks += 1
        first = 1 if self.desks == 1 else self.desk.node.directory.next_seq()
        rows = (supervisor.GROUPS, supervisor.ACTORS, supervisor.ALPHA_ACTORS)
        desk = KernelDesk(self.world, *rows, seed=self.seed * 1000 + self.desks, first_seq=first)
        desk.start()
        return desk

    def again(self) -> None:
        """The desk dies here and now; the next one starts."""
        self.desk.drop()
        self.store.crash()
        self.desk = self.begin()

    def crash(self, room: str) -> None:
        """End an actor, or all of a kind, at its next turn: as if its step had raised."""
        for name, record in list(self.desk.node.tree.records.items()):
            if record.shell is not None and room in (name, name.partition(":")[0]):
                record.shell.actor_ref.tell(Failure(RuntimeError("ended by the test")))

    def run(self, seconds: float) -> None:
        self.desk.kernel.run_for(int(seconds * SECOND_NS))

    def tell(self, to: str, message: Message) -> None:
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
