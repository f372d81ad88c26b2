"""Mean reversion: in a market that goes nowhere, a close far below its mean of two days is bought.

Stop and target move with the average true range (J. W. Wilder, "New Concepts in Technical Trading Systems", 1978).
"""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev

from actors.strategy.base import Thought
from actors.strategy.library.one_by_one import Miss, OneByOne
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

BARS, ATR_BARS = 48, 14


@dataclass(frozen=True)
class MeanReversion(OneByOne):
    """Buys a close at least `deviations` below its mean in chop; stop and target in ATRs."""

    stage = "mean_reversion"
    deviations: Decimal = Decimal(2)
    stop_atr: Decimal = Decimal("1.2")
    target_atr: Decimal = Decimal("1.8")

    def miss(self, hours: tuple[Bar, ...], regime: Regime) -> Miss | None:
        """See the class."""
        if regime is not Regime.CHOP:
            return Miss(code="regime_not_chop")
        if len(hours) < BARS:
            return Miss(code="insufficient_candles", value=float(len(hours)), limit=float(BARS))
        if _z_score(hours) > -self.deviations:
            return Miss(code="z_score", value=_z_score(hours), limit=float(-self.deviations))
        if _atr_pct(hours) <= 0:
            return Miss(code="atr", value=_atr_pct(hours), limit=0.0)
        return None

    def thought(self, product: ProductId, hours: tuple[Bar, ...]) -> Thought:
        """The purchase."""
        z, atr = _z_score(hours), Decimal(_atr_pct(hours)).quantize(Decimal("0.0001"))
        return Thought(
            product_id=product,
            conviction=min(0.25 + abs(z) / 10, 0.7),
            stop_loss_pct=atr * self.stop_atr,
            take_profit_pct=atr * self.target_atr,
            max_hold_h=48,
            size=Decimal("0.8"),
            reason=f"{z:.1f} deviations from its mean of two days",
            metadata=(("z_score", z), ("atr_pct", float(atr))),
        )


def _z_score(hours: tuple[Bar, ...]) -> float:
    closes = [bar.close for bar in hours[-BARS:]]
    deviation = pstdev(closes)
    return (closes[-1] - fmean(closes)) / deviation if deviation > 0 else 0.0


def _atr_pct(hours: tuple[Bar, ...]) -> float:
    """Mean true range of the newest 14 hours, per cent of the last close."""
    bars = hours[-1 - ATR_BARS :]
    ranges = [max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close)) for a, b in pairwise(bars)]
    return fmean(ranges) / hours[-1].close * 100
