"""The listing behind a discovery: read to its end or not at all, and never made up."""

import json
from decimal import Decimal
from http.client import RemoteDisconnected
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from actors.compose import discovery
from actors.compose.discovery import PAGE, settled
from actors.gateway.catalogue import MOST
from config.load import load
from ops.simulate.world import shipped
from protocol.coinbase.endpoints import Endpoint
from protocol.discovery import LEADER, Source
from tests.support.refusal_desk import CONFIG

D = Decimal
BROKEN = [(500, b""), (200, b"<html>"), (200, b'{"products": 5}'), RemoteDisconnected("gone"), TimeoutError("late")]
NOW_NS = 1_795_003_205_000_000_000


def row(base, volume="100000000", quote="USD", price="10", **more):
    """A product as the venue lists it."""
    return {
        "product_id": f"{base}-{quote}",
        "base_currency_id": base,
        "quote_currency_id": quote,
        "price": price,
        "price_increment": "0.01",
        "base_increment": "0.01",
        "quote_increment": "0.01",
        "base_min_size": "0.01",
        "base_max_size": "1000000",
        "quote_min_size": "1",
        "quote_max_size": "1000000",
        "status": "online",
        "product_type": "SPOT",
        "approximate_quote_24h_volume": volume,
        **more,
    }


def quote(base, bid="9.99", ask="10.01"):
    """Its best prices as the venue tells them."""
    side = {"bids": [{"price": bid, "size": "1"}], "asks": [{"price": ask, "size": "1"}]}
    return {"product_id": f"{base}-USD", "time": "2026-11-24T00:00:00Z", **side}


class Catalogue:
    """A venue that lists `rows`, page by page, and answers otherwise what `wrong` says, by number of the request."""

    def __init__(self, rows, quotes=(), wrong=None, endless=False):
        self.rows, self.quotes, self.wrong, self.endless = list(rows), list(quotes), wrong or {}, endless
        self.asked = []

    def __call__(self, endpoint, query):
        self.asked.append(endpoint)
        wrong = self.wrong.get(len(self.asked))
        if isinstance(wrong, Exception):
            raise wrong
        if wrong is not None:
            return wrong
        if endpoint is Endpoint.BEST_BID_ASK:
            return 200, json.dumps({"pricebooks": self.quotes}).encode()
        asked = parse_qs(query)
        assert asked["product_type"] == ["SPOT"]
        first = 0 if self.endless else int(asked.get("offset", ["0"])[0])
        page = self.rows[first : first + PAGE]
        return 200, json.dumps({"products": page, "num_products": len(page)}).encode()


def policy():
    return load(CONFIG, profile="embedded", overrides={"universe.universe.method": "dynamic_discovery"}).policy


def found(venue, paused=None):
    universe = settled(policy(), venue, NOW_NS, (paused if paused is not None else []).append).universe
    assert universe.found is not None
    return universe.found


def good(count):
    bases = [f"C{number}" for number in range(count)]
    return [row(base, volume=str(200_000_000 - n)) for n, base in enumerate(bases)], [quote(base) for base in bases]


def test_configured_tiers_ask_the_venue_nothing():
    venue = Catalogue([])
    assert settled(shipped(), venue, NOW_NS, lambda _: None) == shipped()
    assert venue.asked == []


@pytest.mark.req("U1")
def test_every_page_is_read_and_the_best_stand_on_the_last_one():
    rows, quotes = good(2 * PAGE + 3)
    for number, one in enumerate(rows):  # the largest are listed last
        one["approximate_quote_24h_volume"] = str(90_000_000 + number)
    told = found(Catalogue(rows, quotes))
    assert told.source is Source.VENUE
    assert told.tiers[0] == tuple(f"C{n}-USD" for n in range(2 * PAGE + 2, 2 * PAGE - 8, -1))
    assert (len(told.tiers[1]), len(told.chosen)) == (20, 30)


