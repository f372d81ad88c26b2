"""How large an entry of the rules strategy is (pipeline.md §6)."""

from decimal import ROUND_HALF_EVEN, Decimal

from actors.strategy.base import MarketWindow
from actors.strategy.indicators.series import move_pct
from actors.strategy.library.entries import Shape
from protocol.base import Value
from protocol.policy_strategy import WildMarket
from protocol.strategy import Asset, Trigger

LEAST_PCT = Decimal("0.5")
USUAL_VOLATILITY_PCT = Decimal(50)
LEAST_VOLATILITY_PCT = Decimal(10)
_QUARTER_MIN = 15


class SizeRules(Value, frozen=True, kw_only=True):
    """Base sizes of tiers 1, 2, 3 and the risk of one trade, per cent of NAV; the widest stop, per cent of price."""

    tier_size_pct: tuple[Decimal, Decimal, Decimal]
    risk_per_trade_pct: Decimal
    max_stop_pct: Decimal
    wild: WildMarket


def size_pct(trigger: Trigger, asset: Asset, row: Shape, rules: SizeRules, multiplier: Decimal) -> Decimal:
    """Per cent of NAV: risk parity within the tier's base size, times confidence and the regime's `multiplier`."""
    stop = min(row.stop_pct, rules.max_stop_pct)
    parity = rules.risk_per_trade_pct / stop * 100
    if trigger.volatility_pct > 0:  # zero: not known
        parity *= USUAL_VOLATILITY_PCT / max(_number(trigger.volatility_pct), LEAST_VOLATILITY_PCT)
    base = rules.tier_size_pct[asset.tier - 1] * row.factor
    size = max(min(parity, base), LEAST_PCT) * _number(trigger.confidence) * row.extra
    return size * multiplier


def is_wild(window: MarketWindow | None, rule: WildMarket) -> bool:
    """Whether the product moved that much, either way, over the newest candles of 15 minutes."""
    bars = rule.lookback_min // _QUARTER_MIN
    if window is None or len(window.quarters) <= bars:
        return False
    before, now = window.quarters[-1 - bars].close, window.quarters[-1].close
    return before > 0 and abs(move_pct(before, now)) >= rule.move_pct


def _number(value: float) -> Decimal:
    """A statistic on its way into a size: four decimals, so that the size is the same on every machine."""
    return Decimal(value).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)
