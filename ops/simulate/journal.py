"""The invariants of the architecture (§7) that a journal can be asked about, entry by entry, a live one's too.

Each function returns what it found wrong, as text; none: it holds. The number is the invariant's in §7. `Reader` judges
a journal in its order, whoever wrote it, and holds against it what arrived at the venue; `of_journal` reads everything
once more from the start.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from actors.recorder.core import apply
from actors.runtime.journal_format import CorruptEntryError, Head, Sealed, follows, unseal
from actors.venue.server_log import Entry
from ops.simulate.settled import ledger_of
from ops.simulate.world import SECOND_NS, Simulation
from protocol import codec
from protocol.base import Message
from protocol.journal import Draft, EntryKind
from protocol.lifecycle import Recover, StoreRecord
from protocol.market import FeedState, FeedStatus
from protocol.orders import TERMINAL, OrderState, OrderUpdate, PlaceIntent, Purpose, Side, Status
from protocol.portfolio import FillApplied
from protocol.risk import Decision, EpochChanged

if TYPE_CHECKING:
    from protocol.ids import ProductId

Faults = list[str]
OPEN, FILL = "order/", "portfolio/fill/"
TURNED_AWAY = {401, 429}
"""Definitely not placed: re-sent once, with a fresh token (faults C7) or after a pause (C5)."""

DUST_USD = 1
"""What a sale leaves that is worth less is no position (execution.md §6)."""

_RESTING = {Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.UNRESOLVED}
_ENDED = TERMINAL - {Status.ABORTED}
EDGES = {  # architecture §6; acceptance and the cancel that waited for it are one step
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


class Holding:
    """What the fills of a product sum to. A purchase begins anew where the last sale left only dust."""

    def __init__(self) -> None:
        self.size, self.price = Decimal(0), Decimal(0)
        self._correlation = ""

    def take(self, fill: FillApplied) -> None:
        """One more fill of ours."""
        dust = self.size * fill.price < DUST_USD
        if fill.buy:
            self.size = fill.size if dust and fill.correlation != self._correlation else self.size + fill.size
            self._correlation = fill.correlation
        else:
            self.size -= fill.size
        self.price = fill.price


class Freshness:
    """(8) Nothing but an exit is approved on a quote older than its limit, or while its feed does not vouch for it."""

    def __init__(self, quote_age_ns: int) -> None:
        self._limit_ns = quote_age_ns
        self._feeds: dict[str, FeedStatus] = {}
        self._approved: dict[tuple[str, Side], int] = {}

    def take(self, sealed: Sealed, message: Message) -> Faults:
        """The next entry."""
        draft = sealed.entry.draft
        match message:
            case Recover() if draft.actor == "risk":
                self._feeds.clear()  # it knows nothing but what it is told from now on
            case FeedState() if draft.actor == "risk":
                self._feeds[message.product_id] = message.status
            case Decision() if message.approved and message.purpose != Purpose.EXIT.value:
                self._approved[message.correlation, message.side] = message.at_ns
                status = self._feeds.get(message.product_id)
                if status is not FeedStatus.LIVE:
                    return [f"8: {message.correlation} was approved, its feed is {status}"]
            case PlaceIntent() if message.intent.quote_ns and message.intent.purpose is not Purpose.EXIT:
                intent = message.intent
                age_ns = self._approved.get((intent.correlation, intent.side), draft.at_ns) - intent.quote_ns
                if age_ns > self._limit_ns:
                    return [f"8: {intent.correlation} was approved on a quote {age_ns / SECOND_NS:.1f} s old"]
        return []


class Succession:
    """(12) Once an incarnation has begun, no other one of that actor has anything to say or to handle."""

    def __init__(self) -> None:
        self._current: dict[str, int] = {}

    def take(self, sealed: Sealed, message: Message) -> Faults:
        """The next entry."""
        draft = sealed.entry.draft
        if isinstance(message, Recover) and draft.kind is EntryKind.HANDLED:
            self._current[draft.actor] = draft.incarnation
        elif draft.incarnation != self._current.get(draft.actor, draft.incarnation):
            return [f"12: {draft.actor} {draft.incarnation} acts beside {self._current[draft.actor]}: {draft.seq}"]
        return []


class Sending:
    """(14) What one sender sent to one reader in one lane is handled in the order of its sending."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, int], int] = {}

    def take(self, sealed: Sealed, message: Message) -> Faults:
        """The next entry."""
        draft = sealed.entry.draft
        if draft.kind is not EntryKind.HANDLED or not draft.seq:
            return []
        way = (draft.actor, draft.sender, message.lane)
        last, self._last[way] = self._last.get(way, 0), draft.seq
        return [f"14: {draft.actor} handled {draft.seq} of {draft.sender} after {last}"] if draft.seq <= last else []


