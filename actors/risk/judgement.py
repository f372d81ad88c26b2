"""From a request to its decision, and from an approval to the intent that the order desk gets."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk import exposure as exposures
from actors.risk import gates, rules, sizing
from actors.risk.exposure import Exposure
from actors.risk.limits import Limits
from actors.risk.reservations import name, standing
from actors.risk.state import Risk
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import HOUR_NS, SECOND_NS
from protocol.market import Quote
from protocol.money import ZERO, bps_of
from protocol.orders import Intent, Purpose, Side, Step, StepKind, Targets
from protocol.portfolio import ExitWanted
from protocol.risk import Decision, Gate, OperatorOrder, Verdict
from protocol.strategy import Regime, TradeProposal

DRILL_REQUEST_NS = 60 * SECOND_NS
"""A drill's orders are far from the market: they may wait for their turn."""


class Snapshot(Value, frozen=True, kw_only=True):
    """What a batch is judged on; every grant moves it."""

    exposure: Exposure
    slots: int
    gates: tuple[Gate, ...]
    regime: Regime


class Judged(Value, frozen=True, kw_only=True):
    """One decision, the intent if it was approved, and the snapshot after it; `base`: units of a sale, USD's twin."""

    decision: Decision
    intent: Intent | None
    snapshot: Snapshot
    base: Decimal = ZERO


def snapshot(risk: Risk, regime: Regime, now_ns: int) -> Snapshot:
    """The state of things before a batch: reservations count like orders."""
    book = exposures.measure(risk.view, tuple(risk.orders.values()), risk.unseen, risk.limits)
    for held in standing(risk, now_ns).values():
        if held.side is Side.SELL:
            continue
        stake = exposures.Stake(
            product_id=held.product_id,
            strategy=held.strategy,
            theme=risk.limits.theme(held.product_id),
            held_usd=ZERO,
            pending_usd=held.left_usd,
        )
        book = exposures.with_stake(book, stake)
    return Snapshot(
        exposure=book,
        slots=_slots(book, regime, risk.limits),
        gates=gates.tripped(risk, now_ns),
        regime=regime,
    )


def _slots(book: Exposure, regime: Regime, limits: Limits) -> int:
    floor = max(limits.dust_usd, limits.min_notional_usd / 4)
    occupied = {s.product_id for s in book.stakes if book.of_product(s.product_id) >= floor}
    most = min(limits.max_open_positions, limits.row(regime).max_positions)
    return min(max(most - len(occupied), 0), limits.max_new_per_cycle)


def proposal(asked: TradeProposal, risk: Risk, snap: Snapshot, now_ns: int) -> Judged:
    """Judge one strategy proposal on the running snapshot."""
    nav = snap.exposure.nav_usd or ZERO
    usd = nav * asked.notional_pct / 100
    case = _case(asked.product_id, asked.side, Purpose.ENTRY, usd, snap)
    malformed = rules.schema_invalid(asked)
    if not malformed.passed:  # nothing below can be computed from nonsense
        told = (*rules.gates(case), malformed)
        decision = _decision(asked.correlation, case, asked.strategy, told, ZERO, now_ns)
        return Judged(decision=decision, intent=None, snapshot=snap)
    quote = risk.quotes.get(asked.product_id)
    case = replace(case, base=_base(usd, quote))
    ask = _ask(asked.product_id, asked.tier, asked.strategy, usd, (risk, snap, now_ns))
    verdicts, granted = _weigh(case, ask, risk, now_ns)
    verdicts = (*verdicts, malformed)
    decision = _decision(asked.correlation, case, asked.strategy, verdicts, granted, now_ns)
    if not decision.approved or quote is None:
        return Judged(decision=decision, intent=None, snapshot=snap)
    intent = Intent(
        correlation=asked.correlation,
        product_id=asked.product_id,
        side=asked.side,
        purpose=Purpose.ENTRY,
        steps=tuple(Step(kind=StepKind.MAKER, ttl_s=ttl) for ttl in risk.limits.maker_ttls_s),
        bid=quote.bid,
        ask=quote.ask,
        not_after_ns=now_ns + risk.limits.request_ns,
        quote_size=granted,
        strategy=asked.strategy,
        tier=asked.tier,
        confidence=asked.trigger.confidence,
        targets=Targets(
            stop_loss_pct=asked.stop_loss_pct,
            take_profit_pct=asked.take_profit_pct,
            max_hold_s=asked.max_hold_s,
        ),
    )
    return Judged(decision=decision, intent=intent, snapshot=_after(snap, case, ask, granted), base=case.base)


