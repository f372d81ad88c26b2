"""A configuration that is to come into force under a running trader: judged by whoever holds something. Pure.

One that nobody speaks against is taken up by a desk that starts with it: this one makes way. It asks the books once
more when nothing is under way any more, for what was still under way may have bought what the candidate drops.
"""

import msgspec
from msgspec.structs import replace

from actors.control.state import Control, Judging
from protocol.base import NO_EFFECTS, Effects
from protocol.control import (
    TAKE_UP,
    Answer,
    Asked,
    ConfigJudged,
    ConfigTakenUp,
    JudgeConfig,
    Leave,
    ProposeConfig,
    Reply,
    Shutdown,
    TakeUpConfig,
    Veto,
)
from protocol.effects import ClearTimer, LogLine, Note, SetTimer, Tell
from protocol.instants import SECOND_NS

TIMER = "judging"
JUDGES = ("portfolio", "orders")
ANSWER_NS = 5 * SECOND_NS
DONE, REFUSED = 0, 4


def begin(state: Control, connection: int, request: ProposeConfig, now_ns: int) -> tuple[Control, Effects]:
    """Ask everybody; what control itself and the root have against it is told with the rest."""
    if isinstance(request, TakeUpConfig) and _known(state) == request.config_hash:
        return state, (_said(connection, "it is taken up already"),)
    barred = _barred(state, request)
    if barred:
        return state, (_refused(connection, (Veto(actor="control", reason=barred),)),)
    return _ask(state, connection, request, JUDGES, now_ns)


def last_look(state: Control, request: TakeUpConfig, now_ns: int) -> tuple[Control, Effects]:
    """Nothing is under way any more, or has been for too long: do the books still agree?"""
    return (state, NO_EFFECTS) if state.judging is not None else _ask(state, 0, request, JUDGES[:1], now_ns)


def _ask(
    state: Control, connection: int, request: ProposeConfig, judges: tuple[str, ...], now_ns: int
) -> tuple[Control, Effects]:
    name = f"config/{connection}/{now_ns}"
    judging = Judging(name=name, connection=connection, request=request, missing=judges, vetoes=_fixed(state, request))
    dropped = tuple(product for product in state.settings.products if product not in request.products)
    kept = (*request.products, *state.settings.fed_only)
    question = JudgeConfig(request_id=name, reply_to="control", products=kept, dropped=dropped)
    asks = (Tell(to=judge, message=question) for judge in judges)
    return replace(state, judging=judging), (*asks, SetTimer(timer=TIMER, due_ns=now_ns + ANSWER_NS))


def answered(state: Control, message: ConfigJudged) -> tuple[Control, Effects]:
    """One more answer; with the last one it is decided."""
    judging = state.judging
    if judging is None or judging.name != message.request_id:
        return state, NO_EFFECTS
    vetoes = (*judging.vetoes, *(Veto(actor=message.actor, reason=reason) for reason in message.reasons))
    missing = tuple(name for name in judging.missing if name != message.actor)
    return _decided(state, replace(judging, missing=missing, vetoes=vetoes))


def expired(state: Control) -> tuple[Control, Effects]:
    """Who has not answered by now does not agree."""
    if state.judging is None:
        return state, NO_EFFECTS
    limit_s = ANSWER_NS / SECOND_NS
    silent = tuple(Veto(actor=name, reason=f"no answer within {limit_s:g} s") for name in state.judging.missing)
    return _decided(state, replace(state.judging, missing=(), vetoes=(*state.judging.vetoes, *silent)))


def _decided(state: Control, judging: Judging) -> tuple[Control, Effects]:
    if judging.missing:
        return replace(state, judging=judging), NO_EFFECTS
    state, clear = replace(state, judging=None), ClearTimer(timer=TIMER)
    request, connection = judging.request, judging.connection
    if state.stopping is not None:
        return state, (clear, *_last_word(request, judging.vetoes))
    if judging.vetoes:
        return state, (clear, _refused(connection, judging.vetoes))
    if not isinstance(request, TakeUpConfig):
        return state, (clear, _said(connection, "nobody speaks against it"))
    reason = f"configuration {request.before} -> {request.config_hash}"
    told = Tell(to="control", message=Asked(connection=0, request=Shutdown(by=request.by, reason=reason)))
    return replace(state, taking=request), (
        clear,
        Note(message=_record(request)),
        told,
        _said(connection, "the desk makes way"),
    )


def _last_word(request: ProposeConfig, vetoes: tuple[Veto, ...]) -> Effects:
    """Make way; or come back as before, and whoever asked for it hears why when he asks again."""
    if not vetoes:
        return (Leave(code=TAKE_UP, config_hash=request.config_hash),)
    why = "; ".join(f"{veto.actor}: {veto.reason}" for veto in vetoes)
    return LogLine(level="warning", event="config_vetoed_late", fields=(("why", why),)), Leave(code=0)


def _record(request: TakeUpConfig) -> ConfigTakenUp:
    return ConfigTakenUp(
        by=request.by,
        version=request.version,
        before=request.before,
        after=request.config_hash,
        risk=request.risk,
        what=request.what,
        said=request.said,
    )


def _barred(state: Control, request: ProposeConfig) -> str:
    """Why nobody needs to be asked; empty: there is no such reason."""
    if state.stopping is not None:
        return "the desk is stopping"
    if state.judging is not None:
        return "another one is being judged"
    running = state.settings.config_hash
    return "" if request.before == running else f"it is to replace {request.before}, but {running} runs: try again"


def _known(state: Control) -> str:
    """The configuration that runs, or that this desk makes way for."""
    if state.stopping is None:
        return state.settings.config_hash
    return "" if state.stopping.successor is None else state.stopping.successor.config_hash


def _fixed(state: Control, request: ProposeConfig) -> tuple[Veto, ...]:
    """What belongs to the whole run stays: the root has handed it to processes that are not replaced."""
    wanted = dict(request.fixed)
    return tuple(
        Veto(actor="root", reason=f"{key} belongs to the whole run ({now} -> {wanted.get(key)}): stop, apply, run")
        for key, now in state.settings.fixed
        if wanted.get(key) != now
    )


def _said(connection: int, text: str) -> Answer:
    return Answer(connection=connection, reply=Reply(code=DONE, text=text))


def _refused(connection: int, vetoes: tuple[Veto, ...]) -> Answer:
    text = "; ".join(f"{veto.actor}: {veto.reason}" for veto in vetoes)
    data = msgspec.json.encode(vetoes).decode()
    return Answer(connection=connection, reply=Reply(code=REFUSED, text=text, data=data))
