"""What every message, effect and envelope has in common."""

from enum import IntEnum
from typing import ClassVar

import msgspec


class Lane(IntEnum):
    """Which queue of a mailbox a message waits in; a lower lane is always served first."""

    CONTROL = 0
    EVENT = 1
    STATE = 2


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the immutable parts that messages are made of. Derive a new one, never edit."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything an actor may receive.

    Every subclass names its own tag, so that a renamed class still reads yesterday's journal, and its lane:
    events (the default) are never dropped or merged; of state messages with one `key` only the newest waits.
    """

    lane: ClassVar[Lane] = Lane.EVENT

    @property
    def key(self) -> str:
        """What a state message is about; the newest one per key replaces the older one in the mailbox."""
        return type(self).__name__


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done by an edge, described as data. A core returns effects; it never performs them."""


Effects = tuple[Effect, ...]
NO_EFFECTS: Effects = ()


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A message on its way.

    `seq` rises with every message of a process; `cause` is the `seq` of the message whose handling sent this
    one (0: nothing, the outside); `incarnation` is the sender's. `sent_ns` is UTC.
    """

    seq: int
    sender: str
    to: str
    cause: int
    incarnation: int
    sent_ns: int
    body: Message
