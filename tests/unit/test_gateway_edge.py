"""The gateway's edge on a real socket: one place request is written once, and every way it can end is told apart."""

import asyncio
import json

import aiohttp
import jwt
import pytest

from actors.gateway.tokens import AGAIN_S, Tokens
from protocol.coinbase.endpoints import Endpoint
from protocol.instants import SECOND_NS
from protocol.transport import CallAnswered, CallBroken, HttpCall, SignWith
from tests.support.gateway_edge import BODY, KEY, OK, PLACE, START_NS, Peer, met, outcome, place


def claims(token):
    """What a token says; its signature is checked, its times are the test's to judge."""
    options = {"verify_exp": False, "verify_nbf": False}
    return jwt.decode(token, KEY.verifying().public, algorithms=["EdDSA"], options=options)


def met_once(answer, *, then=None, **changes):
    """What became of one place request, and what the peer saw."""
    peer = Peer(answer, then=then)

    async def go():
        async with met(peer) as (edge, port, _):
            return await outcome(edge, port, place(**changes))

    return asyncio.run(go()), peer


def test_a_place_request_is_one_signed_post_with_its_body_as_decided():
    told, peer = met_once(OK)
    assert told == CallAnswered(call=1, status=200, body=b"{}")
    ((head, body),) = peer.requests
    line, *headers = head.strip().split("\r\n")
    fields = {name.lower(): value for name, _, value in (h.partition(": ") for h in headers)}
    assert (line, body) == (f"POST {PLACE.path()} HTTP/1.1", BODY)
    assert (fields["content-type"], fields["content-length"]) == ("application/json", str(len(BODY)))
    assert fields["host"].startswith("127.0.0.1:")
    token = fields["authorization"].removeprefix("Bearer ")
    assert claims(token)["uri"] == f"POST {fields['host']}{PLACE.path()}"


ANSWERS = {
    "plain text": (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nUnauthorized",
        None,
    ),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", None),
    "to the connection's end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde", "close"),
    "after a word in between": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, None),
}
BODIES = {"plain text": (401, b"Unauthorized"), "after a word in between": (200, b"{}")}


@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_is_read_to_its_end_whatever_its_form(how):
    answer, then = ANSWERS[how]
    told, _ = met_once(answer, then=then)
    status, body = BODIES.get(how, (200, b"abcde"))
    assert told == CallAnswered(call=1, status=status, body=body)


def test_a_wait_that_is_asked_for_is_told():
    told, _ = met_once(b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")
    assert (told.status, told.retry_after_s) == (429, 3.0)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"SMTP?\r\n\r\n"], ids=["cut", "half", "noise"]
)
def test_a_connection_that_failed_its_request_leaves_it_unknown_and_it_is_not_sent_again(answer):
    told, peer = met_once(answer, then="close")
    assert (type(told), told.kind, told.sent) == (CallBroken, "connection", True)
    assert len(peer.requests) == 1


def test_silence_is_a_time_out_of_what_was_sent():
    told, peer = met_once(None, timeout_s=0.3)
    assert (told.kind, told.sent, len(peer.requests)) == ("timeout", True, 1)


def test_what_finds_no_listener_was_certainly_not_sent():
    async def go():
        async with met(Peer()) as (edge, port, server):
            server.close()
            await server.wait_closed()
            return await outcome(edge, port, place())

    told = asyncio.run(go())
    assert (told.kind, told.sent) == ("connection", False)


FENCES = {
    "superseded": lambda port: setattr(port, "alive", False),
    "the epoch has moved": lambda port: setattr(port, "epoch", 4),
    "the pump is late": lambda port: setattr(port, "late_ns", 2 * SECOND_NS),
    "too old": lambda port: setattr(port, "time_ns", START_NS + 2 * SECOND_NS),
}


@pytest.mark.req("K1")
@pytest.mark.parametrize("reason", FENCES)
def test_the_fence_falls_also_while_the_connection_is_being_made(reason):
    peer = Peer(OK)

    async def go():
        async with met(peer) as (edge, port, _):
            edge.perform(place())
            FENCES[reason](port)  # nothing of the call has run yet but its being asked for
            return (await asyncio.wait_for(port.heard.get(), 10))[1]

    assert asyncio.run(go()) == CallBroken(call=1, kind="fenced", detail=reason, sent=False)
    assert peer.requests == []


def test_a_warm_connection_is_used_again_and_a_dead_one_is_not():
    warm, cut = Peer(OK, OK), Peer(OK, OK, then="close")

    async def twice(peer):
        async with met(peer) as (edge, port, _):
            first = await outcome(edge, port, place(1))
            if peer.then == "close":
                await peer.closed.wait()
                for _ in range(10):  # its end is on the socket; the loop has to come round to see it
                    await asyncio.sleep(0)
            return first, await outcome(edge, port, place(2))

    for peer, connections in ((warm, 1), (cut, 2)):
        told = asyncio.run(twice(peer))
        assert [t.status for t in told] == [200, 200]
        assert (peer.opened, len(peer.requests)) == (connections, 2)


