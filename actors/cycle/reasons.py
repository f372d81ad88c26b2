"""Why a cycle came to nothing, from what its stages answered (requirements §5). Pure."""

from collections.abc import Sequence
from decimal import Decimal

from protocol.decisions import NoTrade, no_trade
from protocol.ids import ProductId
from protocol.money import ZERO
from protocol.orders import Side
from protocol.risk import Decision, Reason
from protocol.strategy import Passed, ProposalsMade, TradeProposal
from protocol.symbols import asset_of

FAILED = "exception:"
"""How the host's row about a strategy that raised begins; the exception's type follows."""


def unproposed(made: ProposalsMade) -> str:
    """Why nothing was proposed: a strategy failed, or had triggers and wanted none, or there was no trigger."""
    failed = next((p.code.removeprefix(FAILED) for p in made.passed if p.code.startswith(FAILED)), "")
    if failed:
        return no_trade(NoTrade.EXCEPTION, failed)
    return no_trade(NoTrade.NO_PROPOSALS if made.triggers else NoTrade.NO_TRIGGERS)


def refused(decisions: Sequence[Decision]) -> str:
    """Why risk let nothing pass: the one reason of all, or that there were several."""
    codes = {d.code for d in decisions if d.code is not None}
    if codes == {Reason.MAX_OPEN_POSITIONS}:
        return no_trade(NoTrade.SLOTS_TAKEN)
    return no_trade(codes.pop() if len(codes) == 1 else NoTrade.ALL_BLOCKED)


def without_pending(
    proposals: Sequence[TradeProposal], pending: Sequence[tuple[ProductId, Decimal]], least_usd: Decimal
) -> tuple[tuple[TradeProposal, ...], tuple[Passed, ...]]:
    """Take out purchases of an asset that is being bought already (pipeline.md §1, step 10).

    Args:
        proposals: what strategies want.
        pending: worst case of working purchases by product, USD.
        least_usd: less than this that works is no purchase to wait for.

    Returns:
        What goes on to risk, and a row for each that does not.
    """
    working: dict[str, Decimal] = {}
    for product, usd in pending:
        working[asset_of(product)] = working.get(asset_of(product), ZERO) + usd
    blocking = {asset: usd for asset, usd in working.items() if usd > ZERO and usd >= least_usd}
    kept = tuple(p for p in proposals if p.side is Side.SELL or asset_of(p.product_id) not in blocking)
    return kept, tuple(
        _waiting(p.product_id, blocking[asset_of(p.product_id)], least_usd) for p in proposals if p not in kept
    )


def _waiting(product: ProductId, usd: Decimal, least_usd: Decimal) -> Passed:
    code = NoTrade.ORDERS_PENDING.value
    return Passed(product_id=product, stage="pending", code=code, value=float(usd), limit=float(least_usd))
