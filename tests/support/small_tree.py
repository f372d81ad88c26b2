"""Three actors and a recorder in memory, for tests of the runtime itself.

`front` passes what it is told to `ledger` and `witness`; `ledger` commits before it says anything; `witness` remembers
in which order it heard what. The recorder keeps records and entries in a dictionary and a list that outlive it.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from actors.runtime.restarts import Child, Group, Strategy
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol.base import NO_EFFECTS, Effects, Lane, Message, Value
from protocol.effects import Commit, Note, SetTimer, Tell
from protocol.journal import Append, CommitRequest, Draft
from protocol.lifecycle import CommitFailed, Committed, Load, Recover, StoreRecord, Wake


class Add(Message, frozen=True, kw_only=True, tag="test.add"):
    """Add to the sum; 13 is refused by the store, 666 ends its reader."""

    number: int


class Urgent(Message, frozen=True, kw_only=True, tag="test.urgent"):
    lane: ClassVar[Lane] = Lane.CONTROL
    text: str


class Price(Message, frozen=True, kw_only=True, tag="test.price"):
    lane: ClassVar[Lane] = Lane.STATE
    product: str
    value: int

    @property
    def key(self) -> str:
        return self.product


class Total(Message, frozen=True, kw_only=True, tag="test.total"):
    value: int


class Sum(Value, frozen=True, kw_only=True):
    value: int = 0


@dataclass
class Store:
    """What is durable."""

    records: dict[str, bytes | None] = field(default_factory=dict)
    entries: list[Draft] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    slow: list[Message] | None = None
    """Not None: requests gather here instead of being answered."""


def recorder(store: Store) -> Role[None]:
    def step(state: None, message: Message, now_ns: int) -> tuple[None, Effects]:
        match message:
            case Load():
                found = sorted((k, v) for k, v in store.records.items() if k.startswith(message.prefixes))
                records = tuple(StoreRecord(key=k, value=v) for k, v in found)
                return None, (Tell(to=message.reply_to, message=Recover(records=records)),)
            case Append():
                store.entries += message.drafts
            case CommitRequest() if store.slow is not None:
                store.slow.append(message)
            case CommitRequest():
                return None, (commit(store, message),)
        return None, NO_EFFECTS

    return Role(step, lambda: None, (Load, Append, CommitRequest), journaled=False)


def commit(store: Store, request: CommitRequest) -> Tell:
    if any(key in store.records for key in request.fresh) or any(r.value == b"13" for r in request.records):
        failed = CommitFailed(number=request.number, detail="refused", duplicate=bool(request.fresh))
        return Tell(to=request.reply_to, message=failed)
    store.entries += request.drafts
    store.records |= {record.key: record.value for record in request.records}
    return Tell(to=request.reply_to, message=Committed(number=request.number))


def front(state: int, message: Message, now_ns: int) -> tuple[int, Effects]:
    if isinstance(message, Wake):
        return state, (Tell(to="witness", message=Urgent(text=message.timer)),)
    if not isinstance(message, Add | Urgent):
        return state, NO_EFFECTS
    timer = (SetTimer(timer=f"t{state}", due_ns=now_ns),) if state % 5 == 0 else ()
    return state + 1, (Tell(to="ledger", message=message), Tell(to="witness", message=message), *timer)


def ledger(state: Sum, message: Message, now_ns: int) -> tuple[Sum, Effects]:
    match message:
        case Recover():
            kept = [record.value for record in message.records if record.key == "ledger/sum" and record.value]
            return Sum(value=int(kept[0]) if kept else 0), NO_EFFECTS
        case Add(number=666):
            raise ValueError("poison")
        case Add():
            after = Sum(value=state.value + message.number)
            stored = message.number if message.number == 13 else after.value
            record = StoreRecord(key="ledger/sum", value=str(stored).encode())
            told = Tell(to="witness", message=Total(value=after.value))
            return after, (Commit(records=(record,)), told, Note(message=Total(value=after.value)))
        case CommitFailed():
            return state, (Tell(to="witness", message=Urgent(text=f"refused at {state.value}")),)
    return state, NO_EFFECTS


def witness(heard: list[Message]) -> Role[None]:
    def step(state: None, message: Message, now_ns: int) -> tuple[None, Effects]:
        if not isinstance(message, Recover):
            heard.append(message)
        return None, NO_EFFECTS

    return Role(step, lambda: None, (Add, Urgent, Total, Price))


GROUPS = (Group(name="core", strategy=Strategy.REST_FOR_ONE, intensity=3, period_s=60.0),)


def members(store: Store, heard: list[Message], *, recorder_pump: str = "core") -> tuple[Member, ...]:
    return (
        Member(child=Child(name="recorder", group="core"), role=lambda _: recorder(store), pump=recorder_pump),
        Member(child=Child(name="witness", group="core"), role=lambda _: witness(heard)),
        Member(
            child=Child(name="ledger", group="core"),
            role=lambda _: Role(ledger, Sum, (Add, Urgent), store_prefixes=("ledger/",)),
        ),
        Member(child=Child(name="front", group="core"), role=lambda _: Role(front, lambda: 0, (Add, Urgent))),
    )
