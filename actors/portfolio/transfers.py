"""Balance changes that nothing of ours explains: named, priced, and taken out of every baseline (risk.md §1)."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio import valuation
from actors.portfolio.ledger import as_totals
from actors.portfolio.reconcile import Diff
from actors.portfolio.state import Portfolio
from protocol.money import ONE, ZERO
from protocol.portfolio import LedgerTotal, Transferred


def priced(state: Portfolio, diff: Diff) -> Diff:
    """A transfer is named once it has a price: before that nobody could take it out of peak and periods."""
    ready = tuple(t for t in diff.transfers if _price(state, t.currency) is not None)
    if len(ready) == len(diff.transfers):
        return diff
    names = {t.currency for t in ready}
    waiting = tuple(s for s in state.suspects if s.currency in {t.currency for t in diff.transfers} - names)
    corrections = tuple(c for c in diff.corrections if c.subject in names)
    return replace(diff, transfers=ready, suspects=(*diff.suspects, *waiting), corrections=corrections)


def _price(state: Portfolio, currency: str) -> Decimal | None:
    """USD per unit of a transfer; what counts for nothing moves nothing."""
    if currency in state.settings.ignored:
        return ZERO
    return ONE if currency in valuation.CASH else valuation.price(currency, state.prices())


def transferred(
    state: Portfolio, transfers: tuple[LedgerTotal, ...], now_ns: int
) -> tuple[Portfolio, tuple[Transferred, ...]]:
    """Book what was moved, and take it out of peak and periods."""
    totals = {t.currency: t.total for t in state.ledger.totals}
    named = []
    for moved in transfers:
        totals[moved.currency] = totals.get(moved.currency, ZERO) + moved.total
        worth = moved.total * (_price(state, moved.currency) or ZERO)
        named.append(Transferred(currency=moved.currency, amount=moved.total, value_usd=worth, at_ns=now_ns))
    periods = valuation.transferred(state.ledger.periods, sum((t.value_usd for t in named), ZERO))
    state = replace(state, ledger=replace(state.ledger, totals=as_totals(totals), periods=periods))
    return state, tuple(named)
