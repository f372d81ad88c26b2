"""The books under any delivery: every fill counted once, and nothing of the account unaccounted for."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.portfolio.ledger import Least, Ledger, book
from actors.portfolio.reconcile import compare
from protocol.lifecycle import Wake
from protocol.orders import OrderBooked, Side, Status
from protocol.portfolio import ExitWanted, FillApplied
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    TARGETS,
    D,
    accounts,
    fill_record,
    intent_done,
    listed,
    order,
    quote,
    told,
)

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
SLOW = settings(FAST, max_examples=4000)
PRICES = st.sampled_from(("97.31", "100", "100.01", "103.7"))
INCREMENT = D("0.00000001")
LEAST = Least(increment=INCREMENT, dust_usd=D(0))
TINY = D("1e-18")  # averages are quotients; everything else is exact


# --- exactly once -------------------------------------------------------------------------------------------------


def fills_of(rows):
    """Three orders of ours (two purchases and one of ETH), each filled in the parts drawn for it."""
    fills = []
    for number, (which, lots, price, fee) in enumerate(rows):
        product = (BTC, BTC, ETH)[which]
        size = D(lots) / 1000
        drawn = fill_record(product, size=size, price=price, of=f"o{which}", entry_id=f"e{number}")
        fills.append(replace(drawn, fee=D(fee) / 100, trade_ns=NOON_NS + number))
    return fills


def orders_of(fills):
    """Each order as the stream knows it when all is filled."""
    found = []
    for which, product in enumerate((BTC, BTC, ETH)):
        mine = [f for f in fills if f.venue_order_id == f"v-o{which}"]
        size, value = sum((f.size for f in mine), D(0)), sum((f.value for f in mine), D(0))
        filled = {"filled_size": size, "filled_value": value}
        found.append(order(product, size=max(size, D(1)), name=f"o{which}", status=Status.FILLED, **filled))
    return found


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 500), PRICES, st.integers(0, 99)),
    min_size=1,
    max_size=8,
)
# What is delivered in turn: some of the fills by number (again and again), or a mishap.
turns = st.lists(
    st.one_of(
        st.lists(st.integers(0, 7), max_size=6),
        st.sampled_from(("restart", "disk fails", "disk works", "orders", "time")),
    ),
    max_size=12,
)


def deliver(rows, turns):
    fills = fills_of(rows)
    books = Books()
    books.reconcile(("USD", 100_000))
    books.know(*orders_of(fills))
    for turn in turns:
        match turn:
            case "restart":
                books.restart()
                books.know(*orders_of(fills))
            case "disk fails" | "disk works":
                books.disk_fails = turn == "disk fails"
            case "orders":
                books.know(*orders_of(fills))
            case "time":
                books.later(1).tell(Wake(timer="book", due_ns=books.now))
            case numbers:
                books.tell(listed(*(fills[n % len(fills)] for n in numbers), request_id="fills/some"))
    books.disk_fails = False
    books.tell(listed(*fills, request_id="fills/all"))
    books.later(1).tell(Wake(timer="book", due_ns=books.now))  # what a failing disk refused is tried after a second
    return books, fills


def exactly_once(scale):
    @pytest.mark.req("X2")
    @scale
    @given(rows, turns)
    def run(rows, turns):
        books, fills = deliver(rows, turns)
        ledger = books.state.ledger
        for product in (BTC, ETH):
            mine = [f for f in fills if f.product_id == product]
            size, value = sum((f.size for f in mine), D(0)), sum((f.value for f in mine), D(0))
            held = ledger.position(product)
            assert (held.quantity if held else 0) == size
            assert ledger.total(product.partition("-")[0]) == size
            if held:
                assert abs(held.average_price * size - value) < TINY
                assert held.entry_fees == sum(f.fee for f in mine)
        assert ledger.total("USD") == 100_000 - sum(f.value + f.fee for f in fills)
        assert ledger.fees_today_usd == sum(f.fee for f in fills)
        told_once = [m.entry_id for m in books.heard if isinstance(m, FillApplied)]
        assert sorted(told_once) == sorted([f.entry_id for f in fills] * 2), "to risk and control, once each"
        booked = [m for m in books.heard if isinstance(m, OrderBooked)]
        for known in orders_of(fills):
            last = [m.booked_size for m in booked if m.client_order_id == known.client_order_id]
            assert max(last, default=D(0)) == known.filled_size

    return run


test_every_fill_is_booked_once_however_it_is_delivered = exactly_once(FAST)
test_every_fill_is_booked_once_however_it_is_delivered_at_length = pytest.mark.slow(exactly_once(SLOW))


@FAST
@given(rows, turns)
def test_a_fill_stream_replayed_over_a_restart_changes_nothing(rows, turns):
    books, fills = deliver(rows, turns)
    before = books.state.ledger
    books.restart()
    books.know(*orders_of(fills))
    books.tell(listed(*fills), listed(*reversed(fills)))
    assert books.state.ledger == before


# --- arithmetic ---------------------------------------------------------------------------------------------------

trades = st.lists(
    st.tuples(st.booleans(), st.integers(1, 10), PRICES, st.integers(0, 50)),
    min_size=1,
    max_size=15,
)


def traded(trades):
    """Purchases and sales of one product, never more sold than held."""
    ledger, outcomes, held = Ledger(), [], 0
    for number, (buys, wanted, price, fee) in enumerate(trades):
        lots = wanted if buys else min(wanted, held)
        if not lots:
            continue
        held += lots if buys else -lots
        side = Side.BUY if buys else Side.SELL
        fill = fill_record(BTC, side, D(lots) / 10, price, entry_id=f"e{number}", fee=D(fee) / 100)
        outcomes.append(book(ledger, fill, order(side=side), LEAST, TARGETS))
        ledger = outcomes[-1].ledger
    return ledger, outcomes, D(held) / 10


@pytest.mark.req("X2", "X3")
@FAST
@given(trades)
def test_money_is_realised_profit_less_what_is_still_held_at_cost(trades):
    ledger, outcomes, held = traded(trades)
    position = ledger.position(BTC)
    cost = position.quantity * position.average_price + position.entry_fees if position else D(0)
    realised = sum((o.net_usd for o in outcomes if o.net_usd is not None), D(0))
    assert abs(ledger.total("USD") - (realised - cost)) < TINY
    assert ledger.realised_today_usd == realised
    assert ledger.total("BTC") == held == (position.quantity if position else 0)
    assert all(o.oversold == 0 for o in outcomes)


@FAST
@given(trades)
def test_a_position_is_closed_exactly_when_nothing_is_left(trades):
    _, outcomes, _ = traded(trades)
    for before, after in pairwise([None, *outcomes]):
        had = before is not None and before.ledger.position(BTC) is not None
        assert after.closed == (had and after.ledger.position(BTC) is None)


@pytest.mark.req("R1")
@FAST
@given(st.integers(1, 10), st.lists(st.integers(1, 10), max_size=5))
def test_quantities_are_never_negative_however_much_is_sold(bought, sales):
    ledger = book(Ledger(), fill_record(size=bought), order(), LEAST, TARGETS).ledger
    oversold = D(0)
    for size in sales:
        done = book(ledger, fill_record(side=Side.SELL, size=size), order(side=Side.SELL), LEAST, TARGETS)
        ledger, oversold = done.ledger, oversold + done.oversold
        assert all(p.quantity > 0 for p in ledger.positions)
    left = sum((p.quantity for p in ledger.positions), D(0))
    assert left == bought - sum(sales) + oversold


# --- differences --------------------------------------------------------------------------------------------------


@FAST
@given(st.lists(st.tuples(st.sampled_from((0, 1, 4, 5, 60)), st.sampled_from((0, 0, -300, 50))), max_size=10))
def test_the_books_follow_the_venue_only_by_named_transfers_that_leave_profit_alone(reads):
    books, usd = Books(), D(10_000)
    books.reconcile(("USD", usd))
    books.seen()
    for seconds, moved in reads:
        usd += moved
        books.later(seconds).reconcile(("USD", usd))
        seen = books.seen()
        assert seen.nav_usd == books.state.ledger.total("USD")
        assert (seen.daily_pnl_usd, seen.drawdown_pct) == (0, 0)
    for _ in range(2):
        books.later(5).reconcile(("USD", usd))
    assert books.seen().nav_usd == usd
    assert compare(books.state.ledger.totals, accounts(("USD", usd)).balances, (), books.now).suspects == ()


# --- exits --------------------------------------------------------------------------------------------------------

happenings = st.lists(
    st.one_of(
        st.tuples(st.just("quote"), st.integers(80, 120)),
        st.tuples(st.just("done"), st.sampled_from(("plan_exhausted", "refused:x", "partial"))),
        st.tuples(st.just("wait"), st.sampled_from((0.1, 1, 2, 5, 60))),
        st.tuples(st.just("sell"), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=30,
)


@pytest.mark.req("R1")
@FAST
@given(happenings)
def test_exits_never_ask_for_more_than_is_free_nor_more_often_than_every_two_seconds(happenings):
    books = Books()
    books.reconcile()
    books.know(order(size=10, filled_size=D(10), filled_value=D(1000)))
    books.tell(listed(fill_record(size=10)))
    free, last_ns, number = D(10), None, 0
    for what, value in happenings:
        match what:
            case "quote":
                for wanted in told(books.tell(quote(bid=str(value), ask=str(value + 1), at=books.now)), ExitWanted):
                    assert 0 < wanted.quantity <= free
                    assert last_ns is None or books.now - last_ns >= 2 * 10**9
                    last_ns = books.now
            case "done":
                books.tell(intent_done(outcome=value))
            case "wait":
                books.later(value)
            case "sell" if free >= value:
                number += 1
                books.know(order(side=Side.SELL, size=value, name=f"s{number}"))
                free -= value
            case "restart":
                books.restart()
                books.know(*(order(side=Side.SELL, size=10 - free, name="all") for _ in range(free < 10)))
                last_ns = None
