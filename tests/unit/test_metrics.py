"""What a scraper and a health check see: the newest of everything, and no value that is not known now."""

import asyncio
import json

import aiohttp
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from actors.metrics.core import Metrics, Settings, publish, step
from actors.metrics.edge import MetricsEdge, PortTakenError
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.risk import BREAKERS, Gate, Reason, TradingState
from protocol.strategy import CycleView
from tests.support import desk_scenes as scenes
from tests.support.desk_scenes import NOON_NS, D, position
from tests.support.desk_scenes import view as portfolio_view

CYCLE_NS = 5 * SECOND_NS
SETTINGS = Settings(
    mode="PAPER", config_hash="0123456789abcdef", risk_profile="conservative", interval_ns=5 * SECOND_NS
)


def gate(code=Reason.WATCHDOG_ABSENT, state=TradingState.REDUCING):
    return Gate(code=code, state=state, since_ns=NOON_NS, reason="", by="desk", latched=False)


def risk_view(state=TradingState.ACTIVE, *gates):
    return scenes.risk_view(*gates, state=state, exposure_pct=D("12.5"), entries_1h=2, entries_today=7)


def cycle_view(last_ns=NOON_NS):
    return CycleView(n=3, last_ms=1.0, p95_ms=2.0, p99_ms=3.0, last_ns=last_ns)


def shown(*views, at_ns=NOON_NS):
    state = Metrics(settings=SETTINGS)
    for view in views:
        state, _ = step(state, view, at_ns)
    return publish(state, at_ns)


def values(told):
    return {(gauge.name, *(value for _, value in gauge.labels)): gauge.value for gauge in told.gauges}


# --- what is published --------------------------------------------------------------------------------------------


@pytest.mark.req("OB1")
def test_before_anything_is_known_only_the_run_itself_is_shown_and_it_is_not_well():
    told = shown()
    assert values(told) == {("trader_config_info", "0123456789abcdef", "conservative", "PAPER"): 1.0}
    assert (told.ok, json.loads(told.health)["issues"]) == (False, ["no_view"])


@pytest.mark.req("OB1")
def test_money_exposure_and_state_are_those_of_the_newest_views():
    held = portfolio_view(nav=9_990, positions=(position(mark=D(95)),))
    old, new = portfolio_view(nav=1), held
    told = values(shown(old, risk_view(), new, cycle_view()))
    assert told["trader_account_value_usd",] == 9_990
    assert told["trader_position_value_usd", "BTC-USD"] == 95
    assert told["trader_exposure_pct", "at_risk"] == 12.5
    assert [told["trader_state", state.value] for state in TradingState] == [1, 0, 0, 0]
    assert ("trader_starved_cells",) not in told
    assert values(shown(replace(risk_view(), starved_cells=3)))["trader_starved_cells",] == 3
    assert told["trader_last_cycle_timestamp_seconds",] == NOON_NS / SECOND_NS


@pytest.mark.req("OB1")
def test_what_cannot_be_known_has_no_sample_and_is_never_zero():
    unknown = portfolio_view(nav_usd=None, positions=(position(mark=None),))
    told = values(shown(unknown, replace(risk_view(), exposure_pct=None)))
    assert {"trader_account_value_usd", "trader_position_value_usd", "trader_exposure_pct"}.isdisjoint(
        name for name, *_ in told
    )


HEALTH = {
    "all is well": ((risk_view(), cycle_view()), 0, []),
    "reducing is no illness": ((risk_view(TradingState.REDUCING, gate()), cycle_view()), 0, []),
    "killed": ((risk_view(TradingState.KILLED), cycle_view()), 0, ["kill_switch"]),
    "halted": (
        (risk_view(TradingState.HALTED, gate(Reason.CREDENTIALS, TradingState.HALTED)), cycle_view()),
        0,
        ["breaker_credentials"],
    ),
    "no cycle yet": ((risk_view(),), 0, ["stale_cycle"]),
    "the last cycle at its latest": ((risk_view(), cycle_view()), 16 * SECOND_NS, []),
    "the last cycle too long ago": ((risk_view(), cycle_view()), 16 * SECOND_NS + 1, ["stale_cycle"]),
}


