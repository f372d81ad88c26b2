"""Who may run: configured, switched, failed; kept over restarts, and nobody else's entries touched."""

from decimal import Decimal

import pytest

from actors.strategy.registry.core import AGAIN_NS, RETRY_NS, Configured, Registry, step, switches
from protocol.effects import Commit, Note, SetTimer, Tell
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, Wake
from protocol.orders import CancelStrategy, Side
from protocol.risk import Alert, VerbAnswered, VerbOutcome
from protocol.strategy import (
    AlphaDown,
    AlphaUp,
    Failure,
    HostStarted,
    Pick,
    ShadowDecided,
    ShadowTally,
    StrategyBoard,
    StrategyFailed,
    StrategySwitches,
    SwitchStrategy,
)
from tests.support.desk_scenes import BTC, ETH, NOON_NS, proposal

ROWS = (
    Configured(name="rules_engine", enabled=True, shadow=False),
    Configured(name="momentum", enabled=False, shadow=False),
    Configured(name="dip_buyer", enabled=False, shadow=True),
)


class Rig:
    """A registry whose store takes what it is given, unless told otherwise."""

    def __init__(self):
        self.state, self.stored, self.now_ns = Registry(rows=ROWS), {}, NOON_NS
        self.tell(Recover(records=()))

    def tell(self, message, *, store=True, after_ns=0):
        self.now_ns += after_ns
        before, (after, effects) = self.state, step(self.state, message, self.now_ns)
        commits = [e for e in effects if isinstance(e, Commit)]
        if commits and not store:
            self.state, self.effects = step(before, CommitFailed(number=1, detail="disk"), self.now_ns)
            return self
        self.state, self.effects = after, effects
        for commit in commits:
            self.stored |= {record.key: record for record in commit.records}
        return self

    def woken(self, timer, **how):
        return self.tell(Wake(timer=timer, due_ns=self.now_ns), **how)

    def told(self, kind):
        return [e.message for e in self.effects if isinstance(e, Tell) and isinstance(e.message, kind)]

    def again(self):
        """The next desk, from what is stored."""
        state, _ = step(Registry(rows=ROWS), Recover(records=tuple(self.stored.values())), self.now_ns)
        return state

    @property
    def live(self):
        return switches(self.state).live


def failed(name="rules_engine", failure=Failure.RAISED):
    return StrategyFailed(name=name, failure=failure, detail="mine.py:7: ValueError: by design")


def switch(name, *, on):
    return SwitchStrategy(request_id="r", reply_to="control", name=name, on=on, by="ann@desk")


@pytest.mark.req("STR2")
def test_what_is_configured_runs_and_nothing_else():
    assert switches(Rig().state) == StrategySwitches(live=("rules_engine",), shadow=("dip_buyer",))


@pytest.mark.req("STR2")
def test_a_host_that_starts_hears_who_may_run():
    assert Rig().tell(HostStarted()).told(StrategySwitches) == [switches(Rig().state)]


@pytest.mark.req("STR4")
def test_the_one_that_ran_when_its_process_died_is_off_and_the_others_are_not():
    rig = Rig().tell(switch("momentum", on=True)).tell(HostStarted(accused="rules_engine"))
    assert rig.live == ("momentum",)
    assert rig.told(StrategySwitches)[-1].live == ("momentum",)
    assert [c.strategy for c in rig.told(CancelStrategy)] == ["rules_engine"]
    (alert,) = [e.message for e in rig.effects if isinstance(e, Note) and isinstance(e.message, Alert)]
    assert (alert.kind, alert.subject) == ("strategy_disabled", "rules_engine")
    assert alert.message.startswith("over_time: ")


@pytest.mark.parametrize("accused", ["", "nobody", "momentum"])
def test_nobody_is_blamed_who_did_not_run(accused):
    rig = Rig().tell(HostStarted(accused=accused))
    assert rig.live == ("rules_engine",)
    assert rig.told(CancelStrategy) == []


@pytest.mark.parametrize("failure", [Failure.RAISED, Failure.OVER_TIME])
def test_a_failure_is_kept_over_restarts(failure):
    rig = Rig().tell(failed(failure=failure))
    assert rig.live == ()
    assert SetTimer(timer="unsaved", due_ns=rig.now_ns) in rig.effects
    rig.woken("unsaved")
    assert switches(rig.again()).live == ()


def test_a_store_in_trouble_lets_no_failed_strategy_run_again():
    rig = Rig().tell(failed()).woken("unsaved", store=False)
    assert (rig.live, rig.stored) == ((), {})
    assert rig.effects == (SetTimer(timer="unsaved", due_ns=rig.now_ns + RETRY_NS),)
    rig.woken("unsaved", after_ns=RETRY_NS)
    assert switches(rig.again()).live == ()


def test_what_could_not_be_loaded_is_tried_again_by_the_next_host():
    rig = Rig().tell(failed(failure=Failure.REFUSED))
    assert rig.live == ()
    (board,) = rig.told(StrategyBoard)
    assert next(row.reason for row in board.rows if row.name == "rules_engine").startswith("refused: mine.py:7")
    assert rig.tell(HostStarted()).live == ("rules_engine",)


