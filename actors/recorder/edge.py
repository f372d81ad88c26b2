"""The recorder's edge: the one place that writes the store and releases what a commit made durable.

Every transaction is fenced twice: before it begins, and again between its sync and the first word about it. What a
superseded incarnation made durable is found by its successor's readers; it is never released or acknowledged by it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from actors.recorder import snapshots
from actors.recorder.core import Plan, compose
from actors.recorder.effects import Grow, LoadInTurn, Read, Request, TakeSnapshot, Tidy, Unwritten, Write, Written
from actors.recorder.retention import drop_old
from actors.recorder.store import Store, StoreBusyError, StoreError, StoreFullError
from actors.runtime.journal_format import CorruptEntryError
from actors.runtime.logging import get
from actors.runtime.role import Port
from protocol.base import Effect
from protocol.journal import Append, CommitRequest
from protocol.lifecycle import Recover

log = get(__name__)

Observe = Callable[[int, int], None]
"""Told `(took_ns, entries)` of each commit."""


class RecorderEdge:
    """Args: `store` serves the process across incarnations; `background`: snapshots in a thread of their own."""

    def __init__(self, store: Store, observe: Observe | None, *, background: bool) -> None:
        self._store = store
        self._observe = observe
        self._helper = ThreadPoolExecutor(1, "recorder-snapshot") if background else None
        self._snapshot_at = max(store.shelf.indices(), default=0)

    def bind(self, port: Port) -> None:
        """Called once, before the first message."""
        self._port = port

    def perform(self, effect: Effect) -> None:
        """Carry out one of the recorder's own effects."""
        if not self._port.valid():
            return
        match effect:
            case Write():
                self._attempt(effect.requests, lambda: self._write(effect))
            case Read():
                self._answer(effect.load)
            case Grow():
                self._attempt((), self._grow)
            case Tidy():
                self._attempt((), self._tidy)
            case TakeSnapshot():
                self._take_snapshot()

    def close(self) -> None:
        """The incarnation ends; the store stays for the next one."""
        if self._helper is not None:
            self._helper.shutdown(wait=False, cancel_futures=True)

    def _attempt(self, requests: tuple[Request, ...], act: Callable[[], None]) -> None:
        try:
            act()
        except StoreError as exc:
            kind = (
                "full" if isinstance(exc, StoreFullError) else "slow" if isinstance(exc, StoreBusyError) else "failed"
            )
            self._port.tell(self._port.name, Unwritten(kind=kind, detail=str(exc), requests=requests))

    def _write(self, effect: Write) -> None:
        began = self._port.now_ns()
        plan = self._transact(effect)
        took_ns = self._port.now_ns() - began
        if not self._port.valid():
            return
        for released, cause in plan.releases:
            self._port.tell("gateway", released, cause)
        for to, message, cause in plan.tells:
            self._port.tell(to, message, cause)
        for request in effect.requests:
            if isinstance(request, LoadInTurn):
                self._answer(request)
        if plan.entries or effect.probe:
            self._report(plan, took_ns)

    def _transact(self, effect: Write) -> Plan:
        wanted = [r for r in effect.requests if isinstance(r, CommitRequest | Append)]
        with self._store.transaction() as txn:
            plan = compose(wanted, txn.head(), txn.get, self._port.now_ns())
            for head, data in plan.entries:
                txn.append(head, data)
            for record in plan.records:
                txn.put(record)
            if effect.probe:
                txn.touch()
        return plan

    def _report(self, plan: Plan, took_ns: int) -> None:
        head = plan.entries[-1][0].index if plan.entries else 0
        due = snapshots.due(head - self._snapshot_at, self._store.count)
        if self._observe is not None:
            self._observe(took_ns, len(plan.entries))
        self._port.tell(self._port.name, Written(entries=len(plan.entries), took_ns=took_ns, snapshot_due=due))

    def _answer(self, load: LoadInTurn) -> None:
        found = tuple(record for prefix in load.prefixes for record in self._store.records(prefix))
        self._port.tell(load.reply_to, Recover(records=found))

    def _grow(self) -> None:
        self._store.grow()
        self._port.tell(self._port.name, Written(entries=0, took_ns=0))

    def _tidy(self) -> None:
        self._store.tidy()
        try:
            drop_old(self._store, self._port.now_ns())
        except CorruptEntryError as exc:
            # Old news that no start relies on: `verify` tells the whole story, trading goes on.
            log.error("journal_damaged", index=exc.index, reason=exc.reason)  # noqa: TRY400 - the reason is the story

    def _take_snapshot(self) -> None:
        self._snapshot_at = self._store.head().index  # one at a time, and none again at once where it fails
        if self._helper is None:
            take_snapshot(self._store)
        else:
            self._helper.submit(take_snapshot, self._store)


def take_snapshot(store: Store) -> int:
    """Writes a snapshot of this moment and forgets all but the newest few; its index, 0 where it could not be written.

    A failure costs a longer fold at the next start, nothing else.
    """
    try:
        head, records = store.view()
        store.shelf.write(head.index, snapshots.encode(snapshots.Snapshot(head=head, records=records)))
        for old in store.shelf.indices()[: -snapshots.KEEP]:
            store.shelf.remove(old)
    except Exception:  # in a helper thread nobody else would hear of it, and nobody depends on it
        log.warning("snapshot_failed", exc_info=True)
        return 0
    return head.index
