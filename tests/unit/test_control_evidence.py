"""What control puts on record for the ladder: each hour of a run, its end, and each kill that was rearmed."""

import msgspec
import pytest

from actors.control.core import step
from actors.control.edge import differs
from actors.control.state import Control, Settings
from protocol.control import (
    NO_LATCH,
    Asked,
    KillEvidence,
    Latch,
    Pages,
    Rearm,
    Reply,
    RunEvidence,
    Shutdown,
    SweepProgress,
    WatchdogAnswered,
    WatchdogStatus,
)
from protocol.instants import HOUR_NS, SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.portfolio import Reconciled
from protocol.strategy import CycleRecord, Regime
from tests.support.desk_scenes import NOON_NS, noted

SETTINGS = Settings(
    bot="bot", mode="PAPER", venue="coinbase", profile="paper", epoch=3, config_hash="ab", versions=(),
    market="mirror", cycle_s=60.0,
)  # fmt: skip
KILLED = Latch(killed=True, epoch=3, reason="practice", by="ann", at_ns=NOON_NS, scope="mine")
REARM = Rearm(by="bob", confirm="all looked at")
SWEPT = SweepProgress(
    active=False, kind="protective", detected_s=0.1, last_cancel_s=0.4, empty_s=1.2, cancelled=7, remaining=0,
    unresolved=0, note="practice",
)  # fmt: skip
CYCLE = CycleRecord(
    cycle=1, status="NO_TRADE", no_trade_reason="x", regime=Regime.CHOP, eligible=1, triggers=(), passed=(),
    proposals=0, approved=0, excluded=(), stages_us=(), at_ns=NOON_NS,
)  # fmt: skip


def pages(latch=NO_LATCH, **changes):
    return Pages(**{"epoch": 3, "watchdog_age_s": 0.1, "latch": latch, "kill_file": False, **changes})


class Run:
    """A control actor on a clock of its own; `kept` is what it put on record for the ladder."""

    def __init__(self, latch=NO_LATCH):
        self.now_ns, self.state, self.kept, self.effects = NOON_NS, Control(settings=SETTINGS), [], ()
        self.tell(Recover(), pages(latch, resident_bytes=300_000_000))

    def tell(self, *messages):
        for message in messages:
            self.state, self.effects = step(self.state, message, self.now_ns)
            self.kept += [*noted(self.effects, RunEvidence), *noted(self.effects, KillEvidence)]
        return self

    def later(self, ns, *messages):
        self.now_ns += ns
        return self.tell(*messages)

    def rearm(self, *, code=0, data=None):
        """Reconciled, passed on, and answered by the watchdog."""
        status = WatchdogStatus(latch=NO_LATCH, sweep=SWEPT, beat_age_s=0.0, desk_alive=True)
        told = msgspec.json.encode(status).decode() if data is None else data
        picture = Reconciled(request_id="rearm/5", ok=True, detail="", corrections=())
        word = WatchdogAnswered(connection=5, reply=Reply(code=code, text="", data=told))
        return self.tell(Asked(connection=5, request=REARM), picture, word, word)


@pytest.mark.req("M1")
def test_every_hour_of_a_run_is_on_record_with_its_market_its_cycles_and_its_memory():
    run = Run().tell(*[CYCLE] * 58).later(HOUR_NS, Wake(timer="evidence", due_ns=0))
    run.tell(*[CYCLE] * 3).later(HOUR_NS, Wake(timer="evidence", due_ns=0))
    first, second = run.kept
    assert first == RunEvidence(
        mode="PAPER",
        venue="coinbase",
        market="mirror",
        config_hash="ab",
        from_ns=NOON_NS,
        until_ns=NOON_NS + HOUR_NS,
        cycles=58,
        cycles_expected=60,
        resident_bytes=300_000_000,
        ended=False,
    )
    assert (second.from_ns, second.until_ns, second.cycles) == (first.until_ns, NOON_NS + 2 * HOUR_NS, 3)


@pytest.mark.req("M1")
@pytest.mark.parametrize(
    "end",
    [Asked(connection=1, request=Shutdown(by="x", reason="y")), pages(epoch=4)],
    ids=["it is stopped", "its epoch is revoked"],
)
def test_a_desk_that_begins_to_leave_says_what_its_last_stretch_was(end):
    run = Run().later(90 * SECOND_NS, CYCLE, end, end)
    (last,) = run.kept
    assert (last.ended, last.cycles, last.cycles_expected, last.until_ns - last.from_ns) == (True, 1, 1, 90 * SECOND_NS)


@pytest.mark.req("M1", "K1")
def test_a_kill_that_is_rearmed_leaves_how_fast_it_was():
    (kept,) = Run(KILLED).rearm().kept
    assert kept == KillEvidence(
        reason="practice",
        by="ann",
        at_ns=NOON_NS,
        detected_s=0.1,
        last_cancel_s=0.4,
        empty_s=1.2,
        cancelled=7,
        unresolved=0,
        rearmed_by="bob",
        said="all looked at",
    )


# latch, code of the watchdog's answer, its data
NOTHING = {
    "it was not killed": (NO_LATCH, 0, None),
    "the rearm was refused": (KILLED, 4, None),
    "nobody told how it went": (KILLED, 0, "null"),
}


@pytest.mark.parametrize("row", NOTHING.values(), ids=NOTHING)
def test_what_is_no_evidence_of_a_kill(row):
    latch, code, data = row
    assert Run(latch).rearm(code=code, data=data).kept == []


def test_memory_that_moves_is_no_reason_to_look_again():
    assert not differs(pages(resident_bytes=1), pages(resident_bytes=2))
