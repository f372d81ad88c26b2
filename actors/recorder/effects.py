"""What the recorder's core asks of its edge, and what edge and core tell the core. Nothing of it leaves the room."""

from typing import ClassVar

from protocol.base import Effect, Lane, Message
from protocol.journal import Append, CommitRequest


class Flush(Message, frozen=True, kw_only=True, tag="recorder.flush"):
    """Queued behind everything that waited when the first request of a batch arrived: the batch is complete."""


class LoadInTurn(Message, frozen=True, kw_only=True, tag="recorder.load_in_turn"):
    """A `Load` behind the event mail that waited before it: what its asker's predecessor still sent counts first."""

    prefixes: tuple[str, ...]
    reply_to: str


Request = CommitRequest | Append | LoadInTurn


class Write(Effect, frozen=True, kw_only=True):
    """One transaction for all of these, in this order, then the loads; answered by `Written` or `Unwritten`.

    `probe`: write something even where there is nothing to write.
    """

    requests: tuple[Request, ...] = ()
    probe: bool = False


class Read(Effect, frozen=True, kw_only=True):
    """Send every record below the load's prefixes to its asker as `Recover`."""

    load: LoadInTurn


class Grow(Effect, frozen=True, kw_only=True):
    """Make the map larger; answered by `Written` (of nothing) or `Unwritten`."""


class Tidy(Effect, frozen=True, kw_only=True):
    """Clear stale reader slots, drop entries past retention."""


class TakeSnapshot(Effect, frozen=True, kw_only=True):
    """Write a snapshot beside the store, keep a few, in the background."""


class Written(Message, frozen=True, kw_only=True, tag="recorder.written"):
    """The edge's word: durable and answered. `snapshot_due`: enough entries since the last one."""

    lane: ClassVar[Lane] = Lane.CONTROL
    entries: int
    took_ns: int
    snapshot_due: bool = False


class Unwritten(Message, frozen=True, kw_only=True, tag="recorder.unwritten"):
    """The edge's word: none of these requests was written. `kind` as in `StoreTrouble`: full, slow or failed."""

    lane: ClassVar[Lane] = Lane.CONTROL
    kind: str
    detail: str
    requests: tuple[Request, ...]
