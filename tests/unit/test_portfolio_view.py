"""What the account is worth, what the periods make of it, and how the books are held against the venue."""

import pytest
from msgspec.structs import replace

from actors.portfolio.reconcile import Suspect, compare
from actors.portfolio.valuation import Prices, roll, value
from protocol.effects import SetTimer
from protocol.lifecycle import Wake
from protocol.orders import OrderReported, Side, Status, VenueOrder
from protocol.portfolio import LedgerTotal, PortfolioView, Reconcile, Reconciled
from protocol.venue import Balance, ListAccounts, ListFills, ListOpenOrders, OpenOrdersListed, QueryFailed
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import (
    BTC,
    DAY,
    NOON_NS,
    WEEK,
    D,
    accounts,
    alerts,
    fill_record,
    listed,
    order,
    periods,
    position,
    quote,
    told,
)

HOUR_S = 3600


def totals(**held):
    return tuple(LedgerTotal(currency=name, total=D(total)) for name, total in held.items())


def quotes(**mids):
    return {f"{name.replace('_', '-')}": quote(name.replace("_", "-"), mid, mid) for name, mid in mids.items()}


# held, quotes, positions; NAV, cash, external, unpriced
WORTH = {
    "cash-like currencies count as one": ({"USD": 1, "USDC": 2, "USDT": 3, "EUR": 0}, {}, (), "6", "6", {}, ()),
    "a coin counts at its mid": ({"USD": 1, "BTC": 2}, {"BTC_USD": "100"}, (), "201", "1", {"BTC": "2"}, ()),
    "a coin quoted in another stable currency": ({"BTC": 2}, {"BTC_USDC": "90"}, (), "180", "0", {"BTC": "2"}, ()),
    "the dollar's own book comes first": (
        {"BTC": 2},
        {"BTC_USDC": "90", "BTC_USD": "100"},
        (),
        "200",
        "0",
        {"BTC": "2"},
        (),
    ),
    "a coin without a price makes the whole unknown": ({"USD": 1, "ABC": 2}, {}, (), None, "1", {"ABC": "2"}, ("ABC",)),
    "a coin of which there is nothing needs no price": ({"USD": 1, "ABC": 0}, {}, (), "1", "1", {}, ()),
    "what we bought is not external": (
        {"BTC": 2},
        {"BTC_USD": "100"},
        (position(quantity=2),),
        "200",
        "0",
        {},
        (),
    ),
    "what there is beyond it is": (
        {"BTC": 3},
        {"BTC_USD": "100"},
        (position(quantity=2),),
        "300",
        "0",
        {"BTC": "1"},
        (),
    ),
    "positions of one coin add up over its quote currencies": (
        {"BTC": 3},
        {"BTC_USD": "100"},
        (position(quantity=2), position("BTC-USDC", quantity=1)),
        "300",
        "0",
        {},
        (),
    ),
}


@pytest.mark.req("E1")
@pytest.mark.parametrize("row", WORTH.values(), ids=WORTH)
def test_what_an_account_is_worth(row):
    held, mids, positions, nav, cash, external, unpriced = row
    worth = value(totals(**held), positions, Prices(quotes=quotes(**mids)))
    assert worth.nav_usd == (None if nav is None else D(nav))
    assert worth.cash_usd == D(cash)
    assert {h.currency: h.quantity for h in worth.external} == {name: D(size) for name, size in external.items()}
    assert worth.unpriced == unpriced


def test_the_net_value_is_unknown_until_the_account_was_read():
    books = Books()
    assert (books.seen().nav_usd, books.seen().unavailable, books.seen().reconciled) == (None, "accounts", False)
    books.reconcile()
    assert (books.seen().nav_usd, books.seen().unavailable, books.seen().reconciled) == (D(10_000), "", True)


def test_a_restart_knows_its_books_but_not_the_account():
    books = Books()
    books.reconcile()
    books.restart()
    assert (books.seen().nav_usd, books.seen().reconciled) == (None, False)
    assert books.seen().ledger == totals(USD=10_000)


def test_a_coin_that_cannot_be_priced_is_named():
    books = Books()
    books.reconcile(("ABC", 1), ("USD", 1))
    seen = books.seen()
    assert (seen.nav_usd, seen.unavailable, seen.daily_pnl_usd) == (None, "price:ABC", None)


def test_a_purchase_in_the_books_is_worth_its_price_and_costs_its_fee():
    books = Books()
    books.reconcile()
    books.tell(quote(bid="99", ask="101"))
    books.know(order(filled_size=D(1), filled_value=D(100)))
    assert books.seen().nav_usd == 10_000, "neither side of it is booked"
    books.tell(listed(fill_record(fee=D("0.4"))))
    assert books.seen().nav_usd == D("9999.6")
    books.tell(quote(bid="109", ask="111"))
    assert (books.seen().nav_usd, books.seen().daily_pnl_usd) == (D("10009.6"), D("9.6"))
    assert books.seen().positions[0].unrealised_usd == D("8.6")
    assert books.seen().fees_today_usd == D("0.4")


