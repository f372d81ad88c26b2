"""What holds for every course of events of one order, and of a desk whose venue, network and actors misbehave."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.order import core
from actors.order import desk as desks
from protocol.effects import ClearTimer, Commit, Retire, SetTimer, Spawn, Tell
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.market import FactsWanted, ProductsKnown
from protocol.orders import (
    TERMINAL,
    CancelAnswered,
    CancelOrder,
    OrderBooked,
    OrderNotFound,
    OrderReported,
    OrderState,
    PlaceAccepted,
    PlaceIntent,
    PlaceRefused,
    PlaceUnknown,
    Purpose,
    Side,
    Status,
    VenueOrder,
)
from protocol.venue import LookUpOrder, QueryFailed, RequestCancel
from tests.support.order_play import (
    ACCEPTED,
    CANCEL,
    COID,
    FAILED_QUERY,
    REFUSED,
    REFUSED_CANCEL,
    TOOK_CANCEL,
    UNKNOWN,
    Play,
    report,
)
from tests.support.order_room import LIMIT, MAKER, START_NS, TAKER, S, d, intent, quote, rules, view

# --- one order ------------------------------------------------------------------------------------------------------

WORDS = ["OPEN", "PENDING", "CANCEL_QUEUED", "FILLED", "CANCELLED", "EXPIRED", "FAILED", "REJECTED", "???"]
MOVES = {  # execution.md §5; several steps of the table may happen in one message
    Status.INITIALIZED: {Status.SUBMITTED, Status.ABORTED},
    Status.SUBMITTED: set(Status) - {Status.INITIALIZED, Status.ABORTED},
    Status.ACCEPTED: set(Status) - {Status.INITIALIZED, Status.SUBMITTED, Status.ABORTED},
    Status.PARTIALLY_FILLED: set(Status) - {Status.INITIALIZED, Status.SUBMITTED, Status.ACCEPTED, Status.ABORTED},
    Status.PENDING_CANCEL: TERMINAL - {Status.ABORTED} | {Status.UNRESOLVED},
    Status.UNRESOLVED: set(Status) - {Status.INITIALIZED, Status.SUBMITTED, Status.ABORTED},
}

messages = st.one_of(
    st.sampled_from([ACCEPTED, REFUSED, UNKNOWN, CANCEL, TOOK_CANCEL, REFUSED_CANCEL, FAILED_QUERY]),
    st.builds(report, st.sampled_from(WORDS), st.integers(0, 10)),
    st.builds(lambda size: OrderBooked(client_order_id=COID, booked_size=d(size)), st.integers(0, 10)),
    st.sampled_from(["ttl", "kill", "renew"]).map(lambda why: CancelOrder(client_order_id=COID, reason=why)),
)
courses = st.lists(
    st.one_of(
        messages,
        st.sampled_from(["not found", "restart", "disk fails", "disk works"]),
        st.sampled_from([0, 0.3, 2.0, 6.0, 140.0]),
    ),
    max_size=25,
)


@pytest.mark.req("X1")
@settings(max_examples=400, deadline=None)
@given(st.sampled_from([0, 20]), courses)
def test_whatever_happens_to_an_order(ttl_s, course):
    play, submits = Play(ttl_s=ttl_s), 0
    for event in course:
        before = play.order
        match event:
            case "restart":
                submits += len(play.submits())
                play = play.reborn()
            case "not found":
                play.not_found()
            case "disk fails" | "disk works":
                play.disk_fails = event == "disk fails"
            case int() | float():
                play.wait(event)
            case _:
                play.tell(event)
        assert submits + len(play.submits()) <= 1
        if play.order is not None and before is not None and event != "restart":
            check_move(before, play.order, several=isinstance(event, int | float))


def check_move(before, after, *, several):
    assert after.filled_size >= before.filled_size
    assert after.filled_value >= before.filled_value
    assert after.fees >= before.fees
    assert after.booked_size >= before.booked_size
    assert after.venue_order_id == before.venue_order_id or before.venue_order_id is None
    if before.terminal:
        assert (after.status, after.closed_ns) == (before.status, before.closed_ns)
    elif after.status is not before.status and not several:
        assert after.status in MOVES[before.status]


@settings(max_examples=200, deadline=None)
@given(courses)
def test_what_the_store_knows_is_what_the_order_said(course):
    """A restart at any point loses nothing that was announced: figures, the wish to cancel, the end."""
    play = Play().submit()
    for event in course:
        if isinstance(event, int | float):
            play.wait(event)
        elif not isinstance(event, str):
            play.tell(event)
    after = play.reborn()
    if after.order is None:
        assert play.order.settled
        return
    kept = ("filled_size", "filled_value", "fees", "booked_size", "cancel_wanted", "venue_order_id", "requested_ns")
    assert [getattr(after.order, name) for name in kept] == [getattr(play.order, name) for name in kept]
    assert after.order.terminal == play.order.terminal


# --- a desk, its orders, and a venue that loses, delays and repeats -----------------------------------------------


TARGET = d(10)


class Resting:
    """One order at the venue."""

    def __init__(self, spec):
        self.spec = spec
        self.status = "OPEN"
        self.filled = Decimal(0)

    def word(self):
        return VenueOrder(
            client_order_id=self.spec.client_order_id,
            venue_order_id=f"v-{self.spec.client_order_id}",
            product_id=self.spec.product_id,
            side=Side.BUY,
            status=self.status,
            filled_size=self.filled,
            filled_value=self.filled * 100,
            fees=Decimal(0),
        )


class World:
    """Desk and orders on their pure cores; every message to and from the venue waits until it is drawn."""

    def __init__(self, seed):
        self.chance = Random(seed)
        self.now_ns = START_NS
        self.store, self.timers, self.wire = {}, {}, []
        self.lives, self.venue, self.intents = {}, {}, {}
        self.submitted = []
        self.start_desk()

    # actors

    def start_desk(self):
        self.timers = {key: due for key, due in self.timers.items() if key[0] != "orders"}
        self.desk = desks.Desk(settings=desks.Settings(bot="bot1", epoch=0, block=4))
        self.to_desk(Recover(records=self.records("order")))
        self.to_desk(ProductsKnown(products=(rules(),), at_ns=self.now_ns))
        self.to_desk(view())
        self.to_desk(quote(self.now_ns))

    def records(self, prefix):
        return tuple(StoreRecord(key=k, value=v) for k, v in sorted(self.store.items()) if k.startswith(prefix))

    def to_desk(self, message):
        self.desk, effects = desks.step(self.desk, message, self.now_ns)
        self.perform("orders", effects)

    def to_order(self, coid, message):
        if coid not in self.lives:
            return  # a dead letter
        life, effects = core.step(self.lives[coid], message, self.now_ns)
        commit = next((effect for effect in effects if isinstance(effect, Commit)), None)
        if commit is not None and any(key in self.store for key in commit.fresh):
            life, effects = core.step(self.lives[coid], CommitFailed(number=1, detail="", duplicate=True), self.now_ns)
        self.lives[coid] = life
        self.perform(f"order:{coid}", effects)

    def perform(self, name, effects):
        for effect in effects:
            match effect:
                case SetTimer():
                    self.timers[name, effect.timer] = effect.due_ns
                case ClearTimer():
                    self.timers.pop((name, effect.timer), None)
                case Commit():
                    for record in effect.records:
                        self.store.pop(record.key, None)
                        if record.value is not None:
                            self.store[record.key] = record.value
                    for request in effect.outbox:
                        assert request.client_order_id not in self.submitted, "one request per id, for ever"
                        self.submitted.append(request.client_order_id)
                        self.wire.append(request)
                case Spawn():
                    self.spawn(effect.first.state.client_order_id, effect.first)
                case Tell(to="orders"):
                    self.to_desk(effect.message)
                case Tell(to="gateway"):
                    self.wire.append(effect.message)
                case Tell(to="portfolio", message=message) if hasattr(message, "state"):
                    self.wire.append(message.state)  # it books in its own time
                case Tell() if effect.to.startswith("order:"):
                    self.to_order(effect.to[6:], effect.message)
                case Retire():
                    self.lives.pop(name[6:], None)

    def spawn(self, coid, first):
        if coid not in self.lives:
            self.lives[coid] = core.Life(client_order_id=coid)
            self.to_order(coid, Recover(records=self.records(f"order/{coid}")))
            self.to_order(coid, first)

    def crash_order(self, coid):
        """Its next incarnation; what was not on disk and is not redelivered never was."""
        if f"order/{coid}" in self.store:
            self.timers = {key: due for key, due in self.timers.items() if key[0] != f"order:{coid}"}
            self.lives[coid] = core.Life(client_order_id=coid)
            self.to_order(coid, Recover(records=self.records(f"order/{coid}")))

    def pass_time(self, seconds):
        end_ns = self.now_ns + int(seconds * S)
        while due := min(((at, key) for key, at in self.timers.items() if at <= end_ns), default=None):
            at_ns, (name, timer) = due
            self.now_ns = max(self.now_ns, at_ns)
            del self.timers[name, timer]
            self.to_desk(quote(self.now_ns))
            wake = Wake(timer=timer, due_ns=at_ns)
            self.to_desk(wake) if name == "orders" else self.to_order(name[6:], wake)
        self.now_ns = end_ns
        self.to_desk(quote(self.now_ns))

    # the venue and the way there

    def deliver(self):
        if not self.wire:
            return
        del self.wire[:-40]  # what waited longest is lost
        message = self.wire.pop(self.chance.randrange(-min(len(self.wire), 6), 0))
        fate = self.chance.randrange(16)
        match message:
            case LookUpOrder():
                self.look_up(message, fate)
            case RequestCancel():
                self.cancel(message, fate)
            case OrderState():
                self.to_order(
                    message.client_order_id,
                    OrderBooked(client_order_id=message.client_order_id, booked_size=message.filled_size),
                )
            case OrderReported():
                self.to_desk(message)
            case FactsWanted():
                """The product list and the clock are known from the start."""
            case _:
                self.place(message, fate)

    def place(self, request, fate):
        spec, coid = request.spec, request.client_order_id
        if self.now_ns > spec.not_after_ns or fate == 0:
            return self.to_order(coid, PlaceRefused(client_order_id=coid, reason="not sent", sent=False))
        if fate == 1:
            return self.to_order(coid, PlaceRefused(client_order_id=coid, reason="INVALID_LIMIT_PRICE_POST_ONLY"))
        if fate == 2:
            return self.to_order(coid, PlaceUnknown(client_order_id=coid, detail="lost on the way there"))
        owner = coid.rpartition("-a")[0]
        rivals = [
            one
            for one in self.venue.values()
            if one.status == "OPEN" and one.spec.client_order_id.startswith(owner + "-a")
        ]
        assert not rivals, "at most one order of an intent rests at a time"
        self.venue[coid] = Resting(spec)
        if fate == 3:
            return self.to_order(coid, PlaceUnknown(client_order_id=coid, detail="lost on the way back"))
        return self.to_order(coid, PlaceAccepted(client_order_id=coid, venue_order_id=f"v-{coid}"))

    def look_up(self, asked, fate):
        coid = asked.client_order_id
        if fate == 0:
            answer = QueryFailed(request_id=asked.request_id, kind="timeout", detail="")
        elif coid in self.venue:
            answer = OrderReported(order=self.venue[coid].word(), source="lookup")
        else:
            answer = OrderNotFound(client_order_id=coid, asked_ns=self.now_ns)
        self.to_order(coid, answer)

    def cancel(self, asked, fate):
        coid = asked.client_order_id
        one = self.venue.get(coid)
        took = fate > 0 and one is not None and one.status == "OPEN"
        if took:
            one.status = "CANCELLED"
            self.tell_of(one)
        self.to_order(coid, CancelAnswered(client_order_id=coid, success=took, reason=""))

    def tell_of(self, one):
        """The stream tells it once, twice or never; when is drawn later."""
        self.wire += [OrderReported(order=one.word(), source="stream")] * self.chance.randrange(3)

    def trade(self):
        live = [one for one in self.venue.values() if one.status == "OPEN"]
        if live:
            one = self.chance.choice(live)
            one.filled += min(one.spec.base_size - one.filled, d(self.chance.choice([1, 1, 1, 2, 6])))
            one.status = (
                "FILLED" if one.filled == one.spec.base_size else self.chance.choice(["OPEN", "OPEN", "EXPIRED"])
            )
            self.tell_of(one)

    def act(self, action):
        match action:
            case "intent" | "operator":
                steps = (LIMIT,) if action == "operator" else (MAKER, MAKER, TAKER)
                purpose = Purpose.OPERATOR if action == "operator" else Purpose.ENTRY
                asked = intent(*steps, purpose=purpose, base_size=TARGET, not_after_ns=self.now_ns + 3 * S)
                self.to_desk(PlaceIntent(intent=asked))
                self.pass_time(0)
            case "deliver":
                self.deliver()
            case "trade":
                self.trade()
            case "wait":
                self.pass_time(self.chance.choice([0.1, 0.5, 3.0]))
            case "long wait":
                self.pass_time(self.chance.choice([21.0, 61.0, 140.0]))
            case "cancel":
                self.to_desk(CancelOrder(client_order_id="*", reason="operator"))
            case "desk dies":
                self.start_desk()
            case "order dies" if self.lives:
                self.crash_order(self.chance.choice(sorted(self.lives)))

    # what must hold

    def check(self):
        filled = {}
        for coid, one in self.venue.items():
            owner = coid.rpartition("-a")[0]
            filled[owner] = filled.get(owner, d(0)) + one.filled
        assert max(filled.values(), default=0) <= TARGET, filled
        for coid, one in self.venue.items():
            life = self.lives.get(coid)
            if life is not None and life.order is not None:
                assert life.order.filled_size <= one.filled
            if one.status == "OPEN":
                assert coid in self.desk.live, "every order that rests has an owner"


ACTIONS = {
    "intent": 3,
    "operator": 2,
    "deliver": 80,
    "trade": 6,
    "wait": 10,
    "long wait": 4,
    "cancel": 0.2,
    "desk dies": 1,
    "order dies": 4,
}


@pytest.mark.req("X1")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_no_intent_trades_more_than_it_was_meant_to_whatever_the_venue_and_the_actors_do(seed):
    world = World(seed)
    world.pass_time(0)
    for action in world.chance.choices([*ACTIONS], [*ACTIONS.values()], k=250):
        world.act(action)
        world.check()


def test_the_world_above_is_no_idle_one():
    """Intents are filled in several orders, over losses, deaths and renewals; else the property would prove nothing."""
    attempts, filled = set(), 0
    for seed in range(20):
        world = World(seed)
        for action in world.chance.choices([*ACTIONS], [*ACTIONS.values()], k=250):
            world.act(action)
        attempts |= {coid.rpartition("-a")[2] for coid, one in world.venue.items() if one.filled}
        filled += sum(one.filled > 0 for one in world.venue.values())
    assert attempts >= {"1", "2", "3"}
    assert filled > 50
