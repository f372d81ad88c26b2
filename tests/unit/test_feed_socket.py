"""The streaming edge over a real loopback socket: what it carries, batches, drops and reports."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from itertools import count

import pytest
from websockets.asyncio.server import serve

from actors.runtime import stream_socket
from actors.runtime.stream import CloseSocket, OpenSocket, SendSubscribe, TakeFrames
from actors.runtime.stream_socket import BATCH_FRAMES, Budget, Pace, StreamSocket, retry_s
from protocol.feed import FramesArrived, SocketClosed, SocketOpened

BIG = 5_100_000


class Port:
    """Where the edge reports; tests await what it says."""

    name, incarnation, cause = "market:0", 1, 0

    def __init__(self):
        self.mail = asyncio.Queue()
        self.failures = []

    def now_ns(self):
        return int(asyncio.get_running_loop().time() * 1e9)

    def tell(self, to, message):
        assert to == self.name
        self.mail.put_nowait(message)

    def valid(self):
        return True

    def failed(self, error):
        self.failures.append(error)

    async def hear(self, kind):
        message = await asyncio.wait_for(self.mail.get(), 5)
        assert isinstance(message, kind), message
        return message


@asynccontextmanager
async def wired(handler, sign=None):
    """An open edge and its port; `handler` plays the venue."""
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        address = server.sockets[0].getsockname()
        edge, port = StreamSocket(f"ws://127.0.0.1:{address[1]}", Budget(), sign), Port()
        edge.bind(port)
        try:
            edge.perform(OpenSocket(connection=7, attempt=1))
            yield edge, port
        finally:
            edge.close()
            await asyncio.gather(*edge._tasks, return_exceptions=True)
        assert port.failures == []


def run(scenario):
    return asyncio.run(scenario)


def test_every_subscribe_is_signed_anew_and_in_order():
    asked = asyncio.Queue()

    async def venue(live):
        async for message in live:
            asked.put_nowait(json.loads(message))

    async def scenario():
        tokens = count()
        async with wired(venue, lambda: f"token{next(tokens)}") as (edge, port):
            await port.hear(SocketOpened)
            edge.perform(SendSubscribe(connection=7, channel="heartbeats", product_ids=()))
            edge.perform(SendSubscribe(connection=7, channel="level2", product_ids=("BTC-USD",), subscribe=False))
            first, second = [await asyncio.wait_for(asked.get(), 5) for _ in range(2)]
        assert first == {"type": "subscribe", "channel": "heartbeats", "jwt": "token0"}
        assert second == {
            "type": "unsubscribe",
            "channel": "level2",
            "product_ids": ["BTC-USD"],
            "jwt": "token1",
        }

    run(scenario())


def test_without_a_key_no_token_is_sent():
    asked = asyncio.Queue()

    async def venue(live):
        asked.put_nowait(json.loads(await live.recv()))

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            edge.perform(SendSubscribe(connection=7, channel="heartbeats", product_ids=()))
            assert "jwt" not in await asyncio.wait_for(asked.get(), 5)

    run(scenario())


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
def test_every_close_is_told_with_its_code_and_a_drawn_wait(code):
    async def venue(live):
        await live.close(code, "maintenance")

    async def scenario():
        async with wired(venue) as (_, port):
            await port.hear(SocketOpened)
            closed = await port.hear(SocketClosed)
        assert (closed.connection, closed.code, closed.reason) == (7, code, "maintenance")
        assert 0.25 <= closed.retry_s <= 30

    run(scenario())


def test_a_peer_that_vanishes_is_told_as_1006():
    async def venue(live):
        live.transport.abort()

    async def scenario():
        async with wired(venue) as (_, port):
            await port.hear(SocketOpened)
            assert (await port.hear(SocketClosed)).code == 1006

    run(scenario())


def test_nobody_listening_is_a_close_too():
    async def scenario():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{free.getsockname()[1]}"
        edge, port = StreamSocket(url, Budget()), Port()
        edge.bind(port)
        edge.perform(OpenSocket(connection=7, attempt=3))
        closed = await port.hear(SocketClosed)
        assert (closed.code, closed.reason) == (1006, "ConnectionRefusedError")
        edge.close()

    run(scenario())


def test_we_may_end_it_and_hear_so_at_once():
    async def venue(live):
        await live.wait_closed()

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            edge.perform(CloseSocket(connection=6, reason="another"))
            edge.perform(CloseSocket(connection=7, reason="no heartbeat"))
            assert (await port.hear(SocketClosed)).reason == "no heartbeat"

    run(scenario())


def test_snapshots_of_megabytes_whole_or_in_fragments_arrive():
    async def venue(live):
        await live.send("a" * BIG)
        await live.send(["b" * 1000, "c" * 1000, "d"])
        await live.wait_closed()

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            first = await port.hear(FramesArrived)
            edge.perform(TakeFrames(connection=7))
            second = await port.hear(FramesArrived)
        assert [len(frame) for frame in first.frames] == [BIG]
        assert second.frames == (b"b" * 1000 + b"c" * 1000 + b"d",)

    run(scenario())


def test_what_is_not_taken_gathers_and_comes_in_order():
    sent = asyncio.Event()

    async def venue(live):
        for number in range(100):
            await live.send(str(number))
        await live.ping()
        sent.set()
        await live.wait_closed()

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            got = list((await port.hear(FramesArrived)).frames)
            await sent.wait()
            while len(got) < 100:
                assert port.mail.empty()
                edge.perform(TakeFrames(connection=7))
                got += (await port.hear(FramesArrived)).frames
        assert got == [str(number).encode() for number in range(100)]

    run(scenario())


def test_frames_in_every_guise_arrive_in_order_whatever_the_cuts():
    """Short and long lengths, fragments, pings between them: what is read and what is cut out is one stream."""
    sizes = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 3)

    async def venue(live):
        for number, size in enumerate(sizes):
            await live.send(bytes([97 + number]) * size)
            if number % 3 == 1:
                await live.ping()
            if number % 4 == 2:
                await live.send([b"in ", b"three ", b"parts"])
        await live.wait_closed()

    async def scenario(step):
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            shredded(edge, step)
            got = []
            while len(got) < len(sizes) + 2:
                got += (await port.hear(FramesArrived)).frames
                edge.perform(TakeFrames(connection=7))
        whole = [bytes([97 + number]) * size for number, size in enumerate(sizes)]
        assert got == [*whole[:3], b"in three parts", *whole[3:7], b"in three parts", *whole[7:]]

    for step in (1, 7, 4096, None):
        run(scenario(step))


def shredded(edge, step):
    """From now on the socket reads in pieces of `step` bytes."""
    live = edge._live  # the cuts are the network's, and loopback makes none
    received = type(live).data_received
    if step is not None:
        live.data_received = lambda data: [received(live, data[at : at + step]) for at in range(0, len(data), step)]


def test_a_frame_larger_than_any_venue_sends_ends_the_connection():
    told = []

    async def venue(live):
        await live.send("small")
        live.transport.write(b"\x81\x7f" + (1 << 40).to_bytes(8))
        await live.wait_closed()
        told.append(live.close_code)

    async def scenario():
        async with wired(venue) as (_, port):
            await port.hear(SocketOpened)
            assert (await port.hear(FramesArrived)).frames == (b"small",)
            await port.hear(SocketClosed)

    run(scenario())
    assert told == [1009], "too big (RFC 6455)"


def test_dense_frames_are_gathered_and_sparse_ones_go_at_once(monkeypatch):
    """A burst is worth one wake; while frames are far apart an exit may hang on each."""
    monkeypatch.setattr(stream_socket, "GATHER_S", 1.0)
    monkeypatch.setattr(stream_socket, "DENSE_S", 0.05)
    dense = asyncio.Event()

    async def venue(live):
        await live.send("sparse")
        await dense.wait()
        for number in range(3 * BATCH_FRAMES + 5):
            await live.send(str(number))
        await live.wait_closed()

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            batches = [len((await port.hear(FramesArrived)).frames)]
            dense.set()
            while sum(batches) < 3 * BATCH_FRAMES + 6:
                edge.perform(TakeFrames(connection=7))
                batches.append(len((await port.hear(FramesArrived)).frames))
        return batches

    batches = run(scenario())
    assert batches[0] == 1, "what comes alone waits for nothing"
    assert BATCH_FRAMES in batches, "what comes densely is gathered"
    assert max(batches) == BATCH_FRAMES, "and never beyond a batch"


def test_a10_overflow_drops_everything_and_says_so(monkeypatch):
    monkeypatch.setattr(stream_socket, "MAX_WAITING_FRAMES", 50)

    flooded, go_on = asyncio.Event(), asyncio.Event()

    async def venue(live):
        await live.send("first")
        await live.recv()
        for number in range(120):
            await live.send(str(number))
        await (await live.ping())  # answered behind everything before it
        flooded.set()
        await asyncio.wait_for(go_on.wait(), 5)
        await live.send("last")
        await live.wait_closed()

    async def scenario():
        async with wired(venue) as (edge, port):
            await port.hear(SocketOpened)
            assert not (await port.hear(FramesArrived)).lost
            edge.perform(SendSubscribe(connection=7, channel="level2", product_ids=()))
            await asyncio.wait_for(flooded.wait(), 5)
            go_on.set()
            messages = []
            while not messages or messages[-1].frames[-1] != b"last":
                edge.perform(TakeFrames(connection=7))
                messages.append(await port.hear(FramesArrived))
        numbers = [int(frame) for message in messages for frame in message.frames if frame != b"last"]
        assert [message.lost for message in messages] == [True] + [False] * (len(messages) - 1)
        assert 0 < len(numbers) < 50
        assert numbers == list(range(numbers[0], 120))  # nothing is missing after the drop

    run(scenario())


def test_a19_the_budget_is_shared_and_spaced():
    pace = Pace(1_000_000_000)
    assert [pace.wait_s(10_000_000_000) for _ in range(3)] == [0, 1, 2]
    assert pace.wait_s(20_000_000_000) == 0
    assert pace.wait_s(20_250_000_000) == 0.75


@pytest.mark.parametrize(("attempt", "most"), [(1, 0.25), (2, 0.5), (4, 2.0), (8, 30.0), (100, 30.0)])
def test_waits_grow_with_jitter_to_thirty_seconds(attempt, most):
    drawn = [retry_s(attempt) for _ in range(50)]
    assert all(0.25 <= wait <= most for wait in drawn)
    assert attempt == 1 or len(set(drawn)) > 1