# --- periods ------------------------------------------------------------------------------------------------------

# seconds after Wednesday noon; NAV then; day, its opening, week, its opening, peak
ROLLS = {
    "a moment later only the peak moves up": (1, 11_000, (DAY, 10_000, WEEK, 10_000, 11_000)),
    "and never down": (1, 9_000, (DAY, 10_000, WEEK, 10_000, 10_000)),
    "a nanosecond before midnight is the same day": (12 * HOUR_S - 1e-9, 9_000, (DAY, 10_000, WEEK, 10_000, 10_000)),
    "midnight opens a day": (12 * HOUR_S, 9_000, ("2026-11-19", 9_000, WEEK, 10_000, 10_000)),
    "Sunday is still that week": (4 * 24 * HOUR_S, 9_000, ("2026-11-22", 9_000, WEEK, 10_000, 10_000)),
    "Monday opens a week and a day": (
        (4 * 24 + 12) * HOUR_S,
        9_000,
        ("2026-11-23", 9_000, "2026-11-23", 9_000, 10_000),
    ),
}


@pytest.mark.req("DD1")
@pytest.mark.parametrize(("seconds", "nav", "expected"), ROLLS.values(), ids=ROLLS)
def test_periods(seconds, nav, expected):
    rolled = roll(periods(), D(nav), NOON_NS + round(seconds * 1e9))
    assert (rolled.day, rolled.day_open_usd, rolled.week, rolled.week_open_usd, rolled.peak_usd) == expected


def test_the_first_period_opens_at_the_first_known_value():
    assert roll(None, D(5), NOON_NS) == periods(5, 5, 5)


def test_the_days_profit_and_fees_begin_again_at_midnight():
    books = Books()
    books.reconcile()
    books.seen()
    books.tell(quote())
    books.know(order(filled_size=D(1), filled_value=D(100)), order(side=Side.SELL, filled_size=D(1)))
    books.tell(listed(fill_record(), fill_record(side=Side.SELL, price=90, fee=D(1))))
    assert (books.seen().realised_today_usd, books.seen().fees_today_usd) == (D(-11), D(1))
    assert (books.later(12 * HOUR_S).seen().realised_today_usd, books.seen().fees_today_usd) == (0, 0)
    assert (books.seen().periods.day_open_usd, books.seen().periods.week_open_usd) == (D(9_989), D(10_000))


# --- differences --------------------------------------------------------------------------------------------------

SEEN = (Suspect(currency="USD", difference=D(-500), seen_ns=NOON_NS),)
# venue's USD beside a ledger of 1,000; suspects before; seconds since; transfers, suspects after
DIFFS = {
    "no difference": (1_000, (), 0, [], []),
    "a difference seen once is a suspect": (500, (), 0, [], [-500]),
    "seen again too soon it stays one": (500, SEEN, 4.999, [], [-500]),
    "seen again after five seconds it is a transfer": (500, SEEN, 5, [-500], []),
    "another amount begins again": (400, SEEN, 5, [], [-600]),
    "a difference that went away is forgotten": (1_000, SEEN, 5, [], []),
}


@pytest.mark.parametrize(("usd", "suspects", "seconds", "moved", "left"), DIFFS.values(), ids=DIFFS)
def test_differences_are_named_only_when_they_last(usd, suspects, seconds, moved, left):
    balances = (Balance(currency="USD", available=D(usd), hold=D(0)),)
    diff = compare(totals(USD=1_000), balances, suspects, NOON_NS + int(seconds * 1e9))
    assert [t.total for t in diff.transfers] == moved
    assert [s.difference for s in diff.suspects] == left


def test_a_currency_that_the_venue_does_not_list_is_zero_there():
    diff = compare(totals(BTC=1), (), (), NOON_NS)
    assert [(s.currency, s.difference) for s in diff.suspects] == [("BTC", D(-1))]


def test_what_is_held_for_orders_is_no_difference():
    balances = (Balance(currency="USD", available=D(400), hold=D(600)),)
    assert compare(totals(USD=1_000), balances, (), NOON_NS).suspects == ()


@pytest.mark.req("DD1")
def test_a_withdrawal_is_no_loss_neither_before_nor_after_it_has_its_name():
    books = Books()
    books.reconcile()
    assert books.seen().daily_pnl_usd == 0
    books.later(60).reconcile(("USD", 5_000))
    assert (books.seen().daily_pnl_usd, books.seen().drawdown_pct) == (0, 0), "unnamed it is no money lost"
    effects = books.later(60).reconcile(("USD", 5_000))
    assert alerts(effects) == [("transfer", "WARNING")]
    (answer,) = told(effects, Reconciled, "cycle")
    assert [(c.kind, c.subject, c.ledger, c.venue) for c in answer.corrections] == [
        ("transfer", "USD", "10000", "5000")
    ]
    seen = books.seen()
    assert (seen.nav_usd, seen.daily_pnl_usd, seen.drawdown_pct) == (D(5_000), 0, 0)
    assert seen.periods.week_open_usd == 5_000


