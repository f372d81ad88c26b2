"""The whole listing: page after page to an empty one, then one list of quotes for whoever was listed without. Pure.

Production lists products without their best prices (rest.md §4, its sample), so the signed list of all quotes follows.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from actors.gateway import translate
from protocol.base import Value
from protocol.coinbase import border
from protocol.coinbase.rest import PriceBook, Product
from protocol.coinbase.wire import BadWire, optional_decimal
from protocol.discovery import Listing

MOST = 20_000
"""Products after which a listing is taken for one that never ends; Coinbase lists about a thousand."""


class Page(Value, frozen=True, kw_only=True):
    """The products against one quote, what of it all was malformed, and how many products it told in all."""

    listings: tuple[Listing, ...]
    unread: tuple[str, ...]
    told: int


def page(body: bytes, quote: str) -> Page:
    """One page. A malformed product is told, and hides no other. Raises BadWire: not a page at all."""
    good, unread = border.decode_products(body)
    listings, bad = [], list[str]()
    for row in good:
        try:
            listings += [_listing(row)] if row.quote_currency_id == quote else []
        except BadWire as exc:
            bad.append(f"{row.product_id} {exc}")
    return Page(listings=tuple(listings), unread=(*unread, *bad), told=len(good) + len(unread))


def further(offset: int, told: int) -> int | None:
    """Where the next page begins; None after an empty one. Raises BadWire: there seems to be no end."""
    if offset + told > MOST:
        raise BadWire(f"more than {MOST} products listed")
    return offset + told if told else None


def lacks_quotes(listings: Iterable[Listing]) -> bool:
    """Whether somebody tradable was listed without a price on both sides."""
    return any(row.tradable and (row.bid is None or row.ask is None) for row in listings)


def quoted(listings: Iterable[Listing], body: bytes) -> tuple[Listing, ...]:
    """With the quotes of those that were listed without. Raises BadWire: not a list of quotes."""
    books = {book.product_id: book for book in border.decode_best_quotes(body)}
    return tuple(_with_quote(row, books.get(row.product_id)) for row in listings)


def unique(listings: Iterable[Listing]) -> tuple[Listing, ...]:
    """Every product once, as told last: one may stand on two pages where the listing changed between them."""
    return tuple({row.product_id: row for row in listings}.values())


def _with_quote(row: Listing, book: PriceBook | None) -> Listing:
    if book is None or (row.bid is not None and row.ask is not None) or not (book.bids and book.asks):
        return row
    bid, ask = (optional_decimal(side[0].price, "price") for side in (book.bids, book.asks))
    return replace(row, bid=bid, ask=ask)


def _listing(row: Product) -> Listing:
    """Raises BadWire: an amount that is none."""
    rules = translate.product(row)
    return Listing(
        product_id=rules.product_id,
        base=rules.base,
        tradable=rules.tradable,
        status=rules.status,
        price=optional_decimal(row.price, "price"),
        bid=optional_decimal(row.best_bid_price, "best_bid_price"),
        ask=optional_decimal(row.best_ask_price, "best_ask_price"),
        volume_24h_usd=rules.volume_24h_usd,
    )
