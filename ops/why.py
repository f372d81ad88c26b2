"""Explain what was decided about a product, rule by rule, and what stopped it."""

import argparse
from datetime import UTC, datetime

from ops.cli import add_json
from ops.desk import ask_desk, data_of, product, who
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from protocol.control import Why


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `why`."""
    parser.add_argument("product", help="for example BTC-USD")
    parser.add_argument("--at", metavar="TIME", help="the last cycle at or before this time (ISO 8601, UTC)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Asks the desk and prints the answer."""
    request = Why(by=who(), product_id=product(args.product), at_ns=_at_ns(args.at))
    told = data_of(ask_desk(args.state, request))
    if args.json:
        print_json(told)
        return Exit.DONE
    print(f"{told['product_id']}: {told['verdict']} (cycle {told['cycle']})")
    columns = ("stage", "code", "passed", "value", "limit", "detail")
    print_table(columns, ([rule.get(c) for c in columns] for rule in told["rules"]))
    return Exit.DONE


def _at_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise VerbError(f"--at {text}: {exc}", Exit.USAGE) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000_000)
