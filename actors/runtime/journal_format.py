"""How a journal entry looks on disk, for the recorder that writes it and for every process that reads it. Pure.

An entry is `format byte, previous SHA-256, own SHA-256, msgpack of (draft, records)`. Its hash covers the previous
hash, its own index and the rest, so a flipped, dropped, repeated or reordered entry shows. The records are those that
its commit wrote: they make snapshot(n) = fold(journal up to n) possible (architecture §7, 11).
"""

import hashlib

import msgspec

from protocol.base import Value
from protocol.journal import Draft, JournalEntry
from protocol.lifecycle import StoreRecord

GENESIS = bytes(32)
"""What the first entry names as its predecessor."""
FORMAT = 1
MAX_KEY_BYTES = 511
"""Longest key of a record, in UTF-8: LMDB's own limit, kept by every store."""
_BODY_AT = 1 + 32 + 32

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Draft, tuple[StoreRecord, ...]])


class CorruptEntryError(ValueError):
    """An entry that is not what was written, or not where it was written. Names the entry."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"journal entry {index}: {reason}")
        self.index = index
        self.reason = reason


class Head(Value, frozen=True, kw_only=True):
    """The last entry's index and hash; 0 and `GENESIS` while there is none."""

    index: int = 0
    sha: bytes = GENESIS


class Sealed(Value, frozen=True, kw_only=True):
    """An entry and the records its commit wrote."""

    entry: JournalEntry
    records: tuple[StoreRecord, ...]

    @property
    def head(self) -> Head:
        """The chain's head when this entry is the last."""
        return Head(index=self.entry.index, sha=self.entry.sha)


def key(index: int) -> bytes:
    """Journal keys sort as their indices do."""
    return index.to_bytes(8, "big")


def index_of(stored: bytes) -> int:
    """The index in a journal key."""
    return int.from_bytes(stored, "big")


def seal(head: Head, draft: Draft, records: tuple[StoreRecord, ...] = ()) -> tuple[Head, bytes]:
    """The entry after `head` as bytes, and the chain's new head."""
    body = _encoder.encode((draft, records))
    after = Head(index=head.index + 1, sha=_digest(head.index + 1, head.sha, body))
    return after, bytes((FORMAT,)) + head.sha + after.sha + body


def unseal(index: int, data: bytes) -> Sealed:
    """The entry stored at `index`, its own hash checked; its link is checked by `follows`.

    Raises:
        CorruptEntryError: not what was written there.
    """
    if len(data) < _BODY_AT:
        raise CorruptEntryError(index, "cut short")
    if data[0] != FORMAT:
        raise CorruptEntryError(index, f"format {data[0]} is not {FORMAT}")
    prev_sha, sha, body = data[1:33], data[33:_BODY_AT], data[_BODY_AT:]
    if _digest(index, prev_sha, body) != sha:
        raise CorruptEntryError(index, "its hash does not fit its contents")
    try:
        draft, records = _decoder.decode(body)
    except msgspec.MsgspecError as exc:
        raise CorruptEntryError(index, f"hash fits, contents do not: {exc}") from exc
    return Sealed(entry=JournalEntry(index=index, prev_sha=prev_sha, sha=sha, draft=draft), records=records)


def follows(head: Head, index: int, data: bytes) -> Sealed:
    """The entry stored at `index`, which must be the one right after `head`.

    Raises:
        CorruptEntryError: a gap, a strange predecessor, or as `unseal`.
    """
    if index != head.index + 1:
        raise CorruptEntryError(head.index + 1, f"missing; the next one is {index}")
    sealed = unseal(index, data)
    if sealed.entry.prev_sha != head.sha:
        raise CorruptEntryError(index, "does not follow its predecessor")
    return sealed


def _digest(index: int, prev_sha: bytes, body: bytes) -> bytes:
    return hashlib.sha256(b"".join((prev_sha, key(index), bytes((FORMAT,)), body))).digest()
