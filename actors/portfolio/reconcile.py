"""Ledger against venue, as a pure diff with named differences (execution.md §7, risk.md §1 transfers)."""

from decimal import Decimal

from protocol.base import Value
from protocol.instants import SECOND_NS
from protocol.money import ZERO
from protocol.portfolio import Correction, LedgerTotal
from protocol.venue import Balance

CONFIRM_NS = 5 * SECOND_NS


class Suspect(Value, frozen=True, kw_only=True):
    """A difference seen once; a second look at the same amount at least 5 s later makes it a transfer."""

    currency: str
    difference: Decimal
    seen_ns: int


class Diff(Value, frozen=True, kw_only=True):
    """`transfers` are confirmed differences (venue minus ledger), `suspects` those to be looked at again."""

    transfers: tuple[LedgerTotal, ...]
    suspects: tuple[Suspect, ...]
    corrections: tuple[Correction, ...]


def compare(
    totals: tuple[LedgerTotal, ...], balances: tuple[Balance, ...], suspects: tuple[Suspect, ...], now_ns: int
) -> Diff:
    """Hold every currency of the ledger against the venue's complete list; a currency that is missing is zero."""
    ledger = {t.currency: t.total for t in totals}
    venue = {b.currency: b.total for b in balances}
    known = {s.currency: s for s in suspects}
    transfers: list[LedgerTotal] = []
    open_: list[Suspect] = []
    corrections: list[Correction] = []
    for currency in sorted(ledger.keys() | venue.keys()):
        difference = venue.get(currency, ZERO) - ledger.get(currency, ZERO)
        if difference == ZERO:
            continue
        before = known.get(currency)
        if before is None or before.difference != difference:
            open_.append(Suspect(currency=currency, difference=difference, seen_ns=now_ns))
        elif now_ns - before.seen_ns < CONFIRM_NS:
            open_.append(before)
        else:
            transfers.append(LedgerTotal(currency=currency, total=difference))
            corrections.append(
                Correction(
                    kind="transfer",
                    subject=currency,
                    ledger=str(ledger.get(currency, ZERO)),
                    venue=str(venue.get(currency, ZERO)),
                )
            )
    return Diff(transfers=tuple(transfers), suspects=tuple(open_), corrections=tuple(corrections))
