"""Other people's purchases in our account: never touched, and counted at the most that they may still spend (E2)."""

from collections.abc import Mapping
from decimal import Decimal

from actors.portfolio import valuation
from actors.portfolio.state import Settings
from actors.portfolio.valuation import Seen
from protocol.ids import ProductId, bot_prefix
from protocol.market import Quote
from protocol.money import ONE, ZERO
from protocol.orders import Side, VenueOrder
from protocol.portfolio import ForeignOrder


def purchases(orders: tuple[VenueOrder, ...], settings: Settings) -> tuple[VenueOrder, ...]:
    """Of a complete list those that are not ours, buy, and concern nothing that is ignored by name."""
    ours = bot_prefix(settings.bot)
    return tuple(
        o
        for o in orders
        if o.side is Side.BUY
        and not o.client_order_id.startswith(ours)
        and o.product_id.partition("-")[0] not in settings.ignored
    )


def told(orders: tuple[VenueOrder, ...], quotes: Mapping[ProductId, Quote | Seen]) -> tuple[ForeignOrder, ...]:
    """Each with what it may still spend in USD."""
    return tuple(ForeignOrder(product_id=o.product_id, usd=_worst_usd(o, quotes)) for o in orders)


def _worst_usd(order: VenueOrder, quotes: Mapping[ProductId, Quote | Seen]) -> Decimal | None:
    """The unfilled part at its limit, without one at the mid, or what is left of its quote size (risk.md §1)."""
    currency = order.product_id.partition("-")[2]
    usd = ONE if currency in valuation.CASH else valuation.price(currency, quotes)
    quote = quotes.get(order.product_id)
    price = order.limit_price or (None if quote is None else quote.mid)
    if usd is None:
        return None
    if order.base_size is not None:
        return None if price is None else max(order.base_size - order.filled_size, ZERO) * price * usd
    return None if order.quote_size is None else max(order.quote_size - order.filled_value, ZERO) * usd
