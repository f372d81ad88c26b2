"""Loosening of thresholds in a drought of triggers (pipeline.md §9): an overlay in memory over what is configured.

Pure. It is laid on once per drought, told in every record while it lies, and taken away when a trigger comes back;
nothing is ever written to a file, and in LIVE it does not exist unless the configuration says so.
"""

from msgspec.structs import replace

from actors.strategy.triggers.scan import ScanRules
from protocol.base import Effects, Value
from protocol.effects import LogLine
from protocol.policy_triggers import AutoTunePolicy
from protocol.strategy import Overlay, Regime

LOOSENED = Regime.CHOP.value
"""The one regime whose thresholds give way."""


class Drought(Value, frozen=True, kw_only=True):
    """Cycles in a row without a trigger, and what was laid over the configuration because of them."""

    cycles: int = 0
    overlay: Overlay | None = None


def follow(state: Drought, triggers: int, base: Overlay, rules: AutoTunePolicy) -> Drought:
    """Count one finished cycle with that many triggers.

    Args:
        state: as of the cycle before.
        triggers: how many this cycle had.
        base: what is configured; the overlay is always made from it, never from an overlay.
        rules: when and how far to loosen.
    """
    if triggers > 0:
        return Drought()
    cycles = state.cycles + 1
    if state.overlay is not None or not rules.allowed or cycles < rules.zero_trigger_cycles:
        return replace(state, cycles=cycles)
    return Drought(cycles=cycles, overlay=loosened(base, rules))


def loosened(base: Overlay, rules: AutoTunePolicy) -> Overlay:
    """The configured thresholds moved by their deltas, not beyond their floors, and never tightened."""
    return Overlay(
        move_15m_pct=_down(base.move_15m_pct, rules.move_15m_delta_pct, rules.move_15m_floor_pct),
        move_60m_pct=_down(base.move_60m_pct, rules.move_60m_delta_pct, rules.move_60m_floor_pct),
        min_conviction=_down(base.min_conviction, rules.min_conviction_delta, rules.min_conviction_floor),
    )


def _down(value: float, delta: float, floor: float) -> float:
    return min(value, max(round(value + delta, 9), floor))


def said(before: Drought, after: Drought) -> Effects:
    """The log tells when thresholds are loosened, and when they stand again."""
    if before.overlay is None and after.overlay is not None:
        fields = (("cycles", str(after.cycles)), ("overlay", str(after.overlay)))
        return (LogLine(level="warning", event="thresholds_loosened", fields=fields),)
    if before.overlay is not None and after.overlay is None:
        return (LogLine(level="info", event="thresholds_restored", fields=(("cycles", str(before.cycles)),)),)
    return ()


def configured(rules: ScanRules, min_conviction: float) -> Overlay:
    """What an overlay is laid over."""
    limits = rules.regimes[LOOSENED]
    return Overlay(move_15m_pct=limits.move_15m_pct, move_60m_pct=limits.move_60m_pct, min_conviction=min_conviction)


def laid_over(rules: ScanRules, overlay: Overlay | None) -> ScanRules:
    """The rules of a scan under an overlay."""
    if overlay is None:
        return rules
    limits = replace(rules.regimes[LOOSENED], move_15m_pct=overlay.move_15m_pct, move_60m_pct=overlay.move_60m_pct)
    return replace(rules, regimes={**rules.regimes, LOOSENED: limits})
