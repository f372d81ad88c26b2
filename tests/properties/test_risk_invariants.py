"""The invariants of risk.md §11, over drawn portfolios, limits, batches and lives of orders.

Every price is 100 USD, so that a test can add up exposures by itself. Each invariant is tried on two thousand scenes,
drawn ten to an example, and on ten thousand in the slow ring.
"""

from dataclasses import dataclass, field
from dataclasses import replace as altered

from msgspec.structs import replace

from actors.risk import sizing
from actors.risk.snapshot import snapshot
from protocol.effects import Tell
from protocol.market import FeedState, FeedStatus
from protocol.orders import Intent, OrderState, PlaceIntent, Side, Status
from protocol.risk import BatchJudged, Decision, Pause, TradingState, WatchdogSeen
from protocol.strategy import Regime
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
    noted,
    operator_order,
    order,
    position,
    products_known,
    proposal,
    told,
    view,
)
from tests.support.risk_draws import (
    BASE,
    EPSILON,
    PROPOSALS,
    REGIMES,
    STRATEGIES,
    a_batch,
    desk_of,
    holds,
    limits_of,
    share,
    view_of,
)

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
            entry_id=f"{run.order.client_order_id}/{run.order.booked_size}",
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


def a_life(rng):
    """Batches, and what happens to the intents that came of them, in any order."""
    for _ in range(rng.randrange(1, 15)):
        if rng.random() < 0.4:
            yield "batch", a_batch(rng), rng.choice(REGIMES)
        else:
            yield rng.choice(("fill", "book", "end", "done")), rng.randrange(6), rng.randrange(5)


def live(rng):
    rules = limits_of(rng) | {"cooldown_fill_ns": 0, "cooldown_failed_ns": 0, "dust_usd": D(0)}
    floor = Floor(desk_of(rules), view_of(rng))
    for name, what, more in a_life(rng):
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


rings = holds("E1", "E2", "U2", "U3", "STR3")
test_no_life_of_orders_goes_beyond_a_cap, test_no_life_of_orders_goes_beyond_a_cap_at_length = rings(live)


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
    desk = desk_of(rules)
    desk.tell(seen)
    return {d.correlation: d for d in noted(desk.ask(*asked, regime=regime), Decision)}


def monotone(rng):
    rules, seen, asked = limits_of(rng), view_of(rng), rng.choice(PROPOSALS)
    regime, cap, to_pct = rng.choice(REGIMES), rng.choice(CAPS), rng.randrange(101)
    (wide,) = decided(rules, seen, [asked], regime).values()
    (tight,) = decided(lowered(rules, cap, to_pct), seen, [asked], regime).values()
    assert tight.approved <= wide.approved
    assert tight.approved_usd <= wide.approved_usd


test_a_lower_cap_never_grants_a_request_more, test_a_lower_cap_never_grants_more_at_length = holds("E1")(monotone)


def order_free(rng):
    rules, seen, asked, regime = limits_of(rng), view_of(rng), a_batch(rng), rng.choice(REGIMES)
    shuffled = rng.sample(asked, len(asked))
    assert decided(rules, seen, asked, regime) == decided(rules, seen, shuffled, regime)


test_the_order_of_a_batch_decides_nothing, test_the_order_of_a_batch_decides_nothing_at_length = holds("E1")(order_free)


def answered_in_order(rng):
    rules, asked = limits_of(rng), a_batch(rng)
    desk = desk_of(rules)
    (answer,) = told(desk.ask(*asked), BatchJudged)
    assert [d.correlation for d in answer.decisions] == [p.correlation for p in asked]


test_a_batch_is_answered_in_its_own_order, test_a_batch_is_answered_in_order_at_length = holds("E1")(answered_in_order)


