"""The hop between desk and alpha: one socket, length-prefixed msgpack frames of (to, message), both ways.

The desk listens, alpha connects and connects again for ever, so either may die without the other. What cannot be sent
is dropped and counted: strategies decide on the newest candles, which they ask for again when they are back.
The desk lets alpha say only what it lists, to whom it lists: user code runs there.
"""

import asyncio
import logging
import os
import signal
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.runtime.address import Directory
from protocol import codec
from protocol.base import Envelope, Message
from protocol.codec import CodecError
from protocol.strategy import AlphaDown, AlphaUp, EndAlpha

MAX_FRAME = 64 * 1024 * 1024
MAX_BUFFERED = 32 * 1024 * 1024
RECONNECT_S = 0.1
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

_log = logging.getLogger(__name__)


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message on its way, with its sender's numbers."""

    to: str
    sender: str
    seq: int
    cause: int
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


class Bridge:
    """A target for mail to the other process, and the door for mail from it. Lives on one event loop.

    The desk gives what arrives numbers of its own. Alpha keeps the desk's numbers, so that an answer names as its cause
    the desk's message that it answers; its own numbers start below all of the desk's (`first_seq=1`) and cause nothing.
    """

    def __init__(
        self,
        path: Path,
        directory: Directory,
        listener: str = "",
        accepts: Mapping[type[Message], frozenset[str]] | None = None,
    ) -> None:
        """Make one end.

        Args:
            path: the desk's socket.
            directory: of this process.
            listener: who hears `AlphaUp` and `AlphaDown` (empty: nobody).
            accepts: what the other side may say, and to which names; None: anything to anybody. The rest becomes dead
                letters.
        """
        self._accepts = accepts
        self._keeps_numbers = False
        self._path = path
        self._directory = directory
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._peer = -1
        self.dropped = 0

    async def listen(self) -> None:
        """The desk's side: wait for alpha, again and again."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=str(self._path), limit=MAX_FRAME)
        await asyncio.to_thread(self._path.chmod, 0o600)

    async def connect(self) -> None:
        """Alpha's side: returns when the first connection stands; later ones are made by themselves."""
        self._keeps_numbers = True
        ready = asyncio.Event()
        self._task = self._loop.create_task(self._reconnect(ready))
        await ready.wait()

    def put(self, envelope: Envelope) -> None:
        """Take mail for the other side; from any thread, never blocks."""
        self._loop.call_soon_threadsafe(self._send, envelope)

    def close(self) -> None:
        """Stop listening, connecting and carrying."""
        if self._server is not None:
            self._server.close()
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()
        self._let_go()

    def _send(self, envelope: Envelope) -> None:
        if isinstance(envelope.body, EndAlpha):
            self._end_peer(envelope.body.reason)
            return
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_BUFFERED:
            self.dropped += 1
            return
        body = codec.encode(envelope.body)
        frame = _encode(Frame(envelope.to, envelope.sender, envelope.seq, envelope.cause, body))
        writer.write(_LENGTH.pack(len(frame)) + frame)

    def _end_peer(self, reason: str) -> None:
        """Kill the process at the other end: it is asked for nothing any more. Its own parent starts another."""
        if self._writer is None:
            return
        with suppress(OSError):
            _log.warning("bridge: the other process is ended: %s", reason)
            signal.pidfd_send_signal(self._peer, signal.SIGKILL)

    async def _reconnect(self, ready: asyncio.Event) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_FRAME)
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            ready.set()
            try:
                await self._carry(reader)
            finally:
                self._writer = None
                writer.close()
            await asyncio.sleep(RECONNECT_S)  # a desk that closes at once must not be asked in a busy loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        before, self._writer = self._writer, writer
        if before is not None:
            before.close()
        self._hold(writer)
        self._tell(AlphaUp())
        try:
            await self._carry(reader)
        except asyncio.CancelledError:
            return  # the process is ending: nobody is left to be told
        finally:
            writer.close()
        if self._writer is writer:
            self._writer = None
            self._tell(AlphaDown(detail="the bridge ended"))

    def _hold(self, writer: asyncio.StreamWriter) -> None:
        """Keep a handle on the process at the other end, which names that one and no later one of its number."""
        self._let_go()
        with suppress(OSError), socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as peer:
            pid, _, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            self._peer = os.pidfd_open(pid)

    def _let_go(self) -> None:
        if self._peer >= 0:
            os.close(self._peer)
            self._peer = -1

    def _tell(self, message: AlphaUp | AlphaDown) -> None:
        if self._listener:
            self._directory.tell(self._listener, message, "bridge")

    async def _carry(self, reader: asyncio.StreamReader) -> None:
        """Deliver what comes until the connection ends; a frame that is none of ours ends it."""
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > MAX_FRAME:
                    _log.error("bridge: a frame of %d bytes", length)
                    return
                self._arrived(_decode(await reader.readexactly(length)))
        except (OSError, asyncio.IncompleteReadError):
            return
        except (CodecError, msgspec.MsgspecError) as error:
            _log.error("bridge: %s", error)

    def _arrived(self, frame: Frame) -> None:
        directory, body = self._directory, codec.decode(frame.body)
        seq = frame.seq if self._keeps_numbers else directory.next_seq()
        cause = frame.cause if directory.first_seq <= frame.cause < seq else 0  # whatever the other side claims
        envelope = Envelope(seq, frame.sender, frame.to, cause, 0, directory.clock.now_ns(), body)
        if self._accepts is not None and frame.to not in self._accepts.get(type(body), ()):
            directory.dead(envelope, "not for the other process to say")
        elif frame.to in directory.targets:  # not `find`: a name of the other side's would only go back to it
            directory.deliver(envelope)
        else:
            directory.dead(envelope, "no such name")
