"""The hop between desk and alpha: one socket, length-prefixed msgpack frames of (to, cause, message), both ways.

The desk listens, alpha connects and connects again for ever, so either may die without the other. What cannot be sent
is dropped and counted: strategies decide on the newest candles, which they ask for again when they are back.
"""

import asyncio
import logging
import struct
from pathlib import Path

import msgspec

from actors.runtime.address import Directory
from protocol import codec
from protocol.base import Envelope
from protocol.codec import CodecError
from protocol.strategy import AlphaDown, AlphaUp

MAX_FRAME = 64 * 1024 * 1024
MAX_BUFFERED = 32 * 1024 * 1024
RECONNECT_S = 0.1
_LENGTH = struct.Struct(">I")

_log = logging.getLogger(__name__)


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message on its way. `cause` is the number of the envelope that carried it here."""

    to: str
    sender: str
    cause: int
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


class Bridge:
    """A target for mail to the other process, and the door for mail from it. Lives on one event loop."""

    def __init__(self, path: Path, directory: Directory, listener: str = "") -> None:
        """`path`: the desk's socket. `listener`: who hears `AlphaUp` and `AlphaDown` (empty: nobody)."""
        self._path = path
        self._directory = directory
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def listen(self) -> None:
        """The desk's side: wait for alpha, again and again."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=str(self._path), limit=MAX_FRAME)
        await asyncio.to_thread(self._path.chmod, 0o600)

    async def connect(self) -> None:
        """Alpha's side: returns when the first connection stands; later ones are made by themselves."""
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

    def _send(self, envelope: Envelope) -> None:
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_BUFFERED:
            self.dropped += 1
            return
        body = codec.encode(envelope.body)
        frame = _encode(Frame(to=envelope.to, sender=envelope.sender, cause=envelope.seq, body=body))
        writer.write(_LENGTH.pack(len(frame)) + frame)

    async def _reconnect(self, ready: asyncio.Event) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_FRAME)
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            ready.set()
            await self._carry(reader)
            self._writer = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        before, self._writer = self._writer, writer
        if before is not None:
            before.close()
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

    def _tell(self, message: AlphaUp | AlphaDown) -> None:
        if self._listener:
            self._directory.tell(self._listener, message, "bridge")

    async def _carry(self, reader: asyncio.StreamReader) -> None:
        """Deliver what comes until the connection ends; a frame that is none of ours ends it."""
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                frame = _decode(await reader.readexactly(length))
                self._directory.tell(frame.to, codec.decode(frame.body), frame.sender, frame.cause)
        except (OSError, asyncio.IncompleteReadError):
            return
        except (CodecError, msgspec.MsgspecError) as error:
            _log.error("bridge: %s", error)
