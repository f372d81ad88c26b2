"""Sizing methods, what closed trades teach, adds to positions, the smallest and the largest order (risk.md §6, §9)."""

import pytest
from msgspec.structs import replace

from actors.risk.methods import kelly
from actors.risk.state import Closed
from protocol.orders import OrderUpdate, Status
from protocol.policy import SizingMethod
from protocol.portfolio import Holding
from protocol.risk import CapType, Decision, Outcome, Reason
from protocol.strategy import Regime
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    ETH,
    LINK,
    SOL,
    D,
    fill_applied,
    noted,
    operator_order,
    order,
    position,
    proposal,
    view,
)


def one(desk, asked=None, regime=Regime.CHOP):
    (decision,) = noted(desk.ask(asked or proposal(pct=2), regime=regime), Decision)
    return decision


# --- methods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("regime", "usd"), [(Regime.CHOP, 150), (Regime.BULL, 180), (Regime.BEAR, 90)])
def test_fixed_asks_for_its_amount_times_the_regime_whatever_is_proposed(regime, usd):
    desk = RiskDesk(sizing=SizingMethod.FIXED, fixed_size_usd=D(150))
    decision = one(desk, proposal(pct=9), regime)
    assert (decision.requested_usd, decision.approved_usd, decision.method) == (usd, usd, "fixed")


@pytest.mark.req("STR4")
def test_a_strategys_caution_holds_for_every_method():
    """A canary, or a wild market: risk parity has it in what is proposed, fixed and Kelly begin elsewhere."""
    cautious = replace(proposal(pct=2), size_share=D("0.25"))
    fixed = RiskDesk(sizing=SizingMethod.FIXED, fixed_size_usd=D(200))
    assert one(fixed, cautious).requested_usd == 50
    kelly_desk = RiskDesk(sizing=SizingMethod.KELLY)
    traded(kelly_desk, 60)
    assert one(kelly_desk, cautious).requested_usd == pytest.approx(D(10_000) / 12 / 4)
    assert one(RiskDesk(), cautious).requested_usd == 200
    assert one(RiskDesk(), replace(cautious, size_share=D(0))).code is Reason.SCHEMA_INVALID


def test_risk_parity_is_what_the_strategy_proposes():
    decision = one(RiskDesk(), proposal(pct=2))
    assert (decision.requested_usd, decision.method) == (200, "risk_parity")


FRACTIONS = {
    "three wins of two against two losses of one": (Closed(wins=3, losses=2, won_usd=D(6), lost_usd=D(2)), "0.1"),
    "an even game is worth nothing": (Closed(wins=5, losses=5, won_usd=D(5), lost_usd=D(5)), "0"),
    "a losing one is worth nothing": (Closed(wins=2, losses=8, won_usd=D(2), lost_usd=D(8)), "0"),
    "without a gain there is nothing to bet on": (Closed(losses=60, lost_usd=D(60)), "0"),
    "no trades at all are no reason to bet": (Closed(), "0"),
    "losses without money leave the share of wins": (Closed(wins=30, losses=30, won_usd=D(30)), "0.125"),
    "only wins are a quarter of everything": (Closed(wins=60, won_usd=D(60)), "0.25"),
}


@pytest.mark.parametrize(("closed", "share"), FRACTIONS.values(), ids=FRACTIONS)
def test_a_quarter_of_kellys_fraction(closed, share):
    assert kelly(closed) == D(share)


def traded(desk, trades):
    """So many closed trades: every third loses 1 USD, the others win 1 USD, each sold in two parts."""
    for number in range(trades):
        net = D(-1) if number % 3 == 2 else D(1)
        parts = {"buy": False, "correlation": f"t{number}", "client_order_id": f"c{number}"}
        first = fill_applied(LINK, net=D("-0.25"), entry_id=f"a{number}", **parts)
        last = fill_applied(LINK, net=net + D("0.25"), entry_id=f"b{number}", **parts)
        desk.tell(replace(first, closed_position=False), last)


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_kelly_needs_fifty_closed_trades_and_says_so_until_then(restarts):
    desk = RiskDesk(sizing=SizingMethod.KELLY)
    traded(desk, 49)
    early = one(desk)
    assert (early.requested_usd, early.method) == (200, "risk_parity: kelly needs 50 closed trades, there are 49")
    desk = RiskDesk(sizing=SizingMethod.KELLY)
    traded(desk, 60)
    if restarts:
        desk.restart()
        desk.get_ready()
    known = one(desk)
    assert known.method == "kelly over 60 trades"
    assert known.requested_usd == pytest.approx(D(10_000) / 12), "w 2/3 at even odds: a third, and a quarter of that"
    assert (known.approved_usd, known.cap_type) == (300, CapType.POSITION), "under the tier's cap all the same"


