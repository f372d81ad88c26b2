"""The cycle's role, with its rhythm from the policy."""

from functools import partial

from actors.cycle.core import Cycle, Settings, step
from actors.runtime.role import Context, Role
from protocol.instants import SECOND_NS
from protocol.orders import IntentTaken
from protocol.policy import Policy
from protocol.portfolio import PortfolioView, Reconciled
from protocol.risk import BatchJudged, RiskView
from protocol.strategy import AlphaDown, AlphaUp, ProposalsMade, UniverseView


def settings(policy: Policy, seed: int) -> Settings:
    """What the cycle needs of the policy."""
    loop = policy.loop
    return Settings(
        interval_ns=int(loop.interval_s * SECOND_NS),
        jitter_share=loop.jitter_pct / 100,
        busy_share=loop.target_utilization_pct / 100,
        backoff_ns=int(loop.backoff_s * SECOND_NS),
        seed=seed,
        weekends=loop.weekends,
        offset_ns=loop.offset_s * SECOND_NS,
        min_notional_usd=policy.risk.min_trade_notional_usd,
    )


def role(context: Context) -> Role[Cycle]:
    """The conductor of decisions."""
    return Role(
        step=step,
        initial=partial(Cycle, settings=settings(context.policy, context.run.seed)),
        accepts=(
            PortfolioView,
            RiskView,
            Reconciled,
            UniverseView,
            ProposalsMade,
            BatchJudged,
            IntentTaken,
            AlphaUp,
            AlphaDown,
        ),
    )
