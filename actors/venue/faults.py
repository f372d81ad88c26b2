"""Fault plans: what goes wrong, when, for whom, and how often. Seeded; the clock is handed in.

A plan is a list of entries `{at_s | every, for_s, target, kind, probability, count, parameters}`. Times are seconds
from the moment the plan was posted. An entry without `for_s` lasts until the plan is deleted, or, with `every`, until
its next turn. `count` bounds how often an entry strikes in one turn.

Kinds on REST (target: a route's name such as `create_order`, `orders` for all order entry, a path pattern, or `*`):

* `delay`: wait `ms`, before the venue acts, or with `after: true` between acting and answering.
* `drop`: never answer; `reset`: cut the connection; `error`: answer `status` (500). With `accepted: true` (default)
  the venue has acted, with false it has not.
* `rate_limit`: 429, as JSON or with `html: true` as a page; not acted. `unauthorized`: 401; `forbidden`: 403.
* `maintenance`: 503. `truncate`: acted, half a body. `slow_body`: a byte every `ms` (1000).
* `old_answer`: the older create answer; `extra_members`: members nobody knows.
* `rewrite`: every member named in `members` gets the value given there (a NaN price, a status nobody knows).
* `refuse_cancel` (target: `cancel_orders`; drawn per order id): that order is not cancelled, `reason` says why.

Kinds on sockets (target: a channel's name or `*`):

* `ws_close`: close the connections that have the channel (`market`: those without `user`) with `code` (1001; 1006:
  cut) when the entry begins, and with `for_s` also those opened until it ends. `ws_refuse`: no new connections.
* `ws_silence`: the socket stays open, nothing is sent; what would have been sent is lost.
* `ws_gap`, `ws_duplicate`, `ws_reorder`, `ws_malformed`: strike single frames (default count: 1).
* `ws_mute`: the channel says nothing and no number is missing (heartbeat loss, lost user events, no snapshot);
  `ws_delay`: the connection lags by `ms`. `ws_rewrite`: as `rewrite`.
* `ws_deep` (target: a book): level2 snapshots with `levels` (25 000) more a side.

Kinds of state (undone when they end): `late_listing`, `late_fills`, `cancel_delay`, `pending_delay` (`ms`: [from, to]);
`product_state` (target: product; parameters: fields of the product); `halt` (target: product; the market stands
still); `clock_offset` (`s`: what `/time` and the token check are off by). `end_orders` (target: product; parameter
`status`: EXPIRED, FAILED or CANCELLED) ends once what works there, and is not undone.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Literal, get_args

import msgspec

from actors.venue.instants import SECOND_NS

RestKind = Literal[
    "delay",
    "drop",
    "reset",
    "error",
    "rate_limit",
    "unauthorized",
    "forbidden",
    "maintenance",
    "truncate",
    "slow_body",
    "old_answer",
    "extra_members",
    "rewrite",
    "refuse_cancel",
]
SocketKind = Literal[
    "ws_close",
    "ws_refuse",
    "ws_silence",
    "ws_gap",
    "ws_duplicate",
    "ws_reorder",
    "ws_malformed",
    "ws_mute",
    "ws_delay",
    "ws_rewrite",
    "ws_deep",
]
StateKind = Literal[
    "late_listing",
    "late_fills",
    "cancel_delay",
    "pending_delay",
    "product_state",
    "halt",
    "clock_offset",
    "end_orders",
]
PER_ID = frozenset({"refuse_cancel"})
REST = frozenset(get_args(RestKind)) - PER_ID
STATES = frozenset(get_args(StateKind))
CLOSE, REFUSE, DEEP = frozenset({"ws_close"}), frozenset({"ws_refuse"}), frozenset({"ws_deep"})
FRAMES = frozenset(get_args(SocketKind)) - CLOSE - REFUSE - DEEP
SINGLE = frozenset({"ws_gap", "ws_duplicate", "ws_reorder", "ws_malformed"})


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a plan."""

    kind: RestKind | SocketKind | StateKind
    at_s: float = 0.0
    every: float | None = None
    for_s: float | None = None
    target: str = "*"
    probability: float = 1.0
    count: int | None = None
    parameters: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Refuse what could never strike. Raises ValueError."""
        if not 0 <= self.probability <= 1:
            raise ValueError("probability lies between 0 and 1")
        if (self.every is not None and self.every <= 0) or (self.for_s is not None and self.for_s <= 0):
            raise ValueError("every and for_s are positive")

    def turn(self, elapsed_s: float) -> int | None:
        """Which occurrence of the entry is going on, counted from 0; None: none."""
        since = elapsed_s - self.at_s
        if since < 0:
            return None
        turn, into = divmod(since, self.every) if self.every else (0.0, since)
        return int(turn) if self.for_s is None or into < self.for_s else None

    def aims_at(self, names: Iterable[str]) -> bool:
        """Whether one of the names is its target."""
        return any(fnmatchcase(name, self.target) for name in names)


def rewritten(told: object, members: Mapping[str, object]) -> object:
    """Decoded JSON with another value in every member of these names, however deep."""
    if isinstance(told, dict):
        return {name: members.get(name, rewritten(value, members)) for name, value in told.items()}
    return [rewritten(one, members) for one in told] if isinstance(told, list) else told


class Active(msgspec.Struct, frozen=True):
    """An entry that is on: its identity (entry and turn) and when this turn began."""

    key: tuple[int, int]
    fault: Fault
    began_ns: int


class FaultPlan:
    """The entries in force, and how often each has struck."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"faults:{seed}")  # noqa: S311 - a test's chance, not a secret
        self._entries: list[tuple[int, int, Fault]] = []
        self._posted = 0
        self._struck: dict[tuple[int, int], int] = {}
        self.totals: dict[str, int] = {}

    def add(self, faults: Iterable[Fault], now_ns: int) -> None:
        """Begin these entries now, beside those in force."""
        for fault in faults:
            self._posted += 1
            self._entries.append((self._posted, now_ns, fault))

    def clear(self) -> None:
        """End everything."""
        self._entries.clear()
        self._struck.clear()

    def entries(self) -> list[Fault]:
        """Everything in force or to come."""
        return [fault for _, _, fault in self._entries]

    def active(self, kinds: frozenset[str], now_ns: int) -> list[Active]:
        """Entries of `kinds` that are on."""
        found = []
        for number, posted_ns, fault in self._entries:
            turn = fault.turn((now_ns - posted_ns) / SECOND_NS) if fault.kind in kinds else None
            if turn is not None:
                began_s = fault.at_s + turn * (fault.every or 0)
                found.append(Active((number, turn), fault, posted_ns + int(began_s * SECOND_NS)))
        return found

    def strike(self, kinds: frozenset[str], names: Iterable[str], now_ns: int) -> dict[str, Fault]:
        """The entries that strike here and now, by kind."""
        if not self._entries:
            return {}
        aimed = tuple(names)
        on = [one for one in self.active(kinds, now_ns) if one.fault.aims_at(aimed)]
        return {one.fault.kind: one.fault for one in on if self._hits(one)}

    def _hits(self, one: Active) -> bool:
        most = one.fault.count if one.fault.count is not None else 1 if one.fault.kind in SINGLE else None
        struck = self._struck.get(one.key, 0)
        if (most is not None and struck >= most) or not self.chance(one.fault):
            return False
        self._struck[one.key] = struck + 1
        return True

    def chance(self, fault: Fault) -> bool:
        """Draw whether the fault strikes this time; strikes are counted by kind."""
        struck = self._random.random() < fault.probability
        if struck:
            self.totals[fault.kind] = self.totals.get(fault.kind, 0) + 1
        return struck
