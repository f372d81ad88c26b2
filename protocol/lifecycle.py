"""Birth, recovery, timers, pulse and death: what the runtime and its actors say to each other."""

from typing import ClassVar

from protocol.base import Lane, Message, Value


class StoreRecord(Value, frozen=True, kw_only=True):
    """One durable value. `value` None deletes the key."""

    key: str
    value: bytes | None


class Load(Message, frozen=True, kw_only=True, tag="lifecycle.load"):
    """Ask the recorder for every record below `prefixes`; answered with `Recover` to `reply_to`."""

    lane: ClassVar[Lane] = Lane.CONTROL
    prefixes: tuple[str, ...]
    reply_to: str


class Recover(Message, frozen=True, kw_only=True, tag="lifecycle.recover"):
    """The first message of every incarnation: its durable records (none: a first run). Ascending by key."""

    lane: ClassVar[Lane] = Lane.CONTROL
    records: tuple[StoreRecord, ...] = ()


class Committed(Message, frozen=True, kw_only=True, tag="lifecycle.committed"):
    """The recorder's word that commit `number` of this actor is durable and its outbox released."""

    lane: ClassVar[Lane] = Lane.CONTROL
    number: int


class CommitFailed(Message, frozen=True, kw_only=True, tag="lifecycle.commit_failed"):
    """Commit `number` did not happen. `duplicate`: a key that had to be new was there already."""

    lane: ClassVar[Lane] = Lane.CONTROL
    number: int
    detail: str
    duplicate: bool = False


class Wake(Message, frozen=True, kw_only=True, tag="lifecycle.wake"):
    """A timer came due. `due_ns` is when it should have; the handling time says how late it is."""

    timer: str
    due_ns: int


class Beat(Message, frozen=True, kw_only=True, tag="lifecycle.beat"):
    """A pulse through the actor's own mailbox: answering it proves that the actor still takes mail."""

    lane: ClassVar[Lane] = Lane.CONTROL
    number: int


class Stop(Message, frozen=True, kw_only=True, tag="lifecycle.stop"):
    """Finish: take no new work, release what is held, then end normally."""

    lane: ClassVar[Lane] = Lane.CONTROL
    reason: str


class ActorExited(Message, frozen=True, kw_only=True, tag="lifecycle.exited"):
    """An incarnation ended. `normal`: it was asked to, or it retired; else `error` says why."""

    lane: ClassVar[Lane] = Lane.CONTROL
    name: str
    incarnation: int
    normal: bool
    error: str = ""


class DeadLetter(Message, frozen=True, kw_only=True, tag="lifecycle.dead_letter"):
    """Mail that nobody handled: unknown to its receiver, poison after one redelivery, or without a receiver."""

    to: str
    seq: int
    body_type: str
    reason: str


LifecycleMessage = Load | Recover | Committed | CommitFailed | Wake | Beat | Stop | ActorExited | DeadLetter
