"""Gates and trading states (risk.md §7): who may still do what, what trips a gate, what clears it, what survives."""

import pytest
from msgspec.structs import replace

from protocol.journal import StoreTrouble
from protocol.orders import CancelOrder, PlaceIntent, Side, Status
from protocol.risk import LaneLoad, Pause, Resume, RiskView, TradingState, WatchdogSeen
from protocol.strategy import Regime, UniverseView
from protocol.venue import UserStream
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    SOL,
    D,
    alerts,
    asset,
    epoch,
    exit_wanted,
    fill_applied,
    health,
    operator_order,
    order,
    periods,
    position,
    proposal,
    told,
    view,
)

HELD = view(positions=(position(),))
MIDNIGHT_S, MONDAY_S = 12 * 3600, (4 * 24 + 12) * 3600


def universe(regime=Regime.CHOP, eligible=2):
    return UniverseView(
        at_ns=NOON_NS,
        regime=regime,
        regime_confidence=1.0,
        trend_pct=0.0,
        volatility_pct=0.0,
        eligible=tuple(asset(p) for p in (BTC, ETH)[:eligible]),
        excluded=(),
    )


def store(kind):
    return StoreTrouble(ok=not kind, kind=kind, detail="")


def lane(waiting):
    return LaneLoad(actor="orders", waiting=waiting, bound=1000)


def losses(count, first=0):
    """So many sales that lost money, each settled."""
    news = []
    for number in range(first, first + count):
        name = f"{number}-SELL"
        news.append(fill_applied(SOL, buy=False, net=-1, client_order_id=f"c-{name}"))
        sold = order(SOL, Side.SELL, name=name, status=Status.FILLED, filled_size=D(1), filled_value=D(100))
        news.append(replace(sold, booked_size=D(1)))
    return tuple(news)


def rejected(count):
    return tuple(order(SOL, name=f"r{n}", status=Status.REJECTED, error="INSUFFICIENT_FUND") for n in range(count))


PAUSE = Pause(by="operator", reason="lunch")
DOWN = WatchdogSeen(alive=False, beat_age_s=2.5)
OVERFILLED = order(SOL, status=Status.FILLED, filled_size=D(2), filled_value=D(200))
LOST_A_DAY = replace(HELD, periods=periods(day=10_310))
LOST_A_WEEK = replace(HELD, periods=periods(week=10_760))
SUNK = replace(HELD, periods=periods(peak=11_200))

ACTIVE, REDUCING, HALTED, KILLED = TradingState
# what tripped it, under which limits; the state, the gate's code, and what it lets through
ALL, SALES, NOTHING = {"buy", "exit", "sell"}, {"exit", "sell"}, set()
TABLE = {
    "nothing tripped": ((), {}, ACTIVE, None, ALL),
    "kill": ((epoch(killed=True),), {}, KILLED, "kill_switch", NOTHING),
    "accounting mismatch": ((OVERFILLED,), {}, HALTED, "accounting_mismatch", NOTHING),
    "401 persists": ((health(auth_failing=True),), {}, HALTED, "credentials", NOTHING),
    "store cannot be written": ((store("failed"),), {}, HALTED, "store_failure", NOTHING),
    "a full event lane": ((lane(1000),), {}, HALTED, "event_lane", NOTHING),
    "store full": ((store("full"),), {}, REDUCING, "store_failure", SALES),
    "not reconciled": ((replace(HELD, reconciled=False),), {}, HALTED, "not_reconciled", NOTHING),
    "daily stop": ((LOST_A_DAY,), {}, REDUCING, "daily_stop", SALES),
    "weekly stop": ((LOST_A_WEEK,), {}, REDUCING, "weekly_stop", SALES),
    "drawdown": ((SUNK,), {}, REDUCING, "max_drawdown", SALES),
    "daily stop read literally": (
        (LOST_A_DAY,),
        {"protective_exits_when_halted": False},
        HALTED,
        "daily_stop",
        NOTHING,
    ),
    "drawdown read literally": (
        (SUNK,),
        {"protective_exits_when_halted": False},
        HALTED,
        "max_drawdown",
        NOTHING,
    ),
    "operator pause": ((PAUSE,), {}, REDUCING, "operator_pause", SALES),
    "governance": ((), {"live_enabled": False}, REDUCING, "governance_live_trading_disabled", SALES),
    "crash": ((universe(Regime.CRASH),), {}, REDUCING, "regime_crash", SALES),
    "one eligible product": ((universe(eligible=1),), {}, REDUCING, "insufficient_universe", SALES),
    "two eligible products": ((universe(),), {}, ACTIVE, None, ALL),
    "three losses in a row": (losses(3), {}, REDUCING, "loss_streak_cooldown", SALES),
    "two losses in a row": (losses(2), {}, ACTIVE, None, ALL),
    "three rejections": (rejected(3), {}, REDUCING, "order_rejection_burst", SALES),
    "two rejections": (rejected(2), {}, ACTIVE, None, ALL),
    "watchdog absent": ((DOWN,), {}, REDUCING, "watchdog_absent", SALES),
    "rate limit": (
        (health(rate_limited_until_ns=NOON_NS + 1),),
        {},
        REDUCING,
        "rate_limit_cooldown",
        SALES,
    ),
    "rate limit is over at its end": ((health(rate_limited_until_ns=NOON_NS),), {}, ACTIVE, None, ALL),
    "three errors in a row": ((health(consecutive_errors=3),), {}, REDUCING, "api_health", SALES),
    "two errors in a row": ((health(consecutive_errors=2),), {}, ACTIVE, None, ALL),
}


