"""The invariants of the architecture (§7) that are judged when it is over: by what the venue remembers, by two runs.

As in `journal`: each function returns what it found wrong, as text; none: it holds. The number is the invariant's.
"""

from itertools import pairwise
from typing import NamedTuple

from ops.simulate.world import BOT, SECOND_NS, Simulation

Faults = list[str]
FOR_EVER_NS = 1 << 63
UNOWNED_S = 7.5
"""Seven seconds until the watchdog begins, and what a look, a reading and the way to the venue take."""
KILLED_S, LATE_S = 10.0, 5.0


class Stay(NamedTuple):
    """From when to when one order of ours could fill at the venue."""

    client_order_id: str
    order_id: str
    from_ns: int
    to_ns: int


def stays(simulation: Simulation) -> list[Stay]:
    """Every order of ours that the venue remembers."""
    orders = simulation.venue.exchange.state.orders.everything()
    return [
        Stay(o.client_order_id, o.order_id, o.created_ns, o.updated_ns if o.terminal else FOR_EVER_NS)
        for o in orders
        if o.client_order_id.startswith(f"{BOT}-")
    ]


def unowned_cancelled(simulation: Simulation, available_ns: int = 0) -> Faults:
    """(18) An order without a live reconciled owner is being cancelled within 7 s: a request for it is at the venue.

    `available_ns`: venue and watchdog are there from then on.
    """
    asked: dict[str, int] = {}
    for entry in simulation.venue.log.entries():
        if entry.route == "cancel_orders":
            for order_id in entry.order_ids:
                asked.setdefault(order_id, entry.arrived_ns)
    now_ns, faults = simulation.clock.now_ns(), []
    turns = [*simulation.owned, (now_ns, True)]
    for (since_ns, owned), (until_ns, _) in pairwise(turns):
        for stay in stays(simulation) if not owned else ():
            due_ns = max(since_ns, stay.from_ns, available_ns) + int(UNOWNED_S * SECOND_NS)
            if due_ns < min(until_ns, stay.to_ns) and asked.get(stay.order_id, FOR_EVER_NS) > due_ns:
                faults.append(f"18: {stay.client_order_id} has had no owner and is not being cancelled")
    return faults


def empty_after_kill(simulation: Simulation, available_ns: int = 0) -> Faults:
    """(19) After a kill nothing of ours rests 10 s after the venue is there; what arrives late stays 5 s at most."""
    faults, lines = [], simulation.watchdog.log.lines
    turns = [(latch.at_ns, latch.killed) for latch in lines] + [(simulation.clock.now_ns(), False)]
    for (since_ns, killed), (until_ns, _) in pairwise(turns):
        limit_ns = max(since_ns, available_ns) + int(KILLED_S * SECOND_NS)
        for stay in stays(simulation) if killed else ():
            due_ns = max(limit_ns, stay.from_ns + int(LATE_S * SECOND_NS))
            if stay.from_ns < until_ns and due_ns < min(until_ns, stay.to_ns):
                faults.append(f"19: {stay.client_order_id} rested in a killed book")
    return faults


def of_watch(simulation: Simulation, available_ns: int = 0) -> Faults:
    """Both of these, where desk and watchdog ran together."""
    return [*unowned_cancelled(simulation, available_ns), *empty_after_kill(simulation, available_ns)]


def same_trace(one: Simulation, other: Simulation) -> Faults:
    """(17) Same seed, code and configuration: same trace."""
    pairs = zip(one.journal(), other.journal(), strict=False)
    differ = next((index for (index, a), (_, b) in pairs if a != b), None)
    if differ is None and len(one.journal()) == len(other.journal()):
        return []
    return [f"17: the traces part at entry {differ or min(len(one.journal()), len(other.journal())) + 1}"]
