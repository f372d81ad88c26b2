"""The checkers of the invariants find what is wrong: of a desk in order one thing is spoiled at a time."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.venue.in_kernel import Habits
from ops.simulate import moment
from ops.simulate.journal import Freshness, Sending, Succession, messages, of_journal, unsealed
from ops.simulate.moment import at_rest, ours, room
from ops.simulate.world import SECOND_NS, Simulation, brisk
from protocol.ids import ProductId
from protocol.lifecycle import Recover
from protocol.market import FeedState
from protocol.orders import PlaceIntent, Side, Step, StepKind
from protocol.risk import Decision, OperatorOrder, TradingState
from tests.support.order_lives import BTC, quiet_venue

AGE_NS = 5 * SECOND_NS


@pytest.fixture
def simulation():
    """A desk with one purchase of a person's at the venue, and nothing wrong."""
    made = Simulation(1, (BTC,), make=quiet_venue, policy=brisk((BTC,)), habits=Habits(tick_ms=500))
    made.run(5.0)
    steps = (Step(kind=StepKind.LIMIT, limit_price=Decimal("99000.00"), post_only=True),)
    parts = {"product_id": ProductId(BTC), "side": Side.BUY, "base_size": Decimal("0.0003"), "quote_size": None}
    asked = {"steps": steps, "by": "test", "drill": False, "reply_to": "control"}
    made.tell("risk", OperatorOrder(correlation="hand/1", **parts, **asked))
    made.run(2.0)
    assert len(ours(made)) == 1
    assert [*of_journal(made), *at_rest(made)] == []
    return made


def spoil(simulation, name, **changes):
    """Give an actor another state than its own."""
    shell = simulation.desk.node.tree.records[name].shell
    shell.state = replace(shell.state, **changes)


def taken(check, entries):
    """What it says of a whole journal."""
    return [fault for sealed, message in messages(entries) for fault in check.take(sealed, message)]


def numbers(faults):
    return {fault.partition(":")[0] for fault in faults}


def test_7_a_purchase_that_risk_does_not_count(simulation):
    assert room(simulation, "control").risk.state is TradingState.ACTIVE
    spoil(simulation, "risk", orders={})
    assert numbers(at_rest(simulation)) == {"7"}


def test_7_a_purchase_that_risk_counts_in_part(simulation):
    ((coid, order),) = room(simulation, "risk").orders.items()
    spoil(simulation, "risk", orders={coid: replace(order, filled_size=Decimal("0.0001"))})
    assert numbers(at_rest(simulation)) == {"7"}


def test_8_an_approval_without_a_live_feed(simulation):
    kept = [s for s, m in messages(unsealed(simulation)) if not isinstance(m, FeedState)]
    assert numbers(taken(Freshness(AGE_NS), kept)) == {"8"}


def test_8_an_approval_on_an_old_quote(simulation):
    """As if it had been judged six seconds later."""

    def late(sealed):
        draft = sealed.entry.draft
        return replace(sealed, entry=replace(sealed.entry, draft=replace(draft, at_ns=draft.at_ns + 6 * SECOND_NS)))

    undecided = [(s, m) for s, m in messages(unsealed(simulation)) if not isinstance(m, Decision)]
    aged = [late(sealed) if isinstance(message, PlaceIntent) else sealed for sealed, message in undecided]
    assert numbers(taken(Freshness(AGE_NS), aged)) == {"8"}


def test_12_a_superseded_incarnation_that_acts(simulation):
    entries = unsealed(simulation)
    last = entries[-1]
    stale = replace(last, entry=replace(last.entry, draft=replace(last.entry.draft, incarnation=7)))
    assert numbers(taken(Succession(), [*entries, stale])) == {"12"}


def test_14_what_comes_behind_what_was_sent_later(simulation):
    entries = unsealed(simulation)
    recovered = next(s for s, m in messages(entries) if isinstance(m, Recover))
    assert numbers(taken(Sending(), [*entries, recovered])) == {"14"}


def test_15_a_crossed_quote(simulation):
    quotes = room(simulation, "portfolio").quotes
    crossed = {p: replace(quote, bid=quote.ask) for p, quote in quotes.items()}
    spoil(simulation, "portfolio", quotes=crossed)
    assert numbers(at_rest(simulation)) == {"15"}


def test_18_an_order_without_an_owner_for_too_long(simulation):
    (order,) = ours(simulation)
    del simulation.desk.node.tree.records[f"order:{order.client_order_id}"]
    assert moment.owned_in_time(simulation) == []
    simulation.clock.advance_to(simulation.clock.now_ns() + 6 * SECOND_NS)
    assert numbers(moment.owned_in_time(simulation)) == {"18"}


@pytest.mark.parametrize("cap", ["max_per_asset_pct", "max_total_at_risk_pct"])
def test_26_more_than_a_cap(simulation, cap):
    spoil(simulation, "risk", limits=replace(room(simulation, "risk").limits, **{cap: Decimal("0.001")}))
    assert numbers(at_rest(simulation)) == {"26"}
