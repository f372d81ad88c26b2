"""What an earlier run left behind when its root died: found by the locks it still holds, never by a name.

The watchdog is let finish first, for it may be sweeping; then the venue is ended, so that the next one can take its
accounts over.
"""

import os
import select
import signal
import sys
from pathlib import Path

WATCHDOG_S = 150.0
VENUE_S = 10.0
LOCKS = Path("/proc/locks")


def end(state_dir: Path) -> None:
    """Wait for an old watchdog's end, then end an old venue. Raises TimeoutError: one of them does not end."""
    for name, asks, limit_s in (("watchdog.lock", False, WATCHDOG_S), ("venue.state.lock", True, VENUE_S)):
        for pid in holders(state_dir / name):
            sys.stderr.write(f"trader: an earlier run left process {pid} ({name}); waiting for its end\n")
            _end(pid, asks=asks, limit_s=limit_s)


def holders(lock: Path) -> list[int]:
    """The processes that hold a kernel lock on this file, by the kernel's own table."""
    try:
        inode = str(lock.stat().st_ino)
        rows = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:
        return []
    return sorted({int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rsplit(":", 1)[-1] == inode})


def _end(pid: int, *, asks: bool, limit_s: float) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if asks:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        gone, _, _ = select.select([handle], [], [], limit_s)
    finally:
        os.close(handle)
    if not gone:
        raise TimeoutError(f"process {pid} of an earlier run has not ended within {limit_s:g} s")
