"""The rules strategy: triggers to sized, targeted purchases (pipeline.md §6).

Long only: a fall can only lead to a bounce trade.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from actors.strategy.base import Ideas, StrategyContext
from protocol.base import Value
from protocol.orders import Side
from protocol.strategy import Asset, Passed, Regime, TradeProposal, Trigger

_HOUR_S = 3600


class Weights(Value, frozen=True, kw_only=True):
    """Conviction = base + strength x its weight + confidence x its weight + boosts, within 0 and 1."""

    base: float
    strength: float
    confidence: float
    tier_1_boost: float


class RulesSettings(Value, frozen=True, kw_only=True):
    """What the strategy is given. Sizes and stops in per cent; multipliers by regime (one table, U3)."""

    tier_size_pct: tuple[Decimal, Decimal, Decimal]
    risk_per_trade_pct: Decimal
    max_stop_pct: Decimal
    min_conviction: float
    dip_pct: float
    weights: Weights
    multipliers: dict[str, Decimal]


class Shape(Value, frozen=True, kw_only=True):
    """How one kind of entry is traded: stop, target (per cent), hold (hours), size factors."""

    stop_pct: Decimal
    target_pct: Decimal
    hold_h: int
    factor: Decimal
    extra: Decimal = Decimal(1)
    tag: str = ""


def shape(trigger: Trigger, dip_pct: float) -> Shape | None:
    """The table's row for a trigger, or None where its move is too small for an entry."""
    change = trigger.change_pct
    match trigger.kind:
        case "price_move" if change > 1.5:
            return _shape("6", "12", 48, "1.0")
        case "price_move" if change < -2.5:
            return _shape("10", "20", 24, "0.7", tag="bounce")
        case "breakout":
            return _shape("6", "20", 120, "1.2")
        case "momentum" if change > 0:
            return _shape("8", "15", 72, "1.0")
        case "momentum" if change <= -dip_pct:
            dip = _number(trigger.confidence) * Decimal("0.9")
            return _shape("10", "18", 48, "0.85", extra=dip, tag="momentum_dip")
    return None


def _shape(stop: str, target: str, hold_h: int, factor: str, *, extra: Decimal = Decimal(1), tag: str = "") -> Shape:
    return Shape(
        stop_pct=Decimal(stop),
        target_pct=Decimal(target),
        hold_h=hold_h,
        factor=Decimal(factor),
        extra=extra,
        tag=tag,
    )


class RulesEngine:
    """The shipped strategy."""

    name = "rules_engine"

    def __init__(self, settings: RulesSettings) -> None:
        self._settings = settings

    def generate_proposals(self, context: StrategyContext) -> Ideas:
        """One proposal per qualified trigger whose asset is eligible and whose conviction suffices."""
        proposals: list[TradeProposal] = []
        passed: list[Passed] = []
        for trigger in context.triggers:
            outcome = self._judge(trigger, context)
            if isinstance(outcome, TradeProposal):
                proposals.append(outcome)
            else:
                passed.append(outcome)
        return Ideas(proposals=tuple(proposals), passed=tuple(passed))

    def _judge(self, trigger: Trigger, context: StrategyContext) -> TradeProposal | Passed:
        asset = context.asset(trigger.product_id)
        if asset is None:
            return _passed(trigger, "not_eligible")
        row = shape(trigger, self._settings.dip_pct)
        if row is None:
            return _passed(trigger, "entry_condition", trigger.change_pct)
        conviction = self.conviction(trigger, asset)
        least = self._settings.min_conviction if context.overlay is None else context.overlay.min_conviction
        if conviction < least:
            return _passed(trigger, "min_conviction", conviction, least)
        return self._proposal(trigger, asset, row, conviction, context)

    def conviction(self, trigger: Trigger, asset: Asset) -> float:
        """How sure the strategy is, 0 to 1."""
        w = self._settings.weights
        boost = w.tier_1_boost if asset.tier == 1 else 0.0
        total = w.base + w.strength * trigger.strength + w.confidence * trigger.confidence + boost
        return min(max(total, 0.0), 1.0)

    def size_pct(self, trigger: Trigger, asset: Asset, row: Shape, regime: Regime) -> Decimal:
        """Per cent of NAV: risk parity within the tier's base size, times confidence and the regime."""
        s = self._settings
        stop = min(row.stop_pct, s.max_stop_pct)
        parity = s.risk_per_trade_pct / stop * 100
        parity *= Decimal(50) / max(_number(trigger.volatility_pct), Decimal(10))
        base = s.tier_size_pct[asset.tier - 1] * row.factor
        size = max(min(parity, base), Decimal("0.5")) * _number(trigger.confidence) * row.extra
        return size * s.multipliers[regime.value]

    def _proposal(
        self, trigger: Trigger, asset: Asset, row: Shape, conviction: float, context: StrategyContext
    ) -> TradeProposal | Passed:
        size = self.size_pct(trigger, asset, row, context.regime)
        if size <= 0:
            return _passed(trigger, "regime_size_zero", 0.0)
        return TradeProposal(
            correlation=f"c{context.cycle}-{self.name}-{trigger.product_id.lower()}-{context.now_ns // 1_000_000}",
            product_id=trigger.product_id,
            side=Side.BUY,
            notional_pct=size,
            stop_loss_pct=min(row.stop_pct, self._settings.max_stop_pct),
            take_profit_pct=row.target_pct,
            max_hold_s=row.hold_h * _HOUR_S,
            conviction=conviction,
            strategy=self.name,
            tier=asset.tier,
            theme=asset.theme,
            regime=context.regime,
            trigger=trigger,
            reason=f"{trigger.kind} {trigger.change_pct:+.2f} %",
            tags=(row.tag,) if row.tag else (),
            created_ns=context.now_ns,
        )


def _number(value: float) -> Decimal:
    """A statistic on its way into a size: four decimals, so that the size is the same on every machine."""
    return Decimal(value).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def _passed(trigger: Trigger, code: str, value: float | None = None, limit: float | None = None) -> Passed:
    return Passed(product_id=trigger.product_id, stage="rules_engine", code=code, value=value, limit=limit)