def test_another_strategys_trades_teach_nothing():
    desk = RiskDesk(sizing=SizingMethod.KELLY)
    traded(desk, 60)
    assert "there are 0" in one(desk, proposal(strategy="second")).method


def test_a_losing_strategy_is_asked_for_nothing():
    desk = RiskDesk(sizing=SizingMethod.KELLY)
    for number in range(50):
        desk.tell(fill_applied(LINK, buy=False, net=-1, entry_id=f"e{number}", correlation=f"t{number}"))
    assert one(desk).code is Reason.NON_POSITIVE_REQUEST


# --- smallest and largest -----------------------------------------------------------------------------------------


@pytest.mark.req("X3")
def test_no_order_is_larger_than_the_largest():
    desk = RiskDesk(max_order_usd=D(120))
    decision = one(desk)
    assert (decision.approved_usd, decision.cap_type, decision.outcome) == (120, CapType.ORDER, Outcome.SIZE)
    fresh = RiskDesk(max_order_usd=D(120))
    assert fresh.operate(operator_order(ETH, quote_size=D(121))).code is Reason.POSITION_CAP
    assert fresh.operate(operator_order(ETH, quote_size=D(120))).approved


@pytest.mark.req("X3")
def test_the_smallest_order_counts_where_it_is_larger_and_has_its_fee_on_top():
    desk = RiskDesk(min_order_usd=D(100), maker_fee_bps=D(50))
    assert one(desk, proposal(pct="1.005")).code is Reason.BELOW_MIN_AFTER_CAPS
    assert one(desk, proposal(pct="1.0051")).approved


BUMPS = {
    "off: too small is too small": (False, "0.1", None),
    "on: a smaller request becomes the least that is worth sending": (True, "0.1", 25),
    "on: a larger one stays": (True, 1, 100),
    "on: nothing stays nothing": (True, 0, None),
}


@pytest.mark.parametrize(("bump", "pct", "usd"), BUMPS.values(), ids=BUMPS)
def test_bump_to_the_minimum(bump, pct, usd):
    decision = one(RiskDesk(bump_to_min=bump), proposal(pct=pct))
    assert (decision.approved_usd if decision.approved else None) == usd


@pytest.mark.req("E1")
def test_a_bumped_request_meets_every_cap():
    desk = RiskDesk(bump_to_min=True)
    desk.tell(view(positions=(position(ETH, 6), position(SOL, "3.8"))))
    assert one(desk, proposal(BTC, pct="0.1")).code is Reason.BELOW_MIN_AFTER_CAPS


# --- external holdings --------------------------------------------------------------------------------------------


def owning(currency, usd, **limits):
    desk = RiskDesk(**limits)
    desk.tell(view(external=(Holding(currency=currency, quantity=D(1), value_usd=D(usd)),)))
    return desk


FOREIGN = {
    "the same coin uses up its asset's cap": (("BTC", 350), proposal(BTC, pct=3), "50", CapType.ASSET),
    "a wrapped one too": (("WBTC", 350), proposal(BTC, pct=3), "50", CapType.ASSET),
    "another coin of the theme uses up the theme's": (("ETH", 900), proposal(BTC, pct=3), "100", CapType.THEME),
    "a coin of another theme only the whole": (("DOGE", 2400), proposal(BTC, pct=3), "100", CapType.TOTAL),
}


