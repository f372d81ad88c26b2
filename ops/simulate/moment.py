"""The invariants of the architecture (§7) that venue, store and running tree can be asked about, at this very moment.

As in `journal`: each function returns what it found wrong, as text; none: it holds. The number is the invariant's.
What may be true for a while, but not for long, is remembered in the simulation's `since`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from actors.risk.exposure import measure
from actors.venue.in_kernel import USER
from actors.venue.wire import ChannelOrder
from ops.simulate.settled import ledger_of
from ops.simulate.world import BOT, SECOND_NS, Simulation
from protocol import codec
from protocol.money import PCT
from protocol.orders import OrderState, Side
from protocol.risk import TradingState

if TYPE_CHECKING:
    from protocol.ids import ProductId

OPEN = "order/"
OWNED_NS = 5 * SECOND_NS
DRIFT = Decimal("1.05")
"""A position may grow past its cap by its price alone: so much is the market's."""
QUOTED = ("risk", "portfolio", "orders", "universe")


def room(simulation: Simulation, name: str) -> Any:
    """The state of an actor that is there; None while it is not."""
    record = simulation.desk.node.tree.records.get(name)
    return None if record is None or record.shell is None else record.shell.state


def ours(simulation: Simulation) -> list[ChannelOrder]:
    """What rests of ours at the venue."""
    return [o for o in simulation.venue.exchange.open_orders(USER) if o.client_order_id.startswith(f"{BOT}-")]


def lasting(simulation: Simulation, number: int, found: Iterable[str], limit_ns: int) -> list[str]:
    """Those of `found` that have been found for longer than `limit_ns`."""
    now_ns, since, present = simulation.clock.now_ns(), simulation.since, {(number, name) for name in found}
    for gone in [key for key in since if key[0] == number and key not in present]:
        del since[gone]
    for key in present:
        since.setdefault(key, now_ns)
    return sorted(name for _, name in present if now_ns - since[number, name] > limit_ns)


def purchases(simulation: Simulation) -> list[OrderState]:
    """Purchases that may still add something, as they are on disk."""
    states = (codec.decode_value(r.value or b"", OrderState) for r in simulation.store.records(OPEN))
    return [state for state in states if state.spec.side is Side.BUY and not state.terminal]


def remaining_usd(state: OrderState) -> Decimal:
    """The most a purchase may still cost."""
    if state.spec.base_size is None:
        return max((state.spec.quote_size or Decimal(0)) - state.filled_value, Decimal(0))
    price = state.spec.limit_price or state.intent.ask
    return max(state.spec.base_size - max(state.filled_size, state.booked_size), Decimal(0)) * price


def exposure_is_whole(simulation: Simulation) -> list[str]:
    """(7) While anything may be approved, each purchase that rests, or might, counts in full.

    Between two steps of one moment what is on disk is told only next.
    """
    risk, control = room(simulation, "risk"), room(simulation, "control")
    if simulation.desk.kernel.ready:
        return []
    if risk is None or control is None or control.risk is None or risk.view is None:
        return []
    if control.risk.state in {TradingState.HALTED, TradingState.KILLED}:
        return []
    counted: dict[str, Decimal] = defaultdict(Decimal)
    for stake in measure(risk.view, tuple(risk.orders.values()), risk.unseen, risk.limits).stakes:
        counted[stake.product_id] += stake.pending_usd
    on_disk: dict[str, Decimal] = defaultdict(Decimal)
    for state in purchases(simulation):
        on_disk[state.spec.product_id] += remaining_usd(state)
    resting: dict[str, Decimal] = defaultdict(Decimal)
    for order in ours(simulation):
        if order.order_side == "BUY":
            resting[order.product_id] += Decimal(order.outstanding_hold_amount) / DRIFT  # the venue holds fees as well
    known = {o.client_order_id for o in risk.orders.values()}
    missing = [
        f"7: {o.client_order_id} rests and is not counted" for o in ours(simulation) if o.client_order_id not in known
    ]
    return missing + [
        f"7: {product} counts {counted[product]} pending, {usd} might be bought"
        for sums in (on_disk, resting)
        for product, usd in sums.items()
        if usd > counted[product]
    ]


def no_quote_is_crossed(simulation: Simulation) -> list[str]:
    """(15) No room was told of a book whose bid is not below its ask."""
    return [
        f"15: {name} was told {quote.product_id} {quote.bid} / {quote.ask}"
        for name in QUOTED
        for quote in getattr(room(simulation, name), "quotes", {}).values()
        if quote.bid >= quote.ask
    ]


