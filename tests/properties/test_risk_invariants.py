"""The invariants of risk.md §11, over drawn portfolios, limits, batches and lives of orders.

Every price is 100 USD, so that a test can add up exposures by itself. The fast ring draws a few hundred scenes, the
slow one some thousands.
"""

from dataclasses import dataclass, field
from dataclasses import replace as altered
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.effects import Tell
from protocol.market import FeedState, FeedStatus
from protocol.orders import Intent, OrderState, PlaceIntent, Side, Status
from protocol.portfolio import Holding
from protocol.risk import Decision, Pause, TradingState, WatchdogSeen
from protocol.strategy import Regime
from protocol.venue import Balance
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    NOON_NS,
    PRODUCTS,
    D,
    epoch,
    exit_wanted,
    fill_applied,
    health,
    intent_done,
    limits,
    noted,
    operator_order,
    order,
    periods,
    position,
    products_known,
    proposal,
    told,
    view,
)

FAST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
SLOW = settings(FAST, max_examples=4000)
EPSILON = D("0.000001")
STRATEGIES = ("rules_engine", "second")


def share(rng, low, high):
    """Per cent with two decimals."""
    return D(rng.randrange(low * 100, high * 100 + 1)) / 100


def a_proposal(rng):
    product, strategy = rng.choice(PRODUCTS), rng.choice(STRATEGIES)
    return proposal(
        product,
        share(rng, 0, 12),
        rng.choice((0.3, 0.5, 0.9)),
        strategy=strategy,
        tier=rng.randrange(1, 4),
        correlation=f"{strategy}-{product}",
    )


def limits_of(seed):
    """Caps of any height in any order; pacing aside, which would hide them."""
    rng = Random(seed)
    return {
        "max_total_at_risk_pct": share(rng, 2, 40),
        "max_position_size_pct": share(rng, 1, 10),
        "max_per_asset_pct": share(rng, 1, 10),
        "tier_caps_pct": tuple(share(rng, 1, 10) for _ in range(3)),
        "theme_caps_pct": tuple((theme, share(rng, 1, 20)) for theme in ("LAYER1", "MEME", "DEFI", "OTHER")),
        "strategy_budgets_pct": tuple((name, share(rng, 1, 30)) for name in STRATEGIES),
        "min_position_size_pct": rng.choice((D(0), D("0.25"))),
        "min_notional_usd": rng.choice((D(1), D(10))),
        "maker_fee_bps": rng.choice((D(0), D(40), D(60))),
        "count_external": rng.random() < 0.5,
        "regimes": tuple(replace(row, max_positions=rng.randrange(3, 11)) for row in limits().regimes),
        "max_new_per_cycle": rng.randrange(1, 6),
        "max_open_positions": rng.randrange(3, 11),
        "spacing_ns": 0,
        "symbol_spacing_ns": 0,
        "new_per_hour": 1000,
        "trades_per_hour": 1000,
    }


