"""A configuration that is to come into force under a running trader: who vetoes it, why, and how the desk makes way."""

import json

import pytest
from msgspec.structs import replace

from actors.control.candidate import ANSWER_NS, TIMER
from actors.control.core import step as control_step
from actors.control.state import Control, Settings
from protocol.control import (
    TAKE_UP,
    Answer,
    Arm,
    Asked,
    ConfigFollowed,
    ConfigJudged,
    ConfigTakenUp,
    JudgeConfig,
    Leave,
    ProposeConfig,
    Shutdown,
    TakeUpConfig,
)
from protocol.effects import Note, SetTimer
from protocol.lifecycle import Recover, Wake
from protocol.orders import Drain, Drained, Status
from protocol.risk import TradingState
from protocol.venue import OpenOrdersListed
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import BTC, ETH, NOON_NS, SOL, D, fill_record, listed, noted, order, told, view
from tests.support.desk_scenes import risk_view as seen_by_risk
from tests.support.order_room import Room

FIXED = (("app.mode", "PAPER"), ("app.auth.order_token_life_s", "120"))
SETTINGS = Settings(
    bot="bot",
    mode="PAPER",
    venue="embedded",
    profile="embedded",
    epoch=3,
    config_hash="old",
    versions=(),
    products=(BTC, ETH, SOL),
    fixed=FIXED,
)
CANDIDATE = ProposeConfig(by="ann", config_hash="new", before="old", products=(BTC, ETH), fixed=FIXED)
TAKEN = TakeUpConfig(
    by="ann",
    config_hash="new",
    before="old",
    products=(BTC, ETH),
    fixed=FIXED,
    version=2,
    what="apply x",
    said="tested",
    risk=("max exposure: 25 % -> 26 %",),
)
JUDGED = JudgeConfig(request_id="q", reply_to="control", products=(BTC, ETH), dropped=(SOL,))


class Rig:
    """A control actor of an armed desk."""

    def __init__(self, state=TradingState.ACTIVE):
        self.now_ns, self.effects = NOON_NS, ()
        self.state = Control(settings=SETTINGS)
        self.tell(Recover(), view(), seen_by_risk(state=state, exposure_pct=D(1)))

    def tell(self, *messages):
        for message in messages:
            self.state, self.effects = control_step(self.state, message, self.now_ns)
        return self

    def ask(self, request, connection=1):
        return self.tell(Asked(connection=connection, request=request))

    def judged(self, actor, *reasons):
        return self.tell(ConfigJudged(request_id=self.state.judging.name, actor=actor, reasons=reasons))

    def agreed(self):
        return self.judged("portfolio").judged("orders")

    @property
    def reply(self):
        (answer,) = [e for e in self.effects if isinstance(e, Answer)]
        return answer.reply

    @property
    def vetoes(self):
        assert self.reply.code == 4
        return [(veto["actor"], veto["reason"]) for veto in json.loads(self.reply.data)]

    def of(self, kind):
        return [e for e in self.effects if isinstance(e, kind)]


# --- control ------------------------------------------------------------------------------------------------------


@pytest.mark.req("C1")
def test_a_desk_says_at_its_start_what_it_follows():
    _, effects = control_step(Control(settings=SETTINGS), Recover(), NOON_NS)
    assert noted(effects, ConfigFollowed) == [ConfigFollowed(config_hash="old", profile="embedded", mode="PAPER")]


@pytest.mark.req("C1")
def test_books_and_order_desk_are_asked_and_what_all_accept_is_accepted_without_a_change():
    rig = Rig().ask(CANDIDATE)
    for judge in ("portfolio", "orders"):
        [asked] = told(rig.effects, JudgeConfig, judge)
        assert (asked.products, asked.dropped) == ((BTC, ETH), (SOL,))
    assert rig.of(Answer) == []
    assert rig.judged("orders").of(Answer) == []
    assert rig.judged("portfolio").reply.code == 0
    assert rig.of(Note) == []
    assert (rig.state.stopping, rig.state.judging, rig.state.armed) == (None, None, True)


