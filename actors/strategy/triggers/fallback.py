"""When too many scans in a row found nothing: smaller price moves count (pipeline.md §5.4). Pure."""

from msgspec.structs import replace

from actors.strategy.triggers.signals import Case, Outcome, Refusal, Signal, moved
from protocol.base import Value

LEAST_RELAX, MOST_RELAX = 0.0, 0.9


class FallbackRules(Value, frozen=True, kw_only=True):
    """After more than `min_streak` empty scans thresholds shrink by `relax_share`; `max_new` signals are kept."""

    enabled: bool
    min_streak: int
    relax_share: float
    max_new: int
    allow_downside: bool


def relaxed(case: Case, rules: FallbackRules) -> Outcome:
    """A price move at relaxed thresholds."""
    share = 1.0 - min(max(rules.relax_share, LEAST_RELAX), MOST_RELAX)
    outcome = moved(case, case.limits.move_15m_pct * share, case.limits.move_60m_pct * share)
    if not isinstance(outcome, Signal):
        return tuple(replace(row, code=f"fallback_{row.code}") for row in outcome)
    if outcome.change_pct < 0 and not rules.allow_downside:
        return (Refusal(code="fallback_downside", value=outcome.change_pct, limit=0.0),)
    return replace(outcome, metrics=(*outcome.metrics, ("fallback", 1.0)))
