"""A drought as host and cycle live it (pipeline.md §9): stamped in answer and record, told to a person once."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.cycle.core import Cycle, Settings
from actors.cycle.core import step as conduct
from actors.strategy.actor import scan_rules, settings
from actors.strategy.core import Host, StepFunction
from actors.strategy.overlay import configured, laid_over
from actors.strategy.running import Shelf
from config.load import load
from protocol.effects import Count, LogLine, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Wake
from protocol.market import CandleHistory
from protocol.portfolio import Reconciled
from protocol.risk import Alert
from protocol.strategy import Asset, CycleOpened, CycleRecord, Overlay, ProposalsMade, Regime, UniverseView
from tests.support.desk_scenes import NOON_NS, noted, policy
from tests.support.trigger_scenes import bars, flat

SHIPPED = Path(__file__).resolve().parents[2] / "config"
BTC = ProductId("BTC-USD")
BASE = Overlay(move_15m_pct=2.0, move_60m_pct=4.0, min_conviction=0.40)
LOOSE = Overlay(move_15m_pct=1.8, move_60m_pct=3.7, min_conviction=0.38)
PARTS = {"regime_confidence": 0.8, "trend_pct": 0.0, "volatility_pct": 50.0, "excluded": ()}


def universe():
    prices = {"bid": Decimal(100), "ask": Decimal(101), "spread_bps": 2.0, "depth_usd": 1e6, "volume_24h_usd": 1e8}
    eligible = (Asset(product_id=BTC, tier=1, theme="LAYER1", **prices),)
    return UniverseView(at_ns=NOON_NS, regime=Regime.CHOP, eligible=eligible, **PARTS)


class Rig:
    """A host of one product, without strategies; fallback scan and ATR filter are off."""

    def __init__(self):
        base = settings(policy())
        off = replace(base.scan.guards, atr_filter=False)
        rules = replace(base.scan, guards=off, fallback=replace(base.scan.fallback, enabled=False))
        self.step, self.host = (
            StepFunction(Shelf({}.__getitem__)),
            Host(settings=replace(base, products=(BTC,), scan=rules, live=())),
        )
        self.numbers = iter(range(1, 1000))

    def history(self, last, hours=None):
        for seconds, told in ((3600, hours or bars(flat(60))), (900, bars([*flat(63), last], seconds=900))):
            message = CandleHistory(product_id=BTC, granularity_s=seconds, bars=told)
            self.host, _ = self.step(self.host, message, NOON_NS)

    def cycles(self, count):
        """That many; what the last of them had to say."""
        for number, _ in zip(self.numbers, range(count), strict=False):
            opened = CycleOpened(cycle=number, opened_ns=NOON_NS, universe=universe(), held=())
            self.host, self.effects = self.step(self.host, opened, NOON_NS + SECOND_NS)
        (made,) = [e.message for e in self.effects if isinstance(e, Tell) and e.to == "cycle"]
        assert isinstance(made, ProposalsMade)
        return made

    def logged(self):
        return [e.event for e in self.effects if isinstance(e, LogLine) and e.event.startswith("thresholds")]


def test_a_smaller_move_fires_from_the_thirteenth_cycle_on_and_ends_the_drought():
    rig = Rig()
    rig.history(last=101.9)
    assert (rig.cycles(11).overlay, rig.logged()) == (None, [])
    assert (rig.cycles(1).overlay, rig.logged()) == (None, ["thresholds_loosened"])
    made = rig.cycles(1)
    assert (made.overlay, [t.kind for t in made.triggers]) == (LOOSE, ["price_move"])
    assert rig.logged() == ["thresholds_restored"]
    made = rig.cycles(1)
    assert (made.overlay, made.triggers) == (None, ())


def test_it_is_laid_over_chop_alone_and_changes_nothing_that_is_configured():
    rules = scan_rules(policy())
    over = laid_over(rules, LOOSE)
    assert (configured(over, 0.38), configured(rules, 0.40)) == (LOOSE, BASE)
    others = {name: row for name, row in rules.regimes.items() if name != "chop"}
    assert {name: row for name, row in over.regimes.items() if name != "chop"} == others
    assert laid_over(rules, None) is rules


LIVE = {"app.mode": "LIVE", "exchange.read_only": "false", "governance.live_trading_enabled": "true"}


@pytest.mark.parametrize(
    ("mode", "said", "allowed"), [({}, "false", True), (LIVE, "false", False), (LIVE, "true", True)]
)
def test_live_waits_for_a_person_s_word(mode, said, allowed):
    overrides = mode | {"auto_tune.allow_in_live": said}
    assert load(SHIPPED, overrides=overrides).policy.auto_tune.allowed is allowed


def conducted(*overlays):
    """Alerts and records of cycles whose answers bear these overlays."""
    quick = Settings(interval_ns=SECOND_NS, jitter_share=0.0, seed=1)
    cycle, alerts, records = Cycle(settings=quick), [], []
    for overlay in overlays:
        cycle, _ = conduct(cycle, Wake(timer="cycle", due_ns=NOON_NS), NOON_NS)
        number = cycle.open.number
        answers = (
            Reconciled(request_id=f"cycle-{number}", ok=True, detail="", corrections=()),
            universe(),
            ProposalsMade(cycle=number, proposals=(), triggers=(), passed=(), elapsed_us=1, overlay=overlay),
        )
        for answer in answers:
            cycle, effects = conduct(cycle, answer, NOON_NS)
            alerts += noted(effects, Alert)
            records += noted(effects, CycleRecord)
    return alerts, records


def test_a_person_hears_once_a_drought_and_every_record_bears_the_overlay():
    alerts, records = conducted(None, LOOSE, LOOSE, None, LOOSE)
    assert [record.overlay for record in records] == [None, LOOSE, LOOSE, None, LOOSE]
    assert [(a.kind, a.severity) for a in alerts] == [("auto_tune", "WARNING")] * 2


@pytest.mark.req("ST1")
@pytest.mark.parametrize(
    ("told", "code"),
    [
        ((bars(flat(60), quiet=40), 100.0), "synthetic_minutes"),
        ((bars(flat(10)), 100.0), "insufficient_candles"),
        (None, "data_unavailable:candles"),
    ],
)
def test_what_is_not_judged_is_counted(told, code):
    rig = Rig()
    if told is not None:
        rig.history(told[1], told[0])
    made = rig.cycles(1)
    assert code in {row.code for row in made.passed}
    counts = [dict(e.labels)["code"] for e in rig.effects if isinstance(e, Count) and e.metric == "trigger_skips"]
    assert counts == [code]