def test_a_deposit_of_a_coin_counts_at_its_mid_and_is_no_profit():
    books = Books()
    books.reconcile()
    books.seen()
    books.tell(quote())
    for _ in range(2):
        books.later(60).tell(quote(at=books.now))
        books.reconcile(("BTC", 2), ("USD", 10_000))
    seen = books.seen()
    assert (seen.nav_usd, seen.daily_pnl_usd) == (D(10_200), 0)
    assert [(h.currency, h.quantity) for h in seen.external] == [("BTC", D(2))]


MOVING = {
    "an order of unknown outcome": order(status=Status.UNRESOLVED),
    "an order just sent": order(status=Status.SUBMITTED, venue_order_id=None),
    "an order with more filled than booked": order(filled_size=D(1), filled_value=D(100)),
}


@pytest.mark.parametrize("moving", MOVING.values(), ids=MOVING)
def test_while_something_moves_no_difference_gets_a_name(moving):
    books = Books()
    books.reconcile()
    books.know(moving)
    for _ in range(3):
        books.later(60).reconcile(("USD", 9_900))
    assert books.seen().ledger == totals(USD=10_000)
    assert books.state.suspects == ()


def test_while_a_fill_waits_to_be_booked_no_difference_gets_a_name():
    books = Books()
    books.reconcile()
    books.disk_fails = True
    books.tell(listed(fill_record(of="somebody"), request_id="fills/stream"))
    books.disk_fails = False
    books.later(60).reconcile(("BTC", 1), ("USD", 9_900))
    assert books.state.suspects == ()


# --- asking the venue ---------------------------------------------------------------------------------------------


def ask(name="r", to="cycle"):
    return Reconcile(request_id=name, reply_to=to)


def answers(effects):
    return [(r.request_id, r.ok, r.detail) for r in told(effects, Reconciled)]


ALL = (
    accounts(("USD", 10_000)),
    OpenOrdersListed(request_id="open_orders", asked_ns=NOON_NS, orders=()),
    listed(request_id="fills"),
)


def test_a_reconciliation_asks_for_the_whole_picture():
    effects = Books().tell(ask())
    for kind in (ListAccounts, ListOpenOrders, ListFills):
        assert len(told(effects, kind, "gateway")) == 1


def test_fills_are_asked_from_the_newest_known_one_with_an_overlap():
    books = Books()
    books.reconcile()
    (wanted,) = told(books.later(60).tell(ask()), ListFills, "gateway")
    assert wanted.since_ns == NOON_NS - 60 * 10**9


@pytest.mark.parametrize("turn", range(3), ids=["accounts last", "open orders last", "fills last"])
def test_the_answer_comes_with_the_last_part_in_whatever_order(turn):
    books = Books()
    books.tell(ask())
    *first, last = (*ALL[turn + 1 :], *ALL[: turn + 1])
    assert answers(books.tell(*first)) == []
    effects = books.tell(last)
    assert answers(effects) == [("r", True, "")]
    assert told(effects, PortfolioView, "risk")[-1].reconciled


def test_open_orders_at_the_venue_are_evidence_for_the_order_desk():
    seen = VenueOrder(
        client_order_id="c",
        venue_order_id="v",
        product_id=BTC,
        side=Side.BUY,
        status="OPEN",
        filled_size=D(0),
        filled_value=D(0),
        fees=D(0),
    )
    effects = Books().tell(OpenOrdersListed(request_id="open_orders", asked_ns=NOON_NS, orders=(seen,)))
    assert [(r.order, r.source) for r in told(effects, OrderReported, "orders")] == [(seen, "list")]


def venue_order(name, **changes):
    parts = VenueOrder(
        client_order_id=name,
        venue_order_id=f"v-{name}",
        product_id=BTC,
        side=Side.BUY,
        status="OPEN",
        filled_size=D(0),
        filled_value=D(0),
        fees=D(0),
    )
    return replace(parts, **changes)


