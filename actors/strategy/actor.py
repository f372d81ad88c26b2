"""The strategy host's role, with scan and strategies from the policy."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

from actors.runtime.role import Context, Role
from actors.strategy.base import Budget
from actors.strategy.core import Host, HostSettings, StepFunction
from actors.strategy.indicators.hours import Lookbacks
from actors.strategy.library.breakout import Breakout
from actors.strategy.library.canary import CanaryRules
from actors.strategy.library.conviction import Weights
from actors.strategy.library.entries import EntryRules
from actors.strategy.library.mean_reversion import MeanReversion
from actors.strategy.library.momentum import Momentum
from actors.strategy.library.rules_engine import RulesEngine, RulesSettings
from actors.strategy.library.sizes import SizeRules
from actors.strategy.loading import Loader, Made
from actors.strategy.running import Shelf, Watch, unwatched
from actors.strategy.triggers.fallback import FallbackRules
from actors.strategy.triggers.guards import GuardRules
from actors.strategy.triggers.modular import ModularRules
from actors.strategy.triggers.scan import ScanRules
from actors.strategy.triggers.signals import Thresholds, TriggerRules
from protocol.market import CandleClosed, CandleHistory
from protocol.money import ONE, bps_of
from protocol.policy import Policy
from protocol.policy_strategy import StrategyRow
from protocol.policy_triggers import TriggerPolicy
from protocol.strategy import CycleOpened, EndAlpha, Regime, StrategySwitches


def scan_rules(policy: Policy) -> ScanRules:
    """What the scan needs of the policy; a regime without thresholds allows nothing."""
    triggers, fallback, modular = policy.triggers, policy.triggers.fallback, policy.triggers.modular
    return ScanRules(
        regimes={regime.value: _thresholds(policy, regime) for regime in Regime},
        triggers=_trigger_rules(triggers),
        guards=_guard_rules(triggers),
        fallback=FallbackRules(
            enabled=fallback.enabled,
            min_streak=fallback.min_streak,
            relax_share=fallback.relax_share,
            max_new=fallback.max_new,
            allow_downside=fallback.allow_downside,
        ),
        modular=ModularRules(
            enabled=modular.enabled,
            momentum_trending_pct=modular.momentum_trending_pct,
            momentum_pct=modular.momentum_pct,
            deviation_pct=modular.deviation_pct,
        ),
        only_upside=triggers.only_upside,
        min_score=triggers.min_score,
        min_confidence=triggers.min_confidence,
        max_triggers=triggers.max_triggers_per_cycle,
    )


def _trigger_rules(triggers: TriggerPolicy) -> TriggerRules:
    return TriggerRules(
        breakout_hours=triggers.breakout_lookback_h,
        slope_pct_h=triggers.trend.min_slope_pct_h,
        bounce_pct=triggers.bounce_min_pct,
        z_max=triggers.z_max,
        z_hours=triggers.z_lookback_h,
        ema_hours=triggers.trend.ema_h,
        slope_hours=triggers.trend.slope_h,
        worst_tier=triggers.z_worst_tier,
        higher_low=triggers.higher_low,
        rsi_cross=triggers.rsi_cross,
    )


def _guard_rules(triggers: TriggerPolicy) -> GuardRules:
    return GuardRules(
        outlier=triggers.outlier_enabled,
        atr_filter=triggers.atr_filter_enabled,
        max_deviation_pct=triggers.outlier_max_deviation_pct,
        min_volume_ratio=triggers.outlier_min_volume_ratio,
        outlier_lookback=triggers.outlier_lookback_bars,
        synthetic_max_pct=triggers.synthetic_minutes_max_pct,
    )


def lookbacks(triggers: TriggerPolicy) -> Lookbacks:
    """How far the figures of hourly candles reach."""
    return Lookbacks(
        breakout=triggers.breakout_lookback_h,
        outlier=triggers.outlier_lookback_bars,
        atr=triggers.atr_lookback_bars,
        z_score=triggers.z_lookback_h,
        ema=triggers.trend.ema_h,
        slope=triggers.trend.slope_h,
    )


def _thresholds(policy: Policy, regime: Regime) -> Thresholds:
    row, found = policy.triggers.threshold(regime), policy.regime.row(regime)
    if row is None:
        return Thresholds(move_15m_pct=0.0, move_60m_pct=0.0, volume_ratio=0.0, atr_min_mult=0.0, allowed=())
    return Thresholds(
        move_15m_pct=row.move_15m_pct,
        move_60m_pct=row.move_60m_pct,
        volume_ratio=row.volume_ratio,
        atr_min_mult=row.atr_min_mult,
        allowed=found.allowed_signals,
        confidence_boost=found.signal_confidence_boost,
        slope_pct_h=policy.triggers.trend.own_pct_h(regime),
    )


def rules_settings(policy: Policy) -> RulesSettings:
    """What the rules strategy needs of the policy."""
    strategy = policy.strategy
    t1, t2, t3 = policy.universe.tiers
    return RulesSettings(
        entries=EntryRules(dip_pct=strategy.momentum_downside_reversal_pct, reversion=strategy.reversion),
        sizes=SizeRules(
            tier_size_pct=strategy.tier_base_pct,
            risk_per_trade_pct=strategy.risk_per_trade_pct,
            max_stop_pct=strategy.max_stop_loss_pct,
            wild=strategy.wild,
        ),
        weights=Weights(
            base=strategy.conviction_base,
            strength=strategy.conviction_strength_weight,
            confidence=strategy.conviction_confidence_weight,
            boosts=strategy.boosts,
        ),
        canary=CanaryRules(
            policy=strategy.canary, max_spread_bps=(t1.max_spread_bps, t2.max_spread_bps, t3.max_spread_bps)
        ),
        signs=strategy.reversal_signs,
        min_score=strategy.min_score,
        multipliers={row.regime.value: row.position_size_multiplier for row in policy.regime.rows},
    )


def library(policy: Policy) -> Mapping[str, Made]:
    """How each strategy that comes with the program is made from its parameters."""
    return {
        "rules_engine": lambda _: RulesEngine(rules_settings(policy)),
        "momentum": lambda parameters: Momentum(**parameters),
        "mean_reversion": lambda parameters: MeanReversion(**parameters),
        "breakout": lambda parameters: Breakout(**parameters),
    }


def settings(policy: Policy) -> HostSettings:
    """What the host needs of the policy."""
    strategy, regimes = policy.strategy, policy.regime.rows
    return HostSettings(
        products=policy.universe.traded,
        scan=scan_rules(policy),
        look=lookbacks(policy.triggers),
        tune=policy.auto_tune,
        min_conviction=strategy.min_conviction,
        thresholds={row.regime.value: row.min_conviction for row in strategy.regime_convictions},
        multipliers={row.regime.value: row.position_size_multiplier for row in regimes},
        tier_base_pct=strategy.tier_base_pct,
        tier_cap_pct=policy.risk.tier_cap_pct,
        max_stop_pct=strategy.max_stop_loss_pct,
        min_notional_usd=strategy.min_notional_usd,
        canary=strategy.canary,
        clamp_usd=_least_usd(policy) if strategy.clamp_small_trades else None,
        clamp_pct=policy.risk.min_position_size_pct,
        dedupe=strategy.dedupe,
        budgets=tuple(_budget(row) for row in strategy.strategies),
        max_total=strategy.max_total_proposals_per_cycle,
        live=tuple(row.name for row in strategy.strategies if row.enabled and not row.shadow),
    )


def _least_usd(policy: Policy) -> Decimal:
    """The smallest purchase that is worth sending, its fee on top, as risk reckons it."""
    least = max(policy.risk.min_trade_notional_usd, policy.sizing.min_order_usd)
    return least / (ONE - bps_of(ONE, policy.fees.maker_fee_bps))


def _budget(row: StrategyRow) -> Budget:
    return Budget(
        name=row.name,
        max_trades_per_cycle=row.max_trades_per_cycle,
        max_at_risk_pct=Decimal(row.max_at_risk_pct),
        time_s=row.time_budget_s,
    )


def role(
    context: Context, watch: Watch = unwatched, ticks_ns: Callable[[], int] = lambda: 0, accused: str = ""
) -> Role[Host]:
    """Where strategies run, in a process of their own.

    Args:
        context: of that process.
        watch: ends the process when a strategy takes too long (`guard.Guard.watch`).
        ticks_ns: a stopwatch.
        accused: the strategy that ran when the process before this one ended.
    """
    policy = context.policy
    load = Loader(policy.strategy.strategies, library(policy), context.run.state_dir / "strategies")
    return Role(
        step=StepFunction(Shelf(load, watch, ticks_ns), accused),
        initial=partial(Host, settings=settings(policy)),
        accepts=(CandleClosed, CandleHistory, CycleOpened, StrategySwitches, EndAlpha),
        journaled=False,
    )
