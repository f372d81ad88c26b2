"""One market connection against the faults of its path (fault matrix A): what it tells feeds, and what it asks for."""

import json

import pytest

from actors.feed.connection import Market, Route, share_out, step
from actors.runtime.stream import (
    ACKNOWLEDGE,
    CONNECT,
    DEAD,
    QUIET,
    RESYNC,
    CloseSocket,
    OpenSocket,
    SendSubscribe,
    TakeFrames,
)
from protocol.effects import Count, Note, Retire, SetTimer, Tell
from protocol.feed import FeedData, FeedPulse, FeedReset, FramesArrived, ResyncWanted, SocketClosed, SocketOpened
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Stop, Wake
from protocol.market import FeedStatus

START_NS = 1_790_000_000 * SECOND_NS
STAMP = "2026-09-30T02:39:59.5Z"
STAMP_NS = 1_790_735_999_500_000_000


class Wire:
    """Makes the venue's frames, numbered as one connection numbers them."""

    def __init__(self):
        self.sequence = 0

    def frame(self, channel, *events, **members):
        frame = {"channel": channel, "timestamp": STAMP, "sequence_num": self.sequence, "events": events} | members
        self.sequence += 1
        return json.dumps(frame).encode()

    def ack(self, **channels):
        return self.frame("subscriptions", {"subscriptions": channels})

    def acked(self, products=("BTC-USD", "ETH-USD")):
        return self.ack(heartbeats=["heartbeats"], level2=products, market_trades=products)

    def book(self, product="BTC-USD", kind="snapshot", side="bid", **stamps):
        level = {"side": side, "event_time": STAMP, "price_level": "100", "new_quantity": "1"} | stamps
        return self.frame("l2_data", {"type": kind, "product_id": product, "updates": [level]})

    def beat(self):
        return self.frame("heartbeats", {"current_time": "2026-09-30 02:37:15", "heartbeat_counter": 21697})


