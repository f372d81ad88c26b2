"""What the account is worth (risk.md §1). A holding that cannot be priced makes the whole unknown, never zero."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import day_key, week_key
from protocol.market import Quote
from protocol.money import ZERO
from protocol.portfolio import Holding, LedgerTotal, PnlPeriods, Position

CASH = frozenset({"USD", "USDC", "USDT"})
QUOTES = ("USD", "USDC", "USDT")
DRY_RUN_USD = Decimal(10_000)
"""What the account counts for in DRY_RUN, whatever is in it (requirements §3)."""


class Worth(Value, frozen=True, kw_only=True):
    """`nav_usd` None: unknown; `unpriced` names what cannot be priced, `written_off` what counts as nothing instead."""

    nav_usd: Decimal | None
    cash_usd: Decimal
    external: tuple[Holding, ...]
    unpriced: tuple[str, ...]
    written_off: tuple[str, ...] = ()


def notional(usd: Decimal) -> Worth:
    """An account that is worth a fixed sum in cash, and holds nothing."""
    return Worth(nav_usd=usd, cash_usd=usd, external=(), unpriced=())


class Seen(Value, frozen=True, kw_only=True):
    """A price of which nothing else is known than when it held."""

    mid: Decimal
    fresh_ns: int


class Prices(Value, frozen=True, kw_only=True):
    """What is known of prices: the last quotes, and which of them are too old to price anything with.

    `fresh_after_ns`: a quote that was vouched for last before it is only a last known price. `ignored` assets are left
    out of everything, by name (risk.md §10).
    """

    quotes: Mapping[ProductId, Quote | Seen]
    fresh_after_ns: int = 0
    ignored: tuple[str, ...] = ()

    def fresh(self, currency: str) -> bool:
        """Whether the currency's price is young enough."""
        quote = quoted(currency, self.quotes)
        return quote is not None and quote.fresh_ns >= self.fresh_after_ns


def value(totals: tuple[LedgerTotal, ...], positions: tuple[Position, ...], prices: Prices) -> Worth:
    """NAV = cash-like currencies at 1.0 plus every other unit at its mid (-USD, -USDC, -USDT).

    What has no fresh price makes it unknown, unless it is nobody's but the account's, and under 1 % of the rest by its
    last known price: then it counts as nothing, and is named.
    """
    counted = tuple(b for b in totals if b.currency not in prices.ignored)
    cash = sum((b.total for b in counted if b.currency in CASH), ZERO)
    worth = _valued(counted, positions, prices, cash)
    if worth.nav_usd is not None or not worth.unpriced:
        return worth
    ours = {p.product_id.partition("-")[0] for p in positions}
    dust = tuple(c for c in worth.unpriced if c not in ours and _is_dust(c, counted, worth.unpriced, prices, cash))
    rest = _valued(tuple(b for b in counted if b.currency not in dust), positions, prices, cash)
    lost = tuple(h for h in worth.external if h.currency in dust)
    return replace(rest, external=(*rest.external, *(replace(h, value_usd=ZERO) for h in lost)), written_off=dust)


def _is_dust(
    currency: str, totals: tuple[LedgerTotal, ...], unpriced: tuple[str, ...], prices: Prices, cash: Decimal
) -> bool:
    """Under 1 % of all that is known, by the last price there was; without any, nobody can say."""
    last = price(currency, prices.quotes)
    known = cash
    for row in totals:
        if row.currency not in CASH and row.currency not in unpriced:
            known += row.total * (price(row.currency, prices.quotes) or ZERO)
    amount = sum((row.total for row in totals if row.currency == currency), ZERO)
    return last is not None and amount * last * 100 < known


def _valued(totals: tuple[LedgerTotal, ...], positions: tuple[Position, ...], prices: Prices, cash: Decimal) -> Worth:
    nav, unpriced, external = cash, [], []
    managed: dict[str, Decimal] = {}
    for position in positions:
        base = position.product_id.partition("-")[0]
        managed[base] = managed.get(base, ZERO) + position.quantity
    for balance in totals:
        if balance.currency in CASH or balance.total == ZERO:
            continue
        mid = price(balance.currency, prices.quotes) if prices.fresh(balance.currency) else None
        foreign = balance.total - managed.get(balance.currency, ZERO)
        if foreign > ZERO:
            worth = None if mid is None else foreign * mid
            external.append(Holding(currency=balance.currency, quantity=foreign, value_usd=worth))
        if mid is None:
            unpriced.append(balance.currency)
        else:
            nav += balance.total * mid
    return Worth(nav_usd=None if unpriced else nav, cash_usd=cash, external=tuple(external), unpriced=tuple(unpriced))


def price(currency: str, quotes: Mapping[ProductId, Quote | Seen]) -> Decimal | None:
    """A currency's mid in USD, from the first of its stable-quoted books that is known."""
    quote = quoted(currency, quotes)
    return None if quote is None else quote.mid


def quoted(currency: str, quotes: Mapping[ProductId, Quote | Seen]) -> Quote | Seen | None:
    """The quote that prices a currency."""
    found = (quotes.get(ProductId(f"{currency}-{quote}")) for quote in QUOTES)
    return next((quote for quote in found if quote is not None), None)


def roll(periods: PnlPeriods | None, nav_usd: Decimal, now_ns: int) -> PnlPeriods:
    """Open a new day (00:00 UTC) or week (Monday) at the present equity, and raise the peak."""
    day, week = day_key(now_ns), week_key(now_ns)
    if periods is None:
        return PnlPeriods(day=day, day_open_usd=nav_usd, week=week, week_open_usd=nav_usd, peak_usd=nav_usd)
    if periods.week != week:
        periods = replace(periods, week=week, week_open_usd=nav_usd)
    if periods.day != day:
        periods = replace(periods, day=day, day_open_usd=nav_usd)
    return replace(periods, peak_usd=max(periods.peak_usd, nav_usd))


def transferred(periods: PnlPeriods | None, amount_usd: Decimal) -> PnlPeriods | None:
    """Take a deposit (or, negative, a withdrawal) out of every baseline: it is no profit."""
    if periods is None:
        return None
    return replace(
        periods,
        day_open_usd=periods.day_open_usd + amount_usd,
        week_open_usd=periods.week_open_usd + amount_usd,
        peak_usd=periods.peak_usd + amount_usd,
    )
