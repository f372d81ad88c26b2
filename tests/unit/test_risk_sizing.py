"""How much of a request is granted: every cap, pending orders at their worst, money, fees, minima (risk.md §3)."""

import pytest
from msgspec.structs import replace

from actors.order.routing import Expiry, Try, build
from protocol.orders import OrderSpec, PlaceIntent, Side, Status
from protocol.portfolio import ForeignOrder, Holding
from protocol.risk import Bound, CapType, Decision, Outcome, Reason
from protocol.strategy import Regime
from protocol.venue import Balance, FeesKnown, GetFees
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    DOGE,
    ETH,
    LINK,
    SOL,
    D,
    alerts,
    exit_wanted,
    fill_applied,
    noted,
    operator_order,
    order,
    position,
    product_rules,
    products_known,
    proposal,
    told,
    view,
)


def desk(*messages, **limits):
    made = RiskDesk(**limits)
    made.tell(*messages)
    return made


def sized(*messages, asked=None, regime=Regime.CHOP, **limits):
    made = desk(*messages, **limits)
    (decision,) = noted(made.ask(asked or proposal(), regime=regime), Decision)
    return decision


SIZES = {
    "what fits is granted whole": ({"asked": proposal(pct=3)}, "300", False),
    "more than the position cap is cut to it": ({"asked": proposal(pct=10)}, "300", True),
    "tier two has its own cap": ({"asked": proposal(DOGE, pct=10)}, "200", True),
    "a bear halves and more": ({"asked": proposal(pct=10), "regime": Regime.BEAR}, "180", True),
    "a bull widens a position": ({"asked": proposal(pct=10), "regime": Regime.BULL}, "360", True),
    "a bull never widens the asset cap": (
        {"asked": proposal(pct=10), "regime": Regime.BULL, "max_per_asset_pct": D("3.1")},
        "310",
        True,
    ),
    "the theme cap counts what the theme holds": (
        {"messages": [view(positions=(position(ETH, 5), position(SOL, "4.5")))], "asked": proposal(pct=3)},
        "50",
        True,
    ),
    "the total cap counts every product": (
        {"asked": proposal(pct=3), "max_total_at_risk_pct": D(12), "messages": [view(positions=(position(LINK, 10),))]},
        "200",
        True,
    ),
    "the strategy's budget counts its positions": (
        {"messages": [view(positions=(position(LINK, "13.5"),))], "asked": proposal(pct=3)},
        "150",
        True,
    ),
    "another strategy's positions leave the budget alone": (
        {"messages": [view(positions=(position(LINK, "13.5", strategy="other"),))], "asked": proposal(pct=3)},
        "300",
        False,
    ),
    "a resting purchase elsewhere uses the theme's room at its limit": (
        {"messages": [order(ETH, size=9, limit="101")], "asked": proposal(pct=3)},
        "91",
        True,
    ),
    "the part that is booked already is not counted twice": (
        {
            "messages": [
                order(ETH, size=9, limit=100, filled_size=D(5), filled_value=D(500), booked_size=D(5)),
                view(positions=(position(ETH, 5),)),
            ],
            "asked": proposal(pct=3),
        },
        "100",
        True,
    ),
    "a filled order counts until its fills are booked": (
        {
            "messages": [order(ETH, size=9, status=Status.FILLED, filled_size=D(9), filled_value=D(900))],
            "asked": proposal(pct=3),
        },
        "100",
        True,
    ),
    "an order of unknown outcome counts in full": (
        {"messages": [order(ETH, size=9, status=Status.UNRESOLVED)], "asked": proposal(pct=3)},
        "100",
        True,
    ),
    "a purchase at any price counts at the ask of its decision": (
        {"messages": [order(ETH, size=9, limit=None)], "asked": proposal(pct=3)},
        "99.91",
        True,
    ),
    "a resting sale frees nothing": (
        {
            "messages": [view(positions=(position(ETH, 9),)), order(ETH, Side.SELL, size=9)],
            "asked": proposal(pct=3),
        },
        "100",
        True,
    ),
    "external holdings count towards the total": (
        {
            "messages": [view(external=(Holding(currency="PEPE", quantity=D(1), value_usd=D(2400)),))],
            "asked": proposal(pct=3),
        },
        "100",
        True,
    ),
    "and do not when the operator says so": (
        {
            "messages": [view(external=(Holding(currency="PEPE", quantity=D(1), value_usd=D(2400)),))],
            "asked": proposal(pct=3),
            "count_external": False,
        },
        "300",
        False,
    ),
    "only what exceeds the buffer of external holdings counts": (
        {
            "messages": [view(external=(Holding(currency="PEPE", quantity=D(1), value_usd=D(2700)),))],
            "asked": proposal(pct=3),
            "external_buffer_pct": D(4),
        },
        "200",
        True,
    ),
    "somebody else's resting purchase uses the room of the whole": (
        {"messages": [view(foreign_orders=(ForeignOrder(product_id=LINK, usd=D(2400)),))], "asked": proposal(pct=3)},
        "100",
        True,
    ),
    "and that of its asset": (
        {
            "messages": [view(foreign_orders=(ForeignOrder(product_id="BTC-USDC", usd=D(300)),))],
            "asked": proposal(pct=3),
        },
        "100",
        True,
    ),
    "but none where external holdings do not count": (
        {
            "messages": [view(foreign_orders=(ForeignOrder(product_id=LINK, usd=D(2400)),))],
            "asked": proposal(pct=3),
            "count_external": False,
        },
        "300",
        False,
    ),
    "a position without a price counts at what it cost": (
        {"messages": [view(positions=(position(ETH, 9, mark=None),))], "asked": proposal(pct=3)},
        "100",
        True,
    ),
}


