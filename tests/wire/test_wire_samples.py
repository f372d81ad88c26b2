"""What the venue was seen to send is understood, and said again in the same words."""

import json

import pytest

from protocol.coinbase import border, orders, rest, websocket, wire

REST = {
    "ccxt_static_rest_closed_orders.json": orders.OrdersPage,
    "ccxt_static_rest_fills_spot.json": orders.FillsPage,
    "ccxt_static_rest_market_trades.json": rest.TradesAnswer,
    "jkorf_rest_account_commitconverttrade.json": rest.ConvertAnswer,
    "jkorf_rest_account_createconvertquote.json": rest.ConvertAnswer,
    "jkorf_rest_account_getaccounts.json": rest.AccountsPage,
    "jkorf_rest_account_getapikeyinfo.json": rest.KeyPermissions,
    "jkorf_rest_account_getfeeinfo2.json": rest.TransactionSummary,
    "jkorf_rest_account_getportfolios.json": rest.PortfoliosAnswer,
    "jkorf_rest_exchangedata_getklines.json": rest.CandlesAnswer,
    "jkorf_rest_exchangedata_getorderbook.json": rest.ProductBook,
    "jkorf_rest_exchangedata_getsymbols.json": rest.ProductsPage,
    "jkorf_rest_trading_cancelorders.json": orders.CancelAnswer,
    "jkorf_rest_trading_editorder.json": orders.EditAnswer,
    "nautilus_http_accounts.json": rest.AccountsPage,
    "nautilus_http_candles.json": rest.CandlesAnswer,
    "nautilus_http_order.json": orders.OrderAnswer,
    "nautilus_http_product_book.json": rest.ProductBook,
    "nautilus_http_products.json": rest.ProductsPage,
    "nautilus_http_ticker.json": rest.TradesAnswer,
    "prod_rest_accounts.json": rest.AccountsPage,
    "prod_rest_orders_empty.json": orders.OrdersPage,
    "prod_rest_product_btc_usd.json": rest.Product,
    "prod_rest_time.json": rest.ServerTime,
}
SOCKET = [
    "jkorf_ws_batchticker.json",
    "jkorf_ws_symbol.json",
    "jkorf_ws_ticker.json",
    "jkorf_ws_user.json",
    "nautilus_ws_candles.json",
    "nautilus_ws_heartbeats.json",
    "nautilus_ws_l2_data_snapshot.json",
    "nautilus_ws_l2_data_update.json",
    "nautilus_ws_subscriptions.json",
    "nautilus_ws_user.json",
    "prod_ws_consecutive_frames.jsonl",
    "prod_ws_l2_snapshot_btc_top40.jsonl",
    "prod_ws_ticker_ack_heartbeat.jsonl",
    "prod_ws_ticker_spot_and_unsubscribe.jsonl",
    "prod_ws_user_connection_start.jsonl",
]
NOT_CARRIED = {
    # derivatives and decoration: nobody in a spot trader acts on them
    *("fcm_trading_session_details", "future_product_details", "positions", "hidden_from_discovery"),
    *("base_cbrn", "quote_cbrn", "product_cbrn", "icon_color", "icon_url", "display_name_overwrite"),
    *("is_alpha_testing", "about_description"),
    *("perps_vol_from", "perps_vol_to", "futures_vol_from", "futures_vol_to", "volume_types_and_range"),
    *("margin_rate", "goods_and_services_tax", "volume_breakdown"),
    *("success_response", "disclosure", "unit_price", "user_warnings", "cancellation_reason", "subscription_info"),
    *("tax_details", "trade_incentive_info", "total_fee_without_tax", "fiat_denoted_total"),
}
DEFAULTS_OF_SHORT_SHAPES = ("contract_expiry_type", "risk_managed_by", "end_time", "start_time")


def unexplained(found):
    """Differences beside members nobody carries and the constants that a short user order lacks."""
    return [
        d
        for d in found
        if not (d.endswith(": dropped") and d.removesuffix(": dropped").rpartition(".")[2] in NOT_CARRIED)
        and not ("invented" in d and d.partition(":")[0].rpartition(".")[2] in DEFAULTS_OF_SHORT_SHAPES)
    ]


def again(struct):
    return json.loads(wire.encode(struct))


@pytest.mark.parametrize(
    ("sent", "written", "found"),
    [
        ({"a": "1"}, {"a": "1", "b": ""}, []),
        ({"a": "1"}, {"a": "1.0"}, ["$.a: '1' became '1.0'"]),
        ({"a": [{"b": 1}]}, {"a": [{}]}, ["$.a[0].b: dropped"]),
        ({}, {"c": "x"}, ["$.c: invented 'x'"]),
        ([1], [1, 2], ["$: [1] became [1, 2]"]),
    ],
)
def test_differences_are_found(sent, written, found, differences):
    assert differences(sent, written) == found


@pytest.mark.parametrize("name", REST)
def test_rest_sample_survives_the_round(name, sample, differences):
    text = sample(name)
    assert unexplained(differences(json.loads(text), again(wire.decode(text, REST[name])))) == []


@pytest.mark.parametrize("name", SOCKET)
def test_socket_sample_survives_the_round(name, sample, differences):
    text = sample(name)
    frames = text.splitlines() if name.endswith(".jsonl") else [text]
    assert frames
    for frame in frames:
        assert unexplained(differences(json.loads(frame), again(websocket.decode_frame(frame)))) == []


