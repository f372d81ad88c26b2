"""What the embedded venue lists: real increments of Coinbase's USD pairs, with the market each one gets.

Increments and minima are those Coinbase published for these pairs in August 2025. Prices, volumes, spreads and
depths are plausible, not true: chosen so that tiers 1 and 2 pass the shipped universe (configuration.md §4) and
some others do not.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.venue.products import ProductSpec


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One product and the character of its market.

    Increments and minima as on the wire; `depth_usd` rests within 20 bps of mid, both sides together;
    `vol_pct` is the annualised volatility in per cent; the betas weigh the BTC factor and the alt-coin factor.
    """

    product_id: str
    base: str
    quote: str
    base_name: str
    price_increment: Decimal
    base_increment: Decimal
    quote_increment: Decimal
    base_min_size: Decimal
    quote_min_size: Decimal
    tier: int
    price_usd: float
    daily_volume_usd: float
    spread_bps: float
    depth_usd: float
    vol_pct: float
    beta_btc: float
    beta_alt: float


_ROWS = """
BTC   Bitcoin        0.01       0.00000001 1 112000.0    900e6  1.2 2400e3  52 1.0 0.0
ETH   Ethereum       0.01       0.00000001 1 4350.0      700e6  1.6 1500e3  85 1.1 0.45
SOL   Solana         0.01       0.00000001 1 205.0       320e6  2.4  700e3 105 1.2 0.6
DOGE  Dogecoin       0.00001    0.1        2 0.22        140e6  3.2  240e3 190 1.3 0.95
XRP   XRP            0.0001     0.000001   2 2.95        260e6  3.0  320e3 170 1.2 0.85
ADA   Cardano        0.0001     0.00000001 2 0.86         75e6  3.8  200e3 180 1.3 0.95
AVAX  Avalanche      0.01       0.00000001 2 41.0         42e6  5.5  190e3 185 1.3 1.0
DOT   Polkadot       0.001      0.00000001 2 7.1          26e6  5.5  180e3 175 1.2 0.95
LINK  Chainlink      0.001      0.01       2 24.2         95e6  3.4  190e3 185 1.3 0.95
UNI   Uniswap        0.001      0.000001   2 9.9          30e6  5.0  180e3 200 1.2 1.05
ATOM  Cosmos         0.001      0.01       2 7.4          21e6  6.0  170e3 180 1.2 0.95
ALGO  Algorand       0.0001     0.1        2 0.385        19e6  6.5  170e3 200 1.2 1.05
XLM   Stellar        0.000001   0.00000001 2 0.39         48e6  4.2  190e3 195 1.2 1.0
HBAR  Hedera         0.00001    0.1        2 0.235        55e6  4.6  180e3 205 1.2 1.05
LTC   Litecoin       0.01       0.00000001 3 112.0        38e6  5.0  160e3  95 1.0 0.55
BCH   Bitcoin Cash   0.01       0.00000001 3 555.0        22e6  6.0  120e3  95 1.0 0.55
AAVE  Aave           0.01       0.001      3 320.0        28e6  6.5  110e3 130 1.2 0.75
SUSHI SushiSwap      0.0001     0.01       3 0.78        1.6e6 25.0   14e3 150 1.2 0.85
OP    Optimism       0.001      0.01       3 0.72        9.5e6 14.0   42e3 150 1.2 0.9
ARB   Arbitrum       0.0001     0.01       3 0.52         15e6  9.0   60e3 150 1.2 0.9
SHIB  Shiba Inu      0.00000001 1          3 0.0000124    24e6 10.0   90e3 125 1.2 0.8
PEPE  Pepe           0.00000001 1          3 0.0000102    46e6 12.0  110e3 165 1.3 1.0
NEAR  NEAR Protocol  0.001      0.001      3 2.5          12e6 10.0   55e3 140 1.2 0.85
FIL   Filecoin       0.001      0.001      3 2.35        7.2e6 12.0   45e3 140 1.2 0.85
ETC   Ethereum Classic 0.01     0.00000001 3 21.2        6.4e6 13.0   48e3 115 1.1 0.75
INJ   Injective      0.001      0.01       3 13.4        5.1e6 15.0   36e3 155 1.2 0.9
SUI   Sui            0.0001     0.1        3 3.4          85e6  4.5  150e3 145 1.3 0.9
APT   Aptos          0.01       0.001      3 4.4         8.8e6 28.0   40e3 140 1.2 0.9
CRV   Curve DAO      0.0001     0.01       3 0.77        7.6e6 12.0   40e3 160 1.2 0.9
BONK  Bonk           0.00000001 1          3 0.0000215    18e6 13.0   70e3 170 1.3 1.0
WIF   dogwifhat      0.001      0.01       3 0.81        9.1e6 18.0   38e3 185 1.3 1.0
POL   Polygon        0.0001     0.01       3 0.245       6.8e6 14.0   38e3 140 1.2 0.85
LDO   Lido DAO       0.001      0.01       3 1.18        5.6e6 17.0   30e3 160 1.2 0.9
COMP  Compound       0.01       0.001      3 43.0        2.9e6 22.0   20e3 135 1.2 0.8
GRT   The Graph      0.0001     0.01       3 0.088       2.4e6 28.0   16e3 145 1.2 0.85
SKL   SKALE          0.0001     0.1        3 0.029       0.9e6 55.0    9e3 165 1.2 0.9
"""