@pytest.mark.req("OB1")
@pytest.mark.parametrize(("views", "later_ns", "issues"), HEALTH.values(), ids=HEALTH)
def test_health_is_about_useful_work(views, later_ns, issues):
    told = shown(*views, at_ns=NOON_NS + later_ns)
    document = json.loads(told.health)
    assert (document["issues"], document["ok"], told.ok) == (issues, not issues, not issues)
    assert document["kill_switch_active"] == ("kill_switch" in issues)


def test_it_publishes_at_its_start_and_every_second():
    state = Metrics(settings=SETTINGS)
    for message in (Recover(), Wake(timer="publish", due_ns=NOON_NS)):
        state, (told, again) = step(state, message, NOON_NS)
        assert told == publish(state, NOON_NS)
        assert again.due_ns == NOON_NS + SECOND_NS


# --- what is served -----------------------------------------------------------------------------------------------


class Room:
    """A port of an edge without an actor behind it."""

    name, incarnation = "metrics", 1

    def __init__(self):
        self.failure = asyncio.get_running_loop().create_future()

    def failed(self, error):
        self.failure.set_result(error)


class Served:
    """An edge that serves on free ports."""

    def __init__(self, *, ports=(0, 0), move=False):
        self.registry, self.urls = CollectorRegistry(), asyncio.get_running_loop().create_future()
        told = lambda *urls: self.urls.set_result(urls)  # noqa: E731 - a hook
        self.edge, self.room = MetricsEdge(self.registry, ports, told, move=move), Room()

    async def __aenter__(self):
        self.edge.bind(self.room)
        return self

    async def __aexit__(self, *_):
        self.edge.close()
        await asyncio.sleep(0)

    async def get(self, which):
        url = (await self.urls)[which]
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()


@pytest.mark.req("OB1")
def test_a_breaker_that_cleared_and_a_value_that_got_lost_leave_the_exposition():
    async def scene():
        async with Served() as served:
            tripped = risk_view(TradingState.REDUCING, gate())
            served.edge.perform(shown(portfolio_view(nav=5), tripped, cycle_view()))
            before = await served.get(0)
            served.edge.perform(shown(portfolio_view(nav_usd=None), risk_view(), cycle_view()))
            return before, await served.get(0)

    (_, before), (_, after) = asyncio.run(scene())
    breaker = 'trader_circuit_breaker_state{breaker="watchdog_absent"}'
    assert (f"{breaker} 1.0" in before, f"{breaker} 0.0" in after) == (True, True)
    assert "trader_account_value_usd 5.0" in before
    assert "trader_account_value_usd" not in after
    assert 'trader_state{state="active"} 1.0' in after


@pytest.mark.req("OB1", "CB1")
def test_every_breaker_has_a_sample_and_one_of_a_single_product_counts():
    product = replace(gate(), code=Reason.STALE_DATA, product_id="ETH-USD")
    view = replace(risk_view(TradingState.REDUCING, gate()), products=(product,))
    found = {g.labels: g.value for g in shown(view).gauges if g.name == "trader_circuit_breaker_state"}
    tripped = {(("breaker", "watchdog_absent"),), (("breaker", "stale_data"),)}
    assert found == {(("breaker", code.value),): float((("breaker", code.value),) in tripped) for code in BREAKERS}


@pytest.mark.req("OB1")
def test_health_answers_503_until_it_is_well():
    async def scene():
        async with Served() as served:
            ill = await served.get(1)
            served.edge.perform(shown(risk_view(), cycle_view()))
            return ill, await served.get(1)

    (ill, _), (well, document) = asyncio.run(scene())
    assert (ill, well, json.loads(document)["ok"]) == (503, 200, True)


@pytest.mark.parametrize("move", [False, True], ids=["stays", "moves"])
def test_a_taken_port_is_moved_from_only_where_that_is_allowed(move):
    async def scene():
        async with Served() as first:
            taken = int((await first.urls)[0].rpartition(":")[2].partition("/")[0])
            async with Served(ports=(taken, 0), move=move) as second:
                if move:
                    return await second.get(0)
                return await second.room.failure

    outcome = asyncio.run(scene())
    assert outcome[0] == 200 if move else isinstance(outcome, PortTakenError)


def test_a_new_incarnation_may_use_the_same_registry():
    async def scene():
        async with Served() as served:
            served.edge.perform(shown(risk_view()))
        again = MetricsEdge(served.registry, (0, 0), lambda *_: None, move=False)
        again.bind(Room())
        again.close()

    asyncio.run(scene())
