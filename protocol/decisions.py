"""Reading a decision record: whether it still says the same, what would have changed it, and why a cycle did nothing.

Pure functions of what was recorded, so that whoever holds a record can ask: the desk, an operator's verb, a test.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum

from msgspec.structs import replace

from protocol.base import Value
from protocol.instants import SECOND_NS, iso
from protocol.money import plain
from protocol.risk import Bound, Decision, Reason, Verdict


class NoTrade(Enum):
    """Why a cycle traded nothing (requirements §5), beside the canon of refusals."""

    EMPTY_UNIVERSE = "empty_universe"
    NO_TRIGGERS = "no_candidates_from_triggers"
    NO_PROPOSALS = "rules_engine_no_proposals"
    ORDERS_PENDING = "open_orders_pending"
    SLOTS_TAKEN = "max_open_positions_saturated"
    ALL_BLOCKED = "all_proposals_blocked_by_risk"
    NOTHING_PLACED = "no_orders_after_execution_filter"
    WEEKEND = "weekend"
    NO_DATA = "data_unavailable"
    EXCEPTION = "exception"


_WITH_SOURCE = (NoTrade.NO_DATA, NoTrade.EXCEPTION)
_CANON = {reason.value for reason in (*NoTrade, *Reason) if reason not in _WITH_SOURCE}


def no_trade(reason: NoTrade | Reason, source: str = "") -> str:
    """A cycle's reason as its record has it; `source` is what was missing, or the type of the exception.

    Raises:
        ValueError: missing data or an exception without its source, or a source on any other reason.
    """
    if (reason in _WITH_SOURCE) is not bool(source):
        raise ValueError(f"{reason.value!r} with the source {source!r}")
    return f"{reason.value}:{source}" if source else reason.value


def is_no_trade(text: str) -> bool:
    """Whether `text` is a cycle's reason that the canon knows."""
    name, _, source = text.partition(":")
    return bool(source) if name in {r.value for r in _WITH_SOURCE} else text in _CANON


# --- judging a record again ---------------------------------------------------------------------------------------


def holds(verdict: Verdict) -> bool:
    """Whether a rule passes by what is on record of it: value against limit, or the fact."""
    if verdict.value is None or verdict.limit is None or verdict.bound is Bound.FACT:
        return verdict.passed
    if verdict.bound is Bound.AT_MOST:
        return verdict.value <= verdict.limit
    return verdict.value >= verdict.limit


def first_refusal(verdicts: Iterable[Verdict]) -> Reason | None:
    """The code that a request with these verdicts is refused with; None approves it."""
    return next((v.code for v in verdicts if not holds(v)), None)


class Change(Value, frozen=True, kw_only=True):
    """What one refusing rule would have needed.

    `rule` is its place among the verdicts. `needed` is the nearest passing value; None where the rule is no number,
    or one that people do not set: then `act` says what to wait for or to do. `act` is always fit to be read.
    """

    rule: int
    code: Reason
    value: Decimal | None
    needed: Decimal | None
    unit: str
    act: str


def counterfactual(decision: Decision) -> tuple[Change, ...]:
    """Every rule that refused, with the nearest value that passes: all of them together would have let it through."""
    refusing = ((n, v) for n, v in enumerate(decision.verdicts) if not holds(v))
    return tuple(_change(number, verdict, decision.at_ns) for number, verdict in refusing)


def applied(decision: Decision, changes: Iterable[Change]) -> tuple[Verdict, ...]:
    """The verdicts as they would be with these changes made."""
    wanted = {change.rule: change for change in changes}
    return tuple(
        _changed(verdict, wanted[number]) if number in wanted else verdict
        for number, verdict in enumerate(decision.verdicts)
    )


def _changed(verdict: Verdict, change: Change) -> Verdict:
    if change.needed is None:
        return replace(verdict, passed=True)
    changed = replace(verdict, value=change.needed)
    return replace(changed, passed=holds(changed))


def _change(number: int, verdict: Verdict, at_ns: int) -> Change:
    numeric = verdict.bound is not Bound.FACT and verdict.value is not None and verdict.limit is not None
    return Change(
        rule=number,
        code=verdict.code,
        value=verdict.value if numeric else None,
        needed=verdict.limit if numeric else None,
        unit=verdict.unit,
        act=_act(verdict, at_ns) if numeric else _ACTS.get(verdict.code, "wait until it clears"),
    )


def _act(verdict: Verdict, at_ns: int) -> str:
    assert verdict.value is not None
    assert verdict.limit is not None
    if verdict.code in _WAITS:
        left = abs(verdict.value - verdict.limit)
        return f"wait until {iso(at_ns + int(left * SECOND_NS))}"
    word = "at most" if verdict.bound is Bound.AT_MOST else "at least"
    return f"{verdict.detail or verdict.code.value}: {word} {plain(round(verdict.limit, 8))} {verdict.unit}"


_WAITS = {Reason.COOLDOWN, Reason.TRADE_SPACING, Reason.PYRAMID_COOLDOWN}
_ACTS = {
    Reason.KILL_SWITCH: "act: rearm, when the cause is understood",
    Reason.ACCOUNTING_MISMATCH: "act: compare ledger and venue, then rebuild the positions",
    Reason.MAX_DRAWDOWN: "act: reset the peak",
    Reason.OPERATOR_PAUSE: "act: resume",
    Reason.GOVERNANCE: "act: governance.live_trading_enabled, when people want real trades again",
    Reason.DAILY_STOP: "wait until the next UTC day",
    Reason.WEEKLY_STOP: "wait until Monday, 00:00 UTC",
    Reason.CREDENTIALS: "act: see to the key; a good signed probe clears it",
    Reason.STORE_FAILURE: "act: see to the disk of the state directory",
    Reason.PRODUCT_DISABLED: "wait until the venue trades it without restriction",
    Reason.STALE_DATA: "wait until its feed is live and its quote is fresh",
    Reason.REGIME_CRASH: "wait until two cycles outside a crash",
    Reason.INSUFFICIENT_UNIVERSE: "wait until enough products are eligible",
    Reason.LOSS_STREAK_COOLDOWN: "wait until the pause after the losses is over",
    Reason.PENDING_BUY_EXISTS: "wait until the working purchase has ended, or cancel it",
    Reason.SCHEMA_INVALID: "act: mend the strategy that proposed it",
    Reason.SHORTING_DISALLOWED: "act: sell something that is held",
    Reason.NO_NAV: "wait until every account and price is known",
}
