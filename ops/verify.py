"""Check the store: the journal's whole hash chain, every snapshot and every record against it.

Reads only, also while the desk runs. Exit 0: everything is what was committed (a damaged snapshot is only reported:
starts pass it over). Exit 1: something is not. Exit 2: there is no store.
"""

import argparse
import time

import lmdb

from actors.recorder.disk import SNAPSHOTS, FileShelf
from actors.recorder.recovery import CorruptStoreError, Findings, check_whole
from actors.runtime.store_reader import STORE, NoStoreError, StoreReader, open_reader
from ops.cli import add_json
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table, working


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this verb's options."""
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Checks the store below `args.state`."""
    folder = args.state / STORE
    try:
        reader = open_reader(folder)
    except NoStoreError as exc:
        raise VerbError(f"{exc}: nothing was ever recorded under {args.state}", Exit.USAGE) from exc
    except lmdb.Error as exc:
        raise VerbError(str(CorruptStoreError(str(exc)))) from exc
    began = time.monotonic()
    found = _check(reader, FileShelf(folder / SNAPSHOTS))
    _show(found, time.monotonic() - began, as_json=args.json)
    return Exit.DONE


def _check(reader: StoreReader, shelf: FileShelf) -> Findings:
    try:
        with working("checking every journal entry"):
            return check_whole(reader, shelf)
    except CorruptStoreError as exc:
        raise VerbError(str(exc)) from exc
    finally:
        reader.close()


def _show(found: Findings, took_s: float, *, as_json: bool) -> None:
    facts = {
        "entries": found.entries,
        "head": found.head.index,
        "head_sha256": found.head.sha.hex(),
        "records": found.records,
        "folded_from": found.base,
        "snapshots": list(found.snapshots),
        "bad_snapshots": list(found.bad_snapshots),
        "seconds": round(took_s, 3),
    }
    if as_json:
        print_json({"ok": True, **facts})
        return
    rows = [(name, " ".join(map(str, value)) if isinstance(value, list) else value) for name, value in facts.items()]
    print_table(("what", "found"), rows, title="store verified")
    for index in found.bad_snapshots:
        note(f"snapshot {index} is damaged; starts pass it over")
