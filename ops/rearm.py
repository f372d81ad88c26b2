"""Lift the kill latch after a clean reconciliation; refused while the file KILL_SWITCH is there."""

import argparse

from ops.desk import ask_desk, say, who
from protocol.control import Rearm

WAIT_S = 20.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `rearm`."""
    parser.add_argument("--confirm", required=True, metavar="TEXT", help="why it is safe again, for the journal")


def main(args: argparse.Namespace) -> int:
    """Asks the desk, which reconciles first and then asks the watchdog."""
    return say(ask_desk(args.state, Rearm(by=who(), confirm=args.confirm), WAIT_S))