def tripped(messages, limits):
    desk = RiskDesk(**{"spacing_ns": 0, "symbol_spacing_ns": 0, **limits})
    desk.tell(HELD, *messages)
    return desk


@pytest.mark.req("K1", "DD1", "EX1")
@pytest.mark.parametrize(("messages", "limits", "state", "code", "may"), TABLE.values(), ids=TABLE)
def test_what_each_gate_lets_through(messages, limits, state, code, may):
    seen = tripped(messages, limits).seen()
    assert (seen.state, [g.code.value for g in seen.gates]) == (state, [code] if code else [])
    assert tripped(messages, limits).code(proposal(ETH)) == ("approved" if "buy" in may else code)
    assert bool(told(tripped(messages, limits).tell(exit_wanted()), PlaceIntent, "orders")) is ("exit" in may)
    assert tripped(messages, limits).operate(operator_order(ETH)).approved is ("buy" in may)
    assert tripped(messages, limits).operate(operator_order(BTC, Side.SELL)).approved is ("sell" in may)


@pytest.mark.req("K1")
def test_the_strictest_state_of_all_gates_holds_and_every_gate_is_named():
    desk = tripped((PAUSE, health(auth_failing=True), epoch(killed=True)), {})
    assert desk.seen().state is KILLED
    assert [g.code.value for g in desk.seen().gates] == ["kill_switch", "credentials", "operator_pause"]
    assert desk.code() == "kill_switch"


def test_nothing_is_placed_before_the_latch_was_heard():
    desk = RiskDesk(ready=False)
    desk.tell(view())
    assert desk.seen().state is HALTED
    desk.tell(epoch())
    assert desk.seen().state is ACTIVE


def test_nothing_is_placed_before_the_first_picture():
    desk = RiskDesk(ready=False)
    desk.tell(epoch())
    assert desk.seen().state is HALTED


def test_a_resume_before_the_first_picture_arms_nobody():
    desk = RiskDesk(ready=False)
    desk.tell(epoch(), PAUSE, Resume(by="operator"))
    assert desk.seen().state is HALTED
    desk.fresh()
    assert not desk.operate(operator_order(ETH)).approved
    desk.tell(view())
    assert desk.seen().state is ACTIVE


# --- loss limits --------------------------------------------------------------------------------------------------

STOPS = {
    "three per cent of the day's opening trips": (view(nav=9_700), "daily_stop"),
    "a cent less does not": (view(nav="9700.01"), "approved"),
    "seven per cent of the week's opening trips": (view(nav=9_300, periods=periods(day=9_300)), "weekly_stop"),
    "a cent less of the week does not": (view(nav="9300.01", periods=periods(day=9_300)), "approved"),
    "ten per cent below the peak trips": (
        view(nav=9_000, periods=periods(day=9_000, week=9_000)),
        "max_drawdown",
    ),
    "a cent less below the peak does not": (
        view(nav="9000.01", periods=periods(day=9_000, week=9_000)),
        "approved",
    ),
    "an opening of nothing cannot be lost": (view(nav=0, periods=periods(0, 0, 0)), "no_nav"),
    "an unknown net value trips nothing": (view(nav=None), "no_nav"),
}


@pytest.mark.req("DD1")
@pytest.mark.parametrize(("seen", "code"), STOPS.values(), ids=STOPS)
def test_loss_limits_trip_on_equity_at_the_limit_itself(seen, code):
    desk = RiskDesk()
    desk.tell(seen)
    assert desk.code() == code


