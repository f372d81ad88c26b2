"""Frames of the market-data and user sockets: one tagged struct per channel, decoded in one pass (websocket.md).

`sequence_num` counts every frame of a connection, whatever its channel. `client_id` is absent on the market host.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol.coinbase.rest import Candle
from protocol.coinbase.wire import ZERO_TIME, BadWire, Request, Text, Wire

MARKET_URL = "wss://advanced-trade-ws.coinbase.com"
USER_URL = "wss://advanced-trade-ws-user.coinbase.com"
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A full-depth snapshot is one message of several MB (pitfalls 1)."""
MAX_LEVEL2_PRODUCTS = 16
USER_SNAPSHOT_BATCH = 50
"""A user snapshot comes in messages of this many orders; a shorter one is the last."""
SUBSCRIBE_DEADLINE_S = 5.0
MAX_MESSAGES_PER_S = 8

LEVEL2 = "level2"
"""Subscribed under this name, delivered as `l2_data`."""


class Subscribe(Request, frozen=True, kw_only=True, tag_field="type", tag="subscribe"):
    """Ask for one channel. No `product_ids` on heartbeats, status, user: all. A new `jwt` for each message."""

    product_ids: tuple[str, ...] = ()
    channel: str
    jwt: Text = ""


class Unsubscribe(Request, frozen=True, kw_only=True, tag_field="type", tag="unsubscribe"):
    """Drop products of a channel, or without any the whole channel."""

    product_ids: tuple[str, ...] = ()
    channel: str
    jwt: Text = ""


ClientMessage: TypeAlias = Subscribe | Unsubscribe


class Frame(Wire, frozen=True, kw_only=True, tag_field="channel"):
    """The envelope. `timestamp` RFC 3339 with up to nanoseconds."""

    client_id: str | UnsetType = UNSET
    timestamp: str
    sequence_num: Annotated[int, Meta(ge=0)]


class Heartbeat(Wire, frozen=True, kw_only=True):
    """`current_time` is Go's text, not RFC 3339: not to be parsed. The counter does not start at 0."""

    current_time: Text = ""
    heartbeat_counter: int | str


class Heartbeats(Frame, frozen=True, kw_only=True, tag="heartbeats"):
    """One per second."""

    events: tuple[Heartbeat, ...]


class SubscriptionSet(Wire, frozen=True, kw_only=True):
    """The whole current set of the connection, by channel. A misspelt product is silently missing."""

    subscriptions: dict[str, tuple[str, ...] | None]


class Subscriptions(Frame, frozen=True, kw_only=True, tag="subscriptions"):
    """Acknowledgement of a subscribe or unsubscribe; data may come before it."""

    events: tuple[SubscriptionSet, ...]


class Ticker(Wire, frozen=True, kw_only=True):
    """Sent on every match, so bid and ask may be stale; `ticker_batch` lacks them."""

    type: str = "ticker"
    product_id: str
    price: Text = ""
    volume_24_h: Text = ""
    low_24_h: Text = ""
    high_24_h: Text = ""
    low_52_w: Text = ""
    high_52_w: Text = ""
    price_percent_chg_24_h: Text = ""
    best_bid: Text | UnsetType = UNSET
    best_ask: Text | UnsetType = UNSET
    best_bid_quantity: Text | UnsetType = UNSET
    best_ask_quantity: Text | UnsetType = UNSET


class TickerEvent(Wire, frozen=True, kw_only=True):
    """`type`: snapshot or update."""

    type: str
    tickers: tuple[Ticker, ...]


class Tickers(Frame, frozen=True, kw_only=True, tag="ticker"):
    """Tickers, at every match."""

    events: tuple[TickerEvent, ...]


class TickerBatch(Frame, frozen=True, kw_only=True, tag="ticker_batch"):
    """Tickers, every 5 s where changed."""

    events: tuple[TickerEvent, ...]


class L2Update(Wire, frozen=True, kw_only=True, gc=False):
    """A level's new absolute size; "0" removes it. `side` is `bid` or `offer`."""

    side: str
    event_time: Text = ""
    price_level: str
    new_quantity: str


class L2Event(Wire, frozen=True, kw_only=True):
    """A full book (`snapshot`) or a batch of changes (`update`), which is consistent only as a whole."""

    type: str
    product_id: str
    updates: tuple[L2Update, ...]


class L2Data(Frame, frozen=True, kw_only=True, tag="l2_data"):
    """Level-2 books."""

    events: tuple[L2Event, ...]


class Trade(Wire, frozen=True, kw_only=True):
    """Somebody traded; `side` is the maker's."""

    product_id: str
    trade_id: str
    price: str
    size: str
    time: str
    side: str


class TradeEvent(Wire, frozen=True, kw_only=True):
    """A snapshot's trades happened before the subscription: never new volume."""

    type: str
    trades: tuple[Trade, ...]


class MarketTrades(Frame, frozen=True, kw_only=True, tag="market_trades"):
    """Public trades, batched over 250 ms."""

    events: tuple[TradeEvent, ...]


