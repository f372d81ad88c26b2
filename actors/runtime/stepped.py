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

from actors.runtime.interpret import outdated
from actors.runtime.mailbox import Dispatcher, Tally
from protocol.base import Envelope, Message
from protocol.lifecycle import Beat, CommitFailed, Committed, Recover, Stop, Wake

if TYPE_CHECKING:
    from pykka._envelope import Envelope as PykkaEnvelope

    from actors.runtime.shell import Shell

MESSAGES_PER_TURN = 64
TURN_NS = 1_000_000
"""Past either bound an actor gives way: a control message to its neighbour then waits for one handler at most."""

SYSTEM = frozenset({Beat, Committed, CommitFailed, Recover, Stop})
"""Control mail that the shell itself serves, also while its core waits."""


def take_turn(shell: "Shell", limit: int, budget_ns: int) -> bool:  # noqa: C901, PLR0912, PLR0915 - see below
    """Handles up to `limit` messages or `budget_ns` of mail, in lane order; True when there is more to do.

    One long function on purpose: this is the path of every message, and a call costs as much as the work.
    """
    box, now_ns = shell.box, shell.now_ns
    control, event, state_lane = box.control, box.event, box.state
    step, accepts, journaled = shell.step, shell.accepts, shell.journaled
    envelope: Envelope | None = None
    kind: type[Message] | None = None
    handled = longest = 0
    since = now = now_ns()
    end = now + budget_ns
    try:
        if not shell.begun:
            shell.begin()
        while True:
            if control:
                envelope = control.popleft()
                if shell.gated or type(envelope.body) in SYSTEM:
                    shell.serve(envelope, now)
                    envelope = box.hand = None
                    if shell.ended or (limit := limit - 1) <= 0:
                        return not shell.ended
                    continue
                record = journaled
            elif shell.gated:
                return False
            elif event:
                envelope = event.popleft()
                record = journaled
            elif state_lane:
                envelope = state_lane.popitem(False)[1]
                record = False
            else:
                return False
            box.hand = envelope
            message = envelope.body
            if type(message) is not kind:
                if handled:
                    _count(box.tally, kind, handled, now - since, longest)
                    handled = longest = 0
                kind, since = type(message), now
            if kind not in accepts or (type(message) is Wake and outdated(shell, envelope, message)):
                shell.refuse(envelope)
            else:
                state, effects = step(shell.state, message, now)
                if box.consumer is not shell:
                    box.reclaim(envelope)
                    return False  # superseded while in the handler: nothing of this counts
                if effects:
                    shell.adopt(envelope, state, effects, now, record=record)
                    if shell.ended:
                        handled += 1
                        return False
                else:
                    shell.state = state
                    if record:
                        shell.record(envelope, now)
            envelope = box.hand = None
            handled += 1
            started, now = now, now_ns()
            if now - started > longest:  # noqa: PLR1730 - `max` is a call, and this is every message
                longest = now - started
            limit -= 1
            if limit <= 0 or now >= end:
                return True
    except BaseException as error:  # noqa: BLE001 - nothing of an actor may end its pump, SystemExit included
        shell.crash(error, envelope)
        return False
    finally:
        if handled:
            _count(box.tally, kind, handled, now - since, longest)
            box.tally.last_useful_ns = now
        shell.turn_ended()


def _count(tally: Tally, kind: type[Message] | None, handled: int, spent_ns: int, longest_ns: int) -> None:
    """Books a run of messages of one type."""
    if kind is None:
        return
    tally.handled += handled
    tally.last_message = kind.__name__
    row = tally.by_type.get(kind)
    if row is None:
        row = tally.by_type[kind] = [0, 0, 0]
    row[0] += handled
    row[1] += spent_ns
    row[2] = max(row[2], longest_ns)


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
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception((CrashedError, CrashedError(repr(error)), None))
        fail(actor)


def fail(actor: pykka.Actor) -> None:
    """Ends an actor for the exception being handled: logged, unregistered, `on_failure` called."""
    actor._handle_failure(*sys.exc_info())  # noqa: SLF001 - as pykka's loop does
    try:
        actor.on_failure(*sys.exc_info())
    except Exception:  # noqa: BLE001 - a failing clean-up is logged and changes nothing
        actor._handle_failure(*sys.exc_info())  # noqa: SLF001


class CrashedError(Exception):
    """Stands for a BaseException of an actor, so that it never ends its caller too."""
