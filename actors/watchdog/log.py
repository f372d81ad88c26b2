"""The watchdog's own log: one JSON line per change of the latch, checksummed, synced before anything else happens.

The file is allocated whole at the start, so that a full disk cannot keep a kill from being latched.
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
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_size < SIZE:
            os.posix_fallocate(self._file, 0, SIZE)
            os.fsync(self._file)
        self._lines, self._end = self._read()

    def last(self) -> Latch | None:
        """The newest whole line; None before the first. What was cut off in the middle was never acted on."""
        return self._lines[-1] if self._lines else None

    def write(self, latch: Latch) -> None:
        """Append and sync; starts over at the front, with this line, when the file is full."""
        body = msgspec.json.encode(latch)
        line = msgspec.json.encode(Line(crc=zlib.crc32(body), latch=msgspec.Raw(body))) + b"\n"
        if self._end + len(line) > SIZE:
            os.pwrite(self._file, _FREE * SIZE, 0)
            self._end = 0
        os.pwrite(self._file, line, self._end)
        os.fdatasync(self._file)
        self._end += len(line)
        self._lines.append(latch)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _read(self) -> tuple[list[Latch], int]:
        data = os.pread(self._file, SIZE, 0)
        lines: list[Latch] = []
        end = 0
        for raw in data.rstrip(_FREE).split(b"\n"):
            latch = _checked(raw)
            if latch is None:
                break
            lines.append(latch)
            end += len(raw) + 1
        return lines, end


def _checked(raw: bytes) -> Latch | None:
    try:
        line = msgspec.json.decode(raw, type=Line)
        body = bytes(line.latch)
        return msgspec.json.decode(body, type=Latch) if zlib.crc32(body) == line.crc else None
    except msgspec.MsgspecError:
        return None
