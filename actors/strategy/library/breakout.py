"""Breakout: a close above the highest high of the days before it, on more volume than usual.

Source: R. Donchian's channel as the Turtles traded it (55 bars in, the newest one left out).
"""

from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean

from actors.strategy.base import Thought
from actors.strategy.library.one_by_one import Miss, OneByOne
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

DAY = 24


@dataclass(frozen=True)
class Breakout(OneByOne):
    """Buys a close above the high of `channel_h` hours, with `volume_mult` times the mean volume of a day."""

    stage = "breakout"
    channel_h: Decimal = Decimal(55)
    volume_mult: Decimal = Decimal("1.5")

    def miss(self, hours: tuple[Bar, ...], regime: Regime) -> Miss | None:
        """See the class."""
        if regime is Regime.CRASH:
            return Miss(code="regime_crash")
        needed = max(int(self.channel_h), DAY) + 1
        if len(hours) < needed:
            return Miss(code="insufficient_candles", value=float(len(hours)), limit=float(needed))
        if hours[-1].close <= self._high(hours):
            return Miss(code="channel_high", value=hours[-1].close, limit=self._high(hours))
        if _volume_ratio(hours) < self.volume_mult:
            return Miss(code="volume_ratio", value=_volume_ratio(hours), limit=float(self.volume_mult))
        return None

    def _high(self, hours: tuple[Bar, ...]) -> float:
        return max(bar.high for bar in hours[-1 - int(self.channel_h) : -1])

    def thought(self, product: ProductId, hours: tuple[Bar, ...]) -> Thought:
        """The purchase."""
        ratio, high = _volume_ratio(hours), self._high(hours)
        return Thought(
            product_id=product,
            conviction=min(0.4 + ratio / 20, 0.8),
            stop_loss_pct=Decimal(6),
            take_profit_pct=Decimal(20),
            max_hold_h=120,
            reason=f"closed above {high:g} on {ratio:.1f} times the usual volume",
            metadata=(("channel_high", high), ("volume_ratio", ratio)),
        )


def _volume_ratio(hours: tuple[Bar, ...]) -> float:
    """The newest hour's volume against the mean of the 24 before it; nothing usual is nothing to compare with."""
    usual = fmean(bar.volume for bar in hours[-1 - DAY : -1])
    return hours[-1].volume / usual if usual > 0 else 0.0
