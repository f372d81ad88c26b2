"""Two memory-mapped pages that processes share without waiting for each other: the kill epoch and the pulse.

Every number is an aligned 64-bit word with one writer, which the machine stores and loads whole; a reader can be late,
never wrong. Nothing here locks, flushes or imports more than the standard library: watchdog and command line use it.
"""

import mmap
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_MAGIC = {"epoch": 0x3234_3754_4550_4F01, "pulse": 0x3234_3754_5055_4C01}
_WORDS = 32
_SIZE = _WORDS * 8

EPOCH_SLOTS = ("desk", "watchdog", "command")
PULSE_SLOTS = ("core", "io", "recorder", "watchdog")

EPOCH_FILE, PULSE_FILE = "epoch.page", "pulse.page"
"""Where the pages stand below the state directory."""


class PageError(RuntimeError):
    """The file is not one of our pages, or not ours alone."""


class _Page:
    """A file of 64-bit words, mapped. The first word says what it is."""

    def __init__(self, path: Path, kind: str, *, create: bool = True) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o600)
        try:
            _check(path, os.fstat(fd))
            if os.fstat(fd).st_size < _SIZE:
                os.ftruncate(fd, _SIZE)  # zeros; whoever comes second changes nothing
            self._map = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")
        if self.words[0] not in (0, _MAGIC[kind]):
            self.close()
            raise PageError(f"{path} is not a {kind} page")
        self.words[0] = _MAGIC[kind]

    def close(self) -> None:
        """Lets go of the mapping; the file stays."""
        self.words.release()
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PageError(f"{path} is not a regular file")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PageError(f"{path} must belong to this user alone (0600)")


class EpochPage(_Page):
    """The kill epoch: the sum of three counters, each with one writer (desk, watchdog, command line).

    It only rises. A place request leaves only while the epoch is the one under which its sender was armed.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        super().__init__(path, "epoch", create=create)

    def current(self) -> int:
        """The epoch now."""
        words = self.words
        return words[1] + words[2] + words[3]

    def step(self, writer: str) -> int:
        """Raises the epoch by one in the slot of `writer`, which no other process writes; returns the epoch."""
        slot = 1 + EPOCH_SLOTS.index(writer)
        self.words[slot] += 1
        return self.current()

    def restore(self, writer: str, at_least: int) -> None:
        """Raises the slot of `writer` until the epoch is `at_least` that: after a page was lost, from a durable log."""
        missing = at_least - self.current()
        if missing > 0:
            self.words[1 + EPOCH_SLOTS.index(writer)] += missing

    def slots(self) -> dict[str, int]:
        """Every writer's counter."""
        return {name: self.words[1 + index] for index, name in enumerate(EPOCH_SLOTS)}


class PulsePage(_Page):
    """Signs of life of a desk: when its pumps last came round, whether it is armed, who it is.

    Times are CLOCK_MONOTONIC, which all processes of a machine share. One desk writes (the watchdog its own slot),
    anyone reads.
    """

    _ARMED, _PID, _INCARNATION, _STARTED, _FIRST = 1, 2, 3, 4, 8

    def __init__(self, path: Path, *, create: bool = True) -> None:
        super().__init__(path, "pulse", create=create)

    def begin(self, pid: int, incarnation: int) -> None:
        """A new desk takes the page over: not armed, all pulses fresh."""
        words = self.words
        words[self._ARMED] = 0
        words[self._INCARNATION] = incarnation
        words[self._STARTED] = now = time.monotonic_ns()
        for index in range(PULSE_SLOTS.index("watchdog")):  # that one is the watchdog's own
            words[self._FIRST + index] = now
        words[self._PID] = pid

    def stamp(self, slot: str) -> None:
        """The pump named `slot` comes round."""
        self.words[self._FIRST + PULSE_SLOTS.index(slot)] = time.monotonic_ns()

    def arm(self, armed: bool) -> None:
        """Whether this desk may place orders."""
        self.words[self._ARMED] = int(armed)

    def stamped_ns(self, slot: str) -> int:
        """When that pump last came round, CLOCK_MONOTONIC; 0 if it never did."""
        return self.words[self._FIRST + PULSE_SLOTS.index(slot)]

    def age_ns(self, slot: str) -> int:
        """Nanoseconds since that pump last came round; since the machine's start if it never did."""
        return max(0, time.monotonic_ns() - self.stamped_ns(slot))

    def oldest_ns(self, slots: tuple[str, ...] = ("core", "io")) -> int:
        """Age of the oldest of these pulses: how long the desk may have been frozen."""
        return max(self.age_ns(slot) for slot in slots)

    @property
    def armed(self) -> bool:
        """Whether the desk says that it may place orders."""
        return bool(self.words[self._ARMED])

    @property
    def pid(self) -> int:
        """The desk's process; 0 before the first."""
        return self.words[self._PID]

    @property
    def incarnation(self) -> int:
        """The desk's number among its restarts."""
        return self.words[self._INCARNATION]

    @property
    def started_ns(self) -> int:
        """When this desk took the page over, CLOCK_MONOTONIC."""
        return self.words[self._STARTED]
