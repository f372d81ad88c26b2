"""Every breaker, reached through the running tree: something goes wrong at the venue, in the desk, or on a page."""

import pytest
from msgspec.structs import replace

from actors.portfolio.ledger import Ledger
from actors.venue.faults import Fault
from ops.simulate.journal import messages, unsealed
from ops.simulate.world import Simulation, policy_for
from protocol import codec
from protocol.control import Asked, ClearCooldownByHand, Latch, RebuildByHand, ResetPeakByHand
from protocol.ids import ProductId
from protocol.lifecycle import StoreRecord
from protocol.orders import OrderUpdate, Side, Status, Step, StepKind
from protocol.portfolio import PortfolioView
from protocol.risk import (
    Alert,
    ClockJumped,
    ConfigDrift,
    Decision,
    GateChanged,
    LaneLoad,
    OperatorOrder,
    Pause,
    Reason,
    Resume,
    RiskView,
    TradingState,
)
from tests.support.desk_scenes import D, order

PRODUCTS = ("BTC-USD", "ETH-USD", "SOL-USD")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def running(seconds=20.0, **risk):
    """A desk that trades, its first cycles done; `risk` are limits of the policy that are others."""
    policy = policy_for(PRODUCTS)
    policy = replace(policy, risk=replace(policy.risk, **risk))
    loop = replace(policy.loop, interval_s=5.0, jitter_pct=0.0)
    simulation = Simulation(5, PRODUCTS, policy=replace(policy, loop=loop))
    simulation.run(seconds)
    assert view(simulation).state is TradingState.ACTIVE, codes(simulation)
    return simulation


def view(simulation) -> RiskView:
    return simulation.desk.node.tree.records["control"].shell.state.risk


def portfolio(simulation) -> PortfolioView:
    return simulation.desk.node.tree.records["control"].shell.state.portfolio


def codes(simulation):
    return {gate.code.value for gate in view(simulation).gates}


def until(simulation, condition, limit_s):
    """Seconds until it holds."""
    for second in range(limit_s):
        if condition():
            return second
        simulation.run(1.0)
    raise AssertionError(f"not within {limit_s} s: {view(simulation).gates} {view(simulation).products}")


def trips(simulation, code, within_s):
    until(simulation, lambda: code in codes(simulation), within_s)
    until(simulation, lambda: code in changes(simulation), 5)


def clears(simulation, code, within_s):
    return until(simulation, lambda: code not in codes(simulation), within_s)


def changes(simulation):
    """The codes of every gate that tripped, as the journal has them."""
    told = (m for _, m in messages(unsealed(simulation)) if isinstance(m, GateChanged))
    return {m.gate.code.value for m in told if m.tripped}


def alerts(simulation):
    return {m.kind for _, m in messages(unsealed(simulation)) if isinstance(m, Alert)}


def add(simulation, kind, target="*", **more):
    simulation.venue.faults.add([Fault(kind=kind, target=target, **more)], simulation.clock.now_ns())


def ask(simulation, request):
    """Ask as the command line does; the reply."""
    answers = simulation.desk.control.answers
    before = len(answers)
    simulation.tell("control", Asked(connection=7, request=request))
    until(simulation, lambda: len(answers) > before, 10)
    return answers[-1].reply


def by_hand(simulation, product="ETH-USD", number=0):
    bids, _ = simulation.venue.exchange.book(product, 1)
    wanted = OperatorOrder(
        correlation=f"hand/{product}/{number}",
        product_id=ProductId(product),
        side=Side.BUY,
        base_size=None,
        quote_size=D(50),
        steps=(Step(kind=StepKind.LIMIT, limit_price=bids[0][0], post_only=True),),
        by="test",
        drill=False,
        reply_to="control",
    )
    simulation.tell("risk", wanted)


# --- the venue ----------------------------------------------------------------------------------------------------


@pytest.mark.req("EX1")
def test_an_outage_halts_within_seconds_and_a_good_probe_ends_it():
    simulation = running()
    add(simulation, "maintenance", for_s=60.0)
    trips(simulation, "exchange_unhealthy", 40)
    assert "api_health" in codes(simulation)
    assert view(simulation).state is TradingState.HALTED
    simulation.venue.faults.clear()
    clears(simulation, "exchange_unhealthy", 10)
    assert "api_health" not in codes(simulation)
    assert {"exchange_health", "api_error_burst"} <= alerts(simulation)


