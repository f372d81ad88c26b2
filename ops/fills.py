"""Show the last fills, newest first."""

import argparse

from ops.cli import add_json
from ops.desk import show_rows

COLUMNS = ("at", "product_id", "side", "price", "size", "value_usd", "fee_usd", "liquidity", "net_usd")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `fills`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Shows the list."""
    return show_rows(args, "fills", COLUMNS)
