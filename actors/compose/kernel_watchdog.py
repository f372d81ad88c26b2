"""The watchdog in virtual time: its core and its edges' ways, against the pages, store and venue of a kernel.

It is a process of its own beside the desk's: it has its own timers and connections, goes on while the desk is frozen or
gone, and may itself be frozen, ended and begun again at any moment, from what its log says.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Generic, TypeVar

from actors.compose.kernel_pages import KernelPages
from actors.recorder.store import Store
from actors.runtime.clock import Timers, VirtualClock
from actors.runtime.store_reader import OPEN_ORDERS
from actors.venue.in_kernel import KernelVenue
from actors.watchdog import facts
from actors.watchdog.core import Settings, Watchdog
from actors.watchdog.edges import Edges
from actors.watchdog.facts import Action, Actions, Known, Listed, Tick
from actors.watchdog.questions import CALL_S, Ask, Budget, Question, Questions, UnreachableError, batches
from protocol import codec
from protocol.codec import CodecError
from protocol.control import ControlRequest, Latch, Reply
from protocol.instants import SECOND_NS
from protocol.orders import OrderState
from protocol.transport import CallAnswered, CallBroken, HttpCall

NOT_RUNNING = Reply(code=3, text="the watchdog does not answer: nobody listens there")
LOCAL_MS = (0.1, 2.0)
"""How long it takes to read the desk's store, or to hand a request over on a socket of this machine."""

T = TypeVar("T")
Answered = Callable[[Reply], None]


class DiedError(Exception):
    """Raised from a log's `at_point`: the watchdog's process ends there."""


class KernelLog:
    """A durable log in memory: its lines outlive the process, and a loss of power where they were synced.

    `at_point` is called at each point of a write, by name: `written`, `synced`. It may raise OSError, as a disk that
    fails, or DiedError.
    """

    def __init__(self) -> None:
        self.lines: list[Latch] = []
        self.damaged = False
        self.at_point: Callable[[str], None] | None = None
        self._synced = 0

    def last(self) -> Latch | None:
        """The newest line; None before the first. Of a damaged log it says nothing."""
        return self.lines[-1] if self.lines else None

    def write(self, latch: Latch) -> None:
        """Append and sync; a damaged log makes way for a new one. Raises OSError: it does not stand there."""
        if self.damaged:
            self.lines, self._synced, self.damaged = [], 0, False
        self.lines.append(latch)
        try:
            self._reach("written")
        except OSError:
            self.lines.pop()
            raise
        self._synced = len(self.lines)
        self._reach("synced")

    def power_loss(self) -> None:
        """The machine died: what was not synced is gone."""
        del self.lines[self._synced :]

    def _reach(self, point: str) -> None:
        if self.at_point is not None:
            self.at_point(point)


