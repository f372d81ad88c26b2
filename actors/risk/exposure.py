"""What is at risk: positions booked, orders that might rest at their worst case, external holdings (risk.md §1, E2).

Nothing is summed twice: an order counts what it may still add beyond what the ledger has already booked of it.
"""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.limits import Limits
from protocol.base import Value
from protocol.ids import ProductId
from protocol.money import PCT, ZERO
from protocol.orders import OrderState, Side
from protocol.portfolio import FillApplied, PortfolioView, Position
from protocol.symbols import asset_of


class Stake(Value, frozen=True, kw_only=True):
    """What one product carries, USD: held by us, and pending in purchases."""

    product_id: ProductId
    strategy: str
    theme: str
    held_usd: Decimal
    pending_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """Held and pending together."""
        return self.held_usd + self.pending_usd


class Foreign(Value, frozen=True, kw_only=True):
    """A holding or purchase that is not ours, as far as it counts (risk.md §10): in the whole, its theme, its asset."""

    asset: str
    theme: str
    usd: Decimal


class Exposure(Value, frozen=True, kw_only=True):
    """All of it. `nav_usd` None: unknown, and then nothing may be added."""

    nav_usd: Decimal | None
    stakes: tuple[Stake, ...]
    foreign: tuple[Foreign, ...]

    @property
    def total_usd(self) -> Decimal:
        """At risk in total, counted external holdings included."""
        return sum((s.total_usd for s in self.stakes), sum((f.usd for f in self.foreign), ZERO))

    @property
    def at_risk_pct(self) -> Decimal | None:
        """At risk as a share of NAV; None while NAV is unknown or not positive."""
        return self.total_usd / self.nav_usd * PCT if self.nav_usd else None

    def held(self, product_id: ProductId) -> Decimal:
        """USD that a product holds, fills that are not booked yet included."""
        return sum((s.held_usd for s in self.stakes if s.product_id == product_id), ZERO)

    def pending(self, product_id: ProductId) -> Decimal:
        """USD that working purchases of a product may still spend."""
        return sum((s.pending_usd for s in self.stakes if s.product_id == product_id), ZERO)

    def of_product(self, product_id: ProductId) -> Decimal:
        """USD at risk in a product."""
        return self.held(product_id) + self.pending(product_id)

    def of_asset(self, asset: str) -> Decimal:
        """USD at risk in an asset, over all its quote pairs and wrapped forms."""
        ours = (s.total_usd for s in self.stakes if asset_of(s.product_id) == asset)
        return sum((f.usd for f in self.foreign if f.asset == asset), sum(ours, ZERO))

    def of_theme(self, theme: str) -> Decimal:
        """USD at risk in a theme."""
        ours = (s.total_usd for s in self.stakes if s.theme == theme)
        return sum((f.usd for f in self.foreign if f.theme == theme), sum(ours, ZERO))

    def of_strategy(self, strategy: str) -> Decimal:
        """USD at risk by a strategy."""
        return sum((s.total_usd for s in self.stakes if s.strategy == strategy), ZERO)


def worst_case_usd(order: OrderState) -> Decimal:
    """What a purchase may still add to what is bought: the unfilled part at its limit, or its quote size (E2)."""
    if order.spec.side is Side.SELL or order.terminal:
        return ZERO
    if order.spec.base_size is None:
        return max((order.spec.quote_size or ZERO) - order.filled_value, ZERO)
    return max(order.spec.base_size - max(order.filled_size, order.booked_size), ZERO) * _price(order)


def unbooked_usd(order: OrderState) -> Decimal:
    """What a purchase has bought and the ledger does not know yet, at the most it may have cost."""
    if order.spec.side is Side.SELL or order.settled:
        return ZERO
    return max(order.filled_size - order.booked_size, ZERO) * _price(order)


def _price(order: OrderState) -> Decimal:
    """The most a unit may cost; a market order's by the ask of its decision."""
    return order.spec.limit_price or order.intent.ask


def measure(
    view: PortfolioView | None, orders: tuple[OrderState, ...], unseen: tuple[FillApplied, ...], limits: Limits
) -> Exposure:
    """Put portfolio and orders together; `unseen` are fills that the view does not have yet."""
    if view is None:
        return Exposure(nav_usd=None, stakes=(), foreign=())
    stakes = (
        *(_stake(p.product_id, p.strategy, limits, held=_value(p)) for p in view.positions),
        *(
            _stake(o.spec.product_id, o.intent.strategy, limits, held=unbooked_usd(o), pending=worst_case_usd(o))
            for o in orders
            if o.spec.side is Side.BUY and not o.settled
        ),
        *(_stake(f.product_id, f.strategy, limits, held=f.value) for f in unseen if f.buy),
    )
    working = view.foreign_orders if limits.count_external else ()
    unknown = any(order.usd is None for order in working)  # what nobody can measure leaves no room to anything
    return Exposure(
        nav_usd=None if unknown else view.nav_usd,
        stakes=stakes,
        foreign=(*_foreign(view, limits), *(_of_asset(o.product_id, o.usd or ZERO, limits) for o in working)),
    )


def _stake(
    product: ProductId, strategy: str, limits: Limits, *, held: Decimal = ZERO, pending: Decimal = ZERO
) -> Stake:
    return Stake(product_id=product, strategy=strategy, theme=limits.theme(product), held_usd=held, pending_usd=pending)


def _value(position: Position) -> Decimal:
    """A position at its mark; at its cost while it cannot be priced."""
    return position.quantity * (position.mark if position.mark is not None else position.average_price)


def _foreign(view: PortfolioView, limits: Limits) -> tuple[Foreign, ...]:
    """External holdings beyond the buffer, which is taken off each in proportion."""
    if not limits.count_external or view.nav_usd is None:
        return ()
    priced = [(h.currency, h.value_usd) for h in view.external if h.value_usd is not None]
    total = sum((usd for _, usd in priced), ZERO)
    counted = max(total - limits.external_buffer_pct / PCT * view.nav_usd, ZERO)
    if total <= ZERO or counted <= ZERO:
        return ()
    return tuple(_of_asset(name, usd * counted / total, limits) for name, usd in priced)


def _of_asset(name: str, usd: Decimal, limits: Limits) -> Foreign:
    return Foreign(asset=asset_of(name), theme=limits.theme_of_asset(asset_of(name)), usd=usd)


def with_pending(exposure: Exposure, stake: Stake) -> Exposure:
    """The running snapshot after a grant: the next proposal cannot use the same room again."""
    return replace(exposure, stakes=(*exposure.stakes, stake))


def promised(product: ProductId, strategy: str, usd: Decimal, limits: Limits) -> Stake:
    """A purchase that is granted and has no order yet."""
    return _stake(product, strategy, limits, pending=usd)
