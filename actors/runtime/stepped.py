"""Turns: how a pump, an event loop or the kernel lets an actor handle a bounded batch of its mail.

`SteppedActor` is a pykka actor without a thread of its own: whatever dispatcher it was handed to calls its `turn`. It
treats messages sent through pykka's own references exactly as `pykka.ThreadingActor` does, but for one thing:
`SystemExit` ends this actor, not all of them. `take_turn` is the path of mail sent to names, and the only one there is,
live and in the kernel.
"""

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from actors.runtime.mailbox import Dispatcher, Mailbox, Tally
from protocol.base import NO_EFFECTS, Envelope, Lane, Message
from protocol.effects import Tell
from protocol.lifecycle import Beat, CommitFailed, Committed, Recover, Stop, Wake

if TYPE_CHECKING:
    from pykka._envelope import Envelope as PykkaEnvelope

    from actors.runtime.shell import Shell

MESSAGES_PER_TURN = 64
TURN_NS = 1_000_000
"""Past either bound an actor gives way: a control message to its neighbour then waits for one handler at most."""

EVENT = Lane.EVENT

SYSTEM = frozenset({Beat, Committed, CommitFailed, Recover, Stop})
"""Control mail that the shell itself serves, also while its core waits."""


def take_turn(shell: "Shell", limit: int, budget_ns: int) -> None:  # noqa: C901, PLR0912, PLR0915 - see below
    """Handles up to `limit` messages or `budget_ns` of mail, in lane order.

    One long function on purpose: this is the path of every message, and a call costs as much as the work.
    """
    box, zero_ns, ticks = shell.box, shell.clock.zero_ns, shell.clock.ticks
    control, event, state_lane = box.control, box.event, box.state
    step, accepts, journaled = shell.step, shell.accepts, shell.journaled
    directory, name, incarnation = shell.services.directory, shell.name, shell.incarnation
    tape = shell.services.tape
    next_seq, targets, deliver = directory.next_seq, directory.targets, directory.deliver
    envelope: Envelope | None = None
    kind: type[Message] | None = None
    special = False
    left, served = limit, 1
    since = now = zero_ns + ticks()
    end = now + budget_ns
    try:
        if not shell.begun:
            shell.begin()
        gated = shell.gated
        while True:
            if control:
                envelope = control.popleft()
                if gated or type(envelope.body) in SYSTEM:
                    shell.serve(envelope, now)
                    envelope = box.hand = None
                    if shell.ended or served >= limit:
                        return
                    gated = shell.gated
                    served += 1
                    continue
                record = journaled
            elif gated:
                return
            elif event:
                envelope = event.popleft()
                record = journaled
            elif state_lane:
                envelope = state_lane.popitem(False)[1]
                record = False
                if tape is not None:
                    tape(name, envelope.seq, envelope.cause, now, envelope.body)
            else:
                return
            box.hand = envelope
            message = envelope.body
            if type(message) is not kind:
                if left < limit:
                    _count(box.tally, kind, limit - left, now - since)
                    limit = left
                kind, since = type(message), now
                special = kind is Wake or kind is Stop or kind not in accepts
            if special and shell.took(envelope, now):
                if shell.ended:
                    return
                gated = shell.gated
                state, effects = shell.state, NO_EFFECTS
                record = False
            else:
                state, effects = step(shell.state, message, now)
                if box.consumer is not shell:
                    box.reclaim(envelope)
                    return  # superseded while in the handler: nothing of this counts
            if not effects:
                shell.state = state
                if record:
                    shell.record(envelope, now)
            elif len(effects) == 1 and type(effects[0]) is Tell:  # the commonest answer: without a call
                shell.state = state
                to, body = effects[0].to, effects[0].message
                out = Envelope(next_seq(), name, to, envelope.seq, incarnation, now, body)
                target = targets.get(to)
                if target is None:
                    deliver(out)
                elif body.lane is EVENT and type(target) is Mailbox:
                    target.event.append(out)
                    if not target.scheduled:
                        target.schedule()
                else:
                    target.put(out)
                if record:
                    shell.record(envelope, now)
            else:
                shell.adopt(envelope, state, effects, now, record=record)
                gated = shell.gated
                if shell.ended:
                    left -= 1
                    return
            box.hand = None
            left -= 1
            now = zero_ns + ticks()
            if left <= 0 or now >= end:
                return
    except BaseException as error:  # noqa: BLE001 - nothing of an actor may end its pump, SystemExit included
        shell.crash(error, envelope)
    finally:
        if left < limit:
            _count(box.tally, kind, limit - left, now - since)
            box.tally.last_useful_ns = now
        shell.turn_ended()


