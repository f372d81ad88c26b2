"""One order's state table: what becomes of it, whatever the venue says, when, and how often."""

from itertools import product

import pytest
from msgspec.structs import replace

from actors.order.core import OPEN_KEY, Life, step
from protocol import codec
from protocol.effects import Commit
from protocol.lifecycle import CommitFailed, Recover, Stop, StoreRecord, Wake
from protocol.orders import (
    MIGHT_REST,
    TERMINAL,
    OrderBooked,
    OrderNotFound,
    Place,
    Status,
)
from protocol.venue import RequestCancel
from tests.support.order_play import (
    ACCEPTED,
    CANCEL,
    COID,
    FAILED_QUERY,
    REFUSED,
    REFUSED_CANCEL,
    START_NS,
    TOOK_CANCEL,
    UNKNOWN,
    VENUE_ID,
    Play,
    S,
    d,
    initial,
    report,
)

SIGNATURE_S = 130


# --- scenarios ------------------------------------------------------------------------------------------------------

SUBMIT = "submit"
NOT_FOUND = "not found"


def scenario(sentence, *script, ends, filled=0, ttl_s=0, **counts):
    """`counts` may name how many submits and cancels there were, and which alerts."""
    return pytest.param(script, (ends, d(filled)), {"submits": 1, **counts}, ttl_s, id=sentence)


