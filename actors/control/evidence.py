"""What the ladder from DRY_RUN to LIVE is climbed on (requirements §3): put on record while it happens.

A stretch of a run says how long it ran on which market and configuration, whether its cycles came, and its memory; an
ended kill how fast it was. A desk that dies leaves no word of its last stretch: what nobody vouches for does not count.
"""

import msgspec
from msgspec.structs import replace

from actors.control.state import Control, Stretch
from protocol.base import NO_EFFECTS, Effect, Effects
from protocol.control import Answer, KillEvidence, Rearm, RunEvidence, WatchdogAnswered, WatchdogStatus
from protocol.effects import Note, SetTimer
from protocol.instants import HOUR_NS, SECOND_NS

TIMER, LEAVE = "evidence", "leave"
_DONE = 0


def begin(state: Control, now_ns: int) -> tuple[Control, Effect]:
    """A stretch begins here and now."""
    due = SetTimer(timer=TIMER, due_ns=now_ns + HOUR_NS)
    return replace(state, stretch=Stretch(from_ns=now_ns)), due


def hourly(state: Control, now_ns: int) -> tuple[Control, Effects]:
    """An hour is over: its record, and the next one."""
    note = _note(state, now_ns, ended=False)
    state, due = begin(state, now_ns)
    return state, (note, due)


def counted(state: Control) -> Control:
    """A cycle has ended."""
    return replace(state, stretch=replace(state.stretch, cycles=state.stretch.cycles + 1))


def at_the_end(before: Control, after: Control, effects: Effects, now_ns: int) -> Effects:
    """A desk that begins to leave says first what its last stretch was: what it said last of all might be lost."""
    stops = before.stopping is None and after.stopping is not None
    leaves = any(isinstance(effect, SetTimer) and effect.timer == LEAVE for effect in effects)
    return (*effects, _note(after, now_ns, ended=True)) if stops or leaves else effects


def _note(state: Control, now_ns: int, *, ended: bool) -> Note:
    settings, stretch = state.settings, state.stretch
    took_s = (now_ns - stretch.from_ns) / SECOND_NS
    said = RunEvidence(
        mode=settings.mode,
        venue=settings.venue,
        market=settings.market,
        config_hash=settings.config_hash,
        from_ns=stretch.from_ns,
        until_ns=now_ns,
        cycles=stretch.cycles,
        cycles_expected=int(took_s / settings.cycle_s),
        resident_bytes=None if state.pages is None else state.pages.resident_bytes,
        ended=ended,
    )
    return Note(message=said)


def answered(state: Control, message: WatchdogAnswered) -> tuple[Control, Effects]:
    """The watchdog's word goes to whoever asked; one that ended a kill tells how that went."""
    answer = Answer(connection=message.connection, reply=message.reply)
    request = state.rearming.get(message.connection)
    if request is None:
        return state, (answer,)
    state = replace(state, rearming={c: r for c, r in state.rearming.items() if c != message.connection})
    return state, (answer, *_rearmed(state, message, request))


def _rearmed(state: Control, message: WatchdogAnswered, request: Rearm) -> Effects:
    latch = None if state.pages is None else state.pages.latch
    if message.reply.code != _DONE or latch is None or not latch.killed:
        return NO_EFFECTS
    try:
        sweep = msgspec.json.decode(message.reply.data, type=WatchdogStatus).sweep
    except msgspec.MsgspecError:
        return NO_EFFECTS
    said = KillEvidence(
        reason=latch.reason,
        by=latch.by,
        at_ns=latch.at_ns,
        detected_s=sweep.detected_s,
        last_cancel_s=sweep.last_cancel_s,
        empty_s=sweep.empty_s,
        cancelled=sweep.cancelled,
        unresolved=sweep.unresolved,
        rearmed_by=request.by,
        said=request.confirm,
    )
    return (Note(message=said),)
