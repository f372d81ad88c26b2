"""What the desk puts on record in DRY_RUN instead of placing it."""

from decimal import Decimal

from actors.order.run import Run
from protocol.money import ZERO
from protocol.orders import Intent, OrderSpec, Side
from protocol.shadow import Moment, ShadowOrder, ShadowRules, Wish, shadow_order

DONE = "shadow_dry_run"


def record(run: Run, end: OrderSpec | str, at: Moment, rules: ShadowRules) -> ShadowOrder:
    """How an intent ended: with the order that would have been placed, or with the reason why none was made."""
    spec = None if isinstance(end, str) else end
    intent = run.intent
    wish = Wish(
        correlation=intent.correlation,
        strategy=intent.strategy,
        product_id=intent.product_id,
        side=intent.side,
        purpose=intent.purpose.value,
        step=intent.steps[run.step],
        size_usd=_size_usd(intent),
        tier=intent.tier,
        confidence=intent.confidence,
        conviction=intent.conviction,
        reason=end if isinstance(end, str) else "",
    )
    return shadow_order(wish, spec, at, rules)


def _size_usd(intent: Intent) -> Decimal:
    """What was approved, at the decision's own quote."""
    if intent.quote_size is not None:
        return intent.quote_size
    return (intent.base_size or ZERO) * (intent.ask if intent.side is Side.BUY else intent.bid)
