"""What must hold between keys that decide what becomes of triggers, and which strategies there are."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from config.files import Config
from config.problems import Problem, shown
from config.schema_policy import RegimeRow
from protocol.money import plain
from protocol.policy_strategy import LIBRARY

_STRATEGY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_QUARTER_MIN = 15
_WEAKEST: dict[str, tuple[Decimal, Decimal]] = {
    "price_move": (Decimal("0.6"), Decimal("0.70")),
    "breakout": (Decimal("0.7"), Decimal("0.8")),
    "momentum": (Decimal(1), Decimal(1)),
    "volume_spike": (Decimal(1), Decimal(1)),
    "reversal": (Decimal("0.5"), Decimal("0.6")),
    "mean_reversion": (Decimal(1), Decimal("0.6")),
}
"""Strength and confidence of each trigger's smallest form (pipeline.md §5.2); of those that grow, what they reach.

A reversal is a recovery of at most 10 %, and its strength a twentieth of it.
"""
_SIGNED = {"reversal", "mean_reversion"}
"""Triggers that the four signs of a reversal may stand beside."""


def _reachable(config: Config) -> Iterator[Problem]:
    """Rule 26, in each regime with its own boost: what is allowed there can pass every threshold."""
    for regime, row in _rows(config).items():
        for kind in sorted(set(row.allowed_signals)):
            strength, confidence = _WEAKEST[kind]
            confidence = min(max(confidence + row.signal_confidence_boost, Decimal(0)), Decimal(1))
            yield from _reached(config, regime, kind, (strength, confidence))


def _reached(config: Config, regime: str, kind: str, weakest: tuple[Decimal, Decimal]) -> Iterator[Problem]:
    (strength, confidence), signals, policy = weakest, config.signals.triggers, config.policy.strategy
    least_key, least = (
        "strategy.min_conviction_to_propose, strategy.conviction_weights",
        policy.min_conviction_to_propose,
    )
    if regime in policy.min_conviction_by_regime:
        least_key, least = f"strategy.min_conviction_by_regime.{regime}", policy.min_conviction_by_regime[regime]
    figures = (
        ("signals.yaml", "triggers.min_trigger_score", signals.min_trigger_score, strength * confidence),
        ("signals.yaml", "triggers.min_trigger_confidence", signals.min_trigger_confidence, confidence),
        ("policy.yaml", "triggers.min_score", config.policy.triggers.min_score, strength * confidence),
        ("policy.yaml", least_key, least, _conviction(config, kind, strength, confidence)),
    )
    for file, keys, bound, reached in figures:
        if reached < bound:
            rule = f"rule 26: in {regime} {kind} reaches only {plain(reached)}, so that it could fire in vain for ever"
            yield Problem(file=file, key=keys, value=shown(bound), rule=rule)


def _conviction(config: Config, kind: str, strength: Decimal, confidence: Decimal) -> Decimal:
    weights, confirm = config.policy.strategy.conviction_weights, config.signals.triggers.reversal_confirm
    boosts = weights.quality_boosts
    signs = (
        boosts.reversal_close_above_vwap_5m
        + boosts.reversal_higher_low * confirm.higher_low_vs_prev
        + boosts.reversal_rsi_cross_50 * confirm.rsi_cross_up_50
        + boosts.reversal_bounce_confirmed
    )
    found = weights.base + weights.trigger_strength * strength + weights.trigger_confidence * confidence
    return min(found + (signs if kind in _SIGNED else 0), Decimal(1))


def _convictions(config: Config) -> Iterator[Problem]:
    """Thresholds of single regimes are of regimes that exist and know entries."""
    names = tuple(name for name in _rows(config) if name != "crash")
    rule = f"no regime with entries has this name; there are {', '.join(names)}"
    for name, least in config.policy.strategy.min_conviction_by_regime.items():
        if name not in names:
            yield _policy(f"strategy.min_conviction_by_regime.{name}", least, rule)
    for name, slope in config.signals.triggers.trend_filter.min_slope_by_regime.items():
        if name not in names:
            key = f"triggers.trend_filter.min_slope_by_regime.{name}"
            yield Problem(file="signals.yaml", key=key, value=shown(slope), rule=rule)


def _signs(config: Config) -> Iterator[Problem]:
    """Rule 26: as many signs as a reversal needs are looked at."""
    needed, confirm = config.policy.strategy.reversal_confirmation, config.signals.triggers.reversal_confirm
    looked_at = 2 + confirm.higher_low_vs_prev + confirm.rsi_cross_up_50
    if needed.enforce and needed.min_required > looked_at:
        rule = f"rule 26: only {looked_at} signs are looked at, so that no reversal could ever be confirmed"
        keys = "strategy.reversal_confirmation.min_required"
        yield _policy(keys, needed.min_required, rule)


def _canary(config: Config) -> Iterator[Problem]:
    canary, least = config.policy.strategy.canary, config.policy.strategy.min_conviction_to_propose
    if canary.enabled and canary.window > least:
        keys = "strategy.canary.window, strategy.min_conviction_to_propose"
        yield _policy(keys, f"{canary.window}, {least}", "rule 26: the window must not begin below zero")
    if config.policy.strategy.high_volatility.lookback_minutes % _QUARTER_MIN:
        value = config.policy.strategy.high_volatility.lookback_minutes
        yield _policy("strategy.high_volatility.lookback_minutes", value, "it is measured in candles of 15 minutes")


def _reversion(config: Config) -> Iterator[Problem]:
    trade = config.policy.strategy.mean_reversion
    if trade.take_profit_atr <= trade.stop_atr:
        keys = "strategy.mean_reversion.take_profit_atr, strategy.mean_reversion.stop_atr"
        value = f"{trade.take_profit_atr}, {trade.stop_atr}"
        yield _policy(keys, value, "rule 3: the target must lie beyond the stop")


def _strategies(config: Config) -> Iterator[Problem]:
    """Each strategy is one of the library or names its class; nobody's budget is above the whole."""
    for name, entry in config.strategies.strategies.items():
        key = f"strategies.{name}"
        if not _STRATEGY.fullmatch(name):
            yield _strategy_problem(key, name, "a strategy's name is of a-z, 0-9 and _, and begins with a letter")
        elif not entry.class_ and name not in LIBRARY:
            known = ", ".join(LIBRARY)
            yield _strategy_problem(f"{key}.class", "missing", f"the library has only {known}; name the class of yours")
        elif not entry.class_ and (entry.path or (entry.parameters and name == LIBRARY[0])):
            yield _strategy_problem(key, name, "neither path nor parameters mean anything to this one of the library")


def _strategy_problem(key: str, value: object, rule: str) -> Problem:
    return Problem(file="strategies.yaml", key=key, value=shown(value), rule=rule)


def _rows(config: Config) -> dict[str, RegimeRow]:
    table = config.policy.regime
    return {"bull": table.bull, "chop": table.chop, "bear": table.bear, "crash": table.crash}


def _policy(key: str, value: object, rule: str) -> Problem:
    return Problem(file="policy.yaml", key=key, value=shown(value), rule=rule)


STRATEGY_RULES: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    *(_reachable, _convictions, _signs, _canary, _reversion, _strategies),
)
