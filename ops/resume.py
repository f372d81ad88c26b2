"""Make entries again after a pause. Clears no other gate."""

import argparse

from ops.desk import ask_desk, say, who
from protocol.control import ResumeEntries


def configure(_parser: argparse.ArgumentParser) -> None:
    """`resume` has no options of its own."""


def main(args: argparse.Namespace) -> int:
    """Tells the desk."""
    return say(ask_desk(args.state, ResumeEntries(by=who())))