@pytest.mark.req("E1", "U2")
@pytest.mark.parametrize(("held", "asked", "usd", "cap"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_counts(held, asked, usd, cap):
    decision = one(owning(*held), asked)
    assert (decision.approved_usd, decision.cap_type) == (D(usd), cap)


def test_what_is_not_ours_is_no_position_of_ours():
    assert one(owning("BTC", 50)).approved, "it blocks neither an entry nor a slot"


# --- adds ---------------------------------------------------------------------------------------------------------

ADDS = {"pyramiding": True, "max_pyramids": 1, "cooldown_fill_ns": 0, "symbol_spacing_ns": 0, "spacing_ns": 0}


def holding(**limits):
    """A desk that bought one BTC at 100 USD in two fills of one order, and heard of nothing since."""
    desk = RiskDesk(**{**ADDS, **limits})
    bought = fill_applied(BTC, size=D("0.5"), client_order_id="c-open")
    desk.tell(replace(bought, entry_id="e1"), replace(bought, entry_id="e2"), view(positions=(position(BTC),)))
    return desk


def added(desk, name):
    desk.tell(fill_applied(BTC, entry_id=f"e-{name}", client_order_id=f"c-{name}"), view(positions=(position(BTC),)))
    return desk


def codes(desk):
    return {v.code for v in one(desk, proposal(BTC, pct=1)).verdicts if not v.passed}


def test_an_add_waits_ten_minutes_after_the_last_purchase():
    desk = holding()
    assert codes(desk.later(599.999)) == {Reason.PYRAMID_COOLDOWN}
    assert codes(desk.later(0.001)) == set()


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_one_add_in_twenty_four_hours_and_the_opening_is_none(restarts):
    desk = added(holding().later(600), "add")
    if restarts:
        desk.restart()
        desk.get_ready()
        desk.tell(view(positions=(position(BTC),)))
    assert codes(desk.later(600)) == {Reason.PYRAMID_DAILY_LIMIT}
    assert codes(desk.later(24 * 3600 - 600.001)) == {Reason.PYRAMID_DAILY_LIMIT}
    assert codes(desk.later(0.001)) == set()


def test_an_opening_whose_order_told_of_it_before_the_books_is_no_add():
    desk = RiskDesk(**ADDS)
    told = order(BTC, status=Status.FILLED, filled_size=D(1), filled_value=D(100))
    desk.tell(OrderUpdate(state=told), fill_applied(BTC, client_order_id=told.client_order_id))
    desk.tell(OrderUpdate(state=replace(told, booked_size=D(1))), view(positions=(position(BTC),)))
    assert codes(desk.later(600)) == set()


def test_many_fills_of_one_add_are_one():
    desk = holding(max_adds_per_day=2).later(600)
    for number in range(3):
        desk.tell(fill_applied(BTC, entry_id=f"p{number}", client_order_id="c-add"))
    desk.tell(view(positions=(position(BTC),)))
    assert codes(desk.later(600)) == set()


def test_an_add_is_no_new_position_and_fits_under_the_position_cap():
    desk = holding(new_per_hour=0).later(600)
    decision = one(desk, proposal(BTC, pct=3))
    assert (decision.approved_usd, decision.cap_type) == (200, CapType.POSITION)
    assert one(holding(new_per_hour=0).later(600), proposal(ETH)).code is Reason.TRADE_FREQUENCY_HOURLY


FULL = view(positions=(position(BTC), position(ETH), position(SOL)))
HOUSES = {
    "a full house blocks an add": (False, {Reason.ADDS_BLOCKED_WHEN_OVER_CAP}),
    "unless adds may pass it": (True, set()),
}


@pytest.mark.parametrize(("passes", "expected"), HOUSES.values(), ids=HOUSES)
def test_adds_and_slots(passes, expected):
    desk = holding(adds_when_full=passes).later(600)
    desk.tell(FULL)
    assert codes(desk) == expected


def test_without_pyramiding_a_position_is_left_alone_and_a_working_purchase_named_first():
    desk = RiskDesk(cooldown_fill_ns=0)
    desk.tell(view(positions=(position(BTC),)))
    assert codes(desk) == {Reason.ALREADY_HAVE_POSITION}
    desk.tell(order(BTC, size="0.5"))
    assert one(desk, proposal(BTC, pct=1)).code is Reason.PENDING_BUY_EXISTS
