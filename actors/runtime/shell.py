"""The actor around a core: recovery first, commits before effects, one interpreter per effect, no opinions.

A shell is one incarnation. It takes a lease on its name's mailbox, asks the recorder for its records, and holds all
other mail until `Recover` came. When a step returns a `Commit`, the new state and its effects wait for the recorder's
word; only what stops things (cancels), timers, log lines and counts go at once.
"""

from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import pykka
from msgspec.structs import replace

from actors.runtime.address import Directory
from actors.runtime.drafts import NOT_JOURNALED, handled, said
from actors.runtime.interpret import goes_at_once, interpreter, outdated
from actors.runtime.mailbox import Mailbox
from actors.runtime.port import EdgePort, Failure
from actors.runtime.role import Metrics, Role
from actors.runtime.stepped import SYSTEM, SteppedActor, fail, handle_call, take_turn
from protocol.base import Effects, Envelope, Message
from protocol.effects import Commit, LogLine, Note, Spawn, Tell
from protocol.journal import Append, CommitRequest, Draft
from protocol.lifecycle import ActorExited, Beat, CommitFailed, Committed, Load, Recover, Stop, Wake

if TYPE_CHECKING:
    from actors.runtime.clock import Timer

ALWAYS_ACCEPTED: frozenset[type[Message]] = frozenset({Recover, CommitFailed, Wake, Stop})


Tape = Callable[[str, int, int, int, Message], None]


class Services(Protocol):
    """What the shells of one process share.

    `journal` is the recorder's name; None: this process has none. `tape` takes (actor, seq, cause, now_ns, message) of
    each state message, which the journal leaves out.
    """

    directory: Directory
    metrics: Metrics
    journal: str | None
    tape: Tape | None

    def log(self, name: str, line: LogLine, cause: int) -> None:
        """Write a log line of actor `name`."""

    def spawn(self, parent: str, spawn: Spawn, cause: int) -> None:
        """Start a child of a registered kind, unless its name is alive."""

    def exited(self, shell: "Shell", exit_: ActorExited) -> None:
        """An incarnation ended; called once, in its dispatch context."""

    def overflow(self, box: Mailbox) -> None:
        """More events wait than the mailbox's bound."""


class Pending:
    """A commit that is on its way: what stands, and what is done, once it is durable."""

    __slots__ = ("effects", "envelope", "handled", "number", "state")

    def __init__(self, number: int, state: Any, effects: Effects, envelope: Envelope, handled: list[Draft]) -> None:
        self.number = number
        self.state = state
        self.effects = effects
        self.envelope = envelope
        self.handled = handled