class KernelWatchdog:
    """The watchdog's place: its log, its socket, and the process that is there, if one is.

    A kernel asks it when it next wants to act, as it asks the venue. `did` is all that its processes ever decided,
    `cried` what people were told.
    """

    def __init__(
        self,
        clock: VirtualClock,
        store: Store,
        venue: KernelVenue,
        pages: KernelPages,
        settings: Settings,
        *,
        seed: int,
    ) -> None:
        self.clock, self.store, self.venue, self.pages, self.settings = clock, store, venue, pages, settings
        self.log = KernelLog()
        self.did: list[tuple[int, Action]] = []
        self.cried: list[tuple[int, str, str]] = []
        self.chance = Random(f"watchdog:{seed}")  # noqa: S311 - chance that must repeat
        self._process: _Process | None = None
        self._frozen = False

    # --- its life -------------------------------------------------------------------------------------------------

    @property
    def core(self) -> Watchdog | None:
        """The state of the process that is there."""
        return None if self._process is None else self._process.core

    def begin(self) -> None:
        """A process starts and resumes from the log."""
        self._process, self._frozen = _Process(self), False
        self._living(self._process.start)

    def end(self) -> None:
        """The process is gone, whatever it was doing; its requests still arrive, no answer reaches anybody."""
        process, self._process, self._frozen = self._process, None, False
        if process is not None:
            process.dismiss()

    def freeze(self) -> None:
        """It stops where it stands; whoever connects to its socket waits."""
        self._frozen = True

    def wake(self) -> None:
        """It goes on; what fell due meanwhile is due now."""
        self._frozen = False

    def signal(self, event: facts.LeaveAsked | facts.KillSignalled) -> None:
        """SIGTERM or SIGUSR1."""
        process = self._process
        if process is not None:
            process.at(self.clock.now_ns(), lambda: process.feed(event))

    def ask(self, request: ControlRequest, answered: Answered) -> None:
        """Ask on its socket. Where no process is, the answer says so at once; a frozen one may never answer."""
        if self._process is None:
            answered(NOT_RUNNING)
            return
        self._process.ask(request, answered)

    # --- as part of a kernel's world ------------------------------------------------------------------------------

    def urgent(self) -> bool:
        """It waits for none of the kernel's messages."""
        return False

    def next_due_ns(self) -> int | None:
        """When its process next wants to act."""
        return None if self._process is None or self._frozen else self._process.timers.next_due_ns()

    def poll(self, now_ns: int) -> None:
        """Let it do everything that is due."""
        while self._process is not None and not self._frozen:
            timers = self._process.timers
            if (due_ns := timers.next_due_ns()) is None or due_ns > now_ns:
                return
            self._living(lambda timers=timers: timers.fire_next(now_ns))  # type: ignore[misc] # bound at once

    def _living(self, act: Callable[[], object]) -> None:
        try:
            act()
        except DiedError:
            self.end()


