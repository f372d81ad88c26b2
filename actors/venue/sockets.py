"""The WebSocket endpoint: subscribe and unsubscribe, acknowledgements, errors (websocket.md §2 to §4)."""

import asyncio
import contextlib
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from actors.venue import server_frames as frames
from actors.venue.faults import REFUSE
from actors.venue.server_channels import BY_PRODUCT, CHANNELS, LEVEL2, PRIVATE, STATUS
from actors.venue.server_connection import Connection, Session
from actors.venue.server_hub import EVERYTHING, MOST_LEVEL2
from actors.venue.server_venue import Venue
from protocol.coinbase.auth import TokenRefused, verify_ws

NOT_A_REQUEST = "subscribe or unsubscribe required"
NOT_ALLOWED = "authentication failure"
TOO_MANY_BOOKS = "too many L2 streams requested in a single session"
NO_PRODUCTS = "failure to subscribe"
TOO_FAST = "rate limit exceeded"


class _Message(msgspec.Struct):
    type: str
    channel: str = ""
    product_ids: list[str] | None = None
    jwt: str | None = None


class RefusedMessageError(Exception):
    """A client message answered with an error frame; the connection stays open."""


async def serve(request: web.Request, venue: Venue) -> web.StreamResponse:
    """One connection from upgrade to close."""
    now_ns = venue.clock_ns()
    address = request.remote or ""
    if not venue.limits.connections.take(address, now_ns).allowed:
        return web.Response(status=429, text="Too many requests")
    if venue.faults.strike(REFUSE, ("ws",), now_ns):
        return web.Response(status=503, text="Service Unavailable")
    socket = web.WebSocketResponse(max_msg_size=1024 * 1024, timeout=1.0)
    await socket.prepare(request)
    connection = Connection(socket, request, venue.faults, venue.clock_ns)
    venue.hub.connections[connection] = None
    writer = asyncio.create_task(connection.write())
    try:
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                hear(venue, connection, message.data, address)
    finally:
        venue.hub.forget(connection)
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await writer
    return socket


def hear(venue: Venue, connection: Session, text: str | bytes, address: str) -> None:
    """Act on one client message; what is wrong with it goes back as an error frame."""
    try:
        message = _read(text)
        _limit(venue, message, address)
        user = _authenticate(venue, message)
        if message.type == "subscribe":
            _subscribe(venue, connection, message, user)
        else:
            _unsubscribe(venue, connection, message)
    except RefusedMessageError as no:
        connection.send_error(frames.error(str(no)))


def _read(text: str | bytes) -> _Message:
    try:
        message = msgspec.json.decode(text, type=_Message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise RefusedMessageError(NOT_A_REQUEST) from None
    if message.type not in ("subscribe", "unsubscribe"):
        raise RefusedMessageError(NOT_A_REQUEST)
    if message.channel not in CHANNELS:
        raise RefusedMessageError(NOT_ALLOWED)  # misleading, and so in production
    return message


def _limit(venue: Venue, message: _Message, address: str) -> None:
    if not message.jwt and not venue.limits.messages.take(address, venue.clock_ns()).allowed:
        raise RefusedMessageError(TOO_FAST)


def _authenticate(venue: Venue, message: _Message) -> str:
    """The user behind the message's token; "" without one, where none is needed."""
    if not message.jwt and message.channel not in PRIVATE:
        return ""
    try:
        token = verify_ws(message.jwt or "", venue.keys(), now_s=venue.shown_ns() / 1e9)
    except TokenRefused:
        raise RefusedMessageError(NOT_ALLOWED) from None
    credential = venue.credentials[token.key_name]
    if "view" not in credential.scopes:
        raise RefusedMessageError(NOT_ALLOWED)
    return credential.user


def _subscribe(venue: Venue, connection: Session, message: _Message, user: str) -> None:
    names = _names(venue, message, user)
    held = connection.subscribed.get(message.channel, {})
    new = [name for name in dict.fromkeys(names) if name not in held]
    if message.channel == LEVEL2 and len(held) + len(new) > MOST_LEVEL2:
        raise RefusedMessageError(TOO_MANY_BOOKS)
    if message.channel in PRIVATE:
        connection.user = user
    connection.asked = True
    # Snapshots are of this very moment: what is pending has happened already, and absolute sizes bear repetition.
    venue.settle()
    for frame in venue.hub.snapshots(message.channel, new, venue.clock_ns()) if new else ():
        connection.send(frame)
    if new:
        connection.subscribed.setdefault(message.channel, {}).update(dict.fromkeys(new))
        venue.hub.listen(connection, message.channel, new)
        venue.data.watch(venue.hub.listened_books(), venue.clock_ns())
    _acknowledge(venue, connection)


def _unsubscribe(venue: Venue, connection: Session, message: _Message) -> None:
    held = connection.subscribed.get(message.channel, {})
    gone = [name for name in (message.product_ids or held) if name in held] if message.channel in BY_PRODUCT else held
    gone = list(gone)
    connection.subscribed[message.channel] = {name: None for name in held if name not in gone}
    venue.hub.leave(connection, message.channel, gone)
    if not connection.subscribed[message.channel]:
        del connection.subscribed[message.channel]
    _acknowledge(venue, connection)


def _names(venue: Venue, message: _Message, user: str) -> list[str]:
    """What the subscription is for: known products, the user, or everything. Unknown products are left out."""
    asked = message.product_ids or []
    known = set(venue.exchange.product_ids())
    if message.channel in PRIVATE:
        return [user]
    if message.channel in BY_PRODUCT and not asked:
        raise RefusedMessageError(NO_PRODUCTS)
    if message.channel in BY_PRODUCT or (message.channel == STATUS and asked):
        return [name for name in asked if name in known]
    return [EVERYTHING]


def _acknowledge(venue: Venue, connection: Session) -> None:
    current = {channel: _shown(venue, channel, names) for channel, names in connection.subscribed.items()}
    connection.send(frames.subscriptions(venue.clock_ns(), current))


def _shown(venue: Venue, channel: str, names: dict[str, Any]) -> list[str]:
    if channel in PRIVATE:
        return [venue.exchange.user_id(name) for name in names]
    return [channel] if EVERYTHING in names else list(names)
