"""Nothing that is no number, not positive, crossed or without identity passes the border."""

import json

import pytest

from protocol.coinbase import border, websocket, wire
from protocol.coinbase.wire import BadWire

PRODUCT = {
    "product_id": "BTC-USD",
    "price": "83306.04",
    "base_increment": "0.00000001",
    "quote_increment": "0.01",
    "price_increment": "0.01",
    "quote_min_size": "1",
    "quote_max_size": "150000000",
    "base_min_size": "0.00000001",
    "base_max_size": "3400",
    "status": "online",
    "base_currency_id": "BTC",
    "quote_currency_id": "USD",
}
LEVEL = {"price": "10", "size": "1"}
BOOK = {
    "pricebook": {"product_id": "A-USD", "bids": [LEVEL, LEVEL | {"price": "9"}], "asks": [LEVEL | {"price": "11"}]}
}
CANDLE = {"start": "1712192400", "low": "1", "high": "4", "open": "2", "close": "3", "volume": "0"}
ORDER = {
    "order_id": "o-1",
    "product_id": "A-USD",
    "side": "BUY",
    "status": "OPEN",
    "client_order_id": "c-1",
    "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "2", "post_only": True}},
    "filled_size": "0.5",
    "average_filled_price": "2",
    "filled_value": "1",
    "total_fees": "0.01",
    "created_time": "2026-01-01T00:00:00.123456789Z",
}
FILL = {
    "entry_id": "e-1",
    "trade_id": "t-1",
    "order_id": "o-1",
    "product_id": "A-USD",
    "side": "SELL",
    "price": "2",
    "size": "1",
    "commission": "0",
    "trade_time": "2026-01-01T00:00:00Z",
}
ACCOUNT = {
    "uuid": "u",
    "currency": "USD",
    "available_balance": {"value": "1", "currency": "USD"},
    "hold": {"value": "0", "currency": "USD"},
}
TRADE = {
    "product_id": "A-USD",
    "trade_id": "1",
    "price": "2",
    "size": "1",
    "time": "2026-01-01T00:00:00Z",
    "side": "BUY",
}
UPDATE = {"side": "bid", "event_time": "2026-01-01T00:00:00Z", "price_level": "2", "new_quantity": "1"}
USER_ORDER = {"order_id": "o", "product_id": "A-USD", "status": "OPEN", "cumulative_quantity": "1", "avg_price": "2"}
TICKER = {"product_id": "A-USD", "price": "2", "best_bid": "1", "best_ask": "3"}
PLACED = {"order_id": "o", "product_id": "A-USD", "side": "BUY", "client_order_id": "c"}

DECODE = {
    "product": (border.decode_product, PRODUCT, lambda x: x),
    "book": (border.decode_book, BOOK, lambda x: x),
    "candle": (border.decode_candles, CANDLE, lambda x: {"candles": [x]}),
    "order": (border.decode_order, ORDER, lambda x: {"order": x}),
    "orders": (border.decode_orders, ORDER, lambda x: {"orders": [ORDER, x], "has_next": False, "cursor": ""}),
    "fill": (border.decode_fills, FILL, lambda x: {"fills": [FILL, x], "cursor": ""}),
    "account": (border.decode_accounts, ACCOUNT, lambda x: {"accounts": [ACCOUNT, x], "has_next": False}),
    "trade": (lambda raw: border.check_trade(wire.decode(raw, websocket.Trade)), TRADE, lambda x: x),
    "ticker": (lambda raw: border.check_ticker(wire.decode(raw, websocket.Ticker)), TICKER, lambda x: x),
    "user order": (lambda raw: border.check_user_order(wire.decode(raw, websocket.UserOrder)), USER_ORDER, lambda x: x),
    "l2": (
        lambda raw: border.check_l2(wire.decode(raw, websocket.L2Event)),
        UPDATE,
        lambda x: {"type": "update", "product_id": "A-USD", "updates": [UPDATE, x]},
    ),
    "fees": (
        border.decode_fees,
        {"taker_fee_rate": "0.012", "maker_fee_rate": "0"},
        lambda x: {"fee_tier": x, "total_volume": 0},
    ),
    "preview": (border.decode_preview, {"order_total": "10", "commission_total": "0.1", "errs": []}, lambda x: x),
}
NUMBERS = {
    "product": ["price_increment", "base_increment", "quote_increment", "base_min_size", "quote_max_size", "price"],
    "candle": ["open", "high", "low", "close", "volume"],
    "order": ["filled_size", "average_filled_price", "filled_value", "total_fees"],
    "orders": ["filled_size", "total_fees"],
    "fill": ["price", "size", "commission"],
    "trade": ["price", "size"],
    "ticker": ["price", "best_bid", "best_ask"],
    "user order": ["cumulative_quantity", "avg_price", "total_fees", "filled_value", "leaves_quantity"],
    "l2": ["price_level", "new_quantity"],
    "fees": ["taker_fee_rate", "maker_fee_rate"],
    "preview": ["order_total", "commission_total"],
}
WORTHLESS = ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "-0.00000001", "abc", "1e999999"]


