"""Measure the drawdown from the present equity on, and clear its latch."""

import argparse

from ops.desk import ask_desk, say, who
from protocol.control import ResetPeakByHand


def configure(_parser: argparse.ArgumentParser) -> None:
    """`reset-peak` has no options of its own."""


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, ResetPeakByHand(by=who())))
