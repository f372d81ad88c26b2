"""Membership by volume: patience in both directions, one count a build, kept over restarts, cached by regime (U1)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.universe import hysteresis
from actors.universe.core import RECORD_KEY
from actors.universe.hysteresis import Standing
from protocol.effects import Commit, LogLine, Tell
from protocol.lifecycle import CommitFailed
from protocol.policy_universe import VolumeSteps
from protocol.strategy import UniverseWanted
from tests.support.desk_scenes import BTC, DOGE, ETH, policy, product_rules
from tests.support.universe_rig import Rig, shipped, week

pytestmark = pytest.mark.req("U1")

FLOOR = policy().universe.tiers[0].min_24h_volume_usd
STEPS = policy().universe.volume_steps
BELOW, BETWEEN, ABOVE = FLOOR * Decimal("0.94"), FLOOR * Decimal("0.96"), FLOOR


def test_the_shipped_patience():
    assert VolumeSteps(enter_mult=Decimal(1), exit_mult=Decimal("0.95"), enter_builds=3, exit_builds=3) == STEPS


LIVES = {
    "in at the first build": ([ABOVE], ["eligible"]),
    "out at the first build": ([BETWEEN], ["volume"]),
    "in after three builds in a row": (
        [BELOW, ABOVE, ABOVE, ABOVE],
        ["volume", "volume_unconfirmed", "volume_unconfirmed", "eligible"],
    ),
    "one quiet build begins the row again": (
        [BELOW, ABOVE, ABOVE, BETWEEN, ABOVE, ABOVE, ABOVE],
        ["volume", *["volume_unconfirmed"] * 2, "volume", *["volume_unconfirmed"] * 2, "eligible"],
    ),
    "out after three builds in a row": ([ABOVE, BELOW, BELOW, BELOW], ["eligible"] * 3 + ["volume"]),
    "between the bounds nothing changes": ([ABOVE, *[BETWEEN] * 5], ["eligible"] * 6),
    "one build between the bounds begins the row again": (
        [ABOVE, BELOW, BELOW, BETWEEN, BELOW, BELOW],
        ["eligible"] * 6,
    ),
    "at the lower bound itself it stays": ([ABOVE, *[FLOOR * Decimal("0.95")] * 5], ["eligible"] * 6),
}


@pytest.mark.parametrize(("volumes", "expected"), LIVES.values(), ids=LIVES)
def test_coming_and_going(volumes, expected):
    rig, seen = Rig(), []
    for volume in volumes:
        seen.append(rig.volume(BTC, volume).why(BTC))
        rig.later(1)
    assert seen == expected


@given(st.lists(st.sampled_from([BELOW, BETWEEN, ABOVE]), min_size=1, max_size=30))
def test_patience_is_what_the_last_three_builds_say(volumes):
    """Against its plain definition: the last run of three equal words decides, until then the first build does."""
    standing = hysteresis.first(volumes[0], FLOOR, STEPS)
    assert standing.member is (volumes[0] >= ABOVE)
    expected = standing.member
    for index, volume in enumerate(volumes[1:], start=1):
        standing = hysteresis.advance(standing, volume, FLOOR, STEPS)
        last = volumes[max(index - 2, 1) : index + 1]
        if len(last) == 3 and all(v < FLOOR * STEPS.exit_mult for v in last):
            expected = False
        if len(last) == 3 and all(v >= FLOOR for v in last):
            expected = True
        assert standing.member is expected
        assert 0 <= standing.builds < 3


def test_cycles_within_the_refresh_time_are_one_build():
    rig = Rig().volume(BTC, BELOW)
    assert rig.why(BTC) == "volume"
    rig.volume(BTC, ABOVE)
    assert {rig.later(0.1).why(BTC) for _ in range(9)} == {"volume"}
    assert rig.later(0.2).why(BTC) == "volume_unconfirmed"


def test_spread_depth_and_age_are_those_of_the_moment_while_membership_is_cached():
    rig = Rig()
    assert rig.why(BTC) == "eligible"
    rig.tell(replace(rig.state.quotes[BTC], bid_depth_usd=Decimal(1), ask_depth_usd=Decimal(1)))
    assert rig.why(BTC) == "depth"
    rig.tell(replace(rig.state.quotes[BTC], bid=Decimal(90)))
    assert rig.why(BTC) == "spread"
    rig.now_ns += rig.settings.bounds.quote_age_ns + 1
    assert rig.why(BTC) == "no_market_data"


def test_hard_failures_act_at_once_and_cost_no_membership():
    rig = Rig()
    assert rig.why(BTC) == "eligible"
    assert rig.later(1).rules(BTC, status="offline").why(BTC) == "product_disabled"
    assert rig.rules(BTC).why(BTC) == "eligible"


def test_membership_is_cached_by_regime_with_the_regimes_own_floor():
    rig = Rig().volume(BTC, FLOOR * Decimal("1.1")).tell(week(0))
    first = rig.found(BTC)
    assert first.checks[2].code == "volume"
    assert first.checks[2].limit == float(FLOOR)
    bear = rig.tell(week(-7)).found(BTC)
    (row,) = [c for c in bear.checks if c.code == "volume"]
    assert (row.passed, row.limit) == (False, float(FLOOR * Decimal("1.2")))  # a member still: out after three builds
    bull = rig.tell(week(15)).found(BTC)
    (row,) = [c for c in bull.checks if c.code == "volume"]
    assert (row.passed, row.limit) == (True, float(FLOOR * Decimal("0.9")))
    built = rig.state.snapshots
    rig.later(0.5).tell(week(0)).view()
    assert rig.state.snapshots == built


def test_a_product_whose_volume_comes_late_joins_at_once():
    rig = Rig().rules(BTC, volume_24h_usd=None)
    assert rig.why(BTC) == "no_market_data"
    assert rig.volume(BTC, ABOVE).why(BTC) == "eligible"


def test_what_was_counted_is_kept_over_a_restart_which_is_no_build_itself():
    rig = Rig().volume(BTC, BELOW)
    rig.view()
    rig.later(1).volume(BTC, ABOVE)
    assert rig.why(BTC) == "volume_unconfirmed"
    for _ in range(5):
        assert rig.restart().why(BTC) == "volume_unconfirmed"
        assert rig.state.record.standings[BTC] == Standing(member=False, builds=1)
    rig.later(1)
    assert rig.why(BTC) == "volume_unconfirmed"
    assert rig.later(1).why(BTC) == "eligible"


def test_nothing_is_written_while_nothing_changes():
    rig = Rig()
    rig.view()
    assert (rig.writes, list(rig.store)) == (1, [RECORD_KEY])
    for _ in range(6):
        rig.later(0.5).view()
    assert rig.writes == 1
    rig.later(1).volume(ETH, BELOW).view()
    assert rig.writes == 2


def test_what_changed_is_durable_before_anybody_hears_of_it():
    rig = Rig()
    rig.view()
    kinds = [type(e) for e in rig.effects]
    assert kinds.index(Commit) < kinds.index(Tell)


def test_a_write_that_failed_changes_nothing_and_is_said():
    rig = Rig()
    before = rig.state
    rig.tell(CommitFailed(number=1, detail="disk"))
    assert rig.state == before
    assert [e.event for e in rig.effects if isinstance(e, LogLine)] == ["universe_not_kept"]


def test_a_crash_builds_nothing_and_forgets_nothing():
    rig = Rig().tell(week(0))
    rig.view()
    rig.later(5).tell(week(-12)).volume(BTC, BELOW)
    assert rig.why(BTC) == "regime_tier_zero"
    assert rig.state.record.standings[BTC] == Standing(member=True)


def test_the_regime_is_kept_over_a_restart_so_that_no_crash_is_slept_through():
    rig = Rig().tell(week(-12))
    assert rig.why(BTC) == "regime_tier_zero"
    assert rig.restart().why(BTC) == "regime_tier_zero"  # no candles yet: nothing speaks for leaving
    rig.tell(week(0))
    assert rig.why(BTC) == "regime_tier_zero"
    assert rig.why(BTC) == "eligible"


def test_a_tier_a_regime_gives_nothing_is_out_as_a_whole():
    base = shipped()
    scales = tuple(replace(s, allocation_mults=(*s.allocation_mults[:1], Decimal(0), Decimal(0))) for s in base.scales)
    rig = Rig(replace(base, scales=scales))
    assert (rig.why(BTC), rig.why(DOGE)) == ("eligible", "regime_tier_zero")


def test_an_asset_carries_its_allocation_in_this_regime():
    rig = Rig().tell(week(0))
    assert [rig.found(p).max_allocation_pct for p in (BTC, DOGE)] == [40, 16]
    rig.tell(week(-7))
    assert [rig.found(p).max_allocation_pct for p in (BTC, DOGE)] == [40, 10]
    rig.tell(week(15))
    assert [rig.found(p).max_allocation_pct for p in (BTC, DOGE)] == [40, 24]


def test_base_units_are_never_a_volume():
    rig = Rig()
    rules = product_rules(BTC, volume_24h_usd=None, base_max_size=Decimal(10**12))
    rig.rules(BTC, volume_24h_usd=rules.volume_24h_usd)
    rig.tell(UniverseWanted(cycle=1))
    assert rig.why(BTC) == "no_market_data"