def again(rng):
    rules, seen, asked, regime = limits_of(rng), view_of(rng), a_batch(rng), rng.choice(REGIMES)
    desk = desk_of(rules)
    desk.tell(seen)
    first = [p.intent.product_id for p in told(desk.ask(*asked, regime=regime), PlaceIntent)]
    for _ in range(rng.randrange(4)):
        desk.tell(seen)
        more = [p.intent.product_id for p in told(desk.ask(*asked, regime=regime), PlaceIntent)]
        assert not set(more) & set(first), "one product was bought twice"
        first += more


test_a_batch_delivered_again_places_nothing_new, test_a_batch_delivered_again_at_length = holds("X1")(again)


def told_again(rng):
    desk = desk_of(limits_of(rng))
    fills = [a_fill(rng, number) for number in range(rng.randrange(1, 6))]
    desk.tell(view_of(rng), *fills)
    state = desk.state
    desk.tell(*rng.sample(fills, rng.randrange(len(fills) + 1)))
    assert desk.state == state


def a_fill(rng, number):
    buy = rng.random() < 0.5
    name = {"entry_id": f"e{number}", "client_order_id": f"c-{rng.randrange(3)}"}
    return fill_applied(rng.choice(PRODUCTS), buy=buy, net=None if buy else rng.randrange(-5, 6), **name)


test_a_fill_told_again_changes_nothing, test_a_fill_told_again_at_length = holds("X1", "CD1")(told_again)


def worth_sending(rng):
    rules, seen, asked, regime = limits_of(rng), view_of(rng), a_batch(rng), rng.choice(REGIMES)
    for decision in decided(rules, seen, asked, regime).values():
        assert decision.approved == (decision.code is None)
        if not decision.approved:
            assert decision.approved_usd == 0
            continue
        net = decision.approved_usd * (1 - rules["maker_fee_bps"] / 10_000)
        assert net >= max(rules["min_notional_usd"], rules["min_order_usd"]) - EPSILON
        assert net >= 1 - EPSILON, "the venue's own minimum"
        assert decision.approved_usd >= seen.nav_usd * rules["min_position_size_pct"] / 100 - EPSILON
        assert decision.approved_usd <= min(decision.requested_usd, rules["max_order_usd"])
        assert decision.degraded == (decision.approved_usd < decision.requested_usd)


test_no_grant_is_too_small_or_too_large, test_no_grant_is_too_small_or_too_large_at_length = holds("X3")(worth_sending)


def sized_is_final(rng):
    """What sizing grants, risk grants again when exactly that is asked for, and not a cent more of what it cut."""
    rules, seen, regime = limits_of(rng), view_of(rng), rng.choice(REGIMES)
    desk = desk_of(rules)
    desk.tell(seen)
    book = snapshot(desk.state, regime, desk.now).exposure
    ask = an_ask(rng, seen, regime)
    granted = sizing.grant(ask, book, desk.state.limits)
    if not granted.usd:
        assert not all(v.passed for v in granted.verdicts)
        return
    found = sizing.rooms(replace(ask, requested_usd=granted.usd), book, seen.nav_usd, desk.state.limits)
    assert all(v.passed for v in sizing.check(found, granted.usd, whole=True)), "it passes the final check"
    whole = sizing.grant(replace(ask, requested_usd=granted.usd, whole=True), book, desk.state.limits)
    assert whole.usd == granted.usd
    if granted.usd < ask.requested_usd:
        more = sizing.check(granted.rooms, granted.usd + EPSILON, whole=True)
        assert not all(v.passed for v in more), "it was cut no further than a cap says"


def an_ask(rng, seen, regime):
    product = rng.choice(PRODUCTS)
    return sizing.Ask(
        product_id=product,
        tier=rng.randrange(1, 4),
        theme=BASE.theme(product),
        strategy=rng.choice(STRATEGIES),
        regime=regime,
        requested_usd=seen.nav_usd * share(rng, 0, 12) / 100,
        available_usd=seen.balances[0].available,
        venue_min_usd=D(1),
        drill=rng.random() < 0.2,
    )


test_a_size_that_passed_sizing_passes_the_final_check, test_sized_is_final_at_length = holds("E1", "X3")(sized_is_final)


