"""What the risk actor remembers: a durable record of latches and pacing, and the facts of the moment."""

from decimal import Decimal

from msgspec import field
from msgspec.structs import replace

from actors.risk.limits import Limits
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import DAY_NS, HOUR_NS, SECOND_NS
from protocol.market import FeedStatus, ProductRules, Quote
from protocol.money import ZERO
from protocol.orders import OrderState, Side
from protocol.portfolio import FillApplied, PortfolioView
from protocol.risk import Gate
from protocol.shadow import ShadowRules
from protocol.strategy import Regime
from protocol.venue import FeesKnown, VenueHealth


class Mark(Value, frozen=True, kw_only=True):
    """A latch or tripped gate on record: why, by whom, since when, and until when (0: until people clear it)."""

    reason: str
    by: str
    since_ns: int
    until_ns: int = 0


class Entry(Value, frozen=True, kw_only=True):
    """One entry for the rolling counts. `new`: it opened a position."""

    at_ns: int
    new: bool


class Bought(Value, frozen=True, kw_only=True):
    """One purchase order that was filled, however many fills it took. `add`: it added to a position."""

    product_id: ProductId
    client_order_id: str
    at_ns: int
    add: bool


class Closed(Value, frozen=True, kw_only=True):
    """The closed trades of one strategy: how many gained and lost, and how much together, USD net of fees."""

    wins: int = 0
    losses: int = 0
    won_usd: Decimal = ZERO
    lost_usd: Decimal = ZERO

    @property
    def count(self) -> int:
        """All of them."""
        return self.wins + self.losses


class Record(Value, frozen=True, kw_only=True):
    """The durable part: what a restart must not forget.

    `closed` is by strategy; `running_usd` what trades that are not closed yet have realised, by correlation, `nets`
    what sales that are not settled have, by client order id; `entry_ids` the last fills that were counted, so that none
    counts twice; `mismatched` the last orders that were found to have filled for too much, so that none trips again
    what people have cleared; `added` the products whose position has been added to.
    """

    killed: Mark | None = None
    paused: Mark | None = None
    drawdown: Mark | None = None
    accounting: Mark | None = None
    stopped_day: str = ""
    stopped_week: str = ""
    epoch: int = 0
    entries: tuple[Entry, ...] = ()
    last_trade_ns: dict[ProductId, int] = field(default_factory=dict)
    cooldown_until_ns: dict[ProductId, int] = field(default_factory=dict)
    loss_streak: int = 0
    last_loss_ns: int = 0
    rejections_ns: tuple[int, ...] = ()
    bought: tuple[Bought, ...] = ()
    closed: dict[str, Closed] = field(default_factory=dict)
    running_usd: dict[str, Decimal] = field(default_factory=dict)
    entry_ids: tuple[str, ...] = ()
    daily: Mark | None = None
    weekly: Mark | None = None
    crashes_ns: tuple[int, ...] = ()
    mismatched: tuple[str, ...] = ()
    nets: dict[str, Decimal] = field(default_factory=dict)
    added: tuple[ProductId, ...] = ()


class Listed(Value, frozen=True, kw_only=True):
    """What the universe says of one product: its tier, and why nothing may be bought of it (empty: it may)."""

    tier: int
    excluded: str = ""


class Share(Value, frozen=True, kw_only=True):
    """What one order of an intent takes of it: all it asks for while it lives, what it filled once it has ended."""

    usd: Decimal
    base: Decimal


class Reservation(Value, frozen=True, kw_only=True):
    """What an approved intent holds until the desk is done with it: room for a purchase, units for a sale.

    Its orders are counted by themselves, so only what they do not take (`shares`, by client order id) is held here:
    all of it before the first order is known and between two tries. `since_ns` is the last that was heard of it.
    """

    product_id: ProductId
    strategy: str
    side: Side
    usd: Decimal
    base: Decimal
    since_ns: int
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def left_usd(self) -> Decimal:
        """USD of a purchase that no order of it carries."""
        return max(self.usd - sum((s.usd for s in self.shares.values()), ZERO), ZERO)

    @property
    def left_base(self) -> Decimal:
        """Base units of a sale that no order of it carries."""
        return max(self.base - sum((s.base for s in self.shares.values()), ZERO), ZERO)


class Weighed(Value, frozen=True, kw_only=True):
    """An account held against the smallest order worth its fees (configuration.md §7, rule 25).

    `needed_usd`: the net value from which on a position of tier 1 fits under its caps; `starved`: in how many tiers and
    regimes entries of the least confidence are too small.
    """

    nav_usd: Decimal
    needed_usd: Decimal
    starved: int

    @property
    def too_small(self) -> bool:
        """Whether nothing can be bought at all."""
        return self.nav_usd < self.needed_usd


class Risk(Value, frozen=True, kw_only=True):
    """The risk actor's state. `unseen`: fills booked since the last view, whose positions it therefore lacks.

    `lanes`: who has more events waiting than half of the bound, and whether it was all of it. `errors_ns`: when the
    venue's present row of errors grew; `api_down` holds until one succeeds. `off_clock`: measurements in a row that
    found our clock off; `jumped_ns`: the wall clock was set then. `calm_cycles`: None, or how many cycles in a row
    volatility has been bearable again. `known` are the gates last announced, by name; `seen_fresh` the products (and
    "", the market) that have been fresh at all, `held` those that went stale since, with the fresh cycles in a row.
    `listed` is the universe as the last cycle found it, by product. `breached`: more was at risk than the cap allows
    at the last look. `shadow`: DRY_RUN, refusals are measured by it.
    """

    limits: Limits
    shadow: ShadowRules | None = None
    pace_ns: int = SECOND_NS
    record: Record = Record()
    view: PortfolioView | None = None
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    feeds: dict[ProductId, FeedStatus] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    reserved: dict[str, Reservation] = field(default_factory=dict)
    unseen: tuple[FillApplied, ...] = ()
    health: VenueHealth | None = None
    latch_heard: bool = False
    watchdog_alive: bool = True
    watchdog_age_s: float = 0.0
    store_trouble: str = ""
    lanes: dict[str, bool] = field(default_factory=dict)
    errors_ns: tuple[int, ...] = ()
    api_down: bool = False
    off_clock: int = 0
    jumped_ns: int = 0
    calm_cycles: int | None = None
    volatility_pct: float | None = None
    drift: Mark | None = None
    known: dict[str, Gate] = field(default_factory=dict)
    seen_fresh: frozenset[str] = frozenset()
    held: dict[str, int] = field(default_factory=dict)
    regime: Regime = Regime.CHOP
    eligible: int | None = None
    listed: dict[ProductId, Listed] = field(default_factory=dict)
    fees: FeesKnown | None = None
    breached: bool = False
    weighed: Weighed | None = None

    def tier(self, product: ProductId) -> int:
        """The tier of a product: the universe's own word, else what is configured; never a strategy's."""
        known = self.listed.get(product)
        return self.limits.tier(product) if known is None else known.tier


def pruned(record: Record, now_ns: int) -> Record:
    """Drop what no rule looks at any more: entries of more than a day ago, cooldowns and rejections that are over."""
    return replace(
        record,
        entries=tuple(e for e in record.entries if now_ns - e.at_ns < DAY_NS),
        cooldown_until_ns={p: t for p, t in record.cooldown_until_ns.items() if t > now_ns},
        rejections_ns=tuple(t for t in record.rejections_ns if now_ns - t < HOUR_NS),
        crashes_ns=tuple(t for t in record.crashes_ns if now_ns - t < HOUR_NS),
        bought=tuple(b for b in record.bought if now_ns - b.at_ns < DAY_NS),
    )
