"""First run, later run, or something is missing: decided by STATE/installation.json before anything is opened.

The marker is written once, after the store was made. With it and without a store nothing starts: a store that went
missing must never look like a first run (operations.md §5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lmdb
import msgspec
from msgspec.structs import replace

from actors.recorder.disk import LmdbStore, write_durably
from actors.recorder.recovery import CorruptStoreError, Findings, check_start
from actors.runtime.logging import get
from actors.runtime.store_reader import STORE
from protocol import codec
from protocol.base import Value
from protocol.policy import Mode

log = get(__name__)

MARKER = "installation.json"
_META = b"installation"


class Installation(Value, frozen=True, kw_only=True):
    """Who this state belongs to. `created_ns`: UTC nanoseconds; `schema`: under which it was last written.

    `namespace`: dry_run, paper or live, from its first start on (operations.md §5); empty: older than namespaces.
    """

    bot: str
    created_ns: int
    schema: int
    namespace: str = ""


class RefusedError(Exception):
    """This state must not be used as it is. Ends a start with exit code 4; its text says what to do."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that may be traded on. `first_run`: it was made just now."""

    store: LmdbStore
    installation: Installation
    findings: Findings
    first_run: bool


def _nothing_against(_store: LmdbStore) -> str:
    return ""


def open_installation(
    state: Path,
    bot: str,
    mode: Mode,
    now_ns: int,
    against: Callable[[LmdbStore], str] = _nothing_against,
) -> Opened:
    """Opens the store below `state`, or makes it on a first run, and verifies it.

    Args:
        state: the state directory; made when missing.
        bot: the bot id, which an installation keeps for life: orders at the venue are known by it.
        mode: whose state this is or becomes; kept for life as well.
        now_ns: stamps a first run.
        against: what in a store that is older than namespaces speaks against its being `mode`'s; empty: nothing.

    Raises:
        RefusedError: marker without store or store without marker, another bot's or mode's, newer schema, network
            mount.
        CorruptStoreError: the store is not what was committed.
        StoreError: it cannot be written.
    """
    marker = read_marker(state)
    _refuse_missing(state, marker)
    _refuse_stranger(marker, bot)
    _refuse_namespace(state, marker, namespace(mode))
    store = _open_store(state / STORE)
    fresh = Installation(bot=bot, created_ns=now_ns, schema=codec.SCHEMA_VERSION, namespace=namespace(mode))
    try:
        return _settle(state, store, marker, fresh, lambda: against(store))
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


def namespace(mode: Mode) -> str:
    """The name under which a mode's state is kept apart."""
    return mode.value.lower()


def refuse_mode(state: Path, mode: Mode) -> None:
    """Asked before anything of a run is begun. Raises RefusedError: this state is another mode's."""
    _refuse_namespace(state, read_marker(state), namespace(mode))


def _refuse_namespace(state: Path, known: Installation | None, wanted: str) -> None:
    if known is not None and known.namespace not in {"", wanted}:
        raise RefusedError(f"{state} is {known.namespace}'s: {_apart(state, wanted)}")


def _refuse_claim(state: Path, kept: Installation | None, wanted: str, against: Callable[[], str]) -> None:
    """A state older than namespaces becomes that of who comes first, unless its contents are another's."""
    _refuse_namespace(state, kept, wanted)
    found = "" if kept is not None and kept.namespace else against()
    if found:
        raise RefusedError(f"{state} is not {wanted}'s, for {found}: {_apart(state, wanted)}")


def _apart(state: Path, wanted: str) -> str:
    """What to do: with positions, peaks and latches of two modes neither would be right."""
    return f"no two modes share their state, nothing was changed; give {wanted} its own with `--state {state}-{wanted}`"


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


def _settle(
    state: Path, store: LmdbStore, marker: Installation | None, fresh: Installation, against: Callable[[], str]
) -> Opened:
    found = store.meta(_META)
    kept = None if found is None else msgspec.json.decode(found, type=Installation)
    if marker is None and store.head().index:
        raise RefusedError(f"{state / MARKER} is missing, but the store is not empty: bring it back with `restore`")
    if marker is not None and kept is not None:
        _refuse_mismatch(state, marker, kept)
    if marker is not None and not marker.namespace:
        _refuse_claim(state, kept, fresh.namespace, against)
    findings = check_start(store, store.shelf)
    for index in findings.bad_snapshots:
        log.warning("snapshot_passed_over", index=index)
        store.shelf.remove(index)
    if marker is not None and marker.schema == codec.SCHEMA_VERSION and marker.namespace:
        return Opened(store, marker, findings, first_run=False)
    return Opened(store, _mark(state, store, marker, fresh), findings, first_run=marker is None)


def _refuse_mismatch(state: Path, marker: Installation, kept: Installation) -> None:
    # The schema may differ: a first start under a newer program was interrupted between the two.
    of_store = (kept.bot, kept.created_ns, kept.namespace or marker.namespace)
    if of_store != (marker.bot, marker.created_ns, marker.namespace or kept.namespace):
        raise RefusedError(f"{state / MARKER} does not belong to the store: bring back a backup with `restore`")
    _refuse_stranger(kept, marker.bot)


def _mark(state: Path, store: LmdbStore, marker: Installation | None, fresh: Installation) -> Installation:
    """Writes the marker on a first run, and again when an older store was opened by a newer program."""
    made = fresh if marker is None else replace(fresh, bot=marker.bot, created_ns=marker.created_ns)
    text = msgspec.json.encode(made)
    store.put_meta(_META, text)
    write_durably(state / MARKER, text)
    return made
