"""The strategy host: bounded windows, one strategy's failure, and many strategies' proposals into one list."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.strategy.actor import settings
from actors.strategy.aggregate import aggregate
from actors.strategy.base import Budget
from actors.strategy.core import Host, StepFunction
from actors.strategy.indicators.lens import KEPT
from actors.strategy.running import Shelf
from protocol.effects import LogLine, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover
from protocol.market import Bar, CandleClosed, CandleHistory
from protocol.strategy import Asset, CycleOpened, HistoryWanted, HostStarted, ProposalsMade, Regime, UniverseView
from tests.support.desk_scenes import NOON_NS, policy, proposal

BTC = ProductId("BTC-USD")
HOUR = 3600


def bar(number, close=100.0, seconds=HOUR):
    return Bar(start_s=number * seconds, open=close, high=close + 1, low=close - 1, close=close, volume=5.0)


def history(count, seconds=HOUR, product=BTC, last=100.0):
    bars = tuple(bar(i, 100.0 if i < count - 1 else last, seconds) for i in range(count))
    return CandleHistory(product_id=product, granularity_s=seconds, bars=bars)


def closed(number, close=100.0, seconds=HOUR):
    return CandleClosed(product_id=BTC, granularity_s=seconds, bar=bar(number, close, seconds))


def asset(product):
    prices = {"bid": Decimal(100), "ask": Decimal(101), "spread_bps": 2.0, "depth_usd": 1e6, "volume_24h_usd": 1e8}
    return Asset(product_id=product, tier=1, theme="LAYER1", **prices)


def opened(regime=Regime.CHOP, products=(BTC,)):
    view = UniverseView(
        at_ns=NOON_NS,
        regime=regime,
        regime_confidence=0.8,
        trend_pct=0.0,
        volatility_pct=50.0,
        eligible=tuple(asset(p) for p in products),
        excluded=(),
    )
    return CycleOpened(cycle=3, opened_ns=NOON_NS, universe=view, held=())


class Rig:
    """A host with strategies of the test's own."""

    def __init__(self, *loaded, **changes):
        budgets = tuple(budget(strategy.name) for strategy in loaded)
        base = replace(settings(policy()), products=(BTC,), budgets=budgets, live=tuple(b.name for b in budgets))
        self.state = Host(settings=replace(base, **changes))
        self.step = StepFunction(Shelf({strategy.name: strategy for strategy in loaded}.__getitem__))

    def tell(self, *messages, now_ns=NOON_NS + SECOND_NS):
        for message in messages:
            self.state, self.effects = self.step(self.state, message, now_ns)
        return self

    @property
    def made(self):
        (answer,) = [e.message for e in self.effects if isinstance(e, Tell) and e.to == "cycle"]
        assert isinstance(answer, ProposalsMade)
        return answer

    def logs(self):
        return [(e.event, dict(e.fields)) for e in self.effects if isinstance(e, LogLine)]

    def series(self, seconds=HOUR):
        lens = self.state.lenses[BTC]
        return {3600: lens.hours, 900: lens.quarters, 300: lens.fives}[seconds].window()


class Always:
    """Proposes what it was given; remembers what it was shown."""

    def __init__(self, name, *proposals):
        self.name, self.proposals, self.seen = name, proposals, []

    def generate_proposals(self, context):
        self.seen.append(context)
        return list(self.proposals)


class Raises:
    name = "broken"

    def generate_proposals(self, _context):
        raise ZeroDivisionError("by design")


def test_a_start_asks_every_feed_for_its_history():
    effects = Rig().tell(Recover()).effects
    assert effects == (
        Tell(to="feed:BTC-USD", message=HistoryWanted(product_id=BTC)),
        Tell(to="strategies", message=HostStarted()),
    )


@pytest.mark.parametrize("seconds", sorted(KEPT))
def test_windows_stay_bounded_however_long_it_runs(seconds):
    rig = Rig().tell(history(500, seconds))
    assert len(rig.series(seconds)) == KEPT[seconds]
    rig.tell(*(closed(i, seconds=seconds) for i in range(500, 900)))
    assert len(rig.series(seconds)) == KEPT[seconds]
    assert rig.series(seconds)[-1].start_s == 899 * seconds


def test_the_same_bar_again_replaces_it_and_an_older_one_is_ignored():
    rig = Rig().tell(history(30), closed(29, 111.0))
    assert (len(rig.series()), rig.series()[-1].close) == (30, 111.0)
    rig.tell(closed(12, 500.0))
    assert rig.series()[12].close == 100.0
    starts = [b.start_s for b in rig.series()]
    assert starts == sorted(set(starts))


def test_a_history_replaces_what_was_held():
    rig = Rig().tell(history(150), history(10, last=7.0))
    assert [b.close for b in rig.series()][-2:] == [100.0, 7.0]
    assert len(rig.series()) == 10


