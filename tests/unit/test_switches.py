"""Keys that change one decision: from the word in the file, through the policy, to what is decided otherwise."""

from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.cycle.actor import settings as cycle_settings
from actors.cycle.core import Cycle
from actors.cycle.core import step as cycle_step
from actors.order.routing import Expiry, Refused, Try, build
from actors.portfolio.actor import settings as portfolio_settings
from actors.portfolio.exits import judge
from actors.risk.actor import limits
from actors.strategy.actor import rules_settings, scan_rules
from actors.strategy.actor import settings as host_settings
from actors.strategy.base import Bounds, StrategyContext
from actors.strategy.core import Host, StepFunction
from actors.strategy.library.rules_engine import RulesEngine
from actors.strategy.running import Shelf
from actors.strategy.triggers import signals
from actors.strategy.triggers.qualifiers import HIGHER_LOW, RSI_CROSS, qualifiers
from actors.universe.actor import settings as universe_settings
from config.load import load
from protocol.effects import SetTimer
from protocol.instants import DAY_NS, HOUR_NS, SECOND_NS
from protocol.lifecycle import Wake
from protocol.orders import PlaceIntent, Status, Step, StepKind
from protocol.portfolio import Reconciled
from protocol.strategy import CycleOpened, CycleRecord, ProposalsMade, Regime
from protocol.venue import ProductsListed
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    DOGE,
    ETH,
    NOON_NS,
    SOL,
    XRP,
    D,
    asset,
    exit_wanted,
    fill_applied,
    health,
    noted,
    order,
    position,
    product_rules,
    proposal,
    quote,
    told,
    universe_view,
    view,
)
from tests.support.trigger_scenes import bars, case, flat, lens_of
from tests.support.universe_rig import Rig, week

SHIPPED = Path(__file__).resolve().parents[2] / "config"
ADDS = {
    "risk.allow_pyramiding": "true",
    "position_sizing.allow_pyramiding": "true",
    "risk.pyramid_cooldown_seconds": "0",
    "risk.per_symbol_cooldown_minutes": "1",
    "risk.max_adds_per_asset_per_day": "5",
    "position_sizing.max_pyramid_positions": "1",
}


EMPTY = StrategyContext(
    cycle=1,
    now_ns=NOON_NS,
    regime=Regime.CHOP,
    assets=universe_view().eligible,
    triggers=(),
    windows=(),
    held=(),
    bounds=Bounds(
        tier_base_pct=(D("1.5"), D(1), D("0.5")),
        tier_cap_pct=(D(3), D(2), D(1)),
        max_stop_loss_pct=D(10),
        min_conviction=0.4,
        size_mult=D(1),
    ),
)


@cache
def _loaded(said):
    return load(SHIPPED, profile="embedded", overrides=dict(said)).policy


def policy(said=()):
    """The shipped policy with these words of an operator."""
    return _loaded(tuple(sorted(dict(said).items())))


def desk(said=()):
    """The risk room of that policy, ready to trade."""
    made = limits(policy(said))
    return RiskDesk(**{name: getattr(made, name) for name in made.__struct_fields__})


# --- cooldowns, slots, adds ---------------------------------------------------------------------------------------


@pytest.mark.req("CD1")
@pytest.mark.parametrize(("enabled", "code"), [("true", "cooldown"), ("false", "approved")])
def test_cooldowns_of_a_product_may_be_switched_off(enabled, code):
    made = desk({"risk.per_symbol_cooldown_enabled": enabled})
    made.tell(fill_applied(BTC), view())
    assert made.later(61).code() == code


@pytest.mark.req("CD1")
def test_a_refused_order_cools_down_all_the_same():
    made = desk({"risk.per_symbol_cooldown_enabled": "false"})
    made.tell(order(BTC, status=Status.FAILED))
    assert made.code() == "cooldown"


@pytest.mark.req("E2")
@pytest.mark.parametrize(("counted", "code"), [("true", "max_open_positions"), ("false", "approved")])
def test_working_purchases_take_slots_unless_told_otherwise_and_always_room(counted, code):
    made = desk({"risk.count_open_orders_in_cap": counted})
    made.tell(*(order(product) for product in (ETH, SOL, DOGE)))
    assert made.code() == code
    assert made.seen().exposure_pct == 3


@pytest.mark.parametrize(("most", "code"), [("1", "adds_blocked_when_over_cap"), ("2", "approved")])
def test_so_many_positions_may_have_been_added_to(most, code):
    made = desk({**ADDS, "position_sizing.max_pyramid_positions": most})
    both = view(positions=(position(BTC), position(ETH)))
    made.tell(fill_applied(ETH), view(positions=(position(ETH),)))
    made.tell(fill_applied(ETH, entry_id="e-2", client_order_id="c-2"), both)
    assert made.later(901).code() == code
    made.restart()
    made.get_ready()
    made.tell(both)
    assert made.code() == code, "it is on record"
    made.tell(fill_applied(ETH, entry_id="e-3", buy=False, net=1), view(positions=(position(BTC),)))
    assert made.later(901).code() == "approved", "what was added to is sold"