def view_of(seed):
    rng = Random(seed)
    nav = rng.choice((500, 3_000, 10_000, 80_000))
    held = rng.sample(PRODUCTS, rng.randrange(4))
    return view(
        nav=nav,
        positions=tuple(
            position(product, quantity=nav * share(rng, 0, 6) / 10_000, strategy=rng.choice(STRATEGIES))
            for product in held
        ),
        external=(Holding(currency="ABC", quantity=D(1), value_usd=D(nav) * rng.choice((0, 0, 5, 30)) / 100),),
        periods=periods(nav, nav, nav),
        balances=(Balance(currency="USD", available=D(rng.choice((nav, nav // 4))), hold=D(0)),),
    )


# Whole parts are drawn by their seed, which is fast and is printed with a failing example; only lists shrink.
seeds = st.integers(0, 2**32)
some_limits, some_views = seeds.map(limits_of), seeds.map(view_of)
proposals = st.sampled_from([a_proposal(Random(seed)) for seed in range(300)])
batches = st.lists(proposals, max_size=6, unique_by=lambda p: p.correlation)
regimes = st.sampled_from(Regime)


# --- a desk whose orders live -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """An approved intent: what it may still buy, and its present order."""

    intent: Intent
    approved: object
    order: OrderState | None = None
    attempt: int = 0
    filled: object = D(0)
    unbooked: object = D(0)


@dataclass
class Floor:
    """What is true, kept apart from what risk believes: intents under way, and positions as the ledger has them."""

    desk: RiskDesk
    seen: object
    runs: dict = field(default_factory=dict)

    def __post_init__(self):
        self.desk.tell(self.seen)

    def batch(self, asked, regime):
        before = self.used()
        decisions = noted(self.desk.ask(*asked, regime=regime), Decision)
        for decision in decisions:
            if decision.approved:
                self.runs[decision.correlation] = Run(self.intent_of(decision), decision.approved_usd)
        return before, decisions

    def intent_of(self, decision):
        held = self.desk.state.reserved[f"BUY/{decision.correlation}"]
        bought = order(decision.product_id).intent
        return replace(
            bought, correlation=decision.correlation, strategy=held.strategy, quote_size=decision.approved_usd
        )

    def used(self):
        """Every (scope, name) and the USD at stake in it, if all that is under way were filled."""
        stakes = [(p.product_id, p.strategy, p.quantity * 100) for p in self.seen.positions]
        for run in self.runs.values():
            ahead = run.approved - run.filled * 100 + run.unbooked * 100
            stakes.append((run.intent.product_id, run.intent.strategy, ahead))
        external = (
            sum((h.value_usd for h in self.seen.external), D(0)) if self.desk.state.limits.count_external else D(0)
        )
        totals = {("total", ""): external}
        for product, strategy, usd in stakes:
            scopes = (
                ("total", ""),
                ("product", product),
                ("theme", self.desk.state.limits.theme(product)),
                ("strategy", strategy),
            )
            for scope in scopes:
                totals[scope] = totals.get(scope, D(0)) + usd
        return totals

    def cap(self, scope, name, regime):
        rules, nav = self.desk.state.limits, self.seen.nav_usd / 100
        m = rules.row(regime).multiplier
        hard = min(D(1), m)
        match scope:
            case "total":
                return nav * rules.max_total_at_risk_pct * hard
            case "product":
                return nav * min(rules.max_per_asset_pct * hard, rules.max_position_size_pct * m)
            case "theme":
                return nav * rules.theme_cap_pct(name) * hard
        return nav * dict(rules.strategy_budgets_pct)[name] * hard

    # --- what happens to an intent

    def act(self, name, run, part):
        if run.order is None:
            changed = self.place(run) if name != "done" else None
        else:
            changed = {"fill": self.fill, "book": self.book, "end": self.end, "done": self.book}[name](run, part)
        key = run.intent.correlation
        if changed is not None:
            self.runs[key] = changed
        elif not run.unbooked:
            del self.runs[key]
            self.desk.tell(intent_done(run.intent.product_id, Side.BUY, correlation=key))

    def place(self, run):
        size = run.approved / 100 - run.filled
        if size <= 0:
            return None
        name = f"{run.intent.correlation}-{run.attempt + 1}"
        placed = order(run.intent.product_id, size=size, name=name, intent=run.intent)
        return self.tell(altered(run, attempt=run.attempt + 1), placed)

    def fill(self, run, part):
        more = (run.order.spec.base_size - run.order.filled_size) * part / 4
        if run.order.terminal:
            return run
        size = run.order.filled_size + more
        grown = replace(run.order, filled_size=size, filled_value=size * 100, status=Status.PARTIALLY_FILLED)
        return self.tell(altered(run, filled=run.filled + more, unbooked=run.unbooked + more), grown)

    def book(self, run, part):
        """The ledger takes what is unbooked; the three messages of it come in one of their possible orders."""
        if not run.unbooked:
            return run
        product, size = run.intent.product_id, run.unbooked
        self.hold(product, size, run.intent.strategy)
        bought = fill_applied(
            product,
            size=size,
            value=size * 100,
            strategy=run.intent.strategy,
            client_order_id=run.order.client_order_id,
        )
        known = replace(run.order, booked_size=run.order.booked_size + size)
        self.desk.tell(bought, *((known, self.seen) if part % 2 else (self.seen, known)))
        return altered(run, order=known, unbooked=D(0))

    def hold(self, product, size, strategy):
        held = {(p.product_id, p.strategy): p for p in self.seen.positions}
        old = held.get((product, strategy)) or position(product, quantity=0, strategy=strategy)
        held[product, strategy] = replace(old, quantity=old.quantity + size)
        self.seen = replace(self.seen, positions=tuple(held.values()))

    def end(self, run, _part):
        if run.order.terminal:
            return run if run.unbooked else altered(run, order=None)
        return self.tell(run, replace(run.order, status=Status.CANCELED))

    def tell(self, run, news):
        self.desk.tell(news)
        return altered(run, order=news)


acts = st.tuples(st.sampled_from(("fill", "book", "end", "done")), st.integers(0, 5), st.integers(0, 4))
lives = st.lists(st.one_of(acts, st.tuples(st.just("batch"), batches, regimes)), min_size=1, max_size=25)


def live(rules, seen, happenings):
    rules = {**rules, "cooldown_fill_ns": 0, "cooldown_failed_ns": 0, "dust_usd": D(0)}
    floor = Floor(RiskDesk(**rules), seen)
    for name, what, more in happenings:
        floor.desk.now += 1
        if name != "batch":
            if floor.runs:
                floor.act(name, list(floor.runs.values())[what % len(floor.runs)], more)
            continue
        before, decisions = floor.batch(what, more)
        floor.desk.now += 1
        for scope, used in floor.used().items():
            grown = used > before.get(scope, D(0))
            assert not grown or used <= floor.cap(*scope, more) + EPSILON, (scope, used, decisions)


def never_beyond_a_cap(scale):
    @pytest.mark.req("E1", "E2", "U2", "U3", "STR3")
    @scale
    @given(some_limits, some_views, lives)
    def run(rules, seen, happenings):
        live(rules, seen, happenings)

    return run


test_no_life_of_orders_takes_a_batch_beyond_any_cap = never_beyond_a_cap(FAST)
test_no_life_of_orders_takes_a_batch_beyond_any_cap_at_length = pytest.mark.slow(never_beyond_a_cap(SLOW))


# --- one batch ----------------------------------------------------------------------------------------------------

CAPS = (
    "max_total_at_risk_pct",
    "max_position_size_pct",
    "max_per_asset_pct",
    "tier_caps_pct",
    "theme_caps_pct",
    "strategy_budgets_pct",
    "max_open_positions",
)


def lowered(rules, cap, to_pct):
    value = rules[cap]
    if cap == "max_open_positions":
        return {**rules, cap: value * to_pct // 100}
    if not isinstance(value, tuple):
        return {**rules, cap: value * to_pct / 100}
    rows = tuple((row[0], row[1] * to_pct / 100) if isinstance(row, tuple) else row * to_pct / 100 for row in value)
    return {**rules, cap: rows}


def decided(rules, seen, asked, regime=Regime.CHOP):
    desk = RiskDesk(**rules)
    desk.tell(seen)
    return {d.correlation: d for d in noted(desk.ask(*asked, regime=regime), Decision)}


@pytest.mark.req("E1")
@FAST
@given(some_limits, some_views, proposals, regimes, st.sampled_from(CAPS), st.integers(0, 100))
def test_a_lower_cap_never_grants_a_request_more(rules, seen, asked, regime, cap, to_pct):
    (wide,) = decided(rules, seen, [asked], regime).values()
    (tight,) = decided(lowered(rules, cap, to_pct), seen, [asked], regime).values()
    assert tight.approved <= wide.approved
    assert tight.approved_usd <= wide.approved_usd


@pytest.mark.req("E1")
@FAST
@given(some_limits, some_views, batches, regimes, st.randoms(use_true_random=False))
def test_the_order_of_a_batch_decides_nothing(rules, seen, asked, regime, rng):
    shuffled = rng.sample(asked, len(asked))
    assert decided(rules, seen, asked, regime) == decided(rules, seen, shuffled, regime)


@FAST
@given(some_limits, some_views, batches, regimes, st.integers(0, 3))
def test_a_batch_delivered_again_places_nothing_new(rules, seen, asked, regime, again):
    desk = RiskDesk(**rules)
    desk.tell(seen)
    first = [p.intent.product_id for p in told(desk.ask(*asked, regime=regime), PlaceIntent)]
    for _ in range(again):
        desk.tell(seen)
        more = [p.intent.product_id for p in told(desk.ask(*asked, regime=regime), PlaceIntent)]
        assert not set(more) & set(first), "one product was bought twice"
        first += more


@pytest.mark.req("X3")
@FAST
@given(some_limits, some_views, batches, regimes)
def test_no_grant_is_below_the_minimum_net_of_fees_or_above_the_request(rules, seen, asked, regime):
    for decision in decided(rules, seen, asked, regime).values():
        assert decision.approved == (decision.code is None)
        if not decision.approved:
            assert decision.approved_usd == 0
            continue
        net = decision.approved_usd * (1 - rules["maker_fee_bps"] / 10_000)
        assert net >= rules["min_notional_usd"] - EPSILON
        assert net >= 1 - EPSILON, "the venue's own minimum"
        assert decision.approved_usd <= decision.requested_usd
        assert decision.degraded == (decision.approved_usd < decision.requested_usd)


@FAST
@given(some_limits, some_views, st.lists(batches, min_size=2, max_size=4), regimes)
def test_the_same_inputs_give_the_same_effects(rules, seen, asked, regime):
    def played():
        desk = RiskDesk(**rules)
        desk.tell(seen)
        return [desk.ask(*batch, regime=regime) for batch in asked], desk.state

    assert played() == played()


# --- trading states -----------------------------------------------------------------------------------------------

TRIPS = st.sampled_from(
    (
        epoch(killed=True),
        Pause(by="operator", reason=""),
        WatchdogSeen(alive=False, beat_age_s=3.0),
        health(auth_failing=True),
        health(consecutive_errors=5),
        health(rate_limited_until_ns=NOON_NS + 10**12),
        view(nav=9_700, positions=(position(),)),
        view(nav=8_000, positions=(position(),)),
        view(reconciled=False, positions=(position(),)),
        order("SOL-USD", status=Status.FILLED, filled_size=D(2), filled_value=D(200)),
    )
)
BLIND = st.sampled_from(
    (
        FeedState(product_id=PRODUCTS[0], status=FeedStatus.DOWN, detail="", at_ns=NOON_NS),
        products_known(),
        view(nav=None, positions=(position(),)),
    )
)
REQUESTS = st.lists(
    st.sampled_from(
        (
            exit_wanted(),
            operator_order(PRODUCTS[0], Side.SELL),
            operator_order(PRODUCTS[1]),
            operator_order(PRODUCTS[2], drill=True),
            proposal(PRODUCTS[3]),
            proposal(PRODUCTS[0], side=Side.SELL),
        )
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.req("K1", "DD1", "ST1", "EX1")
@FAST
@given(st.booleans(), st.lists(TRIPS, max_size=3), st.lists(BLIND, max_size=1), REQUESTS, st.booleans())
def test_any_state_but_active_buys_nothing_and_a_halted_one_places_nothing(literal, trips, blind, asked, restarts):
    desk = RiskDesk(protective_exits_when_halted=not literal)
    desk.tell(view(positions=(position(),)), *trips, *blind)
    if restarts:
        desk.restart()
    for request in asked:
        state = desk.seen().state
        effects = desk.ask(request) if hasattr(request, "conviction") else desk.tell(request)
        places = [e.message.intent for e in effects if isinstance(e, Tell) and isinstance(e.message, PlaceIntent)]
        assert state is TradingState.ACTIVE or not [i for i in places if i.side is Side.BUY]
        assert state not in {TradingState.HALTED, TradingState.KILLED} or not places


@pytest.mark.req("R1")
@FAST
@given(
    st.integers(0, 10),
    st.lists(st.tuples(st.sampled_from(("operator", "exit", "proposal")), st.integers(1, 10)), max_size=8),
)
def test_no_sequence_of_sales_offers_more_than_is_held(held, sales):
    desk = RiskDesk()
    desk.tell(view(positions=(position(quantity=held),) if held else ()))
    offered = D(0)
    for number, (kind, size) in enumerate(sales):
        match kind:
            case "operator":
                request = operator_order(side=Side.SELL, base_size=D(size), correlation=f"op{number}")
                effects = desk.tell(request)
            case "exit":
                effects = desk.tell(exit_wanted(quantity=D(size), correlation=f"exit{number}"))
            case _:
                effects = desk.ask(proposal(side=Side.SELL, pct=D(size) * D("0.9999"), correlation=f"p{number}"))
        for placed in told(effects, PlaceIntent):
            offered += placed.intent.base_size or placed.intent.quote_size / placed.intent.bid
    assert offered <= held + EPSILON
