"""Every breaker's trip and clear (risk.md §7) beyond the table of states: windows, holds, probes, records, alerts."""

import pytest
from msgspec.structs import replace

from protocol.journal import StoreTrouble
from protocol.lifecycle import ActorExited, Wake
from protocol.market import FeedState, FeedStatus
from protocol.orders import PlaceIntent, Side, Status
from protocol.portfolio import Correction, PeakReset, PositionsRebuilt
from protocol.risk import (
    ClearCooldown,
    ClockJumped,
    ConfigDrift,
    GateChanged,
    LaneLoad,
    RiskView,
    TradingState,
    VerbAnswered,
    VerbOutcome,
)
from protocol.strategy import Exclusion
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    PRODUCTS,
    SOL,
    D,
    alerts,
    exit_wanted,
    fill_applied,
    health,
    noted,
    operator_order,
    order,
    periods,
    position,
    product_rules,
    products_known,
    proposal,
    quote,
    told,
    universe_view,
    view,
)

S = 1_000_000_000
ACTIVE, REDUCING, HALTED, KILLED = TradingState
CRASH = ActorExited(name="feed:BTC-USD", incarnation=1, normal=False, error="ValueError()")


def codes(desk):
    return [(g.code.value, g.state) for g in desk.seen().gates]


def look(desk, seconds=0.0, *, but=()):
    """Let time pass, every quote fresh but those of `but`; then the desk looks at its watch."""
    desk.now += int(seconds * S)
    for product in PRODUCTS:
        if product not in but:
            desk.tell(quote(product, at=desk.now))
    return desk.seen()


def cycle(desk, **changes):
    return desk.tell(universe_view(at_ns=desk.now, **changes))


# --- API health, exchange, clock ----------------------------------------------------------------------------------


@pytest.mark.req("EX1")
def test_errors_in_a_row_trip_within_their_window_only():
    desk = RiskDesk()
    desk.tell(health(consecutive_errors=2))
    look(desk, 301)
    desk.tell(health(consecutive_errors=3))
    assert codes(desk) == [], "two of them are too old to count"
    desk.tell(health(consecutive_errors=5))
    assert codes(desk) == [("api_health", REDUCING)]


@pytest.mark.req("EX1")
def test_api_health_is_not_healed_by_time_but_by_one_success():
    desk = RiskDesk()
    effects = desk.tell(health(consecutive_errors=3))
    assert alerts(effects) == [("api_error_burst", "WARNING")]
    look(desk, 3600)
    assert codes(desk) == [("api_health", REDUCING)]
    desk.tell(health())
    assert codes(desk) == []


@pytest.mark.req("EX1")
def test_a_venue_that_answers_no_probe_halts_until_it_does():
    desk = RiskDesk()
    desk.tell(view(positions=(position(),)), health(consecutive_errors=1, probe_failed=True))
    assert codes(desk) == [], "one call that failed is no outage"
    desk.tell(health(consecutive_errors=3, probe_failed=True))
    assert codes(desk) == [("api_health", REDUCING), ("exchange_unhealthy", HALTED)]
    assert told(desk.tell(exit_wanted()), PlaceIntent) == []
    desk.tell(health())
    assert codes(desk) == []


@pytest.mark.req("EX1")
def test_of_several_gates_the_first_of_the_order_is_the_reason():
    desk, ill = RiskDesk(), {"consecutive_errors": 3, "probe_failed": True, "auth_failing": True}
    desk.tell(StoreTrouble(ok=False, kind="failed", detail=""), universe_view(eligible=(), at_ns=desk.now))
    found = []
    for news in (health(), health(auth_failing=True), health(**ill), health(**ill, rate_limited_until_ns=desk.now + S)):
        desk.tell(news)
        found.append(desk.code())
    desk.tell(view(9_600, periods=periods()))
    assert [*found, desk.code()] == ["store_failure", "credentials", "api_health", "rate_limit_cooldown", "daily_stop"]


OFF = {"clock_offset_ns": 200_000_000, "clock_error_ns": 10_000_000}


