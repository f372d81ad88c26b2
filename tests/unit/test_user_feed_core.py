"""The user stream: up only when it hears everything, totals that never fall (fault matrix B)."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from actors.runtime.stream import CONNECT, DEAD, RESYNC, CloseSocket, OpenSocket, SendSubscribe, TakeFrames
from actors.user_feed.core import REMEMBERED, UserFeed, step
from protocol.effects import Count, Note, SetTimer, Tell
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.orders import OrderReported, Side
from protocol.portfolio import Reconcile
from protocol.venue import UserStream

START_NS = 1_790_000_000 * SECOND_NS
SAMPLES = Path(__file__).resolve().parents[2] / "../shared/coinbase/samples"
ERROR = b'{"type":"error","message":"authentication failure"}'


def order(number=1, size="0", **members):
    base = {
        "order_id": f"v{number}",
        "client_order_id": f"c{number}",
        "product_id": "BTC-USD",
        "order_side": "BUY",
        "status": "OPEN",
        "cumulative_quantity": size,
        "leaves_quantity": "1",
        "filled_value": str(Decimal(size) * 100),
        "avg_price": "100" if Decimal(size) else "",
        "total_fees": str(Decimal(size) / 10),
        "limit_price": "100",
        "creation_time": "2026-09-30T02:39:59.5Z",
    }
    return base | members


class Rig:
    """A user feed whose socket stands, with what it said."""

    def __init__(self):
        self.state, self.sequence, self.now_ns = UserFeed(), 0, START_NS
        self.started = self.give(Recover())
        self.give(SocketOpened(connection=START_NS))

    def give(self, message, after_s=0.0):
        self.now_ns += int(after_s * SECOND_NS)
        self.state, self.effects = step(self.state, message, self.now_ns)
        return self.effects

    def raw(self, *frames, lost=False, after_s=0.0):
        message = FramesArrived(
            connection=self.state.stream.connection, frames=frames, received_ns=self.now_ns, lost=lost
        )
        return self.give(message, after_s)

    def frame(self, channel, *events):
        stamp = "2026-09-30T02:39:59.5Z"
        frame = {"channel": channel, "timestamp": stamp, "sequence_num": self.sequence, "events": events}
        self.sequence += 1
        return json.dumps(frame).encode()

    def orders(self, *orders, kind="update"):
        return self.frame("user", {"type": kind, "orders": orders})

    def ack(self, **channels):
        return self.frame("subscriptions", {"subscriptions": channels})

    def up(self):
        self.raw(self.orders(kind="snapshot"), self.ack(heartbeats=["heartbeats"]), self.ack(user=["u"]))
        return self

    def told(self, kind, to=None):
        tells = [e for e in self.effects if isinstance(e, Tell) and isinstance(e.message, kind)]
        return [e.message for e in tells if to in (None, e.to)]

    def of(self, kind):
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def ups(self):
        return [message.up for message in self.told(UserStream, "orders")]

    @property
    def asked(self):
        return [(e.channel, e.subscribe) for e in self.of(SendSubscribe)]


def test_starts_down_and_subscribes_heartbeats_then_user():
    rig = Rig()
    assert [e.message.up for e in rig.started if isinstance(e, Tell)] == [False, False]
    assert rig.asked == [("heartbeats", True), ("user", True)]


@pytest.mark.parametrize("snapshot_first", [True, False])
def test_up_needs_acknowledgement_and_snapshot(snapshot_first):
    rig = Rig()
    steps = [lambda: rig.orders(kind="snapshot"), lambda: rig.ack(user=["u"])]
    first, second = steps if snapshot_first else reversed(steps)
    rig.raw(first())
    assert rig.ups == []
    rig.raw(second())
    assert rig.ups == [True]
    assert len(rig.told(UserStream, "portfolio")) == 1


def test_a_snapshot_ends_with_a_message_of_fewer_than_fifty():
    rig = Rig()
    rig.raw(rig.ack(user=["u"]), rig.orders(*(order(n) for n in range(50)), kind="snapshot"))
    assert rig.ups == []
    assert len(rig.told(OrderReported, "orders")) == 50
    rig.raw(rig.orders(order(50), kind="snapshot"))
    assert rig.ups == [True]


def test_a_failed_subscribe_never_makes_it_up():
    rig = Rig()
    rig.raw(rig.ack(heartbeats=["heartbeats"]), ERROR, rig.frame("heartbeats", {"heartbeat_counter": 1}))
    assert rig.ups == []


def test_b8_a_refused_token_is_renewed_once_and_then_the_connection():
    rig = Rig()
    rig.raw(rig.ack(heartbeats=["heartbeats"]))
    rig.raw(ERROR)
    assert rig.asked == [("user", True)]  # the edge signs every message anew
    rig.raw(ERROR)
    assert [close.reason for close in rig.of(CloseSocket)] == ["subscription refused"]
    assert len(rig.of(Note)) == 1


def test_an_order_is_reported_in_our_own_words():
    rig = Rig().up()
    rig.raw(rig.orders(order(size="0.4", status="open", leaves_quantity="0.6")))
    (report,) = rig.told(OrderReported, "orders")
    told = report.order
    assert report.source == "stream"
    assert (told.client_order_id, told.venue_order_id, told.side, told.status) == ("c1", "v1", Side.BUY, "OPEN")
    assert (told.filled_size, told.filled_value, told.fees) == (Decimal("0.4"), Decimal(40), Decimal("0.04"))
    assert (told.limit_price, told.base_size) == (Decimal(100), Decimal(1))
    assert told.created_ns == 1_790_735_999_500_000_000


def test_a_terminal_order_does_not_tell_its_size():
    rig = Rig().up()
    rig.raw(rig.orders(order(size="0.4", status="CANCELLED", leaves_quantity="0", cancel_reason="User")))
    told = rig.told(OrderReported)[0].order
    assert (told.base_size, told.reason, told.status) == (None, "User", "CANCELLED")


def test_value_follows_from_the_average_where_it_is_not_told():
    rig = Rig().up()
    rig.raw(rig.orders(order(size="0.5", filled_value="", avg_price="101")))
    assert rig.told(OrderReported)[0].order.filled_value == Decimal("50.5")


def test_b2_replays_carry_the_same_cumulative_figures():
    rig = Rig().up()
    rig.raw(rig.orders(order(size="0.4")), rig.orders(order(size="0.4"), kind="snapshot"))
    assert [m.order.filled_size for m in rig.told(OrderReported)] == [Decimal("0.4")] * 2
    assert rig.told(Reconcile) == []


@pytest.mark.skipif(not SAMPLES.exists(), reason="the venue's samples are not on this machine")
def test_a_filled_order_told_twice_is_reported_alike():
    sample = json.loads((SAMPLES / "prod_ws_user_filled_order_twice.json").read_text())
    rig = Rig().up()
    rig.raw(*(rig.orders(wire) for wire in sample["orders_in_arrival_order"]))
    first, second = (m.order for m in rig.told(OrderReported))
    assert first == second
    assert (first.status, first.filled_size, first.side) == ("FILLED", Decimal("0.746"), Side.SELL)


def test_b3_totals_that_fall_are_not_believed_and_a_reconcile_is_asked():
    rig = Rig().up()
    rig.raw(rig.orders(order(size="0.4")))
    rig.raw(rig.orders(order(size="0.3")), after_s=1)
    assert rig.told(OrderReported) == []
    assert [m.reply_to for m in rig.told(Reconcile, "portfolio")] == ["user_feed"]
    assert [c.metric for c in rig.of(Count)] == ["user_feed_regressions"]
    rig.raw(rig.orders(order(size="0.2")))
    assert rig.told(Reconcile) == []  # one a second is enough
    rig.raw(rig.orders(order(size="0.5", filled_value="1", total_fees="0")))
    told = rig.told(OrderReported)[0].order
    assert (told.filled_size, told.filled_value, told.fees) == (Decimal("0.5"), Decimal(40), Decimal("0.04"))


@pytest.mark.parametrize(
    "bad",
    [{"order_side": ""}, {"cumulative_quantity": "NaN"}, {"cumulative_quantity": "-1"}, {"creation_time": "now"}],
)
def test_an_order_that_makes_no_sense_is_counted_and_the_lists_are_asked(bad):
    rig = Rig().up()
    rig.raw(rig.orders(order(2, **bad), order(3)))
    assert [m.order.venue_order_id for m in rig.told(OrderReported)] == ["v3"]
    assert len(rig.told(Reconcile)) == 1


def test_b1_a_close_is_down_and_the_way_back_up_is_a_new_snapshot():
    rig = Rig().up()
    rig.give(SocketClosed(connection=START_NS, code=1001, reason="going away", retry_s=0.5))
    assert rig.ups == [False]
    assert [t.due_ns - rig.now_ns for t in rig.of(SetTimer) if t.timer == CONNECT] == [SECOND_NS // 2]
    rig.give(Wake(timer=CONNECT, due_ns=0), 0.5)
    assert rig.of(OpenSocket) == [OpenSocket(connection=rig.state.stream.connection, attempt=2)]
    rig.give(SocketOpened(connection=rig.state.stream.connection))
    rig.sequence = 0
    rig.raw(rig.ack(heartbeats=["heartbeats"], user=["u"]))
    assert rig.ups == []
    rig.raw(rig.orders(order(size="0.4"), kind="snapshot"))
    assert rig.ups == [True]


def test_a_gap_is_down_until_a_new_snapshot():
    rig = Rig().up()
    rig.sequence += 1
    rig.raw(rig.orders(order(size="0.4")), after_s=2)
    assert rig.ups == [False]
    assert rig.asked == [("user", False), ("user", True)]
    assert len(rig.told(OrderReported)) == 1  # what did come is still true
    rig.raw(rig.ack(heartbeats=["heartbeats"]), rig.orders(kind="snapshot"), rig.ack(user=["u"]))
    assert rig.ups == [True]


def test_gaps_resubscribe_at_most_once_a_second():
    rig = Rig().up()
    for _ in range(2):
        rig.sequence += 1
        rig.raw(rig.orders(), after_s=0.2 + 2 * (rig.now_ns == START_NS))
    assert rig.asked == []
    rig.give(Wake(timer=RESYNC, due_ns=0), 0.8)
    assert rig.asked == [("user", False), ("user", True)]


def test_overflow_is_a_loss():
    rig = Rig().up()
    rig.sequence += 100
    rig.raw(rig.orders(), lost=True, after_s=2)
    assert rig.ups == [False]
    assert len(rig.asked) == 2


def test_duplicates_are_ignored():
    rig = Rig().up()
    frame = rig.orders(order(size="0.4"))
    rig.raw(frame)
    rig.raw(frame)
    assert rig.told(OrderReported) == []


def test_a_missing_snapshot_is_asked_for_then_the_connection_is_given_up():
    rig = Rig()
    rig.raw(rig.ack(heartbeats=["heartbeats"], user=["u"]))
    for _ in range(2):
        rig.give(Wake(timer=RESYNC, due_ns=0), 5)
        assert rig.asked == [("user", False), ("user", True)]
    rig.give(Wake(timer=RESYNC, due_ns=0), 5)
    assert [close.reason for close in rig.of(CloseSocket)] == ["no snapshot"]


def test_half_open_is_down_and_closed():
    rig = Rig().up()
    rig.give(Wake(timer=DEAD, due_ns=0), 10)
    assert rig.ups == [False]
    assert [close.reason for close in rig.of(CloseSocket)] == ["no heartbeat"]


@pytest.mark.parametrize("junk", [b"", b"{", b'{"channel":"user","sequence_num":3}'])
def test_malformed_frames_are_survived(junk):
    rig = Rig().up()
    rig.raw(junk)
    assert rig.of(TakeFrames)
    assert len(rig.told(Reconcile)) == 1


def test_memory_is_bounded():
    rig = Rig().up()
    for start in range(0, REMEMBERED + 100, 100):
        rig.raw(rig.orders(*(order(n) for n in range(start, start + 100))))
    assert len(rig.state.totals) == REMEMBERED
