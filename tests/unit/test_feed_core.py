"""One product's feed: when it quotes, when it is stale, what it asks for (fault matrix A, requirements ST1)."""

import time
from decimal import Decimal

import pytest

from actors.feed.core import CLOSE, SLICE, Feed, step
from protocol.coinbase.websocket import L2Update, Trade
from protocol.coinbase.wire import format_rfc3339
from protocol.effects import SetTimer, Tell
from protocol.feed import FeedContinue, FeedData, FeedPulse, FeedReset, Levels, ResyncWanted, Trades
from protocol.instants import MINUTE_NS, SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.market import Bar, CandleClosed, CandleHistory, FeedState, FeedStatus, PublicTrade, Quote
from protocol.venue import CandlesListed, ListCandles, QueryFailed

START_S = 1_790_000_220  # 14:17:00 UTC: a full minute, not a full five
START_NS = START_S * SECOND_NS


def level(side, price, size="1"):
    return L2Update(side=side, price_level=str(price), new_quantity=str(size), event_time="")


BOOK = (level("bid", "99.9"), level("bid", "99"), level("offer", "100.1", "2"), level("offer", "101"))


class Rig:
    """A feed with what it said."""

    def __init__(self, **options):
        self.state = Feed("BTC-USD", "market:0", **options)
        self.now_ns = START_NS
        self.give(Recover())

    def give(self, message, after_s=0.0):
        self.now_ns += int(after_s * SECOND_NS)
        self.state, self.effects = step(self.state, message, self.now_ns)
        return self.effects

    def data(self, *parts, vouched_ns=0, after_s=0.0):
        at_ns = self.now_ns + int(after_s * SECOND_NS)
        return self.give(FeedData(parts=list(parts), vouched_ns=vouched_ns, received_ns=at_ns), after_s)

    def snapshot(self, rows=BOOK, venue_ns=START_NS):
        return self.data(Levels(True, tuple(rows), format_rfc3339(venue_ns)))

    def change(self, *rows, venue_ns=START_NS + 5, **options):
        return self.data(Levels(False, rows, format_rfc3339(venue_ns)), **options)

    def pulse(self, *, alive=True, vouched_ns=0, after_s=0.0):
        return self.give(FeedPulse(alive=alive, vouched_ns=vouched_ns, received_ns=self.now_ns), after_s)

    def live(self):
        self.pulse()
        self.snapshot()
        return self

    def told(self, kind, to=None):
        tells = [e for e in self.effects if isinstance(e, Tell) and isinstance(e.message, kind)]
        return [e.message for e in tells if to in (None, e.to)]

    @property
    def states(self):
        return [(s.status, s.detail) for s in self.told(FeedState, "risk")]

    @property
    def quotes(self):
        return self.told(Quote, "risk")


def test_first_quote_leaves_with_the_snapshot_in_the_texts_of_the_venue():
    rig = Rig().live()
    (quote,) = rig.quotes
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == tuple(map(Decimal, ("99.9", "1", "100.1", "2")))
    assert (quote.bid_depth_usd, quote.ask_depth_usd) == (Decimal(99), Decimal(200))  # whole units, rounded down
    assert rig.told(Quote, "portfolio") == [quote]
    assert rig.states == [(FeedStatus.LIVE, "")]


def test_quotes_leave_when_the_top_moves_the_depth_near_it_changes_and_else_once_per_heartbeat():
    rig = Rig().live()
    rig.change(level("bid", "98"), after_s=1)
    assert rig.quotes == []  # 190 bps away
    rig.change(level("bid", "99.95", "0.5"))
    (moved,) = rig.quotes
    assert (moved.bid, moved.sequence) == (Decimal("99.95"), 3)
    rig.change(level("bid", "99.94", "1"), after_s=0.5)
    assert [q.bid_depth_usd for q in rig.quotes] == [Decimal(249)]
    rig.pulse(after_s=1)
    assert len(rig.quotes) == 1


