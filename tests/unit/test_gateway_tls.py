"""The order line over TLS, certificates verified: as in the clear, and who cannot prove who it is gets no request.

On both event loops: the desk's own, whose TLS is another implementation, and the standard one.
"""

import asyncio
import json
import ssl
import time
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import uvloop

from actors.gateway.edge import HttpEdge
from actors.venue.server_keys import tls_context
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import load_key_file
from protocol.instants import SECOND_NS
from protocol.transport import CallAnswered, CallBroken, HttpCall
from tests.support.gateway_edge import BODY, OK, PLACE, Peer, Port, met, outcome, place
from tests.support.venue_server import running

pytestmark = pytest.mark.req("CB1")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)  # more than one TLS record


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    return request.param


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server's context, and the file of the authority that signed for it."""
    return tls_context(tmp_path_factory.mktemp("authority"))


def trust(monkeypatch, ca):
    """What an operator does with SSL_CERT_FILE: the edge's connections are verified against this authority alone."""
    context = ssl.create_default_context(cafile=ca)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    monkeypatch.setattr(aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, ssl=context))


@pytest.fixture
def trusted(server, monkeypatch):
    """The server's context, its authority trusted by the edge."""
    context, ca = server
    trust(monkeypatch, ca)
    return context


def placed(run, peer, tls, *, times=1, between=None):
    """What became of place requests to this peer, one after the other."""

    async def go():
        async with met(peer, tls=tls) as (edge, port, _):
            told = []
            for number in range(1, times + 1):
                if told and between is not None:
                    await between()
                told.append(await outcome(edge, port, place(number, timeout_s=10.0)))
            return told

    return run(go())


@pytest.mark.parametrize(
    ("answer", "body"), [(OK, b"{}"), (CHUNKED, b"abcde"), (LARGE, bytes(200_000))], ids=["short", "chunks", "large"]
)
def test_a_place_request_and_its_answer(run, trusted, answer, body):
    peer = Peer(answer)
    assert placed(run, peer, trusted) == [CallAnswered(call=1, status=200, body=body)]
    ((head, sent),) = peer.requests
    assert head.startswith(f"POST {PLACE.path()} HTTP/1.1\r\nHost: 127.0.0.1:")
    assert sent == BODY


def test_a_warm_connection_is_used_again(run, trusted):
    peer = Peer(OK, CHUNKED, LARGE, OK)
    assert [told.status for told in placed(run, peer, trusted, times=4)] == [200] * 4
    assert (peer.opened, len(peer.requests)) == (1, 4)


def test_one_that_the_server_has_closed_is_not(run, trusted):
    peer = Peer(OK, OK, then="close")

    async def end_seen():
        await peer.closed.wait()  # the server has seen our end of it too: both have said goodbye

    assert [told.status for told in placed(run, peer, trusted, times=2, between=end_seen)] == [200, 200]
    assert (peer.opened, len(peer.requests)) == (2, 2)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], ids=["cut", "half"])
def test_a_close_behind_the_write_leaves_it_unknown(run, trusted, answer):
    peer = Peer(answer, then="close")
    (told,) = placed(run, peer, trusted)
    assert (type(told), told.kind, told.sent) == (CallBroken, "connection", True)
    assert len(peer.requests) == 1


def test_silence_behind_the_write_is_a_time_out_of_what_was_sent(run, trusted):
    peer = Peer(OK, None)

    async def go():
        async with met(peer, tls=trusted) as (edge, port, _):
            await outcome(edge, port, place(1, timeout_s=10.0))
            return await outcome(edge, port, place(2, timeout_s=0.2))

    told = run(go())
    assert (told.kind, told.sent, len(peer.requests)) == ("timeout", True, 2)


# --- who is not who it should be ----------------------------------------------------------------------------------


def refused(run, peer, **where):
    async def go():
        async with met(peer, **where) as (edge, port, _):
            cancel = Endpoint.CANCEL_ORDERS
            ask = HttpCall(call=9, endpoint=cancel.name, path=cancel.path(), body=BODY)
            return [await outcome(edge, port, place()), await outcome(edge, port, ask)]

    return run(go())


def test_an_authority_that_is_not_trusted_gets_nothing(run, server):
    """The system's authorities do not know the server's: refused before anything was sent, and nothing is unknown."""
    peer, (context, _) = Peer(OK, OK), server
    told = refused(run, peer, tls=context)
    assert [(t.kind, t.sent) for t in told] == [("connection", False)] * 2
    assert [t.detail for t in told] == ["ClientConnectorCertificateError"] * 2
    assert peer.requests == []


def test_another_authority_of_the_same_name_gets_nothing(run, server, tmp_path, monkeypatch):
    _, stranger = tls_context(tmp_path)
    trust(monkeypatch, stranger)
    peer = Peer(OK, OK)
    told = refused(run, peer, tls=server[0])
    assert [(t.kind, t.sent, t.detail) for t in told] == [("connection", False, "ClientConnectorCertificateError")] * 2
    assert peer.requests == []


def test_a_good_certificate_of_another_machine_gets_nothing(run, trusted):
    peer = Peer(OK, OK)
    told = refused(run, peer, tls=trusted, host="127.0.0.2")
    assert [(t.kind, t.sent) for t in told] == [("connection", False)] * 2
    assert peer.requests == []


class Mute(Peer):
    """It speaks no TLS: answers a client's hello with its one answer, or with silence until the client leaves."""

    async def serve(self, reader, writer):
        self.requests.append(await reader.read(4096))
        answer = self.answers.pop(0)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None], ids=["plain", "cut", "silent"])
def test_one_that_speaks_no_tls_gets_nothing(run, trusted, answer, monkeypatch):
    monkeypatch.setattr("actors.gateway.edge.CONNECT_S", 0.2)
    peer = Mute(answer, answer)
    told = refused(run, peer, scheme="https")
    assert [(t.kind, t.sent) for t in told] == [("connection", False)] * 2
    assert not any(BODY in hello for hello in peer.requests)


# --- the embedded venue -------------------------------------------------------------------------------------------


def test_orders_rest_at_the_embedded_venue_over_one_verified_connection(run, tmp_path, monkeypatch):
    with running(tmp_path, "--tls") as venue:
        trust(monkeypatch, venue.ready["ca"])
        key = load_key_file(Path(venue.ready["key_file"]).read_bytes())
        asked = [venue.order() for _ in range(3)]

        async def go():
            port = Port()
            port.time_ns = time.time_ns()
            edge = HttpEdge(venue.ready["rest"], key, port, port)
            edge.bind(port)
            try:
                fence_ns = port.time_ns + 60 * SECOND_NS
                calls = [place(n, body=json.dumps(o).encode(), fence_ns=fence_ns) for n, o in enumerate(asked)]
                return [await outcome(edge, port, call) for call in calls]
            finally:
                edge.close()
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others, return_exceptions=True)

        told = [json.loads(answer.body) for answer in run(go())]
    assert [answer["success"] for answer in told] == [True] * 3
    echoed = [answer["success_response"]["client_order_id"] for answer in told]
    assert echoed == [order["client_order_id"] for order in asked]
