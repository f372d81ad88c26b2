"""What a room hands to the runtime, and what it is given: role, edge, port, context.

A room is a pure core and, where it touches the world, an edge. `Role` names both; shell, mailbox, pump and tree are
the runtime's and know nothing of what rooms decide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from protocol.base import Effect, Effects, Message
from protocol.instants import SECOND_NS

if TYPE_CHECKING:
    from protocol.policy import Policy

S = TypeVar("S")


class Port(Protocol):
    """One incarnation's way out, for its edge. Every method may be called from any thread.

    `cause` is the sequence number of the message whose effect is being performed: an edge that answers later keeps
    it and passes it back, so that the chain of causes runs through the outside world too.
    """

    name: str
    incarnation: int
    cause: int

    def now_ns(self) -> int:
        """UTC nanoseconds of the injected clock."""

    def tell(self, to: str, message: Message, cause: int = 0) -> None:
        """Send `message`. Edges report by telling their own actor (`port.name`). Nothing is sent once superseded."""

    def valid(self) -> bool:
        """False once another incarnation took over: do nothing irreversible then."""

    def failed(self, error: BaseException) -> None:
        """End this incarnation as if its step had raised `error`: for what dies in an edge's own task or thread."""


class Edge(Protocol):
    """Touches sockets, disk and the like, in its actor's dispatch context; never decides, never blocks a pump."""

    def bind(self, port: Port) -> None:
        """Called once, before the first message."""

    def perform(self, effect: Effect) -> None:
        """Carry out one of the room's own effects. Raising ends the incarnation."""

    def close(self) -> None:
        """The incarnation ends: let go of everything. Called once, also after a crash."""


@dataclass(frozen=True, slots=True)
class Role(Generic[S]):
    """One actor's particulars.

    Attributes:
        step: the pure core, `(state, message, now_ns) -> (state, effects)`.
        initial: a fresh state for each incarnation, before `Recover` arrives.
        accepts: message types the core handles; anything else becomes a dead letter and a count. `Recover`,
            `CommitFailed`, `Wake` and `Stop` are always accepted.
        store_prefixes: records below them come with `Recover`; none named: it comes without any.
        journaled: control and event messages handled are journalled.
        edge: a fresh edge per incarnation; None where nothing outside is touched.
    """

    step: Callable[[S, Message, int], tuple[S, Effects]]
    initial: Callable[[], S]
    accepts: tuple[type[Message], ...]
    store_prefixes: tuple[str, ...] = ()
    journaled: bool = True
    edge: Callable[[], Edge] | None = None


class Clock(Protocol):
    """The one injected clock: UTC nanoseconds that never run backwards, so differences are durations."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""


class Epoch(Protocol):
    """The kill epoch as an order path reads it (`pages.EpochPage`, or a kernel's own)."""

    def current(self) -> int:
        """The epoch now."""


class Heartbeat(Protocol):
    """When a pump last came round (`pages.PulsePage`, or a kernel's own)."""

    def age_ns(self, slot: str) -> int:
        """Nanoseconds since the pump named `slot` (core, io) last ticked."""


class Metrics(Protocol):
    """Counters of one process."""

    def count(self, metric: str, labels: tuple[tuple[str, str], ...] = (), by: float = 1.0) -> None:
        """Add `by` to a counter; labels come from closed sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """This run's particulars, resolved from configuration and command line.

    `mode` is embedded, paper or live; `bot` the client id prefix without its dash; `epoch` the kill epoch at start.
    `seed`: what chance begins from. `pace_ns`: how often actors look around and show what they know while nothing
    happens. A simulation of long times makes it as coarse as its market.
    """

    bot: str
    mode: str
    state_dir: Path
    rest_url: str
    market_url: str
    user_url: str
    epoch: int = 0
    seed: int = 0
    pace_ns: int = SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rooms' factories are given: `role(context, …) -> Role`."""

    clock: Clock
    policy: "Policy"
    run: Run
    metrics: Metrics
    epoch: Epoch
    heartbeat: Heartbeat


RoleFactory = Callable[[Context, str], Role[object]]
"""Makes the role of a child of a registered kind, given its name (`Spawn`)."""
