"""The recorder's decisions: what shares a transaction, what is released by it, and what trouble means.

Group commit without waiting: the first request queues a `Flush` behind whatever else is in the mailbox, so a batch is
all that waited. Every commit is composed here and performed by the edge; nothing is answered before it is durable.
"""

from collections.abc import Callable, Iterable

from actors.recorder.effects import (
    Flush,
    Grow,
    LoadInTurn,
    Read,
    Request,
    TakeSnapshot,
    Tidy,
    Unwritten,
    Write,
    Written,
)
from actors.runtime.journal_format import MAX_KEY_BYTES, Head, Sealed, follows, seal
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.effects import Count, LogLine, Retire, SetTimer, Tell
from protocol.journal import Append, CommitRequest, Draft, EntryKind, Released, StoreTrouble
from protocol.lifecycle import CommitFailed, Committed, Load, Recover, Stop, StoreRecord, Wake

NAME = "recorder"
MAX_BATCH = 256
"""Requests in one transaction at most: bounds a commit's time and memory."""
MAX_PENDING = 4_000
"""Requests kept for a store in trouble; beyond, the oldest entries nobody waits for go (trading is halted anyway)."""
APPEND_DELAY_NS = 20_000_000
"""How long entries that nobody waits for may wait for company: a sync each would wear the disk for nothing."""
SLOW_NS = 1_000_000_000
"""A commit longer than this is trouble (faults F5)."""
PROBE_NS = {"full": 100_000_000, "slow": 100_000_000, "failed": 1_000_000_000}
TIDY_NS = 60_000_000_000
_MS = 1_000_000


class State(Value, frozen=True, kw_only=True):
    """Requests not yet written, in order of arrival; `trouble` is the kind last reported, empty while all is well."""

    pending: tuple[Request, ...] = ()
    trouble: str = ""


class Plan(Value, frozen=True, kw_only=True):
    """One transaction: entries and records to write, and what to tell whom, with which cause, once they are durable.

    `releases`, what may leave for the venue then, goes to the gateway before anything is told.
    """

    entries: tuple[tuple[Head, bytes], ...]
    records: tuple[StoreRecord, ...]
    releases: tuple[tuple[Released, int], ...]
    tells: tuple[tuple[str, Message, int], ...]


def step(state: State, message: Message, now_ns: int) -> tuple[State, Effects]:
    """Handle one message. Pure."""
    match message:
        case CommitRequest() | Append():
            return _take(state, message, now_ns)
        case LoadInTurn():
            return _load(state, message)
        case Flush():
            return _flush(state)
        case Wake(timer="flush") | Wake(timer="probe"):
            return _flush(state, probe=bool(state.trouble))
        case Load():
            return state, (Tell(to=NAME, message=LoadInTurn(prefixes=message.prefixes, reply_to=message.reply_to)),)
        case Written():
            return _written(state, message, now_ns)
        case Unwritten():
            return _unwritten(state, message, now_ns)
        case Recover():
            return state, (Write(probe=True), SetTimer(timer="tidy", due_ns=now_ns + TIDY_NS))
        case Wake(timer="tidy"):
            return state, (Tidy(), SetTimer(timer="tidy", due_ns=now_ns + TIDY_NS))
        case Stop():
            return State(trouble=state.trouble), (Write(requests=state.pending), Retire())
        case _:
            return state, NO_EFFECTS


def _take(state: State, request: Request, now_ns: int) -> tuple[State, Effects]:
    first_wait = not any(isinstance(r, CommitRequest) for r in state.pending)
    after = _with(state, request)
    if state.trouble in ("full", "slow") or (state.trouble and isinstance(request, Append)):
        return after, NO_EFFECTS  # the probe writes them, when the store answers
    if len(after.pending) >= MAX_BATCH:
        return _flush(after)
    if isinstance(request, CommitRequest):
        return after, (Tell(to=NAME, message=Flush()),) if first_wait else NO_EFFECTS
    return after, (SetTimer(timer="flush", due_ns=now_ns + APPEND_DELAY_NS),) if not state.pending else NO_EFFECTS


def _load(state: State, load: LoadInTurn) -> tuple[State, Effects]:
    """Entries alone change no record: a new order's actor need not wait for their sync."""
    if any(isinstance(request, CommitRequest) for request in state.pending):
        return _flush(_with(state, load))
    return state, (Read(load=load),)


def _with(state: State, request: Request) -> State:
    return State(pending=_bounded((*state.pending, request)), trouble=state.trouble)


def _bounded(pending: tuple[Request, ...]) -> tuple[Request, ...]:
    excess = len(pending) - MAX_PENDING
    if excess <= 0:
        return pending
    droppable = set([at for at, request in enumerate(pending) if isinstance(request, Append)][:excess])
    return tuple(request for at, request in enumerate(pending) if at not in droppable)


def _flush(state: State, *, probe: bool = False) -> tuple[State, Effects]:
    if not state.pending and not probe:
        return state, NO_EFFECTS
    batch, rest = state.pending[:MAX_BATCH], state.pending[MAX_BATCH:]
    return State(pending=rest, trouble=state.trouble), (Write(requests=batch, probe=probe),)


