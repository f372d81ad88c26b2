"""What DRY_RUN keeps of a request that was refused (execution.md §11): beside its decision, the market it met."""

from actors.risk import staleness
from actors.risk.state import Risk
from protocol.base import NO_EFFECTS, Effects
from protocol.effects import Note
from protocol.orders import Step, StepKind
from protocol.risk import Decision, OperatorOrder
from protocol.shadow import Moment, Wish, shadow_order
from protocol.strategy import TradeProposal


def refused(asked: TradeProposal | OperatorOrder, decision: Decision, risk: Risk, now_ns: int) -> Effects:
    """The rejection's record; nothing in other modes, and nothing of what was approved."""
    if risk.shadow is None or decision.code is None:
        return NO_EFFECTS
    quote = risk.quotes.get(decision.product_id)
    moment = Moment(quote=quote, now_ns=now_ns, clock_offset_ns=staleness.offset(risk))
    return (Note(message=shadow_order(_wish(asked, decision, risk), None, moment, risk.shadow)),)


def _wish(asked: TradeProposal | OperatorOrder, decision: Decision, risk: Risk) -> Wish:
    return Wish(
        correlation=decision.correlation,
        strategy=decision.strategy,
        product_id=decision.product_id,
        side=decision.side,
        purpose=decision.purpose,
        step=asked.steps[0] if isinstance(asked, OperatorOrder) else Step(kind=StepKind.MAKER),
        size_usd=decision.requested_usd,
        tier=risk.tier(decision.product_id),
        confidence=asked.trigger.confidence if isinstance(asked, TradeProposal) else 0.0,
        conviction=asked.conviction if isinstance(asked, TradeProposal) else 0.0,
        reason="" if decision.code is None else decision.code.value,
    )
