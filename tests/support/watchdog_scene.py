"""A watchdog's core on a clock of its own, for tests: what it sees goes in, what it asks of its edges comes out."""

import json

import pytest
from msgspec.structs import replace

from actors.watchdog import core, facts
from actors.watchdog.core import Settings
from actors.watchdog.facts import Asked, Listed, Resting, Tick
from protocol.control import KillNow, Latch, Rearm, View

MS, S = 1_000_000, 1_000_000_000
BOT, EPOCH, DESK = "bot", 7, 100
BEAT = 100 * MS
OTHERS = Resting(client_order_id="somebody-else", venue_order_id="X")


def order(name: str, *, epoch: int = EPOCH, bot: str = BOT) -> Resting:
    """One of our orders, minted under `epoch`; `name` is its venue id."""
    counter = int.from_bytes(name.encode(), "big")
    coid = f"{bot}-btc-usd-20261122t153809123z-{epoch}_{counter}-a1"
    return Resting(client_order_id=coid, venue_order_id=name)


def resting(*names: str) -> tuple[Resting, ...]:
    return tuple(order(name) for name in names)


class Scene:
    """A core on a clock of its own. `does` keeps every action with its time; nothing is answered unless told to."""

    def __init__(self, *, latch: Latch | None = None, **settings) -> None:
        self.now = 1_000 * S
        self.does: list[tuple[int, object]] = []
        self.seen = Tick(
            pulse_age_ns=0,
            armed=True,
            desk_pid=DESK,
            desk_alive=True,
            root_alive=True,
            kill_file=False,
            file_text="",
            epoch=EPOCH,
        )
        made = Settings(bot=BOT, **settings)
        self.state, actions = core.resumed(made, latch, self.now)
        self._take(actions)

    def _take(self, actions) -> list[object]:
        """Keep the actions; a stepped epoch shows on the page, as it would."""
        steps = sum(isinstance(a, facts.StepEpoch) for a in actions)
        self.seen = replace(self.seen, epoch=self.seen.epoch + steps)
        self.does += [(self.now, action) for action in actions]
        return list(actions)

    def hear(self, event) -> list[object]:
        self.state, actions = core.step(self.state, event, self.now)
        return self._take(actions)

    def tick(self, **changed) -> list[object]:
        """Look once, 100 ms later."""
        self.seen = replace(self.seen, **changed)
        self.now += BEAT
        return self.hear(self.seen)

    def wait(self, seconds: float, **changed) -> list[object]:
        """Look ten times a second for that long."""
        did = []
        for _ in range(round(seconds * 10)):
            did += self.tick(**changed)
        return did

    def listed(self, *orders: Resting, failed: bool = False) -> list[object]:
        """Answer the list that is out."""
        return self.hear(Listed(number=self.state.listing, orders=None if failed else orders))

    def serve(self, seconds: float, *orders: Resting) -> list[object]:
        """For that long the venue answers each list with the same orders."""
        did = []
        for _ in range(round(seconds * 10)):
            did += self.tick()
            if self.state.listing:
                did += self.listed(*orders)
        return did

    def ask(self, request, connection: int = 1) -> list[object]:
        return self.hear(Asked(connection=connection, request=request))

    def kill(self, scope: str = "mine", connection: int = 1) -> list[object]:
        return self.ask(KillNow(by="op", reason="practice", scope=scope), connection)

    def rearm(self) -> int:
        """The code of the answer to a rearm."""
        return only(self.ask(Rearm(by="op", confirm="checked")), facts.Answer).reply.code

    def replaced_desk(self, pid: int) -> None:
        self.tick(desk_pid=pid, pulse_age_ns=0, armed=False)
        self.tick(armed=True)

    def told(self) -> dict:
        answer = only(self.ask(View(by="op", what="status"), 99), facts.Answer)
        return json.loads(answer.reply.data)


def of(actions, kind) -> list:
    return [action for action in actions if isinstance(action, kind)]


def only(actions, kind):
    found = of(actions, kind)
    assert len(found) == 1, actions
    return found[0]


def cancelled(actions) -> set[str]:
    return {name for cancel in of(actions, facts.Cancel) for name in cancel.venue_order_ids}


def kinds(actions) -> list[str]:
    return [type(action).__name__ for action in actions]


@pytest.fixture
def scene():
    made = Scene()
    made.tick()
    assert made.does == []
    return made
