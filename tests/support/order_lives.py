"""Scripted orders on a market that moves only when told, and a desk that dies at any chosen point of their lives.

A life is data: what happens when, in seconds after the desk is armed. Its orders go to the order desk directly, so that
nothing but the script decides what is tried; every room is there and does what it does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from random import Random
from typing import Any

from msgspec.structs import replace

from actors.recorder.store import StoreFailedError
from actors.runtime.clock import VirtualClock
from actors.runtime.journal_format import unseal
from actors.runtime.port import Failure
from actors.runtime.shell import Shell
from actors.venue.candles import Series
from actors.venue.catalogue import LISTINGS, specs
from actors.venue.core import Exchange
from actors.venue.faults import Fault
from actors.venue.in_kernel import USER, Habits, open_venue
from actors.venue.lag import Unpleasantness
from actors.venue.market_records import Record, RecordedMarket
from actors.venue.server_venue import Venue
from actors.venue.synthetic_plant import Past, make_past
from ops.simulate.settled import quiet
from ops.simulate.world import START_NS, TOKEN_LIFE_S, Simulation, key, policy_for
from protocol.base import Effects, Message
from protocol.ids import ClientOrderId, ProductId
from protocol.instants import SECOND_NS
from protocol.orders import CancelOrder, Intent, PlaceIntent, Purpose, Side, Step, StepKind, Targets
from protocol.risk import OperatorOrder

BTC = "BTC-USD"
D = Decimal
BIDS = ((D("100000.00"), D("0.5")), (D("99990.00"), D(5)))
ASKS = ((D("100010.00"), D("0.5")), (D("100020.00"), D(5)))
SETTLED_S = 40 + TOKEN_LIFE_S
CALM_S = 7
"""So long must it be quiet: a reconciliation lies in between."""
HOURS = 30
"""So much history is enough for a day's statistics, and little to read at each start."""
TARGETS = Targets(stop_loss_pct=D(50), take_profit_pct=D(50), max_hold_s=10**6)
MAKER = Step(kind=StepKind.MAKER, ttl_s=2.0)
IOC = Step(kind=StepKind.IOC, through_bps=D(20))


class QuietMarket(RecordedMarket):
    """One product whose book stays as it is quoted."""

    def watch(self, products: Iterable[str]) -> None:
        """Nobody makes it move."""

    def advance(self, now_ns: int) -> None:
        """Time passes, nothing happens."""
        self._now_ns = now_ns

    def is_synthetic(self, _: str) -> bool:
        return True

    def set_path(self, product: str, points: Sequence[tuple[float, Decimal]]) -> None:
        """There is no path."""

    def halt(self, product: str, halted: bool) -> None:
        """There is nothing to stop."""


