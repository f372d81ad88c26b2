"""Bars of every granularity are aggregates of the same minutes, whatever was recorded."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actors.venue.candles import HOUR_S, MINUTE_S, Bar, Block, Series, merge
from actors.venue.catalogue import LISTINGS
from actors.venue.synthetic_past import simple_past

START_S = 1_790_000_000 // HOUR_S * HOUR_S


@st.composite
def blocks(draw):
    """A block of 1 to 60 minutes with any legal open, high, low, close and volume."""
    count = draw(st.integers(1, 60))
    first, last = draw(st.integers(50, 20_000)), draw(st.integers(50, 20_000))
    high = max(first, last) + draw(st.integers(0, 3000))
    low = max(min(first, last) - draw(st.integers(0, 3000)), 1)
    lots = draw(st.integers(count, 10**15))
    return Block(Bar(START_S, first, high, low, last, lots), count * MINUTE_S, draw(st.integers(0, 2**32)))


@given(blocks())
def test_minutes_drawn_from_a_block_add_up_to_it(block):
    minutes = block.minutes()
    assert len(minutes) == block.length_s // MINUTE_S
    assert merge(START_S, minutes) == block.total
    for bar in minutes:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.lots > 0
    assert block.minutes() == minutes


@given(blocks(), st.integers(0, 2**16), st.integers(1, 300))
def test_coarser_bars_are_aggregates_of_finer_ones(block, seed, count):
    series, random = Series([block]), Random(seed)
    time_s = START_S + block.length_s
    for _ in range(count):
        time_s += random.randint(0, 90)
        series.record(random.randint(1, 20_000), random.randint(1, 1000), time_s)
    every = (START_S, time_s)
    fine = series.bars(MINUTE_S, *every)
    for granularity_s in (300, 900, 3600, 7200, 86_400):
        for bar in series.bars(granularity_s, every[0] - 86_400, every[1]):
            inside = [b for b in fine if bar.start_s <= b.start_s < bar.start_s + granularity_s]
            assert bar == merge(bar.start_s, inside)


def test_a_made_up_past_is_continuous_and_ends_where_it_should():
    listing = LISTINGS["LINK-USD"]
    for seed in range(5):
        series = Series(simple_past(listing, START_S + 1234, 20.0, seed))
        bars = series.bars(900, 0, START_S + 1234)
        assert abs(series.close * float(listing.price_increment) - 20.0) < 0.001
        for before, after in pairwise(bars):
            assert before.close == after.open, seed
            assert before.start_s + 900 == after.start_s