def test_a_product_without_candles_is_said_and_not_judged():
    made = Rig(Always("rules_engine")).tell(opened()).made
    assert [(p.product_id, p.code) for p in made.passed] == [(BTC, "data_unavailable:candles")]
    assert made.cycle == 3


def test_the_answer_names_its_cycle_and_how_long_it_took():
    made = Rig().tell(opened()).made
    assert (made.cycle, made.elapsed_us) == (3, 1_000_000)


@pytest.mark.req("STR1")
def test_a_strategy_sees_closed_candles_and_the_cycle_s_moment_only():
    watching = Always("rules_engine")
    Rig(watching).tell(history(60), history(64, 900), opened())
    (context,) = watching.seen
    assert context.now_ns == NOON_NS
    assert len(context.windows[0].hours) == 60
    with pytest.raises(AttributeError):
        context.regime = Regime.BULL


@pytest.mark.req("STR4")
def test_a_strategy_that_fails_takes_no_other_along():
    good = Always("rules_engine", proposal())
    rig = Rig(Raises(), good).tell(opened())
    assert [p.product_id for p in rig.made.proposals] == [BTC]
    ((_, said),) = [log for log in rig.logs() if log[0] == "strategy_failed"]
    assert said["strategy"] == "broken"
    assert "test_strategy_host.py:" in said["error"]
    assert said["error"].endswith("ZeroDivisionError: by design")


@pytest.mark.req("STR2")
def test_a_disabled_strategy_is_said_to_be_skipped_and_an_enabled_one_counts_its_proposals():
    two = (budget("rules_engine"), budget("other"))
    rig = Rig(Always("rules_engine", proposal()), budgets=two).tell(opened())
    assert ("strategy_skipped", {"strategy": "other", "reason": "disabled"}) in rig.logs()
    assert ("strategy_ran", {"strategy": "rules_engine", "proposals_count": "1"}) in rig.logs()


# --- aggregation --------------------------------------------------------------------------------------------------


def budget(name, trades=5):
    return Budget(name=name, max_trades_per_cycle=trades, max_at_risk_pct=Decimal(15))


def idea(product, conviction, strategy="a"):
    return proposal(product, conviction=conviction, strategy=strategy)


MERGES = {
    "the surer of two for one product": (
        [idea("X-USD", 0.5, "a"), idea("X-USD", 0.6, "b")],
        [("X-USD", "b")],
        ["duplicate_product"],
    ),
    "a tie goes to the lower strategy name": (
        [idea("X-USD", 0.5, "b"), idea("X-USD", 0.5, "a")],
        [("X-USD", "a")],
        ["duplicate_product"],
    ),
    "a strategy's surplus is dropped": (
        [idea("X-USD", 0.5), idea("Y-USD", 0.6), idea("Z-USD", 0.7)],
        [("Z-USD", "a"), ("Y-USD", "a")],
        ["strategy_cap"],
    ),
    "a tie in one strategy goes to the lower product": (
        [idea("Z-USD", 0.5), idea("X-USD", 0.5), idea("Y-USD", 0.5)],
        [("X-USD", "a"), ("Y-USD", "a")],
        ["strategy_cap"],
    ),
    "the whole is cut": (
        [idea("W-USD", 0.9, "a"), idea("X-USD", 0.8, "b"), idea("Y-USD", 0.7, "a"), idea("Z-USD", 0.6, "b")],
        [("W-USD", "a"), ("X-USD", "b"), ("Y-USD", "a")],
        ["max_total_proposals"],
    ),
    "a strategy without a budget has nothing": ([idea("X-USD", 0.5, "zz")], [], ["strategy_cap"]),
}


@pytest.mark.req("STR3", "STR4")
@pytest.mark.parametrize(("given_", "kept", "codes"), MERGES.values(), ids=MERGES)
def test_aggregation_whatever_the_order(given_, kept, codes):
    for order in itertools.permutations(given_):
        proposals, passed = aggregate(order, [budget("a", 2), budget("b", 2)], 3)
        assert [(p.product_id, p.strategy) for p in proposals] == kept
        assert [p.code for p in passed] == codes


IDEAS = st.builds(
    idea, st.sampled_from([f"{c}-USD" for c in "ABCDEF"]), st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from("abc")
)


@pytest.mark.req("STR3", "STR4")
@given(st.lists(IDEAS, max_size=25), st.integers(0, 4), st.integers(0, 6))
def test_no_product_twice_no_budget_passed_nothing_lost(ideas, trades, total):
    kept, passed = aggregate(ideas, [budget(name, trades) for name in "abc"], total)
    assert len({p.product_id for p in kept}) == len(kept) <= total
    assert all(sum(p.strategy == name for p in kept) <= trades for name in "abc")
    assert len(kept) + len(passed) == len(ideas)
    convictions = [p.conviction for p in kept]
    assert convictions == sorted(convictions, reverse=True)