@pytest.mark.req("C1")
def test_every_veto_is_told_with_who_and_why():
    rig = Rig().ask(replace(CANDIDATE, fixed=(("app.mode", "LIVE"), FIXED[1])))
    rig.judged("portfolio", "holds SOL-USD", "holds DOGE-USD").judged("orders", "in doubt")
    root, *others = rig.vetoes
    assert root[0] == "root"
    assert "app.mode" in root[1]
    assert "PAPER -> LIVE" in root[1]
    assert others == [("portfolio", "holds SOL-USD"), ("portfolio", "holds DOGE-USD"), ("orders", "in doubt")]
    assert rig.state.stopping is None


@pytest.mark.req("C1")
def test_a_key_of_the_whole_run_that_is_not_even_told_is_a_veto():
    assert Rig().ask(replace(CANDIDATE, fixed=())).agreed().vetoes[1][0] == "root"


@pytest.mark.req("C1")
def test_who_does_not_answer_in_time_vetoes():
    rig = Rig().ask(CANDIDATE)
    [timer] = rig.of(SetTimer)
    assert (timer.timer, timer.due_ns) == (TIMER, NOON_NS + ANSWER_NS)
    [(actor, reason)] = rig.judged("orders").tell(Wake(timer=TIMER, due_ns=0)).vetoes
    assert (actor, "no answer" in reason) == ("portfolio", True)
    assert rig.tell(Wake(timer=TIMER, due_ns=0)).effects == ()


def test_an_answer_that_comes_too_late_decides_nothing():
    rig = Rig().ask(CANDIDATE)
    late = ConfigJudged(request_id=rig.state.judging.name, actor="portfolio", reasons=())
    assert rig.tell(Wake(timer=TIMER, due_ns=0)).tell(late).effects == ()


@pytest.mark.parametrize(
    ("before", "request_"),
    [
        ("another one is being judged", CANDIDATE),
        ("stopping", CANDIDATE),
        ("cd", replace(CANDIDATE, before="cd")),
    ],
)
def test_what_needs_no_asking_is_refused_at_once(before, request_):
    rig = Rig()
    if "judged" in before:
        rig.ask(CANDIDATE)
    if before == "stopping":
        rig.ask(Shutdown(by="x", reason="evening"), 0)
    [(actor, reason)] = rig.ask(request_, 2).vetoes
    assert (actor, before in reason) == ("control", True)
    assert told(rig.effects, JudgeConfig) == []


@pytest.mark.req("C1")
def test_under_a_kill_it_is_judged_like_at_any_time():
    assert Rig(state=TradingState.KILLED).ask(CANDIDATE).agreed().reply.code == 0


@pytest.mark.req("C1")
def test_taking_it_up_is_judged_again_and_a_veto_then_stops_nothing():
    rig = Rig().ask(TAKEN).judged("portfolio", "holds SOL-USD").judged("orders")
    assert rig.vetoes == [("portfolio", "holds SOL-USD")]
    assert (rig.of(Note), told(rig.effects, Asked)) == ([], [])


def making_way():
    rig = Rig().ask(TAKEN).agreed()
    [shutdown] = told(rig.effects, Asked, "control")
    assert rig.reply.code == 0
    return rig, shutdown


@pytest.mark.req("C1")
def test_what_is_taken_up_is_on_record_and_the_desk_drains_and_makes_way():
    rig, shutdown = making_way()
    [record] = noted(rig.effects, ConfigTakenUp)
    assert (record.by, record.version, record.before, record.after) == ("ann", 2, "old", "new")
    assert (record.risk, record.what, record.said) == (TAKEN.risk, "apply x", "tested")
    rig.tell(shutdown)
    assert len(told(rig.effects, Drain, "orders")) == 1
    assert rig.of(Arm) == [Arm(armed=False)]
    clean = OpenOrdersListed(request_id="stop", orders=(), asked_ns=0)
    rig.tell(Drained(reason=""), clean)
    assert rig.of(Leave) == []
    assert rig.tell(clean).of(Leave) == []
    assert len(told(rig.effects, JudgeConfig, "portfolio")) == 1, "the books are asked once more"
    assert rig.judged("portfolio").of(Leave) == [Leave(code=TAKE_UP, config_hash="new")]


