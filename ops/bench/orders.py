"""What an order actor costs: to start, to hold, and when it is over.

The order desk and its orders are the real ones. Recorder, venue and readers are stand-ins that answer at once and keep
nothing, in virtual time, so that what is left afterwards was left by the orders.
"""

import gc
import resource
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pykka

from actors.order import actor as order_room
from actors.runtime.clock import VirtualClock
from actors.runtime.metrics import Counters
from actors.runtime.node import Node
from actors.runtime.pumps import ThreadLoop
from actors.runtime.restarts import Child, Group, Restart
from actors.runtime.role import Context, Role, Run
from actors.runtime.tree import Member
from config.load import load
from ops.bench.figures import Figure, at_most, p50, told
from ops.cli import ROOT
from protocol.base import NO_EFFECTS, Effects, Message
from protocol.effects import Spawn, Tell
from protocol.ids import ClientOrderId, IntentId, ProductId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.journal import Append, CommitRequest, Released
from protocol.lifecycle import Committed, Load, Recover
from protocol.market import ProductRules, ProductsKnown, Quote
from protocol.orders import (
    Intent,
    IntentDone,
    OrderBooked,
    OrderReported,
    OrderSpec,
    OrderState,
    OrderUpdate,
    Place,
    PlaceAccepted,
    PlaceIntent,
    Purpose,
    Side,
    Step,
    StepKind,
    TimeInForce,
    VenueOrder,
)
from protocol.policy import Policy
from protocol.risk import RiskView, TradingState
from protocol.venue import LookUpOrder, RequestCancel

BENCH = "orders"
LIVE = 500
FINISHED = 10_000
WARM_UP = 3_000
"""The desk remembers so many ended orders at most; memory is flat from there on."""
LINGER_NS = 6 * SECOND_NS
PRODUCT = ProductId("BTC-USD")
ONE = Decimal(1)
PRICE = Decimal(100)
KIB, MIB = 1024, 1024 * 1024


def run(live: int = LIVE, finished: int = FINISHED, warm_up: int = WARM_UP, rounds: int = 5) -> dict[str, float]:
    """Starts, memory and leftovers; about fifteen seconds at the usual numbers."""
    gc.freeze()  # as the desk process does with what it has loaded
    return {
        "live": float(live),
        "started_ms": p50([_started(live) for _ in range(rounds)]),
        "placed_ms": p50([_placed(live) for _ in range(rounds)]),
        "live_kib": _held(live),
        "finished": float(finished),
        **_left(finished, warm_up, live),
    }


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bounds: 500 in 50 ms, 16 KiB each; nothing left of 10,000."""
    live, finished = int(found["live"]), int(found["finished"])
    yield at_most(told(BENCH, f"start_{live}_actors", found["started_ms"], "ms"), 50.0)
    yield told(BENCH, f"place_{live}_orders", found["placed_ms"], "ms")
    yield at_most(told(BENCH, "memory_per_live_order", found["live_kib"], "KiB"), 16.0)
    yield at_most(told(BENCH, f"memory_left_by_{finished}", found["left_mib"], "MiB"), 1.0)
    yield told(BENCH, f"memory_blocks_left_by_{finished}", found["left_blocks"], "blocks")
    yield at_most(told(BENCH, f"threads_left_by_{finished}", found["left_threads"], "threads"), 0)
    yield at_most(told(BENCH, f"actors_left_by_{finished}", found["left_actors"], "actors"), 0)


# ---- measurements


def _started(live: int) -> float:
    """Milliseconds from the desk's word until so many orders are recovered actors that have asked for their commit."""
    floor = Floor(fills=False)
    floor.recorder.holds = True
    spawns = [_spawn(number, floor.clock.now_ns()) for number in range(live)]
    begun = time.perf_counter()
    for spawn in spawns:
        floor.node.spawn("orders", spawn, 0)
    floor.settle()
    took_s = time.perf_counter() - begun
    assert len(floor.orders()) == len(floor.recorder.held) == live, f"{len(floor.recorder.held)} of {live} orders live"
    floor.release()
    floor.stop()
    return took_s * 1e3


def _placed(live: int) -> float:
    """Milliseconds from so many approved intents until the venue has accepted an order of each."""
    floor = Floor(fills=False)
    begun = time.perf_counter()
    floor.place(live)
    took_s = time.perf_counter() - begun
    assert len(floor.orders()) == live == floor.accepted, f"{floor.accepted} of {live} orders live"
    floor.stop()
    return took_s * 1e3


def _held(live: int) -> float:
    """KiB that a live order holds in the process: actor, mailbox, state, and the desk's memory of it."""
    floor = Floor(fills=False)
    tracemalloc.start()
    before = _allocated()
    floor.place(live)
    held = _allocated() - before
    tracemalloc.stop()
    floor.stop()
    return held / live / KIB


