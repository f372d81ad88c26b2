"""What an earlier run left behind when its root died: found by the locks it still holds, never by a name.

The desk is ended first, killed where it is frozen: while it lives the watchdog has somebody to watch. The watchdog is
let finish, for it may be sweeping; then the venue is ended, so that the next one can take its accounts over.
"""

import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path("/proc/locks")
EXCHANGE_LOCK = "config.lock"
"""Held by whoever exchanges the configuration, from before its checks until the new one is in force."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A lock whose holder has to end. `signals`: what it is sent, each with the seconds it then has; 0: only wait."""

    lock: str
    signals: tuple[tuple[int, float], ...]


LEFTOVERS = (
    Leftover("desk.lock", ((signal.SIGTERM, 12.0), (signal.SIGKILL, 5.0))),
    Leftover("watchdog.lock", ((0, 150.0),)),
    Leftover("venue.state.lock", ((signal.SIGTERM, 10.0),)),
)


def end(state_dir: Path, leftovers: tuple[Leftover, ...] = LEFTOVERS) -> None:
    """End an old desk, wait for an old watchdog's end, end an old venue. Raises TimeoutError: one does not end."""
    for left in leftovers:
        for pid in holders(state_dir / left.lock):
            sys.stderr.write(f"trader: an earlier run left process {pid} ({left.lock}); waiting for its end\n")
            _end(pid, left.signals)


def holders(lock: Path) -> list[int]:
    """The processes that hold a kernel lock on this file, by the kernel's own table.

    The table names inode numbers, which repeat from one file system to the next: who has not this very file open is
    somebody else.
    """
    try:
        found = lock.stat()
        rows = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:
        return []
    inode = str(found.st_ino)
    pids = sorted({int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rsplit(":", 1)[-1] == inode})
    return [pid for pid in pids if _has_open(pid, found)]


def _has_open(pid: int, file: os.stat_result) -> bool:
    try:
        return any(_is(one, file) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _is(handle: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(handle.stat(), file)
    except OSError:  # closed meanwhile
        return False


def _end(pid: int, signals: tuple[tuple[int, float], ...]) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        gone = any(_ended(handle, number, limit_s) for number, limit_s in signals)
    finally:
        os.close(handle)
    if not gone:
        limit_s = sum(limit for _, limit in signals)
        raise TimeoutError(f"process {pid} of an earlier run has not ended within {limit_s:g} s")


def _ended(handle: int, number: int, limit_s: float) -> bool:
    if number:
        signal.pidfd_send_signal(handle, number)
    gone, _, _ = select.select([handle], [], [], limit_s)
    return bool(gone)