@pytest.mark.req("E1", "E2", "U2", "U3", "STR3")
@pytest.mark.parametrize(("scene", "usd", "degraded"), SIZES.values(), ids=SIZES)
def test_a_request_is_sized_to_the_tightest_cap(scene, usd, degraded):
    messages = scene.get("messages", [])
    decision = sized(*messages, **{k: v for k, v in scene.items() if k != "messages"})
    assert decision.approved, decision.code
    assert (decision.approved_usd, decision.degraded) == (D(usd), degraded)


@pytest.mark.req("E2")
def test_nothing_is_added_beside_a_foreign_purchase_that_nobody_can_measure():
    unknown = ForeignOrder(product_id="LINK-EUR", usd=None)
    assert sized(view(foreign_orders=(unknown,))).code is Reason.NO_NAV


REFUSALS = {
    "a position cap without room": (
        {"messages": [order(ETH, size=3)], "asked": proposal(ETH)},
        {"pending_buy_exists", "position_cap"},
    ),
    "a theme without room": (
        {"messages": [view(positions=(position(ETH, 6), position(SOL, 4)))]},
        {"theme_cap"},
    ),
    "a theme without room for a purchase worth sending": (
        {"messages": [view(positions=(position(ETH, 6), position(SOL, "3.95")))], "asked": proposal(pct=3)},
        {"below_min_after_caps"},
    ),
    "a budget without room": ({"messages": [view(positions=(position(LINK, 15),))]}, {"strategy_cap"}),
    "the whole at its cap": (
        {"messages": [view(positions=(position(LINK, 25, strategy="other"),))]},
        {"total_at_risk_cap"},
    ),
    "a request of nothing": ({"asked": proposal(pct=0)}, {"non_positive_request"}),
    "a negative request": ({"asked": proposal(pct=-1)}, {"non_positive_request"}),
    "a request below the smallest position": ({"asked": proposal(pct="0.2499")}, {"position_size_too_small"}),
    "a request below the smallest order": ({"asked": proposal(pct="0.1")}, {"below_min_after_caps"}),
    "a crash, where every cap is nothing": (
        {"regime": Regime.CRASH},
        {"max_open_positions", "strategy_cap", "total_at_risk_cap", "position_cap", "theme_cap"},
    ),
    "too little money": (
        {"messages": [view(balances=(Balance(currency="USD", available=D(10), hold=D(0)),))]},
        {"insufficient_funds"},
    ),
    "money of another currency": (
        {"messages": [view(balances=(Balance(currency="EUR", available=D(10_000), hold=D(0)),))]},
        {"insufficient_funds"},
    ),
}


