"""DRY_RUN's records: what an order would have met at the market, and what kept a request from becoming one."""

import msgspec
import pytest
from msgspec.structs import replace

from protocol import codec
from protocol.effects import Note
from protocol.orders import PlaceIntent, Side, Step, StepKind
from protocol.risk import Decision, OperatorOrder, Reason, TradingState
from protocol.shadow import SHADOW_MODE, Moment, ShadowKind, ShadowOrder, ShadowRules, Wish, shadow_order
from tests.support import order_room
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import BTC, ETH, NOON_NS, D, noted, operator_order, proposal, quote
from tests.support.order_room import Room, intent, view

RULES = ShadowRules(
    max_spread_bps=D(80), depth_multiple=D(10), maker_fee_bps=D(40), taker_fee_bps=D(60), config_hash="0123456789abcdef"
)
MAKER, MARKET = Step(kind=StepKind.MAKER), Step(kind=StepKind.MARKET)
FIELDS = {
    "at_ns", "product_id", "side", "size_usd", "units", "bid", "ask", "mid", "spread_bps", "age_ms", "intended_route",
    "intended_price", "expected_slippage_bps", "expected_fees_usd", "tier", "confidence", "conviction",
    "passed_spread_check", "passed_depth_check", "depth_20bps_usd", "client_order_id", "would_place",
    "rejection_reason", "mode", "config_hash", "kind",
}  # fmt: skip


def limit(price, *, post_only=False):
    return Step(kind=StepKind.LIMIT, limit_price=D(price), post_only=post_only)


def record(step=MAKER, side=Side.BUY, usd="1000", book=None, ahead_ns=0):
    wish = Wish(
        correlation="c", strategy="s", product_id=BTC, side=side, purpose="entry", step=step, size_usd=D(usd), tier=1
    )
    return shadow_order(wish, None, Moment(quote=book, now_ns=NOON_NS, clock_offset_ns=ahead_ns), RULES)


def test_it_has_every_field_that_the_specification_names():
    assert {field.name for field in msgspec.structs.fields(ShadowOrder)} >= FIELDS


# step, side; slippage in bps, fees in USD, units, of 1,000 USD at 99 x 101 with 20,000 USD within 20 bps of either side
TRIES = {
    "a maker waits": (MAKER, Side.BUY, "0", "4", "9.9"),
    "a market order takes": (MARKET, Side.BUY, "101", "6", "9.9"),
    "a sale takes from the bids": (MARKET, Side.SELL, "101", "6", "10.1"),
    "a limit below the asks waits": (limit(100), Side.BUY, "0", "4", "10"),
    "a limit that reaches them takes": (limit(102), Side.BUY, "101", "6", "9.8"),
    "a limit that must not take does not": (limit(102, post_only=True), Side.BUY, "0", "4", "9.8"),
    "a sale's limit above the bids waits": (limit(100), Side.SELL, "0", "4", "10"),
    "a sale's limit that reaches them takes": (limit(99), Side.SELL, "101", "6", "10.1"),
}


@pytest.mark.req("M1")
@pytest.mark.parametrize("row", TRIES.values(), ids=TRIES)
def test_what_a_try_would_cost(row):
    step, side, slippage, fees, units = row
    book = quote(bid="99", ask="101", bid_depth_usd=D(20_000), ask_depth_usd=D(20_000))
    made = record(step, side, book=book)
    assert (made.expected_slippage_bps, made.expected_fees_usd) == (D(slippage), D(fees))
    assert round(made.units, 1) == D(units)
    assert made.intended_route == step.kind.value


# bid, ask, depth on the asks; spread passes, depth passes
BOOKS = {
    "tight and deep": ("99.99", "100.01", 10_000, True, True),
    "just short of ten times": ("99.99", "100.01", 9_979, True, False),
    "nothing near the mid": ("99.99", "100.01", 0, True, False),
    "as wide as is borne": ("99.6", "100.4", 10_000, True, True),
    "wider": ("99.59", "100.41", 10_000, False, True),
}


@pytest.mark.req("M1")
@pytest.mark.parametrize("row", BOOKS.values(), ids=BOOKS)
def test_the_checks_of_spread_and_depth(row):
    bid, ask, depth, narrow, deep = row
    room = Room(shadow=RULES)
    room.tell(replace(order_room.quote(room.now_ns, bid, ask), ask_depth_usd=D(depth) / 100))
    made = shadow_of(room, quote_size=D(10))
    assert (made.passed_spread_check, made.passed_depth_check, made.would_place) == (narrow, deep, narrow and deep)
    assert made.depth_20bps_usd == D(depth) / 100


@pytest.mark.req("M1")
def test_a_market_that_nobody_knows_is_no_market_to_place_in():
    made = record(book=None)
    assert (made.bid, made.mid, made.age_ms, made.depth_20bps_usd, made.expected_fees_usd) == (None,) * 5
    assert (made.passed_spread_check, made.passed_depth_check, made.would_place) == (False, False, False)


def test_its_age_is_by_the_venues_clock():
    book = quote(at=NOON_NS - 2_000_000_000)
    wish = Wish(
        correlation="c", strategy="s", product_id=BTC, side=Side.BUY, purpose="entry", step=MAKER, size_usd=D(1)
    )
    made = shadow_order(wish, None, Moment(quote=book, now_ns=NOON_NS, clock_offset_ns=500_000_000), RULES)
    assert made.age_ms == 2500