def _count(tally: Tally, kind: type[Message] | None, handled: int, spent_ns: int) -> None:
    """Books a run of messages of one type."""
    if kind is None:
        return
    tally.handled += handled
    tally.last_message = kind.__name__
    row = tally.by_type.get(kind)
    if row is None:
        row = tally.by_type[kind] = [0, 0]
    row[0] += handled
    row[1] += spent_ns


class Scheduled(Protocol):
    """An actor that asks its dispatcher for a turn."""

    def schedule(self) -> None:
        """A message by reference arrived."""


class Inbox:
    """pykka's inbox protocol over a deque: `put` asks the owner's dispatcher for a turn."""

    __slots__ = ("owner", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[PykkaEnvelope[Any]] = deque()
        self.owner: Scheduled | None = None

    def put(self, envelope: "PykkaEnvelope[Any]", /) -> None:
        """Takes a message in from any thread."""
        self.waiting.append(envelope)
        if self.owner is not None:
            self.owner.schedule()

    def get(self) -> "PykkaEnvelope[Any]":
        """The oldest message. Only called when there is one."""
        return self.waiting.popleft()

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting


class SteppedActor(pykka.Actor):
    """A pykka actor that handles its messages in turns given by `dispatcher`."""

    actor_inbox: Inbox

    def __init__(self, dispatcher: Dispatcher, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dispatcher = dispatcher
        self._set_up = False

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.owner = self  # the strong reference: a dispatcher's queue, then whoever holds the inbox
        self.schedule()

    def schedule(self) -> None:
        """Asks for a turn."""
        self._dispatcher.ready.append(self)
        if self._dispatcher.idle:
            self._dispatcher.wake()

    def turn(self, limit: int, budget_ns: int) -> bool:  # noqa: ARG002 - messages by reference are few: counted, not timed
        """Handles up to `limit` messages by pykka's rules; True when more wait."""
        if not self._set_up:
            self._set_up = True
            self._actor_loop_setup()
        inbox = self.actor_inbox
        while limit > 0 and inbox.waiting and not self.actor_stopped.is_set():
            handle_call(self, inbox.get())
            limit -= 1
        if self.actor_stopped.is_set():
            self._actor_loop_teardown()
            inbox.owner = None
            return False
        return bool(inbox.waiting)


def handle_call(actor: pykka.Actor, envelope: "PykkaEnvelope[Any]") -> None:
    """Handles one message sent through a pykka reference, as pykka's own loop does; see the module's exception."""
    try:
        response = actor._handle_receive(envelope.message)  # noqa: SLF001 - this is that loop
        if envelope.reply_to is not None:
            envelope.reply_to.set(response)
    except BaseException as error:  # noqa: BLE001 - SystemExit would stop every actor of the process
        if envelope.reply_to is not None and isinstance(error, Exception):
            envelope.reply_to.set_exception()
            return
        fail(actor)  # before the answer: whoever hears of the crash finds the actor dead
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception((CrashedError, CrashedError(repr(error)), None))


def fail(actor: pykka.Actor) -> None:
    """Ends an actor for the exception being handled: logged, unregistered, `on_failure` called."""
    actor._handle_failure(*sys.exc_info())  # noqa: SLF001 - as pykka's loop does
    try:
        actor.on_failure(*sys.exc_info())
    except Exception:  # noqa: BLE001 - a failing clean-up is logged and changes nothing
        actor._handle_failure(*sys.exc_info())  # noqa: SLF001


class CrashedError(Exception):
    """Stands for a BaseException of an actor, so that it never ends its caller too."""
