"""Stop making entries until resumed; exits go on."""

import argparse

from ops.desk import ask_desk, say, who
from protocol.control import PauseEntries


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pause`."""
    parser.add_argument("--reason", default="operator", help="for the journal")


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, PauseEntries(by=who(), reason=args.reason)))
