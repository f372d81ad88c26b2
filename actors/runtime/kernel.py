"""Virtual time: one thread steps every actor, in an order that a seed chooses, and time jumps to the next event.

The kernel is a dispatcher like the pumps and runs the same shells; pinned actors are stepped here too. It lets the
actors run to quiescence after each event, then moves the clock to the next timer, call of the world, or restart.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Protocol

from actors.runtime.clock import Timer, Timers, VirtualClock

if TYPE_CHECKING:
    from actors.runtime.mailbox import Hurried, Ready


class Supervised(Protocol):
    """A tree that wants to be asked (see `tree.Tree`)."""

    def urgent(self) -> bool:
        """Whether an exit waits to be decided."""

    def next_due_ns(self) -> int | None:
        """When it next wants to act by itself."""

    def poll(self, now_ns: int) -> None:
        """Decide and act."""


class Kernel:
    """One dispatcher for all actors, on a virtual clock.

    `after_step` is called after each message handled: where simulations check their invariants. `trees` belong to the
    process that the kernel steps, `outside` to others: a freeze stops the former where they stand, in the middle of
    whatever they do.
    """

    def __init__(self, seed: int, clock: VirtualClock | None = None) -> None:
        self.ready: deque[Ready] = deque()
        self.urgent: deque[Hurried] = deque(maxlen=0)  # nobody hurries: any order may come anyway
        self.idle = False
        self.timers = Timers()
        self.clock = clock or VirtualClock()
        self.steps = 0
        self.after_step: Callable[[], None] | None = None
        self.trees: list[Supervised] = []
        self.outside: list[Supervised] = []
        self.frozen = False
        self._random = Random(seed)  # noqa: S311 - chance that must repeat

    def wake(self) -> None:
        """Nothing sleeps here."""

    def call_at(self, due_ns: int, action: Callable[[], None]) -> Timer:
        """Lets the world outside the actors act at `due_ns`."""
        return self.timers.call_at(due_ns, action)

    def freeze(self) -> None:
        """The process does nothing more: no message, no timer, no restart."""
        self.frozen = True

    def thaw(self) -> None:
        """It goes on where it stood; what fell due meanwhile is due now."""
        self.frozen = False

    def drain(self) -> None:
        """Steps ready actors, one message a turn, until nobody has anything to do."""
        ready, choose = self.ready, self._random.randrange
        while not self.frozen and (self._supervise() or ready):
            if not ready:
                continue
            if len(ready) > 1:
                ready.rotate(-choose(len(ready)))
            actor = ready.popleft()
            if actor.turn(1, 1 << 62):
                ready.append(actor)
            self.steps += 1
            if self.after_step is not None:
                self.after_step()

    def run_until(self, end_ns: int) -> None:
        """Lives through all events up to and including `end_ns`."""
        self.drain()
        while (due := self.next_due_ns()) is not None and due <= end_ns:
            self.clock.advance_to(due)
            if self.frozen or not self.timers.fire_next(self.clock.now_ns()):
                self._poll()
            self.drain()
        self.clock.advance_to(end_ns)

    def run_for(self, duration_ns: int) -> None:
        """Lives through the next `duration_ns`."""
        self.run_until(self.clock.now_ns() + duration_ns)

    def next_due_ns(self) -> int | None:
        """When the next event is due; None: nothing will ever happen by itself."""
        dues = [tree.next_due_ns() for tree in self._acting()]
        if not self.frozen:
            dues.append(self.timers.next_due_ns())
        return min((due for due in dues if due is not None), default=None)

    def _supervise(self) -> bool:
        urgent = any(tree.urgent() for tree in self.trees)
        if urgent:
            self._poll()
        return urgent

    def _poll(self) -> None:
        for tree in self._acting():
            tree.poll(self.clock.now_ns())

    def _acting(self) -> list[Supervised]:
        return self.outside if self.frozen else [*self.trees, *self.outside]