@pytest.mark.req("U1")
@pytest.mark.parametrize(
    "answer",
    [(500, b""), (200, b"<html>"), (200, b'{"products": 5}'), RemoteDisconnected("gone"), TimeoutError("late")],
)
@pytest.mark.parametrize("broken", [1, 2, 4], ids=["first page", "second page", "quotes"])
def test_a_listing_that_breaks_off_is_none_and_not_a_shorter_one(answer, broken):
    rows, quotes = good(PAGE + 3)
    wrong = dict.fromkeys(range(broken, broken + discovery.TRIES), answer)
    told = found(Catalogue(rows, quotes, wrong))
    assert (told.source, told.tiers[1:]) == (Source.FALLBACK, ((), ()))
    assert told.tiers[0] == policy().universe.discovery.fallback[:10]
    assert "the listing failed" in told.detail


def test_what_fails_once_is_asked_again_after_a_pause():
    rows, quotes = good(3)
    paused = []
    venue = Catalogue(rows, quotes, {1: (503, b""), 2: ConnectionResetError("cut")})
    assert found(venue, paused).chosen == ("C0-USD", "C1-USD", "C2-USD")
    assert paused == [discovery.PAUSE_S] * 2


def test_a_listing_without_an_end_is_no_listing():
    rows, quotes = good(PAGE)
    venue = Catalogue(rows, quotes, endless=True)
    told = found(venue)
    assert (told.source, f"more than {MOST}" in told.detail) == (Source.FALLBACK, True)


@pytest.mark.req("U1")
def test_a_malformed_product_is_told_and_hides_no_other():
    rows, quotes = good(3)
    told = found(Catalogue([{"product_id": 5}, row("BAD", price="ten"), *rows], quotes))
    assert told.chosen == ("C0-USD", "C1-USD", "C2-USD")
    assert len(told.unread) == 2


@pytest.mark.req("U1")
def test_each_product_is_left_out_for_its_first_reason():
    rows, quotes = good(1)
    rows += [
        row("EURO", quote="EUR"),
        row("USDT"),
        row("PYUSD"),
        row("OFF", is_disabled=True),
        row("HALT", trading_disabled=True),
        row("NOVOL", volume=""),
        row("BASE", volume="", volume_24h="900000000"),
        row("NOBOOK"),
        row("CROSSED"),
        row("PENNY", price="0.005"),
        row("WIDE"),
        row("SMALL", volume="7999999"),
    ]
    plain = ("USDT", "PYUSD", "OFF", "HALT", "NOVOL", "BASE", "PENNY", "SMALL")
    quotes += [*map(quote, plain), quote("CROSSED", "11", "10"), quote("WIDE", "9.9", "10.1")]
    told = found(Catalogue(rows, quotes))
    assert told.chosen == ("C0-USD",)
    assert {out.product_id.partition("-")[0]: out.reason for out in told.left_out} == {
        "USDT": "excluded",
        "PYUSD": "stable_coin",
        "OFF": "product_disabled",
        "HALT": "product_disabled",
        "NOVOL": "no_market_data",
        "BASE": "no_market_data",
        "NOBOOK": "no_market_data",
        "CROSSED": "no_market_data",
        "PENNY": "price",
        "WIDE": "spread",
        "SMALL": "volume",
    }


def test_prices_in_the_listing_itself_save_the_second_question():
    rows, _ = good(2)
    venue = Catalogue([one | {"best_bid_price": "9.99", "best_ask_price": "10.01"} for one in rows])
    assert found(venue).chosen == ("C0-USD", "C1-USD")
    assert Endpoint.BEST_BID_ASK not in venue.asked


@pytest.mark.req("U1")
def test_the_leader_is_followed_whatever_is_found_and_held_products_besides():
    rows, quotes = good(2)
    universe = settled(policy(), Catalogue(rows, quotes), NOW_NS, lambda _: None).universe
    assert (universe.traded, universe.fed_only) == (("C0-USD", "C1-USD"), (LEADER,))
    more = universe.following(["C1-USD", "OLD-USD"])
    assert (more.traded, more.fed_only) == (universe.traded, (LEADER, "OLD-USD"))
    assert more.products == ("C0-USD", "C1-USD", LEADER, "OLD-USD")
    assert replace(more, fed_only=()).products == universe.traded
