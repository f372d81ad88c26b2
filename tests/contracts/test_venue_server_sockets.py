"""The loopback venue's WebSocket against production frames and the documentation (websocket.md)."""

import json
import re
from decimal import Decimal

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.venue_server import GENEROUS, SAMPLES, running

pytestmark = pytest.mark.req("X1")

CALM = {"pending_ms": [5, 5], "cancel_ms": [5, 5], "list_ms": [0, 0], "fill_ms": [0, 0]}
BOOKS = [
    *("BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD", "XRP-USD", "ADA-USD", "AVAX-USD", "DOT-USD", "LINK-USD"),
    *("UNI-USD", "ATOM-USD", "ALGO-USD", "XLM-USD", "HBAR-USD", "LTC-USD", "BCH-USD", "AAVE-USD"),
]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue")) as client:
        yield client


@pytest.fixture
def venue(process):
    process.change(limits=GENEROUS, unpleasantness=CALM, balances={"USD": "10000"})
    process.public("/market/product_book?product_id=BTC-USD")  # whoever polls a product keeps its market lively
    yield process
    opened = [one["order_id"] for one in process.admin("GET", "/orders?open=true")["orders"]]
    for start in range(0, len(opened), 100):
        process.post("/orders/batch_cancel", {"order_ids": opened[start : start + 100]})


