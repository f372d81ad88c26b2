"""What is kept of 15-minute and 5-minute candles (pipeline.md §5.2, §5.3, §5.5). Pure; mutable."""

from collections import deque
from operator import le

from actors.strategy.indicators.rolling import RollingExtreme, RollingSum, Rsi
from actors.strategy.indicators.series import move_pct, quiet_minutes
from protocol.market import Bar

DAY = 96
HALF_DAY = 48
HOUR = 4
MOVE_BARS = 60
VWAP_BARS = 12
LOW_BARS = 36
RSI_BARS = 59
"""One less than is kept, so that the value of the candle before is told from the same candles."""
RSI_LENGTH = 14


class QuarterFigures:
    """Of true 15-minute closes."""

    __slots__ = ("_quarter", "_quiet", "_volumes", "closes", "count")

    def __init__(self) -> None:
        self.count = 0
        self.closes: deque[float] = deque(maxlen=DAY)
        self._quiet = RollingSum(MOVE_BARS)
        self._quarter = RollingSum(DAY)
        self._volumes = {size: RollingSum(size) for size in (HOUR, 2 * HOUR, HALF_DAY // 2, HALF_DAY, DAY)}

    def push(self, bar: Bar) -> None:
        """Take the next candle."""
        self.count += 1
        self.closes.append(bar.close)
        self._quarter.push(bar.close)
        self._quiet.push(quiet_minutes(bar, 15))
        for volume in self._volumes.values():
            volume.push(bar.volume)

    def move(self, first: int, last: int) -> float:
        """The signed move in per cent from one close to another, counted from the newest: -1 is the newest."""
        return move_pct(self.closes[first], self.closes[last])

    @property
    def fastest_pct(self) -> float:
        """The largest of the newest four moves from one close to the next, with its sign; the newer of two alike."""
        return max((self.move(-i - 2, -i - 1) for i in range(HOUR)), key=abs)

    @property
    def hour_pct(self) -> float:
        """The signed move over the newest four quarters."""
        return self.move(-HOUR - 1, -1)

    @property
    def mean_close(self) -> float:
        """Of the newest 96."""
        return self._quarter.mean

    @property
    def quiet_pct(self) -> float:
        """Per cent of the newest 60 candles' minutes that had no trade."""
        return self._quiet.mean / 15 * 100

    def volume(self, size: int) -> float:
        """The volume of the newest 4, 8, 24, 48 or 96 candles, base units."""
        return self._volumes[size].sum


class FiveFigures:
    """Of 5-minute candles."""

    __slots__ = ("_low", "_paid", "_traded", "close", "count", "rsi")

    def __init__(self) -> None:
        self.count = 0
        self.close = 0.0
        self.rsi = Rsi(RSI_LENGTH, RSI_BARS)
        self._paid, self._traded = RollingSum(VWAP_BARS), RollingSum(VWAP_BARS)
        self._low = RollingExtreme(LOW_BARS, le)

    def push(self, bar: Bar) -> None:
        """Take the next candle."""
        self.count += 1
        self.close = bar.close
        self.rsi.push(bar.close)
        self._paid.push((bar.high + bar.low + bar.close) / 3 * bar.volume)
        self._traded.push(bar.volume)
        self._low.push(bar.low)

    @property
    def vwap(self) -> float | None:
        """Volume-weighted typical price of the newest 12; None before 12, or where nothing traded."""
        traded = self._traded.sum
        return self._paid.sum / traded if self.count >= VWAP_BARS and traded > 0 else None

    @property
    def low(self) -> float:
        """The lowest low of the newest 36; there must be one."""
        return self._low.value
