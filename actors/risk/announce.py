"""What is said when a gate trips or clears: on record, in the log, to people, and (its caller) in the view."""

from msgspec.structs import replace

from actors.risk import gates
from actors.risk.state import Risk
from protocol.base import NO_EFFECTS, Effects
from protocol.effects import LogLine, Note
from protocol.risk import Alert, Gate, GateChanged, Reason, TradingState

_KINDS = {
    Reason.STALE_DATA: "staleness",
    Reason.PRODUCT_DISABLED: "exchange_health",
    Reason.EXCHANGE_UNHEALTHY: "exchange_health",
    Reason.API_HEALTH: "api_error_burst",
    Reason.CLOCK: "clock_drift",
    Reason.STORE_FAILURE: "state_write_failure",
}
"""Where an alert's name (operations.md §2) is not the gate's code."""
_SILENT = frozenset({Reason.NOT_RECONCILED, Reason.INSUFFICIENT_UNIVERSE})
"""The first is how every desk begins; of the second the universe itself tells people."""
_WARNINGS = frozenset({Reason.API_HEALTH, Reason.REJECTION_BURST, Reason.PRODUCT_DISABLED, Reason.LOSS_STREAK_COOLDOWN})
_INFO = frozenset({Reason.OPERATOR_PAUSE, Reason.GOVERNANCE})


def quietly(risk: Risk, now_ns: int) -> Risk:
    """Take the gates of a start over: what was latched before is no news."""
    return replace(risk, known=_named(risk, now_ns))


def changes(risk: Risk, now_ns: int) -> tuple[Risk, Effects, bool]:
    """Hold the gates against those last announced. The last value: whether one of the whole desk changed."""
    now = _named(risk, now_ns)
    if {n: g.state for n, g in now.items()} == {n: g.state for n, g in risk.known.items()}:
        return risk, NO_EFFECTS, False
    tripped = [g for n, g in now.items() if n not in risk.known or risk.known[n].state is not g.state]
    cleared = [g for n, g in risk.known.items() if n not in now]
    told = (
        *(effect for g in tripped for effect in _told(g, now_ns, tripped=True)),
        *(effect for g in cleared for effect in _told(g, now_ns, tripped=False)),
        *(_alert(g, now_ns) for g in tripped if g.code not in _SILENT),
    )
    return replace(risk, known=now), told, any(not g.product_id for g in (*tripped, *cleared))


def _named(risk: Risk, now_ns: int) -> dict[str, Gate]:
    return {gates.name(g.code, g.product_id): g for g in gates.everything(risk, now_ns)}


def _told(gate: Gate, now_ns: int, *, tripped: bool) -> Effects:
    fields = (("code", gate.code.value), ("product", gate.product_id), ("state", gate.state.value), ("by", gate.by))
    line = LogLine(level="warning" if tripped else "info", event="gate_tripped" if tripped else "gate_cleared")
    note = Note(message=GateChanged(gate=gate, tripped=tripped, at_ns=now_ns))
    return note, replace(line, fields=(*fields, ("reason", gate.reason)))


def _alert(gate: Gate, now_ns: int) -> Note:
    context = (("state", gate.state.value), ("by", gate.by))
    alert = Alert(
        kind=_KINDS.get(gate.code, gate.code.value),
        severity=_severity(gate),
        subject=gate.product_id or "desk",
        message=gate.reason,
        context=context,
        at_ns=now_ns,
    )
    return Note(message=alert)


def _severity(gate: Gate) -> str:
    if gate.code in _INFO:
        return "INFO"
    mild = gate.code in _WARNINGS and gate.state is not TradingState.HALTED
    return "WARNING" if mild else "CRITICAL"
