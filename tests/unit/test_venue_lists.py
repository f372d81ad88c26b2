"""Order and fill lists, accounts, products, books: filters, pages and shapes."""

import json
from pathlib import Path

import msgspec
import pytest

from actors.venue.checks import VenueRules
from actors.venue.fees import TIERS, FeeSchedule
from actors.venue.lag import calm
from actors.venue.requests import FillQuery, OrderQuery, QueryError
from tests.support.trading_floor import BTC, MS_NS, START_NS, USER, Floor, d

SAMPLES = Path(__file__).resolve().parents[2] / "../shared/coinbase/samples"
QUEUED = ("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED")


def members(name, *path):
    if not (SAMPLES / name).exists():
        pytest.skip("recorded samples are not beside the repository")
    value = json.loads((SAMPLES / name).read_text())
    for step in path:
        value = value[step]
    return set(value)


def ids(orders):
    return [order.order_id for order in orders]


@pytest.fixture
def busy():
    """One open, one pending, one cancel-queued, one filled, one cancelled order, placed a second apart."""
    floor = Floor()
    names = {"filled": floor.placed("BUY", "market_market_ioc", base_size="1")}
    floor.wait(1000)
    names["cancelled"] = floor.limit("BUY", "1", "98")
    floor.cancel(names["cancelled"])
    floor.wait(1000)
    names["open"] = floor.limit("SELL", "1", "104")
    floor.wait(1000)
    floor.exchange.set_unpleasantness(msgspec.structs.replace(calm(), cancel_ms=(9000, 9000), pending_ms=(9000, 9000)))
    names["pending"] = floor.limit("BUY", "1", "97")
    floor.exchange.set_unpleasantness(msgspec.structs.replace(calm(), cancel_ms=(9000, 9000)))
    names["cancel_queued"] = floor.limit("BUY", "1", "96", product_id="BTC-USDC")
    floor.cancel(names["cancel_queued"])
    return floor, names


