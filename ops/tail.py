"""Show the journal: its last entries, or everything that led to a message and came of it.

Reads the store directly, so it works with the desk frozen or gone.
"""

import argparse
from typing import Any

import msgspec

from actors.runtime.store_reader import STORE, NoStoreError, StoreReader, open_reader
from ops.cli import add_json
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from protocol import codec
from protocol.codec import CodecError
from protocol.instants import iso
from protocol.journal import JournalEntry

COLUMNS = ("index", "at", "actor", "kind", "seq", "cause", "what", "body")
_WIDTH = 160
_REACH = 200_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tail`."""
    parser.add_argument("-n", "--lines", type=int, default=40, help="how many of the last entries (default 40)")
    parser.add_argument("--cause", type=int, metavar="N", help="the whole chain through message number N")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Reads and prints."""
    try:
        reader = open_reader(args.state / STORE)
    except (NoStoreError, OSError) as error:
        raise VerbError(f"there is no journal under {args.state}: {error}", Exit.NOT_RUNNING) from None
    try:
        entries = chain(reader, args.cause) if args.cause is not None else reader.newest(args.lines)
    finally:
        reader.close()
    if args.cause is not None and not entries:
        raise VerbError(f"no entry of message {args.cause} is kept", Exit.USAGE)
    rows = [row(entry) for entry in entries]
    if args.json:
        print_json(rows)
    else:
        print_table(COLUMNS, ([_short(r[c]) for c in COLUMNS] for r in rows))
    return Exit.DONE


def chain(reader: StoreReader, seq: int) -> list[JournalEntry]:
    """Every entry that led to message `seq`, and every one that came of those that it led to, ascending."""
    first = max(1, reader.head().index - _REACH)
    entries: list[JournalEntry] = []
    while page := reader.tail(first - 1 if not entries else entries[-1].index):
        entries += page
    parents = {e.draft.seq: e.draft.cause for e in entries}
    wanted = {seq}
    while (cause := parents.get(min(wanted))) and cause not in wanted:
        wanted.add(cause)
    for entry in entries:
        if entry.draft.cause in wanted and entry.draft.seq >= seq:
            wanted.add(entry.draft.seq)
    return [e for e in entries if e.draft.seq in wanted]


def row(entry: JournalEntry) -> dict[str, Any]:
    """One entry as it is shown; a body that this program cannot read is said to be so."""
    draft = entry.draft
    try:
        body = msgspec.to_builtins(codec.decode(draft.body), str_keys=True)
    except CodecError as error:
        body = {"type": "unreadable", "error": str(error)}
    return {
        "index": entry.index,
        "at": iso(draft.at_ns),
        "actor": draft.actor,
        "kind": draft.kind.value,
        "seq": draft.seq,
        "cause": draft.cause,
        "what": body.pop("type"),
        "body": body,
        "sha": entry.sha.hex(),
    }


def _short(value: object) -> str:
    text = msgspec.json.encode(value).decode() if isinstance(value, dict) else str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
