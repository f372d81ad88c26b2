"""The roles of the order desk and of each order."""

from functools import partial

from actors.order import desk
from actors.order.core import CLOSED_KEY, OPEN_KEY, Life, Limits, step
from actors.order.routing import Expiry
from actors.runtime.role import Context, Role
from protocol.control import JudgeConfig
from protocol.instants import SECOND_NS
from protocol.lifecycle import ActorExited
from protocol.market import ProductsKnown, Quote
from protocol.orders import (
    CancelAnswered,
    CancelOrder,
    CancelStrategy,
    Drain,
    OrderBooked,
    OrderNotFound,
    OrderReported,
    OrderUpdate,
    Place,
    PlaceAccepted,
    PlaceIntent,
    PlaceRefused,
    PlaceUnknown,
)
from protocol.policy import Policy
from protocol.risk import EpochChanged, RiskView
from protocol.shadow import shadow_rules
from protocol.venue import QueryFailed, UserStream, VenueHealth

_CLOCK_CARE_NS = 10 * SECOND_NS


def order_limits(policy: Policy) -> Limits:
    """Times of an order's life from the policy."""
    waits = tuple(int(wait * SECOND_NS) for wait in policy.execution.cancel_retry_backoff_s)
    return Limits(
        signature_ns=policy.auth.order_token_life_s * SECOND_NS + _CLOCK_CARE_NS,
        cancel_ns=waits,
    )


def order_role(context: Context, name: str) -> Role[Life]:
    """One order: `name` is `order:<client order id>`."""
    coid = name.partition(":")[2]
    return Role(
        step=step,
        initial=partial(Life, client_order_id=coid, limits=order_limits(context.policy)),
        accepts=(
            Place,
            PlaceAccepted,
            PlaceRefused,
            PlaceUnknown,
            OrderReported,
            OrderNotFound,
            OrderBooked,
            CancelOrder,
            CancelAnswered,
            QueryFailed,
        ),
        store_prefixes=(OPEN_KEY + coid, CLOSED_KEY + coid),
    )


def desk_settings(context: Context) -> desk.Settings:
    """What the desk needs of policy and run."""
    execution = context.policy.execution
    expiry = Expiry(
        margin_ns=execution.order_expiry_margin_s * SECOND_NS,
        operator_ns=execution.order_expiry_s * SECOND_NS,
    )
    return desk.Settings(
        bot=context.run.bot,
        epoch=context.run.epoch,
        shadow=shadow_rules(context.policy),
        expiry=expiry,
        partial_fill_min=execution.partial_fill_min_share,
        quote_age_ns=int(context.policy.staleness.quote_age_s * SECOND_NS),
    )


def desk_role(context: Context) -> Role[desk.Desk]:
    """The order desk."""
    return Role(
        step=desk.step,
        initial=partial(desk.Desk, settings=desk_settings(context)),
        accepts=(
            Quote,
            OrderUpdate,
            OrderReported,
            PlaceIntent,
            CancelOrder,
            CancelStrategy,
            CancelAnswered,
            ProductsKnown,
            RiskView,
            EpochChanged,
            Drain,
            UserStream,
            VenueHealth,
            ActorExited,
            JudgeConfig,
        ),
        store_prefixes=(desk.STORE_PREFIX,),
    )
