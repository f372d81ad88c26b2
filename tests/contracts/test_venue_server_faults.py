"""Every fault of the loopback venue shows at the wire as its plan says (faults.md §3, rows A to C)."""

import contextlib
import http.client
import json
import time
import uuid
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from tests.support.venue_server import GENEROUS, running

pytestmark = pytest.mark.req("X1")

CALM = {"pending_ms": [0, 0], "cancel_ms": [0, 0], "list_ms": [0, 0], "fill_ms": [0, 0]}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue"), "--seed", "7") as client:
        yield client


@pytest.fixture
def venue(process):
    process.change(limits=GENEROUS, unpleasantness=CALM)
    process.public("/market/product_book?product_id=BTC-USD")  # whoever polls a product keeps its market lively
    yield process
    process.admin("DELETE", "/faults")


def open_ids(venue):
    return {one["client_order_id"] for one in venue.admin("GET", "/orders?open=true")["orders"]}


# -- REST: the outcome is unknown to the client, the venue knows it


@pytest.mark.parametrize("accepted", [True, False])
def test_drop_never_answers(venue, accepted):
    venue.fault("drop", target="create_order", count=1, parameters={"accepted": accepted})
    order = venue.order()
    with pytest.raises(TimeoutError):
        venue.call("POST", "/orders", order, timeout=0.3)
    assert (order["client_order_id"] in open_ids(venue)) is accepted
    newest = venue.admin("GET", "/requests")["requests"][-1]
    assert (newest["status"], newest["answered_ns"], newest["faults"]) == (0, None, ["drop"])


@pytest.mark.parametrize("accepted", [True, False])
def test_reset_cuts_the_connection(venue, accepted):
    venue.fault("reset", target="POST /api/v3/brokerage/orders", count=1, parameters={"accepted": accepted})
    order = venue.order()
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        venue.call("POST", "/orders", order)
    assert (order["client_order_id"] in open_ids(venue)) is accepted


@pytest.mark.parametrize("accepted", [True, False])
def test_500_may_have_accepted(venue, accepted):
    venue.fault("error", target="orders", count=1, parameters={"accepted": accepted})
    order = venue.order()
    reply = venue.call("POST", "/orders", order)
    assert (reply.status, reply.json["error"]) == (500, "INTERNAL")
    assert (order["client_order_id"] in open_ids(venue)) is accepted
    assert venue.post("/orders", order)["success"]


def test_truncated_answer_of_an_accepted_order(venue):
    venue.fault("truncate", target="create_order", count=1)
    order = venue.order()
    reply = venue.call("POST", "/orders", order)
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.raw)
    assert reply.status == 200
    assert order["client_order_id"] in open_ids(venue)


def test_old_answer_has_the_id_at_the_top_too(venue):
    venue.fault("old_answer", target="create_order", count=1)
    answer = venue.post("/orders", venue.order())
    assert answer["order_id"] == answer["success_response"]["order_id"]
    assert "order_id" not in venue.post("/orders", venue.order())


def test_a_cancel_of_many_can_fail_for_one(venue):
    ids = [venue.place() for _ in range(3)]
    venue.fault("refuse_cancel", target="cancel_orders", count=1)
    results = venue.post("/orders/batch_cancel", {"order_ids": ids})["results"]
    assert [one["order_id"] for one in results] == ids
    assert [one["success"] for one in results] == [False, True, True]
    assert results[0]["failure_reason"] == "COMMANDER_REJECTED_CANCEL_ORDER"
    assert [venue.status(one)["status"] for one in ids] == ["OPEN", "CANCELLED", "CANCELLED"]


def test_frames_and_answers_can_say_what_nobody_expects(venue):
    order_id = venue.place()
    venue.fault("rewrite", target="get_order", count=1, parameters={"members": {"status": "BRAND_NEW_STATUS"}})
    assert venue.status(order_id)["status"] == "BRAND_NEW_STATUS"
    venue.fault("ws_rewrite", target="level2", count=1, parameters={"members": {"price_level": "NaN"}})
    with venue.stream() as stream:
        stream.subscribe("level2", "BTC-USD")
        assert {row["price_level"] for row in stream.next("l2_data")["events"][0]["updates"]} == {"NaN"}


def test_extra_members_and_bad_numbers(venue):
    venue.fault("extra_members", target="get_product", count=1)
    assert "brand_new_member" in venue.get("/products/BTC-USD")
    venue.fault("rewrite", target="get_product", count=1, parameters={"members": {"price": "NaN"}})
    assert venue.get("/products/BTC-USD")["price"] == "NaN"
    assert venue.get("/products/BTC-USD")["price"] != "NaN"


# -- REST: definitely not done