@cache
def _past() -> Past:
    return make_past(1, START_NS // SECOND_NS)


def quiet_venue(clock: VirtualClock) -> Venue:
    """One user with 10000 USD, one quoted product, the delays of the real venue."""
    now_ns, usual, listing = clock.now_ns(), Unpleasantness(), LISTINGS[BTC]
    exchange = Exchange(specs((listing,)), Random(1), now_ns, unpleasantness=usual)
    exchange.open_user(USER, now_ns)
    market = QuietMarket([Record(listing, Series(_past().blocks[BTC][-HOURS:]))], now_ns)
    exchange.quote_market(BTC, BIDS, ASKS, now_ns)
    return open_venue(exchange, market, clock.now_ns, key().verifying(), seed=1, usual=usual)


# --- scripts ------------------------------------------------------------------------------------------------------

Act = Callable[[Simulation], None]


def intent(correlation: str, side: Side, *steps: Step, size: str = "0.001") -> Act:
    """Ask the order desk to buy or sell `size`."""

    def ask(simulation: Simulation) -> None:
        wanted = Intent(
            correlation=correlation,
            product_id=ProductId(BTC),
            side=side,
            purpose=Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
            steps=steps,
            bid=BIDS[0][0],
            ask=ASKS[0][0],
            not_after_ns=simulation.clock.now_ns() + 3 * SECOND_NS,
            base_size=D(size),
            strategy="rules_engine",
            targets=TARGETS,
        )
        simulation.tell("orders", PlaceIntent(intent=wanted))

    return ask


def hit(size: str) -> Act:
    """Somebody sells through the market's best bid, and `size` of what rests behind it."""

    def sell(simulation: Simulation) -> None:
        exchange, now_ns = simulation.venue.exchange, simulation.clock.now_ns()
        exchange.market_order(BTC, "SELL", BIDS[0][1] + D(size), now_ns, BIDS[0][0] - D("0.05"))
        exchange.quote_market(BTC, BIDS, ASKS, now_ns)
        simulation.venue.settle()

    return sell


def fault(kind: str, target: str = "create_order", **parameters: object) -> Act:
    """The next request to `target` is struck."""
    return posted(Fault(kind=kind, target=target, count=1, parameters=parameters))


def posted(entry: Fault) -> Act:
    """This goes wrong from now on."""
    return lambda simulation: simulation.venue.faults.add([entry], simulation.clock.now_ns())


def cancel_all(simulation: Simulation) -> None:
    """A person wants everything cancelled."""
    simulation.tell("orders", CancelOrder(client_order_id=ClientOrderId("*"), reason="operator"))


def resting_order(number: int, price: Decimal, *, drill: bool = False) -> OperatorOrder:
    """A small purchase that people ask for, to rest at `price` as a maker."""
    return OperatorOrder(
        correlation=f"hand/{number}",
        product_id=ProductId(BTC),
        side=Side.BUY,
        base_size=D("0.0003"),
        quote_size=None,
        steps=(Step(kind=StepKind.LIMIT, limit_price=price, post_only=True),),
        by="test",
        drill=drill,
        reply_to="control",
    )


Script = tuple[tuple[float, Act], ...]
BUY = intent("buy", Side.BUY, replace(MAKER, ttl_s=60.0))
MUTE = posted(Fault(kind="ws_mute", target="user", for_s=4.0))
"""The stream says nothing of orders for a while, and no number is missing: only asking tells."""
LIVES: dict[str, Script] = {
    "entry_in_two_tries_then_exit": (
        (0.0, intent("entry", Side.BUY, MAKER, replace(MAKER, ttl_s=60.0))),
        (1.0, hit("0.0002")),
        (4.0, hit("0.0004")),
        (4.5, hit("0.0010")),
        (6.0, intent("exit", Side.SELL, IOC)),
    ),
    "taken_at_once": ((0.0, intent("taken", Side.BUY, IOC)), (2.0, intent("left", Side.SELL, IOC, size="0.0005"))),
    "cancel_before_the_answer": ((0.0, fault("delay", ms=600, after=True)), (0.0, MUTE), (0.0, BUY), (0.3, cancel_all)),
    "cancel_answer_lost": (
        (0.0, fault("drop", "cancel_orders", accepted=False)),
        (0.0, BUY),
        (1.0, cancel_all),
        (1.5, hit("0.0003")),
    ),
    "answer_dropped": ((0.0, fault("drop")), (0.0, MUTE), (0.0, BUY), (1.0, hit("0.001"))),
    "answer_dropped_stream_speaks": ((0.0, fault("drop")), (0.0, BUY), (1.0, hit("0.001"))),
    "reset_after_acceptance": (
        (0.0, fault("reset")),
        (0.0, MUTE),
        (0.0, BUY),
        (1.0, hit("0.0004")),
        (6.0, hit("0.0006")),
    ),
    "error_but_accepted": ((0.0, fault("error")), (0.0, MUTE), (0.0, BUY), (2.0, cancel_all)),
    "dropped_and_not_accepted": ((0.0, fault("drop", accepted=False)), (0.0, BUY)),
    "rate_limited": ((0.0, fault("rate_limit", retry_after_s=1)), (0.0, BUY), (1.0, hit("0.001"))),
}


# --- deaths -------------------------------------------------------------------------------------------------------


class DeathError(BaseException):
    """The process ends here."""


@dataclass(frozen=True, slots=True)
class Death:
    """Where: `before` or `after` the nth transaction, or when the nth order-entry request `arrived`, or was `answered`.

    Before: nothing of the transaction is written. After: it is durable, and nobody was told. Arrived: the venue acts,
    the answer finds nobody. Answered: the answer is back at the process, and nobody took it. `room`: only this actor
    ends there (`order`: every order), and is restarted as its supervisor decides; empty: the whole desk.

    Of an order alone: `taking` the nth message that any order takes, which is in its hand then; `taken`: right behind
    it, with what it sent on its way (its commit, too) and before anybody else has a turn.
    """

    where: str
    number: int
    room: str = ""


class BrokenError(Exception):
    """What a room dies of."""


Handle = Callable[[Any, Message, int], tuple[Any, Effects]]


class Witness:
    """Counts transactions, order entry and what orders take; at the chosen point it ends the desk, or a room."""

    def __init__(self, simulation: Simulation, death: Death | None) -> None:
        self._simulation = simulation
        self._death = death
        self._counts = {"before": 0, "after": 0, "arrived": 0, "answered": 0, "taking": 0, "taken": 0}
        self._followed: list[Shell] = []
        self._took: Shell | None = None
        self._dying = False
        self._room = death.room if death is not None else ""
        self._known = simulation.store.head().index
        simulation.store.at_point = self._point
        simulation.world.venue.on_arrival = lambda route: self._call("arrived", route)
        simulation.world.venue.on_answer = lambda route, _: self._call("answered", route)
        simulation.desk.kernel.after_step = self._step
        self.seen: list[Death] = []

    def leave(self) -> None:
        """Look no more."""
        self._simulation.store.at_point = None
        venue = self._simulation.world.venue
        venue.on_arrival = venue.on_answer = None

    def _point(self, name: str) -> None:
        if name == "written" and self._reached("before"):
            self._end("before it writes")
        if name == "synced":
            self._note()
            if self._reached("after"):
                self._end("before it says so")

    def _call(self, what: str, route: str) -> None:
        if route not in ("create_order", "cancel_orders"):
            return
        reached = self._reached(what)
        self.seen.append(Death(what, self._counts[what]))
        if reached and self._room:
            self._end("")
        elif reached:
            raise DeathError

    def _reached(self, what: str) -> bool:
        self._counts[what] += 1
        return self._death is not None and (self._death.where, self._death.number) == (what, self._counts[what])

    def _end(self, when: str) -> None:
        """End the desk after this step, or the room: the recorder in the middle of its transaction, others in turn."""
        if not self._room:
            self._dying = True
            if when == "before it writes":
                raise StoreFailedError("the process ends before it writes")
        elif self._room == "recorder" and when:
            raise BrokenError(when)
        else:
            self._simulation.crash(self._room)

    def _note(self) -> None:
        """Only what belongs to an order's life is a point to die at."""
        store, number = self._simulation.store, self._counts["after"] + 1
        news = [unseal(index, data) for index, data in store.entries(self._known + 1)]
        self._known = store.head().index
        if any("order" in record.key or "fill" in record.key for sealed in news for record in sealed.records):
            self.seen += [Death("before", number), Death("after", number)]

    def _step(self) -> None:
        if self._dying:
            raise DeathError
        self._follow()
        shell, self._took = self._took, None
        if shell is not None and not shell.ended:
            self.seen.append(Death("taken", self._counts["taken"] + 1, "order"))
            if self._reached("taken"):
                shell.actor_ref.tell(Failure(BrokenError("taken")))
                shell.turn(0, 0)

    def _follow(self) -> None:
        """Watch each incarnation of an order from its first message on."""
        for name, record in self._simulation.desk.node.tree.records.items():
            shell = record.shell
            if shell is not None and name.startswith("order:") and not any(shell is one for one in self._followed):
                self._followed.append(shell)
                shell.step = partial(self._take, shell, shell.step)

    def _take(self, shell: Shell, step: Handle, state: Any, message: Message, now_ns: int) -> tuple[Any, Effects]:
        self.seen.append(Death("taking", self._counts["taking"] + 1, "order"))
        if self._reached("taking"):
            raise BrokenError(type(message).__name__)
        self._took = shell
        return step(state, message, now_ns)


def armed() -> Simulation:
    """A desk that knows the market and may trade."""
    policy = policy_for((BTC,))
    policy = replace(policy, auth=replace(policy.auth, order_token_life_s=TOKEN_LIFE_S))
    simulation = Simulation(1, (BTC,), make=quiet_venue, policy=policy, habits=Habits(tick_ms=500))
    simulation.run(3.0)
    return simulation


def live(name: str, death: Death | None = None, look: Act = lambda _: None) -> list[Death]:
    """Live through one script, dying once where told, until everything has been quiet for a while.

    `look` is called each second and at the death; returns every point that was passed.
    """
    simulation = armed()
    witness = Witness(simulation, death)
    begun_ns = simulation.clock.now_ns()
    script = sorted(LIVES[name], key=lambda row: row[0])
    seconds = [(float(second), look) for second in range(1, int(script[-1][0]) + 1)]
    for at_s, act in sorted([*seconds, *script], key=lambda row: row[0]):
        _pass(simulation, begun_ns + int(at_s * SECOND_NS), look)
        act(simulation)
    calm = 0
    for _ in range(SETTLED_S):
        _pass(simulation, simulation.clock.now_ns() + SECOND_NS, look)
        look(simulation)
        calm = calm + 1 if quiet(simulation) else 0
        if calm == CALM_S:
            break
    witness.leave()
    return witness.seen


def _pass(simulation: Simulation, until_ns: int, look: Act) -> None:
    try:
        simulation.desk.kernel.run_until(until_ns)
    except DeathError:
        look(simulation)
        simulation.again()
        simulation.desk.kernel.run_until(until_ns)
