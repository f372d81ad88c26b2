"""Balances, positions and PnL; what is marked, what is still unbooked, and what has to be sold."""

from decimal import Decimal
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ClientOrderId, ProductId
from protocol.orders import Targets
from protocol.venue import Balance


class Position(Value, frozen=True, kw_only=True):
    """One managed position.

    `quantity` base units from booked fills; `unbooked` base units that the stream reported and the venue's fills
    do not confirm yet (negative for sells). `average_price` and fees in quote currency, fees of the part still held.
    `mark` is the last bid, None without a fresh quote. `peak` is the highest bid since entry.
    """

    product_id: ProductId
    strategy: str
    quantity: Decimal
    unbooked: Decimal
    average_price: Decimal
    entry_fees: Decimal
    opened_ns: int
    targets: Targets
    peak: Decimal
    mark: Decimal | None
    realised_usd: Decimal
    correlation: str

    @property
    def held(self) -> Decimal:
        """Base units held, unbooked ones included."""
        return self.quantity + self.unbooked

    @property
    def value_usd(self) -> Decimal | None:
        """Held quantity at the mark; None while it cannot be priced."""
        return None if self.mark is None else self.held * self.mark

    @property
    def unrealised_usd(self) -> Decimal | None:
        """Mark against average entry, entry fees included; None while it cannot be priced."""
        if self.mark is None:
            return None
        return (self.mark - self.average_price) * self.held - self.entry_fees


class Holding(Value, frozen=True, kw_only=True):
    """Something in the account that we did not buy: counted, never sold. `value_usd` None: cannot be priced."""

    currency: str
    quantity: Decimal
    value_usd: Decimal | None


class ForeignOrder(Value, frozen=True, kw_only=True):
    """Somebody else's working purchase in our account: counted, never touched (execution.md §7).

    `usd`: the most that it may still spend; None: nobody can say.
    """

    product_id: ProductId
    usd: Decimal | None


class PnlPeriods(Value, frozen=True, kw_only=True):
    """Equity at the openings of day and week, and the peak, adjusted for transfers (USD)."""

    day: str
    day_open_usd: Decimal
    week: str
    week_open_usd: Decimal
    peak_usd: Decimal


class LedgerTotal(Value, frozen=True, kw_only=True):
    """What the ledger says the account holds of a currency: to be equal to the venue's total at a quiet point."""

    currency: str
    total: Decimal


class PortfolioView(Message, frozen=True, kw_only=True, tag="portfolio.view"):
    """The portfolio as of `at_ns`.

    `nav_usd` None: unknown (an account list is missing or a holding cannot be priced): no entries then, never a
    made-up number. `reconciled`: complete and in agreement with the venue since this start.
    """

    lane: ClassVar[Lane] = Lane.STATE
    at_ns: int
    nav_usd: Decimal | None
    cash_usd: Decimal
    balances: tuple[Balance, ...]
    positions: tuple[Position, ...]
    external: tuple[Holding, ...]
    periods: PnlPeriods | None
    realised_today_usd: Decimal
    fees_today_usd: Decimal
    ledger: tuple[LedgerTotal, ...]
    reconciled: bool
    unavailable: str = ""
    foreign_orders: tuple[ForeignOrder, ...] = ()

    @property
    def daily_pnl_usd(self) -> Decimal | None:
        """Equity change since the day's opening, transfers taken out."""
        if self.nav_usd is None or self.periods is None:
            return None
        return self.nav_usd - self.periods.day_open_usd

    @property
    def drawdown_pct(self) -> Decimal | None:
        """Per cent below the peak; None while NAV or peak is unknown."""
        if self.nav_usd is None or self.periods is None or self.periods.peak_usd <= 0:
            return None
        return (self.periods.peak_usd - self.nav_usd) / self.periods.peak_usd * 100


class FillApplied(Message, frozen=True, kw_only=True, tag="portfolio.fill_applied"):
    """A fill was booked, for life (told after its commit). `net_usd` is realised PnL of a sell, fees taken off."""

    entry_id: str
    client_order_id: ClientOrderId | None
    product_id: ProductId
    buy: bool
    size: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    maker: bool
    trade_ns: int
    strategy: str
    correlation: str
    exit_code: str
    net_usd: Decimal | None
    closed_position: bool


class ExitWanted(Message, frozen=True, kw_only=True, tag="portfolio.exit_wanted"):
    """A position must be left: portfolio to risk. `step` counts the tries (execution.md §10), from 0."""

    product_id: ProductId
    code: str
    quantity: Decimal
    bid: Decimal
    ask: Decimal
    quote_ns: int
    step: int
    strategy: str
    correlation: str


class Reconcile(Message, frozen=True, kw_only=True, tag="portfolio.reconcile"):
    """Cycle, desk or operator to portfolio: compare with the venue now. Answered by `Reconciled` to `reply_to`."""

    request_id: str
    reply_to: str


class Correction(Value, frozen=True, kw_only=True):
    """A named difference between ledger and venue, and what was done about it."""

    kind: str
    subject: str
    ledger: str
    venue: str


class Reconciled(Message, frozen=True, kw_only=True, tag="portfolio.reconciled"):
    """The outcome: `ok` means the complete picture was read and every difference has a name."""

    request_id: str
    ok: bool
    detail: str
    corrections: tuple[Correction, ...]


class ResetPeak(Message, frozen=True, kw_only=True, tag="portfolio.reset_peak"):
    """Control to portfolio: measure the drawdown from the present equity on. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    by: str


class PeakReset(Message, frozen=True, kw_only=True, tag="portfolio.peak_reset"):
    """Portfolio to risk, after its commit: the peak is the present equity; the drawdown latch has no reason left."""

    before_usd: Decimal
    peak_usd: Decimal
    by: str
    at_ns: int


class RebuildPositions(Message, frozen=True, kw_only=True, tag="portfolio.rebuild"):
    """Control to portfolio: derive the ledger anew from the venue's fills and balances. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    by: str


class PositionsRebuilt(Message, frozen=True, kw_only=True, tag="portfolio.rebuilt"):
    """Portfolio to risk, after its commit: the ledger is the venue's word again; every difference has a name here."""

    corrections: tuple[Correction, ...]
    by: str
    at_ns: int


class Transferred(Message, frozen=True, kw_only=True, tag="portfolio.transferred"):
    """A balance change that no fill, fee, hold or convert explains, seen twice (risk.md §1); kept in the journal.

    `value_usd` is taken out of the peak and of both periods' openings: a deposit is no profit.
    """

    currency: str
    amount: Decimal
    value_usd: Decimal
    at_ns: int


PortfolioMessage = (
    PortfolioView
    | FillApplied
    | ExitWanted
    | Reconcile
    | Reconciled
    | ResetPeak
    | PeakReset
    | RebuildPositions
    | PositionsRebuilt
    | Transferred
)
