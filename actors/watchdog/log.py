"""The watchdog's own log: one JSON line per change of the latch, checksummed, synced before anything else happens.

The file is allocated whole at the start, so that a full disk cannot keep a kill from being latched. A line cut off at
the end was never acted on; anything else that does not check means that nobody can say whether it was killed.
"""

import os
import zlib
from pathlib import Path

import msgspec

from protocol.control import Latch

SIZE = 1 << 20
_FREE = b"\0"


class Line(msgspec.Struct, frozen=True):
    """One line: the latch, and the CRC-32 of its JSON."""

    crc: int
    latch: msgspec.Raw


class LatchLog:
    """The log of one installation. Raises OSError where it cannot be had: then there is no watchdog."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _allocated(path)
        self._last: Latch | None = None
        self._end = 0
        self.damaged = self._read()

    def last(self) -> Latch | None:
        """The newest whole line; None before the first. Of a damaged log it says nothing."""
        return self._last

    def write(self, latch: Latch) -> None:
        """Append and sync. A file that is full or damaged makes way for one that begins with this line."""
        body = msgspec.json.encode(latch)
        line = msgspec.json.encode(Line(crc=zlib.crc32(body), latch=msgspec.Raw(body))) + b"\n"
        if self.damaged or self._end + len(line) > SIZE:
            self._begin_anew(line)
        else:
            os.pwrite(self._file, line, self._end)
            os.fdatasync(self._file)
        self._end += len(line)
        self._last = latch

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin_anew(self, line: bytes) -> None:
        """The old file stands until the new one is on disk whole: no moment without a latch."""
        draft = self._path.with_suffix(".log.new")
        draft.unlink(missing_ok=True)
        file = _allocated(draft)
        os.pwrite(file, line, 0)
        os.fsync(file)
        if self.damaged:
            self._path.rename(self._path.with_suffix(".log.damaged"))
        draft.rename(self._path)
        _sync_folder(self._path.parent)
        os.close(self._file)
        self._file, self._end, self.damaged = file, 0, False

    def _read(self) -> bool:
        """Read to the last whole line; returns whether something else than a cut-off line follows it."""
        data = os.pread(self._file, SIZE, 0).rstrip(_FREE)
        *whole, rest = data.split(b"\n")
        for raw in whole:
            latch = _checked(raw)
            if latch is None:
                return True
            self._last = latch
            self._end += len(raw) + 1
        if rest:  # what was being written when the process ended: the next line takes its place
            os.pwrite(self._file, _FREE * len(rest), self._end)
        return False


def _allocated(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(file).st_size < SIZE:
        os.posix_fallocate(file, 0, SIZE)
        os.fsync(file)
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(raw: bytes) -> Latch | None:
    try:
        line = msgspec.json.decode(raw, type=Line)
        body = bytes(line.latch)
        return msgspec.json.decode(body, type=Latch) if zlib.crc32(body) == line.crc else None
    except msgspec.MsgspecError:
        return None