@pytest.mark.req("DD1")
def test_a_loss_limit_alerts_once_says_so_at_once_and_cancels_purchases():
    desk = RiskDesk()
    desk.tell(order(ETH), order(SOL, Side.SELL), order(BTC, status=Status.CANCELED))
    effects = desk.tell(view(nav=9_700))
    assert alerts(effects) == [("daily_stop", "CRITICAL")]
    assert told(effects, RiskView, "cycle")[0].state is REDUCING
    assert [c.client_order_id for c in told(effects, CancelOrder, "orders")] == ["c-ETH-USD-BUY"]
    assert desk.tell(view(nav=9_600)) == (), "it is on record already"


@pytest.mark.req("DD1")
def test_a_purchase_that_was_on_its_way_when_the_stop_tripped_is_cancelled_when_it_is_heard_of():
    desk = RiskDesk()
    desk.tell(view(nav=9_700))
    assert [c.client_order_id for c in told(desk.tell(order(ETH)), CancelOrder, "orders")] == ["c-ETH-USD-BUY"]
    assert told(desk.tell(order(ETH, cancel_wanted="stop")), CancelOrder) == []
    assert told(desk.tell(order(ETH, Side.SELL)), CancelOrder) == []


def recovered(nav=10_000, **opened):
    return view(nav=nav, periods=replace(periods(nav, nav, 10_000), **opened))


ROLLS = {
    "a daily stop stays when the loss is made good": ((9_700, 10_000), 0, {}, "daily_stop"),
    "a daily stop ends at midnight": ((9_700, 9_700), MIDNIGHT_S, {"day": "2026-11-19"}, "approved"),
    "a weekly stop holds over midnight": ((9_300, 9_300), MIDNIGHT_S, {"day": "2026-11-19"}, "weekly_stop"),
    "a weekly stop ends on Monday": (
        (9_300, 9_300),
        MONDAY_S,
        {"day": "2026-11-23", "week": "2026-11-23"},
        "approved",
    ),
    "a drawdown outlives both": (
        (9_000, 9_000),
        MONDAY_S,
        {"day": "2026-11-23", "week": "2026-11-23"},
        "max_drawdown",
    ),
}


@pytest.mark.req("DD1")
@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
@pytest.mark.parametrize(("navs", "later_s", "opened", "code"), ROLLS.values(), ids=ROLLS)
def test_how_long_a_stop_holds(navs, later_s, opened, code, restarts):
    desk = RiskDesk()
    desk.tell(view(nav=navs[0]))
    if restarts:
        desk.restart()
        desk.get_ready()
    desk.later(later_s)
    desk.tell(recovered(navs[1], **opened))
    assert desk.code() == code


@pytest.mark.req("DD1")
def test_late_news_of_yesterdays_loss_does_not_stop_today():
    desk = RiskDesk()
    desk.later(MIDNIGHT_S + 0.001)
    desk.tell(view(nav=9_700, periods=periods(week=9_700)))
    assert desk.seen().state is ACTIVE
    desk.tell(recovered(9_700, day="2026-11-19"))
    assert desk.code() == "approved"


# --- what clears a gate, and what does not ------------------------------------------------------------------------


def test_loss_streak_ends_by_time_and_by_a_win():
    desk = RiskDesk()
    desk.tell(*losses(3))
    assert desk.later(3599.999).seen().state is REDUCING
    assert desk.later(0.001).seen().state is ACTIVE
    desk.tell(*losses(1, first=3))
    assert desk.seen().state is REDUCING, "the streak goes on"
    won = order(SOL, Side.SELL, name="w", status=Status.FILLED, filled_size=D(1), booked_size=D(1))
    desk.tell(fill_applied(SOL, buy=False, net=1, client_order_id="c-w"), won)
    assert (desk.seen().state, desk.seen().loss_streak) == (ACTIVE, 0)


def test_rejections_are_forgotten_after_ten_minutes():
    desk = RiskDesk()
    desk.tell(*rejected(3))
    assert desk.later(599.999).seen().state is REDUCING
    assert desk.later(0.001).seen().state is ACTIVE


def test_a_post_only_refusal_is_no_rejection():
    desk = RiskDesk()
    desk.tell(*(replace(o, error="INVALID_LIMIT_PRICE_POST_ONLY") for o in rejected(3)))
    assert desk.seen().state is ACTIVE
    assert desk.code(proposal(SOL)) == "approved"


def test_news_of_a_failed_order_that_is_still_being_booked_is_one_rejection():
    desk = RiskDesk()
    failed = order(SOL, status=Status.FAILED, filled_size=D(1), filled_value=D(100))
    desk.tell(*(replace(failed, booked_size=D(n) / 4) for n in range(5)))
    assert desk.seen().state is ACTIVE


