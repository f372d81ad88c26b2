"""How unpleasant the venue is: the delays that a real one has, drawn from the seeded generator."""

from typing import Protocol

import msgspec

from actors.venue.instants import MILLISECOND_NS


class Rng(Protocol):
    """The seeded generator handed in by the caller; `random.Random` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""


class Unpleasantness(msgspec.Struct, frozen=True, kw_only=True):
    """Ranges of delay in milliseconds, both ends included, and habits of a real venue. Unpleasant by default.

    * `pending_ms`: an accepted order stays PENDING this long before it reaches the book.
    * `cancel_ms`: an accepted cancel stays CANCEL_QUEUED this long; the order can still fill.
    * `list_ms`: a new order is missing from order lists this long (never from the query by order id).
    * `fill_ms`: a fill is missing from the fills list this long after its user-channel event.
    * `repeat_filled`: a FILLED order is published twice, first with the hold it had before its last fill.
    * `refuse_duplicates`: a replayed client_order_id is refused as DUPLICATE_CLIENT_ORDER_ID instead of being
      answered with the original order.
    """

    pending_ms: tuple[int, int] = (0, 30)
    cancel_ms: tuple[int, int] = (20, 200)
    list_ms: tuple[int, int] = (0, 400)
    fill_ms: tuple[int, int] = (0, 2000)
    repeat_filled: bool = True
    refuse_duplicates: bool = False


def calm() -> Unpleasantness:
    """No delay at all: everything is done and visible when the call returns."""
    return Unpleasantness(pending_ms=(0, 0), cancel_ms=(0, 0), list_ms=(0, 0), fill_ms=(0, 0), repeat_filled=False)


def draw_ns(rng: Rng, range_ms: tuple[int, int]) -> int:
    """A delay in nanoseconds from `range_ms`, both ends included; a range of one value draws nothing."""
    low, high = range_ms
    if high <= low:
        return low * MILLISECOND_NS
    return (low + int(rng.random() * (high - low + 1))) * MILLISECOND_NS


def draw_id(rng: Rng) -> str:
    """A random identity in the form of a version 4 UUID."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) % 4]}{text[17:20]}-{text[20:]}"