@pytest.mark.parametrize("html", [True, False])
def test_429_does_not_act(venue, html):
    venue.fault("rate_limit", target="create_order", count=1, parameters={"html": html})
    order = venue.order()
    reply = venue.call("POST", "/orders", order)
    assert reply.status == 429
    assert reply.raw.lstrip().startswith(b"<!DOCTYPE html>" if html else b'{"errors"')
    assert len(reply.raw) > 4096 or not html
    assert order["client_order_id"] not in open_ids(venue)


def test_401_with_probability_and_a_seed(venue):
    venue.fault("unauthorized", target="rest", probability=0.5)
    statuses = [venue.call("GET", "/key_permissions").status for _ in range(40)]
    assert 8 < statuses.count(401) < 32
    assert set(statuses) == {200, 401}


def test_maintenance_answers_503_everywhere_until_deleted(venue):
    venue.fault("maintenance")
    assert {venue.public("/time").status, venue.call("POST", "/orders", venue.order()).status} == {503}
    venue.admin("DELETE", "/faults")
    assert venue.public("/time").status == 200


def test_delay_before_and_after_acting(venue):
    for after in (False, True):
        venue.fault("delay", target="create_order", count=1, parameters={"ms": 300, "after": after})
        began = time.monotonic()
        order = venue.order()
        with pytest.raises(TimeoutError):
            venue.call("POST", "/orders", order, timeout=0.1)
        assert (order["client_order_id"] in open_ids(venue)) is after
        venue.until(lambda order=order: order["client_order_id"] in open_ids(venue))
        assert after or time.monotonic() - began >= 0.3


def test_slow_body_comes_byte_by_byte(venue):
    venue.fault("slow_body", target="server_time", parameters={"ms": 5})
    began = time.monotonic()
    assert venue.public("/time").json["iso"]
    assert time.monotonic() - began > 0.3


# -- when


def test_entries_begin_end_and_return(venue):
    venue.admin("POST", "/faults", [{"kind": "maintenance", "target": "server_time", "at_s": 0.2, "for_s": 0.2}])
    assert venue.public("/time").status == 200
    venue.until(lambda: venue.public("/time").status == 503)
    venue.until(lambda: venue.public("/time").status == 200)
    venue.admin("DELETE", "/faults")
    venue.fault("maintenance", target="server_time", every=0.2, for_s=0.1)
    changes = 0
    last = None
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        status = venue.public("/time").status
        changes += status != last
        last = status
    assert changes >= 6


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "nonsense"},
        {"kind": "drop", "probability": 2},
        {"kind": "drop", "typo": 1},
        {"kind": "drop", "every": 0},
    ],
)
def test_a_plan_that_cannot_be_is_refused(venue, entry):
    assert venue.raw("POST", "/_venue/faults", json.dumps([entry])).status == 400
    assert venue.admin("GET", "/faults")["faults"] == []


# -- states


def test_late_listing_hides_new_orders(venue):
    venue.fault("late_listing", parameters={"ms": [400, 400]})
    order_id = venue.place()
    query = f"/orders/historical/batch?order_ids={order_id}"
    assert venue.get(query)["orders"] == []
    assert venue.status(order_id)["status"] == "OPEN"
    venue.until(lambda: venue.get(query)["orders"])


def test_cancel_delay_leaves_the_order_in_the_book(venue):
    venue.fault("cancel_delay", parameters={"ms": [300, 300]})
    order_id = venue.place()
    venue.post("/orders/batch_cancel", {"order_ids": [order_id]})
    assert venue.status(order_id)["status"] == "CANCEL_QUEUED"
    venue.until(lambda: venue.status(order_id)["status"] == "CANCELLED")


def test_a_product_state_comes_and_goes(venue):
    venue.fault("product_state", target="SOL-USD", for_s=0.4, parameters={"cancel_only": True})
    assert venue.get("/products/SOL-USD")["cancel_only"] is True
    order = venue.order("SOL-USD", "BUY", market_market_ioc={"quote_size": "10"})
    assert venue.post("/orders", order)["success"] is False
    venue.until(lambda: venue.get("/products/SOL-USD")["cancel_only"] is False)
    assert venue.post("/orders", order | {"client_order_id": str(uuid.uuid4())})["success"] is True


def test_clock_offset_shows_in_time_and_refuses_tokens_of_our_clock(venue):
    venue.fault("clock_offset", parameters={"s": 180})
    assert venue.call("GET", "/accounts").status == 401
    shown = int(venue.public("/time").json["epochSeconds"])
    assert 178 < shown - time.time() < 182
    path = "/api/v3/brokerage/accounts"
    assert venue.call("GET", "/accounts", token=venue.token("GET", path, now_s=shown)).status == 200


# -- sockets


