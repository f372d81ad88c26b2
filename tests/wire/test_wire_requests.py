"""Requests: what the official client sends is understood, and what we send is what it would send."""

import json
from itertools import product

import pytest

from protocol.coinbase import orders, queries, rest, wire
from protocol.coinbase.endpoints import API_PREFIX, Endpoint, Scope, match

BODIES = {
    Endpoint.CREATE_ORDER: orders.CreateOrder,
    Endpoint.PREVIEW_ORDER: orders.PreviewOrder,
    Endpoint.EDIT_ORDER: orders.EditOrder,
    Endpoint.PREVIEW_EDIT: orders.EditOrder,
    Endpoint.CANCEL_ORDERS: orders.CancelOrders,
    Endpoint.CONVERT_QUOTE: rest.ConvertQuote,
    Endpoint.CONVERT_COMMIT: rest.ConvertCommit,
}
QUERIES = {
    Endpoint.PUBLIC_PRODUCTS: queries.ProductsQuery,
    Endpoint.PUBLIC_BOOK: queries.BookQuery,
    Endpoint.PUBLIC_CANDLES: queries.CandlesQuery,
    Endpoint.PUBLIC_TRADES: queries.TradesQuery,
    Endpoint.PRODUCTS: queries.ProductsQuery,
    Endpoint.PRODUCT: queries.ProductsQuery,
    Endpoint.BOOK: queries.BookQuery,
    Endpoint.BEST_BID_ASK: queries.BestBidAskQuery,
    Endpoint.CANDLES: queries.CandlesQuery,
    Endpoint.TRADES: queries.TradesQuery,
    Endpoint.ACCOUNTS: queries.AccountsQuery,
    Endpoint.ORDERS: queries.OrdersQuery,
    Endpoint.FILLS: queries.FillsQuery,
    Endpoint.TRANSACTION_SUMMARY: queries.SummaryQuery,
    Endpoint.CONVERT_TRADE: queries.ConvertQuery,
}
NOT_SPOT = {"close_position", "get_portfolio_breakdown", "move_portfolio_funds"}


@pytest.fixture
def calls(sample_json):
    found = [c for c in sample_json("sdk_requests.json")["calls"] if c["sdk_call"] not in NOT_SPOT]
    return [(match(c["method"], c["path"]), c) for c in found]


def test_every_call_of_the_official_client_has_an_endpoint(calls):
    assert [c["sdk_call"] for found, c in calls if found is None] == []
    assert len(calls) > 30


def test_its_bodies_come_back_as_they_were(calls):
    seen = set()
    for (endpoint, _), call in calls:
        if endpoint in BODIES:
            request = wire.decode(json.dumps(call["body"]), BODIES[endpoint])
            assert json.loads(wire.encode(request)) == call["body"]
            seen.add(endpoint)
    assert seen == set(BODIES)


def test_its_query_strings_come_back_as_they_were(calls):
    for (endpoint, _), call in calls:
        if call["query"]:
            read = queries.decode_query(call["query"], QUERIES[endpoint])
            again = queries.encode_query(read)
            # False is our default and is not sent; the client writes Python's text.
            sent = {p for p in call["query"].replace("=True", "=true").split("&") if not p.endswith("=False")}
            assert set(again.split("&")) - {""} == sent


LEGS = {
    "market_market_ioc": orders.Market(quote_size="10"),
    "market_market_fok": orders.Market(base_size="1"),
    "sor_limit_ioc": orders.Limit(base_size="1", limit_price="2"),
    "limit_limit_gtc": orders.RestingLimit(base_size="1", limit_price="2", post_only=False),
    "limit_limit_gtd": orders.DatedLimit(
        base_size="1", limit_price="2", post_only=True, end_time="2027-01-01T00:00:00Z"
    ),
    "limit_limit_fok": orders.Limit(quote_size="1", limit_price="2"),
    "stop_limit_stop_limit_gtc": orders.StopLimit(
        base_size="1", limit_price="2", stop_price="3", stop_direction=orders.STOP_DOWN
    ),
    "stop_limit_stop_limit_gtd": orders.DatedStopLimit(
        base_size="1", limit_price="2", stop_price="3", stop_direction=orders.STOP_UP, end_time="2027-01-01T00:00:00Z"
    ),
    "trigger_bracket_gtc": orders.Bracket(base_size="1", limit_price="2", stop_trigger_price="1"),
    "trigger_bracket_gtd": orders.DatedBracket(
        base_size="1", limit_price="2", stop_trigger_price="1", end_time="2027-01-01T00:00:00Z"
    ),
    "twap_limit_gtd": orders.Twap(quote_size="9", limit_price="2", number_buckets="3", bucket_duration="60s"),
    "scaled_limit_gtc": orders.Scaled(base_size="1", num_orders=3, min_price="1", max_price="2"),
}


def test_legs_cover_every_configuration():
    assert set(LEGS) == set(orders.OrderConfiguration.__struct_fields__)


