"""Orders over the loopback venue's wire: place, replay, refuse, list, cancel, edit, fills (rest.md §5 to §7)."""

import time
from decimal import Decimal

import pytest

from tests.support.venue_server import GENEROUS, running

pytestmark = pytest.mark.req("X1")

CALM = {"pending_ms": [0, 0], "cancel_ms": [0, 0], "list_ms": [0, 0], "fill_ms": [0, 0]}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue")) as client:
        yield client


@pytest.fixture
def venue(process):
    process.change(limits=GENEROUS, unpleasantness=CALM, balances={"USD": "10000"})
    yield process
    opened = [one["order_id"] for one in process.admin("GET", "/orders?open=true")["orders"]]
    for start in range(0, len(opened), 100):
        process.post("/orders/batch_cancel", {"order_ids": opened[start : start + 100]})


def test_success_has_its_order_id_in_success_response_only(venue):
    asked = venue.order()
    answer = venue.post("/orders", asked)
    assert answer.keys() == {"success", "success_response", "order_configuration"}
    placed = answer["success_response"]
    assert placed.keys() == {"order_id", "product_id", "side", "client_order_id", "attached_order_id"}
    assert placed["client_order_id"] == asked["client_order_id"]


def test_a_refusal_is_200_and_one_member_has_the_reason(venue):
    answer = venue.post("/orders", venue.order(limit_limit_gtc={"base_size": "9", "limit_price": "90000"}))
    assert answer["success"] is False
    error = answer["error_response"]
    assert error.keys() == {
        "error", "message", "error_details", "preview_failure_reason", "new_order_failure_reason",
    }  # fmt: skip
    assert (error["error"], error["preview_failure_reason"]) == ("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND")
    assert error["new_order_failure_reason"] == "UNKNOWN_FAILURE_REASON"


def test_a_replayed_client_id_returns_the_first_order_whatever_is_asked(venue):
    first, other = venue.order(), venue.order("ETH-USD", market_market_ioc={"quote_size": "20"})
    placed = venue.post("/orders", first)["success_response"]
    again = venue.post("/orders", other | {"client_order_id": first["client_order_id"]})["success_response"]
    assert (again["order_id"], again["product_id"]) == (placed["order_id"], "BTC-USD")


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b'{"client_order_id": 5}', b'{"product_id": "BTC-USD"}'])
def test_malformed_bodies_are_400(venue, body):
    path = "/api/v3/brokerage/orders"
    headers = {"Authorization": "Bearer " + venue.token("POST", path)}
    reply = venue.raw("POST", path, body, headers)
    assert (reply.status, reply.json["error"]) == (400, "INVALID_ARGUMENT")


def test_unknown_members_of_a_request_are_ignored(venue):
    assert venue.post("/orders", venue.order() | {"brand_new": {"x": 1}, "retail_portfolio_id": ""})["success"]


def test_what_the_venue_cannot_do_is_refused_not_ignored(venue):
    attached = {
        "attached_order_configuration": {"trigger_bracket_gtc": {"limit_price": "1", "stop_trigger_price": "1"}}
    }
    answer = venue.post("/orders", venue.order() | attached)
    assert answer["error_response"]["new_order_failure_reason"] == "UNSUPPORTED_ORDER_CONFIGURATION"
    closed = venue.post("/orders/close_position", {"client_order_id": "x1", "product_id": "BTC-USD"})
    assert closed["success"] is False


def test_a_failing_preview_is_200_with_errs_and_places_nothing(venue):
    order = venue.order(limit_limit_gtc={"base_size": "9", "limit_price": "90000"})
    before = len(venue.admin("GET", "/orders")["orders"])
    assert venue.post("/orders/preview", order)["errs"] == ["PREVIEW_INSUFFICIENT_FUND"]
    good = venue.post("/orders/preview", venue.order(market_market_ioc={"quote_size": "100"}))
    assert good["errs"] == []
    assert Decimal(good["order_total"]) <= 100
    assert len(venue.admin("GET", "/orders")["orders"]) == before