def listening(stream, *channels):
    for channel in channels:
        products = () if channel in ("heartbeats", "user") else ("BTC-USD",)
        stream.subscribe(channel, *products, signed=channel == "user")
    whole = set(channels)
    stream.next("subscriptions", lambda frame: set(frame["events"][0]["subscriptions"]) == whole)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
def test_close_with_a_code_hits_existing_connections_only(venue, code):
    with venue.stream() as stream:
        listening(stream, "level2")
        venue.fault("ws_close", target="market", parameters={"code": code})
        list(_until_closed(stream))
        assert stream.socket.close_code == code
    with venue.stream() as stream:
        listening(stream, "level2")
        stream.next("l2_data", lambda frame: frame["events"][0]["type"] == "update")


def _until_closed(stream):
    try:
        yield from stream.socket
    except ConnectionClosedError:
        return


def test_close_1006_is_a_cut(venue):
    with venue.stream() as stream:
        listening(stream, "level2")
        venue.fault("ws_close", parameters={"code": 1006})
        with pytest.raises((ConnectionClosed, ConnectionResetError)) as closed:
            stream.next("nothing")
        assert getattr(closed.value, "rcvd", None) is None


def test_close_of_the_user_connection_leaves_market_data(venue):
    with venue.stream() as market, venue.stream() as user:
        listening(market, "level2")
        listening(user, "user")
        venue.fault("ws_close", target="user")
        list(_until_closed(user))
        market.next("l2_data", lambda frame: frame["events"][0]["type"] == "update")


def test_new_connections_are_refused(venue):
    venue.fault("ws_refuse")
    with pytest.raises(InvalidStatus), venue.stream():
        raise AssertionError("it connected")


def steps_with(venue, kind):
    """How the numbers go on from frame to frame after the fault was posted."""
    with venue.stream() as stream:
        listening(stream, "level2")
        venue.fault(kind, target="level2")
        before = len(stream.numbers) - 1
        for _ in range(5):
            stream.next("l2_data")
        return [after - before for before, after in pairwise(stream.numbers[before:])]


@pytest.mark.parametrize(("kind", "odd"), [("ws_gap", [2]), ("ws_duplicate", [0]), ("ws_reorder", [2, -1, 2])], ids=str)
def test_numbers_go_wrong_once(venue, kind, odd):
    assert [step for step in steps_with(venue, kind) if step != 1] == odd


def test_a_malformed_frame_is_no_json(venue):
    with venue.stream() as stream:
        listening(stream, "level2")
        venue.fault("ws_malformed", target="level2")
        with pytest.raises(json.JSONDecodeError):
            stream.next("nothing")


def test_silence_keeps_the_socket_open_and_loses_what_was_said(venue):
    with venue.stream() as stream:
        listening(stream, "level2")
        venue.fault("ws_silence", for_s=0.6)
        with contextlib.suppress(TimeoutError):
            while stream.frame(timeout=0.4):
                continue
        before = stream.numbers[-1]
        stream.next("l2_data")
        assert stream.numbers[-1] > before + 1


def test_lost_heartbeats_leave_no_gap(venue):
    with venue.stream() as stream:
        listening(stream, "heartbeats")
        venue.fault("ws_mute", target="heartbeats", for_s=1.2)
        stream.next("heartbeats")
        assert stream.numbers == list(range(len(stream.numbers)))


def test_a_missing_snapshot_and_a_lost_order_event(venue):
    venue.fault("ws_mute", target="level2", count=1)
    venue.fault("ws_mute", target="user", at_s=0.0, count=2)
    with venue.stream() as stream:
        stream.subscribe("level2", "BTC-USD")
        assert stream.frame()["channel"] == "subscriptions"
        assert stream.next("l2_data")["events"][0]["type"] == "update"
        stream.subscribe("user", signed=True)
        stream.next("subscriptions", lambda frame: "user" in frame["events"][0]["subscriptions"])
        order_id = venue.place()
        [state] = stream.next("user")["events"][0]["orders"]
        assert (state["order_id"], state["status"]) == (order_id, "OPEN")


def test_a_snapshot_as_deep_as_productions_is_one_message(venue):
    venue.fault("ws_deep", target="BTC-USD", parameters={"levels": 25_000})
    with venue.stream() as stream:
        stream.subscribe("level2", "BTC-USD")
        event = stream.next("l2_data")["events"][0]
        assert len([row for row in event["updates"] if row["side"] == "bid"]) > 25_000
        assert stream.next("l2_data")["events"][0]["type"] == "update"


def test_frames_can_be_late(venue):
    venue.fault("ws_delay", target="user", parameters={"ms": 300})
    with venue.stream() as stream:
        stream.subscribe("user", signed=True)
        stream.next("subscriptions")
        began = time.monotonic()
        venue.place()
        stream.next("user")
        assert time.monotonic() - began >= 0.28
