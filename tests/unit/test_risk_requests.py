"""Batches, operators' orders and exits: what is granted together, what is held meanwhile, and what is remembered."""

import pytest
from msgspec.structs import replace

from protocol.effects import Commit, SetTimer
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.orders import PlaceIntent, Purpose, Side, Status, Step, StepKind
from protocol.risk import BatchJudged, OperatorOrderJudged, Reason
from protocol.strategy import Regime
from protocol.venue import FeesKnown, GetFees, QueryFailed
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    DOGE,
    ETH,
    LINK,
    NOON_NS,
    SOL,
    XRP,
    D,
    alerts,
    exit_wanted,
    fill_applied,
    intent,
    intent_done,
    operator_order,
    order,
    position,
    product_rules,
    products_known,
    proposal,
    quote,
    told,
    view,
)

MANY = {"max_new_per_cycle": 10, "max_open_positions": 10, "spacing_ns": 0, "new_per_hour": 100, "trades_per_hour": 100}


def many(**changes):
    """A desk without slots and pacing in the way."""
    desk = RiskDesk(**{**MANY, **changes})
    rows = tuple(replace(row, max_positions=10) for row in desk.state.limits.regimes)
    desk.state = replace(desk.state, limits=replace(desk.state.limits, regimes=rows))
    return desk


def placed(effects):
    return [p.intent for p in told(effects, PlaceIntent, "orders")]


# --- batches ------------------------------------------------------------------------------------------------------


def test_a_batch_is_answered_whole_and_what_was_approved_goes_to_the_desk_after_it_is_on_record():
    desk = many()
    effects = desk.ask(proposal(BTC, pct=2), proposal(ETH, pct=0))
    (answer,) = told(effects, BatchJudged, "cycle")
    assert {d.product_id: d.approved for d in answer.decisions} == {BTC: True, ETH: False}
    (sent,) = placed(effects)
    assert (sent.product_id, sent.quote_size, sent.purpose) == (BTC, D(200), Purpose.ENTRY)
    assert sent.not_after_ns == NOON_NS + 3_000_000_000
    assert [s.kind for s in sent.steps] == [StepKind.MAKER, StepKind.MAKER]
    assert isinstance(effects[0], Commit), "the entry is on record before anybody is told"


def test_a_batch_without_proposals_is_answered_and_nothing_else():
    effects = RiskDesk().ask()
    assert told(effects, BatchJudged, "cycle")[0].decisions == ()
    assert len(effects) == 1


@pytest.mark.req("E1", "U2")
def test_two_proposals_cannot_use_the_same_room():
    desk = many(theme_caps_pct=(("LAYER1", D(5)),))
    decisions = desk.decide(proposal(BTC, pct=3, conviction=0.9), proposal(ETH, pct=3, conviction=0.8))
    assert decisions[BTC].approved_usd == 300
    assert (decisions[ETH].approved_usd, decisions[ETH].degraded) == (D(200), True)
    assert desk.decide(proposal(SOL, pct=3))[SOL].code is Reason.THEME_CAP


@pytest.mark.req("X3")
def test_two_proposals_cannot_spend_the_same_money():
    balance = view().balances[0]
    desk = many()
    desk.tell(view(balances=(replace(balance, available=D(400)),)))
    decisions = desk.decide(proposal(BTC, pct=3, conviction=0.9), proposal(ETH, pct=3, conviction=0.8))
    assert decisions[BTC].approved_usd == 300
    assert decisions[ETH].degraded
    assert (decisions[BTC].approved_usd + decisions[ETH].approved_usd) * D("1.006") < 403


def test_two_proposals_of_one_product_become_one_purchase():
    desk = many()
    effects = desk.ask(proposal(BTC, correlation="a"), proposal(BTC, correlation="b"))
    assert [i.correlation for i in placed(effects)] == ["a"]


RANKS = {
    "the stronger conviction": ((proposal(DOGE, conviction=0.9), proposal(BTC, conviction=0.8)), DOGE),
    "of equals the better tier": ((proposal(DOGE), proposal(SOL)), SOL),
    "of equals of one tier the first by name": ((proposal(SOL), proposal(ETH)), ETH),
}


