"""The root's decisions: what to start, restart, signal and end (architecture §3, processes). Pure.

Only the desk's deaths can become a storm, and only those that say something is wrong: exit 70, or an end before the
desk was armed for ten seconds. Every other death is answered by an immediate restart.
"""

from enum import Enum

from msgspec import field
from msgspec.structs import replace

from protocol.base import Value
from protocol.control import TAKE_UP
from protocol.instants import SECOND_NS

DESK = "desk"
WATCHDOG = "watchdog"
FAILED = 1
REFUSED = 4
GAVE_UP = 70
REVOKED = 75
KILLED = -9


class Kind(Enum):
    """How a child is treated. ESSENTIAL ones are restarted at once; OUTLIVES ones also survive the root."""

    DESK = "desk"
    ESSENTIAL = "essential"
    OUTLIVES = "outlives"


class Spec(Value, frozen=True, kw_only=True):
    """One child process, as data. `stop_order`: on a stop, lower numbers end first; `stop_s` is its time for that."""

    name: str
    kind: Kind
    stop_order: int
    stop_s: float


class Child(Value, frozen=True, kw_only=True):
    """A child that is running. Of the watchdog: its last beat, for how many ticks that stood `still`, if it `beats`."""

    pid: int
    started_ns: int
    armed_ns: int = 0
    revoked_ns: int = 0
    beat_ns: int | None = None
    still: int = 0
    beats: bool = False


class Root(Value, frozen=True, kw_only=True):
    """The root's state. `deaths_ns` are the desk's deaths that count; `stopping` is the stop order now ending."""

    specs: tuple[Spec, ...]
    children: dict[str, Child] = field(default_factory=dict)
    deaths_ns: tuple[int, ...] = ()
    stopping: int | None = None
    stop_ns: int = 0
    signalled: bool = False
    stormed: bool = False
    code: int = 0

    def spec(self, name: str) -> Spec:
        """A child's spec by name."""
        return next(s for s in self.specs if s.name == name)


class Started(Value, frozen=True, kw_only=True):
    """A child was spawned."""

    name: str
    pid: int


class Exited(Value, frozen=True, kw_only=True):
    """A child ended with `code` (negative: by that signal)."""

    name: str
    code: int


class Tick(Value, frozen=True, kw_only=True):
    """Four times a second: whether the desk's epoch is still current, whether it is armed; the watchdog's last beat."""

    revoked: bool
    armed: bool
    beat_ns: int = 0


class TookUp(Value, frozen=True, kw_only=True):
    """What the next desk will load is written: the configuration that the last one made way for, or the old one."""


class StopAsked(Value, frozen=True, kw_only=True):
    """The time is up, or a `signal` came: SIGTERM or SIGINT. The second signal forces the end (execution.md §13)."""

    signal: bool = False


Event = Started | Exited | Tick | TookUp | StopAsked


class Start(Value, frozen=True, kw_only=True):
    """Spawn a child, `after_ns` from now."""

    name: str
    after_ns: int = 0


class TakeUp(Value, frozen=True, kw_only=True):
    """Write the configuration that the desk made way for where the next one reads it; then comes `TookUp`."""


class Terminate(Value, frozen=True, kw_only=True):
    """Ask a child to end (SIGTERM)."""

    name: str


class Kill(Value, frozen=True, kw_only=True):
    """End a child now (SIGKILL)."""

    name: str


class LatchKill(Value, frozen=True, kw_only=True):
    """Tell the watchdog to kill and latch."""

    reason: str


class Finish(Value, frozen=True, kw_only=True):
    """The root itself ends."""

    code: int


Action = Start | TakeUp | Terminate | Kill | LatchKill | Finish

STORM = 3
STORM_NS = 300 * SECOND_NS
HEALTHY_NS = 10 * SECOND_NS
REVOKED_NS = SECOND_NS
STORM_PAUSE_NS = 5 * SECOND_NS
STILL = 16
"""Ticks without a beat, four seconds, after which a watchdog is frozen. Ticks, not time: of a machine that stood still
itself nobody is to blame."""


