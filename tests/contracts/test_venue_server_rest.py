"""The loopback venue's REST surface against what production shows and the documentation says (rest.md)."""

import json
import stat
import time
from decimal import Decimal
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.support.venue_server import GENEROUS, PREFIX, SAMPLES, running

pytestmark = pytest.mark.req("X1")


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue")) as client:
        yield client


@pytest.fixture
def venue(process):
    process.change(limits=GENEROUS, unpleasantness={"pending_ms": [0, 0], "list_ms": [0, 0], "fill_ms": [0, 0]})
    process.admin("DELETE", "/faults")
    return process


def sample(name):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"recorded sample {name} is not beside this checkout")
    return json.loads(path.read_text())


def error_of(reply):
    return reply.status, reply.json["error"]


# -- start


def test_ready_line_and_private_key_file(venue):
    assert venue.ready.keys() == {"rest", "ws", "key_file", "admin"}
    path = Path(venue.ready["key_file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert venue.key.keys() == {"name", "privateKey"}


# -- the public side


def test_time_is_digits_as_text_and_now(venue):
    told = venue.public("/time").json
    assert told.keys() == sample("prod_rest_time.json").keys()
    assert abs(int(told["epochSeconds"]) - time.time()) < 2
    assert told["epochMillis"].startswith(told["epochSeconds"])
    assert told["iso"].endswith("Z")


@pytest.mark.parametrize("path", ["/time", "/market/products/BTC-USD", "/market/product_book?product_id=BTC-USD"])
def test_public_paths_need_no_token_and_tolerate_any(venue, path):
    assert venue.public(path).status == 200
    assert venue.call("GET", path, token="no.token.atall").status == 200


def test_product_is_a_bare_object_with_productions_members(venue):
    product = venue.get("/products/BTC-USD")
    recorded = sample("prod_rest_product_btc_usd.json")
    cosmetic = {name for name in recorded if "cbrn" in name or "icon" in name} | {
        "display_name_overwrite", "is_alpha_testing", "about_description", "hidden_from_discovery",
    }  # fmt: skip
    assert recorded.keys() - product.keys() <= cosmetic
    for name in product.keys() & recorded.keys() - {"new_at"}:
        assert type(product[name]) is type(recorded[name]), name
    assert (product["alias"], product["alias_to"]) == ("", ["BTC-USDC"])


def test_alias_product_shares_the_book_and_settles_elsewhere(venue):
    alias = venue.get("/products/BTC-USDC")
    assert (alias["alias"], alias["alias_to"], alias["quote_currency_id"]) == ("BTC-USD", [], "USDC")
    assert alias["price_increment"] == venue.get("/products/BTC-USD")["price_increment"]


def test_products_are_chosen_by_both_spellings_and_paged(venue):
    def names(query):
        return [one["product_id"] for one in venue.get(f"/products?{query}")["products"]]

    assert names("product_ids=ETH-USD&product_ids=BTC-USD") == ["BTC-USD", "ETH-USD"]
    assert names("product_id=ETH-USD&get_all_products=False") == ["ETH-USD"]
    assert names("product_type=FUTURE") == []
    everything = names("product_type=SPOT")
    first = venue.get("/products?limit=10")
    assert first["num_products"] == 10
    following = names(f"limit=1000&cursor={first['pagination']['next_cursor']}")
    assert [one["product_id"] for one in first["products"]] + following == everything


def test_view_only_is_told_only_to_a_signed_caller_who_asks(venue):
    venue.change(product_id="SKL-USD", state={"view_only": True})
    try:
        assert venue.get("/products?product_ids=SKL-USD&get_tradability_status=True")["products"][0]["view_only"]
        assert not venue.get("/products?product_ids=SKL-USD&get_tradability_status=False")["products"][0]["view_only"]
        public = venue.public("/market/products?product_ids=SKL-USD&get_tradability_status=true").json
        assert not public["products"][0]["view_only"]
    finally:
        venue.change(product_id="SKL-USD", state={"view_only": False})


def test_unknown_product_is_404(venue):
    assert error_of(venue.call("GET", "/products/NO-SUCH")) == (404, "NOT_FOUND")


def test_book_is_best_first_and_uncrossed(venue):
    answer = venue.public("/market/product_book?product_id=ETH-USD&limit=5").json
    bids, asks = ([Decimal(one["price"]) for one in answer["pricebook"][side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == 5
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert Decimal(answer["mid_market"]) == (bids[0] + asks[0]) / 2
    assert answer.keys() == {"pricebook", "last", "mid_market", "spread_bps", "spread_absolute"}


def test_book_is_aggregated_on_request(venue):
    path = "/product_book?product_id=BTC-USD&aggregation_price_increment=10"
    book = venue.get(path)["pricebook"]
    prices = [Decimal(one["price"]) for one in book["bids"] + book["asks"]]
    assert all(price % 10 == 0 for price in prices)
    assert len(prices) == len(set(prices))


def test_best_bid_ask_of_all_and_of_some(venue):
    some = venue.get("/best_bid_ask?product_ids=BTC-USD&product_ids=ETH-USD")["pricebooks"]
    assert [one["product_id"] for one in some] == ["BTC-USD", "ETH-USD"]
    assert all(len(one["bids"]) == len(one["asks"]) == 1 for one in some)
    assert len(venue.get("/best_bid_ask")["pricebooks"]) == len(venue.get("/products")["products"])


def candles(venue, start, end, granularity="ONE_MINUTE", **more):
    query = "&".join(f"{k}={v}" for k, v in {"start": start, "end": end, "granularity": granularity, **more}.items())
    return venue.public(f"/market/products/BTC-USD/candles?{query}")


def test_candles_are_newest_first_inclusive_and_text(venue):
    end = int(time.time()) // 60 * 60 - 600
    rows = candles(venue, end - 59 * 60, end).json["candles"]
    starts = [int(row["start"]) for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] == end
    assert starts[-1] == end - 59 * 60
    for row in rows:
        assert set(map(type, row.values())) == {str}
        low, high = Decimal(row["low"]), Decimal(row["high"])
        assert all(low <= Decimal(row[name]) <= high for name in ("open", "close"))


@pytest.mark.parametrize("most", [350, 300])
def test_too_many_candles_are_refused_in_productions_words(venue, most):
    venue.change(most_candles=most)
    end = int(time.time()) // 60 * 60
    assert candles(venue, end - (most - 1) * 60, end).status == 200
    refused = candles(venue, end - most * 60, end)
    assert error_of(refused) == (400, "INVALID_ARGUMENT")
    assert refused.json["message"] == (
        f"start and end argument is invalid - number of candles requested should be less than {most}"
    )
    venue.change(most_candles=350)


def test_candles_of_an_unknown_granularity_are_refused(venue):
    assert candles(venue, 1_700_000_000, 1_700_000_600, "ONE_WEEK").status == 400


def test_coarse_candles_are_aggregates_of_fine_ones(venue):
    end = int(time.time()) // 3600 * 3600 - 3600
    [hour] = candles(venue, end, end, "ONE_HOUR").json["candles"]
    minutes = candles(venue, end, end + 3540).json["candles"]
    assert hour["high"] == max((row["high"] for row in minutes), key=Decimal)
    assert hour["close"] == minutes[0]["close"]
    assert Decimal(hour["volume"]) == sum(Decimal(row["volume"]) for row in minutes)


def test_public_trades_are_newest_first_and_need_a_limit(venue):
    answer = venue.public("/market/products/BTC-USD/ticker?limit=20").json
    assert [t["time"] for t in answer["trades"]] == sorted((t["time"] for t in answer["trades"]), reverse=True)
    assert len({t["trade_id"] for t in answer["trades"]}) == 20
    assert {"trade_id", "product_id", "price", "size", "time", "side", "bid", "ask"} <= answer["trades"][0].keys()
    assert error_of(venue.public("/market/products/BTC-USD/ticker")) == (400, "INVALID_ARGUMENT")


def test_public_trades_tell_the_makers_side(venue):
    venue.change(product_id="SKL-USD", halt=True)
    venue.change(product_id="SKL-USD", aggressor={"side": "BUY", "size": "3"})
    newest = venue.public("/market/products/SKL-USD/ticker?limit=1").json["trades"][0]
    venue.change(product_id="SKL-USD", halt=False)
    assert (newest["side"], newest["size"]) == ("SELL", "3")


# -- authentication

ACCOUNTS = PREFIX + "/accounts"


def other_key():
    return generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda v: "garbage", id="no token"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS, now_s=int(time.time()) - 300), id="expired"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS, now_s=int(time.time()) + 60), id="not yet valid"),
        pytest.param(lambda v: v.token("POST", ACCOUNTS), id="other method"),
        pytest.param(lambda v: v.token("GET", PREFIX + "/orders"), id="other path"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS + "?limit=1"), id="query in the uri"),
        pytest.param(lambda v: v.token(), id="no uri"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS, uri="GET evil.example" + ACCOUNTS), id="other host"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS, sub="somebody"), id="sub is not the key"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS, header={"kid": "unknown"}), id="unknown key"),
        pytest.param(lambda v: v.token("GET", ACCOUNTS)[:-6] + "AAAAAA", id="tampered"),
        pytest.param(
            lambda v: jwt.encode({"sub": v.key["name"]}, other_key(), "ES256", {"kid": v.key["name"]}), id="other key"
        ),
        pytest.param(lambda v: jwt.encode({"sub": "x"}, None, "none", {"kid": v.key["name"]}), id="alg none"),
    ],
)
def test_every_bad_token_gets_the_same_bare_401(venue, make):
    reply = venue.call("GET", "/accounts", token=make(venue))
    recorded = sample("prod_rest_401_headers.json")
    assert (reply.status, reply.raw.decode()) == (recorded["status"], recorded["body_text"])
    for name in ("Content-Type", "Content-Length", "Cache-Control"):
        assert reply.headers[name.lower()] == recorded["headers"][name]
    assert reply.headers["trace-id"].isdigit()


