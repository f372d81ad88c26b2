"""Every refusal of the order entry, by the venue's own words, one row each."""

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from actors.venue.book import BUY
from actors.venue.checks import VenueRules
from actors.venue.instants import rfc3339
from actors.venue.requests import PlaceRequest
from tests.support.trading_floor import BTC, SECOND_NS, START_NS, USER, Floor, d, product

COINBASE = Path(__file__).resolve().parents[2] / "../shared/coinbase"
UNKNOWN = ("UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON")
GTC, GTD, FOK, IOC = "limit_limit_gtc", "limit_limit_gtd", "limit_limit_fok", "market_market_ioc"
STOP, BRACKET = "stop_limit_stop_limit_gtc", "trigger_bracket_gtc"
DOWN, UP = "STOP_DIRECTION_STOP_DOWN", "STOP_DIRECTION_STOP_UP"


def reason(answer) -> str:
    """The first member that does not say UNKNOWN, as clients read it."""
    assert answer.success is False
    error = answer.error_response
    told = (error.new_order_failure_reason, error.preview_failure_reason.removeprefix("PREVIEW_"), error.error)
    return next(word for word in told if not word.startswith("UNKNOWN"))


def limit(size="1", price="100", **more):
    return {"base_size": size, "limit_price": price} | more


def stop(stop_price, limit_price, direction=DOWN):
    return {"base_size": "1", "limit_price": limit_price, "stop_price": stop_price, "stop_direction": direction}


def bracket(target, trigger, **more):
    return {"base_size": "1", "limit_price": target, "stop_trigger_price": trigger} | more


def at(seconds):
    return rfc3339(START_NS + seconds * SECOND_NS)


# Mid 100.5, last trade 100; prices step by 0.05, base by 0.001 (0.002 to 1000), quote by 0.01 (1 to 50000).
REFUSALS = [
    ("INVALID_SIDE", "HOLD", GTC, limit()),
    ("UNSUPPORTED_ORDER_CONFIGURATION", "BUY", "market_market_fok", {"quote_size": "10"}),
    ("UNSUPPORTED_ORDER_CONFIGURATION", "BUY", "twap_limit_gtd", {"base_size": "1", "limit_price": "100"}),
    ("UNSUPPORTED_ORDER_CONFIGURATION", "BUY", "scaled_limit_gtc", {"base_size": "1", "min_price": "90"}),
    ("INVALID_ORDER_CONFIG", "BUY", GTC, {"limit_price": "100"}),
    ("INVALID_ORDER_CONFIG", "BUY", GTC, limit(quote_size="10")),
    ("INVALID_ORDER_CONFIG", "SELL", IOC, {"quote_size": "10"}),
    ("NON_NUMERIC_ORDER_SIZE", "BUY", GTC, limit(size="much")),
    ("NON_NUMERIC_ORDER_SIZE", "BUY", GTC, limit(size="NaN")),
    ("INVALID_SIZE_PRECISION", "BUY", GTC, limit(size="1.0005")),
    ("INVALID_QUOTE_SIZE_PRECISION", "BUY", IOC, {"quote_size": "10.005"}),
    ("INVALID_BASE_SIZE_TOO_SMALL", "BUY", GTC, limit(size="0.001")),
    ("INVALID_BASE_SIZE_TOO_SMALL", "SELL", GTC, limit(size="-1")),
    ("INVALID_BASE_SIZE_TOO_LARGE", "BUY", GTC, limit(size="1000.001")),
    ("INVALID_QUOTE_SIZE_TOO_SMALL", "BUY", IOC, {"quote_size": "0.99"}),
    ("INVALID_QUOTE_SIZE_TOO_SMALL", "BUY", GTC, limit(size="0.009")),
    ("INVALID_QUOTE_SIZE_TOO_SMALL", "SELL", IOC, {"base_size": "0.009"}),
    ("INVALID_QUOTE_SIZE_TOO_LARGE", "BUY", IOC, {"quote_size": "50000.01"}),
    ("INVALID_QUOTE_SIZE_TOO_LARGE", "BUY", GTC, limit(size="501")),
    ("INVALID_PRICE_PRECISION", "BUY", GTC, limit(price="100.01")),
    ("INVALID_LIMIT_PRICE", "BUY", GTC, {"base_size": "1"}),
    ("INVALID_LIMIT_PRICE", "BUY", GTC, limit(price="0")),
    ("INVALID_LIMIT_PRICE", "BUY", GTC, limit(price="cheap")),
    ("INVALID_LIMIT_PRICE_POST_ONLY", "BUY", GTC, limit(price="101", post_only=True)),
    ("INVALID_LIMIT_PRICE_POST_ONLY", "SELL", GTC, limit(price="100", post_only=True)),
    ("POST_ONLY_NOT_ALLOWED_WITH_FOK", "BUY", FOK, limit(post_only=True)),
    ("PRICE_NOT_ALLOWED_FOR_MARKET_ORDERS", "BUY", IOC, {"base_size": "1", "limit_price": "100"}),
    ("REDUCE_ONLY_NOT_ALLOWED_ON_SPOT_PRODUCTS", "SELL", IOC, {"base_size": "1", "reduce_only": True}),
    ("LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_BUY", "BUY", GTC, limit(price="110.60")),
    ("LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_SELL", "SELL", GTC, limit(price="90.40")),
    ("LIMIT_PRICE_TOO_FAR_FROM_MARKET", "BUY", GTC, limit(price="10")),
    ("LIMIT_PRICE_TOO_FAR_FROM_MARKET", "SELL", GTC, limit(price="1005.05")),
    ("GTD_ORDERS_MUST_HAVE_END_TIME", "BUY", GTD, limit()),
    ("INVALID_END_TIME", "BUY", GTD, limit(end_time="tomorrow")),
    ("END_TIME_IS_IN_THE_PAST", "BUY", GTD, limit(end_time=at(0))),
    ("END_TIME_TOO_FAR_IN_FUTURE", "BUY", GTD, limit(end_time=at(367 * 86_400))),
    ("INSUFFICIENT_FUND", "BUY", GTC, limit(size="99")),
    ("INSUFFICIENT_FUND", "SELL", GTC, limit(size="10.001", price="101")),
    ("INSUFFICIENT_FUND", "BUY", IOC, {"quote_size": "10000.01"}),
    ("INSUFFICIENT_FUND", "SELL", IOC, {"base_size": "10.001"}),
    ("INVALID_STOP_PRICE", "SELL", STOP, {"base_size": "1", "limit_price": "94", "stop_direction": DOWN}),
    ("INVALID_STOP_PRICE", "SELL", STOP, stop("95", "94", "SIDEWAYS")),
    ("INVALID_STOP_PRICE_PRECISION", "SELL", STOP, stop("95.01", "94")),
    ("STOP_PRICE_BELOW_LIMIT_PRICE", "SELL", STOP, stop("94", "95")),
    ("STOP_PRICE_ABOVE_LIMIT_PRICE", "BUY", STOP, stop("105", "104", UP)),
    ("STOP_PRICE_ABOVE_LAST_TRADE_PRICE", "SELL", STOP, stop("100", "99")),
    ("STOP_PRICE_BELOW_LAST_TRADE_PRICE", "BUY", STOP, stop("100", "101", UP)),
    ("QUOTE_SIZE_NOT_ALLOWED_FOR_BRACKET", "SELL", BRACKET, bracket("110", "90", quote_size="10")),
    ("INVALID_BRACKET_PRICES", "SELL", BRACKET, bracket("90", "110")),
    ("INVALID_BRACKET_PRICES", "BUY", BRACKET, bracket("110", "90")),
    ("INVALID_BRACKET_LIMIT_PRICE", "SELL", BRACKET, bracket("100", "90")),
    ("INVALID_BRACKET_STOP_TRIGGER_PRICE", "SELL", BRACKET, bracket("110", "101")),
    ("INVALID_BRACKET_STOP_TRIGGER_PRICE", "SELL", BRACKET, {"base_size": "1", "limit_price": "110"}),
    ("INVALID_STOP_TRIGGER_PRICE_PRECISION", "SELL", BRACKET, bracket("110", "90.01")),
    ("BRACKET_LIMIT_PRICE_OUT_OF_BOUNDS", "SELL", BRACKET, bracket("2000", "90")),
    ("STOP_TRIGGER_PRICE_OUT_OF_BOUNDS", "SELL", BRACKET, bracket("110", "1")),
]


