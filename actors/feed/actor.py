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
from protocol.instants import SECOND_NS
from protocol.market import FactsWanted
from protocol.strategy import HistoryWanted
from protocol.venue import BookListed, CandlesListed, QueryFailed


def connection_role(
    context: Context, routes: tuple[connection.Route, ...], budget: Budget, sign: Signer | None = None
) -> Role[connection.Market]:
    """One market-data connection for `routes` (see `connection.share_out`); `budget` is shared by all connections."""
    quiet_ns = int(context.policy.staleness.heartbeat_age_s * SECOND_NS)
    return Role(
        step=connection.step,
        initial=lambda: connection.Market(routes, quiet_ns),
        accepts=(FramesArrived, SocketOpened, SocketClosed, ResyncWanted),
        journaled=False,
        edge=lambda: StreamSocket(context.run.market_url, budget, sign),
    )


def role(context: Context, product_id: ProductId, market: str, *, leader: bool = False) -> Role[core.Feed]:
    """The feed of one product behind the connection named `market`. `leader`: its hours also make the regime."""
    staleness, first = context.policy.staleness, context.policy.universe.tier_of(product_id) == 1
    unchanged_s = staleness.no_change_check_t1_s if first else staleness.no_change_check_s
    unchanged_ns = int(unchanged_s * SECOND_NS)
    breakers = context.policy.breakers
    moves = (breakers.move_window_s, breakers.move_min_samples)
    return Role(
        step=core.step,
        initial=lambda: core.Feed(product_id, market, leader=leader, unchanged_ns=unchanged_ns, moves=Moves(*moves)),
        accepts=(
            *(FeedData, FeedPulse, FeedReset, FeedContinue),
            *(HistoryWanted, FactsWanted, BookListed, CandlesListed, QueryFailed),
        ),
        journaled=False,
    )