def test_no_authorization_header_is_401(venue):
    assert venue.public("/accounts").status == 401


@pytest.mark.parametrize("host", ["api.coinbase.com", "{host}", "http://{host}", "https://{host}", "localhost:{port}"])
def test_own_and_productions_host_are_accepted_in_the_uri(venue, host):
    name = host.format(host=venue.host, port=venue.host.partition(":")[2])
    assert venue.call("GET", "/accounts", token=venue.token("GET", ACCOUNTS, uri=f"GET {name}{ACCOUNTS}")).status == 200


def test_variants_of_other_clients_are_accepted(venue):
    token = venue.token(
        "GET",
        ACCOUNTS,
        uri=None,
        uris=[f"GET {venue.host}{ACCOUNTS}"],
        aud=["retail_rest_api_proxy"],
        iss="coinbase-cloud",
        iat=int(time.time()),
    )
    assert venue.call("GET", "/accounts", token=token).status == 200


def test_ed25519_keys_are_accepted(tmp_path):
    recorded = sample("TEST_ONLY_cdp_key_ed25519.json")
    (tmp_path / "key.json").write_text(json.dumps(recorded))
    with running(tmp_path) as client:
        name, secret = recorded.get("name") or recorded["id"], recorded["privateKey"]
        import base64  # noqa: PLC0415

        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret)[:32])
        now = int(time.time())
        claims = {"sub": name, "iss": "cdp", "nbf": now, "exp": now + 120, "uri": f"GET {client.host}{ACCOUNTS}"}
        token = jwt.encode(claims, key, "EdDSA", {"kid": name, "nonce": "ab" * 16})
        assert client.call("GET", "/accounts", token=token).status == 200