class Reader:
    """Reads a journal once, in its order; `read` says what is wrong with each entry.

    What it has understood so far is open to others: `records` (the fold), `orders` by client order id, `written` (when
    an order was first on disk, and as what), `applied` (how often each fill was booked), `holdings` (their sums).
    """

    def __init__(self, quote_age_ns: int) -> None:
        self.head = Head()
        self.records: dict[str, bytes] = {}
        self.orders: dict[str, OrderState] = {}
        self.written: dict[str, tuple[int, OrderState]] = {}
        self.applied: Counter[str] = Counter()
        self.holdings: dict[ProductId, Holding] = defaultdict(Holding)
        self.edges: Counter[tuple[str, str]] = Counter()
        self._handled: set[tuple[str, int, int]] = set()
        self._killed = False
        self._others = (Freshness(quote_age_ns).take, Succession().take, Sending().take)

    def read(self, index: int, data: bytes) -> Faults:
        """Judge the entry after the last one."""
        try:
            sealed = follows(self.head, index, data)
        except CorruptEntryError as error:
            self.head = unseal(index, data).head
            return [f"11: {error}"]
        self.head = sealed.head
        apply(self.records, sealed)
        draft = sealed.entry.draft
        faults = [*self._once(draft), *(fault for record in sealed.records for fault in self._record(draft, record))]
        message = codec.decode(draft.body)
        match message:
            case EpochChanged() if draft.actor == "orders":
                self._killed = message.killed
            case OrderUpdate() if draft.kind is not EntryKind.HANDLED:
                faults += self._order(message.state)
            case FillApplied() if draft.kind is EntryKind.SAID:
                faults += self._fill(message)
        return [*faults, *(fault for take in self._others for fault in take(sealed, message))]

    def _once(self, draft: Draft) -> Faults:
        """(10) What was handled stands in the journal once, with an earlier cause."""
        if draft.kind is not EntryKind.HANDLED:
            return []
        name = (draft.actor, draft.incarnation, draft.seq)
        faults = [f"10: {name} was journalled twice"] if name in self._handled else []
        self._handled.add(name)
        early = not draft.seq or draft.cause < draft.seq
        return faults if early else [*faults, f"10: {draft.actor} {draft.seq} is caused by {draft.cause}"]

    def _record(self, draft: Draft, record: StoreRecord) -> Faults:
        """(3, 16) After a kill no order is submitted until a rearm, restarts included."""
        if not record.key.startswith(OPEN) or record.value is None or record.key in self.written:
            return []
        state = codec.decode_value(record.value, OrderState)
        self.written[record.key] = (draft.at_ns, state)
        submitted = self._killed and state.status is Status.SUBMITTED
        return [f"16: {record.key} was submitted while killed"] if submitted else []

    def _order(self, now: OrderState) -> Faults:
        """(6, 9) Figures never fall nor pass what was ordered; the status moves along §6, terminal ones absorb."""
        before = self.orders.get(now.client_order_id)
        self.orders[now.client_order_id] = now
        begun = "" if before is None else before.status.value
        if begun != now.status.value:
            self.edges[begun, now.status.value] += 1
        return [f"6, 9: {now.client_order_id}: {what}" for what in _moved(before, now)]

    def _fill(self, fill: FillApplied) -> Faults:
        """(5) Each fill is applied once."""
        self.applied[fill.entry_id] += 1
        if fill.client_order_id is not None:
            self.holdings[fill.product_id].take(fill)
        times = self.applied[fill.entry_id]
        return [f"5: fill {fill.entry_id} was applied {times} times"] if times > 1 else []

    def arrived(self, entry: Entry, longest_ns: int) -> Faults:
        """(2, 3) A place request that arrived stood in the journal before, and left in its time."""
        coid = entry.client_order_ids[0]
        at_ns, state = self.written.get(OPEN + coid, (1 << 63, None))
        if at_ns > entry.arrived_ns or state is None:
            return [f"2: {coid} reached the venue before it was on disk"]
        late = entry.arrived_ns - longest_ns > state.spec.not_after_ns
        return [f"3: {coid} left after its deadline"] if late else []