def operator(order: OperatorOrder, risk: Risk, snap: Snapshot, now_ns: int) -> Judged:
    """Judge an operator's (or a drill's) order: it is granted in full or not at all."""
    quote = risk.quotes.get(order.product_id)
    purpose = Purpose.DRILL if order.drill else Purpose.OPERATOR
    usd = _notional(order, quote)
    case = replace(_case(order.product_id, order.side, purpose, usd, snap), base=order.base_size or _base(usd, quote))
    ask = _ask(order.product_id, risk.limits.tier(order.product_id), "operator", usd, (risk, snap, now_ns))
    ask = replace(ask, drill=order.drill)
    verdicts, granted = _weigh(case, ask, risk, now_ns)
    if granted < usd and order.side is Side.BUY and rules.refusal(verdicts) is None:
        short = _sizing_verdict(sizing.grant(ask, snap.exposure, risk.limits), usd)
        verdicts = (*verdicts, replace(short, passed=False))
    decision = _decision(order.correlation, case, "operator", verdicts, usd, now_ns)
    if not decision.approved or quote is None:
        return Judged(decision=decision, intent=None, snapshot=snap)
    intent = Intent(
        correlation=order.correlation,
        product_id=order.product_id,
        side=order.side,
        purpose=purpose,
        steps=order.steps,
        bid=quote.bid,
        ask=quote.ask,
        not_after_ns=now_ns + (DRILL_REQUEST_NS if order.drill else risk.limits.request_ns),
        base_size=order.base_size,
        quote_size=order.quote_size,
        strategy="operator",
        by=order.by,
    )
    return Judged(decision=decision, intent=intent, snapshot=_after(snap, case, ask, usd), base=case.base)


def leave(wanted: ExitWanted, risk: Risk, now_ns: int) -> Judged:
    """Judge an exit: only what stops every sale may stop it. A new try replaces whatever the last one still held."""
    held = {k: r for k, r in risk.reserved.items() if k != name(Side.SELL, wanted.correlation)}
    risk = replace(risk, reserved=held)
    snap = snapshot(risk, risk.regime, now_ns)
    usd = wanted.quantity * wanted.bid
    case = replace(_case(wanted.product_id, Side.SELL, Purpose.EXIT, usd, snap), base=wanted.quantity)
    verdicts = rules.judge(case, risk, now_ns)
    decision = _decision(wanted.correlation, case, wanted.strategy, verdicts, usd, now_ns)
    limits = risk.limits
    last = wanted.step > limits.exit_retry_steps
    through = limits.exit_first_bps + wanted.step * limits.exit_retry_bps
    step = Step(kind=StepKind.MARKET) if last else Step(kind=StepKind.IOC, through_bps=through)
    intent = Intent(
        correlation=wanted.correlation,
        product_id=wanted.product_id,
        side=Side.SELL,
        purpose=Purpose.EXIT,
        steps=(step,),
        bid=wanted.bid,
        ask=wanted.ask,
        not_after_ns=now_ns + limits.request_ns,
        base_size=wanted.quantity,
        strategy=wanted.strategy,
        exit_code=wanted.code,
    )
    allowed = intent if decision.approved else None
    return Judged(decision=decision, intent=allowed, snapshot=snap, base=wanted.quantity)


# --- parts --------------------------------------------------------------------------------------------------------


def _case(product: ProductId, side: Side, purpose: Purpose, usd: Decimal, snap: Snapshot) -> rules.Case:
    return rules.Case(
        product_id=product,
        side=side,
        purpose=purpose,
        usd=usd,
        base=ZERO,
        exposure=snap.exposure,
        slots=snap.slots,
        gates=snap.gates,
    )