def test_missing_scope_is_403_in_productions_words(venue):
    venue.change(scopes=["view"])
    try:
        permissions = venue.get("/key_permissions")
        reply = venue.call("POST", "/orders", venue.order())
    finally:
        venue.change(scopes=["view", "trade", "transfer"])
    assert (permissions["can_view"], permissions["can_trade"], permissions["can_transfer"]) == (True, False, False)
    assert error_of(reply) == (403, "PERMISSION_DENIED")
    assert reply.json["error_details"] == "Missing required scopes"


# -- accounts


def test_accounts_are_paged_by_49_and_up_to_250(venue):
    venue.change(deposit={f"C{number:03}": "1" for number in range(300)})
    first = venue.get("/accounts")
    assert (len(first["accounts"]), first["size"], first["has_next"]) == (49, 49, True)
    found, cursor = [], ""
    while True:
        page = venue.get(f"/accounts?limit=250&cursor={cursor}")
        found += [one["currency"] for one in page["accounts"]]
        cursor = page["cursor"]
        if not page["has_next"]:
            break
    assert len(found) == len(set(found)) >= 302
    assert cursor == ""
    assert venue.call("GET", "/accounts?limit=251").status == 400


def test_account_has_productions_members_and_is_found_by_id(venue):
    account = venue.get("/accounts?limit=1")["accounts"][0]
    recorded = sample("prod_rest_accounts.json")
    shown = recorded["accounts"][0] if "accounts" in recorded else recorded
    assert account.keys() == shown.keys()
    assert venue.get(f"/accounts/{account['uuid']}")["account"] == account
    assert venue.call("GET", "/accounts/00000000-0000-0000-0000-000000000001").status == 404


