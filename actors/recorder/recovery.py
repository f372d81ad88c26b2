"""Is the store what was committed? Checked at every start from the newest good snapshot, and in whole by `verify`."""

from collections.abc import Iterable, Iterator

from actors.recorder.core import fold
from actors.recorder.snapshots import CorruptSnapshotError, Snapshot, decode
from actors.recorder.store import Reads, Shelf
from actors.runtime.journal_format import CorruptEntryError, Head, follows
from protocol.base import Value
from protocol.lifecycle import StoreRecord


class CorruptStoreError(Exception):
    """The store is not what was committed; nothing is guessed. Says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the store is damaged: {reason}. Bring back a backup with `restore`, or start a new store from what the "
            "venue knows with `rebuild-positions`"
        )


class Findings(Value, frozen=True, kw_only=True):
    """What a check saw. `base`: the entry it started after; `bad_snapshots`: indices that were passed over."""

    head: Head
    base: int
    entries: int
    records: int
    snapshots: tuple[int, ...] = ()
    bad_snapshots: tuple[int, ...] = ()


def check_start(store: Reads, shelf: Shelf) -> Findings:
    """Verifies what a start relies on: newest good snapshot, the journal after it, and that both make the records.

    Raises:
        CorruptStoreError: naming the entry or record.
    """
    good, bad = _newest_good(shelf, store)
    base = good or _genesis(store)
    found = _compare(store, base)
    return Findings(
        head=found[0],
        base=base.head.index,
        entries=found[0].index - base.head.index,
        records=found[1],
        snapshots=(good.head.index,) if good else (),
        bad_snapshots=bad,
    )


def check_whole(store: Reads, shelf: Shelf) -> Findings:
    """Verifies every entry kept, every snapshot against the journal, and the records against both.

    A journal whose beginning is past its retention is folded from its oldest good snapshot; the entries before that are
    still checked for their hashes and links. A snapshot that is damaged, or does not equal the fold, is listed as bad.

    Raises:
        CorruptStoreError: naming the entry or record.
    """
    snapshots, bad = _all_snapshots(shelf)
    base = _oldest_base(store, snapshots)
    _check_links(store, base.head)
    good, wrong = _check_snapshots(store, base, snapshots)
    head, records = _compare(store, base)
    first = store.first()
    return Findings(
        head=head,
        base=base.head.index,
        entries=head.index - first + 1 if first else 0,
        records=records,
        snapshots=good,
        bad_snapshots=tuple(sorted((*bad, *wrong))),
    )


def read_snapshot(shelf: Shelf, index: int) -> Snapshot | None:
    """One snapshot; None where it is damaged or cannot be read."""
    try:
        snapshot = decode(shelf.read(index))
    except (OSError, CorruptSnapshotError):
        return None
    return snapshot if snapshot.head.index == index else None


def _newest_good(shelf: Shelf, store: Reads) -> tuple[Snapshot | None, tuple[int, ...]]:
    bad: list[int] = []
    for index in reversed(shelf.indices()):
        snapshot = read_snapshot(shelf, index)
        if snapshot is not None and _belongs(snapshot, store):
            return snapshot, tuple(bad)
        bad.append(index)
    return None, tuple(bad)


def _belongs(snapshot: Snapshot, store: Reads) -> bool:
    """False for a snapshot of another history: a restored store may lie beside snapshots of the one it replaced."""
    at = next(store.entries(snapshot.head.index), None)
    return at is not None and at[0] == snapshot.head.index and at[1][33:65] == snapshot.head.sha


def _genesis(store: Reads) -> Snapshot:
    if store.first() > 1:
        raise CorruptStoreError(f"no good snapshot, and the journal begins at entry {store.first()}")
    return Snapshot(head=Head(), records=())


def _compare(store: Reads, base: Snapshot) -> tuple[Head, int]:
    """Folds `base` and the journal after it, and holds the result against the records of the same moment."""
    head, records = store.view()
    try:
        folded, reached = fold(_plain(base.records), base.head, _until(store.entries(base.head.index + 1), head.index))
    except CorruptEntryError as exc:
        raise CorruptStoreError(str(exc)) from exc
    if reached != head:
        raise CorruptStoreError(f"journal entry {reached.index + 1}: missing; entry {head.index} was committed")
    _same(folded, _plain(records))
    return head, len(records)


def _same(folded: dict[str, bytes], records: dict[str, bytes]) -> None:
    if folded == records:
        return
    key = min(key for key in folded.keys() | records.keys() if folded.get(key) != records.get(key))
    raise CorruptStoreError(f"record {key} is not what the journal says")


def _until(entries: Iterable[tuple[int, bytes]], last: int) -> Iterator[tuple[int, bytes]]:
    for index, data in entries:
        if index > last:
            return
        yield index, data


def _plain(records: Iterable[StoreRecord]) -> dict[str, bytes]:
    return {record.key: record.value for record in records if record.value is not None}


def _all_snapshots(shelf: Shelf) -> tuple[list[Snapshot], tuple[int, ...]]:
    read = [(index, read_snapshot(shelf, index)) for index in shelf.indices()]
    return [s for _, s in read if s is not None], tuple(index for index, s in read if s is None)


def _oldest_base(store: Reads, snapshots: list[Snapshot]) -> Snapshot:
    first = store.first()
    if first <= 1:
        return Snapshot(head=Head(), records=())
    usable = [s for s in snapshots if s.head.index >= first and _belongs(s, store)]
    return usable[0] if usable else _genesis(store)


def _check_links(store: Reads, until: Head) -> None:
    """Hashes and links of the entries at and before `until`, which no fold covers."""
    previous: Head | None = None
    for index, data in _until(store.entries(), until.index):
        try:
            previous = follows(previous or Head(index=index - 1, sha=data[1:33]), index, data).head
        except CorruptEntryError as exc:
            raise CorruptStoreError(str(exc)) from exc
    if previous is not None and previous != until:
        raise CorruptStoreError(f"journal entry {until.index}: not the one its snapshot names")


def _check_snapshots(
    store: Reads, base: Snapshot, snapshots: list[Snapshot]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which snapshots equal the fold up to their entry, and which do not."""
    good: list[int] = []
    wrong: list[int] = []
    records, head = _plain(base.records), base.head
    for snapshot in sorted(snapshots, key=lambda s: s.head.index):
        target = snapshot.head.index
        if target >= head.index:
            try:
                records, head = fold(records, head, _until(store.entries(head.index + 1), target))
            except CorruptEntryError as exc:
                raise CorruptStoreError(str(exc)) from exc
        same = head == snapshot.head and records == _plain(snapshot.records)
        (good if same else wrong).append(target)
    return tuple(good), tuple(wrong)
