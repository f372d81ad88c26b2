"""Questions: paged to the end, retried three times, and failed rather than answered with less than all (M-04, CB1)."""

import json
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from protocol.ids import ClientOrderId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.market import Bar
from protocol.orders import OrderNotFound, OrderReported, Side
from protocol.venue import (
    AccountsListed,
    CandlesListed,
    FeesKnown,
    FillsListed,
    GetFees,
    ListAccounts,
    ListCandles,
    ListFills,
    ListOpenOrders,
    ListProducts,
    LookUpOrder,
    OpenOrdersListed,
    OrderPreviewed,
    PreviewOrder,
    ProductsListed,
    QueryFailed,
)
from tests.support.gateway_room import BTC, START_NS, Room

ASK = {"request_id": "q", "reply_to": "asker"}


def query(call):
    return parse_qs(call.query)


def order(number, status="OPEN", **members):
    base = {
        "order_id": f"v{number}",
        "client_order_id": f"c{number}",
        "product_id": "BTC-USD",
        "side": "BUY",
        "status": status,
        "filled_size": "0",
        "average_filled_price": "0",
    }
    return base | members


def page(*orders, cursor=""):
    return {"orders": list(orders), "has_next": bool(cursor), "cursor": cursor}


def fill(number, at="2026-11-18T12:00:00Z", **members):
    base = {
        "entry_id": f"e{number}",
        "order_id": "v1",
        "product_id": "BTC-USD",
        "side": "BUY",
        "price": "50000",
        "size": "0.01",
        "commission": "2.5",
        "trade_time": at,
        "liquidity_indicator": "MAKER",
    }
    return base | members


def wallet(currency, available="1", hold="0"):
    money = {"available_balance": available, "hold": hold}
    named = {name: {"value": value, "currency": currency} for name, value in money.items()}
    return {"uuid": f"{currency}-{available}", "currency": currency} | named


def product(name, **members):
    base, _, quoted = name.partition("-")
    limits = {f"{side}_{end}_size": value for side in ("base", "quote") for end, value in (("min", "1"), ("max", "9"))}
    grids = dict.fromkeys(("price_increment", "base_increment", "quote_increment"), "0.01")
    identity = {"product_id": name, "base_currency_id": base, "quote_currency_id": quoted, "status": "online"}
    return identity | limits | grids | members


def only(room, kind):
    """The one answer, told to whoever asked."""
    (tell,) = [t for t in room.told if t.to == "asker"]
    assert type(tell.message) is kind
    return tell.message


def look_up(venue_id=None, since_ns=START_NS):
    return LookUpOrder(
        **ASK, client_order_id=ClientOrderId("c1"), venue_order_id=venue_id, product_id=BTC, since_ns=since_ns
    )


# --- retries ------------------------------------------------------------------------------------------------------

TROUBLE = {
    "429": (lambda room: room.answer(b"<html>", 429), "rate_limit"),
    "500": (lambda room: room.answer(b"", 500), "server"),
    "503": (lambda room: room.answer(b"<html>", 503), "server"),
    "timeout": (lambda room: room.broken("timeout"), "timeout"),
    "reset": (lambda room: room.broken("connection"), "connection"),
    "connection refused": (lambda room: room.broken("connection", sent=False), "connection"),
}
FINAL = {
    "400": (lambda room: room.answer({"error": "INVALID_ARGUMENT", "message": "no"}, 400), "client"),
    "403": (lambda room: room.answer({"error": "PERMISSION_DENIED"}, 403), "client"),
    "404": (lambda room: room.answer(b"", 404), "client"),
    "a redirect": (lambda room: room.answer(b"", 302), "client"),
    "no JSON": (lambda room: room.answer(b"<html>"), "malformed"),
    "half a body": (lambda room: room.answer(b'{"accounts":[{"uu'), "malformed"),
    "another shape": (lambda room: room.answer([1, 2]), "malformed"),
    "a balance that is no number": (lambda room: room.answer({"accounts": [wallet("USD", "NaN")]}), "malformed"),
    "a balance below zero": (lambda room: room.answer({"accounts": [wallet("USD", "-1")]}), "malformed"),
    "more to come but not where": (lambda room: room.answer({"accounts": [], "has_next": True}), "malformed"),
}


