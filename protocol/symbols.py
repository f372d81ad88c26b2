"""Canonical symbols (pipeline.md §2): what people and files write becomes `BASE-QUOTE`, upper case.

Two questions, two functions. `product_of` names a product as the venue lists it: orders, stores and messages use that
name. `asset_of` says whose price one holds through it: wrapped and renamed coins are their original there, and
nowhere else, so that exposure to one asset is summed under one key while orders keep the venue's product.
"""

import re

from protocol.ids import ProductId

QUOTES = ("USD", "USDC", "USDT", "USDP", "USDS", "DAI", "EUR", "GBP", "BTC", "ETH", "SOL")
SAME_ASSET = {"XBT": "BTC", "WBTC": "BTC", "RENBTC": "BTC"}
_DEFAULT_QUOTE = "USD"
_LEAST_BASE = 2  # one letter before a quote currency is more often a coin's own name: WBTC, BUSD
_DELIMITERS = re.compile(r"[/_:\-]+")
_WORD = re.compile(r"[A-Z0-9]{1,20}")


def product_of(text: str) -> ProductId:
    """The product that `text` names: any case, `-`, `/`, `_` or `:` between base and quote, or nothing.

    Without a quote currency it is USD; a name that ends in a quote currency is split there (`SOLUSDC`).

    Raises:
        ValueError: that is no symbol.
    """
    words = [word for word in _DELIMITERS.split(text.strip().upper()) if word]
    if len(words) == 1:
        words = _split(words[0])
    if len(words) != 2 or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError(f"{text!r} is no product: write it like BTC-USD")
    return ProductId("-".join(words))


def _split(word: str) -> list[str]:
    if word not in SAME_ASSET:
        for quote in sorted(QUOTES, key=len, reverse=True):
            base = word.removesuffix(quote)
            if base != word and len(base) >= _LEAST_BASE:
                return [base, quote]
    return [word, _DEFAULT_QUOTE]


def asset_of(product: str) -> str:
    """The asset whose price one bears with `product` (a product id or a currency): BTC for BTC-USDC and WBTC-USD."""
    base = product.partition("-")[0]
    return SAME_ASSET.get(base, base)
