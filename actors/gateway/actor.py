"""The gateway's role: its core and its HTTP edge."""

from functools import partial

from actors.gateway.core import Gateway, Settings, initial, step
from actors.gateway.edge import HttpEdge, Observe
from actors.runtime.role import Context, Role
from protocol.coinbase.keys import SigningKey
from protocol.journal import Released
from protocol.risk import EpochChanged
from protocol.transport import CallAnswered, CallBroken
from protocol.venue import Query, RequestCancel


def role(
    context: Context, settings: Settings, key: SigningKey | None, token_life_s: int, observe: Observe | None = None
) -> Role[Gateway]:
    """The one actor that talks to the venue over REST."""
    return Role(
        step=step,
        initial=partial(initial, settings),
        accepts=(Released, RequestCancel, Query, CallAnswered, CallBroken, EpochChanged),
        journaled=False,
        edge=lambda: HttpEdge(context.run.rest_url, key, context.epoch, context.heartbeat, token_life_s, observe),
    )
