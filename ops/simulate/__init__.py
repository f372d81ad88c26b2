"""Let whole desks live through seeded trouble in virtual time, and look at every invariant after every step.

A seed chooses the market, what goes wrong (`--faults storm`; or a plan from a file, the same for every seed) and who
acts first. What fails is told with the shortest beginning of its plan that fails; the same seed with `--events` lives
through it again. At the end stands how often each fault, order state, step of the state table and recovery occurred.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ops.cli import add_json
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table, tracked
from ops.simulate import plan, play
from ops.simulate.plan import Plan, PlanError
from ops.simulate.play import Outcome
from protocol.base import Value

STORM, NONE = "storm", "none"
HOUR_S = 3600


class Failure(Value, frozen=True, kw_only=True):
    """A seed that broke something. `events`: so many of its plan's first events are enough; `replay`: the command."""

    seed: int
    faults: tuple[str, ...]
    events: int
    replay: str


class Report(Value, frozen=True, kw_only=True):
    """What `simulate --json` prints. `never`: of what storms are made to reach, what none of these did."""

    seeds: str
    faults: str
    hours: float
    simulated_s: float
    steps: int
    failures: tuple[Failure, ...]
    seen: dict[str, int]
    never: tuple[str, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `simulate`."""
    parser.add_argument("--seeds", default="1..20", metavar="A..B", help="from A to B (default: 1..20), or one")
    parser.add_argument(
        "--faults", default=STORM, metavar="PLAN", help=f"{STORM} (default), {NONE}, or a JSON file of events"
    )
    parser.add_argument("--hours", type=float, default=0.5, help="simulated, each seed (default: 0.5)")
    parser.add_argument("--events", type=int, metavar="N", help="only the first N events of the plan")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Simulates and reports."""
    seeds = parse_seeds(args.seeds)
    if not 0 < args.hours <= 1000:
        raise VerbError(f"--hours {args.hours}: above 0 and at most 1000", Exit.USAGE)
    report = reported(args, list(outcomes(seeds, args.faults, args.hours, args.events)))
    if args.json:
        print_json(report)
    else:
        show(report)
    return Exit.FAILED if report.failures else Exit.DONE


def parse_seeds(text: str) -> range:
    """`3` or `1..20`. Raises VerbError."""
    first, _, last = text.partition("..")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise VerbError(f"--seeds {text}: a number, or A..B with A not above B", Exit.USAGE)
    return range(int(first), int(last or first) + 1)


def plan_of(seed: int, faults: str, hours: float) -> Plan:
    """What happens to a seed. Raises VerbError: the file is no plan."""
    if faults == STORM:
        return plan.storm(seed, hours * HOUR_S)
    if faults == NONE:
        return plan.quiet(hours * HOUR_S)
    try:
        return plan.read(Path(faults))
    except PlanError as error:
        raise VerbError(str(error), Exit.USAGE) from None


def outcomes(seeds: Iterable[int], faults: str, hours: float, events: int | None) -> Iterator[Outcome]:
    """What became of each seed, in order; on as many processors as there are."""
    plans = {seed: plan_of(seed, faults, hours) for seed in seeds}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=play.mute) as pool:
        lived = pool.map(partial(play.played, events=events), plans.keys(), plans.values())
        yield from tracked(lived, len(plans), "simulating")


def reported(args: argparse.Namespace, lived: list[Outcome]) -> Report:
    """Counts, and what failed with the shortest beginning that does."""
    seen: Counter[str] = Counter()
    for outcome in lived:
        seen.update(outcome.seen)
    return Report(
        seeds=args.seeds,
        faults=args.faults,
        hours=args.hours,
        simulated_s=sum(outcome.seconds for outcome in lived),
        steps=sum(outcome.steps for outcome in lived),
        failures=tuple(failure(args, outcome) for outcome in lived if outcome.faults),
        seen=dict(sorted(seen.items())),
        never=tuple(sorted(play.reachable() - seen.keys())) if args.faults == STORM else (),
    )


def failure(args: argparse.Namespace, outcome: Outcome) -> Failure:
    """Name what failed, and how to see it again."""
    again = f"trader simulate --seeds {outcome.seed} --faults {args.faults} --hours {args.hours}"
    return Failure(
        seed=outcome.seed,
        faults=tuple(outcome.faults),
        events=outcome.enough,
        replay=f"{again} --events {outcome.enough}",
    )


def show(report: Report) -> None:
    """Prints the counts as a table, and what failed on standard error."""
    print_table(("what", "times"), sorted(report.seen.items()), title="what occurred")
    for never in report.never:
        note(f"never: {never}")
    for failed in report.failures:
        note(f"seed {failed.seed} FAILS after {failed.events} events: {'; '.join(failed.faults)}\n  {failed.replay}")
    note(f"{report.simulated_s / HOUR_S:.1f} h, {report.steps:,} steps, {len(report.failures)} seeds failed")
