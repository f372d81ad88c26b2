"""Who may run: what is configured, what people switched, and what failed. It lives in the desk and remembers.

The strategies' own process may die with one of them; here stands which one it was. A strategy that is switched off, or
that failed, loses its working entries; the others never notice. What shadows decided is compared here too.
"""

from collections.abc import Iterable

from msgspec import field
from msgspec.structs import replace

from actors.strategy.registry import tally
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.effects import Commit, Count, LogLine, Note, SetTimer, Tell
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.orders import CancelStrategy
from protocol.risk import Alert, VerbAnswered, VerbOutcome
from protocol.strategy import (
    AlphaDown,
    AlphaUp,
    BoardRow,
    Failure,
    HostStarted,
    ShadowDecided,
    ShadowTally,
    StrategiesRan,
    StrategyBoard,
    StrategyFailed,
    StrategyRun,
    StrategySwitches,
    Switch,
    SwitchStrategy,
)

STORE_PREFIX = "strategies/"
SWITCH_KEY = "strategies/switch/"
TALLY_KEY = "strategies/shadow/"
AGAIN_NS = 3 * SECOND_NS
"""An entry that was on its way when its strategy was switched off has become an order by then."""
RETRY_NS = SECOND_NS
HOST = "strategy:host"


class Configured(Value, frozen=True, kw_only=True):
    """One strategy as configured."""

    name: str
    enabled: bool
    shadow: bool


class Registry(Value, frozen=True, kw_only=True):
    """The registry's state. `refused`: what could not be loaded and why; it is tried again when it is switched on.

    `unsaved` is a failure whose record the store did not take: until it does, the strategy stays off by it.
    """

    rows: tuple[Configured, ...]
    switches: dict[str, Switch] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unsaved: tuple[StrategyFailed, ...] = ()
    runs: dict[str, StrategyRun] = field(default_factory=dict)
    tallies: dict[str, ShadowTally] = field(default_factory=dict)
    alpha_up: bool = False

    def row(self, name: str) -> Configured | None:
        """A strategy as configured; None: there is none of that name."""
        return next((row for row in self.rows if row.name == name), None)


def step(state: Registry, message: Message, now_ns: int) -> tuple[Registry, Effects]:
    """Advance the registry by one message."""
    match message:
        case Recover():
            return _told(_recovered(state, message.records))
        case HostStarted():
            return _host(replace(state, alpha_up=True), message, now_ns)
        case AlphaUp():
            state, effects = _told(replace(state, alpha_up=True))
            return state, (*effects, Tell(to="cycle", message=message))
        case AlphaDown():
            state = replace(state, alpha_up=False)
            return state, (Tell(to="cycle", message=message), _board(state))
        case StrategyFailed():
            return _failed(state, message, now_ns)
        case SwitchStrategy():
            return _asked(state, message, now_ns)
        case StrategiesRan():
            return _ran(state, message)
        case ShadowDecided():
            return _compared(state, message)
        case CommitFailed():
            return state, (SetTimer(timer="unsaved", due_ns=now_ns + RETRY_NS),) if state.unsaved else NO_EFFECTS
        case Wake():
            return _woken(state, message.timer, now_ns)
    return state, NO_EFFECTS


# --- who may run --------------------------------------------------------------------------------------------------


def on(state: Registry, row: Configured) -> bool:
    """Whether a strategy runs at all: a switch is stronger than what is configured, and what failed runs never."""
    if row.name in state.refused or any(failed.name == row.name for failed in state.unsaved):
        return False
    switch = state.switches.get(row.name)
    return switch.on if switch is not None else row.enabled or row.shadow


def switches(state: Registry) -> StrategySwitches:
    """What the host is told. A shadow never trades, whatever is switched."""
    running = [row for row in state.rows if on(state, row)]
    return StrategySwitches(
        live=tuple(row.name for row in running if not row.shadow),
        shadow=tuple(row.name for row in running if row.shadow),
    )


def _told(state: Registry) -> tuple[Registry, Effects]:
    return state, (Tell(to=HOST, message=switches(state)), _board(state))


def _recovered(state: Registry, records: Iterable[StoreRecord]) -> Registry:
    found: dict[str, Switch] = {}
    tallies: dict[str, ShadowTally] = {}
    for record in records:
        if record.value is None:
            continue
        if record.key.startswith(SWITCH_KEY):
            switch = codec.decode_value(record.value, Switch)
            found[switch.name] = switch
        elif record.key.startswith(TALLY_KEY):
            kept = codec.decode_value(record.value, ShadowTally)
            tallies[kept.name] = kept
    return replace(state, switches=found, tallies=tallies)


def _host(state: Registry, message: HostStarted, now_ns: int) -> tuple[Registry, Effects]:
    """A new host: everything may be loaded again; what ran when the one before it ended is off."""
    state = replace(state, refused={})
    row = state.row(message.accused)
    if row is None or not on(state, row):
        return _told(state)
    detail = "the process ended while it ran: it used more than its time budget, or broke the interpreter"
    return _failed(state, StrategyFailed(name=row.name, failure=Failure.OVER_TIME, detail=detail), now_ns)


# --- off and on ---------------------------------------------------------------------------------------------------


def _failed(state: Registry, message: StrategyFailed, now_ns: int) -> tuple[Registry, Effects]:
    """Off from now on. What could not be loaded is off until it is tried again; what failed in a cycle stays off."""
    row = state.row(message.name)
    if row is None or not on(state, row):
        return state, NO_EFFECTS
    if message.failure is Failure.REFUSED:
        state = replace(state, refused={**state.refused, message.name: message.detail})
        return _off(state, message, now_ns)
    state, effects = _off(replace(state, unsaved=(*state.unsaved, message)), message, now_ns)
    # The record follows in a step of its own: a store in trouble delays no cancel.
    return state, (*effects, SetTimer(timer="unsaved", due_ns=now_ns))


