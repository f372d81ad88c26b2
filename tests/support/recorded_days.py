"""Recorded days in the kernel: the desk on a tape alone, and a witness at the venue who keeps accounts of his own."""

from collections import Counter
from decimal import Decimal
from functools import partial
from random import Random

from msgspec.structs import replace

from actors.runtime.clock import VirtualClock
from actors.venue.catalogue import specs
from actors.venue.core import Exchange
from actors.venue.in_kernel import USER, Habits, open_venue
from actors.venue.lag import Unpleasantness
from actors.venue.server_venue import Venue
from actors.venue.synthetic import SyntheticMarket
from actors.venue.synthetic_plant import Past, make_past
from actors.venue.tape_files import tape_files
from actors.venue.tape_market import TapeMarket, listings_of
from actors.venue.tape_source import MarketSource, parse_market
from ops.simulate.settled import venue_totals
from ops.simulate.world import SECOND_NS, Simulation, key
from protocol.policy import Policy

CASH = {"USD", "USDC"}
SEED = 1


class TapeAlone(TapeMarket):
    """A tape with no made-up market but those named beside it, moved once a second."""

    def __init__(self, venue: Exchange, source: MarketSource, now_ns: int, beside: tuple[str, ...]) -> None:
        super().__init__(venue, source, SEED, now_ns)
        made = make_past(SEED, now_ns // SECOND_NS)
        self._rest = SyntheticMarket(venue, SEED, now_ns, replaced(made, beside))
        self._due_ns = now_ns

    def watch(self, products: object) -> None:
        """Nothing is refilled between prints."""

    def advance(self, now_ns: int) -> None:
        """Play up to `now_ns`, when a second is over."""
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + SECOND_NS
            super().advance(now_ns)


def replaced(past: Past, products: tuple[str, ...]) -> Past:
    """The past of these alone."""
    return Past(past.scenario, {name: past.blocks[name] for name in products}, past.prices)


def recorded(text: str, policy: Policy, *beside: str) -> Simulation:
    """A desk on the tape `text`, which plays from now on, with the made-up products `beside` it.

    The policy is cut down to what there is.
    """
    source = parse_market(text)
    has = {*beside, *(f"{file.product_id.partition('-')[0]}-USD" for file in tape_files(source.path))}
    tiers = tuple(replace(row, products=tuple(p for p in row.products if p in has)) for row in policy.universe.tiers)
    policy = replace(policy, universe=replace(policy.universe, tiers=tiers))
    make = partial(_venue, source=source, beside=beside)
    return Simulation(SEED, (), habits=Habits(tick_ms=1000), make=make, policy=policy)


def _venue(clock: VirtualClock, *, source: MarketSource, beside: tuple[str, ...]) -> Venue:
    now_ns, usual = clock.now_ns(), Unpleasantness()
    exchange = Exchange(specs(listings_of(source)), Random(SEED), now_ns, unpleasantness=usual)
    exchange.open_user(USER, now_ns)
    market = TapeAlone(exchange, source, now_ns, beside)
    return open_venue(exchange, market, clock.now_ns, key().verifying(), seed=SEED, usual=usual)


class Witness:
    """Looks at the venue once a second, and at every purchase that arrives; knows nothing of the desk but its policy.

    `equity` are (time, USD) of every look; `broken` says which cap was passed when.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.policy = simulation.world.launch.policy
        self.equity: list[tuple[int, Decimal]] = []
        self.broken: list[str] = []
        self._seen = 0

    def watch(self, seconds: int) -> None:
        """Let the desk live so long."""
        for _ in range(seconds):
            self.simulation.run(1.0)
            nav = self._nav()
            self.equity.append((self.simulation.clock.now_ns(), nav))
            entries = [e for e in self.simulation.venue.log.entries() if e.route == "create_order" and e.side == "BUY"]
            if len(entries) > self._seen:
                self._seen = len(entries)
                self._judge(nav)

    def _mid(self, product: str) -> Decimal:
        bids, asks = self.simulation.venue.exchange.book(product, 1)
        return (bids[0][0] + asks[0][0]) / 2

    def _held(self) -> dict[str, Decimal]:
        """USD by product."""
        totals = venue_totals(self.simulation)
        return {f"{c}-USD": q * self._mid(f"{c}-USD") for c, q in totals.items() if c not in CASH}

    def _nav(self) -> Decimal:
        cash = sum((q for c, q in venue_totals(self.simulation).items() if c in CASH), Decimal(0))
        return cash + sum(self._held().values())

    def _judge(self, nav: Decimal) -> None:
        """Every cap, positions at the mid and purchases at their worst, right after a purchase arrived."""
        used = Counter(self._held())
        for order in self.simulation.venue.exchange.open_orders(USER):
            if order.order_side == "BUY":
                used[order.product_id] += Decimal(order.leaves_quantity) * Decimal(order.limit_price)
        risk, universe = self.policy.risk, self.policy.universe
        themes = Counter[str]()
        for product, usd in used.items():
            themes[universe.theme_of(product)] += usd
            self._within(f"position of {product}", usd, risk.max_position_size_pct * Decimal("1.2"), nav)
            self._within(f"asset of {product}", usd, risk.max_per_asset_pct, nav)
        for theme, usd in themes.items():
            self._within(f"theme {theme}", usd, risk.theme_cap_pct(theme), nav)
        self._within("total", sum(used.values(), Decimal(0)), risk.max_total_at_risk_pct, nav)
        held = sum(usd >= risk.min_trade_notional_usd / 4 for usd in used.values())
        if held > risk.max_open_positions:
            self.broken.append(f"{held} positions")

    def _within(self, what: str, usd: Decimal, cap_pct: Decimal, nav: Decimal) -> None:
        """A price may move a little within the second between judgement and look."""
        if usd > cap_pct / 100 * nav * Decimal("1.01"):
            self.broken.append(f"{what}: {usd / nav * 100:.2f} % of {cap_pct} % at {self.simulation.clock.now_ns()}")
