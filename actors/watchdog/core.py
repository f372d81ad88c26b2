"""What the watchdog decides: when to kill, when to sweep, what to cancel, when the book is empty (architecture §4).

Pure. A kill is latched until an operator rearms; a protective sweep is not. Both cancel every order of ours, or with
scope *all* everybody's, until two complete lists at least 200 ms apart hold none, and then go on looking until no
signature that was in flight can still be accepted. A sweep leaves alone what was placed under the present epoch: that
is the work of the desk that came after.
"""

import msgspec
from msgspec.structs import replace

from protocol.base import Value
from protocol.control import KillNow, Latch, Rearm, Reply, Request, SweepProgress, View, WatchdogStatus
from protocol.ids import bot_prefix, parse_client_order_id
from protocol.instants import HOUR_NS, SECOND_NS

KILL, PROTECTIVE, LEAVING = "kill", "protective", "leaving"
DONE, USAGE, REFUSED, TIMED_OUT = 0, 2, 4, 5
NO_LATCH = Latch(killed=False, epoch=0, reason="", by="", at_ns=0, scope="mine")


class Settings(Value, frozen=True, kw_only=True):
    """Times in nanoseconds. `signature_ns`: token life plus 10 s."""

    bot: str
    signature_ns: int = 130 * SECOND_NS
    frozen_ns: int = 2 * SECOND_NS
    orphaned_ns: int = 7 * SECOND_NS
    apart_ns: int = SECOND_NS // 5
    retry_ns: int = SECOND_NS * 3 // 20
    watch_ns: int = SECOND_NS
    answer_ns: int = 10 * SECOND_NS
    frozen_sweeps: int = 3


class Resting(Value, frozen=True, kw_only=True):
    """An order as the venue or the desk's store names it."""

    client_order_id: str
    venue_order_id: str


class Sweep(Value, frozen=True, kw_only=True):
    """A kill or sweep under way. `clean_ns`: when the first of two empty lists was asked for (0: none yet)."""

    kind: str
    scope: str
    reason: str
    cause_ns: int
    epoch: int
    in_doubt: bool = False
    cancelled: frozenset[str] = frozenset()
    remaining: int = 0
    clean_ns: int = 0
    last_cancel_ns: int = 0
    empty_ns: int = 0


class Watchdog(Value, frozen=True, kw_only=True):
    """The watchdog's state. `desk_pid` is the desk last seen alive, `died_ns` when it was found dead (0: it lives)."""

    settings: Settings
    latch: Latch = NO_LATCH
    epoch: int = 0
    sweep: Sweep | None = None
    listing: int = 0
    asked_ns: int = 0
    next_list_ns: int = 0
    desk_pid: int = 0
    desk_alive: bool = False
    swept_pid: int = 0
    died_ns: int = 0
    root_alive: bool = True
    kill_file: bool = False
    leaving: bool = False
    frozen_ns: tuple[int, ...] = ()
    waiting: tuple[tuple[int, int], ...] = ()
    number: int = 0


class Tick(Value, frozen=True, kw_only=True):
    """What is seen ten times a second."""

    pulse_age_ns: int
    armed: bool
    desk_pid: int
    desk_alive: bool
    root_alive: bool
    kill_file: bool
    file_text: str
    epoch: int


class Asked(Value, frozen=True, kw_only=True):
    """Somebody asks, on connection `connection`."""

    connection: int
    request: Request


class Known(Value, frozen=True, kw_only=True):
    """Orders that the desk's store says may rest; what it could not say in time is left to the venue's lists.

    `in_doubt`: a request of the desk went out and its outcome is not known.
    """

    orders: tuple[Resting, ...]
    in_doubt: bool


class Listed(Value, frozen=True, kw_only=True):
    """One complete list of the venue, or None: it could not be had."""

    number: int
    orders: tuple[Resting, ...] | None


class LeaveAsked(Value, frozen=True, kw_only=True):
    """SIGTERM: leave as soon as nothing of ours rests."""


Event = Tick | Asked | Known | Listed | LeaveAsked


class StepEpoch(Value, frozen=True, kw_only=True):
    """Raise the epoch in the watchdog's slot: from here on the desk cannot place."""


class Write(Value, frozen=True, kw_only=True):
    """Have the latch on disk before anything that follows."""

    latch: Latch


class ReadKnown(Value, frozen=True, kw_only=True):
    """Read the desk's store, in a thread that nobody waits for."""


class TakeList(Value, frozen=True, kw_only=True):
    """Take a complete list at the venue."""

    number: int


class Cancel(Value, frozen=True, kw_only=True):
    """Cancel these at the venue, now."""

    venue_order_ids: tuple[str, ...]