def _listing(row: str) -> Listing:
    symbol, *words = row.split()
    *name, price_increment, base_increment, tier, price, volume, spread, depth, vol, beta_btc, beta_alt = words
    return Listing(
        product_id=f"{symbol}-USD",
        base=symbol,
        quote="USD",
        base_name=" ".join(name),
        price_increment=Decimal(price_increment),
        base_increment=Decimal(base_increment),
        quote_increment=Decimal("0.01"),
        base_min_size=Decimal(base_increment),
        quote_min_size=Decimal(1),
        tier=int(tier),
        price_usd=float(price),
        daily_volume_usd=float(volume),
        spread_bps=float(spread),
        depth_usd=float(depth),
        vol_pct=float(vol),
        beta_btc=float(beta_btc),
        beta_alt=float(beta_alt),
    )


LISTINGS: dict[str, Listing] = {item.product_id: item for item in map(_listing, _ROWS.strip().splitlines())}
"""Every listed product by id, aliases left out."""

ALIASES: dict[str, str] = {"BTC-USDC": "BTC-USD"}
"""Products that share another one's book; the product an order names decides only which wallet settles."""


def book_of(product_id: str) -> str:
    """The product whose book `product_id` trades on: itself, or what it is an alias of."""
    return ALIASES.get(product_id, product_id)


def spec_of(listing: Listing) -> ProductSpec:
    """What the exchange must know of a listed product."""
    quote_max_size = Decimal(150_000_000 if listing.tier == 1 else 10_000_000)
    most = int(quote_max_size / Decimal(listing.price_usd) / listing.base_increment)
    return ProductSpec(
        product_id=listing.product_id,
        base=listing.base,
        quote=listing.quote,
        price_increment=listing.price_increment,
        base_increment=listing.base_increment,
        quote_increment=listing.quote_increment,
        base_min_size=listing.base_min_size,
        base_max_size=most * listing.base_increment,
        quote_min_size=listing.quote_min_size,
        quote_max_size=quote_max_size,
        base_name=listing.base_name,
        quote_name="US Dollar" if listing.quote == "USD" else listing.quote,
        alias_to=tuple(alias for alias, book in ALIASES.items() if book == listing.product_id),
    )


def specs(listings: Iterable[Listing]) -> tuple[ProductSpec, ...]:
    """The exchange's products for `listings`, each alias after the product whose book it shares."""
    books = {listing.product_id: spec_of(listing) for listing in listings}
    aliases = [_alias(name, books[book]) for name, book in ALIASES.items() if book in books]
    return (*books.values(), *aliases)


def _alias(product_id: str, book: ProductSpec) -> ProductSpec:
    quote = product_id.rpartition("-")[2]
    changes = {"product_id": product_id, "quote": quote, "quote_name": quote, "alias": book.product_id, "alias_to": ()}
    return msgspec.structs.replace(book, **changes)
