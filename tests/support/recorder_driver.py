"""Drives the recorder's real core and edge on any store without a runtime: lanes, timers and a clock set by hand."""

from collections import deque
from decimal import Decimal

from actors.recorder.actor import role
from protocol import codec
from protocol.base import Lane
from protocol.effects import ClearTimer, Count, LogLine, Retire, SetTimer, Submit, Tell
from protocol.ids import ClientOrderId, ProductId
from protocol.journal import Append, CommitRequest, Draft, EntryKind, Released
from protocol.lifecycle import Beat, CommitFailed, Committed, Recover, StoreRecord, Wake
from protocol.orders import OrderSpec, Side, TimeInForce


class Driver:
    """One incarnation. `sent` collects what left the recorder as (to, message, cause)."""

    name = "recorder"
    cause = 0

    def __init__(self, store, incarnation=1, now_ns=0, observe=None):
        self.store, self.incarnation, self.clock_ns, self.superseded = store, incarnation, now_ns, False
        self.sent, self.timers, self.notices = [], {}, []
        self.lanes = {lane: deque() for lane in Lane}
        made = role(store, observe, background=False)
        self.step, self.state, self.edge = made.step, made.initial(), made.edge()
        self.edge.bind(self)
        self.deliver(Recover())

    def now_ns(self):
        return self.clock_ns

    def valid(self):
        return not self.superseded

    def failed(self, error):
        raise error

    def tell(self, to, message, cause=0):
        if to == self.name:
            self.lanes[message.lane].append(message)
        else:  # also once superseded: that nothing comes is the edge's own doing
            self.sent.append((to, message, cause))

    def post(self, *messages):
        """Leaves mail without handling any."""
        for message in messages:
            self.lanes[message.lane].append(message)

    def deliver(self, *messages):
        """Leaves mail and handles everything waiting, append timers included."""
        self.post(*messages)
        self.drain()

    def drain(self):
        while lane := next((lane for lane in self.lanes.values() if lane), None):
            self.handle(lane.popleft())
            if not any(self.lanes.values()) and "flush" in self.timers:
                self.fire("flush")

    def fire(self, timer):
        due_ns = self.timers.pop(timer)
        self.clock_ns = max(self.clock_ns, due_ns)
        self.post(Wake(timer=timer, due_ns=due_ns))

    def handle(self, message):
        self.state, effects = self.step(self.state, message, self.clock_ns)
        for effect in effects:
            self.perform(effect)

    def perform(self, effect):
        match effect:
            case Tell():
                self.tell(effect.to, effect.message)
            case SetTimer():
                self.timers[effect.timer] = effect.due_ns
            case ClearTimer():
                self.timers.pop(effect.timer, None)
            case Count() | LogLine() | Retire():
                self.notices.append(effect)
            case _:
                self.edge.perform(effect)

    def to(self, name):
        return [message for to, message, _ in self.sent if to == name]

    def committed(self):
        return {(to, message.number) for to, message, _ in self.sent if isinstance(message, Committed)}

    def failures(self):
        return {(to, m.number): m for to, m, _ in self.sent if isinstance(m, CommitFailed)}

    def released(self):
        return [m.submit.client_order_id for m in self.to("gateway") if isinstance(m, Released)]


def draft(seq, actor="portfolio", at_ns=0, kind=EntryKind.HANDLED):
    body = codec.encode(Beat(number=seq))
    return Draft(kind=kind, actor=actor, incarnation=1, sender="test", seq=seq, cause=seq - 1, at_ns=at_ns, body=body)


def note(seq):
    return Append(drafts=(draft(seq, kind=EntryKind.SAID),))


def submit(client_order_id):
    spec = OrderSpec(
        client_order_id=ClientOrderId(client_order_id),
        product_id=ProductId("BTC-USD"),
        side=Side.BUY,
        time_in_force=TimeInForce.GTD,
        base_size=Decimal("0.1"),
        quote_size=None,
        limit_price=Decimal(50_000),
        post_only=True,
        expires_at_ns=0,
        not_after_ns=0,
    )
    return Submit(client_order_id=spec.client_order_id, spec=spec)


def request(number, records=(), *, actor="portfolio", fresh=(), outbox=(), drafts=1, at_ns=0):
    """A commit of `records` (pairs), with `drafts` entries."""
    return CommitRequest(
        reply_to=actor,
        number=number,
        drafts=tuple(draft(number * 10 + n, actor, at_ns) for n in range(drafts)),
        records=tuple(StoreRecord(key=key, value=value) for key, value in records),
        outbox=tuple(submit(name) for name in outbox),
        fresh=tuple(fresh),
    )
