"""One order actor without its shell, for tests that tell it what happens and look at what it asks for."""

from decimal import Decimal

from actors.order.core import Life, step
from protocol.effects import ClearTimer, Commit, Note, Retire, SetTimer, Tell
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.orders import (
    CancelAnswered,
    CancelOrder,
    Intent,
    OrderNotFound,
    OrderReported,
    OrderSpec,
    OrderState,
    Place,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    Purpose,
    Side,
    Step,
    StepKind,
    TimeInForce,
    VenueOrder,
)
from protocol.venue import QueryFailed

START_NS = 1_790_000_000_000_000_000
S = 1_000_000_000
COID = "bot1-btc-usd-20261122t153809123z-0_1-a1"
VENUE_ID = "venue-1"


def d(value):
    return Decimal(str(value))


def initial(*, ttl_s=0, tif=TimeInForce.GTD, **changes):
    intent = Intent(
        correlation="c1",
        product_id="BTC-USD",
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        steps=(Step(kind=StepKind.MAKER, ttl_s=float(ttl_s)),),
        bid=d(100),
        ask=d(101),
        not_after_ns=START_NS + 3 * S,
        base_size=d(10),
    )
    spec = OrderSpec(
        client_order_id=COID,
        product_id="BTC-USD",
        side=Side.BUY,
        time_in_force=tif,
        base_size=d(10),
        quote_size=None,
        limit_price=d(100),
        post_only=True,
        expires_at_ns=START_NS + 60 * S,
        not_after_ns=START_NS + 3 * S,
    )
    return OrderState(
        intent_id=COID[:-3],
        attempt=1,
        step=0,
        ttl_ns=ttl_s * S,
        intent=intent,
        spec=spec,
        created_ns=START_NS,
        **changes,
    )


def report(status, filled=0, *, reason="", source="stream"):
    order = VenueOrder(
        client_order_id=COID,
        venue_order_id=VENUE_ID,
        product_id="BTC-USD",
        side=Side.BUY,
        status=status,
        filled_size=d(filled),
        filled_value=d(filled) * 100,
        fees=d(filled) / 10,
        reason=reason,
    )
    return OrderReported(order=order, source=source)


ACCEPTED = PlaceAccepted(client_order_id=COID, venue_order_id=VENUE_ID)
REFUSED = PlaceRefused(client_order_id=COID, reason="INSUFFICIENT_FUND")
UNKNOWN = PlaceUnknown(client_order_id=COID, detail="timeout")
CANCEL = CancelOrder(client_order_id=COID, reason="operator")
FAILED_QUERY = QueryFailed(request_id="q", kind="timeout", detail="")
TOOK_CANCEL = CancelAnswered(client_order_id=COID, success=True, reason="")
REFUSED_CANCEL = CancelAnswered(client_order_id=COID, success=False, reason="UNKNOWN_CANCEL_ORDER")


class Play:
    """One order actor without its shell: commits succeed unless told otherwise, timers fire when time passes."""

    def __init__(self, order=None, **options):
        self.now_ns = START_NS
        self.life = Life(client_order_id=COID)
        self.effects = []
        self.timers = {}
        self.store = {}
        self.duplicate = self.disk_fails = False
        if order is None:
            self.tell(Place(state=initial(**options)))

    @property
    def order(self):
        return self.life.order

    def tell(self, *messages):
        for message in messages:
            life, effects = step(self.life, message, self.now_ns)
            commit = next((effect for effect in effects if isinstance(effect, Commit)), None)
            if commit is not None and (self.disk_fails or any(key in self.store for key in commit.fresh)):
                self._perform(effect for effect in effects if isinstance(effect, SetTimer | ClearTimer))
                self.tell(CommitFailed(number=1, detail="disk", duplicate=not self.disk_fails))
                continue
            self.life = life
            self._perform(effects)
        return self

    def submit(self):
        return self.wait(0)

    def wait(self, seconds):
        """Lets time pass; the timers that come due fire in their order."""
        end_ns = self.now_ns + int(seconds * S)
        while due := min(((at, name) for name, at in self.timers.items() if at <= end_ns), default=None):
            self.now_ns = max(self.now_ns, due[0])
            del self.timers[due[1]]
            self.tell(Wake(timer=due[1], due_ns=due[0]))
        self.now_ns = end_ns
        return self

    def not_found(self):
        return self.tell(OrderNotFound(client_order_id=COID, asked_ns=self.now_ns))

    def told(self, kind):
        return [
            effect.message for effect in self.effects if isinstance(effect, Tell) and isinstance(effect.message, kind)
        ]

    def submits(self):
        return [request for effect in self.effects if isinstance(effect, Commit) for request in effect.outbox]

    def alerts(self):
        return [effect.message.kind for effect in self.effects if isinstance(effect, Note)]

    def retired(self):
        return any(isinstance(effect, Retire) for effect in self.effects)

    def reborn(self):
        """The next incarnation: it knows what the store knows."""
        after = Play(order=False)
        after.now_ns, after.store = self.now_ns, self.store
        after.tell(Recover(records=tuple(StoreRecord(key=key, value=value) for key, value in self.store.items())))
        return after

    def _perform(self, effects):
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case SetTimer():
                    self.timers[effect.timer] = effect.due_ns
                case ClearTimer():
                    self.timers.pop(effect.timer, None)
                case Commit():
                    for record in effect.records:
                        self.store.pop(record.key, None)
                        if record.value is not None:
                            self.store[record.key] = record.value
