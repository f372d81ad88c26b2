"""Every rule of the entry path, at its boundary: what is allowed, what is refused, and under which code."""

import pytest

from protocol.effects import LogLine
from protocol.market import FeedState, FeedStatus
from protocol.orders import PlaceIntent, Side, Status
from protocol.risk import Decision, Outcome, Reason
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    DOGE,
    ETH,
    LINK,
    NOON_NS,
    PRODUCTS,
    SOL,
    XRP,
    D,
    alerts,
    exit_wanted,
    fill_applied,
    noted,
    operator_order,
    order,
    position,
    product_rules,
    products_known,
    proposal,
    quote,
    told,
    view,
)


def desk(*messages, **limits):
    made = RiskDesk(**limits)
    made.tell(*messages)
    return made


def aged(seconds):
    """A desk whose BTC quote is so old."""
    made = RiskDesk()
    made.now += int(seconds * 1e9)
    return made


def feed(status):
    return desk(FeedState(product_id=BTC, status=status, detail="", at_ns=NOON_NS))


def rules_of(**changes):
    others = tuple(product_rules(p) for p in PRODUCTS if p != BTC)
    return desk(products_known(product_rules(BTC, **changes), *others))


def without_quote():
    made = RiskDesk(ready=False)
    made.get_ready(quoted=False)
    return made


def entered(*products, then_s=0.0, apart_s=0.0, **limits):
    """A desk that approved these entries one by one, heard that none was filled, and waited."""
    made = RiskDesk(**limits)
    for product in products:
        made.later(apart_s)
        assert made.decide(proposal(product))[product].approved
    made.finish()
    return made.later(then_s)


STALE = {
    "a fresh quote on a live feed is good": (lambda: aged(0), "approved"),
    "a quote of exactly five seconds still counts": (lambda: aged(5), "approved"),
    "a quote a moment older than five seconds does not": (lambda: aged(5.001), "stale_data"),
    "without any quote nothing is decided": (without_quote, "stale_data"),
    "a feed that is down is not believed, however fresh its quote": (lambda: feed(FeedStatus.DOWN), "stale_data"),
    "a feed that syncs is not believed": (lambda: feed(FeedStatus.SYNCING), "stale_data"),
    "a feed marked stale is not believed": (lambda: feed(FeedStatus.STALE), "stale_data"),
}


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("scene", "code"), STALE.values(), ids=STALE)
def test_staleness(scene, code):
    assert scene().code() == code


@pytest.mark.req("ST1")
def test_a_stale_product_does_not_stop_another():
    made = desk(FeedState(product_id=ETH, status=FeedStatus.STALE, detail="", at_ns=NOON_NS))
    assert made.code(proposal(ETH)) == "stale_data"
    assert made.code(proposal(BTC)) == "approved"


def stale(*products):
    return tuple(FeedState(product_id=p, status=FeedStatus.STALE, detail="", at_ns=NOON_NS) for p in products)


BLIND = {
    "half of all products stale leaves the rest to trade": (stale(SOL, XRP, LINK), "approved", False),
    "more than half stale stops the batch": (stale(SOL, XRP, LINK, DOGE), "stale_data", True),
    "the reference alone stops the batch": (stale(BTC), "stale_data", True),
}


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("messages", "code", "halts"), BLIND.values(), ids=BLIND)
def test_a_market_that_is_not_seen_stops_the_whole_batch_but_no_operator(messages, code, halts):
    made = desk(*messages)
    assert made.code(proposal(ETH)) == code
    decision = made.decide(proposal(ETH))[ETH]
    assert decision.outcome is (Outcome.HALT if halts else Outcome.ALLOW)
    assert desk(*messages).operate(operator_order(ETH)).approved


PRODUCT = {
    "online is tradable": ({}, "approved"),
    "an unknown status refuses": ({"status": "sunny"}, "product_disabled"),
    "offline refuses": ({"status": "offline"}, "product_disabled"),
    "trading disabled refuses": ({"trading_disabled": True}, "product_disabled"),
    "cancel only refuses": ({"cancel_only": True}, "product_disabled"),
    "limit only refuses": ({"limit_only": True}, "product_disabled"),
    "post only refuses": ({"post_only": True}, "product_disabled"),
    "view only refuses": ({"view_only": True}, "product_disabled"),
    "an auction refuses": ({"auction_mode": True}, "product_disabled"),
}


