"""The supervision engine: starts children in order, restarts what ends, finds what hangs, stops in reverse order.

What to do is decided in `restarts`; here it is done. Exits arrive from any dispatch context; everything else happens
in `poll`, called by one thread (live) or the kernel. Actors of a registered kind (orders) join through `spawn`, in the
context of whoever wants them, and are forgotten there too when they retire: thousands may come and go.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.runtime import restarts
from actors.runtime.restarts import Again, Child, Escalate, Forget, Group, Park
from actors.runtime.role import Role
from actors.runtime.shell import Shell
from protocol.lifecycle import ActorExited, Beat, Stop

CEASE_NS = 2_000_000_000
"""How long an actor that is taken along may take to end before its mailbox is taken from it."""
SLEPT_NS = 500_000_000
"""An engine that was not asked for this long stood still itself."""
_NS = 1_000_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A child, or with `kind` a template for children that actors spawn: what runs, and on which pump.

    `role` is called with the actor's name for each incarnation. `pump` is a pump's name or "pinned";
    `bound` its event lane's (0: the usual one).
    """

    child: Child
    role: Callable[[str], Role[Any]]
    pump: str = "core"
    kind: bool = False
    bound: int = 0


class Host(Protocol):
    """What the engine needs of its process."""

    def launch(self, member: Member, name: str, made: Callable[[Shell], None]) -> None:
        """Start an incarnation of `name`; `made` is called with it before it runs."""

    def forget(self, name: str) -> None:
        """The name is gone: drop its mailbox."""

    def tell(self, to: str, message: Beat | Stop) -> None:
        """Send, as nobody in particular."""

    def escalate(self, reason: str) -> None:
        """Nothing here can mend it: step the epoch, end the process."""

    def report(self, exit_: ActorExited, decision: str) -> None:
        """Say on record what ended and what is done about it."""


@dataclass(slots=True)
class Record:
    """One name under supervision. `state`: running, ceasing, waiting, parked, given_up, stopping or stopped."""

    member: Member
    child: Child
    order: int
    shell: Shell | None = None
    state: str = "waiting"
    restarts: int = 0
    history: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    beat: int = 0
    beat_at_ns: int = 0
    fresh: bool = False


@dataclass(slots=True)
class Batch:
    """Names that restart together, once all of them have ended and `due_ns` has come."""

    names: list[str]
    due_ns: int
    deadline_ns: int


