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
    "reversal": (Decimal(1), Decimal("0.6")),
    "mean_reversion": (Decimal(1), Decimal("0.6")),
}
"""Strength and confidence of each trigger's smallest form (pipeline.md §5.2); of those that grow, what they reach."""


def _reachable(config: Config) -> Iterator[Problem]:
    for kind in sorted({kind for row in _rows(config) for kind in row.allowed_signals}):
        strength, confidence = _WEAKEST[kind]
        yield from _reached(config, kind, strength, confidence)


def _reached(config: Config, kind: str, strength: Decimal, confidence: Decimal) -> Iterator[Problem]:
    weights, signals = config.policy.strategy.conviction_weights, config.signals.triggers
    conviction = weights.base + weights.trigger_strength * strength + weights.trigger_confidence * confidence
    figures = (
        ("signals.yaml", "triggers.min_trigger_score", signals.min_trigger_score, strength * confidence),
        ("signals.yaml", "triggers.min_trigger_confidence", signals.min_trigger_confidence, confidence),
        (
            "policy.yaml",
            "strategy.min_conviction_to_propose, strategy.conviction_weights",
            config.policy.strategy.min_conviction_to_propose,
            conviction,
        ),
    )
    for file, keys, least, reached in figures:
        if reached < least:
            rule = f"rule 26: {kind} reaches only {plain(reached)}, so that it could fire in vain for ever"
            yield Problem(file=file, key=keys, value=shown(least), rule=rule)


def _convictions(config: Config) -> Iterator[Problem]:
    """Thresholds of single regimes: of regimes that exist, and reachable in them."""
    policy, table = config.policy.strategy, config.policy.regime
    weights, rows = policy.conviction_weights, {"bull": table.bull, "chop": table.chop, "bear": table.bear}
    for name, least in policy.min_conviction_by_regime.items():
        key = f"strategy.min_conviction_by_regime.{name}"
        if name not in rows:
            yield _policy(key, least, f"no regime with entries has this name; there are {', '.join(rows)}")
            continue
        for kind in rows[name].allowed_signals:
            strength, confidence = _WEAKEST[kind]
            reached = weights.base + weights.trigger_strength * strength + weights.trigger_confidence * confidence
            if reached < least:
                yield _policy(key, least, f"rule 26: {kind} reaches only {plain(reached)} in it")


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


def _rows(config: Config) -> tuple[RegimeRow, ...]:
    table = config.policy.regime
    return (table.bull, table.chop, table.bear, table.crash)


def _policy(key: str, value: object, rule: str) -> Problem:
    return Problem(file="policy.yaml", key=key, value=shown(value), rule=rule)


STRATEGY_RULES: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    *(_reachable, _convictions, _canary, _reversion, _strategies),
)