class Rig:
    """A connection that stands, with what it said."""

    def __init__(self, routes=(("BTC-USD",), ("ETH-USD",)), *, opened=True):
        self.state = Market(tuple(Route(products[0], products) for products in routes))
        self.wire = Wire()
        self.now_ns = START_NS
        self.effects = self.give(Recover())
        if opened:
            self.effects = self.give(SocketOpened(connection=self.connection))

    @property
    def connection(self):
        """The connection asked for last."""
        return self.state.stream.connection

    def give(self, message, after_s=0.0):
        self.now_ns += int(after_s * SECOND_NS)
        self.state, self.effects = step(self.state, message, self.now_ns)
        return self.effects

    def frames(self, *frames, after_s=0.0, lost=False, connection=None):
        at_ns = self.now_ns + int(after_s * SECOND_NS)
        connection = connection or self.connection
        message = FramesArrived(connection=connection, frames=frames, received_ns=at_ns, lost=lost)
        return self.give(message, after_s)

    def settled(self):
        """Acknowledged, with both snapshots and a heartbeat."""
        w = self.wire
        self.frames(w.acked(("BTC-USD",)), w.acked(), w.acked(), w.book(), w.book("ETH-USD"), w.beat())
        return self

    def told(self, kind, to=None):
        tells = [e for e in self.effects if isinstance(e, Tell) and isinstance(e.message, kind)]
        return [e.message for e in tells if to in (None, e.to)]

    def of(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def timers(self):
        return {timer.timer: timer.due_ns - self.now_ns for timer in self.of(SetTimer)}

    def counted(self):
        return {count.metric for count in self.of(Count)}


def asked(effects):
    return [(e.channel, e.product_ids, e.subscribe) for e in effects if isinstance(e, SendSubscribe)]


BOTH = ("BTC-USD", "ETH-USD")


def test_every_start_opens_a_connection():
    assert Rig(opened=False).of(OpenSocket) == [OpenSocket(connection=START_NS, attempt=1)]


def test_a18_subscribes_at_once_heartbeats_first():
    rig = Rig()
    assert asked(rig.effects) == [("heartbeats", (), True), ("level2", BOTH, True), ("market_trades", BOTH, True)]
    assert [m.status for m in rig.told(FeedReset)] == [FeedStatus.SYNCING] * 2


def test_feeds_get_their_own_events_in_order():
    rig = Rig()
    w = rig.wire
    rig.frames(w.book(), w.book("ETH-USD"), w.book(kind="update"))
    (data,) = rig.told(FeedData, "feed:BTC-USD")
    assert [part.snapshot for part in data.parts] == [True, False]
    assert [part.stamp for part in data.parts] == [STAMP] * 2
    assert len(rig.told(FeedData, "feed:ETH-USD")) == 1
    assert rig.of(TakeFrames) == [TakeFrames(connection=rig.connection)]


def test_alias_one_book_two_products():
    rig = Rig(routes=(("BTC-USD", "BTC-USDC"),))
    assert asked(rig.effects)[1] == ("level2", ("BTC-USD",), True)
    rig.frames(rig.wire.book("BTC-USD"))
    assert rig.told(FeedData, "feed:BTC-USD") == rig.told(FeedData, "feed:BTC-USDC") != []


def test_products_are_shared_out_sixteen_to_a_connection_and_aliases_count_once():
    aliases = {f"P{i:02}-USD": "" for i in range(17)} | {"P00-USDC": "P00-USD"}
    groups = share_out(aliases)
    assert [len(group) for group in groups] == [16, 1]
    assert groups[0][0] == Route("P00-USD", ("P00-USD", "P00-USDC"))
    with pytest.raises(ValueError, match="16 level2 products"):
        Market(tuple(Route(f"P{i}-USD", ()) for i in range(17)))


@pytest.mark.req("ST1")
def test_frames_vouch_only_once_acknowledged_and_beating():
    rig = Rig()
    w = rig.wire
    rig.frames(w.book())
    assert rig.told(FeedData)[0].vouched_ns == 0
    rig.frames(w.acked(), w.acked(), w.acked())
    rig.frames(w.book(kind="update"))
    assert rig.told(FeedData)[0].vouched_ns == 0
    rig.frames(w.beat())
    assert [(p.alive, p.vouched_ns) for p in rig.told(FeedPulse)] == [(True, STAMP_NS)] * 2
    rig.frames(w.book(kind="update"))
    assert rig.told(FeedData)[0].vouched_ns == STAMP_NS


@pytest.mark.req("ST1")
def test_a2_silence_of_2_5_s_is_told_and_of_10_s_ends_the_connection():
    rig = Rig().settled()
    assert {QUIET: 2.5e9, DEAD: 10e9}.items() <= rig.timers().items()
    rig.give(Wake(timer=QUIET, due_ns=0), 2.5)
    assert [(p.alive, p.vouched_ns) for p in rig.told(FeedPulse)] == [(False, 0)] * 2
    rig.frames(rig.wire.book(kind="update"))
    assert rig.told(FeedData)[0].vouched_ns == 0
    rig.give(Wake(timer=DEAD, due_ns=0), 7.5)
    assert rig.of(CloseSocket) == [CloseSocket(connection=rig.connection, reason="no heartbeat")]


def test_heartbeats_after_a_silence_vouch_again():
    rig = Rig().settled()
    rig.give(Wake(timer=QUIET, due_ns=0), 2.5)
    rig.frames(rig.wire.beat())
    assert [p.vouched_ns for p in rig.told(FeedPulse)] == [STAMP_NS] * 2


def test_a4_gap_voids_every_book_and_asks_anew():
    rig = Rig().settled()
    rig.wire.sequence += 1
    rig.frames(rig.wire.book(kind="update"), after_s=2)
    resets = rig.told(FeedReset, "feed:ETH-USD")
    assert (resets[0].status, resets[0].detail, resets[0].trades_lost) == (FeedStatus.STALE, "sequence gap", True)
    assert resets[0].whole_ns == STAMP_NS
    assert asked(rig.effects) == [("level2", BOTH, False), ("level2", BOTH, True)]
    order = [type(e.message) for e in rig.of(Tell) if e.to == "feed:BTC-USD"]
    assert order == [FeedReset, FeedReset, FeedData]  # void first, the frame behind the gap after it


def test_events_before_a_gap_still_count():
    rig = Rig().settled()
    good = rig.wire.book(kind="update")
    rig.wire.sequence += 3
    rig.frames(good, rig.wire.beat(), after_s=2)
    order = [type(e.message) for e in rig.of(Tell) if e.to == "feed:BTC-USD"]
    assert order[:2] == [FeedData, FeedReset]


def test_gaps_resync_at_most_once_a_second():
    rig = Rig().settled()
    for _ in range(3):
        rig.wire.sequence += 1
        rig.frames(rig.wire.beat(), after_s=0.1)
    assert rig.counted() >= {"feed_gaps"}
    assert asked(rig.effects) == []
    assert rig.timers()[RESYNC] == pytest.approx(0.8e9)
    rig.give(Wake(timer=RESYNC, due_ns=0), 0.8)
    assert asked(rig.effects) == [("level2", BOTH, False), ("level2", BOTH, True)]


def test_a5_duplicates_are_ignored():
    rig = Rig().settled()
    frame = rig.wire.book(kind="update")
    rig.frames(frame)
    rig.frames(frame)
    assert rig.told(FeedData) == []
    assert rig.counted() == {"feed_old_frames"}


def test_a6_reordered_pair_is_a_gap_then_old():
    rig = Rig().settled()
    first, second = rig.wire.book(kind="update"), rig.wire.book(kind="update")
    rig.frames(second, first, after_s=2)
    assert rig.counted() == {"feed_gaps", "feed_old_frames"}
    assert len(rig.told(FeedReset, "feed:BTC-USD")) == 2


def test_a7_missing_snapshot_is_asked_for_three_times_then_down_with_an_alert():
    rig = Rig()
    w = rig.wire
    rig.frames(w.acked(), w.acked(), w.acked(), w.book("ETH-USD"), w.beat())
    waits = []
    for _ in range(2):
        rig.give(Wake(timer=RESYNC, due_ns=0), 20)
        waits.append(rig.timers()[RESYNC] / 1e9)
        assert asked(rig.effects) == [("level2", ("BTC-USD",), False), ("level2", ("BTC-USD",), True)]
    assert waits == [10, 20]
    rig.give(Wake(timer=RESYNC, due_ns=0), 20)
    assert asked(rig.effects) == []
    assert [m.status for m in rig.told(FeedReset, "feed:BTC-USD")] == [FeedStatus.DOWN]
    assert [note.message.subject for note in rig.of(Note)] == ["BTC-USD"]
    rig.give(Wake(timer=RESYNC, due_ns=0), 300)
    assert asked(rig.effects)[1] == ("level2", ("BTC-USD",), True)


def test_a10_overflow_voids_first_and_is_no_further_gap():
    rig = Rig().settled()
    rig.wire.sequence += 500
    rig.frames(rig.wire.book(kind="update"), lost=True, after_s=2)
    resets = rig.told(FeedReset, "feed:BTC-USD")
    assert [r.detail for r in resets] == ["overflow", "resync"]
    assert resets[0].whole_ns > rig.now_ns
    assert "feed_gaps" not in rig.counted()


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"channel":7}', b"\xff\xfe", b'{"channel":"l2_data"}', b"null"])
def test_a11_malformed_frames_are_counted_and_survived(junk):
    rig = Rig().settled()
    rig.frames(junk)
    assert rig.counted() == {"feed_malformed_frames"}
    assert rig.of(Note) == []
    rig.frames(junk, junk)
    assert [note.message.kind for note in rig.of(Note)] == ["malformed_frames"]
    rig.frames(rig.wire.book(kind="update"))
    assert rig.told(FeedReset) == []


