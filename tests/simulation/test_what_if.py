"""What-if on a running desk: a look at the live book that leaves neither order, nor record, nor journal entry."""

import json
from decimal import Decimal

import pytest

from ops.simulate.journal import messages, unsealed
from ops.simulate.world import Simulation
from protocol.control import Asked, SupposeByHand, Why
from protocol.orders import Side
from protocol.risk import WhatIf, WhatIfJudged

PRODUCTS = ("BTC-USD", "ETH-USD", "SOL-USD")


def kept(simulation):
    """Every message of the journal."""
    return [message for _, message in messages(unsealed(simulation))]


@pytest.mark.req("E1")
def test_a_question_is_answered_and_leaves_nothing_behind():
    simulation = Simulation(3, PRODUCTS)
    simulation.run(20.0)
    request = SupposeByHand(by="ann@desk", product_id="BTC-USD", side=Side.BUY, size=None, quote=Decimal(150))
    for number in range(20):
        simulation.tell("control", Asked(connection=100 + number, request=request))
        simulation.run(0.5)
    answers = [a.reply for a in simulation.desk.control.answers if a.connection >= 100]
    assert len(answers) == 20
    assert {a.code for a in answers} == {0}
    told = [json.loads(a.data) for a in answers]
    assert {t["product_id"] for t in told} == {"BTC-USD"}
    journal = kept(simulation)
    assert not {type(m) for m in journal} & {WhatIf, WhatIfJudged}, "only that somebody asked is on record"
    correlations = {getattr(m, "correlation", "") for m in journal}
    assert not {c for c in correlations if c.startswith("hand/")}, "no order, no decision record came of it"
    assert not simulation.desk.node.dead_letters


@pytest.mark.req("E1")
def test_why_speaks_of_every_product_of_a_running_desk():
    simulation = Simulation(4, PRODUCTS)
    simulation.run(30.0)
    for number, product in enumerate(PRODUCTS):
        simulation.tell("control", Asked(connection=200 + number, request=Why(by="ann@desk", product_id=product)))
    simulation.run(1.0)
    told = [json.loads(a.reply.data) for a in simulation.desk.control.answers if a.connection >= 200]
    assert [t["product_id"] for t in told] == list(PRODUCTS)
    for shown in told:
        assert shown["verdict"]
        assert shown["cycle"] >= 1
        traded = any(d["approved"] for d in shown["decisions"])
        assert traded or shown["verdict"] == "not a candidate" or shown["stopped_by"] or shown["no_trade_reason"]
