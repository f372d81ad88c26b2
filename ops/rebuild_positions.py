"""Derive the ledger anew from the venue's fills and balances, and clear an accounting mismatch."""

import argparse

from ops.desk import ask_desk, say, who
from protocol.control import RebuildByHand

REBUILD_S = 60.0
"""All fills since the books were opened are read, page by page."""


def configure(_parser: argparse.ArgumentParser) -> None:
    """`rebuild-positions` has no options of its own."""


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, RebuildByHand(by=who()), REBUILD_S))
