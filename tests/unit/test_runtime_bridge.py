"""The hop to the other process: causes run through it, and it may say only what is listed."""

import asyncio
import socket
import struct

from actors.runtime.address import Directory
from actors.runtime.bridge import MAX_FRAME, Bridge
from actors.runtime.clock import SystemClock
from protocol.base import Envelope
from protocol.control import KillNow
from protocol.ids import ProductId
from protocol.lifecycle import Stop
from protocol.strategy import AlphaDown, AlphaUp, HistoryWanted

WANTED = HistoryWanted(product_id=ProductId("BTC-USD"))
ALLOWED = {HistoryWanted: frozenset({"feed"}), Stop: frozenset({"feed"})}


class Box:
    """A name that keeps what it is sent, and lets a test wait for it."""

    def __init__(self):
        self.mail, self.came = [], asyncio.Event()

    def put(self, envelope):
        self.mail.append(envelope)
        self.came.set()

    async def wait(self, number):
        while len(self.mail) < number:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 5)
        return self.mail


class World:
    """A desk with names `feed` and `cycle`, an alpha with `host`."""

    def __init__(self, path, accepts=ALLOWED):
        self.letters = []
        self.desk = Directory(SystemClock(), lambda e, reason: self.letters.append((e.to, reason)))
        self.alpha = Directory(SystemClock(), lambda e, reason: None, first_seq=1)
        self.feed, self.cycle, self.host = Box(), Box(), Box()
        self.desk.targets |= {"feed": self.feed, "cycle": self.cycle}
        self.alpha.targets["host"] = self.host
        self.here = Bridge(path, self.desk, "cycle", accepts)
        self.there = Bridge(path, self.alpha)
        self.desk.route("strategy:", self.here)
        self.desk.targets["host"] = self.here
        self.alpha.route("", self.there)

    async def __aenter__(self):
        await self.here.listen()
        await self.there.connect()
        await self.cycle.wait(1)
        return self

    async def __aexit__(self, *_):
        self.there.close()
        self.here.close()
        await asyncio.sleep(0.05)


def run(test):
    asyncio.run(test())


def test_an_answer_names_the_desks_own_message_as_its_cause(tmp_path):
    async def test():
        async with World(tmp_path / "s") as w:
            asked = w.desk.tell("host", WANTED, "cycle")
            (at_alpha,) = await w.host.wait(1)
            assert (at_alpha.seq, at_alpha.sender, at_alpha.body) == (asked, "cycle", WANTED)
            w.alpha.tell("feed", WANTED, "strategy:host", cause=at_alpha.seq)
            (answer,) = await w.feed.wait(1)
            assert (answer.cause, answer.sender) == (asked, "strategy:host")
            assert answer.seq > asked
            w.alpha.tell("feed", WANTED, "strategy:host", cause=2**62)  # a cause that is not earlier
            assert [e.cause for e in await w.feed.wait(2)][1] == 0

    run(test)


def test_the_other_side_may_say_only_what_is_listed_and_only_to_whom(tmp_path):
    async def test():
        async with World(tmp_path / "s") as w:
            w.alpha.tell("feed", KillNow(by="x", reason="x", scope="all"))
            w.alpha.tell("cycle", WANTED)
            w.alpha.tell("host", WANTED)  # would only come back
            w.there.put(Envelope(1, "", "nobody", 0, 0, 0, WANTED))
            w.alpha.tell("feed", WANTED)
            await w.feed.wait(1)
            assert w.letters == [
                ("feed", "not for the other process to say"),
                ("cycle", "not for the other process to say"),
                ("nobody", "not for the other process to say"),
            ]
            assert [type(e.body) for e in w.cycle.mail] == [AlphaUp]

    run(test)


def test_a_peer_that_goes_away_is_a_message_and_may_come_back(tmp_path):
    async def test():
        async with World(tmp_path / "s") as w:
            w.there._writer.close()
            mail = await w.cycle.wait(3)
            assert sorted(type(e.body).__name__ for e in mail[1:3]) == sorted([AlphaDown.__name__, AlphaUp.__name__])
            w.alpha.tell("feed", WANTED)
            await w.feed.wait(1)

    run(test)


def test_a_frame_too_large_or_none_of_ours_ends_the_connection(tmp_path):
    async def test():
        async with World(tmp_path / "s") as w:
            for data in (struct.pack(">I", MAX_FRAME + 1), struct.pack(">I", 3) + b"abc"):
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(raw, str(tmp_path / "s"))
                    await asyncio.get_running_loop().sock_sendall(raw, data)
                    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(raw, 1), 5) == b""
            assert w.feed.mail == []

    run(test)