def owned_in_time(simulation: Simulation) -> list[str]:
    """(18) What rests of ours has an actor of its own that is there, or is gone within five seconds."""
    ownerless = [o.client_order_id for o in ours(simulation) if room(simulation, f"order:{o.client_order_id}") is None]
    return [f"18: {coid} has no owner" for coid in lasting(simulation, 18, ownerless, OWNED_NS)]


def caps_hold(simulation: Simulation) -> list[str]:
    """(26) What is held and what may still be bought stays within the caps of an asset and of the whole."""
    risk, ledger = room(simulation, "risk"), ledger_of(simulation)
    if risk is None or risk.view is None or not risk.view.nav_usd or ledger is None:
        return []
    limits, nav = risk.limits, risk.view.nav_usd * DRIFT / PCT
    stakes: dict[str, Decimal] = defaultdict(Decimal)
    for position in ledger.positions:
        bids, _ = simulation.venue.exchange.book(position.product_id, 1)
        stakes[position.product_id] += position.quantity * (bids[0][0] if bids else position.average_price)
    for state in purchases(simulation):
        stakes[state.spec.product_id] += remaining_usd(state)
    caps = {p: min(limits.max_per_asset_pct, limits.tier_caps_pct[limits.tier(p) - 1]) for p in stakes}
    over = [f"26: {p} carries {usd}, its cap is {caps[p]} %" for p, usd in stakes.items() if usd > caps[p] * nav]
    total = sum(stakes.values(), Decimal(0))
    whole = limits.max_total_at_risk_pct
    return over + ([f"26: {total} are at risk, the cap is {whole} %"] if total > whole * nav else [])


def rests_on_disk(simulation: Simulation) -> list[str]:
    """(2) Nothing of ours rests whose record is not committed as open."""
    live = simulation.venue.exchange.open_orders(USER)
    return [
        f"2: {order.client_order_id} rests and is not on disk as open"
        for order in live
        if order.client_order_id.startswith(f"{BOT}-") and simulation.store.value(OPEN + order.client_order_id) is None
    ]


def one_per_intent(simulation: Simulation) -> list[str]:
    """(requirement X1) Of the orders of an intent at most one is live at the venue."""
    live = simulation.venue.exchange.open_orders(USER)
    counted = Counter(order.client_order_id.rpartition("-a")[0] for order in live)
    return [f"X1: {intent} has {times} live orders" for intent, times in counted.items() if times > 1]


def money_adds_up(simulation: Simulation) -> list[str]:
    """(4) The venue's books balance, nothing is negative, and only live orders hold anything."""
    exchange = simulation.venue.exchange
    faults = []
    for currency, parts in exchange.trial_balance().items():
        if sum(parts, Decimal(0)) != 0:
            faults.append(f"4: {currency} does not add up: {parts}")
    holding: dict[str, Decimal] = defaultdict(Decimal)
    for order in exchange.open_orders(USER):
        base, _, quote = order.product_id.partition("-")
        holding[base if order.order_side == "SELL" else quote] += Decimal(order.outstanding_hold_amount)
    for account in exchange.accounts(USER, limit=250).accounts:
        available, hold = Decimal(account.available_balance.value), Decimal(account.hold.value)
        if min(available, hold) < 0:
            faults.append(f"4: {account.currency}: available {available}, held {hold}")
        if hold != holding[account.currency]:
            faults.append(f"4: {account.currency}: {hold} held, live orders hold {holding[account.currency]}")
    return faults


def sells_covered(simulation: Simulation) -> list[str]:
    """(27) What working sells may still take out of the ledger is no more than the position."""
    ledger = ledger_of(simulation)
    positions = {p.product_id: p.quantity for p in ledger.positions} if ledger is not None else {}
    working: dict[ProductId, Decimal] = defaultdict(Decimal)
    for record in simulation.store.records(OPEN):
        order = codec.decode_value(record.value or b"", OrderState)
        if order.spec.side is Side.SELL:
            most = order.filled_size if order.terminal else (order.spec.base_size or Decimal(0))
            booked = ledger.booked_of(order.venue_order_id or "") if ledger is not None else Decimal(0)
            working[order.spec.product_id] += most - max(booked, order.booked_size)
    return [
        f"27: {product} is sold for {size}, {positions.get(product, Decimal(0))} are held"
        for product, size in working.items()
        if size > positions.get(product, Decimal(0))
    ]


def at_rest(simulation: Simulation) -> list[str]:
    """Every one of these, cheap enough for each second."""
    return [
        *rests_on_disk(simulation),
        *one_per_intent(simulation),
        *money_adds_up(simulation),
        *sells_covered(simulation),
        *exposure_is_whole(simulation),
        *no_quote_is_crossed(simulation),
        *owned_in_time(simulation),
        *caps_hold(simulation),
    ]
