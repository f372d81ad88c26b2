"""One file with checksummed frames: a whole state first, then what changed since, in order.

A frame is written with one `write` and no flush to the disk's platter: it survives the death of the process, kill -9
included, but not a power cut. Whole states are flushed and renamed into place, so that there is always one.
"""

import fcntl
import os
from pathlib import Path
from struct import Struct
from zlib import crc32

MAGIC = b"venue-state 1\n"
_HEAD = Struct("<IIII")  # payload length, its checksum, frame number, checksum of the three


class CorruptStateError(ValueError):
    """The file is not what was written: nothing of it is used."""


class StateFile:
    """The file at `path`, held by one process at a time. Raises OSError: it cannot be made, or another has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        self._log: int | None = None
        self._frames = 0
        self.size = 0
        """Bytes in the file."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise BlockingIOError(f"{path} is in use by another venue") from error

    def load(self) -> list[bytes]:
        """The frames, oldest first; none without a file.

        A last frame that was not written to its end is left out: its writer died before anybody heard of it.

        Raises:
            CorruptStateError: anything else that is not as it was written.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        if not data.startswith(MAGIC):
            raise CorruptStateError(f"{self._path} is no state of this venue, or of another version of it")
        frames: list[bytes] = []
        at = len(MAGIC)
        while (frame := self._frame(data, at, len(frames))) is not None:
            frames.append(frame)
            at += _HEAD.size + len(frame)
        if not frames:
            raise CorruptStateError(f"{self._path} is cut off")
        return frames

    def replace(self, whole: bytes) -> None:
        """Start over with `whole`: a new file, flushed, renamed over the old one."""
        new = self._path.with_name(self._path.name + ".new")
        log = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write(log, MAGIC + _framed(whole, 0))
            os.fsync(log)
            new.replace(self._path)
        except OSError:
            os.close(log)
            raise
        self._leave_log()
        self._log, self._frames, self.size = log, 1, len(MAGIC) + _HEAD.size + len(whole)
        _flush_folder(self._path.parent)

    def append(self, change: bytes) -> None:
        """Add a frame. Raises OSError: not written, and the file must be replaced before anything is added to it."""
        assert self._log is not None, "a file begins with a whole state"
        _write(self._log, _framed(change, self._frames))
        self._frames += 1
        self.size += _HEAD.size + len(change)

    def close(self) -> None:
        """Let go of the file."""
        self._leave_log()
        os.close(self._lock)

    def _frame(self, data: bytes, at: int, number: int) -> bytes | None:
        head = data[at : at + _HEAD.size]
        if len(head) < _HEAD.size:
            return None
        length, check, found, head_check = _HEAD.unpack(head)
        if crc32(head[:12]) != head_check or found != number:
            raise CorruptStateError(f"{self._path} is damaged at byte {at}")
        frame = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(frame) < length:
            return None
        if crc32(frame) != check:
            raise CorruptStateError(f"{self._path} is damaged after byte {at}")
        return frame

    def _leave_log(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None


def _framed(payload: bytes, number: int) -> bytes:
    head = _HEAD.pack(len(payload), crc32(payload), number, 0)[:12]
    return head + crc32(head).to_bytes(4, "little") + payload


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
