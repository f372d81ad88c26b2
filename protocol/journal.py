"""What the recorder is asked to write, and what it releases. The recorder is the sequencer (architecture §1.3)."""

from enum import Enum
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.effects import Submit
from protocol.lifecycle import StoreRecord


class EntryKind(Enum):
    """HANDLED: an actor took this message from its mailbox. SAID: something it wanted on record (a `Note`)."""

    HANDLED = "handled"
    SAID = "said"


class Draft(Value, frozen=True, kw_only=True):
    """One journal entry before the recorder numbers and chains it.

    `seq` and `cause` are those of the envelope that was handled (for SAID: of the one that made it speak);
    `body` is the message as `codec.encode` writes it.
    """

    kind: EntryKind
    actor: str
    incarnation: int
    sender: str
    seq: int
    cause: int
    at_ns: int
    body: bytes


class CommitRequest(Message, frozen=True, kw_only=True, tag="journal.commit"):
    """One transaction for `reply_to`, answered by `Committed(number)` or `CommitFailed(number)`."""

    reply_to: str
    number: int
    drafts: tuple[Draft, ...]
    records: tuple[StoreRecord, ...]
    outbox: tuple[Submit, ...]
    fresh: tuple[str, ...]


class Append(Message, frozen=True, kw_only=True, tag="journal.append"):
    """Journal entries that nobody waits for; they join the next transaction."""

    drafts: tuple[Draft, ...]


class Released(Message, frozen=True, kw_only=True, tag="journal.released"):
    """Recorder to gateway, and nobody else: this place request is on disk, send it. `index`: its journal entry."""

    submit: Submit
    index: int


class JournalEntry(Value, frozen=True, kw_only=True):
    """An entry as stored: `index` rises by one; `sha` is SHA-256 over `prev_sha` and the rest."""

    index: int
    prev_sha: bytes
    sha: bytes
    draft: Draft


class StoreTrouble(Message, frozen=True, kw_only=True, tag="journal.trouble"):
    """Recorder to risk: the store cannot be written (or can again: `ok`). `kind`: full, slow or failed."""

    lane: ClassVar[Lane] = Lane.CONTROL
    ok: bool
    kind: str
    detail: str


JournalMessage = CommitRequest | Append | Released | StoreTrouble
