"""What makes a reversal believable (pipeline.md §5.3). What cannot be told yet does not count as true. Pure."""

from actors.strategy.indicators.lens import Lens
from actors.strategy.indicators.minutes import LOW_BARS
from actors.strategy.indicators.series import move_pct

ABOVE_VWAP = "reversal_close_above_vwap_5m"
HIGHER_LOW = "reversal_higher_low"
RSI_CROSS = "reversal_rsi_cross_50"
BOUNCE = "reversal_bounce_confirmed"
HALF_DAY_BARS = 12
RSI_MIDDLE = 50.0


def qualifiers(lens: Lens, bounce_pct: float, *, higher_low: bool = True, rsi_cross: bool = True) -> tuple[str, ...]:
    """The names of those that hold; two of them count only where that is wanted."""
    found = (
        (ABOVE_VWAP, above_vwap(lens)),
        (HIGHER_LOW, higher_low and lens.hours.figures.higher_low is True),
        (RSI_CROSS, rsi_cross and rsi_crossed(lens)),
        (BOUNCE, (bounced_pct(lens) or 0.0) >= bounce_pct),
    )
    return tuple(name for name, holds in found if holds)


def above_vwap(lens: Lens) -> bool:
    """The newest 5-minute close above the VWAP of the newest twelve."""
    fives = lens.fives.figures
    return fives.vwap is not None and fives.close > fives.vwap


def rsi_crossed(lens: Lens) -> bool:
    """RSI stood at 50 or below and stands above it now: of 5-minute closes where there are enough, else hourly."""
    rsi = lens.fives.figures.rsi
    if rsi.before is None:
        rsi = lens.hours.figures.rsi
    return rsi.before is not None and rsi.value is not None and rsi.before <= RSI_MIDDLE < rsi.value


def bounced_pct(lens: Lens) -> float | None:
    """How far above the low of the newest 36 five-minute candles, else 12 hours; None: neither is known."""
    fives, hours = lens.fives.figures, lens.hours.figures
    if fives.count >= LOW_BARS:
        return move_pct(fives.low, fives.close)
    if hours.count >= HALF_DAY_BARS:
        return move_pct(hours.half_day_low, hours.close)
    return None