@pytest.mark.req("E1", "U2", "STR3")
@pytest.mark.parametrize(("scene", "codes"), REFUSALS.values(), ids=REFUSALS)
def test_what_does_not_fit_is_refused_with_the_code_of_what_stops_it(scene, codes):
    messages = scene.get("messages", [])
    decision = sized(*messages, **{k: v for k, v in scene.items() if k != "messages"})
    assert not decision.approved
    assert {v.code.value for v in decision.verdicts if not v.passed} == codes
    assert decision.approved_usd == 0


@pytest.mark.req("E1")
def test_the_record_says_what_would_have_had_to_be_different():
    made = desk(view(positions=(position(ETH, 6), position(SOL, 4))))
    decision = made.decide(proposal(BTC, pct=2))[BTC]
    assert (decision.code, decision.cap_type, decision.outcome) == (Reason.THEME_CAP, CapType.THEME, Outcome.DROP)
    assert (decision.current_pct, decision.proposed_pct, decision.limit_pct) == (10, 2, 10)
    assert (decision.requested_usd, decision.approved_usd) == (200, 0)
    verdict = decision.refusal
    assert (verdict.value, verdict.limit, verdict.bound) == (D(0), D(25), Bound.AT_LEAST)
    assert "no_capacity" in verdict.detail


@pytest.mark.req("X3")
def test_the_fee_is_part_of_what_must_be_affordable():
    exact = sized(view(balances=(Balance(currency="USD", available=D("201.2"), hold=D(0)),)), asked=proposal(pct=2))
    assert (exact.approved_usd, exact.degraded) == (D(200), False)
    short = sized(view(balances=(Balance(currency="USD", available=D("201.1"), hold=D(0)),)), asked=proposal(pct=2))
    assert short.degraded
    assert short.approved_usd * D("1.006") <= D("201.1")
    assert (short.cap_type, short.outcome) == (CapType.FUNDS, Outcome.SIZE), "the record names the money, not a cap"


VIABLE = {
    "the minimum net of the maker fee is viable": ("0.1004016064257028113", "approved"),
    "a hair below it is not": ("0.1004016064257028112", "below_min_after_caps"),
}


@pytest.mark.req("X3")
@pytest.mark.parametrize(("pct", "code"), VIABLE.values(), ids=VIABLE)
def test_the_smallest_purchase_is_the_minimum_and_its_fee(pct, code):
    assert desk(min_position_size_pct=D(0)).code(proposal(pct=pct)) == code


@pytest.mark.req("X3")
def test_the_venues_own_minimum_counts_where_it_is_larger():
    made = desk(products_known(product_rules(quote_min_size=D(100))))
    assert made.code(proposal(pct=1)) == "below_min_after_caps"
    assert made.code(proposal(pct="1.01")) == "approved"


@pytest.mark.req("X3")
def test_fees_that_the_venue_tells_move_the_minimum():
    made = desk(min_position_size_pct=D(0))
    asked = proposal(pct="0.1005")
    assert made.code(asked) == "approved"
    made.tell(FeesKnown(request_id="fees", maker_bps=D(60), taker_bps=D(120)))
    assert made.code(asked) == "below_min_after_caps"


RATES = {
    "the venue's where they are higher": ((60, 120), {}, (60, 120)),
    "the constants are their floor": ((0, 5), {}, (40, 60)),
    "the constants alone, where the policy says so": ((60, 120), {"venue_fees": False}, (40, 60)),
}


