"""Editing resting limit orders."""

import msgspec
import pytest

from actors.venue.checks import VenueRules
from actors.venue.lag import calm
from actors.venue.requests import EditRequest
from tests.support.trading_floor import USER, Floor, d


def edit(floor, order_id, price="100.5", size="2"):
    """The reasons of a refused edit, None for an accepted one."""
    answer = floor.exchange.edit(USER, EditRequest(order_id=order_id, price=price, size=size), floor.now_ns)
    assert answer.success == (answer.errors == [])
    return None if answer.success else (answer.errors[0].edit_failure_reason, answer.errors[0].preview_failure_reason)


def test_an_edit_keeps_the_id_and_changes_price_size_hold_and_echo():
    floor = Floor()
    order_id = floor.limit("BUY", "1", "99")
    assert edit(floor, order_id, "100.5", "2") is None
    order = floor.order(order_id)
    echo = order.order_configuration["limit_limit_gtc"]
    assert (echo["base_size"], echo["limit_price"], order.status) == ("2", "100.5", "OPEN")
    assert floor.balance("USD")[1] == d(201) * d("1.012") == d(order.outstanding_hold_amount)
    assert floor.bids()[0] == (d("100.5"), d(2))
    assert [(record.price, record.size) for record in order.edit_history] == [("100.5", "2")]


def test_only_the_last_five_edits_are_remembered():
    floor = Floor()
    order_id = floor.limit("BUY", "1", "99")
    for size in range(2, 9):
        assert edit(floor, order_id, "99", str(size)) is None
    assert [record.size for record in floor.order(order_id).edit_history] == ["4", "5", "6", "7", "8"]


@pytest.mark.parametrize(("size", "filled"), [("1.5", "1"), ("3", "0")])
def test_a_lowered_size_keeps_its_place_and_a_raised_one_loses_it(size, filled):
    floor = Floor()
    floor.quote(bids="99x5")
    order_id = floor.limit("BUY", "2", "100")
    floor.quote(bids="100x5 99x5")  # queues behind the order
    assert edit(floor, order_id, "100", size) is None
    floor.market("SELL", "1")
    assert floor.order(order_id).filled_size == filled


def test_an_edit_that_crosses_trades():
    floor = Floor()
    order_id = floor.limit("BUY", "1", "99")
    assert edit(floor, order_id, "101", "1") is None
    assert (floor.order(order_id).status, floor.order(order_id).average_filled_price) == ("FILLED", "101")


def test_a_partly_filled_order_is_edited_to_a_new_total():
    floor = Floor()
    order_id = floor.limit("BUY", "2", "100.5")
    floor.market("SELL", "1")
    assert edit(floor, order_id, "100.5", "1") == ("CANNOT_EDIT_TO_BELOW_FILLED_SIZE", UNKNOWN)
    assert edit(floor, order_id, "100.5", "4") is None
    assert floor.bids()[0] == (d("100.5"), d(3))


UNKNOWN = "UNKNOWN_PREVIEW_FAILURE_REASON"
REFUSALS = [
    ("100.5", "0", "INVALID_EDITED_SIZE", UNKNOWN),
    ("100.5", "", "INVALID_EDITED_SIZE", UNKNOWN),
    ("100.5", "1.0005", "INVALID_EDITED_SIZE", "PREVIEW_INVALID_SIZE_PRECISION"),
    ("0", "1", "INVALID_EDITED_PRICE", UNKNOWN),
    ("100.51", "1", "INVALID_EDITED_PRICE", UNKNOWN),
    ("99", "1", "EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST", UNKNOWN),
    ("101", "1", "INVALID_EDITED_PRICE", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
    ("100", "200", "UNKNOWN_EDIT_ORDER_FAILURE_REASON", "PREVIEW_INSUFFICIENT_FUND"),
]


@pytest.mark.parametrize(("price", "size", "reason", "preview"), REFUSALS)
def test_an_edit_is_refused_and_changes_nothing(price, size, reason, preview):
    floor = Floor()
    order_id = floor.limit("BUY", "1", "99", post_only=True)
    before = floor.order(order_id), floor.balance("USD"), floor.bids()
    assert edit(floor, order_id, price, size) == (reason, preview)
    assert (floor.order(order_id), floor.balance("USD"), floor.bids()) == before


def test_only_open_limit_orders_good_till_cancelled_are_edited():
    floor = Floor()
    filled = floor.limit("BUY", "1", "101")
    ioc = floor.placed("BUY", "sor_limit_ioc", base_size="1", limit_price="99")
    in_quote = floor.placed("BUY", "limit_limit_gtc", quote_size="99", limit_price="99")
    assert edit(floor, "nobody")[0] == "ORDER_NOT_FOUND"
    assert edit(floor, filled)[0] == "ONLY_OPEN_ORDERS_CAN_BE_EDITED"
    assert edit(floor, ioc)[0] == "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"
    assert edit(floor, in_quote)[0] == "SIZE_IN_QUOTE_EDITS_NOT_ALLOWED"


def test_an_order_waiting_for_its_cancel_is_not_edited():
    floor = Floor(unpleasantness=msgspec.structs.replace(calm(), cancel_ms=(50, 50)))
    order_id = floor.limit("BUY", "1", "99")
    floor.cancel(order_id)
    assert edit(floor, order_id)[0] == "CANNOT_EDIT_ORDER_PENDING_CANCEL"


def test_edits_per_order_are_counted():
    floor = Floor()
    floor.exchange.set_rules(VenueRules(edits_per_order=1))
    order_id = floor.limit("BUY", "1", "99")
    assert edit(floor, order_id, "99", "2") is None
    assert edit(floor, order_id, "99", "3")[0] == "EXCEEDED_MAX_ALLOWED_EDIT_REQUEST_COUNT"
