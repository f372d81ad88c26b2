"""What goes wrong, as data: a plan of events, drawn from a seed or read from a file.

An event is one of the venue's fault kinds (`actors/venue/faults.py`), or something that happens to the processes and
actors, or something a person wants:

* `desk_dies`: the process ends, and `for_s` later the next one starts from the store. Parameter `at`: `now`, or the
  point of its next commit at which it ends, `written`, `flipped` or `synced` (`actors/recorder/memory.py`).
  `machine_dies`: a commit that was not synced is gone too. `actor_dies` (target: a room): its actors end at their next
  turn, as if a step had raised.
* `desk_freezes` (parameter `steps`: after so many more messages), `desk_wakes`; `watchdog_dies`, `watchdog_begins`,
  `watchdog_freezes`, `watchdog_wakes`. A root process looks on: it starts what has ended or been fenced off anew.
* `kill`: a person's; the calm after it rearms.
* `disk_fails` (for `for_s`): no transaction is written.
* `order` (target: product; parameters: `side`, `usd`, `kind` ioc or limit): an operator's order; a sale is of what is
  held, and where nothing is, it is a purchase. `cancel_all`. `hit` (target: product; parameter: `share`): somebody
  trades through the market up to our oldest order there, and with that share of it.
* `calm`: whatever goes wrong at the venue ends here. The desk finds back by itself, everything is cancelled, and what
  must hold at a quiet point is looked at; `CALM_S` are enough.

Times are seconds from the moment the desk is armed.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from actors.recorder.memory import POINTS
from actors.venue.faults import Fault, RestKind, SocketKind, StateKind
from actors.venue.synthetic_plant import scenario_of

OwnKind = Literal[
    "desk_dies",
    "machine_dies",
    "actor_dies",
    "desk_freezes",
    "desk_wakes",
    "watchdog_dies",
    "watchdog_begins",
    "watchdog_freezes",
    "watchdog_wakes",
    "disk_fails",
    "order",
    "cancel_all",
    "hit",
    "kill",
    "calm",
]
Kind = RestKind | SocketKind | StateKind | OwnKind
OWN = frozenset(get_args(OwnKind))
STORM_S, CALM_S = 60, 215
ROUND_S = STORM_S + CALM_S
"""A storm, then a calm that is long enough for everything that is unresolved to be decided."""
REST = (
    *("create_order", "create_order", "create_order", "cancel_orders", "cancel_orders", "orders"),
    *("get_order", "list_orders", "list_fills", "list_accounts", "*"),
)
CHANNELS = ("user", "level2", "market_trades", "heartbeats", "*")
ROOMS = ("recorder", "portfolio", "risk", "orders", "order", "cycle", "gateway", "user_feed", "feed", "market")


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of a plan; members as those of a `Fault`."""

    at_s: float
    kind: Kind
    target: str = "*"
    for_s: float | None = None
    every: float | None = None
    probability: float = 1.0
    count: int | None = None
    parameters: dict[str, Any] = {}

    def fault(self) -> Fault:
        """As the venue takes it, beginning now. Raises ValueError: it could never strike."""
        assert self.kind not in OWN, "the venue knows nothing of it"
        return Fault(
            kind=self.kind,  # type: ignore[arg-type]  # what is not ours is the venue's
            target=self.target,
            for_s=self.for_s,
            every=self.every,
            probability=self.probability,
            count=self.count,
            parameters=self.parameters,
        )


Plan = tuple[Event, ...]


class PlanError(Exception):
    """A file is no plan: its text names the file and the rule."""


def read(path: Path) -> Plan:
    """A plan from a JSON file: a list of events. Raises PlanError."""
    try:
        events = msgspec.json.decode(path.read_bytes(), type=tuple[Event, ...])
        for event in events:
            if event.kind not in OWN:
                event.fault()
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise PlanError(f"{path}: {error}") from None
    return tuple(sorted(events, key=lambda event: event.at_s))


def products_of(seed: int) -> tuple[str, ...]:
    """What a seed's desk trades: BTC and the two products that its market begins with a trigger in."""
    return ("BTC-USD", *scenario_of(seed).planted[:2])


def quiet(seconds: float) -> Plan:
    """Nothing happens, and then it is looked at."""
    return (Event(at_s=seconds, kind="calm"),)