@pytest.mark.parametrize("name", LEGS)
def test_each_configuration_is_sent_under_its_one_key_without_absent_members(name):
    sent = json.loads(wire.encode(orders.OrderConfiguration(**{name: LEGS[name]})))
    assert list(sent) == [name]
    assert "" not in sent[name].values()
    assert None not in sent[name].values()
    assert orders.chosen(wire.decode(json.dumps(sent), orders.OrderConfiguration)) == (name, LEGS[name])


def test_a_post_only_flag_is_sent_also_when_false():
    leg = json.loads(wire.encode(orders.OrderConfiguration(limit_limit_gtc=LEGS["limit_limit_gtc"])))
    assert leg == {"limit_limit_gtc": {"base_size": "1", "limit_price": "2", "post_only": False}}


@pytest.mark.parametrize("names", [("market_market_ioc", "limit_limit_gtc"), ()])
def test_none_or_two_configurations_choose_nothing(names):
    assert orders.chosen(orders.OrderConfiguration(**{n: LEGS[n] for n in names})) is None
    assert orders.chosen(None) is None


def test_a_configuration_from_the_future_chooses_nothing():
    assert orders.chosen(wire.decode(b'{"peg_limit_gtc":{"offset":"1"}}', orders.OrderConfiguration)) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("UNKNOWN_FAILURE_REASON", "PREVIEW_INSUFFICIENT_FUND", "X"), "PREVIEW_INSUFFICIENT_FUND"),
        (("", None, "INVALID_SIDE"), "INVALID_SIDE"),
        (("UNTRADABLE_PRODUCT", "PREVIEW_X"), "UNTRADABLE_PRODUCT"),
        (("UNKNOWN_FAILURE_REASON", "unknown", "", None), "UNKNOWN_FAILURE_REASON"),
        ((), "UNKNOWN_FAILURE_REASON"),
    ],
)
def test_first_reason_that_says_something(given, reason):
    assert orders.first_reason(*given) == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"success":false,"errors":[{"edit_failure_reason":"ORDER_NOT_FOUND"}]}', "ORDER_NOT_FOUND"),
        (b'{"success":false,"errors":{"preview_failure_reason":"PREVIEW_X"}}', "PREVIEW_X"),
        (
            b'{"success":false,"error_response":{"edit_order_failure_reason":"INVALID_EDITED_SIZE"}}',
            "INVALID_EDITED_SIZE",
        ),
        (b'{"success":true}', "UNKNOWN_FAILURE_REASON"),
    ],
)
def test_edit_answers_of_every_age_tell_their_reason(raw, reason):
    assert wire.decode(raw, orders.EditAnswer).reason == reason


def test_paths_are_filled_quoted_and_found_again():
    for endpoint in Endpoint:
        names = [part[1:-1] for part in endpoint.template.split("/") if part.startswith("{")]
        path = endpoint.path(**dict.fromkeys(names, "a b/c"))
        assert path.startswith(API_PREFIX)
        assert " " not in path
        assert match(endpoint.method, path) == (endpoint, dict.fromkeys(names, "a%20b%2Fc"))


def test_a_path_without_its_parameter_is_an_error():
    with pytest.raises(KeyError):
        Endpoint.ORDER.path()


@pytest.mark.parametrize(("method", "path"), list(product(["PUT", "DELETE"], ["/api/v3/brokerage/orders", "/", ""])))
def test_no_route(method, path):
    assert match(method, path) is None


def test_listing_paths_are_not_taken_for_order_ids():
    assert match("GET", f"{API_PREFIX}/orders/historical/batch")[0] is Endpoint.ORDERS
    assert match("GET", f"{API_PREFIX}/orders/historical/fills")[0] is Endpoint.FILLS
    assert match("GET", f"{API_PREFIX}/orders/historical/x-1")[0] is Endpoint.ORDER


def test_only_market_data_and_time_are_public():
    assert {e.name for e in Endpoint if e.scope is Scope.PUBLIC} == {
        *("TIME", "PUBLIC_PRODUCTS", "PUBLIC_PRODUCT", "PUBLIC_BOOK", "PUBLIC_CANDLES", "PUBLIC_TRADES")
    }
    assert all("/market/" in e.template or e is Endpoint.TIME for e in Endpoint if e.scope is Scope.PUBLIC)


def test_lists_repeat_their_name_and_old_singular_names_are_read():
    text = queries.encode_query(queries.OrdersQuery(product_ids=("A-USD", "B-USD"), limit=5))
    assert text == "product_ids=A-USD&product_ids=B-USD&limit=5"
    read = queries.decode_query("product_id=A-USD&product_ids=B-USD&future=1", queries.OrdersQuery)
    assert sorted(read.product_ids) == ["A-USD", "B-USD"]


@pytest.mark.parametrize(("text", "value"), [("True", True), ("true", True), ("False", False), ("false", False)])
def test_booleans_of_either_spelling(text, value):
    read = queries.decode_query(f"get_tradability_status={text}", queries.ProductsQuery)
    assert read.get_tradability_status is value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", queries.BookQuery), ("limit=many", queries.TradesQuery), ("start=1&end=2", queries.CandlesQuery)],
)
def test_bad_query_strings_are_refused(text, kind):
    with pytest.raises(wire.BadWire):
        queries.decode_query(text, kind)