def test_depth_is_told_at_most_every_half_second_and_never_lost():
    rig = Rig().live()
    rig.change(level("bid", "99.85", "1"), after_s=0.4)
    assert rig.quotes == []
    rig.change(level("bid", "97", "1"), after_s=0.1)
    assert [q.bid_depth_usd for q in rig.quotes] == [Decimal(199)]


@pytest.mark.parametrize("size", ["1x", "1e999", "0x1"])
@pytest.mark.parametrize("price", ["99.95", "99.8"])
def test_a13_a_size_that_turns_out_to_be_none_voids_the_book(price, size):
    rig = Rig().live()
    rig.change(level("bid", price, size), after_s=1)
    assert rig.quotes == []
    assert [s.status for s in rig.told(FeedState, "risk")][-1] is FeedStatus.STALE
    assert len(rig.told(ResyncWanted)) == 1


@pytest.mark.req("ST1")
def test_a_quote_carries_its_last_change_and_how_far_the_connection_vouches():
    rig = Rig().live()
    assert (rig.quotes[0].venue_ns, rig.quotes[0].fresh_ns) == (START_NS, START_NS)
    rig.pulse(vouched_ns=START_NS + 7 * SECOND_NS, after_s=7)
    assert (rig.quotes[0].venue_ns, rig.quotes[0].fresh_ns) == (START_NS, START_NS + 7 * SECOND_NS)
    rig.change(level("bid", "99.95"), venue_ns=START_NS + 8 * SECOND_NS, vouched_ns=START_NS + 9 * SECOND_NS)
    assert (rig.quotes[0].venue_ns, rig.quotes[0].fresh_ns) == (START_NS + 8 * SECOND_NS, START_NS + 9 * SECOND_NS)


@pytest.mark.req("ST1")
def test_one_wrong_stamp_vouches_for_one_frame():
    rig = Rig().live()
    hour_ns = 3600 * SECOND_NS
    rig.change(level("bid", "99.95"), venue_ns=START_NS + hour_ns, vouched_ns=START_NS + hour_ns)
    assert rig.quotes[0].fresh_ns == START_NS + hour_ns
    rig.pulse(vouched_ns=START_NS + 7 * SECOND_NS, after_s=7)
    assert rig.quotes[0].fresh_ns == START_NS + 7 * SECOND_NS


@pytest.mark.req("ST1")
def test_a2_no_heartbeat_no_quote_and_back_without_a_snapshot():
    rig = Rig().live()
    rig.pulse(alive=False, after_s=2.5)
    assert rig.states == [(FeedStatus.STALE, "no heartbeat")]
    rig.change(level("bid", "99.95"))
    assert rig.effects == ()
    rig.pulse()
    assert rig.states == [(FeedStatus.LIVE, "")]
    assert rig.quotes[0].bid == Decimal("99.95")


@pytest.mark.parametrize("status", [FeedStatus.STALE, FeedStatus.SYNCING, FeedStatus.DOWN])
def test_a4_nothing_is_quoted_from_a_void_book_until_its_snapshot(status):
    rig = Rig().live()
    rig.give(FeedReset(status=status, detail="gap", trades_lost=True))
    assert rig.states == [(status, "gap")]
    rig.change(level("bid", "99.95"))
    rig.pulse()
    assert rig.quotes == []
    rig.snapshot((level("bid", "50"), level("offer", "51")))
    assert [q.bid for q in rig.quotes] == [Decimal(50)]


def test_changes_before_the_first_snapshot_are_not_kept():
    rig = Rig()
    rig.pulse()
    rig.change(level("bid", "99.95"))
    rig.snapshot()
    assert [q.bid for q in rig.quotes] == [Decimal("99.9")]


def many(count):
    half = count // 2
    bids = [level("bid", f"{100 - 0.0001 * (i + 1):.4f}") for i in range(half)]
    return (*bids, *(level("offer", f"{100 + 0.0001 * (i + 1):.4f}") for i in range(half)))