# an order of somebody else, what it may still spend (None: unknown, "-": it does not count)
FOREIGN = {
    "at its limit, as far as it is not filled": (
        {"base_size": D(3), "limit_price": D(90), "filled_size": D(1), "filled_value": D(90)},
        180,
    ),
    "without a limit at the mid": ({"base_size": D(3)}, 300),
    "what is left of its quote size": ({"quote_size": D(50), "filled_value": D(20)}, 30),
    "in a currency that has a price": (
        {"product_id": "LINK-BTC", "base_size": D(3), "limit_price": D("0.5")},
        150,
    ),
    "in a currency that has none": ({"product_id": "BTC-EUR", "base_size": D(1), "limit_price": D(90)}, None),
    "of a product without limit and price": ({"product_id": "ABC-USD", "base_size": D(1)}, None),
    "without any size": ({"limit_price": D(90)}, None),
    "a sale": ({"side": Side.SELL, "base_size": D(1), "limit_price": D(90)}, "-"),
    "of an asset that is ignored": ({"product_id": "XYZ-USD", "base_size": D(1), "limit_price": D(9)}, "-"),
    "our own": ({"client_order_id": "c-1", "base_size": D(1), "limit_price": D(90)}, "-"),
}


@pytest.mark.req("E2")
@pytest.mark.parametrize(("changes", "usd"), FOREIGN.values(), ids=FOREIGN)
def test_what_others_purchases_may_still_spend_is_told(changes, usd):
    books = Books(ignored=("XYZ",))
    books.tell(quote())
    orders = (venue_order("someone", **changes),)
    effects = books.tell(ask(), *ALL[::2], OpenOrdersListed(request_id="open_orders", asked_ns=NOON_NS, orders=orders))
    found = told(effects, PortfolioView, "risk")[-1].foreign_orders
    assert [o.usd for o in found] == ([] if usd == "-" else [usd])
    books.tell(ask(), *ALL)
    assert books.seen().foreign_orders == (), "the next list is without it"


def test_those_who_ask_meanwhile_get_a_newer_picture_one_after_the_other():
    books = Books()
    books.tell(ask("a", "cycle"), ask("b", "orders"), ask("c", "control"))
    first = books.tell(*ALL)
    assert answers(first) == [("a", True, "")]
    assert len(told(first, ListAccounts)) == 1, "the next picture is begun"
    assert [r.request_id for r in told(books.tell(*ALL), Reconciled, "orders")] == ["b"]
    assert [r.request_id for r in told(books.tell(*ALL), Reconciled, "control")] == ["c"]
    assert books.tell(*ALL[1:]) == ()


@pytest.mark.parametrize("part", ["accounts", "open_orders", "fills"])
def test_a_part_that_cannot_be_read_fails_the_whole_and_the_next_one_is_begun(part):
    books = Books()
    books.tell(ask("a"), ask("b"))
    effects = books.tell(QueryFailed(request_id=part, kind="timeout", detail=""))
    assert answers(effects) == [("a", False, f"data_unavailable:{part}: timeout")]
    assert len(told(effects, ListAccounts)) == 1
    assert (books.seen().unavailable, books.seen().reconciled) == (part, False)


def test_a_single_look_up_that_failed_fails_no_reconciliation():
    books = Books()
    books.tell(ask())
    assert books.tell(QueryFailed(request_id="fills/v-1", kind="timeout", detail="")) == ()


def test_a_picture_that_never_becomes_whole_is_given_up():
    books = Books()
    (timer,) = (e for e in books.tell(ask("a"), ask("b")) if isinstance(e, SetTimer) and e.timer == "reconcile")
    assert timer.due_ns == NOON_NS + 30 * 10**9
    books.tell(*ALL[:2])
    effects = books.later(30).tell(Wake(timer="reconcile", due_ns=books.now))
    assert answers(effects) == [("a", False, "data_unavailable:fills: timeout")]
    assert answers(books.tell(*ALL)) == [("b", True, "")]
    assert answers(books.tell(Wake(timer="reconcile", due_ns=books.now))) == []


def test_books_that_could_not_be_written_are_no_reconciliation():
    books = Books()
    books.disk_fails = True
    books.tell(ask())
    assert answers(books.tell(ALL[0])) == [("r", False, "data_unavailable:accounts: store")]
    books.disk_fails = False
    assert answers(books.later(60).reconcile()) == [("r", True, "")]


def test_a_failed_reconciliation_does_not_forget_that_one_succeeded():
    books = Books()
    books.reconcile()
    books.tell(ask(), QueryFailed(request_id="accounts", kind="timeout", detail=""))
    assert books.seen().reconciled
    assert books.seen().unavailable == "accounts"


def test_a_mark_is_the_bid_and_the_peak_the_highest_of_them():
    books = Books()
    books.know(order(filled_size=D(1), filled_value=D(100)))
    books.tell(listed(fill_record()))
    assert books.seen().positions[0].mark is None
    books.tell(quote(bid="105", ask="105.5"), quote(bid="103", ask="103.5"))
    held = books.seen().positions[0]
    assert (held.mark, held.peak, held.value_usd) == (D(103), D(105), D(103))
    assert replace(held, mark=None).unrealised_usd is None
