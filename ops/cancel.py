"""Cancel one order by its client or venue id, or all of ours."""

import argparse

from ops.desk import ask_desk, say, who
from ops.exits import Exit, VerbError
from protocol.control import CancelByHand


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cancel`."""
    parser.add_argument("order", nargs="?", help="client order id or venue order id")
    parser.add_argument("--all", action="store_true", help="every live order of ours")


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    if bool(args.order) is args.all:
        raise VerbError("name one order, or say --all", Exit.USAGE)
    return say(ask_desk(args.state, CancelByHand(by=who(), order="*" if args.all else args.order)))
