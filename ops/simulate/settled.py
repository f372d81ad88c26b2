"""What desk and venue say at a quiet point."""

from decimal import Decimal

from actors.portfolio.ledger import Ledger
from actors.venue.in_kernel import USER
from ops.simulate.world import Simulation
from protocol import codec
from protocol.risk import RiskView


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


def available(simulation: Simulation, currency: str) -> Decimal:
    """What may be sold or spent of a currency at the venue."""
    accounts = simulation.venue.exchange.accounts(USER, limit=250).accounts
    return sum((Decimal(a.available_balance.value) for a in accounts if a.currency == currency), Decimal(0))


def quiet(simulation: Simulation) -> bool:
    """No order is open, on disk or at the venue; whatever filled is booked."""
    live_ones = simulation.venue.exchange.open_orders(USER)
    booked = simulation.store.records("portfolio/fill/")
    return not simulation.store.records("order/") and not live_ones and len(booked) == len(simulation.fills())


def worth_usd(simulation: Simulation, product: str) -> Decimal:
    """What may be sold of a product, at its bid."""
    bids, _ = simulation.venue.exchange.book(product, 1)
    return available(simulation, product.partition("-")[0]) * bids[0][0]


def risk_view(simulation: Simulation) -> RiskView:
    """Trading state and gates, as the control room has been told them last."""
    shell = simulation.desk.node.tree.records["control"].shell
    assert shell is not None, "the control room is gone"
    view: RiskView = shell.state.risk
    return view
