"""What the watchdog's core hears from its edges, and what it asks of them. Pure."""

from collections.abc import Iterable

from protocol.base import Value
from protocol.control import Latch, Reply, Request
from protocol.orders import IN_DOUBT, OrderState

TICK_S = 0.1
"""How often the edges look."""
STORE_S, LIST_S = 0.2, 10.0
"""How long they wait for the desk's store, and for a whole list."""
CLOCK_S = 10.0
"""How often they take the venue's clock over."""


class Resting(Value, frozen=True, kw_only=True):
    """An order as the venue or the desk's store names it."""

    client_order_id: str
    venue_order_id: str


class Tick(Value, frozen=True, kw_only=True):
    """What is seen ten times a second. `file_ns`: when the flag file was written."""

    pulse_age_ns: int
    armed: bool
    desk_pid: int
    desk_alive: bool
    root_alive: bool
    kill_file: bool
    file_text: str
    epoch: int
    file_ns: int = 0


class Asked(Value, frozen=True, kw_only=True):
    """Somebody asks, on connection `connection`."""

    connection: int
    request: Request


class Known(Value, frozen=True, kw_only=True):
    """Orders that the desk's store says may rest; what it could not say in time is left to the venue's lists.

    `unresolved`: so many requests of the desk went out and their outcome is not known; None: it could not say.
    `oldest_ns`: when the oldest order not known terminal was made; None: nobody knows.
    """

    orders: tuple[Resting, ...]
    unresolved: int | None
    oldest_ns: int | None = None


class Listed(Value, frozen=True, kw_only=True):
    """One complete list of the venue, or None: it could not be had."""

    number: int
    orders: tuple[Resting, ...] | None


def known_of(orders: Iterable[OrderState]) -> Known:
    """What the desk's store says, from its orders not known terminal. The venue can be asked for those it has named."""
    states = [s for s in orders if not s.terminal]
    return Known(
        orders=tuple(
            Resting(client_order_id=s.client_order_id, venue_order_id=s.venue_order_id)
            for s in states
            if s.venue_order_id is not None
        ),
        unresolved=sum(s.status in IN_DOUBT for s in states),
        oldest_ns=min((s.created_ns for s in states), default=None),
    )


class LeaveAsked(Value, frozen=True, kw_only=True):
    """SIGTERM: leave as soon as nothing of ours rests."""


class KillSignalled(Value, frozen=True, kw_only=True):
    """SIGUSR1 to this very process."""


Event = Tick | Asked | Known | Listed | LeaveAsked | KillSignalled


class StepEpoch(Value, frozen=True, kw_only=True):
    """Raise the epoch in the watchdog's slot: from here on the desk cannot place."""


class Write(Value, frozen=True, kw_only=True):
    """Have the latch on disk before anything that follows."""

    latch: Latch


class ReadKnown(Value, frozen=True, kw_only=True):
    """Read the desk's store, in a thread that nobody waits for."""


class TakeList(Value, frozen=True, kw_only=True):
    """Take a complete list at the venue."""

    number: int


class Cancel(Value, frozen=True, kw_only=True):
    """Cancel these at the venue, now."""

    venue_order_ids: tuple[str, ...]


class Answer(Value, frozen=True, kw_only=True):
    """The one reply on a connection."""

    connection: int
    reply: Reply


class Cry(Value, frozen=True, kw_only=True):
    """A CRITICAL line for people."""

    event: str
    detail: str


class Leave(Value, frozen=True, kw_only=True):
    """This process's duty is done."""


Action = StepEpoch | Write | ReadKnown | TakeList | Cancel | Answer | Cry | Leave
Actions = tuple[Action, ...]
