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
    open position, by product. `periods` are those of `mode`; those of other modes wait in `aside`, by mode: what one
    mode gained is no peak of another.
    """

    positions: tuple[Position, ...] = ()
    totals: tuple[LedgerTotal, ...] = ()
    booked: tuple[tuple[str, Decimal], ...] = ()
    cursor_ns: int = 0
    opened_ns: int = 0
    periods: PnlPeriods | None = None
    mode: str = ""
    aside: tuple[tuple[str, PnlPeriods], ...] = ()
    lots: tuple[tuple[str, str], ...] = ()
    realised_today_usd: Decimal = ZERO
    fees_today_usd: Decimal = ZERO

    def in_mode(self, mode: str) -> "Ledger":
        """The books with the periods of `mode`; None where it never ran. Books without a mode take this one."""
        if self.mode in {"", mode}:
            return replace(self, mode=mode)
        kept = dict(self.aside) | ({} if self.periods is None else {self.mode: self.periods})
        return replace(self, mode=mode, periods=kept.pop(mode, None), aside=tuple(sorted(kept.items())))

    def position(self, product_id: ProductId) -> Position | None:
        """The position in a product, if there is one."""
        return next((p for p in self.positions if p.product_id == product_id), None)

    def total(self, currency: str) -> Decimal:
        """What the account should hold of a currency."""
        return next((t.total for t in self.totals if t.currency == currency), ZERO)

    def booked_of(self, venue_order_id: str) -> Decimal:
        """Base units of an unsettled order that are booked."""
        return next((size for name, size in self.booked if name == venue_order_id), ZERO)


class Least(Value, frozen=True, kw_only=True):
    """What is left below half of the product's base `increment`, or is worth less than `dust_usd`, is no position."""

    increment: Decimal
    dust_usd: Decimal

    def dust(self, size: Decimal, price: Decimal) -> bool:
        """Whether so much is not worth being called a position."""
        return size < self.increment / 2 or size * price < self.dust_usd


class Booked(Value, frozen=True, kw_only=True):
    """A fill's outcome. `net_usd`: realised PnL of a sell after both sides' fees; None for a purchase."""

    ledger: Ledger
    net_usd: Decimal | None
    closed: bool
    oversold: Decimal


def book(ledger: Ledger, fill: FillRecord, order: OrderState | None, least: Least, fallback: Targets) -> Booked:
    """Apply one fill for life.

    Args:
        ledger: the books before it.
        fill: the venue's final word.
        order: ours that it belongs to; None: somebody else's, which moves the totals and nothing else.
        least: what is left below it is no position any more, once the order has nothing more to tell.
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
        bought = _bought(_kept(moved, fill, order, least), fill, order, fallback)
        return Booked(ledger=_put(moved, bought), net_usd=None, closed=False, oversold=ZERO)
    return _sold(moved, fill, order, least)


def _kept(ledger: Ledger, fill: FillRecord, order: OrderState, least: Least) -> Position | None:
    """The position that a purchase adds to: a rest that another purchase left behind as dust is none."""
    old = ledger.position(fill.product_id)
    if old is None or old.correlation == order.intent.correlation or not least.dust(old.quantity, fill.price):
        return old
    return None


def _bought(old: Position | None, fill: FillRecord, order: OrderState, fallback: Targets) -> Position:
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


def _sold(ledger: Ledger, fill: FillRecord, order: OrderState, least: Least) -> Booked:
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
    most = order.filled_size if order.terminal else order.spec.base_size
    final = most is None or ledger.booked_of(fill.venue_order_id) >= most
    closed = left.quantity < least.increment / 2 or (final and least.dust(left.quantity, fill.price))
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


def without_dust(ledger: Ledger, product_id: ProductId, least: Least) -> Ledger:
    """Drop a position that a sale has left as dust; it stays in the totals, like all that is not ours to sell."""
    left = ledger.position(product_id)
    dust = left is not None and least.dust(left.quantity, left.mark or left.average_price)
    return _gone(ledger, product_id) if dust else ledger


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
