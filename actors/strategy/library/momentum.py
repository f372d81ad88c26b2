"""Time-series momentum: what rose over a day and still rises is bought near its high.

Source: Moskowitz, Ooi, Pedersen, "Time series momentum" (2012), on hours instead of months.
"""

from dataclasses import dataclass
from decimal import Decimal

from actors.strategy.base import Thought
from actors.strategy.library.one_by_one import Miss, OneByOne
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

DAY, QUARTER = 24, 6
FALLING = (Regime.BEAR, Regime.CRASH)


@dataclass(frozen=True)
class Momentum(OneByOne):
    """Buys a rise of `rise_pct` in 24 hours, still rising over 6, at most `off_high_pct` under the day's high."""

    stage = "momentum"
    rise_pct: Decimal = Decimal(4)
    off_high_pct: Decimal = Decimal(1)

    def miss(self, hours: tuple[Bar, ...], regime: Regime) -> Miss | None:
        """See the class."""
        if regime in FALLING:
            return Miss(code="regime_falling")
        if len(hours) <= DAY:
            return Miss(code="insufficient_candles", value=float(len(hours)), limit=float(DAY + 1))
        if _rise_pct(hours, DAY) < self.rise_pct:
            return Miss(code="day_rise", value=_rise_pct(hours, DAY), limit=float(self.rise_pct))
        if _rise_pct(hours, QUARTER) <= 0:
            return Miss(code="still_rising", value=_rise_pct(hours, QUARTER), limit=0.0)
        if _off_high_pct(hours) > self.off_high_pct:
            return Miss(code="off_high", value=_off_high_pct(hours), limit=float(self.off_high_pct))
        return None

    def thought(self, product: ProductId, hours: tuple[Bar, ...]) -> Thought:
        """The purchase."""
        rise = _rise_pct(hours, DAY)
        return Thought(
            product_id=product,
            conviction=min(0.35 + rise / 40, 0.8),
            stop_loss_pct=Decimal(8),
            take_profit_pct=Decimal(15),
            max_hold_h=72,
            reason=f"rose {rise:.1f} % in a day and still rises",
            metadata=(("day_rise_pct", rise), ("off_high_pct", _off_high_pct(hours))),
        )


def _rise_pct(hours: tuple[Bar, ...], back: int) -> float:
    return (hours[-1].close / hours[-1 - back].close - 1) * 100


def _off_high_pct(hours: tuple[Bar, ...]) -> float:
    high = max(bar.high for bar in hours[-DAY:])
    return (1 - hours[-1].close / high) * 100
