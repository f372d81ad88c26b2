"""Budgets per lane: cancels first and together, exits never behind entries, nothing starved; health and clock."""

import json

import pytest
from msgspec.structs import replace

from actors.gateway import limiter
from actors.gateway.core import Settings
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover
from protocol.orders import CancelAnswered, Side
from protocol.transport import SignWith
from protocol.venue import GetFees, ListProducts, VenueHealth
from tests.support.gateway_room import EASY, START_NS, Room, accepted, cancel, clock, released, spec

SHIPPED = Settings()


def fees(number=1):
    return GetFees(request_id=f"q{number}", reply_to="asker")


def named(call):
    """What a call acts on: order ids of a cancel, the client id of a place, else its endpoint."""
    body = json.loads(call.body) if call.body else {}
    return tuple(body["order_ids"]) if "order_ids" in body else body.get("client_order_id", call.endpoint)


def results(*numbers, refused=()):
    return {
        "results": [
            {
                "success": n not in refused,
                "failure_reason": "UNKNOWN_CANCEL_ORDER" if n in refused else "UNKNOWN_CANCEL_FAILURE_REASON",
                "order_id": f"v{n}",
            }
            for n in numbers
        ]
    }


# --- the bucket ---------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    held, now_ns, granted = limiter.bucket(5.0, 10.0), START_NS, []
    for _ in range(400):  # four seconds, a hundred looks a second
        held, yes = limiter.take(held, now_ns)
        granted.append(yes)
        now_ns += SECOND_NS // 100
    assert sum(granted[:10]) == 10
    assert 10 + 5 * 4 - 1 <= sum(granted) <= 10 + 5 * 4


def test_a_bucket_says_when_the_next_token_is_there():
    held, now_ns = limiter.bucket(4.0, 1.0), START_NS
    held, _ = limiter.take(held, now_ns)
    due_ns = limiter.ready_ns(held, now_ns)
    assert due_ns == pytest.approx(now_ns + SECOND_NS / 4, abs=1000)
    assert limiter.take(held, due_ns - 1_000_000)[1] is False
    assert limiter.take(held, due_ns)[1] is True


def test_idle_time_fills_a_bucket_to_its_burst_and_no_further():
    held = limiter.bucket(10.0, 3.0)
    held, _ = limiter.take(held, START_NS)
    later_ns, granted = START_NS + 3600 * SECOND_NS, 0
    for _ in range(10):
        held, yes = limiter.take(held, later_ns)
        granted += yes
    assert granted == 3


# --- lanes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "message", "free"),
    [
        ("private", released("bot-2-a1"), released("bot-2-a1", Side.SELL)),
        ("private", fees(2), cancel(1)),
        ("private", fees(2), ListProducts(request_id="p", reply_to="asker")),
        ("private", fees(2), released("bot-2-a1", drill=True)),
        ("exit_cancel", released("bot-2-a1", Side.SELL), released("bot-2-a1")),
        ("exit_cancel", cancel(1), fees(2)),
        ("drill", released("bot-2-a1", drill=True), released("bot-2-a1")),
        ("public", ListProducts(request_id="p", reply_to="asker"), fees(2)),
    ],
    ids=[
        "exits do not wait for entries",
        "cancels do not wait for questions",
        "market data does not wait for questions",
        "drills do not wait for questions",
        "entries do not wait for exits",
        "questions do not wait for cancels",
        "entries do not wait for drills",
        "questions do not wait for market data",
    ],
)
def test_a_lane_without_tokens_holds_up_only_itself(bound, message, free):
    room = Room(replace(EASY, **{bound: (0.5, 1.0)}))
    room.tell(message, message)
    assert len(room.calls) == 1
    room.tell(free)
    assert len(room.calls) == 2
    room.later(2.1)
    assert len(room.calls) == 3, "it goes as soon as there is a token"


