"""Show how the installation stands: state, latch, equity, exposure, watchdog."""

import argparse
from typing import Any

from ops.cli import add_json
from ops.desk import ask_watchdog, data_of, view, who
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from protocol.control import View


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `status`."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Asks the desk; with none there, the watchdog, and then the exit code is 3."""
    try:
        facts, code = view(args, "status"), Exit.DONE
    except VerbError as error:
        if error.code not in {Exit.NOT_RUNNING, Exit.TIMED_OUT}:
            raise
        facts, code = _from_watchdog(args), Exit.NOT_RUNNING
    if args.json:
        print_json(facts)
    else:
        print_table(("what", "value"), _lines(facts))
    return code


def _from_watchdog(args: argparse.Namespace) -> dict[str, Any]:
    """The latch as the watchdog knows it."""
    told = data_of(ask_watchdog(args.state, View(by=who(), what="status")))
    latch = told["latch"]
    return {
        "state": "killed" if latch["killed"] else "halted",
        "halt": {"reason": latch["reason"] or "desk_down", "at": latch["at_ns"], "by": latch["by"]},
        "epoch": latch["epoch"],
        "armed": False,
        "watchdog": {"alive": True, "beat_age_s": told["beat_age_s"]},
    }


def _lines(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            lines.append((prefix + name, value))
    return lines
