"""Room and units held for intents that the order desk is working on: no gap between approval, tries and the end."""

from msgspec.structs import replace

from actors.risk.state import Reservation, Risk, Share
from protocol.instants import SECOND_NS
from protocol.money import ZERO
from protocol.orders import OrderState, Side

# The desk goes from one try to the next within a second, and the first request has 3 s to leave: an intent of which
# nothing was heard for so long, and no order is known, was lost with the desk that had it.
LOST_NS = 30 * SECOND_NS


def name(side: Side, correlation: str) -> str:
    """The key of an intent's reservation; a position's purchase and its sale share their correlation."""
    return f"{side.value}/{correlation}"


def with_order(reserved: dict[str, Reservation], order: OrderState, now_ns: int) -> dict[str, Reservation]:
    """An order speaks for its own part of the intent from here on."""
    key = name(order.intent.side, order.intent.correlation)
    held = reserved.get(key)
    if held is None:
        return reserved
    shares = {**held.shares, order.client_order_id: _share(order)}
    return {**reserved, key: replace(held, shares=shares, since_ns=now_ns)}


def _share(order: OrderState) -> Share:
    if order.terminal:
        return Share(usd=order.filled_value, base=order.filled_size)
    base = order.spec.base_size or ZERO
    return Share(usd=order.spec.quote_size or base * (order.spec.limit_price or order.intent.ask), base=base)


def standing(risk: Risk, now_ns: int) -> dict[str, Reservation]:
    """Those that still count: heard of lately, or with an order that is not settled."""
    working = {name(o.intent.side, o.intent.correlation) for o in risk.orders.values()}
    return {k: r for k, r in risk.reserved.items() if k in working or now_ns - r.since_ns < LOST_NS}
