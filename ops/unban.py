"""Lift a product's ban before its time."""

import argparse

from ops.desk import ask_desk, product, say, who
from protocol.control import UnbanProduct


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `unban`."""
    parser.add_argument("product", help="for example SOL-USD")


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, UnbanProduct(by=who(), product_id=product(args.product))))
