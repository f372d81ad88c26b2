"""One product's order book: absolute sizes per level, top of book, depth near mid. Pure; mutable, one owner.

Levels are ordered by the binary float of their price. That order is exact: texts of up to 15 significant digits map to
distinct floats in the same order (IEEE 754, DBL_DIG), and longer ones are refused. What leaves as a price or size is
`Decimal` of the venue's own text. Depth is a market statistic and is summed in floats.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from math import inf

from protocol.coinbase.websocket import L2Update

HELD = 0.05
"""Levels further than this share of the best price of their side, as of the snapshot, are not held."""
EDGE = 0.01
"""Nearer than this to the end of what is held, the top needs a new snapshot."""
NEAR = 0.002
"""Depth is what rests within 20 bps of mid."""
MAX_DIGITS = 15


class BadLevelError(ValueError):
    """A price or size that no book has: not a number, infinite, negative, or a price of zero (faults A13)."""


class Half:
    """One side. Keys are prices, negated on the offer side, so that the best level always has the largest key."""

    __slots__ = ("bound", "far", "keys", "levels", "near", "sign", "touched")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[float, L2Update] = {}
        self.keys: list[float] = []
        self.far = -inf
        self.bound = inf
        self.near = 0.0
        self.touched = False

    def load(self, row: L2Update) -> None:
        """Take one row of a snapshot; `settle` follows the last."""
        key, size = self.sign * _price(row.price_level), _size(row.new_quantity)
        if size and key >= self.far:
            self.levels[key] = row
            far = key - abs(key) * HELD
            self.far = max(self.far, far)

    def settle(self) -> None:
        """Order what was loaded; drop what lies too far from the best, which need not have come first."""
        keys = sorted(self.levels)
        drop = bisect_left(keys, self.far)
        for key in keys[:drop]:
            del self.levels[key]
        self.keys = keys[drop:]
        self.bound, self.touched = inf, True

    def change(self, row: L2Update) -> None:
        """Set one level to its new absolute size; removing one that is not held is no error."""
        key, size = self.sign * _price(row.price_level), _size(row.new_quantity)
        if key < self.far:
            return
        old = self.levels.get(key)
        if size:
            self.levels[key] = row
            if old is None:
                insort(self.keys, key)
        elif old is not None:
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]
        if key >= self.bound:
            self.near += abs(key) * (size - float(old.new_quantity) if old is not None else size)
            self.touched = True

    @property
    def best(self) -> L2Update | None:
        """The level nearest to the other side."""
        return self.levels[self.keys[-1]] if self.keys else None

    def price(self) -> float:
        """The best price; only where there is one."""
        return abs(self.keys[-1])

    def depth(self, bound: float) -> float:
        """Quote currency resting at keys from `bound` on; what lies between this and the last bound is added or cut."""
        if self.bound == inf:
            self.near = self._between(bound, inf)
        elif bound < self.bound:
            self.near += self._between(bound, self.bound)
        elif bound > self.bound:
            self.near -= self._between(self.bound, bound)
        self.bound = bound
        return max(0.0, self.near)

    def _between(self, low: float, high: float) -> float:
        keys = self.keys
        span = keys[bisect_left(keys, low) : bisect_left(keys, high)]
        levels = self.levels
        return sum(abs(key) * float(levels[key].new_quantity) for key in span)


class Book:
    """Both sides. Only after a whole batch is it to be looked at."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Half(1)
        self.asks = Half(-1)

    def load(self, rows: Sequence[L2Update]) -> None:
        """Take a slice of a snapshot. Raises BadLevelError."""
        for row in rows:
            self._half(row.side).load(row)

    def settle(self) -> None:
        """The snapshot is complete."""
        self.bids.settle()
        self.asks.settle()

    def apply(self, rows: Sequence[L2Update]) -> None:
        """Apply a batch of changes. Raises BadLevelError: the book is then void."""
        for row in rows:
            self._half(row.side).change(row)

    def _half(self, side: str) -> Half:
        if side == "bid":
            return self.bids
        if side == "offer":
            return self.asks
        raise BadLevelError(f"side {side[:40]!r}")

    @property
    def two_sided(self) -> bool:
        """There is a bid and an ask."""
        return bool(self.bids.keys and self.asks.keys)

    @property
    def crossed(self) -> bool:
        """The best bid is at or above the best ask: locked or crossed."""
        return self.two_sided and self.bids.keys[-1] >= -self.asks.keys[-1]

    @property
    def near_edge(self) -> bool:
        """The market has moved so far that levels not held are about to matter."""
        return any(half.keys[-1] - half.price() * EDGE < half.far for half in (self.bids, self.asks) if half.keys)

    def depth(self) -> tuple[Decimal, Decimal]:
        """Quote currency within 20 bps of mid, bids and asks, rounded down to cents; only if two-sided."""
        mid = (self.bids.keys[-1] - self.asks.keys[-1]) / 2
        self.bids.touched = self.asks.touched = False
        return _cents(self.bids.depth(mid * (1 - NEAR))), _cents(self.asks.depth(-mid * (1 + NEAR)))

    @property
    def touched(self) -> bool:
        """Something within the depth window changed since `depth` was last asked."""
        return self.bids.touched or self.asks.touched

    def resum(self) -> None:
        """Sum the depth anew next time, so that rounding errors of many small changes never add up."""
        self.bids.bound = self.asks.bound = inf
        self.bids.touched = self.asks.touched = True


def _cents(amount: float) -> Decimal:
    return Decimal(int(amount * 100)).scaleb(-2)


def _price(text: str) -> float:
    value = float(text)
    if not 0.0 < value < inf or (len(text) > MAX_DIGITS and _digits(text) > MAX_DIGITS):
        raise BadLevelError(f"price {text[:40]!r}")
    return value


def _size(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < inf:
        raise BadLevelError(f"size {text[:40]!r}")
    return value


def _digits(text: str) -> int:
    return len(text.replace(".", "").strip("0"))
