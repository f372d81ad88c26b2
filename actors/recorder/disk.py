"""The store on disk: LMDB, one writer, every commit synced before it counts.

One `LmdbStore` serves a process for its life, across incarnations of the recorder: LMDB allows one environment per
process and path. A hung incarnation keeps the write lock until its disk answers; its successor is told `busy`
instead of hanging behind it.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from actors.recorder.mounts import refuse_network
from actors.recorder.store import (
    OutcomeUnknownError,
    StoreBusyError,
    StoreFailedError,
    StoreFullError,
)
from actors.runtime.journal_format import MAX_KEY_BYTES, Head, key
from actors.runtime.store_reader import (
    HEAD,
    JOURNAL,
    MAP_SIZE,
    META,
    RECORDS,
    StoreReader,
    decode_head,
    encode_head,
    refuse_truncated,
)
from protocol.lifecycle import StoreRecord

MAX_MAP_SIZE = 256 << 30
DISK_RESERVE = 64 << 20
"""Bytes that must stay free on the disk: logs, snapshots and the watchdog need room too."""
MAX_READERS = 64
SNAPSHOTS = "snapshots"


class FileShelf:
    """One file per snapshot below STATE/store/snapshots, whole and synced before it has its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def indices(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(int(path.stem) for path in self._folder.glob("*.snapshot")))

    def read(self, index: int) -> bytes:
        """Raises OSError: cannot be read."""
        return self._path(index).read_bytes()

    def write(self, index: int, data: bytes) -> None:
        """Durable when it returns. Raises OSError."""
        write_durably(self._path(index), data)

    def remove(self, index: int) -> None:
        """None there is no error."""
        self._path(index).unlink(missing_ok=True)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:020d}.snapshot"


class _Writing:
    def __init__(self, store: "LmdbStore", txn: lmdb.Transaction) -> None:
        self._txn = txn
        self._records, self._journal, self._meta = store.databases
        self.before = self._head = decode_head(_copy(txn.get(HEAD, db=self._meta)))
        self._touched = False

    def head(self) -> Head:
        return self._head

    def get(self, name: str) -> bytes | None:
        return _copy(self._txn.get(name.encode(), db=self._records))

    def put(self, record: StoreRecord) -> None:
        name = record.key.encode()
        if not 0 < len(name) <= MAX_KEY_BYTES:
            raise StoreFailedError(f"key of {len(name)} bytes")
        if record.value is None:
            self._txn.delete(name, db=self._records)
        else:
            self._txn.put(name, record.value, db=self._records)

    def append(self, head: Head, data: bytes) -> None:
        self._txn.put(key(head.index), data, db=self._journal, append=True)
        self._head = head

    def drop_entry(self, index: int) -> None:
        self._txn.delete(key(index), db=self._journal)

    def touch(self) -> None:
        self._touched = True

    def finish(self) -> None:
        """Writes the head once per transaction, not once per entry."""
        if self._touched or self._head != self.before:
            self._txn.put(HEAD, encode_head(self._head), db=self._meta)


class LmdbStore(StoreReader):
    """Args: `folder` is STATE/store, made when missing; `map_size` differs from `MAP_SIZE` in tests of growth only.

    Raises:
        NetworkMountError: `folder` lies on a network file system.
        lmdb.Error: it cannot be opened.
    """

    def __init__(self, folder: Path, map_size: int = MAP_SIZE) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_network(folder)
        self.folder = folder
        self.shelf = FileShelf(folder / SNAPSHOTS)
        self._map_size = map_size
        self._writer = threading.Lock()
        self._map = threading.RLock()
        self._usable = False
        self._open()

    def _open(self) -> None:
        environment = lmdb.open(
            str(self.folder),
            map_size=self._map_size,
            max_dbs=3,
            mode=0o600,
            max_readers=MAX_READERS,
            sync=True,
            metasync=True,
        )
        try:
            refuse_truncated(environment, self.folder)
        except BaseException:
            environment.close()
            raise
        self.databases = tuple(environment.open_db(name) for name in (RECORDS, JOURNAL, META))
        super().__init__(environment)
        self.tidy()
        self._usable = True

    def close(self) -> None:
        """A transaction still in progress is waited for."""
        with self._writer, self._map:
            super().close()

    @contextmanager
    def transaction(self) -> Iterator[_Writing]:
        """As `Store.transaction`."""
        with self._exclusively():
            txn = self._write()
            try:
                writing = _Writing(self, txn)
                yield writing
                writing.finish()
            except lmdb.MapFullError as exc:
                txn.abort()
                raise StoreFullError(str(exc)) from exc
            except lmdb.Error as exc:
                txn.abort()
                raise StoreFailedError(str(exc)) from exc
            except BaseException:
                txn.abort()
                raise
            self._commit(txn, writing.before)

    def put_meta(self, name: bytes, value: bytes) -> None:
        """Keep one value of the store's own. Raises StoreError."""
        with self._exclusively(), self._env.begin(write=True, db=self.databases[2]) as txn:
            txn.put(name, value)

    def grow(self) -> None:
        """Doubles the map. Raises StoreFailedError: at its limit, or the disk has no room; StoreBusyError."""
        with self._exclusively(), self._map:
            now = self._env.info()["map_size"]
            if now >= MAX_MAP_SIZE:
                raise StoreFailedError(f"the map has reached its limit of {MAX_MAP_SIZE} bytes")
            if shutil.disk_usage(self.folder).free < DISK_RESERVE:
                raise StoreFailedError(f"less than {DISK_RESERVE} bytes left on the disk")
            self._map_size = now * 2
            self._env.set_mapsize(self._map_size)

    def tidy(self) -> None:
        """Clears the reader slots of dead processes."""
        self._env.reader_check()

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._writer.acquire(blocking=False):
            raise StoreBusyError("a transaction is in progress")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction]:
        with self._map, super()._begin() as txn:  # the map must not move, nor the environment close, under a reader
            yield txn

    def _write(self) -> lmdb.Transaction:
        try:
            if not self._usable:
                self._reopen()
            return self._env.begin(write=True)
        except lmdb.Error as exc:
            raise StoreFailedError(str(exc)) from exc

    def _commit(self, txn: lmdb.Transaction, before: Head) -> None:
        try:
            txn.commit()
        except lmdb.MapFullError as exc:
            raise StoreFullError(str(exc)) from exc
        except lmdb.Error as exc:
            self._judge(before, exc)

    def _judge(self, before: Head, error: lmdb.Error) -> None:
        """After a failed commit the environment may be unusable and the outcome open: look again from outside."""
        try:
            self._reopen()
            found = self.head()
        except lmdb.Error as exc:
            raise OutcomeUnknownError(f"{error}; then {exc}") from exc
        if found != before:
            raise OutcomeUnknownError(str(error)) from error
        raise StoreFailedError(str(error)) from error

    def _reopen(self) -> None:
        with self._map:
            self._usable = False
            self._env.close()
            self._open()


def write_durably(path: Path, data: bytes) -> None:
    """Replaces a file: a reader, or a start after a power loss, finds the old one whole or the new one whole."""
    draft = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(found: bytes | memoryview | None) -> bytes | None:
    return None if found is None else bytes(found)