@pytest.mark.req("TIME1")
def test_a_clock_that_stays_off_trips_and_a_good_measurement_clears():
    desk = RiskDesk()
    desk.tell(health(**OFF, clock_ns=1), health(**OFF, clock_ns=1, rate_limited_until_ns=5))
    assert codes(desk) == [], "one measurement, told twice"
    effects = desk.tell(health(**OFF, clock_ns=2))
    assert alerts(effects) == [("clock_drift", "CRITICAL")]
    assert codes(desk) == [("clock", REDUCING)]
    desk.tell(health(clock_offset_ns=150_000_000, clock_ns=3))
    assert codes(desk) == []


@pytest.mark.req("TIME1")
def test_a_slow_answer_is_no_drift():
    desk = RiskDesk()
    slow = {"clock_offset_ns": 400_000_000, "clock_error_ns": 250_000_000}
    desk.tell(*(health(**slow, clock_ns=n) for n in range(1, 4)))
    assert codes(desk) == []


def test_a_wall_clock_that_was_set_waits_for_the_venues():
    desk = RiskDesk()
    desk.tell(health(clock_ns=NOON_NS - S), ClockJumped(by_ns=3600 * S, at_ns=NOON_NS))
    assert codes(desk) == [("clock", REDUCING)]
    desk.tell(health(consecutive_errors=1, clock_ns=NOON_NS - S))
    assert codes(desk) == [("clock", REDUCING)], "that was measured before"
    desk.tell(health(clock_ns=NOON_NS + S))
    assert codes(desk) == []


# --- what the desk itself reports ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "state"), [("full", REDUCING), ("slow", REDUCING), ("failed", HALTED)])
def test_a_store_that_is_slow_or_full_reduces_and_one_that_cannot_be_written_halts(kind, state):
    desk = RiskDesk()
    effects = desk.tell(StoreTrouble(ok=False, kind=kind, detail=""))
    assert (codes(desk), alerts(effects)) == ([("store_failure", state)], [("state_write_failure", "CRITICAL")])


def test_a_lane_reduces_at_half_halts_when_full_and_clears_below_a_quarter():
    desk, seen = RiskDesk(), []
    for waiting in (499, 500, 999, 1000, 501, 250, 249):
        desk.tell(LaneLoad(actor="orders", waiting=waiting, bound=1000))
        seen.append(codes(desk)[0][1] if codes(desk) else ACTIVE)
    assert seen == [ACTIVE, REDUCING, REDUCING, HALTED, HALTED, HALTED, ACTIVE]


def test_two_unexpected_ends_of_actors_reduce_for_five_minutes_over_a_restart():
    desk = RiskDesk()
    desk.tell(CRASH, replace(CRASH, normal=True))
    assert codes(desk) == []
    desk.later(299)
    effects = desk.tell(CRASH)
    assert alerts(effects) == [("exception_burst", "CRITICAL")]
    desk.restart()
    desk.get_ready()
    assert codes(desk) == [("exception_burst", REDUCING)]
    assert desk.later(1.001).seen().state is ACTIVE, "the first of them is too old"


def test_another_configuration_holds_entries_until_the_process_starts_anew():
    desk = RiskDesk()
    effects = desk.tell(ConfigDrift(running="a", found="b", at_ns=NOON_NS))
    assert alerts(effects) == [("config_drift", "CRITICAL")]
    (gate,) = desk.seen().gates
    assert (gate.code.value, gate.state, gate.latched) == ("config_drift", REDUCING, True)
    assert desk.tell(ConfigDrift(running="a", found="b", at_ns=NOON_NS + S)) == ()


def test_rejections_in_a_burst_are_an_alert():
    desk = RiskDesk()
    burst = [order(SOL, name=f"r{n}", status=Status.REJECTED, error="INSUFFICIENT_FUND") for n in range(3)]
    assert alerts(desk.tell(*burst)) == [("order_rejection_burst", "WARNING")]


