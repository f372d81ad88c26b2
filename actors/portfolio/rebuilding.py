"""The ledger derived anew from the venue's fills and balances: every difference gets a name (risk.md §7)."""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio.ledger import Ledger, as_totals
from protocol.money import ZERO
from protocol.orders import OrderState, Side
from protocol.portfolio import Correction, Position
from protocol.venue import Balance, FillRecord


def rebuild(
    ledger: Ledger, fills: Iterable[FillRecord], orders: dict[str, OrderState], balances: tuple[Balance, ...]
) -> tuple[Ledger, tuple[Correction, ...]]:
    """Quantities, prices and fees from our own fills, totals from the balances, and what changed by that.

    Args:
        ledger: the books as they are. What no fill tells (targets, strategy, peak) is kept from them.
        fills: of the whole account since the books were opened, oldest first.
        orders: ours that are remembered, by venue id; older ones of open positions the ledger knows itself.
        balances: complete. No position is larger than what is there of its base.
    """
    ours = {*orders, *(order_id for _, order_id in ledger.lots)}
    mine: dict[str, list[FillRecord]] = {}
    for fill in fills:
        if fill.venue_order_id in ours:
            mine.setdefault(fill.product_id, []).append(fill)
    held = {b.currency: b.total for b in balances}
    positions = []
    for position in ledger.positions:
        told = mine.get(position.product_id)
        derived = position if told is None else _derived(position, told)
        derived = _at_most(derived, held.get(position.product_id.partition("-")[0], ZERO))
        if derived.quantity > ZERO:
            positions.append(derived)
    after = replace(ledger, positions=tuple(positions), totals=as_totals(held))
    return after, (*_of_positions(ledger, after), *_of_totals(ledger, after))


def _derived(position: Position, fills: list[FillRecord]) -> Position:
    """The same arithmetic as booking, from nothing: purchases average in, sales take out at the average."""
    quantity = cost = fees = ZERO
    for fill in fills:
        if fill.side is Side.BUY:
            quantity, cost, fees = quantity + fill.size, cost + fill.value, fees + fill.fee
        elif quantity > ZERO:
            left = max(quantity - fill.size, ZERO)
            quantity, cost, fees = left, cost * left / quantity, fees * left / quantity
    if quantity == ZERO:
        return replace(position, quantity=ZERO, entry_fees=ZERO)
    return replace(position, quantity=quantity, average_price=cost / quantity, entry_fees=fees)


def _at_most(position: Position, limit: Decimal) -> Position:
    if position.quantity <= limit:
        return position
    return replace(position, quantity=limit, entry_fees=position.entry_fees * limit / position.quantity)


def _of_positions(before: Ledger, after: Ledger) -> tuple[Correction, ...]:
    rows = ((p.product_id, _told(p), _told(after.position(p.product_id))) for p in before.positions)
    return tuple(Correction(kind="position", subject=n, ledger=a, venue=b) for n, a, b in rows if a != b)


def _told(position: Position | None) -> str:
    return "none" if position is None else f"{position.quantity} at {position.average_price}"


def _of_totals(before: Ledger, after: Ledger) -> tuple[Correction, ...]:
    names = sorted({t.currency for t in (*before.totals, *after.totals)})
    rows = ((name, before.total(name), after.total(name)) for name in names)
    return tuple(Correction(kind="balance", subject=n, ledger=str(a), venue=str(b)) for n, a, b in rows if a != b)
