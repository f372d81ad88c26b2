"""What is kept of hourly candles: guards, daily triggers, the trend (pipeline.md §5.1 to §5.3). Pure; mutable."""

from collections import deque
from operator import ge, le

from actors.strategy.indicators.rolling import RollingExtreme, RollingMedian, RollingSpread, RollingSum, Rsi, Smoothed
from actors.strategy.indicators.series import annualised, move_pct, quiet_minutes, true_range
from protocol.base import Value
from protocol.market import Bar

DAY = 24
HALF_DAY = 12
PIVOT_SIDE = 2
PIVOT_WITHIN = 48
VOLATILITY_LEAST = 24
VOLATILITY_DEFAULT_PCT = 50.0
VOLATILITY_CAP_PCT = 200.0


class Lookbacks(Value, frozen=True, kw_only=True):
    """Lengths in hourly candles. `week` bounds the ATR median, volatility, and the windows of EMA and RSI."""

    breakout: int = 24
    outlier: int = 20
    atr: int = 14
    z_score: int = 24
    ema: int = 21
    slope: int = 3
    rsi: int = 14
    week: int = 168


class HourFigures:
    """Figures as of the newest candle; those called `prior` leave it out."""

    __slots__ = (
        *("_atrs", "_before", "_closes", "_day_low", "_ema", "_emas", "_falls", "_half_low", "_highs", "_look"),
        *("_lows", "_moves", "_pivots", "_prior_closes", "_prior_volumes", "_quiet", "_ranges", "_returns", "_rises"),
        *("_around", "_volumes", "_rsi", "_zs", "atr_pct", "count", "newest", "prior_close", "prior_high"),
        *("prior_low", "prior_volume"),
    )

    def __init__(self, look: Lookbacks) -> None:
        self._look = look
        self.count = 0
        self.newest: Bar | None = None
        self.prior_high = self.prior_low = self.prior_close = self.prior_volume = self.atr_pct = 0.0
        self._highs, self._lows = RollingExtreme(look.breakout, ge), RollingExtreme(look.breakout, le)
        self._prior_closes, self._prior_volumes = RollingSum(look.outlier), RollingSum(look.outlier)
        self._ranges, self._atrs = RollingSum(look.atr), RollingMedian(look.week)
        self._returns, self._zs = RollingSpread(look.week), RollingSpread(look.z_score)
        self._volumes, self._quiet = RollingSum(DAY), RollingSum(DAY)
        self._closes: deque[float] = deque(maxlen=DAY)
        self._rises, self._falls = RollingSum(HALF_DAY), RollingSum(HALF_DAY)
        self._day_low, self._half_low = RollingExtreme(DAY, le), RollingExtreme(HALF_DAY, le)
        self._ema = Smoothed(2.0 / (look.ema + 1), look.ema, look.week)
        self._emas: deque[float | None] = deque(maxlen=look.slope + 1)
        self._rsi = Rsi(look.rsi, look.week)
        self._around: deque[float] = deque(maxlen=2 * PIVOT_SIDE + 1)
        self._pivots: deque[tuple[int, float]] = deque(maxlen=2)

    def push(self, bar: Bar) -> None:
        """Take the next candle: first what stood before it, then what it changes."""
        if self.newest is not None:
            self._stand(self.newest)
            self._range(bar, self.newest.close)
            self._step(move_pct(self.newest.close, bar.close))
        self.count += 1
        self.newest = bar
        self._closes.append(bar.close)
        self._volumes.push(bar.volume)
        self._quiet.push(quiet_minutes(bar, 60))
        self._zs.push(bar.close)
        self._day_low.push(bar.low)
        self._half_low.push(bar.low)
        self._ema.push(bar.close)
        self._emas.append(self._ema.value)
        self._rsi.push(bar.close)
        self._pivot(bar.low)

    def _stand(self, before: Bar) -> None:
        self._highs.push(before.high)
        self._lows.push(before.low)
        self._prior_closes.push(before.close)
        self._prior_volumes.push(before.volume)
        self.prior_high, self.prior_low = self._highs.value, self._lows.value
        self.prior_close, self.prior_volume = self._prior_closes.mean, self._prior_volumes.mean

    def _range(self, bar: Bar, close: float) -> None:
        self._ranges.push(true_range(bar, close))
        if self.count >= self._look.atr:
            self.atr_pct = self._ranges.mean / bar.close * 100
            self._atrs.push(self.atr_pct)

    def _step(self, move: float) -> None:
        self._returns.push(move)
        self._rises.push(float(move > 0))
        self._falls.push(float(move < 0))

    def _pivot(self, low: float) -> None:
        self._around.append(low)
        if len(self._around) == 2 * PIVOT_SIDE + 1:
            a, b, middle, c, d = self._around
            if middle <= min(a, b) and middle < min(c, d):
                self._pivots.append((self.count - 1 - PIVOT_SIDE, middle))

    @property
    def close(self) -> float:
        """Of the newest candle; there must be one."""
        return self._closes[-1]

    @property
    def last_move_pct(self) -> float:
        """Of the newest candle against the one before it; 0.0 of one candle."""
        return move_pct(self._closes[-2], self._closes[-1]) if len(self._closes) > 1 else 0.0

    @property
    def day_move_pct(self) -> float:
        """The newest close against the first of the newest 24."""
        return move_pct(self._closes[0], self._closes[-1])

    @property
    def day_low(self) -> float:
        """The lowest low of the newest 24."""
        return self._day_low.value

    @property
    def half_day_low(self) -> float:
        """The lowest low of the newest 12."""
        return self._half_low.value

    @property
    def volume_ratio(self) -> float:
        """The newest volume against the mean of the newest 24, itself included; 0.0 where nothing traded."""
        mean = self._volumes.mean
        return self.newest.volume / mean if self.newest is not None and mean > 0 else 0.0

    @property
    def atr_ratio(self) -> float:
        """ATR against the upper median of its own week, both in per cent of the close; 0.0 where nothing moved."""
        typical = self._atrs.value
        return self.atr_pct / typical if typical > 0 else 0.0

    @property
    def volatility_pct(self) -> float:
        """Annualised, from up to a week of returns, at most 200; 50 with fewer than 24 candles (pipeline.md §5.1)."""
        if self.count < VOLATILITY_LEAST:
            return VOLATILITY_DEFAULT_PCT
        return min(annualised(self._returns.stdev), VOLATILITY_CAP_PCT)

    @property
    def z_score(self) -> float:
        """The newest close in standard deviations from its mean; 0.0 in a market at rest."""
        spread = self._zs.stdev
        return (self.close - self._zs.mean) / spread if spread > 0 else 0.0

    @property
    def ema_now(self) -> float | None:
        """The moving average as of now; None while too few closes are known."""
        return self._emas[-1] if self._emas else None

    @property
    def ema_prior(self) -> float | None:
        """The moving average as it stood `slope` hours ago."""
        return self._emas[0] if len(self._emas) == self._look.slope + 1 else None

    @property
    def slope_pct_h(self) -> float | None:
        """What the moving average gains in an hour, per cent; None while too few closes are known."""
        now, prior = self.ema_now, self.ema_prior
        return None if now is None or prior is None else move_pct(prior, now) / self._look.slope

    @property
    def rsi(self) -> Rsi:
        """Of hourly closes."""
        return self._rsi

    @property
    def higher_low(self) -> bool | None:
        """Whether the last pivot low of two days lies above the one before; None without two."""
        within = [low for at, low in self._pivots if at >= self.count - PIVOT_WITHIN]
        return within[1] > within[0] if len(within) == 2 else None

    @property
    def quiet_pct(self) -> float:
        """Per cent of the newest 24 hours' minutes that had no trade."""
        return self._quiet.mean / 60 * 100

    def agreeing(self, *, rising: bool) -> float:
        """The share of the newest 12 moves in that direction; there must be 12."""
        return (self._rises if rising else self._falls).mean
