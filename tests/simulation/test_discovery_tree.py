"""A whole tree whose start finds its products in the venue's listing, trades them, and looks after what it found once.

Source: pipeline.md §3 (dynamic discovery; fewer eligible products than must be: no entries, while exits go on).
"""

import json

import pytest

from actors.universe.regime import LOOKBACK
from actors.venue.catalogue import LISTINGS
from config.load import load
from ops.simulate.journal import messages, of_journal, unsealed
from ops.simulate.moment import at_rest
from ops.simulate.settled import ledger_totals, venue_totals
from ops.simulate.world import shipped
from protocol.control import View
from protocol.discovery import LEADER, Source, UniverseDiscovered
from protocol.risk import Alert, Reason
from protocol.strategy import CycleRecord
from tests.support.refusal_desk import CONFIG, MOVING_SEED, RefusalDesk

UNLISTED = "AAVE-USD"
"""In no tier of the shipped files, with volume enough to be found."""
COIN = "ETH-USD"
STILL = {"strategies.rules_engine.enabled": "false"}


def overrides(**finds):
    """An operator's words for a run that finds its products, by these rules."""
    rules = {f"universe.universe.dynamic_config.{name}": str(value) for name, value in finds.items()}
    return {"app.mode": "PAPER", "universe.universe.method": "dynamic_discovery"} | rules


def policy(**finds):
    """The policy of such a run, without strategies."""
    return load(CONFIG, profile="embedded", overrides=overrides(**finds) | STILL).policy


class Finding(RefusalDesk):
    """A desk on everything that the embedded venue lists, whose start finds what to trade; `broken`: or cannot.

    `alone`: its strategies trade by themselves; without it people do.
    """

    def __init__(self, *, alone: bool = False, broken: bool = False) -> None:
        self._broken = broken
        super().__init__(tuple(LISTINGS), overrides() | (STILL if not alone else {}), seed=MOVING_SEED)

    def _run_of(self, policy, outside):
        if self._broken:
            self.fault("error")
        launch = super()._run_of(policy, outside)
        self.venue.faults.clear()
        return launch

    @property
    def universe(self):
        """Products as this run has settled them."""
        return self.world.launch.policy.universe

    def said(self, kind):
        """Everything of one kind on record."""
        return [m for _, m in messages(unsealed(self)) if isinstance(m, kind)]

    def shown(self):
        """What the command line shows of the discovery."""
        return json.loads(self.ask(View(by="test", what="universe")).data)["discovery"]

    def turn(self, policy):
        """The next run follows another policy; the journal of this one holds by its own."""
        assert of_journal(self) == []
        self.rerun(policy)

    def sound(self):
        """Nothing at rest is as it must not be, and the books are the venue's."""
        self.run(10.0)
        assert at_rest(self) == []
        assert ledger_totals(self) == venue_totals(self)
        assert not self.desk.node.dead_letters


@pytest.mark.req("U1")
def test_a_desk_trades_what_its_start_has_found():
    desk = Finding(alone=True)
    assert (UNLISTED in shipped().universe.products, UNLISTED in desk.universe.traded) == (False, True)
    assert "SUSHI-USD" not in desk.universe.products, "too little volume"
    desk.until(lambda: bool(desk.fills()), 60)
    assert {fill.product_id for fill in desk.fills()} <= set(desk.universe.traded)
    desk.until(lambda: desk.order(UNLISTED).code == 0, 30)
    desk.until(lambda: desk.held(UNLISTED) > 0, 10)
    (found,) = desk.said(UniverseDiscovered)
    assert (found.source, found.chosen) == (Source.VENUE, desk.universe.traded)
    cycle = desk.said(CycleRecord)[-1]
    assert cycle.eligible + len(cycle.excluded) == len(desk.universe.products)
    shown = desk.shown()
    assert (shown["source"], tuple(map(tuple, shown["tiers"].values()))) == ("venue", found.tiers)
    assert {"product_id": "SUSHI-USD", "reason": "volume"}.items() <= shown["left_out"][-1].items()
    assert of_journal(desk) == []
    desk.sound()


@pytest.mark.slow
@pytest.mark.req("U1")
def test_a_desk_that_dies_comes_back_with_the_same_products():
    desk = Finding()
    desk.run(10.0)
    before, found = desk.universe, desk.said(UniverseDiscovered)[-1]
    desk.venue.exchange.set_product(UNLISTED, desk.clock.now_ns(), trading_disabled=True)
    desk.again()
    desk.run(10.0)
    assert desk.universe == before
    assert desk.said(UniverseDiscovered)[-1] == found


@pytest.mark.req("U1")
def test_a_listing_that_fails_falls_back_and_says_so():
    desk = Finding(broken=True)
    fallback = desk.universe.discovery.fallback
    assert desk.universe.traded == fallback
    desk.run(12.0)
    (found,) = desk.said(UniverseDiscovered)
    assert (found.source, found.tiers) == (Source.FALLBACK, (fallback, (), ()))
    assert "the listing failed: HTTP 500" in found.detail
    assert desk.shown()["detail"] == found.detail
    desk.buy(COIN)
    assert desk.order(UNLISTED).code != 0, "what was not found is not bought"
    desk.sound()


@pytest.mark.req("U1")
def test_a_discovery_that_finds_too_little_opens_nothing_and_looks_after_what_is_held():
    desk = Finding()
    desk.run(12.0)
    desk.buy(COIN)
    desk.turn(policy(tier1_min_volume_usd=700_000_000, tier2_min_volume_usd=700_000_000))
    assert desk.universe.traded == ("BTC-USD",)
    desk.run(12.0)
    assert Reason.INSUFFICIENT_UNIVERSE.value in desk.gates()
    assert [alert.kind for alert in desk.said(Alert)].count("empty_universe") == 1
    assert desk.order("BTC-USD").code != 0
    desk.venue.market.set_path(COIN, [(5.0, desk.mid(COIN) * 85 / 100)])
    desk.until(lambda: desk.held(COIN) == 0, 30)
    desk.sound()


@pytest.mark.slow
@pytest.mark.req("U1")
def test_what_the_next_start_does_not_find_is_held_until_its_stop_and_not_bought():
    desk = Finding()
    desk.run(12.0)
    desk.buy(UNLISTED)
    desk.turn(policy(tier2_max_symbols=0))
    assert UNLISTED not in desk.universe.products
    desk.run(12.0)
    assert {x.reason for x in desk.said(CycleRecord)[-1].excluded if x.product_id == UNLISTED} == {"no_tier"}
    assert desk.order(UNLISTED).code != 0
    desk.venue.market.set_path(UNLISTED, [(5.0, desk.mid(UNLISTED) * 85 / 100)])
    desk.until(lambda: desk.held(UNLISTED) == 0, 30)
    desk.sound()


@pytest.mark.slow
@pytest.mark.req("U1", "U3")
def test_the_leader_tells_the_regime_even_where_it_is_not_traded():
    desk = Finding()
    desk.venue.exchange.set_product(LEADER, desk.clock.now_ns(), trading_disabled=True)
    desk.turn(policy())
    desk.venue.exchange.set_product(LEADER, desk.clock.now_ns(), trading_disabled=False)
    assert LEADER not in desk.universe.traded
    assert LEADER in desk.universe.products
    desk.run(15.0)
    assert desk.said(CycleRecord)
    assert len(desk.desk.node.tree.records["universe"].shell.state.hours) == LOOKBACK
    assert desk.order(LEADER).code != 0