@pytest.mark.req("CB1")
@pytest.mark.parametrize(("act", "kind"), TROUBLE.values(), ids=TROUBLE)
def test_three_attempts_in_all_then_the_question_has_failed(act, kind):
    room = Room().tell(ListAccounts(**ASK))
    waits_s = []
    for _ in range(2):
        act(room)
        assert room.heard(QueryFailed) == []
        made, before_ns = len(room.calls), room.now_ns
        while len(room.calls) == made:
            room.later(0.01)
        waits_s.append((room.now_ns - before_ns) / SECOND_NS)
    act(room)
    assert only(room, QueryFailed).kind == kind
    assert len(room.later(120.0).made("ACCOUNTS")) == 3
    assert waits_s[0] <= 1.02, "U(0, 1 s) before the second attempt"
    assert waits_s[1] <= 2.02, "U(0, 2 s) before the third"


@pytest.mark.req("CB1")
@pytest.mark.parametrize(("act", "kind"), FINAL.values(), ids=FINAL)
def test_what_cannot_get_better_or_be_believed_is_not_asked_again(act, kind):
    room = Room().tell(ListAccounts(**ASK))
    act(room)
    assert only(room, QueryFailed).kind == kind
    assert len(room.later(60.0).made("ACCOUNTS")) == 1


@pytest.mark.req("CB1")
def test_waits_differ_from_call_to_call_and_stay_below_their_ceiling():
    waits = set()
    for n in range(50):
        room = Room()
        room.tell(*(GetFees(request_id=str(i), reply_to="asker") for i in range(n + 1))).broken("timeout")
        waits.add(min(due for name, due in room.timers.items() if name.startswith("retry/")) - room.now_ns)
    assert len(waits) > 40
    assert all(0 <= wait <= SECOND_NS for wait in waits)
    assert max(waits) - min(waits) > SECOND_NS // 2


@pytest.mark.req("CB1")
def test_a_longer_retry_after_is_honoured():
    room = Room().tell(ListAccounts(**ASK)).answer(b"", 429, after_s=7.0)
    assert len(room.later(6.9).made("ACCOUNTS")) == 1
    assert len(room.later(0.2).made("ACCOUNTS")) == 2


@pytest.mark.req("CB1")
def test_401_is_signed_again_once_and_then_a_failure():
    room = Room().tell(ListAccounts(**ASK)).answer(b"", 401)
    room.broken("timeout")  # of the clock
    assert len(room.made("ACCOUNTS")) == 2
    assert only(room.answer(b"", 401), QueryFailed).kind == "auth"
    assert len(room.later(60.0).made("ACCOUNTS")) == 2


# --- open orders --------------------------------------------------------------------------------------------------


def test_open_orders_are_all_pages_of_both_queries_as_old_as_the_first_page():
    room = Room().tell(ListOpenOrders(**ASK))
    assert query(room.calls[-1])["order_status"] == ["OPEN"]
    room.later(0.5).answer(page(order(1), order(2), cursor="next"))
    assert query(room.calls[-1])["cursor"] == ["next"]
    room.later(0.5).answer(page(order(2), order(3)))
    queued = query(room.calls[-1])
    assert queued["order_status"] == ["PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"]
    assert "cursor" not in queued
    room.later(0.5).answer(page(order(4, "QUEUED")))
    listed = only(room, OpenOrdersListed)
    assert [o.venue_order_id for o in listed.orders] == ["v1", "v2", "v3", "v4"]
    assert listed.asked_ns == START_NS