def step(root: Root, event: Event, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    """Advance the root by one event."""
    match event:
        case Started():
            child = Child(pid=event.pid, started_ns=now_ns)
            return replace(root, children={**root.children, event.name: child}), ()
        case Exited():
            return _exited(root, event, now_ns)
        case Tick():
            return _tick(root, event, now_ns)
        case TookUp():
            return root, _anew(root)
        case StopAsked():
            return _asked(root, event, now_ns)


def _asked(root: Root, event: StopAsked, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    forced = event.signal and root.signalled
    root = replace(root, signalled=root.signalled or event.signal)
    if root.stopping is None:
        return _stop_next(replace(root, stopping=-1), now_ns)
    return _end(root, _ending(root)) if forced else (root, ())


def _anew(root: Root) -> tuple[Action, ...]:
    """A desk, and everybody else who has read the old configuration; who is starting has not read it yet."""
    if root.stopping is not None:
        return ()
    readers = (name for name in sorted(root.children) if root.spec(name).kind is Kind.ESSENTIAL)
    return (*(Terminate(name=name) for name in readers), Start(name=DESK))


def _exited(root: Root, event: Exited, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    child = root.children.get(event.name)
    root = replace(root, children={n: c for n, c in root.children.items() if n != event.name})
    if root.stopping is not None:
        code = FAILED if event.code < 0 else event.code
        code = 0 if code == TAKE_UP else code  # it was making way when the stop came: nothing rests
        root = replace(root, code=root.code or (code if event.name == DESK else 0))
        return _stop_next(root, now_ns)
    if event.name == DESK and event.code == REFUSED:  # its store must not be used: another start changes nothing
        return _stop_next(replace(root, stopping=-1, code=REFUSED), now_ns)
    if event.name == DESK and event.code == TAKE_UP:
        return root, (TakeUp(),)
    if event.name != DESK or child is None or not _counts(event, child, now_ns):
        return root, (Start(name=event.name),)
    deaths = tuple(t for t in (*root.deaths_ns, now_ns) if now_ns - t < STORM_NS)
    root = replace(root, deaths_ns=deaths)
    if len(deaths) < STORM:  # a storm that is over may be followed by another
        return replace(root, stormed=False), (Start(name=DESK),)
    actions: tuple[Action, ...] = (Start(name=DESK, after_ns=STORM_PAUSE_NS),)
    if root.stormed:
        return root, actions
    return replace(root, stormed=True), (LatchKill(reason=f"restart storm: {len(deaths)} deaths"), *actions)


def _counts(event: Exited, child: Child, now_ns: int) -> bool:
    """Whether a desk's death says that something is wrong with the desk itself.

    An armed desk that was killed from outside (SIGKILL: the kernel, an operator) says nothing of the kind.
    """
    if event.code == REVOKED or child.revoked_ns:
        return False
    if event.code == KILLED and child.armed_ns:
        return False
    armed_long = child.armed_ns and now_ns - child.armed_ns >= HEALTHY_NS
    return event.code == GAVE_UP or not armed_long


def _tick(root: Root, tick: Tick, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    if root.stopping is not None:
        return _overdue(root, now_ns)
    root, frozen = _watched(root, tick.beat_ns)
    root, revoked = _revoked(root, tick, now_ns)
    return root, (*frozen, *revoked)


def _watched(root: Root, beat_ns: int) -> tuple[Root, tuple[Action, ...]]:
    """End a watchdog whose beat stands still: the next one starts when it is gone, so never two at once.

    One that has not beaten yet is starting, and known by its ready line.
    """
    dog = root.children.get(WATCHDOG)
    if dog is None:
        return root, ()
    if dog.beat_ns == beat_ns:
        dog = replace(dog, still=dog.still + 1)
    else:
        dog = replace(dog, beat_ns=beat_ns, still=0, beats=dog.beat_ns is not None)
    root = replace(root, children={**root.children, WATCHDOG: dog})
    return root, (Kill(name=WATCHDOG),) if dog.beats and dog.still == STILL else ()


def _revoked(root: Root, tick: Tick, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    """End a desk that its revoked epoch has not ended within a second."""
    desk = root.children.get(DESK)
    if desk is None:
        return root, ()
    if tick.armed and not desk.armed_ns:
        desk = replace(desk, armed_ns=now_ns)
    if tick.revoked and not desk.revoked_ns:
        desk = replace(desk, revoked_ns=now_ns)
    root = replace(root, children={**root.children, DESK: desk})
    if desk.revoked_ns and now_ns - desk.revoked_ns >= REVOKED_NS:
        return root, (Kill(name=DESK),)
    return root, ()


def _stop_next(root: Root, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    """End the next group of children when the one before it is gone; the root follows the last."""
    alive = sorted({root.spec(name).stop_order for name in root.children})
    if not alive:
        return root, (Finish(code=root.code),)
    if alive[0] == root.stopping:
        return root, ()
    root = replace(root, stopping=alive[0], stop_ns=now_ns)
    return root, tuple(Terminate(name=n) for n in sorted(root.children) if root.spec(n).stop_order == alive[0])


def _overdue(root: Root, now_ns: int) -> tuple[Root, tuple[Action, ...]]:
    """A child has its own time to end."""
    waited_ns = now_ns - root.stop_ns
    return _end(root, [name for name in _ending(root) if waited_ns >= root.spec(name).stop_s * SECOND_NS])


def _ending(root: Root) -> list[str]:
    """Children that were asked to end and are still there."""
    return [name for name in sorted(root.children) if root.spec(name).stop_order == root.stopping]


def _end(root: Root, names: list[str]) -> tuple[Root, tuple[Action, ...]]:
    """Kill what does not end by itself; one that outlives the root is left to its duty, which ends the root."""
    if any(root.spec(name).kind is Kind.OUTLIVES for name in names):
        return root, (Finish(code=5),)
    return root, tuple(Kill(name=name) for name in names)