@pytest.mark.parametrize(("prefers", "first"), [("true", ETH), ("false", BTC)])
def test_of_like_conviction_adds_come_first(prefers, first):
    made = desk({**ADDS, "strategy.prefer_add_to_existing": prefers})
    made.tell(view(positions=(position(ETH),)))
    found = made.decide(proposal(BTC), proposal(ETH))
    assert [product for product, decision in found.items() if decision.approved] == [first], "one slot a cycle"


# --- breakers -----------------------------------------------------------------------------------------------------


@pytest.mark.req("EX1")
@pytest.mark.parametrize(("pauses", "code"), [("true", "rate_limit_cooldown"), ("false", "approved")])
def test_whether_too_many_requests_pause_entries(pauses, code):
    said = {"circuit_breakers.pause_on_rate_limit": pauses}
    made = desk(said)
    made.tell(health(rate_limited_until_ns=made.now + policy(said).breakers.rate_limit_cooldown_s * SECOND_NS))
    assert made.code() == code


LEAST = {
    "two are enough": ({}, "approved"),
    "the breaker's number": ({"circuit_breakers.min_eligible_assets": "3"}, "insufficient_universe"),
    "the universe's own": ({"universe.min_eligible_assets": "3"}, "insufficient_universe"),
}


@pytest.mark.req("U1")
@pytest.mark.parametrize(("said", "code"), LEAST.values(), ids=LEAST)
def test_of_two_least_numbers_of_products_the_larger_holds(said, code):
    made = desk(said)
    made.tell(universe_view(eligible=(asset(BTC), asset(ETH)), at_ns=made.now))
    assert made.code() == code


@pytest.mark.req("U3")
@pytest.mark.parametrize(("enabled", "regime"), [("true", Regime.CRASH), ("false", Regime.CHOP)])
def test_a_regime_that_is_not_detected_is_chop(enabled, regime):
    rig = Rig(universe_settings(policy({"regime.enabled": enabled})))
    assert rig.tell(week(-30)).view().regime is regime


# --- orders -------------------------------------------------------------------------------------------------------

COSTS = {"half the spread and a tenth of 20 bps": ("41", "approved"), "a little less is allowed": ("40.9", "outlier")}


@pytest.mark.req("O1")
@pytest.mark.parametrize(("most", "code"), COSTS.values(), ids=COSTS)
def test_a_purchase_that_would_cost_too_much_from_the_mid_is_refused(most, code):
    made = desk({"microstructure.max_expected_slippage_bps": most})
    made.tell(quote(BTC, bid="99.61", ask="100.39", ask_depth_usd=D(1_000), at=made.now))
    assert made.code(proposal(pct=1)) == code


@pytest.mark.parametrize(("kind", "step"), [("limit_ioc", StepKind.IOC), ("market", StepKind.MARKET)])
def test_an_exit_begins_with_the_order_that_is_configured(kind, step):
    made = desk({"exits.exit_order_type": kind})
    made.tell(view(positions=(position(),)))
    (placed,) = told(made.tell(exit_wanted()), PlaceIntent)
    assert [found.kind for found in placed.intent.steps] == [step]


@pytest.mark.parametrize(
    ("tags", "only", "takes"), [(("canary",), "true", False), (("canary",), "false", True), ((), "true", True)]
)
def test_a_canary_takes_only_where_it_may(tags, only, takes):
    (placed,) = told(desk({"strategy.canary.maker_only": only}).ask(proposal(tags=tags)), PlaceIntent)
    for step in (*placed.intent.steps, Step(kind=StepKind.LIMIT, limit_price=D(99), post_only=True)):
        assert not isinstance(made_of(placed.intent, step), Refused), "post-only"
    found = made_of(placed.intent, Step(kind=StepKind.IOC))
    assert found == Refused(code="maker_only") if not takes else not isinstance(found, Refused)


def made_of(intent, step):
    return build("c-1", intent, Try(step=step, remaining=D(100)), (product_rules(), quote()), (NOON_NS, Expiry()))


# --- positions of tier 3 ------------------------------------------------------------------------------------------

