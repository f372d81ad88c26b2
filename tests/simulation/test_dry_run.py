"""DRY_RUN of the whole desk: it decides on a fixed sum, places nothing, and leaves no trace of a profit."""

import json

import pytest
from msgspec.structs import replace

from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger
from actors.venue.synthetic_plant import scenario_of
from ops.simulate.journal import messages, unsealed
from ops.simulate.world import Simulation, policy_for
from protocol import codec
from protocol.control import RunEvidence, Shutdown, View
from protocol.policy import Mode
from protocol.risk import Decision
from protocol.shadow import SHADOW_MODE, ShadowKind, ShadowOrder

SEED = 1
MINUTES_S = 600.0


def dry(seed=SEED):
    products = ("BTC-USD", *scenario_of(seed).planted[:2])
    return Simulation(seed, products, policy=replace(policy_for(products), mode=Mode.DRY_RUN))


@pytest.fixture(scope="module")
def lived():
    simulation = dry()
    simulation.run(MINUTES_S)
    return simulation


@pytest.mark.req("M1")
def test_nothing_reaches_the_venue(lived):
    assert [coid for entry in lived.venue.log.entries() for coid in entry.client_order_ids] == []
    assert lived.desk.ends == []


@pytest.mark.req("M1", "DD1")
def test_the_account_is_worth_a_fixed_sum_and_no_peak_of_it_is_kept(lived):
    asked = lived.ask(View(by="test", what="status"))
    lived.run(1.0)
    status = json.loads(lived.answer(asked).data)
    assert (status["equity_usd"], status["drawdown_pct"], status["daily_pnl_usd"]) == ("10000", None, None)
    (record,) = (r for r in lived.store.records(LEDGER_KEY) if r.key == LEDGER_KEY)
    kept = codec.decode_value(record.value, Ledger)
    assert (kept.mode, kept.periods, kept.aside, kept.positions) == ("DRY_RUN", None, (), ())


KNOWN = (
    "product_id", "side", "size_usd", "units", "bid", "ask", "mid", "spread_bps", "age_ms", "intended_route",
    "expected_slippage_bps", "expected_fees_usd", "tier", "confidence", "conviction", "depth_20bps_usd",
)  # fmt: skip


def of_kind(simulation, kind):
    """The journal's records of one type, by correlation; each correlation has one at most."""
    found = [m for _, m in messages(unsealed(simulation)) if isinstance(m, kind)]
    by_name = {record.correlation: record for record in found}
    assert len(by_name) == len(found)
    return by_name


@pytest.mark.req("M1")
def test_every_approved_entry_leaves_one_order_on_record_with_all_that_it_met(lived):
    approved = {name for name, d in of_kind(lived, Decision).items() if d.approved}
    orders = {name: r for name, r in of_kind(lived, ShadowOrder).items() if r.kind is ShadowKind.ORDER}
    assert approved == set(orders) != set()
    for made in orders.values():
        assert [name for name in KNOWN if getattr(made, name) in {None, ""}] == []
        assert min(made.tier, made.confidence, made.conviction, made.units, made.depth_20bps_usd) > 0
        assert made.expected_slippage_bps == 0  # an entry's first try is a maker's
        assert made.expected_fees_usd == made.size_usd * 40 / 10_000
        assert (made.passed_spread_check, made.passed_depth_check, made.would_place) == (True, True, True)
        assert (made.mode, made.config_hash) == (SHADOW_MODE, lived.world.launch.policy.config_hash)
        assert made.intended_price == made.spec.limit_price < made.ask
        assert made.client_order_id == made.spec.client_order_id != ""


@pytest.mark.req("M1")
def test_every_refused_proposal_leaves_a_rejection_with_its_code(lived):
    refused = {name: d.code.value for name, d in of_kind(lived, Decision).items() if not d.approved}
    rejected = {n: r for n, r in of_kind(lived, ShadowOrder).items() if r.kind is ShadowKind.REJECTION}
    assert {name: r.rejection_reason for name, r in rejected.items()} == refused != {}
    assert not any(r.would_place or r.client_order_id for r in rejected.values())


@pytest.mark.req("M1")
def test_a_run_that_is_stopped_leaves_its_evidence_for_the_ladder():
    simulation = dry()
    simulation.run(120.0)
    began = simulation.clock.now_ns()
    simulation.ask(Shutdown(by="test", reason="done"))
    simulation.seconds_until(lambda: simulation.desk.ends, 10.0)
    (last,) = (m for _, m in messages(unsealed(simulation)) if isinstance(m, RunEvidence))
    assert (last.market, last.ended, last.config_hash) == (
        "synthetic",
        True,
        simulation.world.launch.policy.config_hash,
    )
    assert last.cycles >= 0.8 * last.cycles_expected > 0
    assert last.from_ns < began <= last.until_ns <= simulation.clock.now_ns()