def test_where_queued_orders_cannot_be_asked_for_every_status_is_read_and_what_ended_left_out():
    room = Room().tell(ListOpenOrders(**ASK)).later(0.5).answer(page(order(1))).later(0.5)
    room.answer({"error": "INVALID_ARGUMENT", "message": "unknown order status"}, status=400).later(0.5)
    every = query(room.calls[-1])
    assert ("order_status" in every, every["start_date"]) == (False, ["2026-11-17T11:50:00Z"])
    room.answer(page(order(1), order(2, "FILLED"), order(3, "CANCEL_QUEUED"), cursor="next")).later(0.5)
    room.answer(page(order(4, "SOMETHING_NEW"), order(5, "EXPIRED")))
    listed = only(room, OpenOrdersListed)
    assert [o.venue_order_id for o in listed.orders] == ["v1", "v3", "v4"]
    assert listed.asked_ns == START_NS


def test_a_refused_query_of_every_status_fails_the_whole():
    room = Room().tell(ListOpenOrders(**ASK)).later(0.5).answer(page(order(1))).later(0.5)
    room.answer({}, status=400).later(0.5).answer({}, status=400)
    assert only(room, QueryFailed).kind == "client"


def test_an_empty_first_query_makes_the_list_no_younger():
    room = Room().tell(ListOpenOrders(**ASK)).later(0.5).answer(page()).later(0.5).answer(page())
    listed = only(room, OpenOrdersListed)
    assert listed.orders == ()
    assert listed.asked_ns == START_NS


@pytest.mark.parametrize(
    "bad",
    [
        {"orders": [order(1), {"order_id": "v2"}]},
        {"orders": [order(1, side="HOLD")]},
        {"orders": [order(1, filled_size="-1")]},
        {"orders": [order(1, filled_size="1")]},
        {"orders": [order(1)], "has_next": True, "cursor": ""},
        {"orders": None},
        {},
    ],
    ids=["half an order", "no side", "negative fill", "fill without price", "no cursor", "null", "nothing"],
)
def test_a_list_that_cannot_be_believed_is_a_failure_and_never_a_shorter_list(bad):
    room = Room().tell(ListOpenOrders(**ASK)).answer(page(order(1), cursor="x")).answer(bad)
    assert only(room, QueryFailed).kind == "malformed"


def test_a_page_that_cannot_be_had_fails_the_whole_list():
    room = Room().tell(ListOpenOrders(**ASK)).answer(page(order(1), cursor="x"))
    for _ in range(3):
        room.broken("timeout").later(3.0)
    assert only(room, QueryFailed).kind == "timeout"


def test_each_page_has_attempts_of_its_own():
    room = Room().tell(ListOpenOrders(**ASK))
    for body in (page(order(1), cursor="x"), page(order(2)), page()):
        room.broken("timeout").later(3.0).broken("timeout").later(3.0).answer(body)
    assert len(only(room, OpenOrdersListed).orders) == 2


def test_any_status_of_the_venue_is_handed_on_as_it_is():
    room = Room().tell(ListOpenOrders(**ASK)).answer(page(order(1, "SOMETHING_NEW"))).answer(page())
    assert only(room, OpenOrdersListed).orders[0].status == "SOMETHING_NEW"


# --- look-up ------------------------------------------------------------------------------------------------------


@pytest.mark.req("X1")
def test_look_up_by_the_venue_s_id():
    room = Room().tell(look_up(VenueOrderId("v/1"))).answer({"order": order(1, "FILLED")})
    assert room.calls[0].path.endswith("/orders/historical/v%2F1")
    heard = only(room, OrderReported)
    assert (heard.order.status, heard.source) == ("FILLED", "lookup")


@pytest.mark.req("X1")
def test_an_id_the_venue_does_not_know_is_not_found_as_of_the_question():
    room = Room().later(1.0).tell(look_up(VenueOrderId("v1"))).later(2.0).answer({"error": "NOT_FOUND"}, 404)
    assert only(room, OrderNotFound) == OrderNotFound(
        client_order_id=ClientOrderId("c1"), asked_ns=START_NS + SECOND_NS
    )


