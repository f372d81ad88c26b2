"""What follows when one order of an intent has ended: done, the same try again, or the next one.

Source: execution.md §4 (partial fills, post-only refusals) and §8 (renewal). A next step may only ask for what is
neither filled nor working.
"""

from decimal import Decimal

from protocol.base import Value
from protocol.money import ZERO
from protocol.orders import Intent, OrderState, Status, TimeInForce

RENEW = "renew"
TTL = "ttl"
LOST = "lost with its actor"
PLANNED = frozenset({TTL, RENEW})
"""Cancels that belong to the plan: it goes on after them. Any other reason ends the intent."""
_ENOUGH = Decimal("0.999")
_POST_ONLY = "POST_ONLY"
_ENDED = frozenset({"FILLED", "CANCELLED", "CANCELED", "EXPIRED", "FAILED", "REJECTED"})


class Done(Value, frozen=True, kw_only=True):
    """The intent is over."""

    outcome: str


class Again(Value, frozen=True, kw_only=True):
    """The same try once more, `delay_ns` later and `extra_ticks` further from the touch."""

    delay_ns: int = 0
    extra_ticks: int = 0


class Next(Value, frozen=True, kw_only=True):
    """The plan's next try, for the remainder."""


def may_rest(status: str) -> bool:
    """Whether an order of this venue status may still fill; a word we do not know may."""
    return status not in _ENDED


def remaining(intent: Intent, filled_size: Decimal, filled_value: Decimal) -> Decimal:
    """What is left of an intent: base units if it names a base size, else quote currency; never negative."""
    if intent.base_size is not None:
        return max(intent.base_size - filled_size, ZERO)
    assert intent.quote_size is not None, "an intent names one of its sizes"
    return max(intent.quote_size - filled_value, ZERO)


def after(
    intent: Intent, order: OrderState, filled_size: Decimal, filled_value: Decimal, partial_min: Decimal
) -> Done | Again | Next:
    """Decide what follows `order`, which has just ended; filled figures are the intent's totals, its own included."""
    share = _share(intent, filled_size, filled_value)
    if order.status is Status.FILLED or share >= _ENOUGH:
        return Done(outcome="filled")
    if order.status in {Status.REJECTED, Status.FAILED} and _POST_ONLY in order.error:
        return Again(delay_ns=100_000_000, extra_ticks=1)
    if order.status in {Status.REJECTED, Status.ABORTED, Status.FAILED}:
        return Done(outcome=f"{order.status.value}:{order.error}")
    if order.cancel_wanted == RENEW:
        return Again()
    if order.cancel_wanted not in {"", TTL}:
        return Done(outcome=f"canceled:{order.cancel_wanted}")
    if _foreign_cancel(order):
        return Done(outcome="canceled:venue")
    return Done(outcome="partial") if share >= partial_min else Next()


def _foreign_cancel(order: OrderState) -> bool:
    """A resting order that somebody else took away (a person, the watchdog, the venue) is not tried again."""
    return order.status is Status.CANCELED and not order.cancel_wanted and order.spec.time_in_force is TimeInForce.GTD


def _share(intent: Intent, filled_size: Decimal, filled_value: Decimal) -> Decimal:
    if intent.base_size is not None:
        return filled_size / intent.base_size
    assert intent.quote_size is not None, "an intent names one of its sizes"
    return filled_value / intent.quote_size