def test_a_frame_in_place_but_unreadable_is_a_loss():
    rig = Rig().settled()
    rig.frames(rig.wire.book(kind="novelty"), after_s=2)
    assert rig.told(FeedReset, "feed:BTC-USD")[0].detail == "malformed frame"
    assert asked(rig.effects)[1] == ("level2", BOTH, True)


def test_a_stamp_that_is_none_vouches_for_nothing():
    rig = Rig().settled()
    rig.frames(rig.wire.frame("l2_data", *(), timestamp="yesterday"), rig.wire.beat())
    rig.frames(rig.wire.book(kind="update").replace(STAMP.encode() + b'", "seq', b'yesterday", "seq'))
    assert [data.vouched_ns for data in rig.told(FeedData)] == [0]


def test_a12_unknown_channels_and_members_are_ignored():
    rig = Rig().settled()
    rig.frames(rig.wire.frame("novelty", {"x": 1}), rig.wire.book(kind="update", hue="red"))
    assert rig.counted() == {"feed_unknown_frames"}
    assert len(rig.told(FeedData)) == 1
    assert rig.told(FeedReset) == []


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012])
def test_a1_every_close_leads_to_a_new_connection(code):
    rig = Rig().settled()
    rig.give(SocketClosed(connection=rig.connection, code=code, reason="going", retry_s=0.75))
    assert [m.status for m in rig.told(FeedReset)] == [FeedStatus.DOWN] * 2
    assert rig.timers() == {CONNECT: 0.75e9}
    rig.give(Wake(timer=CONNECT, due_ns=0), 0.75)
    assert rig.of(OpenSocket) == [OpenSocket(connection=rig.connection, attempt=1)]
    rig.give(SocketOpened(connection=rig.connection))
    assert [channel for channel, _, _ in asked(rig.effects)] == ["heartbeats", "level2", "market_trades"]


