"""What-if and why: the judgement of the real order on the book as it is, nothing changed, and the words about it."""

import argparse
import json

import pytest
from msgspec.structs import replace

from actors.control import explain
from actors.control.core import step as control_step
from actors.control.state import Control, Settings
from actors.recorder.disk import LmdbStore
from ops.exits import VerbError
from ops.what_if import amount, show
from ops.why import answer
from ops.why import main as why_main
from protocol import codec
from protocol.control import Answer, Asked, PlaceByHand, SupposeByHand
from protocol.effects import Tell
from protocol.journal import Append, Draft, EntryKind
from protocol.lifecycle import Recover
from protocol.orders import Side
from protocol.risk import BatchJudged, Decision, OperatorOrder, Pause, Reason, WhatIf, WhatIfJudged
from protocol.strategy import CycleRecord, Exclusion, Passed, Regime
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    SOL,
    D,
    noted,
    operator_order,
    position,
    products_known,
    proposal,
    quote,
    told,
    view,
)
from tests.support.recorder_driver import Driver

BY = "ann@desk"
SETTINGS = Settings(
    bot="bot", mode="PAPER", venue="embedded", profile="embedded", epoch=3, config_hash="ab", versions=()
)

BOOKS = {
    "a purchase that fits": ((), operator_order(), None),
    "one that is too large": ((), operator_order(base_size=D(4)), Reason.POSITION_CAP),
    "one while entries are paused": ((Pause(by="op", reason=""),), operator_order(), Reason.OPERATOR_PAUSE),
    "one in a jump": ((quote(move_sigma=9.0),), operator_order(), Reason.OUTLIER),
    "a sale of what is held": ((view(positions=(position(),)),), operator_order(side=Side.SELL), None),
    "a sale of what is not": ((), operator_order(side=Side.SELL), Reason.SHORTING_DISALLOWED),
}


@pytest.mark.req("E1")
@pytest.mark.parametrize(("messages", "asked", "code"), BOOKS.values(), ids=BOOKS)
def test_what_if_judges_as_the_real_order_is_judged_and_changes_nothing(messages, asked, code):
    desk = RiskDesk()
    desk.tell(*messages)
    state, durable = desk.state, dict(desk.durable)
    effects = desk.tell(WhatIf(order=asked))
    assert desk.state is state
    assert desk.durable == durable
    (answer,) = effects
    assert isinstance(answer, Tell), "no commit, no note, no order"
    assert (answer.to, type(answer.message)) == ("control", WhatIfJudged)
    supposed = answer.message.decision
    assert supposed.code is code
    assert supposed == desk.operate(asked), "the real order gets the very same record"


# --- through control ----------------------------------------------------------------------------------------------


class Desk:
    """Control and risk together, as far as an order by hand goes."""

    def __init__(self):
        self.risk = RiskDesk()
        self.control = Control(settings=SETTINGS)
        self.say(Recover(), products_known())

    def say(self, *messages):
        effects = ()
        for message in messages:
            self.control, effects = control_step(self.control, message, NOON_NS)
        return effects

    def ask(self, request):
        effects = self.say(Asked(connection=1, request=request))
        for asked in (*told(effects, WhatIf, "risk"), *told(effects, OperatorOrder, "risk")):
            answers = self.risk.tell(asked)
            effects = self.say(*(e.message for e in answers if isinstance(e, Tell) and e.to == "control"))
        (answer,) = [e for e in effects if isinstance(e, Answer)]
        return answer.reply


def suppose(side=Side.BUY, product="BTC-USD", size=None, quote=100):
    return SupposeByHand(by=BY, product_id=product, side=side, size=size, quote=D(quote))


@pytest.mark.req("E1")
def test_an_operator_hears_what_would_become_of_it_and_what_it_would_take():
    desk = Desk()
    state = desk.risk.state
    fits = desk.ask(suppose())
    assert (fits.code, fits.text) == (0, "it would be approved: 100 USD")
    large = desk.ask(suppose(quote=400))
    assert large.code == 0, "it was a question, and it was answered"
    assert "refused: position_cap" in large.text
    data = json.loads(large.data)
    assert (data["verdict"], data["code"], data["cap_type"]) == ("DROP", "position_cap", "position")
    assert {(c["code"], c["value"], c["needed"]) for c in data["changes"]} == {("position_cap", "300", "400")}
    assert desk.risk.state is state
    assert desk.control.waiting == {}