def test_place_answers_old_and_new_name_the_order_in_the_same_member(sample_json):
    old, new = (
        border.decode_create_answer(json.dumps(x).encode())
        for x in sample_json("sdk_issue_rest_create_order_success.json")
    )
    assert old.success_response.order_id == "vvvd2a-4ef9-9587-fc71dee4f912"  # not the top-level one that vanished
    assert new.success_response.order_id == "5abcda4c-55de-4f6d-837e-7a7799bc5d52"
    assert orders.chosen(new.order_configuration)[1].rfq_enabled is False


def test_documentation_example_with_several_configurations_and_json_numbers_is_refused(sample):
    with pytest.raises(wire.BadWire, match="base_size"):
        border.decode_create_answer(sample("jkorf_rest_trading_placeorder.json").encode())


def test_refusals_in_the_field_tell_their_reason(sample_json):
    errors = sample_json("prod_rest_errors.json")
    refused = [
        border.decode_create_answer(json.dumps(errors[name]).encode()).error_response.reason
        for name in ("create_order_post_only", "create_order_insufficient")
    ]
    assert refused == ["PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INSUFFICIENT_FUND"]


def test_error_bodies_of_every_kind_are_read(sample_json):
    errors = sample_json("prod_rest_errors.json")
    read = {
        name: border.decode_error(json.dumps(body).encode())
        for name, body in errors.items()
        if "429" in name or "403" in name or "json" in name
    }
    assert read["permission_403"].error == "PERMISSION_DENIED"
    assert read["missing_scope_403"].error_details == "Missing required scopes"
    assert read["unauthorized_json"].code == 16
    assert read["rate_limit_429"].errors[0].id == "rate_limit_exceeded"
    plain = sample_json("prod_rest_401_headers.json")["body_text"]
    assert border.decode_error(plain.encode()).message == "Unauthorized"


def test_error_frames_in_the_field_are_told_apart(sample_json):
    frames = [websocket.decode_frame(json.dumps(e)) for e in sample_json("prod_rest_errors.json")["ws_errors"]]
    assert {type(f) for f in frames} == {websocket.ErrorFrame}
    assert frames[-1].message == "too many L2 streams requested in a single session"


def test_the_filled_order_that_came_twice_differs_in_its_hold_alone(sample_json):
    pair = sample_json("prod_ws_user_filled_order_twice.json")["orders_in_arrival_order"]
    first, second = (border.check_user_order(wire.decode(json.dumps(o), websocket.UserOrder)) for o in pair)
    assert (first.kind, first.rejection, first.is_post_only) == ("LIMIT", "", False)
    assert (first.outstanding_hold_amount, second.outstanding_hold_amount) == ("0.746", "0")
    assert [k for k in pair[0] if again(first)[k] != again(second)[k]] == ["outstanding_hold_amount"]


def test_production_product_and_book_pass_the_border(sample):
    product = border.decode_product(sample("prod_rest_product_btc_usd.json").encode())
    assert (product.price_increment, product.base_increment, product.alias_to) == ("0.01", "0.00000001", ("BTC-USDC",))
    assert len(border.decode_book(sample("nautilus_http_product_book.json").encode()).pricebook.bids) == 5
    products, refused = border.decode_products(sample("nautilus_http_products.json").encode())
    assert ([p.product_id for p in products], refused) == (["BTC-USD", "BTC-USDC"], ())


def test_production_l2_snapshot_passes_the_border_uncrossed(sample):
    frame = websocket.decode_frame(sample("prod_ws_l2_snapshot_btc_top40.jsonl").splitlines()[0])
    changes = border.check_l2(frame.events[0])
    bids, asks = [c.price for c in changes if c.is_bid], [c.price for c in changes if not c.is_bid]
    assert len(bids) == len(asks) == 40
    assert max(bids) < min(asks)


def test_production_pages_pass_the_border(sample):
    assert len(border.decode_accounts(sample("prod_rest_accounts.json").encode()).accounts) == 2
    assert border.decode_orders(sample("prod_rest_orders_empty.json").encode()).orders == ()
    assert border.decode_orders(sample("ccxt_static_rest_closed_orders.json").encode()).orders[0].filled_size == "10"
    assert border.decode_fills(sample("ccxt_static_rest_fills_spot.json").encode()).fills[0].commission == "0.03136"
    assert border.decode_fees(sample("jkorf_rest_account_getfeeinfo2.json").encode()).maker_fee_rate == "0.006"
    assert border.decode_time_ms(sample("prod_rest_time.json").encode()) == 1790735849298
    assert len(border.decode_candles(sample("nautilus_http_candles.json").encode())) == 2


EXAMPLES = {
    "fetch_time": rest.ServerTime,
    "fetch_accounts_v3": rest.Account,
    "fetch_markets_v3": rest.TransactionSummary,
    "parse_spot_market": rest.Product,
    "fetch_ticker_v3": rest.TradesAnswer,
    "create_order": orders.CreateOrderAnswer,
    "cancel_orders": orders.CancelAnswer,
    "edit_order": orders.EditAnswer,
    "fetch_order": orders.OrderAnswer,
    "fetch_orders": orders.OrdersPage,
    "fetch_ohlcv": rest.CandlesAnswer,
    "fetch_my_trades": orders.FillsPage,
    "fetch_order_book": rest.ProductBook,
    "fetch_bids_asks": rest.BestBidAsk,
    "parse_ws_order": websocket.UserOrder,
}


def test_examples_of_another_client_are_understood(sample_json):
    seen = [
        x for x in sample_json("ccxt_response_examples.json") if x["function"] in EXAMPLES and "data" not in x["sample"]
    ]
    assert {x["function"] for x in seen} == set(EXAMPLES)
    for x in seen:
        wire.decode(json.dumps(x["sample"]), EXAMPLES[x["function"]])
