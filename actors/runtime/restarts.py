"""What to do about an exit: OTP's words with OTP's meaning, as data and a pure decision. Pure.

*Permanent* children always restart, *transient* ones only after an abnormal exit, *temporary* ones never. More than
`intensity` restarts within `period_s` means the group gives up and its own group decides about it. Not OTP's: backoff,
for what talks to the outside, and two softer ends for what must not take the rest down with it, *park* (retried later)
and *give up*.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from protocol.base import Value

_NS = 1_000_000_000


class Restart(Enum):
    """When a child is restarted."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(Enum):
    """Who is restarted with it: nobody, or all that started after it."""

    ONE_FOR_ONE = "one_for_one"
    REST_FOR_ONE = "rest_for_one"


class Beyond(Enum):
    """What happens past the intensity. ESCALATE counts a group's restarts together, the others each child's."""

    ESCALATE = "escalate"
    PARK = "park"
    GIVE_UP = "give_up"


class Group(Value, frozen=True, kw_only=True):
    """A supervisor as data. `under` names its own group; empty at the top."""

    name: str
    under: str = ""
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 3
    period_s: float = 60.0
    beyond: Beyond = Beyond.ESCALATE
    park_s: float = 300.0


class Child(Value, frozen=True, kw_only=True):
    """What supervision needs to know of a child. `backoff_s`: first delay and ceiling; it doubles each time.

    `shutdown_s` is how long it may take to stop; `beat_s` how long a pulse may go unanswered (None: never asked).
    """

    name: str
    group: str
    restart: Restart = Restart.PERMANENT
    backoff_s: tuple[float, float] = (0.0, 0.0)
    shutdown_s: float = 2.0
    beat_s: float | None = None


class Again(Value, frozen=True, kw_only=True):
    """Restart it, and whoever its group's strategy takes with it, after `after_ns`."""

    after_ns: int


class Forget(Value, frozen=True, kw_only=True):
    """It is done."""


class Escalate(Value, frozen=True, kw_only=True):
    """The group gives up: its own group decides."""

    group: str
    reason: str


class Park(Value, frozen=True, kw_only=True):
    """Leave it down for `after_ns`, then try again."""

    after_ns: int


class GiveUp(Value, frozen=True, kw_only=True):
    """Leave it down; trading goes on without it."""


Decision = Again | Forget | Escalate | Park | GiveUp


def decide(child: Child, group: Group, history_ns: Sequence[int], now_ns: int, *, normal: bool) -> Decision:
    """What to do about one exit.

    Args:
        child: who ended.
        group: its group.
        history_ns: when earlier restarts were decided, oldest first: the group's where it escalates, else the child's.
        now_ns: when it ended.
        normal: it was asked to end, or retired.
    """
    if child.restart is Restart.TEMPORARY or (child.restart is Restart.TRANSIENT and normal):
        return Forget()
    recent = [at for at in history_ns if now_ns - at < group.period_s * _NS]
    if len(recent) < group.intensity:
        base, ceiling = child.backoff_s
        return Again(after_ns=int(min(ceiling, base * 2 ** len(recent)) * _NS))
    match group.beyond:
        case Beyond.PARK:
            return Park(after_ns=int(group.park_s * _NS))
        case Beyond.GIVE_UP:
            return GiveUp()
        case Beyond.ESCALATE:
            reason = f"{child.name}: {len(recent) + 1} exits in {group.period_s:g} s"
            return Escalate(group=group.name, reason=reason)


def taken_along(failed: str, order: Sequence[Child], groups: Mapping[str, Group]) -> tuple[str, ...]:
    """Names that restart when `failed` does, itself included, in start order.

    `order` is everyone alive or to be alive, in start order. Under rest_for_one all that started later and stands in
    the same group, or in a group below it, goes along.
    """
    at = next(index for index, child in enumerate(order) if child.name == failed)
    group = groups[order[at].group]
    if group.strategy is Strategy.ONE_FOR_ONE:
        return (failed,)
    return tuple(child.name for child in order[at:] if within(child.group, group.name, groups))


def within(group: str, ancestor: str, groups: Mapping[str, Group]) -> bool:
    """Whether `group` is `ancestor` or stands below it."""
    while group and group != ancestor:
        group = groups[group].under
    return bool(group)
