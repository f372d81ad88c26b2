"""The invariants of the architecture (§7) that a journal, a store and an exchange can be asked about.

Each function returns what it found wrong, as text; none: it holds. The number is the invariant's in §7. `of_journal`
and `at_rest` gather them: the first may run over any journal, a live one's too; the second looks at this very moment.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from actors.recorder.core import fold
from actors.runtime.journal_format import CorruptEntryError, Head, Sealed, unseal
from actors.venue.in_kernel import USER
from protocol import codec
from protocol.base import Message
from protocol.journal import EntryKind
from protocol.lifecycle import StoreRecord
from protocol.orders import TERMINAL, OrderState, OrderUpdate, Side, Status
from protocol.portfolio import FillApplied
from protocol.risk import EpochChanged
from tests.support.kernel_desk import BOT, SECOND_NS, Simulation
from tests.support.settled import ledger_of

Faults = list[str]
OPEN, FILL = "order/", "portfolio/fill/"
TURNED_AWAY = {401, 429}
"""Definitely not placed: re-sent once, with a fresh token (faults C7) or after a pause (C5)."""

_RESTING = {Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.UNRESOLVED}
_ENDED = TERMINAL - {Status.ABORTED}
_EDGES = {  # architecture §6; acceptance and the cancel that waited for it are one step
    Status.SUBMITTED: _RESTING | _ENDED,
    Status.ACCEPTED: _RESTING | _ENDED,
    Status.PARTIALLY_FILLED: (_RESTING | _ENDED) - {Status.ACCEPTED},
    Status.PENDING_CANCEL: {Status.UNRESOLVED} | _ENDED,
    Status.UNRESOLVED: _RESTING | _ENDED,
}
_FIRST = {Status.SUBMITTED, Status.ABORTED}


def unsealed(simulation: Simulation) -> list[Sealed]:
    """The journal, read back from its bytes."""
    return [unseal(index, data) for index, data in simulation.store.entries()]


def messages(entries: Iterable[Sealed]) -> Iterator[tuple[Sealed, Message]]:
    """Entries with what was handled or said."""
    return ((sealed, codec.decode(sealed.entry.draft.body)) for sealed in entries)


# --- over a journal -----------------------------------------------------------------------------------------------


def placed_once(simulation: Simulation) -> Faults:
    """(1) At most one place request per client order id reaches the venue; what was turned away at the door did not."""
    requests = (e for e in simulation.venue.log.entries() if e.route == "create_order" and e.status not in TURNED_AWAY)
    counted = Counter(one for entry in requests for one in entry.client_order_ids)
    return [f"1: {coid} was placed {times} times" for coid, times in counted.items() if times > 1]


def committed_first(simulation: Simulation, entries: list[Sealed]) -> Faults:
    """(2, 3) Every place request that arrived stood in the journal before, and left in its time."""
    written: dict[str, tuple[int, OrderState]] = {}
    for sealed in entries:
        for record in sealed.records:
            if record.key.startswith(OPEN) and record.value is not None and record.key not in written:
                state = codec.decode_value(record.value, OrderState)
                written[record.key] = (sealed.entry.draft.at_ns, state)
    faults = []
    longest_ns = simulation.world.venue.habits.latency_ms[1] * SECOND_NS // 1000
    for entry in simulation.venue.log.entries():
        if entry.route != "create_order":
            continue
        coid = entry.client_order_ids[0]
        at_ns, state = written.get(OPEN + coid, (1 << 63, None))
        if at_ns > entry.arrived_ns or state is None:
            faults.append(f"2: {coid} reached the venue before it was on disk")
        elif entry.arrived_ns - longest_ns > state.spec.not_after_ns:
            faults.append(f"3: {coid} left after its deadline")
    return faults


def fills_once(simulation: Simulation, entries: list[Sealed]) -> Faults:
    """(5) Each fill is applied once; positions and fees are the sums of fills."""
    applied = [m for s, m in messages(entries) if isinstance(m, FillApplied) and s.entry.draft.kind is EntryKind.SAID]
    counted = Counter(fill.entry_id for fill in applied)
    faults = [f"5: fill {one} was applied {times} times" for one, times in counted.items() if times > 1]
    stored = {record.key.removeprefix(FILL) for record in simulation.store.records(FILL)}
    if stored != set(counted):
        faults.append(f"5: applied {sorted(counted)}, stored {sorted(stored)}")
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in applied:
        if fill.client_order_id is not None:
            held[fill.product_id] += fill.size if fill.buy else -fill.size
    ledger = ledger_of(simulation)
    positions = {p.product_id: p.quantity for p in ledger.positions} if ledger is not None else {}
    wrong = {p: (positions.get(p, Decimal(0)), q) for p, q in held.items() if positions.get(p, Decimal(0)) != q}
    return faults + [f"5: {p} holds {has}, its fills sum to {q}" for p, (has, q) in wrong.items()]


def orders_grow(entries: list[Sealed]) -> Faults:
    """(6, 9) Figures never fall nor pass what was ordered; the status moves along §6, terminal ones absorb."""
    faults, last = [], dict[str, OrderState]()
    for sealed, message in messages(entries):
        if sealed.entry.draft.kind is EntryKind.HANDLED or not isinstance(message, OrderUpdate):
            continue
        now, before = message.state, last.get(message.state.client_order_id)
        last[now.client_order_id] = now
        faults += [f"6, 9: {now.client_order_id}: {what}" for what in _moved(before, now)]
    return faults


def _moved(before: OrderState | None, now: OrderState) -> Faults:
    if now.spec.base_size is not None and now.filled_size > now.spec.base_size:
        return [f"filled {now.filled_size} of {now.spec.base_size}"]
    if before is None:
        return [] if now.status in _FIRST else [f"began as {now.status.value}"]
    figures = ("filled_size", "filled_value", "fees", "booked_size")
    fell = [f"{one} fell" for one in figures if getattr(now, one) < getattr(before, one)]
    if now.status is not before.status and now.status not in _EDGES.get(before.status, set()):
        fell.append(f"{before.status.value} became {now.status.value}")
    return fell


def journalled_once(entries: list[Sealed]) -> Faults:
    """(10) What was handled stands in the journal once, each with an earlier cause."""
    handled = [s.entry.draft for s in entries if s.entry.draft.kind is EntryKind.HANDLED]
    counted = Counter((d.actor, d.incarnation, d.seq) for d in handled)
    twice = [f"10: {one} was journalled {times} times" for one, times in counted.items() if times > 1]
    return twice + [f"10: {d.actor} {d.seq} is caused by {d.cause}" for d in handled if d.seq and d.cause >= d.seq]


def chain_holds(simulation: Simulation) -> Faults:
    """(11) The hash chain verifies, and the records are the fold of the journal."""
    try:
        folded, head = fold({}, Head(), simulation.store.entries())
    except CorruptEntryError as error:
        return [f"11: {error}"]
    records = {r.key: r.value for r in simulation.store.records()}
    wrong = sorted(key for key in folded.keys() | records.keys() if folded.get(key) != records.get(key))
    same = [] if head == simulation.store.head() else ["11: the chain ends before the store's head"]
    return same + [f"11: {key} is not what the journal makes of it" for key in wrong]


def killed_stays(entries: list[Sealed]) -> Faults:
    """(3, 16) After a kill no order is submitted until a rearm, restarts included."""
    faults, killed, known = [], False, set[str]()
    for sealed, message in messages(entries):
        if isinstance(message, EpochChanged) and sealed.entry.draft.actor == "orders":
            killed = message.killed
        new = [r for r in sealed.records if r.key.startswith(OPEN) and r.value is not None and r.key not in known]
        known |= {record.key for record in new}
        faults += [f"16: {record.key} was submitted while killed" for record in new if killed and _submitted(record)]
    return faults


def _submitted(record: StoreRecord) -> bool:
    return codec.decode_value(record.value or b"", OrderState).status is Status.SUBMITTED


def of_journal(simulation: Simulation) -> Faults:
    """Every one of these."""
    entries = unsealed(simulation)
    return [
        *placed_once(simulation),
        *committed_first(simulation, entries),
        *fills_once(simulation, entries),
        *orders_grow(entries),
        *journalled_once(entries),
        *chain_holds(simulation),
        *killed_stays(entries),
    ]


def same_trace(one: Simulation, other: Simulation) -> Faults:
    """(17) Same seed, code and configuration: same trace."""
    pairs = zip(one.journal(), other.journal(), strict=False)
    differ = next((index for (index, a), (_, b) in pairs if a != b), None)
    if differ is None and len(one.journal()) == len(other.journal()):
        return []
    return [f"17: the traces part at entry {differ or min(len(one.journal()), len(other.journal())) + 1}"]


# --- at this moment -----------------------------------------------------------------------------------------------


def rests_on_disk(simulation: Simulation) -> Faults:
    """(2) Nothing of ours rests whose record is not committed as open."""
    live = simulation.venue.exchange.open_orders(USER)
    return [
        f"2: {order.client_order_id} rests and is not on disk as open"
        for order in live
        if order.client_order_id.startswith(f"{BOT}-") and simulation.store.value(OPEN + order.client_order_id) is None
    ]


def one_per_intent(simulation: Simulation) -> Faults:
    """(requirement X1) Of the orders of an intent at most one is live at the venue."""
    live = simulation.venue.exchange.open_orders(USER)
    counted = Counter(order.client_order_id.rpartition("-a")[0] for order in live)
    return [f"X1: {intent} has {times} live orders" for intent, times in counted.items() if times > 1]


def money_adds_up(simulation: Simulation) -> Faults:
    """(4) The venue's books balance, nothing is negative, and only live orders hold anything."""
    exchange = simulation.venue.exchange
    faults = []
    for currency, parts in exchange.trial_balance().items():
        if sum(parts, Decimal(0)) != 0:
            faults.append(f"4: {currency} does not add up: {parts}")
    holding: dict[str, Decimal] = defaultdict(Decimal)
    for order in exchange.open_orders(USER):
        base, _, quote = order.product_id.partition("-")
        holding[base if order.order_side == "SELL" else quote] += Decimal(order.outstanding_hold_amount)
    for account in exchange.accounts(USER, limit=250).accounts:
        available, hold = Decimal(account.available_balance.value), Decimal(account.hold.value)
        if min(available, hold) < 0:
            faults.append(f"4: {account.currency}: available {available}, held {hold}")
        if hold != holding[account.currency]:
            faults.append(f"4: {account.currency}: {hold} held, live orders hold {holding[account.currency]}")
    return faults


def sells_covered(simulation: Simulation) -> Faults:
    """(27) What working sells may still take out of the ledger is no more than the position."""
    ledger = ledger_of(simulation)
    positions = {p.product_id: p.quantity for p in ledger.positions} if ledger is not None else {}
    working: dict[str, Decimal] = defaultdict(Decimal)
    for record in simulation.store.records(OPEN):
        order = codec.decode_value(record.value or b"", OrderState)
        if order.spec.side is Side.SELL:
            most = order.filled_size if order.terminal else (order.spec.base_size or Decimal(0))
            booked = ledger.booked_of(order.venue_order_id or "") if ledger is not None else Decimal(0)
            working[order.spec.product_id] += most - max(booked, order.booked_size)
    return [
        f"27: {product} is sold for {size}, {positions.get(product, Decimal(0))} are held"
        for product, size in working.items()
        if size > positions.get(product, Decimal(0))
    ]


def at_rest(simulation: Simulation) -> Faults:
    """Every one of these, cheap enough for each second."""
    return [
        *rests_on_disk(simulation),
        *one_per_intent(simulation),
        *money_adds_up(simulation),
        *sells_covered(simulation),
    ]
