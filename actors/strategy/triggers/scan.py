"""One product's candles through guards and triggers (pipeline.md §5): the best signal, or the rule that ended it."""

from collections.abc import Callable, Sequence

from actors.strategy.base import MarketWindow
from actors.strategy.indicators.bars import synthetic_share_pct, volatility_pct
from actors.strategy.triggers import signals
from actors.strategy.triggers.signals import Refusal, Signal
from protocol.base import Value
from protocol.ids import ProductId
from protocol.strategy import Passed, Regime, Trigger


class Thresholds(Value, frozen=True, kw_only=True):
    """One regime's thresholds, per cent and multiples, and the triggers that are allowed in it."""

    move_15m_pct: float
    move_60m_pct: float
    atr_min_mult: float
    allowed: tuple[str, ...]


class ScanRules(Value, frozen=True, kw_only=True):
    """What the scan holds signals against."""

    regimes: dict[str, Thresholds]
    breakout_hours: int
    min_score: float
    min_confidence: float
    max_triggers: int
    max_deviation_pct: float
    min_volume_ratio: float
    outlier_lookback: int
    synthetic_max_pct: float


def scan(
    windows: Sequence[MarketWindow], regime: Regime, rules: ScanRules
) -> tuple[tuple[Trigger, ...], tuple[Passed, ...]]:
    """Every product's best trigger, strongest first, cut to the cycle's maximum; and why the others gave none."""
    limits = rules.regimes[regime.value]
    found: list[Trigger] = []
    passed: list[Passed] = []
    for window in windows:
        outcome = best(window, regime, limits, rules)
        if isinstance(outcome, Trigger):
            found.append(outcome)
        else:
            passed.append(_passed(window.product_id, outcome))
    found.sort(key=lambda t: (-t.score, t.product_id))
    kept, cut = found[: rules.max_triggers], found[rules.max_triggers :]
    limit = float(rules.max_triggers)
    passed += [
        Passed(product_id=t.product_id, stage="trigger", code="max_triggers", value=t.score, limit=limit) for t in cut
    ]
    return tuple(kept), tuple(passed)


def best(window: MarketWindow, regime: Regime, limits: Thresholds, rules: ScanRules) -> Trigger | Refusal:
    """Guards first, then every allowed trigger; the one with the largest score that clears the minima."""
    refused = _guards(window, limits, rules)
    if refused is not None:
        return refused
    outcomes = _fired(window, regime, limits, rules)
    fired = [s for s in outcomes if isinstance(s, Signal)]
    if not fired:
        quiet = [s for s in outcomes if isinstance(s, Refusal)]
        return quiet[0] if quiet else Refusal(code="regime_allows_no_trigger", value=None, limit=None)
    top = max(fired, key=lambda s: (s.strength * s.confidence, s.kind))
    score = top.strength * top.confidence
    if score < rules.min_score:
        return Refusal(code="min_score", value=score, limit=rules.min_score)
    if top.confidence < rules.min_confidence:
        return Refusal(code="min_confidence", value=top.confidence, limit=rules.min_confidence)
    return _trigger(window, top)


def _guards(window: MarketWindow, limits: Thresholds, rules: ScanRules) -> Refusal | None:
    share = synthetic_share_pct(window.quarters)
    if share > rules.synthetic_max_pct:
        return Refusal(code="synthetic_minutes", value=share, limit=rules.synthetic_max_pct)
    far = signals.outlier(window.hours, rules.max_deviation_pct, rules.min_volume_ratio, rules.outlier_lookback)
    return far or signals.atr_filter(window.hours, limits.atr_min_mult)


def _fired(window: MarketWindow, regime: Regime, limits: Thresholds, rules: ScanRules) -> list[Signal | Refusal]:
    tests: dict[str, Callable[[], Signal | Refusal]] = {
        "price_move": lambda: signals.price_move(window.quarters, limits.move_15m_pct, limits.move_60m_pct),
        "breakout": lambda: signals.breakout(window.hours, rules.breakout_hours),
        "momentum": lambda: signals.momentum(window.hours, regime.value),
    }
    return [test() for name, test in tests.items() if name in limits.allowed]


def _trigger(window: MarketWindow, signal: Signal) -> Trigger:
    return Trigger(
        product_id=window.product_id,
        kind=signal.kind,
        strength=signal.strength,
        confidence=signal.confidence,
        change_pct=signal.change_pct,
        price=window.hours[-1].close,
        volatility_pct=volatility_pct(window.hours),
        metrics=signal.metrics,
    )


def _passed(product: ProductId, refused: Refusal) -> Passed:
    return Passed(product_id=product, stage="trigger", code=refused.code, value=refused.value, limit=refused.limit)
