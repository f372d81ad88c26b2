"""What passes between the gateway's core and its HTTP edge. It never leaves the I/O pump."""

from typing import ClassVar

from protocol.base import Effect, Lane, Message


class HttpCall(Effect, frozen=True, kw_only=True, tag="transport.call"):
    """One request to the venue. `endpoint` is the name of an `Endpoint`; `path` its filled-in path.

    `timeout_s` bounds the whole exchange. `fence_ns` not 0: a place request, sent only while the epoch is `epoch`,
    the pump beats, and now is not past `fence_ns` (architecture §4, fencing).
    """

    call: int
    endpoint: str
    path: str
    query: str = ""
    body: bytes = b""
    timeout_s: float = 20.0
    fence_ns: int = 0
    epoch: int = 0


class SignWith(Effect, frozen=True, kw_only=True, tag="transport.sign_with"):
    """From now on tokens are dated with our clock plus `offset_ns` (the venue's minus ours)."""

    offset_ns: int


class CallAnswered(Message, frozen=True, kw_only=True, tag="transport.answered"):
    """The venue answered, whatever it said."""

    call: int
    status: int
    body: bytes
    retry_after_s: float = 0.0


class CallBroken(Message, frozen=True, kw_only=True, tag="transport.broken"):
    """No answer. `sent` False: it certainly never left (no connection, or fenced); True: it may have been received.

    `kind` is timeout, connection or fenced.
    """

    lane: ClassVar[Lane] = Lane.EVENT
    call: int
    kind: str
    detail: str
    sent: bool
