"""The portfolio's role, with its exits from the policy."""

from functools import partial

from actors.portfolio.core import STORE_PREFIX, step
from actors.portfolio.exits import ExitRules
from actors.portfolio.state import Portfolio, Settings
from actors.portfolio.valuation import DRY_RUN_USD
from actors.runtime.role import Context, Role
from protocol.control import JudgeConfig
from protocol.instants import SECOND_NS
from protocol.market import ProductsKnown, PublicTrade, Quote
from protocol.orders import IntentDone, OrderUpdate, Targets
from protocol.policy import Mode, Policy
from protocol.portfolio import RebuildPositions, Reconcile, ResetPeak
from protocol.strategy import UniverseView
from protocol.venue import (
    AccountsListed,
    BookListed,
    FillsListed,
    OpenOrdersListed,
    QueryFailed,
    UserStream,
    VenueHealth,
)


def settings(policy: Policy, bot: str, pace_ns: int = SECOND_NS) -> Settings:
    """What the portfolio of `bot` needs of the policy; it shows itself each `pace_ns` at least."""
    exits = policy.exits
    third, held_s = policy.universe.tiers[2], exits.tier3_max_hold_s
    rules = ExitRules(
        stop_loss=exits.check_stop_loss,
        take_profit=exits.check_take_profit,
        max_hold=exits.check_max_hold,
        trailing_stop_pct=exits.trailing_stop_pct,
        bounded=frozenset(third.products),
        bounded_drawdown_pct=exits.tier3_drawdown_pct,
        bounded_hold_ns=None if held_s is None else held_s * SECOND_NS,
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
        max_hold_s=exits.default_max_hold_s,
    )
    return Settings(
        rules=rules,
        fallback=fallback,
        bot=bot,
        mode=policy.mode.value,
        notional_usd=DRY_RUN_USD if policy.mode is Mode.DRY_RUN else None,
        dust_usd=policy.risk.dust_threshold_usd,
        view_ns=pace_ns,
        quote_age_ns=int(policy.staleness.quote_age_s * SECOND_NS),
        price_age_ns=int(policy.staleness.candle_age_s * SECOND_NS),
        ignored=policy.ignore_assets,
    )


def role(context: Context) -> Role[Portfolio]:
    """Balances, positions, PnL and exits."""
    return Role(
        step=step,
        initial=partial(Portfolio, settings=settings(context.policy, context.run.bot, context.run.pace_ns)),
        accepts=(
            Quote,
            PublicTrade,
            OrderUpdate,
            FillsListed,
            IntentDone,
            Reconcile,
            ResetPeak,
            RebuildPositions,
            AccountsListed,
            BookListed,
            OpenOrdersListed,
            QueryFailed,
            ProductsKnown,
            UniverseView,
            UserStream,
            VenueHealth,
            JudgeConfig,
        ),
        store_prefixes=(STORE_PREFIX,),
    )