@pytest.mark.req("X3")
@pytest.mark.parametrize(("told_bps", "changes", "held"), RATES.values(), ids=RATES)
def test_one_pair_of_rates(told_bps, changes, held):
    made = desk(fees_known(*told_bps), **changes)
    assert (made.state.limits.maker_fee_bps, made.state.limits.taker_fee_bps) == held


def fees_known(maker, taker):
    return FeesKnown(request_id="fees", maker_bps=D(maker), taker_bps=D(taker))


@pytest.mark.req("X3")
def test_a_change_of_rates_is_an_alert_and_the_first_word_is_none():
    made = desk()
    assert alerts(made.tell(fees_known(40, 60))) == []
    assert alerts(made.tell(fees_known(60, 120))) == [("fee_change", "WARNING")]
    assert alerts(made.tell(fees_known(60, 120))) == []
    assert alerts(made.tell(fees_known(40, 80))) == [("fee_change", "WARNING")]


@pytest.mark.req("X3")
@pytest.mark.parametrize(("fee", "asks"), [("0.60", 0), ("0.61", 0), ("0.62", 1), ("0.40", 1)], ids=str)
def test_a_commission_that_disagrees_asks_the_venue_again(fee, asks):
    made = desk(fees_known(60, 120))
    assert len(told(made.tell(fill_applied(fee=D(fee), entry_id=fee)), GetFees, "gateway")) == asks


GRIDS = ("0.00000001", "0.001", "0.01", "0.1", "1")


@pytest.mark.req("X3")
@pytest.mark.parametrize("increment", GRIDS)
@pytest.mark.parametrize("fee_bps", [0, 40, 120])
def test_what_risk_lets_pass_at_the_boundary_execution_does_not_refuse(increment, fee_bps):
    """At the smallest size that is approved the first maker try is an order; a hair less is refused by risk already."""
    rules = product_rules(quote_min_size=D(10), base_min_size=D(increment), base_increment=D(increment))
    made = desk(products_known(rules), fees_known(fee_bps, 120), maker_floor_bps=D(0), min_position_size_pct=D(0))
    small = made.decide(proposal(pct="0.0001"))[BTC]
    (least,) = [v.limit for v in small.verdicts if v.detail == "request"]
    assert made.code(proposal(pct=least / 100 * D("0.999999999"))) == "below_min_after_caps"
    (placed,) = told(made.ask(proposal(pct=least / 100 * D("1.000000001"))), PlaceIntent)
    intent, seen = placed.intent, made.state.quotes[BTC]
    timing = (made.now, Expiry())
    built = build("c", intent, Try(step=intent.steps[0], remaining=intent.quote_size), (rules, seen), timing)
    assert isinstance(built, OrderSpec), built
    assert built.base_size * built.limit_price * (1 + D(fee_bps) / 10_000) <= intent.quote_size * D("1.02")


HOLDS_BTC = view(positions=(position(BTC, 5),))


@pytest.mark.req("E1")
def test_a_cap_lowered_below_what_is_held_buys_no_more_and_sells_nothing_by_itself():
    made = desk(HOLDS_BTC, theme_caps_pct=(("LAYER1", D(20)),))
    assert made.code(proposal(ETH)) == "approved"
    lowered = replace(made.state.limits, theme_caps_pct=(("LAYER1", D(3)),))
    made.state = replace(made.state, limits=lowered)
    made.restart()
    made.get_ready()
    assert told(made.tell(HOLDS_BTC), PlaceIntent) == []
    assert made.code(proposal(ETH)) == "theme_cap"
    assert len(told(made.tell(exit_wanted(quantity=D(5))), PlaceIntent, "orders")) == 1


@pytest.mark.req("E1")
def test_a_request_a_hundred_times_too_large_never_leaves_at_its_size():
    assert sized(asked=proposal(pct=300)).approved_usd == 300, "cut to the position's cap"
    assert not desk().operate(operator_order(ETH, base_size=None, quote_size=D(30_000))).approved
