"""Shell's particulars of `user_feed`: the one connection that tells our own orders."""

from functools import partial

from actors.runtime.role import Context, Role
from actors.runtime.stream_socket import Budget, Signer, StreamSocket
from actors.user_feed.core import UserFeed, step
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.instants import SECOND_NS
from protocol.portfolio import Reconciled


def role(context: Context, budget: Budget, sign: Signer | None) -> Role[UserFeed]:
    """The user stream. `sign` makes a fresh token per subscribe; `budget` is shared with the market connections."""
    quiet_ns = int(context.policy.staleness.heartbeat_age_s * SECOND_NS)
    return Role(
        step=step,
        initial=partial(UserFeed, quiet_ns),
        accepts=(FramesArrived, SocketOpened, SocketClosed, Reconciled),
        journaled=False,
        edge=lambda: StreamSocket(context.run.user_url, budget, sign),
    )
