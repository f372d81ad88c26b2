"""Exits and operators' sales: never more than is held, never twice, each try further, and what may not stop them."""

import pytest

from protocol.effects import Commit
from protocol.orders import IntentDone, PlaceIntent, Purpose, Side, Status, Step, StepKind
from protocol.risk import Reason
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    DOGE,
    ETH,
    LINK,
    NOON_NS,
    SOL,
    XRP,
    D,
    exit_wanted,
    fill_applied,
    intent_done,
    operator_order,
    order,
    position,
    product_rules,
    products_known,
    quote,
    told,
    view,
)


def placed(effects):
    return [p.intent for p in told(effects, PlaceIntent, "orders")]


def holding(*messages, quantity=1):
    desk = RiskDesk()
    desk.tell(view(positions=(position(quantity=quantity),)), *messages)
    return desk


SELLABLE = {
    "all that is held": ((), 1, None),
    "a hair more than is held": ((), "1.00000001", Reason.SHORTING_DISALLOWED),
    "what a working sale leaves": ((order(side=Side.SELL, size="0.4"),), "0.6", None),
    "more than a working sale leaves": (
        (order(side=Side.SELL, size="0.4"),),
        "0.61",
        Reason.SHORTING_DISALLOWED,
    ),
    "what an ended sale did not sell": (
        (order(side=Side.SELL, size=1, status=Status.CANCELED, filled_size=D("0.4")),),
        "0.6",
        None,
    ),
    "what an ended sale sold and the books do not have yet": (
        (order(side=Side.SELL, size=1, status=Status.CANCELED, filled_size=D("0.4")),),
        "0.61",
        Reason.SHORTING_DISALLOWED,
    ),
    "what a sale of unknown outcome may sell": (
        (order(side=Side.SELL, status=Status.UNRESOLVED),),
        "0.01",
        Reason.SHORTING_DISALLOWED,
    ),
    "what was sold since the last view": (
        (fill_applied(buy=False, net=0, size=D(1)),),
        "0.01",
        Reason.SHORTING_DISALLOWED,
    ),
    "what a sale of another product sells": ((order(ETH, Side.SELL),), 1, None),
}


@pytest.mark.req("R1")
@pytest.mark.parametrize(("messages", "size", "code"), SELLABLE.values(), ids=SELLABLE)
def test_an_operator_may_sell(messages, size, code):
    assert holding(*messages).operate(operator_order(side=Side.SELL, base_size=D(size))).code is code


@pytest.mark.req("R1")
def test_the_same_units_are_not_sold_twice_while_no_order_is_known():
    desk = holding()
    assert desk.operate(operator_order(side=Side.SELL, correlation="a")).approved
    assert desk.operate(operator_order(side=Side.SELL, correlation="b")).code is Reason.SHORTING_DISALLOWED
    assert placed(desk.tell(exit_wanted())) == []
    desk.tell(intent_done(correlation="a"))
    assert len(placed(desk.tell(exit_wanted()))) == 1
    assert desk.operate(operator_order(side=Side.SELL, correlation="c")).code is Reason.SHORTING_DISALLOWED


@pytest.mark.req("R1")
def test_a_next_try_of_an_exit_is_not_stopped_by_the_one_before_it():
    desk = holding()
    assert len(placed(desk.tell(exit_wanted()))) == 1
    assert len(placed(desk.tell(exit_wanted(step=1)))) == 1


LADDER = {
    0: Step(kind=StepKind.IOC, through_bps=D(100)),
    1: Step(kind=StepKind.IOC, through_bps=D(150)),
    2: Step(kind=StepKind.IOC, through_bps=D(200)),
    3: Step(kind=StepKind.IOC, through_bps=D(250)),
    4: Step(kind=StepKind.MARKET),
    9: Step(kind=StepKind.MARKET),
}


@pytest.mark.parametrize(("number", "step"), LADDER.items(), ids=[f"try {n}" for n in LADDER])
def test_each_try_of_an_exit_goes_further(number, step):
    (sent,) = placed(holding().tell(exit_wanted(step=number)))
    assert sent.steps == (step,)
    assert (sent.side, sent.base_size, sent.exit_code) == (Side.SELL, D(1), "stop_loss")


EXIT_PASSES = {
    "wide spread": (quote(bid="50", ask="150"),),
    "thin book": (quote(bid_depth_usd=D(0)),),
    "unknown net value": (view(nav=None, positions=(position(),)),),
    "a full house": (view(positions=(position(), *(position(p) for p in (ETH, SOL, LINK, XRP, DOGE)))),),
    "a position smaller than any entry": (view(positions=(position(quantity=1),), nav=1_000_000),),
}


@pytest.mark.parametrize("messages", EXIT_PASSES.values(), ids=EXIT_PASSES)
def test_an_exit_is_not_stopped_by(messages):
    assert len(placed(holding(*messages).tell(exit_wanted()))) == 1


EXIT_WAITS = {
    "a stale quote": ((quote(at=NOON_NS - 5_000_000_001),), "stale_data"),
    "a disabled product": ((products_known(product_rules(ETH)),), "product_disabled"),
    "a position that is gone": ((view(),), "shorting_disallowed"),
}


@pytest.mark.parametrize(("messages", "code"), EXIT_WAITS.values(), ids=EXIT_WAITS)
def test_a_refused_exit_is_handed_back_with_its_reason(messages, code):
    effects = holding(*messages).tell(exit_wanted())
    assert placed(effects) == []
    (back,) = told(effects, IntentDone, "portfolio")
    assert (back.outcome, back.purpose, back.correlation) == (f"refused:{code}", Purpose.EXIT, "c-BTC-USD")


def test_an_exit_does_not_wait_for_risks_own_disk():
    effects = holding().tell(exit_wanted())
    assert not any(isinstance(e, Commit) for e in effects)
