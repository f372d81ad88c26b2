"""Books equal a plain dict, candles a plain aggregation, whatever comes in whatever order."""

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.feed.book import Book
from actors.feed.candles import LONGER_S, MINUTE_S, Candles
from protocol.coinbase.websocket import L2Update
from protocol.instants import SECOND_NS

# Within 5 % of the first prices, so that nothing is out of what a book holds; on a grid of the venue's kind.
PRICES = st.integers(9_800, 10_200).map(lambda cents: f"{cents / 100:.2f}".rstrip("0").rstrip("."))
SIZES = st.one_of(
    st.sampled_from(["0", "0.0", "00.00"]), st.integers(1, 10**9).map(lambda n: str(Decimal(n).scaleb(-8)))
)
ROWS = st.builds(
    lambda side, price, size: L2Update(side=side, price_level=price, new_quantity=size),
    st.sampled_from(["bid", "offer"]),
    PRICES,
    SIZES,
)
ANCHORS = (
    L2Update(side="bid", price_level="100", new_quantity="1"),
    L2Update(side="offer", price_level="100.01", new_quantity="1"),
)


def plain(rows):
    sides = {"bid": {}, "offer": {}}
    for row in rows:
        sides[row.side][Decimal(row.price_level)] = Decimal(row.new_quantity)
    return {side: {p: s for p, s in levels.items() if s} for side, levels in sides.items()}


def held(half):
    return {Decimal(row.price_level): Decimal(row.new_quantity) for row in half.levels.values()}


def plain_depth(levels, mid, *, bids):
    edge = float(mid) * (1 - 0.002 if bids else 1 + 0.002)
    return sum(p * s for p, s in levels.items() if (float(p) >= edge if bids else float(p) <= edge))


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS, max_size=40), st.lists(st.lists(ROWS, min_size=1, max_size=12), max_size=12), st.data())
def test_book_equals_a_plain_dict(loaded, batches, data):
    book, seen = Book(), [*ANCHORS, *loaded]
    snapshot = [
        L2Update(side=s, price_level=str(p), new_quantity=str(q)) for s, m in plain(seen).items() for p, q in m.items()
    ]
    cut = data.draw(st.integers(0, len(snapshot)))
    book.load(snapshot[:cut])
    book.load(snapshot[cut:])
    book.settle()
    seen = snapshot
    for batch in batches:
        book.apply(batch)
        seen = seen + batch
        want = plain(seen)
        assert (held(book.bids), held(book.asks)) == (want["bid"], want["offer"])
        assert book.two_sided == bool(want["bid"] and want["offer"])
        if not book.two_sided:
            continue
        bid, ask = max(want["bid"]), min(want["offer"])
        assert (Decimal(book.bids.best.price_level), Decimal(book.asks.best.price_level)) == (bid, ask)
        assert book.crossed == (bid >= ask)
        if data.draw(st.booleans()):
            mid = (float(bid) + float(ask)) / 2
            ours = book.depth()
            wanted = (plain_depth(want["bid"], mid, bids=True), plain_depth(want["offer"], mid, bids=False))
            assert all(b - a < Decimal("1.001") and a - b < Decimal("0.001") for a, b in zip(ours, wanted, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(60)))
def test_snapshot_may_come_in_any_order(order):
    rows = [L2Update(side="bid", price_level=str(100 - 0.1 * i), new_quantity="1") for i in order]
    book = Book()
    book.load(rows)
    book.settle()
    assert [row.price_level for row in (book.bids.best,)] == ["100.0"]
    assert {float(row.price_level) for row in book.bids.levels.values()} == {
        100 - 0.1 * i for i in range(60) if 100 - 0.1 * i >= 95
    }


@pytest.mark.parametrize("digits", ["0.000012345678901234", "123456789012345", "99999.9999999999"])
def test_long_prices_keep_their_order_and_text(digits):
    lower, price = Decimal(digits), Decimal(digits)
    lower -= Decimal(1).scaleb(price.as_tuple().exponent)
    book = Book()
    book.load([L2Update(side="bid", price_level=f"{p:f}", new_quantity="1") for p in (price, lower)])
    book.settle()
    assert len(book.bids.levels) == 2
    assert Decimal(book.bids.best.price_level) == price


TRADES = st.lists(st.tuples(st.integers(0, 20 * 60 - 1), st.integers(1, 10**6), st.integers(1, 10**6)), max_size=120)


@settings(max_examples=80, deadline=None)
@given(TRADES, st.randoms(use_true_random=False))
def test_candles_equal_a_plain_aggregation(trades, chance):
    """Trades come shuffled within their minute and some twice; ids rise with time, as at the venue."""
    base_s = 1_790_000_100 // 3600 * 3600
    rows = [(base_s * SECOND_NS + s * SECOND_NS, n, p / 100, q / 1000) for n, (s, p, q) in enumerate(sorted(trades))]
    minutes = defaultdict(list)
    for row in rows:
        minutes[row[0] // SECOND_NS // MINUTE_S * MINUTE_S].append(row)
    candles = Candles(base_s * SECOND_NS)
    candles.resumed((base_s - 1) * SECOND_NS, 7.0)
    closed = []
    for minute in range(base_s, base_s + 20 * 60, MINUTE_S):
        mail = minutes[minute] + chance.sample(minutes[minute], len(minutes[minute]) // 2)
        chance.shuffle(mail)
        for row in mail:
            candles.trade(*row)
        out, asked = candles.close(candles.next_due_ns())
        assert [span for span in asked if span.granularity_s == MINUTE_S] == []
        closed += out
    for length in (MINUTE_S, *LONGER_S[:2]):
        ours = [candle.bar for candle in closed if candle.granularity_s == length]
        starts = range(base_s, base_s + 20 * 60 // length * length, length)
        assert [bar.start_s for bar in ours] == list(starts)
        for bar in ours:
            inside = [row for row in rows if bar.start_s <= row[0] // SECOND_NS < bar.start_s + length]
            prices = [row[2] for row in inside]
            assert bar.synthetic == (not inside)
            assert bar.volume == pytest.approx(sum(row[3] for row in inside))
            if inside:
                assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
            else:
                last = [row[2] for row in rows if row[0] // SECOND_NS < bar.start_s]
                assert bar.close == (last[-1] if last else 7.0)
