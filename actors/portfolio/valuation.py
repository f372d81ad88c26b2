"""What the account is worth (risk.md §1). A holding that cannot be priced makes the whole unknown, never zero."""

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


class Worth(Value, frozen=True, kw_only=True):
    """`nav_usd` None: unknown; `unpriced` names what cannot be priced."""

    nav_usd: Decimal | None
    cash_usd: Decimal
    external: tuple[Holding, ...]
    unpriced: tuple[str, ...]


def value(totals: tuple[LedgerTotal, ...], positions: tuple[Position, ...], quotes: dict[ProductId, Quote]) -> Worth:
    """NAV = cash-like currencies at 1.0 plus every other unit at its mid (-USD, -USDC, -USDT)."""
    cash = sum((b.total for b in totals if b.currency in CASH), ZERO)
    nav, unpriced, external = cash, [], []
    managed: dict[str, Decimal] = {}
    for position in positions:
        base = position.product_id.partition("-")[0]
        managed[base] = managed.get(base, ZERO) + position.quantity
    for balance in totals:
        if balance.currency in CASH or balance.total == ZERO:
            continue
        mid = price(balance.currency, quotes)
        foreign = balance.total - managed.get(balance.currency, ZERO)
        if foreign > ZERO:
            worth = None if mid is None else foreign * mid
            external.append(Holding(currency=balance.currency, quantity=foreign, value_usd=worth))
        if mid is None:
            unpriced.append(balance.currency)
        else:
            nav += balance.total * mid
    return Worth(nav_usd=None if unpriced else nav, cash_usd=cash, external=tuple(external), unpriced=tuple(unpriced))


def price(currency: str, quotes: dict[ProductId, Quote]) -> Decimal | None:
    """A currency's mid in USD, from the first of its stable-quoted books that is known."""
    found = (quotes.get(ProductId(f"{currency}-{quote}")) for quote in QUOTES)
    return next((quote.mid for quote in found if quote is not None), None)


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
