"""Faults of the REST surface: instead of acting, between acting and answering, and in the answer itself."""

import asyncio
import socket
import struct

import msgspec
from aiohttp import web

from actors.venue.faults import Fault, rewritten
from actors.venue.http_calls import Answer

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Access denied | error 1015</title></head>
<body><h1>Error 1015</h1><h2>You are being rate limited</h2>
<p>The owner of this website has banned you temporarily from accessing it.</p>{filler}</body></html>
"""
_HTML = "text/html; charset=UTF-8"


async def before(request: web.Request, struck: dict[str, Fault]) -> Answer | None:
    """What happens instead of acting; None: act."""
    delay = struck.get("delay")
    if delay is not None and not delay.parameters.get("after"):
        await _sleep_ms(delay, 1000)
    for kind in ("drop", "reset", "error"):
        if kind in struck and not struck[kind].parameters.get("accepted", True):
            return await _break(request, struck[kind])
    return instead(struck)


def instead(struck: dict[str, Fault]) -> Answer | None:
    """The refusal with which a fault answers before the venue acts; None: act."""
    return next((make(struck[kind]) for kind, make in _REFUSALS.items() if kind in struck), None)


async def after(request: web.Request, struck: dict[str, Fault], answer: Answer) -> Answer:
    """What becomes of an answer after the venue has acted."""
    delay = struck.get("delay")
    if delay is not None and delay.parameters.get("after"):
        await _sleep_ms(delay, 1000)
    for kind in ("drop", "reset", "error"):
        if kind in struck:
            return await _break(request, struck[kind])
    return altered(struck, answer)


def altered(struck: dict[str, Fault], answer: Answer) -> Answer:
    """The answer as faults have it."""
    if "old_answer" in struck:
        answer.body = _older(answer.body)
    if "extra_members" in struck:
        answer.body = _with(answer.body, {"brand_new_member": {"nested": [1, None, "x"]}, "another": True})
    if "rewrite" in struck:
        members = struck["rewrite"].parameters.get("members", {})
        answer.body = msgspec.json.encode(rewritten(msgspec.json.decode(answer.body), members))
    if "truncate" in struck:
        answer.body = answer.body[: len(answer.body) // 2]
    return answer


async def deliver(request: web.Request, answer: Answer, struck: dict[str, Fault]) -> web.StreamResponse:
    """Send the answer, byte by byte where a fault wants it so."""
    if not answer.status:
        return web.Response()  # nobody is there any more
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store", **answer.headers}
    if "slow_body" not in struck:
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    for byte in answer.body:
        await response.write(bytes([byte]))
        await _sleep_ms(struck["slow_body"], 1000)
    return response


def _unauthorized(_: Fault) -> Answer:
    return Answer(status=401, body=b"Unauthorized\n", content_type="text/plain; charset=utf-8")


def _forbidden(_: Fault) -> Answer:
    text = "Missing required scopes"
    body = {"error": "PERMISSION_DENIED", "error_details": text, "message": text}
    return Answer(status=403, body=msgspec.json.encode(body))


def _rate_limit(fault: Fault) -> Answer:
    if fault.parameters.get("html"):
        filler = "<p>Please wait and try again.</p>" * 200
        return Answer(status=429, body=_PAGE.format(filler=filler).encode(), content_type=_HTML)
    body = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
    retry = fault.parameters.get("retry_after_s")
    return Answer(
        status=429, body=msgspec.json.encode(body), headers={} if retry is None else {"Retry-After": str(retry)}
    )


def _maintenance(_: Fault) -> Answer:
    body = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body>maintenance</body></html>"
    return Answer(status=503, body=body, content_type=_HTML)


_REFUSALS = {
    "maintenance": _maintenance,
    "rate_limit": _rate_limit,
    "unauthorized": _unauthorized,
    "forbidden": _forbidden,
}


async def _break(request: web.Request, fault: Fault) -> Answer:
    """500, a cut connection, or no answer until the client gives up."""
    if fault.kind == "error":
        return failure(fault)
    transport = request.transport
    if fault.kind == "reset" and transport is not None:
        plug = transport.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nothing tells us
        await asyncio.sleep(0.1)
    return Answer(status=0, body=b"")


def failure(fault: Fault) -> Answer:
    """The status that an `error` asks for."""
    text = "internal error"
    body = {"error": "INTERNAL", "error_details": text, "message": text}
    return Answer(status=int(fault.parameters.get("status", 500)), body=msgspec.json.encode(body))


def _older(raw: bytes) -> bytes:
    """Until September 2024 the top level had the order id and a failure reason (pitfalls 5)."""
    told = msgspec.json.decode(raw)
    placed = told.get("success_response") or {}
    failed = told.get("error_response") or {}
    reason = failed.get("new_order_failure_reason", "UNKNOWN_FAILURE_REASON")
    return _with(raw, {"failure_reason": reason, "order_id": placed.get("order_id", "")})


def _with(raw: bytes, members: dict[str, object]) -> bytes:
    told = msgspec.json.decode(raw)
    return msgspec.json.encode({**told, **members}) if isinstance(told, dict) else raw


async def _sleep_ms(fault: Fault, usual: int) -> None:
    await asyncio.sleep(float(fault.parameters.get("ms", usual)) / 1000)