def _left(finished: int, warm_up: int, batch: int) -> dict[str, float]:
    """What is still there after so many orders have been placed, filled, booked and retired."""
    floor = Floor(fills=True)
    floor.finish(warm_up, batch)
    before = _present()
    floor.finish(finished, batch)
    after = _present()
    assert floor.accepted == warm_up + finished, f"only {floor.accepted} orders were placed"
    floor.stop()
    return {f"left_{name}": after[name] - before[name] for name in after}


def _present() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "mib": pages * resource.getpagesize() / MIB,
        "blocks": float(sys.getallocatedblocks()),
        "threads": float(threading.active_count()),
        "actors": float(len(pykka.ActorRegistry.get_all())),
    }


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


# ---- the floor they trade on


class Recorder:
    """Answers at once and keeps nothing; where it `holds`, commits are never answered."""

    def __init__(self) -> None:
        self.holds = False
        self.held: list[CommitRequest] = []

    def step(self, state: int, message: Message, _now_ns: int) -> tuple[int, Effects]:
        """Answers a load with nothing, and a commit with its release."""
        match message:
            case Load():
                return state, (Tell(to=message.reply_to, message=Recover()),)
            case CommitRequest() if self.holds:
                self.held.append(message)
            case CommitRequest():
                released = (Tell(to="gateway", message=Released(submit=one, index=1)) for one in message.outbox)
                return state, (*released, Tell(to=message.reply_to, message=Committed(number=message.number)))
        return state, NO_EFFECTS


class Floor:
    """The order desk in virtual time; `fills`: the venue fills what it accepts, and the ledger books it at once."""

    def __init__(self, *, fills: bool) -> None:
        self.clock = VirtualClock()
        self.loop = ThreadLoop(self.clock)
        self.recorder = Recorder()
        self.accepted = 0
        self._fills = fills
        self._numbers = 0
        self.node = Node(
            self.clock, [Group(name="core")], list(self._members()), {"core": self.loop}, virtual=True, first_seq=1
        )
        self.node.start()
        self.settle()

    def _members(self) -> Iterator[Member]:
        context = _context(self.clock)
        roles: dict[str, Role[Any]] = {
            "recorder": _stand_in(self.recorder.step, Load, CommitRequest, Append),
            "gateway": _stand_in(self._venue, Released, LookUpOrder, RequestCancel),
            "orders": order_room.desk_role(context),
        }
        roles |= {name: _stand_in(_reader, OrderUpdate, IntentDone) for name in ("risk", "portfolio", "control")}
        for name, role in roles.items():
            yield Member(child=Child(name=name, group="core"), role=partial(_named, role))
        one = Child(name="order", group="core", restart=Restart.TRANSIENT)
        yield Member(child=one, role=partial(order_room.order_role, context), kind=True)

    def place(self, count: int) -> None:
        """Ask the desk for so many resting orders, and let everything come to rest."""
        now_ns = self.clock.now_ns()
        for message in _news(now_ns):
            self.node.tell("orders", message)
        self.settle()  # news is state: requests would overtake it
        for _ in range(count):
            self._numbers += 1
            self.node.tell("orders", PlaceIntent(intent=_intent(self._numbers, now_ns)))
        self.settle()

    def finish(self, count: int, batch: int) -> None:
        """Let so many orders live their whole lives."""
        for _ in range(0, count, batch):
            self.place(batch)
            self.clock.advance_to(self.clock.now_ns() + LINGER_NS)
            self.settle()
        left = self.orders()
        assert not left, f"{len(left)} orders did not end"

    def release(self) -> None:
        """Answer the commits that were held back."""
        for request in self.recorder.held:
            self.node.tell(request.reply_to, Committed(number=request.number))
        self.settle()

    def orders(self) -> list[str]:
        """Names of the order actors that are alive."""
        return [name for name in self.node.tree.records if name.startswith("order:")]

    def stop(self) -> None:
        """Ends every actor."""
        self.node.tree.stop("done")
        while not self.node.tree.stopped:
            self.settle()
            self.clock.advance_to(self.clock.now_ns() + SECOND_NS)
            self.node.tree.poll(self.clock.now_ns())

    def settle(self) -> None:
        """Give turns until nobody has anything to do at this moment."""

        def at_rest() -> bool:
            due_ns = self.loop.timers.next_due_ns()
            return not self.loop.ready and not self.loop.urgent and (due_ns is None or due_ns > self.clock.now_ns())

        self.loop.run(at_rest)

    def _venue(self, state: int, message: Message, _now_ns: int) -> tuple[int, Effects]:
        if not isinstance(message, Released):
            return state, NO_EFFECTS
        spec = message.submit.spec
        coid, order = spec.client_order_id, f"order:{spec.client_order_id}"
        self.accepted += 1
        venue_id = VenueOrderId(f"v{self.accepted}")
        accepted = Tell(to=order, message=PlaceAccepted(client_order_id=coid, venue_order_id=venue_id))
        if not self._fills:
            return state, (accepted,)
        filled = VenueOrder(
            client_order_id=coid,
            venue_order_id=venue_id,
            product_id=spec.product_id,
            side=spec.side,
            status="FILLED",
            filled_size=ONE,
            filled_value=PRICE,
            fees=Decimal(0),
        )
        report = Tell(to="orders", message=OrderReported(order=filled, source="stream"))
        booked = Tell(to=order, message=OrderBooked(client_order_id=coid, booked_size=ONE))
        return state, (accepted, report, booked)


