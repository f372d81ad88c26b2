"""WebSocket frames, encoded once for every connection: only the sequence number differs between them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from actors.venue.instants import SECOND_NS, rfc3339
from actors.venue.wire import ChannelOrder, TradeView

_encode = msgspec.json.Encoder().encode

BID, OFFER = "bid", "offer"


class Frame:
    """A message of one channel: everything but its number in a connection."""

    __slots__ = ("channel", "head", "tail")

    def __init__(self, channel: str, at_ns: int, events: Sequence[object]) -> None:
        self.channel = channel
        self.head = f'"timestamp":"{rfc3339(at_ns)}","sequence_num":'
        self.tail = f',"events":{_encode(events).decode()}}}'

    def text(self, sequence: int, *, client_id: bool) -> str:
        """The frame as it goes to one connection; the user host shows an empty client id, the market host none."""
        client = '"client_id":"",' if client_id else ""
        return f'{{"channel":"{self.channel}",{client}{self.head}{sequence}{self.tail}'


Level = tuple[str, str, str]
"""Side (`bid` or `offer`), price, new absolute size."""


def level2(product_id: str, kind: str, at_ns: int, levels: Iterable[Level]) -> Frame:
    """A book's snapshot or a batch of changes with one common event time."""
    event_time = rfc3339(at_ns)
    updates = [
        {"side": side, "event_time": event_time, "price_level": price, "new_quantity": size}
        for side, price, size in levels
    ]
    return Frame("l2_data", at_ns, [{"type": kind, "product_id": product_id, "updates": updates}])


def market_trades(kind: str, at_ns: int, trades: Iterable[TradeView]) -> Frame:
    """Public trades; the side is the maker's."""
    shown = [
        {
            "product_id": trade.product_id,
            "trade_id": trade.trade_id,
            "price": trade.price,
            "size": trade.size,
            "time": trade.time,
            "side": trade.side,
        }
        for trade in trades
    ]
    return Frame("market_trades", at_ns, [{"type": kind, "trades": shown}])


def tickers(channel: str, kind: str, at_ns: int, members: Iterable[dict[str, str]]) -> Frame:
    """Tickers of one or several products."""
    return Frame(channel, at_ns, [{"type": kind, "tickers": [{"type": "ticker", **one} for one in members]}])


def candles(kind: str, at_ns: int, rows: Iterable[dict[str, Any]]) -> Frame:
    """Five-minute candles."""
    return Frame("candles", at_ns, [{"type": kind, "candles": list(rows)}])


def status(kind: str, at_ns: int, products: Iterable[dict[str, str]]) -> Frame:
    """Products and their states."""
    return Frame("status", at_ns, [{"type": kind, "products": list(products)}])


_NO_POSITIONS: dict[str, list[object]] = {
    "perpetual_futures_positions": [],
    "expiring_futures_positions": [],
    "prediction_market_positions": [],
}


def user(kind: str, at_ns: int, orders: Sequence[ChannelOrder]) -> Frame:
    """The user's orders."""
    return Frame("user", at_ns, [{"type": kind, "orders": orders, "positions": _NO_POSITIONS}])


def subscriptions(at_ns: int, current: dict[str, list[str]]) -> Frame:
    """The whole current set of a connection, by channel."""
    return Frame("subscriptions", at_ns, [{"subscriptions": current}])


def heartbeat(at_ns: int, counter: int, up_ns: int) -> Frame:
    """One a second; the time is Go's text with its monotonic clock."""
    second, fraction = divmod(at_ns, SECOND_NS)
    day, clock = rfc3339(second * SECOND_NS).rstrip("Z").split("T")
    up = f"{up_ns // SECOND_NS}.{up_ns % SECOND_NS:09d}"
    text = f"{day} {clock}.{fraction:09d} +0000 UTC m=+{up}"
    return Frame("heartbeats", at_ns, [{"current_time": text, "heartbeat_counter": counter}])


def error(message: str) -> str:
    """An error: no channel, no number."""
    return _encode({"type": "error", "message": message}).decode()
