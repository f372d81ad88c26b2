"""The tape: every state message handled, for replay. Compressed segments beside the store; losing it loses no money.

A segment is a row of frames, one a second: `length, CRC-32, zlib of msgpack records`. A frame cut short by a death is
the end of its segment. The writer is a thread of its own behind a bounded queue: a slow disk costs records (counted),
never a moment of trading.
"""

import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from actors.runtime.logging import get
from protocol import codec
from protocol.base import Message, Value

log = get(__name__)

TAPE = "tape"
SUFFIX = ".tape"
QUEUE = 50_000
"""Records waiting for the writer at most: seconds of the busiest market."""
SEGMENT_BYTES = 64 << 20
MAX_BYTES = 8 << 30
MAX_AGE_NS = 7 * 24 * 3600 * 1_000_000_000
FRAME_S = 1.0
_FRAME = struct.Struct(">II")


class TapeRecord(Value, frozen=True, kw_only=True, array_like=True):
    """One state message handled. `body` is the message as `codec.encode` writes it; `at_ns` when it was handled."""

    actor: str
    seq: int
    cause: int
    at_ns: int
    body: bytes


Waiting = tuple[str, int, int, int, Message]


class Tape:
    """The writing end; one per process, closed at its end.

    Args:
        folder: STATE/tape, made when missing.
        max_bytes: all segments together; the oldest go first.
        max_age_ns: the oldest segment kept.
        segment_bytes: where the next segment begins.
        queue_size: records waiting at most.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_age_ns: int = MAX_AGE_NS,
        segment_bytes: int = SEGMENT_BYTES,
        queue_size: int = QUEUE,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.dropped = 0
        """Records that found the queue full or the disk failing."""
        self._folder, self._segment_bytes = folder, segment_bytes
        self._max_bytes, self._max_age_ns = max_bytes, max_age_ns
        self._queue: deque[Waiting] = deque()
        self._queue_size = queue_size
        self._file: BinaryIO | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tape", daemon=True)
        self._thread.start()

    def put(self, actor: str, seq: int, cause: int, at_ns: int, message: Message) -> None:
        """Takes one message and returns at once; may be called from any thread."""
        if len(self._queue) < self._queue_size:
            self._queue.append((actor, seq, cause, at_ns, message))
        else:
            self.dropped += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Writes what waits and ends the thread; gives a hanging disk up after `timeout_s`."""
        self._ending.set()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while not self._ending.wait(FRAME_S):
            self._write_waiting()
        self._write_waiting()
        if self._file is not None:
            self._file.close()

    def _write_waiting(self) -> None:
        records = list(self._waiting())
        if not records:
            return
        try:
            self._write(records)
        except OSError as exc:
            self.dropped += len(records)
            self._file = None
            log.warning("tape_failed", error=str(exc), dropped=self.dropped)

    def _waiting(self) -> Iterator[TapeRecord]:
        for _ in range(len(self._queue)):
            actor, seq, cause, at_ns, message = self._queue.popleft()
            yield TapeRecord(actor=actor, seq=seq, cause=cause, at_ns=at_ns, body=codec.encode(message))

    def _write(self, records: list[TapeRecord]) -> None:
        file = self._segment(records[0].at_ns)
        packed = zlib.compress(msgspec.msgpack.encode(records), level=1)
        file.write(_FRAME.pack(len(packed), zlib.crc32(packed)) + packed)
        file.flush()
        os.fsync(file.fileno())

    def _segment(self, at_ns: int) -> BinaryIO:
        if self._file is not None and self._file.tell() < self._segment_bytes:
            return self._file
        if self._file is not None:
            self._file.close()
        # The process id keeps two processes, and two starts in one nanosecond, apart.
        path = self._folder / f"{at_ns:020d}-{os.getpid()}{SUFFIX}"
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        prune(self._folder, at_ns - self._max_age_ns, self._max_bytes)
        return self._file


def segments(folder: Path) -> list[Path]:
    """Every segment, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def prune(folder: Path, oldest_ns: int, max_bytes: int) -> int:
    """Removes segments wholly older than `oldest_ns`, and the oldest beyond `max_bytes`, never the newest; how many."""
    found = segments(folder)
    sizes = [path.stat().st_size for path in found]
    removed = 0
    for at, path in enumerate(found[:-1]):
        ended_ns = _began_ns(found[at + 1])
        if ended_ns >= oldest_ns and sum(sizes[at:]) <= max_bytes:
            break
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def read(folder: Path, from_ns: int = 0, until_ns: int | None = None) -> Iterator[TapeRecord]:
    """Records handled from `from_ns` on and before `until_ns`, in order. A damaged frame ends its segment."""
    found = segments(folder)
    for at, path in enumerate(found):
        over = at + 1 < len(found) and _began_ns(found[at + 1]) < from_ns
        if over or (until_ns is not None and _began_ns(path) >= until_ns):
            continue
        for record in _records(path):
            if record.at_ns >= from_ns and (until_ns is None or record.at_ns < until_ns):
                yield record


def _records(path: Path) -> Iterator[TapeRecord]:
    with path.open("rb") as file:
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(head)
            packed = file.read(length)
            if len(packed) != length or zlib.crc32(packed) != checksum:
                log.warning("tape_cut", segment=path.name)
                return
            yield from msgspec.msgpack.decode(zlib.decompress(packed), type=list[TapeRecord])


def _began_ns(path: Path) -> int:
    return int(path.name.split("-")[0])
