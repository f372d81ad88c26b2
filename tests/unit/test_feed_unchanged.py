"""A book that stands still is held against REST once (requirements ST1)."""

from decimal import Decimal

import pytest

from actors.feed.unchanged import AGAIN_NS, Unchanged
from protocol.ids import ProductId
from protocol.venue import BookListed

S = 1_000_000_000
BID, ASK = (Decimal(99), Decimal(1)), (Decimal(101), Decimal(2))


def told(bid=BID, ask=ASK):
    return BookListed(request_id="book/BTC-USD", product_id=ProductId("BTC-USD"), bid=bid, ask=ask)


def asked(moves, limit_s=60, until_s=200):
    """The seconds at which REST is asked; the book changes at `moves`."""
    watch, sequence, found = Unchanged(limit_s * S), 0, []
    for second in range(until_s):
        sequence += second in moves
        if watch.due(sequence, second * S):
            found.append(second)
    return found


@pytest.mark.req("ST1")
def test_once_per_book_state_after_its_limit():
    assert asked(()) == [60]
    assert asked((30,)) == [90]
    assert asked((100,)) == [60, 160]
    assert asked(range(0, 200, 59)) == []
    assert asked((), limit_s=20) == [20]


@pytest.mark.req("ST1")
@pytest.mark.parametrize(
    ("answer", "sequence", "contradicted"),
    [
        (told(), 1, False),
        (told(bid=(Decimal("98.99"), Decimal(1))), 1, True),
        (told(ask=(Decimal(101), Decimal("2.5"))), 1, True),
        (told(bid=None), 1, True),
        (told(bid=None), 2, False),
    ],
    ids=["the same", "another price", "another size", "an empty side", "a book that moved meanwhile"],
)
def test_another_top_contradicts_a_book_that_still_stands(answer, sequence, contradicted):
    watch = Unchanged(S)
    watch.due(1, 0)
    assert watch.due(1, S)
    assert watch.contradicted(sequence, BID, ASK, answer) is contradicted


def test_an_answer_that_nobody_asked_for_says_nothing():
    watch = Unchanged(S)
    watch.due(1, 0)
    assert not watch.contradicted(1, BID, ASK, told(bid=None))


def test_a_question_that_failed_is_asked_again():
    watch = Unchanged(S)
    watch.due(1, 0)
    assert watch.due(1, S)
    watch.failed(S)
    assert not watch.due(1, S + AGAIN_NS - 1)
    assert watch.due(1, S + AGAIN_NS)
