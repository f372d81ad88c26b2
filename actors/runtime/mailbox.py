"""Mailboxes by name: three lanes, leases by incarnation, redelivery once.

A mailbox outlives the actors that read it. Control is served before events before state; events are never dropped or
merged; of state messages only the newest per key waits. Any thread may put; one dispatcher takes. Nothing here locks:
`deque` and `OrderedDict` operations with plain keys are single steps of the interpreter.
"""

from collections import OrderedDict, deque
from typing import Protocol

from actors.runtime.clock import Timers
from protocol.base import Envelope, Lane, Message

EVENT_BOUND = 10_000
"""Waiting events above which a mailbox reports itself over its bound. Nothing is dropped."""

_EVENT, _STATE = Lane.EVENT, Lane.STATE


class Ready(Protocol):
    """What a dispatcher takes turns with."""

    def turn(self, limit: int, budget_ns: int) -> bool:
        """Handle up to `limit` messages or `budget_ns`; True when there is more to do."""


class Hurried(Protocol):
    """Who has control mail while it already waits for its turn."""

    def hurry(self) -> None:
        """Handle control mail out of turn."""


class Dispatcher(Protocol):
    """Gives turns. `ready` and `urgent` may be appended to from any thread; `wake` is called when it sleeps.

    Who is urgent is in `ready` too, and keeps its place there.
    """

    ready: deque[Ready]
    urgent: deque[Hurried]
    idle: bool
    timers: Timers

    def wake(self) -> None:
        """Come round: something was made ready."""


class Consumer(Ready, Hurried, Protocol):
    """One incarnation of the actor that reads a mailbox."""

    gated: bool
    """It takes only control mail now."""


class Tally:
    """Plain counters of one name, through all its incarnations. Written by its dispatcher only."""

    __slots__ = ("by_type", "dead_letters", "errors", "handled", "last_message", "last_useful_ns", "restarts")

    def __init__(self) -> None:
        self.handled = 0
        self.errors = 0
        self.restarts = 0
        self.dead_letters = 0
        self.last_message = ""
        self.last_useful_ns = 0
        self.by_type: dict[type[Message], list[int]] = {}
        """Message type to [handled, total ns]."""


class Mailbox:
    """The mail of one name.

    `hand` is the envelope being handled. `incarnation` counts leases; `consumer` holds the current one, None between
    incarnations, when mail only gathers. `commits` numbers the name's commits, so that no answer meant for an earlier
    incarnation fits a later one.
    """

    __slots__ = (
        *("bound", "commits", "conflated", "consumer", "control", "dispatcher", "event", "hand", "incarnation"),
        *("name", "redelivered", "scheduled", "state", "tally"),
    )

    def __init__(self, name: str, dispatcher: Dispatcher, bound: int = EVENT_BOUND) -> None:
        self.name = name
        self.dispatcher = dispatcher
        self.bound = bound
        self.control: deque[Envelope] = deque()
        self.event: deque[Envelope] = deque()
        self.state: OrderedDict[tuple[type[Message], str], Envelope] = OrderedDict()
        self.hand: Envelope | None = None
        self.redelivered = -1
        self.consumer: Consumer | None = None
        self.incarnation = 0
        self.commits = 0
        self.conflated = 0
        self.scheduled = True  # no turn before the first lease
        self.tally = Tally()

    def depth(self) -> int:
        """How many messages wait."""
        return len(self.control) + len(self.event) + len(self.state)

    def put(self, envelope: Envelope) -> None:
        """Takes mail in, from any thread, and makes the actor ready."""
        lane = envelope.body.lane
        if lane is _EVENT:
            self.event.append(envelope)
        elif lane is _STATE:
            body = envelope.body
            key = (type(body), body.key)
            if key in self.state:
                self.conflated += 1
            self.state[key] = envelope  # newest value, oldest place in the queue
        else:
            self.control.append(envelope)
            consumer = self.consumer
            if self.scheduled and consumer is not None:
                self.dispatcher.urgent.append(consumer)
        if not self.scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Asks for a turn for the present incarnation. Asking twice costs an empty turn, never a message."""
        self.scheduled = True
        consumer, dispatcher = self.consumer, self.dispatcher
        if consumer is not None:  # else the next lease asks
            dispatcher.ready.append(consumer)
            if dispatcher.idle:
                dispatcher.wake()

    def rest(self, consumer: Consumer) -> bool:
        """Ends a series of turns unless there is mail that `consumer` would take now; then True."""
        if self.consumer is not consumer:
            return False
        # Clear, then look again: who put after the last look saw `scheduled` and did not ask for a turn.
        self.scheduled = False
        if self.control or (not consumer.gated and (self.event or self.state)):
            self.scheduled = True
            return True
        return False

    def lease(self, consumer: Consumer) -> int:
        """Gives the mailbox to a new incarnation and returns its number; the one before reads nothing more.

        What the predecessor had in hand, and never finished, is put back once.
        """
        hand, self.hand = self.hand, None
        if hand is not None:
            self.put_back(hand)
        self.incarnation += 1
        self.scheduled = True
        self.consumer = consumer
        return self.incarnation

    def release(self, consumer: Consumer) -> None:
        """The incarnation ended; mail gathers until the next lease."""
        if self.consumer is consumer:
            self.scheduled = True
            self.consumer = None

    def put_back(self, envelope: Envelope) -> bool:
        """Puts a message that ended its reader back in front of its lane; False the second time: it is poison."""
        if envelope.seq == self.redelivered:
            return False
        self.redelivered = envelope.seq
        lane = envelope.body.lane
        if lane is _STATE:
            key = (type(envelope.body), envelope.body.key)
            if key not in self.state:  # else something newer waits already
                self.state[key] = envelope
                self.state.move_to_end(key, last=False)
        else:
            (self.event if lane is _EVENT else self.control).appendleft(envelope)
        return True

    def reclaim(self, envelope: Envelope) -> None:
        """A superseded reader gives back what it took after the new lease was given."""
        if self.hand is envelope:
            self.hand = None
            self.put_back(envelope)

    def hold_again(self, held: list[Envelope]) -> None:
        """Gives back control mail that was set aside, in its old order, before what came later."""
        self.control.extendleft(reversed(held))

    def oldest_ns(self) -> int | None:
        """When the longest waiting message was sent; None when nothing waits. Approximate while others put."""
        try:
            heads = [lane[0].sent_ns for lane in (self.control, self.event) if lane]
            heads += [next(iter(self.state.values())).sent_ns] if self.state else []
        except (IndexError, StopIteration, RuntimeError):  # the reader was quicker
            return None
        return min(heads, default=None)

    def drain(self) -> list[Envelope]:
        """Takes everything out, for the dead letters of a name that is forgotten."""
        left = [*self.control, *self.event, *self.state.values()]
        self.control.clear()
        self.event.clear()
        self.state.clear()
        return left
