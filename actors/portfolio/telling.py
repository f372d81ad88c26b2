"""What the portfolio says of itself: its worth, its view, and what people must hear."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio import foreign, valuation
from actors.portfolio.state import Portfolio
from protocol.base import NO_EFFECTS, Effects
from protocol.effects import Note, Tell
from protocol.money import ZERO
from protocol.orders import Side
from protocol.portfolio import PortfolioView, Position
from protocol.risk import Alert
from protocol.venue import Balance

VIEWERS = ("risk", "cycle", "control", "metrics")


def written_off(state: Portfolio, now_ns: int) -> tuple[Portfolio, Effects]:
    """People hear once of an asset that counts as nothing, as long as it does."""
    now = frozenset(worth(state, now_ns).written_off)
    new = sorted(now - state.written_off)
    told = tuple(
        alert("asset_unpriced", name, "no price: under 1 % of the net value, counted as nothing", now_ns)
        for name in new
    )
    return (replace(state, written_off=now), told) if now != state.written_off else (state, NO_EFFECTS)


def worth(state: Portfolio, now_ns: int) -> valuation.Worth:
    """The account as the ledger has it: a difference to the venue has no value until it has a name (risk.md §1)."""
    if state.settings.notional_usd is not None:
        return valuation.notional(state.settings.notional_usd)
    fresh_after_ns = now_ns + state.clock_offset_ns - state.settings.price_age_ns
    prices = valuation.Prices(quotes=state.prices(), fresh_after_ns=fresh_after_ns, ignored=state.settings.ignored)
    return valuation.value(state.ledger.totals, state.ledger.positions, prices)


def nav_usd(state: Portfolio, now_ns: int) -> Decimal | None:
    """The net value; None while the account was not read, or something in it has no price."""
    read = state.balances is not None or state.settings.notional_usd is not None
    return worth(state, now_ns).nav_usd if read else None


def view(state: Portfolio, now_ns: int) -> Effects:
    """The portfolio as it is, to all who look at it."""
    positions = tuple(_with_unbooked(state, p) for p in state.ledger.positions)
    found = worth(state, now_ns)
    told = PortfolioView(
        at_ns=now_ns,
        nav_usd=nav_usd(state, now_ns),
        cash_usd=found.cash_usd,
        balances=_balances(state),
        positions=positions,
        external=found.external,
        periods=state.ledger.periods,
        realised_today_usd=state.ledger.realised_today_usd,
        fees_today_usd=state.ledger.fees_today_usd,
        ledger=state.ledger.totals,
        reconciled=state.reconciled,
        foreign_orders=foreign.told(state.foreign, state.prices()),
        unavailable=state.unavailable or (f"price:{','.join(found.unpriced)}" if found.unpriced else ""),
    )
    return tuple(Tell(to=name, message=told) for name in VIEWERS)


def _balances(state: Portfolio) -> tuple[Balance, ...]:
    """What may be spent: what the account has, or the fixed sum that stands for it."""
    usd = state.settings.notional_usd
    return (state.balances or ()) if usd is None else (Balance(currency="USD", available=usd, hold=ZERO),)


def _with_unbooked(state: Portfolio, position: Position) -> Position:
    unbooked = ZERO
    for order in state.orders.values():
        if order.spec.product_id == position.product_id:
            missing = order.filled_size - state.ledger.booked_of(order.venue_order_id or "")
            unbooked += missing if order.spec.side is Side.BUY else -missing
    return replace(position, unbooked=unbooked)


def alert(kind: str, subject: str, message: str, now_ns: int) -> Note:
    """Something for people to hear."""
    return Note(
        message=Alert(kind=kind, severity="WARNING", subject=subject, message=message, context=(), at_ns=now_ns)
    )
