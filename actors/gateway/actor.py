"""The gateway's role: its core and its HTTP edge."""

from functools import partial

from actors.gateway.core import Gateway, Settings, initial, step
from actors.gateway.edge import HttpEdge, Observe
from actors.runtime.role import Context, Role
from protocol.coinbase.keys import SigningKey
from protocol.journal import Released
from protocol.market import FactsWanted
from protocol.risk import ClockJumped, EpochChanged
from protocol.transport import CallAnswered, CallBroken
from protocol.venue import (
    GetBook,
    GetFees,
    ListAccounts,
    ListCandles,
    ListFills,
    ListOpenOrders,
    ListProducts,
    LookUpOrder,
    PreviewOrder,
    RequestCancel,
)

QUESTIONS = (
    LookUpOrder,
    ListOpenOrders,
    ListFills,
    ListAccounts,
    ListProducts,
    ListCandles,
    GetBook,
    GetFees,
    PreviewOrder,
)


def role(
    context: Context, settings: Settings, key: SigningKey | None, token_life_s: int, observe: Observe | None = None
) -> Role[Gateway]:
    """The one actor that talks to the venue over REST."""
    return Role(
        step=step,
        initial=partial(initial, settings),
        accepts=(
            *(Released, RequestCancel, CallAnswered, CallBroken),
            *(EpochChanged, ClockJumped, FactsWanted, *QUESTIONS),
        ),
        journaled=False,
        edge=lambda: HttpEdge(context.run.rest_url, key, context.epoch, context.heartbeat, token_life_s, observe),
    )
