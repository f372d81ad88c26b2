"""247trader's processes and actors, as data, and how each process is put together.

    root ── venue      the embedded Coinbase; outlives the root's death
         ── watchdog   kill and protective sweep; leaves only when the venue lists nothing of ours
         ── alpha      strategies: whatever happens there, no order depends on it
         ── desk       root (one_for_one) over core (rest_for_one), edge and side

Decisions stand in the rooms' cores; supervision's meaning in `actors/runtime/restarts.py` and `actors/root/core.py`.
"""

import argparse
import gc
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import uvloop

from actors.root.core import Kind, Spec
from actors.runtime.restarts import Beyond, Child, Group, Restart, Strategy

if TYPE_CHECKING:
    from actors.compose.root import Plan

PROCESSES = (
    Spec(name="venue", kind=Kind.OUTLIVES, stop_order=3, stop_s=5.0),
    Spec(name="watchdog", kind=Kind.OUTLIVES, stop_order=2, stop_s=3.0),
    Spec(name="alpha", kind=Kind.ESSENTIAL, stop_order=1, stop_s=2.0),
    Spec(name="desk", kind=Kind.DESK, stop_order=0, stop_s=9.0),
)

GROUPS = (
    Group(name="root", intensity=1, period_s=300.0),
    Group(name="core", under="root", strategy=Strategy.REST_FOR_ONE, intensity=3, period_s=60.0),
    Group(name="live", under="core", intensity=20, period_s=60.0),
    Group(name="edge", under="root", intensity=5, period_s=60.0),
    Group(name="feeds", under="edge", intensity=10, period_s=300.0, beyond=Beyond.PARK, park_s=300.0),
    Group(name="side", under="root", intensity=20, period_s=600.0, beyond=Beyond.GIVE_UP),
)

ACTORS = (
    # child                                                                            pump
    (Child(name="recorder", group="core", beat_s=1.0), "pinned"),
    (Child(name="portfolio", group="core", beat_s=1.0), "core"),
    (Child(name="risk", group="core", beat_s=1.0), "core"),
    (Child(name="orders", group="core", beat_s=1.0), "core"),
    (Child(name="order", group="live", restart=Restart.TRANSIENT), "core"),  # a kind: one actor per order
    (Child(name="cycle", group="core", beat_s=1.0), "core"),
    (Child(name="control", group="core", shutdown_s=9.0), "io"),
    (Child(name="gateway", group="edge", backoff_s=(0.1, 1.0)), "io"),
    (Child(name="user_feed", group="edge", backoff_s=(0.1, 1.0)), "io"),
    (Child(name="market", group="feeds", backoff_s=(0.25, 30.0)), "io"),  # one per 16 products
    (Child(name="feed", group="feeds", backoff_s=(0.25, 30.0)), "io"),  # one per product
    (Child(name="universe", group="side"), "core"),
    (Child(name="strategies", group="side"), "core"),  # who may run; it remembers what alpha died of
    (Child(name="metrics", group="side"), "io"),
)

ALPHA_GROUPS = (Group(name="alpha", intensity=5, period_s=60.0),)
ALPHA_ACTORS = ((Child(name="strategy:host", group="alpha"), "core"),)


def root(plan: "Plan") -> int:
    """Run the root process; returns the exit code."""
    return int(room("root").run(plan, PROCESSES))


def main() -> int:
    """Entry of the child processes: `python -m supervisor desk|alpha --state DIR`."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("process", choices=("desk", "alpha"))
    parser.add_argument("--state", type=Path, required=True)
    args = parser.parse_args()
    os.environ.setdefault("UV_THREADPOOL_SIZE", "1")  # the loop looks up one name; it needs no pool for that
    composed = room(args.process)
    if args.process == "desk":
        return int(uvloop.run(composed.run(args.state, GROUPS, ACTORS)))
    return int(uvloop.run(composed.run(args.state, ALPHA_GROUPS, ALPHA_ACTORS)))


def room(process: str) -> ModuleType:
    """Load what one process is made of; each process loads its own rooms only.

    Nothing that is loaded is ever garbage: not looking for any saves a fifth of the start, and later the pauses that
    looking through it again and again would cost.
    """
    gc.disable()
    try:
        return importlib.import_module(f"actors.compose.{process}")
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
