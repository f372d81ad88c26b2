"""The venue as its wire sees it: exchange, market, channels, keys, limits, faults and logs behind one clock."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

import msgspec

from actors.venue.core import Exchange
from actors.venue.events import VenueEvent
from actors.venue.faults import FaultPlan
from actors.venue.instants import SECOND_NS
from actors.venue.lag import Unpleasantness
from actors.venue.limits import RateLimits
from actors.venue.market import Market
from actors.venue.server_channels import Channels
from actors.venue.server_data import MarketData
from actors.venue.server_hub import Hub
from actors.venue.server_log import RequestLog
from actors.venue.server_states import FaultStates
from protocol.coinbase.keys import VerifyingKey

ALL_SCOPES = frozenset({"view", "trade", "transfer"})


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A registered key: whose it is and what it may do (of `view`, `trade`, `transfer`)."""

    key: VerifyingKey
    user: str
    scopes: frozenset[str] = ALL_SCOPES


class Conversion(msgspec.Struct, kw_only=True):
    """A quoted or committed conversion of `amount` of `source` into as much of `target`."""

    id: str
    user: str
    source: str
    target: str
    amount: Decimal
    expires_ns: int
    status: str = "TRADE_STATUS_CREATED"


class Venue:
    """Everything the server's parts share. `clock_ns` is the only source of time: UTC nanoseconds."""

    def __init__(
        self, exchange: Exchange, market: Market, clock_ns: Callable[[], int], *, seed: int, usual: Unpleasantness
    ) -> None:
        self.clock_ns = clock_ns
        self.exchange = exchange
        self.market = market
        self.started_ns = clock_ns()
        self.data = MarketData(exchange, market, self.started_ns)
        self.channels = Channels(self.data, self.started_ns)
        self.faults = FaultPlan(seed)
        self.hub = Hub(self.data, self.channels, self.faults)
        self.limits = RateLimits()
        self.states = FaultStates(exchange, market, usual)
        self.log = RequestLog()
        self.keep: Callable[[Sequence[VenueEvent]], None] = _forget
        self.credentials: dict[str, Credential] = {}
        self.hosts: set[str] = {"api.coinbase.com"}
        self.most_candles = 350
        self.conversions: dict[str, Conversion] = {}
        self.chance = Random(f"server:{seed}:{self.started_ns}")  # noqa: S311 - identities of a test venue
        self._beat_ns = self.started_ns

    def shown_ns(self) -> int:
        """The clock as the venue shows it in `/time` and holds tokens against: off while a fault says so."""
        return self.clock_ns() + self.states.clock_offset_ns

    def keys(self) -> dict[str, VerifyingKey]:
        """Registered keys by name."""
        return {name: credential.key for name, credential in self.credentials.items()}

    def tick(self) -> None:
        """Play everything up to now: market, orders, faults, channels."""
        now_ns = self.clock_ns()
        self.exchange.advance(now_ns)
        self.market.advance(now_ns)
        for product_id in self.states.follow(self.faults, now_ns):
            self.hub.product_changed(product_id, now_ns)
        self.settle()
        self.hub.cut(now_ns)
        self._each_second(now_ns)

    def settle(self) -> None:
        """Hand the exchange's events on; orders go out at once, market data when its channel is cut.

        What they changed is written first: nobody hears of an order or a fill that a kill of the venue could undo.
        """
        events = self.exchange.drain()
        self.keep(events)
        for event in events:
            self.hub.take(event, self.market)

    def _each_second(self, now_ns: int) -> None:
        if now_ns < self._beat_ns:
            return
        self._beat_ns = max(self._beat_ns + SECOND_NS, now_ns - now_ns % SECOND_NS)
        self.data.watch(self.hub.listened_books(), now_ns)
        self.hub.beat(now_ns, now_ns - self.started_ns)


def _forget(_: Sequence[VenueEvent]) -> None:
    """A venue without a state file remembers nothing beyond its run."""
