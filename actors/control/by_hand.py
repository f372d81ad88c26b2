"""An operator's order on its way to risk, for good or only to hear what would become of it; and the words about it."""

from decimal import Decimal

from actors.control import explain
from actors.control.explain import Json
from protocol.control import PlaceByHand, SupposeByHand
from protocol.ids import ProductId
from protocol.orders import Step, StepKind
from protocol.risk import Decision, OperatorOrder

_THROUGH_BPS = Decimal(50)


def order(request: PlaceByHand | SupposeByHand, product: ProductId, name: str) -> OperatorOrder:
    """The order that is meant: at its limit, or at once and at most 50 bps through the touch."""
    step = Step(kind=StepKind.IOC, through_bps=_THROUGH_BPS)
    if isinstance(request, PlaceByHand) and request.limit is not None:
        step = Step(kind=StepKind.LIMIT, limit_price=request.limit, post_only=request.post_only)
    return OperatorOrder(
        correlation=name,
        product_id=product,
        side=request.side,
        base_size=request.size,
        quote_size=request.quote,
        steps=(step,),
        by=request.by,
        drill=False,
        reply_to="control",
    )


def told(decision: Decision) -> tuple[str, Json]:
    """The words about a decision, and the data."""
    refused = decision.refusal
    if decision.approved or refused is None:
        return "approved: it is on its way", {"correlation": decision.correlation, "approved": True}
    text = f"refused: {_reason(decision)}"
    return text, {"correlation": decision.correlation, "approved": False}


def supposed(decision: Decision) -> tuple[str, Json]:
    """The words about a decision on an order that nobody placed, and its whole record."""
    data = explain.decision(decision)
    if decision.approved:
        return f"it would be approved: {explain.number(decision.approved_usd)} USD", data
    acts = "; ".join(str(change["act"]) for change in data["changes"])
    return f"it would be refused: {_reason(decision)}. To let it pass: {acts}", data


def _reason(decision: Decision) -> str:
    refused = decision.refusal
    if refused is None:
        return "no rule"
    value, limit = explain.number(refused.value), explain.number(refused.limit)
    return f"{refused.code.value}, {value} against {limit} {refused.unit} {refused.detail}".strip()