# --- storms -------------------------------------------------------------------------------------------------------


def storm(seed: int, seconds: float) -> Plan:
    """The storms of a seed, one in each round, as many as begin in that time."""
    random = Random(f"storm:{seed}")  # noqa: S311 - chance that must repeat
    products = products_of(seed)
    rounds = max(int(seconds // ROUND_S), 1)
    events = [event for number in range(rounds) for event in _round(random, number * ROUND_S, products)]
    return tuple(sorted(events, key=lambda event: event.at_s))


_LOSING: tuple[Kind, ...] = ("delay", "drop", "error", "reset", "truncate")
"""After these nobody knows what became of a request."""


def _round(random: Random, begin_s: int, products: tuple[str, ...]) -> list[Event]:
    """Trouble wherever it falls, or trouble aimed at single orders; deaths in both."""
    fell = (
        *(_fault(random, begin_s, products) for _ in range(random.randint(6, 16))),
        *(_ask(random, begin_s + second, products) for second in range(STORM_S) if random.random() < 0.6),
    )
    aimed = (one for second in range(0, STORM_S - 10, 7) for one in _aimed(random, begin_s + second, products))
    trouble = aimed if random.random() < 0.5 else fell
    mischief = _mischief(random, begin_s) if random.random() < 0.3 else ()
    return [Event(at_s=begin_s + STORM_S, kind="calm"), *trouble, *_deaths(random, begin_s), *mischief]


def _aimed(random: Random, at_s: float, products: tuple[str, ...]) -> list[Event]:
    """One order whose answer or news is lost, and what may happen to it until somebody asks."""
    product, kind = random.choice(products), random.choice(("ioc", "limit", "limit"))
    wanted = {"side": random.choice(("BUY", "SELL")), "usd": 200, "kind": kind}
    found = [Event(at_s=at_s + 0.2, kind="order", target=product, parameters=wanted)]
    if random.random() < 0.6:
        found.append(Event(at_s=at_s, kind="ws_mute", target="user", for_s=random.choice((1.0, 3.0, 6.0))))
    if random.random() < 0.7:
        broken = random.choice(_LOSING)
        more = _KINDS[broken][1](random)
        found.append(Event(at_s=at_s, kind=broken, target="create_order", for_s=3.0, count=1, parameters=more))
    ends = {"status": random.choice(("EXPIRED", "FAILED", "CANCELLED"))}
    later: tuple[Event, ...] = (
        Event(at_s=0.0, kind="hit", target=product, parameters={"share": 0.3}),
        Event(at_s=0.0, kind="hit", target=product, parameters={"share": 1.0}),
        Event(at_s=0.0, kind="cancel_all"),
        Event(at_s=0.0, kind="end_orders", target=product, for_s=0.1, parameters=ends),
        Event(at_s=0.0, kind="desk_dies", for_s=random.choice((0.0, 130.0)), parameters={"at": "now"}),
    )
    chances = (0.6, 0.3, 0.4, 0.3, 0.03)
    chosen = [event for event, chance in zip(later, chances, strict=True) if random.random() < chance]
    return [*found, *(replace(event, at_s=at_s + random.choice((0.25, 0.35, 0.6, 1.5, 4.0, 6.0))) for event in chosen)]


def _fault(random: Random, begin_s: int, products: tuple[str, ...]) -> Event:
    kind = random.choice(tuple(_KINDS))
    targets, parameters = _KINDS[kind]
    return Event(
        at_s=begin_s + random.uniform(0.0, STORM_S - 10.0),
        kind=kind,
        target=random.choice(targets or products),
        for_s=random.uniform(1.0, 8.0),
        probability=random.choice((0.3, 1.0)),
        count=random.choice((1, 2, 5)),
        parameters=parameters(random),
    )


def _ask(random: Random, at_s: float, products: tuple[str, ...]) -> Event:
    if random.random() < 0.1:
        return Event(at_s=at_s, kind="cancel_all")
    wanted = {
        "side": random.choice(("BUY", "BUY", "SELL")),
        "usd": random.choice((30, 60, 200, 1500)),
        "kind": random.choice(("ioc", "limit", "limit")),
    }
    return Event(at_s=at_s, kind="order", target=random.choice(products), parameters=wanted)


def _deaths(random: Random, begin_s: int) -> list[Event]:
    """Below what supervisors stand: none of it may end the desk for good."""
    room = random.choice(ROOMS)
    found = [_death(random, begin_s + random.uniform(0, STORM_S)) for _ in range(random.choice((0, 0, 1, 2)))]
    if random.random() < 0.3:
        found.append(Event(at_s=begin_s + random.uniform(0, 40.0), kind="disk_fails", for_s=random.uniform(0.2, 3.0)))
    if random.random() < 0.4:
        first_s = begin_s + random.uniform(0, 28.0)
        found += [Event(at_s=first_s + later, kind="actor_dies", target=room) for later in (0.0, 30.0)]
    return found


def _mischief(random: Random, begin_s: int) -> list[Event]:
    """Desk and watchdog freeze, die and come back, in any order; now and then a person kills."""
    kinds: tuple[Kind, ...] = (
        *("desk_freezes", "desk_freezes", "desk_wakes", "desk_dies"),
        *("watchdog_dies", "watchdog_begins", "watchdog_begins", "watchdog_freezes", "watchdog_wakes"),
    )
    found = [
        Event(at_s=begin_s + random.uniform(0, STORM_S), kind=random.choice(kinds), parameters={"steps": steps})
        for steps in (random.choice((0, 1, 5, 40, 200)) for _ in range(random.randint(4, 16)))
    ]
    if random.random() < 0.3:
        found.append(Event(at_s=begin_s + random.uniform(0, STORM_S), kind="kill"))
    return found


def _death(random: Random, at_s: float) -> Event:
    down_s = random.choice((0.0, 0.0, 3.0, 20.0, 130.0))
    if random.random() < 0.3:
        return Event(at_s=at_s, kind="machine_dies", for_s=down_s)
    return Event(at_s=at_s, kind="desk_dies", for_s=down_s, parameters={"at": random.choice(("now", *POINTS))})


def _maybe(random: Random) -> dict[str, object]:
    return {"accepted": random.random() < 0.6}


def _nothing(_: Random) -> dict[str, object]:
    return {}


# Kind: what it may aim at (nothing: a product of the seed), and what else it says.
_KINDS: dict[Kind, tuple[tuple[str, ...], Callable[[Random], dict[str, object]]]] = {
    "delay": (REST, lambda random: {"ms": random.choice((50, 400, 2500, 6000)), "after": random.random() < 0.5}),
    "drop": (REST, _maybe),
    "reset": (REST, _maybe),
    "error": (REST, lambda random: {**_maybe(random), "status": random.choice((500, 502, 503, 504))}),
    "rate_limit": (REST, lambda random: {"retry_after_s": 1, "html": random.random() < 0.3}),
    "truncate": (REST, _nothing),
    "unauthorized": (("list_orders", "list_fills", "create_order"), _nothing),
    "maintenance": (REST, _nothing),
    "refuse_cancel": (("cancel_orders",), _nothing),
    "late_listing": (("*",), lambda _: {"ms": [500, 3000]}),
    "late_fills": (("*",), lambda _: {"ms": [500, 4000]}),
    "cancel_delay": (("*",), lambda _: {"ms": [200, 2000]}),
    "pending_delay": (("*",), lambda _: {"ms": [100, 3000]}),
    "end_orders": ((), lambda random: {"status": random.choice(("EXPIRED", "FAILED", "CANCELLED"))}),
    "ws_close": (("user", "market", "*"), lambda random: {"code": random.choice((1001, 1006, 1011))}),
    "ws_refuse": (("*",), _nothing),
    "ws_gap": (CHANNELS, _nothing),
    "ws_duplicate": (CHANNELS, _nothing),
    "ws_reorder": (CHANNELS, _nothing),
    "ws_malformed": (CHANNELS, _nothing),
    "ws_mute": (("user", "level2", "heartbeats"), _nothing),
    "ws_silence": (CHANNELS, _nothing),
    "ws_delay": (("*",), lambda random: {"ms": random.choice((300, 2500))}),
}

DRAWN: frozenset[Kind] = frozenset({*_KINDS, *OWN})
"""Every kind that storms are made of."""