SCENARIOS = [
    scenario("an accepted order rests", SUBMIT, ACCEPTED, ends=Status.ACCEPTED),
    scenario("a refused order is over", SUBMIT, REFUSED, ends=Status.REJECTED),
    scenario("an unknown outcome is a state", SUBMIT, UNKNOWN, ends=Status.UNRESOLVED),
    scenario("no answer in time is an unknown outcome", SUBMIT, 6, ends=Status.UNRESOLVED),
    scenario("an answer in time leaves no doubt", SUBMIT, 4, ACCEPTED, 2, ends=Status.ACCEPTED),
    scenario("a late acceptance resolves the doubt", SUBMIT, 6, ACCEPTED, ends=Status.ACCEPTED),
    scenario("a late refusal resolves the doubt", SUBMIT, 6, REFUSED, ends=Status.REJECTED),
    scenario("a look-up that finds it resolves the doubt", SUBMIT, UNKNOWN, report("OPEN"), ends=Status.ACCEPTED),
    scenario("a look-up may find it filled", SUBMIT, UNKNOWN, report("FILLED", 10), ends=Status.FILLED, filled=10),
    scenario(
        "a fill before the acceptance is legal", SUBMIT, report("OPEN", 4), ends=Status.PARTIALLY_FILLED, filled=4
    ),
    scenario(
        "the acceptance after a fill changes nothing",
        SUBMIT,
        report("OPEN", 4),
        ACCEPTED,
        ends=Status.PARTIALLY_FILLED,
        filled=4,
    ),
    scenario("a fill to the end", SUBMIT, ACCEPTED, report("FILLED", 10), ends=Status.FILLED, filled=10),
    scenario("the venue ends it by its date", SUBMIT, ACCEPTED, report("EXPIRED", 3), ends=Status.EXPIRED, filled=3),
    scenario("the venue ends it by failure", SUBMIT, ACCEPTED, report("FAILED"), ends=Status.FAILED),
    scenario(
        "older figures never lower newer ones",
        SUBMIT,
        report("OPEN", 7),
        report("OPEN", 2),
        ends=Status.PARTIALLY_FILLED,
        filled=7,
    ),
    scenario(
        "a status nobody knows counts as live and a person is told",
        SUBMIT,
        ACCEPTED,
        report("ON_HOLIDAY", 1),
        ends=Status.PARTIALLY_FILLED,
        filled=1,
        alerts=["unknown_order_status"],
    ),
    # cancelling
    scenario("a cancel that overtakes the request: it never leaves", CANCEL, SUBMIT, ends=Status.ABORTED, submits=0),
    scenario(
        "a cancel before the acceptance is remembered", SUBMIT, CANCEL, ACCEPTED, ends=Status.PENDING_CANCEL, cancels=1
    ),
    scenario(
        "a cancel before the acceptance waits for the venue's id", SUBMIT, CANCEL, ends=Status.SUBMITTED, cancels=0
    ),
    scenario(
        "a cancel in doubt goes out when the order is found",
        SUBMIT,
        UNKNOWN,
        CANCEL,
        report("OPEN"),
        ends=Status.PENDING_CANCEL,
        cancels=1,
    ),
    scenario(
        "only the venue's word makes it canceled", SUBMIT, ACCEPTED, CANCEL, TOOK_CANCEL, ends=Status.PENDING_CANCEL
    ),
    scenario(
        "the venue's word makes it canceled",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        report("CANCELLED", 2),
        ends=Status.CANCELED,
        filled=2,
    ),
    scenario(
        "a fill wins the race against the cancel",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        report("FILLED", 10),
        ends=Status.FILLED,
        filled=10,
    ),
    scenario(
        "a partial fill does not end the cancel",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        report("OPEN", 5),
        ends=Status.PENDING_CANCEL,
        filled=5,
    ),
    scenario("an expiry ends the cancel", SUBMIT, ACCEPTED, CANCEL, report("EXPIRED"), ends=Status.EXPIRED),
    scenario(
        "a queued cancel of somebody else's is pending",
        SUBMIT,
        ACCEPTED,
        report("CANCEL_QUEUED"),
        ends=Status.PENDING_CANCEL,
    ),
    scenario("asked twice, cancelled once", SUBMIT, ACCEPTED, CANCEL, CANCEL, ends=Status.PENDING_CANCEL, cancels=1),
    scenario(
        "a cancel that is refused is asked for again",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        REFUSED_CANCEL,
        0.3,
        ends=Status.PENDING_CANCEL,
        cancels=2,
    ),
    scenario(
        "a cancel that is never confirmed is retried for ever and alerts once",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        30,
        ends=Status.PENDING_CANCEL,
        alerts=["cancel_failed"],
    ),
    scenario(
        "a resting order is cancelled when its time to live is over",
        SUBMIT,
        ACCEPTED,
        21,
        ends=Status.PENDING_CANCEL,
        ttl_s=20,
    ),
    scenario("until then it rests", SUBMIT, ACCEPTED, 19, ends=Status.ACCEPTED, cancels=0, ttl_s=20),
    # contradictions, silence
    scenario("refused after it rested is a contradiction", SUBMIT, ACCEPTED, REFUSED, ends=Status.UNRESOLVED),
    scenario(
        "refused after a fill is a contradiction", SUBMIT, report("OPEN", 1), REFUSED, ends=Status.UNRESOLVED, filled=1
    ),
    scenario(
        "refused while in doubt is a contradiction too, if it was ever acknowledged",
        SUBMIT,
        ACCEPTED,
        NOT_FOUND,
        REFUSED,
        ends=Status.UNRESOLVED,
    ),
    scenario("refused twice stays refused", SUBMIT, REFUSED, REFUSED, ends=Status.REJECTED),
    scenario("accepted after refused stays refused", SUBMIT, REFUSED, ACCEPTED, ends=Status.REJECTED),
    scenario("not found is doubt for an order that rested", SUBMIT, ACCEPTED, NOT_FOUND, ends=Status.UNRESOLVED),
    scenario("found again it rests again", SUBMIT, ACCEPTED, NOT_FOUND, report("OPEN"), ends=Status.ACCEPTED),
    scenario(
        "found again a cancel goes on",
        SUBMIT,
        ACCEPTED,
        CANCEL,
        NOT_FOUND,
        report("OPEN"),
        ends=Status.PENDING_CANCEL,
        cancels=2,
    ),
    scenario(
        "not found closes nothing while its signature lives",
        SUBMIT,
        UNKNOWN,
        SIGNATURE_S - 1,
        NOT_FOUND,
        ends=Status.UNRESOLVED,
    ),
    scenario(
        "not found closes it when its signature died",
        SUBMIT,
        UNKNOWN,
        SIGNATURE_S + 1,
        NOT_FOUND,
        ends=Status.REJECTED,
        alerts=[],
    ),
    scenario(
        "an order once acknowledged that is gone then failed, and a person is told",
        SUBMIT,
        ACCEPTED,
        NOT_FOUND,
        SIGNATURE_S + 1,
        NOT_FOUND,
        ends=Status.FAILED,
        alerts=["order_vanished"],
    ),
    scenario(
        "a question that failed decides nothing", SUBMIT, UNKNOWN, SIGNATURE_S + 1, FAILED_QUERY, ends=Status.UNRESOLVED
    ),
    scenario("unknown for an hour is never sent again", SUBMIT, UNKNOWN, 3600, ends=Status.UNRESOLVED, submits=1),
    # late news
    scenario(
        "a late fill raises the figures, keeps the status and alerts",
        SUBMIT,
        ACCEPTED,
        report("CANCELLED", 2),
        report("FILLED", 5),
        ends=Status.CANCELED,
        filled=5,
        alerts=["late_fill"],
    ),
    scenario(
        "a late word without news is nothing",
        SUBMIT,
        ACCEPTED,
        report("FILLED", 10),
        report("OPEN", 3),
        ends=Status.FILLED,
        filled=10,
        alerts=[],
    ),
    # what must not have left
    scenario("too old to send, it never leaves", 4, ends=Status.ABORTED, submits=0),
    scenario(
        "the venue knows an id that never left: it never leaves", ACCEPTED, SUBMIT, ends=Status.ABORTED, submits=0
    ),
    scenario(
        "a report on an id that never left: it never leaves",
        report("FILLED", 10),
        SUBMIT,
        ends=Status.ABORTED,
        submits=0,
    ),
    scenario(
        "answers about nothing do not stop it",
        REFUSED,
        UNKNOWN,
        NOT_FOUND,
        TOOK_CANCEL,
        FAILED_QUERY,
        SUBMIT,
        ends=Status.SUBMITTED,
    ),
]