class Answer(Value, frozen=True, kw_only=True):
    """The one reply on a connection."""

    connection: int
    reply: Reply


class Cry(Value, frozen=True, kw_only=True):
    """A CRITICAL line for people."""

    event: str
    detail: str


class Leave(Value, frozen=True, kw_only=True):
    """This process's duty is done."""


Action = StepEpoch | Write | ReadKnown | TakeList | Cancel | Answer | Cry | Leave
Actions = tuple[Action, ...]


def step(state: Watchdog, event: Event, now_ns: int) -> tuple[Watchdog, Actions]:
    """Advance the watchdog by one event."""
    match event:
        case Tick():
            return _tick(state, event, now_ns)
        case Asked():
            return _asked(state, event, now_ns)
        case Known():
            return _known(state, event, now_ns)
        case Listed():
            return _listed(state, event, now_ns)
        case LeaveAsked():
            state = replace(state, leaving=True)
            return (state, ()) if state.sweep is not None else _begin(state, LEAVING, "mine", "stop", now_ns)


# --- causes -------------------------------------------------------------------------------------------------------


def _tick(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    state = _seen(state, tick, now_ns)
    state, begun = _cause(state, tick, now_ns)
    state, listed = _next_list(state, now_ns)
    state, answered = _overdue(state, now_ns)
    state, left = _left(state, now_ns)
    return state, (*begun, *listed, *answered, *left)


def _seen(state: Watchdog, tick: Tick, now_ns: int) -> Watchdog:
    died_ns = 0 if tick.desk_alive else (state.died_ns or now_ns)
    return replace(
        state,
        epoch=tick.epoch,
        desk_pid=tick.desk_pid or state.desk_pid,
        desk_alive=tick.desk_alive,
        died_ns=died_ns,
        root_alive=tick.root_alive,
        kill_file=tick.kill_file,
    )


def _cause(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    """The first reason to kill or sweep that holds now. A desk is swept once; its successor is another desk."""
    if tick.kill_file and not state.latch.killed:
        return _kill(state, tick.file_text or "KILL_SWITCH", "file", "mine", now_ns)
    sweeping = state.sweep is not None and not state.sweep.empty_ns
    if sweeping or state.latch.killed or state.leaving:
        return state, ()
    if not state.desk_pid or state.swept_pid == state.desk_pid:
        return state, ()
    if tick.desk_alive:
        frozen = tick.armed and tick.pulse_age_ns > state.settings.frozen_ns
        return _frozen(state, now_ns) if frozen else (state, ())
    if not tick.root_alive:
        return _protect(state, "desk and root are dead", now_ns)
    if now_ns - state.died_ns >= state.settings.orphaned_ns:
        return _protect(state, "the desk is dead and nobody owns its orders", now_ns)
    return state, ()


def _frozen(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    recent = (*(t for t in state.frozen_ns if now_ns - t < HOUR_NS), now_ns)
    state = replace(state, frozen_ns=recent)
    if len(recent) > state.settings.frozen_sweeps:
        return _kill(state, f"{len(recent)} frozen desks in an hour", "watchdog", "mine", now_ns)
    return _protect(state, "the desk is frozen", now_ns)


def _protect(state: Watchdog, reason: str, now_ns: int) -> tuple[Watchdog, Actions]:
    state = replace(state, epoch=state.epoch + 1, swept_pid=state.desk_pid)
    state, begun = _begin(state, PROTECTIVE, "mine", reason, now_ns)
    return state, (StepEpoch(), Cry(event="protective_sweep", detail=reason), *begun)


def _kill(state: Watchdog, reason: str, by: str, scope: str, now_ns: int) -> tuple[Watchdog, Actions]:
    """Fence, latch on disk, and only then cancel. Said twice it is one kill, with the wider scope."""
    if state.latch.killed and state.latch.scope in {scope, "all"}:
        if state.sweep is None:
            return _begin(state, KILL, state.latch.scope, state.latch.reason, now_ns)
        return state, ()
    epoch = state.epoch + 1
    latch = Latch(killed=True, epoch=epoch, reason=reason, by=by, at_ns=now_ns, scope=scope)
    state, begun = _begin(replace(state, latch=latch, epoch=epoch), KILL, scope, reason, now_ns)
    return state, (StepEpoch(), Write(latch=latch), Cry(event="kill", detail=reason), *begun)


def _begin(state: Watchdog, kind: str, scope: str, reason: str, now_ns: int) -> tuple[Watchdog, Actions]:
    """Cancel what the desk's store knows, and ask the venue at once without waiting for it."""
    sweep = Sweep(kind=kind, scope=scope, reason=reason, cause_ns=now_ns, epoch=state.epoch)
    state = replace(state, sweep=sweep, listing=0, next_list_ns=now_ns)
    state, listed = _next_list(state, now_ns)
    return state, (ReadKnown(), *listed)


# --- sweeping -----------------------------------------------------------------------------------------------------


def _next_list(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """One list is out at a time; one that does not come back is given up after a while."""
    if state.sweep is None or now_ns < state.next_list_ns:
        return state, ()
    if state.listing and now_ns - state.asked_ns < 4 * SECOND_NS:
        return state, ()
    number = state.number + 1
    return replace(state, number=number, listing=number, asked_ns=now_ns), (TakeList(number=number),)


def _known(state: Watchdog, known: Known, now_ns: int) -> tuple[Watchdog, Actions]:
    if state.sweep is None:
        return state, ()
    sweep = replace(state.sweep, in_doubt=known.in_doubt)
    return _cancel(state, sweep, _ours(state, sweep, known.orders), now_ns)


def _listed(state: Watchdog, listed: Listed, now_ns: int) -> tuple[Watchdog, Actions]:
    swept = state.sweep
    if swept is None or listed.number != state.listing:
        return state, ()
    asked_ns = state.asked_ns
    state, settings = replace(state, listing=0), state.settings
    if listed.orders is None:
        return replace(state, next_list_ns=now_ns + settings.retry_ns), ()
    ours = _ours(state, swept, listed.orders)
    if ours:
        sweep = replace(swept, clean_ns=0, remaining=len(ours))
        state = replace(state, next_list_ns=now_ns + settings.retry_ns)
        return _cancel(state, sweep, ours, now_ns)
    return _clean(state, swept, asked_ns, now_ns)


def _ours(state: Watchdog, sweep: Sweep, orders: tuple[Resting, ...]) -> tuple[Resting, ...]:
    """What this sweep is about: ours by prefix (or everybody's), but never the work of a later desk."""
    if sweep.scope == "all":
        return orders
    mine = tuple(o for o in orders if o.client_order_id.startswith(bot_prefix(state.settings.bot)))
    if sweep.kind != PROTECTIVE:
        return mine
    return tuple(o for o in mine if not _later(o, sweep.epoch))


def _later(order: Resting, epoch: int) -> bool:
    parts = parse_client_order_id(order.client_order_id)
    return parts is not None and parts.epoch >= epoch


def _cancel(state: Watchdog, sweep: Sweep, orders: tuple[Resting, ...], now_ns: int) -> tuple[Watchdog, Actions]:
    ids = tuple(o.venue_order_id for o in orders if o.venue_order_id)
    if not ids:
        return replace(state, sweep=sweep), ()
    sweep = replace(sweep, cancelled=sweep.cancelled | set(ids), last_cancel_ns=now_ns)
    return replace(state, sweep=sweep), (Cancel(venue_order_ids=ids),)


def _clean(state: Watchdog, sweep: Sweep, asked_ns: int, now_ns: int) -> tuple[Watchdog, Actions]:
    """An empty list. Two of them, far enough apart, are an empty book; then look on, slowly, for late arrivals."""
    settings = state.settings
    sweep = replace(sweep, remaining=0)
    if not sweep.clean_ns:
        sweep = replace(sweep, clean_ns=asked_ns)
        return replace(state, sweep=sweep, next_list_ns=asked_ns + settings.apart_ns), ()
    if asked_ns - sweep.clean_ns < settings.apart_ns:
        return replace(state, sweep=sweep, next_list_ns=sweep.clean_ns + settings.apart_ns), ()
    first = not sweep.empty_ns
    sweep = replace(sweep, empty_ns=sweep.empty_ns or now_ns)
    state = replace(state, sweep=sweep, next_list_ns=now_ns + settings.watch_ns)
    state, answered = _answer_all(state) if first else (state, ())
    if sweep.kind == LEAVING or _in_flight(state, sweep, now_ns):
        return state, answered
    return replace(state, sweep=None), answered


def _left(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """Leave when asked to and the book is empty, or when nobody is left to serve and no signature can still arrive."""
    sweep = state.sweep
    if state.leaving and sweep is not None and sweep.empty_ns and not _in_flight(state, sweep, now_ns):
        return state, (Leave(),)
    alone = not state.root_alive and not state.desk_alive and bool(state.desk_pid)
    if alone and sweep is None and state.swept_pid == state.desk_pid:
        return state, (Leave(),)
    return state, ()


def _in_flight(state: Watchdog, sweep: Sweep, now_ns: int) -> bool:
    """Whether a request might still arrive: after a clean stop, only one that the desk never got an answer to."""
    might = sweep.kind != LEAVING or sweep.in_doubt
    return might and now_ns - sweep.cause_ns < state.settings.signature_ns


# --- people -------------------------------------------------------------------------------------------------------


def _asked(state: Watchdog, asked: Asked, now_ns: int) -> tuple[Watchdog, Actions]:
    match asked.request:
        case KillNow():
            request = asked.request
            state = replace(state, waiting=(*state.waiting, (asked.connection, now_ns)))
            if state.sweep is not None and state.sweep.kind == KILL and state.sweep.empty_ns:
                state = replace(state, sweep=replace(state.sweep, empty_ns=0, clean_ns=0), next_list_ns=now_ns)
            return _kill(state, request.reason, request.by, request.scope, now_ns)
        case Rearm():
            return _rearm(state, asked.connection, asked.request, now_ns)
        case View():
            return state, (_reply(asked.connection, DONE, "", _status(state)),)
    return state, (Answer(connection=asked.connection, reply=Reply(code=USAGE, text="ask the desk for that")),)


def _rearm(state: Watchdog, connection: int, request: Rearm, now_ns: int) -> tuple[Watchdog, Actions]:
    if not state.latch.killed:
        return state, (_reply(connection, DONE, "it is not killed", _status(state)),)
    if state.kill_file:
        text = "the file KILL_SWITCH is still there: remove it first"
        return state, (_reply(connection, REFUSED, text, _status(state)),)
    if state.sweep is not None and not state.sweep.empty_ns:
        text = f"the sweep is not over: {state.sweep.remaining} orders remain"
        return state, (_reply(connection, REFUSED, text, _status(state)),)
    epoch = state.epoch + 1
    latch = Latch(
        killed=False, epoch=epoch, reason=request.confirm, by=request.by, at_ns=now_ns, scope=state.latch.scope
    )
    state = replace(state, latch=latch, epoch=epoch, sweep=None)
    done = _reply(connection, DONE, "rearmed: the desk starts anew", _status(state))
    return state, (Write(latch=latch), StepEpoch(), done)


def _overdue(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """Whoever has waited long enough is told how far it has come; the sweep goes on."""
    late = tuple(c for c, since_ns in state.waiting if now_ns - since_ns >= state.settings.answer_ns)
    if not late:
        return state, ()
    state = replace(state, waiting=tuple(w for w in state.waiting if w[0] not in late))
    text = "not empty yet: the sweep goes on"
    return state, tuple(_reply(c, TIMED_OUT, text, _status(state)) for c in late)


def _answer_all(state: Watchdog) -> tuple[Watchdog, Actions]:
    told = _status(state)
    text = f"empty after {told.sweep.empty_s} s: {told.sweep.cancelled} cancelled"
    answers = tuple(_reply(c, DONE, text, told) for c, _ in state.waiting)
    return replace(state, waiting=()), answers


def _reply(connection: int, code: int, text: str, status: WatchdogStatus) -> Answer:
    return Answer(connection=connection, reply=Reply(code=code, text=text, data=msgspec.json.encode(status).decode()))


def _status(state: Watchdog) -> WatchdogStatus:
    return WatchdogStatus(latch=state.latch, sweep=_progress(state.sweep), beat_age_s=0.0, desk_alive=state.desk_alive)


def _progress(sweep: Sweep | None) -> SweepProgress:
    if sweep is None:
        return SweepProgress(
            active=False,
            kind="",
            detected_s=None,
            last_cancel_s=None,
            empty_s=None,
            cancelled=0,
            remaining=0,
            unresolved=0,
            note="",
        )

    def since(at_ns: int) -> float | None:
        return round((at_ns - sweep.cause_ns) / SECOND_NS, 3) if at_ns else None

    return SweepProgress(
        active=not sweep.empty_ns,
        kind=sweep.kind,
        detected_s=0.0,
        last_cancel_s=since(sweep.last_cancel_ns),
        empty_s=since(sweep.empty_ns),
        cancelled=len(sweep.cancelled),
        remaining=sweep.remaining,
        unresolved=0,
        note=sweep.reason,
    )


def resumed(settings: Settings, latch: Latch | None, now_ns: int) -> tuple[Watchdog, Actions]:
    """A start, with the latch as its log has it. Killed: the sweep is taken up again, it may have been cut short."""
    state = Watchdog(settings=settings, latch=latch or NO_LATCH)
    if not state.latch.killed:
        return state, ()
    return _begin(state, KILL, state.latch.scope, state.latch.reason, now_ns)
