"""What one decision costs: thirty products and three strategies, everything it looks at in memory.

A whole desk lives through some minutes in virtual time; then its own universe, strategy host and risk actor are asked
from the states they reached, again and again. Thresholds are lowered until most products fire and every strategy
proposes, so that nothing is cheap for want of work. Beside it an installation as it runs, over its real sockets: how
long its whole cycles take, by its own word.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from structlog.testing import capture_logs

import supervisor
from actors.compose.kernel import KernelDesk, World, launch
from actors.compose.kernel_pages import KernelPages
from actors.recorder.memory import MemoryStore
from actors.runtime.clock import VirtualClock
from actors.strategy.actor import settings as host_settings
from actors.strategy.aggregate import aggregate
from actors.venue.in_kernel import Habits, KernelVenue, synthetic_venue
from config.load import load
from ops.bench import footprint
from ops.bench.figures import Figure, at_most, p50, p99, told
from ops.cli import ROOT
from protocol.base import Effects, Message
from protocol.coinbase.keys import SigningKey
from protocol.effects import Tell
from protocol.instants import MINUTE_NS, SECOND_NS
from protocol.policy import Policy
from protocol.risk import ProposalBatch
from protocol.strategy import CycleOpened, ProposalsMade, TradeProposal, UniverseView, UniverseWanted

M = TypeVar("M", bound=Message)

BENCH = "decision"
START_NS = 1_795_003_205 * SECOND_NS  # Wednesday 2026-11-18, 12:00:05 UTC
MINUTES = (2, 6, 11)
ROUNDS = 150
P95_MS, P99_MS, AGGREGATE_MS, CYCLE_MS = 5.0, 10.0, 1.0, 250.0
WATCH_S = 60.0
STAGES = ("universe", "strategies", "risk")


def flooded(policy: Policy) -> Policy:
    """The shipped policy with three strategies on and every threshold so low that nearly everything passes."""
    triggers, strategy = policy.triggers, policy.strategy
    low = tuple(
        replace(row, move_15m_pct=0.01, move_60m_pct=0.01, volume_ratio=0.1, atr_min_mult=0.0)
        for row in triggers.thresholds
    )
    count = len(policy.universe.products)
    triggers = replace(triggers, thresholds=low, min_score=0.0, min_confidence=0.0, max_triggers_per_cycle=count)
    eager = {
        "rules_engine": (),
        "momentum": (("rise_pct", Decimal("0.01")), ("off_high_pct", Decimal(50))),
        "breakout": (),
    }
    rows = tuple(
        replace(row, enabled=row.name in eager, max_trades_per_cycle=count, parameters=eager.get(row.name, ()))
        for row in strategy.strategies
    )
    strategy = replace(strategy, strategies=rows, min_conviction=0.01, regime_convictions=())
    return replace(policy, triggers=triggers, strategy=strategy)


def desk(policy: Policy) -> KernelDesk:
    """A desk on the synthetic market of the policy's products, in virtual time."""
    key = SigningKey("organizations/0/apiKeys/0", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    clock = VirtualClock(START_NS)
    venue = synthetic_venue(clock.now_ns, key.verifying(), seed=1, products=policy.universe.products, slow=True)
    world = World(
        clock=clock,
        store=MemoryStore(),
        venue=KernelVenue(venue, 1, Habits(tick_ms=1000)),
        pages=KernelPages(),
        key=key,
        launch=launch(policy, "bench", 1),
    )
    made = KernelDesk(world, supervisor.GROUPS, supervisor.ACTORS, supervisor.ALPHA_ACTORS, seed=1)
    made.start()
    return made


@dataclass(frozen=True, slots=True)
class Asked:
    """One stage's actor as it stands, and its answer to a message: effects, and how many milliseconds it took."""

    step: Callable[[Any, Message, int], tuple[Any, Effects]]
    state: Any
    now_ns: int

    def __call__(self, message: Message) -> tuple[Effects, float]:
        """The state stays as it is: the next asking begins where this one did."""
        began = time.perf_counter_ns()
        _, effects = self.step(self.state, message, self.now_ns)
        return effects, (time.perf_counter_ns() - began) / 1e6


def asked(made: KernelDesk, name: str) -> Asked:
    """The actor `name` of a desk."""
    shell = made.node.tree.records[name].shell
    assert shell is not None, f"{name} runs"
    return Asked(shell.step, shell.state, made.kernel.clock.now_ns())


def answer(effects: Effects, kind: type[M]) -> M:
    """The one message of its kind among effects."""
    return next(e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, kind))