@pytest.mark.req("EX1")
@pytest.mark.parametrize(("changes", "code"), PRODUCT.values(), ids=PRODUCT)
def test_product_status(changes, code):
    made = rules_of(**changes)
    assert made.code(proposal(BTC)) == code
    assert made.code(proposal(ETH)) == "approved", "one product's state is no other's"


@pytest.mark.req("EX1")
def test_missing_metadata_refuses():
    made = desk(products_known(*(product_rules(p) for p in PRODUCTS if p != BTC)))
    assert made.code(proposal(BTC)) == "product_disabled"


MARKET = {
    "a spread at the hard limit passes": (quote(bid="99.6", ask="100.4"), "approved"),
    "a spread beyond the hard limit is no market": (quote(bid="99.59", ask="100.41"), "outlier"),
    "ten times the order within 20 bps is deep enough": (quote(ask_depth_usd=D(1000)), "approved"),
    "a cent less is thin": (quote(ask_depth_usd=D("999.99")), "outlier"),
    "no depth on the side that is taken refuses": (quote(ask_depth_usd=D(0)), "outlier"),
    "depth on the other side does not matter": (quote(bid_depth_usd=D(0)), "approved"),
    "a move of six sigma within a minute passes": (quote(move_sigma=6.0), "approved"),
    "a little more is a jump": (quote(move_sigma=6.0001), "outlier"),
    "a move that is no number is none to trust": (quote(move_sigma=float("nan")), "outlier"),
}


@pytest.mark.req("O1")
@pytest.mark.parametrize(("seen", "code"), MARKET.values(), ids=MARKET)
def test_spread_and_depth(seen, code):
    assert desk(seen).code() == code


@pytest.mark.req("O1")
def test_a_jump_stops_operators_and_never_an_exit():
    made = desk(view(positions=(position(),)), quote(move_sigma=7.0))
    assert made.operate(operator_order()).code is Reason.OUTLIER
    assert made.operate(operator_order(side=Side.SELL)).code is Reason.OUTLIER
    assert made.operate(operator_order(drill=True)).approved
    assert told(made.tell(exit_wanted()), PlaceIntent)


SCHEMA = {
    "a stop of nothing": {"stop_loss_pct": D(0)},
    "a stop of everything": {"stop_loss_pct": D(100)},
    "a negative stop": {"stop_loss_pct": D(-1)},
    "a stop that is no number": {"stop_loss_pct": D(100), "take_profit_pct": D("Infinity")},
    "a target no further than the stop": {"take_profit_pct": D(10)},
    "a conviction above one": {"conviction": 1.01},
    "a conviction below zero": {"conviction": -0.01},
    "a conviction that is no number": {"conviction": float("nan")},
    "a tier that does not exist": {"tier": 4},
    "tier zero": {"tier": 0},
    "no time to hold": {"max_hold_s": 0},
    "a stop beyond the policy's": {"stop_loss_pct": D("10.01")},
    "a size that is no number": {"notional_pct": D("NaN")},
    "a size without end": {"notional_pct": D("Infinity")},
}


@pytest.mark.req("R2")
@pytest.mark.parametrize("changes", SCHEMA.values(), ids=SCHEMA)
def test_a_malformed_proposal_is_refused_and_the_batch_goes_on(changes):
    made = RiskDesk()
    effects = made.ask(proposal(BTC, **changes), proposal(ETH))
    decisions = {d.product_id: d for d in noted(effects, Decision)}
    assert [e.event for e in effects if isinstance(e, LogLine)] == ["schema_invalid"]
    assert decisions[BTC].code is Reason.SCHEMA_INVALID
    assert decisions[BTC].approved_usd == 0
    assert decisions[ETH].approved


MANY = {"new_per_hour": 100, "trades_per_hour": 100, "spacing_ns": 0}
THREE = (DOGE, XRP, LINK)
PACING = {
    "an entry just now makes every product wait": (lambda: entered(ETH), "trade_spacing"),
    "a moment short of the spacing is refused": (lambda: entered(ETH, then_s=9.999), "trade_spacing"),
    "at the spacing the next entry may go": (lambda: entered(ETH, then_s=10), "approved"),
    "three new positions in the rolling hour are all": (
        lambda: entered(*THREE, then_s=3599.999, spacing_ns=0),
        "trade_frequency_hourly",
    ),
    "when they leave the hour there is room again": (lambda: entered(*THREE, then_s=3600, spacing_ns=0), "approved"),
    "the daily bound counts entries of this UTC day": (
        lambda: entered(DOGE, XRP, then_s=11.9 * 3600, trades_per_day=2, **MANY),
        "trade_frequency_daily",
    ),
    "below the daily bound there is room": (lambda: entered(DOGE, trades_per_day=2, **MANY), "approved"),
    "midnight opens a new count": (
        lambda: entered(DOGE, XRP, then_s=12 * 3600, trades_per_day=2, **MANY),
        "approved",
    ),
}


