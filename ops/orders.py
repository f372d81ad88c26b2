"""Show orders: those that might rest, then the last ended ones."""

import argparse

from ops.cli import add_json
from ops.desk import show_rows

COLUMNS = (
    "client_order_id",
    "product_id",
    "side",
    "purpose",
    "status",
    "size",
    "limit_price",
    "filled_size",
    "created_at",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `orders`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Shows the list."""
    return show_rows(args, "orders", COLUMNS)
