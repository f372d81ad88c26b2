"""What the portfolio remembers: the durable ledger, and the facts of the moment."""

from decimal import Decimal

from msgspec import field

from actors.portfolio.exits import Doubt, ExitRules, ExitRun
from actors.portfolio.ledger import Least, Ledger
from actors.portfolio.reconcile import Suspect
from actors.portfolio.valuation import Seen
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.market import ProductRules, Quote
from protocol.money import ZERO
from protocol.orders import IN_DOUBT, OrderState, Targets, VenueOrder
from protocol.portfolio import Correction, PnlPeriods, RebuildPositions, Reconcile
from protocol.strategy import Regime
from protocol.venue import Balance, FillRecord


class Settings(Value, frozen=True, kw_only=True):
    """What the portfolio is told at its start. Times in nanoseconds.

    `reconcile_ns`: how long a picture of the venue may take; `exit_lost_ns`: after that a try of an exit of which
    nothing was heard is given up, for no request of it can leave any more. `price_age_ns`: a holding whose price is
    older cannot be valued; `peak_every_ns`: a rising peak is made durable no more often; `ignored` assets count for
    nothing; equity is held against that of the same `mode`. `notional_usd`: what the account counts for instead of
    what is in it, without peak and periods (DRY_RUN); None: what is in it. What is worth less than `dust_usd` is no
    position. Orders whose ids do not begin with `bot` are other people's.
    """

    rules: ExitRules
    fallback: Targets
    bot: str
    mode: str = ""
    notional_usd: Decimal | None = None
    dust_usd: Decimal = ZERO
    overlap_ns: int = 60 * SECOND_NS
    fill_retry_ns: int = SECOND_NS // 4
    view_ns: int = SECOND_NS
    quote_age_ns: int = 5 * SECOND_NS
    reconcile_ns: int = 30 * SECOND_NS
    exit_lost_ns: int = 5 * SECOND_NS
    price_age_ns: int = 90 * SECOND_NS
    peak_every_ns: int = 10 * SECOND_NS
    ignored: tuple[str, ...] = ()
    remember: int = 10_000
    remember_orders: int = 1000


class Asked(Value, frozen=True, kw_only=True):
    """A reconciliation under way: who waits for it, and which of its parts are missing."""

    request: Reconcile
    missing: tuple[str, ...]
    corrections: tuple[Correction, ...] = ()


class Rebuilding(Value, frozen=True, kw_only=True):
    """A rebuild under way: who asked for it, and the fills told so far."""

    asked: RebuildPositions
    fills: tuple[FillRecord, ...] = ()


class Outside(Value, frozen=True, kw_only=True):
    """A coin that no feed follows: which of its pairs is asked for next, when one was last, and what was last seen.

    `lost`: no pair of it has a book.
    """

    pair: int = 0
    asked_ns: int = 0
    product_id: ProductId = ProductId("")
    seen: Seen | None = None
    lost: bool = False


class Portfolio(Value, frozen=True, kw_only=True):
    """The portfolio's state. Only `ledger` is durable; the rest is seen again after a restart.

    `past` are the last settled orders by venue id: a fill that comes late is still theirs. `clock_offset_ns`: the
    venue's clock minus ours. `foreign` are others' purchases that rested when the orders were last
    listed. `kept` are the periods that are durable since `kept_ns`; `written_off` the assets that
    people have been told are valued at nothing; `outside` the coins in the account that no feed of ours follows.
    """

    settings: Settings
    ledger: Ledger = Ledger()
    balances: tuple[Balance, ...] | None = None
    suspects: tuple[Suspect, ...] = ()
    orders: dict[str, OrderState] = field(default_factory=dict)
    past: dict[str, OrderState] = field(default_factory=dict)
    foreign: tuple[VenueOrder, ...] = ()
    queue: tuple[FillRecord, ...] = ()
    seen: dict[str, None] = field(default_factory=dict)
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    exits: dict[ProductId, ExitRun] = field(default_factory=dict)
    doubts: dict[ProductId, Doubt] = field(default_factory=dict)
    regime: Regime = Regime.CHOP
    asked: Asked | None = None
    queued: tuple[Reconcile, ...] = ()
    reconciled: bool = False
    unavailable: str = "accounts"
    clock_offset_ns: int = 0
    kept: PnlPeriods | None = None
    kept_ns: int = 0
    rebuilding: Rebuilding | None = None
    written_off: frozenset[str] = frozenset()
    outside: dict[str, Outside] = field(default_factory=dict)

    def prices(self) -> dict[ProductId, Quote | Seen]:
        """What is known of prices: of our feeds, and of the venue's books where there is no feed."""
        return {one.product_id: one.seen for one in self.outside.values() if one.seen is not None} | self.quotes

    def least(self, product_id: ProductId) -> Least:
        """What is too little of a product to be a position."""
        rules = self.rules.get(product_id)
        increment = rules.base_increment if rules is not None else ZERO
        return Least(increment=increment, dust_usd=self.settings.dust_usd)

    def moving(self, order: OrderState) -> bool:
        """Whether an order may move balances that the ledger does not have yet."""
        booked = self.ledger.booked_of(order.venue_order_id or "")
        return order.status in IN_DOUBT or order.filled_size > booked
