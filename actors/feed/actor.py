"""Shells' particulars of the feed room: `market:<n>`, one connection, and `feed:<product>`, one product."""

from actors.feed import connection, core
from actors.feed.moves import Moves
from actors.runtime.role import Context, Role
from actors.runtime.stream_socket import Budget, Signer, StreamSocket
from protocol.feed import (
    FeedContinue,
    FeedData,
    FeedPulse,
    FeedReset,
    FramesArrived,
    ResyncWanted,
    SocketClosed,
    SocketOpened,
)
from protocol.ids import ProductId
from protocol.strategy import HistoryWanted
from protocol.venue import CandlesListed, QueryFailed


def connection_role(
    context: Context, routes: tuple[connection.Route, ...], budget: Budget, sign: Signer | None = None
) -> Role[connection.Market]:
    """One market-data connection for `routes` (see `connection.share_out`); `budget` is shared by all connections."""
    return Role(
        step=connection.step,
        initial=lambda: connection.Market(routes),
        accepts=(FramesArrived, SocketOpened, SocketClosed, ResyncWanted),
        journaled=False,
        edge=lambda: StreamSocket(context.run.market_url, budget, sign),
    )


def role(context: Context, product_id: ProductId, market: str, *, leader: bool = False) -> Role[core.Feed]:
    """The feed of one product behind the connection named `market`. `leader`: its hours also make the regime."""
    breakers = context.policy.breakers
    return Role(
        step=core.step,
        initial=lambda: core.Feed(
            product_id, market, leader=leader, moves=Moves(breakers.move_window_s, breakers.move_min_samples)
        ),
        accepts=(FeedData, FeedPulse, FeedReset, FeedContinue, HistoryWanted, CandlesListed, QueryFailed),
        journaled=False,
    )
