"""Show every actor: alive, restarts, mailbox, last useful message."""

import argparse

from ops.cli import add_json
from ops.desk import show_rows

COLUMNS = (
    "name",
    "parent",
    "kind",
    "alive",
    "incarnation",
    "restarts",
    "mailbox_depth",
    "oldest_s",
    "handled",
    "errors",
    "state",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `actors`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Shows the list."""
    return show_rows(args, "actors", COLUMNS)
