"""Booking exactly once: duplicates, failing disks, fills that come early, late, or belong to nobody known."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.portfolio.actor import settings
from config.load import load
from protocol.effects import Tell
from protocol.lifecycle import CommitFailed, Wake
from protocol.orders import OrderBooked, OrderUpdate, Side, Status
from protocol.portfolio import FillApplied, PortfolioView, Reconcile
from protocol.venue import ListFills, UserStream
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import NOON_NS, TARGETS, D, alerts, fill_record, intent, listed, order, told

CONFIG = Path(__file__).resolve().parents[2] / "config"
HOLD_S = 72 * 3600


def parts(number):
    """So many fills of the BTC purchase, a tenth each."""
    return tuple(fill_record(size="0.1", entry_id=f"e{n}", trade_ns=NOON_NS + n) for n in range(number))


def filled(size=1, **changes):
    return order(filled_size=D(size), filled_value=D(size) * 100, **changes)


def quantity(books):
    return sum((p.quantity for p in books.seen().positions), D(0))


def opened(*balances):
    """Books of an account that holds 10,000 USD (or these balances), opened at noon."""
    books = Books()
    books.reconcile(*balances)
    return books


def test_a_fill_is_told_with_its_story_and_the_order_hears_how_much_is_booked():
    books = Books()
    books.know(filled())
    effects = books.tell(listed(fill_record(fee=D("0.4"))))
    (applied,) = told(effects, FillApplied, "risk")
    assert (applied.correlation, applied.strategy, applied.client_order_id) == (
        "c-BTC-USD",
        "rules_engine",
        "c-BTC-USD-BUY",
    )
    assert told(effects, FillApplied, "control") == [applied]
    assert told(effects, OrderBooked, "order:c-BTC-USD-BUY")[0].booked_size == 1
    assert told(effects, PortfolioView, "risk")[-1].positions[0].quantity == 1
    assert {"portfolio/fill/e-BTC-USD-BUY", "portfolio/ledger"} <= books.durable.keys()


ONCE = {
    "twice in one answer": lambda f: (listed(*f, *f),),
    "in two answers": lambda f: (listed(*f), listed(*f)),
    "in the answers to different questions": lambda f: (listed(*f), listed(*f, request_id="fills")),
    "in overlapping answers": lambda f: (listed(*f[:2]), listed(*f[1:])),
    "newest first": lambda f: (listed(*reversed(f)),),
}


@pytest.mark.parametrize("deliver", ONCE.values(), ids=ONCE)
def test_a_fill_is_booked_once_when_it_is_delivered(deliver):
    books = opened()
    books.know(filled("0.3"))
    books.tell(*deliver(parts(3)))
    assert quantity(books) == D("0.3")
    assert books.state.ledger.total("USD") == 10_000 - 30
    assert len([m for m in books.heard if isinstance(m, FillApplied)]) == 2 * 3, "each told to risk and control"


def test_a_fill_is_booked_once_over_a_restart():
    books = opened()
    books.know(filled("0.3"))
    books.tell(listed(*parts(3)))
    books.restart()
    books.know(filled("0.3"))
    effects = books.tell(listed(*parts(3)))
    assert told(effects, FillApplied) == []
    assert quantity(books) == D("0.3")
    assert books.state.queue == ()


def test_a_new_fill_behind_an_old_one_is_booked_after_a_restart():
    books = opened()
    books.know(filled("0.2"))
    books.tell(listed(*parts(2)))
    books.restart()
    books.know(filled("0.3"))
    books.tell(listed(*parts(3)))
    assert quantity(books) == D("0.3")


def test_a_fill_that_could_not_be_written_is_tried_again():
    books = opened()
    books.know(filled())
    books.disk_fails = True
    effects = books.tell(listed(fill_record()))
    assert told(effects, FillApplied) == []
    assert quantity(books) == 0
    books.disk_fails = False
    books.later(1).tell(Wake(timer="book", due_ns=books.now))
    assert quantity(books) == 1


def test_a_refused_commit_without_anything_waiting_is_harmless():
    books = opened()
    before = books.state.ledger
    books.tell(CommitFailed(number=1, detail="", duplicate=True))
    assert books.state.ledger == before


def test_fills_are_asked_for_until_the_books_have_what_the_stream_said():
    books = opened()
    asked = told(books.know(filled("0.3")), ListFills, "gateway")
    assert [a.venue_order_id for a in asked] == ["v-BTC-USD-BUY"]
    books.tell(listed(*parts(2)))
    again = books.later(0.25).tell(Wake(timer="fills/v-BTC-USD-BUY", due_ns=books.now))
    assert len(told(again, ListFills, "gateway")) == 1
    books.tell(listed(*parts(3)))
    assert told(books.tell(Wake(timer="fills/v-BTC-USD-BUY", due_ns=books.now)), ListFills) == []


def test_a_returning_stream_is_followed_by_a_look_at_what_was_missed():
    books = opened()
    assert len(told(books.tell(UserStream(up=True, detail="", at_ns=NOON_NS)), ListFills, "gateway")) == 1
    assert books.tell(UserStream(up=False, detail="", at_ns=NOON_NS)) == ()


def test_an_order_that_forgot_what_is_booked_is_told_again():
    books = opened()
    books.know(filled())
    books.tell(listed(fill_record()))
    (word,) = told(books.know(filled(booked_size=D("0.5"))), OrderBooked, "order:c-BTC-USD-BUY")
    assert word.booked_size == 1


def test_what_the_stream_said_and_the_books_lack_is_shown_as_unbooked():
    books = opened()
    books.know(filled("0.1"))
    books.tell(listed(*parts(1)))
    books.know(filled("0.3"))
    (held,) = books.seen().positions
    assert (held.quantity, held.unbooked, held.held) == (D("0.1"), D("0.2"), D("0.3"))
    books.know(order(side=Side.SELL, filled_size=D("0.05"), filled_value=D(5)))
    assert books.seen().positions[0].unbooked == D("0.15")


# --- fills that nobody knows --------------------------------------------------------------------------------------


def test_a_fill_of_an_unknown_order_waits_while_one_of_ours_is_in_doubt():
    books = opened()
    books.know(order(status=Status.SUBMITTED, venue_order_id=None))
    books.tell(listed(fill_record(), request_id="fills"))
    assert books.seen().positions == ()
    books.know(filled())
    books.later(0.25).tell(Wake(timer="book", due_ns=books.now))
    assert quantity(books) == 1


def test_when_the_doubt_ends_otherwise_it_was_somebody_elses():
    books = opened()
    books.know(order(status=Status.SUBMITTED, venue_order_id=None))
    books.tell(listed(fill_record(), request_id="fills"))
    books.know(order(status=Status.REJECTED, venue_order_id=None))
    effects = books.later(0.25).tell(Wake(timer="book", due_ns=books.now))
    assert quantity(books) == 0
    assert told(effects, FillApplied, "risk")[0].client_order_id is None
    assert books.state.ledger.total("BTC") == 1


def test_a_doubt_about_another_product_holds_nothing_up():
    books = opened()
    books.know(order("ETH-USD", status=Status.SUBMITTED, venue_order_id=None))
    books.tell(listed(fill_record(), request_id="fills"))
    assert books.state.ledger.total("BTC") == 1


@pytest.mark.parametrize("status", [Status.CANCELED, Status.EXPIRED, Status.FILLED])
def test_a_fill_that_comes_after_its_order_was_settled_is_still_ours(status):
    books = opened()
    books.know(order(), order(status=status))
    effects = books.tell(listed(fill_record(), request_id="fills"))
    assert quantity(books) == 1
    assert told(effects, FillApplied, "risk")[0].correlation == "c-BTC-USD"
    assert books.state.ledger.booked == ()


def test_an_order_told_late_gets_its_fills_though_they_were_listed_before():
    books = opened()
    books.know(order(status=Status.UNRESOLVED, venue_order_id=None))
    books.tell(listed(*parts(3), request_id="fills"))
    books.know(filled("0.3", status=Status.FILLED))
    books.tell(Wake(timer="book", due_ns=books.now))
    assert quantity(books) == D("0.3")


def test_the_past_of_the_account_is_in_the_balances_it_began_with():
    long_ago = fill_record("ETH-USD", trade_ns=NOON_NS - 1, of="before")
    just_now = fill_record("ETH-USD", trade_ns=NOON_NS, of="after")
    books = opened(("ETH", 1), ("USD", 10_000))
    books.reconcile(("ETH", 2), ("USD", 9_900), fills=(long_ago, just_now))
    assert (books.state.ledger.total("ETH"), books.state.ledger.total("USD")) == (D(2), D(9_900))


def test_the_past_does_not_matter_when_it_is_listed_before_the_balances():
    books = Books()
    books.tell(Reconcile(request_id="r", reply_to="cycle"))
    books.tell(listed(fill_record("ETH-USD", of="before"), request_id="fills"))
    assert books.state.ledger.totals == ()


def test_a_sale_of_more_than_was_held_is_alerted():
    books = opened()
    books.know(filled(), order(side=Side.SELL, filled_size=D(2), filled_value=D(200)))
    effects = books.tell(listed(fill_record(), fill_record(side=Side.SELL, size=2)))
    assert alerts(effects) == [("external_sell", "WARNING")]


def test_news_of_an_order_without_a_venue_id_asks_nothing():
    books = opened()
    effects = books.tell(OrderUpdate(state=order(status=Status.SUBMITTED, venue_order_id=None)))
    assert not [e for e in effects if isinstance(e, Tell)]


def test_a_purchase_without_targets_gets_the_policys_and_people_hear_it_once():
    books = opened()
    books.know(filled(intent=intent(targets=None)))
    effects = books.tell(listed(*parts(10)))
    assert alerts(effects) == [("targets_missing", "WARNING")]
    assert books.seen().positions[0].targets == replace(TARGETS, max_hold_s=HOLD_S)


def test_a_purchase_with_targets_needs_none_of_the_policys():
    books = opened()
    books.know(filled())
    assert alerts(books.tell(listed(*parts(10)))) == []


def test_the_hold_of_what_has_no_targets_is_the_operators():
    made = load(CONFIG, profile="embedded", overrides={"policy.exits.default_max_hold_hours": "36.5"}).policy
    assert settings(made, "c").fallback.max_hold_s == 36.5 * 3600
