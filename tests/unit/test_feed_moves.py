"""How unusual a mid's move is (requirements O1): windows, samples, seeds, and what a gap forgets."""

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.feed.moves import NO_MEASURE, Moves
from protocol.market import Bar

pytestmark = pytest.mark.req("O1")


def minutes(closes):
    return tuple(Bar(start_s=i * 60, open=c, high=c, low=c, close=c, volume=1.0) for i, c in enumerate(closes))


def wavering(count, pct=0.1):
    """Closes that go up and down by `pct`: moves of that size, whose deviation is about the same."""
    return [100.0 * (1 + pct / 100 * (i % 2)) for i in range(count)]


def seeded(count=61):
    moves = Moves()
    moves.seed(minutes(wavering(count)))
    return moves


def spread(closes):
    return statistics.pstdev((b - a) / a for a, b in pairwise(closes))


@pytest.mark.parametrize(("closes", "known"), [(30, False), (31, True)], ids=["29 moves", "30 moves"])
def test_nothing_is_said_before_thirty_moves_are_known(closes, known):
    assert (seeded(closes).sigma(100.0, 1000) is not None) is known


@pytest.mark.parametrize("sigmas", [-8.0, -6.0, -0.5, 0.0, 0.5, 6.0, 8.0])
def test_a_jump_is_told_in_deviations_whichever_way(sigmas):
    moves, unit = seeded(), spread(wavering(61))
    assert moves.sigma(100.0, 1000) == 0.0
    jumped = 100.0 * (1 + sigmas * unit)
    assert moves.sigma(jumped, 1000) == pytest.approx(abs(max(jumped / 100, 100 / jumped) - 1) / unit, rel=1e-9)


def test_a_slow_move_within_the_window_counts_as_a_whole_and_the_spike_in_it_too():
    moves, unit = seeded(), spread(wavering(61))
    for second in range(50):
        found = moves.sigma(100.0 + 0.02 * second, 1000 + second)
    assert found == pytest.approx((100.98 / 100 - 1) / unit)
    moves.sigma(103.0, 1049)
    assert moves.sigma(100.98, 1050) == pytest.approx((103 / 100.98 - 1) / unit)


@pytest.mark.parametrize(("after_s", "moved"), [(59, True), (61, False)], ids=["within", "beyond"])
def test_a_jump_is_forgotten_after_the_window(after_s, moved):
    moves = seeded()
    moves.sigma(100.0, 1000)
    moves.sigma(101.0, 1001)
    for second in range(1002, 1001 + after_s):
        moves.sigma(101.0, second)
    assert (moves.sigma(101.0, 1001 + after_s - 1 if moved else 1001 + after_s) > 0) is moved


def test_a_mid_that_stood_still_for_long_stands_in_the_window():
    moves = seeded()
    moves.sigma(100.0, 1000)
    assert moves.sigma(101.0, 5000) == pytest.approx(0.01 / moves.spread)


def test_what_happened_while_nobody_looked_is_no_move():
    moves = seeded()
    moves.sigma(100.0, 1000)
    moves.broken()
    assert moves.sigma(150.0, 1010) == 0.0


def test_windows_that_end_are_samples_and_overlapping_ones_are_not():
    moves = Moves()
    for second in range(32 * 60):
        found = moves.sigma(100.0 + (second // 60 % 2) * 0.1, second)
        assert (found is not None) is (second >= 31 * 60)
    moves = Moves(window_s=10, least=12)
    assert [moves.sigma(100.0, second) for second in range(131)][-1] == 0.0


def test_a_market_that_never_moved_cannot_vouch_for_a_move():
    moves = Moves()
    moves.seed(minutes([100.0] * 61))
    assert moves.sigma(100.0, 10) == 0.0
    assert moves.sigma(100.01, 10) == NO_MEASURE


def test_seeds_count_only_where_windows_are_minutes_and_once():
    ten = Moves(window_s=10)
    ten.seed(minutes(wavering(61)))
    assert ten.spread is None
    moves = seeded()
    before = moves.spread
    moves.seed(minutes(wavering(61, pct=5.0)))
    assert moves.spread == before


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.floats(90, 110)), min_size=1, max_size=80))
def test_the_move_is_the_largest_from_any_mid_in_force_within_the_window(steps):
    moves, second, seen = seeded(), 1000, []
    for wait, mid in steps:
        second += wait
        found = moves.sigma(mid, second)
        seen.append((second, mid))
        ends = [at for at, _ in seen[1:]] + [second]  # a mid stands until the next one comes
        held = [m for (_, m), end in zip(seen, ends, strict=True) if end > second - 60]
        largest = max(max(mid / m, m / mid) - 1 for m in held)
        assert found == pytest.approx(largest / moves.spread, rel=1e-9, abs=1e-9)
