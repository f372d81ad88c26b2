"""Every eligible product through guards and triggers (pipeline.md §5): the strongest triggers, and all that refused.

Pure. What it costs does not depend on how far triggers look back: their figures were kept as candles closed.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from actors.strategy.indicators.lens import Lens
from actors.strategy.triggers import signals
from actors.strategy.triggers.fallback import FallbackRules, relaxed
from actors.strategy.triggers.guards import GuardRules, guarded
from actors.strategy.triggers.modular import ModularRules, modular
from actors.strategy.triggers.qualifiers import qualifiers
from actors.strategy.triggers.signals import Case, Outcome, Refusal, Signal, Thresholds, TriggerRules
from protocol.base import Value
from protocol.ids import ProductId
from protocol.strategy import Passed, Regime, Trigger

REVERSALS = {"reversal", "mean_reversion"}
"""Entries against a fall: what confirms them is told."""
DIGITS = 12
TRIGGERS: dict[str, Callable[[Case], Outcome]] = {
    "price_move": signals.price_move,
    "volume_spike": signals.volume_spike,
    "breakout": signals.breakout,
    "reversal": signals.reversal,
    "momentum": signals.momentum,
    "mean_reversion": signals.mean_reversion,
}


class ScanRules(Value, frozen=True, kw_only=True):
    """What the scan holds signals against. `only_upside`: a falling move is no signal."""

    regimes: dict[str, Thresholds]
    triggers: TriggerRules
    guards: GuardRules
    fallback: FallbackRules
    modular: ModularRules
    only_upside: bool
    min_score: float
    min_confidence: float
    max_triggers: int


class Candidate(Value, frozen=True, kw_only=True):
    """An eligible product and what is known of it; `lens` None: no candles."""

    product_id: ProductId
    tier: int
    lens: Lens | None


class Found(Value, frozen=True, kw_only=True):
    """The triggers, strongest first; why the other products gave none; and how many scans in a row found nothing."""

    triggers: tuple[Trigger, ...]
    passed: tuple[Passed, ...]
    streak: int


class Look(Value, frozen=True, kw_only=True):
    """One product, looked at: its best signal, or everything that refused. `free`: no guard did."""

    case: Case
    product_id: ProductId
    signal: Signal | None
    refused: tuple[Refusal, ...]
    free: bool


def scan(candidates: Sequence[Candidate], regime: Regime, rules: ScanRules, streak: int = 0) -> Found:
    """Every product's best trigger, strongest first, cut to the cycle's maximum; and why the others gave none.

    Args:
        candidates: the eligible products.
        regime: decides thresholds, allowed triggers and what is added to confidence.
        rules: what signals are held against.
        streak: scans in a row that found nothing, before this one.
    """
    blind = tuple(_unknown(c.product_id) for c in candidates if c.lens is None)
    limits = rules.regimes[regime.value]
    looks = [
        _look(c, Case(lens=c.lens, tier=c.tier, regime=regime, limits=limits, rules=rules.triggers), rules)
        for c in candidates
        if c.lens is not None
    ]
    streak = 0 if any(look.signal for look in looks) else streak + 1
    if streak > rules.fallback.min_streak and rules.fallback.enabled:
        looks, streak = _fallback(looks, rules, streak)
    triggers = sorted((_trigger(k, k.signal) for k in looks if k.signal), key=lambda t: (-t.score, t.product_id))
    kept, cut = triggers[: rules.max_triggers], triggers[rules.max_triggers :]
    passed = [_passed(look.product_id, row) for look in looks if look.signal is None for row in look.refused]
    passed += [_cut(trigger, rules.max_triggers) for trigger in cut]
    return Found(triggers=tuple(kept), passed=(*blind, *passed), streak=streak)


def _look(candidate: Candidate, case: Case, rules: ScanRules) -> Look:
    guards = guarded(case.lens, rules.guards, case.limits.atr_min_mult)
    fired, missed = _split(_outcomes(case, rules))
    signal, weak = _best(fired, case.limits, rules)
    return Look(
        case=case,
        product_id=candidate.product_id,
        signal=None if guards else signal,
        refused=(*guards, *missed, *weak),
        free=not guards,
    )


def _outcomes(case: Case, rules: ScanRules) -> list[Outcome]:
    """Of every allowed trigger. A reversal is looked for where nothing breaks out (pipeline.md §5.2)."""
    allowed = case.limits.allowed
    if not allowed:
        return [(Refusal(code="regime_allows_no_trigger", value=None, limit=None, detail=case.regime.value),)]
    found = {kind: TRIGGERS[kind](case) for kind in allowed}
    if isinstance(found.get("breakout"), Signal):
        found.pop("reversal", None)
    return [*found.values(), modular(case, rules.modular)] if rules.modular.enabled else list(found.values())


def _split(outcomes: Iterable[Outcome]) -> tuple[list[Signal], list[Refusal]]:
    fired: list[Signal] = []
    missed: list[Refusal] = []
    for outcome in outcomes:
        if isinstance(outcome, Signal):
            fired.append(outcome)
        else:
            missed += outcome
    return fired, missed


def _best(fired: Iterable[Signal], limits: Thresholds, rules: ScanRules) -> tuple[Signal | None, list[Refusal]]:
    """The signal of the largest strength x confidence among those that reach the minima; why others do not."""
    good: list[Signal] = []
    weak: list[Refusal] = []
    for signal in fired:
        surer = min(max(round(signal.confidence + limits.confidence_boost, DIGITS), 0.0), 1.0)
        judged = replace(signal, confidence=surer)
        refused = _too_weak(judged, rules)
        weak += refused
        if not refused:
            good.append(judged)
    return max(good, key=lambda s: (_score(s), s.kind), default=None), weak


def _too_weak(signal: Signal, rules: ScanRules) -> list[Refusal]:
    score = round(_score(signal), DIGITS)
    refused: list[Refusal] = []
    if score < rules.min_score:
        refused.append(Refusal(code="min_score", value=score, limit=rules.min_score, detail=signal.kind))
    if signal.confidence < rules.min_confidence:
        limit = rules.min_confidence
        refused.append(Refusal(code="min_confidence", value=signal.confidence, limit=limit, detail=signal.kind))
    if rules.only_upside and signal.change_pct < 0:
        refused.append(Refusal(code="only_upside", value=signal.change_pct, limit=0.0, detail=signal.kind))
    return refused


def _fallback(looks: list[Look], rules: ScanRules, streak: int) -> tuple[list[Look], int]:
    """Looks with the best relaxed price moves in them, and the streak that follows (pipeline.md §5.4)."""
    again = [_relaxed(look, rules) for look in looks]
    hits = sorted((look for look in again if look.signal), key=lambda k: (-_score(k.signal), k.product_id))
    kept = {look.product_id for look in hits[: rules.fallback.max_new]}
    return [look if look.product_id in kept else _one_too_many(look, rules) for look in again], 0 if kept else streak


def _relaxed(look: Look, rules: ScanRules) -> Look:
    if not look.free or "price_move" not in look.case.limits.allowed:
        return look
    fired, missed = _split([relaxed(look.case, rules.fallback)])
    signal, weak = _best(fired, look.case.limits, rules)
    return replace(look, signal=signal, refused=(*look.refused, *missed, *weak))


def _one_too_many(look: Look, rules: ScanRules) -> Look:
    if look.signal is None:
        return look
    row = Refusal(code="fallback_max_new", value=_score(look.signal), limit=float(rules.fallback.max_new))
    return replace(look, signal=None, refused=(*look.refused, row))


def _score(signal: Signal | None) -> float:
    return signal.strength * signal.confidence if signal is not None else 0.0


def _trigger(look: Look, signal: Signal) -> Trigger:
    hours = look.case.lens.hours.figures
    found = _signs(look.case) if signal.kind in REVERSALS else ()
    return Trigger(
        product_id=look.product_id,
        kind=signal.kind,
        strength=signal.strength,
        confidence=signal.confidence,
        change_pct=signal.change_pct,
        price=hours.close,
        volatility_pct=hours.volatility_pct,
        metrics=signal.metrics,
        qualifiers=found,
    )


def _signs(case: Case) -> tuple[str, ...]:
    rules = case.rules
    return qualifiers(case.lens, rules.bounce_pct, higher_low=rules.higher_low, rsi_cross=rules.rsi_cross)


def _passed(product: ProductId, refused: Refusal) -> Passed:
    return Passed(
        product_id=product,
        stage="trigger",
        code=refused.code,
        value=refused.value,
        limit=refused.limit,
        detail=refused.detail,
    )


def _cut(trigger: Trigger, most: int) -> Passed:
    limit = float(most)
    return Passed(product_id=trigger.product_id, stage="trigger", code="max_triggers", value=trigger.score, limit=limit)


def _unknown(product: ProductId) -> Passed:
    return Passed(product_id=product, stage="data", code="data_unavailable:candles", value=None, limit=None)
