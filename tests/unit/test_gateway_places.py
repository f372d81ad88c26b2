"""A place request leaves at most once per verdict; what might have arrived is unknown and never sent again (CB1)."""

import json

import pytest

from protocol.instants import SECOND_NS
from protocol.orders import PlaceAccepted, PlaceRefused, PlaceUnknown, Side
from protocol.risk import EpochChanged
from protocol.transport import HttpCall, SignWith
from tests.support.gateway_room import START_NS, Room, accepted, cancel, clock, released, spec

COID = "bot-btc-usd-1-a1"
GOOD = accepted(spec())


def placed(room):
    return len(room.made("CREATE_ORDER"))


def verdicts(room):
    return [t.message for t in room.told if isinstance(t.message, PlaceAccepted | PlaceRefused | PlaceUnknown)]


def verdict(room):
    """The one verdict, told to the order itself."""
    (told,) = [t for t in room.told if isinstance(t.message, PlaceAccepted | PlaceRefused | PlaceUnknown)]
    assert told.to == f"order:{COID}"
    assert told.message.client_order_id == COID
    return told.message


def html(size=9000):
    return b"<!DOCTYPE html><html>" + b"x" * size + b"</html>"


def refusal(**reasons):
    return {"success": False, "error_response": reasons}


ANSWERS = {
    "accepted with the venue's id": ((GOOD, 200), PlaceAccepted),
    "accepted with members nobody knows": ((GOOD | {"brand_new": {"nested": [1]}}, 200), PlaceAccepted),
    "refused by reason": ((refusal(new_order_failure_reason="INSUFFICIENT_FUND"), 200), PlaceRefused),
    "refused without any reason": (({"success": False}, 200), PlaceRefused),
    "400 is a refusal": (({"error": "INVALID_ARGUMENT", "message": "no"}, 400), PlaceRefused),
    "403 is a refusal": (({"error": "PERMISSION_DENIED"}, 403), PlaceRefused),
    "400 as a page is a refusal": ((html(), 400), PlaceRefused),
    "500 may have placed it": (({"error": "INTERNAL"}, 500), PlaceUnknown),
    "502 as a page may have placed it": ((html(), 502), PlaceUnknown),
    "503 may have placed it": ((b"", 503), PlaceUnknown),
    "a redirect is no verdict": ((b"", 307), PlaceUnknown),
    "202 is no verdict": ((b"{}", 202), PlaceUnknown),
    "half a body is no verdict": ((json.dumps(GOOD).encode()[:-20], 200), PlaceUnknown),
    "an empty body is no verdict": ((b"", 200), PlaceUnknown),
    "a page with status 200 is no verdict": ((html(), 200), PlaceUnknown),
    "success without an id is no verdict": (({"success": True}, 200), PlaceUnknown),
    "an echo of another product is no verdict": ((accepted(spec(), product_id="ETH-USD"), 200), PlaceUnknown),
    "an echo of another side is no verdict": ((accepted(spec(), side="SELL"), 200), PlaceUnknown),
    "an echo of another id is no verdict": ((accepted(spec(), client_order_id="other-a1"), 200), PlaceUnknown),
    "an id used before is no verdict": ((refusal(error="DUPLICATE_CLIENT_ORDER_ID"), 200), PlaceUnknown),
}