def test_every_request_leaves_in_the_end_within_the_rate():
    room = Room(SHIPPED).tell(*(fees(n) for n in range(40)))
    assert len(room.calls) == 10
    room.later(2.0)
    assert 19 <= len(room.calls) <= 20
    assert len(room.later(4.1).calls) == 40


def test_places_go_before_questions_and_in_their_order():
    room = Room(replace(EASY, private=(10.0, 1.0)))
    room.tell(fees(1), fees(2), fees(3), released("bot-1-a1"), released("bot-2-a1"), released("bot-3-a1"))
    room.later(1.0)
    wanted = ["TRANSACTION_SUMMARY", "bot-1-a1", "bot-2-a1", "bot-3-a1", "TRANSACTION_SUMMARY", "TRANSACTION_SUMMARY"]
    assert [named(c) for c in room.calls] == wanted


@pytest.mark.req("K1")
def test_cancels_that_wait_for_the_same_token_go_together_a_hundred_at_most_and_before_exits():
    room = Room(replace(EASY, exit_cancel=(10.0, 1.0)))
    room.tell(cancel(0))  # takes the token
    room.tell(released("bot-1-a1", Side.SELL), *(cancel(n) for n in range(1, 251)))
    room.later(0.25)
    room.later(0.2)
    made = [named(c) for c in room.calls]
    assert [len(ids) for ids in made[:4]] == [1, 100, 100, 50]
    assert [i for ids in made[:4] for i in ids] == [f"v{n}" for n in range(251)]
    assert made[4:] == ["bot-1-a1"]


@pytest.mark.req("K1")
def test_a_hundred_cancels_leave_within_half_a_second_on_the_shipped_budget():
    room = Room(SHIPPED).tell(*(cancel(n) for n in range(100))).later(0.5)
    assert sorted(i for c in room.calls for i in named(c)) == sorted(f"v{n}" for n in range(100))


def test_each_order_hears_its_own_result_in_whatever_order_they_come():
    room = Room(replace(EASY, exit_cancel=(10.0, 1.0)))
    room.tell(cancel(0), cancel(1), cancel(2), cancel(3)).later(0.2)
    room.answer(results(3, 1, 2, refused=[2]))
    heard = {t.to: (t.message.success, t.message.reason) for t in room.told if isinstance(t.message, CancelAnswered)}
    assert heard["order:c1"][0] is heard["order:c3"][0] is True
    assert heard["order:c2"] == (False, "UNKNOWN_CANCEL_ORDER")


def test_two_askers_for_one_order_share_its_result():
    room = Room(replace(EASY, exit_cancel=(10.0, 1.0)))
    room.tell(cancel(0), cancel(1), cancel(1, reply_to="orders")).later(0.2)
    assert named(room.calls[-1]) == ("v1",)
    room.answer(results(1))
    assert [t.to for t in room.told if isinstance(t.message, CancelAnswered)] == ["order:c1", "orders"]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda room: room.answer(b"", 429), "HTTP 429"),
        (lambda room: room.answer(b"", 503), "HTTP 503"),
        (lambda room: room.answer(b"{", 200), "CancelAnswer"),
        (lambda room: room.answer(results(9), 200), "not those asked for"),
        (lambda room: room.answer({"results": []}, 200), "not those asked for"),
        (lambda room: room.broken("timeout"), "timeout"),
    ],
    ids=["429", "503", "unreadable", "another order's result", "no result", "timeout"],
)
def test_a_cancel_without_a_result_is_said_to_have_failed(act, reason):
    room = Room().tell(cancel(1))
    act(room)
    (heard,) = room.heard(CancelAnswered, "order:c1")
    assert not heard.success
    assert reason in heard.reason


# --- health and clock ---------------------------------------------------------------------------------------------


