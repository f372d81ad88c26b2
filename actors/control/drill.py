"""The load drill: many small post-only purchases far below the market, spread over products so that no cap is met."""

from decimal import Decimal

from protocol.control import DrillLoad
from protocol.ids import ProductId
from protocol.market import ProductRules, Quote
from protocol.money import ceil_to, floor_to
from protocol.orders import Side, Step, StepKind
from protocol.risk import OperatorOrder

_BELOW = Decimal("0.85")
_NOTIONAL_USD = Decimal("10.25")


def orders(
    request: DrillLoad, quotes: dict[ProductId, Quote], rules: dict[ProductId, ProductRules], done: int
) -> tuple[OperatorOrder, ...] | str:
    """One order per number asked for, product by product; or why none can be made."""
    products = sorted(p for p, r in rules.items() if p in quotes and r.tradable and r.quote == "USD")
    if not products:
        return "no product has a quote yet"
    return tuple(_order(request, products[i % len(products)], quotes, rules, done + i) for i in range(request.orders))


def _order(
    request: DrillLoad,
    product: ProductId,
    quotes: dict[ProductId, Quote],
    rules: dict[ProductId, ProductRules],
    number: int,
) -> OperatorOrder:
    price = floor_to(quotes[product].bid * _BELOW, rules[product].price_increment)
    size = ceil_to(max(_NOTIONAL_USD, rules[product].quote_min_size) / price, rules[product].base_increment)
    return OperatorOrder(
        correlation=f"drill/{number}",
        product_id=product,
        side=Side.BUY,
        base_size=max(size, rules[product].base_min_size),
        quote_size=None,
        steps=(Step(kind=StepKind.LIMIT, limit_price=price, post_only=True),),
        by=request.by,
        drill=True,
        reply_to="control",
    )
