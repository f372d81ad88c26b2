"""Public trades of one book and the day's statistics made of them."""

from collections import deque
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from actors.venue.events import Traded
from actors.venue.exact import ZERO
from actors.venue.instants import DAY_NS, SECOND_NS

_MINUTE_NS = 60 * SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_KEPT_TRADES = 1000
_SHARE = Decimal("1e-8")


class Day(NamedTuple):
    """The last 24 hours. `volume` in base."""

    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


class Tape:
    """Trades with ids that rise by one, the last price, and one bucket of statistics per minute for 24 hours."""

    def __init__(self, book_id: str) -> None:
        self._book_id = book_id
        self._trades: deque[Traded] = deque(maxlen=_KEPT_TRADES)
        self._next_id = 1
        self._buckets: deque[tuple[int, Day]] = deque()
        self._settled: tuple[int, Day | None] = (-1, None)
        self.last: Decimal | None = None

    def record(self, now_ns: int, price: Decimal, size: Decimal, maker_side: str) -> Traded:
        """Print a trade."""
        trade = Traded(
            product_id=self._book_id,
            trade_id=self._next_id,
            at_ns=now_ns,
            price=price,
            size=size,
            maker_side=maker_side,
        )
        self._next_id += 1
        self._trades.append(trade)
        self.last = price
        self._count(now_ns // _MINUTE_NS * _MINUTE_NS, Day(price, price, price, size))
        return trade

    def recent(self, limit: int) -> list[Traded]:
        """The newest trades, newest first."""
        return list(islice(reversed(self._trades), limit))

    def seed_day(self, now_ns: int, day: Day) -> None:
        """Pretend 24 hours of trading before `now_ns`, a bucket an hour; they fall out of the window one by one."""
        first_ns = now_ns // _MINUTE_NS * _MINUTE_NS - DAY_NS + _HOUR_NS
        share = day._replace(volume=(day.volume / 24).quantize(_SHARE))
        past = [(first_ns + hour * _HOUR_NS, share) for hour in range(24)]
        self._buckets = deque(sorted([*past, *self._buckets], key=lambda bucket: bucket[0]))
        self._settled = (-1, None)

    def day(self, now_ns: int) -> Day | None:
        """Statistics of the last 24 hours; None without a trade in them."""
        self._forget(now_ns)
        if not self._buckets:
            return None
        minute, newest = self._buckets[-1]
        if self._settled[0] != minute:  # all buckets but the newest stand still: fold them once a minute
            self._settled = (minute, _fold([day for _, day in islice(self._buckets, len(self._buckets) - 1)]))
        settled = self._settled[1]
        return newest if settled is None else _fold([settled, newest])

    def _count(self, minute_ns: int, day: Day) -> None:
        if self._buckets and self._buckets[-1][0] >= minute_ns:
            at_ns, before = self._buckets.pop()
            merged = Day(before.open, max(before.high, day.high), min(before.low, day.low), before.volume + day.volume)
            self._buckets.append((at_ns, merged))
        else:
            self._buckets.append((minute_ns, day))

    def _forget(self, now_ns: int) -> None:
        while self._buckets and self._buckets[0][0] <= now_ns - DAY_NS:
            self._buckets.popleft()
            self._settled = (-1, None)


def _fold(days: list[Day]) -> Day | None:
    if not days:
        return None
    volume = sum((day.volume for day in days), ZERO)
    return Day(days[0].open, max(day.high for day in days), min(day.low for day in days), volume)
