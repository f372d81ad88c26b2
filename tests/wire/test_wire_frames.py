"""Socket frames: each becomes the struct of its channel, whatever its spelling; what is none is refused in one way."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.coinbase import websocket, wire
from protocol.coinbase.wire import BadWire

ENVELOPE = {"client_id": "", "timestamp": "2026-09-30T02:39:59.551901038Z", "sequence_num": 247}
EVENTS = {
    "heartbeats": {"current_time": "2026-09-30 02:37:15.057778606 +0000 UTC m=+21697.1", "heartbeat_counter": 21697},
    "subscriptions": {"subscriptions": {"heartbeats": ["heartbeats"], "ticker": ["BTC-USD"]}},
    "ticker": {"type": "snapshot", "tickers": [{"type": "ticker", "product_id": "BTC-USD", "best_bid": "1"}]},
    "ticker_batch": {"type": "update", "tickers": [{"type": "ticker", "product_id": "BTC-USD"}]},
    "l2_data": {
        "type": "update",
        "product_id": "BTC-USD",
        "updates": [{"side": "offer", "event_time": "", "price_level": "2667.41", "new_quantity": "0"}],
    },
    "market_trades": {
        "type": "update",
        "trades": [{"product_id": "A", "trade_id": "1", "price": "1", "size": "1", "time": "", "side": "BUY"}],
    },
    "candles": {
        "type": "update",
        "candles": [
            {"start": "1", "high": "1", "low": "1", "open": "1", "close": "1", "volume": "1", "product_id": "A"}
        ],
    },
    "status": {"type": "snapshot", "products": [{"id": "BTC-USD", "status": "online"}]},
    "user": {"type": "snapshot", "orders": [{"order_id": "o", "product_id": "A", "status": "OPEN"}]},
}
KINDS = {
    "heartbeats": websocket.Heartbeats,
    "subscriptions": websocket.Subscriptions,
    "ticker": websocket.Tickers,
    "ticker_batch": websocket.TickerBatch,
    "l2_data": websocket.L2Data,
    "market_trades": websocket.MarketTrades,
    "candles": websocket.Candles,
    "status": websocket.Status,
    "user": websocket.User,
}


def frame(channel, **changes):
    return {"channel": channel} | ENVELOPE | {"events": [EVENTS[channel]]} | changes


@pytest.mark.parametrize("channel", KINDS)
def test_each_channel_has_its_struct_and_comes_back(channel, differences):
    sent = frame(channel)
    read = websocket.decode_frame(json.dumps(sent))
    assert type(read) is KINDS[channel]
    constants = ("contract_expiry_type", "risk_managed_by", "_time: invented '0001-01-01T00:00:00Z'")
    found = differences(sent, json.loads(wire.encode(read)))
    assert [d for d in found if not any(c in d for c in constants)] == []


@pytest.mark.parametrize("channel", KINDS)
def test_order_of_members_and_unknown_ones_do_not_matter(channel):
    sent = dict(reversed(frame(channel, novelty={"a": [1]}).items()))
    assert websocket.decode_frame(json.dumps(sent).encode()) == websocket.decode_frame(json.dumps(frame(channel)))


def test_client_id_may_be_absent_and_then_stays_so():
    sent = frame("heartbeats")
    del sent["client_id"]
    assert "client_id" not in json.loads(wire.encode(websocket.decode_frame(json.dumps(sent))))


@pytest.mark.parametrize("counter", [3049, "3049"])
def test_a_heartbeat_counter_is_a_number_or_text(counter):
    event = EVENTS["heartbeats"] | {"heartbeat_counter": counter}
    assert (
        int(websocket.decode_frame(json.dumps(frame("heartbeats", events=[event]))).events[0].heartbeat_counter) == 3049
    )


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("Limit", "LIMIT"),
        ("LIMIT", "LIMIT"),
        ("Stop Limit", "STOP_LIMIT"),
        ("StopLimit", "STOP_LIMIT"),
        ("STOP_LIMIT", "STOP_LIMIT"),
        ("Market", "MARKET"),
        ("", ""),
        (None, ""),
    ],
)
def test_order_types_of_every_spelling(spelling, kind):
    order = websocket.UserOrder(order_id="o", product_id="A", status="OPEN", order_type=spelling)
    assert order.kind == kind


@pytest.mark.parametrize("member", ["reject_reason", "reject_Reason"])
def test_the_reject_member_of_either_spelling(member):
    raw = json.dumps({"order_id": "o", "product_id": "A", "status": "FAILED", member: "HOLD_FAILURE"})
    order = wire.decode(raw, websocket.UserOrder)
    assert order.rejection == "HOLD_FAILURE"
    assert json.loads(wire.encode(order))[member] == "HOLD_FAILURE"


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("false", False), ("", False), (True, True), (None, False)]
)
def test_post_only_is_told_as_text(value, expected):
    raw = json.dumps({"order_id": "o", "product_id": "A", "status": "OPEN", "post_only": value})
    assert wire.decode(raw, websocket.UserOrder).is_post_only is expected


def test_error_frames_are_frames():
    assert websocket.decode_frame('{"type":"error","message":"failure to subscribe"}').message == "failure to subscribe"


@pytest.mark.parametrize(
    "raw",
    [
        *("", "{", "[]", "null", "5", '{"type":"error"', '{"type":"other"}', '{"message":"x"}', "[" * 100_000),
        json.dumps(frame("heartbeats") | {"channel": "futures_balance_summary"}),
        json.dumps(frame("heartbeats", sequence_num=-1)),
        json.dumps(frame("heartbeats", sequence_num="7")),
        json.dumps(frame("heartbeats", events={})),
        json.dumps(frame("l2_data", events=[{"type": "update"}])),
        json.dumps({"channel": "user", "events": []}),
        b"\xff\x00",
    ],
)
def test_what_is_no_frame_is_refused_in_one_way(raw):
    with pytest.raises(BadWire):
        websocket.decode_frame(raw)


@settings(deadline=None)  # the machine is shared
@given(st.integers(0, 2**32), st.sampled_from(sorted(KINDS)))
def test_damaged_frames_are_read_or_refused_never_worse(seed, channel):
    dice = random.Random(seed)
    raw = bytearray(json.dumps(frame(channel)).encode())
    for _ in range(dice.randint(1, 5)):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    try:
        read = websocket.decode_frame(bytes(raw))
    except BadWire:
        return
    assert isinstance(read, (*KINDS.values(), websocket.ErrorFrame))


def test_a_refusal_does_not_carry_the_payload():
    with pytest.raises(BadWire) as caught:
        websocket.decode_frame(json.dumps(frame("user") | {"channel": "x" * 100_000}))
    assert len(str(caught.value)) <= 200


def test_subscriptions_are_sent_without_what_is_absent():
    sent = json.loads(wire.encode(websocket.Subscribe(channel="heartbeats")))
    assert sent == {"type": "subscribe", "channel": "heartbeats"}
    message = websocket.Unsubscribe(channel=websocket.LEVEL2, product_ids=("BTC-USD",), jwt="a.b.c")
    assert websocket.decode_message(wire.encode(message)) == message


@pytest.mark.parametrize(
    "raw", ["", "{}", '{"type":"hello","channel":"x"}', '{"type":"subscribe"}', '{"type":"subscribe","channel":5}']
)
def test_what_is_no_client_message_is_refused(raw):
    with pytest.raises(BadWire):
        websocket.decode_message(raw)