def _reader(state: int, _message: Message, _now_ns: int) -> tuple[int, Effects]:
    return state + 1, NO_EFFECTS


def _named(role: Role[Any], _name: str) -> Role[Any]:
    return role


def _stand_in(step: Any, *accepts: type[Message]) -> Role[int]:
    return Role(step, lambda: 0, accepts, journaled=False)


class _Still:
    """Pages of a process that nobody kills."""

    def current(self) -> int:
        return 0

    def age_ns(self, slot: str) -> int:
        del slot
        return 0


def _context(clock: VirtualClock) -> Context:
    run_ = Run(bot="bench", mode="PAPER", state_dir=Path(), rest_url="", market_url="", user_url="")
    still = _Still()
    return Context(clock=clock, policy=policy(), run=run_, metrics=Counters(), epoch=still, heartbeat=still)


def policy() -> Policy:
    """The shipped configuration, resolved for the embedded profile."""
    return load(ROOT / "config", profile="embedded", overrides={"app.mode": "PAPER"}).policy


def _news(now_ns: int) -> tuple[Message, ...]:
    """What the desk must know before it places anything."""
    quote = Quote(
        product_id=PRODUCT,
        bid=PRICE,
        bid_size=ONE,
        ask=PRICE + 1,
        ask_size=ONE,
        bid_depth_usd=PRICE,
        ask_depth_usd=PRICE,
        venue_ns=now_ns,
        fresh_ns=now_ns,
        received_ns=now_ns,
        sequence=1,
    )
    view = RiskView(
        at_ns=now_ns,
        state=TradingState.ACTIVE,
        gates=(),
        exposure_pct=None,
        pending_usd=Decimal(0),
        entries_1h=0,
        entries_today=0,
        loss_streak=0,
        cooldowns=(),
    )
    return ProductsKnown(products=(rules(PRODUCT),), at_ns=now_ns), quote, view


def rules(product: ProductId) -> ProductRules:
    """A product with a fine grid and small minima."""
    base, _, quote = product.partition("-")
    fine, most = Decimal("0.01"), Decimal(1_000_000_000)
    return ProductRules(
        product_id=product,
        base=base,
        quote=quote,
        price_increment=fine,
        base_increment=fine,
        quote_increment=fine,
        base_min_size=fine,
        quote_min_size=ONE,
        base_max_size=most,
        quote_max_size=most,
        status="online",
        trading_disabled=False,
        cancel_only=False,
        limit_only=False,
        post_only=False,
        view_only=False,
        auction_mode=False,
        alias="",
        volume_24h_usd=most,
    )


def _intent(number: int, now_ns: int) -> Intent:
    return Intent(
        correlation=f"bench/{number}",
        product_id=PRODUCT,
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        steps=(Step(kind=StepKind.MAKER, ttl_s=60.0),),
        bid=PRICE,
        ask=PRICE + 1,
        not_after_ns=now_ns + 3 * SECOND_NS,
        base_size=ONE,
    )


def _spawn(number: int, now_ns: int) -> Spawn:
    """What the desk says when it has made an order."""
    intent = _intent(number, now_ns)
    spec = OrderSpec(
        client_order_id=ClientOrderId(f"bench-{number}-a1"),
        product_id=PRODUCT,
        side=Side.BUY,
        time_in_force=TimeInForce.GTD,
        base_size=ONE,
        quote_size=None,
        limit_price=PRICE,
        post_only=True,
        expires_at_ns=now_ns + 60 * SECOND_NS,
        not_after_ns=intent.not_after_ns,
    )
    name = IntentId(f"bench-{number}")
    order = OrderState(intent_id=name, attempt=1, step=0, ttl_ns=0, intent=intent, spec=spec, created_ns=now_ns)
    return Spawn(name=f"order:{spec.client_order_id}", kind="order", first=Place(state=order))
