"""One interpreter per effect: what is not listed here is the room's own, and its edge's to perform."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.runtime.drafts import said
from protocol.base import Effect, Envelope
from protocol.effects import ClearTimer, Count, LogLine, Note, Retire, SetTimer, Spawn, Tell
from protocol.lifecycle import Wake
from protocol.orders import CancelOrder
from protocol.venue import RequestCancel

if TYPE_CHECKING:
    from actors.runtime.shell import Shell

AT_ONCE = frozenset({SetTimer, ClearTimer, LogLine, Count})
CANCELS = (RequestCancel, CancelOrder)

Interpreter = Callable[["Shell", Any], None]


def goes_at_once(effect: Effect) -> bool:
    """Whether an effect does not wait for its step's commit: stopping never waits for disk."""
    return type(effect) in AT_ONCE or (type(effect) is Tell and isinstance(effect.message, CANCELS))


def interpreter(kind: type[Effect]) -> Interpreter:
    """What performs effects of this type."""
    return _INTERPRETERS.get(kind, _edge_effect)


def outdated(shell: "Shell", envelope: Envelope, wake: Wake) -> bool:
    """Whether a wake is of a timer that was cleared, replaced, or set by an earlier incarnation. Asked once."""
    timer = shell.timers.get(wake.timer)
    if timer is not None and timer.action is None and timer.due_ns == wake.due_ns:
        del shell.timers[wake.timer]
        return False
    return envelope.sender == shell.name


def _edge_effect(shell: "Shell", effect: Effect) -> None:
    if shell.port is None:
        raise TypeError(f"{shell.name} has no edge for {type(effect).__name__}")
    shell.port.cause = shell.cause
    shell.port.edge.perform(effect)


def _set_timer(shell: "Shell", effect: SetTimer) -> None:
    timers = shell.box.dispatcher.timers
    if effect.timer in shell.timers:
        timers.cancel(shell.timers[effect.timer])
    fire = partial(_fire, shell, effect.timer, effect.due_ns, shell.cause)
    shell.timers[effect.timer] = timers.call_at(effect.due_ns, fire)


def _fire(shell: "Shell", timer: str, due_ns: int, cause: int) -> None:
    if shell.valid():
        shell.send(shell.name, Wake(timer=timer, due_ns=due_ns), cause, shell.now_ns())


def _clear_timer(shell: "Shell", effect: ClearTimer) -> None:
    timer = shell.timers.pop(effect.timer, None)
    if timer is not None:
        shell.box.dispatcher.timers.cancel(timer)


def _note(shell: "Shell", effect: Note) -> None:
    if shell.services.journal is not None:
        now = shell.now_ns()
        made_it = shell.box.hand or Envelope(shell.cause, "", shell.name, 0, 0, now, effect.message)
        shell.drafts.append(said(shell, effect.message, made_it, now))


def _spawn(shell: "Shell", effect: Spawn) -> None:
    shell.services.spawn(shell.name, effect, shell.cause)


def _retire(shell: "Shell", _: Retire) -> None:
    shell.retiring = True


def _log(shell: "Shell", effect: LogLine) -> None:
    shell.services.log(shell.name, effect, shell.cause)


def _count(shell: "Shell", effect: Count) -> None:
    shell.services.metrics.count(effect.metric, effect.labels, effect.by)


_INTERPRETERS: dict[type[Effect], Interpreter] = {
    SetTimer: _set_timer,
    ClearTimer: _clear_timer,
    Note: _note,
    Spawn: _spawn,
    Retire: _retire,
    LogLine: _log,
    Count: _count,
}