@pytest.mark.req("U3")
def test_volatility_holds_entries_until_two_cycles_are_calm():
    desk, seen = RiskDesk(min_eligible=0), []
    for pct in (150.0, 150.1, 149.0, None, 151.0, 10.0, 10.0):
        cycle(desk, volatility_24h_pct=pct)
        seen.append(bool(codes(desk)))
    assert seen == [False, True, True, True, True, True, False]


def test_a_universe_that_nobody_has_seen_yet_is_not_a_small_one():
    desk = RiskDesk()
    rows = tuple(Exclusion(product_id=p, tier=1, reason="no_market_data", value=None, limit=None) for p in PRODUCTS)
    desk.state = replace(desk.state, eligible=None)
    cycle(desk, eligible=(), excluded=rows)
    assert codes(desk) == []
    cycle(desk, eligible=(), excluded=tuple(replace(row, reason="min_volume") for row in rows))
    assert codes(desk) == [("insufficient_universe", REDUCING)]
    cycle(desk, eligible=(), excluded=rows)
    assert codes(desk) == [("insufficient_universe", REDUCING)], "once it was counted, no data means nobody"


# --- staleness ----------------------------------------------------------------------------------------------------


def stale(desk, *products):
    """Six seconds without a word of these."""
    look(desk)
    look(desk, 6, but=products)
    return desk


@pytest.mark.req("ST1")
def test_a_stale_product_is_alerted_within_a_second_of_its_limit_and_traded_after_two_fresh_cycles():
    desk = RiskDesk(min_eligible=0)
    look(desk)
    for _ in range(6):
        look(desk, 1, but=(ETH,))
    gates = desk.seen().products
    assert [(g.code.value, g.product_id) for g in gates] == [("stale_data", ETH)]
    assert desk.code(proposal(ETH)) == "stale_data"
    assert desk.code(proposal(BTC)) == "approved"
    look(desk)
    cycle(desk)
    assert desk.code(proposal(ETH)) == "stale_data", "one fresh cycle is not two"
    look(desk, 6, but=(ETH,))
    cycle(desk)
    look(desk)
    cycle(desk)
    assert desk.code(proposal(ETH)) == "stale_data", "counted anew"
    cycle(desk)
    assert desk.code(proposal(ETH)) == "approved"


@pytest.mark.req("ST1", "AL1")
def test_staleness_is_one_alert():
    desk = RiskDesk()
    look(desk)
    desk.now += 5 * S + 1
    for product in set(PRODUCTS) - {ETH}:
        desk.tell(quote(product, at=desk.now))
    effects = desk.tell(Wake(timer="view", due_ns=desk.now))
    assert alerts(effects) == [("staleness", "CRITICAL")]
    assert [g.gate.product_id for g in noted(effects, GateChanged)] == [ETH]
    assert alerts(desk.tell(Wake(timer="view", due_ns=desk.now))) == []


@pytest.mark.req("ST1")
def test_a_sale_needs_a_fresh_quote_and_no_cycle():
    desk = stale(RiskDesk(), BTC)
    desk.tell(view(positions=(position(),)))
    assert told(desk.tell(exit_wanted()), PlaceIntent) == []
    desk.tell(quote(BTC, at=desk.now, candle_ns=None))
    assert len(told(desk.tell(exit_wanted()), PlaceIntent)) == 1


MARKETS = {"the reference alone": ((BTC,), True), "half of all": (PRODUCTS[1:4], False), "most": (PRODUCTS[1:5], True)}


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("products", "held"), MARKETS.values(), ids=MARKETS)
def test_the_market_is_stale_with_its_reference_or_with_most_products(products, held):
    desk = stale(RiskDesk(min_eligible=0), *products)
    fresh = next(p for p in reversed(PRODUCTS) if p not in products)
    assert (codes(desk) == [("stale_data", REDUCING)]) is held
    assert desk.code(proposal(fresh)) == ("stale_data" if held else "approved")
    look(desk)
    cycle(desk)
    assert bool(codes(desk)) is held
    cycle(desk)
    assert codes(desk) == []


