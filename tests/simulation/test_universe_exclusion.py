"""A product drops out of the running desk's universe: on record with symbol, tier and reason, and traded no more."""

import pytest

from actors.risk import gates
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.world import Simulation
from protocol.control import Asked, BanProduct, UnbanProduct
from protocol.orders import Side
from protocol.risk import Alert, Decision, Reason
from protocol.strategy import CycleRecord, Regime, RegimeChanged
from tests.support.universe_rig import week

PRODUCTS = ("BTC-USD", "ETH-USD", "DOGE-USD")


def cycles(simulation):
    """Every cycle's record, as the journal has it."""
    found = (m for sealed, m in messages(unsealed(simulation)) if sealed.entry.draft.actor == "cycle")
    return [m for m in found if isinstance(m, CycleRecord)]


def excluded(record):
    return {x.product_id: (x.tier, x.reason) for x in record.excluded}


def said(simulation, kind):
    """Everything of one kind that somebody wanted on record."""
    return [m for _, m in messages(unsealed(simulation)) if isinstance(m, kind)]


def entries(simulation):
    """Approved purchases."""
    return [d for d in said(simulation, Decision) if d.approved and d.side is Side.BUY]


@pytest.mark.req("U1")
def test_a_product_the_venue_disables_drops_out_and_the_record_says_why():
    simulation = Simulation(5, PRODUCTS)
    simulation.run(20.0)
    before = cycles(simulation)
    assert before[-1].eligible == 3
    simulation.venue.exchange.set_product("ETH-USD", simulation.clock.now_ns(), trading_disabled=True)
    simulation.run(320.0)
    last = cycles(simulation)[-1]
    assert excluded(last) == {"ETH-USD": (1, "product_disabled")}
    assert last.eligible == 2
    assert [*of_journal(simulation), *at_rest(simulation)] == []
    assert not simulation.desk.node.dead_letters


@pytest.mark.req("U1")
def test_an_operators_ban_and_its_end_over_a_restart():
    simulation = Simulation(6, PRODUCTS)
    simulation.run(10.0)
    ban = BanProduct(by="ann@desk", product_id="doge/usd", reason="team_rug")
    simulation.tell("control", Asked(connection=7, request=ban))
    simulation.run(10.0)
    (answer,) = [a for a in simulation.desk.control.answers if a.connection == 7]
    assert (answer.reply.code, "DOGE-USD is banned" in answer.reply.text) == (0, True)
    assert excluded(cycles(simulation)[-1]) == {"DOGE-USD": (2, "red_flag")}
    simulation.again()
    simulation.run(20.0)
    assert excluded(cycles(simulation)[-1]) == {"DOGE-USD": (2, "red_flag")}
    unban = UnbanProduct(by="ann@desk", product_id="DOGE")
    simulation.tell("control", Asked(connection=8, request=unban))
    simulation.run(10.0)
    assert excluded(cycles(simulation)[-1]) == {}


@pytest.mark.req("U3")
def test_a_crash_blocks_entries_in_the_cycle_that_sees_it_and_is_journalled():
    simulation = Simulation(7, PRODUCTS)
    simulation.run(10.0)
    assert cycles(simulation)[-1].eligible == 3
    simulation.tell("universe", week(-12))
    simulation.run(6.0)
    before = entries(simulation)
    last = cycles(simulation)[-1]
    assert (last.regime, last.eligible, last.no_trade_reason) == (Regime.CRASH, 0, "empty_universe")
    assert {reason for _, reason in excluded(last).values()} == {"regime_tier_zero"}
    (change,) = [
        m for _, m in messages(unsealed(simulation)) if isinstance(m, RegimeChanged) and m.after is Regime.CRASH
    ]
    assert (change.size_multiplier, change.cap_multiplier, change.max_positions) == (0, 0, 0)
    risk = simulation.desk.node.tree.records["risk"].shell.state
    codes = {gate.code for gate in gates.tripped(risk, simulation.clock.now_ns())}
    assert {Reason.REGIME_CRASH, Reason.INSUFFICIENT_UNIVERSE} <= codes
    simulation.run(30.0)
    assert entries(simulation) == before
    assert [a.kind for a in said(simulation, Alert)].count("empty_universe") == 1
