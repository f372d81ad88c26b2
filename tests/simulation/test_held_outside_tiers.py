"""What is held stays fed, and is left by its rules, after a start whose tiers do not name it; nothing of it is bought.

Source: execution.md §10 (exits in every trading state), pipeline.md §3 (eligibility is of entries).
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger
from actors.venue.faults import Fault
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from protocol.instants import DAY_NS
from protocol.policy import Policy
from protocol.portfolio import FillApplied
from protocol.strategy import CycleRecord
from tests.support.refusal_desk import MAJORS, RefusalDesk

COIN = "ETH-USD"


def without(policy: Policy, product: str) -> Policy:
    """The same policy, whose tiers have lost a product."""
    universe = policy.universe
    tiers = tuple(replace(row, products=tuple(p for p in row.products if p != product)) for row in universe.tiers)
    return replace(policy, universe=replace(universe, tiers=tiers))


def bereft(overrides=None, usd=50):
    """A desk that holds what its tiers no longer name, two seconds after its start."""
    desk = RefusalDesk(MAJORS, overrides)
    desk.run(12.0)
    desk.buy(COIN, usd)
    desk.rerun(without(desk.world.launch.policy, COIN))
    assert COIN not in desk.world.launch.policy.universe.products
    desk.run(2.0)
    return desk


def journalled(desk, kind):
    return [m for _, m in messages(unsealed(desk)) if isinstance(m, kind)]


def left_for(desk):
    """Why positions were left."""
    return {m.exit_code for m in journalled(desk, FillApplied) if m.exit_code}


def sound(desk):
    """The journal's invariants hold, and the books are the venue's."""
    desk.run(10.0)
    assert [*of_journal(desk), *at_rest(desk)] == []
    assert ledger_totals(desk) == venue_totals(desk)


@pytest.mark.req("E1", "EX1")
def test_a_stop_still_sells_what_no_tier_names_and_then_nobody_follows_it():
    desk = bereft()
    assert f"feed:{COIN}" in desk.desk.node.tree.records
    desk.venue.market.set_path(COIN, [(5.0, desk.mid(COIN) * 85 / 100)])
    desk.until(lambda: desk.held(COIN) == 0, 30)
    assert left_for(desk) == {"stop_loss"}
    sound(desk)
    desk.again()
    assert f"feed:{COIN}" not in desk.desk.node.tree.records


@pytest.mark.slow
@pytest.mark.req("EX1")
def test_its_target_and_its_longest_time_count_too():
    desk = bereft()
    desk.venue.market.set_path(COIN, [(5.0, desk.mid(COIN) * 140 / 100)])
    desk.until(lambda: desk.held(COIN) == 0, 30)
    assert left_for(desk) == {"take_profit"}
    desk = bereft()
    desk.rewrite(LEDGER_KEY, Ledger, longer_held)
    desk.run(2.0)
    assert desk.portfolio() is not None
    desk.until(lambda: desk.held(COIN) == 0, 30)
    assert left_for(desk) == {"max_hold"}
    sound(desk)


def longer_held(ledger):
    """As if everything had been bought four days earlier."""
    positions = tuple(replace(p, opened_ns=p.opened_ns - 4 * DAY_NS) for p in ledger.positions)
    return replace(ledger, positions=positions)


@pytest.mark.req("U1")
def test_nothing_of_it_is_bought_and_the_record_says_why():
    desk = bereft()
    desk.run(12.0)
    assert {x.product_id: (x.tier, x.reason) for x in journalled(desk, CycleRecord)[-1].excluded} == {
        COIN: (0, "no_tier")
    }
    reply = desk.order(COIN)
    assert reply.code != 0
    assert "not in the universe" in reply.text
    assert desk.order("SOL-USD").code == 0
    sound(desk)


@pytest.mark.slow
@pytest.mark.req("E1")
def test_the_account_is_worth_something_all_the_while():
    desk = bereft(usd=300)
    desk.until(lambda: desk.portfolio().nav_usd is not None, 10)
    worth = set()
    for _ in range(150):  # longer than any price holds
        desk.run(1.0)
        worth.add(desk.portfolio().nav_usd)
    assert None not in worth
    assert len(worth) > 10, "its price moves with the market"


@pytest.mark.slow
@pytest.mark.req("EX1")
def test_an_order_that_was_under_way_when_its_product_left_is_followed_to_its_end():
    desk = RefusalDesk(MAJORS)
    desk.run(12.0)
    desk.venue.faults.add([Fault(kind="delay", target="create_order", parameters={"ms": 3000})], desk.clock.now_ns())
    desk.order(COIN)
    desk.run(1.0)
    assert desk.held(COIN) == 0
    desk.rerun(without(desk.world.launch.policy, COIN))
    desk.run(2.0)
    desk.until(lambda: desk.held(COIN) > 0, 60)
    desk.run(5.0)
    desk.venue.market.set_path(COIN, [(5.0, desk.mid(COIN) * Decimal("0.85"))])
    desk.until(lambda: desk.held(COIN) == 0, 30)
    sound(desk)
