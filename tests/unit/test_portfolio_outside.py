"""Coins that no feed follows are priced by the venue's books over REST, or named: never by a made-up number."""

import pytest

from protocol.lifecycle import Wake
from protocol.venue import BookListed, GetBook, QueryFailed
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import D, alerts, quote, told

PACE_S = 30  # a third of the 90 s for which a price holds


def holding(*held, **changes):
    books = Books(**changes)
    books.reconcile(*(held or (("LTC", 5), ("USD", 10_000))))
    return books


def look(books):
    """What it asks and says at its next look."""
    return books.tell(Wake(timer="view", due_ns=books.now))


def asked(books):
    return [question.product_id for question in told(look(books), GetBook, "gateway")]


def book(product, bid="99", ask="101"):
    sides = [None if side is None else (D(side), D(1)) for side in (bid, ask)]
    return BookListed(request_id=f"price/{product}", product_id=product, bid=sides[0], ask=sides[1])


def none_of(product, kind="client"):
    return QueryFailed(request_id=f"price/{product}", kind=kind, detail="HTTP 404")


@pytest.mark.req("E1")
def test_a_coin_without_a_feed_is_priced_by_its_book():
    books = holding()
    assert asked(books) == ["LTC-USD"]
    assert (books.seen().nav_usd, books.seen().unavailable) == (None, "price:LTC")
    books.tell(book("LTC-USD"))
    seen = books.seen()
    assert (seen.nav_usd, seen.unavailable) == (10_500, "")
    assert [(h.currency, h.value_usd) for h in seen.external] == [("LTC", 500)]


def test_it_is_asked_again_before_its_price_grows_old():
    books = holding()
    assert asked(books) == ["LTC-USD"]
    books.tell(book("LTC-USD"))
    assert asked(books.later(PACE_S - 1)) == []
    assert asked(books.later(1)) == ["LTC-USD"]
    books.tell(book("LTC-USD", "199", "201"))
    assert books.seen().nav_usd == 11_000
    assert books.later(90).seen().nav_usd == 11_000
    assert books.later(1).seen().nav_usd is None, "no answer any more, no price"


def test_other_quote_currencies_are_tried_where_there_is_none_in_dollars():
    books = holding()
    assert asked(books) == ["LTC-USD"]
    assert alerts(books.tell(none_of("LTC-USD"))) == []
    assert asked(books) == ["LTC-USDC"]
    books.tell(book("LTC-USDC", bid=None))
    assert asked(books) == ["LTC-USDT"]
    books.tell(book("LTC-USDT"))
    assert books.seen().nav_usd == 10_500
    assert asked(books.later(PACE_S)) == ["LTC-USDT"], "the pair that has a book is kept to"


def test_a_coin_without_any_book_is_named_once_and_worth_nobody_knows_what():
    books, said = holding(), []
    for _ in range(2):
        for pair in ("LTC-USD", "LTC-USDC", "LTC-USDT"):
            assert asked(books) == [pair]
            said += alerts(books.tell(none_of(pair)))
        books.later(PACE_S)
    assert said == [("asset_unpriced", "WARNING")]
    assert (books.seen().nav_usd, books.seen().unavailable) == (None, "price:LTC")


def test_a_question_that_failed_for_another_reason_is_put_again_in_its_time():
    books = holding()
    assert asked(books) == ["LTC-USD"]
    assert alerts(books.tell(none_of("LTC-USD", kind="timeout"))) == []
    assert asked(books) == []
    assert asked(books.later(PACE_S)) == ["LTC-USD"]


def test_what_was_worth_little_when_it_was_last_priced_counts_as_nothing():
    books = holding(("LTC", D("0.5")), ("USD", 10_000))
    assert asked(books) == ["LTC-USD"]
    books.tell(book("LTC-USD"))
    assert books.seen().nav_usd == 10_050
    assert alerts(look(books.later(91))) == [("asset_unpriced", "WARNING")]
    assert books.seen().nav_usd == 10_000


def test_only_coins_without_a_feed_are_asked_for_and_few_at_once():
    held = (("USD", 1), ("USDC", 1), ("BTC", 1), ("XYZ", 1), ("OLD", 0), ("AAA", 1), ("BBB", 1), ("CCC", 1))
    books = Books(ignored=("XYZ",))
    books.tell(quote())
    assert asked(books) == [], "the account is not known yet"
    books.reconcile(*held)
    assert asked(books) == ["AAA-USD", "BBB-USD"]
    assert asked(books) == ["CCC-USD"]
    assert asked(books) == []