def recorded(name, channel, kind=None):
    """The first production frame of a channel in a sample file, or the shape it must have cannot be told: skip."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"recorded sample {name} is not beside this checkout")
    frames = map(json.loads, filter(None, path.read_text().splitlines()))
    return next(f for f in frames if f.get("channel") == channel and kind in (None, f["events"][0].get("type")))


def acknowledged(stream):
    return stream.next("subscriptions")["events"][0]["subscriptions"]


# -- envelope and protocol


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_numbers_start_at_0_and_rise_by_one_over_all_channels(venue, path):
    with venue.stream(path) as stream:
        stream.subscribe("heartbeats")
        stream.subscribe("level2", "BTC-USD", "ETH-USD")
        stream.subscribe("market_trades", "BTC-USD")
        stream.subscribe("ticker", "BTC-USD", signed=True)
        seen = {stream.frame()["channel"] for _ in range(12)}
        assert stream.numbers == list(range(12))
        assert seen >= {"subscriptions", "l2_data", "market_trades", "ticker"}


def test_acknowledgement_lists_the_whole_set_and_ends_empty(venue):
    with venue.stream() as stream:
        stream.subscribe("heartbeats")
        assert acknowledged(stream) == {"heartbeats": ["heartbeats"]}
        stream.subscribe("ticker", "BTC-USD", "NO-SUCH", "ETH-USD")
        assert acknowledged(stream) == {"heartbeats": ["heartbeats"], "ticker": ["BTC-USD", "ETH-USD"]}
        stream.subscribe("ticker", "BTC-USD", type="unsubscribe")
        assert acknowledged(stream) == {"heartbeats": ["heartbeats"], "ticker": ["ETH-USD"]}
        stream.subscribe("heartbeats", type="unsubscribe")
        stream.subscribe("ticker", type="unsubscribe")
        acknowledged(stream)
        assert acknowledged(stream) == {}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("not json", "subscribe or unsubscribe required"),
        ('{"type":"hello","channel":"ticker"}', "subscribe or unsubscribe required"),
        ('{"type":"subscribe","channel":"nonsense"}', "authentication failure"),
        ('{"type":"subscribe","channel":"user"}', "authentication failure"),
        ('{"type":"subscribe","channel":"heartbeats","jwt":"bad"}', "authentication failure"),
        ('{"type":"subscribe","channel":"ticker"}', "failure to subscribe"),
    ],
)
def test_errors_in_productions_words_leave_the_connection_open(venue, message, text):
    with venue.stream() as stream:
        stream.socket.send(message)
        assert stream.frame() == {"type": "error", "message": text}
        stream.subscribe("heartbeats")
        assert acknowledged(stream) == {"heartbeats": ["heartbeats"]}
        assert stream.numbers == [0]


def test_seventeenth_book_is_refused_whole(venue):
    with venue.stream() as stream:
        stream.subscribe("level2", *BOOKS[:16])
        assert acknowledged(stream) == {"level2": BOOKS[:16]}
        stream.subscribe("level2", BOOKS[16])
        error = stream.next("error")
        assert error["message"] == "too many L2 streams requested in a single session"


def test_expired_token_is_refused_and_an_accepted_subscription_outlives_its_token(venue):
    with venue.stream() as stream:
        stream.send(type="subscribe", channel="user", jwt=venue.token(now_s=1_700_000_000))
        assert stream.frame()["message"] == "authentication failure"


def test_heartbeats_are_go_text_once_a_second(venue):
    sample = recorded("prod_ws_user_connection_start.jsonl", "heartbeats")["events"][0]
    go_time = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} \+0000 UTC m=\+\d+\.\d{9}")
    assert go_time.fullmatch(sample["current_time"])
    with venue.stream() as stream:
        stream.subscribe("heartbeats")
        first, second = (stream.next("heartbeats")["events"][0] for _ in range(2))
    assert go_time.fullmatch(first["current_time"])
    assert second["heartbeat_counter"] - first["heartbeat_counter"] == 1
    assert first["heartbeat_counter"] > 0


# -- market data


def test_level2_snapshot_then_batches_fold_to_the_rest_book(venue):
    with venue.stream() as stream:
        stream.subscribe("level2", "ETH-USD")
        event = stream.next("l2_data")["events"][0]
        assert event["type"] == "snapshot"
        sides = [row["side"] for row in event["updates"]]
        assert sides == sorted(sides), "bids, then offers"
        book = {(row["side"], Decimal(row["price_level"])): Decimal(row["new_quantity"]) for row in event["updates"]}
        for _ in range(6):
            fold(book, stream.next("l2_data")["events"][0])
        venue.change(product_id="ETH-USD", halt=True)
        try:
            while True:
                fold(book, stream.next("l2_data", timeout=0.3)["events"][0])
        except TimeoutError:
            told = venue.get("/product_book?product_id=ETH-USD")["pricebook"]
        finally:
            venue.change(product_id="ETH-USD", halt=False)
    shown = {("bid", Decimal(one["price"])): Decimal(one["size"]) for one in told["bids"]}
    shown |= {("offer", Decimal(one["price"])): Decimal(one["size"]) for one in told["asks"]}
    assert book == shown


def fold(book, event):
    assert event["type"] == "update"
    assert len({row["event_time"] for row in event["updates"]}) == 1
    for row in event["updates"]:
        assert row["side"] in {"bid", "offer"}
        assert "." not in row["new_quantity"] or not row["new_quantity"].endswith("0")
        level = row["side"], Decimal(row["price_level"])
        if Decimal(row["new_quantity"]):
            book[level] = Decimal(row["new_quantity"])
        else:
            book.pop(level, None)
    prices = {side: [price for one, price in book if one == side] for side in ("bid", "offer")}
    assert max(prices["bid"]) < min(prices["offer"])


def test_the_alias_is_subscribed_by_its_name_and_told_by_its_books(venue):
    with venue.stream() as stream:
        for channel in ("level2", "ticker", "market_trades"):
            stream.subscribe(channel, "BTC-USDC")
        labels = {stream.next("l2_data")["events"][0]["product_id"]}
        labels |= {row["product_id"] for row in stream.next("ticker")["events"][0]["tickers"]}
        labels |= {row["product_id"] for row in stream.next("market_trades")["events"][0]["trades"]}
        whole = {"level2": ["BTC-USDC"], "ticker": ["BTC-USDC"], "market_trades": ["BTC-USDC"]}
        assert acknowledged(stream) == whole
        labels.add(stream.next("l2_data")["events"][0]["product_id"])
    assert labels == {"BTC-USD"}


def test_trades_tell_the_makers_side_and_none_comes_twice(venue):
    sample = recorded("prod_ws_consecutive_frames.jsonl", "market_trades")["events"][0]["trades"][0]
    venue.change(product_id="GRT-USD", halt=True)
    with venue.stream() as stream:
        stream.subscribe("market_trades", "GRT-USD")
        snapshot = stream.next("market_trades")["events"][0]
        assert snapshot["type"] == "snapshot"
        assert snapshot["trades"][0].keys() == sample.keys()
        venue.change(product_id="GRT-USD", aggressor={"side": "SELL", "size": "1"})
        update = stream.next("market_trades")["events"][0]
    venue.change(product_id="GRT-USD", halt=False)
    assert update["type"] == "update"
    assert {one["side"] for one in update["trades"]} == {"BUY"}
    ids = [int(one["trade_id"]) for one in snapshot["trades"]]
    assert ids == sorted(ids, reverse=True)
    assert min(int(one["trade_id"]) for one in update["trades"]) > ids[0]


@pytest.mark.parametrize("channel", ["ticker", "ticker_batch"])
def test_tickers_have_productions_members(venue, channel):
    sample = recorded("prod_ws_ticker_ack_heartbeat.jsonl", "ticker")["events"][0]["tickers"][0]
    best = {"best_bid", "best_ask", "best_bid_quantity", "best_ask_quantity"}
    with venue.stream() as stream:
        stream.subscribe(channel, "BTC-USD")
        event = stream.next(channel)["events"][0]
    assert event["type"] == "snapshot"
    assert event["tickers"][0].keys() == (sample.keys() if channel == "ticker" else sample.keys() - best)
    assert set(map(type, event["tickers"][0].values())) == {str}


def test_candles_are_five_minutes_and_status_names_id(venue):
    with venue.stream() as stream:
        stream.subscribe("candles", "BTC-USD")
        rows = stream.next("candles")["events"][0]["candles"]
        assert int(rows[0]["start"]) % 300 == 0
        assert rows[0].keys() == {"start", "high", "low", "open", "close", "volume", "product_id"}
        stream.next("candles", lambda frame: frame["events"][0]["type"] == "update")
        stream.subscribe("status")
        products = stream.next("status")["events"][0]["products"]
        assert {"BTC-USD", "BTC-USDC"} <= {one["id"] for one in products}
        assert acknowledged(stream)["candles"] == ["BTC-USD"]
        venue.change(product_id="SKL-USD", state={"status": "offline"})
        told = stream.next("status", lambda frame: frame["events"][0]["type"] == "update")["events"][0]["products"]
        venue.change(product_id="SKL-USD", state={"status": "online"})
    assert [(one["id"], one["status"]) for one in told] == [("SKL-USD", "offline")]


# -- the user channel


def test_user_channel_starts_as_production_does(venue):
    with venue.stream() as stream:
        stream.subscribe("user", signed=True)
        snapshot, ack = stream.frame(), stream.frame()
    sample = recorded("prod_ws_user_connection_start.jsonl", "user")
    assert snapshot["events"] == sample["events"]
    assert snapshot.keys() == sample.keys()
    [user_id] = ack["events"][0]["subscriptions"]["user"]
    assert re.fullmatch(r"[0-9a-f-]{36}", user_id)


def test_a_resting_order_goes_pending_open_cancel_queued_cancelled(venue):
    with venue.stream() as stream:
        stream.subscribe("user", signed=True)
        acknowledged(stream)
        order_id = venue.place()
        states = stream.user_orders(order_id, "OPEN")
        venue.post("/orders/batch_cancel", {"order_ids": [order_id]})
        states += stream.user_orders(order_id, "CANCELLED")
    assert [one["status"] for one in states] == ["PENDING", "OPEN", "CANCEL_QUEUED", "CANCELLED"]
    assert states[0]["post_only"] == "true"
    assert states[-1]["leaves_quantity"] == "0"


def test_filled_comes_twice_first_with_its_old_hold(venue):
    path = SAMPLES / "prod_ws_user_filled_order_twice.json"
    with venue.stream() as stream:
        stream.subscribe("user", signed=True)
        through = (Decimal(venue.get("/products/BTC-USD")["price"]) * Decimal("1.05")).quantize(Decimal(1))
        order_id = venue.place("BTC-USD", "BUY", sor_limit_ioc={"base_size": "0.001", "limit_price": str(through)})
        [*_, first] = stream.user_orders(order_id, "FILLED")
        [second] = stream.user_orders(order_id, "FILLED")
    assert {name for name in first if first[name] != second[name]} == {"outstanding_hold_amount"}
    assert Decimal(first["outstanding_hold_amount"]) > Decimal(second["outstanding_hold_amount"]) == 0
    assert not {"trade_id", "price"} & first.keys()
    if path.exists():
        assert first.keys() == json.loads(path.read_text())["orders_in_arrival_order"][0].keys()


@pytest.mark.parametrize("count", [49, 50, 51])
def test_user_snapshot_comes_by_fifty_and_ends_short(venue, count):
    placed = [venue.place() for _ in range(count)]
    with venue.stream() as stream:
        stream.subscribe("user", signed=True)
        pages = []
        while True:
            pages.append(stream.next("user")["events"][0]["orders"])
            if len(pages[-1]) < 50:
                break
        acknowledged(stream)
    assert [one["order_id"] for page in pages for one in page] == placed
    assert [len(page) for page in pages[:-1]] == [50] * (len(pages) - 1)


# -- the end


@pytest.mark.slow
def test_a_connection_that_subscribes_to_nothing_is_closed_after_five_seconds(venue):
    with venue.stream() as stream, pytest.raises(ConnectionClosed):
        stream.frame(timeout=7.5)


def test_a_venue_that_stops_says_going_away(tmp_path):
    with running(tmp_path) as client, client.stream() as stream:
        stream.subscribe("heartbeats")
        acknowledged(stream)
        client.process.terminate()
        assert list(stream.socket) == [], "an orderly close ends the iteration"
        assert stream.socket.close_code == 1001
        assert client.process.wait(5) == 0