def test_a19_failures_in_a_row_count_as_attempts_until_a_heartbeat():
    rig = Rig(opened=False)
    for attempt in (2, 3, 4):
        rig.give(SocketClosed(connection=rig.connection, code=1006, reason="", retry_s=1))
        rig.give(Wake(timer=CONNECT, due_ns=0), 1)
        assert rig.of(OpenSocket)[0].attempt == attempt
    rig.give(SocketOpened(connection=rig.connection))
    rig.frames(rig.wire.beat())
    rig.give(SocketClosed(connection=rig.connection, code=1006, reason="", retry_s=1))
    rig.give(Wake(timer=CONNECT, due_ns=0), 1)
    assert rig.of(OpenSocket) == [OpenSocket(connection=rig.connection, attempt=1)]


def test_mail_of_an_earlier_connection_is_void():
    rig = Rig()
    frame, first = rig.wire.book(), rig.connection
    rig.give(SocketClosed(connection=first, code=1006, reason="", retry_s=1))
    rig.give(Wake(timer=CONNECT, due_ns=0), 1)
    assert rig.frames(frame, connection=first) == ()
    assert rig.give(SocketClosed(connection=first, code=1006, reason="", retry_s=1)) == ()


def test_mail_of_an_earlier_incarnation_is_void():
    old, new = Rig(), Rig(opened=False)
    new.now_ns += 1
    new.give(Recover())
    assert new.frames(old.wire.book(), connection=old.connection) == ()


def test_a_misspelt_product_is_missed_in_the_acknowledgement():
    rig = Rig()
    w = rig.wire
    rig.frames(w.ack(heartbeats=["heartbeats"]), w.ack(heartbeats=["heartbeats"], level2=["BTC-USD"]))
    assert [note.message.subject for note in rig.of(Note)] == ["ETH-USD"]
    assert [(m.status) for m in rig.told(FeedReset, "feed:ETH-USD")] == [FeedStatus.DOWN]
    assert rig.told(FeedReset, "feed:BTC-USD") == []


def test_no_acknowledgement_in_time_connects_anew():
    rig = Rig()
    assert rig.timers()[ACKNOWLEDGE] == 5e9
    rig.give(Wake(timer=ACKNOWLEDGE, due_ns=0), 5)
    assert [close.reason for close in rig.of(CloseSocket)] == ["not acknowledged"]
    assert len(rig.of(Note)) == 1
    settled = Rig().settled()
    assert settled.give(Wake(timer=ACKNOWLEDGE, due_ns=0), 5) == ()


def test_error_frame_repeats_the_oldest_request_once_then_gives_up():
    rig = Rig()
    w = rig.wire
    rig.frames(w.ack(heartbeats=["heartbeats"]))
    error = b'{"type":"error","message":"too many L2 streams requested in a single session"}'
    rig.frames(error)
    assert asked(rig.effects) == [("level2", BOTH, True)]
    rig.frames(w.ack(heartbeats=["heartbeats"], market_trades=list(BOTH)))
    rig.frames(error)
    assert [note.message.subject for note in rig.of(Note)] == ["level2 BTC-USD ETH-USD"]
    assert [close.reason for close in rig.of(CloseSocket)] == ["subscription refused"]


def test_a_feed_may_ask_for_a_snapshot_and_asking_twice_is_asking_once():
    rig = Rig().settled()
    rig.give(ResyncWanted(product_id="ETH-USD", reason="crossed"), 2)
    assert asked(rig.effects) == [("level2", ("ETH-USD",), False), ("level2", ("ETH-USD",), True)]
    assert [r.trades_lost for r in rig.told(FeedReset)] == [False]
    rig.give(ResyncWanted(product_id="ETH-USD", reason="crossed"), 2)
    assert rig.effects == ()
    assert rig.give(ResyncWanted(product_id="XYZ-USD", reason="?")) == ()


def test_resync_acknowledgements_are_no_missing_products():
    rig = Rig().settled()
    rig.give(ResyncWanted(product_id="ETH-USD", reason="crossed"), 2)
    w = rig.wire
    rig.frames(w.acked(("BTC-USD",)))
    rig.frames(w.acked(), w.book("ETH-USD"))
    assert rig.of(Note) == []
    assert rig.told(FeedReset) == []
    assert rig.give(Wake(timer=ACKNOWLEDGE, due_ns=0), 5) == ()


def test_stop_closes_and_retires():
    rig = Rig().settled()
    rig.give(Stop(reason="operator"))
    assert rig.of(CloseSocket)
    assert rig.of(Retire)
