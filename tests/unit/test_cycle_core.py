"""The conductor: four questions, each with its time; every way a cycle ends is a record with its reason (SCH1)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.compose.common import seed_of
from actors.compose.kernel import launch
from actors.cycle.actor import settings
from actors.cycle.core import Cycle, Settings, percentile, step, wait_ns
from protocol.decisions import NoTrade, is_no_trade, no_trade
from protocol.effects import Count, SetTimer, Tell
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.orders import IntentTaken, Side
from protocol.portfolio import Reconcile, Reconciled
from protocol.risk import BatchJudged, Decision, ProposalBatch, Reason
from protocol.strategy import (
    AlphaDown,
    AlphaUp,
    Asset,
    CycleOpened,
    CycleRecord,
    CycleView,
    EndAlpha,
    Exclusion,
    Passed,
    ProposalsMade,
    Regime,
    UniverseView,
    UniverseWanted,
)
from tests.support import desk_scenes as scenes
from tests.support.desk_scenes import BTC, ETH, NOON_NS, noted, policy, position, proposal, told, view

CALM = Settings(interval_ns=60 * SECOND_NS, jitter_share=0.1, seed=1)
STAGES = ("reconcile", "universe", "strategies", "risk", "execution")


def reconciled(number=1, *, ok=True, detail=""):
    return Reconciled(request_id=f"cycle-{number}", ok=ok, detail=detail, corrections=())


def universe(*products, regime=Regime.CHOP):
    eligible = tuple(
        Asset(
            product_id=p,
            tier=1,
            theme="",
            bid=Decimal(99),
            ask=Decimal(101),
            spread_bps=1.0,
            depth_usd=1e6,
            volume_24h_usd=1e8,
        )
        for p in products
    )
    out = (Exclusion(product_id=ETH, tier=1, reason="volume", value=1.0, limit=2.0),)
    parts = {"regime_confidence": 0.8, "trend_pct": None, "volatility_pct": None, "excluded": out}
    return UniverseView(at_ns=NOON_NS, regime=regime, eligible=eligible, **parts)


def made(*proposals, number=1, triggers=None):
    triggers = tuple(p.trigger for p in proposals) if triggers is None else triggers
    return ProposalsMade(cycle=number, proposals=proposals, triggers=triggers, passed=(), elapsed_us=5)


def judged(*codes, number=1):
    """One decision per code, with correlations c0, c1 ...; None approves."""
    decisions = tuple(
        Decision(
            correlation=f"c{place}",
            product_id=BTC,
            side=proposal().side,
            strategy="s",
            approved=code is None,
            code=code,
            verdicts=(),
            requested_usd=Decimal(1),
            approved_usd=Decimal(1),
            degraded=False,
            at_ns=NOON_NS,
        )
        for place, code in enumerate(codes)
    )
    return BatchJudged(cycle=number, decisions=decisions)


def risk_view(*pending):
    return scenes.risk_view(pending=pending)


def taken(outcome="", of="c0"):
    return IntentTaken(correlation=of, outcome=outcome)


def failed(kind):
    row = Passed(product_id="", stage="strategy", code=f"exception:{kind}", value=None, limit=None, detail="x")
    return replace(made(), passed=(row,))


ANSWERS = {
    "reconcile": reconciled(),
    "universe": universe(BTC),
    "strategies": made(proposal()),
    "risk": judged(None),
    "execution": taken(),
}


class Rig:
    """A conductor that has just begun its first cycle."""

    def __init__(self, given_=CALM):
        self.now_ns, self.state = NOON_NS, Cycle(settings=given_)
        self.tell(Recover())
        self.now_ns = self.timer("cycle").due_ns
        self.tell(Wake(timer="cycle", due_ns=self.now_ns))

    def tell(self, *messages, after_s=0.0):
        for message in messages:
            self.now_ns += int(after_s * SECOND_NS)
            self.state, self.effects = step(self.state, message, self.now_ns)
        return self

    def reach(self, stage):
        return self.tell(*(ANSWERS[s] for s in STAGES[: STAGES.index(stage)]))

    def timer(self, name):
        (found,) = [e for e in self.effects if isinstance(e, SetTimer) and e.timer == name]
        return found

    @property
    def record(self):
        (found,) = noted(self.effects, CycleRecord)
        return found


LIMITS_S = {"strategies": 10.0}
ASKS = {
    "reconcile": ("portfolio", Reconcile),
    "universe": ("universe", UniverseWanted),
    "strategies": ("strategy:host", CycleOpened),
    "risk": ("risk", ProposalBatch),
    "execution": ("control", BatchJudged),
}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_asks_one_actor_and_waits_for_its_time(stage):
    rig = Rig().reach(stage)
    to, kind = ASKS[stage]
    (ask,) = [e for e in rig.effects if isinstance(e, Tell)]
    assert (ask.to, type(ask.message)) == (to, kind)
    assert rig.timer("stage").due_ns == rig.now_ns + int(LIMITS_S.get(stage, 15.0) * SECOND_NS)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_without_an_answer_ends_the_cycle_and_a_late_answer_says_nothing(stage):
    rig = Rig().reach(stage).tell(Wake(timer="stage", due_ns=0), after_s=15.0)
    placed = stage == "execution"  # what was approved may be at the venue, whoever did not answer
    assert rig.record.no_trade_reason == ("" if placed else f"data_unavailable:{stage}")
    assert rig.record.status == {"risk": "NO_TRADE", "execution": "EXECUTED"}.get(stage, "NO_OPPORTUNITIES")
    assert rig.timer("cycle").due_ns > rig.now_ns
    assert rig.tell(ANSWERS[stage]).effects == ()


@pytest.mark.parametrize("stage", STAGES)
def test_a_timer_of_the_stage_before_ends_no_other(stage):
    rig = Rig().reach(stage).tell(Wake(timer="stage", due_ns=0), after_s=LIMITS_S.get(stage, 15.0) - 0.1)
    assert rig.effects == ()
    assert rig.state.open.stage == stage


def test_held_products_and_the_opening_moment_go_to_the_strategies():
    rig = Rig()
    opened_ns = rig.now_ns
    rig.tell(view(positions=(position(ETH),))).tell(reconciled(), universe(BTC), after_s=1.0)
    (opened,) = told(rig.effects, CycleOpened)
    assert (opened.held, opened.opened_ns, opened.cycle) == ((ETH,), opened_ns, 1)


ENDS = {
    "approved": ([*list(ANSWERS.values())], "EXECUTED", ""),
    "one of two approved": ([*list(ANSWERS.values())[:3], judged(None, Reason.COOLDOWN), taken()], "EXECUTED", ""),
    "one of two became an order": (
        [*list(ANSWERS.values())[:3], judged(None, None), taken("below_base_minimum", "c1"), taken()],
        "EXECUTED",
        "",
    ),
    "a shadow is as good as an order": ([*list(ANSWERS.values())[:4], taken("shadow_dry_run")], "EXECUTED", ""),
    "the desk made no order of it": (
        [*list(ANSWERS.values())[:4], taken("below_quote_minimum")],
        "NO_TRADE",
        "no_orders_after_execution_filter",
    ),
    "every slot is taken": (
        [*list(ANSWERS.values())[:3], judged(Reason.MAX_OPEN_POSITIONS, Reason.MAX_OPEN_POSITIONS)],
        "NO_TRADE",
        "max_open_positions_saturated",
    ),
    "a strategy failed": (
        [*list(ANSWERS.values())[:2], failed("ZeroDivisionError")],
        "NO_OPPORTUNITIES",
        "exception:ZeroDivisionError",
    ),
    "a reconciliation that failed without a word of the canon": (
        [reconciled(ok=False, detail="no idea")],
        "NO_OPPORTUNITIES",
        "data_unavailable:reconcile",
    ),
    "one reason for all": (
        [*list(ANSWERS.values())[:3], judged(Reason.COOLDOWN, Reason.COOLDOWN)],
        "NO_TRADE",
        "cooldown",
    ),
    "a kill": ([*list(ANSWERS.values())[:3], judged(Reason.KILL_SWITCH)], "NO_TRADE", "kill_switch"),
    "several reasons": (
        [*list(ANSWERS.values())[:3], judged(Reason.COOLDOWN, Reason.THEME_CAP)],
        "NO_TRADE",
        "all_proposals_blocked_by_risk",
    ),
    "triggers, no proposal": (
        [*list(ANSWERS.values())[:2], made(triggers=(proposal().trigger,))],
        "NO_OPPORTUNITIES",
        "rules_engine_no_proposals",
    ),
    "no trigger": ([*list(ANSWERS.values())[:2], made()], "NO_OPPORTUNITIES", "no_candidates_from_triggers"),
    "nobody eligible": ([reconciled(), universe()], "NO_OPPORTUNITIES", "empty_universe"),
    "accounts unknown": (
        [reconciled(ok=False, detail="data_unavailable:accounts: timeout")],
        "NO_OPPORTUNITIES",
        "data_unavailable:accounts",
    ),
}


@pytest.mark.parametrize(("messages", "status", "reason"), ENDS.values(), ids=ENDS)
def test_ends(messages, status, reason):
    rig = Rig().tell(*messages)
    record = rig.record
    assert (record.status, record.no_trade_reason) == (status, reason)
    assert is_no_trade(record.no_trade_reason) is bool(reason), "of the canon, or nothing"
    assert told(rig.effects, CycleRecord, "control") == told(rig.effects, CycleRecord, "metrics") == [record]
    assert told(rig.effects, CycleView, "control")[0].n == 1
    counted = {e.metric: dict(e.labels) for e in rig.effects if isinstance(e, Count)}
    assert counted["trader_cycle_total"] == {"status": status}
    assert ("trader_no_trade_total" in counted) is bool(reason)
    assert ":" not in counted.get("trader_no_trade_total", {}).get("reason", "")
    assert rig.state.open is None
    assert rig.timer("cycle")


def test_the_record_holds_the_whole_picture():
    rig = Rig().tell(*list(ANSWERS.values())[:3], after_s=0.5)
    rig.tell(judged(None, Reason.COOLDOWN), taken(), after_s=0.5)
    record = rig.record
    assert dict(record.stages_us) == dict.fromkeys(STAGES, 500_000)
    assert (record.proposals, record.approved, record.eligible, record.regime) == (1, 1, 1, Regime.CHOP)
    assert [x.product_id for x in record.excluded] == [ETH]


def test_the_regime_goes_to_risk_with_the_batch():
    rig = Rig().tell(reconciled(), universe(BTC, regime=Regime.BEAR), made(proposal()))
    assert told(rig.effects, ProposalBatch)[0].regime == "bear"


@pytest.mark.parametrize("stray", [reconciled(9), made(proposal(), number=9), universe(BTC), judged(None)])
def test_answers_to_another_cycle_or_stage_change_nothing(stray):
    rig = Rig()
    before = rig.state
    assert rig.tell(stray).effects == ()
    assert rig.state == before


# --- the strategies' process goes away ----------------------------------------------------------------------------

DOWN, UP = AlphaDown(detail="x"), AlphaUp()


def opened(rig):
    return told(rig.effects, CycleOpened)


def test_what_was_asked_of_a_process_that_died_is_asked_again_of_the_next():
    rig = Rig().reach("strategies").tell(DOWN, after_s=0.5)
    assert (opened(rig), rig.timer("stage").due_ns) == ([], rig.now_ns + 4 * SECOND_NS)
    (again,) = opened(rig.tell(UP, after_s=1.5))
    assert again.cycle == 1
    assert rig.timer("stage").due_ns == rig.now_ns + 10 * SECOND_NS
    assert rig.tell(ANSWERS["strategies"]).state.open.stage == "risk"


def test_one_that_is_away_is_waited_for_only_briefly_and_ended_by_nobody():
    rig = Rig().tell(DOWN).reach("strategies")
    assert opened(rig) == []
    rig.tell(Wake(timer="stage", due_ns=0), after_s=4.0)
    assert rig.record.no_trade_reason == "data_unavailable:strategies"
    assert told(rig.effects, EndAlpha) == []


def test_one_that_came_back_between_cycles_is_asked_at_once():
    assert len(opened(Rig().tell(DOWN, UP).reach("strategies"))) == 1


def test_one_that_does_not_answer_is_ended():
    rig = Rig().reach("strategies").tell(Wake(timer="stage", due_ns=0), after_s=10.0)
    assert [e.to for e in rig.effects if isinstance(e, Tell) and isinstance(e.message, EndAlpha)] == ["strategy:host"]


def test_one_that_dies_again_and_again_costs_a_cycle_its_stage_and_no_more():
    rig = Rig().reach("strategies")
    for _ in range(5):
        rig.tell(DOWN, UP, after_s=1.4)
    assert rig.timer("stage").due_ns == rig.now_ns + SECOND_NS
    rig.tell(Wake(timer="stage", due_ns=0), after_s=1.0)
    assert rig.record.no_trade_reason == "data_unavailable:strategies"
    assert told(rig.effects, EndAlpha) == []


def test_what_strategies_hold_is_told_in_per_cent_of_the_account():
    two = (position(ETH, strategy="a"), position(BTC, strategy="b"), position("SOL-USD", strategy="a"))
    rig = Rig().tell(view(positions=two)).tell(reconciled(), universe(BTC))
    (ask,) = opened(rig)
    assert (ask.nav_usd, dict(ask.used_pct)) == (10_000, {"a": 2, "b": 1})


@pytest.mark.parametrize("news", [DOWN, UP])
def test_alpha_s_comings_and_goings_elsewhere_end_nothing(news):
    assert Rig().tell(news).state.open is not None


def test_one_cycle_is_open_at_a_time():
    rig = Rig().tell(Wake(timer="cycle", due_ns=0))
    assert rig.effects == ()
    assert rig.state.number == 1


# --- what is being bought already (pipeline.md §1, step 10) -------------------------------------------------------

PENDING = {
    "nothing works": ((), {BTC, ETH}),
    "a purchase of the product": ((("BTC-USD", 10),), {ETH}),
    "a purchase of the same asset for another currency": ((("BTC-USDC", 10),), {ETH}),
    "of the same asset under another name": ((("WBTC-USD", 10),), {ETH}),
    "less than the minimum is none to wait for": ((("BTC-USD", "9.99"),), {BTC, ETH}),
    "two small ones of an asset are one of their sum": ((("BTC-USD", 5), ("BTC-USDC", 5)), {ETH}),
    "of everything": ((("BTC-USD", 10), ("ETH-USD", 11)), set()),
}


@pytest.mark.parametrize(("working", "left"), PENDING.values(), ids=PENDING)
def test_what_is_being_bought_is_not_proposed_again(working, left):
    rig = Rig(replace(CALM, min_notional_usd=Decimal(10)))
    rig.tell(risk_view(*((p, Decimal(usd)) for p, usd in working)))
    rig.tell(*list(ANSWERS.values())[:2], made(proposal(BTC), proposal(ETH)))
    if not left:
        assert rig.record.no_trade_reason == "open_orders_pending"
        rows = {(p.product_id, p.code, p.value, p.limit) for p in rig.record.passed}
        assert rows == {(BTC, "open_orders_pending", 10.0, 10.0), (ETH, "open_orders_pending", 11.0, 10.0)}
        return
    (batch,) = told(rig.effects, ProposalBatch)
    assert {p.product_id for p in batch.proposals} == left


def test_a_sale_waits_for_no_purchase():
    rig = Rig().tell(risk_view((BTC, Decimal(100))), *list(ANSWERS.values())[:2], made(proposal(BTC, side=Side.SELL)))
    assert told(rig.effects, ProposalBatch)


@pytest.mark.req("STR4")
def test_the_canon_knows_its_own_words_and_no_others():
    assert all(is_no_trade(no_trade(r)) for r in (*NoTrade, *Reason) if r not in {NoTrade.NO_DATA, NoTrade.EXCEPTION})
    assert no_trade(NoTrade.NO_DATA, "candles") == "data_unavailable:candles"
    for word in ("", "data_unavailable", "data_unavailable:", "exception", "cooldown:x", "bad luck"):
        assert not is_no_trade(word)
    with pytest.raises(ValueError, match="exception"):
        no_trade(NoTrade.EXCEPTION)
    with pytest.raises(ValueError, match="empty_universe"):
        no_trade(NoTrade.EMPTY_UNIVERSE, "why")


# --- the wait -----------------------------------------------------------------------------------------------------

SECONDS = st.floats(0.0, 300.0).map(lambda s: int(s * SECOND_NS))


@pytest.mark.req("SCH1")
@given(st.integers(0, 2**63), st.integers(1, 10**6), SECONDS, st.floats(0.0, 0.2), st.integers(1, 300))
def test_the_next_wait_is_the_rest_of_the_interval_with_jitter_in_its_range(seed, number, elapsed_ns, jitter, every_s):
    given_ = replace(CALM, interval_ns=every_s * SECOND_NS, jitter_share=jitter, seed=seed)
    found, interval = wait_ns(given_, number, elapsed_ns), given_.interval_ns
    busy = 15 * SECOND_NS if elapsed_ns > 0.7 * interval else 0
    least = max(SECOND_NS, interval - elapsed_ns) + busy
    most = max(SECOND_NS, interval - elapsed_ns + int(jitter * interval)) + busy
    assert least <= found <= most
    assert found == wait_ns(given_, number, elapsed_ns), "from the seed alone"


@pytest.mark.req("SCH1")
def test_jitter_fills_its_range_evenly():
    waits = [wait_ns(CALM, n, 0) / SECOND_NS - 60 for n in range(2000)]
    assert 0 <= min(waits) < 0.1
    assert 5.9 < max(waits) < 6
    assert sum(waits) / len(waits) == pytest.approx(3.0, abs=0.15)


@pytest.mark.req("SCH1")
def test_two_runs_of_one_seed_keep_no_step():
    made = launch(policy(), "bot", seed=1)
    runs = [settings(policy(), seed_of(made, NOON_NS + later)) for later in (0, 1, SECOND_NS)]
    offsets = [tuple(wait_ns(run, n, 0) for n in range(10)) for run in runs]
    assert len(set(offsets)) == 3


@pytest.mark.parametrize(("elapsed_s", "busy"), [(41.9, False), (42.0, False), (42.1, True), (600.0, True)], ids=str)
def test_a_busy_cycle_is_followed_by_a_longer_wait(elapsed_s, busy):
    still = replace(CALM, jitter_share=0.0)
    found = wait_ns(still, 1, int(elapsed_s * SECOND_NS)) / SECOND_NS
    assert found == pytest.approx(max(1.0, 60 - elapsed_s) + (15 if busy else 0))


@pytest.mark.req("SCH1")
def test_the_shipped_rhythm():
    shipped = settings(policy(), seed=3)
    assert 0 < shipped.jitter_share <= 0.2
    assert shipped.busy_share == 0.7
    assert shipped.backoff_ns == 15 * SECOND_NS


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_percentiles_lie_between_their_neighbours(values, share):
    ordered = sorted(values)
    found = percentile(ordered, share)
    k = (len(ordered) - 1) * share
    assert ordered[int(k)] - 1e-6 <= found <= ordered[min(int(k) + 1, len(ordered) - 1)] + 1e-6
    assert percentile(ordered, 1.0) == ordered[-1]


def test_latencies_are_kept_for_the_last_thousand_cycles():
    rig = Rig()
    for n in range(1, 1101):
        rig.tell(reconciled(n, ok=False, detail="data_unavailable:accounts"), after_s=0.001)
        rig.now_ns += 100 * SECOND_NS
        rig.tell(Wake(timer="cycle", due_ns=0))
    assert len(rig.state.latencies_ms) == 1000
