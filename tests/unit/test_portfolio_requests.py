"""Peak, periods and the ledger on request: what is durable when, what has no price, what a rebuild finds."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from protocol.effects import Commit
from protocol.lifecycle import Wake
from protocol.orders import Side, Status
from protocol.portfolio import PeakReset, PositionsRebuilt, RebuildPositions, ResetPeak, Transferred
from protocol.risk import VerbAnswered, VerbOutcome
from protocol.venue import FillsListed, QueryFailed
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import (
    BTC,
    D,
    accounts,
    alerts,
    fill_record,
    listed,
    order,
    quote,
    told,
)

RESET = ResetPeak(request_id="p", reply_to="control", by="operator")
REBUILD = RebuildPositions(request_id="b", reply_to="control", by="operator")


def opened(**changes):
    """Books over 10,000 USD and one BTC at 100."""
    books = Books(**changes)
    books.reconcile(("BTC", 1), ("USD", 10_000))
    return books


def seen_at(books, price):
    books.tell(quote(bid=str(D(price) - D("0.01")), ask=str(D(price) + D("0.01")), at=books.now))
    return books.seen()


# --- peak and periods ---------------------------------------------------------------------------------------------


@pytest.mark.req("DD1")
def test_a_peak_outlives_a_crash_without_any_booking():
    books = opened()
    seen_at(books, 100)
    seen_at(books.later(11), 300)
    books.restart()
    books.reconcile(("BTC", 1), ("USD", 10_000))
    assert seen_at(books, 100).periods.peak_usd == 10_300


@pytest.mark.req("DD1")
def test_each_mode_has_a_peak_of_its_own_and_finds_it_again():
    books = opened(mode="PAPER")
    usual = books.settings
    seen_at(books, 300)
    seen_at(books.later(11), 300)
    for mode, peak in (("LIVE", 10_100), ("PAPER", 10_300), ("LIVE", 10_100)):
        books.settings = replace(usual, mode=mode)
        books.restart()
        books.reconcile(("BTC", 1), ("USD", 10_000))
        assert seen_at(books, 100).periods.peak_usd == peak
        books.tell(Wake(timer="keep", due_ns=books.later(11).now))


@pytest.mark.req("M1", "DD1")
def test_a_fixed_sum_stands_for_the_account_and_has_no_peak():
    books = Books(notional_usd=Decimal(10_000))
    seen = books.seen()
    assert (seen.nav_usd, seen.cash_usd) == (10_000, 10_000)  # nobody had to read the account for it
    books.reconcile(("ABC", 5), ("BTC", 1), ("USD", 77))
    for bid in (100, 300, 50):
        seen = seen_at(books.later(11), bid)
        assert (seen.nav_usd, seen.cash_usd, seen.unavailable) == (10_000, 10_000, "")
        assert [(b.currency, b.available) for b in seen.balances] == [("USD", 10_000)]
        assert (seen.periods, seen.external, seen.drawdown_pct) == (None, (), None)
    assert not [e for e in books.tell(Wake(timer="keep", due_ns=books.later(11).now)) if isinstance(e, Commit)]
    assert not told(books.tell(RESET), PeakReset, "risk")


@pytest.mark.req("DD1")
def test_a_rising_peak_is_written_at_most_every_ten_seconds():
    books, writes = opened(), 0
    for second in range(60):
        quoted = quote(bid=str(100 + second), ask=str(100 + second), at=books.later(1).now)
        books.tell(quoted)
        effects = books.tell(Wake(timer="view", due_ns=books.now))
        writes += sum(isinstance(e, Commit) for e in effects)
    assert 1 <= writes <= 7


@pytest.mark.req("DD1")
def test_a_reset_peak_is_the_present_equity_durable_and_told_to_risk():
    books = opened()
    seen_at(books, 300)
    assert seen_at(books, 100).drawdown_pct > 1
    effects = books.tell(RESET)
    assert [(r.before_usd, r.peak_usd, r.by) for r in told(effects, PeakReset, "risk")] == [
        (10_300, 10_100, "operator")
    ]
    assert [a.outcome for a in told(effects, VerbAnswered, "control")] == [VerbOutcome.DONE]
    assert books.seen().drawdown_pct == 0
    books.restart()
    books.reconcile(("BTC", 1), ("USD", 10_000))
    assert seen_at(books, 100).periods.peak_usd == 10_100


def test_no_peak_is_reset_while_the_net_value_is_unknown():
    books = Books()
    effects = books.tell(RESET)
    assert ([a.outcome for a in told(effects, VerbAnswered)], told(effects, PeakReset)) == ([VerbOutcome.REFUSED], [])


# --- prices -------------------------------------------------------------------------------------------------------


def test_a_price_that_grew_old_is_none():
    books = opened()
    assert seen_at(books, 100).nav_usd == 10_100
    seen = books.later(91).seen()
    assert (seen.nav_usd, seen.unavailable) == (None, "price:BTC")


def test_external_dust_without_a_price_counts_as_nothing_and_is_said_once():
    books = Books()
    books.reconcile(("BTC", D("0.5")), ("USD", 10_000))
    seen_at(books, 100)
    look = Wake(timer="view", due_ns=books.later(91).now)
    assert alerts(books.tell(look)) == [("asset_unpriced", "WARNING")]
    assert alerts(books.tell(look)) == []
    assert books.seen().nav_usd == 10_000
    assert seen_at(books, 100).nav_usd == 10_050


def test_what_never_had_a_price_is_never_dust():
    books = Books()
    books.reconcile(("BTC", D("0.0001")), ("USD", 10_000))
    assert (books.seen().nav_usd, books.seen().unavailable) == (None, "price:BTC")


def test_an_ignored_asset_counts_for_nothing():
    books = Books(ignored=("BTC",))
    books.reconcile(("BTC", 1), ("USD", 10_000))
    seen = books.seen()
    assert (seen.nav_usd, seen.external, seen.unavailable) == (10_000, (), "")


# --- transfers ----------------------------------------------------------------------------------------------------


def test_a_transfer_is_named_on_record_with_what_it_moves():
    books = opened()
    seen_at(books, 100)
    books.later(60).reconcile(("BTC", 1), ("USD", 12_000))
    books.tell(quote(at=books.now))
    effects = books.later(60).reconcile(("BTC", 1), ("USD", 12_000))
    journal = [m for e in effects if isinstance(e, Commit) for m in e.journal if isinstance(m, Transferred)]
    assert [(m.currency, m.amount, m.value_usd) for m in journal] == [("USD", 2_000, 2_000)]
    assert seen_at(books, 100).drawdown_pct == 0


def test_a_transfer_without_a_price_waits_for_one():
    books = Books()
    books.reconcile()
    books.seen()
    for _ in range(3):
        books.later(60).reconcile(("BTC", 1), ("USD", 10_000))
    assert {t.currency: t.total for t in books.seen().ledger} == {"USD": 10_000}
    books.tell(quote(at=books.now))
    books.later(60).reconcile(("BTC", 1), ("USD", 10_000))
    seen = seen_at(books, 100)
    assert (seen.nav_usd, seen.daily_pnl_usd) == (10_100, 0)


# --- rebuild ------------------------------------------------------------------------------------------------------


def bought():
    """One BTC of ours for 100, settled."""
    books = Books()
    books.reconcile()
    ours = order(BTC, status=Status.FILLED, filled_size=D(1), filled_value=D(100), booked_size=D(1))
    books.know(replace(ours, booked_size=D(0)))
    books.tell(listed(fill_record()))
    books.know(ours)
    seen_at(books, 100)
    return books


def rebuilt(books, *fills, held):
    effects = books.tell(REBUILD, FillsListed(request_id="rebuild/fills", fills=fills))
    news = replace(accounts(*held, at=books.now), request_id="rebuild/accounts")
    return (*effects, *books.tell(news))


def test_a_rebuild_that_finds_nothing_says_so():
    books = bought()
    effects = rebuilt(books, fill_record(), held=(("BTC", 1), ("USD", 9_900)))
    assert [r.corrections for r in told(effects, PositionsRebuilt, "risk")] == [()]
    assert [(a.outcome, a.text) for a in told(effects, VerbAnswered)] == [(VerbOutcome.DONE, "rebuilt: no difference")]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_rebuild_takes_the_venues_word_and_names_every_difference(restarts):
    books = bought()
    if restarts:
        books.restart()
        books.reconcile(("BTC", 1), ("USD", 9_900))
        seen_at(books, 100)
    more = replace(fill_record(size=2, price=130), entry_id="e-2")
    effects = rebuilt(books, fill_record(), more, held=(("BTC", 3), ("USD", 9_640)))
    (done,) = told(effects, PositionsRebuilt, "risk")
    assert [(c.kind, c.subject) for c in done.corrections] == [
        ("position", "BTC-USD"),
        ("balance", "BTC"),
        ("balance", "USD"),
    ]
    (held,) = books.seen().positions
    assert (held.quantity, held.average_price, held.strategy) == (3, D(120), "rules_engine")
    assert [m for e in effects if isinstance(e, Commit) for m in e.journal] == [done]


def test_no_position_is_larger_than_what_is_there():
    books = bought()
    rebuilt(books, fill_record(), held=(("BTC", D("0.25")), ("USD", 9_900)))
    assert [p.quantity for p in books.seen().positions] == [D("0.25")]


def test_others_fills_make_no_position():
    books = bought()
    others = fill_record(size=5, of="others")
    rebuilt(books, fill_record(), others, held=(("BTC", 6), ("USD", 9_400)))
    assert [p.quantity for p in books.seen().positions] == [1]


def test_a_venue_that_cannot_be_asked_changes_nothing():
    books = bought()
    before = books.state.ledger
    effects = books.tell(REBUILD, QueryFailed(request_id="rebuild/fills", kind="timeout", detail="late"))
    assert [a.outcome for a in told(effects, VerbAnswered)] == [VerbOutcome.REFUSED]
    assert books.state.ledger == before
    assert told(books.tell(REBUILD), VerbAnswered) == [], "it may be asked for again"


def test_nothing_is_rebuilt_while_a_fill_is_on_its_way():
    books = bought()
    books.know(order(BTC, Side.SELL, status=Status.PARTIALLY_FILLED, filled_size=D("0.5"), filled_value=D(50)))
    effects = rebuilt(books, fill_record(), held=(("BTC", D("0.5")), ("USD", 9_950)))
    assert [a.outcome for a in told(effects, VerbAnswered)] == [VerbOutcome.REFUSED]
    assert [p.quantity for p in books.seen().positions] == [1]
