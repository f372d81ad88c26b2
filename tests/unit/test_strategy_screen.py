"""What strategies answer is believed by nobody: form, bounds, budgets and names (R1, R2, STR3)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.strategy.aggregate import aggregate
from actors.strategy.base import Bounds, Budget, StrategyContext
from actors.strategy.screen import screened
from protocol import codec
from protocol.orders import Side
from protocol.strategy import Asset, ProposalsMade, Regime
from tests.support.desk_scenes import BTC, DOGE, ETH, NOON_NS, policy, proposal

D = Decimal
CANARY = policy().strategy.canary


def asset(product=BTC, tier=1):
    prices = {"bid": D(100), "ask": D(101), "spread_bps": 2.0, "depth_usd": 1e6, "volume_24h_usd": 1e8}
    return Asset(product_id=product, tier=tier, theme="LAYER1", **prices)


def context(**changes):
    bounds = Bounds(
        tier_base_pct=(D("1.5"), D(1), D("0.5")),
        tier_cap_pct=(D(3), D(2), D(1)),
        max_stop_loss_pct=D(10),
        min_conviction=0.4,
        size_mult=D(1),
        least_pct=D("0.1"),
    )
    parts = StrategyContext(
        cycle=4,
        now_ns=NOON_NS,
        regime=Regime.BULL,
        assets=(asset(), asset(DOGE, 2)),
        triggers=(),
        windows=(),
        held=(ETH,),
        bounds=bounds,
    )
    return replace(parts, **changes)


def screen(*things, **changes):
    return screened("mine", things, context(**changes), CANARY)


REFUSED = {
    "no proposal at all": ("buy BTC", "schema_invalid"),
    "nothing": (None, "schema_invalid"),
    "text for a size": (proposal(notional_pct="one"), "schema_invalid"),
    "a float for a size": (proposal(notional_pct=float("nan")), "schema_invalid"),
    "no number for a size": (proposal(notional_pct=D("NaN")), "schema_invalid"),
    "endless size": (proposal(notional_pct=D("Infinity")), "schema_invalid"),
    "no size": (proposal(pct=0), "schema_invalid"),
    "a size over the tier's cap": (proposal(pct="3.01"), "schema_invalid"),
    "a size below zero": (proposal(pct=-1), "shorting_disallowed"),
    "no stop": (proposal(stop_loss_pct=D(0)), "schema_invalid"),
    "a stop beyond the policy's": (proposal(stop_loss_pct=D("10.1"), take_profit_pct=D(20)), "schema_invalid"),
    "a target inside the stop": (proposal(take_profit_pct=D(10)), "schema_invalid"),
    "a target that is no number": (proposal(take_profit_pct=D("NaN")), "schema_invalid"),
    "a conviction that is no number": (proposal(conviction=float("nan")), "schema_invalid"),
    "a conviction over 1": (proposal(conviction=1.01), "schema_invalid"),
    "no time to hold it": (proposal(max_hold_s=0), "schema_invalid"),
    "a side nobody knows": (proposal(side="HOLD"), "schema_invalid"),
    "no trigger": (proposal(trigger=None), "schema_invalid"),
    "text that cannot be sent": (proposal(reason="\ud800"), "schema_invalid"),
    "too little conviction": (proposal(conviction=0.39), "min_conviction"),
    "a canary outside its window": (proposal(conviction=0.2, tags=("canary",)), "min_conviction"),
    "too small for an order": (proposal(pct="0.09"), "below_min_notional"),
    "a product that is not eligible": (proposal("XRP-USD"), "not_eligible"),
    "a sale of what is not held": (proposal(side=Side.SELL), "shorting_disallowed"),
}


@pytest.mark.req("R1", "R2")
@pytest.mark.parametrize(("thing", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(thing, code):
    found = screen(thing)
    assert found.proposals == ()
    assert [row.code for row in found.passed] == [code]
    loud = code in {"schema_invalid", "shorting_disallowed"}
    assert [(log.level, log.event) for log in found.logs] == ([("error", code)] if loud else [])
    if loud:
        assert dict(found.logs[0].fields)["strategy"] == "mine"
    codec.encode(ProposalsMade(cycle=1, proposals=(), triggers=(), passed=found.passed, elapsed_us=0))


ALLOWED = {
    "just the threshold": proposal(conviction=0.4),
    "just the cap": proposal(pct=3),
    "a canary in its window": proposal(conviction=0.39, tags=("canary",)),
    "a sale of what is held": proposal(ETH, side=Side.SELL, pct=80, conviction=0.1),
    "tier 2 at its cap": proposal(DOGE, pct=2),
}


@pytest.mark.req("R2")
@pytest.mark.parametrize("thing", ALLOWED.values(), ids=ALLOWED)
def test_allowed(thing):
    assert len(screen(thing).proposals) == 1


def test_who_what_and_when_are_the_host_s_to_say():
    lies = {"strategy": "rules_engine", "tier": 3, "theme": "MEME", "created_ns": 1, "correlation": "x"}
    (found,) = screen(proposal(regime=Regime.CRASH, **lies)).proposals
    assert (found.strategy, found.tier, found.theme) == ("mine", 1, "LAYER1")
    assert (found.regime, found.created_ns) == (Regime.BULL, NOON_NS)
    assert found.correlation == f"c4-mine-btc-usd-{NOON_NS // 1_000_000}"


def test_without_a_known_account_smallness_is_risk_s_to_judge():
    unknown = replace(context().bounds, least_pct=None)
    assert len(screen(proposal(pct="0.01"), bounds=unknown).proposals) == 1


JUNK = st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.decimals(), st.lists(st.integers(), max_size=2))
FIELDS = ["notional_pct", "stop_loss_pct", "take_profit_pct", "conviction", "max_hold_s", "tags", "tier", "product_id"]


@pytest.mark.req("R2")
@given(st.sampled_from(FIELDS), JUNK)
def test_whatever_stands_in_a_field_what_goes_on_can_be_sent(field, junk):
    found = screen(replace(proposal(), **{field: junk}))
    made = ProposalsMade(cycle=1, proposals=found.proposals, triggers=(), passed=found.passed, elapsed_us=0)
    assert codec.decode(codec.encode(made)) == made
    assert len(found.proposals) + len(found.passed) == 1


# --- budgets ------------------------------------------------------------------------------------------------------


def budget(at_risk, trades=9):
    return Budget(name="a", max_trades_per_cycle=trades, max_at_risk_pct=D(at_risk))


def three(pct=2):
    return [proposal(p, pct, c, strategy="a") for p, c in (("X-USD", 0.5), ("Y-USD", 0.7), ("Z-USD", 0.6))]


BUDGETS = {
    "all fit": (6, 0, 1, ["Y-USD", "Z-USD", "X-USD"]),
    "the weakest is too much": (5, 0, 1, ["Y-USD", "Z-USD"]),
    "what is held counts": (6, 3, 1, ["Y-USD"]),
    "nothing is left": (6, 6, 1, []),
    "a bear leaves less of it": (6, 0, "0.6", ["Y-USD"]),
}


@pytest.mark.req("STR3")
@pytest.mark.parametrize(("most", "used", "mult", "kept"), BUDGETS.values(), ids=BUDGETS)
def test_a_strategy_s_own_budget_comes_before_the_global_caps(most, used, mult, kept):
    found, passed = aggregate(three(), [budget(most)], 10, {"a": D(used)}, D(mult))
    assert [p.product_id for p in found] == kept
    assert [(row.code, row.limit) for row in passed] == [("strategy_cap", float(D(most) * D(mult)))] * (3 - len(kept))
    assert all(row.value > row.limit for row in passed)


@pytest.mark.req("STR3")
def test_sales_need_no_budget_at_risk():
    sales = [replace(p, side=Side.SELL) for p in three(50)]
    assert len(aggregate(sales, [budget(1)], 10)[0]) == 3


@pytest.mark.req("STR3")
def test_one_strategy_s_budget_is_not_another_s():
    others = [replace(p, strategy="b", product_id=f"B-{p.product_id}") for p in three()]
    rows = [budget(2), replace(budget(6), name="b")]
    found, _ = aggregate([*three(), *others], rows, 10)
    assert sorted(p.strategy for p in found) == ["a", "b", "b", "b"]
