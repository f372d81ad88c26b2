"""The strategies as an operator sees them: plain JSON values. Pure."""

from typing import Any

from protocol.instants import iso
from protocol.money import plain
from protocol.strategy import BoardRow, ShadowTally, StrategyBoard, StrategyRun, Switch

Json = dict[str, Any]


def view(board: StrategyBoard | None) -> Json:
    """`strategy list --json` and `strategy report --json`; `alpha_up` null: nobody has said yet."""
    if board is None:
        return {"alpha_up": None, "strategies": []}
    return {"alpha_up": board.alpha_up, "strategies": [_row(row) for row in board.rows]}


def _row(row: BoardRow) -> Json:
    return {
        "name": row.name,
        "state": row.state,
        "reason": row.reason,
        "switched": _switch(row.switch),
        "last": _run(row.last),
        "shadow": _tally(row.tally),
    }


def _switch(switch: Switch | None) -> Json | None:
    if switch is None:
        return None
    return {"on": switch.on, "by": switch.by, "reason": switch.reason, "at": iso(switch.at_ns)}


def _run(run: StrategyRun | None) -> Json | None:
    if run is None:
        return None
    return {"proposed": run.proposed, "kept": run.kept, "elapsed_ms": round(run.elapsed_us / 1000, 3)}


def _tally(tally: ShadowTally | None) -> Json | None:
    """Differences are the shadow's figure minus the live one's, on average over what both wanted."""
    if tally is None:
        return None
    both = tally.agreed
    return {
        "since": iso(tally.since_ns),
        "cycles": tally.cycles,
        "agreed": both,
        "alone": tally.alone,
        "missed": tally.missed,
        "conviction_difference": round(tally.conviction_gap_sum / both, 4) if both else None,
        "size_difference_pct": plain(round(tally.size_gap_pct_sum / both, 4)) if both else None,
    }