@pytest.mark.req("CB1")
def test_a_429_holds_entries_for_its_minute():
    simulation = running()
    add(simulation, "rate_limit", "list_accounts", count=1, for_s=20.0)
    trips(simulation, "rate_limit_cooldown", 15)
    assert view(simulation).state is TradingState.REDUCING
    assert clears(simulation, "rate_limit_cooldown", 65) >= 50


def test_a_401_that_stays_halts_until_a_signed_call_passes():
    simulation = running()
    add(simulation, "unauthorized", "list_accounts", for_s=30.0)
    trips(simulation, "credentials", 15)
    assert view(simulation).state is TradingState.HALTED
    simulation.venue.faults.clear()
    clears(simulation, "credentials", 20)


@pytest.mark.req("TIME1")
def test_a_clock_that_is_off_reduces_until_it_is_measured_right():
    simulation = running()
    add(simulation, "clock_offset", parameters={"s": 1.0})
    trips(simulation, "clock", 75)
    simulation.venue.faults.clear()
    clears(simulation, "clock", 10)
    assert "clock_drift" in alerts(simulation)


@pytest.mark.req("ST1")
def test_the_venues_clock_reaches_everybody_who_takes_the_age_of_a_quote():
    simulation = running()
    add(simulation, "clock_offset", parameters={"s": 3.0})
    trips(simulation, "clock", 75)
    rooms = {name: simulation.desk.node.tree.records[name].shell.state for name in ("portfolio", "orders", "universe")}
    assert all(abs(room.clock_offset_ns - 3_000_000_000) < 200_000_000 for room in rooms.values()), rooms.keys()


def test_a_wall_clock_that_was_set_is_held_against_the_venues_within_five_seconds():
    simulation = running()
    jump = ClockJumped(by_ns=3_600_000_000_000, at_ns=simulation.clock.now_ns())
    for room in ("risk", "gateway"):
        simulation.tell(room, jump)
    simulation.run(0.01)
    clears(simulation, "clock", 5)
    assert "clock" in changes(simulation)


@pytest.mark.req("ST1")
def test_a_silent_market_is_stale_within_its_limit_and_back_after_two_cycles():
    simulation = running()
    add(simulation, "ws_silence", "level2", for_s=20.0)
    add(simulation, "ws_refuse", for_s=20.0)
    trips(simulation, "stale_data", 10)
    assert "staleness" in alerts(simulation)
    by_hand(simulation)
    simulation.run(1.0)
    decisions = [m for _, m in messages(unsealed(simulation)) if isinstance(m, Decision)]
    assert (decisions[-1].product_id, decisions[-1].code) == ("ETH-USD", Reason.STALE_DATA)
    assert not simulation.venue.log.entries(), "stale data never trades"
    simulation.venue.faults.clear()
    clears(simulation, "stale_data", 90)


@pytest.mark.req("ST1")
def test_a_book_that_is_cut_off_from_its_writtenis_found_by_rest_and_taken_anew():
    simulation = running()
    feed = "feed:ETH-USD"
    before = simulation.desk.node.tree.records[feed].shell.state.loads
    add(simulation, "ws_mute", "level2", for_s=25.0)
    until(simulation, lambda: simulation.desk.node.tree.records[feed].shell.state.loads > before, 90)


@pytest.mark.req("EX1")
def test_a_product_that_the_venue_holds_back_is_refused_alone():
    simulation = running()
    add(simulation, "product_state", "ETH-USD", parameters={"cancel_only": True})
    until(simulation, lambda: "ETH-USD" in {g.product_id for g in view(simulation).products}, 400)
    assert view(simulation).state is TradingState.ACTIVE
    simulation.venue.faults.clear()
    until(simulation, lambda: not view(simulation).products, 400)


def test_three_refused_orders_reduce():
    simulation = running(spacing_s=0)
    add(simulation, "forbidden", "create_order", for_s=60.0)
    for number, product in enumerate(PRODUCTS):
        by_hand(simulation, product, number)
        simulation.run(1.0)
    trips(simulation, "order_rejection_burst", 10)
    assert clears(simulation, "order_rejection_burst", 610) > 500