def decode(kind, **changes):
    function, good, wrap = DECODE[kind]
    return function(json.dumps(wrap(good | changes)).encode())


@pytest.mark.parametrize("kind", DECODE)
def test_the_good_passes(kind):
    assert decode(kind)


@pytest.mark.parametrize(("kind", "member"), [(k, m) for k, members in NUMBERS.items() for m in members])
def test_no_number_without_worth_passes(kind, member):
    for text in WORTHLESS:
        with pytest.raises(BadWire):
            decode(kind, **{member: text})


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("product", {"price_increment": "0"}, "price_increment is not positive"),
        ("product", {"base_increment": ""}, "base_increment is not a number"),
        ("product", {"base_max_size": "0"}, "base_max_size is not positive"),
        ("product", {"quote_min_size": "999999999999"}, "above its maximum"),
        ("product", {"base_currency_id": ""}, "no currencies"),
        ("product", {"trading_disabled": "no"}, "Expected `bool`"),
        ("candle", {"high": "2.5"}, "outside its range"),
        ("candle", {"low": "5"}, "outside its range"),
        ("candle", {"start": "-5"}, "start is not a whole number"),
        ("candle", {"start": "9" * 30}, "start is not a whole number"),
        ("candle", {"open": "0"}, "open is not positive"),
        ("order", {"side": "HOLD"}, "no side"),
        ("order", {"status": ""}, "without id, product or status"),
        ("order", {"order_id": ""}, "without id, product or status"),
        ("order", {"average_filled_price": "0"}, "filled without price"),
        ("order", {"created_time": "yesterday"}, "RFC 3339"),
        ("orders", {"order_id": None}, "order_id"),
        ("fill", {"entry_id": ""}, "without id"),
        ("fill", {"price": "0"}, "fill price is not positive"),
        ("fill", {"size": "0"}, "fill size is not positive"),
        ("fill", {"commission": ""}, "commission is not a number"),
        ("fill", {"trade_time": ""}, "fill time is missing"),
        ("fill", {"side": ""}, "no side"),
        ("account", {"hold": {"value": "-1", "currency": "USD"}}, "USD hold is negative"),
        ("account", {"hold": {"value": "1", "currency": "BTC"}}, "in another currency"),
        ("account", {"available_balance": {"value": "", "currency": "USD"}}, "not a number"),
        ("trade", {"side": "bid"}, "no side"),
        ("trade", {"trade_id": "x"}, "not a whole number"),
        ("ticker", {"best_bid": "3"}, "crossed"),
        ("user order", {"avg_price": "0"}, "filled without price"),
        ("l2", {"side": "ask"}, "neither bid nor offer"),
        ("l2", {"price_level": "0"}, "price_level is not positive"),
        ("fees", {"maker_fee_rate": "1.2"}, "no fraction"),
    ],
)
def test_the_bad_is_refused_with_its_reason(kind, changes, reason):
    with pytest.raises(BadWire, match=reason):
        decode(kind, **changes)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("product", {"price": "", "status": "brand_new", "alias": None, "future_flag": True}),
        ("order", {"status": "SOMETHING_NEW", "order_type": "ROLL_OPEN", "last_fill_time": None, "edit_history": None}),
        ("order", {"filled_size": "", "average_filled_price": "", "order_configuration": {"new_kind": {}}}),
        ("user order", {"status": "EDIT_QUEUED", "cumulative_quantity": "0", "avg_price": ""}),
        ("ticker", {"best_bid": "", "best_ask": None}),
        ("l2", {"new_quantity": "0", "event_time": "1970-01-01T00:00:00Z"}),
        ("preview", {"errs": ["PREVIEW_INSUFFICIENT_FUND"], "order_total": ""}),
    ],
)
def test_what_is_open_or_absent_passes(kind, changes):
    assert decode(kind, **changes)


