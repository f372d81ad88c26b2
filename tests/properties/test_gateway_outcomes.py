"""Whatever the venue answers, in whatever order and time: one verdict per request, none sent twice unasked."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.gateway.core import Settings
from protocol.orders import CancelAnswered, PlaceAccepted, PlaceRefused, PlaceUnknown, Side
from protocol.transport import HttpCall
from protocol.venue import AccountsListed, GetFees, ListAccounts, QueryFailed
from tests.support.gateway_room import EASY, Room, accepted, cancel, clock, released, spec

VERDICTS = PlaceAccepted | PlaceRefused | PlaceUnknown
DEFINITE = {"429", "401", "refused connection"}  # nothing was placed: these alone may be followed by another request


def placed_id(call: HttpCall) -> str:
    return json.loads(call.body)["client_order_id"]


def good_body(call):
    """What the venue would say to a call if all was well."""
    match call.endpoint:
        case "TIME":
            return clock(1_795_003_200_000_000_000)
        case "CREATE_ORDER":
            sent = json.loads(call.body)
            return accepted(spec(sent["client_order_id"], Side(sent["side"])))
        case "CANCEL_ORDERS":
            ids = json.loads(call.body)["order_ids"]
            return {"results": [{"success": True, "failure_reason": "", "order_id": i} for i in ids]}
        case "TRANSACTION_SUMMARY":
            return {"fee_tier": {"taker_fee_rate": "0.01", "maker_fee_rate": "0.005"}}
    return {"accounts": []}


OUTCOMES = {
    "good": lambda room, call: room.answer(good_body(call), call=call.call),
    "400": lambda room, call: room.answer({"error": "X"}, 400, call=call.call),
    "401": lambda room, call: room.answer(b"", 401, call=call.call),
    "429": lambda room, call: room.answer(b"<html>", 429, call=call.call),
    "429 and wait": lambda room, call: room.answer(b"", 429, call=call.call, after_s=1.0),
    "500": lambda room, call: room.answer(b"", 500, call=call.call),
    "redirect": lambda room, call: room.answer(b"", 307, call=call.call),
    "unreadable": lambda room, call: room.answer(b"{", call=call.call),
    "timeout": lambda room, call: room.broken("timeout", call=call.call),
    "reset": lambda room, call: room.broken("connection", call=call.call),
    "refused connection": lambda room, call: room.broken("connection", sent=False, call=call.call),
    "fenced": lambda room, call: room.broken("fenced", sent=False, call=call.call),
}


class Outcomes(RuleBasedStateMachine):
    """Requests and answers as they come; answers may be late, doubled, or never come."""

    @initialize(easy=st.booleans())
    def begin(self, easy):
        self.room = Room(EASY if easy else Settings())
        self.wanted: list[str] = []
        self.cancelled = 0
        self.asked = 0
        self.answered: dict[int, str] = {}

    @rule(sell=st.booleans(), life_s=st.floats(0.1, 5.0), drill=st.booleans())
    def release(self, sell, life_s, drill):
        name = f"bot-{len(self.wanted)}-a1"
        self.wanted.append(name)
        elapsed_s = (self.room.now_ns - Room().now_ns) / 1e9
        side = Side.SELL if sell else Side.BUY
        self.room.tell(released(name, side, life_s=elapsed_s + life_s, drill=drill))

    @rule(count=st.integers(1, 6))
    def cancel(self, count):
        first = self.cancelled
        self.cancelled += count
        self.room.tell(*(cancel(n) for n in range(first, self.cancelled)))

    @rule(accounts=st.booleans())
    def ask(self, accounts):
        self.asked += 1
        kind = ListAccounts if accounts else GetFees
        self.room.tell(kind(request_id=f"q{self.asked}", reply_to="asker"))

    @precondition(lambda self: self.room.calls)
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def outcome(self, data, outcome):
        call = data.draw(st.sampled_from(self.room.calls[-40:]), label="call")
        self.answered.setdefault(call.call, outcome)
        OUTCOMES[outcome](self.room, call)

    @precondition(lambda self: self.flying_places())
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)), wait_s=st.sampled_from([0.0, 0.3, 1.1]))
    def place_ends(self, data, outcome, wait_s):
        call = data.draw(st.sampled_from(self.flying_places()), label="call")
        self.answered[call.call] = outcome
        OUTCOMES[outcome](self.room, call)
        self.room.later(wait_s)

    def flying_places(self):
        return [c for c in self.room.made("CREATE_ORDER") if c.call in self.room.state.flying]

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds):
        self.room.later(seconds)

    @invariant()
    def one_verdict_at_most(self):
        counted = Counter(t.to for t in self.room.told if isinstance(t.message, VERDICTS))
        assert set(counted) <= {f"order:{name}" for name in self.wanted}
        assert all(count == 1 for count in counted.values()), counted

    @invariant()
    def never_sent_again_unless_surely_not_placed(self):
        tries: dict[str, list[HttpCall]] = {}
        for call in self.room.made("CREATE_ORDER"):
            tries.setdefault(placed_id(call), []).append(call)
        for name, calls in tries.items():
            assert len(calls) <= 5, name
            assert len({c.body for c in calls}) == 1, name
            before = [self.answered.get(c.call) for c in calls[:-1]]
            assert all(b in DEFINITE | {"429 and wait"} for b in before), (name, before)
            assert sum(b.startswith("429") for b in before) <= 1, (name, before)
            assert before.count("401") <= 1, (name, before)

    @invariant()
    def every_cancel_and_question_is_answered_once_at_most(self):
        cancels = Counter(m.client_order_id for m in self.room.heard(CancelAnswered))
        assert all(count == 1 for count in cancels.values()), cancels
        asked = Counter(t.message.request_id for t in self.room.told if t.to == "asker")
        assert all(count == 1 for count in asked.values()), asked

    def teardown(self):
        """When the venue answers well again, nobody is left without a word."""
        if not hasattr(self, "room"):
            return
        for _ in range(2000):
            open_calls = [c for c in self.room.calls if c.call in self.room.state.flying]
            idle = not any((self.room.state.sleeping, self.room.state.cancels, *self.room.state.waiting.values()))
            if idle and not open_calls:
                break
            for call in open_calls:
                OUTCOMES["good"](self.room, call)
            self.room.later(1.0)
        told = {t.to for t in self.room.told if isinstance(t.message, VERDICTS)}
        assert told == {f"order:{name}" for name in self.wanted}
        assert len(self.room.heard(CancelAnswered)) == self.cancelled
        assert len({t.message.request_id for t in self.room.told if t.to == "asker"}) == self.asked


Outcomes.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestOutcomes = pytest.mark.req("CB1", "X1")(Outcomes.TestCase)


@pytest.mark.req("CB1")
@given(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=3, max_size=12))
@settings(deadline=None, max_examples=100)
def test_a_question_is_tried_three_times_at_most_however_it_goes_wrong(outcomes):
    room = Room().tell(ListAccounts(request_id="q", reply_to="asker"))
    for name in outcomes:
        calls = [c for c in room.calls if c.call in room.state.flying]
        if not calls:
            break
        OUTCOMES[name](room, calls[-1])
        room.later(31.0 if name != "good" else 0.0)
    heard = [t.message for t in room.told if t.to == "asker"]
    attempts = len(room.made("ACCOUNTS"))
    assert attempts <= 3 + ("401" in outcomes), "a fresh signature may come on top"
    assert len(heard) <= 1
    assert all(isinstance(m, QueryFailed | AccountsListed) for m in heard)