def _off(state: Registry, message: StrategyFailed, now_ns: int) -> tuple[Registry, Effects]:
    labels = (("strategy", message.name), ("failure", message.failure.value))
    alert = Alert(
        kind="strategy_disabled",
        severity="WARNING",
        subject=message.name,
        message=f"{_reason(message)}; its working entries are cancelled, the others trade on",
        context=(("failure", message.failure.value),),
        at_ns=now_ns,
    )
    state, told = _told(state)
    fields = (("strategy", message.name), ("failure", message.failure.value), ("detail", message.detail))
    return state, (
        *_cancel(message.name, _reason(message), now_ns),
        *told,
        Note(message=alert),
        Count(metric="trader_strategy_disabled_total", labels=labels),
        LogLine(level="warning", event="strategy_disabled", fields=fields),
    )


def _reason(message: StrategyFailed) -> str:
    return f"{message.failure.value}: {message.detail}"


def _cancel(name: str, reason: str, now_ns: int) -> Effects:
    again = SetTimer(timer=f"again/{name}", due_ns=now_ns + AGAIN_NS)
    return Tell(to="orders", message=CancelStrategy(strategy=name, reason=f"strategy {name} off: {reason}")), again


def _asked(state: Registry, message: SwitchStrategy, now_ns: int) -> tuple[Registry, Effects]:
    """A person's word; it is durable before it is answered."""
    row = state.row(message.name)
    if row is None:
        known = ", ".join(row.name for row in state.rows)
        return state, (
            _answer(message, f"there is no strategy {message.name}; there are {known}", VerbOutcome.NOT_FOUND),
        )
    word = "on" if message.on else "off"
    switch = Switch(name=row.name, on=message.on, by=message.by, reason=f"switched {word}", at_ns=now_ns)
    state = replace(
        state,
        switches={**state.switches, row.name: switch},
        refused={name: why for name, why in state.refused.items() if name != row.name},
        unsaved=tuple(failed for failed in state.unsaved if failed.name != row.name),
    )
    state, told = _told(state)
    stop = () if message.on else _cancel(row.name, f"by {message.by}", now_ns)
    how = " in the shadow: it decides and never trades" if message.on and row.shadow else ""
    answer = _answer(message, f"{row.name} is {word}{how}", VerbOutcome.DONE)
    return state, (Commit(records=(_stored(switch),)), *stop, *told, answer)


def _answer(message: SwitchStrategy, text: str, outcome: VerbOutcome) -> Tell:
    return Tell(to=message.reply_to, message=VerbAnswered(request_id=message.request_id, outcome=outcome, text=text))


def _stored(switch: Switch) -> StoreRecord:
    return StoreRecord(key=SWITCH_KEY + switch.name, value=codec.encode_value(switch))


def _woken(state: Registry, timer: str, now_ns: int) -> tuple[Registry, Effects]:
    kind, _, name = timer.partition("/")
    row = state.row(name)
    if kind == "again" and row is not None and not on(state, row):
        reason = f"strategy {name} off"
        return state, (Tell(to="orders", message=CancelStrategy(strategy=name, reason=reason)),)
    if kind == "unsaved" and state.unsaved:
        failed = state.unsaved[0]
        switch = Switch(name=failed.name, on=False, by="trader", reason=_reason(failed), at_ns=now_ns)
        state = replace(state, switches={**state.switches, failed.name: switch}, unsaved=state.unsaved[1:])
        more = (SetTimer(timer="unsaved", due_ns=now_ns),) if state.unsaved else ()
        return state, (Commit(records=(_stored(switch),)), *more, _board(state))
    return state, NO_EFFECTS


# --- what is known of them ----------------------------------------------------------------------------------------


def _ran(state: Registry, message: StrategiesRan) -> tuple[Registry, Effects]:
    counts: list[Effect] = []
    for run in message.runs:
        labels = (("strategy", run.name),)
        rejected = run.proposed - run.kept
        counts.append(Count(metric="trader_strategy_proposals_total", labels=labels, by=float(run.proposed)))
        counts.append(Count(metric="trader_strategy_rejections_total", labels=labels, by=float(max(rejected, 0))))
    known = {row.name for row in state.rows}
    state = replace(state, runs={**state.runs, **{run.name: run for run in message.runs if run.name in known}})
    return state, (*counts, _board(state))


def _compared(state: Registry, message: ShadowDecided) -> tuple[Registry, Effects]:
    if state.row(message.strategy) is None:
        return state, NO_EFFECTS
    after = tally.add(state.tallies.get(message.strategy), message)
    state = replace(state, tallies={**state.tallies, after.name: after})
    record = StoreRecord(key=TALLY_KEY + after.name, value=codec.encode_value(after))
    return state, (Commit(records=(record,)), _board(state))


def _board(state: Registry) -> Tell:
    rows = tuple(_board_row(state, row) for row in state.rows)
    return Tell(to="control", message=StrategyBoard(alpha_up=state.alpha_up, rows=rows))


def _board_row(state: Registry, row: Configured) -> BoardRow:
    switch = state.switches.get(row.name)
    running = "shadow" if row.shadow else "live"
    unsaved = next((_reason(failed) for failed in state.unsaved if failed.name == row.name), "")
    refused = state.refused.get(row.name, "")
    as_switched = f"{switch.reason} by {switch.by}" if switch is not None else "as configured"
    return BoardRow(
        name=row.name,
        state=running if on(state, row) else "off",
        reason=unsaved or (f"refused: {refused}" if refused else as_switched),
        switch=switch,
        last=state.runs.get(row.name),
        tally=state.tallies.get(row.name),
    )
