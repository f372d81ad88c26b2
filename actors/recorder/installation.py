"""First run, later run, or something is missing: decided by STATE/installation.json before anything is opened.

The marker is written once, after the store was made. With it and without a store nothing starts: a store that went
missing must never look like a first run (operations.md §5).
"""

from dataclasses import dataclass
from pathlib import Path

import lmdb
import msgspec

from actors.recorder.disk import LmdbStore, write_durably
from actors.recorder.recovery import CorruptStoreError, Findings, check_start
from actors.runtime.logging import get
from actors.runtime.store_reader import STORE
from protocol import codec
from protocol.base import Value

log = get(__name__)

MARKER = "installation.json"
_META = b"installation"


class Installation(Value, frozen=True, kw_only=True):
    """Who this state belongs to. `created_ns`: UTC nanoseconds; `schema`: under which it was last written."""

    bot: str
    created_ns: int
    schema: int


class RefusedError(Exception):
    """This state must not be used as it is. Ends a start with exit code 4; its text says what to do."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that may be traded on. `first_run`: it was made just now."""

    store: LmdbStore
    installation: Installation
    findings: Findings
    first_run: bool


def open_installation(state: Path, bot: str, now_ns: int) -> Opened:
    """Opens the store below `state`, or makes it on a first run, and verifies it.

    Args:
        state: the state directory; made when missing.
        bot: the bot id, which an installation keeps for life: orders at the venue are known by it.
        now_ns: stamps a first run.

    Raises:
        RefusedError: marker without store or store without marker, another bot's, newer schema, network mount.
        CorruptStoreError: the store is not what was committed.
        StoreError: it cannot be written.
    """
    marker = read_marker(state)
    _refuse_missing(state, marker)
    _refuse_stranger(marker, bot)
    store = _open_store(state / STORE)
    try:
        return _settle(state, store, marker, Installation(bot=bot, created_ns=now_ns, schema=codec.SCHEMA_VERSION))
    except BaseException:
        store.close()
        raise


def read_marker(state: Path) -> Installation | None:
    """The marker below `state`; None before the first run. Raises RefusedError: unreadable."""
    path = state / MARKER
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Installation)
    except (OSError, msgspec.MsgspecError) as exc:
        raise RefusedError(f"{path} cannot be read ({exc}): bring back a backup with `restore`") from exc


def _refuse_missing(state: Path, marker: Installation | None) -> None:
    if marker is not None and not (state / STORE / "data.mdb").exists():
        raise RefusedError(
            f"{state / MARKER} stands, but the store is missing. Bring back a backup with `restore`, or start a new "
            "store from what the venue knows with `rebuild-positions`"
        )


def _refuse_stranger(marker: Installation | None, bot: str) -> None:
    if marker is None:
        return
    if marker.schema > codec.SCHEMA_VERSION:
        raise RefusedError(
            f"this state was written under schema {marker.schema}, newer than {codec.SCHEMA_VERSION}: "
            "use the newer program"
        )
    if marker.bot != bot:
        raise RefusedError(f"this state belongs to bot {marker.bot}, not {bot}: a bot id is kept for life")


def _open_store(folder: Path) -> LmdbStore:
    try:
        return LmdbStore(folder)
    except OSError as exc:
        raise RefusedError(str(exc)) from exc
    except lmdb.Error as exc:
        raise CorruptStoreError(f"LMDB cannot open it: {exc}") from exc


def _settle(state: Path, store: LmdbStore, marker: Installation | None, fresh: Installation) -> Opened:
    kept = store.meta(_META)
    if marker is None and store.head().index:
        raise RefusedError(f"{state / MARKER} is missing, but the store is not empty: bring it back with `restore`")
    if marker is not None and kept is not None:
        _refuse_mismatch(state, marker, msgspec.json.decode(kept, type=Installation))
    findings = check_start(store, store.shelf)
    for index in findings.bad_snapshots:
        log.warning("snapshot_passed_over", index=index)
        store.shelf.remove(index)
    if marker is not None and marker.schema == codec.SCHEMA_VERSION:
        return Opened(store, marker, findings, first_run=False)
    return Opened(store, _mark(state, store, marker, fresh), findings, first_run=marker is None)


def _refuse_mismatch(state: Path, marker: Installation, kept: Installation) -> None:
    # The schema may differ: a first start under a newer program was interrupted between the two.
    if (kept.bot, kept.created_ns) != (marker.bot, marker.created_ns):
        raise RefusedError(f"{state / MARKER} does not belong to the store: bring back a backup with `restore`")
    _refuse_stranger(kept, marker.bot)


def _mark(state: Path, store: LmdbStore, marker: Installation | None, fresh: Installation) -> Installation:
    """Writes the marker on a first run, and again when an older store was opened by a newer program."""
    made = fresh if marker is None else Installation(bot=marker.bot, created_ns=marker.created_ns, schema=fresh.schema)
    text = msgspec.json.encode(made)
    store.put_meta(_META, text)
    write_durably(state / MARKER, text)
    return made
