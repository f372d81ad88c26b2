"""A universe room with a clock: rules and quotes of this moment for every configured product, and what it tells."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from actors.universe.actor import settings
from actors.universe.core import VIEWERS, step
from actors.universe.state import Settings, Universe
from protocol.base import Effects, Message
from protocol.effects import Commit, Tell
from protocol.ids import ProductId
from protocol.instants import HOUR_NS
from protocol.lifecycle import Recover, StoreRecord
from protocol.market import Bar, CandleHistory
from protocol.strategy import Asset, Exclusion, UniverseView, UniverseWanted
from protocol.venue import ProductsListed
from tests.support.desk_scenes import BTC, NOON_NS, policy, product_rules, quote

HOUR_S = 3600


def shipped(**bounds: Any) -> Settings:
    """The shipped settings, with other bounds where given."""
    base = settings(policy())
    return replace(base, bounds=replace(base.bounds, **bounds))


def week(change_pct: float) -> CandleHistory:
    """A calm week of BTC's hours that ends `change_pct` away from where it began."""
    slope = change_pct / 167
    bars = tuple(
        Bar(start_s=i * HOUR_S, open=100, high=200, low=50, close=100 + i * slope, volume=1) for i in range(168)
    )
    return CandleHistory(product_id=BTC, granularity_s=HOUR_S, bars=bars)


class Rig:
    """The room, its store, and its time."""

    def __init__(self, settings: Settings | None = None, *, ready: bool = True, **bounds: Any) -> None:
        self.settings = settings or shipped(**bounds)
        self.now_ns = NOON_NS
        self.store: dict[str, bytes] = {}
        self.writes = 0
        self.effects: Effects = ()
        self.state = Universe(settings=self.settings)
        if ready:
            self.ready()

    def ready(self) -> "Rig":
        """The venue's list and quotes of this moment."""
        products = self.settings.products()
        rules = tuple(self.state.rules.get(p, product_rules(p)) for p in products)
        return self.tell(ProductsListed(request_id="products", products=rules), *self._quotes())

    def tell(self, *messages: Message) -> "Rig":
        """Let it handle messages; what it commits is durable at once."""
        for message in messages:
            self.state, self.effects = step(self.state, message, self.now_ns)
            for effect in self.effects:
                if isinstance(effect, Commit):
                    self.writes += 1
                    self._write(effect.records)
        return self

    def _write(self, records: tuple[StoreRecord, ...]) -> None:
        for record in records:
            if record.value is None:
                self.store.pop(record.key, None)
            else:
                self.store[record.key] = record.value

    def restart(self) -> "Rig":
        """A new incarnation with what the store has, and a market again."""
        rules = self.state.rules
        self.state = Universe(settings=self.settings)
        records = tuple(StoreRecord(key=key, value=value) for key, value in sorted(self.store.items()))
        self.tell(Recover(records=records))
        self.state = replace(self.state, rules=rules)
        return self.ready()

    def rules(self, product: str, **changes: Any) -> "Rig":
        """The venue lists other rules for one product."""
        rows = {**self.state.rules, product: product_rules(product, **changes)}
        return self.tell(ProductsListed(request_id="products", products=tuple(rows.values())))

    def volume(self, product: str, usd: Any) -> "Rig":
        """The venue tells another 24 h volume of one product."""
        return self.rules(product, volume_24h_usd=Decimal(usd))

    def later(self, hours: float) -> "Rig":
        """Time passes; quotes stay fresh."""
        self.now_ns += int(hours * HOUR_NS)
        return self.tell(*self._quotes())

    def _quotes(self) -> tuple[Message, ...]:
        held = self.state.quotes
        return tuple(
            replace(held.get(p, quote(p)), venue_ns=self.now_ns, fresh_ns=self.now_ns, received_ns=self.now_ns)
            for p in self.settings.products()
        )

    def view(self, nav: Any = None) -> UniverseView:
        """What it tells when a cycle asks, to everybody the same."""
        self.tell(UniverseWanted(cycle=1, nav_usd=None if nav is None else Decimal(nav)))
        views = {e.to: e.message for e in self.effects if isinstance(e, Tell)}
        assert set(views) == set(VIEWERS)
        assert len({repr(v) for v in views.values()}) == 1
        found = views["cycle"]
        assert isinstance(found, UniverseView)
        return found

    def found(self, product: str = BTC, nav: Any = None) -> Asset | Exclusion:
        """One product's outcome in a cycle."""
        view = self.view(nav)
        (found,) = [x for x in (*view.eligible, *view.excluded) if x.product_id == product]
        return found

    def why(self, product: str = BTC, nav: Any = None) -> str:
        """`eligible`, or the reason why not."""
        found = self.found(product, nav)
        return "eligible" if isinstance(found, Asset) else found.reason


def tier_products(number: int) -> tuple[ProductId, ...]:
    """The shipped tier's products."""
    return policy().universe.tiers[number - 1].products