class Ended(aiohttp.TCPConnector):
    """Its connections have ended by the time they are handed out."""

    async def connect(self, *args):
        way = await super().connect(*args)
        lost = way.protocol.closed
        way.protocol.transport.abort()
        await lost
        return way


@pytest.mark.req("CB1")
def test_a_connection_that_ended_before_the_write_was_certainly_not_sent_on(monkeypatch):
    monkeypatch.setattr(aiohttp, "TCPConnector", Ended)
    told, peer = met_once(OK)
    assert (type(told), told.kind, told.sent) == (CallBroken, "connection", False)
    assert peer.requests == []


@pytest.mark.req("CB1")
def test_whatever_fails_behind_the_write_never_says_that_nothing_was_sent(monkeypatch):
    async def broken(_):
        raise LookupError("as a decoder may")

    monkeypatch.setattr("actors.gateway.line.whole", broken)
    peer = Peer(OK)

    async def go():
        async with met(peer) as (edge, port, _):
            edge.perform(place())
            return await asyncio.wait_for(port.heard.get(), 10)

    assert isinstance(asyncio.run(go()), LookupError), "no verdict of any kind: it ends the gateway"
    assert len(peer.requests) == 1


def test_an_answer_without_end_is_cut_at_the_most_that_is_taken(monkeypatch):
    monkeypatch.setattr("actors.gateway.line.MAX_BODY", 1000)
    told, _ = met_once(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(5000))
    assert (told.status, len(told.body)) == (200, 1000)


@pytest.mark.req("CB1")
def test_what_goes_the_short_way_is_a_place_request_or_nothing():
    other = Endpoint.CANCEL_ORDERS
    peer = Peer(OK)

    async def go():
        async with met(peer) as (edge, port, _):
            edge.perform(place(endpoint=other.name, path=other.path()))
            return await asyncio.wait_for(port.heard.get(), 10)

    assert isinstance(asyncio.run(go()), AssertionError)
    assert peer.requests == []


def test_questions_go_the_ordinary_way():
    peer = Peer(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"orders":[]}')

    async def go():
        async with met(peer) as (edge, port, _):
            cancel = Endpoint.CANCEL_ORDERS
            return await outcome(edge, port, HttpCall(call=9, endpoint=cancel.name, path=cancel.path(), body=BODY))

    assert json.loads(asyncio.run(go()).body) == {"orders": []}
    assert len(peer.requests) == 1


# --- tokens -------------------------------------------------------------------------------------------------------


class Watch:
    """A clock by hand."""

    now_ns = START_NS

    def __call__(self):
        return self.now_ns


def on_a_loop(check):
    """`check(tokens, clock)`, with one held ready."""

    async def go():
        watch = Watch()
        tokens = Tokens(KEY, "api.example", watch, 120)
        tokens.start()
        try:
            check(tokens, watch)
        finally:
            tokens.close()

    asyncio.run(go())


def test_every_token_is_used_once():
    def check(tokens, _):
        taken = [tokens.take() for _ in range(3)]
        assert len(set(taken)) == 3
        assert {claims(token)["uri"] for token in taken} == {f"POST api.example{PLACE.path()}"}

    on_a_loop(check)


@pytest.mark.parametrize(("waited_s", "signed_s"), [(0, 0), (10, 0), (11, 11), (500, 500)])
def test_a_token_held_for_long_is_not_used_any_more(waited_s, signed_s):
    def check(tokens, watch):
        watch.now_ns += waited_s * SECOND_NS
        found = claims(tokens.take())
        assert found["exp"] - found["nbf"] == 120
        assert found["nbf"] - claims(Tokens(KEY, "api.example", Watch(), 120).order_token())["nbf"] == signed_s

    on_a_loop(check)


def test_a_clock_that_turns_out_wrong_voids_the_token_held_ready():
    def check(tokens, _):
        before = claims(tokens.take())["nbf"]
        tokens.start()
        tokens.date(30 * SECOND_NS)
        assert claims(tokens.take())["nbf"] == before + 30

    on_a_loop(check)


def test_a_closed_stock_holds_nothing_and_is_not_filled_again():
    async def go():
        tokens = Tokens(KEY, "api.example", Watch(), 120)
        tokens.start()
        tokens.close()
        signed = []
        tokens.order_token = lambda: signed.append(1) or "new"
        tokens.date(SECOND_NS)
        assert tokens.take() == "new"
        await asyncio.sleep(2 * AGAIN_S)  # no event tells of what does not happen
        return signed

    assert asyncio.run(go()) == [1]


def test_without_a_key_nothing_is_signed():
    async def go():
        tokens = Tokens(None, "api.example", Watch(), 120)
        tokens.start()
        with pytest.raises(LookupError):
            tokens.take()
        tokens.close()

    asyncio.run(go())


def test_the_venue_s_clock_reaches_the_tokens():
    async def go():
        peer = Peer(OK)
        async with met(peer) as (edge, port, _):
            edge.perform(SignWith(offset_ns=40 * SECOND_NS))
            await outcome(edge, port, place())
        head = peer.requests[0][0]
        token = head.partition("Bearer ")[2].partition("\r\n")[0]
        return claims(token)

    assert asyncio.run(go())["nbf"] >= START_NS // SECOND_NS + 30
