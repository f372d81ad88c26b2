"""Shell's particulars of `user_feed`: the one connection that tells our own orders."""

from actors.runtime.role import Context, Role
from actors.runtime.stream_socket import Budget, Signer, StreamSocket
from actors.user_feed.core import UserFeed, step
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.portfolio import Reconciled


def role(context: Context, budget: Budget, sign: Signer | None) -> Role[UserFeed]:
    """The user stream. `sign` makes a fresh token per subscribe; `budget` is shared with the market connections."""
    return Role(
        step=step,
        initial=UserFeed,
        accepts=(FramesArrived, SocketOpened, SocketClosed, Reconciled),
        journaled=False,
        edge=lambda: StreamSocket(context.run.user_url, budget, sign),
    )