@pytest.mark.req("CB1", "X1")
@pytest.mark.parametrize(("given", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_one_answer_one_verdict_one_request(given, kind):
    room = Room().tell(released()).answer(*given)
    assert type(verdict(room)) is kind
    room.later(120.0)
    assert placed(room) == 1
    assert len(verdicts(room)) == 1


def test_the_venue_s_id_is_read_and_its_reason_kept_verbatim():
    assert verdict(Room().tell(released()).answer(GOOD)).venue_order_id == f"v-{COID}"
    reasons = {
        "error": "UNKNOWN_FAILURE_REASON",
        "preview_failure_reason": "PREVIEW_INSUFFICIENT_FUND",
        "new_order_failure_reason": "UNKNOWN_FAILURE_REASON",
        "error_details": "not enough USD",
    }
    refused = verdict(Room().tell(released()).answer(refusal(**reasons)))
    assert refused.reason == "PREVIEW_INSUFFICIENT_FUND not enough USD"
    assert refused.sent


BROKEN = {"timeout": "timeout", "connection reset after the request was written": "connection"}


@pytest.mark.req("CB1", "X1")
@pytest.mark.parametrize("kind", BROKEN.values(), ids=BROKEN)
def test_a_request_that_may_have_arrived_is_unknown_and_never_sent_again(kind):
    room = Room().tell(released()).broken(kind, sent=True)
    assert isinstance(verdict(room), PlaceUnknown)
    assert placed(room.later(120.0)) == 1


@pytest.mark.req("CB1")
def test_connection_refused_before_the_write_is_tried_three_times_then_refused_as_never_sent():
    room = Room().tell(released())
    for tries in (1, 2, 3):
        assert placed(room) == tries
        room.broken("connection", sent=False).later(0.5)
    refused = verdict(room)
    assert isinstance(refused, PlaceRefused)
    assert not refused.sent
    assert placed(room.later(60.0)) == 3


@pytest.mark.req("CB1")
def test_connection_refused_is_not_retried_past_its_time():
    room = Room().tell(released(life_s=0.5)).later(0.4).broken("connection", sent=False).later(5.0)
    assert placed(room) == 1
    assert not verdict(room).sent


@pytest.mark.req("CB1")
def test_429_is_definite_sent_once_more_and_then_refused():
    room = Room().tell(released()).answer(html(), 429)
    assert verdicts(room) == []
    room.later(0.5)
    assert placed(room) == 2
    first, second = room.made("CREATE_ORDER")
    assert first.body == second.body
    room.answer(html(), 429).later(60.0)
    refused = verdict(room)
    assert isinstance(refused, PlaceRefused)
    assert "429" in refused.reason
    assert placed(room) == 2


@pytest.mark.req("CB1")
def test_429_and_then_accepted():
    assert isinstance(verdict(Room().tell(released()).answer(b"", 429).later(0.5).answer(GOOD)), PlaceAccepted)


@pytest.mark.req("CB1")
@pytest.mark.parametrize(
    ("wait_s", "after_s", "requests"),
    [(0.0, 0.0, 2), (2.9, 0.0, 1), (0.0, 5.0, 1), (0.0, 1.0, 2)],
    ids=["at once", "too late for another", "told to wait past its time", "told to wait within its time"],
)
def test_429_is_only_sent_again_within_not_after(wait_s, after_s, requests):
    room = Room().tell(released()).later(wait_s).answer(b"", 429, after_s=after_s)
    sent_ns = room.now_ns
    room.later(max(after_s - 0.01, 0.0))
    assert placed(room) == 1, "a Retry-After is waited for"
    room.later(3.0)
    assert placed(room) == requests
    assert len(verdicts(room)) == (0 if requests == 2 else 1)
    assert room.now_ns > sent_ns


@pytest.mark.req("CB1", "K1")
def test_a_429_on_a_place_delays_neither_cancels_nor_exits():
    room = Room().tell(released()).answer(html(), 429, after_s=2.0)
    room.tell(cancel(1), released("bot-2-a1", Side.SELL))
    assert len(room.made("CANCEL_ORDERS")) == 1
    assert json.loads(room.made("CREATE_ORDER")[-1].body)["client_order_id"] == "bot-2-a1"


def test_an_unknown_outcome_after_429_stays_unknown():
    room = Room().tell(released()).answer(b"", 429).later(0.5).broken("timeout").later(60.0)
    assert isinstance(verdict(room), PlaceUnknown)
    assert placed(room) == 2


@pytest.mark.req("CB1")
def test_401_measures_the_clock_first_then_signs_once_more_then_is_refused():
    room = Room().tell(released()).answer(b"Unauthorized", 401)
    assert placed(room) == 1, "not before the clock is known"
    assert room.calls[-1].endpoint == "TIME"
    room.answer(clock(START_NS + 180 * SECOND_NS))
    edge = [e for e in room.effects if isinstance(e, SignWith | HttpCall)]
    assert [type(e) for e in edge] == [HttpCall, HttpCall, SignWith, HttpCall]
    assert edge[2] == SignWith(offset_ns=180 * SECOND_NS)
    assert placed(room) == 2
    room.answer(b"Unauthorized", 401).later(60.0)
    assert isinstance(verdict(room), PlaceRefused)
    assert placed(room) == 2
    assert room.health.auth_failing


def test_401_whose_clock_cannot_be_measured_is_still_signed_once_more():
    room = Room().tell(released()).answer(b"", 401).broken("timeout")
    assert placed(room) == 2
    assert isinstance(verdict(room.answer(GOOD)), PlaceAccepted)


def test_several_401_ask_for_one_clock():
    room = Room().tell(released("bot-1-a1"), released("bot-2-a1"))
    first, second = (c.call for c in room.calls)
    room.answer(b"", 401, call=first).answer(b"", 401, call=second)
    assert len(room.made("TIME")) == 1
    room.answer(clock(START_NS))
    again = [json.loads(c.body)["client_order_id"] for c in room.made("CREATE_ORDER")[2:]]
    assert again == ["bot-1-a1", "bot-2-a1"]


def test_fenced_is_refused_as_never_sent_and_says_nothing_about_the_venue():
    room = Room().tell(released()).broken("fenced", sent=False)
    refused = verdict(room)
    assert isinstance(refused, PlaceRefused)
    assert not refused.sent
    assert room.heard(object) == [refused]
    assert placed(room.later(60.0)) == 1


def test_the_fence_carries_epoch_and_latest_moment_and_only_for_places():
    room = Room().tell(EpochChanged(epoch=7, killed=False, reason="", by="", at_ns=0), released())
    (call,) = room.calls
    assert (call.epoch, call.fence_ns) == (7, spec().not_after_ns)
    room.tell(EpochChanged(epoch=9, killed=True, reason="", by="", at_ns=0), released("bot-2-a1"))
    assert room.calls[-1].epoch == 7, "a kill arms nobody under the new epoch"


def test_what_was_answered_once_is_not_answered_again():
    room = Room().tell(released()).broken("timeout")
    room.answer(GOOD).answer(GOOD, call=999)
    assert isinstance(verdict(room), PlaceUnknown)


def test_the_request_says_exactly_what_was_decided():
    sold = spec("bot-2-a1", Side.SELL)
    (call,) = Room().tell(released("bot-2-a1", Side.SELL)).calls
    body = json.loads(call.body)
    assert (body["client_order_id"], body["side"], body["product_id"]) == (sold.client_order_id, "SELL", "BTC-USD")
    (kind,) = body["order_configuration"]
    assert kind == "limit_limit_gtd"
    leg = body["order_configuration"][kind]
    assert leg["base_size"] == "0.01"
    assert leg["limit_price"] == "100000"
    assert leg["post_only"] is True
    assert leg["end_time"] == "2026-11-18T12:01:00Z"
    assert call.timeout_s <= 3.0
