"""What a batch is judged on: exposure with everything promised, free slots, gates. Every grant moves it."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk import exposure as exposures
from actors.risk import gates
from actors.risk.exposure import Exposure, Stake
from actors.risk.limits import Limits
from actors.risk.reservations import standing
from actors.risk.state import Risk
from actors.risk.trades import is_add, opens
from protocol.base import Value
from protocol.orders import Side
from protocol.risk import Gate
from protocol.strategy import Regime

_LEAST_SLOT_USD = Decimal("0.000001")


class Snapshot(Value, frozen=True, kw_only=True):
    """The running state of one batch. `granted` entries so far, `opened` of them as new positions."""

    exposure: Exposure
    slots: int
    gates: tuple[Gate, ...]
    regime: Regime
    granted: int = 0
    opened: int = 0


def snapshot(risk: Risk, regime: Regime, now_ns: int) -> Snapshot:
    """The state of things before a batch: reservations count like orders."""
    book = exposures.measure(risk.view, tuple(risk.orders.values()), risk.unseen, risk.limits)
    for held in standing(risk, now_ns).values():
        if held.side is Side.BUY:
            promised = exposures.promised(held.product_id, held.strategy, held.left_usd, risk.limits)
            book = exposures.with_pending(book, promised)
    return Snapshot(
        exposure=book,
        slots=_slots(book, regime, risk.limits),
        gates=gates.tripped(risk, now_ns),
        regime=regime,
    )


def gates_alone(risk: Risk, now_ns: int) -> Snapshot:
    """For what adds nothing: an exit waits for no sum over the book."""
    nothing = Exposure(nav_usd=None, stakes=(), foreign=())
    return Snapshot(exposure=nothing, slots=0, gates=gates.tripped(risk, now_ns), regime=risk.regime)


def _slots(book: Exposure, regime: Regime, limits: Limits) -> int:
    """Free slots (risk.md §4): positions and working purchases that are worth one occupy one a product."""
    floor = max(limits.dust_usd, limits.min_notional_usd / 4, _LEAST_SLOT_USD)
    products = {s.product_id for s in book.stakes}
    working = limits.orders_take_slots
    occupied = [p for p in products if book.held(p) >= floor or (working and book.pending(p) >= floor)]
    most = min(limits.max_open_positions, limits.row(regime).max_positions)
    return min(max(most - len(occupied), 0), limits.max_new_per_cycle)


def after(snap: Snapshot, granted: Stake, *, entry: bool, limits: Limits) -> Snapshot:
    """The snapshot after a purchase was granted: it takes its room, and its slot where it needs one."""
    product = granted.product_id
    free = limits.adds_when_full and is_add(product, snap.exposure)
    return replace(
        snap,
        exposure=exposures.with_pending(snap.exposure, granted),
        slots=max(snap.slots - (not free), 0),
        granted=snap.granted + entry,
        opened=snap.opened + (entry and opens(product, snap.exposure, limits.dust_usd)),
    )
