"""The gateway's real HTTP edge before a peer that answers as told, in the clear or over TLS."""

import asyncio
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors.gateway.edge import HttpEdge
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS
from protocol.transport import HttpCall

START_NS = 1_795_003_200 * SECOND_NS
KEY = SigningKey("organizations/0/apiKeys/0", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
BODY = b'{"client_order_id":"bot-1"}'
PLACE = Endpoint.CREATE_ORDER
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Port:
    """An incarnation that keeps what it hears; `epoch` and `late_ns` are what the fence looks at."""

    name, incarnation, cause = "gateway", 1, 7

    def __init__(self):
        self.heard, self.time_ns, self.epoch, self.late_ns, self.alive = asyncio.Queue(), START_NS, 3, 0, True

    def now_ns(self):
        return self.time_ns

    def tell(self, to, message, cause=0):
        self.heard.put_nowait((to, message, cause))

    def valid(self):
        return self.alive

    def failed(self, error):
        self.heard.put_nowait(error)

    def current(self):
        return self.epoch

    def age_ns(self, _slot):
        return self.late_ns


class Peer:
    """A server that answers as told: each connection's requests, in order, are kept as they came."""

    def __init__(self, *answers, then=None):
        self.answers, self.then, self.requests, self.opened = list(answers), then, [], 0
        self.closed = asyncio.Event()

    async def serve(self, reader, writer):
        self.opened += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                self.requests.append((head.decode(), await reader.readexactly(length)))
                answer = self.answers.pop(0)
                if answer is None:  # silence
                    await reader.read()
                    return
                writer.write(answer)
                await writer.drain()
                if self.then == "close":
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()
            await writer.wait_closed()
            self.closed.set()


@asynccontextmanager
async def met(peer, *, host="127.0.0.1", tls=None, scheme=None, **changes):
    """An edge and the peer it leads to; with a server's context in `tls`, over TLS (which `scheme` only pretends)."""
    server = await asyncio.start_server(peer.serve, host, 0, ssl=tls)
    port = Port()
    scheme = scheme or ("https" if tls else "http")
    url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
    edge = HttpEdge(url, KEY, port, port, **changes)
    edge.bind(port)
    try:
        yield edge, port, server
    finally:
        edge.close()
        server.close()
        await asyncio.gather(
            *(t for t in asyncio.all_tasks() if t is not asyncio.current_task()), return_exceptions=True
        )


def place(number=1, **changes):
    parts = {"endpoint": PLACE.name, "path": PLACE.path(), "body": BODY, "timeout_s": 2.0, "epoch": 3}
    return HttpCall(call=number, **{**parts, "fence_ns": START_NS + SECOND_NS, **changes})


async def outcome(edge, port, call):
    edge.perform(call)
    to, message, cause = await asyncio.wait_for(port.heard.get(), 10)
    assert (to, cause) == ("gateway", 7)
    return message
