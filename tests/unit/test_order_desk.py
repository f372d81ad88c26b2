"""The order desk: its numbers, its plans, and the gates before every order."""

import pytest
from msgspec.structs import replace

from actors.order import desk as desks
from protocol import codec
from protocol.ids import parse_client_order_id
from protocol.lifecycle import CommitFailed, StoreRecord
from protocol.market import ProductsKnown
from protocol.orders import (
    Drain,
    IntentDone,
    PlaceIntent,
    Side,
    Status,
    Step,
    StepKind,
)
from protocol.risk import EpochChanged, TradingState
from tests.support.desk_scenes import health
from tests.support.order_room import REFUSED_POST_ONLY, START_NS, TAKER, TTL, Room, S, d, intent, quote, rules, view

# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.req("X1")
def test_an_id_has_the_installations_prefix_product_time_epoch_number_and_attempt():
    parts = parse_client_order_id(Room().start().client_order_id)
    assert (parts.bot, parts.product, parts.epoch, parts.counter, parts.attempt) == ("bot1", "btc-usd", 3, 1, 1)


@pytest.mark.req("X1")
def test_numbers_never_return_over_restarts_wherever_the_desk_died():
    used, records = [], ()
    for run in range(12):
        room = Room(*records, block=10)
        for _ in range(run):
            room.start()
            room.becomes(Status.REJECTED)
            room.wait(0)
        used += [parse_client_order_id(order.client_order_id).counter for order in room.orders]
        records = tuple(StoreRecord(key=key, value=value) for key, value in room.store.items())
    assert len(used) == 66
    assert len(set(used)) == len(used)
    assert used == sorted(used)


def test_a_block_is_reserved_before_its_first_number_is_used_and_early_enough():
    room = Room(block=10)
    assert codec.decode_value(room.store["orders/counter"], desks.Counter).reserved == 10
    for _ in range(25):
        room.start()
        room.becomes(Status.REJECTED)
        room.wait(0)
        reserved = codec.decode_value(room.store["orders/counter"], desks.Counter).reserved
        assert parse_client_order_id(room.order.client_order_id).counter <= reserved


def test_without_a_disk_intents_go_on_while_numbers_last_and_are_refused_then():
    room = Room(block=4)
    room.disk_fails = True
    for _ in range(6):
        room.tell(PlaceIntent(intent=intent()))
        room.wait(0)
    assert len(room.orders) == 4
    assert room.outcomes() == ["no_numbers", "no_numbers"]
    room.disk_fails = False
    room.wait(2)
    assert parse_client_order_id(room.start().client_order_id).counter == 5


def test_a_desk_that_cannot_reserve_at_its_start_does_not_start():
    desk = desks.Desk(settings=desks.Settings(bot="bot1", epoch=0))
    with pytest.raises(desks.NoNumbersError):
        desks.step(desk, CommitFailed(number=1, detail="disk"), START_NS)


# --- plans ----------------------------------------------------------------------------------------------------------

ENDS = [
    pytest.param(Status.FILLED, 10, {}, 1, ["filled"], id="filled is done"),
    pytest.param(Status.CANCELED, "9.995", TTL, 1, ["filled"], id="all but dust is filled"),
    pytest.param(Status.CANCELED, "2.5", TTL, 1, ["partial"], id="a partial of a quarter is enough"),
    pytest.param(Status.CANCELED, "2.4", TTL, 2, [], id="a smaller one is not"),
    pytest.param(Status.CANCELED, 0, TTL, 2, [], id="nothing in its time: the next step"),
    pytest.param(Status.EXPIRED, 0, {}, 2, [], id="expired: the next step"),
    pytest.param(Status.CANCELED, 0, {}, 1, ["canceled:venue"], id="taken away by somebody else: not tried again"),
    pytest.param(
        Status.CANCELED, 0, {"cancel_wanted": "kill"}, 1, ["canceled:kill"], id="cancelled by a kill: not tried again"
    ),
    pytest.param(
        Status.REJECTED, 0, {"error": "INSUFFICIENT_FUND"}, 1, ["rejected:INSUFFICIENT_FUND"], id="refused is over"
    ),
    pytest.param(
        Status.ABORTED, 0, {"error": "too old to send"}, 1, ["aborted:too old to send"], id="never sent is over"
    ),
    pytest.param(Status.FAILED, 0, {"error": "x"}, 1, ["failed:x"], id="failed is over"),
    pytest.param(Status.FAILED, 10, {"error": "x"}, 1, ["filled"], id="a failed order that filled it all is filled"),
]


@pytest.mark.parametrize(("status", "filled", "changes", "orders", "outcomes"), ENDS)
def test_what_follows_an_order_that_ended(status, filled, changes, orders, outcomes):
    room = Room()
    room.start()
    room.becomes(Status.ACCEPTED)
    room.becomes(status, filled, **changes)
    assert (len(room.orders), room.outcomes()) == (orders, outcomes)


def test_a_next_step_asks_for_the_remainder_with_the_next_attempt_number():
    room = Room()
    first = room.start()
    room.becomes(Status.CANCELED, 2, **TTL)
    assert (room.order.spec.base_size, room.order.attempt) == (d(8), 2)
    assert room.order.client_order_id == first.client_order_id[:-1] + "2"
    assert room.order.spec.not_after_ns == START_NS + 3 * S


def test_partials_add_up_over_the_steps():
    room = Room()
    room.start()
    room.becomes(Status.CANCELED, 1, **TTL)
    room.becomes(Status.CANCELED, 1, **TTL)
    assert room.order.spec.base_size == d(8)
    room.becomes(Status.CANCELED, "0.5", **TTL)
    done = room.told(IntentDone, "risk")[0]
    assert (done.filled_size, done.outcome) == (d("2.5"), "partial")