@pytest.mark.parametrize(("asked", "first"), RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("turned", [False, True], ids=["as listed", "turned round"])
def test_the_one_slot_of_a_cycle_goes_to(asked, first, turned):
    decisions = RiskDesk().decide(*(reversed(asked) if turned else asked))
    assert [p for p, d in decisions.items() if d.approved] == [first]
    assert {d.code for d in decisions.values() if not d.approved} == {Reason.MAX_OPEN_POSITIONS}


# --- slots --------------------------------------------------------------------------------------------------------

TWO = (position(ETH), position(SOL))
SLOTS = {
    "a chop allows three positions": ((view(positions=TWO),), Regime.CHOP, "approved"),
    "and no fourth": ((view(positions=(*TWO, position(LINK))),), Regime.CHOP, "max_open_positions"),
    "a bull allows five": ((view(positions=(*TWO, position(LINK), position(XRP))),), Regime.BULL, "approved"),
    "a bear allows two": ((view(positions=TWO),), Regime.BEAR, "max_open_positions"),
    "a position worth a quarter of the minimum occupies a slot": (
        (view(positions=(*TWO, position(LINK, "0.025"))),),
        Regime.CHOP,
        "max_open_positions",
    ),
    "less than that does not": ((view(positions=(*TWO, position(LINK, "0.0249"))),), Regime.CHOP, "approved"),
    "a working purchase occupies one": ((view(positions=TWO), order(LINK)), Regime.CHOP, "max_open_positions"),
    "a working sale does not": ((view(positions=TWO), order(LINK, Side.SELL)), Regime.CHOP, "approved"),
    "position and purchase of one product share a slot": (
        (view(positions=TWO), order(SOL, filled_size=D("0.5"), booked_size=D("0.5"))),
        Regime.CHOP,
        "approved",
    ),
}


@pytest.mark.parametrize(("messages", "regime", "code"), SLOTS.values(), ids=SLOTS)
def test_slots(messages, regime, code):
    desk = RiskDesk()
    desk.tell(*messages)
    decision = desk.decide(proposal(BTC), regime=regime)[BTC]
    assert ("approved" if decision.code is None else decision.code.value) == code


# --- what is held for an intent -----------------------------------------------------------------------------------


def approved(**limits):
    """A desk that approved 300 USD of ETH, of a theme cap of 500; its correlation is p-ETH-USD."""
    desk = many(theme_caps_pct=(("LAYER1", D(5)),), **limits)
    assert desk.decide(proposal(ETH, pct=3))[ETH].approved_usd == 300
    return desk


def eth(**changes):
    return order(ETH, size=3, intent=intent(ETH, correlation="p-ETH-USD", quote_size=D(300)), **changes)


ENDED = eth(status=Status.CANCELED)
PART = eth(status=Status.CANCELED, filled_size=D(1), filled_value=D(100))
BOOKED = view(positions=(position(ETH),))
HOLDS = {
    "all of it before an order is known": ((), 200),
    "no more and no less once its order is known": ((eth(),), 200),
    "all of it between two tries": ((eth(), ENDED), 200),
    "all of it in the second try": ((eth(), ENDED, eth(name="second")), 200),
    "the rest after a part was filled": ((eth(), PART), 200),
    "the rest after that part was booked": ((eth(), replace(PART, booked_size=D(1)), BOOKED), 200),
    "nothing once the desk is done": ((eth(), ENDED, intent_done(ETH, Side.BUY, correlation="p-ETH-USD")), 300),
    "the end of a sale of the same story ends no purchase": (
        (eth(), ENDED, intent_done(ETH, Side.SELL, correlation="p-ETH-USD")),
        200,
    ),
}


@pytest.mark.req("E2")
@pytest.mark.parametrize(("messages", "left"), HOLDS.values(), ids=HOLDS)
def test_an_approved_purchase_holds(messages, left):
    desk = approved()
    desk.tell(*messages)
    assert desk.decide(proposal(BTC, pct=3))[BTC].approved_usd == left


@pytest.mark.req("E2")
def test_an_intent_lost_with_its_desk_is_let_go_but_not_while_an_order_of_it_lives():
    lost, living = approved(), approved()
    living.tell(eth())
    for desk in (lost, living):
        desk.later(29.999)
        assert desk.code(proposal(BTC, pct=3)) == "approved"
        assert desk.decide(proposal(BTC, pct=5))[BTC].approved_usd == 200
    later = approved()
    later.later(30)
    assert later.decide(proposal(BTC, pct=3))[BTC].approved_usd == 300
    living = approved()
    living.tell(eth())
    living.later(300)
    assert living.decide(proposal(BTC, pct=3))[BTC].approved_usd == 200


@pytest.mark.req("E2")
def test_a_fill_counts_between_its_booking_and_the_next_view():
    desk = approved()
    filled = eth(status=Status.FILLED, filled_size=D(3), filled_value=D(300))
    desk.tell(filled, intent_done(ETH, Side.BUY, correlation="p-ETH-USD"))
    desk.tell(fill_applied(ETH, size=D(3), value=D(300)), replace(filled, booked_size=D(3)))
    assert desk.decide(proposal(BTC, pct=3))[BTC].approved_usd == 200


@pytest.mark.req("E2")
def test_a_batch_delivered_twice_is_granted_once():
    desk = many()
    batch = (proposal(BTC), proposal(ETH))
    assert len(placed(desk.ask(*batch))) == 2
    assert placed(desk.ask(*batch)) == []


# --- cooldowns ----------------------------------------------------------------------------------------------------


def sale(net, code="", name="s"):
    sold = order(side=Side.SELL, name=name, status=Status.FILLED, filled_size=D(1), filled_value=D(100))
    sold = replace(sold, booked_size=D(1), intent=intent(side=Side.SELL, exit_code=code))
    return fill_applied(buy=False, net=net, client_order_id=f"c-{name}"), sold, view()


COOLDOWNS = {
    "a purchase: half an hour": ((fill_applied(), view()), 1800),
    "a win: the longer half hour of the fill stays": (sale(1), 1800),
    "a loss: an hour": (sale(-1), 3600),
    "nothing gained counts as a loss": (sale(0), 3600),
    "a stop: two hours": (sale(-1, "stop_loss"), 7200),
    "a trailing stop: two hours, also with a win": (sale(1, "trailing_stop"), 7200),
    "a stop and then a win: the later one stays": ((*sale(-1, "stop_loss", "a"), *sale(1, "", "b")), 7200),
    "a failed placement: five minutes": ((order(status=Status.REJECTED, error="NO_FUNDS"),), 300),
    "an order that failed at the venue: five minutes": ((order(status=Status.FAILED),), 300),
    "a failed placement after a stop changes nothing": (
        (*sale(-1, "stop_loss"), order(status=Status.REJECTED, error="x")),
        7200,
    ),
}


@pytest.mark.req("CD1")
@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
@pytest.mark.parametrize(("messages", "seconds"), COOLDOWNS.values(), ids=COOLDOWNS)
def test_cooldown_after(messages, seconds, restarts):
    desk = RiskDesk(symbol_spacing_ns=0)
    desk.tell(*messages)
    if restarts:
        desk.restart()
        desk.get_ready()
    desk.later(seconds - 0.001)
    assert desk.code(proposal(BTC)) == "cooldown"
    assert desk.code(proposal(ETH)) == "approved"
    desk.later(0.001)
    assert desk.code(proposal(BTC)) == "approved"


@pytest.mark.req("CD1")
def test_nobody_elses_fill_cools_anything_down():
    desk = RiskDesk()
    desk.tell(fill_applied(client_order_id=None))
    assert desk.code() == "approved"


@pytest.mark.req("CD1")
def test_exits_wait_for_no_cooldown():
    desk = RiskDesk()
    desk.tell(fill_applied(), view(positions=(position(),)))
    assert len(placed(desk.tell(exit_wanted()))) == 1


@pytest.mark.req("CD1")
@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_many_fills_of_one_sale_are_one_outcome(restarts):
    desk = RiskDesk()
    fills = [fill_applied(buy=False, net=-1, client_order_id="c-s", entry_id=f"e{n}") for n in range(5)]
    desk.tell(*fills)
    assert desk.seen().loss_streak == 0, "the sale is not over"
    if restarts:
        desk.restart()
        desk.get_ready()
    desk.tell(sale(0)[1])
    assert desk.seen().loss_streak == 1


@pytest.mark.req("CD1")
@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_a_sale_that_filled_for_too_much_has_its_outcome_all_the_same(restarts):
    desk = RiskDesk()
    fill, sold, seen = sale(-1, "stop_loss")
    effects = desk.tell(fill, seen, replace(sold, filled_value=sold.spec.base_size * 200))
    assert len([e for e in effects if isinstance(e, Commit)]) == 1, "one transaction"
    if restarts:
        desk.restart()
        desk.get_ready()
    assert "accounting_mismatch" in {g.code.value for g in desk.seen().gates}
    assert desk.seen().loss_streak == 1
    assert (dict(desk.seen().cooldowns)[BTC] - desk.now) / SECOND_NS == 7200


def test_a_sale_with_a_losing_and_a_larger_winning_part_is_a_win():
    desk = RiskDesk()
    desk.tell(*sale(-1, name="a"), *sale(-1, name="b"))
    desk.tell(fill_applied(buy=False, net=-1, client_order_id="c-s", entry_id="e1"), *sale(3))
    assert desk.seen().loss_streak == 0


# --- operators and drills -----------------------------------------------------------------------------------------


def test_an_operators_order_is_answered_to_whoever_asked_and_keeps_its_own_steps():
    desk = RiskDesk()
    step = Step(kind=StepKind.LIMIT, limit_price=D(99))
    effects = desk.tell(operator_order(base_size=D(2), steps=(step,), reply_to="somebody"))
    assert told(effects, OperatorOrderJudged, "somebody")[0].decision.approved_usd == 198
    (sent,) = placed(effects)
    assert (sent.base_size, sent.steps, sent.purpose, sent.by) == (D(2), (step,), Purpose.OPERATOR, "operator")


WHOLE = {
    "what fits is granted": ({"quote_size": D(300)}, None),
    "a cent too much is refused whole": ({"quote_size": D("300.01")}, Reason.POSITION_CAP),
    "units count at the ask": ({"base_size": D("2.9996")}, None),
    "and a little more of them is too much": ({"base_size": D("2.9999")}, Reason.POSITION_CAP),
    "a try that may pay more counts at the most it may pay": (
        {"base_size": D("2.98"), "steps": (Step(kind=StepKind.IOC, through_bps=D(100)),)},
        Reason.POSITION_CAP,
    ),
    "the dearest of several tries decides": (
        {
            "base_size": D(3),
            "steps": (Step(kind=StepKind.LIMIT, limit_price=D(90)), Step(kind=StepKind.LIMIT, limit_price=D(101))),
        },
        Reason.POSITION_CAP,
    ),
    "nothing at all is refused": ({"quote_size": D(0)}, Reason.NON_POSITIVE_REQUEST),
    "less than nothing is refused": ({"base_size": D(-1)}, Reason.NON_POSITIVE_REQUEST),
}


@pytest.mark.req("E1")
@pytest.mark.parametrize(("changes", "code"), WHOLE.values(), ids=WHOLE)
def test_an_operators_purchase_is_granted_whole_or_not_at_all(changes, code):
    desk = RiskDesk()
    effects = desk.tell(operator_order(**changes))
    (judged,) = told(effects, OperatorOrderJudged, "control")
    assert judged.decision.code is code
    assert len(placed(effects)) == (code is None)


@pytest.mark.req("E2")
def test_an_operators_purchase_holds_its_worst_price_until_its_order_is_known():
    desk = many(theme_caps_pct=(("LAYER1", D(5)),))
    desk.operate(operator_order(ETH, base_size=D(2), steps=(Step(kind=StepKind.LIMIT, limit_price=D(125)),)))
    assert desk.decide(proposal(BTC, pct=3))[BTC].approved_usd == 250


DRILL = {
    "pacing is waived": ((), {"trades_per_day": 0}, None),
    "a cooldown is waived": ((fill_applied(), view()), {}, None),
    "slots are waived": ((), {"max_open_positions": 0}, None),
    "a position in the product is no hindrance": ((view(positions=(position(),)),), {}, None),
    "the position cap is not waived": ((view(positions=(position(quantity="2.5"),)),), {}, Reason.POSITION_CAP),
    "the theme cap is not waived": (
        (view(positions=(position(ETH, 6), position(SOL, "3.5"))),),
        {},
        Reason.THEME_CAP,
    ),
    "the total cap is not waived": (
        (view(positions=(position(LINK, 25, strategy="x"),)),),
        {},
        Reason.TOTAL_AT_RISK_CAP,
    ),
    "staleness is not waived": ((quote(at=NOON_NS - 5_000_000_001),), {}, Reason.STALE_DATA),
    "product state is not waived": ((products_known(product_rules(ETH)),), {}, Reason.PRODUCT_DISABLED),
    "an unknown net value is not waived": ((view(nav=None),), {}, Reason.NO_NAV),
}


@pytest.mark.req("E1")
@pytest.mark.parametrize(("messages", "limits", "code"), DRILL.values(), ids=DRILL)
def test_of_a_drills_order(messages, limits, code):
    desk = RiskDesk(**limits)
    desk.tell(*messages)
    assert desk.operate(operator_order(drill=True)).code is code


def test_a_drill_leaves_no_trace_in_the_pacing_of_strategies():
    desk = RiskDesk()
    desk.operate(operator_order(ETH, drill=True))
    assert desk.code(proposal(BTC)) == "approved"


@pytest.mark.req("CD1")
def test_a_failed_order_blocks_its_coin_in_every_currency():
    desk = many()
    desk.tell(products_known(*(product_rules(p) for p in (BTC, "BTC-USDC", ETH))))
    desk.tell(order(status=Status.REJECTED, error="NO_FUNDS"))
    blocked = {product: (until - desk.now) / SECOND_NS for product, until in desk.seen().cooldowns}
    assert blocked == {BTC: 300, "BTC-USDC": 300}
    desk.tell(order(ETH, status=Status.REJECTED, error="POST_ONLY"))
    assert ETH not in dict(desk.seen().cooldowns)


# --- start and fees -----------------------------------------------------------------------------------------------


@pytest.mark.req("X3")
def test_fees_are_asked_at_the_start_and_every_hour():
    desk = RiskDesk(ready=False)
    assert len(told(desk.tell(Recover()), GetFees, "gateway")) == 1
    effects = desk.tell(Wake(timer="fees", due_ns=desk.now))
    assert len(told(effects, GetFees, "gateway")) == 1
    assert [t.due_ns for t in effects if isinstance(t, SetTimer)] == [desk.now + 3600 * 10**9]


def test_a_question_for_fees_that_failed_is_put_again_within_seconds():
    desk = RiskDesk()
    (again,) = desk.tell(QueryFailed(request_id="fees", kind="timeout", detail=""))
    assert (again.timer, again.due_ns - desk.now) == ("fees", 5 * SECOND_NS)
    assert len(told(desk.tell(Wake(timer="fees", due_ns=again.due_ns)), GetFees, "gateway")) == 1


def test_the_first_rates_are_said_where_they_are_not_those_of_the_policy():
    assert alerts(RiskDesk().tell(FeesKnown(request_id="fees", maker_bps=D(40), taker_bps=D(60)))) == []
    effects = RiskDesk().tell(FeesKnown(request_id="fees", maker_bps=D(60), taker_bps=D(120)))
    assert alerts(effects) == [("fee_change", "WARNING")]


def test_the_view_counts_what_works_what_was_entered_and_what_cools_down():
    desk = RiskDesk()
    desk.decide(proposal(ETH))
    desk.tell(order(ETH), fill_applied(SOL), view(positions=(position(SOL, 4),)))
    seen = desk.seen()
    assert (seen.exposure_pct, seen.pending_usd) == (D(5), D(100))
    assert (seen.entries_1h, seen.entries_today) == (1, 1)
    assert seen.cooldowns == ((SOL, NOON_NS + 1800 * 10**9),)


@pytest.mark.req("CD1")
@pytest.mark.parametrize(("drill", "code"), [(False, "trade_spacing"), (True, "approved")])
def test_a_purchase_by_hand_paces_what_follows_and_a_drill_does_not(drill, code):
    desk = RiskDesk()
    assert desk.operate(operator_order(ETH, drill=drill)).approved
    desk.finish()
    assert desk.code(proposal(BTC)) == code
    assert desk.seen().entries_1h == (not drill)
