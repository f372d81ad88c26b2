"""An intent on its way through its plan."""

from decimal import Decimal

from msgspec import field

from protocol.base import Value
from protocol.ids import ClientOrderId, IntentId
from protocol.money import ZERO
from protocol.orders import Intent, OrderState, Status

Figures = dict[ClientOrderId, tuple[Decimal, Decimal]]


class Run(Value, frozen=True, kw_only=True):
    """An intent under way; `extra_ticks` after post-only refusals.

    `ended` are the figures of its finished orders, each cumulative, so that a late fill replaces them. `most_base`:
    what an intent taken up after a restart may still trade; the fills of its earlier orders are not known any more.
    """

    intent_id: IntentId
    intent: Intent
    step: int
    attempt: int
    order: OrderState | None
    ended: Figures = field(default_factory=dict)
    most_base: Decimal | None = None
    extra_ticks: int = 0

    @property
    def unheard(self) -> bool:
        """Whether nothing was heard of its order yet, not even that it is on disk."""
        return self.order is not None and self.order.status is Status.INITIALIZED

    @property
    def filled_size(self) -> Decimal:
        """Base units that finished orders filled."""
        return sum((size for size, _ in self.ended.values()), ZERO)

    @property
    def filled_value(self) -> Decimal:
        """Quote currency that finished orders filled."""
        return sum((value for _, value in self.ended.values()), ZERO)

    @property
    def left_base(self) -> Decimal | None:
        """The bound on the next order's size; None: the intent alone bounds it."""
        return None if self.most_base is None else max(self.most_base - self.filled_size, ZERO)

    def with_figures(self, order: OrderState) -> Figures:
        """The figures of finished orders with those of `order`, new or anew."""
        return {**self.ended, order.client_order_id: (order.filled_size, order.filled_value)}
