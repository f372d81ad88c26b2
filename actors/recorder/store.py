"""What the recorder needs of a store, and how a store fails. `disk.LmdbStore` and `memory.MemoryStore` keep it.

One transaction at a time holds records, journal and the chain's head together: all of it is durable when the block
ends, or none of it is ever seen.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from actors.runtime.journal_format import Head
from protocol.lifecycle import StoreRecord


class StoreError(Exception):
    """The store did not do it. Base of what `transaction` raises; nothing was written."""


class StoreFullError(StoreError):
    """The map is full: grow and try again."""


class StoreBusyError(StoreError):
    """A transaction is still in progress, as when a hung predecessor waits for its disk."""


class StoreFailedError(StoreError):
    """Disk error, no space left, or the limit of growth."""


class OutcomeUnknownError(Exception):
    """A commit ended in an error after it may have become durable: only reading everything again tells.

    Not a `StoreError`: it must end the recorder, and with it all who wait for it.
    """


class Transaction(Protocol):
    """The one writer's view: its own writes included."""

    def head(self) -> Head:
        """The chain's head."""

    def get(self, key: str) -> bytes | None:
        """A record's value."""

    def put(self, record: StoreRecord) -> None:
        """Write a record, or delete it where its value is None."""

    def append(self, head: Head, data: bytes) -> None:
        """Add the sealed entry whose index and hash are `head`."""

    def drop_entry(self, index: int) -> None:
        """Forget an entry (retention); none there is no error."""

    def touch(self) -> None:
        """Write and sync something that changes nothing: does the disk still take it?"""


class Reads(Protocol):
    """Everything that can be read, of any store and from any process."""

    def head(self) -> Head:
        """The last committed entry."""

    def first(self) -> int:
        """Index of the oldest entry kept; 0 while there is none."""

    def view(self, prefix: str = "") -> tuple[Head, tuple[StoreRecord, ...]]:
        """Records below `prefix`, ascending by key, and the head, of one moment."""

    def entries(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Stored entries from `first` on, ascending."""


class Shelf(Protocol):
    """Where snapshots lie, by the index of the last entry they contain."""

    def indices(self) -> tuple[int, ...]:
        """Ascending."""

    def read(self, index: int) -> bytes:
        """Raises OSError: cannot be read."""

    def write(self, index: int, data: bytes) -> None:
        """Durable when it returns. Raises OSError."""

    def remove(self, index: int) -> None:
        """None there is no error."""


class Store(Reads, Protocol):
    """Records, journal and snapshots of one installation."""

    @property
    def shelf(self) -> Shelf:
        """The snapshots."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Committed and synced when the block ends; undone when it raises.

        Raises:
            StoreError: nothing was written; which one says what to do.
            OutcomeUnknownError: nobody knows whether it was.
        """

    def records(self, prefix: str = "") -> tuple[StoreRecord, ...]:
        """Records below `prefix`, ascending by key."""

    def count(self) -> int:
        """How many records there are."""

    def grow(self) -> None:
        """Make room after `StoreFullError`. Raises StoreFailedError, StoreBusyError."""

    def tidy(self) -> None:
        """Clear what dead readers left (each minute)."""

    def close(self) -> None:
        """Let go of it. A transaction still in progress is waited for."""
