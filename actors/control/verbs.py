"""Requests that whoever holds the record carries out, and answers when what they change is durable."""

from msgspec.structs import replace

from actors.control.state import Control
from protocol.base import NO_EFFECTS, Effects
from protocol.control import Answer, ClearCooldownByHand, RebuildByHand, Reply, ResetPeakByHand
from protocol.effects import Tell
from protocol.portfolio import RebuildPositions, ResetPeak
from protocol.risk import ClearCooldown, VerbAnswered
from protocol.symbols import product_of

DONE, NOT_FOUND, REFUSED = 0, 2, 4

Verb = ResetPeakByHand | RebuildByHand | ClearCooldownByHand


def ask(state: Control, connection: int, request: Verb, now_ns: int) -> tuple[Control, Effects]:
    """Pass a request on; its connection waits for `VerbAnswered`."""
    name = f"verb/{connection}/{now_ns}"
    try:
        told = _told(name, request)
    except ValueError as error:
        return state, (Answer(connection=connection, reply=Reply(code=NOT_FOUND, text=str(error))),)
    return replace(state, waiting={**state.waiting, name: connection}), (told,)


def _told(name: str, request: Verb) -> Tell:
    match request:
        case ResetPeakByHand():
            return Tell(to="portfolio", message=ResetPeak(request_id=name, reply_to="control", by=request.by))
        case RebuildByHand():
            return Tell(to="portfolio", message=RebuildPositions(request_id=name, reply_to="control", by=request.by))
    product = product_of(request.product_id)
    clear = ClearCooldown(request_id=name, reply_to="control", product_id=product, by=request.by)
    return Tell(to="risk", message=clear)


def answered(state: Control, message: VerbAnswered) -> tuple[Control, Effects]:
    """The word on one of them."""
    connection = state.waiting.get(message.request_id)
    if connection is None:
        return state, NO_EFFECTS
    waiting = {name: number for name, number in state.waiting.items() if name != message.request_id}
    reply = Reply(code=DONE if message.done else REFUSED, text=message.text)
    return replace(state, waiting=waiting), (Answer(connection=connection, reply=reply),)
