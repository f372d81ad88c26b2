"""What operators see: exactly the fields of the command-line contract, money as text, unknown as null."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.control import views
from actors.control.core import step
from actors.control.state import Control, Settings
from protocol.control import Pages
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover
from protocol.orders import OrderUpdate, Status
from protocol.portfolio import LedgerTotal
from protocol.risk import BatchJudged, Decision, Gate, Reason, TradingState, Verdict
from protocol.strategy import Check, CycleRecord, CycleView, Exclusion, Passed, Regime, UniverseView
from tests.support import desk_scenes as scenes
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    fill_applied,
    order,
    periods,
    position,
    proposal,
    quote,
    view,
)

D = Decimal
SETTINGS = Settings(
    bot="bot",
    mode="PAPER",
    venue="embedded",
    profile="embedded",
    epoch=3,
    config_hash="abcd",
    versions=(("trader247", "0.1.0"),),
)
CONTRACT = {
    *("mode", "venue", "state", "halt", "epoch", "armed", "uptime_s", "equity_usd", "daily_pnl_usd", "drawdown_pct"),
    *("exposure_pct", "open_orders", "positions", "cycle", "watchdog", "config_hash", "versions"),
}


def gate(code, state, *, reason="", by="rule", latched=False):
    return Gate(code=code, state=state, since_ns=NOON_NS, reason=reason, by=by, latched=latched)


def risk_view(*gates, state=TradingState.ACTIVE):
    return scenes.risk_view(*gates, state=state, exposure_pct=D("12.34567"))


def control(*messages, **changes):
    state = Control(settings=replace(SETTINGS, **changes))
    for message in (Recover(), *messages):
        state, _ = step(state, message, NOON_NS)
    return state


def record(number=1, **changes):
    parts = {
        "cycle": number,
        "status": "NO_TRADE",
        "no_trade_reason": "",
        "regime": Regime.CHOP,
        "eligible": 1,
        "triggers": (),
        "passed": (),
        "proposals": 1,
        "approved": 0,
        "excluded": (),
        "stages_us": (),
        "at_ns": NOON_NS + number * SECOND_NS,
    }
    return CycleRecord(**(parts | changes))


def full():
    pages = Pages(epoch=3, watchdog_age_s=0.2, latch=None, kill_file=False)
    cycle = CycleView(n=9, last_ms=1.5, p95_ms=2.5, p99_ms=3.5, last_ns=NOON_NS)
    worth = view(
        nav="9990.50", periods=periods(), positions=(position(),), ledger=(LedgerTotal(currency="USD", total=D(1)),)
    )
    return control(worth, risk_view(), pages, cycle, OrderUpdate(state=order()))


@pytest.mark.parametrize("state", [control(), full()], ids=["nothing known", "everything known"])
def test_status_has_every_field_of_the_contract(state):
    shown = json.loads(json.dumps(views.status(state, NOON_NS)))
    assert set(shown) >= CONTRACT
    assert set(shown["halt"]) == {"reason", "at", "by"}
    assert set(shown["cycle"]) == {"n", "last_ms", "p95_ms", "p99_ms"}
    assert set(shown["watchdog"]) == {"alive", "beat_age_s"}


def test_what_is_unknown_is_null_and_never_zero():
    shown = views.status(control(), NOON_NS)
    money = ("equity_usd", "daily_pnl_usd", "drawdown_pct", "exposure_pct")
    assert {name: shown[name] for name in money} == dict.fromkeys(money)
    assert shown["state"] == "halted"
    assert shown["armed"] is False


def test_status_of_a_desk_at_work():
    shown = views.status(full(), NOON_NS + 90 * SECOND_NS)
    assert (shown["mode"], shown["venue"], shown["state"], shown["epoch"]) == ("PAPER", "embedded", "active", 3)
    assert (shown["equity_usd"], shown["daily_pnl_usd"]) == ("9990.5", "-9.5")
    assert (shown["drawdown_pct"], shown["exposure_pct"]) == (0.095, 12.3457)
    assert (shown["open_orders"], shown["positions"], shown["uptime_s"], shown["armed"]) == (1, 1, 90.0, True)
    assert shown["cycle"] == {"n": 9, "last_ms": 1.5, "p95_ms": 2.5, "p99_ms": 3.5}
    assert shown["versions"] == {"trader247": "0.1.0"}


KILL = gate(Reason.KILL_SWITCH, TradingState.KILLED, reason="my reason", by="ann", latched=True)
STALE = gate(Reason.STALE_DATA, TradingState.HALTED, reason="BTC-USD")
PAUSE = gate(Reason.OPERATOR_PAUSE, TradingState.REDUCING)
HALTS = {
    "none": ((), None, None),
    "a kill before everything, in the operator's words": ((PAUSE, STALE, KILL), "my reason", "ann"),
    "a halt before a pause": ((PAUSE, STALE), "stale_data: BTC-USD", "rule"),
    "a pause alone": ((PAUSE,), "operator_pause", "rule"),
}


@pytest.mark.req("K1")
@pytest.mark.parametrize(("gates", "reason", "by"), HALTS.values(), ids=HALTS)
def test_the_halt_is_the_gate_that_decides(gates, reason, by):
    found = views.halt(gates)
    assert (found["reason"], found["by"]) == (reason, by)
    assert found["at"] == ("2026-11-18T12:00:00.000Z" if gates else None)


def test_orders_that_might_rest_come_first_then_the_newest():
    rows = [
        order(name="old", status=Status.FILLED, created_ns=1),
        order(name="new", status=Status.FILLED, created_ns=9),
        order(name="live", created_ns=1),
        order(name="doubt", status=Status.UNRESOLVED, created_ns=5),
    ]
    shown = views.orders(control(*(OrderUpdate(state=o) for o in rows)))
    assert [o["client_order_id"] for o in shown] == ["c-doubt", "c-live", "c-new", "c-old"]


def test_live_orders_are_all_kept_and_ended_ones_up_to_a_number():
    live = [OrderUpdate(state=order(name=f"l{i}")) for i in range(10)]
    ended = [OrderUpdate(state=order(name=f"e{i}", status=Status.CANCELED)) for i in range(10)]
    kept = control(*live, *ended, keep=3).orders
    assert [name for name, o in kept.items() if o.terminal] == ["c-e7", "c-e8", "c-e9"]
    assert sum(not o.terminal for o in kept.values()) == 10


def test_a_position_tells_how_it_will_be_left():
    (shown,) = views.positions(control(view(positions=(position(mark=None),)), quote(BTC)))
    assert (shown["stop_price"], shown["target_price"], shown["mark"]) == ("90", "112", "99.99")
    assert shown["value_usd"] is None
    assert shown["leave_by"] == "2026-11-21T12:00:00.000Z"


def test_fills_come_newest_first_and_only_so_many_are_kept():
    fills = [fill_applied(entry_id=f"e{i}", net=i) for i in range(5)]
    state = control(*fills, keep=3)
    assert [f["entry_id"] for f in views.fills(state)] == ["e4", "e3", "e2"]
    assert views.fills(state)[0]["net_usd"] == "4"


def universe_view():
    out = Exclusion(product_id=ETH, tier=1, reason="volume", value=1.0, limit=2.0)
    return UniverseView(
        at_ns=NOON_NS,
        regime=Regime.BEAR,
        regime_confidence=0.7,
        trend_pct=-6.0,
        volatility_pct=50.0,
        eligible=(),
        excluded=(out,),
    )


@pytest.mark.req("U1")
def test_the_universe_tells_symbol_tier_and_reason():
    shown = views.universe(control(universe_view()))
    assert shown["regime"] == "bear"
    row = {"product_id": "ETH-USD", "tier": 1, "reason": "volume", "value": 1.0, "limit": 2.0, "checks": []}
    assert shown["excluded"] == [row]


def judged(*verdicts, number=1):
    decision = Decision(
        correlation="c",
        product_id=BTC,
        side=proposal().side,
        strategy="s",
        approved=all(v.passed for v in verdicts),
        code=None,
        verdicts=verdicts,
        requested_usd=D(1),
        approved_usd=D(1),
        degraded=False,
        at_ns=NOON_NS,
    )
    return BatchJudged(cycle=number, decisions=(decision,))


def verdict(code, *, passed):
    return Verdict(code=code, passed=passed, value=D(7), limit=D(5), unit="pct")


PASSED_OVER = Passed(product_id=BTC, stage="trigger", code="min_score", value=0.1, limit=0.2)
EXCLUDED = Exclusion(product_id=BTC, tier=1, reason="spread", value=30.0, limit=20.0)
WHYS = {
    "excluded": ((record(excluded=(EXCLUDED,)),), "spread"),
    "excluded, with every other bound": (
        (
            record(
                excluded=(
                    Exclusion(
                        product_id=BTC,
                        tier=1,
                        reason="spread",
                        value=30.0,
                        limit=20.0,
                        checks=(
                            Check(code="volume", passed=False, value=1.0, limit=2.0, unit="usd"),
                            Check(code="spread", passed=False, value=30.0, limit=20.0, unit="bps"),
                        ),
                    ),
                )
            ),
        ),
        "spread",
    ),
    "passed over": ((record(passed=(PASSED_OVER,)),), "min_score"),
    "refused by risk": (
        (judged(verdict(Reason.NO_NAV, passed=True), verdict(Reason.THEME_CAP, passed=False)), record()),
        "theme_cap",
    ),
    "traded": ((judged(verdict(Reason.NO_NAV, passed=True)), record()), "traded"),
    "the whole cycle was off": ((record(no_trade_reason="empty_universe"),), "empty_universe"),
    "nobody thought of it": ((record(),), "not a candidate"),
    "an older cycle's refusal is not this one's": (
        (judged(verdict(Reason.THEME_CAP, passed=False)), record(1), record(2)),
        "not a candidate",
    ),
}


@pytest.mark.parametrize(("messages", "expected"), WHYS.values(), ids=WHYS)
def test_why(messages, expected):
    assert views.why(control(*messages), "BTC-USD", None)["verdict"] == expected


def test_why_at_a_moment_speaks_of_the_cycle_before_it():
    state = control(record(1, no_trade_reason="one"), record(2, no_trade_reason="two"))
    assert views.why(state, "BTC-USD", NOON_NS + SECOND_NS)["verdict"] == "one"
    assert views.why(state, "BTC-USD", NOON_NS + 5 * SECOND_NS)["cycle"] == 2
    assert views.why(state, "BTC-USD", NOON_NS)["cycle"] is None