def test_open_may_not_be_mixed_with_other_statuses(venue):
    order_id = venue.place()
    assert [one["order_id"] for one in venue.get("/orders/historical/batch?order_status=OPEN")["orders"]] == [order_id]
    rest = "order_status=PENDING&order_status=QUEUED&order_status=CANCEL_QUEUED&order_status=EDIT_QUEUED"
    assert venue.get(f"/orders/historical/batch?{rest}")["orders"] == []
    mixed = venue.call("GET", f"/orders/historical/batch?order_status=OPEN&{rest}")
    assert (mixed.status, mixed.json["error"]) == (400, "INVALID_ARGUMENT")


def test_order_pages_are_newest_first_and_end_without_cursor(venue):
    placed = [venue.place() for _ in range(5)]
    found, query = [], "order_status=OPEN&limit=2"
    cursor = ""
    while True:
        page = venue.get(f"/orders/historical/batch?{query}&cursor={cursor}")
        found += [one["order_id"] for one in page["orders"]]
        cursor = page["cursor"]
        if not page["has_next"]:
            break
    assert found == placed[::-1]
    assert cursor == ""


def test_lists_take_both_spellings(venue):
    order_id = venue.place("ETH-USD", "BUY", limit_limit_gtc={"base_size": "0.01", "limit_price": "3900"})
    venue.place()
    for name in ("product_ids", "product_id"):
        page = venue.get(f"/orders/historical/batch?order_status=OPEN&{name}=ETH-USD")
        assert [one["order_id"] for one in page["orders"]] == [order_id]


def test_start_date_is_inclusive_end_date_exclusive(venue):
    created = venue.status(venue.place())["created_time"]
    assert len(venue.get(f"/orders/historical/batch?start_date={created}&order_status=OPEN")["orders"]) == 1
    assert venue.get(f"/orders/historical/batch?end_date={created}&order_status=OPEN")["orders"] == []
    assert venue.call("GET", "/orders/historical/batch?start_date=yesterday").status == 400


def test_unknown_order_is_404_in_productions_words(venue):
    reply = venue.call("GET", "/orders/historical/22222222-2222-4222-8222-222222222222")
    assert reply.status == 404
    assert reply.json["error"] == "unknown"
    assert reply.json["error_details"] == "order with this orderID was not found"


def test_cancel_answers_per_id_in_order_and_success_means_accepted(venue):
    venue.change(unpleasantness=CALM | {"cancel_ms": [150, 150]})
    order_id = venue.place()
    [unknown, accepted] = venue.post("/orders/batch_cancel", {"order_ids": ["nonsense", order_id]})["results"]
    assert unknown == {"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER", "order_id": "nonsense"}
    assert accepted == {
        "success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": order_id,
    }  # fmt: skip
    assert venue.status(order_id)["status"] == "CANCEL_QUEUED"
    again = venue.post("/orders/batch_cancel", {"order_ids": [order_id]})["results"][0]
    assert again["failure_reason"] == "DUPLICATE_CANCEL_REQUEST"
    venue.until(lambda: venue.status(order_id)["status"] == "CANCELLED")


def test_more_than_a_hundred_ids_are_refused(venue):
    ids = [f"id{number}" for number in range(101)]
    assert venue.call("POST", "/orders/batch_cancel", {"order_ids": ids}).status == 400
    assert len(venue.post("/orders/batch_cancel", {"order_ids": ids[:100]})["results"]) == 100
    assert venue.call("POST", "/orders/batch_cancel", {"order_ids": []}).status == 400


def test_a_market_order_fills_and_its_fills_add_up(venue):
    order_id = venue.place("BTC-USD", "BUY", market_market_ioc={"quote_size": "250"})
    order = venue.status(order_id)
    fills = venue.get(f"/orders/historical/fills?order_id={order_id}")["fills"]
    assert order["status"] == "FILLED"
    assert sum(Decimal(one["commission"]) for one in fills) == Decimal(order["total_fees"])
    assert len({one["entry_id"] for one in fills}) == len(fills) == int(order["number_of_fills"])
    assert {one["liquidity_indicator"] for one in fills} == {"TAKER"}
    assert Decimal(order["total_value_after_fees"]) <= 250


