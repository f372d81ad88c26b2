"""The queue model: users' orders and market liquidity in one line, and what the market driver may do to it."""

import pytest

from actors.venue.events import AccountChanged, BookChanged, Traded
from actors.venue.requests import PlaceRequest
from tests.support.trading_floor import BTC, START_NS, USER, Floor, d, levels


def filled(floor, order_id):
    return floor.order(order_id).filled_size


def test_an_order_waits_behind_what_was_shown_at_its_price_when_it_came():
    floor = Floor()
    order_id = floor.limit("BUY", "2", "100")  # 5 ahead
    floor.market("SELL", "5")
    assert filled(floor, order_id) == "0"
    floor.market("SELL", "1")
    assert filled(floor, order_id) == "1"


def test_liquidity_that_comes_later_queues_behind_the_order():
    floor = Floor()
    order_id = floor.limit("BUY", "2", "100")
    floor.quote(bids="100x50 99x5")
    floor.market("SELL", "7")
    assert filled(floor, order_id) == "2"


def test_cancels_of_shown_size_thin_the_queue_ahead_pro_rata():
    floor = Floor()
    order_id = floor.limit("BUY", "2", "100")  # 5 ahead
    floor.quote(bids="100x20 99x5")  # 15 behind
    floor.quote(bids="100x4 99x5")  # a fifth is left on both sides: 1 ahead, 3 behind
    floor.market("SELL", "1")
    assert filled(floor, order_id) == "0"
    floor.market("SELL", "2")
    assert filled(floor, order_id) == "2"
    assert floor.bids()[0] == (d(100), d(3))


def test_the_rounding_rest_of_thinning_is_not_lost():
    floor = Floor()
    floor.limit("BUY", "2", "100")
    floor.quote(bids="100x9 99x5")
    floor.quote(bids="100x1 99x5")
    assert floor.bids()[0] == (d(100), d(3))


def test_market_liquidity_that_goes_leaves_the_order_first_in_line():
    floor = Floor()
    order_id = floor.limit("BUY", "2", "100")
    floor.quote(bids="99x5")
    floor.market("SELL", "1")
    assert filled(floor, order_id) == "1"


def test_a_new_market_bid_that_crosses_a_resting_ask_trades_at_the_resting_price():
    floor = Floor()
    order_id = floor.limit("SELL", "2", "100.5")
    trades = floor.exchange.quote_market(BTC, levels("101x5 100x5"), levels("102x5"), floor.now_ns)
    assert [(trade.price, trade.size, trade.maker_side) for trade in trades] == [(d("100.5"), d(2), "SELL")]
    assert floor.order(order_id).status == "FILLED"
    assert floor.fills()[0].liquidity_indicator == "MAKER"
    assert floor.bids()[0] == (d(101), d(3))  # what it bought no longer rests


def test_a_new_market_ask_that_crosses_a_resting_bid_trades_at_the_resting_price():
    floor = Floor()
    order_id = floor.limit("BUY", "7", "100.5")
    floor.quote(bids="99x5", asks="100x5 101x5")
    assert (filled(floor, order_id), floor.order(order_id).average_filled_price) == ("5", "100.5")
    assert (floor.bids()[0], floor.asks()[0]) == ((d("100.5"), d(2)), (d(101), d(5)))


def test_a_partial_ladder_changes_only_the_levels_it_names():
    floor = Floor()
    floor.quote(bids="99x0 98x7", asks="", complete=False)
    assert floor.bids() == levels("100x5 98x7")
    assert floor.asks() == levels("101x5 102x5 103x5")


def test_market_liquidity_crossed_by_new_market_liquidity_gives_way_without_a_trade():
    floor = Floor()
    floor.exchange.drain()
    floor.quote(bids="102x1", asks="", complete=False)
    assert floor.bids()[0] == (d(102), d(1))
    assert floor.asks() == levels("103x5")
    assert not [event for event in floor.exchange.drain() if isinstance(event, Traded)]


