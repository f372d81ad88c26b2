"""The venue's unpleasant habits: what is late, by how much at most, and that the seed decides."""

import msgspec
import pytest

from actors.venue.lag import Unpleasantness, calm
from tests.support.trading_floor import MS_NS, Floor, d, walk


def habits(**changes):
    return msgspec.structs.replace(calm(), **changes)


def test_a_cancel_is_accepted_before_the_order_stops_resting_and_the_order_can_still_fill():
    floor = Floor(unpleasantness=habits(cancel_ms=(50, 50)))
    order_id = floor.limit("BUY", "2", "100.5")
    assert floor.cancel(order_id) == [""]
    order = floor.order(order_id)
    assert (order.status, order.pending_cancel) == ("CANCEL_QUEUED", True)
    assert floor.balance("USD")[1] > 0
    floor.wait(49)
    floor.market("SELL", "1")
    assert (floor.order(order_id).status, floor.order(order_id).filled_size) == ("CANCEL_QUEUED", "1")
    floor.wait(1)
    assert (floor.order(order_id).status, floor.order(order_id).filled_size) == ("CANCELLED", "1")
    assert floor.balance("USD")[1] == 0


def test_a_fill_can_win_the_race_against_a_cancel():
    floor = Floor(unpleasantness=habits(cancel_ms=(50, 50)))
    order_id = floor.limit("BUY", "1", "100.5")
    floor.cancel(order_id)
    floor.market("SELL", "1")
    floor.wait(100)
    assert floor.order(order_id).status == "FILLED"
    assert walk(floor.exchange.drain(), order_id) == ["PENDING", "OPEN", "CANCEL_QUEUED", "FILLED"]
    assert floor.exchange.next_due_ns() is None


def test_cancel_refusals():
    floor = Floor(unpleasantness=habits(cancel_ms=(50, 50)))
    order_id, filled = floor.limit("BUY", "1", "99"), floor.limit("BUY", "1", "101")
    assert floor.cancel(order_id, order_id, filled, "nobody") == [
        "",
        "DUPLICATE_CANCEL_REQUEST",
        "ORDER_IS_FULLY_FILLED",
        "UNKNOWN_CANCEL_ORDER",
    ]
    floor.wait(50)
    assert floor.cancel(order_id) == ["INVALID_CANCEL_REQUEST"]


def test_an_accepted_cancel_says_unknown_cancel_failure_reason():
    floor = Floor()
    (result,) = floor.exchange.cancel("desk", [floor.limit("BUY", "1", "99")], floor.now_ns)
    assert (result.success, result.failure_reason) == (True, "UNKNOWN_CANCEL_FAILURE_REASON")


def test_an_order_is_pending_before_it_reaches_the_book():
    floor = Floor(unpleasantness=habits(pending_ms=(30, 30)))
    order_id = floor.limit("BUY", "1", "101")
    assert floor.order(order_id).status == "PENDING"
    assert floor.exchange.next_due_ns() == floor.now_ns + 30 * MS_NS
    floor.wait(30)
    assert floor.order(order_id).status == "FILLED"


def test_a_pending_order_can_be_cancelled_and_still_trades_if_it_reaches_the_book_first():
    floor = Floor(unpleasantness=habits(pending_ms=(30, 30), cancel_ms=(100, 100)))
    order_id = floor.limit("BUY", "6", "101")
    floor.cancel(order_id)
    floor.wait(30)
    assert (floor.order(order_id).status, floor.order(order_id).filled_size) == ("CANCEL_QUEUED", "5")
    floor.wait(70)
    assert floor.order(order_id).status == "CANCELLED"


def test_a_pending_order_cancelled_at_once_never_reaches_the_book():
    floor = Floor(unpleasantness=habits(pending_ms=(30, 30)))
    order_id = floor.limit("BUY", "1", "101")
    floor.cancel(order_id)
    floor.wait(30)
    assert (floor.order(order_id).status, floor.order(order_id).filled_size) == ("CANCELLED", "0")
    assert floor.balance("USD") == (d(10_000), d(0))