def test_a_failure_told_twice_counts_once():
    rig = Rig().tell(failed())
    assert rig.tell(failed()).effects == ()


@pytest.mark.req("STR2")
@pytest.mark.parametrize(("name", "on"), [("momentum", True), ("rules_engine", False)])
def test_a_person_s_word_is_durable_and_stronger_than_the_configuration(name, on):
    rig = Rig().tell(switch(name, on=on))
    assert (name in rig.live) is on
    assert (name in switches(rig.again()).live) is on
    (answer,) = rig.told(VerbAnswered)
    assert answer.outcome is VerbOutcome.DONE
    assert [c.strategy for c in rig.told(CancelStrategy)] == ([] if on else [name])


def test_a_person_may_bring_back_what_failed():
    rig = Rig().tell(failed()).tell(switch("rules_engine", on=True))
    assert rig.live == ("rules_engine",)
    rig.woken("unsaved")
    assert rig.live == ("rules_engine",)


def test_a_shadow_never_trades_whatever_is_switched():
    rig = Rig().tell(switch("dip_buyer", on=True))
    assert (rig.live, switches(rig.state).shadow) == (("rules_engine",), ("dip_buyer",))
    assert "never trades" in rig.told(VerbAnswered)[0].text


def test_a_name_nobody_knows_is_answered_and_changes_nothing():
    rig = Rig()
    before = rig.state
    (answer,) = rig.tell(switch("hunches", on=True)).told(VerbAnswered)
    assert answer.outcome is VerbOutcome.NOT_FOUND
    assert "rules_engine, momentum, dip_buyer" in answer.text
    assert rig.state == before


@pytest.mark.parametrize(("on", "cancels"), [(False, 1), (True, 0)], ids=["still off", "on again"])
def test_an_entry_that_was_on_its_way_is_cancelled_a_little_later(on, cancels):
    rig = Rig().tell(switch("rules_engine", on=False))
    assert SetTimer(timer="again/rules_engine", due_ns=rig.now_ns + AGAIN_NS) in rig.effects
    rig.tell(switch("rules_engine", on=on), after_ns=SECOND_NS).woken("again/rules_engine")
    assert len(rig.told(CancelStrategy)) == cancels


@pytest.mark.parametrize("news", [AlphaUp(), AlphaDown(detail="x")])
def test_the_cycle_hears_of_alpha_s_comings_and_goings(news):
    rig = Rig().tell(news)
    assert [e.message for e in rig.effects if isinstance(e, Tell) and e.to == "cycle"] == [news]
    assert rig.state.alpha_up is isinstance(news, AlphaUp)


# --- shadows ------------------------------------------------------------------------------------------------------


def compared(*, own=(), live=(), strategy="dip_buyer", at_ns=NOON_NS):
    """One cycle of a shadow: each pair is a product and its conviction, sized 1 % by the shadow and 3 % by the live."""
    return ShadowDecided(
        cycle=1,
        strategy=strategy,
        proposals=tuple(proposal(product, 1, conviction) for product, conviction in own),
        passed=(),
        live=tuple(
            Pick(product_id=product, side=Side.BUY, conviction=conviction, notional_pct=Decimal(3))
            for product, conviction in live
        ),
        at_ns=at_ns,
    )


def tallied(rig):
    (board,) = rig.told(StrategyBoard)
    return next(row.tally for row in board.rows if row.name == "dip_buyer")


@pytest.mark.req("STR2")
@pytest.mark.parametrize(
    ("own", "live", "agreed", "alone", "missed"),
    [
        ([], [], 0, 0, 0),
        ([(BTC, 0.5)], [], 0, 1, 0),
        ([], [(BTC, 0.5)], 0, 0, 1),
        ([(BTC, 0.5)], [(ETH, 0.5)], 0, 1, 1),
        ([(BTC, 0.5), (ETH, 0.4)], [(ETH, 0.6)], 1, 1, 0),
    ],
)
def test_a_shadow_is_compared_with_what_traded(own, live, agreed, alone, missed):
    tally = tallied(Rig().tell(compared(own=own, live=live)))
    assert (tally.cycles, tally.agreed, tally.alone, tally.missed) == (1, agreed, alone, missed)


def test_a_shadow_s_differences_add_up_over_cycles_and_restarts():
    rig = Rig().tell(compared(own=[(BTC, 0.5)], live=[(BTC, 0.7)]))
    rig.state = rig.again()
    tally = tallied(rig.tell(compared(own=[(BTC, 0.6)], live=[(BTC, 0.7)], at_ns=NOON_NS + SECOND_NS)))
    assert tally == ShadowTally(
        name="dip_buyer", since_ns=NOON_NS, cycles=2, agreed=2, conviction_gap_sum=-0.3, size_gap_pct_sum=Decimal(-4)
    )


def test_what_a_shadow_decides_orders_nothing():
    rig = Rig().tell(compared(own=[(BTC, 0.5)]))
    assert [effect.to for effect in rig.effects if isinstance(effect, Tell)] == ["control"]


def test_a_shadow_that_is_not_configured_any_more_is_not_compared():
    assert Rig().tell(compared(strategy="gone")).effects == ()