def _ask(product: ProductId, tier: int, strategy: str, usd: Decimal, moment: tuple[Risk, Snapshot, int]) -> sizing.Ask:
    risk, snap, now_ns = moment
    known = risk.rules.get(product)
    return sizing.Ask(
        product_id=product,
        tier=tier,
        theme=risk.limits.theme(product),
        strategy=strategy,
        regime=snap.regime,
        requested_usd=usd,
        available_usd=_available(risk, product, now_ns),
        venue_min_usd=known.quote_min_size if known is not None else ZERO,
    )


def _available(risk: Risk, product: ProductId, now_ns: int) -> Decimal:
    """Money in the product's quote currency that nobody has spoken for (the venue's holds are taken out there)."""
    quote = product.partition("-")[2]
    balances = risk.view.balances if risk.view is not None else ()
    free = next((b.available for b in balances if b.currency == quote), ZERO)
    spoken_for = (r.left_usd for r in standing(risk, now_ns).values() if r.side is Side.BUY)
    return free - sum(spoken_for, ZERO)


def _weigh(case: rules.Case, ask: sizing.Ask, risk: Risk, now_ns: int) -> tuple[tuple[Verdict, ...], Decimal]:
    """All verdicts, sizing included for purchases, and what is granted."""
    verdicts = rules.judge(case, risk, now_ns)
    if case.side is Side.SELL:
        return verdicts, case.usd
    granted = sizing.grant(ask, case.exposure, risk.limits)
    return (*verdicts, _sizing_verdict(granted, ask.requested_usd)), granted.usd


def _sizing_verdict(granted: sizing.Grant, requested: Decimal) -> Verdict:
    code = granted.code or granted.binding.code
    return Verdict(
        code=code,
        passed=granted.code is None,
        value=requested,
        limit=granted.binding.left_usd if granted.code is granted.binding.code else granted.minimum_usd,
        unit="usd",
        detail=f"cap {granted.binding.code.value}: {granted.binding.used_usd} of {granted.binding.cap_usd}",
    )


def _decision(
    correlation: str,
    case: rules.Case,
    strategy: str,
    verdicts: tuple[Verdict, ...],
    granted: Decimal,
    now_ns: int,
) -> Decision:
    refused = rules.refusal(verdicts)
    return Decision(
        correlation=correlation,
        product_id=case.product_id,
        side=case.side,
        strategy=strategy,
        approved=refused is None,
        code=None if refused is None else refused.code,
        verdicts=verdicts,
        requested_usd=case.usd,
        approved_usd=granted if refused is None else ZERO,
        degraded=refused is None and granted < case.usd,
        at_ns=now_ns,
    )


def _after(snap: Snapshot, case: rules.Case, ask: sizing.Ask, usd: Decimal) -> Snapshot:
    """A purchase takes its room and its slot; a sale takes neither."""
    if case.side is Side.SELL:
        return snap
    stake = exposures.Stake(
        product_id=ask.product_id,
        strategy=ask.strategy,
        theme=ask.theme,
        held_usd=ZERO,
        pending_usd=usd,
    )
    return replace(snap, exposure=exposures.with_stake(snap.exposure, stake), slots=max(snap.slots - 1, 0))


def _notional(order: OperatorOrder, quote: Quote | None) -> Decimal:
    if order.quote_size is not None:
        return order.quote_size
    touch = ZERO if quote is None else quote.ask if order.side is Side.BUY else quote.bid
    return (order.base_size or ZERO) * max((_price(step, order.side, touch) for step in order.steps), default=ZERO)


def _price(step: Step, side: Side, touch: Decimal) -> Decimal:
    """The most a try can cost per unit (E2); what a sale brings in is no risk and is taken at the touch."""
    if step.limit_price is not None:
        return step.limit_price
    return touch + bps_of(touch, step.through_bps) if side is Side.BUY else touch


def _base(usd: Decimal, quote: Quote | None) -> Decimal:
    return ZERO if quote is None else usd / quote.bid


def recent_entries(risk: Risk, now_ns: int) -> int:
    """Entries of the rolling hour."""
    return sum(now_ns - e.at_ns < HOUR_NS for e in risk.record.entries)