def test_a_plan_that_is_used_up_ends_with_what_was_filled():
    room = Room()
    room.start(TAKER)
    room.becomes(Status.CANCELED, 1)
    assert room.outcomes() == ["plan_exhausted"]


@pytest.mark.parametrize("status", [Status.REJECTED, Status.FAILED])
def test_a_post_only_refusal_is_tried_once_more_a_tick_further_out_and_then_the_next_step(status):
    room = Room()
    room.start()
    room.becomes(status, **REFUSED_POST_ONLY)
    assert len(room.orders) == 1
    room.wait(0.1)
    assert [order.spec.limit_price for order in room.orders] == [d("99.9"), d("99.8")]
    room.becomes(status, **REFUSED_POST_ONLY)
    assert (room.order.step, room.order.spec.limit_price) == (1, d("99.9"))


def test_a_late_fill_leaves_less_for_the_steps_to_come():
    room = Room()
    first = room.start()
    room.becomes(Status.CANCELED, 0, **TTL)
    assert room.order.spec.base_size == d(10)
    room.becomes(Status.CANCELED, 2, of=first)
    room.becomes(Status.CANCELED, 0, of=room.order, **TTL)
    assert room.order.spec.base_size == d(8)


def test_an_ended_order_told_twice_counts_once():
    room = Room()
    first = room.start()
    for _ in range(2):
        room.becomes(Status.CANCELED, 2, of=first, **TTL)
    assert (len(room.orders), room.order.spec.base_size) == (2, d(8))


def test_a_remainder_below_the_venues_minimum_ends_the_intent():
    room = Room(partial_fill_min=d(1))
    room.start(base_size=d("0.02"))
    room.becomes(Status.CANCELED, "0.015", **TTL)
    assert room.outcomes() == ["below_base_minimum"]


# --- gates ----------------------------------------------------------------------------------------------------------

AHEAD, BEHIND, UNKNOWN = (health(clock_offset_ns=offset_ns) for offset_ns in (3 * S, -3 * S, None))
GATES = [
    pytest.param([view(TradingState.HALTED)], {}, "state_halted", id="halted"),
    pytest.param([view(TradingState.KILLED)], {}, "state_killed", id="killed"),
    pytest.param([view(TradingState.REDUCING)], {}, "state_reducing", id="reducing stops buys"),
    pytest.param([view(TradingState.REDUCING)], {"side": Side.SELL}, None, id="reducing lets sells pass"),
    pytest.param([ProductsKnown(products=(), at_ns=0)], {}, "product_disabled", id="a product without rules"),
    pytest.param(
        [ProductsKnown(products=(rules(cancel_only=True),), at_ns=0)],
        {"side": Side.SELL},
        "product_disabled",
        id="a product that takes cancels only",
    ),
    pytest.param([quote(START_NS - 6 * S)], {}, "stale_data", id="an old quote"),
    pytest.param([quote(START_NS + S + 1)], {}, "stale_data", id="a quote from the future"),
    pytest.param(
        [AHEAD, quote(START_NS + 3 * S - 6 * S)], {}, "stale_data", id="an old quote, the venue's clock ahead"
    ),
    pytest.param([AHEAD, quote(START_NS + 3 * S - 4 * S)], {}, None, id="a young quote, the venue's clock ahead"),
    pytest.param([BEHIND, quote(START_NS - 3 * S - 6 * S)], {}, "stale_data", id="an old quote, the clock behind"),
    pytest.param([BEHIND, quote(START_NS - 3 * S - 4 * S)], {}, None, id="a young quote, the venue's clock behind"),
    pytest.param([AHEAD, UNKNOWN, quote(START_NS + 2 * S)], {}, None, id="an offset stays known"),
    pytest.param([Drain(reason="stop", reply_to="root")], {}, "stopping", id="draining"),
    pytest.param(
        [EpochChanged(epoch=4, killed=True, reason="", by="", at_ns=0)],
        {},
        "state_killed",
        id="a kill risk has not seen",
    ),
]


@pytest.mark.parametrize(("messages", "changes", "outcome"), GATES)
def test_gates_are_read_before_the_first_order(messages, changes, outcome):
    room = Room().tell(*messages)
    room.tell(PlaceIntent(intent=intent(**changes)))
    assert room.outcomes() == ([outcome] if outcome else [])
    assert len(room.orders) == (0 if outcome else 1)


@pytest.mark.parametrize(("messages", "changes", "outcome"), GATES)
def test_gates_are_read_again_before_every_next_order(messages, changes, outcome):
    room = Room()
    room.start(**changes)
    room.tell(*messages)
    room.becomes(Status.CANCELED, 0, **TTL)
    assert room.outcomes() == ([outcome] if outcome else [])
    assert len(room.orders) == (1 if outcome else 2)


# --- quotes ---------------------------------------------------------------------------------------------------------


EXIT = {"side": Side.SELL, "steps": (Step(kind=StepKind.IOC, through_bps=d(100)),)}


@pytest.mark.parametrize(
    ("quote_ns", "price"),
    [
        pytest.param(START_NS + 1, "89.1", id="the decision overtook the quote it was made on"),
        pytest.param(START_NS, "99.0", id="the desk's own quote is as new"),
        pytest.param(0, "99.0", id="nobody said how new the decision's is"),
    ],
)
def test_an_exit_goes_through_the_newest_bid(quote_ns, price):
    room = Room()
    room.tell(PlaceIntent(intent=replace(intent(side=Side.SELL), **EXIT, bid=d(90), ask=d(91), quote_ns=quote_ns)))
    assert room.order.spec.limit_price == d(price)
