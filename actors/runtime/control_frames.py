"""The framing of the control sockets: a 4-byte big-endian length, then one JSON document; one request, one reply.

Desk and watchdog serve it, the command line asks. Only the same user may speak, and nothing that is sent can do worse
than earn an error reply.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from protocol.control import ControlRequest, Reply

MAX_REQUEST = 64 * 1024
MAX_REPLY = 64 * 1024 * 1024
REQUEST_S = 5.0
MAX_READING = 64
"""Connections whose request has not come in whole; one more, and the oldest of them is cut off."""
BACKLOG = 256
_LENGTH = struct.Struct(">I")
_PEER = struct.Struct("3i")
_REFUSED, _MALFORMED = 4, 2

_decode_request = msgspec.json.Decoder(ControlRequest)
_decode_reply = msgspec.json.Decoder(Reply)
_encode = msgspec.json.Encoder().encode

Handler = Callable[[ControlRequest], Awaitable[Reply]]


def ask(path: Path, request: ControlRequest, timeout_s: float) -> Reply:
    """Ask one question and wait for its answer.

    Raises:
        OSError: nobody listens there.
        TimeoutError: no answer in time.
        ValueError: the answer is none.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        body = _encode(request)
        with contextlib.suppress(BrokenPipeError):  # refused before it was read: the reply says why
            connection.sendall(_LENGTH.pack(len(body)) + body)
        (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
        if length > MAX_REPLY:
            raise ValueError(f"a reply of {length} bytes is none of ours")
        try:
            return _decode_reply.decode(_exactly(connection, length))
        except msgspec.MsgspecError as exc:
            raise ValueError(f"not a reply: {exc}") from exc


def _exactly(connection: socket.socket, length: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < length:
        chunk = connection.recv(min(1 << 16, length - len(chunks)))
        if not chunk:
            raise ConnectionResetError("the connection ended before the reply did")
        chunks += chunk
    return bytes(chunks)


class Waiting:
    """Requests that somebody else answers, each known by its number: a handler for `serve`.

    `tell` hands a request on; who waits longer than `within_s` hears `late`.
    """

    def __init__(self, tell: Callable[[int, ControlRequest], None], within_s: float, late: Reply) -> None:
        self._tell = tell
        self._within_s = within_s
        self._late = late
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}

    async def __call__(self, request: ControlRequest) -> Reply:
        """Hand a request on and wait for its answer."""
        self._number += 1
        number = self._number
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._tell(number, request)
        try:
            return await asyncio.wait_for(self._waiting[number], self._within_s)
        except TimeoutError:
            return self._late
        finally:
            del self._waiting[number]

    def answer(self, number: int, reply: Reply) -> None:
        """The answer to a request, if anybody still waits for it."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def dismiss(self, reply: Reply) -> None:
        """Answer all who wait."""
        for number in self._waiting:
            self.answer(number, reply)


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Listen on `path` (mode 0600) and answer each request with what `handler` returns."""
    await asyncio.to_thread(path.unlink, missing_ok=True)
    reading: dict[asyncio.StreamWriter, None] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading[writer] = None
        if len(reading) > MAX_READING:
            oldest = next(iter(reading))
            del reading[oldest]
            oldest.transport.abort()
        try:
            body = _encode(await _reply(reader, writer, handler, reading))
            writer.write(_LENGTH.pack(len(body)) + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return  # whoever asked has gone
        finally:
            reading.pop(writer, None)
            writer.close()

    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path=str(path), backlog=BACKLOG)
    finally:
        os.umask(before)


async def _reply(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handler: Handler,
    reading: dict[asyncio.StreamWriter, None],
) -> Reply:
    if not same_user(writer.get_extra_info("socket")):
        return Reply(code=_REFUSED, text="this socket belongs to another user")
    async with asyncio.timeout(REQUEST_S):
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_REQUEST:
            return Reply(code=_MALFORMED, text=f"a request of {length} bytes is too large")
        body = await reader.readexactly(length)
    reading.pop(writer, None)
    try:
        request = _decode_request.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return Reply(code=_MALFORMED, text=f"not a request: {exc}")
    return await handler(request)


def same_user(connection: socket.socket) -> bool:
    """Whether the other end runs as this process's user, by the kernel's word."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(told)
    return bool(uid == os.getuid())
