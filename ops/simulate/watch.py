"""Looks at a simulation after each of its steps: at what the step touched, and now and then at everything."""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from ops.simulate.journal import TURNED_AWAY, Faults, folds, longest_ns, reader_of
from ops.simulate.moment import at_rest
from ops.simulate.world import Simulation

if TYPE_CHECKING:
    from actors.venue.server_log import Entry

EVERYTHING = 1000
"""So many steps lie between two looks at everything."""


class BrokenError(Exception):
    """An invariant does not hold. `faults`: what it had to say, each once."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("; ".join(faults))
        self.faults = [*dict.fromkeys(faults)]


class Watch:
    """Judges every step of a simulation, whichever of its desks makes it; raises BrokenError at the first that is bad.

    `also` is called first: a plan uses it to let the desk die in the middle of something, unseen.
    """

    def __init__(self, simulation: Simulation, also: Callable[[], None]) -> None:
        self.reader = reader_of(simulation)
        self.steps = 0
        self._simulation = simulation
        self._also = also
        self._requests = 0
        self._placed: dict[str, list[Entry]] = defaultdict(list)

    def attach(self) -> None:
        """Look at the desk that is there now."""
        self._simulation.desk.kernel.after_step = self._step

    def _step(self) -> None:
        self.steps += 1
        self._also()
        store = self._simulation.store
        written = store.head().index != self.reader.head.index
        if written or self._simulation.venue.log.total != self._requests:
            self._raise([*self._read(), *self._arrived(), *at_rest(self._simulation)])
        if self.steps % EVERYTHING == 0:
            self.everything()

    def everything(self) -> None:
        """Look at all there is."""
        self._raise([*self._read(), *self._arrived(), *folds(self._simulation, self.reader)])

    def _read(self) -> Faults:
        entries = self._simulation.store.entries(self.reader.head.index + 1)
        return [fault for index, data in entries for fault in self.reader.read(index, data)]

    def _arrived(self) -> Faults:
        """(1, 2, 3) The place requests since the last look; one that was turned away may come again."""
        log = self._simulation.venue.log
        news, self._requests = log.newest(log.total - self._requests), log.total
        faults: Faults = []
        for entry in (one for one in news if one.route == "create_order"):
            coid = entry.client_order_ids[0]
            faults += self.reader.arrived(entry, longest_ns(self._simulation))
            self._placed[coid].append(entry)
            taken = sum(one.status not in TURNED_AWAY for one in self._placed[coid])
            faults += [f"1: {coid} was placed {taken} times"] if taken > 1 else []
        return faults

    def _raise(self, faults: Faults) -> None:
        if faults:
            raise BrokenError(faults)
