"""Fills into positions and PnL, exactly (execution.md §6). Pure Decimal arithmetic, nothing rounded."""

from decimal import Decimal

from msgspec.structs import replace

from protocol.base import Value
from protocol.ids import ProductId
from protocol.money import ZERO
from protocol.orders import OrderState, Side, Targets
from protocol.portfolio import LedgerTotal, PnlPeriods, Position
from protocol.venue import FillRecord


class Ledger(Value, frozen=True, kw_only=True):
    """The durable books, adopted with every fill in one transaction.

    `totals` say what the account should hold per currency; `booked` how much of each order that is not settled yet
    is in here (base units by venue order id); `cursor_ns` is the newest fill's time at the venue; `opened_ns`: when the
    account was first seen, with everything that had happened to it before. `lots` names the venue orders behind each
    open position, by product.
    """

    positions: tuple[Position, ...] = ()
    totals: tuple[LedgerTotal, ...] = ()
    booked: tuple[tuple[str, Decimal], ...] = ()
    cursor_ns: int = 0
    opened_ns: int = 0
    periods: PnlPeriods | None = None
    lots: tuple[tuple[str, str], ...] = ()
    realised_today_usd: Decimal = ZERO
    fees_today_usd: Decimal = ZERO

    def position(self, product_id: ProductId) -> Position | None:
        """The position in a product, if there is one."""
        return next((p for p in self.positions if p.product_id == product_id), None)

    def total(self, currency: str) -> Decimal:
        """What the account should hold of a currency."""
        return next((t.total for t in self.totals if t.currency == currency), ZERO)

    def booked_of(self, venue_order_id: str) -> Decimal:
        """Base units of an unsettled order that are booked."""
        return next((size for name, size in self.booked if name == venue_order_id), ZERO)


class Booked(Value, frozen=True, kw_only=True):
    """A fill's outcome. `net_usd`: realised PnL of a sell after both sides' fees; None for a purchase."""

    ledger: Ledger
    net_usd: Decimal | None
    closed: bool
    oversold: Decimal


def book(ledger: Ledger, fill: FillRecord, order: OrderState | None, increment: Decimal, fallback: Targets) -> Booked:
    """Apply one fill for life.

    Args:
        ledger: the books before it.
        fill: the venue's final word.
        order: ours that it belongs to; None: somebody else's, which moves the totals and nothing else.
        increment: the product's base increment; what is left below half of it is no position.
        fallback: exit targets where the order names none.
    """
    moved = replace(ledger, totals=_moved(ledger, fill), cursor_ns=max(ledger.cursor_ns, fill.trade_ns))
    if order is None:
        return Booked(ledger=moved, net_usd=None, closed=False, oversold=ZERO)
    moved = replace(
        moved,
        booked=_with(moved.booked, fill.venue_order_id, moved.booked_of(fill.venue_order_id) + fill.size),
        fees_today_usd=moved.fees_today_usd + fill.fee,
        lots=tuple({**dict.fromkeys(moved.lots), (fill.product_id, fill.venue_order_id): None}),
    )
    if fill.side is Side.BUY:
        return Booked(
            ledger=_put(moved, _bought(moved, fill, order, fallback)), net_usd=None, closed=False, oversold=ZERO
        )
    return _sold(moved, fill, increment)


def _bought(ledger: Ledger, fill: FillRecord, order: OrderState, fallback: Targets) -> Position:
    old = ledger.position(fill.product_id)
    if old is None:
        return Position(
            product_id=fill.product_id,
            strategy=order.intent.strategy,
            quantity=fill.size,
            unbooked=ZERO,
            average_price=fill.value / fill.size,
            entry_fees=fill.fee,
            opened_ns=fill.trade_ns,
            targets=order.intent.targets or fallback,
            peak=fill.price,
            mark=None,
            realised_usd=ZERO,
            correlation=order.intent.correlation,
        )
    quantity = old.quantity + fill.size
    return replace(
        old,
        quantity=quantity,
        average_price=(old.quantity * old.average_price + fill.value) / quantity,
        entry_fees=old.entry_fees + fill.fee,
    )


def _sold(ledger: Ledger, fill: FillRecord, increment: Decimal) -> Booked:
    old = ledger.position(fill.product_id)
    if old is None:  # sold something that we did not buy: the totals have it, there is no PnL to tell
        return Booked(ledger=ledger, net_usd=None, closed=False, oversold=fill.size)
    size = min(fill.size, old.quantity)
    entry_fees = old.entry_fees * size / old.quantity
    net = (fill.price - old.average_price) * size - fill.fee - entry_fees
    left = replace(
        old,
        quantity=old.quantity - size,
        entry_fees=old.entry_fees - entry_fees,
        realised_usd=old.realised_usd + net,
    )
    closed = left.quantity < increment / 2
    ledger = _gone(ledger, left.product_id) if closed else _put(ledger, left)
    ledger = replace(ledger, realised_today_usd=ledger.realised_today_usd + net)
    return Booked(ledger=ledger, net_usd=net, closed=closed, oversold=fill.size - size)


def _moved(ledger: Ledger, fill: FillRecord) -> tuple[LedgerTotal, ...]:
    base, _, quote = fill.product_id.partition("-")
    sign = 1 if fill.side is Side.BUY else -1
    totals = {t.currency: t.total for t in ledger.totals}
    totals[base] = totals.get(base, ZERO) + sign * fill.size
    totals[quote] = totals.get(quote, ZERO) - sign * fill.value - fill.fee
    return as_totals(totals)


def as_totals(totals: dict[str, Decimal]) -> tuple[LedgerTotal, ...]:
    """Totals in the order of their currencies."""
    return tuple(LedgerTotal(currency=name, total=totals[name]) for name in sorted(totals))


def settle(ledger: Ledger, venue_order_id: str) -> Ledger:
    """Forget how much of a settled order is booked: nobody asks any more."""
    return replace(ledger, booked=tuple(row for row in ledger.booked if row[0] != venue_order_id))


def _with(rows: tuple[tuple[str, Decimal], ...], name: str, value: Decimal) -> tuple[tuple[str, Decimal], ...]:
    return (*(row for row in rows if row[0] != name), (name, value))


def _put(ledger: Ledger, position: Position) -> Ledger:
    others = _drop(ledger, position.product_id).positions
    return replace(ledger, positions=tuple(sorted((*others, position), key=lambda p: p.product_id)))


def _gone(ledger: Ledger, product_id: ProductId) -> Ledger:
    lots = tuple(lot for lot in ledger.lots if lot[0] != product_id)
    return replace(_drop(ledger, product_id), lots=lots)


def _drop(ledger: Ledger, product_id: ProductId) -> Ledger:
    return replace(ledger, positions=tuple(p for p in ledger.positions if p.product_id != product_id))
