"""What desk and venue say at a quiet point, in the same words."""

from decimal import Decimal

from actors.portfolio.ledger import Ledger
from actors.venue.in_kernel import USER
from protocol import codec
from tests.support.kernel_desk import Simulation


def ledger_of(simulation: Simulation) -> Ledger | None:
    """The ledger as the store has it."""
    value = simulation.store.value("portfolio/ledger")
    return None if value is None else codec.decode_value(value, Ledger)


def ledger_totals(simulation: Simulation) -> dict[str, Decimal]:
    """What the durable ledger says the account holds, by currency; zeros left out."""
    ledger = ledger_of(simulation)
    return {} if ledger is None else {row.currency: row.total for row in ledger.totals if row.total}


def venue_totals(simulation: Simulation) -> dict[str, Decimal]:
    """What the account holds at the venue, by currency; zeros left out."""
    accounts = simulation.venue.exchange.accounts(USER, limit=250).accounts
    totals = {a.currency: Decimal(a.available_balance.value) + Decimal(a.hold.value) for a in accounts}
    return {currency: total for currency, total in totals.items() if total}