def test_the_same_order_in_earnest_says_the_same():
    desk = Desk()
    request = PlaceByHand(
        by=BY, product_id="BTC-USD", side=Side.BUY, size=None, quote=D(400), limit=None, post_only=False
    )
    supposed, real = desk.ask(suppose(quote=400)), desk.ask(request)
    assert real.code == 4
    assert real.text in f"it would be {supposed.text.removeprefix('it would be ')}"


def test_a_product_that_is_not_followed_is_not_found():
    assert Desk().ask(suppose(product="PEPE-USD")).code == 2


AMOUNTS = {"250": (None, D(250)), "1.5BTC": (D("1.5"), None), "1.5 btc": (D("1.5"), None), "0.01": (None, D("0.01"))}


@pytest.mark.parametrize(("text", "meant"), AMOUNTS.items(), ids=AMOUNTS)
def test_an_amount_is_money_or_units(text, meant):
    assert amount(text, "BTC") == meant


@pytest.mark.parametrize("text", ["0", "-1", "x", "BTC", "1ETH", "NaN", "Infinity", ""])
def test_an_amount_that_is_none_is_refused(text):
    with pytest.raises(VerbError):
        amount(text, "BTC")


def test_a_person_reads_verdict_changes_and_rules(capsys):
    show(json.loads(Desk().ask(suppose(quote=400)).data))
    out = capsys.readouterr().out
    assert "buy BTC-USD for 400 USD would get DROP: position_cap" in out
    assert "it would have passed with position_cap: room of position: at least 400 usd" in out
    assert "\tstale_data\t" in out.replace("risk\t", "\t")


# --- why ----------------------------------------------------------------------------------------------------------


def record(number=1, **changes):
    parts = {
        "cycle": number,
        "status": "NO_TRADE",
        "no_trade_reason": "",
        "regime": Regime.CHOP,
        "eligible": 3,
        "triggers": (),
        "passed": (),
        "proposals": 1,
        "approved": 0,
        "excluded": (),
        "stages_us": (),
        "at_ns": NOON_NS + number * 10**9,
    }
    return CycleRecord(**(parts | changes))


def refused_batch():
    """A proposal for BTC that a cap and a jump refuse, as the cycle's batch of number 1."""
    desk = RiskDesk()
    desk.tell(view(positions=(position(ETH, 6), position(SOL, 4))), quote(move_sigma=9.0))
    effects = desk.ask(proposal(BTC, pct=2))
    (decision,) = noted(effects, Decision)
    assert decision.cycle == 1
    return told(effects, BatchJudged)[0]


@pytest.mark.req("O1")
def test_why_names_risks_rule_and_every_change_it_would_have_taken():
    batch = refused_batch()
    trigger = Passed(product_id=BTC, stage="trigger", code="min_score", value=0.1, limit=0.2)
    decisions = [(batch.cycle, d) for d in batch.decisions]
    shown = explain.why([record(passed=(trigger,))], decisions, BTC, None)
    assert (shown["verdict"], shown["stopped_by"]) == ("outlier", {"stage": "risk", "code": "outlier"})
    assert [c["code"] for c in shown["changes"]] == ["outlier", "theme_cap"]
    assert [(c["value"], c["needed"]) for c in shown["changes"]] == [("9", "6"), ("0", "25")]
    assert [r["stage"] for r in shown["rules"]][:2] == ["trigger", "risk"]
    assert shown["decisions"][0]["limit_pct"] == "10"
    json.dumps(shown)


