"""Whatever a venue lists, discovery keeps its limits, ranks by volume alone and invents nothing (pipeline.md §3)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.universe.discovery import discover, undiscovered
from protocol.discovery import DiscoveryRules, Listing, Source, TierFloor
from protocol.ids import ProductId

D = Decimal
STABLE, BARRED = "USDT", ProductId("C3-USD")
FALLBACK = tuple(map(ProductId, ("C1-USD", "C2-USD", "C3-USD", "C4-USD")))
AMOUNTS = st.one_of(st.none(), st.decimals(0, 200, places=2, allow_nan=False))
BASES = st.one_of(st.integers(1, 40).map(lambda n: f"C{n}"), st.just(STABLE))


@st.composite
def listings(draw):
    """One product: often fit, sometimes without this or that."""
    price = draw(AMOUNTS)
    half = draw(st.decimals(0, D("0.02"), places=4))
    quoted = price is not None and draw(st.integers(0, 9)) > 0
    base = draw(BASES)
    return Listing(
        product_id=ProductId(f"{base}-USD"),
        base=base,
        tradable=draw(st.integers(0, 9)) > 0,
        status="online",
        price=price,
        bid=price * (1 - half) if quoted else None,
        ask=price * (1 + half) if quoted else None,
        volume_24h_usd=draw(AMOUNTS),
    )


@st.composite
def rules(draw):
    floors = sorted(draw(st.lists(st.integers(1, 150), min_size=3, max_size=3)), reverse=True)
    most = draw(st.lists(st.integers(1, 6), min_size=3, max_size=3))
    return DiscoveryRules(
        tiers=tuple(TierFloor(max_products=m, min_volume_usd=D(f)) for m, f in zip(most, floors, strict=True)),
        max_products=draw(st.integers(1, 15)),
        max_spread_bps=D(80),
        min_price_usd=D("0.50"),
        stable_coins=(STABLE,),
        fallback=FALLBACK,
    )


def listed(rows):
    return {row.product_id: row for row in rows}


CATALOGUES = st.lists(listings(), max_size=40, unique_by=lambda row: row.product_id)


@pytest.mark.req("U1")
@given(rows=CATALOGUES, rules=rules())
def test_whatever_is_listed_the_limits_hold_and_the_ranking_is_kept(rows, rules):
    found = discover(rows, rules, frozenset({BARRED}), 1)
    assert len(found.chosen) == len(set(found.chosen)) <= rules.max_products
    assert BARRED not in found.chosen
    if found.source is Source.FALLBACK:
        return
    for tier, floor in zip(found.tiers, rules.tiers, strict=True):
        volumes = [listed(rows)[product].volume_24h_usd for product in tier]
        assert len(tier) <= floor.max_products
        assert volumes == sorted(volumes, reverse=True)
        assert all(volume >= floor.min_volume_usd for volume in volumes)
    for product in found.chosen:
        row = listed(rows)[product]
        assert (row.tradable, row.base != STABLE, row.price >= rules.min_price_usd) == (True, True, True)
        assert (row.ask - row.bid) / ((row.ask + row.bid) / 2) * 10_000 <= 80


@pytest.mark.req("U1")
@given(rows=CATALOGUES, rules=rules())
def test_every_product_is_chosen_or_left_out_for_a_reason_and_none_for_a_smaller_one(rows, rules):
    found = discover(rows, rules, frozenset({BARRED}), 1)
    out = {left.product_id: left for left in found.left_out}
    if found.source is Source.VENUE:
        assert set(out).isdisjoint(found.chosen)
        assert {*out, *found.chosen} == set(listed(rows))
        for left in (left for left in out.values() if left.reason == "rank"):
            takes = [t for t, f in zip(found.tiers, rules.tiers, strict=True) if left.value >= f.min_volume_usd]
            assert all(listed(rows)[p].volume_24h_usd >= left.value for tier in takes for p in tier)
    for left in (left for left in out.values() if left.limit is not None):
        assert left.value > left.limit if left.reason == "spread" else left.value < left.limit


@given(rows=CATALOGUES, rules=rules(), data=st.data())
def test_the_order_of_the_listing_tells_nothing(rows, rules, data):
    other = data.draw(st.permutations(rows))
    assert discover(rows, rules, frozenset(), 1) == discover(other, rules, frozenset(), 1)


@pytest.mark.req("U1")
@given(rows=CATALOGUES, rules=rules())
def test_without_a_first_tier_the_fallback_stands_in_and_says_so(rows, rules):
    found = discover(rows, rules, frozenset({BARRED}), 1)
    if found.source is Source.VENUE:
        assert found.tiers[0]
        assert found.detail == ""
        return
    known = [product for product in FALLBACK if product in listed(rows)] or list(FALLBACK)
    most = min(rules.tiers[0].max_products, rules.max_products)
    assert found.tiers == (tuple(p for p in known if p != BARRED)[:most], (), ())
    assert "tier 1" in found.detail


@given(rules=rules())
def test_without_a_listing_there_is_the_fallback_and_the_reason(rules):
    found = undiscovered(rules, frozenset({BARRED}), "HTTP 500", 7)
    assert (found.source, found.detail, found.at_ns, found.left_out) == (Source.FALLBACK, "HTTP 500", 7, ())
    assert set(found.chosen) <= set(FALLBACK) - {BARRED}
