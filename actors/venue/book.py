"""One book: price levels, and at each level one queue of users' orders and market liquidity in time order."""

from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from operator import neg
from typing import NamedTuple

from sortedcontainers import SortedDict

from actors.venue.exact import ZERO, floor_to

BUY = "BUY"
SELL = "SELL"
OPPOSITE = {BUY: SELL, SELL: BUY}

Levels = tuple[tuple[Decimal, Decimal], ...]


class Head(NamedTuple):
    """The first in line on a side: its price, its key in the queue, its size; `order_id` None is market liquidity."""

    price: Decimal
    key: str
    size: Decimal
    order_id: str | None


class _Level:
    """The queue at one price. Keys starting with "#" are chunks of market liquidity, others order ids."""

    __slots__ = ("market", "queue", "total")

    def __init__(self) -> None:
        self.queue: OrderedDict[str, Decimal] = OrderedDict()
        self.total = ZERO
        self.market = ZERO


class Book:
    """Price-time priority. Sides are BUY (bids) and SELL (asks), seen from the resting order."""

    def __init__(self, base_increment: Decimal) -> None:
        self._increment = base_increment
        self._sides: dict[str, SortedDict] = {BUY: SortedDict(neg), SELL: SortedDict()}
        self._where: dict[str, tuple[str, Decimal]] = {}
        self._market_prices: dict[str, set[Decimal]] = {BUY: set(), SELL: set()}
        self._changed: set[tuple[str, Decimal]] = set()
        self._chunks = 0

    def best(self, side: str) -> Decimal | None:
        """The best price of `side`."""
        levels = self._sides[side]
        return levels.peekitem(0)[0] if levels else None

    def head(self, side: str) -> Head | None:
        """Who trades next on `side`."""
        levels = self._sides[side]
        if not levels:
            return None
        price, level = levels.peekitem(0)
        key = next(iter(level.queue))
        return Head(price, key, level.queue[key], None if key.startswith("#") else key)

    def take(self, side: str, head: Head, size: Decimal) -> None:
        """Remove `size` from the first in line; it keeps its place with what is left."""
        self._resize(side, head.price, head.key, head.size - size)

    def rest(self, side: str, price: Decimal, size: Decimal, order_id: str) -> None:
        """Queue an order behind everything shown at its price."""
        self._where[order_id] = (side, price)
        self._append(side, price, order_id, size)

    def resize(self, order_id: str, size: Decimal) -> None:
        """Lower a resting order's size in its place."""
        self._resize(*self._where[order_id], order_id, size)

    def remove(self, order_id: str) -> None:
        """Take an order out; an order that does not rest is no error."""
        if order_id in self._where:
            self._resize(*self._where[order_id], order_id, ZERO)

    def rests(self, order_id: str) -> bool:
        """Whether the order is in the book."""
        return order_id in self._where

    def market_prices(self, side: str) -> set[Decimal]:
        """The prices at which market liquidity is shown (a copy)."""
        return set(self._market_prices[side])

    def market_size(self, side: str, price: Decimal) -> Decimal:
        """Market liquidity shown at a price, users' orders not counted."""
        level = self._sides[side].get(price)
        return ZERO if level is None else level.market

    def grow_market(self, side: str, price: Decimal, by: Decimal) -> None:
        """Show `by` more market liquidity, behind everything at the price."""
        last = next(reversed(self._level(side, price).queue), "")
        if last.startswith("#"):
            self._resize(side, price, last, self._sides[side][price].queue[last] + by)
            return
        self._chunks += 1
        self._append(side, price, f"#{self._chunks}", by)

    def thin_market(self, side: str, price: Decimal, target: Decimal) -> None:
        """Cancel market liquidity down to `target`, pro rata over the queue, the rounding rest from its back."""
        level = self._sides[side][price]
        chunks = [key for key in level.queue if key.startswith("#")]
        before, left = level.market, target
        for key in chunks[:-1]:
            kept = floor_to(level.queue[key] * target / before, self._increment)
            left -= kept
            self._resize(side, price, key, kept)
        self._resize(side, price, chunks[-1], left)

    def levels(self, side: str, depth: int | None = None) -> Levels:
        """(price, shown size), best first."""
        items = self._sides[side].items()
        chosen = items if depth is None else items[:depth]
        return tuple((price, level.total) for price, level in chosen)

    def queued(self, side: str) -> Iterator[Head]:
        """Everything resting on `side` in the order in which it would trade."""
        for price, level in self._sides[side].items():
            for key, size in level.queue.items():
                yield Head(price, key, size, None if key.startswith("#") else key)

    def drain_changes(self) -> tuple[Levels, Levels]:
        """Bids (descending) and asks (ascending) changed since the last drain, with absolute sizes."""
        changed, self._changed = self._changed, set()
        return self._sizes(BUY, changed, reverse=True), self._sizes(SELL, changed, reverse=False)

    def _sizes(self, side: str, changed: set[tuple[str, Decimal]], *, reverse: bool) -> Levels:
        levels = self._sides[side]
        prices = sorted((price for changed_side, price in changed if changed_side == side), reverse=reverse)
        return tuple((price, levels[price].total if price in levels else ZERO) for price in prices)

    def _level(self, side: str, price: Decimal) -> _Level:
        levels = self._sides[side]
        level: _Level | None = levels.get(price)
        if level is None:
            level = levels[price] = _Level()
        return level

    def _append(self, side: str, price: Decimal, key: str, size: Decimal) -> None:
        level = self._level(side, price)
        level.queue[key] = ZERO
        self._resize(side, price, key, size)

    def _resize(self, side: str, price: Decimal, key: str, size: Decimal) -> None:
        level = self._sides[side][price]
        change = size - level.queue[key]
        level.queue[key] = size
        level.total += change
        self._changed.add((side, price))
        if key.startswith("#"):
            level.market += change
            self._market_prices[side].add(price)
        if size == 0:
            self._drop(side, price, level, key)

    def _drop(self, side: str, price: Decimal, level: _Level, key: str) -> None:
        del level.queue[key]
        self._where.pop(key, None)
        if level.market == 0:
            self._market_prices[side].discard(price)
        if not level.queue:
            del self._sides[side][price]


def crosses(side: str, limit: Decimal | None, price: Decimal) -> bool:
    """Whether an aggressor of `side` with `limit` (None: any price) trades at `price`."""
    if limit is None:
        return True
    return price <= limit if side == BUY else price >= limit
