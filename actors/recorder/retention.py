"""Forgetting journal entries past their retention, oldest first, and never one that a start may still need."""

from actors.recorder.store import Store
from actors.runtime.journal_format import unseal

RETENTION_NS = 90 * 24 * 3600 * 1_000_000_000
"""operations.md §5."""
AT_ONCE = 500
"""Entries dropped per transaction: a commit behind it waits a millisecond."""


def drop_old(store: Store, now_ns: int, retention_ns: int = RETENTION_NS, at_once: int = AT_ONCE) -> int:
    """Drops up to `at_once` entries older than the retention and older than every snapshot kept; how many.

    Raises:
        StoreError: none was dropped.
        CorruptEntryError: an old entry is damaged.
    """
    oldest_snapshot = min(store.shelf.indices(), default=0)
    old: list[int] = []
    for index, data in store.entries():
        if index >= oldest_snapshot or len(old) == at_once:
            break
        if now_ns - unseal(index, data).entry.draft.at_ns < retention_ns:
            break
        old.append(index)
    if old:
        with store.transaction() as txn:
            for index in old:
                txn.drop_entry(index)
    return len(old)
