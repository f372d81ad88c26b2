"""From checked configuration to what strategies are held to and given."""

from config.files import Config
from config.schema_market import StrategyEntry
from config.schema_policy import Canary, HighVolatility, QualityBoosts, ReversionTrade
from protocol import policy_strategy as resolved
from protocol.strategy import Regime

_HOUR_S = 3600


def strategy_policy(config: Config) -> resolved.StrategyPolicy:
    """Switches, budgets, sizes, conviction and what else the rules strategy reads."""
    strategy, weights = config.policy.strategy, config.policy.strategy.conviction_weights
    sizes, confirmation = strategy.base_position_pct, strategy.reversal_confirmation
    return resolved.StrategyPolicy(
        strategies=tuple(_strategy_row(name, row) for name, row in sorted(config.strategies.strategies.items())),
        max_total_proposals_per_cycle=config.strategies.global_.max_total_proposals_per_cycle,
        tier_base_pct=(sizes.tier1, sizes.tier2, sizes.tier3),
        risk_per_trade_pct=config.policy.position_sizing.risk_per_trade_pct,
        max_stop_loss_pct=config.policy.risk.stop_loss_pct,
        min_notional_usd=config.policy.risk.min_trade_notional_usd,
        min_conviction=float(strategy.min_conviction_to_propose),
        momentum_downside_reversal_pct=float(strategy.momentum_downside_reversal_pct),
        conviction_base=float(weights.base),
        conviction_strength_weight=float(weights.trigger_strength),
        conviction_confidence_weight=float(weights.trigger_confidence),
        boosts=_boosts(weights.quality_boosts),
        regime_convictions=tuple(
            resolved.RegimeConviction(regime=Regime(name), min_conviction=float(least))
            for name, least in sorted(strategy.min_conviction_by_regime.items())
        ),
        reversal_signs=confirmation.min_required if confirmation.enforce else 0,
        canary=_canary(strategy.canary),
        wild=_wild(strategy.high_volatility),
        reversion=_reversion(strategy.mean_reversion),
        min_score=float(config.policy.triggers.min_score),
        clamp_small_trades=config.policy.execution.clamp_small_trades,
        dedupe=config.strategies.global_.dedupe_by_symbol,
    )


def _strategy_row(name: str, entry: StrategyEntry) -> resolved.StrategyRow:
    return resolved.StrategyRow(
        name=name,
        enabled=entry.enabled,
        max_at_risk_pct=entry.risk_budgets.max_at_risk_pct,
        max_trades_per_cycle=entry.risk_budgets.max_trades_per_cycle,
        shadow=entry.shadow,
        class_name=entry.class_,
        path=entry.path,
        time_budget_s=entry.time_budget_ms / 1000,
        parameters=tuple(sorted(entry.parameters.items())),
    )


def _boosts(boosts: QualityBoosts) -> resolved.QualityBoosts:
    return resolved.QualityBoosts(
        close_above_vwap=float(boosts.reversal_close_above_vwap_5m),
        higher_low=float(boosts.reversal_higher_low),
        rsi_cross_50=float(boosts.reversal_rsi_cross_50),
        bounce_confirmed=float(boosts.reversal_bounce_confirmed),
        tier_1=float(boosts.tier_bias_T1),
    )


def _canary(canary: Canary) -> resolved.CanaryPolicy:
    depths = canary.min_depth_usd
    return resolved.CanaryPolicy(
        enabled=canary.enabled,
        window=float(canary.window),
        tiers=tuple(int(tier.removeprefix("T")) for tier in sorted(canary.require_tier_in)),
        size_mult=canary.size_multiplier,
        min_depth_usd=(depths.tier1, depths.tier2, depths.tier3),
        maker_only=canary.maker_only,
    )


def _wild(rule: HighVolatility) -> resolved.WildMarket:
    return resolved.WildMarket(
        lookback_min=rule.lookback_minutes,
        move_pct=float(rule.move_threshold_pct),
        size_mult=rule.size_reduction_factor,
    )


def _reversion(trade: ReversionTrade) -> resolved.ReversionTargets:
    return resolved.ReversionTargets(
        stop_atr=trade.stop_atr, take_profit_atr=trade.take_profit_atr, max_hold_s=trade.max_hold_hours * _HOUR_S
    )