@pytest.mark.req("X1")
def test_without_an_id_the_whole_list_from_before_the_request_is_read():
    room = Room().tell(look_up())
    asked = query(room.calls[0])
    assert asked["start_date"] == ["2026-11-18T11:59:00Z"]
    assert "order_status" not in asked, "it may have any status"
    room.later(1.0).answer(page(order(7), cursor="x"))
    room.later(1.0).answer(page(order(1, "CANCELLED")))
    assert only(room, OrderReported).order.venue_order_id == "v1"


@pytest.mark.req("X1")
def test_not_in_the_whole_list_is_not_found_as_of_its_first_page():
    room = Room().tell(look_up())
    for cursor in ("x", "y", ""):
        room.later(1.0).answer(page(order(7), cursor=cursor))
    assert only(room, OrderNotFound).asked_ns == START_NS


@pytest.mark.req("X1")
def test_a_list_that_is_not_there_is_no_evidence_about_an_order():
    assert only(Room().tell(look_up()).answer(b"", 404), QueryFailed).kind == "client"


# --- fills, accounts, products, candles, fees, preview ------------------------------------------------------------


def test_fills_are_read_to_the_empty_page_counted_once_and_oldest_first():
    room = Room().tell(ListFills(**ASK, since_ns=START_NS))
    assert query(room.calls[0])["start_sequence_timestamp"] == ["2026-11-18T12:00:00Z"]
    room.answer({"fills": [fill(3, "2026-11-18T12:00:03Z"), fill(2, "2026-11-18T12:00:02Z")], "cursor": "x"})
    room.answer({"fills": [fill(2, "2026-11-18T12:00:02Z"), fill(1)], "cursor": "y"})
    room.answer({"fills": [], "cursor": "z"})
    assert [f.entry_id for f in only(room, FillsListed).fills] == ["e1", "e2", "e3"]


def test_fills_of_one_order_are_asked_for_by_its_id_alone():
    (call,) = Room().tell(ListFills(**ASK, venue_order_id=VenueOrderId("v1"))).calls
    assert set(query(call)) == {"order_ids", "limit"}


FILLS = {
    "size in base": ({"size": "0.01"}, ("0.01", "500.00")),
    "size in quote": ({"size": "500", "size_in_quote": True}, ("0.01", "500")),
    "2.64 USD are not 2.64 ETH": (
        {"size": "2.6399716828", "size_in_quote": True, "price": "2975.32"},
        ("0.000887290", "2.6399716828"),
    ),
    "5.03 USD at 0.55": ({"size": "5.0302", "size_in_quote": True, "price": "0.55"}, ("9.145818", "5.0302")),
}


@pytest.mark.parametrize(("members", "expected"), FILLS.values(), ids=FILLS)
def test_a_fill_s_base_and_quote_amounts_are_never_taken_for_each_other(members, expected):
    room = Room().tell(ListFills(**ASK)).answer({"fills": [fill(1, **members)], "cursor": ""})
    (found,) = only(room, FillsListed).fills
    size, value = map(Decimal, expected)
    assert abs(found.size - size) < Decimal("1e-6")
    assert found.value == value
    assert found.fee == Decimal("2.5")
    assert found.maker


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "", "1e400"])
def test_a_fill_without_a_real_price_is_refused_whole(price):
    room = Room().tell(ListFills(**ASK)).answer({"fills": [fill(1), fill(2, price=price)], "cursor": ""})
    assert only(room, QueryFailed).kind == "malformed"


def test_accounts_are_read_to_the_end_and_wallets_of_a_currency_summed():
    room = Room().tell(ListAccounts(**ASK)).later(1.0)
    room.answer({"accounts": [wallet("USD", "10", "5"), wallet("BTC")], "has_next": True, "cursor": "x"})
    room.later(1.0).answer({"accounts": [wallet("USD", "1", "1")], "has_next": False, "cursor": "y"})
    listed = only(room, AccountsListed)
    assert {b.currency: (b.available, b.hold) for b in listed.balances} == {"BTC": (1, 0), "USD": (11, 6)}
    assert listed.asked_ns == START_NS