def test_summary_key_and_portfolio(venue):
    summary = venue.get("/transaction_summary?product_type=SPOT")
    assert (summary["fee_tier"]["taker_fee_rate"], summary["fee_tier"]["maker_fee_rate"]) == ("0.012", "0.006")
    assert type(summary["total_volume"]) is float
    [portfolio] = venue.get("/portfolios")["portfolios"]
    assert venue.get("/key_permissions")["portfolio_uuid"] == portfolio["uuid"]
    breakdown = venue.get(f"/portfolios/{portfolio['uuid']}?currency=USD")["breakdown"]
    assert {one["asset"] for one in breakdown["spot_positions"]} >= {"USD", "USDC"}
    foreign = venue.call("GET", "/portfolios/00000000-0000-0000-0000-000000000001")
    assert foreign.json["error_details"] == "User does not have access to portfolio"
    assert venue.get("/payment_methods") == {"payment_methods": []}


def test_conversion_is_quoted_then_committed(venue):
    venue.change(balances={"USD": "100", "USDC": "0"})
    asked = {"from_account": "USD", "to_account": "USDC", "amount": "40"}
    trade = venue.post("/convert/quote", asked)["trade"]
    path = f"/convert/trade/{trade['id']}"
    assert venue.get(f"{path}?from_account=USD&to_account=USDC")["trade"]["status"] == "TRADE_STATUS_CREATED"
    assert venue.post(path, asked)["trade"]["status"] == "TRADE_STATUS_COMPLETED"
    held = venue.admin("GET", "/balances")["balances"]
    assert (held["USD"]["total"], held["USDC"]["total"]) == ("60", "40")
    assert venue.call("POST", path, asked).status == 400
    assert venue.call("POST", "/convert/quote", asked | {"to_account": "BTC"}).status == 400
    venue.change(balances={"USD": "10000", "USDC": "0"})


# -- limits


def test_public_and_private_buckets_are_separate_and_429_is_the_documented_json(venue):
    venue.change(limits={"public": {"per_s": 0.01, "burst": 3}, "private": {"per_s": 0.01, "burst": 5}})
    public = [venue.public("/time") for _ in range(4)]
    private = [venue.call("GET", "/key_permissions") for _ in range(6)]
    venue.change(limits=GENEROUS)
    assert [reply.status for reply in public] == [200] * 3 + [429]
    assert [reply.status for reply in private] == [200] * 5 + [429]
    assert private[-1].json == sample("prod_rest_errors.json")["rate_limit_429"]
    assert [reply.headers["x-ratelimit-remaining"] for reply in private] == ["4", "3", "2", "1", "0", "0"]
    assert private[0].headers["x-ratelimit-limit"] == "5"


# -- recorded requests of the official SDK


def test_every_recorded_sdk_request_finds_its_endpoint(venue):
    for one in sample("sdk_requests.json")["calls"]:
        path = one["path"].removeprefix(PREFIX) + (f"?{one['query']}" if one["query"] else "")
        reply = venue.call(one["method"], path, one["body"])
        assert reply.status in (200, 400, 403, 404), one
        assert "no route" not in reply.raw.decode(), one
        if reply.status == 200:
            assert isinstance(reply.json, dict), one


def test_unknown_routes_are_404_and_admin_is_not_of_the_surface(venue):
    assert error_of(venue.call("GET", "/nothing")) == (404, "NOT_FOUND")
    assert venue.call("GET", "/_venue/orders").status == 404


def test_admin_says_what_is_synthetic(venue):
    products = {one["product_id"]: one["synthetic"] for one in venue.admin("GET", "/products")["products"]}
    assert products["BTC-USD"] is True
