"""A store in memory with the transaction semantics of LMDB, for the kernel and for faults that no real disk offers.

A commit passes three points, as LMDB's does: `written` (pages on their way, not yet visible), `flipped` (the meta page
names them, not yet synced) and `synced` (durable; only now does the transaction end). A process that dies keeps what
was flipped, a machine that loses power only what was synced.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from actors.recorder.store import StoreBusyError, StoreFailedError, StoreFullError
from actors.runtime.journal_format import MAX_KEY_BYTES, Head
from protocol.lifecycle import StoreRecord

Point = Callable[[str], None]
POINTS = ("written", "flipped", "synced")


class MemoryShelf:
    """Snapshots by index."""

    def __init__(self) -> None:
        self.blobs: dict[int, bytes] = {}

    def indices(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(self.blobs))

    def read(self, index: int) -> bytes:
        """Raises OSError: none there."""
        if index not in self.blobs:
            raise FileNotFoundError(f"snapshot {index}")
        return self.blobs[index]

    def write(self, index: int, data: bytes) -> None:
        """At once."""
        self.blobs[index] = data

    def remove(self, index: int) -> None:
        """None there is no error."""
        self.blobs.pop(index, None)


@dataclass
class _Changes:
    """What one transaction would do; journal values of None are dropped entries."""

    head: Head
    records: dict[str, bytes | None] = field(default_factory=dict)
    journal: dict[int, bytes | None] = field(default_factory=dict)


class _Writing:
    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        self.changes = _Changes(store.head())

    def head(self) -> Head:
        return self.changes.head

    def get(self, key: str) -> bytes | None:
        return self.changes.records[key] if key in self.changes.records else self._store.value(key)

    def put(self, record: StoreRecord) -> None:
        if not 0 < len(record.key.encode()) <= MAX_KEY_BYTES:
            raise StoreFailedError(f"key of {len(record.key.encode())} bytes")
        self.changes.records[record.key] = record.value

    def append(self, head: Head, data: bytes) -> None:
        self.changes.head = head
        self.changes.journal[head.index] = data

    def drop_entry(self, index: int) -> None:
        self.changes.journal[index] = None

    def touch(self) -> None:
        """Every transaction here passes its points, also an empty one."""


class MemoryStore:
    """A store whose contents outlive crashes of everything but the object itself.

    Args:
        at_point: called at each point of a commit, by name; may raise, as an error of the disk or a death there.
        capacity: bytes it takes before it is full; None: no limit.
    """

    def __init__(self, at_point: Point | None = None, capacity: int | None = None) -> None:
        self.shelf = MemoryShelf()
        self.at_point = at_point
        self.capacity = capacity
        self._records: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._journal: dict[int, bytes] = {}
        self._head = Head()
        self._used = 0
        self._undo: _Changes | None = None
        self._busy = False

    def head(self) -> Head:
        """The last committed entry."""
        return self._head

    def first(self) -> int:
        """Index of the oldest entry kept; 0 while there is none."""
        return next(iter(self._journal), 0)

    def value(self, key: str) -> bytes | None:
        """One record's committed value."""
        return self._records.get(key)

    def view(self, prefix: str = "") -> tuple[Head, tuple[StoreRecord, ...]]:
        """Records below `prefix`, ascending by key, and the head."""
        return self._head, self.records(prefix)

    def records(self, prefix: str = "") -> tuple[StoreRecord, ...]:
        """Records below `prefix`, ascending by key."""
        found = []
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                break
            found.append(StoreRecord(key=key, value=self._records[key]))
        return tuple(found)

    def count(self) -> int:
        """How many records there are."""
        return len(self._records)

    def entries(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Stored entries from `first` on, ascending."""
        for index in range(max(first, self.first()), self._head.index + 1):
            if index in self._journal:
                yield index, self._journal[index]

    @contextmanager
    def transaction(self) -> Iterator[_Writing]:
        """As `Store.transaction`."""
        if self._busy:
            raise StoreBusyError("a transaction is in progress")
        self._busy = True
        try:
            writing = _Writing(self)
            yield writing
            self._commit(writing.changes)
        finally:
            self._busy = False

    def grow(self) -> None:
        """Doubles the capacity."""
        if self.capacity is not None:
            self.capacity *= 2

    def tidy(self) -> None:
        """There are no other readers."""

    def close(self) -> None:
        """Its contents stay, as a disk's do."""

    def crash(self) -> None:
        """The process died: what was not flipped is gone already; the rest is kept."""
        self._undo = None
        self._busy = False

    def power_loss(self) -> None:
        """The machine died: a commit that was flipped and not synced is gone too."""
        if self._undo is not None:
            self._apply(self._undo)
        self.crash()

    def damage(self, index: int, data: bytes | None) -> None:
        """Replaces a stored entry behind the journal's back, or takes it away."""
        if data is None:
            del self._journal[index]
        else:
            self._journal[index] = data

    def damage_record(self, key: str, value: bytes | None) -> None:
        """Replaces a record behind the journal's back, or takes it away."""
        self._apply(_Changes(self._head, {key: value}))

    def _commit(self, changes: _Changes) -> None:
        size = _size(changes)
        if self.capacity is not None and self._used + size > self.capacity:
            raise StoreFullError(f"{self._used} of {self.capacity} bytes")
        self._reach("written")
        self._undo = self._reverse(changes)
        self._apply(changes)
        self._used += size
        self._reach("flipped")
        self._undo = None
        self._reach("synced")

    def _reach(self, point: str) -> None:
        if self.at_point is not None:
            self.at_point(point)

    def _reverse(self, changes: _Changes) -> _Changes:
        return _Changes(
            self._head,
            {key: self._records.get(key) for key in changes.records},
            {index: self._journal.get(index) for index in changes.journal},
        )

    def _apply(self, changes: _Changes) -> None:
        for key, value in changes.records.items():
            self._set(key, value)
        for index, data in changes.journal.items():
            if data is None:
                self._journal.pop(index, None)
            else:
                self._journal[index] = data
        self._head = changes.head

    def _set(self, key: str, value: bytes | None) -> None:
        if value is None:
            if self._records.pop(key, None) is not None:
                self._keys.remove(key)
            return
        if key not in self._records:
            insort(self._keys, key)
        self._records[key] = value


def _size(changes: _Changes) -> int:
    return sum(len(data) for data in (*changes.records.values(), *changes.journal.values()) if data is not None)
