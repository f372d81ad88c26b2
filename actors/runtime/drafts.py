"""Journal entries before the recorder numbers and chains them. Pure."""

from typing import Protocol

from msgspec.structs import replace

from protocol import codec
from protocol.base import Envelope, Message
from protocol.journal import Draft, EntryKind
from protocol.lifecycle import Beat, CommitFailed, Committed, Load, Recover

NOT_JOURNALED: frozenset[type[Message]] = frozenset({Beat, Committed, CommitFailed, Load})
"""Control messages of the machinery: too many, and they decide nothing."""


class Author(Protocol):
    """Who an entry is of."""

    name: str
    incarnation: int


def handled(author: Author, envelope: Envelope, now_ns: int) -> Draft:
    """The entry of a message that `author` took. A `Recover` stands without its records: the store has them."""
    body = Recover() if type(envelope.body) is Recover else envelope.body
    return Draft(
        kind=EntryKind.HANDLED,
        actor=author.name,
        incarnation=author.incarnation,
        sender=envelope.sender,
        seq=envelope.seq,
        cause=envelope.cause,
        at_ns=now_ns,
        body=codec.encode(body),
    )


def said(author: Author, message: Message, made_it: Envelope, now_ns: int) -> Draft:
    """The entry of something that `author` wants on record, with numbers of the message that made it speak."""
    spoken = replace(made_it, sender=author.name, body=message)
    return replace(handled(author, spoken, now_ns), kind=EntryKind.SAID)
