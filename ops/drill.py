"""Practise: `drill load` rests many small orders far from the market, through the real order path (PAPER only)."""

import argparse

from ops.cli import add_json
from ops.desk import ask_desk, say, who
from ops.exits import Exit, VerbError
from protocol.control import DrillLoad


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `drill`."""
    parser.add_argument("what", choices=("load",))
    parser.add_argument("--orders", type=int, default=20, help="how many (1 to 1000)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    if not 1 <= args.orders <= 1000:
        raise VerbError(f"--orders {args.orders}: 1 to 1000", Exit.USAGE)
    return say(ask_desk(args.state, DrillLoad(by=who(), orders=args.orders)), as_json=args.json)