class _Process(Edges):
    """One watchdog from its start to its end."""

    def __init__(self, place: KernelWatchdog) -> None:
        super().__init__(place.settings, place.log, place.pages)
        self._place = place
        self.timers = Timers()
        self._budget = Budget(lambda: self.now_ns() / SECOND_NS, place.settings.rate_per_s, place.settings.burst)
        self._questions = Questions(self.now_ns)
        self._line = place.venue.line(self.at)
        self._calls = 0
        self._connections = 0
        self._waiting: dict[int, Answered] = {}
        self._oldest_ns: int | None = None

    def start(self) -> None:
        """As the process does: the log, a first look, then the ticks."""
        self.resume()
        self._look()
        self._keep_time()

    def at(self, due_ns: int, act: Callable[[], None]) -> None:
        """Act at `due_ns`, if this process still lives then."""
        self.timers.call_at(due_ns, act)

    def ask(self, request: ControlRequest, answered: Answered) -> None:
        """Somebody connects and asks."""
        self._connections += 1
        number = self._connections
        self._waiting[number] = answered
        self.at(self._soon_ns(), lambda: self.feed(facts.Asked(connection=number, request=request)))

    def dismiss(self) -> None:
        """The process is gone: whoever waits for an answer finds the connection closed."""
        while self._waiting:
            self._waiting.popitem()[1](NOT_RUNNING)

    def send(self, ask: Ask, ended: Callable[[CallAnswered | CallBroken], None]) -> None:
        """Make one call, as soon as the budget lets it go."""
        wait_s = self._budget.wait_s()
        if wait_s:
            self.at(self.now_ns() + int(wait_s * SECOND_NS), lambda: self.send(ask, ended))
            return
        self._calls += 1
        call = HttpCall(
            call=self._calls,
            endpoint=ask.endpoint.name,
            path=ask.endpoint.path(),
            query=ask.query,
            body=ask.body,
            timeout_s=CALL_S,
        )
        self._line.send(call, ended)

    # --- seeing ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now_ns, pages = self.now_ns(), self._place.pages
        pages.beat(now_ns)
        flag = pages.kill_file
        self.feed(
            Tick(
                pulse_age_ns=pages.pulse_age_ns(now_ns),
                armed=pages.armed,
                desk_pid=pages.desk_pid,
                desk_alive=pages.desk_alive,
                root_alive=pages.root_alive,
                kill_file=flag is not None,
                file_text=flag.text if flag is not None else "",
                file_ns=flag.at_ns if flag is not None else 0,
                epoch=pages.current(),
            )
        )
        self.at(now_ns + int(facts.TICK_S * SECOND_NS), self._look)

    def _keep_time(self) -> None:
        _Inquiry(self, self._questions.measure_clock(), lambda _: None)
        self.at(self.now_ns() + int(facts.CLOCK_S * SECOND_NS), self._keep_time)

    def _soon_ns(self) -> int:
        return self.now_ns() + int(self._place.chance.uniform(*LOCAL_MS) * SECOND_NS / 1000)

    # --- doing ----------------------------------------------------------------------------------------------------

    def perform(self, actions: Actions) -> None:
        """Keep what it decided, then do it."""
        self._place.did += [(self.now_ns(), action) for action in actions]
        super().perform(actions)

    def now_ns(self) -> int:
        """The kernel's clock."""
        return self._place.clock.now_ns()

    def read_known(self) -> None:
        """What is committed now, a moment later."""
        known = self._known()
        self.at(self._soon_ns(), lambda: self._read(known))

    def _known(self) -> Known:
        try:
            records = self._place.store.records(OPEN_ORDERS)
            return facts.known_of(codec.decode_value(r.value, OrderState) for r in records if r.value is not None)
        except CodecError:
            return Known(orders=(), unresolved=None)

    def _read(self, known: Known) -> None:
        self._oldest_ns = known.oldest_ns
        self.feed(known)

    def take_list(self, number: int) -> None:
        """The list that comes first, whole or given up, is told."""

        def told(orders: tuple[facts.Resting, ...] | None) -> None:
            self.feed(Listed(number=number, orders=orders))

        inquiry = _Inquiry(self, self._questions.complete_list(self._oldest_ns), told)
        self.at(self.now_ns() + int(facts.LIST_S * SECOND_NS), inquiry.give_up)

    def cancel(self, venue_order_ids: tuple[str, ...]) -> None:
        """In batches side by side."""
        for batch in batches(venue_order_ids):
            _Inquiry(self, self._questions.cancel(batch), lambda _: None)

    def answer(self, connection: int, reply: Reply) -> None:
        """On the socket."""
        self._waiting.pop(connection)(reply)

    def cry(self, event: str, detail: str) -> None:
        """Keep it."""
        self._place.cried.append((self.now_ns(), event, detail))

    def leave(self) -> None:
        """End the process."""
        self._place.end()


class _Inquiry(Generic[T]):
    """One question on its way: `ended` is told its answer, or None where the venue could not be reached; once."""

    def __init__(self, process: _Process, question: Question[T], ended: Callable[[T | None], None]) -> None:
        self._process, self._question, self._ended = process, question, ended
        self._over = False
        self._step(lambda: next(question))

    def give_up(self) -> None:
        """It has taken too long."""
        self._question.close()
        self._end(None)

    def _step(self, advance: Callable[[], Ask]) -> None:
        try:
            ask = advance()
        except StopIteration as end:
            self._end(end.value)
        except UnreachableError:
            self._end(None)
        else:
            self._process.send(ask, self._heard)

    def _heard(self, outcome: CallAnswered | CallBroken) -> None:
        if self._over:
            return
        question: Any = self._question
        match outcome:
            case CallAnswered(status=200):
                self._step(lambda: question.send(outcome.body))
            case CallAnswered():
                self._step(lambda: question.throw(UnreachableError(f"HTTP {outcome.status}", outcome.status)))
            case CallBroken():
                self._step(lambda: question.throw(UnreachableError(outcome.kind)))

    def _end(self, answer: T | None) -> None:
        if not self._over:
            self._over = True
            self._ended(answer)