def test_errors_add_up_and_one_success_ends_them():
    room = Room().tell(released("bot-1-a1")).broken("timeout")
    room.tell(released("bot-2-a1")).answer(b"", 500)
    assert [h.consecutive_errors for h in room.heard(VenueHealth, "risk")] == [1, 2]
    room.later(1.0).tell(released("bot-3-a1")).answer(accepted(spec("bot-3-a1")))
    assert room.health.consecutive_errors == 0
    assert room.health.last_success_ns == room.now_ns


def test_a_refusal_is_an_answer():
    room = Room().tell(released("bot-1-a1")).broken("timeout").tell(released("bot-2-a1")).answer({}, 400)
    assert room.health.consecutive_errors == 0


def test_429_tells_risk_until_when_entries_wait():
    room = Room().tell(fees()).answer(b"", 429)
    assert room.health.rate_limited_until_ns == START_NS + 60 * SECOND_NS


def test_health_is_told_when_it_changes_and_not_at_every_answer():
    room = Room()
    for n in range(20):
        room.later(0.1).tell(fees(n)).answer({"fee_tier": {"taker_fee_rate": "0.01", "maker_fee_rate": "0.005"}})
    assert room.heard(VenueHealth) == []


def test_only_a_signed_success_says_that_the_credentials_are_good_again():
    room = Room().tell(fees()).answer(b"", 401).broken("timeout").answer(b"", 401)
    assert room.health.auth_failing
    room.tell(ListProducts(request_id="p", reply_to="asker")).answer({"products": []})
    assert room.health.auth_failing
    room.tell(fees(2)).answer({"fee_tier": {"taker_fee_rate": "0.01", "maker_fee_rate": "0.005"}})
    assert not room.health.auth_failing


def test_a_public_401_says_nothing_about_the_credentials_and_starts_no_storm():
    room = Room().tell(Recover()).answer(b"", 401).later(4.0)
    assert len(room.calls) == 1
    assert all(not h.auth_failing for h in room.heard(VenueHealth))


def test_the_clock_s_offset_is_taken_at_the_middle_of_the_round_trip():
    room = Room().tell(Recover())
    assert room.calls[-1].endpoint == "TIME"
    room.later(0.4).answer(clock(START_NS + SECOND_NS // 4))
    offset_ns = SECOND_NS // 4 - SECOND_NS // 5
    assert room.health.clock_offset_ns == offset_ns
    assert SignWith(offset_ns=offset_ns) in room.effects
    for reader in ("risk", "portfolio", "orders", "universe"):  # each takes the age of quotes
        assert room.heard(VenueHealth, reader)[-1].clock_offset_ns == offset_ns
    assert len(room.later(59.0).made("TIME")) == 1
    assert len(room.later(1.0).made("TIME")) == 2


@pytest.mark.req("TIME1")
def test_a_clock_that_is_off_for_certain_is_measured_again_in_five_seconds():
    room = Room().tell(Recover())
    room.later(0.4).answer(clock(START_NS + SECOND_NS))
    assert (room.health.clock_offset_ns, room.health.clock_error_ns) == (SECOND_NS * 4 // 5, SECOND_NS // 5)
    assert len(room.later(4.9).made("TIME")) == 1
    assert len(room.later(0.2).made("TIME")) == 2


def test_a_failed_probe_is_told_until_a_good_one():
    room = Room().tell(Recover())
    room.broken("timeout")
    assert room.health.probe_failed
    room.later(5.0).answer(clock(room.now_ns))
    assert not room.health.probe_failed


@pytest.mark.parametrize(
    "act",
    [
        lambda room: room.broken("timeout"),
        lambda room: room.answer(b"", 503),
        lambda room: room.answer({"epochMillis": "noon"}),
    ],
    ids=["no answer", "503", "unreadable"],
)
def test_a_clock_that_was_not_heard_is_asked_again_within_five_seconds(act):
    room = Room().tell(Recover())
    act(room)
    assert all(h.clock_offset_ns is None for h in room.heard(VenueHealth))
    room.later(5.0)
    assert len(room.made("TIME")) == 2
