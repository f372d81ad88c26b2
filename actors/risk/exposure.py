"""What is at risk: positions booked, orders that might rest at their worst case, external holdings (risk.md §1, E2).

Nothing is summed twice: an order counts what it may still add beyond what the ledger has already booked of it.
"""

from decimal import Decimal

from actors.risk.limits import Limits
from protocol.base import Value
from protocol.ids import ProductId
from protocol.money import PCT, ZERO
from protocol.orders import OrderState, Side
from protocol.portfolio import FillApplied, PortfolioView
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


class Exposure(Value, frozen=True, kw_only=True):
    """All of it. `nav_usd` None: unknown, and then nothing may be added."""

    nav_usd: Decimal | None
    stakes: tuple[Stake, ...]
    external_usd: Decimal
    cash_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """At risk in total, counted external holdings included."""
        return sum((s.total_usd for s in self.stakes), self.external_usd)

    @property
    def at_risk_pct(self) -> Decimal | None:
        """At risk as a share of NAV; None while NAV is unknown or not positive."""
        return self.total_usd / self.nav_usd * PCT if self.nav_usd else None

    def of_product(self, product_id: ProductId) -> Decimal:
        """USD at risk in a product."""
        return sum((s.total_usd for s in self.stakes if s.product_id == product_id), ZERO)

    def of_asset(self, asset: str) -> Decimal:
        """USD at risk in an asset, over all its quote pairs and wrapped forms."""
        return sum((s.total_usd for s in self.stakes if asset_of(s.product_id) == asset), ZERO)

    def of_theme(self, theme: str) -> Decimal:
        """USD at risk in a theme."""
        return sum((s.total_usd for s in self.stakes if s.theme == theme), ZERO)

    def of_strategy(self, strategy: str) -> Decimal:
        """USD at risk by a strategy."""
        return sum((s.total_usd for s in self.stakes if s.strategy == strategy), ZERO)


def worst_case_usd(order: OrderState) -> Decimal:
    """What a purchase may still add to the books: everything unbooked at its limit, or its quote size."""
    if order.spec.side is Side.SELL or order.settled:
        return ZERO
    price = order.spec.limit_price or order.intent.ask
    if order.terminal:
        return (order.filled_size - order.booked_size) * price
    if order.spec.base_size is None:
        return order.spec.quote_size or ZERO
    return (order.spec.base_size - order.booked_size) * price


def measure(
    view: PortfolioView | None, orders: tuple[OrderState, ...], unseen: tuple[FillApplied, ...], limits: Limits
) -> Exposure:
    """Put portfolio and orders together; `unseen` are fills that the view does not have yet."""
    if view is None:
        return Exposure(nav_usd=None, stakes=(), external_usd=ZERO, cash_usd=ZERO)
    stakes = [
        Stake(
            product_id=p.product_id,
            strategy=p.strategy,
            theme=limits.theme(p.product_id),
            held_usd=p.quantity * (p.mark if p.mark is not None else p.average_price),
            pending_usd=ZERO,
        )
        for p in view.positions
    ]
    stakes += [
        Stake(
            product_id=o.spec.product_id,
            strategy=o.intent.strategy,
            theme=limits.theme(o.spec.product_id),
            held_usd=ZERO,
            pending_usd=worst_case_usd(o),
        )
        for o in orders
        if worst_case_usd(o) > ZERO
    ]
    stakes += [
        Stake(
            product_id=f.product_id,
            strategy=f.strategy,
            theme=limits.theme(f.product_id),
            held_usd=f.value,
            pending_usd=ZERO,
        )
        for f in unseen
        if f.buy
    ]
    return Exposure(
        nav_usd=view.nav_usd,
        stakes=tuple(stakes),
        external_usd=_external(view, limits),
        cash_usd=view.cash_usd,
    )


def _external(view: PortfolioView, limits: Limits) -> Decimal:
    if not limits.count_external or view.nav_usd is None:
        return ZERO
    total = sum((h.value_usd for h in view.external if h.value_usd is not None), ZERO)
    return max(total - limits.external_buffer_pct / PCT * view.nav_usd, ZERO)


def with_stake(exposure: Exposure, stake: Stake) -> Exposure:
    """The running snapshot after a grant: the next proposal cannot use the same room again."""
    return Exposure(
        nav_usd=exposure.nav_usd,
        stakes=(*exposure.stakes, stake),
        external_usd=exposure.external_usd,
        cash_usd=exposure.cash_usd,
    )