def test_products_are_read_to_the_end_even_where_one_cannot_be_believed():
    names = [f"A{n}-USD" for n in range(250)]
    rows = [product(n) for n in names[:249]] + [product(names[249], price_increment="0")]
    room = Room().tell(ListProducts(**ASK)).answer({"products": rows})
    assert query(room.calls[-1])["offset"] == ["250"]
    room.answer({"products": [product("B-USD")]})
    found = [p.product_id for p in only(room, ProductsListed).products]
    assert found == [*names[:249], "B-USD"]


def test_a_product_s_volume_is_the_quote_currency_one():
    rows = [product("BTC-USD", volume_24h="6000", approximate_quote_24h_volume="565000000"), product("ETH-USD")]
    room = Room().tell(ListProducts(**ASK)).answer({"products": rows})
    assert [p.volume_24h_usd for p in only(room, ProductsListed).products] == [Decimal(565_000_000), None]


def test_candles_come_oldest_first_without_the_unfinished_one():
    now_s = START_NS // SECOND_NS
    rows = [
        {"start": str(now_s - 900 * n), "low": "1", "high": "3", "open": "2", "close": "2.5", "volume": "7"}
        for n in range(4)
    ]
    ask = ListCandles(**ASK, product_id=BTC, granularity_s=900, start_s=now_s - 2700, end_s=now_s)
    room = Room().tell(ask).answer({"candles": rows})
    assert query(room.calls[0])["granularity"] == ["FIFTEEN_MINUTE"]
    expected = [Bar(start_s=now_s - 900 * n, open=2.0, high=3.0, low=1.0, close=2.5, volume=7.0) for n in (3, 2, 1)]
    assert list(only(room, CandlesListed).bars) == expected


def test_a_candle_outside_its_own_range_is_refused():
    row = {"start": "0", "low": "1", "high": "3", "open": "2", "close": "3.5", "volume": "7"}
    ask = ListCandles(**ASK, product_id=BTC, granularity_s=60, start_s=0, end_s=60)
    assert only(Room().tell(ask).answer({"candles": [row]}), QueryFailed).kind == "malformed"


@pytest.mark.req("X3")
def test_fees_in_basis_points():
    body = {"fee_tier": {"taker_fee_rate": "0.012", "maker_fee_rate": "0.006"}}
    known = only(Room().tell(GetFees(**ASK)).answer(body), FeesKnown)
    assert (known.maker_bps, known.taker_bps) == (60, 120)


@pytest.mark.req("X3")
@pytest.mark.parametrize("rate", ["-0.1", "1", "60", "NaN", ""])
def test_a_fee_that_is_no_fraction_is_refused(rate):
    body = {"fee_tier": {"taker_fee_rate": rate, "maker_fee_rate": "0.006"}}
    assert only(Room().tell(GetFees(**ASK)).answer(body), QueryFailed).kind == "malformed"


PREVIEWS = {
    "fine": ({"order_total": "101", "commission_total": "1", "errs": []}, ((), Decimal(101))),
    "refused": ({"order_total": "", "commission_total": "", "errs": ["PREVIEW_X"]}, (("PREVIEW_X",), Decimal(0))),
}


@pytest.mark.req("X2")
@pytest.mark.parametrize(("body", "expected"), PREVIEWS.values(), ids=PREVIEWS)
def test_preview(body, expected):
    ask = PreviewOrder(**ASK, product_id=BTC, side=Side.BUY, base_size=Decimal(1), limit_price=Decimal(100))
    room = Room().tell(ask)
    assert "client_order_id" not in json.loads(room.calls[0].body)
    seen = only(room.answer(body), OrderPreviewed)
    assert (seen.errors, seen.total) == expected


def test_a_preview_whose_numbers_cannot_be_read_fails():
    ask = PreviewOrder(**ASK, product_id=BTC, side=Side.BUY, base_size=Decimal(1), limit_price=Decimal(100))
    room = Room().tell(ask).answer({"order_total": "lots", "commission_total": "", "errs": ["PREVIEW_X"]})
    assert only(room, QueryFailed).kind == "malformed"