@pytest.mark.req("ST1")
def test_what_has_never_been_fresh_is_not_there_yet_and_no_alarm():
    desk = RiskDesk(ready=False)
    desk.get_ready(quoted=False)
    for product in PRODUCTS:
        desk.tell(FeedState(product_id=product, status=FeedStatus.DOWN, detail="started", at_ns=desk.now))
    assert (codes(desk), desk.seen().products) == ([], ())
    assert desk.code() == "stale_data"
    desk.fresh()
    assert desk.code() == "approved"


AGES = {
    "a minute of ninety seconds is young": ({"candle_ns": NOON_NS - 90 * S}, "approved", ""),
    "one of a moment more is not": ({"candle_ns": NOON_NS - 90 * S - 1}, "stale_data", "minute candle"),
    "no closed minute at all": ({"candle_ns": None}, "stale_data", "no closed minute"),
    "two seconds on the way": ({"fresh_ns": NOON_NS - 2 * S, "venue_ns": NOON_NS - 2 * S}, "approved", ""),
    "longer on the way": ({"fresh_ns": NOON_NS - 2 * S - 1}, "stale_data", "transport lag"),
    "a second ahead of the venue's clock": ({"fresh_ns": NOON_NS + S, "received_ns": NOON_NS + S}, "approved", ""),
    "further ahead is as bad as old": (
        {"fresh_ns": NOON_NS + S + 1, "received_ns": NOON_NS + S},
        "stale_data",
        "quote age, ahead of the venue's clock",
    ),
    "quiet for a minute on a live connection": ({"venue_ns": NOON_NS - 60 * S}, "approved", ""),
}


@pytest.mark.req("ST1")
@pytest.mark.parametrize(("changes", "code", "detail"), AGES.values(), ids=AGES)
def test_every_age_has_its_own_limit_and_name(changes, code, detail):
    desk = RiskDesk()
    desk.tell(quote(BTC, **changes))
    assert desk.code() == code
    verdicts = desk.decide(proposal())[BTC].verdicts
    failed = {v.detail for v in verdicts if v.code.value == "stale_data" and not v.passed}
    assert failed - {"reference BTC-USD"} == ({detail} if detail else set())


@pytest.mark.req("ST1")
def test_ages_are_taken_on_the_venues_clock():
    desk = RiskDesk()
    behind = {"fresh_ns": NOON_NS - 10 * S, "candle_ns": NOON_NS - 10 * S}
    desk.tell(health(clock_offset_ns=-10 * S), *(quote(product, **behind) for product in PRODUCTS))
    assert desk.code() == "approved"
    desk.tell(health(clock_offset_ns=0))
    assert desk.code() == "stale_data"


@pytest.mark.req("ST1")
@pytest.mark.parametrize("off_ms", [-10_000, -500, 500, 10_000])
def test_stamps_behind_or_ahead_of_ours_are_no_age_once_the_offset_is_measured_and_half_a_second_never(off_ms):
    desk, off_ns = RiskDesk(), off_ms * S // 1000
    at_ns = NOON_NS + off_ns
    desk.tell(*(quote(product, fresh_ns=at_ns, venue_ns=at_ns, candle_ns=at_ns) for product in PRODUCTS))
    if abs(off_ms) > 500:
        desk.tell(health(clock_offset_ns=off_ns))
    assert desk.code() == "approved"


@pytest.mark.req("EX1")
def test_a_product_that_the_venue_holds_back_is_a_gate_of_its_own():
    desk = RiskDesk()
    rest = tuple(product_rules(p) for p in PRODUCTS if p != ETH)
    effects = desk.tell(products_known(product_rules(ETH, cancel_only=True), *rest))
    assert alerts(effects) == [("exchange_health", "CRITICAL")]
    assert [(g.code.value, g.product_id) for g in desk.seen().products] == [("product_disabled", ETH)]
    assert desk.seen().state is ACTIVE
    desk.tell(products_known())
    assert desk.seen().products == ()


# --- what people clear --------------------------------------------------------------------------------------------