def _written(state: State, done: Written, now_ns: int) -> tuple[State, Effects]:
    effects: list[Effect] = []
    if done.entries:
        effects += [
            Count(metric="trader_store_commits_total"),
            Count(metric="trader_journal_entries_total", by=float(done.entries)),
            Count(metric="trader_store_commit_seconds_total", by=done.took_ns / 1e9),
        ]
    if done.snapshot_due:
        effects.append(TakeSnapshot())
    trouble = "slow" if done.took_ns > SLOW_NS else ""
    if trouble or state.trouble:
        effects += _report(state, trouble, f"a commit took {done.took_ns // _MS} ms", now_ns)
    if state.pending and not trouble:
        effects.append(Tell(to=NAME, message=Flush()))
    return State(pending=state.pending, trouble=trouble), tuple(effects)


def _unwritten(state: State, failure: Unwritten, now_ns: int) -> tuple[State, Effects]:
    requests = (*failure.requests, *state.pending)
    effects = _report(state, failure.kind, failure.detail, now_ns)
    if failure.kind == "full":
        effects.append(Grow())
    if failure.kind == "failed":
        effects += [_refusal(r, failure.detail) for r in requests if isinstance(r, CommitRequest)]
        effects += [Read(load=r) for r in requests if isinstance(r, LoadInTurn)]
        requests = tuple(r for r in requests if isinstance(r, Append))
    return State(pending=_bounded(requests), trouble=failure.kind), tuple(effects)


def _report(state: State, kind: str, detail: str, now_ns: int) -> list[Effect]:
    """Tell risk and the log where the trouble changed, and look again soon while there is any."""
    effects: list[Effect] = []
    if kind != state.trouble:
        ok = not kind
        effects.append(Tell(to="risk", message=StoreTrouble(ok=ok, kind=kind or state.trouble, detail=detail)))
        level = "info" if ok else "error"
        effects.append(LogLine(level=level, event="store_trouble", fields=(("kind", kind), ("detail", detail))))
    if kind:
        effects.append(SetTimer(timer="probe", due_ns=now_ns + PROBE_NS[kind]))
    return effects


def _refusal(request: CommitRequest, detail: str) -> Tell:
    return Tell(to=request.reply_to, message=CommitFailed(number=request.number, detail=detail))


def compose(
    requests: Iterable[CommitRequest | Append], head: Head, get: Callable[[str], bytes | None], now_ns: int
) -> Plan:
    """Build one transaction. A request whose `fresh` key exists, or whose keys no store takes, fails alone.

    Args:
        requests: in the order of their arrival; later records win.
        head: the chain's head before.
        get: the store's records before.
        now_ns: stamps the entry of a commit that brought none.
    """
    entries: list[tuple[Head, bytes]] = []
    records: dict[str, StoreRecord] = {}
    releases: list[tuple[Released, int]] = []
    tells: list[tuple[str, Message, int]] = []

    def exists(key: str) -> bool:
        return (records[key].value if key in records else get(key)) is not None

    for request in requests:
        if isinstance(request, CommitRequest) and (refused := _refuse(request, exists)):
            tells.append((request.reply_to, refused, 0))
            continue
        drafts = _drafts(request, now_ns)
        first = head.index + 1
        for number, draft in enumerate(drafts):
            # The records lie with the first entry of their commit: a fold sees all of it or none.
            carried = request.records if isinstance(request, CommitRequest) and number == 0 else ()
            head, data = seal(head, draft, carried)
            entries.append((head, data))
        if isinstance(request, CommitRequest):
            records.update((record.key, record) for record in request.records)
            cause = drafts[0].seq
            releases += [(Released(submit=submit, index=first), cause) for submit in request.outbox]
            tells.append((request.reply_to, Committed(number=request.number), cause))
    written = tuple(records.values())
    return Plan(entries=tuple(entries), records=written, releases=tuple(releases), tells=tuple(tells))


def _refuse(request: CommitRequest, exists: Callable[[str], bool]) -> CommitFailed | None:
    for record in request.records:
        if not 0 < len(record.key.encode()) <= MAX_KEY_BYTES:
            return CommitFailed(number=request.number, detail=f"a key of {len(record.key.encode())} bytes")
    for key in request.fresh:
        if exists(key):
            return CommitFailed(number=request.number, detail=f"{key} exists", duplicate=True)
    return None


def _drafts(request: CommitRequest | Append, now_ns: int) -> tuple[Draft, ...]:
    """A commit without entries of its own still needs one to carry its records."""
    if request.drafts or isinstance(request, Append):
        return request.drafts
    body = codec.encode(Committed(number=request.number))
    return (
        Draft(
            kind=EntryKind.SAID,
            actor=request.reply_to,
            incarnation=0,
            sender=NAME,
            seq=0,
            cause=0,
            at_ns=now_ns,
            body=body,
        ),
    )


def fold(records: dict[str, bytes], head: Head, stored: Iterable[tuple[int, bytes]]) -> tuple[dict[str, bytes], Head]:
    """Records after `stored` entries, from those at `head`. Verifies the chain on its way.

    Raises:
        CorruptEntryError: a flipped, missing, repeated or reordered entry; names it.
    """
    folded = dict(records)
    for index, data in stored:
        sealed = follows(head, index, data)
        apply(folded, sealed)
        head = sealed.head
    return folded, head


def apply(records: dict[str, bytes], sealed: Sealed) -> None:
    """Adopt one entry's records in place."""
    for record in sealed.records:
        if record.value is None:
            records.pop(record.key, None)
        else:
            records[record.key] = record.value
