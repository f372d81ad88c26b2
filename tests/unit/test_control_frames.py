"""The control sockets' framing: nothing that is sent can do worse than earn an error reply, nor keep others waiting."""

import asyncio
import contextlib
import json
import socket
import stat
import struct

import msgspec
import pytest

from actors.runtime import control_frames
from actors.runtime.control_frames import MAX_READING, MAX_REQUEST, REQUEST_S, Waiting, ask, serve
from protocol.control import KillNow, Reply, View

LENGTH = struct.Struct(">I")
VIEW = View(by="tester", what="status")


async def answered(request) -> Reply:
    """A handler that says what it heard; the view "slow" takes its time, "broken" fails."""
    if isinstance(request, View) and request.what == "slow":
        await asyncio.sleep(0.5)
    return Reply(code=0, text=type(request).__name__, data=json.dumps(getattr(request, "reason", None)))


async def served(path, work, handler=answered):
    """Serve while `work` runs in a thread of its own."""
    server = await serve(path, handler)
    try:
        return await asyncio.to_thread(work)
    finally:
        server.close()
        await server.wait_closed()


def run(path, work, handler=answered):
    return asyncio.run(served(path, work, handler))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.sock"


def connect(path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5.0)
    connection.connect(str(path))
    return connection


def reply_to(path, sent: bytes) -> Reply:
    """What these bytes earn."""
    with connect(path) as connection:
        with contextlib.suppress(BrokenPipeError):  # whoever is refused may be answered before anything is read
            connection.sendall(sent)
        return read(connection)


def read(connection: socket.socket) -> Reply:
    data = b""
    while chunk := connection.recv(1 << 16):
        data += chunk
    (length,) = LENGTH.unpack(data[:4])
    assert length == len(data) - 4
    return msgspec.json.decode(data[4:], type=Reply)


def framed(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def test_a_request_is_answered_and_the_socket_is_private(path):
    path.write_text("left by an earlier process")
    reply = run(path, lambda: (ask(path, VIEW, 2.0), path.stat()))
    assert reply[0].text == "View"
    assert stat.S_IMODE(reply[1].st_mode) == 0o600
    assert stat.S_ISSOCK(reply[1].st_mode)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"kill"',
        b"{}",
        b'{"type":"control.unknown","by":"x"}',
        b'{"type":"control.kill","by":"x"}',
        b'{"type":"control.kill","by":"x","reason":1,"scope":"mine"}',
        b'{"type":"control.view","by":"x","what":"status"} and more',
        b'{"type":"control.view","by":"x","what":"status","deep":' + b"[" * 60_000,
        b'{"type":"control.view","by":"x","deep":' + b"[" * 30_000 + b"]" * 30_000 + b',"what":"status"}',
    ],
    ids=lambda body: repr(body[:50]),
)
def test_what_is_no_request_earns_an_error_and_the_next_is_answered(path, body):
    bad, good = run(path, lambda: (reply_to(path, framed(body)), ask(path, VIEW, 2.0)))
    assert bad.code == 2
    assert bad.text.startswith("not a request")
    assert good.code == 0


@pytest.mark.parametrize("length", [MAX_REQUEST + 1, 2**32 - 1])
def test_a_request_too_large_is_refused_before_it_is_read(path, length):
    reply = run(path, lambda: reply_to(path, LENGTH.pack(length)))
    assert (reply.code, "too large" in reply.text) == (2, True)


def test_the_largest_request_is_read(path):
    reason = "x" * (MAX_REQUEST - 200)
    reply = run(path, lambda: ask(path, KillNow(by="tester", reason=reason, scope="mine"), 2.0))
    assert json.loads(reply.data) == reason


def test_a_request_that_comes_byte_by_byte_is_read(path):
    def trickle():
        with connect(path) as connection:
            for byte in framed(msgspec.json.encode(VIEW)):
                connection.sendall(bytes([byte]))
            return read(connection)

    assert run(path, trickle).text == "View"


def test_another_user_is_refused_whatever_it_asks(path, monkeypatch):
    monkeypatch.setattr(control_frames.os, "getuid", lambda: 4_000_000)
    reply = run(path, lambda: reply_to(path, b""))
    assert reply.code == 4


