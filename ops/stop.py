"""Stop the trader: SIGTERM to its root process, then wait. 0: nothing rests; 5: the watchdog still decides one."""

import argparse
import os
import select
import signal

from ops.desk import run_facts
from ops.exits import Exit, VerbError

WAIT_S = 20.0


def configure(_parser: argparse.ArgumentParser) -> None:
    """`stop` has no options of its own."""


def main(args: argparse.Namespace) -> int:
    """Signals the root and waits for its end through a process handle, which no reused pid can fool."""
    pid = run_facts(args.state)["pid"]
    try:
        handle = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        raise VerbError("it is not running", Exit.NOT_RUNNING) from None
    gone, _, _ = select.select([handle], [], [], WAIT_S)
    os.close(handle)
    if not gone:
        raise VerbError(f"it has not ended within {WAIT_S:g} s; the watchdog goes on", Exit.TIMED_OUT)
    return Exit.DONE