@pytest.mark.parametrize(
    ("bids", "asks", "reason"),
    [
        (["11"], ["11"], "crossed"),
        (["12"], ["11"], "crossed"),
        (["9", "10"], ["11"], "bids are out of order"),
        (["10", "10"], ["11"], "bids are out of order"),
        (["10"], ["12", "11"], "asks are out of order"),
        (["NaN"], ["11"], "not a number"),
        (["0"], ["11"], "not positive"),
    ],
)
def test_books_are_ordered_and_uncrossed(bids, asks, reason):
    sides = {name: [{"price": p, "size": "1"} for p in prices] for name, prices in (("bids", bids), ("asks", asks))}
    with pytest.raises(BadWire, match=reason):
        border.decode_book(json.dumps({"pricebook": {"product_id": "A-USD"} | sides}).encode())


def test_a_one_sided_book_passes():
    for sides in ({"bids": [], "asks": [LEVEL]}, {"bids": [LEVEL], "asks": []}, {"bids": [], "asks": []}):
        assert border.decode_book(json.dumps({"pricebook": {"product_id": "A-USD"} | sides}).encode())


def test_a_bad_product_hides_none_of_the_others():
    listing = [PRODUCT, PRODUCT | {"product_id": "X-USD", "price_increment": "NaN"}, {"product_id": 5}]
    good, refused = border.decode_products(json.dumps({"products": listing, "num_products": 3}).encode())
    assert [p.product_id for p in good] == ["BTC-USD"]
    assert len(refused) == 2
    assert "X-USD price_increment" in refused[0]


@pytest.mark.parametrize("page", ["orders", "accounts"])
def test_a_page_that_says_more_but_not_where_is_refused(page):
    with pytest.raises(BadWire, match="more but not where"):
        getattr(border, f"decode_{page}")(json.dumps({page: [], "has_next": True, "cursor": ""}).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b'{"success":true}',
        b'{"success":true,"order_id":"legacy"}',
        b'{"success":true,"success_response":{"order_id":"","product_id":"A","side":"BUY","client_order_id":"c"}}',
        b'{"success":true,"success_response":{"order',
        b"<html>busy</html>",
        b"{}",
    ],
)
def test_a_place_answer_that_names_no_order_is_no_answer(raw):
    with pytest.raises(BadWire):
        border.decode_create_answer(raw)


def test_a_place_answer_may_bring_new_members():
    raw = json.dumps({"success": True, "success_response": PLACED | {"x": 1}, "error_response": None, "y": []})
    assert border.decode_create_answer(raw.encode()).success_response.order_id == "o"


def test_cancel_results_are_those_asked_for():
    raw = json.dumps({"results": [{"success": True, "order_id": "a"}, {"success": False, "order_id": "b"}]}).encode()
    assert [r.success for r in border.decode_cancel_answer(raw, ["b", "a"]).results] == [True, False]
    for asked in (["a"], ["a", "b", "c"], ["a", "a"]):
        with pytest.raises(BadWire, match="not those asked for"):
            border.decode_cancel_answer(raw, asked)


def test_permissions_that_are_not_told_are_not_granted():
    granted = border.decode_permissions(b'{"can_view":true,"portfolio_uuid":"p"}')
    assert (granted.can_view, granted.can_trade, granted.can_transfer) == (True, False, False)


def test_an_error_page_is_kept_short_and_never_fails():
    page = b"<!DOCTYPE html>" + b"<p>Too many requests</p>" * 1000
    assert border.decode_error(page).message == page[:200].decode()
    for body in (b"", b"\xff\xfe", b"[1]", b'"text"', b'{"message":5}', b"[" * 10_000):
        assert len(border.decode_error(body).message) <= 200