class Tree:
    """Supervises `members` (in start order) in `groups`."""

    def __init__(
        self, host: Host, now_ns: Callable[[], int], groups: Iterable[Group], members: Iterable[Member], *, beats: bool
    ) -> None:
        self._host = host
        self._now_ns = now_ns
        self._beats = beats
        self.groups: Mapping[str, Group] = {group.name: group for group in groups}
        self._members = tuple(members)
        self._order = {member.child.name: index for index, member in enumerate(self._members)}
        self.records: dict[str, Record] = {}
        self._history: dict[str, deque[int]] = {name: deque(maxlen=64) for name in self.groups}
        self._exits: deque[tuple[Shell, ActorExited]] = deque()
        self._batches: list[Batch] = []
        self._stages: list[list[str]] | None = None
        self._stage_due_ns = 0
        self._stop_reason = ""
        self._looked_ns = 0
        self.on_exit: Callable[[], None] = _nobody_waits

    # --- from any context -----------------------------------------------------------------------------------------

    def spawn(self, name: str, kind: str, *, fresh: bool = False) -> bool:
        """Starts a child of a kind; False: that name is alive (or is being restarted), or everything is stopping.

        `fresh`: nothing can be stored under the name before its first incarnation.
        """
        if name in self.records or self._stages is not None:
            return False
        member = self._members[self._order[kind]]
        child = Child(
            name=name,
            group=member.child.group,
            restart=member.child.restart,
            backoff_s=member.child.backoff_s,
            shutdown_s=member.child.shutdown_s,
        )
        record = self.records[name] = Record(member, child, self._order[kind])
        record.fresh = fresh
        self._start(record)
        return True

    def exited(self, shell: Shell, exit_: ActorExited) -> None:
        """An incarnation ended. A spawned child that retired is forgotten at once; the rest waits for `poll`."""
        record = self.records.get(exit_.name)
        if record is not None and record.member.kind and exit_.normal and record.state == "running":
            if record.shell is None or record.shell is shell:
                del self.records[exit_.name]
                self._host.forget(exit_.name)
            return
        self._exits.append((shell, exit_))
        self.on_exit()

    def urgent(self) -> bool:
        """Whether exits wait to be decided."""
        return bool(self._exits)

    # --- the engine -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts every child in order."""
        for member in self._members:
            if not member.kind:
                record = Record(member, member.child, self._order[member.child.name])
                self.records[member.child.name] = record
                self._start(record)

    def stop(self, reason: str) -> None:
        """Begins to stop everyone, last started first, each within its deadline. `poll` carries on."""
        if self._stages is not None:
            return
        self._stop_reason = reason
        self._batches.clear()
        by_order: dict[int, list[str]] = {}
        for name, record in list(self.records.items()):
            by_order.setdefault(record.order, []).append(name)
        self._stages = [by_order[order] for order in sorted(by_order)]
        self._next_stage()

    @property
    def stopped(self) -> bool:
        """Whether a stop has run to its end."""
        return self._stages == []

    def next_due_ns(self) -> int | None:
        """When `poll` next has something to do by itself."""
        dues = [batch.due_ns if self._ended(batch) else batch.deadline_ns for batch in self._batches]
        if self._stages:
            dues.append(self._stage_due_ns)
        if self._beats:
            dues.append(min((self._beat_due(r) for r in list(self.records.values())), default=1 << 62))
        return min(dues, default=None)

    def poll(self, now_ns: int) -> None:
        """Decides about exits, starts what is due, asks for pulses, goes on stopping."""
        while self._exits:
            shell, exit_ = self._exits.popleft()
            record = self.records.get(exit_.name)
            if record is not None and record.shell is shell:
                self._decide(record, exit_, now_ns)
        for batch in list(self._batches):
            self._carry_on(batch, now_ns)
        if self._stages is not None:
            self._carry_on_stopping(now_ns)
        elif self._beats:
            self._take_pulses(now_ns)

    # --- starting and restarting ----------------------------------------------------------------------------------

    def _start(self, record: Record) -> None:
        record.state = "running"

        def made(shell: Shell) -> None:
            record.shell, shell.beat, record.beat_at_ns = shell, record.beat, self._now_ns()
            shell.fresh, record.fresh = record.fresh, False

        try:
            self._host.launch(record.member, record.child.name, made)
        except Exception as error:  # noqa: BLE001 - a factory that fails is an exit like any other
            exit_ = ActorExited(name=record.child.name, incarnation=0, normal=False, error=repr(error))
            self._decide(record, exit_, self._now_ns())

    def _decide(self, record: Record, exit_: ActorExited, now_ns: int) -> None:
        record.shell = None
        if self._stages is not None or record.state == "ceasing":
            record.state = "waiting" if self._stages is None else "stopped"
            return
        group = self.groups[record.child.group]
        escalates = group.beyond is restarts.Beyond.ESCALATE
        history = self._history[group.name] if escalates else record.history
        decision = restarts.decide(record.child, group, history, now_ns, normal=exit_.normal)
        self._host.report(exit_, type(decision).__name__)
        record.history.append(now_ns)
        if escalates and not isinstance(decision, Forget):
            self._history[group.name].append(now_ns)
        match decision:
            case Again(after_ns=after_ns):
                along = restarts.taken_along(record.child.name, self._in_order(), self.groups)
                self._restart(along, now_ns + after_ns, now_ns)
            case Park(after_ns=after_ns):
                self._restart((record.child.name,), now_ns + after_ns, now_ns)
                record.state = "parked"
                record.history.clear()
            case Escalate(group=name, reason=reason):
                self._escalate(self.groups[name], reason, now_ns)
            case Forget():
                self.records.pop(record.child.name)
                self._host.forget(record.child.name)
            case _:
                record.state = "given_up"

    def _escalate(self, group: Group, reason: str, now_ns: int) -> None:
        """The group is a child of its own group: that one decides about all of it."""
        parent = self.groups.get(group.under)
        if parent is None:
            self._host.escalate(reason)
            return
        as_child = Child(name=group.name, group=parent.name)
        decision = restarts.decide(as_child, parent, self._history[parent.name], now_ns, normal=False)
        self._history[parent.name].append(now_ns)
        if not isinstance(decision, Again):
            self._escalate(parent, reason, now_ns)
            return
        self._history[group.name].clear()
        everyone = tuple(c.name for c in self._in_order() if restarts.within(c.group, group.name, self.groups))
        self._restart(everyone, now_ns + decision.after_ns, now_ns)

    def _in_order(self) -> list[Child]:
        return [record.child for record in sorted(self.records.values(), key=lambda record: record.order)]

    def _restart(self, names: tuple[str, ...], due_ns: int, now_ns: int) -> None:
        for batch in self._batches:  # a wider restart takes over what a narrower one had begun
            batch.names = [name for name in batch.names if name not in names]
        self._batches = [batch for batch in self._batches if batch.names]
        for name in reversed(names):
            record = self.records[name]
            if record.shell is not None:
                record.state = "ceasing"
                record.shell.actor_ref.stop(block=False)
            else:
                record.state = "waiting"
        self._batches.append(Batch(list(names), due_ns, now_ns + CEASE_NS))
        self._carry_on(self._batches[-1], now_ns)

    def _ended(self, batch: Batch) -> bool:
        return all(self.records[name].shell is None for name in batch.names if name in self.records)

    def _carry_on(self, batch: Batch, now_ns: int) -> None:
        if not self._ended(batch) and now_ns >= batch.deadline_ns:
            for name in batch.names:
                self._take_away(self.records[name], now_ns)
        if batch not in self._batches or not self._ended(batch) or now_ns < batch.due_ns:
            return
        self._batches.remove(batch)
        for name in batch.names:
            record = self.records.get(name)
            if record is not None:
                record.restarts += 1
                self._start(record)

    def _take_away(self, record: Record, now_ns: int) -> None:
        """Ends an incarnation that does not end: possible for pinned actors only, a hung pump takes all with it."""
        shell, record.shell = record.shell, None
        if shell is None:
            return
        if record.member.pump != "pinned":
            self._host.escalate(f"{record.child.name} hangs on its pump")
        shell.supersede()
        record.beat_at_ns = now_ns

    # --- pulses ---------------------------------------------------------------------------------------------------

    def _beat_due(self, record: Record) -> int:
        limit_s = record.child.beat_s
        if limit_s is None or record.shell is None or record.state != "running":
            return 1 << 62
        waits = record.shell.beat < record.beat
        return record.beat_at_ns + int(limit_s * _NS if waits else limit_s * _NS / 4)

    def _take_pulses(self, now_ns: int) -> None:
        slept, self._looked_ns = now_ns - self._looked_ns > SLEPT_NS, now_ns
        if slept:  # the whole process stood still: nobody is to blame for a pulse it could not give
            for record in list(self.records.values()):
                record.beat_at_ns = now_ns
        for record in list(self.records.values()):
            if self._beat_due(record) > now_ns:
                continue
            shell = record.shell
            if shell is not None and shell.beat < record.beat:
                name, incarnation = record.child.name, shell.incarnation
                self._take_away(record, now_ns)
                error = f"no pulse within {record.child.beat_s:g} s"
                self._decide(record, ActorExited(name=name, incarnation=incarnation, normal=False, error=error), now_ns)
            else:
                record.beat += 1
                record.beat_at_ns = now_ns
                self._host.tell(record.child.name, Beat(number=record.beat))

    # --- stopping -------------------------------------------------------------------------------------------------

    def _next_stage(self) -> None:
        now_ns = self._now_ns()
        while self._stages:
            alive = [self.records[n] for n in self._stages[-1] if n in self.records and self.records[n].shell]
            if alive:
                self._stage_due_ns = now_ns + int(max(r.child.shutdown_s for r in alive) * _NS)
                for record in alive:
                    record.state = "stopping"
                    self._host.tell(record.child.name, Stop(reason=self._stop_reason))
                return
            self._stages.pop()

    def _carry_on_stopping(self, now_ns: int) -> None:
        if not self._stages:
            return
        waiting = [name for name in self._stages[-1] if name in self.records and self.records[name].shell is not None]
        if waiting and now_ns < self._stage_due_ns:
            return
        for name in waiting:
            _log.error("%s did not stop in time", name)
        self._stages.pop()
        self._next_stage()


def _nobody_waits() -> None:
    """For a tree that is polled anyway."""