FILTERS = [
    ({}, ["cancel_queued", "pending", "open", "cancelled", "filled"]),
    ({"statuses": ("OPEN",)}, ["open"]),
    ({"statuses": QUEUED}, ["cancel_queued", "pending"]),
    ({"statuses": ("FILLED", "CANCELLED")}, ["cancelled", "filled"]),
    ({"side": "SELL"}, ["open"]),
    ({"product_ids": ("BTC-USDC",)}, ["cancel_queued"]),
    ({"order_types": ("MARKET",)}, ["filled"]),
    ({"time_in_forces": ("IMMEDIATE_OR_CANCEL",)}, ["filled"]),
    ({"start_ns": START_NS + 2000 * MS_NS}, ["cancel_queued", "pending", "open"]),
    ({"end_ns": START_NS + 2000 * MS_NS}, ["cancelled", "filled"]),
    ({"sort_by": "LIMIT_PRICE"}, ["open", "cancelled", "pending", "cancel_queued", "filled"]),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_filters_of_the_order_list(busy, query, expected):
    floor, names = busy
    assert ids(floor.listed(**query)) == [names[name] for name in expected]


@pytest.mark.parametrize("limit", [1, 2, 5, 250])
@pytest.mark.parametrize("sort_by", ["", "LIMIT_PRICE", "LAST_UPDATE_TIME", "LAST_FILL_TIME"])
def test_pages_give_every_order_once(busy, limit, sort_by):
    floor, names = busy
    seen, cursor, pages = [], "", 0
    while True:
        query = OrderQuery(limit=limit, cursor=cursor, sort_by=sort_by)
        page = floor.exchange.list_orders(USER, query, floor.now_ns)
        seen, cursor, pages = seen + ids(page.orders), page.cursor, pages + 1
        assert page.sequence == "0"
        if not page.has_next:
            break
    assert cursor == ""
    assert (sorted(seen), pages) == (sorted(names.values()), -(-5 // limit))


def test_pages_stay_right_while_orders_come_and_go(busy):
    floor, names = busy
    first = floor.exchange.list_orders(USER, OrderQuery(limit=2), floor.now_ns)
    floor.limit("BUY", "1", "95")
    second = floor.exchange.list_orders(USER, OrderQuery(limit=10, cursor=first.cursor), floor.now_ns)
    assert ids(second.orders) == [names["open"], names["cancelled"], names["filled"]]


@pytest.mark.parametrize(
    "query",
    [
        {"statuses": ("OPEN", "PENDING")},
        {"limit": 0},
        {"limit": 1001},
        {"cursor": "abc"},
    ],
)
def test_the_order_list_refuses(busy, query):
    floor, _ = busy
    with pytest.raises(QueryError) as refused:
        floor.listed(**query)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_ARGUMENT")


def test_an_unknown_order_and_a_foreign_one_are_not_found(busy):
    floor, names = busy
    floor.exchange.open_user("other", floor.now_ns)
    for user, order_id in ((USER, "nobody"), ("other", names["open"])):
        with pytest.raises(QueryError, match="order with this orderID was not found"):
            floor.exchange.order(user, order_id, floor.now_ns)
    assert floor.exchange.list_orders("other", OrderQuery(order_ids=(names["open"],)), floor.now_ns).orders == []
    assert floor.exchange.cancel("other", [names["open"]], floor.now_ns)[0].failure_reason == "UNKNOWN_CANCEL_ORDER"


def test_a_stranger_has_no_portfolio():
    with pytest.raises(QueryError) as refused:
        Floor().exchange.accounts("stranger")
    assert (refused.value.status, refused.value.code) == (403, "PERMISSION_DENIED")


def test_the_user_channels_snapshot_has_every_live_order_oldest_first(busy):
    floor, names = busy
    snapshot = floor.exchange.open_orders(USER)
    assert ids(snapshot) == [names["open"], names["pending"], names["cancel_queued"]]


def test_a_hundred_cancels_in_one_request_and_no_more():
    floor = Floor()
    assert len(floor.exchange.cancel(USER, ["x"] * 100, floor.now_ns)) == 100
    with pytest.raises(QueryError) as refused:
        floor.exchange.cancel(USER, ["x"] * 101, floor.now_ns)
    assert refused.value.status == 400


def test_of_ended_orders_only_the_newest_are_remembered_live_ones_always():
    floor = Floor()
    floor.exchange.set_rules(VenueRules(kept_orders=2))
    resting = floor.limit("BUY", "1", "99")
    ended = [floor.placed("BUY", "market_market_ioc", base_size="0.1") for _ in range(4)]
    assert ids(floor.listed()) == [ended[3], ended[2], resting]
    assert {fill.order_id for fill in floor.fills()} == set(ended[2:])
    assert floor.fills(order_ids=(ended[0],)) == []
    with pytest.raises(QueryError):
        floor.order(ended[0])


# -- fills ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled():
    """Six fills, two each of three orders, a second apart."""
    floor = Floor()
    order_ids = []
    for side, size in (("BUY", "6"), ("SELL", "6"), ("BUY", "5.5")):
        floor.quote()
        order_ids.append(floor.placed(side, "market_market_ioc", base_size=size))
        floor.wait(1000)
    return floor, order_ids


def test_filters_of_the_fills_list(filled):
    floor, (first, second, third) = filled
    assert [fill.order_id for fill in floor.fills()] == [third] * 2 + [second] * 2 + [first] * 2
    assert {fill.order_id for fill in floor.fills(order_ids=(first, third))} == {first, third}
    assert {fill.order_id for fill in floor.fills(side="SELL")} == {second}
    assert len(floor.fills(start_ns=START_NS + 1000 * MS_NS)) == 4
    assert len(floor.fills(end_ns=START_NS + 1000 * MS_NS)) == 2
    assert floor.fills(product_ids=("ETH-USD",)) == []
    assert [fill.price for fill in floor.fills(sort_by="PRICE")] == ["102", "102", "101", "101", "100", "99"]
    one = floor.fills()[3]
    assert floor.fills(trade_ids=(one.trade_id,)) == [one]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_fill_pages_give_every_fill_once_and_a_full_last_page_still_has_a_cursor(filled, limit):
    floor, _ = filled
    seen, cursor, pages = [], "", 0
    while True:
        page = floor.exchange.list_fills(USER, FillQuery(limit=limit, cursor=cursor), floor.now_ns)
        seen, cursor, pages = seen + [fill.entry_id for fill in page.fills], page.cursor, pages + 1
        if not cursor or not page.fills:
            break
    assert len(seen) == len(set(seen)) == 6
    assert pages == 6 // limit + 1


def test_order_and_product_ids_together_are_refused():
    with pytest.raises(QueryError, match="cannot be combined"):
        Floor().fills(order_ids=("x",), product_ids=(BTC,))


def test_a_fill_has_the_recorded_members(filled):
    floor, _ = filled
    ours = msgspec.to_builtins(floor.fills()[0])
    assert members("ccxt_static_rest_fills_spot.json", "fills", 0) <= set(ours)
    assert (ours["trade_type"], ours["size_in_quote"]) == ("FILL", False)


# -- accounts and fees -----------------------------------------------------------------------------------------------


def test_an_account_has_the_recorded_members():
    (usd, *_) = Floor().exchange.accounts(USER).accounts
    assert set(msgspec.to_builtins(usd)) == members("prod_rest_accounts.json", "accounts", 0)
    assert (usd.name, usd.type, usd.available_balance.value) == ("Cash (USD)", "ACCOUNT_TYPE_FIAT", "10000")


def test_the_default_opening_cash_is_10000_usd():
    floor = Floor()
    floor.exchange.open_user("new", floor.now_ns)
    accounts = floor.exchange.accounts("new").accounts
    assert [(account.currency, account.available_balance.value) for account in accounts] == [
        ("USD", "10000"),
        ("USDC", "0"),
    ]


def test_accounts_are_paged_by_49():
    floor = Floor()
    for number in range(100):
        floor.exchange.deposit(USER, f"C{number}", d(1), floor.now_ns)
    page = floor.exchange.accounts(USER)
    assert (page.size, page.has_next) == (49, True)
    rest = floor.exchange.accounts(USER, limit=250, cursor=page.cursor)
    assert (rest.size, rest.has_next, rest.cursor) == (54, False, "")
    account = rest.accounts[0]
    assert floor.exchange.account(USER, account.uuid) == account


def test_deposits_and_withdrawals():
    floor = Floor()
    assert floor.exchange.deposit(USER, "USD", d("0.5"), floor.now_ns).available_balance.value == "10000.5"
    floor.limit("BUY", "98", "100")
    with pytest.raises(ValueError, match="less than"):
        floor.exchange.deposit(USER, "USD", d(-200), floor.now_ns)


def test_the_default_fees_are_the_entry_tiers_and_do_not_change_with_volume():
    floor = Floor()
    for _ in range(5):
        floor.quote()
        floor.placed("BUY", "market_market_ioc", base_size="4")
        floor.placed("SELL", "market_market_ioc", base_size="4")
    tier = floor.exchange.transaction_summary(USER, floor.now_ns).fee_tier
    assert (tier.taker_fee_rate, tier.maker_fee_rate) == ("0.012", "0.006")


def test_fees_follow_the_30_day_volume_where_tiers_are_on_and_an_order_keeps_its_rates():
    floor = Floor(fees=FeeSchedule(tiers=TIERS))
    resting = floor.limit("BUY", "1", "100.5")
    floor.placed("BUY", "market_market_ioc", base_size="10")  # volume 1015
    summary = floor.exchange.transaction_summary(USER, floor.now_ns)
    assert (summary.fee_tier.taker_fee_rate, summary.fee_tier.maker_fee_rate) == ("0.0075", "0.0035")
    assert (summary.fee_tier.usd_from, summary.fee_tier.usd_to, summary.total_volume) == ("1000", "10000", 1015)
    floor.market("SELL", "1")
    assert d(floor.order(resting).total_fees) == d("100.5") * d("0.006")
    floor.wait(30 * 86_400_000 + 1)
    assert floor.exchange.transaction_summary(USER, floor.now_ns).fee_tier.taker_fee_rate == "0.012"


def test_the_fee_summary_has_the_recorded_members():
    summary = msgspec.to_builtins(Floor().exchange.transaction_summary(USER, START_NS))
    assert set(summary) == members("jkorf_rest_account_getfeeinfo2.json")
    assert summary["total_balance"] == "16005"  # 10000 USD, 5000 USDC, 10 BTC at the mid of 100.5


# -- products, books, trades ------------------------------------------------------------------------------------------


def test_a_product_object_has_the_production_members_that_matter():
    view = msgspec.to_builtins(Floor().exchange.product_view(BTC, START_NS))
    cosmetic = {"base_cbrn", "quote_cbrn", "product_cbrn", "icon_color", "icon_url", "display_name_overwrite"}
    cosmetic |= {"is_alpha_testing", "about_description", "hidden_from_discovery"}
    assert set(view) == members("prod_rest_product_btc_usd.json") - cosmetic
    assert (view["alias"], view["alias_to"]) == ("", ["BTC-USDC"])
    assert (view["price"], view["best_bid_price"], view["mid_market_price"]) == ("100", "100", "100.5")


def test_an_alias_names_its_book_and_shows_the_same_prices():
    exchange = Floor().exchange
    view = exchange.product_view("BTC-USDC", START_NS)
    assert (view.alias, view.alias_to, view.quote_currency_id, view.price) == (BTC, [], "USDC", "100")
    assert exchange.book("BTC-USDC") == exchange.book(BTC)


def test_view_only_is_told_only_where_tradability_is_asked_for():
    floor = Floor()
    floor.exchange.set_product(BTC, floor.now_ns, view_only=True)
    assert not floor.exchange.product_view(BTC, floor.now_ns).view_only
    assert floor.exchange.product_view(BTC, floor.now_ns, tradability=True).view_only


def test_unknown_numbers_of_a_quiet_product_are_empty_text():
    view = Floor().exchange.product_view("ETH-USD", START_NS)
    assert {view.price, view.mid_market_price, view.high_24h, view.volume_24h, view.best_bid_price} == {""}
    with pytest.raises(QueryError) as refused:
        Floor().exchange.product_view("NOPE-USD", START_NS)
    assert refused.value.status == 404


def test_the_product_book_has_the_recorded_members():
    book = Floor().exchange.product_book(BTC, START_NS, depth=2)
    assert set(msgspec.to_builtins(book.pricebook)) == members("jkorf_rest_exchangedata_getorderbook.json", "pricebook")
    assert [level.price for level in book.pricebook.asks] == ["101", "102"]
    assert (book.last, book.mid_market, book.spread_absolute) == ("100", "100.5", "1")
    assert d(book.spread_bps).quantize(d("0.01")) == d("99.50")


def test_public_trades_show_the_makers_side_and_rising_ids():
    floor = Floor()
    floor.market("BUY", "1")
    floor.market("SELL", "1")
    bought, sold = reversed(floor.exchange.recent_trades(BTC, 2))
    assert (bought.side, sold.side) == ("SELL", "BUY")
    assert int(sold.trade_id) == int(bought.trade_id) + 1
    assert len(floor.exchange.recent_trades(BTC, 3)) == 3