THIRD = {"tiers.tier_3.symbols": "[XRP-USD]", "tiers.tier_2.symbols": "[DOGE-USD]"}
DRAWDOWN, HOLD = (f"tiers.tier_3.constraints.{key}" for key in ("max_drawdown_pct", "max_hold_period_hours"))
FALLS = {
    "15 % below its peak": ("17", "20", 0, {}, "trailing_stop"),
    "a tick less": ("17.01", "20", 0, {}, ""),
    "20 % where that is allowed": ("17", "20", 0, {DRAWDOWN: "20"}, ""),
    "72 hours": ("16.9", "16.9", 72, {}, "max_hold"),
    "a moment less": ("16.9", "16.9", 71.99, {}, ""),
    "72 of 96 hours": ("16.9", "16.9", 72, {HOLD: "96"}, ""),
    "exits are off": ("17", "20", 72, {"exits.enabled": "false"}, ""),
    "holds are off": ("16.9", "16.9", 72, {"exits.check_max_hold": "false"}, ""),
}


@pytest.mark.parametrize("product", [XRP, DOGE])
@pytest.mark.parametrize(("bid", "peak", "hours", "said", "code"), FALLS.values(), ids=FALLS)
def test_a_position_of_tier_3_falls_and_lasts_only_so_far(product, bid, peak, hours, said, code):
    rules = portfolio_settings(policy({**THIRD, **said}), "c").rules
    held = position(product, price=16, peak=D(peak))
    held = replace(held, targets=replace(held.targets, max_hold_s=1000 * 3600, take_profit_pct=D(99)))
    found = judge(held, D(bid), rules, Regime.CHOP, held.opened_ns + int(hours * HOUR_NS))
    assert found == (code if product == XRP else "")


# --- triggers and proposals ---------------------------------------------------------------------------------------


def rules(said):
    return scan_rules(policy(said))


SIGNS = {"reversal_confirm.higher_low_vs_prev": HIGHER_LOW, "reversal_confirm.rsi_cross_up_50": RSI_CROSS}


@pytest.mark.req("S1")
@pytest.mark.parametrize(("key", "sign"), SIGNS.items(), ids=SIGNS)
@pytest.mark.parametrize("counts", ["true", "false"])
def test_two_signs_of_a_reversal_may_be_left_out(key, sign, counts):
    falling = [110.0 - i for i in range(30)]
    lows = [99, 98, 95, 98, 99, 98, 96, 98, 99]
    hours = [replace(b, low=low) for b, low in zip(bars(flat(9)), lows, strict=True)]
    lens = lens_of(hours, fives=bars([*falling, 100.0], seconds=300, span=0.0))
    seen = rules({f"triggers.{key}": counts, "strategy.reversal_confirmation.min_required": "2"}).triggers
    found = qualifiers(lens, seen.bounce_pct, higher_low=seen.higher_low, rsi_cross=seen.rsi_cross)
    assert (sign in found) is (counts == "true")
    assert {HIGHER_LOW, RSI_CROSS} - {sign} <= set(found)


@pytest.mark.req("S1")
@pytest.mark.parametrize(
    ("worst", "fires"), [("T1", (True, False, False)), ("T2", (True, True, False)), ("T3", (True, True, True))]
)
def test_how_far_down_the_tiers_mean_reversion_looks(worst, fires):
    seen = rules({"triggers.mean_reversion.min_liquidity_tier": worst}).triggers
    fallen = case(hours=bars([*flat(20), 101.0, 99.0, 100.0, 90.0]))
    found = (signals.mean_reversion(replace(fallen, tier=tier, rules=seen)) for tier in (1, 2, 3))
    assert tuple(isinstance(one, signals.Signal) for one in found) == fires


SLOPE = "triggers.trend_filter.min_slope_by_regime"
SLOPES = {
    "as everywhere": ({}, True),
    "its own": ({f"{SLOPE}.chop": "5"}, False),
    "another's own": ({f"{SLOPE}.bear": "5"}, True),
}


@pytest.mark.req("S1")
@pytest.mark.parametrize(("said", "fires"), SLOPES.values(), ids=SLOPES)
def test_a_regime_may_want_a_trend_of_its_own(said, fires):
    seen, rising = rules(said), [94 + 0.1 * i for i in range(60)]
    hours = list(bars([*rising, 102.0], span=0.0))
    hours[-2] = bars([99.0, rising[-1]], start=58, low=95.0)[1]
    given = replace(case(hours=hours), limits=seen.regimes["chop"], rules=seen.triggers)
    found = signals.reversal(given)
    assert isinstance(found, signals.Signal) is fires
    if not fires:
        assert [(row.code, row.limit) for row in found] == [("trend_filter", 5.0)]


@pytest.mark.req("S1")
@pytest.mark.parametrize(("least", "code"), [("0.245", None), ("0.2451", "min_score")])
def test_the_rules_strategy_leaves_weak_triggers_alone(least, code):
    engine = RulesEngine(rules_settings(policy({"triggers.min_score": least})))
    fired = replace(proposal().trigger, kind="price_move", strength=0.49, confidence=0.5, change_pct=2.0)
    context = replace(EMPTY, triggers=(fired,))
    found = engine.passed_over(context)
    assert [row.code for row in found] == ([code] if code else [])
    assert len(engine.generate_proposals(context)) == (not code)


