"""Snapshots: all records after entry n, checksummed, so that a start need not fold the whole journal. Pure.

Nothing depends on any one of them: snapshot(n) = fold(journal up to n), and a damaged one is bridged by an older one
and more journal.
"""

import hashlib
import zlib
from collections.abc import Callable

import msgspec

from actors.runtime.journal_format import Head
from protocol.base import Value
from protocol.lifecycle import StoreRecord

FORMAT = b"SNAP\x01"
KEEP = 3
EVERY = 10_000
"""Entries between two snapshots at least; with more records than that, as many entries as records, so that writing
snapshots never costs more than two records for each entry."""

_SHA_AT = len(FORMAT)
_BODY_AT = _SHA_AT + 32


class CorruptSnapshotError(ValueError):
    """Not what was written."""


class Snapshot(Value, frozen=True, kw_only=True):
    """Every record as it stood after the entry `head`."""

    head: Head
    records: tuple[StoreRecord, ...]


def due(entries_since: int, records: Callable[[], int]) -> bool:
    """Whether the next snapshot should be taken. `records` counts them; asked only where it matters."""
    return entries_since >= EVERY and entries_since >= records()


def encode(snapshot: Snapshot) -> bytes:
    """A snapshot as bytes."""
    body = zlib.compress(msgspec.msgpack.encode(snapshot), level=1)
    return FORMAT + hashlib.sha256(body).digest() + body


def decode(data: bytes) -> Snapshot:
    """The snapshot in `data`. Raises CorruptSnapshotError."""
    body = data[_BODY_AT:]
    if data[:_SHA_AT] != FORMAT or hashlib.sha256(body).digest() != data[_SHA_AT:_BODY_AT]:
        raise CorruptSnapshotError("its checksum does not fit its contents")
    try:
        return msgspec.msgpack.decode(zlib.decompress(body), type=Snapshot)
    except (msgspec.MsgspecError, zlib.error) as exc:
        raise CorruptSnapshotError(f"checksum fits, contents do not: {exc}") from exc