CLEARS = {
    "a healthy probe clears errors": (health(consecutive_errors=3), health()),
    "a good signed probe clears credentials": (health(auth_failing=True), health()),
    "a store that can be written again": (store("failed"), store("")),
    "a watchdog that beats again": (DOWN, WatchdogSeen(alive=True, beat_age_s=0.1)),
    "a lane that was worked off": (lane(1000), lane(249)),
    "a regime that is over": (universe(Regime.CRASH), universe()),
    "enough eligible products": (universe(eligible=0), universe()),
}


@pytest.mark.parametrize(("trips", "clears"), CLEARS.values(), ids=CLEARS)
def test_gates_that_clear_by_themselves_say_so_at_once(trips, clears):
    desk = RiskDesk()
    assert told(desk.tell(trips), RiskView, "control")[0].state is not ACTIVE
    assert told(desk.tell(clears), RiskView, "control")[0].state is ACTIVE


def test_a_resume_ends_the_operators_pause_and_no_other_latch():
    desk = RiskDesk()
    desk.tell(PAUSE, view(nav=9_000), OVERFILLED)
    desk.tell(Resume(by="operator"))
    assert {g.code.value for g in desk.seen().gates} >= {"max_drawdown", "accounting_mismatch"}
    assert "operator_pause" not in {g.code.value for g in desk.seen().gates}


LATCHES = {
    "kill": ((epoch(killed=True),), "kill_switch"),
    "pause": ((PAUSE,), "operator_pause"),
    "drawdown": ((SUNK,), "max_drawdown"),
    "accounting mismatch": ((OVERFILLED,), "accounting_mismatch"),
}


@pytest.mark.req("K1", "DD1")
@pytest.mark.parametrize(("trips", "code"), LATCHES.values(), ids=LATCHES)
def test_a_latch_comes_back_with_its_reason_after_a_restart(trips, code):
    desk = RiskDesk()
    desk.tell(*trips)
    before = [g for g in desk.seen().gates if g.latched]
    desk.later(60).restart()
    after = [g for g in desk.seen().gates if g.latched]
    assert [g.code.value for g in after] == [code]
    assert [(g.since_ns, g.reason, g.by) for g in after] == [(g.since_ns, g.reason, g.by) for g in before]


# --- kill ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("K1")
def test_a_kill_is_durable_alerted_and_told_in_the_same_step():
    desk = RiskDesk()
    effects = desk.tell(epoch(killed=True, number=2))
    assert alerts(effects) == [("kill_switch", "CRITICAL")]
    assert {e.to for e in effects if hasattr(e, "to")} >= {"orders", "cycle", "control"}
    assert told(effects, RiskView)[0].state is KILLED
    desk.restart()
    assert desk.seen().state is KILLED


@pytest.mark.req("K1")
def test_a_kill_said_twice_is_one_kill():
    desk = RiskDesk()
    desk.tell(epoch(killed=True, number=2))
    assert desk.tell(epoch(killed=True, number=2)) == ()


@pytest.mark.req("K1")
def test_word_of_an_older_epoch_does_not_lift_a_kill():
    desk = RiskDesk()
    desk.tell(epoch(killed=True, number=3), epoch(number=2))
    assert desk.seen().state is KILLED
    desk.tell(epoch(number=4))
    assert desk.seen().state is ACTIVE


@pytest.mark.req("K1")
def test_a_restarted_desk_stays_killed_until_the_latch_says_otherwise():
    desk = RiskDesk()
    desk.tell(epoch(killed=True, number=2))
    desk.restart()
    desk.tell(view())
    assert desk.code() == "kill_switch"
    desk.tell(epoch(killed=True, number=2))
    assert desk.seen().state is KILLED


FILLS = {
    "what was ordered": ("100", ACTIVE),
    "a twentieth and twenty cents more": ("105.20", ACTIVE),
    "a cent beyond that": ("105.21", HALTED),
}


@pytest.mark.parametrize(("value", "state"), FILLS.values(), ids=FILLS)
def test_a_purchase_filled_for_more_than_ordered_halts(value, state):
    desk = RiskDesk()
    effects = desk.tell(order(SOL, status=Status.FILLED, filled_size=D(1), filled_value=D(value)))
    assert desk.seen().state is state
    assert alerts(effects) == ([("accounting_mismatch", "CRITICAL")] if state is HALTED else [])


def test_a_sale_may_bring_in_more_than_its_limit():
    desk = RiskDesk()
    desk.tell(order(SOL, Side.SELL, limit=97, status=Status.FILLED, filled_size=D(1), filled_value=D(105)))
    assert desk.seen().state is ACTIVE


def test_a_message_that_risk_has_no_use_for_changes_nothing():
    desk = RiskDesk()
    before = desk.state
    assert desk.tell(UserStream(up=True, detail="", at_ns=NOON_NS)) == ()
    assert desk.state == before