@pytest.mark.parametrize(("bids", "asks"), [("101x1", "101x1"), ("102x1 100x1", "101x1"), ("0x1", ""), ("100x-1", "")])
def test_an_impossible_ladder_is_refused_and_changes_nothing(bids, asks):
    floor = Floor()
    with pytest.raises(ValueError, match=r"crossed|positive"):
        floor.quote(bids=bids, asks=asks)
    assert floor.bids() == levels("100x5 99x5 98x5")


def test_an_aggressor_stops_at_its_limit_and_its_rest_vanishes():
    floor = Floor()
    trades = floor.exchange.market_order(BTC, "BUY", d(100), floor.now_ns, d(102))
    assert [(trade.price, trade.size) for trade in trades] == levels("101x5 102x5")
    assert floor.asks() == levels("103x5")
    assert floor.bids()[0] == (d(100), d(5))


def test_price_comes_before_time():
    floor = Floor()
    early, better = floor.limit("BUY", "1", "100"), floor.limit("BUY", "1", "100.5")
    floor.market("SELL", "1")
    assert (filled(floor, early), filled(floor, better)) == ("0", "1")


def test_time_decides_at_one_price():
    floor = Floor()
    first, second = floor.limit("BUY", "1", "100.5"), floor.limit("BUY", "1", "100.5")
    floor.market("SELL", "1.5")
    assert (filled(floor, first), filled(floor, second)) == ("1", "0.5")


def test_drained_levels_are_absolute_sizes_bids_down_asks_up_and_zero_for_gone():
    floor = Floor()
    floor.quote(bids="100x4 97x1", asks="101x5 102x6 104x1")
    (change,) = [event for event in floor.exchange.drain() if isinstance(event, BookChanged)]
    assert change.product_id == BTC
    assert list(change.bids) == levels("100x4 99x0 98x0 97x1")
    assert list(change.asks) == levels("102x6 103x0 104x1")
    assert floor.exchange.drain() == []


def test_drained_accounts_come_once_with_their_state_now():
    floor = Floor()
    floor.limit("BUY", "1", "101")
    floor.limit("BUY", "1", "99")
    changed = {event.account.currency: event for event in floor.exchange.drain() if isinstance(event, AccountChanged)}
    assert set(changed) == {"USD", "BTC"}
    assert changed["USD"].account.hold.value == "100.188"
    assert changed["BTC"].account.available_balance.value == "11"


def test_an_auction_lets_orders_cross_and_its_end_trades_them():
    floor = Floor()
    floor.exchange.open_user("other", START_NS, {"USD": d(1000)})
    floor.exchange.set_product(BTC, floor.now_ns, auction_mode=True)
    ask = floor.limit("SELL", "1", "100.5")
    other = PlaceRequest(
        client_order_id="b",
        product_id=BTC,
        side="BUY",
        order_configuration={"limit_limit_gtc": {"base_size": "1", "limit_price": "101"}},
    )
    floor.exchange.place("other", other, floor.now_ns)
    floor.market("BUY", "1")
    assert floor.bids()[0][0] > floor.asks()[0][0]
    assert filled(floor, ask) == "0"
    floor.exchange.set_product(BTC, floor.now_ns, auction_mode=False)
    assert (floor.order(ask).status, floor.order(ask).average_filled_price) == ("FILLED", "100.5")
    assert floor.bids()[0][0] < floor.asks()[0][0]


def test_one_trigger_sets_off_the_next():
    floor = Floor()
    stops = [
        floor.placed(
            "SELL",
            "stop_limit_stop_limit_gtc",
            base_size="5",
            limit_price="95",
            stop_price=stop,
            stop_direction="STOP_DIRECTION_STOP_DOWN",
        )
        for stop in ("99", "98.5")
    ]
    floor.market("SELL", "5.001", "99")  # prints 99; the first stop sells through 99 to 98 and so reaches the second
    assert [floor.order(order_id).trigger_status for order_id in stops] == ["STOP_TRIGGERED"] * 2


def test_users_see_only_their_own_orders_change():
    floor = Floor()
    floor.limit("BUY", "1", "99")
    assert {event.user for event in floor.exchange.drain() if isinstance(event, AccountChanged)} == {USER}