def decisions(made: KernelDesk, rounds: int) -> tuple[list[dict[str, float]], tuple[TradeProposal, ...]]:
    """Milliseconds by stage of `rounds` decisions from one moment, and what was proposed."""
    universe, host, risk = (asked(made, name) for name in ("universe", "strategy:host", "risk"))
    out = list[dict[str, float]]()
    proposals: tuple[TradeProposal, ...] = ()
    for number in range(rounds):
        effects, first = universe(UniverseWanted(cycle=number, nav_usd=risk.state.view.nav_usd))
        view = answer(effects, UniverseView)
        opened = CycleOpened(
            cycle=number, opened_ns=universe.now_ns, universe=view, held=(), nav_usd=risk.state.view.nav_usd
        )
        effects, second = host(opened)
        proposals = answer(effects, ProposalsMade).proposals
        batch = ProposalBatch(cycle=number, regime=view.regime.value, proposals=proposals)
        _, third = risk(batch)
        out.append(dict(zip(STAGES, (first, second, third), strict=True)))
    return out, proposals


def aggregation_ms(policy: Policy, proposals: Sequence[TradeProposal], rounds: int) -> list[float]:
    """The merging alone: as many proposals as every strategy could make for every product."""
    settings, out = host_settings(policy), []
    budgets = [budget for budget in settings.budgets if budget.name in settings.live]
    every = [
        replace(proposals[number % len(proposals)], product_id=product, strategy=budget.name)
        for budget in budgets
        for number, product in enumerate(settings.products)
    ]
    for _ in range(rounds):
        began = time.perf_counter_ns()
        aggregate(every, budgets, settings.max_total)
        out.append((time.perf_counter_ns() - began) / 1e6)
    return out


def cycles(folder: Path, config: Path, watch_s: float) -> dict[str, float]:
    """An installation's own word on its cycles after `watch_s`: their number and their 95th percentile."""
    with footprint.desk(folder / "state", config):
        time.sleep(watch_s)
        verb = (sys.executable, "-m", "ops.cli", "status", "--json", "--state", str(folder / "state"))
        answered = subprocess.run(verb, cwd=ROOT, capture_output=True, text=True, check=True)
    cycle = json.loads(answered.stdout)["cycle"]
    return {"cycles": float(cycle["n"]), "cycle_p95_ms": float(cycle["p95_ms"])}


def run(minutes: Sequence[int] = MINUTES, rounds: int = ROUNDS, watch_s: float = WATCH_S) -> dict[str, Any]:
    """Whole decisions and their stages at some moments of a desk's life, and the cycles of an installation."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = footprint.configuration(Path(folder))
        policy = load(config, profile="embedded", overrides={"app.mode": "PAPER"}).policy
        whole = cycles(Path(folder), config, watch_s) if watch_s else {}
    return {**decision_ms(flooded(policy), minutes, rounds), **whole}


def decision_ms(policy: Policy, minutes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Milliseconds of whole decisions, and each stage's share."""
    samples = list[dict[str, float]]()
    proposals: tuple[TradeProposal, ...] = ()
    with capture_logs():
        made = desk(policy)
        for minute in minutes:
            made.kernel.run_until(START_NS + minute * MINUTE_NS)
            found, proposals = decisions(made, rounds)
            samples += found
    totals = [sum(sample.values()) for sample in samples]
    return {
        "p50_ms": p50(totals),
        "p95_ms": sorted(totals)[len(totals) * 95 // 100],
        "p99_ms": p99(totals),
        "aggregation_p99_ms": p99(aggregation_ms(policy, proposals, rounds)),
        "proposals": len(proposals),
        "share_pct": {stage: sum(s[stage] for s in samples) / sum(totals) * 100 for stage in STAGES},
    }


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bounds of a decision and of its merging; the stages' shares."""
    yield told(BENCH, "decision_p50", found["p50_ms"], "ms")
    yield at_most(told(BENCH, "decision_p95", found["p95_ms"], "ms"), P95_MS)
    yield at_most(told(BENCH, "decision_p99", found["p99_ms"], "ms"), P99_MS)
    yield at_most(told(BENCH, "aggregation_p99", found["aggregation_p99_ms"], "ms"), AGGREGATE_MS)
    yield told(BENCH, "proposals", float(found["proposals"]), "proposals")
    if "cycles" in found:
        why = f" over {found['cycles']:.0f} cycles"
        yield at_most(told(BENCH, "cycle_p95", found["cycle_p95_ms"], "ms"), CYCLE_MS, why)
    for stage, share in found["share_pct"].items():
        yield told(BENCH, f"share_{stage}", share, "%")


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
