"""Requests that whoever holds the record carries out, and answers when what they change is durable."""

from msgspec.structs import replace

from actors.control.state import Control
from protocol.base import NO_EFFECTS, Effects
from protocol.control import (
    Answer,
    BanProduct,
    ClearCooldownByHand,
    RebuildByHand,
    Reply,
    ResetPeakByHand,
    SwitchByHand,
    UnbanProduct,
)
from protocol.effects import Tell
from protocol.ids import ProductId
from protocol.portfolio import RebuildPositions, ResetPeak
from protocol.risk import ClearCooldown, VerbAnswered, VerbOutcome
from protocol.strategy import FlagProduct, SwitchStrategy, UnflagProduct
from protocol.symbols import product_of

DONE, NOT_FOUND, REFUSED = 0, 2, 4
_CODES = {VerbOutcome.DONE: DONE, VerbOutcome.NOT_FOUND: NOT_FOUND, VerbOutcome.REFUSED: REFUSED}

Verb = ResetPeakByHand | RebuildByHand | ClearCooldownByHand | SwitchByHand | BanProduct | UnbanProduct


def ask(state: Control, connection: int, request: Verb, now_ns: int) -> tuple[Control, Effects]:
    """Pass a request on; its connection waits for `VerbAnswered`."""
    name = f"verb/{connection}/{now_ns}"
    try:
        told = _told(name, request)
    except ValueError as error:
        return state, (Answer(connection=connection, reply=Reply(code=NOT_FOUND, text=str(error))),)
    return replace(state, waiting={**state.waiting, name: connection}), (told,)


def _told(name: str, request: Verb) -> Tell:
    """To whom it concerns: the portfolio, risk, the registry of strategies, or the universe, which holds the bans."""
    match request:
        case ResetPeakByHand():
            return Tell(to="portfolio", message=ResetPeak(request_id=name, reply_to="control", by=request.by))
        case RebuildByHand():
            return Tell(to="portfolio", message=RebuildPositions(request_id=name, reply_to="control", by=request.by))
        case ClearCooldownByHand():
            product = product_of(request.product_id)
            clear = ClearCooldown(request_id=name, reply_to="control", product_id=product, by=request.by)
            return Tell(to="risk", message=clear)
        case SwitchByHand():
            switch = SwitchStrategy(
                request_id=name, reply_to="control", name=request.name, on=request.on, by=request.by
            )
            return Tell(to="strategies", message=switch)
    product = _followed(request.product_id)
    flag: FlagProduct | UnflagProduct = UnflagProduct(
        request_id=name, reply_to="control", product_id=product, by=request.by
    )
    if isinstance(request, BanProduct):
        reason = request.reason
        flag = FlagProduct(request_id=name, reply_to="control", product_id=product, reason=reason, by=request.by)
    return Tell(to="universe", message=flag)


def _followed(text: str) -> ProductId:
    try:
        return product_of(text)
    except ValueError:
        raise ValueError(f"{text} is not a product that we follow") from None


def answered(state: Control, message: VerbAnswered) -> tuple[Control, Effects]:
    """The word on one of them."""
    connection = state.waiting.get(message.request_id)
    if connection is None:
        return state, NO_EFFECTS
    waiting = {name: number for name, number in state.waiting.items() if name != message.request_id}
    reply = Reply(code=_CODES[message.outcome], text=message.text)
    return replace(state, waiting=waiting), (Answer(connection=connection, reply=reply),)
