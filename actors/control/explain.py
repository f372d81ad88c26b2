"""Why nothing was traded, or what was: a cycle's rows and risk's decision records as plain JSON values. Pure.

It reads records alone, so the desk answers from its memory and the command line from the journal in the same words.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from protocol.decisions import Change, counterfactual
from protocol.instants import iso
from protocol.money import plain
from protocol.risk import Decision, Verdict
from protocol.strategy import Check, CycleRecord, Exclusion, Passed

Json = dict[str, Any]

_SHOWN_DIGITS = 8


def why(
    records: Iterable[CycleRecord], decisions: Iterable[tuple[int, Decision]], product: str, at_ns: int | None
) -> Json:
    """What the last cycle (at or before `at_ns`) decided about a product.

    `verdict` is the one word; `stopped_by` the stage and rule that ended it; `changes` the smallest that would have let
    it pass that stage, all of them together; `rules` every row there is about it, passed ones too.

    Args:
        records: of cycles, oldest first.
        decisions: with the number of their cycle.
        product: its id.
        at_ns: UTC; None: the newest.
    """
    known = [r for r in records if at_ns is None or r.at_ns <= at_ns]
    if not known:
        return {"product_id": product, "cycle": None, "verdict": "no cycle has finished yet", "rules": []}
    record = known[-1]
    since_ns = known[-2].at_ns if len(known) > 1 else 0  # numbers begin anew with each start
    judged = [
        d
        for cycle, d in decisions
        if cycle == record.cycle and d.product_id == product and since_ns < d.at_ns <= record.at_ns
    ]
    before = [*_excluded(record, product), *_passed_over(record, product)]
    rules = [*before, *(_rule(v) for d in judged for v in d.verdicts)]
    stopped = _stopped(before, judged)
    return {
        "product_id": product,
        "cycle": record.cycle,
        "at": iso(record.at_ns),
        "status": record.status,
        "regime": record.regime.value,
        "no_trade_reason": record.no_trade_reason,
        "verdict": _verdict(record, stopped, judged),
        "stopped_by": {"stage": stopped["stage"], "code": stopped["code"]} if stopped is not None else None,
        "changes": _changes(before, stopped, judged),
        "decisions": [decision(d) for d in judged],
        "rules": rules,
    }


def decision(judged: Decision) -> Json:
    """A decision record, with the changes that would have let it pass."""
    return {
        "correlation": judged.correlation,
        "product_id": judged.product_id,
        "side": judged.side.value,
        "purpose": judged.purpose,
        "strategy": judged.strategy,
        "verdict": judged.outcome.value,
        "approved": judged.approved,
        "code": judged.code.value if judged.code is not None else None,
        "cap_type": judged.cap_type.value if judged.cap_type is not None else None,
        "current_pct": number(judged.current_pct),
        "proposed_pct": number(judged.proposed_pct),
        "limit_pct": number(judged.limit_pct),
        "requested_usd": number(judged.requested_usd),
        "approved_usd": number(judged.approved_usd),
        "method": judged.method,
        "at": iso(judged.at_ns),
        "changes": [_change(c) for c in counterfactual(judged)],
        "rules": [_rule(v) for v in judged.verdicts],
    }


def number(value: Decimal | None) -> str | None:
    """A figure as decimal text, to eight places: what people read; the record keeps all of them."""
    return None if value is None else plain(round(value, _SHOWN_DIGITS))


# --- rows ---------------------------------------------------------------------------------------------------------


def _excluded(record: CycleRecord, product: str) -> list[Json]:
    return [row for out in record.excluded if out.product_id == product for row in _bounds(out)]


def _bounds(out: Exclusion) -> list[Json]:
    """The bound that excluded it, then every other one that was looked at."""
    reason = Check(code=out.reason, passed=False, value=out.value, limit=out.limit)
    others = [c for c in out.checks if c.passed or c.code != out.reason]
    return [_row("universe", c.code, (c.value, c.limit), c.unit, passed=c.passed) for c in (reason, *others)]


def _passed_over(record: CycleRecord, product: str) -> list[Json]:
    """Why nobody proposed it; what concerns every product (a strategy that failed) names none."""
    return [_passed(p) for p in record.passed if p.product_id in (product, "")]


def _passed(row: Passed) -> Json:
    return _row(row.stage, row.code, (row.value, row.limit), row.detail, passed=False)


def _row(stage: str, code: str, pair: tuple[float | None, float | None], detail: str, *, passed: bool) -> Json:
    value, limit = pair
    return {"stage": stage, "code": code, "value": value, "limit": limit, "passed": passed, "detail": detail}


def _rule(verdict: Verdict) -> Json:
    return {
        "stage": "risk",
        "code": verdict.code.value,
        "passed": verdict.passed,
        "value": number(verdict.value),
        "limit": number(verdict.limit),
        "unit": verdict.unit,
        "detail": verdict.detail,
        "bound": verdict.bound.value,
    }


# --- what stopped it ----------------------------------------------------------------------------------------------


def _stopped(before: list[Json], judged: list[Decision]) -> Json | None:
    """The rule that ended it: risk's where it got so far, else the first refusal of the last stage it reached."""
    if any(d.approved for d in judged):
        return None
    refused = next((d.refusal for d in judged if d.refusal is not None), None)
    if refused is not None:
        return _rule(refused)
    refusing = [row for row in before if not row["passed"]]
    return next((row for row in refusing if row["stage"] == refusing[-1]["stage"]), None)


def _verdict(record: CycleRecord, stopped: Json | None, judged: list[Decision]) -> str:
    if stopped is not None:
        return str(stopped["code"])
    return "traded" if judged else (record.no_trade_reason or "not a candidate")


def _changes(before: list[Json], stopped: Json | None, judged: list[Decision]) -> list[Json]:
    """What would have let it pass the stage that stopped it."""
    if stopped is None:
        return []
    if stopped["stage"] == "risk":
        refused = next(d for d in judged if not d.approved)
        return [_change(c) for c in counterfactual(refused)]
    rows = [row for row in before if not row["passed"] and row["stage"] == stopped["stage"]]
    return [_needed(row) for row in rows]


def _change(change: Change) -> Json:
    return {
        "stage": "risk",
        "code": change.code.value,
        "value": number(change.value),
        "needed": number(change.needed),
        "unit": change.unit,
        "act": change.act,
    }


def _needed(row: Json) -> Json:
    limit = row["limit"]
    act = "wait until it clears" if limit is None else f"{row['code']}: {row['value']} against {limit}"
    return {
        "stage": row["stage"],
        "code": row["code"],
        "value": row["value"],
        "needed": limit,
        "unit": row["detail"],
        "act": act,
    }
