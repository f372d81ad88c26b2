"""The gateway's core, driven by messages alone: a clock by hand, timers that come due, and the calls it makes."""

import json
from decimal import Decimal
from typing import Any, TypeVar

from msgspec.structs import replace

from actors.gateway.core import Gateway, Settings, initial, step
from protocol.base import Effect, Message
from protocol.effects import SetTimer, Submit, Tell
from protocol.ids import ClientOrderId, ProductId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.journal import Released
from protocol.lifecycle import Wake
from protocol.orders import OrderSpec, Side, TimeInForce
from protocol.transport import CallAnswered, CallBroken, HttpCall
from protocol.venue import RequestCancel, VenueHealth

M = TypeVar("M", bound=Message)

START_NS = 1_795_003_200 * SECOND_NS  # Wednesday 2026-11-18, 12:00 UTC
BTC = ProductId("BTC-USD")
EASY = Settings(public=(1e6, 1e6), private=(1e6, 1e6), exit_cancel=(1e6, 1e6), drill=(1e6, 1e6))


def spec(name: str = "bot-btc-usd-1-a1", side: Side = Side.BUY, *, life_s: float = 3.0, **changes: Any) -> OrderSpec:
    parts = OrderSpec(
        client_order_id=ClientOrderId(name),
        product_id=BTC,
        side=side,
        time_in_force=TimeInForce.GTD,
        base_size=Decimal("0.01"),
        quote_size=None,
        limit_price=Decimal(100_000),
        post_only=True,
        expires_at_ns=START_NS + 60 * SECOND_NS,
        not_after_ns=START_NS + int(life_s * SECOND_NS),
    )
    return replace(parts, **changes)


def released(name: str = "bot-btc-usd-1-a1", side: Side = Side.BUY, **changes: Any) -> Released:
    asked = spec(name, side, **changes)
    return Released(submit=Submit(client_order_id=asked.client_order_id, spec=asked), index=1)


def cancel(number: int, *, order: str = "", reply_to: str = "") -> RequestCancel:
    name = f"c{number}"
    return RequestCancel(
        client_order_id=ClientOrderId(name),
        venue_order_id=VenueOrderId(order or f"v{number}"),
        reply_to=reply_to or f"order:{name}",
    )


def accepted(asked: OrderSpec, **echo: Any) -> dict[str, Any]:
    """The venue's good answer to a place request."""
    echoed = {
        "order_id": f"v-{asked.client_order_id}",
        "product_id": asked.product_id,
        "side": asked.side.value,
        "client_order_id": asked.client_order_id,
    }
    return {"success": True, "success_response": echoed | echo}


def clock(at_ns: int) -> dict[str, str]:
    """The venue's answer to what time it is."""
    return {"iso": "", "epochSeconds": str(at_ns // SECOND_NS), "epochMillis": str(at_ns // 1_000_000)}


class Room:
    """A gateway and what it did: `calls` in order, `told` to whom, timers still to come."""

    def __init__(self, settings: Settings = EASY) -> None:
        self.now_ns = START_NS
        self.state: Gateway = initial(settings)
        self.calls: list[HttpCall] = []
        self.told: list[Tell] = []
        self.effects: list[Effect] = []
        self.timers: dict[str, int] = {}

    def tell(self, *messages: Message) -> "Room":
        for message in messages:
            self.state, effects = step(self.state, message, self.now_ns)
            self.effects += effects
            self.calls += [e for e in effects if isinstance(e, HttpCall)]
            self.told += [e for e in effects if isinstance(e, Tell)]
            self.timers |= {e.timer: e.due_ns for e in effects if isinstance(e, SetTimer)}
        return self

    def later(self, seconds: float) -> "Room":
        """Let time pass; timers that come due on the way wake it, in their order."""
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        while due := sorted((at, name) for name, at in self.timers.items() if at <= end_ns):
            at_ns, name = due[0]
            del self.timers[name]
            self.now_ns = max(self.now_ns, at_ns)
            self.tell(Wake(timer=name, due_ns=at_ns))
        self.now_ns = end_ns
        return self

    def answer(self, body: Any = None, status: int = 200, *, call: int | None = None, after_s: float = 0.0) -> "Room":
        """The venue answers the newest call, or another one; `body` as JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        number = self.calls[-1].call if call is None else call
        return self.tell(CallAnswered(call=number, status=status, body=raw, retry_after_s=after_s))

    def broken(self, kind: str = "timeout", *, sent: bool = True, call: int | None = None) -> "Room":
        """The newest call, or another one, got no answer."""
        number = self.calls[-1].call if call is None else call
        return self.tell(CallBroken(call=number, kind=kind, detail="said so", sent=sent))

    def heard(self, kind: type[M], to: str | None = None) -> list[M]:
        """Messages of one kind that it sent, optionally to one address."""
        return [t.message for t in self.told if isinstance(t.message, kind) and to in {None, t.to}]

    def made(self, endpoint: str) -> list[HttpCall]:
        """Calls to one endpoint."""
        return [c for c in self.calls if c.endpoint == endpoint]

    @property
    def health(self) -> VenueHealth:
        return self.heard(VenueHealth, "risk")[-1]
