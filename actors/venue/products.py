"""What a product is and which orders its flags allow."""

from decimal import Decimal

import msgspec


class ProductSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spot product of the embedded venue: grids, bounds and trading flags.

    Prices step by `price_increment`, base sizes by `base_increment`, quote sizes (market buys) by
    `quote_increment`; the three are independent. A product with `alias` set has no book of its own: it trades on
    the book of `alias` and settles in its own quote currency. `alias_to` lists the products that do so with this one.
    Flags have the meaning of the venue's product object and may change at run time (`Exchange.set_product`).
    """

    product_id: str
    base: str
    quote: str
    price_increment: Decimal
    base_increment: Decimal
    quote_increment: Decimal
    base_min_size: Decimal
    base_max_size: Decimal
    quote_min_size: Decimal
    quote_max_size: Decimal
    base_name: str = ""
    quote_name: str = ""
    alias: str = ""
    alias_to: tuple[str, ...] = ()
    status: str = "online"
    is_disabled: bool = False
    trading_disabled: bool = False
    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    auction_mode: bool = False
    view_only: bool = False
    watched: bool = False
    new: bool = False

    @property
    def book_id(self) -> str:
        """The product whose book this one trades on."""
        return self.alias or self.product_id