def test_a_market_that_moves_while_an_order_is_pending_moves_its_price():
    floor = Floor(unpleasantness=habits(pending_ms=(30, 30)))
    order_id = floor.placed("BUY", "market_market_ioc", base_size="1")
    floor.quote(bids="101x5", asks="102x5")
    floor.wait(30)
    assert (floor.order(order_id).status, floor.order(order_id).average_filled_price) == ("FILLED", "102")


def test_a_market_buy_never_spends_more_than_it_held():
    floor = Floor(unpleasantness=habits(pending_ms=(30, 30)), balances={"USD": d(103)})
    order_id = floor.placed("BUY", "market_market_ioc", base_size="1")
    floor.quote(bids="119x5", asks="120x5")
    floor.wait(30)
    order = floor.order(order_id)
    assert order.status == "CANCELLED"
    assert 0 < d(order.filled_size) < 1
    assert d(order.total_value_after_fees) <= 103


def test_a_new_order_appears_late_in_lists_but_at_once_by_id():
    floor = Floor(unpleasantness=habits(list_ms=(400, 400)))
    order_id = floor.limit("BUY", "1", "99")
    assert floor.order(order_id).status == "OPEN"
    assert [order.order_id for order in floor.exchange.open_orders("desk")] == [order_id]
    floor.wait(399)
    assert floor.listed() == floor.listed(statuses=("OPEN",)) == []
    floor.wait(1)
    assert [order.order_id for order in floor.listed(statuses=("OPEN",))] == [order_id]


def test_a_fill_appears_late_in_the_fills_list():
    floor = Floor(unpleasantness=habits(fill_ms=(2000, 2000)))
    order_id = floor.limit("BUY", "1", "101")
    assert "FILLED" in walk(floor.exchange.drain(), order_id)
    floor.wait(1999)
    assert floor.fills(order_ids=(order_id,)) == []
    floor.wait(1)
    assert len(floor.fills(order_ids=(order_id,))) == 1


def _delays(seed):
    floor = Floor(unpleasantness=Unpleasantness(), seed=seed)
    trace = []
    for _ in range(40):
        order_id = floor.limit("BUY", "0.02", "99")
        pending_ms = ((floor.exchange.next_due_ns() or floor.now_ns) - floor.now_ns) // MS_NS
        floor.wait(30)
        floor.cancel(order_id)
        due_ns = floor.exchange.next_due_ns()
        assert due_ns is not None
        trace.append((pending_ms, (due_ns - floor.now_ns) // MS_NS))
        floor.wait(200)
    return trace


def test_default_delays_stay_in_their_ranges_and_use_them():
    trace = _delays(seed=11)
    cancels = [cancel for _, cancel in trace]
    assert all(0 <= pending <= 30 for pending, _ in trace)
    assert all(20 <= cancel <= 200 for cancel in cancels)
    assert max(cancels) - min(cancels) > 90


def test_the_seed_decides_everything():
    assert _delays(seed=3) == _delays(seed=3)
    assert _delays(seed=3) != _delays(seed=4)


def test_things_due_happen_in_their_own_order_and_at_their_own_time():
    floor = Floor(unpleasantness=habits(pending_ms=(10, 10), cancel_ms=(50, 50)))
    early = floor.limit("BUY", "1", "99")
    floor.wait(5)
    late = floor.limit("BUY", "1", "98")
    floor.wait(15)
    floor.cancel(late)
    floor.exchange.drain()
    floor.wait(10_000)
    assert (floor.order(early).status, floor.order(late).status) == ("OPEN", "CANCELLED")
    (event,) = [event for event in floor.exchange.drain() if type(event).__name__ == "OrderChanged"]
    assert event.at_ns == floor.now_ns - 10_000 * MS_NS + 50 * MS_NS


@pytest.mark.parametrize("back_ms", [1, 5000])
def test_time_never_runs_backwards(back_ms):
    floor = Floor(unpleasantness=habits(cancel_ms=(50, 50)))
    order_id = floor.limit("BUY", "1", "99")
    floor.cancel(order_id)
    floor.wait(50)
    floor.now_ns -= back_ms * MS_NS
    assert floor.order(order_id).status == "CANCELLED"
    again = floor.order(floor.limit("BUY", "1", "99"))
    assert again.created_time == floor.order(order_id).last_update_time
