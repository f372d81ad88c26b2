"""What stands around the watchdog's core in every world: it feeds the core and carries out what the core asks.

The process and the kernel differ only in how they see, ask and wait; in what order an action's parts happen, and what
a start makes of the log, is here.
"""

from abc import ABC, abstractmethod
from typing import Protocol

from actors.watchdog import core, facts
from actors.watchdog.core import Settings, Watchdog
from actors.watchdog.facts import Actions, Event
from protocol.control import Latch, Reply

WRITER = "watchdog"
"""Whose slot of the epoch page is the watchdog's."""


class Log(Protocol):
    """The latch, durably (see `log.LatchLog`)."""

    damaged: bool

    def last(self) -> Latch | None:
        """The newest whole line; None before the first."""

    def write(self, latch: Latch) -> None:
        """Append and sync. Raises OSError."""


class Epoch(Protocol):
    """The epoch page (see `pages.EpochPage`)."""

    def step(self, writer: str) -> int:
        """Raise the epoch by one; returns it."""

    def restore(self, writer: str, at_least: int) -> None:
        """Raise the epoch to `at_least`, if it is below."""


class Edges(ABC):
    """One watchdog from its start to its end. A world says how it sees, asks, waits and speaks."""

    def __init__(self, settings: Settings, log: Log, epoch: Epoch) -> None:
        self._settings, self._log, self._epoch = settings, log, epoch
        self.core = Watchdog(settings=settings)

    def resume(self) -> None:
        """Begin with what the log says."""
        self.core, actions = core.resumed(self._settings, self._latch(), self.now_ns())
        self.perform(actions)

    def feed(self, event: Event) -> None:
        """Let the core decide about an event, and do what it says."""
        self.core, actions = core.step(self.core, event, self.now_ns())
        self.perform(actions)

    def perform(self, actions: Actions) -> None:
        """One interpreter per action, in their order."""
        for action in actions:
            match action:
                case facts.StepEpoch():
                    self._epoch.step(WRITER)
                case facts.Write():
                    self._write(action.latch)
                case facts.ReadKnown():
                    self.read_known()
                case facts.TakeList():
                    self.take_list(action.number)
                case facts.Cancel():
                    self.cancel(action.venue_order_ids)
                case facts.Answer():
                    self.answer(action.connection, action.reply)
                case facts.Cry():
                    self.cry(action.event, action.detail)
                case facts.Leave():
                    self.leave()

    def _latch(self) -> Latch | None:
        """The latch of the log. If nobody can say what it was, it is killed."""
        if self._log.damaged:
            epoch = self._epoch.step(WRITER)
            reason, now_ns = "the watchdog's log is damaged", self.now_ns()
            latch = Latch(killed=True, epoch=epoch, reason=reason, by="watchdog", at_ns=now_ns, scope="mine")
            self.cry("log_damaged", "")
            self._write(latch)
            return latch
        last = self._log.last()
        if last is not None:
            self._epoch.restore(WRITER, last.epoch)
        return last

    def _write(self, latch: Latch) -> None:
        """A disk that fails keeps nobody from cancelling."""
        try:
            self._log.write(latch)
        except OSError as error:
            self.cry("latch_not_written", str(error))

    # --- what a world lends ---------------------------------------------------------------------------------------

    @abstractmethod
    def now_ns(self) -> int:
        """UTC nanoseconds that never run backwards."""

    @abstractmethod
    def read_known(self) -> None:
        """Read the desk's store, without anybody waiting for it; what it says comes back as `Known`."""

    @abstractmethod
    def take_list(self, number: int) -> None:
        """Take a complete list at the venue; it comes back as `Listed`, or as one that could not be had."""

    @abstractmethod
    def cancel(self, venue_order_ids: tuple[str, ...]) -> None:
        """Ask the venue to cancel these."""

    @abstractmethod
    def answer(self, connection: int, reply: Reply) -> None:
        """Give the one reply on a connection."""

    @abstractmethod
    def cry(self, event: str, detail: str) -> None:
        """A line for people."""

    @abstractmethod
    def leave(self) -> None:
        """Nothing is left to do: end."""
