"""The books: fills into positions and PnL, to the cent (execution.md §6)."""

import pytest
from msgspec.structs import replace

from actors.portfolio.ledger import Least, Ledger, book, settle, without_dust
from protocol.orders import Side, Status
from tests.support.desk_scenes import BTC, ETH, NOON_NS, TARGETS, D, fill_record, intent, order

LEAST = Least(increment=D("0.00000001"), dust_usd=D(0))
FALLBACK = replace(TARGETS, stop_loss_pct=D(7))


def buy(size, price, fee=0, **changes):
    return fill_record(BTC, Side.BUY, size, price, fee=D(fee), **changes)


def sell(size, price, fee=0, **changes):
    return fill_record(BTC, Side.SELL, size, price, fee=D(fee), **changes)


def booked(*fills, ledger=None):
    """The outcome of the last of these fills of ours."""
    outcome, ledger = None, ledger or Ledger()
    for fill in fills:
        outcome = book(ledger, fill, order(fill.product_id, fill.side), LEAST, FALLBACK)
        ledger = outcome.ledger
    return outcome


WORKED = {
    "fees of both sides eat the gain": ((buy("0.01", 50_000, 10), sell("0.01", 52_000, 10)), "0.00", "0"),
    "half of the entry fee goes with half of the position": (
        (buy("0.02", 50_000, 20), sell("0.01", 51_000, 10)),
        "-10.00",
        "0.01",
    ),
    "a loss counts both fees": ((buy("0.01", 50_000, 10), sell("0.01", 48_000, 10)), "-40.00", "0"),
    "a gain without fees is the difference": ((buy("0.5", 100), sell("0.5", 110)), "5.00", "0"),
    "the average of two purchases is what a sale is held against": (
        (buy("0.01", 50_000), buy("0.01", 52_000), sell("0.02", 51_000)),
        "0.00",
        "0",
    ),
}


@pytest.mark.req("X2", "X3")
@pytest.mark.parametrize(("fills", "net", "left"), WORKED.values(), ids=WORKED)
def test_realised_profit(fills, net, left):
    outcome = booked(*fills)
    held = outcome.ledger.position(BTC)
    assert outcome.net_usd == D(net)
    assert outcome.ledger.realised_today_usd == D(net)
    assert (held.quantity if held else 0) == D(left)
    assert outcome.closed is (held is None)


def test_two_purchases_average_by_size():
    held = booked(buy("0.01", 50_000), buy("0.01", 52_000)).ledger.position(BTC)
    assert (held.average_price, held.quantity) == (D(51_000), D("0.02"))


def test_entry_fees_stay_with_what_is_still_held():
    held = booked(buy("0.02", 50_000, 20), sell("0.01", 51_000, 10)).ledger.position(BTC)
    assert (held.entry_fees, held.average_price, held.realised_usd) == (D(10), D(50_000), D(-10))


def test_nothing_is_rounded():
    held = booked(buy("0.00000003", "33333.33", "0.0000059999994")).ledger.position(BTC)
    assert held.quantity * held.average_price == D("0.0009999999")
    assert held.entry_fees == D("0.0000059999994")


TOTALS = {
    "a purchase moves both currencies and the fee": ((buy("0.5", 100, 1),), {"BTC": "0.5", "USD": "-51"}),
    "a sale brings its value less the fee": (
        (buy("0.5", 100, 1), sell("0.25", 120, 2)),
        {"BTC": "0.25", "USD": "-23"},
    ),
}


@pytest.mark.parametrize(("fills", "totals"), TOTALS.values(), ids=TOTALS)
def test_what_the_account_should_hold(fills, totals):
    ledger = booked(*fills).ledger
    assert {t.currency: t.total for t in ledger.totals} == {name: D(total) for name, total in totals.items()}


CLOSES = {
    "nothing left": ("1", True),
    "less than half an increment left": ("0.999999996", True),
    "half an increment left": ("0.999999995", False),
    "an increment left": ("0.99999999", False),
}


@pytest.mark.parametrize(("size", "closed"), CLOSES.values(), ids=CLOSES)
def test_a_position_is_closed_by_the_products_own_increment(size, closed):
    outcome = booked(buy(1, 100), sell(size, 100))
    assert outcome.closed is closed
    assert (outcome.ledger.position(BTC) is None) is closed


DUST = Least(increment=D("0.00000001"), dust_usd=D(1))
WHOLE = order(side=Side.SELL, status=Status.CANCELED, filled_size=D("0.995"))
MORE = order(side=Side.SELL, status=Status.PARTIALLY_FILLED, filled_size=D("0.995"))