def test_half_a_request_is_given_up_after_its_time_and_keeps_nobody_waiting(path, monkeypatch):
    monkeypatch.setattr(control_frames, "REQUEST_S", 0.3)

    def work():
        with connect(path) as half, connect(path) as silent:
            half.sendall(framed(msgspec.json.encode(VIEW))[:-1])
            meanwhile = ask(path, VIEW, 0.25)
            return meanwhile, half.recv(1), silent.recv(1)

    meanwhile, half, silent = run(path, work)
    assert meanwhile.code == 0
    assert (half, silent) == (b"", b"")


def test_one_that_trickles_for_ever_has_one_time_for_all_of_it(path, monkeypatch):
    monkeypatch.setattr(control_frames, "REQUEST_S", 0.3)

    def work():
        with connect(path) as slow:
            slow.sendall(LENGTH.pack(1000))
            for _ in range(20):
                try:
                    slow.sendall(b"x")
                except BrokenPipeError:
                    return True
                slow.settimeout(0.1)
                try:
                    if slow.recv(1) == b"":
                        return True
                except TimeoutError:
                    continue
            return False

    assert run(path, work)


def test_requests_are_answered_side_by_side(path):
    async def work():
        server = await serve(path, answered)
        slow = asyncio.create_task(asyncio.to_thread(ask, path, View(by="tester", what="slow"), 5.0))
        quick = [asyncio.to_thread(ask, path, VIEW, 0.4) for _ in range(8)]
        replies = await asyncio.gather(*quick)
        assert not slow.done()
        await slow
        server.close()
        return replies

    assert all(reply.code == 0 for reply in asyncio.run(work()))


def test_whoever_leaves_before_the_answer_harms_nobody(path):
    def work():
        with connect(path) as gone:
            gone.sendall(framed(msgspec.json.encode(View(by="tester", what="slow"))))
        return ask(path, VIEW, 2.0)

    assert run(path, work).code == 0


@pytest.mark.req("K1")
def test_a_flood_of_silent_connections_keeps_nobody_from_asking(path):
    def work():
        flood = [connect(path) for _ in range(3 * MAX_READING)]
        try:
            reply = ask(path, VIEW, REQUEST_S / 2)  # before a silent one is turned away for its silence
            held = sum(not ended(connection) for connection in flood)
        finally:
            for connection in flood:
                connection.close()
        return reply, held

    reply, held = run(path, work)
    assert reply.code == 0
    assert 0 < held <= MAX_READING


def ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False


def test_nobody_there_is_an_error(path):
    with pytest.raises(OSError, match="No such file"):
        ask(path, VIEW, 1.0)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", OSError),
        (b"\0\0", OSError),
        (LENGTH.pack(10) + b"short", OSError),
        (framed(b"{}"), ValueError),
        (framed(b"not json"), ValueError),
        (LENGTH.pack(2**32 - 1), ValueError),
    ],
)
def test_an_answer_that_is_none_is_an_error(path, sent, error):
    async def work():
        async def odd(reader, writer):
            await reader.readexactly(4)
            writer.write(sent)
            writer.close()

        server = await asyncio.start_unix_server(odd, path=str(path))
        async with server:
            with pytest.raises(error):
                await asyncio.to_thread(ask, path, VIEW, 2.0)

    asyncio.run(work())


def test_an_answer_that_does_not_come_in_time_is_an_error(path):
    def work():
        with pytest.raises(TimeoutError):
            ask(path, View(by="tester", what="slow"), 0.1)
        return True

    assert run(path, work)


def test_each_request_gets_its_own_answer_and_the_rest_are_dismissed_or_too_late():
    async def scene():
        asked = []
        waiting = Waiting(lambda number, request: asked.append((number, request)), 0.05, Reply(code=5, text="late"))
        first, second = asyncio.create_task(waiting(VIEW)), asyncio.create_task(waiting(VIEW))
        await asyncio.sleep(0)
        (one, _), (two, _) = asked
        waiting.answer(two, Reply(code=0, text="two"))
        waiting.answer(two, Reply(code=1, text="again"))
        waiting.answer(99, Reply(code=1, text="to nobody"))
        waiting.dismiss(Reply(code=1, text="dismissed"))
        return one != two, [(await task).text for task in (first, second)], (await waiting(VIEW)).text

    assert asyncio.run(scene()) == (True, ["dismissed", "two"], "late")
