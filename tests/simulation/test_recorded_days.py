"""Real days through the whole tree: 12 and 19 May 2021 in minutes, 10 October 2025 in trades.

Caps, stops and the crash regime are judged by a witness at the venue and by the recordings themselves.
"""

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import stdev

import pytest
from msgspec.structs import replace

from config.load import load
from ops.simulate.journal import OPEN, messages, of_journal, unsealed
from ops.simulate.world import START_NS
from protocol import codec
from protocol.instants import SECOND_NS
from protocol.journal import EntryKind
from protocol.orders import OrderState, Side
from protocol.risk import Alert, Decision
from protocol.strategy import CycleRecord, Regime
from tests.support.recorded_days import Witness, recorded

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "../shared/data"
MAY = SHARED / "candles" / "binance_2021-05_1m"
OCTOBER = SHARED / "trades" / "coinbase_2025-10-10"
HOUR_S = 3600
SLACK = Decimal("0.0002")
"""A fill's fee is known up to two seconds later than the fill."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded market data is not here"),
]


def policy(**risk):
    """The shipped limits at the real pace, some of them tighter."""
    shipped = load(ROOT / "config", profile="paper", overrides={}).policy
    return replace(shipped, risk=replace(shipped.risk, **{name: Decimal(value) for name, value in risk.items()}))


def may(day, hour, **risk):
    return recorded(f"tape:{MAY},from=2021-05-{day:02d}T{hour:02d}:00,as=USD", policy(**risk))


def said(simulation, kind):
    """Everything of one kind that somebody wanted on record, with its time."""
    found = ((s.entry.draft, m) for s, m in messages(unsealed(simulation)) if isinstance(m, kind))
    return [(draft.at_ns, m) for draft, m in found if draft.kind is EntryKind.SAID]


def orders(simulation):
    """Every order as it was first written."""
    found = {}
    for sealed in unsealed(simulation):
        for record in sealed.records:
            if record.key.startswith(OPEN) and record.value is not None:
                found.setdefault(record.key, codec.decode_value(record.value, OrderState))
    return list(found.values())


def purchases_ns(simulation):
    """When purchases reached the venue."""
    return [e.arrived_ns for e in simulation.venue.log.entries() if e.route == "create_order" and e.side == "BUY"]


@cache
def hourly_closes():
    """BTC's hours of May 2021 from the file itself: start in UNIX seconds, close."""
    closes = {}
    with gzip.open(MAY / "BTC-USDT.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            closes[int(row["ts_unix_s"]) // HOUR_S * HOUR_S] = float(row["close"])
    return closes


def crashing(at_s):
    """Whether BTC crashes by the table (pipeline.md section 4), from the 168 hours that are closed at `at_s`."""
    known = [close for start, close in sorted(hourly_closes().items()) if start + HOUR_S <= at_s][-168:]
    trend = (known[-1] / known[0] - 1) * 100
    moves = [(after / before - 1) * 100 for before, after in pairwise(known)]
    return trend < -10 or stdev(moves) * sqrt(24 * 365) > 100


def has_its_record(simulation):
    """What lacks a record: an order without its approval, a proposal or a product without a word."""
    decisions = [d for _, d in said(simulation, Decision)]
    approved = {d.correlation for d in decisions if d.approved}
    lacking = [f"order {o.client_order_id}" for o in orders(simulation) if o.intent.correlation not in approved]
    configured = set(simulation.world.launch.policy.universe.products)
    cycles = [c for _, c in said(simulation, CycleRecord)]
    judged = [d for d in decisions if d.strategy == "rules_engine" and d.side is Side.BUY]
    if sum(c.proposals for c in cycles) != len(judged):
        lacking.append("some proposal")
    for cycle in cycles:
        asked = {d.product_id for d in judged if d.correlation.startswith(f"c{cycle.cycle}-")}
        named = asked | {x.product_id for x in (*cycle.excluded, *cycle.passed, *cycle.triggers)}
        if cycle.no_trade_reason.partition(":")[0] != "data_unavailable" and not configured <= named:
            lacking.append(f"cycle {cycle.cycle}: {sorted(configured - named)}")
    return lacking


@pytest.mark.req("E1", "E2", "U3")
def test_the_slide_of_may_2021_breaks_no_cap_and_ends_all_buying_in_the_hour_it_becomes_a_crash():
    simulation = may(12, 21)
    witness = Witness(simulation)
    witness.watch(5 * HOUR_S)
    shift_s = START_NS // SECOND_NS - int(datetime(2021, 5, 12, 21, 0, 5, tzinfo=UTC).timestamp())
    bought = purchases_ns(simulation)
    crash = [at_ns for at_ns, _ in witness.equity if crashing(at_ns // SECOND_NS - shift_s)]
    assert bought, "a pipeline that refuses everything proves nothing"
    assert crash, "the recording was to crash"
    assert [at_ns for at_ns in bought if at_ns > crash[0] + 90 * SECOND_NS] == []
    assert witness.broken == []
    assert has_its_record(simulation) == []
    assert of_journal(simulation) == []
    regimes = [c.regime for at_ns, c in said(simulation, CycleRecord) if at_ns > crash[0] + 90 * SECOND_NS]
    assert set(regimes) == {Regime.CRASH}


@pytest.mark.req("U3")
def test_nothing_is_bought_on_the_nineteenth_of_may():
    simulation = may(19, 12)
    witness = Witness(simulation)
    witness.watch(2 * HOUR_S)
    assert purchases_ns(simulation) == []
    cycles = [c for _, c in said(simulation, CycleRecord)]
    assert len(cycles) > 100
    assert {c.regime for c in cycles[2:]} == {Regime.CRASH}
    assert has_its_record(simulation) == []


STOPS = {
    "daily_stop": {"daily_stop_pnl_pct": "-0.1", "weekly_stop_pnl_pct": "-7"},
    "weekly_stop": {"daily_stop_pnl_pct": "-3", "weekly_stop_pnl_pct": "-0.1"},
    "max_drawdown": {"max_drawdown_pct": "0.1"},
}


@pytest.mark.req("DD1")
@pytest.mark.parametrize(("kind", "limits"), STOPS.items(), ids=STOPS)
def test_a_loss_limit_trips_where_the_account_itself_says_so_and_nothing_is_bought_after(kind, limits):
    simulation = may(12, 21, **limits)
    witness = Witness(simulation)
    witness.watch(3 * HOUR_S)
    opened = peak = witness.equity[0][1]
    certain = possible = None
    for at_ns, usd in witness.equity:
        peak = max(peak, usd)
        lost = 1 - usd / (peak if kind == "max_drawdown" else opened)
        if possible is None and lost >= Decimal("0.001") - SLACK:
            possible = at_ns
        if certain is None and lost >= Decimal("0.001") + SLACK:
            certain = at_ns
    assert certain is not None, "the recording was to lose more than that"
    tripped = [at_ns for at_ns, alert in said(simulation, Alert) if alert.kind == kind]
    assert len(tripped) == 1
    assert possible - 2 * SECOND_NS <= tripped[0] <= certain + 5 * SECOND_NS
    assert [at_ns for at_ns in purchases_ns(simulation) if at_ns > tripped[0] + SECOND_NS] == []
    assert witness.broken == []


@pytest.mark.req("E1", "E2")
def test_the_trades_of_october_2025_break_no_cap_and_every_step_has_its_record():
    tape = f"tape:{OCTOBER},from=2025-10-10T17:00"
    simulation = recorded(tape, policy(), "BTC-USD", "ETH-USD")
    witness = Witness(simulation)
    witness.watch(HOUR_S)
    assert witness.broken == []
    assert has_its_record(simulation) == []
    assert of_journal(simulation) == []
