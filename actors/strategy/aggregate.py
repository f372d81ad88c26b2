"""Many strategies' proposals into one list (STR3, STR4). Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from actors.strategy.base import Budget
from protocol.money import ZERO
from protocol.orders import Side
from protocol.strategy import Passed, TradeProposal

Kept = tuple[tuple[TradeProposal, ...], tuple[Passed, ...]]


def aggregate(
    proposals: Sequence[TradeProposal],
    budgets: Sequence[Budget],
    max_total: int,
    used_pct: Mapping[str, Decimal] | None = None,
    cap_mult: Decimal = Decimal(1),
    *,
    dedupe: bool = True,
) -> Kept:
    """Cut each strategy to its budget, keep the strongest per product, cut the whole.

    Ties go to the lower strategy name, then to the lower product, so that the answer never depends on order.

    Args:
        proposals: well-formed ones.
        budgets: one per strategy; a strategy without one has nothing.
        max_total: proposals that may go on to risk.
        used_pct: what each strategy's positions are worth, per cent of NAV.
        cap_mult: what the regime leaves of the budgets at risk, never above 1.
        dedupe: off, and several strategies may propose one product; risk judges them one after the other.
    """
    kept: list[TradeProposal] = []
    passed: list[Passed] = []
    rows = {budget.name: budget for budget in budgets}
    for name in sorted({p.strategy for p in proposals}):
        own = [p for p in proposals if p.strategy == name]
        within, over = within_budget(own, rows.get(name), (used_pct or {}).get(name, ZERO), cap_mult)
        kept += within
        passed += over
    merged, cut = _merged(kept, max_total, dedupe=dedupe)
    return merged, (*passed, *cut)


def within_budget(
    proposals: Sequence[TradeProposal], budget: Budget | None, used_pct: Decimal, cap_mult: Decimal = Decimal(1)
) -> Kept:
    """One strategy's strongest proposals that fit into its number per cycle and its budget at risk."""
    kept: list[TradeProposal] = []
    passed: list[Passed] = []
    trades = budget.max_trades_per_cycle if budget is not None else 0
    most = budget.max_at_risk_pct * cap_mult if budget is not None else ZERO
    at_risk = used_pct
    for proposal in sorted(proposals, key=lambda p: (-p.conviction, p.product_id)):
        would = at_risk + (proposal.notional_pct if proposal.side is Side.BUY else ZERO)
        if len(kept) >= trades:
            passed.append(_cut(proposal, "strategy_cap", float(len(kept) + 1), float(trades), "proposals"))
        elif proposal.side is Side.BUY and would > most:
            passed.append(_cut(proposal, "strategy_cap", float(would), float(most), "% of NAV at risk"))
        else:
            kept.append(proposal)
            at_risk = would
    return tuple(kept), tuple(passed)


def _merged(proposals: Sequence[TradeProposal], max_total: int, *, dedupe: bool) -> Kept:
    passed: list[Passed] = []
    kept: list[TradeProposal] = []
    surest: dict[str, TradeProposal] = {}
    for proposal in sorted(proposals, key=lambda p: (-p.conviction, p.strategy, p.product_id)):
        stronger = surest.get(proposal.product_id) if dedupe else None
        if stronger is not None:
            passed.append(
                _cut(proposal, "duplicate_product", proposal.conviction, stronger.conviction, stronger.strategy)
            )
        elif len(kept) >= max_total:
            passed.append(_cut(proposal, "max_total_proposals", float(len(kept) + 1), float(max_total)))
        else:
            kept.append(proposal)
            surest.setdefault(proposal.product_id, proposal)
    return tuple(kept), tuple(passed)


def _cut(proposal: TradeProposal, code: str, value: float, limit: float, detail: str = "") -> Passed:
    detail = f"{proposal.strategy}: {detail}" if detail else proposal.strategy
    return Passed(product_id=proposal.product_id, stage="aggregate", code=code, value=value, limit=limit, detail=detail)
