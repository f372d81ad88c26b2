"""Reading the store: from the recorder's own process, and read-only from watchdog, observer and command line.

Loads LMDB and the vocabulary, nothing of the desk. Every read transaction copies out and closes within milliseconds: a
reader that lingers keeps the writer from reusing pages, and nothing else; a frozen writer never blocks a reader.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from actors.runtime.journal_format import Head, index_of, key, unseal
from protocol import codec
from protocol.journal import JournalEntry
from protocol.lifecycle import StoreRecord
from protocol.orders import OrderState

STORE = "store"
"""Folder of the store below the state directory."""
MAP_SIZE = 4 << 30
"""Address space, not disk: every process opens with at least the writer's size; who finds it grown adopts that."""
RECORDS, JOURNAL, META = b"records", b"journal", b"meta"
HEAD = b"head"
OPEN_ORDERS = "order/"
CLOSED_ORDERS = "closed-order/"
PAGE = 500
"""Journal entries copied per read transaction: about a millisecond."""


class NoStoreError(FileNotFoundError):
    """There is no store to read yet."""


class StoreReader:
    """Reads of one environment; safe from several threads, each call is one short transaction (entries: one a page)."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._env = environment
        try:
            self._records = environment.open_db(RECORDS, create=False)
            self._journal = environment.open_db(JOURNAL, create=False)
            self._meta = environment.open_db(META, create=False)
        except lmdb.NotFoundError as exc:
            raise NoStoreError(f"the store is empty: {exc}") from exc

    def close(self) -> None:
        """Give the reader slot back."""
        self._env.close()

    def head(self) -> Head:
        """The last committed entry."""
        with self._begin() as txn:
            return self._head(txn)

    def first(self) -> int:
        """Index of the oldest entry kept; 0 while there is none."""
        with self._begin() as txn, txn.cursor(self._journal) as cursor:
            return index_of(bytes(cursor.key())) if cursor.first() else 0

    def get(self, name: str) -> bytes | None:
        """One record's value."""
        with self._begin() as txn:
            return _copy(txn.get(name.encode(), db=self._records))

    def meta(self, name: bytes) -> bytes | None:
        """One value of the store's own."""
        with self._begin() as txn:
            return _copy(txn.get(name, db=self._meta))

    def count(self) -> int:
        """How many records there are."""
        with self._begin() as txn:
            return int(txn.stat(self._records)["entries"])

    def records(self, prefix: str = "") -> tuple[StoreRecord, ...]:
        """Every record below `prefix`, ascending by key, as of one moment."""
        return self.view(prefix)[1]

    def view(self, prefix: str = "") -> tuple[Head, tuple[StoreRecord, ...]]:
        """The records below `prefix` and the entry after which they stood so: one moment."""
        with self._begin() as txn:
            return self._head(txn), tuple(self._scan(txn, prefix.encode()))

    def entries(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Stored entries from `first` on, ascending, undecoded; follows a growing journal to its end."""
        while page := self._page(first, PAGE):
            yield from page
            first = page[-1][0] + 1

    def entry(self, index: int) -> JournalEntry | None:
        """One entry. Raises CorruptEntryError."""
        found = self._page(index, 1)
        return unseal(*found[0]).entry if found and found[0][0] == index else None

    def tail(self, after: int, limit: int = PAGE) -> list[JournalEntry]:
        """Up to `limit` entries with an index above `after`, ascending. Raises CorruptEntryError."""
        return [unseal(index, data).entry for index, data in self._page(after + 1, limit)]

    def newest(self, limit: int = PAGE) -> list[JournalEntry]:
        """The last `limit` entries, ascending. Raises CorruptEntryError."""
        return self.tail(max(0, self.head().index - limit), limit)

    def related(self, seq: int, within: int = 200_000) -> list[JournalEntry]:
        """Entries of the message `seq` and of those it caused directly, ascending, among the newest `within`.

        Numbers rise across restarts of the desk, so one names one message.
        """
        start = max(1, self.head().index - within + 1)
        entries = (unseal(index, data).entry for index, data in self.entries(start))
        return [entry for entry in entries if seq in (entry.draft.seq, entry.draft.cause)]

    def open_order_ids(self) -> list[str]:
        """Client order ids of every order not known terminal, from the keys alone: no value can spoil it."""
        return [record.key.removeprefix(OPEN_ORDERS) for record in self.records(OPEN_ORDERS)]

    def open_orders(self) -> list[OrderState]:
        """Every order not known terminal. Raises CodecError."""
        return [codec.decode_value(r.value, OrderState) for r in self.records(OPEN_ORDERS) if r.value is not None]

    def order(self, client_order_id: str) -> OrderState | None:
        """One order, open or closed. Raises CodecError."""
        value = self.get(OPEN_ORDERS + client_order_id) or self.get(CLOSED_ORDERS + client_order_id)
        return None if value is None else codec.decode_value(value, OrderState)

    @contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction]:
        try:
            txn = self._env.begin()
        except lmdb.MapResizedError:
            self._env.set_mapsize(0)  # the writer grew the map: adopt its size
            txn = self._env.begin()
        with txn:
            yield txn

    def _head(self, txn: lmdb.Transaction) -> Head:
        return decode_head(_copy(txn.get(HEAD, db=self._meta)))

    def _scan(self, txn: lmdb.Transaction, prefix: bytes) -> Iterator[StoreRecord]:
        with txn.cursor(self._records) as cursor:
            if not cursor.set_range(prefix):
                return
            for name, value in cursor:
                found = bytes(name)
                if not found.startswith(prefix):
                    return
                yield StoreRecord(key=found.decode(), value=bytes(value))

    def _page(self, first: int, limit: int) -> list[tuple[int, bytes]]:
        with self._begin() as txn, txn.cursor(self._journal) as cursor:
            if not cursor.set_range(key(first)):
                return []
            return [(index_of(bytes(name)), bytes(data)) for (name, data), _ in zip(cursor, range(limit), strict=False)]


def _copy(found: bytes | memoryview | None) -> bytes | None:
    return None if found is None else bytes(found)


def encode_head(head: Head) -> bytes:
    """The chain's head as the store keeps it."""
    return key(head.index) + head.sha


def decode_head(data: bytes | None) -> Head:
    """The chain's head from the store; none yet: before the first entry."""
    return Head() if data is None else Head(index=index_of(data[:8]), sha=data[8:])


def refuse_truncated(environment: lmdb.Environment, store: Path) -> None:
    """Raises lmdb.CorruptedError where the file ends before its last page: reading there would end the process."""
    needed = (int(environment.info()["last_pgno"]) + 1) * int(environment.stat()["psize"])
    if (store / "data.mdb").stat().st_size < needed:
        raise lmdb.CorruptedError(f"{store / 'data.mdb'} is shorter than the {needed} bytes it should have")


def open_reader(store: Path) -> StoreReader:
    """Opens the store below STATE/store read-only, from a process that is not the desk.

    Raises:
        NoStoreError: no store there yet.
        lmdb.Error: it cannot be opened.
    """
    if not (store / "data.mdb").exists():
        raise NoStoreError(f"no store at {store}")
    environment = lmdb.open(str(store), readonly=True, create=False, max_dbs=3, map_size=MAP_SIZE)
    try:
        refuse_truncated(environment, store)
        return StoreReader(environment)
    except BaseException:
        environment.close()
        raise
