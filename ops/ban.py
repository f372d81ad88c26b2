"""Ban a product for a time (a red flag): no entries in it, exits go on. Ends by itself."""

import argparse

from ops.desk import ask_desk, product, say, who
from protocol.control import BanProduct


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ban`."""
    parser.add_argument("product", help="for example SOL-USD")
    parser.add_argument("--reason", required=True, help="one of exclusions.red_flags in universe.yaml")


def main(args: argparse.Namespace) -> int:
    """Tells the desk; done means that the ban is kept over restarts."""
    return say(ask_desk(args.state, BanProduct(by=who(), product_id=product(args.product), reason=args.reason)))
