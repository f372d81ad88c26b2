"""Loosening in a drought of triggers (pipeline.md §9): once, in memory, to its floors, gone with the first trigger."""

import pytest
from msgspec.structs import replace

from actors.strategy.overlay import Drought, follow, loosened, said
from protocol.strategy import Overlay
from tests.support.desk_scenes import policy

RULES = replace(policy().auto_tune, allowed=True)
FRESH = Drought()
BASE = Overlay(move_15m_pct=2.0, move_60m_pct=4.0, min_conviction=0.40)


def lived(cycles, triggers=0, *, rules=RULES, base=BASE, state=FRESH):
    for _ in range(cycles):
        state = follow(state, triggers, base, rules)
    return state


def test_a_drought_loosens_once_in_memory_and_a_trigger_ends_it():
    assert lived(RULES.zero_trigger_cycles - 1).overlay is None
    loose = lived(RULES.zero_trigger_cycles)
    assert loose.overlay == Overlay(move_15m_pct=1.8, move_60m_pct=3.7, min_conviction=0.38)
    assert lived(100, state=loose).overlay == loose.overlay, "once a drought, however long it lasts"
    assert lived(1, triggers=1, state=loose) == Drought()
    again = lived(RULES.zero_trigger_cycles, state=lived(1, triggers=1, state=loose))
    assert again.overlay == loose.overlay, "made from what is configured, never from an overlay"


def test_nothing_is_loosened_beyond_its_floor_and_nothing_below_one_is_tightened():
    near = Overlay(move_15m_pct=1.3, move_60m_pct=2.6, min_conviction=0.31)
    assert loosened(near, RULES) == Overlay(move_15m_pct=1.2, move_60m_pct=2.5, min_conviction=0.30)
    below = Overlay(move_15m_pct=1.0, move_60m_pct=2.0, min_conviction=0.25)
    assert loosened(below, RULES) == below


def test_where_it_is_not_allowed_no_drought_loosens_anything():
    assert lived(1000, rules=replace(RULES, allowed=False)).overlay is None


@pytest.mark.parametrize("loose", [True, False])
def test_the_log_tells_both_ends(loose):
    dry, wet = lived(RULES.zero_trigger_cycles), Drought()
    (line,) = said(wet, dry) if loose else said(dry, wet)
    assert line.event == ("thresholds_loosened" if loose else "thresholds_restored")
    assert said(dry, dry) == said(wet, wet) == ()
