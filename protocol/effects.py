"""Effects: what cores ask of their shells. Each is performed by one interpreter (architecture §5, style §7)."""

from protocol.base import Effect, Message
from protocol.ids import ClientOrderId
from protocol.lifecycle import StoreRecord
from protocol.orders import OrderSpec


class Tell(Effect, frozen=True, kw_only=True, tag="effect.tell"):
    """Send `message` to the actor named `to`; the name outlives every incarnation."""

    to: str
    message: Message


class SetTimer(Effect, frozen=True, kw_only=True, tag="effect.set_timer"):
    """Be woken (`Wake`) at `due_ns`. A timer of the same name is replaced."""

    timer: str
    due_ns: int


class ClearTimer(Effect, frozen=True, kw_only=True, tag="effect.clear_timer"):
    """Forget a timer; none of that name is no error."""

    timer: str


class Submit(Effect, frozen=True, kw_only=True, tag="effect.submit"):
    """A place request. It travels in the outbox of a `Commit` and nowhere else: the recorder alone releases it."""

    client_order_id: ClientOrderId
    spec: OrderSpec


class Commit(Effect, frozen=True, kw_only=True, tag="effect.commit"):
    """One transaction: new records, journal entries, and the requests released by it.

    The core's new state stands only when `Committed` comes back; until then the actor takes no further event.
    `fresh` are keys that must not exist yet: if one does, nothing is written and the answer says `duplicate`.
    """

    records: tuple[StoreRecord, ...]
    journal: tuple[Message, ...] = ()
    outbox: tuple[Submit, ...] = ()
    fresh: tuple[str, ...] = ()


class Note(Effect, frozen=True, kw_only=True, tag="effect.note"):
    """Journal something that needs no acknowledgement (a decision record, an alert). Written with the next batch."""

    message: Message


class Spawn(Effect, frozen=True, kw_only=True, tag="effect.spawn"):
    """Start a child of a registered `kind` under `name` and give it `first`, unless that name is already alive.

    `fresh`: the name was made just now, so that nothing can be stored under it, and its first incarnation need not ask.
    """

    name: str
    kind: str
    first: Message
    fresh: bool = False


class Retire(Effect, frozen=True, kw_only=True, tag="effect.retire"):
    """End this actor normally after this message; its name and mailbox are forgotten."""


class LogLine(Effect, frozen=True, kw_only=True, tag="effect.log"):
    """One structured log event. `fields` are name and value pairs, already text."""

    level: str
    event: str
    fields: tuple[tuple[str, str], ...] = ()


class Count(Effect, frozen=True, kw_only=True, tag="effect.count"):
    """Add to a counter of the metrics registry; labels come from closed sets."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    by: float = 1.0
