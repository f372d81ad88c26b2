"""The contract of a strategy (STR1): a pure function from an immutable context to a list of proposals, nothing else.

A strategy is a class with `generate_proposals(context) -> list[TradeProposal]`. It may have `passed_over(context) ->
list[Passed]` besides, which says why the other candidates were left alone. Its file imports `protocol`, this module and
standard-library values; it has no clock, no chance and no way to the venue, and what it is shown it cannot change.
`library/example.py` is one to begin with.
"""

from decimal import Decimal
from typing import Protocol, runtime_checkable

from protocol.base import Value
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.orders import Side
from protocol.strategy import Asset, Overlay, Passed, Regime, TradeProposal, Trigger

_HOUR_S = 3600
_DIGITS = Decimal("0.0001")


class MarketWindow(Value, frozen=True, kw_only=True):
    """The closed candles of one product, oldest first: hours, true 15-minute bars, 5-minute bars."""

    product_id: ProductId
    hours: tuple[Bar, ...]
    quarters: tuple[Bar, ...]
    fives: tuple[Bar, ...]


class Bounds(Value, frozen=True, kw_only=True):
    """What a proposal must keep to in this cycle; percentages of NAV and of price.

    `tier_base_pct` are usual sizes in tiers 1, 2, 3 before the regime's `size_mult`, `tier_cap_pct` the most.
    `least_pct` None: the account's value is not known. `clamp_pct`: less is raised to it; None: nothing is.
    """

    tier_base_pct: tuple[Decimal, Decimal, Decimal]
    tier_cap_pct: tuple[Decimal, Decimal, Decimal]
    max_stop_loss_pct: Decimal
    min_conviction: float
    size_mult: Decimal
    least_pct: Decimal | None = None
    clamp_pct: Decimal | None = None


class StrategyContext(Value, frozen=True, kw_only=True):
    """What a strategy may look at in one cycle. `held` are products with a position; `now_ns` is UTC.

    `overlay`: thresholds laid over the configured ones for this cycle; `bounds` has them in it.
    """

    cycle: int
    now_ns: int
    regime: Regime
    assets: tuple[Asset, ...]
    triggers: tuple[Trigger, ...]
    windows: tuple[MarketWindow, ...]
    held: tuple[ProductId, ...]
    bounds: Bounds
    overlay: Overlay | None = None

    def asset(self, product_id: ProductId) -> Asset | None:
        """An eligible product, or None."""
        return next((a for a in self.assets if a.product_id == product_id), None)

    def window(self, product_id: ProductId) -> MarketWindow | None:
        """A product's candles; None where too few are known."""
        return next((w for w in self.windows if w.product_id == product_id), None)


@runtime_checkable
class Strategy(Protocol):
    """What the host runs."""

    def generate_proposals(self, context: StrategyContext) -> list[TradeProposal]:
        """Propose trades for this cycle, or none. Pure: the same context gives the same answer."""


@runtime_checkable
class Explains(Protocol):
    """What a strategy may offer besides."""

    def passed_over(self, context: StrategyContext) -> list[Passed]:
        """Why the other candidates were left alone: the rule that ended each, value against the nearest passing one."""


class Thought(Value, frozen=True, kw_only=True):
    """A purchase that a strategy has in mind; stop, target in per cent of price.

    `size` is of the tier's usual size: 1 is all of it. `signal` is where it comes from; None: from the strategy itself.
    """

    product_id: ProductId
    conviction: float
    stop_loss_pct: Decimal
    take_profit_pct: Decimal
    max_hold_h: int
    reason: str
    size: Decimal = Decimal(1)
    signal: Trigger | None = None
    tags: tuple[str, ...] = ()
    metadata: tuple[tuple[str, float], ...] = ()


def purchase(context: StrategyContext, thought: Thought) -> TradeProposal | None:
    """The proposal for a purchase: sized by tier and regime, the stop within the policy's bound.

    Returns:
        None where the product is not eligible, or the regime allows no size.
    """
    asset = context.asset(thought.product_id)
    bounds = context.bounds
    if asset is None or bounds.size_mult <= 0 or thought.size <= 0:
        return None
    size = bounds.tier_base_pct[asset.tier - 1] * thought.size * bounds.size_mult
    return TradeProposal(
        correlation="",
        product_id=thought.product_id,
        side=Side.BUY,
        notional_pct=min(size, bounds.tier_cap_pct[asset.tier - 1]).quantize(_DIGITS),
        stop_loss_pct=min(thought.stop_loss_pct, bounds.max_stop_loss_pct),
        take_profit_pct=thought.take_profit_pct,
        max_hold_s=thought.max_hold_h * _HOUR_S,
        conviction=min(max(thought.conviction, 0.0), 1.0),
        strategy="",
        tier=asset.tier,
        theme=asset.theme,
        regime=context.regime,
        trigger=thought.signal or _own_signal(asset, thought),
        reason=thought.reason,
        tags=thought.tags,
        created_ns=context.now_ns,
        metadata=thought.metadata,
    )


def _own_signal(asset: Asset, thought: Thought) -> Trigger:
    return Trigger(
        product_id=asset.product_id,
        kind="own",
        strength=thought.conviction,
        confidence=thought.conviction,
        change_pct=0.0,
        price=float((asset.bid + asset.ask) / 2),
        volatility_pct=0.0,
        metrics=(),
    )


class Budget(Value, frozen=True, kw_only=True):
    """What a strategy may ask for in one cycle (STR3): proposals, per cent of NAV at risk, and time to think."""

    name: str
    max_trades_per_cycle: int
    max_at_risk_pct: Decimal
    time_s: float = 1.0
