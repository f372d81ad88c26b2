"""What the watchdog decides: when to kill, when to sweep, what to cancel, when the book is empty (architecture §4).

Pure. A kill is latched until an operator rearms; a protective sweep is not. Both cancel every order of ours, or with
scope *all* everybody's, until two complete lists at least 200 ms apart hold none, and then go on looking until no
signature that was in flight can still be accepted. A sweep leaves alone what was placed under the present epoch: that
is the work of the desk that came after.
"""

import msgspec
from msgspec.structs import replace

from actors.watchdog.facts import (
    Actions,
    Answer,
    Asked,
    Cancel,
    Cry,
    Event,
    KillSignalled,
    Known,
    Leave,
    LeaveAsked,
    Listed,
    ReadKnown,
    Resting,
    StepEpoch,
    TakeList,
    Tick,
    Write,
)
from protocol.base import Value
from protocol.control import NO_LATCH, KillNow, Latch, Rearm, Reply, SweepProgress, View, WatchdogStatus
from protocol.ids import bot_prefix, parse_client_order_id
from protocol.instants import HOUR_NS, SECOND_NS

KILL, PROTECTIVE, LEAVING = "kill", "protective", "leaving"
DONE, USAGE, REFUSED, TIMED_OUT = 0, 2, 4, 5


class Settings(Value, frozen=True, kw_only=True):
    """Times in nanoseconds. `signature_ns`: token life plus 10 s. `rate_per_s`, `burst`: requests that it may make."""

    bot: str
    signature_ns: int = 130 * SECOND_NS
    frozen_ns: int = 2 * SECOND_NS
    orphaned_ns: int = 7 * SECOND_NS
    apart_ns: int = SECOND_NS // 5
    retry_ns: int = SECOND_NS * 3 // 20
    watch_ns: int = SECOND_NS
    answer_ns: int = 10 * SECOND_NS
    frozen_sweeps: int = 3
    rate_per_s: float = 15.0
    burst: int = 20


class Sweep(Value, frozen=True, kw_only=True):
    """A kill or sweep under way. `clean_ns`: when the first of two empty lists was asked for (0: none yet).

    `quiet_ns` is the last moment at which a request could have left; `unresolved` counts those without a verdict (None:
    the desk's store has not said). `until_owned`: it ends as soon as an armed desk stands behind the orders, and what
    was watched `before` is watched on.
    """

    kind: str
    scope: str
    reason: str
    cause_ns: int
    detected_ns: int
    quiet_ns: int
    epoch: int
    until_owned: bool = False
    before: "Sweep | None" = None
    unresolved: int | None = None
    cancelled: frozenset[str] = frozenset()
    remaining: int = 0
    clean_ns: int = 0
    last_cancel_ns: int = 0
    empty_ns: int = 0


class Watchdog(Value, frozen=True, kw_only=True):
    """The watchdog's state.

    `owner_pid` is the desk last seen armed, `unowned_ns` since when no such desk lives (0: one does): a successor owns
    nothing before it is armed. `orphans_ns`: the unowned time that was swept already. `alone`: desk and root are dead.
    """

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
    owner_pid: int = 0
    unowned_ns: int = 0
    orphans_ns: int = 0
    alone: bool = False
    root_alive: bool = True
    kill_file: bool = False
    leaving: bool = False
    frozen_ns: tuple[int, ...] = ()
    waiting: tuple[tuple[int, int], ...] = ()
    number: int = 0


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
            return _finish(replace(state, leaving=True), "stop", now_ns)
        case KillSignalled():
            return _kill(state, "SIGUSR1", "signal", "mine", now_ns)


# --- causes -------------------------------------------------------------------------------------------------------