class ProductCandle(Candle, frozen=True, kw_only=True, gc=False):
    """A five-minute bucket as it stands; of the same `start` the last one counts."""

    product_id: str


class CandleEvent(Wire, frozen=True, kw_only=True):
    """`type`: snapshot or update."""

    type: str
    candles: tuple[ProductCandle, ...]


class Candles(Frame, frozen=True, kw_only=True, tag="candles"):
    """Five-minute candles, each second while there are trades."""

    events: tuple[CandleEvent, ...]


class ProductStatus(Wire, frozen=True, kw_only=True):
    """A product's state. The member is `id`; trading flags are on REST only."""

    product_type: Text = ""
    id: str
    base_currency: Text = ""
    quote_currency: Text = ""
    base_increment: Text = ""
    quote_increment: Text = ""
    display_name: Text = ""
    status: Text = ""
    status_message: Text = ""
    min_market_funds: Text = ""


class StatusEvent(Wire, frozen=True, kw_only=True):
    """`type`: snapshot or update."""

    type: str
    products: tuple[ProductStatus, ...]


class Status(Frame, frozen=True, kw_only=True, tag="status"):
    """Products and their states."""

    events: tuple[StatusEvent, ...]


class UserOrder(Wire, frozen=True, kw_only=True):
    """An order's cumulative state: no trade ids, no fill prices. Terminal states come twice, replays happen.

    `status` is an open set. `order_type` and the reject member have several spellings: read `kind` and `rejection`.
    """

    order_id: str
    product_id: str
    status: str
    client_order_id: Text = ""
    avg_price: Text = ""
    cancel_reason: Text = ""
    completion_percentage: Text = ""
    contract_expiry_type: Text = "UNKNOWN_CONTRACT_EXPIRY_TYPE"
    cumulative_quantity: Text = ""
    filled_value: Text = ""
    leaves_quantity: Text = ""
    limit_price: Text = ""
    number_of_fills: Text = ""
    order_side: Text = ""
    order_type: Text = ""
    outstanding_hold_amount: Text = ""
    post_only: str | bool | None = ""
    product_type: Text = ""
    reject_reason: Text | UnsetType = UNSET
    reject_Reason: Text | UnsetType = UNSET  # noqa: N815 - seen so in production
    retail_portfolio_id: Text = ""
    risk_managed_by: Text = "UNKNOWN_RISK_MANAGEMENT_TYPE"
    stop_price: Text = ""
    time_in_force: Text = ""
    total_fees: Text = ""
    total_value_after_fees: Text = ""
    trigger_status: Text = ""
    creation_time: Text = ""
    end_time: Text = ZERO_TIME
    start_time: Text = ZERO_TIME

    @property
    def kind(self) -> str:
        """The order type as REST spells it, such as STOP_LIMIT (seen: Limit, Stop Limit, StopLimit, LIMIT)."""
        letters = (self.order_type or "").replace(" ", "").replace("_", "").upper()
        return "STOP_LIMIT" if letters == "STOPLIMIT" else letters

    @property
    def rejection(self) -> str:
        """Why the venue rejected it, verbatim; "" where it did not."""
        return self.reject_reason or self.reject_Reason or ""

    @property
    def is_post_only(self) -> bool:
        """Post-only, which the wire tells as text."""
        return str(self.post_only).lower() == "true"


class UserEvent(Wire, frozen=True, kw_only=True):
    """`snapshot`: open orders, in messages of 50; `update`: one or more orders."""

    type: str
    orders: tuple[UserOrder, ...] = ()


class User(Frame, frozen=True, kw_only=True, tag="user"):
    """The user's own orders."""

    events: tuple[UserEvent, ...]


class ErrorFrame(Wire, frozen=True, kw_only=True):
    """Something we sent was refused; the connection stays open. Names neither channel nor product."""

    type: Literal["error"]  # required: a lone tag may be missing, and a damaged data frame would pass for an error
    message: Text = ""


ServerFrame: TypeAlias = (
    Heartbeats | Subscriptions | Tickers | TickerBatch | L2Data | MarketTrades | Candles | Status | User
)

_frames: msgspec.json.Decoder[ServerFrame] = msgspec.json.Decoder(ServerFrame)
_errors = msgspec.json.Decoder(ErrorFrame)
_messages: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def decode_frame(raw: bytes | str) -> ServerFrame | ErrorFrame:
    """Decode one frame to the struct of its channel, in one pass.

    Raises BadWire: no JSON, wrong shape, a channel we do not know.
    """
    try:
        return _frames.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return _error_frame(raw, exc)


def _error_frame(raw: bytes | str, first: Exception) -> ErrorFrame:
    # Errors have no `channel`, so they fail the first decoder; they are rare enough to be read twice.
    try:
        return _errors.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadWire(f"frame: {first}") from first


def decode_message(raw: bytes | str) -> ClientMessage:
    """Decode what a client asks. Raises BadWire: neither subscribe nor unsubscribe."""
    try:
        return _messages.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise BadWire(f"message: {exc}") from exc
