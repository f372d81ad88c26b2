"""The contract of a strategy (STR1): a pure function from an immutable context to proposals, nothing else.

A strategy imports `protocol`, `actors.strategy` and standard-library values; it has no clock, no randomness and no
way to the venue. What it is shown it cannot change, and a list of proposals is all it can answer.
"""

from decimal import Decimal
from typing import Protocol

from protocol.base import Value
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Asset, Overlay, Passed, Regime, TradeProposal, Trigger


class MarketWindow(Value, frozen=True, kw_only=True):
    """The closed candles of one product, oldest first: hours, true 15-minute bars, 5-minute bars."""

    product_id: ProductId
    hours: tuple[Bar, ...]
    quarters: tuple[Bar, ...]
    fives: tuple[Bar, ...]


class StrategyContext(Value, frozen=True, kw_only=True):
    """What a strategy may look at in one cycle. `held` are products with a position; `now_ns` is UTC.

    `overlay`: thresholds laid over the configured ones for this cycle.
    """

    cycle: int
    now_ns: int
    regime: Regime
    assets: tuple[Asset, ...]
    triggers: tuple[Trigger, ...]
    windows: tuple[MarketWindow, ...]
    held: tuple[ProductId, ...]
    overlay: Overlay | None = None

    def asset(self, product_id: ProductId) -> Asset | None:
        """An eligible product, or None."""
        return next((a for a in self.assets if a.product_id == product_id), None)


class Ideas(Value, frozen=True, kw_only=True):
    """A strategy's answer: proposals, and why the other candidates were passed over."""

    proposals: tuple[TradeProposal, ...] = ()
    passed: tuple[Passed, ...] = ()


class Strategy(Protocol):
    """What the registry loads."""

    name: str

    def generate_proposals(self, context: StrategyContext) -> Ideas:
        """Propose trades for this cycle. Pure: the same context gives the same answer."""


class Budget(Value, frozen=True, kw_only=True):
    """What a strategy may ask for in one cycle (STR3)."""

    name: str
    max_trades_per_cycle: int
    max_at_risk_pct: Decimal