def test_a8_snapshot_of_50_000_levels_is_applied_in_slices_with_what_came_meanwhile():
    rig = Rig()
    rig.pulse()
    rows = many(50_000)
    rig.snapshot(rows)
    assert rig.states == [(FeedStatus.SYNCING, "snapshot")]
    slices, longest_ns = 1, 0
    while rig.told(FeedContinue, "feed:BTC-USD"):
        mail = rig.told(FeedContinue)[0]
        if slices == 3:
            rig.change(level("bid", "100.00005"), venue_ns=START_NS + 3)
            assert rig.quotes == []
        begun_ns = time.perf_counter_ns()
        rig.give(mail)
        longest_ns = max(longest_ns, time.perf_counter_ns() - begun_ns)
        slices += 1
    assert slices == len(rows) // SLICE + (len(rows) % SLICE > 0)
    assert [q.bid for q in rig.quotes] == [Decimal("100.00005")]
    assert longest_ns < 60_000_000  # the last slice also orders the whole


def test_a_newer_snapshot_replaces_one_that_is_being_applied():
    rig = Rig()
    rig.pulse()
    rig.snapshot(many(5_000))
    (old,) = rig.told(FeedContinue)
    rig.snapshot()
    assert [q.bid for q in rig.quotes] == [Decimal("99.9")]
    assert rig.give(old) == ()


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", "0", "", "1e400", "abc", "1234567890.1234567"])
@pytest.mark.parametrize("load", [True, False])
def test_a13_prices_that_are_none_void_the_book(price, load):
    rig = Rig().live()
    bad = level("bid", price)
    rig.snapshot((*BOOK, bad)) if load else rig.change(bad)
    assert [s.status for s in rig.told(FeedState, "risk")] == [FeedStatus.STALE]
    assert [e.to for e in rig.effects if isinstance(e, Tell) and isinstance(e.message, ResyncWanted)] == ["market:0"]
    rig.pulse()
    assert rig.quotes == []


@pytest.mark.parametrize("bad", [level("bid", "99", "nan"), level("bid", "99", "-1"), level("ask", "101")])
def test_a13_sizes_and_sides_that_are_none_void_the_book(bad):
    rig = Rig().live()
    rig.change(bad)
    assert len(rig.told(ResyncWanted)) == 1


@pytest.mark.parametrize("bid", ["100.1", "100.2"])
def test_a14_locked_or_crossed_is_stale_until_uncrossed_for_a_second(bid):
    rig = Rig().live()
    rig.change(level("bid", bid))
    assert rig.states == [(FeedStatus.STALE, "crossed")]
    rig.change(level("bid", bid, "0"), after_s=0.3)
    assert rig.effects == ()
    rig.change(level("bid", "99.95"), after_s=0.9)
    assert rig.effects == ()
    rig.pulse(after_s=0.1)
    assert rig.states == [(FeedStatus.LIVE, "")]
    assert rig.quotes[0].bid == Decimal("99.95")


def test_crossed_within_a_batch_is_no_fault():
    rig = Rig().live()
    rig.change(level("bid", "100.5"), level("offer", "100.1", "0"))
    assert [(q.bid, q.ask) for q in rig.quotes] == [(Decimal("100.5"), Decimal(101))]


def test_a_book_that_stays_crossed_asks_for_a_snapshot():
    rig = Rig().live()
    rig.change(level("bid", "100.2"))
    rig.pulse(after_s=0.5)
    assert rig.told(ResyncWanted) == []
    rig.pulse(after_s=0.6)
    assert [w.reason for w in rig.told(ResyncWanted)] == ["crossed"]


def test_one_side_empty_is_stale():
    rig = Rig().live()
    rig.change(level("bid", "99.9", "0"), level("bid", "99", "0"))
    assert rig.states == [(FeedStatus.STALE, "one-sided")]
    rig.change(level("bid", "99.9"))
    assert rig.states == [(FeedStatus.LIVE, "")]


