"""Lives through a plan, in virtual time: what it asks for happens, everything is watched, each calm is looked at."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import structlog
from msgspec.structs import replace

from actors.recorder.store import StoreFailedError
from actors.venue.faults import STATES
from actors.venue.in_kernel import USER
from ops.simulate.journal import EDGES, OPEN, Faults
from ops.simulate.lookback import of_watch
from ops.simulate.plan import DRAWN, OWN, Event, Plan, products_of
from ops.simulate.settled import available, ledger_totals, quiet, risk_view, venue_totals, worth_usd
from ops.simulate.watch import BrokenError, Watch
from ops.simulate.world import START_NS, Simulation, brisk
from protocol import codec
from protocol.ids import ClientOrderId, ProductId
from protocol.instants import SECOND_NS
from protocol.orders import CancelOrder, OrderState, Side, Status, Step, StepKind
from protocol.policy import Policy
from protocol.risk import OperatorOrder, Pause, Reason, Resume, TradingState

START_S = 3.0
HEALED_S, DRAINED_S, SETTLED_S = 90, 90, 7
REARMS, REARM_S = 10, 10.0
TRIED_USD, TRIES, TRIED_S, PACED_S = 40, 3, 4.0, 2.0
PAUSES = {Reason.REJECTION_BURST, Reason.EXCEPTION_BURST, Reason.STALE_DATA}
"""Gates that end by their own clock, later than the calm that is waited for."""


UNSPOKEN = {(before, Status.REJECTED) for before in (Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL)}
"""The table allows these; the venue has no word that means them (rest.md: it rejects in the answer to the request)."""


class DeathError(BaseException):
    """The desk ends here."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a plan. `events`: how many happened; `enough`: with so many of the first it fails as well.

    `seen` counts what begins with `fault:`, `state:`, `edge:` or `recovered:`.
    """

    seed: int
    events: int = 0
    seconds: float = 0.0
    steps: int = 0
    faults: Faults = field(default_factory=list)
    enough: int = 0
    seen: Counter[str] = field(default_factory=Counter)


def roomy(policy: Policy) -> Policy:
    """With caps that many orders at once fit below, and adds to what is held."""
    risk = replace(
        policy.risk,
        max_total_at_risk_pct=Decimal(80),
        max_position_size_pct=Decimal(40),
        max_per_asset_pct=Decimal(40),
        tier_cap_pct=(Decimal(40),) * 3,
        theme_caps=tuple(replace(row, cap_pct=Decimal(80)) for row in policy.risk.theme_caps),
        allow_pyramiding=True,
        max_pyramid_positions=1000,
        allow_adds_when_over_cap=True,
        max_adds_per_asset_per_day=1000,
        pyramid_cooldown_s=1,
        max_trades_per_day=10_000,
    )
    return replace(policy, risk=risk)


def play(seed: int, plan: Plan, events: int | None = None) -> Outcome:
    """Live through the first `events` of a plan (None: all of them), to the first fault or the end; then a calm."""
    chosen = plan[:events]
    if not chosen or chosen[-1].kind != "calm":
        chosen = (*chosen, Event(at_s=chosen[-1].at_s if chosen else 0.0, kind="calm"))
    return Player(seed).play(chosen)


class Player:
    """One seed's world and the desk in it."""

    def __init__(self, seed: int) -> None:
        products = products_of(seed)
        self.simulation = Simulation(seed, products, policy=roomy(brisk(products)), watchdog=True)
        self.outcome = Outcome(seed=seed)
        self._watch = Watch(self.simulation, self._die)
        self._watch.attach()
        self.simulation.begun = self._begun
        self.simulation.store.at_point = self._point
        self._ends_at = ""
        self._dying = False
        self._power_loss = False
        self._down_s = 0.0
        self._freezes_in = -1
        self._disk_fails_until_ns = 0
        self._healed_ns = 0
        self._asked = 0

    def play(self, plan: Plan) -> Outcome:
        """Live through it."""
        outcome = self.outcome
        try:
            self._until(START_NS + int(START_S * SECOND_NS))
            for event in plan:
                self._until(START_NS + int((START_S + event.at_s) * SECOND_NS))
                outcome.events += 1
                self._happen(event)
        except BrokenError as broken:
            outcome.faults = broken.faults
        outcome.seconds = (self.simulation.clock.now_ns() - START_NS) / SECOND_NS
        outcome.steps = self._watch.steps
        self._count()
        return outcome

    # --- time and deaths ------------------------------------------------------------------------------------------

    def _until(self, end_ns: int) -> None:
        """With a root process that looks on."""
        clock = self.simulation.clock
        while (left_ns := end_ns - clock.now_ns()) > 0:
            try:
                self.simulation.watch(left_ns / SECOND_NS)
            except DeathError:
                self._again()

    def _pass(self, seconds: float) -> None:
        self._until(self.simulation.clock.now_ns() + int(seconds * SECOND_NS))

    def _again(self) -> None:
        self.simulation.again(power_loss=self._power_loss, down_s=self._down_s)

    def _begun(self) -> None:
        """Another desk is there, whoever started it."""
        for record in self.simulation.store.records(OPEN):
            order = codec.decode_value(record.value or b"", OrderState)
            self.outcome.seen[f"recovered:{order.status.value}"] += 1
        self._ends_at, self._dying, self._power_loss, self._down_s, self._freezes_in = "", False, False, 0.0, -1
        self._watch.attach()

    def _point(self, name: str) -> None:
        """A point of a commit: where the disk fails, or the desk ends."""
        if name == "written" and self.simulation.clock.now_ns() < self._disk_fails_until_ns:
            raise StoreFailedError("the disk does not write")
        if name != self._ends_at:
            return
        self._dying = True
        if name != "synced":
            raise StoreFailedError("the process ends here")

    def _die(self) -> None:
        """After a step: at the chosen point the desk ends, or freezes with all that it has in hand."""
        if self._dying:
            raise DeathError
        if self._freezes_in >= 0:
            self._freezes_in -= 1
            if self._freezes_in < 0:
                self.simulation.freeze()

    # --- events ---------------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        simulation = self.simulation
        if event.kind in OWN | STATES:
            self.outcome.seen[f"fault:{event.kind}"] += 1
        match event.kind:
            case "desk_dies" if event.parameters.get("at", "now") == "now":
                self._down_s = event.for_s or 0.0
                self._again()
            case "desk_dies" | "machine_dies":
                self._ends_at = event.parameters.get("at", "flipped")
                self._power_loss, self._down_s = event.kind == "machine_dies", event.for_s or 0.0
            case "actor_dies":
                simulation.crash(event.target)
            case "desk_freezes":
                self._freezes_in = event.parameters.get("steps", 0)
            case "desk_wakes":
                simulation.wake()
            case "watchdog_dies" | "watchdog_begins" | "watchdog_freezes" | "watchdog_wakes":
                self._watchdog(event.kind)
            case "kill":
                simulation.kill()
            case "disk_fails":
                self._disk_fails_until_ns = simulation.clock.now_ns() + int((event.for_s or 1.0) * SECOND_NS)
            case "order":
                held = available(simulation, event.target.partition("-")[0])
                self._order(Side(event.parameters["side"]) if held else Side.BUY, event)
            case "hit":
                self._hit(event)
            case "cancel_all":
                simulation.tell("orders", CancelOrder(client_order_id=ClientOrderId("*"), reason="operator"))
            case "calm":
                self._calm()
            case _:
                simulation.venue.faults.add([event.fault()], simulation.clock.now_ns())

    def _watchdog(self, kind: str) -> None:
        watchdog = self.simulation.watchdog
        if kind == "watchdog_begins" and watchdog.core is None:
            watchdog.begin()
        acts = {"watchdog_dies": watchdog.end, "watchdog_freezes": watchdog.freeze, "watchdog_wakes": watchdog.wake}
        if kind in acts and watchdog.core is not None:
            acts[kind]()

    def _order(self, side: Side, event: Event) -> None:
        self._asked += 1
        product, exchange = ProductId(event.target), self.simulation.venue.exchange
        held = available(self.simulation, product.partition("-")[0])
        bids, asks = exchange.book(product, 1)
        price = bids[0][0] if side is Side.BUY else asks[0][0]
        limit = Step(kind=StepKind.LIMIT, limit_price=price, post_only=True)
        grid = exchange.spec(product).base_increment
        size = Decimal(event.parameters["usd"]) / price
        wanted = OperatorOrder(
            correlation=f"plan/{self._asked}",
            product_id=product,
            side=side,
            base_size=(size if side is Side.BUY else min(size, held)) // grid * grid,
            quote_size=None,
            steps=(limit if event.parameters["kind"] == "limit" else Step(kind=StepKind.IOC, through_bps=Decimal(50)),),
            by="plan",
            drill=False,
            reply_to="control",
        )
        self.simulation.tell("risk", wanted)

    def _hit(self, event: Event) -> None:
        simulation, now_ns = self.simulation, self.simulation.clock.now_ns()
        exchange = simulation.venue.exchange
        ours = next((one for one in exchange.open_orders(USER) if one.product_id == event.target), None)
        if ours is None or not ours.limit_price:
            return
        price, buys = Decimal(ours.limit_price), ours.order_side == "BUY"
        levels = exchange.book(event.target)[0 if buys else 1]
        ahead = sum((size for level, size in levels if (level > price if buys else level < price)), Decimal(0))
        size = ahead + Decimal(ours.leaves_quantity) * Decimal(str(event.parameters["share"]))
        exchange.market_order(event.target, "SELL" if buys else "BUY", size, now_ns, price)
        simulation.venue.settle()

    # --- calm -----------------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """The weather ends; the desk finds back by itself, what rests is taken away, and then all must be in order."""
        simulation = self.simulation
        self._heal()
        self._pass(HEALED_S)
        self._rearm()
        faults = unhealed(simulation)
        simulation.tell("risk", Pause(by="plan", reason="calm"))
        simulation.tell("orders", CancelOrder(client_order_id=ClientOrderId("*"), reason="calm"))
        for _ in range(DRAINED_S):
            if quiet(simulation):
                break
            self._pass(1.0)
        self._pass(SETTLED_S)
        self._watch.everything()
        faults += [*unsettled(simulation), *of_watch(simulation, self._healed_ns)]
        faults += self._tried(Side.SELL)
        simulation.tell("risk", Resume(by="plan"))
        self._pass(PACED_S)
        if risk_view(simulation).state is TradingState.ACTIVE:
            faults += self._tried(Side.BUY)
        if faults:
            raise BrokenError(faults)

    def _heal(self) -> None:
        """Nothing goes wrong any more, and both processes are there."""
        simulation = self.simulation
        simulation.venue.faults.clear()
        self._ends_at, self._power_loss, self._down_s, self._disk_fails_until_ns = "", False, 0.0, 0
        self._freezes_in = -1
        simulation.wake()
        simulation.watchdog.wake()
        if simulation.watchdog.core is None:
            simulation.watchdog.begin()
        self._healed_ns = simulation.clock.now_ns()

    def _rearm(self) -> None:
        """Where a person killed, until it is granted: a desk may be on its way to its end when it is asked."""
        simulation = self.simulation
        for _ in range(REARMS):
            latch = simulation.watchdog.log.last()
            if latch is None or not latch.killed:
                return
            simulation.rearm()
            self._pass(REARM_S)
        raise BrokenError([f"22: not rearmed within {REARMS * REARM_S:g} s of calm"])

    def _tried(self, side: Side) -> Faults:
        """(22) A sale of the first product that is held, or a purchase of the first one, is filled."""
        worth = {p: worth_usd(self.simulation, p) for p in self.simulation.products}
        chosen = [p for p, usd in worth.items() if side is Side.BUY or usd > 2 * TRIED_USD]
        if not chosen:
            return []
        before = len(self.simulation.fills())
        asked = {"side": side.value, "usd": TRIED_USD, "kind": "ioc"}
        for _ in range(TRIES):  # a strategy may be first, and pacing then lets nobody else pass
            self._order(side, Event(at_s=0.0, kind="order", target=chosen[0], parameters=asked))
            self._pass(TRIED_S)
            if len(self.simulation.fills()) > before:
                return []
        return [f"22: {side.value} of {TRIED_USD} USD {chosen[0]} is not filled in {TRIES * TRIED_S} s"]

    def _count(self) -> None:
        seen, reader = self.outcome.seen, self._watch.reader
        seen.update({f"recovered:{why}": times for why, times in self.simulation.replaced.items()})
        seen.update({f"fault:{kind}": times for kind, times in self.simulation.venue.faults.totals.items()})
        seen.update({f"edge:{before}>{after}": times for (before, after), times in reader.edges.items() if before})
        for (_, after), times in reader.edges.items():
            seen[f"state:{after}"] += times