@pytest.mark.req("C1")
@pytest.mark.parametrize("objects", [True, False])
def test_what_filled_while_the_desk_drained_brings_it_back_as_it_was(objects):
    rig, shutdown = making_way()
    clean = OpenOrdersListed(request_id="stop", orders=(), asked_ns=0)
    rig.tell(shutdown, Drained(reason=""), clean, clean)
    rig.judged("portfolio", "holds SOL-USD") if objects else rig.tell(Wake(timer=TIMER, due_ns=0))
    assert rig.of(Leave) == [Leave(code=0)]


@pytest.mark.req("C1")
def test_a_venue_that_does_not_answer_keeps_a_desk_that_makes_way_for_some_seconds_only():
    rig, shutdown = making_way()
    [bound] = rig.tell(shutdown).of(SetTimer)
    assert bound.due_ns - rig.now_ns <= 10_000_000_000
    rig.tell(Wake(timer=bound.timer, due_ns=0))
    assert told(rig.tell(Wake(timer=bound.timer, due_ns=0)).effects, JudgeConfig) == [], "one look at a time"
    assert rig.judged("portfolio").of(Leave) == [Leave(code=TAKE_UP, config_hash="new")]


def test_asking_again_for_what_is_under_way_or_runs_already_changes_nothing():
    rig, shutdown = making_way()
    rig.tell(shutdown).ask(TAKEN, 2)
    assert (rig.reply.code, told(rig.effects, Drain)) == (0, [])
    assert Rig().ask(replace(TAKEN, config_hash="old"), 2).reply.code == 0


def test_an_ordinary_stop_has_no_successor():
    clean = OpenOrdersListed(request_id="stop", orders=(), asked_ns=0)
    rig = Rig().ask(Shutdown(by="x", reason="evening"), 0).tell(Drained(reason=""), clean, clean)
    assert rig.of(Leave) == [Leave(code=0)]


# --- who judges ---------------------------------------------------------------------------------------------------


def reasons(effects):
    [answer] = told(effects, ConfigJudged, "control")
    assert answer.request_id == "q"
    return answer.reasons


def opened():
    books = Books()
    books.reconcile(("USD", 10_000))
    return books


def bought(product):
    """Books that hold one unit of a product."""
    books = opened()
    books.know(order(product, filled_size=D(1), filled_value=D(100)))
    books.tell(listed(fill_record(product)))
    return books


@pytest.mark.req("C1")
def test_nothing_held_is_nothing_to_object_to():
    assert reasons(opened().tell(JUDGED)) == ()


@pytest.mark.req("C1")
def test_what_is_held_has_to_be_fed():
    assert reasons(bought(BTC).tell(JUDGED)) == ()
    [reason] = reasons(bought(SOL).tell(JUDGED))
    assert SOL in reason


@pytest.mark.req("C1")
@pytest.mark.parametrize("filled", [0, 1])
def test_what_is_being_bought_or_not_booked_yet_has_to_be_fed(filled):
    books = opened()
    status = Status.FILLED if filled else Status.ACCEPTED
    books.know(order(SOL, status=status, filled_size=D(filled), filled_value=D(100) * filled))
    [reason] = reasons(books.tell(JUDGED))
    assert SOL in reason


@pytest.mark.req("C1")
def test_before_the_first_picture_of_the_venue_nothing_may_be_dropped_and_anything_else_may():
    [reason] = reasons(Books().tell(JUDGED))
    assert "not reconciled" in reason
    assert SOL in reason
    assert reasons(Books().tell(replace(JUDGED, dropped=()))) == ()


@pytest.mark.req("C1")
def test_the_question_changes_no_books():
    books = bought(SOL)
    before = books.state
    books.tell(JUDGED)
    assert books.state == before


@pytest.mark.req("C1")
@pytest.mark.req("X1")
def test_an_order_in_doubt_is_waited_for():
    room = Room()
    room.start()
    room.becomes(Status.UNRESOLVED).tell(JUDGED)
    [answer] = room.told(ConfigJudged, "control")
    [reason] = answer.reasons
    assert room.order.client_order_id in reason


@pytest.mark.req("C1")
def test_an_order_that_works_is_no_objection_unless_its_product_is_dropped():
    room = Room()
    room.start()
    room.becomes(Status.ACCEPTED).tell(JUDGED, replace(JUDGED, products=(ETH,), dropped=(BTC, SOL)))
    stays, goes = room.told(ConfigJudged, "control")
    assert stays.reasons == ()
    assert BTC in goes.reasons[0]
