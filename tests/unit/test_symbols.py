"""Canonical symbols: what people write, and whose price one bears (pipeline.md §2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.symbols import QUOTES, SAME_ASSET, asset_of, product_of

pytestmark = pytest.mark.req("U2")

WRITTEN = {
    **dict.fromkeys(("BTC-USD", "btc-usd", " btc/usd ", "BTC_USD", "Btc:Usd", "BTC--USD", "BTC/-_USD"), "BTC-USD"),
    **dict.fromkeys(("BTC", "btc", "BTCUSD", "BTC-", "/BTC"), "BTC-USD"),
    "SOLUSDC": "SOL-USDC",
    "SOLUSDT": "SOL-USDT",
    "ethbtc": "ETH-BTC",
    "AVAXEUR": "AVAX-EUR",
    "DOT": "DOT-USD",
    "USDC": "USDC-USD",
    "USDT": "USDT-USD",
    "WBTC": "WBTC-USD",
    "wbtc-usd": "WBTC-USD",
    "RENBTC": "RENBTC-USD",
    "BUSD": "BUSD-USD",
    "1INCH-USD": "1INCH-USD",
}


@pytest.mark.parametrize(("text", "product"), WRITTEN.items(), ids=[repr(text) for text in WRITTEN])
def test_what_people_write(text, product):
    assert product_of(text) == product


@pytest.mark.parametrize("text", ["", " ", "-", "BTC-USD-EUR", "BTC USD", "BTC-$", "Ä-USD", "B" * 21, "BTC.USD"])
def test_what_is_no_symbol(text):
    with pytest.raises(ValueError, match="is no product"):
        product_of(text)


@given(st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True), st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True))
def test_a_canonical_symbol_stays_as_it_is(base, quote):
    assert product_of(f"{base}-{quote}") == f"{base}-{quote}"


@given(st.from_regex(r"[A-Z]{2,6}", fullmatch=True), st.sampled_from(QUOTES), st.sampled_from("-/_:"))
def test_every_delimiter_and_case_means_the_same(base, quote, delimiter):
    assert product_of(f"{base}{delimiter}{quote}".lower()) == product_of(f"{base}-{quote}")


ASSETS = {
    "BTC-USD": "BTC",
    "BTC-USDC": "BTC",
    "WBTC-USD": "BTC",
    "RENBTC-USD": "BTC",
    "XBT-USD": "BTC",
    "WBTC": "BTC",
    "ETH-BTC": "ETH",
    "STETH-USD": "STETH",
}


@pytest.mark.parametrize(("product", "asset"), ASSETS.items())
def test_whose_price_one_bears(product, asset):
    assert asset_of(product) == asset


def test_the_original_is_nobodys_other_name():
    assert not set(SAME_ASSET) & set(SAME_ASSET.values())
