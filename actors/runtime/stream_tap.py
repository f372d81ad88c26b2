"""A `websockets` connection that hands whole messages on as they are read, before the library's receive queue.

Whole unmasked, uncompressed data frames, which is what a venue sends all day, are cut out of the stream right here: the
library's parser costs more than decoding and book together. Everything else (handshake, control frames, fragments,
compressed frames, violations of the protocol) is the library's, which always stands between two frames.
"""

from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN

from protocol.coinbase.websocket import MAX_FRAME_BYTES

_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD = 64 * 1024
_PLAIN = frozenset({0x81, 0x82})
"""First bytes of frames that are one whole text or binary message, not compressed (RFC 6455 section 5.2)."""
_SHORT, _LONG, _MASKED = 126, 127, 128


class Tap(ClientConnection):
    """Gives each whole message to `sink`."""

    sink: Callable[[bytes], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fragments: tuple[bytes, ...] = ()
        self._held = bytearray()  # the head of the handshake, later the beginning of a frame
        self._wanted = 0  # so many bytes make what is held worth another look
        self._open = False  # the handshake is over: frames come
        self._left_alone = False  # from here on everything is the library's

    def data_received(self, data: bytes) -> None:
        """Take what the socket has read."""
        if self._left_alone:
            super().data_received(data)
            return
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return
            data = bytes(self._held)
            self._held.clear()
        if not self._open:
            self._shake_hands(data)
            return
        at = self._cut(data)
        if at < len(data):
            self._held += data[at:]

    def process_event(self, event: Any) -> None:
        """Take data frames that the library read; the rest (handshake, pongs) is its own."""
        if not (isinstance(event, Frame) and event.opcode in DATA_OPCODES):
            super().process_event(event)
            return
        self._fragments += (bytes(event.data),)
        if event.fin:
            whole, self._fragments = b"".join(self._fragments), ()
            self.sink(whole)

    def _shake_hands(self, data: bytes) -> None:
        """Hand the library the response's head alone, so that it has seen no part of a frame when frames begin."""
        end = data.find(_END_OF_HEAD)
        if end < 0 and len(data) < _MAX_HEAD:
            self._held += data
            return
        cut = len(data) if end < 0 else end + len(_END_OF_HEAD)
        super().data_received(data[:cut])
        self._open = self.protocol.state is OPEN
        self._left_alone = not self._open
        if cut < len(data):
            self.data_received(data[cut:])

    def _cut(self, data: bytes) -> int:
        """Hand on every whole frame; where the rest begins."""
        size, at = len(data), 0
        while at + 2 <= size:
            length, start = data[at + 1], at + 2
            if length in (_SHORT, _LONG):
                start += 2 if length == _SHORT else 8
                if start > size:
                    break
                length = int.from_bytes(data[at + 2 : start])
            if data[at + 1] >= _MASKED or length > MAX_FRAME_BYTES:  # nothing we take: the library knows how to end it
                self._left_alone = True
                super().data_received(data[at:])
                return size
            end = start + length
            if end > size:
                self._wanted = end - at
                return at
            if data[at] in _PLAIN and not self._fragments:
                self.sink(data[start:end])
            else:
                super().data_received(data[at:end])
            at = end
        self._wanted = 0
        return at