ROWS = {
    "the universe": (
        {"excluded": (Exclusion(product_id=BTC, tier=1, reason="spread", value=30.0, limit=20.0),)},
        ("universe", "spread", 20.0),
    ),
    "the last stage that it reached": (
        {
            "passed": (
                Passed(product_id=BTC, stage="trigger", code="min_score", value=0.1, limit=0.2),
                Passed(product_id=BTC, stage="rules_engine", code="min_conviction", value=0.3, limit=0.4),
            )
        },
        ("rules_engine", "min_conviction", 0.4),
    ),
    "what is being bought already": (
        {"passed": (Passed(product_id=BTC, stage="pending", code="open_orders_pending", value=20.0, limit=10.0),)},
        ("pending", "open_orders_pending", 10.0),
    ),
    "a strategy that failed, for every product": (
        {"passed": (Passed(product_id="", stage="strategy", code="exception:KeyError", value=None, limit=None),)},
        ("strategy", "exception:KeyError", None),
    ),
}


@pytest.mark.parametrize(("changes", "stopped"), ROWS.values(), ids=ROWS)
def test_why_names_what_stopped_it_before_risk(changes, stopped):
    shown = explain.why([record(**changes)], [], BTC, None)
    stage, code, needed = stopped
    assert shown["stopped_by"] == {"stage": stage, "code": code}
    assert shown["verdict"] == code
    assert [c["needed"] for c in shown["changes"]] == [needed]


def test_why_shows_the_cycles_own_reason():
    shown = explain.why([record(no_trade_reason="open_orders_pending")], [], BTC, None)
    assert (shown["verdict"], shown["no_trade_reason"]) == ("open_orders_pending", "open_orders_pending")


def test_a_cycle_of_an_earlier_start_lends_nobody_its_decisions():
    """Numbers begin anew with each start: what was decided before the last record is not of this one."""
    (decision,) = refused_batch().decisions
    records = [record(1, at_ns=NOON_NS + 10), record(1, at_ns=NOON_NS + 20)]
    shown = explain.why(records, [(1, decision)], BTC, None)
    assert shown["decisions"] == []
    assert explain.why(records[:1], [(1, decision)], BTC, None)["decisions"]
    late = replace(decision, at_ns=NOON_NS + 15)
    assert explain.why(records, [(1, late)], BTC, None)["decisions"]


# --- why, without a desk ------------------------------------------------------------------------------------------


def draft(message, at_ns, actor):
    body = codec.encode(message)
    kind = EntryKind.SAID
    return Draft(kind=kind, actor=actor, incarnation=1, sender=actor, seq=1, cause=0, at_ns=at_ns, body=body)


@pytest.fixture
def state_dir(tmp_path):
    """An installation without a desk, whose journal holds two cycles: one with a refusal for BTC, one without."""
    (decision,) = refused_batch().decisions
    journal = (
        draft(decision, decision.at_ns, "risk"),
        draft(record(1), NOON_NS + 10**9, "cycle"),
        draft(record(2, no_trade_reason="empty_universe"), NOON_NS + 2 * 10**9, "cycle"),
    )
    store = LmdbStore(tmp_path / "store")
    Driver(store).deliver(Append(drafts=journal))
    store.close()
    return tmp_path


def test_the_journal_answers_where_no_desk_does(state_dir):
    assert answer(state_dir, "BTC-USD", None)["verdict"] == "empty_universe"
    earlier = answer(state_dir, "BTC-USD", NOON_NS + 10**9)
    assert (earlier["cycle"], earlier["verdict"]) == (1, "outlier")
    assert [c["code"] for c in earlier["changes"]] == ["outlier", "theme_cap"]
    assert answer(state_dir, "BTC-USD", NOON_NS)["verdict"] == "no cycle has finished yet"


def test_why_reads_aloud_what_stopped_it(state_dir, capsys):
    args = argparse.Namespace(state=state_dir, product="btc", at="2026-11-18T12:00:01", json=False)
    assert why_main(args) == 0
    out = capsys.readouterr().out
    assert "BTC-USD: outlier (cycle 1" in out
    assert "stopped by outlier (risk)" in out
    assert "it would have passed with theme_cap" in out


def test_without_desk_and_journal_there_is_nobody_to_ask(tmp_path):
    with pytest.raises(VerbError) as caught:
        answer(tmp_path, "BTC-USD", None)
    assert caught.value.code == 3