@pytest.mark.req("DD1")
def test_a_new_peak_clears_the_drawdown_and_nothing_else():
    desk = RiskDesk()
    desk.tell(view(nav=9_000))
    assert {code for code, _ in codes(desk)} == {"daily_stop", "weekly_stop", "max_drawdown"}
    desk.tell(PeakReset(before_usd=D(10_000), peak_usd=D(9_000), by="operator", at_ns=desk.now))
    assert {code for code, _ in codes(desk)} == {"daily_stop", "weekly_stop"}
    desk.restart()
    assert "max_drawdown" not in {code for code, _ in codes(desk)}


def test_a_rebuilt_ledger_clears_the_mismatch_and_the_same_order_does_not_trip_it_again():
    desk = RiskDesk()
    over = order(SOL, status=Status.FILLED, filled_size=D(2), filled_value=D(200))
    assert alerts(desk.tell(over)) == [("accounting_mismatch", "CRITICAL")]
    named = (Correction(kind="balance", subject="SOL", ledger="1", venue="2"),)
    desk.tell(PositionsRebuilt(corrections=named, by="operator", at_ns=desk.now))
    assert codes(desk) == []
    desk.tell(replace(over, booked_size=D(1)))
    assert codes(desk) == []
    desk.tell(order(SOL, name="next", status=Status.FILLED, filled_size=D(2), filled_value=D(200)))
    assert codes(desk) == [("accounting_mismatch", HALTED)]


@pytest.mark.req("CD1")
def test_a_cleared_cooldown_is_gone_for_good():
    desk = RiskDesk(spacing_ns=0, symbol_spacing_ns=0)
    desk.tell(order(SOL, status=Status.FAILED))
    assert desk.code(proposal(SOL)) == "cooldown"
    clear = ClearCooldown(request_id="1", reply_to="control", product_id=SOL, by="operator")
    assert [(a.outcome, a.request_id) for a in told(desk.tell(clear), VerbAnswered, "control")] == [
        (VerbOutcome.DONE, "1")
    ]
    assert desk.code(proposal(SOL)) == "approved"
    desk.restart()
    desk.get_ready()
    assert desk.code(proposal(SOL)) == "approved"
    assert [a.outcome for a in told(desk.tell(clear), VerbAnswered)] == [VerbOutcome.NOT_FOUND]


@pytest.mark.req("CD1")
def test_pacing_and_cooldowns_outlive_a_restart():
    desk = RiskDesk()
    desk.tell(order(SOL, status=Status.FAILED), fill_applied(ETH, client_order_id="c-1"))
    desk.restart()
    desk.get_ready()
    assert (desk.code(proposal(SOL)), desk.code(proposal(ETH))) == ("cooldown", "trade_spacing")
    desk.later(299.999)
    assert desk.code(proposal(SOL)) == "cooldown"
    desk.later(0.001)
    assert desk.code(proposal(SOL)) == "approved", "at its end it is over"


# --- what is said of it -------------------------------------------------------------------------------------------


def test_a_gate_keeps_its_age_and_is_said_once_each_way():
    desk = RiskDesk()
    effects = desk.tell(health(auth_failing=True))
    assert [(c.tripped, c.gate.code.value) for c in noted(effects, GateChanged)] == [(True, "credentials")]
    assert told(effects, RiskView, "control")[0].state is HALTED
    desk.later(60).tell(health(auth_failing=True, consecutive_errors=1))
    assert desk.seen().gates[0].since_ns == NOON_NS
    effects = desk.tell(health())
    assert [(c.tripped, c.gate.code.value) for c in noted(effects, GateChanged)] == [(False, "credentials")]


def test_a_restart_is_no_second_alarm():
    desk = RiskDesk()
    desk.tell(view(nav=9_700))
    desk.restart()
    assert alerts(desk.tell(view(nav=9_700))) == []
    assert [g.code.value for g in desk.seen().gates if g.latched] == ["daily_stop"]


def test_an_operators_sale_passes_a_reducing_gate_and_a_purchase_does_not():
    desk = RiskDesk()
    desk.tell(view(positions=(position(),)), CRASH, CRASH)
    assert desk.operate(operator_order(BTC, Side.SELL)).approved
    assert not desk.operate(operator_order(ETH)).approved
