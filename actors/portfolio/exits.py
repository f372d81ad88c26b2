"""When and how to leave a position (execution.md §10). Judged on every quote, at the bid. Pure."""

from decimal import Decimal

from protocol.base import Value
from protocol.instants import SECOND_NS
from protocol.money import ONE, PCT
from protocol.portfolio import Position


class ExitRules(Value, frozen=True, kw_only=True):
    """Which exits are on. `trailing_stop_pct` None: no trailing stop; `retry_ns` between two tries."""

    stop_loss: bool = True
    take_profit: bool = True
    max_hold: bool = True
    trailing_stop_pct: Decimal | None = None
    retry_ns: int = 2 * SECOND_NS


class ExitRun(Value, frozen=True, kw_only=True):
    """An exit under way: the code that began it, the next try, and whether one is out."""

    code: str
    step: int
    sent_ns: int
    waiting: bool


def judge(position: Position, bid: Decimal, rules: ExitRules, now_ns: int) -> str:
    """The code of the first exit rule that holds, in the order of their priority; empty if none does.

    Args:
        position: with its targets, and its `peak` already raised to `bid`.
        bid: what a seller gets now, quote per base.
        rules: which rules are on.
        now_ns: UTC.
    """
    gain = bid / position.average_price - ONE
    targets = position.targets
    if rules.stop_loss and gain <= -targets.stop_loss_pct / PCT:
        return "stop_loss"
    trail = rules.trailing_stop_pct
    in_profit_once = position.peak >= position.average_price
    if trail is not None and in_profit_once and bid <= position.peak * (ONE - trail / PCT):
        return "trailing_stop"
    if rules.take_profit and gain >= targets.take_profit_pct / PCT:
        return "take_profit"
    if rules.max_hold and now_ns - position.opened_ns >= targets.max_hold_s * SECOND_NS:
        return "max_hold"
    return ""
