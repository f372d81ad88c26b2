"""What `Exchange.drain` hands out for the WebSocket channels."""

from decimal import Decimal

import msgspec

from actors.venue.wire import AccountView, ChannelOrder, OrderView


class BookChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Levels of one book that changed since the last drain, with their new absolute sizes (0: gone).

    Bids descend, asks ascend. One event per book and drain; `product_id` is the book's, never an alias.
    """

    product_id: str
    at_ns: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """A public trade. `maker_side` is BUY or SELL; `trade_id` rises by one per book."""

    product_id: str
    trade_id: int
    at_ns: int
    price: Decimal
    size: Decimal
    maker_side: str


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A user's order took a step: its full state in both wire shapes."""

    user: str
    at_ns: int
    order: OrderView
    channel: ChannelOrder


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's available or held amount changed; one event per wallet and drain."""

    user: str
    at_ns: int
    account: AccountView


VenueEvent = BookChanged | Traded | OrderChanged | AccountChanged
