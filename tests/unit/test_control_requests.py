"""The control actor: one answer per request, a rearm only after a clean picture, a stop only after two clean lists."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.control.core import step
from actors.control.state import Control, Settings
from protocol.control import (
    Answer,
    Arm,
    Asked,
    CancelByHand,
    DriftFound,
    DrillLoad,
    KillNow,
    Latch,
    Leave,
    Pages,
    PassOn,
    PauseEntries,
    PlaceByHand,
    Rearm,
    Reply,
    ResumeEntries,
    Shutdown,
    View,
    WatchdogAnswered,
    Why,
)
from protocol.effects import SetTimer, Tell
from protocol.ids import VenueOrderId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.orders import CancelOrder, Drain, Drained, OrderUpdate, Side, Status, StepKind, VenueOrder
from protocol.portfolio import Reconcile, Reconciled
from protocol.risk import (
    ConfigDrift,
    Decision,
    EpochChanged,
    OperatorOrder,
    OperatorOrderJudged,
    Pause,
    Reason,
    Resume,
    TradingState,
    Verdict,
    WatchdogSeen,
)
from protocol.venue import ListOpenOrders, OpenOrdersListed, QueryFailed
from tests.support import desk_scenes as scenes
from tests.support.desk_scenes import BTC, ETH, NOON_NS, order, products_known, quote, told, view

BY = "ann@desk"
SETTINGS = Settings(
    bot="bot", mode="PAPER", venue="embedded", profile="embedded", epoch=3, config_hash="ab", versions=()
)


def latch(*, killed=False):
    return Latch(killed=killed, epoch=3, reason="drill" if killed else "", by="x", at_ns=NOON_NS, scope="mine")


def pages(**changes):
    parts = {"epoch": 3, "watchdog_age_s": 0.1, "latch": latch(), "kill_file": False}
    return Pages(**(parts | changes))


def risk_view(state=TradingState.ACTIVE):
    return scenes.risk_view(state=state, exposure_pct=Decimal(1))


class Rig:
    """A control actor that has heard its pages."""

    def __init__(self, **changes):
        self.now_ns, self.effects = NOON_NS, ()
        self.state = Control(settings=replace(SETTINGS, **changes))
        self.tell(Recover(), pages())

    def tell(self, *messages):
        for message in messages:
            self.state, self.effects = step(self.state, message, self.now_ns)
        return self

    def ask(self, request, connection=1):
        return self.tell(Asked(connection=connection, request=request))

    def armed(self):
        return self.tell(view(), risk_view())

    @property
    def reply(self):
        (answer,) = [e for e in self.effects if isinstance(e, Answer)]
        return answer.reply

    def of(self, kind):
        return [e for e in self.effects if isinstance(e, kind)]


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["status", "orders", "positions", "fills", "universe"])
def test_views_are_json_even_before_anything_is_known(what):
    reply = Rig().ask(View(by=BY, what=what)).reply
    assert reply.code == 0
    json.loads(reply.data)


def test_the_actor_list_is_the_edge_s_to_fill_in():
    (answer,) = Rig().ask(View(by=BY, what="actors")).of(Answer)
    assert answer.with_actors


def test_a_view_nobody_knows_is_not_found():
    assert Rig().ask(View(by=BY, what="weather")).reply.code == 2


def test_why_before_the_first_cycle_says_so():
    reply = Rig().ask(Why(by=BY, product_id="BTC-USD")).reply
    assert (reply.code, reply.text) == (0, "no cycle has finished yet")


@pytest.mark.req("K1")
def test_a_kill_is_the_watchdog_s_and_its_word_is_the_answer():
    kill = KillNow(by=BY, reason="drill", scope="mine")
    rig = Rig().ask(kill, 5)
    assert rig.effects == (PassOn(connection=5, request=kill),)
    word = Reply(code=5, text="not empty yet")
    assert rig.tell(WatchdogAnswered(connection=5, reply=word)).effects == (Answer(connection=5, reply=word),)


def test_pause_and_resume_reach_risk_and_are_answered():
    rig = Rig().ask(PauseEntries(by=BY, reason="lunch"))
    assert (told(rig.effects, Pause, "risk"), rig.reply.code) == ([Pause(by=BY, reason="lunch")], 0)
    rig.ask(ResumeEntries(by=BY))
    assert (told(rig.effects, Resume, "risk"), rig.reply.code) == ([Resume(by=BY)], 0)


def test_what_the_root_finds_on_disk_reaches_risk():
    rig = Rig().ask(DriftFound(by="root", running="ab", found="cd"))
    [drift] = told(rig.effects, ConfigDrift, "risk")
    assert (drift.running, drift.found, rig.reply.code) == ("ab", "cd", 0)
    assert drift.at_ns >= NOON_NS


def by_hand(**changes):
    parts = {"product_id": "btc-usd", "side": Side.BUY, "size": Decimal(1), "quote": None, "limit": None}
    return PlaceByHand(by=BY, **(parts | {"post_only": False} | changes))


def decided(correlation, *verdicts, approved=False):
    return OperatorOrderJudged(
        decision=Decision(
            correlation=correlation,
            product_id=BTC,
            side=Side.BUY,
            strategy="operator",
            approved=approved,
            code=None if approved else Reason.POSITION_CAP,
            verdicts=verdicts,
            requested_usd=Decimal(1),
            approved_usd=Decimal(1),
            degraded=False,
            at_ns=NOON_NS,
        )
    )


def test_an_order_by_hand_goes_through_risk_and_its_verdict_is_the_answer():
    rig = Rig().tell(products_known()).ask(by_hand(), 4)
    (asked,) = told(rig.effects, OperatorOrder, "risk")
    assert (asked.product_id, asked.side, asked.base_size, asked.by, asked.drill) == (BTC, Side.BUY, 1, BY, False)
    assert asked.steps[0].kind is StepKind.IOC
    assert rig.of(Answer) == []
    assert rig.tell(decided(asked.correlation, approved=True)).reply.code == 0
    assert rig.tell(decided(asked.correlation, approved=True)).effects == (), "answered once"


def test_an_order_by_hand_with_a_limit_rests():
    rig = Rig().tell(products_known()).ask(by_hand(limit=Decimal(90), post_only=True))
    (step_,) = told(rig.effects, OperatorOrder)[0].steps
    assert (step_.kind, step_.limit_price, step_.post_only) == (StepKind.LIMIT, 90, True)


def test_a_refusal_names_value_and_limit():
    rig = Rig().tell(products_known()).ask(by_hand())
    name = told(rig.effects, OperatorOrder)[0].correlation
    good = Verdict(code=Reason.NO_NAV, passed=True, value=None, limit=None, unit="")
    bad = Verdict(code=Reason.POSITION_CAP, passed=False, value=Decimal(7), limit=Decimal(5), unit="pct")
    reply = rig.tell(decided(name, good, bad)).reply
    assert reply.code == 4
    assert "position_cap, 7 against 5 pct" in reply.text


def test_a_product_nobody_follows_is_not_found():
    assert Rig().tell(products_known()).ask(by_hand(product_id="NOPE-USD")).reply.code == 2


CANCELS = {
    "by our id": ("c-BTC-USD-BUY", 0, ["c-BTC-USD-BUY"]),
    "by the venue's id": ("v-BTC-USD-BUY", 0, ["c-BTC-USD-BUY"]),
    "all": ("*", 0, ["c-BTC-USD-BUY", "c-ETH-USD-BUY"]),
    "one that has ended": ("c-done", 2, []),
    "one nobody knows": ("zzz", 2, []),
}


@pytest.mark.parametrize(("which", "code", "cancelled"), CANCELS.values(), ids=CANCELS)
def test_cancel_by_hand(which, code, cancelled):
    rig = Rig()
    for state in (order(BTC), order(ETH), order(name="done", status=Status.FILLED)):
        rig.tell(OrderUpdate(state=state))
    rig.ask(CancelByHand(by=BY, order=which))
    assert rig.reply.code == code
    assert [c.client_order_id for c in told(rig.effects, CancelOrder, "orders")] == cancelled


def test_cancel_all_with_nothing_live_is_done():
    assert Rig().ask(CancelByHand(by=BY, order="*")).reply.code == 0


def drill_ready(**changes):
    return Rig(**changes).tell(products_known(), quote(BTC), quote(ETH)).armed()


def test_a_load_drill_asks_for_that_many_small_orders_far_below_the_market():
    rig = drill_ready().ask(DrillLoad(by=BY, orders=30))
    asked = told(rig.effects, OperatorOrder, "risk")
    assert rig.reply.code == 0
    assert len({o.correlation for o in asked}) == len(asked) == 30
    assert {o.product_id for o in asked} == {BTC, ETH}
    for one in asked:
        (only,) = one.steps
        assert one.drill
        assert only.post_only
        assert only.limit_price < Decimal("99.99") * Decimal("0.86")
        assert Decimal(10) <= only.limit_price * one.base_size <= Decimal(11)
    again = told(rig.ask(DrillLoad(by=BY, orders=2)).effects, OperatorOrder)
    assert not {o.correlation for o in again} & {o.correlation for o in asked}


DRILLS = {
    "in LIVE": lambda: drill_ready(mode="LIVE"),
    "in DRY_RUN": lambda: drill_ready(mode="DRY_RUN"),
    "not armed": lambda: Rig().tell(products_known(), quote(BTC)),
    "without a quote": lambda: Rig().tell(products_known()).armed(),
}


@pytest.mark.parametrize("make", DRILLS.values(), ids=DRILLS)
def test_a_load_drill_is_refused(make):
    rig = make().ask(DrillLoad(by=BY, orders=5))
    assert rig.reply.code == 4
    assert told(rig.effects, OperatorOrder) == []


# --- rearm --------------------------------------------------------------------------------------------------------


def answered(rig, number=1, *, ok=True):
    return rig.tell(Reconciled(request_id=f"rearm/{number}", ok=ok, detail="accounts: timeout", corrections=()))


@pytest.mark.req("K1")
def test_a_rearm_is_refused_while_the_file_is_there():
    rig = Rig().tell(pages(kill_file=True)).ask(Rearm(by=BY, confirm="yes"))
    assert rig.reply.code == 4
    assert "KILL_SWITCH" in rig.reply.text
    assert told(rig.effects, Reconcile) == []


@pytest.mark.req("K1")
def test_a_rearm_without_a_clean_reconcile_is_refused_with_the_reason():
    rig = Rig().ask(Rearm(by=BY, confirm="yes"))
    assert told(rig.effects, Reconcile, "portfolio") == [Reconcile(request_id="rearm/1", reply_to="control")]
    reply = answered(rig, ok=False).reply
    assert reply.code == 4
    assert "accounts: timeout" in reply.text
    assert rig.of(PassOn) == []


@pytest.mark.req("K1")
def test_after_a_clean_reconcile_the_watchdog_has_the_last_word():
    rearm = Rearm(by=BY, confirm="yes")
    rig = answered(Rig().ask(rearm))
    assert rig.effects == (PassOn(connection=1, request=rearm),)
    assert answered(rig).effects == ()


@pytest.mark.req("K1")
def test_two_rearms_at_once_are_both_decided():
    first, second = Rearm(by="ann", confirm="a"), Rearm(by="bob", confirm="b")
    rig = Rig().ask(first, 1).ask(second, 2)
    assert answered(rig, 1).effects == (PassOn(connection=1, request=first),)
    assert answered(rig, 2).effects == (PassOn(connection=2, request=second),)


def test_another_s_reconciliation_is_nobody_s_rearm():
    rig = Rig().tell(Reconciled(request_id="cycle-1", ok=True, detail="", corrections=()))
    assert rig.effects == ()


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_the_latch_is_told_when_it_is_heard_and_when_it_changes():
    rig = Rig()
    assert {e.to for e in rig.effects if isinstance(e, Tell) and isinstance(e.message, EpochChanged)} == {
        "risk",
        "orders",
        "gateway",
    }
    assert rig.tell(pages()).effects == ()
    changed = told(rig.tell(pages(latch=latch(killed=True))).effects, EpochChanged, "risk")
    assert [(c.killed, c.reason, c.epoch) for c in changed] == [(True, "drill", 3)]


def test_nothing_is_said_about_a_latch_nobody_has_heard():
    _, effects = step(Control(settings=SETTINGS), pages(latch=None), NOON_NS)
    assert told(effects, EpochChanged) == []


def test_a_watchdog_that_goes_and_comes_is_told_to_risk():
    rig = Rig()
    assert [s.alive for s in told(rig.effects, WatchdogSeen, "risk")] == [True]
    assert told(rig.tell(pages(watchdog_age_s=1.9)).effects, WatchdogSeen) == []
    assert [s.alive for s in told(rig.tell(pages(watchdog_age_s=2.1)).effects, WatchdogSeen)] == [False]
    assert told(rig.tell(pages(watchdog_age_s=9.0)).effects, WatchdogSeen) == []
    assert [s.alive for s in told(rig.tell(pages()).effects, WatchdogSeen)] == [True]


@pytest.mark.req("K1")
def test_a_moved_epoch_ends_this_desk_with_75():
    rig = Rig().tell(pages(epoch=4))
    (timer,) = rig.of(SetTimer)
    assert timer.due_ns - rig.now_ns <= SECOND_NS // 2
    assert rig.tell(pages(epoch=4)).effects == ()
    assert rig.tell(Wake(timer=timer.timer, due_ns=0)).of(Leave) == [Leave(code=75)]


def test_armed_is_said_at_every_change_and_only_then():
    rig = Rig().tell(view())
    assert rig.of(Arm) == []
    assert rig.tell(risk_view()).of(Arm) == [Arm(armed=True)]
    assert rig.tell(risk_view(TradingState.REDUCING)).of(Arm) == []
    assert rig.tell(risk_view(TradingState.HALTED)).of(Arm) == [Arm(armed=False)]
    assert rig.tell(risk_view()).of(Arm) == [Arm(armed=True)]
    assert rig.tell(view(reconciled=False)).of(Arm) == [Arm(armed=False)]


# --- the end ------------------------------------------------------------------------------------------------------


def listed(*names):
    orders = tuple(
        VenueOrder(
            client_order_id=name,
            venue_order_id=VenueOrderId(f"v-{name}"),
            product_id=BTC,
            side=Side.BUY,
            status="OPEN",
            filled_size=Decimal(0),
            filled_value=Decimal(0),
            fees=Decimal(0),
        )
        for name in names
    )
    return OpenOrdersListed(request_id="stop", asked_ns=NOON_NS, orders=orders)


def lists(rig):
    return told(rig.effects, ListOpenOrders, "gateway")


def stopping():
    return Rig().armed().ask(Shutdown(by=BY, reason="evening"), 9)


def test_a_stop_drains_disarms_and_waits_for_two_clean_lists():
    rig = stopping()
    assert told(rig.effects, Drain, "orders") == [Drain(reason="evening", reply_to="control")]
    assert rig.of(Arm) == [Arm(armed=False)]
    rig = stopping().tell(Drained(reason="evening"))
    assert len(lists(rig)) == 1
    rig.tell(listed("somebody-elses"))
    (again,) = rig.of(SetTimer)
    assert again.due_ns - rig.now_ns >= SECOND_NS // 5
    assert rig.of(Leave) == []
    assert len(lists(rig.tell(Wake(timer=again.timer, due_ns=0)))) == 1
    rig.tell(listed())
    assert rig.of(Leave) == [Leave(code=0)]
    assert rig.reply == Reply(code=0, text="stopped, nothing rests")


def test_an_order_of_ours_in_a_list_is_cancelled_and_the_count_begins_anew():
    rig = stopping().tell(Drained(reason="evening"), listed())
    rig.tell(listed("bot-btc-usd-1-a1", "other-1"))
    assert [c.client_order_id for c in told(rig.effects, CancelOrder)] == ["bot-btc-usd-1-a1"]
    assert rig.tell(listed()).of(Leave) == []
    assert rig.tell(listed()).of(Leave) == [Leave(code=0)]


def test_a_list_that_failed_is_no_clean_list():
    rig = stopping().tell(Drained(reason="evening"))
    for _ in range(5):
        rig.tell(QueryFailed(request_id="stop", kind="timeout", detail=""))
        assert len(lists(rig)) == 1
        assert rig.of(Leave) == []


def test_a_second_stop_is_answered_and_drains_nothing_again():
    rig = stopping().ask(Shutdown(by=BY, reason="again"), 10)
    assert rig.reply.text == "already stopping"
    assert told(rig.effects, Drain) == []


def test_a_stopping_desk_is_never_armed_again():
    assert stopping().tell(risk_view(), view()).of(Arm) == []
