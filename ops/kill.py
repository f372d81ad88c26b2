"""Stop everything: cancel every order of ours, latch, and say what is left. Works with the desk dead or frozen."""

import argparse
import json

from ops.cli import add_json
from ops.desk import ask_watchdog, say, view, who
from ops.exits import Exit, VerbError
from ops.output import note
from protocol.control import KillNow

WAIT_S = 12.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `kill`."""
    parser.add_argument("--reason", required=True, help="for status and journal")
    parser.add_argument("--scope", choices=("mine", "all"), default="mine", help="orders of ours, or everybody's")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Tells the watchdog; without one, the flag file stands for it until one comes."""
    try:
        reply = ask_watchdog(args.state, KillNow(by=who(), reason=args.reason, scope=args.scope), WAIT_S)
    except VerbError as error:
        if error.code is Exit.NOT_RUNNING and args.state.is_dir():
            (args.state / "KILL_SWITCH").write_text(json.dumps({"reason": args.reason, "by": who()}))
            note(f"no watchdog answers: {args.state / 'KILL_SWITCH'} was written, nothing is placed while it is there")
        raise
    code = say(reply, as_json=args.json)
    if not args.json:
        _positions(args)
    return code


def _positions(args: argparse.Namespace) -> None:
    """A kill cancels, it never sells: say what is still held, if the desk can."""
    try:
        rows = view(args, "positions")
    except VerbError:
        note("the desk does not answer: positions are as `trader positions` shows them when it is back")
        return
    for row in rows:
        note(f"still held: {row['quantity']} {row['product_id']} worth {row['value_usd']} USD")
