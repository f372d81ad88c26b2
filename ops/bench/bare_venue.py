"""As little of a venue as a desk needs to be armed, and an HTTP sink that notes when an order request arrived.

It makes market data at a given pace, lets one product's bid fall on command, calls every order filled after one lot,
and answers everything else with what changes nothing. It checks nothing and forgets everything: it measures.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random
from typing import Any, cast
from urllib.parse import parse_qs

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from protocol.coinbase.endpoints import Endpoint, match
from protocol.coinbase.wire import format_rfc3339
from protocol.ids import ProductId

CASH_USD = Decimal(10_000_000)
HELD = Decimal(1000)
LOT = Decimal(1)
"""An order is called filled after so many base units, so that the same position can be left again and again."""
TOP, NEAR, FLOOR = Decimal("100.00"), 10, Decimal("97.00")
"""Bids rest in `NEAR` steps of a cent below `TOP`, and below `FLOOR`; in a fall the near ones go and offers follow."""
TICK = Decimal("0.01")
FILLED_AFTER_S = 0.005
SIZES = ("35", "125", "250", "500")
_encode = msgspec.json.encode


class Line:
    """One live WebSocket connection: its subscriptions and its sequence."""

    def __init__(self, live: ServerConnection) -> None:
        self.live = live
        self.channels: dict[str, tuple[str, ...]] = {}
        self._sent = 0

    def send(self, channel: str, *events: dict[str, Any]) -> None:
        """Send one frame at once: what the transport takes now, it hands to the kernel now."""
        frame = {"channel": channel, "timestamp": stamp(), "sequence_num": self._sent, "events": events}
        self._sent += 1
        self.live.protocol.send_text(_encode(frame))
        self.live.send_data()

    def acknowledge(self) -> None:
        """Say what is subscribed."""
        self.send("subscriptions", {"subscriptions": {name: list(ids) for name, ids in self.channels.items()}})


class BareVenue:
    """The venue's side of the bench. `arrivals` hold (monotonic ns, product) of every order request."""

    def __init__(self, products: tuple[ProductId, ...], per_s: float, seed: int = 1) -> None:
        self.products = products
        self.arrived: dict[str, asyncio.Future[int]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._per_s = per_s
        self._chance = Random(seed)  # noqa: S311 - a repeatable market, no secret
        self._lines: set[Line] = set()
        self._fallen: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._web: asyncio.Server
        self._sockets: Server

    async def start(self) -> tuple[str, str]:
        """Listen; returns the REST and the WebSocket address."""
        loop = asyncio.get_running_loop()
        self._web = await loop.create_server(lambda: Sink(self.answer), "127.0.0.1", 0)
        self._sockets = await serve(self._session, "127.0.0.1", 0, compression=None)
        self._tasks = [loop.create_task(self._beat())]
        rest, sockets = (next(iter(s.sockets)).getsockname()[1] for s in (self._web, self._sockets))
        return f"http://127.0.0.1:{rest}", f"ws://127.0.0.1:{sockets}"

    async def stop(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._web.close()
        self._sockets.close()
        await self._sockets.wait_closed()

    # --- market data ----------------------------------------------------------------------------------------------

    def fall(self, product: ProductId) -> int:
        """Let the market fall below every stop, and expect an order; returns when the frame left, monotonic ns."""
        self._fallen.add(product)
        line = self._line(product)
        self.arrived[product] = asyncio.get_running_loop().create_future()
        gone = [*(_level("bid", price, "0") for price in _near()), *(_level("offer", price, "250") for price in _low())]
        left_ns = time.monotonic_ns()
        line.send("l2_data", {"type": "update", "product_id": product, "updates": gone})
        return left_ns

    def rise(self, product: ProductId) -> None:
        """Put the market back."""
        self._fallen.discard(product)
        back = [*(_level("offer", price, "0") for price in _low()), *(_level("bid", price, "250") for price in _near())]
        self._line(product).send("l2_data", {"type": "update", "product_id": product, "updates": back})

    @property
    def carried(self) -> set[str]:
        """Products that somebody has subscribed to."""
        return {product for line in self._lines for product in line.channels.get("level2", ())}

    def _line(self, product: str) -> Line:
        return next(line for line in self._lines if product in line.channels.get("level2", ()))

    async def _session(self, live: ServerConnection) -> None:
        line = Line(live)
        self._lines.add(line)
        pulse = asyncio.create_task(self._trade(line))
        try:
            while True:
                self._asked(line, msgspec.json.decode(await live.recv()))
        except ConnectionClosed:
            return
        finally:
            self._lines.discard(line)
            pulse.cancel()

    def _asked(self, line: Line, asked: dict[str, Any]) -> None:
        channel, products = asked["channel"], tuple(asked.get("product_ids") or ())
        if asked["type"] == "unsubscribe":
            line.channels.pop(channel, None)
            line.acknowledge()
            return
        line.channels[channel] = products
        line.acknowledge()
        if channel == "user":
            line.send("user", {"type": "snapshot", "orders": []})
        for product in products if channel == "level2" else ():
            line.send("l2_data", {"type": "snapshot", "product_id": product, "updates": list(_book())})

    async def _trade(self, line: Line) -> None:
        """Changes near the top of its books, at random instants, so many per second and product."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            products = line.channels.get("level2", ())
            due += self._chance.expovariate(self._per_s * len(products)) if products else 0.01
            await asyncio.sleep(max(0.0, due - loop.time()))
            if products:
                line.send("l2_data", self._change(self._chance.choice(products)))

    def _change(self, product: str) -> dict[str, Any]:
        sizes = (self._chance.choice(SIZES) for _ in range(4))
        bids = FLOOR if product in self._fallen else TOP - TICK
        prices = (bids - TICK * self._chance.randrange(4), TOP + TICK * self._chance.randrange(1, 5))
        rows = [_level(side, price, next(sizes)) for side, price in zip(("bid", "offer"), prices, strict=True)]
        deeper = TOP + TICK * self._chance.randrange(5, 20)
        return {"type": "update", "product_id": product, "updates": [*rows, _level("offer", deeper, next(sizes))]}

    async def _beat(self) -> None:
        for number in range(1 << 40):
            for line in list(self._lines):
                if "heartbeats" in line.channels:
                    line.send("heartbeats", {"current_time": "", "heartbeat_counter": number})
            await asyncio.sleep(1.0)

    # --- REST -----------------------------------------------------------------------------------------------------

    def answer(self, request: "Request") -> dict[str, Any]:
        """The body of an answer."""
        endpoint, parameters = match(request.method, request.path) or (None, {})
        match endpoint:
            case Endpoint.CREATE_ORDER:
                return self._placed(msgspec.json.decode(request.body), request.at_ns)
            case Endpoint.TIME:
                now_ms = time.time_ns() // 1_000_000
                return {"iso": stamp(), "epochSeconds": str(now_ms // 1000), "epochMillis": str(now_ms)}
            case Endpoint.PUBLIC_PRODUCTS:
                asked = parse_qs(request.query).get("product_ids", self.products)
                return {"products": [_product(p) for p in self.products if p in asked]}
            case Endpoint.PUBLIC_CANDLES:
                return {"candles": []}
            case Endpoint.ACCOUNTS:
                return {"accounts": list(self._accounts()), "has_next": False, "cursor": "", "size": 0}
            case Endpoint.TRANSACTION_SUMMARY:
                return {"fee_tier": {"taker_fee_rate": "0", "maker_fee_rate": "0"}}
            case Endpoint.FILLS:
                wanted = parse_qs(request.query).get("order_ids", [])
                return {"fills": [_fill(self.orders[name]) for name in wanted], "cursor": ""}
            case Endpoint.ORDERS:
                return {"orders": [], "sequence": "0", "has_next": False, "cursor": ""}
            case Endpoint.ORDER:
                return {"order": _order(self.orders[parameters["order_id"]])}
            case Endpoint.CANCEL_ORDERS:
                names = msgspec.json.decode(request.body)["order_ids"]
                return {"results": [{"success": True, "failure_reason": "", "order_id": name} for name in names]}
        return {}

    def _placed(self, asked: dict[str, Any], at_ns: int) -> dict[str, Any]:
        product, name = asked["product_id"], f"order-{len(self.orders) + 1}"
        ids = {"order_id": name, "product_id": product, "side": asked["side"]}
        self.orders[name] = {**ids, "client_order_id": asked["client_order_id"], "at": stamp()}
        waiting = self.arrived.pop(product, None)
        if waiting is not None:
            waiting.set_result(at_ns)
            self.rise(ProductId(product))
        asyncio.get_running_loop().call_later(FILLED_AFTER_S, self._filled, name)
        echo = {**ids, "client_order_id": asked["client_order_id"]}
        return {"success": True, "success_response": echo, "order_configuration": asked["order_configuration"]}

    def _filled(self, name: str) -> None:
        for line in self._lines:
            if "user" in line.channels:
                line.send("user", {"type": "update", "orders": [_told(self.orders[name])]})

    def _accounts(self) -> Iterator[dict[str, Any]]:
        sold: dict[str, int] = {}
        for order in self.orders.values():
            sold[order["product_id"]] = sold.get(order["product_id"], 0) + 1
        cash = CASH_USD + sum(sold.values()) * LOT * FLOOR
        held = {product.partition("-")[0]: HELD - sold.get(product, 0) * LOT for product in self.products}
        for currency, amount in {"USD": cash, **held}.items():
            none = {"value": "0", "currency": currency}
            free = {"value": str(amount), "currency": currency}
            yield {"uuid": currency, "currency": currency, "available_balance": free, "hold": none}


# ---- the HTTP side


class Request(msgspec.Struct, frozen=True):
    """One request. `at_ns`: when its last byte arrived, monotonic."""

    method: str
    path: str
    query: str
    body: bytes
    at_ns: int


class Sink(asyncio.Protocol):
    """HTTP/1.1 as one client speaks it: kept alive, a length with every body, one request after the other."""

    def __init__(self, answer: Callable[[Request], dict[str, Any]]) -> None:
        self._answer = answer
        self._waiting = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to answer."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        at_ns = time.monotonic_ns()
        self._waiting += data
        for request in self._requests(at_ns):
            body = _encode(self._answer(request))
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)

    def _requests(self, at_ns: int) -> "deque[Request]":
        found: deque[Request] = deque()
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._waiting[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._waiting) < whole:
                break
            method, target, _ = first.split(" ")
            path, _, query = target.partition("?")
            found.append(Request(method, path, query, self._waiting[end + 4 : whole], at_ns))
            self._waiting = self._waiting[whole:]
        return found


# ---- words of the wire


def stamp() -> str:
    """Now, as the venue writes it."""
    return format_rfc3339(time.time_ns())


def _near() -> list[Decimal]:
    return [TOP - TICK * step for step in range(1, NEAR + 1)]


def _low() -> list[Decimal]:
    """Offers while it is down: as near to the bid as before, for an exit waits when a spread goes wide."""
    return [FLOOR + TICK * step for step in range(1, NEAR)]


def _book() -> Iterator[dict[str, str]]:
    for price in (*_near(), *(FLOOR - TICK * step for step in range(NEAR))):
        yield _level("bid", price, "250")
    for step in range(1, 20):
        yield _level("offer", TOP + TICK * step, "250")


def _level(side: str, price: Decimal, size: str) -> dict[str, str]:
    return {"side": side, "event_time": stamp(), "price_level": str(price), "new_quantity": size}


def _product(product: ProductId) -> dict[str, Any]:
    base, _, quote = product.partition("-")
    grids = {f"{name}_increment": "0.01" for name in ("price", "base", "quote")}
    sizes = {
        f"{name}_{end}_size": size for name in ("base", "quote") for end, size in (("min", "0.01"), ("max", "1e9"))
    }
    return {
        "product_id": product,
        "price": "100",
        "status": "online",
        "product_type": "SPOT",
        "base_currency_id": base,
        "quote_currency_id": quote,
        "approximate_quote_24h_volume": "1000000000",
        **grids,
        **sizes,
    }


def _told(order: dict[str, Any]) -> dict[str, Any]:
    """An order on the user channel."""
    return {
        **{name: order[name] for name in ("order_id", "product_id", "client_order_id")},
        "status": "FILLED",
        "order_side": order["side"],
        "creation_time": order["at"],
        "cumulative_quantity": str(LOT),
        "avg_price": str(FLOOR),
        "filled_value": str(LOT * FLOOR),
        "total_fees": "0",
        "leaves_quantity": "0",
    }


def _order(order: dict[str, Any]) -> dict[str, Any]:
    """An order as REST tells it."""
    return {
        **{name: order[name] for name in ("order_id", "product_id", "client_order_id", "side")},
        "status": "FILLED",
        "created_time": order["at"],
        "filled_size": str(LOT),
        "total_fees": "0",
        "average_filled_price": str(FLOOR),
        "filled_value": str(LOT * FLOOR),
    }


def _fill(order: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: order[name] for name in ("order_id", "product_id", "side")},
        "entry_id": f"fill-{order['order_id']}",
        "price": str(FLOOR),
        "size": str(LOT),
        "commission": "0",
        "trade_time": stamp(),
        "liquidity_indicator": "TAKER",
        "size_in_quote": False,
    }