# --- the desk -----------------------------------------------------------------------------------------------------


def test_two_crashes_reduce_for_five_minutes():
    simulation = running()
    for _ in range(2):
        simulation.crash("cycle")
        simulation.run(3.0)
    trips(simulation, "exception_burst", 5)
    assert clears(simulation, "exception_burst", 310) > 250


@pytest.mark.req("K1")
def test_the_pages_trip_kill_and_watchdog():
    simulation = running()
    pages = simulation.world.pages
    pages.watchdog_age_s = 2.5
    trips(simulation, "watchdog_absent", 3)
    pages.watchdog_age_s = 0.0
    clears(simulation, "watchdog_absent", 3)
    now = simulation.clock.now_ns()
    pages.latch = Latch(killed=True, epoch=0, reason="drill", by="test", at_ns=now, scope="mine")
    trips(simulation, "kill_switch", 3)
    simulation.again()
    simulation.run(5.0)
    assert view(simulation).state is TradingState.KILLED


def test_lanes_configuration_and_a_pause():
    simulation = running()
    for message, code in (
        (LaneLoad(actor="orders", waiting=500, bound=1000), "event_lane"),
        (ConfigDrift(running="a", found="b", at_ns=simulation.clock.now_ns()), "config_drift"),
        (Pause(by="test", reason="lunch"), "operator_pause"),
    ):
        simulation.tell("risk", message)
        trips(simulation, code, 2)
    simulation.tell("risk", LaneLoad(actor="orders", waiting=10, bound=1000))
    simulation.tell("risk", Resume(by="test"))
    until(simulation, lambda: codes(simulation) == {"config_drift"}, 3)
    simulation.again()
    simulation.run(10.0)
    assert codes(simulation) == set(), "only a new process forgets a drift"


# --- what people clear --------------------------------------------------------------------------------------------


@pytest.mark.req("DD1")
def test_a_drawdown_outlives_the_desk_and_ends_with_a_new_peak():
    simulation = running()
    value = simulation.store.value("portfolio/ledger")
    ledger = codec.decode_value(value, Ledger)
    higher = replace(ledger, periods=replace(ledger.periods, peak_usd=ledger.periods.peak_usd * 2))
    simulation.desk.drop()
    with simulation.store.transaction() as written:
        written.put(StoreRecord(key="portfolio/ledger", value=codec.encode_value(higher)))
    simulation.desk = simulation.begin()
    simulation.run(10.0)
    trips(simulation, "max_drawdown", 10)
    simulation.again()
    simulation.run(10.0)
    assert "max_drawdown" in codes(simulation)
    assert ask(simulation, ResetPeakByHand(by="test")).code == 0
    clears(simulation, "max_drawdown", 3)
    assert portfolio(simulation).drawdown_pct < 1


def test_a_mismatch_is_cleared_by_a_rebuild_that_the_venue_confirms():
    simulation = running()
    over = order("SOL-USD", status=Status.FILLED, filled_size=D(2), filled_value=D(200))
    simulation.tell("risk", OrderUpdate(state=over))
    trips(simulation, "accounting_mismatch", 2)
    assert view(simulation).state is TradingState.HALTED
    reply = ask(simulation, RebuildByHand(by="test"))
    assert (reply.code, reply.text.partition(":")[0]) == (0, "rebuilt")
    clears(simulation, "accounting_mismatch", 3)


@pytest.mark.req("CD1")
def test_a_cooldown_is_cleared_by_hand():
    simulation = running()
    add(simulation, "forbidden", "create_order", for_s=5.0)
    by_hand(simulation)
    until(simulation, lambda: "ETH-USD" in dict(view(simulation).cooldowns), 5)
    assert ask(simulation, ClearCooldownByHand(by="test", product_id="ETH-USD")).code == 0
    until(simulation, lambda: "ETH-USD" not in dict(view(simulation).cooldowns), 3)
    assert ask(simulation, ClearCooldownByHand(by="test", product_id="ETH-USD")).code == 2
