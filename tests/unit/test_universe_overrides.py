"""What may stand in for a floor: the force list, tier 2's band, near misses; each for its own check only (U1)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.instants import DAY_NS
from protocol.policy_universe import BandRow, NearMiss
from protocol.strategy import Asset
from tests.support.desk_scenes import BTC, DOGE, ETH, LINK, NOON_NS, SOL, XRP, policy, quote
from tests.support.universe_rig import Rig, shipped, tier_products

pytestmark = pytest.mark.req("U1")

D = Decimal
FIRST, SECOND, _ = policy().universe.tiers
BAND = BandRow(
    lower_mult=D("0.95"),
    max_spread_bps=D(30),
    min_listing_age_s=30 * 86_400,
    require_depth_mult=D(12),
    slippage_budget_bps=D(35),
)
NEAR = NearMiss(tolerance_share=D("0.1"), max_per_tier=2)
OLD_NS, YOUNG_NS = NOON_NS - 31 * DAY_NS, NOON_NS - 29 * DAY_NS


def with_tier(number, near=None, **changes):
    tiers = tuple(replace(t, **changes) if t.tier == number else t for t in shipped().bounds.tiers)
    return Rig(tiers=tiers, near=near)


def rows(found):
    return {c.code: (c.passed, c.value, c.limit) for c in found.checks}


# --- force list ---------------------------------------------------------------------------------------------------


def forced():
    return with_tier(1, forced=frozenset({BTC}))


def test_a_forced_product_skips_its_volume_and_the_row_says_so():
    found = forced().volume(BTC, 5).found(BTC)
    assert isinstance(found, Asset)
    assert found.overrides == ("force_eligible_core_asset",)
    assert rows(found)["volume"] == (False, 5.0, float(FIRST.min_24h_volume_usd))


FORCED_ALL_THE_SAME = {
    "spread": lambda rig: rig.tell(quote(BTC, "90", "110")),
    "depth": lambda rig: rig.tell(quote(BTC, bid_depth_usd=D(1), ask_depth_usd=D(1))),
    "product_disabled": lambda rig: rig.rules(BTC, status="offline"),
    "no_market_data": lambda rig: rig.rules(BTC, volume_24h_usd=None),
}


@pytest.mark.parametrize(("reason", "act"), FORCED_ALL_THE_SAME.items(), ids=FORCED_ALL_THE_SAME)
def test_nothing_else_is_skipped(reason, act):
    rig = forced()
    act(rig)
    assert rig.why(BTC) == reason


def test_who_is_not_on_the_list_has_a_floor():
    assert forced().volume(ETH, 5).why(ETH) == "volume"


# --- tier 2's band ------------------------------------------------------------------------------------------------


def banded(share="0.97", listed_ns=OLD_NS, near=None):
    rig = with_tier(2, near=near, band=BAND)
    return rig.rules(DOGE, volume_24h_usd=SECOND.min_24h_volume_usd * D(share), listed_ns=listed_ns)


BANDS = {
    "everything holds": (banded, 10_000, "eligible"),
    "at the band's lower end": (lambda: banded("0.95"), 10_000, "eligible"),
    "below the band": (lambda: banded("0.9499"), 10_000, "volume"),
    "a spread at its bound": (lambda: banded().tell(quote(DOGE, "99.85", "100.15")), 10_000, "eligible"),
    "a spread above it, which the tier itself allows": (
        lambda: banded().tell(quote(DOGE, "99.84", "100.16")),
        10_000,
        "override_spread",
    ),
    "listed for a month": (lambda: banded(listed_ns=NOON_NS - 30 * DAY_NS), 10_000, "eligible"),
    "listed for less": (lambda: banded(listed_ns=YOUNG_NS), 10_000, "override_listing_age"),
    "nobody knows since when": (lambda: banded(listed_ns=None), 10_000, "override_listing_age"),
    "twelve times our order": (  # 1 % of 1,000,000 is 10,000
        lambda: banded().tell(quote(DOGE, bid_depth_usd=D(60_000), ask_depth_usd=D(60_000))),
        1_000_000,
        "eligible",
    ),
    "less than that": (
        lambda: banded().tell(quote(DOGE, bid_depth_usd=D(60_000), ask_depth_usd=D(59_999))),
        1_000_000,
        "override_depth_multiple",
    ),
    "nobody knows our order's size": (banded, None, "override_depth_multiple"),
    "all depth on the other side": (
        lambda: banded().tell(quote(DOGE, bid_depth_usd=D(200_000), ask_depth_usd=D(9_999))),
        1_000_000,
        "override_slippage",
    ),
}


@pytest.mark.parametrize(("make", "nav", "expected"), BANDS.values(), ids=BANDS)
def test_band(make, nav, expected):
    assert make().why(DOGE, nav) == expected


def test_a_product_in_the_band_says_what_stood_in_for_volume():
    found = banded().found(DOGE, 10_000)
    assert found.overrides == ("override_volume",)
    assert not rows(found)["volume"][0]
    passed = {code for code, (ok, *_) in rows(found).items() if ok}
    assert {"override_spread", "override_listing_age", "override_depth_multiple", "override_slippage"} <= passed


def test_a_product_that_fails_in_the_band_is_no_near_miss_instead():
    assert banded(listed_ns=YOUNG_NS, near=NEAR).why(DOGE, 10_000) == "override_listing_age"
    assert banded("0.94", listed_ns=YOUNG_NS, near=NEAR).why(DOGE, 10_000) == "eligible"


def test_the_shipped_band_and_near_misses_are_off():
    assert (SECOND.band, policy().universe.near_miss) == (None, None)
    assert Rig().volume(DOGE, SECOND.min_24h_volume_usd * D("0.99")).why(DOGE, 10_000) == "volume"


# --- near misses --------------------------------------------------------------------------------------------------


def near(*products, share="0.9"):
    rig = Rig(near=NEAR)
    for product in products:
        rig.volume(product, rig.state.settings.bounds.tiers[0].min_volume_usd * D(share))
    return rig


def test_a_near_miss_passes_at_its_tolerance_and_not_below():
    assert near(BTC).found(BTC).overrides == ("override_volume",)
    assert near(BTC, share="0.8999").why(BTC) == "volume"


def test_two_a_tier_and_no_third():
    rig = near(BTC, ETH, SOL)
    assert [rig.why(p) for p in (BTC, ETH, SOL)] == ["eligible", "eligible", "volume"]
    assert rows(rig.found(SOL))["override_volume"] == (False, 2.0, 2.0)


def test_each_tier_has_its_own_count():
    rig = near(BTC, ETH)
    for product in (DOGE, XRP, LINK):
        rig.volume(product, SECOND.min_24h_volume_usd * D("0.95"))
    assert [rig.why(p) for p in (BTC, ETH, DOGE, XRP, LINK)] == ["eligible"] * 4 + ["volume"]


def test_depth_may_be_a_near_miss_too_and_counts():
    rig = near(BTC)
    thin = FIRST.min_depth_usd * D("0.9") / 2
    for product in (ETH, SOL):
        rig.tell(quote(product, bid_depth_usd=thin, ask_depth_usd=thin))
    assert rig.found(ETH).overrides == ("override_depth",)
    assert rig.why(SOL) == "depth"
    rig.tell(quote(ETH, bid_depth_usd=thin, ask_depth_usd=thin - 1))
    assert [rig.why(p) for p in (ETH, SOL)] == ["depth", "eligible"]


def test_a_near_miss_excluded_for_something_else_uses_nothing_up():
    rig = near(BTC, ETH, SOL).tell(quote(BTC, "90", "110"))
    assert [rig.why(p) for p in (BTC, ETH, SOL)] == ["spread", "eligible", "eligible"]


@given(st.lists(st.decimals("0.85", "1.1", places=3), min_size=11, max_size=11), st.integers(0, 4))
def test_never_more_near_misses_than_a_tier_may_have(shares, most):
    rig = Rig(near=NearMiss(tolerance_share=D("0.1"), max_per_tier=most))
    products = tier_products(2)
    for product, share in zip(products, shares, strict=True):
        rig.volume(product, SECOND.min_24h_volume_usd * share)
    found = [rig.found(p) for p in products]
    expected = sum(share >= D("0.9") for share in shares if share < 1)
    assert sum(isinstance(f, Asset) and bool(f.overrides) for f in found) == min(expected, most)
    assert sum(isinstance(f, Asset) for f in found) == sum(share >= 1 for share in shares) + min(expected, most)