# --- the desk -----------------------------------------------------------------------------------------------------


def shadow_of(room, *steps, **changes):
    room.tell(PlaceIntent(intent=intent(*steps, **{"base_size": None, **changes})))
    (made,) = noted(tuple(room.effects), ShadowOrder)
    return made


@pytest.mark.req("M1")
def test_a_desk_in_the_shadow_places_nothing_and_says_what_it_would_have():
    room = Room(shadow=RULES)
    made = shadow_of(room, base_size=D(2), confidence=0.7, conviction=0.6, tier=2, strategy="momentum")
    assert (room.orders, room.outcomes()) == ([], ["shadow_dry_run"])
    assert (made.kind, made.mode, made.config_hash) == (ShadowKind.ORDER, SHADOW_MODE, "0123456789abcdef")
    assert (made.product_id, made.side, made.units, made.intended_price) == (BTC, Side.BUY, D(2), D("99.9"))
    assert made.size_usd == D("199.8")
    assert (made.confidence, made.conviction, made.tier, made.strategy) == (0.7, 0.6, 2, "momentum")
    assert (made.bid, made.ask, made.mid, made.age_ms) == (100, 101, D("100.5"), 0)
    assert made.spec is not None
    assert made.client_order_id == made.spec.client_order_id


@pytest.mark.req("M1")
def test_what_the_desk_itself_makes_no_order_of_is_a_rejection():
    room = Room(shadow=RULES)
    room.tell(view(TradingState.REDUCING))
    made = shadow_of(room, quote_size=D(1000))
    assert (made.kind, made.rejection_reason, made.would_place) == (ShadowKind.REJECTION, "state_reducing", False)
    assert (made.spec, made.client_order_id, made.size_usd) == (None, "", 1000)
    assert room.outcomes() == ["state_reducing"]


@pytest.mark.req("M1")
def test_an_order_that_the_grid_leaves_nothing_of_is_a_rejection():
    made = shadow_of(Room(shadow=RULES), quote_size=D("0.5"))
    assert (made.kind, made.rejection_reason) == (ShadowKind.REJECTION, "below_base_minimum")


@pytest.mark.parametrize("state", [TradingState.ACTIVE, TradingState.REDUCING])
def test_a_desk_that_places_keeps_no_such_record(state):
    room = Room()
    room.tell(view(state), PlaceIntent(intent=intent()))
    assert noted(tuple(room.effects), ShadowOrder) == []


# --- risk ---------------------------------------------------------------------------------------------------------


def judged(*asked, shadow=RULES):
    desk = RiskDesk()
    desk.state = replace(desk.state, shadow=shadow)
    return desk.tell(*asked) if isinstance(asked[0], OperatorOrder) else desk.ask(*asked)


@pytest.mark.req("M1")
def test_a_refused_proposal_leaves_a_rejection_beside_its_decision():
    effects = judged(proposal(BTC, pct=2), proposal(ETH, pct="0.1", conviction=0.4))
    refused, approved = sorted(noted(effects, Decision), key=lambda d: d.approved)
    (made,) = noted(effects, ShadowOrder)
    assert (approved.product_id, refused.product_id) == (BTC, ETH)
    assert refused.code is not None
    assert (made.kind, made.rejection_reason, made.product_id) == (ShadowKind.REJECTION, refused.code.value, ETH)
    assert (made.correlation, made.conviction, made.confidence) == (refused.correlation, 0.4, 0.8)
    assert (made.size_usd, made.bid, made.would_place) == (refused.requested_usd, D("99.99"), False)
    notes = [e.message for e in effects if isinstance(e, Note)]
    assert notes.index(made) == notes.index(refused) + 1


@pytest.mark.req("M1")
def test_a_refused_order_of_an_operators_leaves_one_too():
    order = operator_order(quote_size=D(9_000), steps=(limit(90, post_only=True),))
    (made,) = noted(judged(order), ShadowOrder)
    assert (made.kind, made.strategy, made.purpose) == (ShadowKind.REJECTION, "operator", "operator")
    assert (made.intended_route, made.intended_price, made.size_usd) == ("limit", 90, 9_000)


@pytest.mark.parametrize("share", ["0.1", "1e9"])
def test_other_modes_keep_only_the_decision(share):
    effects = judged(proposal(ETH, pct=share), shadow=None)
    assert noted(effects, Decision)
    assert noted(effects, ShadowOrder) == []


def test_nonsense_is_rejected_by_its_name():
    (made,) = noted(judged(proposal(ETH, pct="NaN")), ShadowOrder)
    assert made.rejection_reason == Reason.SCHEMA_INVALID.value


# --- older records ------------------------------------------------------------------------------------------------


def test_a_record_without_the_newer_fields_is_read():
    older = {
        "type": "orders.shadow",
        "spec": None,
        "correlation": "c",
        "strategy": "s",
        "bid": "1",
        "ask": "2",
        "at_ns": 3,
    }
    made = codec.decode(msgspec.msgpack.encode(older))
    assert isinstance(made, ShadowOrder)
    assert (made.kind, made.would_place, made.bid, made.depth_20bps_usd) == (ShadowKind.ORDER, False, 1, None)
