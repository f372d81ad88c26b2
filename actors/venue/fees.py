"""Fee tiers by 30-day volume."""

from collections import deque
from decimal import Decimal

import msgspec

from actors.venue.exact import ZERO
from actors.venue.instants import DAY_NS

_WINDOW_NS = 30 * DAY_NS


class FeeTier(msgspec.Struct, frozen=True, kw_only=True):
    """Rates (fractions, not bps) from `usd_from` of 30-day volume upwards."""

    name: str
    usd_from: Decimal
    maker_rate: Decimal
    taker_rate: Decimal


def _tier(name: str, usd_from: str, taker: str, maker: str) -> FeeTier:
    return FeeTier(name=name, usd_from=Decimal(usd_from), taker_rate=Decimal(taker), maker_rate=Decimal(maker))


ENTRY_TIER = _tier("Intro 1", "0", "0.012", "0.006")
TIERS = (
    ENTRY_TIER,
    _tier("Intro 2", "1000", "0.0075", "0.0035"),
    _tier("Advanced 1", "10000", "0.004", "0.0025"),
    _tier("Advanced 2", "50000", "0.0025", "0.0015"),
    _tier("Advanced 3", "100000", "0.002", "0.001"),
    _tier("VIP 1", "1000000", "0.0018", "0.0008"),
)


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Which tiers apply, lowest first. One tier only means fixed rates; `TIERS` follows the 30-day volume."""

    tiers: tuple[FeeTier, ...] = (ENTRY_TIER,)

    def tier(self, volume_usd: Decimal) -> tuple[FeeTier, Decimal | None]:
        """The tier for `volume_usd` and where the next one begins (None: it is the last)."""
        reached = [tier for tier in self.tiers if volume_usd >= tier.usd_from] or [self.tiers[0]]
        above = [tier.usd_from for tier in self.tiers if volume_usd < tier.usd_from]
        return reached[-1], above[0] if above else None


class VolumeWindow:
    """One user's traded value and fees of the last 30 days, in USD (stable quotes count one to one)."""

    def __init__(self) -> None:
        self._trades: deque[tuple[int, Decimal, Decimal]] = deque()
        self._volume = ZERO
        self._fees = ZERO

    def add(self, at_ns: int, value: Decimal, fee: Decimal) -> None:
        """Count a fill of `value` that cost `fee`."""
        self._trades.append((at_ns, value, fee))
        self._volume += value
        self._fees += fee

    def trades(self) -> list[tuple[int, Decimal, Decimal]]:
        """What is counted: time, value and fee of each trade, oldest first."""
        return list(self._trades)

    def totals(self, now_ns: int) -> tuple[Decimal, Decimal]:
        """Volume and fees of the 30 days before `now_ns`."""
        while self._trades and self._trades[0][0] <= now_ns - _WINDOW_NS:
            _, value, fee = self._trades.popleft()
            self._volume -= value
            self._fees -= fee
        return self._volume, self._fees