def test_levels_far_away_are_not_held_and_a_snapshot_is_asked_for_before_they_matter():
    rig = Rig()
    rig.pulse()
    rig.snapshot((*BOOK, level("bid", "94"), level("offer", "106")))
    assert len(rig.state.book.bids.levels) == 2
    rig.change(level("offer", "100.1", "0"), level("offer", "101", "0"), level("offer", "103"))
    assert len(rig.quotes) == 1
    rig.change(level("offer", "103", "0"), level("offer", "104.9"))
    rig.pulse(after_s=1)
    assert len(rig.told(ResyncWanted)) == 1
    assert [s.status for s in rig.told(FeedState, "risk")] == [FeedStatus.STALE]


def test_a_side_that_ran_out_of_what_is_held_asks_for_a_snapshot():
    rig = Rig().live()
    rig.change(level("bid", "99.9", "0"), level("bid", "99", "0"))
    rig.pulse(after_s=1)
    assert len(rig.told(ResyncWanted)) == 1


def test_a_side_that_was_never_there_does_not():
    rig = Rig()
    rig.snapshot((level("bid", "99"),))
    rig.pulse(after_s=1)
    assert rig.told(ResyncWanted) == []


def test_removing_a_level_that_is_not_held_is_no_fault():
    rig = Rig().live()
    assert rig.change(level("bid", "98.5", "0"), level("offer", "500", "0")) == ()


# ---- candles


def trade(number, price, second, size="1"):
    stamp = f"2026-09-21T14:{17 + second // 60:02}:{second % 60:02}.25Z"
    return Trade(product_id="BTC-USD", trade_id=str(number), price=str(price), size=size, time=stamp, side="BUY")


def minute(start_s, price):
    return Bar(start_s=start_s, open=price, high=price, low=price, close=price, volume=1.0)


def answered(rig, granularity_s, bars):
    """Let the oldest open question of this granularity be answered."""
    request_id = next(name for name in rig.state.history.questions if f"/{granularity_s}/" in name)
    rig.give(CandlesListed(request_id=request_id, product_id="BTC-USD", granularity_s=granularity_s, bars=bars))


