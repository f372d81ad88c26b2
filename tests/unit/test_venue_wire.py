"""Every answer of the exchange reads back through the client's own wire structs."""

import msgspec
import pytest

from actors.venue.requests import EditRequest, FillQuery, OrderQuery, PlaceRequest
from protocol.coinbase import orders as client
from protocol.coinbase import rest
from protocol.coinbase import websocket as channels
from tests.support.trading_floor import BTC, USER, Floor


@pytest.fixture(scope="module")
def answers():
    floor = Floor()
    exchange, now_ns = floor.exchange, floor.now_ns
    resting = floor.limit("BUY", "1", "99", post_only=True)
    members = {"limit_limit_gtc": {"base_size": "1", "limit_price": "99"}}
    request = PlaceRequest(client_order_id="p", product_id=BTC, side="BUY", order_configuration=members)
    return {
        "placed": (floor.place("BUY", "market_market_ioc", quote_size="10"), client.CreateOrderAnswer),
        "refused": (floor.place("BUY", "market_market_fok", quote_size="10"), client.CreateOrderAnswer),
        "preview": (exchange.preview(USER, request, now_ns), client.PreviewAnswer),
        "edit": (exchange.edit(USER, EditRequest(order_id=resting, price="98", size="1"), now_ns), client.EditAnswer),
        "edit refused": (exchange.edit(USER, EditRequest(order_id=resting), now_ns), client.EditAnswer),
        "order": (exchange.order(USER, resting, now_ns), client.Order),
        "orders": (exchange.list_orders(USER, OrderQuery(), now_ns), client.OrdersPage),
        "fills": (exchange.list_fills(USER, FillQuery(), now_ns), client.FillsPage),
        "cancel": (exchange.cancel(USER, [resting], now_ns)[0], client.CancelResult),
        "accounts": (exchange.accounts(USER), rest.AccountsPage),
        "fees": (exchange.transaction_summary(USER, now_ns), rest.TransactionSummary),
        "product": (exchange.product_view(BTC, now_ns), rest.Product),
        "book": (exchange.product_book(BTC, now_ns), rest.ProductBook),
        "trade": (exchange.recent_trades(BTC, 1)[0], rest.PublicTrade),
    }


NAMES = ["placed", "refused", "preview", "edit", "edit refused", "order", "orders", "fills", "cancel", "accounts"]
NAMES += ["fees", "product", "book", "trade"]


def agree(read, wire):
    """What both name has the same value; either may have members that the other does not know."""
    if isinstance(wire, dict):
        assert read.keys() & wire.keys() or not wire
        for key in read.keys() & wire.keys():
            agree(read[key], wire[key])
    elif isinstance(wire, list):
        assert len(read) == len(wire)
        for ours, theirs in zip(read, wire, strict=True):
            agree(ours, theirs)
    else:
        assert read == wire


@pytest.mark.parametrize("name", NAMES)
def test_the_clients_structs_read_every_member_alike(answers, name):
    ours, shape = answers[name]
    wire = msgspec.json.decode(msgspec.json.encode(ours))
    read = msgspec.json.decode(msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(ours), type=shape)))
    agree(read, wire)


def test_the_user_channels_order_reads_back():
    floor = Floor()
    order_id = floor.limit("BUY", "1", "99", post_only=True)
    (ours,) = floor.exchange.open_orders(USER)
    read = msgspec.json.decode(msgspec.json.encode(ours), type=channels.UserOrder)
    assert (read.order_id, str(read.status)) == (order_id, "OPEN")
