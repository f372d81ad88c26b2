"""Two memory-mapped files that all processes of an installation share: the kill epoch and the pulses.

Every slot is one aligned 64-bit word with one writer; readers never lock and never wait. Nothing here loads more than
the standard library, so that watchdog and command line start at once.
"""

import mmap
import os
import struct
import time
from pathlib import Path

EPOCH_FILE, PULSE_FILE = "epoch.page", "pulse.page"
EPOCH_SLOTS = ("desk", "watchdog", "command_line")
PULSE_SLOTS = ("core", "io", "watchdog", "armed", "pid")
_SIZE = 4096
_WORD = struct.Struct("=Q")


class _Page:
    def __init__(self, path: Path, slots: tuple[str, ...]) -> None:
        self._offsets = {name: index * _WORD.size for index, name in enumerate(slots)}
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_size < _SIZE:
                os.ftruncate(handle, _SIZE)
            self._map = mmap.mmap(handle, _SIZE, mmap.MAP_SHARED)
        finally:
            os.close(handle)

    def read(self, slot: str) -> int:
        """A slot's word. Raises KeyError: there is no such slot."""
        value: int = _WORD.unpack_from(self._map, self._offsets[slot])[0]
        return value

    def write(self, slot: str, value: int) -> None:
        """Set a slot; only its one writer may."""
        _WORD.pack_into(self._map, self._offsets[slot], value)

    def flush(self) -> None:
        """Have the page on disk before going on."""
        self._map.flush()


class EpochPage:
    """The kill epoch: the sum of the counters of desk, watchdog and command line. It only rises."""

    def __init__(self, page: _Page) -> None:
        self._page = page

    @classmethod
    def open(cls, state_dir: Path) -> "EpochPage":
        """Map the page of an installation; made with zeros where it is missing."""
        return cls(_Page(state_dir / EPOCH_FILE, EPOCH_SLOTS))

    def current(self) -> int:
        """The epoch now."""
        return sum(self._page.read(slot) for slot in EPOCH_SLOTS)

    def raise_slot(self, slot: str) -> int:
        """Raise the epoch by one in the caller's own slot, durably; returns the new epoch."""
        self._page.write(slot, self._page.read(slot) + 1)
        self._page.flush()
        return self.current()


class PulsePage:
    """When each pump and the watchdog last came round, and whether the desk is armed."""

    def __init__(self, page: _Page) -> None:
        self._page = page

    @classmethod
    def open(cls, state_dir: Path) -> "PulsePage":
        """Map the page of an installation; made with zeros where it is missing."""
        return cls(_Page(state_dir / PULSE_FILE, PULSE_SLOTS))

    def stamp(self, slot: str) -> None:
        """This pump came round now. The clock is the machine's monotonic one, the same in every process."""
        self._page.write(slot, time.monotonic_ns())

    def age_ns(self, slot: str) -> int:
        """Nanoseconds since the last stamp; since boot if there was none."""
        return time.monotonic_ns() - self._page.read(slot)

    def arm(self, armed: bool) -> None:
        """The desk says whether it is armed, and who it is."""
        self._page.write("pid", os.getpid())
        self._page.write("armed", int(armed))

    def disarm(self) -> None:
        """The root says that a new desk starts: whatever was armed is gone."""
        self._page.write("armed", 0)

    def armed(self) -> bool:
        """Whether the present desk is armed."""
        return bool(self._page.read("armed"))