@pytest.mark.parametrize(("scene", "code"), PACING.values(), ids=PACING)
def test_pacing(scene, code):
    assert scene().code(proposal(BTC)) == code


@pytest.mark.req("CD1")
def test_each_product_waits_for_its_own_last_trade():
    made = desk(fill_applied(BTC), view(), cooldown_fill_ns=0)
    assert made.later(59.999).code(proposal(BTC)) == "trade_spacing"
    assert made.code(proposal(ETH)) == "approved"
    assert made.later(0.001).code(proposal(BTC)) == "approved"


POSITIONS = {
    "less than dust is no position": (view(positions=(position(quantity="0.0099"),)), "approved"),
    "as much as dust is one": (view(positions=(position(quantity="0.01"),)), "already_have_position"),
    "nothing is added to a position": (view(positions=(position(),)), "already_have_position"),
    "a position elsewhere does not matter": (view(positions=(position(ETH),)), "approved"),
    "a working purchase is enough": (order(), "pending_buy_exists"),
    "an order that is being cancelled may still fill": (order(status=Status.PENDING_CANCEL), "pending_buy_exists"),
    "an order with unknown outcome blocks its product": (order(status=Status.UNRESOLVED), "pending_buy_exists"),
    "a sale with unknown outcome blocks it too": (
        order(side=Side.SELL, status=Status.UNRESOLVED),
        "pending_buy_exists",
    ),
    "a resting sale does not": (order(side=Side.SELL), "approved"),
    "an order that ended with nothing is forgotten": (order(status=Status.CANCELED), "approved"),
}


@pytest.mark.parametrize(("message", "code"), POSITIONS.values(), ids=POSITIONS)
def test_positions_and_pending_purchases(message, code):
    assert desk(message).code() == code


NAV = {
    "without a view of the portfolio": None,
    "an unknown net value": view(nav=None),
    "a net value of nothing": view(nav=0),
    "a negative net value": view(nav=-1),
}


@pytest.mark.req("E1")
@pytest.mark.parametrize("seen", NAV.values(), ids=NAV)
def test_nothing_is_measured_against_no_net_value(seen):
    made = RiskDesk()
    if seen is not None:
        made.tell(seen)
    else:
        made = RiskDesk(ready=False)
        made.fresh()
    (decision,) = noted(made.ask(proposal()), Decision)
    assert not decision.approved
    assert Reason.NO_NAV in {v.code for v in decision.verdicts if not v.passed}


@pytest.mark.req("R1")
def test_a_sale_proposed_for_what_is_not_held_is_refused():
    made = RiskDesk()
    assert made.code(proposal(side=Side.SELL)) == "shorting_disallowed"
    made.tell(view(positions=(position(quantity="0.5"),)))
    assert made.code(proposal(side=Side.SELL, pct="0.6")) == "shorting_disallowed"
    assert made.code(proposal(side=Side.SELL, pct="0.4")) == "approved"


@pytest.mark.req("R1")
@pytest.mark.parametrize("pct", [0, -1])
def test_a_sale_of_nothing_or_less_is_refused(pct):
    made = desk(view(positions=(position(),)))
    assert made.code(proposal(side=Side.SELL, pct=pct)) == "shorting_disallowed"
    assert made.operate(operator_order(side=Side.SELL, base_size=D(pct))).code is Reason.SHORTING_DISALLOWED


def test_every_rule_is_judged_even_after_the_first_refusal():
    made = desk(view(positions=(position(),)), quote(ask_depth_usd=D(0)), fill_applied(ETH))
    (decision,) = noted(made.ask(proposal(pct=0)), Decision)
    refused = [v.code for v in decision.verdicts if not v.passed]
    assert decision.code is refused[0]
    assert refused[-1] is Reason.NON_POSITIVE_REQUEST
    assert alerts(made.ask(proposal())) == [], "refusing is the normal work of risk"