@pytest.mark.req("X2")
@pytest.mark.parametrize(
    ("sold", "size", "closed"),
    [
        pytest.param(WHOLE, "0.995", True, id="half a dollar left"),
        pytest.param(WHOLE, "0.99", False, id="a dollar left"),
        pytest.param(MORE, "0.995", False, id="half a dollar left, and the order works on"),
    ],
)
def test_what_is_worth_less_than_dust_is_no_position(sold, size, closed):
    sold = replace(sold, filled_size=D(size))
    outcome = book(booked(buy(1, 100)).ledger, sell(size, 100), sold, DUST, FALLBACK)
    assert outcome.closed is closed
    assert (outcome.ledger.position(BTC) is None) is closed
    assert outcome.ledger.total("BTC") == 1 - D(size)


def test_dust_that_a_sale_left_unfinished_goes_when_it_settles():
    left = book(booked(buy(1, 100)).ledger, sell("0.995", 100), MORE, DUST, FALLBACK).ledger
    assert without_dust(left, BTC, DUST).position(BTC) is None
    assert without_dust(left, BTC, LEAST) == left


def test_a_purchase_on_top_of_dust_begins_a_position_of_its_own():
    left = book(booked(buy(1, 100)).ledger, sell("0.995", 100), MORE, DUST, FALLBACK).ledger
    anew = order(intent=intent(correlation="another", targets=TARGETS))
    position = book(left, buy(2, 90, trade_ns=NOON_NS + 7), anew, DUST, FALLBACK).ledger.position(BTC)
    assert (position.quantity, position.average_price, position.opened_ns) == (2, 90, NOON_NS + 7)
    assert (position.correlation, position.targets) == ("another", TARGETS)


def test_a_purchase_in_small_parts_is_one_position():
    first = book(Ledger(), buy("0.001", 100), order(), DUST, FALLBACK).ledger
    assert book(first, buy(1, 100), order(), DUST, FALLBACK).ledger.position(BTC).quantity == D("1.001")


def test_selling_more_than_is_held_is_clamped_for_profit_and_named():
    outcome = booked(buy(1, 100), sell("1.5", 110))
    assert (outcome.net_usd, outcome.oversold, outcome.closed) == (D(10), D("0.5"), True)
    assert outcome.ledger.total("BTC") == D("-0.5")


def test_selling_without_a_position_has_no_profit_to_tell_and_does_not_vanish():
    outcome = booked(sell(1, 100, 1))
    assert (outcome.net_usd, outcome.oversold) == (None, D(1))
    assert (outcome.ledger.total("USD"), outcome.ledger.fees_today_usd) == (D(99), D(1))


def test_somebody_elses_fill_moves_the_totals_and_nothing_else():
    outcome = book(Ledger(), buy(1, 100, 1), None, LEAST, FALLBACK)
    assert outcome.ledger.positions == ()
    assert (outcome.ledger.total("BTC"), outcome.ledger.total("USD")) == (D(1), D(-101))
    assert (outcome.ledger.fees_today_usd, outcome.net_usd) == (D(0), None)


@pytest.mark.req("X2")
def test_a_position_is_born_with_its_targets_strategy_and_story():
    meant = intent(strategy="s", correlation="c", targets=replace(TARGETS, max_hold_s=5))
    outcome = book(Ledger(), buy(1, 100, trade_ns=NOON_NS + 5), order(intent=meant), LEAST, FALLBACK)
    held = outcome.ledger.position(BTC)
    assert (held.targets.max_hold_s, held.strategy, held.correlation) == (5, "s", "c")
    assert (held.opened_ns, held.peak) == (NOON_NS + 5, D(100))


def test_an_order_without_targets_gets_the_policys():
    outcome = book(Ledger(), buy(1, 100), order(intent=intent(targets=None)), LEAST, FALLBACK)
    assert outcome.ledger.position(BTC).targets == FALLBACK


def test_positions_of_different_products_are_apart():
    ledger = booked(buy(1, 100), fill_record(ETH, size=2, price=10)).ledger
    assert [(p.product_id, p.quantity) for p in ledger.positions] == [(BTC, D(1)), (ETH, D(2))]


def test_what_is_booked_of_an_order_is_known_until_it_is_settled():
    ledger = booked(buy("0.25", 100), buy("0.5", 100, entry_id="e2")).ledger
    assert ledger.booked_of("v-BTC-USD-BUY") == D("0.75")
    assert settle(ledger, "v-BTC-USD-BUY").booked == ()


def test_the_cursor_is_the_newest_fill_whatever_the_order_of_arrival():
    ledger = booked(buy(1, 100, trade_ns=7), buy(1, 100, trade_ns=3)).ledger
    assert ledger.cursor_ns == 7


def test_status_of_the_order_does_not_matter_to_its_fills():
    late = order(status=Status.CANCELED)
    assert book(Ledger(), buy(1, 100), late, LEAST, FALLBACK).ledger.position(BTC).quantity == 1
