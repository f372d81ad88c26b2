"""The portfolio's role, with its exits from the policy."""

from functools import partial

from actors.portfolio.core import STORE_PREFIX, step
from actors.portfolio.exits import ExitRules
from actors.portfolio.state import Portfolio, Settings
from actors.runtime.role import Context, Role
from protocol.instants import SECOND_NS
from protocol.market import ProductsKnown, Quote
from protocol.orders import IntentDone, OrderUpdate, Targets
from protocol.policy import Policy
from protocol.portfolio import RebuildPositions, Reconcile, ResetPeak
from protocol.strategy import UniverseView
from protocol.venue import AccountsListed, FillsListed, OpenOrdersListed, QueryFailed, UserStream, VenueHealth

_DEFAULT_HOLD_S = 72 * 3600


def settings(policy: Policy, pace_ns: int = SECOND_NS) -> Settings:
    """What the portfolio needs of the policy; it shows itself each `pace_ns` at least."""
    exits = policy.exits
    rules = ExitRules(
        stop_loss=exits.check_stop_loss,
        take_profit=exits.check_take_profit,
        max_hold=exits.check_max_hold,
        trailing_stop_pct=exits.trailing_stop_pct,
        retry_ns=int(exits.retry_every_s * SECOND_NS),
        crash_stop_mult=exits.crash_stop_mult,
        bull_target_mult=exits.bull_target_mult,
        outlier_sigma=policy.breakers.max_move_sigma,
        max_spread_bps=policy.execution.hard_max_spread_bps,
        confirm_ns=int(exits.confirm_s * SECOND_NS),
    )
    fallback = Targets(
        stop_loss_pct=exits.default_stop_loss_pct,
        take_profit_pct=exits.default_take_profit_pct,
        max_hold_s=_DEFAULT_HOLD_S,
    )
    return Settings(
        rules=rules,
        fallback=fallback,
        view_ns=pace_ns,
        quote_age_ns=int(policy.staleness.quote_age_s * SECOND_NS),
        price_age_ns=int(policy.staleness.candle_age_s * SECOND_NS),
        ignored=policy.ignore_assets,
    )


def role(context: Context) -> Role[Portfolio]:
    """Balances, positions, PnL and exits."""
    return Role(
        step=step,
        initial=partial(Portfolio, settings=settings(context.policy, context.run.pace_ns)),
        accepts=(
            Quote,
            OrderUpdate,
            FillsListed,
            IntentDone,
            Reconcile,
            ResetPeak,
            RebuildPositions,
            AccountsListed,
            OpenOrdersListed,
            QueryFailed,
            ProductsKnown,
            UniverseView,
            UserStream,
            VenueHealth,
        ),
        store_prefix=STORE_PREFIX,
    )
