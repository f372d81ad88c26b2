"""The risk actor's role, with its limits from the policy."""

from functools import partial

from actors.risk.core import STORE_PREFIX, step
from actors.risk.limits import Limits, RegimeRow
from actors.risk.state import Risk
from actors.runtime.role import Context, Role
from protocol.instants import SECOND_NS
from protocol.journal import StoreTrouble
from protocol.lifecycle import ActorExited
from protocol.market import FeedState, ProductsKnown, Quote
from protocol.orders import IntentDone, OrderUpdate
from protocol.policy import ExecutionPolicy, FeeSource, Mode, Policy
from protocol.policy_universe import OTHER_THEME
from protocol.portfolio import ExitWanted, FillApplied, PeakReset, PortfolioView, PositionsRebuilt
from protocol.risk import (
    ClearCooldown,
    ClockJumped,
    ConfigDrift,
    EpochChanged,
    LaneLoad,
    OperatorOrder,
    Pause,
    ProposalBatch,
    Resume,
    WatchdogSeen,
    WhatIf,
)
from protocol.shadow import shadow_rules
from protocol.strategy import Regime, UniverseView
from protocol.venue import FeesKnown, QueryFailed, VenueHealth

_BASE_TTL_S = 12.0  # execution.md §4: the longest row of the spread table; the minima decide


def maker_ttls_s(execution: ExecutionPolicy) -> tuple[float, ...]:
    """How long each maker try rests: the first minimum, then decayed but never below the retry minimum."""
    ttl = min(max(_BASE_TTL_S, execution.maker_first_min_ttl_s), execution.maker_max_ttl_s)
    ttls = [ttl]
    for _ in range(execution.maker_max_reprices):
        ttl = max(float(round(ttl * execution.maker_reprice_decay)), execution.maker_retry_min_ttl_s)
        ttls.append(ttl)
    return tuple(ttls)