def test_history_is_asked_for_at_start_and_told_to_strategies():
    rig = Rig()
    asked = {q.granularity_s: q for q in rig.told(ListCandles, "gateway")}
    assert {g: (q.end_s - q.start_s) // g + 1 for g, q in asked.items()} == {60: 60, 300: 60, 900: 96, 3600: 200}
    assert all(q.end_s + g <= START_S < q.end_s + 2 * g for g, q in asked.items())
    end = asked[3600].end_s
    answered(rig, 3600, (minute(end - 7200, 5.0), minute(end, 6.0)))
    (history,) = rig.told(CandleHistory, "strategy:host")
    assert [(bar.start_s, bar.close, bar.synthetic) for bar in history.bars] == [
        (end - 7200, 5.0, False),
        (end - 3600, 5.0, True),
        (end, 6.0, False),
    ]
    assert rig.told(CandleHistory, "universe") == []


def test_the_leaders_hours_also_make_the_regime():
    rig = Rig(leader=True)
    answered(rig, 3600, (minute(0, 5.0),))
    assert len(rig.told(CandleHistory, "universe")) == 1
    answered(rig, 900, (minute(0, 5.0),))
    assert rig.told(CandleHistory, "universe") == []


def test_history_that_became_too_old_while_asking_is_asked_for_again():
    rig = Rig()
    rig.give(Wake(timer=CLOSE, due_ns=0), 62)
    answered(rig, 60, ())
    assert rig.told(CandleHistory) == []
    assert [q.end_s for q in rig.told(ListCandles)] == [START_S]


def test_failed_and_unanswered_questions_are_asked_again():
    rig = Rig()
    request_id = next(iter(rig.state.history.questions))
    rig.give(QueryFailed(request_id=request_id, kind="timeout", detail=""))
    assert [e.due_ns - rig.now_ns for e in rig.effects if isinstance(e, SetTimer)] == [5 * SECOND_NS]
    rig.give(Wake(timer="ask", due_ns=0), 5)
    assert [q.request_id for q in rig.told(ListCandles)] == [request_id]
    rig.give(Wake(timer="ask", due_ns=0), 30)
    assert len(rig.told(ListCandles)) == 4


def started_whole():
    """A feed whose trades are whole since before the running minute, and whose history is told."""
    rig = Rig()
    rig.data(Trades(True, (trade(7, 49, -3), trade(8, 50, -2)), START_NS - SECOND_NS))
    for granularity_s in (60, 300, 900, 3600):
        answered(rig, granularity_s, ())
    return rig


def closed(rig):
    return [(c.granularity_s, c.bar) for c in rig.told(CandleClosed, "strategy:host")]


def test_a_minute_closes_by_time_from_trades_that_are_each_counted_once():
    rig = started_whole()
    rig.data(Trades(False, (trade(10, 52, 2), trade(9, 51, 1)), START_NS))
    rig.data(Trades(False, (trade(10, 52, 2), trade(11, 48, 3), trade(12, 50.5, 59)), START_NS))
    rig.give(Wake(timer=CLOSE, due_ns=0), 61)
    assert closed(rig) == []
    rig.give(Wake(timer=CLOSE, due_ns=0), 0.5)
    bar = Bar(start_s=START_S, open=51.0, high=52.0, low=48.0, close=50.5, volume=4.0)
    assert closed(rig) == [(60, bar)]
    assert rig.told(ListCandles) == []


@pytest.mark.req("ST1")
def test_a_quiet_minute_closes_synthetic_at_the_last_price():
    rig = started_whole()
    rig.give(Wake(timer=CLOSE, due_ns=0), 61.5)
    bar = Bar(start_s=START_S, open=50.0, high=50.0, low=50.0, close=50.0, volume=0.0, synthetic=True)
    assert closed(rig) == [(60, bar)]


def test_a_late_trade_changes_nothing():
    rig = started_whole()
    rig.give(Wake(timer=CLOSE, due_ns=0), 61.5)
    rig.data(Trades(False, (trade(9, 51, 30),), START_NS))
    rig.give(Wake(timer=CLOSE, due_ns=0), 60)
    assert [bar.volume for _, bar in closed(rig)] == [0.0]


def test_a_minute_with_a_gap_comes_from_rest_and_later_ones_wait_for_it():
    rig = started_whole()
    rig.data(Trades(False, (trade(9, 51, 1),), START_NS))
    whole_ns = START_NS + 20 * SECOND_NS
    rig.give(FeedReset(status=FeedStatus.STALE, detail="gap", trades_lost=True, whole_ns=whole_ns))
    rig.data(Trades(False, (trade(14, 57, 61),), START_NS))
    rig.give(Wake(timer=CLOSE, due_ns=0), 61.5)
    assert rig.told(ListCandles) == []  # the venue's REST needs a moment
    rig.give(Wake(timer="ask", due_ns=0), 5)
    (asked,) = rig.told(ListCandles)
    assert (asked.granularity_s, asked.start_s, asked.end_s) == (60, START_S, START_S)
    rig.give(Wake(timer=CLOSE, due_ns=0), 60)
    assert closed(rig) == []
    answered(rig, 60, (minute(START_S, 55.0),))
    assert [(bar.start_s, bar.close) for _, bar in closed(rig)] == [(START_S, 55.0), (START_S + 60, 57.0)]


def test_a_lost_minute_without_trades_at_the_venue_is_quiet():
    rig = started_whole()
    rig.give(FeedReset(status=FeedStatus.DOWN, detail="closed", trades_lost=True))
    rig.give(Wake(timer=CLOSE, due_ns=0), 70)
    answered(rig, 60, ())
    assert [(bar.close, bar.synthetic) for _, bar in closed(rig)] == [(50.0, True)]


def test_longer_candles_come_from_minutes_or_where_those_lack_from_rest():
    rig = started_whole()
    five_s = START_S // 300 * 300
    for _ in range((five_s + 300 - START_S) // 60):
        rig.give(Wake(timer=CLOSE, due_ns=0), 60 + (1.5 if rig.now_ns == START_NS else 0))
    assert [granularity for granularity, _ in closed(rig)] == [60]
    rig.give(Wake(timer="ask", due_ns=0), 5)
    assert [(q.granularity_s, q.start_s, q.end_s) for q in rig.told(ListCandles)] == [(300, five_s, five_s)]
    answered(rig, 300, (minute(five_s, 44.0),))
    assert closed(rig) == [(300, minute(five_s, 44.0))]
    rig.now_ns = (five_s + 300) * SECOND_NS + 1_500_000_000
    for _ in range(5):
        rig.give(Wake(timer=CLOSE, due_ns=0), 60)
    assert [(granularity, bar.start_s) for granularity, bar in closed(rig)] == [
        (60, five_s + 540),
        (300, five_s + 300),
    ]


def test_after_hours_of_loss_the_history_is_asked_for_anew():
    rig = started_whole()
    rig.give(FeedReset(status=FeedStatus.DOWN, detail="closed", trades_lost=True))
    rig.give(Wake(timer=CLOSE, due_ns=0), 5 * 3600)
    assert {q.granularity_s for q in rig.told(ListCandles)} == {60, 300, 900, 3600}
    assert rig.state.history.candles.waiting() == []


@pytest.mark.parametrize("bad", [{"price": "NaN"}, {"price": "0"}, {"size": "-1"}, {"trade_id": "x"}, {"time": "now"}])
def test_a13_a_bad_trade_makes_its_minute_a_matter_for_rest(bad):
    rig = started_whole()
    good = {"product_id": "BTC-USD", "trade_id": "9", "price": "1", "size": "1", "time": "2026-09-21T14:17:01Z"}
    rig.data(Trades(False, (Trade(**(good | {"side": "BUY"} | bad)),), START_NS + SECOND_NS))
    rig.give(Wake(timer=CLOSE, due_ns=0), 61.5)
    assert closed(rig) == []
    rig.give(Wake(timer="ask", due_ns=0), 5)
    assert [q.start_s for q in rig.told(ListCandles)] == [START_S]


def test_the_next_close_is_always_set():
    rig = Rig()
    due = [e.due_ns for e in rig.effects if isinstance(e, SetTimer) and e.timer == CLOSE]
    assert due == [START_NS + MINUTE_NS + 1_500_000_000]
    rig.give(Wake(timer=CLOSE, due_ns=due[0]), 61.5)
    assert [e.due_ns for e in rig.effects if isinstance(e, SetTimer) and e.timer == CLOSE] == [due[0] + MINUTE_NS]


def test_the_newest_trade_of_a_batch_is_told_while_the_feed_is_live():
    rig = Rig()
    batch = (trade(7, "99.5", 2), trade(9, "99.7", 3, "0.5"), trade(8, "99.6", 3))
    rig.data(Trades(False, batch, START_NS + 3 * SECOND_NS))
    assert rig.told(PublicTrade) == [], "not live yet"
    rig.live()
    rig.data(Trades(True, (trade(6, "99.4", 1),), START_NS))
    assert rig.told(PublicTrade) == [], "what was before us"
    rig.data(Trades(False, batch, START_NS + 3 * SECOND_NS))
    (told,) = rig.told(PublicTrade, "portfolio")
    assert (told.product_id, told.trade_id, told.price, told.size) == ("BTC-USD", "9", Decimal("99.7"), Decimal("0.5"))
    assert (told.venue_ns, told.aggressor_buy) == (START_NS + 3 * SECOND_NS + SECOND_NS // 4, False)
