"""Many strategies' proposals into one list (STR3, STR4). Pure."""

from collections.abc import Sequence

from actors.strategy.base import Budget
from protocol.strategy import Passed, TradeProposal


def aggregate(
    proposals: Sequence[TradeProposal], budgets: Sequence[Budget], max_total: int
) -> tuple[tuple[TradeProposal, ...], tuple[Passed, ...]]:
    """Cut each strategy to its number per cycle, keep the strongest per product, cut the whole.

    Ties go to the lower strategy name, then to the lower product, so that the answer never depends on order.
    """
    passed: list[Passed] = []
    ranked = sorted(proposals, key=lambda p: (-p.conviction, p.strategy, p.product_id))
    limits = {b.name: b.max_trades_per_cycle for b in budgets}
    counts: dict[str, int] = {}
    kept: dict[str, TradeProposal] = {}
    for proposal in ranked:
        count = counts.get(proposal.strategy, 0)
        if count >= limits.get(proposal.strategy, 0):
            passed.append(_cut(proposal, "strategy_cap", count))
        elif proposal.product_id in kept:
            passed.append(_cut(proposal, "duplicate_product", count))
        elif len(kept) >= max_total:
            passed.append(_cut(proposal, "max_total_proposals", max_total))
        else:
            kept[proposal.product_id] = proposal
            counts[proposal.strategy] = count + 1
    return tuple(kept.values()), tuple(passed)


def _cut(proposal: TradeProposal, code: str, limit: int) -> Passed:
    return Passed(
        product_id=proposal.product_id,
        stage="aggregate",
        code=code,
        value=proposal.conviction,
        limit=float(limit),
        detail=proposal.strategy,
    )
