"""End a product's cooldown before its time: `cooldown clear PRODUCT`."""

import argparse

from ops.desk import ask_desk, product, say, who
from protocol.control import ClearCooldownByHand


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cooldown`."""
    parser.add_argument("action", choices=("clear",), help="what to do")
    parser.add_argument("product", help="for example SOL-USD")


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, ClearCooldownByHand(by=who(), product_id=product(args.product))))
