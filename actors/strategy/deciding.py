"""One cycle's strategies: each is run, screened and held to its budget; then all of them together. Pure.

Those in the shadow see the same, after the others, and nothing of theirs goes any further than the record.
"""

from decimal import Decimal

from actors.strategy.aggregate import aggregate, within_budget
from actors.strategy.base import Budget, Explains, StrategyContext
from actors.strategy.running import Answer, Refused, Shelf
from actors.strategy.screen import screened
from protocol.base import Value
from protocol.effects import LogLine
from protocol.ids import ProductId
from protocol.money import ZERO
from protocol.policy_strategy import CanaryPolicy
from protocol.strategy import (
    Failure,
    Passed,
    Pick,
    ShadowDecided,
    StrategiesRan,
    StrategyFailed,
    StrategyRun,
    TradeProposal,
)


class Plan(Value, frozen=True, kw_only=True):
    """Who runs, and what all of it is held to. `cap_mult`: what the regime leaves of budgets at risk, 0 to 1.

    `dedupe`: of several proposals of a product only the surest goes on.
    """

    live: tuple[Budget, ...]
    shadow: tuple[Budget, ...]
    max_total: int
    used_pct: dict[str, Decimal]
    cap_mult: Decimal
    canary: CanaryPolicy
    dedupe: bool = True


class Outcome(Value, frozen=True, kw_only=True):
    """One strategy's part: its well-formed proposals, the rows about the rest, and its failure if it has one."""

    name: str
    proposed: int
    proposals: tuple[TradeProposal, ...]
    passed: tuple[Passed, ...]
    logs: tuple[LogLine, ...]
    failure: StrategyFailed | None = None
    elapsed_us: int = 0


class Decided(Value, frozen=True, kw_only=True):
    """The cycle's answer, and what the registry hears."""

    proposals: tuple[TradeProposal, ...]
    passed: tuple[Passed, ...]
    logs: tuple[LogLine, ...]
    failures: tuple[StrategyFailed, ...]
    shadows: tuple[ShadowDecided, ...]
    ran: StrategiesRan


def decide(plan: Plan, context: StrategyContext, shelf: Shelf) -> Decided:
    """Run everybody who may run."""
    live = [_outcome(budget, plan, context, shelf) for budget in plan.live]
    shadow = [_outcome(budget, plan, context, shelf) for budget in plan.shadow]
    offered = [proposal for outcome in live for proposal in outcome.proposals]
    kept, cut = aggregate(offered, plan.live, plan.max_total, plan.used_pct, plan.cap_mult, dedupe=plan.dedupe)
    everybody = [*live, *shadow]
    return Decided(
        proposals=kept,
        passed=(*(row for outcome in live for row in outcome.passed), *cut),
        logs=tuple(log for outcome in everybody for log in outcome.logs),
        failures=tuple(outcome.failure for outcome in everybody if outcome.failure is not None),
        shadows=_shadows(plan, shadow, kept, context),
        ran=_ran(live, shadow, kept, context.cycle),
    )


def _outcome(budget: Budget, plan: Plan, context: StrategyContext, shelf: Shelf) -> Outcome:
    strategy = shelf.get(budget)
    if isinstance(strategy, Refused):
        return _failed(budget.name, Failure.REFUSED, "refused", strategy.detail)
    answer, elapsed_us = shelf.run(budget, strategy, context)
    if not isinstance(answer, Answer):
        return _failed(budget.name, Failure.RAISED, f"exception:{answer.kind}", answer.detail)
    found = screened(budget.name, answer.offered, context, plan.canary)
    passed = answer.passed if isinstance(strategy, Explains) else _unsaid(budget.name, answer, context)
    fields = (("strategy", budget.name), ("proposals_count", str(len(found.proposals))))
    return Outcome(
        name=budget.name,
        proposed=len(answer.offered),
        proposals=found.proposals,
        passed=(*passed, *found.passed),
        logs=(*found.logs, LogLine(level="info", event="strategy_ran", fields=fields)),
        elapsed_us=elapsed_us,
    )


def _failed(name: str, failure: Failure, code: str, detail: str) -> Outcome:
    row = Passed(product_id=ProductId(""), stage="strategy", code=code, value=None, limit=None, detail=name)
    fields = (("strategy", name), ("failure", failure.value), ("error", detail))
    return Outcome(
        name=name,
        proposed=0,
        proposals=(),
        passed=(row,),
        logs=(LogLine(level="error", event="strategy_failed", fields=fields),),
        failure=StrategyFailed(name=name, failure=failure, detail=detail),
    )


def _unsaid(name: str, answer: Answer, context: StrategyContext) -> tuple[Passed, ...]:
    """A strategy that gives no reasons has passed over every trigger for which it proposed nothing."""
    named = {getattr(thing, "product_id", None) for thing in answer.offered}
    products = sorted({trigger.product_id for trigger in context.triggers} - named)
    return tuple(
        Passed(product_id=product, stage=name, code="not_proposed", value=None, limit=None, detail=name)
        for product in products
    )


def _shadows(
    plan: Plan, shadow: list[Outcome], kept: tuple[TradeProposal, ...], context: StrategyContext
) -> tuple[ShadowDecided, ...]:
    live = tuple(_pick(proposal) for proposal in kept)
    budgets = {budget.name: budget for budget in plan.shadow}
    found = []
    for outcome in (o for o in shadow if o.failure is None):
        within, over = within_budget(outcome.proposals, budgets[outcome.name], ZERO, plan.cap_mult)
        decided = ShadowDecided(
            cycle=context.cycle,
            strategy=outcome.name,
            proposals=within,
            passed=(*outcome.passed, *over),
            live=live,
            at_ns=context.now_ns,
        )
        found.append(decided)
    return tuple(found)


def _pick(proposal: TradeProposal) -> Pick:
    return Pick(
        product_id=proposal.product_id,
        side=proposal.side,
        conviction=proposal.conviction,
        notional_pct=proposal.notional_pct,
    )


def _ran(live: list[Outcome], shadow: list[Outcome], kept: tuple[TradeProposal, ...], cycle: int) -> StrategiesRan:
    counts = {o.name: sum(p.strategy == o.name for p in kept) for o in live}
    return StrategiesRan(
        cycle=cycle,
        runs=tuple(
            StrategyRun(
                name=outcome.name,
                shadow=outcome.name not in counts,
                proposed=outcome.proposed,
                kept=counts.get(outcome.name, len(outcome.proposals)),
                elapsed_us=outcome.elapsed_us,
            )
            for outcome in [*live, *shadow]
        ),
    )
