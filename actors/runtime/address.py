"""Addresses: names to mailboxes, prefix routes to bridges, and the one way to tell.

Hold a name, never a reference: what answers to it may be another incarnation, or another process.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol

from actors.runtime.clock import TurnClock
from actors.runtime.mailbox import EVENT_BOUND, Dispatcher, Mailbox
from protocol.base import Envelope, Message

DeadLetterHook = Callable[[Envelope, str], None]


class Target(Protocol):
    """Whatever takes mail: a mailbox, or a bridge to another process. Any thread may put."""

    def put(self, envelope: Envelope) -> None:
        """Take it in; never blocks, never raises."""


class Directory:
    """Who answers to which name in this process.

    `next_seq` numbers every message of the process. It starts at the clock's microseconds, so that numbers rise
    across restarts too (as long as a process sends under a million messages a second on average).
    """

    def __init__(self, clock: TurnClock, on_dead_letter: DeadLetterHook, first_seq: int | None = None) -> None:
        self.clock = clock
        self.targets: dict[str, Target] = {}
        self.first_seq = clock.now_ns() // 1000 if first_seq is None else first_seq
        self.next_seq = count(self.first_seq).__next__
        self._routes: dict[str, Target] = {}
        self._on_dead_letter = on_dead_letter

    def open(self, name: str, dispatcher: Dispatcher, bound: int = EVENT_BOUND) -> Mailbox:
        """Makes the mailbox of a name, or returns the one it has."""
        box = self.targets.get(name)
        if not isinstance(box, Mailbox):
            box = self.targets[name] = Mailbox(name, dispatcher, bound)
        return box

    def forget(self, name: str) -> None:
        """The name is gone for good: what still waits becomes dead letters."""
        box = self.targets.pop(name, None)
        if isinstance(box, Mailbox):
            for envelope in box.drain():
                self.dead(envelope, "receiver is gone")

    def route(self, prefix: str, target: Target) -> None:
        """Sends everything to names that start with `prefix`, and are not known here, to `target`."""
        self._routes[prefix] = target

    def find(self, name: str) -> Target | None:
        """What takes mail for `name`; None: nobody."""
        target = self.targets.get(name)
        if target is None:
            target = next((t for prefix, t in self._routes.items() if name.startswith(prefix)), None)
        return target

    def tell(self, to: str, message: Message, sender: str = "", cause: int = 0, incarnation: int = 0) -> int:
        """Sends a message from any thread and returns its number. An unknown name makes it a dead letter."""
        seq = self.next_seq()
        self.deliver(Envelope(seq, sender, to, cause, incarnation, self.clock.now_ns(), message))
        return seq

    def deliver(self, envelope: Envelope) -> None:
        """Puts an envelope where its `to` says."""
        target = self.targets.get(envelope.to)
        if target is None:
            target = self.find(envelope.to)
        if target is None:
            self.dead(envelope, "no such name")
        else:
            target.put(envelope)

    def dead(self, envelope: Envelope, reason: str) -> None:
        """Reports mail that nobody will handle."""
        self._on_dead_letter(envelope, reason)

    def boxes(self) -> Iterator[Mailbox]:
        """All mailboxes of this process, in the order in which their names were opened."""
        return (target for target in list(self.targets.values()) if isinstance(target, Mailbox))
