"""One peer's client of the ingest bench, run as a script by the interpreter of that peer's environment.

It imports nothing of the project, which that environment does not hold. Each peer reads from its own kind of socket and
keeps its order books by its own handlers, as its manual shows: `python ingest_peer.py NAME PORT WARM MESSAGES` prints
the microseconds of CPU per message between the warm-up and the last message, and what the peer made of them.
"""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import uvloop

COINS = ("BTC", "ETH")


class Meter:
    """CPU of this process per message, counted as each was handled; the same count as the trader's client keeps."""

    def __init__(self, warm: int, messages: int) -> None:
        self.warm, self.messages = warm, messages
        self.seen = 0
        self.begun = self.us = 0.0
        self.done = asyncio.Event()

    def count(self) -> None:
        """One more was handled."""
        self.seen += 1
        if self.seen == self.warm:
            self.begun = time.process_time()
        if self.seen == self.warm + self.messages:
            self.us = (time.process_time() - self.begun) / self.messages * 1e6
            self.done.set()


async def cryptofeed(port: int, meter: Meter) -> int:
    """Its Coinbase feed with books and trades. Returns the levels it keeps in the end.

    Its own connection class is a `websockets` client that adds a count and a receipt time, and refuses whatever is not
    `wss://`; so its loop stands here, with the options its endpoint names.
    """
    from cryptofeed.defines import L2_BOOK, TRADES  # noqa: PLC0415 - of the two peers an environment holds one
    from cryptofeed.exchanges.coinbase import Coinbase  # noqa: PLC0415
    from cryptofeed.symbols import Symbols  # noqa: PLC0415
    from websockets import connect  # noqa: PLC0415

    kept: dict[str, Any] = {}

    async def on_book(book: Any, _received: float) -> None:
        kept[book.symbol] = book.book

    async def on_trade(_trade: Any, _received: float) -> None:
        """Takes it and forgets it."""

    logging.getLogger("feedhandler").setLevel(logging.CRITICAL)  # it warns of each heartbeat, which it does not know
    names = [f"{coin}-USD" for coin in COINS]
    Symbols.set(Coinbase.id, {name: name for name in names}, {"tick_size": {}, "instrument_type": {}})
    feed = Coinbase(symbols=names, channels=[L2_BOOK, TRADES], callbacks={L2_BOOK: on_book, TRADES: on_trade})
    options = Coinbase.websocket_endpoints[0].options
    async with connect(f"ws://127.0.0.1:{port}", proxy=None, **options) as live:
        async for data in live:
            await feed.message_handler(data, live, time.time())
            meter.count()
            if meter.us:
                break
    return sum(len(book.bids) + len(book.asks) for book in kept.values())


async def ccxt(port: int, meter: Meter) -> int:
    """Its Coinbase exchange, watched for books and trades in two loops. Returns the levels it keeps in the end."""
    import ccxt.pro  # noqa: PLC0415

    class Metered(ccxt.pro.coinbase):  # type: ignore[misc]
        """The exchange as it is, its messages counted as they were handled."""

        def handle_message(self, client: Any, message: Any) -> None:
            super().handle_message(client, message)
            meter.count()

    exchange = Metered()
    exchange.urls["api"]["ws"] = f"ws://127.0.0.1:{port}"
    exchange.set_markets([_market(coin) for coin in COINS])
    symbols = [f"{coin}/USD" for coin in COINS]

    async def watch_books() -> None:
        while True:
            await exchange.watch_order_book_for_symbols(symbols)

    async def watch_trades() -> None:
        while True:
            await exchange.watch_trades_for_symbols(symbols)

    watching = [asyncio.ensure_future(watch()) for watch in (watch_books, watch_trades)]
    finished = asyncio.ensure_future(meter.done.wait())
    await asyncio.wait([finished, *watching], return_when=asyncio.FIRST_COMPLETED)
    if not finished.done():
        await asyncio.gather(*(one for one in watching if one.done()))  # says why it ended
    for one in watching:
        one.cancel()
    await exchange.close()
    return sum(len(book["bids"]) + len(book["asks"]) for book in exchange.orderbooks.values())


def _market(coin: str) -> dict[str, Any]:
    """What it would have read over REST of a product."""
    sides = {"base": coin, "quote": "USD", "baseId": coin, "quoteId": "USD"}
    kind = {"type": "spot", "spot": True, "active": True}
    return sides | kind | {"id": f"{coin}-USD", "symbol": f"{coin}/USD", "precision": {"price": 0.01, "amount": 1e-8}}


async def measured(name: str, port: int, warm: int, messages: int) -> dict[str, float]:
    """Runs one peer to the last message."""
    meter = Meter(warm, messages)
    levels = await {"cryptofeed": cryptofeed, "ccxt": ccxt}[name](port, meter)
    return {"us": meter.us, "levels": levels}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measured(sys.argv[1], *(int(one) for one in sys.argv[2:])))))