class Shell(pykka.Actor):
    """One incarnation of one actor. A subclass says where its turns come from."""

    def lease(self, services: Services, box: Mailbox, role: Role[Any]) -> None:
        """Takes the mailbox over. Nothing of the room runs before the first turn."""
        self.services, self.box, self.role = services, box, role
        self.name = box.name
        self.clock = services.directory.clock
        self.now_ns = self.clock.now_ns
        self.step: Callable[[Any, Message, int], tuple[Any, Effects]] = role.step
        self.accepts = _accepted(role.accepts)
        self.journaled = role.journaled and services.journal is not None
        self.state: Any = None
        self.begun = self.recovered = self.retiring = self.ended = False
        self.fresh = False
        """Nothing can be stored under this name yet."""
        self.gated = True
        self.pending: Pending | None = None
        self.held: list[Envelope] = []
        self.drafts: list[Draft] = []
        self.timers: dict[str, Timer] = {}
        self.port: EdgePort | None = None
        self.beat = 0
        self.cause = 0
        """Number of the message whose effects are being performed."""
        self.failure = ""
        self.exit: ActorExited | None = None
        self.incarnation = box.lease(self)

    def supersede(self) -> None:
        """Takes the mailbox away, from outside: whatever this incarnation still does has no effect."""
        self.box.release(self)

    # --- turns ----------------------------------------------------------------------------------------------------

    def turn(self, limit: int, budget_ns: int) -> bool:
        """Handles calls by pykka reference, then mail; True when there is more it could do now."""
        while not self.ended and not self.actor_inbox.empty():
            handle_call(self, self.actor_inbox.get())
            if self.actor_stopped.is_set():
                self._left()
                self.turn_ended()
        if self.ended or not self.valid():
            return False
        take_turn(self, limit, budget_ns)
        return self.box.rest(self)

    def hurry(self) -> None:
        """Handles control mail ahead of everyone who waits for a turn."""
        if self.box.control and not self.ended and self.valid():
            take_turn(self, len(self.box.control), 0)

    def turn_ended(self) -> None:
        """Hands the turn's journal entries over in one message; reports an end, or a lane over its bound."""
        exit_, self.exit = self.exit, None
        if exit_ is not None:  # only now, when everything is counted: who retires is forgotten at once
            self.services.exited(self, exit_)
            return
        if self.drafts and self.valid():
            self._append()
        if len(self.box.event) > self.box.bound // 2:
            self.services.overflow(self.box)

    def begin(self) -> None:
        """Makes state and edge, and asks for the records."""
        self.begun = True
        self.state = self.role.initial()
        if self.role.edge is not None:
            self.port = EdgePort(self, self.role.edge())
            self.port.edge.bind(self.port)
        prefixes, now = self.role.store_prefixes, self.now_ns()
        if not prefixes or self.fresh:
            self.send(self.name, Recover(), 0, now)
        else:
            self.send(self._recorder(), Load(prefixes=prefixes, reply_to=self.name), 0, now)

    def serve(self, envelope: Envelope, now: int) -> None:
        """Takes one control message that concerns the shell itself, or arrived while the core waits."""
        message = envelope.body
        match message:
            case Beat():
                self.beat = max(self.beat, message.number)
            case Committed() | CommitFailed():
                if self.pending is not None and self.pending.number == message.number:
                    self._answered(self.pending, message, now)
            case Recover():
                if not self.recovered:  # else asked for by an incarnation before this one
                    self.recovered = True
                    self._open()
                    self._handle(envelope, message, now)
            case Stop() if self.recovered:
                self.box.event.append(envelope)  # behind the events that wait: they were sent by who stopped before
            case Stop():
                self.leave()
            case _:
                self.held.append(envelope)

    def _open(self) -> None:
        """Lets the core take mail again; what was held comes first, in its old order."""
        self.gated, held, self.held = False, self.held, []
        self.box.hold_again(held)

    def _answered(self, pending: Pending, answer: Committed | CommitFailed, now: int) -> None:
        self.pending = None
        self._open()
        if isinstance(answer, Committed):
            self.state = pending.state
            self.perform(pending.effects, pending.envelope.seq, now)
            if self.retiring:
                self.leave()
        else:
            self.drafts += pending.handled  # it was handled all the same; only what it wanted did not happen
            self._handle(replace(pending.envelope, body=answer), answer, now)

    def _finish(self, envelope: Envelope, now: int) -> None:
        """Lets the core finish, then ends, once what it commits is answered."""
        self._handle(envelope, envelope.body, now)
        self.retiring = True
        if self.pending is None and not self.ended:
            self.leave()

    def _handle(self, envelope: Envelope, message: Message, now: int) -> None:
        state, effects = self.step(self.state, message, now)
        if self.valid():
            self.adopt(envelope, state, effects, now, record=self.journaled)

    # --- what a step returned -------------------------------------------------------------------------------------

    def adopt(self, envelope: Envelope, state: Any, effects: Effects, now: int, *, record: bool) -> None:
        """Lets a step's result stand, at once or when its commit is durable."""
        for effect in effects:
            if type(effect) is Commit:
                self._commit(effect, envelope, state, effects, record=record)
                return
        self.state = state
        if record:  # before what it makes this actor say
            self.record(envelope, now)
        self.perform(effects, envelope.seq, now)
        if self.retiring:
            self.leave()

    def _commit(self, commit: Commit, envelope: Envelope, state: Any, effects: Effects, *, record: bool) -> None:
        now, recorder = self.now_ns(), self._recorder()
        self.box.commits += 1
        notes = tuple(effect.message for effect in effects if type(effect) is Note)
        own = [handled(self, envelope, now)] if record and type(envelope.body) not in NOT_JOURNALED else []
        spoken = [said(self, message, envelope, now) for message in (*commit.journal, *notes)]
        at_once = tuple(effect for effect in effects if goes_at_once(effect))
        later = tuple(e for e in effects if type(e) is not Commit and type(e) is not Note and not goes_at_once(e))
        self.pending, self.gated = Pending(self.box.commits, state, later, envelope, own), True
        self.perform(at_once, envelope.seq, now)
        self._append()  # what was handled before stands before it
        self.send(
            recorder,
            CommitRequest(
                reply_to=self.name,
                number=self.box.commits,
                drafts=(*own, *spoken),
                records=commit.records,
                outbox=commit.outbox,
                fresh=commit.fresh,
            ),
            envelope.seq,
            now,
        )

    def perform(self, effects: Effects, cause: int, now: int) -> None:
        """Does what a core asked for, in its order. Stops where another incarnation took over."""
        self.cause = cause
        box = self.box
        for effect in effects:
            if box.consumer is not self:
                return
            if type(effect) is Tell:
                self.send(effect.to, effect.message, cause, now)
            else:
                interpreter(type(effect))(self, effect)

    def send(self, to: str, message: Message, cause: int, now: int) -> None:
        """Tells from the dispatch context: `now` is when the message that made it speak was taken."""
        directory = self.services.directory
        envelope = Envelope(directory.next_seq(), self.name, to, cause, self.incarnation, now, message)
        target = directory.targets.get(to)
        if target is None:
            directory.deliver(envelope)
        else:
            target.put(envelope)

    def valid(self) -> bool:
        """Whether this incarnation still holds its mailbox."""
        return self.box.consumer is self

    # --- journal --------------------------------------------------------------------------------------------------

    def record(self, envelope: Envelope, now: int) -> None:
        """Keeps the journal entry of a message handled; the turn's entries leave together at its end."""
        if type(envelope.body) not in NOT_JOURNALED:
            self.drafts.append(handled(self, envelope, now))

    def _append(self) -> None:
        if self.drafts:
            drafts, self.drafts = tuple(self.drafts), []
            self.send(self._recorder(), Append(drafts=drafts), 0, self.now_ns())

    def _recorder(self) -> str:
        if self.services.journal is None:
            raise RuntimeError(f"{self.name} keeps records, and this process has no recorder")
        return self.services.journal

    # --- endings --------------------------------------------------------------------------------------------------

    def took(self, envelope: Envelope, now: int) -> bool:
        """Whether the shell took a message that its core never sees, or not as usual.

        A stop, a wake that a later decision took back, or what the core does not accept: a dead letter.
        """
        message = envelope.body
        if type(message) is Wake:
            return outdated(self, envelope, message)
        if type(message) is Stop:
            self._finish(envelope, now)
            return True
        if type(message) in self.accepts:
            return False
        self.box.tally.dead_letters += 1
        self.services.directory.dead(envelope, f"{self.name} does not take it")
        return True

    def leave(self) -> None:
        """Ends normally."""
        self._stop()
        self._left()

    def crash(self, error: BaseException, envelope: Envelope | None) -> None:
        """Ends for `error`, which is being handled; the message in hand goes back once, then to the dead letters."""
        if self.ended:
            return
        if envelope is not None and self.valid() and type(envelope.body) not in SYSTEM:
            self.box.hand = None
            if not self.box.put_back(envelope):
                self.box.tally.dead_letters += 1
                self.services.directory.dead(envelope, f"ended its receiver twice: {error!r}")
        fail(self)
        self._left()

    def on_failure(
        self, exception_type: type[BaseException] | None, exception_value: BaseException | None, _: TracebackType | None
    ) -> None:
        """Notes what ended it (pykka's hook)."""
        self.failure = repr(exception_value or exception_type)

    def on_receive(self, message: Any) -> None:
        """Mail sent by reference joins the mailbox."""
        if isinstance(message, Failure):
            raise message.error
        if not isinstance(message, Message):
            raise TypeError(f"{self.name} takes messages of the protocol, not {type(message).__name__}")
        self.services.directory.tell(self.name, message)

    def _left(self) -> None:
        """Lets go of everything, hands the mailbox back, and says so. Silent where superseded."""
        if self.ended:
            return
        valid = self.valid()
        if valid and self.services.journal is not None:
            self._append()
        self.ended = True
        for timer in self.timers.values():
            self.box.dispatcher.timers.cancel(timer)
        self.timers.clear()
        if self.port is not None:
            self.port.close()
        if valid:
            self.box.tally.errors += bool(self.failure)
            self.box.hand = None
            self.box.hold_again(self.held)
            self.box.release(self)
            self.exit = ActorExited(
                name=self.name, incarnation=self.incarnation, normal=not self.failure, error=self.failure
            )


class SteppedShell(Shell, SteppedActor):
    """A shell whose turns a pump, an event loop or the kernel gives."""

    def __init__(self, services: Services, box: Mailbox, role: Role[Any], made: Callable[[Shell], None]) -> None:
        super().__init__(box.dispatcher)
        self.lease(services, box, role)
        made(self)

    def _start_actor_loop(self) -> None:
        self.actor_inbox.owner = self
        self.box.schedule()

    def schedule(self) -> None:
        """A call by reference arrived."""
        self.box.schedule()

    def _left(self) -> None:
        super()._left()
        self._actor_loop_teardown()
        self.actor_inbox.owner = None


@lru_cache(maxsize=256)
def _accepted(types: tuple[type[Message], ...]) -> frozenset[type[Message]]:
    return ALWAYS_ACCEPTED.union(types)