def _moved(before: OrderState | None, now: OrderState) -> Faults:
    if now.spec.base_size is not None and now.filled_size > now.spec.base_size:
        return [f"filled {now.filled_size} of {now.spec.base_size}"]
    if before is None:
        return [] if now.status in _FIRST else [f"began as {now.status.value}"]
    figures = ("filled_size", "filled_value", "fees", "booked_size")
    fell = [f"{one} fell" for one in figures if getattr(now, one) < getattr(before, one)]
    if now.status is not before.status and now.status not in EDGES.get(before.status, set()):
        fell.append(f"{before.status.value} became {now.status.value}")
    return fell


def places(simulation: Simulation) -> list[Entry]:
    """The place requests that reached the venue's door, oldest first."""
    return [entry for entry in simulation.venue.log.entries() if entry.route == "create_order"]


def placed_once(simulation: Simulation) -> Faults:
    """(1) At most one place request per client order id reaches the venue; what was turned away at the door did not."""
    taken = (entry for entry in places(simulation) if entry.status not in TURNED_AWAY)
    counted = Counter(one for entry in taken for one in entry.client_order_ids)
    return [f"1: {coid} was placed {times} times" for coid, times in counted.items() if times > 1]


def longest_ns(simulation: Simulation) -> int:
    """So long a request is under way at most."""
    return simulation.world.venue.habits.latency_ms[1] * SECOND_NS // 1000


def folds(simulation: Simulation, reader: Reader) -> Faults:
    """(5, 11) Records, positions and booked fills are what the journal makes of them."""
    records = {r.key: r.value for r in simulation.store.records()}
    wrong = sorted(k for k in reader.records.keys() | records.keys() if reader.records.get(k) != records.get(k))
    faults = [] if reader.head == simulation.store.head() else ["11: the chain ends before the store's head"]
    faults += [f"11: {key} is not what the journal makes of it" for key in wrong]
    stored = {key.removeprefix(FILL) for key in records if key.startswith(FILL)}
    if stored != set(reader.applied):
        faults.append(f"5: applied {sorted(reader.applied)}, stored {sorted(stored)}")
    ledger = ledger_of(simulation)
    positions = {p.product_id: p.quantity for p in ledger.positions} if ledger is not None else {}
    for product, holding in sorted(reader.holdings.items()):
        has = positions.get(product, Decimal(0))
        dust = not has and holding.size * holding.price < DUST_USD
        faults += [] if has == holding.size or dust else [f"5: {product} holds {has}, its fills sum to {holding.size}"]
    return faults


def reader_of(simulation: Simulation) -> Reader:
    """One that knows what this simulation's policy allows."""
    return Reader(int(simulation.world.launch.policy.staleness.quote_age_s * SECOND_NS))


def of_journal(simulation: Simulation) -> Faults:
    """Everything that journal, records and the venue's log can be asked, from the start."""
    reader = reader_of(simulation)
    faults = [fault for index, data in simulation.store.entries() for fault in reader.read(index, data)]
    faults += [fault for entry in places(simulation) for fault in reader.arrived(entry, longest_ns(simulation))]
    return [*faults, *placed_once(simulation), *folds(simulation, reader)]