@pytest.mark.req("X1")
@pytest.mark.parametrize(("script", "expected", "counts", "ttl_s"), SCENARIOS)
def test_scenario(script, expected, counts, ttl_s):
    play = Play(ttl_s=ttl_s)
    if isinstance(script[0], int):
        play.timers.clear()  # the pump was slow: the submit timer is served late
        play.now_ns += script[0] * S
        play.tell(Wake(timer="submit", due_ns=START_NS))
        script = script[1:]
    for event in script:
        match event:
            case "submit":
                play.submit()
            case "not found":
                play.not_found()
            case int() | float():
                play.wait(event)
            case _:
                play.tell(event)
    assert (play.order.status, play.order.filled_size) == expected
    found = {"submits": len(play.submits()), "cancels": len(play.told(RequestCancel)), "alerts": play.alerts()}
    assert {name: found[name] for name in counts} == counts


# --- every pair -----------------------------------------------------------------------------------------------------

RESTING = {Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.UNRESOLVED}
ENDED = TERMINAL - {Status.ABORTED}
LEGAL = {  # execution.md §5; acceptance and the cancel that waited for it are one step
    Status.INITIALIZED: {Status.SUBMITTED, Status.ABORTED},
    Status.SUBMITTED: RESTING | ENDED,
    Status.ACCEPTED: RESTING | ENDED,
    Status.PARTIALLY_FILLED: (RESTING | ENDED) - {Status.ACCEPTED},
    Status.PENDING_CANCEL: {Status.UNRESOLVED} | ENDED,
    Status.UNRESOLVED: RESTING | ENDED,
}
VENUE_WORDS = ["OPEN", "PENDING", "QUEUED", "EDIT_QUEUED", "CANCEL_QUEUED", "FILLED", "CANCELLED", "EXPIRED", "FAILED"]
MESSAGES = [
    *(report(word, filled) for word in [*VENUE_WORDS, "REJECTED", "DONE", "???"] for filled in (0, 2, 10)),
    *(ACCEPTED, REFUSED, UNKNOWN, CANCEL, TOOK_CANCEL, REFUSED_CANCEL, FAILED_QUERY),
    *(OrderNotFound(client_order_id=COID, asked_ns=START_NS + s * S) for s in (1, SIGNATURE_S + 10)),
    *(OrderBooked(client_order_id=COID, booked_size=d(size)) for size in (0, 2, 10)),
    *(
        Wake(timer=name, due_ns=START_NS)
        for name in ("submit", "answer", "lookup", "ttl", "cancel", "verify", "retire")
    ),
    *(CommitFailed(number=1, detail="disk"), CommitFailed(number=1, detail="", duplicate=True)),
    *(Stop(reason="stop"), Recover(), Place(state=initial())),
]


@pytest.mark.parametrize("status", list(Status))
def test_every_pair_of_status_and_message_has_an_answer_that_the_table_allows(status):
    for message, filled, wanted, known in product(MESSAGES, (0, 1), ("", "ttl", "kill"), (None, VENUE_ID)):
        impossible = known is None and status in RESTING - {Status.UNRESOLVED}
        if impossible or (status is Status.PARTIALLY_FILLED and not filled):
            continue
        before = initial(
            status=status,
            venue_order_id=known,
            filled_size=d(filled),
            acknowledged=known is not None,
            cancel_wanted=wanted,
            requested_ns=START_NS if status is not Status.INITIALIZED else 0,
        )
        life, effects = step(Life(client_order_id=COID, order=before), message, START_NS + S)
        after = life.order
        assert after.status is status or after.status in LEGAL.get(status, set()), (message, after.status)
        assert after.filled_size >= before.filled_size
        assert not after.terminal or after.closed_ns or status in TERMINAL
        sent = [one for effect in effects if isinstance(effect, Commit) for one in effect.outbox]
        assert bool(sent) == (status is Status.INITIALIZED and after.status is Status.SUBMITTED)
        if after != before and status is not Status.INITIALIZED:
            durable = any(isinstance(effect, Commit) for effect in effects)
            assert durable or replace(after, cancel_tries=0) == replace(before, cancel_tries=0)


@pytest.mark.parametrize("status", sorted(MIGHT_REST - {Status.SUBMITTED}, key=lambda s: s.value))
def test_a_submitted_order_is_never_left_without_a_question_or_a_timer(status):
    for message in MESSAGES:
        order = initial(status=status, venue_order_id=VENUE_ID, acknowledged=True, requested_ns=START_NS)
        value = codec.encode_value(order)
        play = Play(order=False)
        play.tell(Recover(records=(StoreRecord(key=OPEN_KEY + COID, value=value),)), message)
        if not play.order.terminal and not play.retired():
            assert play.timers.keys() & {"verify", "lookup", "cancel"}, message
