"""Faults of the streams, in the whole desk and in its time: each bound is measured."""

from decimal import Decimal

import pytest

from actors.venue.faults import REFUSE, Fault
from actors.venue.in_kernel import USER
from actors.venue.requests import PlaceRequest
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.market import FeedState, FeedStatus
from protocol.orders import Side
from protocol.risk import Alert, Decision, OperatorOrder, Reason
from tests.support.order_lives import BTC, BUY, MAKER, armed, hit, posted

ON_THE_WAY_S = 0.05
"""A heartbeat that had left when the silence began."""


def feeds(simulation):
    """Each status that the feed told, with its moment in seconds of this run."""
    told = [m for _, m in messages(unsealed(simulation)) if isinstance(m, FeedState)]
    return [(m.status, m.at_ns / SECOND_NS) for m in told]


def by_hand(simulation):
    """A person asks for a purchase at the market."""
    order = OperatorOrder(
        correlation="hand/1",
        product_id=ProductId(BTC),
        side=Side.BUY,
        base_size=None,
        quote_size=Decimal(50),
        steps=(MAKER,),
        by="test",
        drill=False,
        reply_to="control",
    )
    simulation.tell("risk", order)


def verdicts(simulation):
    """What risk said of purchases."""
    return [m.code for _, m in messages(unsealed(simulation)) if isinstance(m, Decision)]


def strike(simulation, kind, target="*", **more):
    posted(Fault(kind=kind, target=target, **more))(simulation)


def now_s(simulation):
    return simulation.clock.now_ns() / SECOND_NS


def wrong(simulation):
    return [*of_journal(simulation), *at_rest(simulation)]


@pytest.mark.req("X2")
def test_fills_of_a_minute_without_the_user_stream_are_booked_within_five_seconds_of_its_return():
    simulation = armed()
    BUY(simulation)
    simulation.run(1.0)
    strike(simulation, "ws_close", "user", for_s=60.0, parameters={"code": 1006})
    for _ in range(6):
        simulation.run(10.0)
        hit("0.0001")(simulation)
    stream = simulation.desk.node.tree.records["user_feed"].shell
    assert not stream.state.up
    simulation.seconds_until(lambda: stream.state.up, 31)
    simulation.seconds_until(lambda: ledger_totals(simulation) == venue_totals(simulation), 5)
    assert len(simulation.fills()) >= 5
    assert wrong(simulation) == []


OURS, ANOTHERS = "sim-btc-usd-20261118t120009000z-0_900000-a1", "somebody"


@pytest.mark.parametrize("coid", [OURS, ANOTHERS])
def test_an_order_that_no_room_knows_is_cancelled_within_two_seconds_if_it_is_ours(coid):
    simulation = armed()
    leg = {"base_size": "0.001", "limit_price": "50000", "post_only": True}
    request = PlaceRequest(
        client_order_id=coid, product_id=BTC, side="BUY", order_configuration={"limit_limit_gtc": leg}
    )
    exchange = simulation.venue.exchange
    assert exchange.place(USER, request, simulation.clock.now_ns()).success
    simulation.run(2.0)
    left = [order.client_order_id for order in exchange.open_orders(USER)]
    assert left == ([] if coid == OURS else [coid])
    kinds = [m.kind for _, m in messages(unsealed(simulation)) if isinstance(m, Alert)]
    assert ("orphan_order" in kinds) is (coid == OURS)


@pytest.mark.req("ST1")
def test_a_cut_market_socket_is_told_at_once_and_live_again_within_five_seconds_and_nothing_is_bought_between():
    simulation = armed()
    strike(simulation, "ws_close", "market", count=1, parameters={"code": 1006})
    cut_s = now_s(simulation)
    simulation.seconds_until(lambda: feeds(simulation)[-1][0] is FeedStatus.DOWN, 1)
    by_hand(simulation)
    simulation.seconds_until(lambda: feeds(simulation)[-1][0] is FeedStatus.LIVE, 5)
    assert feeds(simulation)[-1][1] - cut_s <= 5
    assert verdicts(simulation) == [Reason.STALE_DATA]
    assert places(simulation) == 0
    assert wrong(simulation) == []


@pytest.mark.req("ST1")
def test_a_socket_that_stays_open_and_silent_is_stale_two_and_a_half_seconds_after_its_last_heartbeat():
    simulation = armed()
    simulation.seconds_until(lambda: feeds(simulation)[-1][0] is FeedStatus.LIVE, 2)
    strike(simulation, "ws_silence", for_s=30.0)
    since_s = now_s(simulation)
    simulation.run(2.6)
    status, at_s = feeds(simulation)[-1]
    assert (status, at_s - since_s <= 2.5 + ON_THE_WAY_S) == (FeedStatus.STALE, True)
    by_hand(simulation)
    simulation.run(1.0)
    assert verdicts(simulation) == [Reason.STALE_DATA]
    assert places(simulation) == 0
    simulation.seconds_until(lambda: feeds(simulation)[-1][0] is FeedStatus.LIVE, 60)


def places(simulation):
    return sum(entry.route == "create_order" for entry in simulation.venue.log.entries())


@pytest.mark.slow
@pytest.mark.req("ST1")
def test_a_snapshot_that_never_comes_is_asked_for_three_times_then_the_feed_is_down_with_an_alert():
    simulation = armed()
    strike(simulation, "ws_mute", "level2", for_s=120.0)
    strike(simulation, "ws_close", "market", count=1, parameters={"code": 1006})
    simulation.run(90.0)
    assert feeds(simulation)[-1][0] is FeedStatus.DOWN
    subjects = [m.subject for _, m in messages(unsealed(simulation)) if isinstance(m, Alert)]
    assert BTC in subjects
    simulation.venue.faults.clear()
    simulation.run(310.0)  # it is asked for again after five minutes
    assert feeds(simulation)[-1][0] is FeedStatus.LIVE


@pytest.mark.slow
def test_connections_that_are_refused_for_a_minute_are_tried_at_most_once_a_second_each():
    simulation = armed()
    knocks, strike_at = [], simulation.venue.faults.strike

    def noted(kinds, names, now_ns):
        if kinds == REFUSE:
            knocks.append(now_ns)
        return strike_at(kinds, names, now_ns)

    simulation.venue.faults.strike = noted
    strike(simulation, "ws_refuse", for_s=60.0)
    strike(simulation, "ws_close", "*", count=1, parameters={"code": 1006})
    simulation.run(60.0)
    assert 2 <= len(knocks) <= 60
