"""Explain what was decided about a product, rule by rule, what stopped it, and what would have let it pass.

The desk answers from its memory; for a cycle before that, or without a desk, the journal does.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from actors.control import explain
from actors.runtime.store_reader import STORE, NoStoreError, open_reader
from ops.cli import add_json
from ops.desk import ask_desk, data_of, product, who
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from protocol import codec
from protocol.codec import CodecError
from protocol.control import Why
from protocol.journal import EntryKind, JournalEntry
from protocol.risk import Decision
from protocol.strategy import CycleRecord

RULE_COLUMNS = ("stage", "code", "passed", "value", "limit", "unit", "detail")
_REACH = 200_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `why`."""
    parser.add_argument("product", help="for example BTC-USD")
    parser.add_argument("--at", metavar="TIME", help="the last cycle at or before this time (ISO 8601, UTC)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Asks the desk, or the journal, and prints the answer."""
    told = answer(args.state, product(args.product), _at_ns(args.at))
    if args.json:
        print_json(told)
        return Exit.DONE
    print(f"{told['product_id']}: {told['verdict']} (cycle {told['cycle']}, {told.get('at', 'no time')})")
    stopped = told.get("stopped_by")
    if stopped:
        print(f"stopped by {stopped['code']} ({stopped['stage']})")
    if told.get("no_trade_reason"):
        print(f"the cycle: {told['no_trade_reason']}")
    for gate in told.get("gates", ()):
        print(f"now {gate['state']} by {gate['code']}: {gate['reason']}")
    print_changes(told.get("changes", ()))
    print_table(RULE_COLUMNS, ([rule.get(c) for c in RULE_COLUMNS] for rule in told["rules"]))
    return Exit.DONE


def print_changes(changes: Sequence[dict[str, Any]]) -> None:
    """Prints what would have let a request pass, all of it together."""
    for change in changes:
        print(f"it would have passed with {change['code']}: {change['act']}")


def answer(state: Path, name: str, at_ns: int | None) -> dict[str, Any]:
    """The desk's answer; the journal's where the desk is gone, or remembers no cycle so old.

    Raises:
        VerbError: there is neither a desk nor a journal.
    """
    try:
        told: dict[str, Any] = data_of(ask_desk(state, Why(by=who(), product_id=name, at_ns=at_ns)))
    except VerbError as gone:
        if gone.code is not Exit.NOT_RUNNING:
            raise
        return _from_journal(state, name, at_ns, gone)
    return told if told["cycle"] is not None or at_ns is None else _from_journal(state, name, at_ns, None)


def _from_journal(state: Path, name: str, at_ns: int | None, gone: VerbError | None) -> dict[str, Any]:
    try:
        reader = open_reader(state / STORE)
    except (NoStoreError, OSError) as error:
        raise gone or VerbError(f"there is no journal under {state}: {error}", Exit.NOT_RUNNING) from None
    try:
        first = max(0, reader.head().index - _REACH)
        said: list[CycleRecord | Decision] = []
        while page := reader.tail(first):
            first = page[-1].index
            said += [found for entry in page if (found := _told(entry)) is not None]
    finally:
        reader.close()
    records = [m for m in said if isinstance(m, CycleRecord)]
    decisions = [(m.cycle, m) for m in said if isinstance(m, Decision)]
    return explain.why(records, decisions, name, at_ns)


def _told(entry: JournalEntry) -> CycleRecord | Decision | None:
    """A cycle's or a decision's record that an actor spoke; what this program cannot read says nothing here."""
    if entry.draft.kind is not EntryKind.SAID or entry.draft.actor not in {"cycle", "risk"}:
        return None
    try:
        message = codec.decode(entry.draft.body)
    except CodecError:
        return None
    return message if isinstance(message, CycleRecord | Decision) else None


def _at_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise VerbError(f"--at {text}: {exc}", Exit.USAGE) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000_000)