def limits(policy: Policy) -> Limits:
    """What risk needs of the policy."""
    risk, universe = policy.risk, policy.universe
    return Limits(
        max_total_at_risk_pct=risk.max_total_at_risk_pct,
        max_position_size_pct=risk.max_position_size_pct,
        max_per_asset_pct=risk.max_per_asset_pct,
        min_position_size_pct=risk.min_position_size_pct,
        tier1_ceiling_pct=policy.tier1_ceiling_pct,
        least_entries_pct=tuple(pct for _, _, pct in policy.least_entries_pct),
        tier_caps_pct=risk.tier_cap_pct,
        theme_caps_pct=tuple((row.theme, row.cap_pct) for row in risk.theme_caps),
        other_theme_cap_pct=risk.theme_cap_pct(OTHER_THEME),
        strategy_budgets_pct=tuple((s.name, s.max_at_risk_pct) for s in policy.strategy.strategies),
        regimes=tuple(_regime(policy, row.regime) for row in policy.regime.rows),
        themes=tuple((p, universe.theme_of(p)) for p in universe.products),
        tiers=tuple((p, row.tier) for row in universe.tiers for p in row.products),
        max_open_positions=risk.max_open_positions,
        max_new_per_cycle=risk.max_new_positions_per_cycle,
        min_notional_usd=risk.min_trade_notional_usd,
        dust_usd=risk.dust_threshold_usd,
        daily_stop_pct=risk.daily_stop_pnl_pct,
        weekly_stop_pct=risk.weekly_stop_pnl_pct,
        max_drawdown_pct=risk.max_drawdown_pct,
        trades_per_day=risk.max_trades_per_day,
        trades_per_hour=risk.max_trades_per_hour,
        new_per_hour=risk.max_new_trades_per_hour,
        spacing_ns=risk.spacing_s * SECOND_NS,
        symbol_spacing_ns=risk.symbol_spacing_s * SECOND_NS,
        loss_streak=risk.loss_streak_trades,
        loss_pause_ns=risk.loss_streak_cooldown_s * SECOND_NS,
        cooldown_fill_ns=risk.cooldown_fill_s * SECOND_NS,
        cooldown_win_ns=risk.cooldown_win_s * SECOND_NS,
        cooldown_loss_ns=risk.cooldown_loss_s * SECOND_NS,
        cooldown_stop_ns=risk.cooldown_stop_s * SECOND_NS,
        cooldown_failed_ns=risk.cooldown_failed_order_s * SECOND_NS,
        count_external=risk.count_external_positions,
        external_buffer_pct=risk.external_exposure_buffer_pct,
        quote_age_ns=int(policy.staleness.quote_age_s * SECOND_NS),
        candle_age_ns=int(policy.staleness.candle_age_s * SECOND_NS),
        transport_lag_ns=int(policy.staleness.transport_lag_s * SECOND_NS),
        max_spread_bps=policy.execution.hard_max_spread_bps,
        max_move_sigma=policy.breakers.max_move_sigma,
        max_stop_loss_pct=policy.strategy.max_stop_loss_pct,
        depth_multiple=risk.require_depth_mult,
        max_slippage_bps=risk.max_expected_slippage_bps,
        max_api_errors=policy.breakers.max_consecutive_api_errors,
        api_error_window_ns=policy.breakers.api_error_window_s * SECOND_NS,
        max_volatility_pct=policy.breakers.max_realized_volatility_pct,
        min_eligible=universe.min_eligible_assets,
        protective_exits_when_halted=risk.protective_exits_when_halted,
        live_enabled=policy.mode is not Mode.LIVE or policy.live_trading_enabled,
        sizing=policy.sizing.method,
        fixed_size_usd=policy.sizing.fixed_size_usd,
        min_order_usd=policy.sizing.min_order_usd,
        max_order_usd=policy.sizing.max_order_usd,
        bump_to_min=policy.sizing.bump_to_min,
        pyramiding=risk.allow_pyramiding,
        pyramid_cooldown_ns=risk.pyramid_cooldown_s * SECOND_NS,
        max_adds_per_day=risk.max_adds_per_asset_per_day,
        adds_when_full=risk.allow_adds_when_over_cap,
        max_pyramids=risk.max_pyramid_positions,
        adds_first=risk.adds_first,
        orders_take_slots=risk.orders_take_slots,
        canary_maker_only=policy.strategy.canary.maker_only,
        maker_fee_bps=policy.fees.maker_fee_bps,
        taker_fee_bps=policy.fees.taker_fee_bps,
        venue_fees=policy.fees.source is FeeSource.VENUE,
        maker_floor_bps=policy.fees.maker_fee_bps,
        taker_floor_bps=policy.fees.taker_fee_bps,
        maker_ttls_s=maker_ttls_s(policy.execution),
        exit_at_market=policy.exits.at_market,
        exit_first_bps=policy.exits.slippage_tolerance_bps,
        exit_retry_bps=policy.exits.retry_step_bps,
        exit_retry_steps=policy.exits.retry_steps,
    )


def _regime(policy: Policy, regime: Regime) -> RegimeRow:
    """One regime's multiplier, slots and allocations."""
    row, mults = policy.regime.row(regime), policy.universe.scale(regime).allocation_mults
    first, second, third = (
        tier.max_allocation_pct * mult for tier, mult in zip(policy.universe.tiers, mults, strict=True)
    )
    return RegimeRow(
        regime=regime,
        multiplier=row.position_size_multiplier,
        max_positions=row.max_positions,
        allocations_pct=(first, second, third),
    )


def role(context: Context) -> Role[Risk]:
    """The only way from a wish to an order."""
    return Role(
        step=step,
        initial=partial(
            Risk,
            limits=limits(context.policy),
            shadow=shadow_rules(context.policy),
            pace_ns=context.run.pace_ns,
        ),
        accepts=(
            Quote,
            FeedState,
            ProductsKnown,
            PortfolioView,
            OrderUpdate,
            IntentDone,
            FillApplied,
            ExitWanted,
            ProposalBatch,
            OperatorOrder,
            WhatIf,
            EpochChanged,
            LaneLoad,
            WatchdogSeen,
            VenueHealth,
            StoreTrouble,
            UniverseView,
            FeesKnown,
            QueryFailed,
            Pause,
            Resume,
            ConfigDrift,
            ClockJumped,
            ClearCooldown,
            ActorExited,
            PeakReset,
            PositionsRebuilt,
        ),
        store_prefixes=(STORE_PREFIX,),
    )