def replayed(rng):
    rules, seen, regime = limits_of(rng), view_of(rng), rng.choice(REGIMES)
    asked = [a_batch(rng), a_batch(rng)]

    def played():
        desk = desk_of(rules)
        desk.tell(seen)
        return [desk.ask(*batch, regime=regime) for batch in asked], desk.state

    assert played() == played()


test_the_same_inputs_give_the_same_effects, test_the_same_inputs_at_length = holds("BT1")(replayed)


def paced(rng):
    """No batch enters more often than the hour and the day allow, however many slots a cycle has."""
    total, new = rng.randrange(1, 4), rng.randrange(3)
    pace = {"new_per_hour": new, "trades_per_hour": total, "trades_per_day": rng.randrange(1, 6)}
    desk, seen = desk_of(limits_of(rng) | pace), view_of(rng)
    desk.tell(seen)
    entered = [p.intent.product_id for _ in range(2) for p in told(desk.ask(*a_batch(rng)), PlaceIntent)]
    dust = desk.state.limits.dust_usd
    held = {p.product_id for p in seen.positions if p.value_usd >= dust}
    assert len(entered) <= min(total, pace["trades_per_day"])
    assert len([p for p in entered if p not in held]) <= new


test_no_batch_passes_the_pace, test_no_batch_passes_the_pace_at_length = holds("E1")(paced)


# --- trading states -----------------------------------------------------------------------------------------------

TRIPS = (
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
BLIND = (
    FeedState(product_id=PRODUCTS[0], status=FeedStatus.DOWN, detail="", at_ns=NOON_NS),
    products_known(),
    view(nav=None, positions=(position(),)),
)
REQUESTS = (
    exit_wanted(),
    operator_order(PRODUCTS[0], Side.SELL),
    operator_order(PRODUCTS[1]),
    operator_order(PRODUCTS[2], drill=True),
    proposal(PRODUCTS[3]),
    proposal(PRODUCTS[0], side=Side.SELL),
)


def gated(rng):
    """Any state but active buys nothing, and a halted or killed one places nothing."""
    desk = desk_of({"protective_exits_when_halted": rng.random() < 0.5})
    desk.tell(view(positions=(position(),)), *rng.sample(TRIPS, rng.randrange(4)), *rng.sample(BLIND, rng.randrange(2)))
    if rng.random() < 0.5:
        desk.restart()
    for request in rng.choices(REQUESTS, k=rng.randrange(1, 5)):
        state = desk.seen().state
        effects = desk.ask(request) if hasattr(request, "conviction") else desk.tell(request)
        places = [e.message.intent for e in effects if isinstance(e, Tell) and isinstance(e.message, PlaceIntent)]
        assert state is TradingState.ACTIVE or not [i for i in places if i.side is Side.BUY]
        assert state not in {TradingState.HALTED, TradingState.KILLED} or not places


test_gates_hold, test_gates_hold_at_length = holds("K1", "DD1", "ST1", "EX1")(gated)


def never_short(rng):
    """No sequence of sales offers more than is held."""
    held, desk = rng.randrange(11), desk_of({})
    desk.tell(view(positions=(position(quantity=held),) if held else ()))
    offered = D(0)
    for number in range(rng.randrange(6)):
        effects = a_sale(desk, rng.randrange(1, 11), rng.randrange(3), number)
        for placed in told(effects, PlaceIntent):
            offered += placed.intent.base_size or placed.intent.quote_size / placed.intent.bid
    assert offered <= held + EPSILON


def a_sale(desk, size, kind, number):
    if kind == 0:
        return desk.tell(operator_order(side=Side.SELL, base_size=D(size), correlation=f"op{number}"))
    if kind == 1:
        return desk.tell(exit_wanted(quantity=D(size), correlation=f"exit{number}"))
    return desk.ask(proposal(side=Side.SELL, pct=D(size) * D("0.9999"), correlation=f"p{number}"))


test_no_sequence_of_sales_offers_more_than_is_held, test_no_sales_beyond_what_is_held = holds("R1")(never_short)
