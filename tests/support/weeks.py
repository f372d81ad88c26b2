"""Weeks of the whole tree at a bar's rhythm, and a plain record of what happened in them.

The market moves once in five minutes, the cycle decides once in five minutes, thirteen seconds before. A purchase that
a cycle places therefore meets exactly one move of the market before its time to live is over; what is bought and sold
is matched by the venue's own engine. What is told of a week is read from outside: the venue's fills, and the records of
the journal.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from actors.runtime.clock import VirtualClock
from actors.runtime.journal_format import unseal
from actors.venue.catalogue import LISTINGS, specs
from actors.venue.core import Exchange
from actors.venue.in_kernel import USER, Habits, SlowMarket, open_venue
from actors.venue.lag import calm
from actors.venue.market import Market
from actors.venue.server_venue import Venue
from actors.venue.synthetic_plant import Past, make_past
from actors.venue.tape_files import tape_files
from actors.venue.tape_market import TapeMarket, listings_of
from actors.venue.tape_play import TapeTick
from actors.venue.tape_source import MarketSource, parse_market
from actors.venue.wire import FillView
from ops.simulate.world import SECOND_NS, START_NS, Simulation, key, shipped
from protocol import codec
from protocol.journal import EntryKind
from protocol.orders import OrderUpdate, Side
from protocol.policy import Policy
from protocol.portfolio import FillApplied
from protocol.risk import Decision
from protocol.strategy import CycleRecord

BAR_S = 300
FIRST_MOVE_S = 15
"""The market moves so long after the start, and each bar from then on; the cycle is two seconds after the start."""
BEATS = 2
"""So many heartbeats follow each move, a second apart: a feed that the market has left behind notices it then."""
DAY_S = 86_400
TIER_1 = ("BTC-USD", "ETH-USD", "SOL-USD")
HABITS = Habits(latency_ms=(10, 10), tick_ms=BAR_S * 1000, first_tick_ms=FIRST_MOVE_S * 1000)


def at_bars(policy: Policy, products: Iterable[str]) -> Policy:
    """`policy` at a bar's rhythm, trading only `products`.

    Limits of age are four bars, the cycle has no jitter. Two guards cannot judge here and are off: the one against
    moves within 60 s, for nothing moves within a bar, and the one against minutes without trades, which are four of
    five by construction.
    """
    wanted, universe, age_s = set(products), policy.universe, 4.0 * BAR_S
    tiers = tuple(replace(row, products=tuple(p for p in row.products if p in wanted)) for row in universe.tiers)
    limits = dict.fromkeys(policy.staleness.__struct_fields__, age_s)
    return replace(
        policy,
        universe=replace(universe, tiers=tiers, min_eligible_assets=1),
        loop=replace(policy.loop, interval_s=float(BAR_S), jitter_pct=0.0),
        staleness=replace(policy.staleness, **limits),
        breakers=replace(policy.breakers, max_move_sigma=Decimal(10**9)),
        triggers=replace(policy.triggers, synthetic_minutes_max_pct=100.0),
    )


# --- markets ------------------------------------------------------------------------------------------------------


class BarMarket(SlowMarket):
    """The synthetic market once in a bar: fair prices wander on, then every book is shown and traded in once.

    What happens off the bars (an order arrives, a cancel is due) never moves it.
    """

    def advance(self, now_ns: int) -> None:
        """Move on where a bar is over."""
        if now_ns < self._now_ns + BAR_S * SECOND_NS // 2:
            return
        while self._now_ns + 10 * SECOND_NS <= now_ns:
            self._now_ns += 10 * SECOND_NS
            self._model.step(10.0)
            for product_id in self._desks:
                self._note(product_id, 10)
        self._now_ns = now_ns
        self._act()


class BarTape(TapeMarket):
    """A recording once in a bar: its lowest, its highest and its last price, with the bar's volume."""

    def __init__(self, venue: Exchange, source: MarketSource, seed: int, now_ns: int) -> None:
        super().__init__(venue, source, seed, now_ns)
        self._rest = SlowMarket(venue, seed, now_ns, Past(make_past(seed, now_ns // SECOND_NS).scenario, {}, {}))

    def watch(self, products: Iterable[str]) -> None:
        """Nothing is refilled between bars."""

    def advance(self, now_ns: int) -> None:
        """Move on where a bar is over."""
        if now_ns < self._now_ns + BAR_S * SECOND_NS // 2:
            return
        self._now_ns = now_ns
        until_s = self._from_s + (now_ns - self._start_ns) / SECOND_NS
        for deck in self._decks.values():
            seen: list[TapeTick] = []
            while deck.next is not None and deck.next.at_s <= until_s:
                seen.append(deck.next)
                deck.next = next(deck.ticks, None)
            for tick in told(seen):
                deck.maker.play(self._venue, tick, now_ns)


def told(seen: list[TapeTick]) -> list[TapeTick]:
    """The lowest, the highest and the last of what was recorded, in their order, with an equal part of the volume."""
    if not seen:
        return []
    numbers = range(len(seen))
    low, high = min(numbers, key=lambda i: seen[i].price), max(numbers, key=lambda i: seen[i].price)
    lots = max(sum(tick.lots for tick in seen) // 3, 1)
    return [seen[i]._replace(lots=lots, side=seen[i].side or "BUY") for i in sorted({low, high, numbers[-1]})]


Made = tuple[Exchange, Market]
"""An exchange and the market that drives it."""


def synthetic(seed: int, products: Iterable[str], now_ns: int, opening: Mapping[str, Decimal] | None = None) -> Made:
    """The synthetic market of a seed, at bars. `opening`: what the account holds, else what the venue gives."""
    past = make_past(seed, now_ns // SECOND_NS)
    past = Past(past.scenario, {name: past.blocks[name] for name in products}, past.prices)
    exchange = _exchange(
        Exchange(specs(LISTINGS[p] for p in past.blocks), Random(seed), now_ns, unpleasantness=calm()), opening
    )
    return exchange, BarMarket(exchange, seed, now_ns, past)


def taped(text: str, now_ns: int) -> Made:
    """A recording, at bars; `text` as behind `--market`."""
    source = parse_market(text)
    exchange = _exchange(Exchange(specs(listings_of(source)), Random(1), now_ns, unpleasantness=calm()))
    return exchange, BarTape(exchange, source, 1, now_ns)


def _exchange(exchange: Exchange, opening: Mapping[str, Decimal] | None = None) -> Exchange:
    exchange.open_user(USER, START_NS, opening)
    return exchange


def recorded_products(text: str, policy: Policy) -> tuple[str, ...]:
    """The configured products that a recording has."""
    has = {f"{file.product_id.partition('-')[0]}-USD" for file in tape_files(parse_market(text).path)}
    return tuple(p for p in policy.universe.products if p in has)


# --- weeks --------------------------------------------------------------------------------------------------------


Change = Callable[[Policy], Policy]


def _shipped(policy: Policy) -> Policy:
    return policy


@dataclass(frozen=True, kw_only=True)
class Week:
    """What is lived: the market, the products, what is changed of the shipped policy, and for how long."""

    name: str
    make: Callable[[int], Made]
    products: tuple[str, ...]
    seconds: int
    change: Change = _shipped

    @property
    def policy(self) -> Policy:
        """The policy of this week."""
        return at_bars(self.change(shipped()), self.products)


def of_seed(
    seed: int, coins: str, *, days: float = 7, opening: Mapping[str, Decimal] | None = None, change: Change = _shipped
) -> Week:
    """Days of the synthetic market: tier 1 and these `coins`, by their names."""
    products = (*TIER_1, *(f"{coin}-USD" for coin in coins.split()))
    return Week(
        name=f"seed {seed}",
        make=lambda now_ns: synthetic(seed, products, now_ns, opening),
        products=products,
        seconds=int(days * DAY_S),
        change=change,
    )


def of_tape(text: str, *, coins: str = "", days: float = 7, change: Change = _shipped) -> Week:
    """Days of a recording; `coins`: these alone of what it has, by their names, and BTC."""
    has, wanted = recorded_products(text, shipped()), {"BTC-USD", *(f"{coin}-USD" for coin in coins.split())}
    products = tuple(p for p in has if not coins or p in wanted)
    return Week(
        name=text.rpartition("/")[2],
        make=lambda now_ns: taped(text, now_ns),
        products=products,
        seconds=int(days * DAY_S),
        change=change,
    )


def live(week: Week) -> Simulation:
    """Let the whole tree live the week."""

    def make(clock: VirtualClock) -> Venue:
        exchange, market = week.make(clock.now_ns())
        return open_venue(exchange, market, clock.now_ns, key().verifying(), seed=1, usual=calm())

    simulation = Simulation(1, week.products, policy=week.policy, habits=HABITS, make=make, pace_ns=BAR_S * SECOND_NS)
    for _ in range(week.seconds // BAR_S):
        simulation.run(FIRST_MOVE_S)
        for _ in range(BEATS):
            simulation.run(1.0)
            simulation.venue.tick()
        simulation.run(BAR_S - FIRST_MOVE_S - BEATS)
    return simulation


# --- what happened ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Trade:
    """One fill, as the venue has it; `bar` is the bar it happened in, one cycle each."""

    bar: int
    product: str
    side: str
    size: Decimal
    price: Decimal
    fee: Decimal


@dataclass
class Record:
    """What happened. `happened` are kinds with how often: `trigger:breakout`, `exit:stop_loss`, `regime:bull`,
    `sizing:SIZE by theme`, `refused:cooldown`, `passed:trigger:atr_filter`. `entered` are purchases that were filled,
    by regime.
    """

    trades: list[Trade] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    entered: Counter[str] = field(default_factory=Counter)

    def entries_a_day(self, regime: str) -> float:
        """Filled purchases per day that the regime lasted."""
        return self.entered[regime] / (self.happened[f"regime:{regime}"] * BAR_S / DAY_S)


def bar_of(at_ns: int) -> int:
    """The number of the bar since the start: one begins with each cycle."""
    return (at_ns - START_NS) // (BAR_S * SECOND_NS)


def trade_of(fill: FillView) -> Trade:
    """A fill of the venue."""
    at = datetime.fromisoformat(fill.trade_time).astimezone(UTC)
    return Trade(
        bar=bar_of(int(at.timestamp()) * SECOND_NS),
        product=fill.product_id,
        side=fill.side,
        size=Decimal(fill.size),
        price=Decimal(fill.price),
        fee=Decimal(fill.commission),
    )


def said(simulation: Simulation, *kinds: type) -> Iterable[tuple[int, object]]:
    """What was put on record, with its time; entries that cannot be of these kinds are not decoded."""
    marks = [kind.__struct_config__.tag.encode() for kind in kinds]
    for index, data in simulation.store.entries():
        if not any(mark in data for mark in marks):
            continue
        draft = unseal(index, data).entry.draft
        if draft.kind is EntryKind.SAID:
            message = codec.decode(draft.body)
            if isinstance(message, kinds):
                yield draft.at_ns, message


def record_of(simulation: Simulation) -> Record:
    """Read from outside what happened: the venue's fills, and what was put on record."""
    record, regimes = Record(trades=sorted(trade_of(fill) for fill in simulation.fills())), {}
    for at_ns, message in said(simulation, CycleRecord, Decision):
        if isinstance(message, CycleRecord):
            regimes[bar_of(at_ns)] = message.regime.value
            record.happened[f"regime:{message.regime.value}"] += 1
            record.happened.update(f"trigger:{trigger.kind}" for trigger in message.triggers)
            record.happened.update(f"passed:{row.stage}:{row.code}" for row in message.passed)
        elif message.side is Side.BUY:
            record.happened.update(_judged(message))
    record.happened.update(f"exit:{code}" for code in _exits(simulation))
    bought = {(trade.bar, trade.product) for trade in record.trades if trade.side == "BUY"}
    record.entered.update(regimes[bar] for bar, _ in bought)
    return record


def _judged(decision: Decision) -> Iterable[str]:
    """How much of what was asked was granted, and by which cap not all of it."""
    if not decision.approved:
        yield f"refused:{decision.code.value}"
    if decision.approved or decision.cap_type is not None:
        cap = "" if decision.cap_type is None else f" by {decision.cap_type.value}"
        yield f"sizing:{decision.outcome.value}{cap}"


def _exits(simulation: Simulation) -> Iterable[str]:
    """Why each position was left; a stop that a crash brought nearer has a name of its own."""
    stops: dict[str, Decimal] = {}
    cost: dict[str, Decimal] = {}
    for _, message in said(simulation, OrderUpdate, FillApplied):
        if isinstance(message, OrderUpdate):
            intent = message.state.intent
            if intent.targets is not None:
                stops[intent.correlation] = intent.targets.stop_loss_pct
        elif message.buy:
            cost[message.correlation] = message.price
        elif message.closed_position:
            lost_pct = (1 - message.price / cost[message.correlation]) * 100
            nearer = message.exit_code == "stop_loss" and lost_pct < stops[message.correlation] * Decimal("0.9")
            yield "crash_stop" if nearer else message.exit_code
