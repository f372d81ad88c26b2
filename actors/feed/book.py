"""One product's order book: absolute sizes per level, top of book, depth near mid. Pure; mutable, one owner.

Levels are ordered by the binary float of their price. That order is exact: texts of up to 15 significant digits map to
distinct floats in the same order (IEEE 754, DBL_DIG), and longer ones are refused. What leaves as a price or size is
`Decimal` of the venue's own text. Depth is a market statistic, summed in floats, and only when it is asked for.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from math import inf
from operator import attrgetter, mul

from protocol.coinbase.websocket import L2Update

HELD = 0.05
"""Levels further than this share of the best price of their side, as of the snapshot, are not held."""
EDGE = 0.01
"""Nearer than this to the end of what is held, the top needs a new snapshot."""
NEAR = 0.002
"""Depth is what rests within 20 bps of mid."""
MAX_DIGITS = 15
KNOWN_PRICES = 10_000
_SIDES = frozenset({"bid", "offer"})
_SIZE = attrgetter("new_quantity")
_CERTAIN = frozenset("123456789")
"""A size that begins so is not zero."""


class BadLevelError(ValueError):
    """A price or size that no book has: not a number, infinite, negative, or a price of zero (faults A13)."""


class Half:
    """One side. Keys are prices, negated on the offer side, so that the best level always has the largest key."""

    __slots__ = ("far", "keys", "known", "levels", "near", "top", "touched")

    def __init__(self) -> None:
        self.levels: dict[float, L2Update] = {}
        self.keys: list[float] = []
        self.known: dict[str, float] = {}  # reading a number costs most of an update, and prices come again
        self.far = self.top = -inf
        self.near = -inf  # from here on a change counts as near, as of the last look
        self.touched = False

    def settle(self) -> None:
        """Order what was loaded; drop what lies too far from the best, which need not have come first."""
        keys = sorted(self.levels)
        drop = bisect_left(keys, self.far)
        for key in keys[:drop]:
            del self.levels[key]
        self.keys = keys[drop:]
        self.touched = True

    def know(self, row: L2Update) -> float:
        """Read the key of a price, and keep it for the next time."""
        if len(self.known) >= KNOWN_PRICES:
            self.known.clear()
        key = self.known[row.price_level] = _key(row)
        return key

    @property
    def best(self) -> L2Update | None:
        """The level nearest to the other side."""
        return self.levels[self.keys[-1]] if self.keys else None

    @property
    def at_edge(self) -> bool:
        """The best level is nearer than `EDGE` to the end of what is held."""
        best = self.keys[-1] if self.keys else -inf
        return self.far > -inf and (best == -inf or best - abs(best) * EDGE < self.far)

    def depth(self, near: float) -> float:
        """Quote currency resting at keys from `near` on. Raises ValueError: a size is no number."""
        self.near, self.touched = near, False
        keys = self.keys[bisect_left(self.keys, near) :]
        sizes = map(float, map(_SIZE, map(self.levels.__getitem__, keys)))
        return abs(float(sum(map(mul, keys, sizes))))


class Book:
    """Both sides. Only after a whole batch is it to be looked at."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Half()
        self.asks = Half()

    def load(self, rows: Sequence[L2Update]) -> None:
        """Take a slice of a snapshot; `settle` follows the last. Raises ValueError: the snapshot is void."""
        for row in rows:
            key = _key(row)
            half = self.bids if key > 0.0 else self.asks
            if key >= half.far and not _is_zero(row.new_quantity):
                half.levels[key] = row
                if key > half.top:
                    half.top, half.far = key, key - abs(key) * HELD

    def settle(self) -> None:
        """The snapshot is complete."""
        self.bids.settle()
        self.asks.settle()

    def apply(self, rows: Sequence[L2Update]) -> None:
        """Set levels to their new absolute sizes; removing one that is not held is no error.

        Raises ValueError: the book is then void.
        """
        bids, asks = self.bids, self.asks
        for row in rows:
            side = row.side
            half = bids if side == "bid" else asks
            key = half.known.get(row.price_level) if side in _SIDES else None
            if key is None:
                key = half.know(row)
            if key < half.far:
                continue
            size = row.new_quantity
            if size[:1] in _CERTAIN or not _is_zero(size):
                levels = half.levels
                if key not in levels:
                    insort(half.keys, key)
                levels[key] = row
            elif half.levels.pop(key, None) is not None:
                del half.keys[bisect_left(half.keys, key)]
            if key >= half.near:
                half.touched = True

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
        """The market has moved so far that levels not held are about to matter, or all that was held is gone."""
        return any(half.at_edge for half in (self.bids, self.asks))

    def depth(self) -> tuple[Decimal, Decimal]:
        """Quote currency within 20 bps of mid, bids and asks, rounded down to whole units; only if two-sided.

        Raises ValueError: a size is no number.
        """
        mid = (self.bids.keys[-1] - self.asks.keys[-1]) / 2
        return _whole(self.bids.depth(mid * (1 - NEAR))), _whole(self.asks.depth(-mid * (1 + NEAR)))

    @property
    def touched(self) -> bool:
        """Something within the depth window changed since `depth` was last asked."""
        return self.bids.touched or self.asks.touched

    def touch(self) -> None:
        """Have the next look be told, changed or not."""
        self.bids.touched = True


def _key(row: L2Update) -> float:
    """A row's price, negated for an offer. Raises ValueError: none that a book has (faults A13)."""
    text = row.price_level
    price = float(text)
    if not 0.0 < price < inf or (len(text) > MAX_DIGITS and _digits(text) > MAX_DIGITS):
        raise BadLevelError(f"price {text[:40]!r}")
    if row.side not in _SIDES:
        raise BadLevelError(f"side {row.side[:40]!r}")
    return price if row.side == "bid" else -price


def _is_zero(text: str) -> bool:
    """Whether a size removes its level. Raises ValueError: it begins as no size does; the rest is read when needed."""
    if text == "0":
        return True
    if not "0" <= text[:1] <= "9":
        raise BadLevelError(f"size {text[:40]!r}")
    return text[0] == "0" and not text.strip("0.")


def _whole(amount: float) -> Decimal:
    if amount == inf:
        raise BadLevelError("a size without end")
    return Decimal(int(amount))


def _digits(text: str) -> int:
    return len(text.replace(".", "").strip("0"))
