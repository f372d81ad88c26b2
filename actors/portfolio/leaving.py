"""Marks and exits: what a quote does to a position, and one try after the other until it is gone (execution.md §10)."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio.exits import MAX_HOLD, Doubt, ExitRun, judge
from actors.portfolio.state import Portfolio
from protocol.base import NO_EFFECTS, Effects
from protocol.effects import Tell
from protocol.ids import ProductId
from protocol.market import PublicTrade, Quote
from protocol.money import ZERO
from protocol.orders import CancelOrder, IntentDone, OrderState, Side
from protocol.portfolio import ExitWanted, Position

_NEVER_SENT = ("refused:", "state_", "stale_data", "product_disabled", "stopping")


def quoted(state: Portfolio, quote: Quote, now_ns: int) -> tuple[Portfolio, Effects]:
    """Mark a position at the bid, raise its peak, and see whether it has to be left. An outlier is no peak."""
    state = replace(state, quotes={**state.quotes, quote.product_id: quote})
    position = state.ledger.position(quote.product_id)
    if position is None:
        return state, NO_EFFECTS
    peak = position.peak if state.settings.rules.outlier(quote) else max(position.peak, quote.bid)
    position = replace(position, peak=peak, mark=quote.bid)
    positions = tuple(position if p.product_id == quote.product_id else p for p in state.ledger.positions)
    state = replace(state, ledger=replace(state.ledger, positions=positions))
    return _exit(state, position, quote, now_ns)


def traded(state: Portfolio, trade: PublicTrade, now_ns: int) -> tuple[Portfolio, Effects]:
    """Somebody traded at or through the level that an outlier crossed: the price was real, the exit waits no longer."""
    product = trade.product_id
    position, quote, doubt = state.ledger.position(product), state.quotes.get(product), state.doubts.get(product)
    if position is None or quote is None or doubt is None or trade.venue_ns < doubt.venue_ns:
        return state, NO_EFFECTS
    rules, regime = state.settings.rules, state.regime
    code = judge(position, trade.price, rules, regime, now_ns)
    if code == MAX_HOLD or code != judge(position, quote.bid, rules, regime, now_ns):
        return state, NO_EFFECTS
    state = replace(state, doubts={name: one for name, one in state.doubts.items() if name != product})
    return _exit(state, position, quote, now_ns, confirmed=code)


def _exit(
    state: Portfolio, position: Position, quote: Quote, now_ns: int, *, confirmed: str = ""
) -> tuple[Portfolio, Effects]:
    """Call for an exit, or for its next try: one is out at a time, and a try waits for a fresh quote.

    A try may be lost with whoever had it; what it may still sell is not offered again while an order of it works.
    """
    product, rules = position.product_id, state.settings.rules
    run = state.exits.get(product)
    if not quote.young(now_ns, state.clock_offset_ns, state.settings.quote_age_ns):
        return state, NO_EFFECTS
    if run is not None:
        code = run.code
    elif confirmed:
        code = confirmed
    else:
        state, code = _called(state, position, quote, now_ns)
    if not code:
        return state, NO_EFFECTS
    wait_ns = state.settings.exit_lost_ns if run is not None and run.waiting else rules.retry_ns
    if run is not None and now_ns - run.sent_ns < wait_ns:
        return state, NO_EFFECTS
    available = position.quantity - _selling(state, product)
    minimum = state.rules[product].base_min_size if product in state.rules else ZERO
    if available <= ZERO or available < minimum or state.least(product).dust(available, quote.bid):
        return state, NO_EFFECTS
    number = 0 if run is None else run.step + 1
    run = ExitRun(code=code, step=number, sent_ns=now_ns, waiting=True)
    wanted = ExitWanted(
        product_id=product,
        code=code,
        quantity=available,
        bid=quote.bid,
        ask=quote.ask,
        quote_ns=quote.fresh_ns,
        step=number,
        strategy=position.strategy,
        correlation=position.correlation,
    )
    buys = _working(state, product, Side.BUY)
    cancels = tuple(
        Tell(to="orders", message=CancelOrder(client_order_id=o.client_order_id, reason=code)) for o in buys
    )
    return replace(state, exits={**state.exits, product: run}), (Tell(to="risk", message=wanted), *cancels)


def _called(state: Portfolio, position: Position, quote: Quote, now_ns: int) -> tuple[Portfolio, str]:
    """Which rule calls for an exit now. What only an outlier crossed has to be crossed by a later book state too."""
    product, rules = position.product_id, state.settings.rules
    code, doubt = judge(position, quote.bid, rules, state.regime, now_ns), state.doubts.get(product)
    if code and code != MAX_HOLD and rules.outlier(quote):
        if doubt is None or quote.sequence < doubt.sequence:  # a restarted feed counts anew
            new = Doubt(since_ns=now_ns, sequence=quote.sequence, venue_ns=quote.venue_ns)
            return replace(state, doubts={**state.doubts, product: new}), ""
        if quote.sequence == doubt.sequence or now_ns - doubt.since_ns < rules.confirm_ns:
            return state, ""
    if doubt is not None:
        state = replace(state, doubts={name: one for name, one in state.doubts.items() if name != product})
    return state, code


def over(state: Portfolio, done: IntentDone) -> Portfolio:
    """One try ended. If the position is still there the next quote starts the next try, else the exit is over."""
    run = state.exits.get(done.product_id)
    if run is None:
        return state
    if done.outcome == "filled" or state.ledger.position(done.product_id) is None:
        return gone(state, done.product_id)
    # A try that was never sent is no step up the ladder: it must not sell cheaper for having waited.
    step = run.step - 1 if done.outcome.startswith(_NEVER_SENT) else run.step
    # What only lacked fresh data waits for the next fresh quote and for nothing else (execution.md §10).
    sent_ns = 0 if done.outcome.removeprefix("refused:") == "stale_data" else run.sent_ns
    run = replace(run, waiting=False, step=step, sent_ns=sent_ns)
    return replace(state, exits={**state.exits, done.product_id: run})


def gone(state: Portfolio, product: ProductId) -> Portfolio:
    """The exit is over: what is bought later begins its own story."""
    return replace(state, exits={name: run for name, run in state.exits.items() if name != product})


def _working(state: Portfolio, product: ProductId, side: Side) -> tuple[OrderState, ...]:
    return tuple(
        o for o in state.orders.values() if o.spec.product_id == product and o.spec.side is side and not o.terminal
    )


def _selling(state: Portfolio, product: ProductId) -> Decimal:
    """Base units that working sells, or sells not booked yet, will take."""
    sells = (o for o in state.orders.values() if o.spec.product_id == product and o.spec.side is Side.SELL)
    total = ZERO
    for order in sells:
        asked = order.filled_size if order.terminal else (order.spec.base_size or ZERO)
        total += max(asked - state.ledger.booked_of(order.venue_order_id or ""), ZERO)
    return total
