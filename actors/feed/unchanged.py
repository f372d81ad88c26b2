"""A book that has not changed for long is held against REST once: quiet, or cut off from its changes (ST1). Pure."""

from decimal import Decimal

from protocol.instants import SECOND_NS
from protocol.venue import BookListed

AGAIN_NS = 5 * SECOND_NS
"""A question that could not be asked is asked again so much later."""

Top = tuple[Decimal, Decimal]


class Unchanged:
    """How long the book has stood still, and whether REST was asked about this book state. Looked at once a second."""

    __slots__ = ("_asked", "_due_ns", "_limit_ns", "_sequence")

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._sequence = -1
        self._due_ns = 0
        self._asked = False

    def due(self, sequence: int, now_ns: int) -> bool:
        """Whether to ask now. A book that changes, or one that was asked about, is let alone."""
        if sequence != self._sequence:
            self._sequence, self._due_ns, self._asked = sequence, now_ns + self._limit_ns, False
        if self._asked or now_ns < self._due_ns:
            return False
        self._asked = True
        return True

    def failed(self, now_ns: int) -> None:
        """Nobody answered."""
        self._asked, self._due_ns = False, now_ns + AGAIN_NS

    def contradicted(self, sequence: int, bid: Top, ask: Top, told: BookListed) -> bool:
        """Whether REST has another top than the book that it was asked about. A book that moved since is alive."""
        return self._asked and sequence == self._sequence and (told.bid, told.ask) != (bid, ask)
