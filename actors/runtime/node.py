"""One process's actors, composed from data: clock, directory, pumps, tree, counters.

A node is what shells call their services and what the tree calls its host. Live and in the kernel it is the same
object; only dispatchers, clock and edges differ, and they are handed in.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from actors.runtime import metrics
from actors.runtime.address import Directory
from actors.runtime.clock import TurnClock
from actors.runtime.kernel import Kernel
from actors.runtime.mailbox import EVENT_BOUND, Dispatcher, Mailbox
from actors.runtime.pinned import PinnedShell
from actors.runtime.restarts import Group
from actors.runtime.role import Edge, Role
from actors.runtime.shell import Shell, SteppedShell, Tape
from actors.runtime.tree import Member, Tree
from protocol import codec
from protocol.base import Envelope, Message
from protocol.effects import LogLine, Spawn
from protocol.journal import Append, Draft, EntryKind
from protocol.lifecycle import ActorExited, DeadLetter

LETTERS_KEPT = 100
_ASK_S = 0.05

_log = logging.getLogger(__name__)


class Node:
    """The actors of one process.

    Args:
        clock: the injected clock.
        groups: supervisors; the one without `under` is the top.
        members: children and kinds in start order, the recorder first.
        dispatchers: pumps by name; the kernel under every name when virtual. "pinned" needs none.
        journal: the recorder's name; None where this process has none (nothing is journalled, no commits).
        escalate: called with a reason when the top group gives up or a pump hangs.
        overflow: called with (name, waiting events) when an event lane passes its bound, once per excursion, and again
            with the count after it fell below half.
        edges: replacements by name, or by kind (what stands before the colon), for the kernel.
        tape: takes every state message handled, for replay; returns at once.
        virtual: step pinned members too, and ask for no pulses.
    """

    def __init__(  # noqa: PLR0913 - the composition root: everything is handed in here, and only here
        self,
        clock: TurnClock,
        groups: Iterable[Group],
        members: Iterable[Member],
        dispatchers: Mapping[str, Dispatcher],
        *,
        journal: str | None = "recorder",
        escalate: Callable[[str], None] = _log.critical,
        overflow: Callable[[str, int, int], None] | None = None,
        crashed: Callable[[ActorExited], None] | None = None,
        edges: Mapping[str, Callable[[], Edge]] | None = None,
        virtual: bool = False,
        first_seq: int | None = None,
        tape: Tape | None = None,
    ) -> None:
        self.clock = clock
        self.tape = tape
        self.journal = journal
        self.metrics = metrics.Counters()
        self.totals = metrics.Totals()
        self.dead_letters: deque[DeadLetter] = deque(maxlen=LETTERS_KEPT)
        self.directory = Directory(clock, self._dead_letter, first_seq)
        self.tree = Tree(self, clock.now_ns, groups, members, beats=not virtual)
        self.collector = metrics.RuntimeCollector(self.directory.boxes, self.totals, self.metrics, clock.now_ns)
        self._dispatchers = dispatchers
        self._edges = edges or {}
        self._virtual = virtual
        self._escalate = escalate
        self._overflow = overflow
        self._crashed = crashed
        self._over: dict[str, bool] = {}
        self._asks: SimpleQueue[bool] = SimpleQueue()
        self._supervisor: threading.Thread | None = None
        self._stop_reason = ""

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts every actor, and live a thread that supervises them."""
        self.tree.start()
        if not self._virtual:
            self.tree.on_exit = lambda: self._asks.put(True)
            self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
            self._supervisor.start()

    def stop(self, reason: str, timeout_s: float = 10.0) -> bool:
        """Stops every actor in reverse order and waits; False when someone did not end in time. Live only."""
        self._stop_reason = reason
        self._asks.put(False)  # the supervising thread alone touches the tree
        if self._supervisor is not None:
            self._supervisor.join(timeout_s)
        return self.tree.stopped and all(r.shell is None for r in self.tree.records.values())

    def _supervise(self) -> None:
        while not self.tree.stopped:
            try:
                if not self._asks.get(timeout=_ASK_S):
                    self.tree.stop(self._stop_reason)
            except Empty:
                self._look_at_lanes()
            self.tree.poll(self.clock.now_ns())

    # --- what shells need -----------------------------------------------------------------------------------------

    def log(self, name: str, line: LogLine, cause: int) -> None:
        """Writes an actor's log line."""
        level = logging.getLevelNamesMapping().get(line.level.upper(), logging.INFO)
        structlog.get_logger(name).log(level, line.event, cause=cause, **dict(line.fields))

    def spawn(self, parent: str, spawn: Spawn, cause: int) -> None:
        """Starts a child of a kind and gives it its first message; nothing where the name is alive."""
        if self.tree.spawn(spawn.name, spawn.kind, fresh=spawn.fresh):
            self.directory.tell(spawn.name, spawn.first, parent, cause)

    def exited(self, shell: Shell, exit_: ActorExited) -> None:
        """Hands an exit to the tree."""
        self.tree.exited(shell, exit_)

    def overflow(self, box: Mailbox) -> None:
        """Reports an event lane over half of its bound, and over all of it, once each per excursion."""
        waiting = len(box.event)
        full = waiting > box.bound
        if self._over.get(box.name, False) or (box.name in self._over and not full):
            return
        self._over[box.name] = full
        _log.error("event lane of %s holds %d of at most %d", box.name, waiting, box.bound)
        if full:
            self.metrics.count("trader_event_lane_overflows_total", (("actor", metrics.label(box.name)),))
        if self._overflow is not None:
            self._overflow(box.name, waiting, box.bound)

    def _look_at_lanes(self) -> None:
        for box in self.directory.boxes():
            waiting = len(box.event)
            if waiting > box.bound // 2:
                self.overflow(box)
            elif box.name in self._over and waiting < box.bound // 4:
                del self._over[box.name]
                if self._overflow is not None:
                    self._overflow(box.name, waiting, box.bound)

    # --- what the tree needs --------------------------------------------------------------------------------------

    def launch(self, member: Member, name: str, made: Callable[[Shell], None]) -> None:
        """Starts an incarnation. Its mailbox, and what waits in it, is the name's."""
        role = self._role(member, name)
        pinned = member.pump == "pinned" and not self._virtual
        box = self.directory.open(name, self._dispatcher(member), member.bound or EVENT_BOUND)
        box.tally.restarts = box.incarnation
        (PinnedShell if pinned else SteppedShell).start(self, box, role, made)

    def _dispatcher(self, member: Member) -> Dispatcher:
        if self._virtual or member.pump == "pinned":  # a pinned incarnation brings its own
            return next(iter(self._dispatchers.values()))
        return self._dispatchers[member.pump]

    def _role(self, member: Member, name: str) -> Role[Any]:
        role = member.role(name)
        edge = self._edges.get(name) or self._edges.get(name.split(":", 1)[0])
        return role if edge is None else replace(role, edge=edge)

    def forget(self, name: str) -> None:
        """Drops a name for good; what it counted stays in its label."""
        box = self.directory.targets.get(name)
        if isinstance(box, Mailbox):
            self.totals.fold(box)
            self._over.pop(name, None)
        self.directory.forget(name)

    def tell(self, to: str, message: Message) -> None:
        """Sends from outside every actor."""
        self.directory.tell(to, message)

    def escalate(self, reason: str) -> None:
        """Hands up what cannot be mended here."""
        self._escalate(reason)

    def report(self, exit_: ActorExited, decision: str) -> None:
        """Says what ended and what is done about it, in the log and on record."""
        if not exit_.normal:
            _log.error("%s ended: %s; %s", exit_.name, exit_.error, decision)
            self._say(exit_)
            if self._crashed is not None:
                self._crashed(exit_)

    # --- dead letters ---------------------------------------------------------------------------------------------

    def _dead_letter(self, envelope: Envelope, reason: str) -> None:
        letter = DeadLetter(to=envelope.to, seq=envelope.seq, body_type=type(envelope.body).__name__, reason=reason)
        self.dead_letters.append(letter)
        self.metrics.count("trader_dead_letters_total", (("actor", metrics.label(envelope.to)),))
        _log.warning("dead letter for %s from %s: %s, %s", letter.to, envelope.sender, letter.body_type, reason)
        if envelope.to != self.journal:
            self._say(letter, envelope.seq, envelope.cause)

    def _say(self, message: Message, seq: int = 0, cause: int = 0) -> None:
        if self.journal is None or self.journal not in self.directory.targets:
            return
        draft = Draft(
            kind=EntryKind.SAID,
            actor="runtime",
            incarnation=0,
            sender="runtime",
            seq=seq,
            cause=cause,
            at_ns=self.clock.now_ns(),
            body=codec.encode(message),
        )
        self.directory.tell(self.journal, Append(drafts=(draft,)), "runtime")

    # --- views ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> list[metrics.ActorRow]:
        """Every actor, in start order, for the `actors` view."""
        now_ns, rows = self.clock.now_ns(), []
        for name, record in list(self.tree.records.items()):
            box = self.directory.targets.get(name)
            if isinstance(box, Mailbox):
                kind = "pinned" if record.member.pump == "pinned" else "stepped"
                shell = record.shell
                rows.append(
                    metrics.row(
                        box,
                        now_ns,
                        parent=record.child.group,
                        kind=kind,
                        alive=shell is not None,
                        state=_state(record.state, shell),
                    )
                )
        return rows


def in_kernel(
    kernel: Kernel,
    groups: Iterable[Group],
    members: Iterable[Member],
    *,
    edges: Mapping[str, Callable[[], Edge]] | None = None,
    journal: str | None = "recorder",
    escalate: Callable[[str], None] = _log.critical,
) -> Node:
    """A node whose every actor is stepped by `kernel`. Numbers of messages start at 1: same seed, same trace."""
    node = Node(
        kernel.clock,
        groups,
        members,
        {"core": kernel},
        journal=journal,
        escalate=escalate,
        edges=edges,
        virtual=True,
        first_seq=1,
    )
    kernel.trees.append(node.tree)
    return node


def _state(state: str, shell: Shell | None) -> str:
    if state != "running" or shell is None:
        return state
    if not shell.recovered:
        return "recovering"
    return "committing" if shell.pending is not None else "running"