class Idea:
    """A strategy that always wants the same."""

    def __init__(self, asked):
        self.asked = asked

    def generate_proposals(self, _context):
        return [self.asked]


def proposed(said, asked, nav=10_000):
    """What the host of that policy makes of one wish that all its strategies have."""
    host = Host(settings=replace(host_settings(policy(said)), live=("momentum", "rules_engine")))
    opened = CycleOpened(cycle=1, opened_ns=NOON_NS, universe=universe_view(), held=(), nav_usd=D(nav), used_pct=())
    _, effects = StepFunction(Shelf(lambda _name: Idea(asked)))(host, opened, NOON_NS)
    (made,) = told(effects, ProposalsMade)
    return made


@pytest.mark.req("STR4")
@pytest.mark.parametrize(("dedupes", "kept"), [("true", 1), ("false", 2)])
def test_whether_a_product_is_judged_once_or_for_every_strategy(dedupes, kept):
    found = proposed({"global.dedupe_by_symbol": dedupes}, proposal())
    assert len({(p.product_id, p.strategy) for p in found.proposals}) == len(found.proposals) == kept
    assert [row.code for row in found.passed].count("duplicate_product") == 2 - kept


SMALL = {
    "dropped": ("false", "0.9", []),
    "raised to what is worth its fee": ("true", "0.9", [D("1.0041")]),
    "large enough": ("true", "1.2", [D("1.2")]),
}


@pytest.mark.parametrize(("clamps", "pct", "sizes"), SMALL.values(), ids=SMALL)
def test_a_proposal_below_the_minimum(clamps, pct, sizes):
    found = proposed({"execution.clamp_small_trades": clamps}, proposal(pct=pct), nav=1000)
    assert [p.notional_pct for p in found.proposals] == sizes


def test_no_proposal_is_raised_above_the_cap_of_its_tier():
    found = proposed({"execution.clamp_small_trades": "true"}, proposal(pct=1), nav=300)
    assert found.proposals == ()
    assert "below_min_notional" in {row.code for row in found.passed}


# --- the rhythm ---------------------------------------------------------------------------------------------------

SATURDAY_NS = NOON_NS + 2 * DAY_NS + 12 * HOUR_NS
SKIPS = {"loop.skip_weekends": "true"}
DAYS = {
    "Friday's last moment": (SATURDAY_NS - 1, SKIPS, ""),
    "Saturday's first": (SATURDAY_NS, SKIPS, "weekend"),
    "Sunday's last": (SATURDAY_NS + 2 * DAY_NS - 1, SKIPS, "weekend"),
    "Monday's first": (SATURDAY_NS + 2 * DAY_NS, SKIPS, ""),
    "a weekend that is not skipped": (SATURDAY_NS, {}, ""),
    "Saturday comes earlier in the east": (SATURDAY_NS - 9 * HOUR_NS, {**SKIPS, "loop.timezone": "UTC+9"}, "weekend"),
    "and later in the west": (SATURDAY_NS, {**SKIPS, "loop.timezone": "UTC-05"}, ""),
}


@pytest.mark.parametrize(("at_ns", "said", "reason"), DAYS.values(), ids=DAYS)
def test_nothing_is_proposed_on_a_weekend_that_is_skipped(at_ns, said, reason):
    state = Cycle(settings=cycle_settings(policy(said), 1))
    state, _ = cycle_step(state, Wake(timer="cycle", due_ns=at_ns), at_ns)
    done = Reconciled(request_id="cycle-1", ok=True, detail="", corrections=())
    state, _ = cycle_step(state, done, at_ns)
    _, effects = cycle_step(state, universe_view(at_ns=at_ns), at_ns)
    assert [record.no_trade_reason for record in noted(effects, CycleRecord)] == ([reason] if reason else [])
    assert bool(told(effects, CycleOpened)) is not bool(reason)


LIVES = {
    "both alike": ({}, 300),
    "the list's own": ({"universe.products_cache_minutes": "2"}, 120),
    "the loop's": ({"loop.universe_cache_seconds": "60"}, 60),
}


@pytest.mark.parametrize(("said", "seconds"), LIVES.values(), ids=LIVES)
def test_of_two_lives_of_the_product_list_the_shorter_holds(said, seconds):
    rig = Rig(universe_settings(policy(said)), ready=False)
    rig.tell(ProductsListed(request_id="products", products=(product_rules(),)))
    assert [e.due_ns - rig.now_ns for e in rig.effects if isinstance(e, SetTimer)] == [seconds * SECOND_NS]
