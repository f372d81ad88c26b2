"""Show open positions and how they will be left."""

import argparse

from ops.cli import add_json
from ops.desk import show_rows

COLUMNS = (
    "product_id",
    "quantity",
    "average_price",
    "mark",
    "value_usd",
    "unrealised_usd",
    "stop_price",
    "target_price",
    "leave_by",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `positions`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Shows the list."""
    return show_rows(args, "positions", COLUMNS)
