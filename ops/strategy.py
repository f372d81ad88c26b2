"""Show strategies, switch one on or off over restarts, and compare shadows with what trades."""

import argparse
from typing import Any

from ops.cli import add_json
from ops.desk import ask_desk, say, view, who
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table
from protocol.control import SwitchByHand

LIST = ("name", "state", "proposed", "kept", "elapsed_ms", "reason")
REPORT = ("name", "since", "cycles", "agreed", "alone", "missed", "conviction_difference", "size_difference_pct")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `strategy`."""
    parser.add_argument("action", choices=("list", "enable", "disable", "report"), help="what to do")
    parser.add_argument("name", nargs="?", help="which strategy: for enable and disable")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Asks the desk; done means that a switch is kept over restarts."""
    if args.action in {"enable", "disable"}:
        if not args.name:
            raise VerbError(f"strategy {args.action} needs the name of a strategy", Exit.USAGE)
        return say(ask_desk(args.state, SwitchByHand(by=who(), name=args.name, on=args.action == "enable")))
    found = view(args, "strategies")
    if args.json:
        print_json(found)
    elif args.action == "list":
        print_table(LIST, map(_listed, found["strategies"]), title="strategies")
    else:
        _report(found["strategies"])
    if found["alpha_up"] is False:
        note("the strategies' process is away")
    return Exit.DONE


def _listed(row: dict[str, Any]) -> list[object]:
    last = row["last"] or {}
    return [row["name"], row["state"], *(last.get(name) for name in LIST[2:5]), row["reason"]]


def _report(rows: list[dict[str, Any]]) -> None:
    shadows = [row for row in rows if row["shadow"]]
    if not shadows:
        note("no strategy has decided in the shadow: `shadow: true` in config/strategies.yaml lets one")
        return
    print_table(REPORT, ([row["name"], *(row["shadow"][name] for name in REPORT[1:])] for row in shadows))
    note("agreed: both wanted the product; alone: the shadow only; missed: the live ones only")