def unhealed(simulation: Simulation) -> Faults:
    """(22) What is not as before although the weather ended a while ago."""
    view = risk_view(simulation)
    if view.state is TradingState.ACTIVE or any(gate.latched or gate.code in PAUSES for gate in view.gates):
        return []
    return [f"22: {view.state.value}: {[(gate.code.value, gate.reason) for gate in view.gates]}"]


def unsettled(simulation: Simulation) -> Faults:
    """(21, promise P8) What is open or differs although nothing has been asked for any more."""
    faults = []
    if ledger_totals(simulation) != venue_totals(simulation):
        faults.append(f"P8: ledger {ledger_totals(simulation)}, venue {venue_totals(simulation)}")
    if simulation.store.records(OPEN):
        faults.append(f"21: open at the end: {[record.key for record in simulation.store.records(OPEN)]}")
    return faults


def played(seed: int, plan: Plan, events: int | None = None) -> Outcome:
    """As `play`, and when it fails: how few first events are enough, halved to within one."""
    outcome = play(seed, plan, events)
    passes, fails = 0, outcome.events if outcome.faults else 0
    while fails - passes > 1:
        middle = (passes + fails) // 2
        if play(seed, plan, middle).faults:
            fails = middle
        else:
            passes = middle
    outcome.enough = fails
    return outcome


def reachable() -> set[str]:
    """What storms are made to reach, as `Outcome.seen` names it: the faults they draw, states, steps of the table."""
    steps = {(before, after) for before, afters in EDGES.items() for after in afters if before is not after}
    return {
        *(f"fault:{kind}" for kind in DRAWN),
        *(f"state:{status.value}" for status in Status if status is not Status.INITIALIZED),
        *(f"edge:{before.value}>{after.value}" for before, after in steps - UNSPOKEN),
        *(f"recovered:{before.value}" for before in EDGES),
        *(f"recovered:{why}" for why in ("died", "revoked")),
    }


def mute() -> None:
    """Warnings of a thousand made-up faults are no news to anybody."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