def test_fills_are_paged_to_an_empty_page_or_cursor(venue):
    for _ in range(3):
        venue.place("BTC-USD", "BUY", market_market_ioc={"quote_size": "10"})
    found, cursor = [], ""
    while True:
        page = venue.get(f"/orders/historical/fills?limit=2&cursor={cursor}")
        found += [one["entry_id"] for one in page["fills"]]
        cursor = page["cursor"]
        if not page["fills"] or not cursor:
            break
    assert len(found) == len(set(found)) >= 3
    assert "has_next" not in page


def test_listings_lag_but_the_order_itself_does_not(venue):
    venue.change(unpleasantness=CALM | {"list_ms": [400, 400], "fill_ms": [400, 400]})
    order_id = venue.place("BTC-USD", "BUY", market_market_ioc={"quote_size": "10"})
    fills = f"/orders/historical/fills?order_ids={order_id}"
    orders = f"/orders/historical/batch?order_ids={order_id}"
    assert venue.status(order_id)["status"] == "FILLED"
    assert (venue.get(orders)["orders"], venue.get(fills)["fills"]) == ([], [])
    venue.until(lambda: venue.get(orders)["orders"] and venue.get(fills)["fills"])


def test_an_edit_keeps_the_id_and_is_told_in_the_history(venue):
    order_id = venue.place()
    change = {"order_id": order_id, "price": "91000", "size": "0.002"}
    estimate = venue.post("/orders/edit_preview", change)
    assert (estimate["errors"], Decimal(estimate["quote_size"])) == ([], 182)
    assert venue.post("/orders/edit", change) == {"success": True, "errors": []}
    order = venue.status(order_id)
    assert order["edit_history"][0].keys() == {"price", "size", "replace_accept_timestamp"}
    assert order["order_configuration"]["limit_limit_gtc"]["limit_price"] == "91000"
    refused = venue.post("/orders/edit", {"order_id": order_id, "price": "91000"})
    assert refused["success"] is False


def test_every_order_entry_request_is_in_the_log_with_its_time(venue):
    since = time.time_ns()
    asked = venue.order()
    order_id = venue.post("/orders", asked)["success_response"]["order_id"]
    venue.post("/orders/batch_cancel", {"order_ids": [order_id]})
    venue.get("/orders/historical/batch")
    entries = venue.admin("GET", f"/requests?since_ns={since}")["requests"]
    assert [(one["route"], one["status"], one["order_ids"]) for one in entries] == [
        ("create_order", 200, [order_id]),
        ("cancel_orders", 200, [order_id]),
    ]
    assert entries[0]["client_order_ids"] == [asked["client_order_id"]]
    assert since <= entries[0]["arrived_ns"] <= entries[0]["answered_ns"] <= entries[1]["arrived_ns"]


def test_admin_sees_open_orders_and_balances(venue):
    order_id = venue.place()
    assert [one["order_id"] for one in venue.admin("GET", "/orders?open=true")["orders"]] == [order_id]
    usd = venue.admin("GET", "/balances")["balances"]["USD"]
    assert Decimal(usd["hold"]) > 90
    assert Decimal(usd["available"]) + Decimal(usd["hold"]) == Decimal(usd["total"])


def test_moved_increments_are_judged_at_once(venue):
    venue.change(product_id="BTC-USD", increments={"price_increment": "100"})
    try:
        order = venue.order(limit_limit_gtc={"base_size": "0.001", "limit_price": "90050", "post_only": True})
        error = venue.post("/orders", order)["error_response"]
        product = venue.get("/products/BTC-USD")
    finally:
        venue.change(product_id="BTC-USD", increments={"price_increment": "0.01"})
    assert "PRICE_PRECISION" in error["error"] + error["preview_failure_reason"]
    assert product["price_increment"] == "100"


def test_a_price_path_moves_the_market(venue):
    before = Decimal(venue.get("/products/XLM-USD")["price"])
    venue.change(product_id="XLM-USD", path=[[0, str(before)], [0.5, str(before * 2)], [60, str(before * 2)]])
    venue.until(lambda: Decimal(venue.get("/products/XLM-USD")["price"]) > before * Decimal("1.9"))
