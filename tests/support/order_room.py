"""The order desk without its shell; its orders become what the test says."""

from decimal import Decimal

from msgspec.structs import replace

from actors.order import desk as desks
from protocol.effects import Commit, SetTimer, Spawn, Tell
from protocol.lifecycle import CommitFailed, Recover, Wake
from protocol.market import ProductsKnown
from protocol.orders import (
    TERMINAL,
    CancelOrder,
    Intent,
    IntentDone,
    OrderReported,
    OrderUpdate,
    PlaceIntent,
    Purpose,
    Side,
    Step,
    StepKind,
    VenueOrder,
)
from protocol.risk import Gate, Reason, TradingState
from tests.support import desk_scenes as scenes

START_NS = 1_790_000_000_000_000_000
S = 1_000_000_000
BTC = "BTC-USD"
MAKER = Step(kind=StepKind.MAKER, ttl_s=20.0)
TAKER = Step(kind=StepKind.IOC, through_bps=Decimal(20))
LIMIT = Step(kind=StepKind.LIMIT, limit_price=Decimal("99.5"), post_only=True)
TTL = {"cancel_wanted": "ttl"}
REFUSED_POST_ONLY = {"error": "INVALID_LIMIT_PRICE_POST_ONLY"}


def d(value):
    return Decimal(str(value))


def rules(**changes):
    grid = {"price_increment": d("0.1"), "base_increment": d("0.01"), "base_min_size": d("0.01")}
    return scenes.product_rules(BTC, **grid | {"base_max_size": d(1000), "quote_max_size": d(1_000_000)} | changes)


def quote(now_ns, bid="100", ask="101"):
    thin = {"bid_size": d(1), "ask_size": d(1), "bid_depth_usd": d(1), "ask_depth_usd": d(1)}
    return scenes.quote(BTC, bid, ask, at=now_ns, **thin)


def view(state=TradingState.ACTIVE, *, watchdog=True):
    absent = Gate(code=Reason.WATCHDOG_ABSENT, state=TradingState.REDUCING, since_ns=0, reason="", by="", latched=False)
    return scenes.risk_view(*(() if watchdog else (absent,)), at_ns=START_NS, state=state)


def intent(*steps, side=Side.BUY, purpose=Purpose.ENTRY, **changes):
    asked = Intent(
        correlation="c1",
        product_id=BTC,
        side=side,
        purpose=purpose,
        steps=steps or (MAKER, MAKER, TAKER),
        bid=d(100),
        ask=d(101),
        not_after_ns=START_NS + 3 * S,
        base_size=d(10),
    )
    return replace(asked, **changes)


class Room:
    """A desk whose commits succeed, unless told otherwise; its orders do what the test says."""

    def __init__(self, *records, **settings):
        self.now_ns = START_NS
        self.desk = desks.Desk(settings=desks.Settings(bot="bot1", epoch=3, **settings))
        self.effects = []
        self.timers = {}
        self.store = {}
        self.disk_fails = False
        self.tell(Recover(records=records), ProductsKnown(products=(rules(),), at_ns=START_NS), view())
        self.quote()

    def tell(self, *messages):
        for message in messages:
            desk, effects = desks.step(self.desk, message, self.now_ns)
            if self.disk_fails and any(isinstance(effect, Commit) for effect in effects):
                self.tell(CommitFailed(number=1, detail="disk"))
                continue
            self.desk = desk
            self.effects += effects
            self.timers.update({effect.timer: effect.due_ns for effect in effects if isinstance(effect, SetTimer)})
            for commit in (effect for effect in effects if isinstance(effect, Commit)):
                self.store.update({record.key: record.value for record in commit.records})
        return self

    def quote(self, bid="100", ask="101"):
        return self.tell(quote(self.now_ns, bid, ask))

    def wait(self, seconds, *, fresh=True):
        end_ns = self.now_ns + int(seconds * S)
        while due := min(((at, name) for name, at in self.timers.items() if at <= end_ns), default=None):
            self.now_ns = max(self.now_ns, due[0])
            del self.timers[due[1]]
            if fresh:
                self.quote()
            self.tell(Wake(timer=due[1], due_ns=due[0]))
        self.now_ns = end_ns
        return self

    def start(self, *steps, **changes):
        """Place an intent; returns its first order."""
        self.tell(PlaceIntent(intent=intent(*steps, **changes)))
        return self.order

    @property
    def orders(self):
        return [effect.first.state for effect in self.effects if isinstance(effect, Spawn)]

    @property
    def order(self):
        return self.orders[-1]

    def becomes(self, status, filled=0, *, of=None, **changes):
        """An order (the newest one) says what became of it."""
        order = of or self.order
        size = d(filled)
        closed = self.now_ns if status in TERMINAL else 0
        state = replace(order, status=status, filled_size=size, filled_value=size * 100, closed_ns=closed, **changes)
        return self.tell(OrderUpdate(state=state))

    def told(self, kind, to=None):
        told = [effect for effect in self.effects if isinstance(effect, Tell) and isinstance(effect.message, kind)]
        return [effect.message for effect in told if to in {None, effect.to}]

    def outcomes(self):
        return [done.outcome for done in self.told(IntentDone, "risk")]

    def cancels(self):
        return [(cancel.client_order_id, cancel.reason) for cancel in self.told(CancelOrder)]


def seen(coid, status="OPEN", filled=0):
    order = VenueOrder(
        client_order_id=coid,
        venue_order_id="v1",
        product_id=BTC,
        side=Side.BUY,
        status=status,
        filled_size=d(filled),
        filled_value=d(filled),
        fees=d(0),
    )
    return OrderReported(order=order, source="list")