@pytest.mark.parametrize(("expected", "side", "kind", "members"), REFUSALS)
def test_the_venue_refuses_and_says_why(expected, side, kind, members):
    floor = Floor()
    before = floor.exchange.accounts(USER)
    assert reason(floor.place(side, kind, **members)) == expected
    assert floor.exchange.accounts(USER) == before
    assert floor.listed() == []


@pytest.mark.parametrize(("expected", "side", "kind", "members"), REFUSALS)
def test_a_preview_lists_the_same_reason(expected, side, kind, members):
    floor = Floor()
    request = PlaceRequest(product_id=BTC, side=side, order_configuration={kind: members})
    (err,) = floor.exchange.preview(USER, request, floor.now_ns).errs
    assert err.removeprefix("PREVIEW_") == expected


FLAGS = [
    ("UNTRADABLE_PRODUCT", {"is_disabled": True}, GTC, limit()),
    ("UNTRADABLE_PRODUCT", {"status": "delisted"}, GTC, limit()),
    ("TRADING_DISABLED", {"trading_disabled": True}, GTC, limit()),
    ("PRODUCT_TRADING_HALTED", {"status": "offline"}, GTC, limit()),
    ("ORDER_ENTRY_DISABLED", {"cancel_only": True}, GTC, limit()),
    ("INELIGIBLE_PAIR", {"view_only": True}, GTC, limit()),
    ("NOT_ALLOWED_BY_MARKET_STATE", {"limit_only": True}, IOC, {"base_size": "1"}),
    ("NOT_ALLOWED_BY_MARKET_STATE", {"post_only": True}, GTC, limit()),
    ("NOT_ALLOWED_BY_MARKET_STATE", {"auction_mode": True}, IOC, {"base_size": "1"}),
]
ALLOWED = [
    ({"limit_only": True}, limit()),
    ({"post_only": True}, limit(post_only=True)),
    ({"auction_mode": True}, limit()),
]


