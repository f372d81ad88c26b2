"""When triggers fire, resolved: thresholds, guards, the trend a reversal needs, and what follows a drought of them."""

from protocol.base import Value
from protocol.strategy import Regime


class ThresholdRow(Value, frozen=True, kw_only=True):
    """Trigger thresholds of one regime: absolute moves in per cent, volume against its mean, ATR against its median."""

    regime: Regime
    move_15m_pct: float
    move_60m_pct: float
    volume_ratio: float
    atr_min_mult: float


class RegimeSlope(Value, frozen=True, kw_only=True):
    """The least slope in one regime, where it has one of its own."""

    regime: Regime
    min_slope_pct_h: float


class TrendFilter(Value, frozen=True, kw_only=True):
    """What a reversal's trend must show: the slope, per cent an hour over `slope_h`, of the EMA of `ema_h` closes."""

    ema_h: int
    slope_h: int
    min_slope_pct_h: float
    regime_slopes: tuple[RegimeSlope, ...] = ()

    def own_pct_h(self, regime: Regime) -> float | None:
        """The least slope of a regime that has one of its own."""
        return next((row.min_slope_pct_h for row in self.regime_slopes if row.regime is regime), None)


class FallbackScan(Value, frozen=True, kw_only=True):
    """After more than `min_streak` scans without a trigger price moves shrink by `relax_share`; `max_new` are kept."""

    enabled: bool
    min_streak: int
    relax_share: float
    max_new: int
    allow_downside: bool


class ModularSignals(Value, frozen=True, kw_only=True):
    """The signals of 15-minute candles alone; thresholds in per cent, the first of them in bull and bear."""

    enabled: bool
    momentum_trending_pct: float
    momentum_pct: float
    deviation_pct: float


class AutoTunePolicy(Value, frozen=True, kw_only=True):
    """Loosening after cycles without a trigger (pipeline.md §9). Deltas are negative; `allowed`: in this mode."""

    allowed: bool
    zero_trigger_cycles: int
    move_15m_delta_pct: float
    move_60m_delta_pct: float
    min_conviction_delta: float
    move_15m_floor_pct: float
    move_60m_floor_pct: float
    min_conviction_floor: float


class TriggerPolicy(Value, frozen=True, kw_only=True):
    """When triggers fire (pipeline.md §5). Scores and confidences are 0 to 1. A crash has no thresholds.

    `higher_low`, `rsi_cross`: whether these signs of a reversal count. Mean reversion looks down to `z_worst_tier`.
    """

    thresholds: tuple[ThresholdRow, ...]
    breakout_lookback_h: int
    max_triggers_per_cycle: int
    min_score: float
    min_confidence: float
    only_upside: bool
    outlier_enabled: bool
    outlier_max_deviation_pct: float
    outlier_min_volume_ratio: float
    outlier_lookback_bars: int
    atr_filter_enabled: bool
    atr_lookback_bars: int
    synthetic_minutes_max_pct: float
    trend: TrendFilter
    bounce_min_pct: float
    z_max: float
    z_lookback_h: int
    z_worst_tier: int
    higher_low: bool
    rsi_cross: bool
    fallback: FallbackScan
    modular: ModularSignals

    def threshold(self, regime: Regime) -> ThresholdRow | None:
        """The thresholds of a regime; None where no trigger may fire."""
        return next((row for row in self.thresholds if row.regime is regime), None)