def _tick(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    state = _seen(state, tick, now_ns)
    state, begun = _cause(state, tick, now_ns)
    state, listed = _next_list(state, now_ns)
    state, answered = _overdue(state, now_ns)
    state, left = _left(state, now_ns)
    return state, (*begun, *listed, *answered, *left)


def _seen(state: Watchdog, tick: Tick, now_ns: int) -> Watchdog:
    owned = tick.desk_alive and (tick.armed or tick.desk_pid == state.owner_pid)
    return replace(
        state,
        epoch=tick.epoch,
        desk_pid=tick.desk_pid or state.desk_pid,
        desk_alive=tick.desk_alive,
        owner_pid=tick.desk_pid if owned else 0,
        unowned_ns=0 if owned else (state.unowned_ns or now_ns),
        root_alive=tick.root_alive,
        kill_file=tick.kill_file,
    )


def _cause(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    """The first reason to kill or sweep that holds now. A desk is swept once; its successor is another desk."""
    if tick.kill_file and not state.latch.killed:
        return _kill_by_file(state, tick, now_ns)
    if not tick.root_alive and not tick.desk_alive and not state.alone:
        return _abandoned(state, now_ns)
    state = _reowned(state)
    if state.latch.killed or state.leaving or state.alone:
        return state, ()
    owned = state.unowned_ns == 0
    if owned and tick.pulse_age_ns > state.settings.frozen_ns and state.swept_pid != tick.desk_pid:
        return _frozen(state, tick, now_ns)
    if not owned and state.orphans_ns != state.unowned_ns and _overdue_orphans(state, now_ns):
        return _orphaned(state, now_ns)
    return state, ()


def _kill_by_file(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    cause_ns = min(tick.file_ns or now_ns, now_ns)
    return _kill(state, tick.file_text or "KILL_SWITCH", "file", "mine", now_ns, cause_ns)


def _abandoned(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """Nobody is left, and nobody will come back for these orders: whatever came before, sweep now and then leave."""
    state = replace(state, alone=True)
    if state.latch.killed or state.leaving:
        return _finish(state, "desk and root are dead", now_ns)
    return _protect(state, "desk and root are dead", now_ns, now_ns)


def _finish(state: Watchdog, reason: str, now_ns: int) -> tuple[Watchdog, Actions]:
    """Look again from the start before leaving: what was read while a desk lived proves nothing."""
    if state.latch.killed:
        return _begin(state, KILL, state.latch.scope, state.latch.reason, now_ns)
    return _begin(state, LEAVING, "mine", reason, now_ns)


def _reowned(state: Watchdog) -> Watchdog:
    """An armed desk took the orphans over: they are not to be cancelled any more."""
    sweep = state.sweep
    if sweep is None or not sweep.until_owned or state.unowned_ns:
        return state
    return replace(state, sweep=sweep.before)


def _overdue_orphans(state: Watchdog, now_ns: int) -> bool:
    return now_ns - state.unowned_ns >= state.settings.orphaned_ns


def _orphaned(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """No epoch step: nothing is armed that could place, and a successor on its way up is not to be thrown back."""
    reason, since_ns, before = "nobody owns the orders of a dead desk", state.unowned_ns, state.sweep
    state, begun = _begin(replace(state, orphans_ns=since_ns), PROTECTIVE, "mine", reason, now_ns, since_ns)
    assert state.sweep is not None, "just begun"
    sweep = replace(state.sweep, until_owned=True, before=before, quiet_ns=since_ns, epoch=state.epoch + 1)
    return replace(state, sweep=sweep), (Cry(event="protective_sweep", detail=reason), *begun)


def _frozen(state: Watchdog, tick: Tick, now_ns: int) -> tuple[Watchdog, Actions]:
    recent = (*(t for t in state.frozen_ns if now_ns - t < HOUR_NS), now_ns)
    state = replace(state, frozen_ns=recent)
    if len(recent) > state.settings.frozen_sweeps:
        return _kill(state, f"{len(recent)} frozen desks in an hour", "watchdog", "mine", now_ns)
    return _protect(state, "the desk is frozen", now_ns, now_ns - tick.pulse_age_ns)


def _protect(state: Watchdog, reason: str, now_ns: int, cause_ns: int) -> tuple[Watchdog, Actions]:
    state = replace(state, epoch=state.epoch + 1, swept_pid=state.desk_pid)
    state, begun = _begin(state, PROTECTIVE, "mine", reason, now_ns, cause_ns)
    return state, (StepEpoch(), Cry(event="protective_sweep", detail=reason), *begun)


def _kill(
    state: Watchdog, reason: str, by: str, scope: str, now_ns: int, cause_ns: int | None = None
) -> tuple[Watchdog, Actions]:
    """Fence, latch on disk, and only then cancel. Said again it looks again; the first word stands.

    While it is still at work, saying it again sets nothing back: a flood of kills would keep it from ever being done.
    """
    epoch, held, sweep = state.epoch + 1, state.latch, state.sweep
    if held.killed:
        scope = "all" if "all" in {scope, held.scope} else "mine"
        latch = replace(held, epoch=epoch, scope=scope)
    else:
        latch = Latch(killed=True, epoch=epoch, reason=reason, by=by, at_ns=now_ns, scope=scope)
    state = replace(state, latch=latch, epoch=epoch)
    if held.killed and sweep is not None and sweep.kind == KILL and sweep.scope == scope and not sweep.empty_ns:
        return state, (StepEpoch(), Write(latch=latch))
    state, begun = _begin(state, KILL, scope, reason, now_ns, cause_ns)
    return state, (StepEpoch(), Write(latch=latch), Cry(event="kill", detail=reason), *begun)


def _begin(
    state: Watchdog, kind: str, scope: str, reason: str, now_ns: int, cause_ns: int | None = None
) -> tuple[Watchdog, Actions]:
    """Cancel what the desk's store knows, and ask the venue at once without waiting for it."""
    sweep = Sweep(
        kind=kind,
        scope=scope,
        reason=reason,
        cause_ns=now_ns if cause_ns is None else cause_ns,
        detected_ns=now_ns,
        quiet_ns=now_ns,
        epoch=state.epoch,
    )
    state = replace(state, sweep=sweep, listing=0, next_list_ns=now_ns)
    state, listed = _next_list(state, now_ns)
    return state, (ReadKnown(), *listed)


# --- sweeping -----------------------------------------------------------------------------------------------------


def _next_list(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """One list is out at a time; one that does not come back is given up after a while."""
    if state.sweep is None or now_ns < state.next_list_ns:
        return state, ()
    if state.listing and now_ns - state.asked_ns < 10 * SECOND_NS:
        return state, ()
    number = state.number + 1
    return replace(state, number=number, listing=number, asked_ns=now_ns), (TakeList(number=number),)


def _known(state: Watchdog, known: Known, now_ns: int) -> tuple[Watchdog, Actions]:
    if state.sweep is None:
        return state, ()
    ours = _ours(state, state.sweep, known.orders)
    first = state.sweep.unresolved is None  # read again, it repeats what nobody is left to write an end to
    sweep = replace(state.sweep, unresolved=known.unresolved)
    if not first or known.unresolved is None:
        return replace(state, sweep=sweep), ()
    sweep = replace(sweep, remaining=max(sweep.remaining, len(ours)))
    return _cancel(state, sweep, ours, now_ns)


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
    if state.leaving or state.alone or _in_flight(state, sweep, now_ns):
        reading = (ReadKnown(),) if sweep.unresolved is None else ()
        return state, (*answered, *reading)
    return replace(state, sweep=None), answered


def _left(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """Leave, when asked to or left alone, once the book is empty and no request can still arrive."""
    sweep = state.sweep
    ready = (state.leaving or state.alone) and sweep is not None and sweep.empty_ns
    if sweep is not None and ready and not _in_flight(state, sweep, now_ns):
        return state, (Leave(),)
    return state, ()


def _in_flight(state: Watchdog, sweep: Sweep, now_ns: int) -> bool:
    """Whether a request might still arrive. Nothing rests that is not on disk: with the desk gone, its store knows."""
    gone = not state.desk_alive and (state.leaving or state.alone)
    might = not gone or sweep.unresolved != 0
    return might and now_ns - sweep.quiet_ns < state.settings.signature_ns


# --- people -------------------------------------------------------------------------------------------------------


def _asked(state: Watchdog, asked: Asked, now_ns: int) -> tuple[Watchdog, Actions]:
    match asked.request:
        case KillNow():
            request = asked.request
            if request.scope not in {"mine", "all"}:
                return state, (_reply(asked.connection, USAGE, "scope is mine or all", _progress(state.sweep)),)
            state = replace(state, waiting=(*state.waiting, (asked.connection, now_ns)))
            return _kill(state, request.reason, request.by, request.scope, now_ns)
        case Rearm():
            return _rearm(state, asked.connection, asked.request, now_ns)
        case View(what="status"):
            return state, (_reply(asked.connection, DONE, "", _status(state)),)
    return state, (Answer(connection=asked.connection, reply=Reply(code=USAGE, text="ask the desk for that")),)


def _rearm(state: Watchdog, connection: int, request: Rearm, now_ns: int) -> tuple[Watchdog, Actions]:
    if not request.confirm.strip():
        return state, (_reply(connection, USAGE, "say why it is safe again", _status(state)),)
    if not state.latch.killed:
        return state, (_reply(connection, DONE, "it is not killed", _status(state)),)
    if state.kill_file:
        text = "the file KILL_SWITCH is still there: remove it first"
        return state, (_reply(connection, REFUSED, text, _status(state)),)
    if state.sweep is not None and (state.sweep.remaining or not state.sweep.empty_ns):
        text = f"the sweep is not over: {state.sweep.remaining} orders remain"
        return state, (_reply(connection, REFUSED, text, _status(state)),)
    epoch = state.epoch + 1
    latch = Latch(
        killed=False, epoch=epoch, reason=request.confirm, by=request.by, at_ns=now_ns, scope=state.latch.scope
    )
    state = replace(state, latch=latch, epoch=epoch, sweep=_watched_on(state.sweep, epoch), frozen_ns=(), unowned_ns=0)
    done = _reply(connection, DONE, "rearmed: the desk starts anew", _status(state))
    return state, (Write(latch=latch), StepEpoch(), done)


def _watched_on(sweep: Sweep | None, epoch: int) -> Sweep | None:
    """What was sent before the kill may still arrive after the rearm; what the next desk places is its own."""
    return None if sweep is None else replace(sweep, kind=PROTECTIVE, scope="mine", epoch=epoch)


def _overdue(state: Watchdog, now_ns: int) -> tuple[Watchdog, Actions]:
    """Whoever has waited long enough is told how far it has come; the sweep goes on."""
    late = tuple(c for c, since_ns in state.waiting if now_ns - since_ns >= state.settings.answer_ns)
    if not late:
        return state, ()
    state = replace(state, waiting=tuple(w for w in state.waiting if w[0] not in late))
    told = _progress(state.sweep)
    return state, tuple(_reply(c, TIMED_OUT, _words(told), told) for c in late)


def _answer_all(state: Watchdog) -> tuple[Watchdog, Actions]:
    told = _progress(state.sweep)
    answers = tuple(_reply(c, DONE, _words(told), told) for c, _ in state.waiting)
    return replace(state, waiting=()), answers


def _words(told: SweepProgress) -> str:
    """How far a kill has come, for whoever asked for it."""
    last = "nothing to cancel" if told.last_cancel_s is None else f"last cancel after {told.last_cancel_s:.2f} s"
    empty = "not empty yet: the sweep goes on" if told.empty_s is None else f"venue empty after {told.empty_s:.2f} s"
    counts = f"{told.cancelled} cancelled, {told.remaining} remaining, {told.unresolved} unresolved"
    return f"detected after {told.detected_s or 0.0:.2f} s, {last}, {empty}: {counts}"


def _reply(connection: int, code: int, text: str, data: WatchdogStatus | SweepProgress) -> Answer:
    return Answer(connection=connection, reply=Reply(code=code, text=text, data=msgspec.json.encode(data).decode()))


def _status(state: Watchdog) -> WatchdogStatus:
    latch = replace(state.latch, epoch=max(state.epoch, state.latch.epoch))
    return WatchdogStatus(latch=latch, sweep=_progress(state.sweep), beat_age_s=0.0, desk_alive=state.desk_alive)


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
        detected_s=since(sweep.detected_ns),
        last_cancel_s=since(sweep.last_cancel_ns),
        empty_s=since(sweep.empty_ns),
        cancelled=len(sweep.cancelled),
        remaining=sweep.remaining,
        unresolved=sweep.unresolved or 0,
        note=sweep.reason if sweep.unresolved is not None else f"{sweep.reason} (the desk's store has not been read)",
    )


def resumed(settings: Settings, latch: Latch | None, now_ns: int) -> tuple[Watchdog, Actions]:
    """A start, with the latch as its log has it. Killed: the sweep is taken up again, it may have been cut short."""
    state = Watchdog(settings=settings, latch=latch or NO_LATCH)
    if not state.latch.killed:
        return state, ()
    return _begin(state, KILL, state.latch.scope, state.latch.reason, now_ns)