@pytest.mark.parametrize(("expected", "flags", "kind", "members"), FLAGS)
def test_product_flags_refuse_orders_but_never_cancels(expected, flags, kind, members):
    floor = Floor()
    resting = floor.limit("BUY", "1", "99")
    floor.exchange.set_product(BTC, floor.now_ns, **flags)
    assert reason(floor.place("BUY", kind, **members)) == expected
    assert floor.cancel(resting) == [""]
    assert floor.order(resting).status == "CANCELLED"


@pytest.mark.parametrize(("flags", "members"), ALLOWED)
def test_product_flags_let_through_what_they_allow(flags, members):
    floor = Floor()
    floor.exchange.set_product(BTC, floor.now_ns, **flags)
    assert floor.place("BUY", GTC, **members).success


def test_an_empty_book_refuses_market_orders():
    floor = Floor(ladder=False)
    assert reason(floor.place("BUY", IOC, quote_size="10")) == "INVALID_NO_LIQUIDITY"


def test_a_stop_needs_a_last_trade_and_a_bracket_a_market():
    floor = Floor(ladder=False)
    assert reason(floor.place("SELL", STOP, **stop("95", "94"))) == "MISSING_MARKET_TRADE_DATA"
    assert reason(floor.place("SELL", BRACKET, **bracket("110", "90"))) == "MISSING_MARKET_TRADE_DATA"


def test_an_unknown_product_is_refused():
    assert reason(Floor().place("BUY", GTC, product_id="NOPE-USD", **limit())) == "INVALID_PRODUCT_ID"


@pytest.mark.parametrize("cid", ["", "x" * 129])
def test_a_client_id_needs_1_to_128_characters(cid):
    request = PlaceRequest(client_order_id=cid, product_id=BTC, side=BUY, order_configuration={GTC: limit()})
    assert reason(Floor().exchange.place(USER, request, START_NS)) == "INVALID_REQUEST"


@pytest.mark.parametrize("configuration", [None, {}, {GTC: limit(), FOK: limit()}, {GTC: "limit"}])
def test_a_configuration_has_exactly_one_member_that_is_an_object(configuration):
    request = PlaceRequest(client_order_id="x", product_id=BTC, side=BUY, order_configuration=configuration)
    assert reason(Floor().exchange.place(USER, request, START_NS)) == "INVALID_ORDER_CONFIG"


@pytest.mark.parametrize(("side", "price"), [("BUY", "110.55"), ("SELL", "90.45"), ("BUY", "10.05"), ("SELL", "1005")])
def test_the_bounds_of_the_price_are_allowed_themselves(side, price):
    assert Floor().place(side, GTC, **limit(price=price)).success


def test_the_venues_bounds_can_be_set():
    floor = Floor()
    floor.exchange.set_rules(VenueRules(price_band_bps=Decimal(2000)))
    assert floor.place("BUY", GTC, **limit(price="110.60")).success


@pytest.mark.parametrize(
    ("name", "members"),
    [("create_order_post_only", limit(price="101", post_only=True)), ("create_order_insufficient", limit(size="99"))],
)
def test_the_error_part_reads_like_the_recorded_one(name, members):
    path = COINBASE / "samples/prod_rest_errors.json"
    if not path.exists():
        pytest.skip("recorded samples are not beside the repository")
    recorded = json.loads(path.read_text())[name]["error_response"]
    ours = msgspec.to_builtins(Floor().place("BUY", GTC, **members).error_response)
    assert {key: ours[key] for key in recorded} == recorded


def test_every_reason_is_a_name_that_the_venue_has():
    if not (COINBASE / "enums.json").exists():
        pytest.skip("the venue's enums are not beside the repository")
    enums = json.loads((COINBASE / "enums.json").read_text())
    floor = Floor()
    answers = [floor.place(side, kind, **members) for _, side, kind, members in REFUSALS]
    for flags, kind, members in (row[1:] for row in FLAGS):
        floor = Floor(products=(product(**flags),), ladder=False)
        answers.append(floor.place("BUY", kind, **members))
    errors = [answer.error_response for answer in answers]
    assert {error.new_order_failure_reason for error in errors} <= {*enums["new_order_failure_reason"], *UNKNOWN}
    assert {error.preview_failure_reason for error in errors} <= {*enums["preview_failure_reason"], *UNKNOWN}


def test_a_preview_costs_what_the_order_then_costs():
    floor = Floor()
    members = {"base_size": "6"}
    request = PlaceRequest(product_id=BTC, side="BUY", order_configuration={IOC: members})
    preview = floor.exchange.preview(USER, request, floor.now_ns)
    order = floor.order(floor.placed("BUY", IOC, **members))
    assert (preview.errs, preview.best_bid, preview.best_ask) == ([], "100", "101")
    assert d(preview.order_total) == d(order.total_value_after_fees)
    assert d(preview.commission_total) == d(order.total_fees)
    assert d(preview.est_average_filled_price) == d(order.average_filled_price)
    assert d(preview.slippage) > 0
