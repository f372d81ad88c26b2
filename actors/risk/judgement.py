"""From a request to its decision, and from an approval to the intent that the order desk gets."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk import exposure as exposures
from actors.risk import methods, rules, sizing
from actors.risk.reservations import name, standing
from actors.risk.rules import Case
from actors.risk.sizing import Ask, Grant
from actors.risk.snapshot import Snapshot, after, gates_alone
from actors.risk.state import Closed, Risk
from actors.risk.trades import opens
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import HOUR_NS, SECOND_NS
from protocol.market import Quote
from protocol.money import PCT, ZERO, bps_of
from protocol.orders import Intent, Purpose, Side, Step, StepKind, Targets
from protocol.portfolio import ExitWanted
from protocol.risk import Decision, OperatorOrder, Verdict
from protocol.strategy import CANARY, TradeProposal

DRILL_REQUEST_NS = 60 * SECOND_NS
"""A drill's orders are far from the market: they may wait for their turn."""
_OPERATOR = "operator"


class Judged(Value, frozen=True, kw_only=True):
    """One decision, the intent if it was approved, and the snapshot after it; `base`: units of a sale, USD's twin.

    `opens`: a purchase that opens a position rather than adding to one.
    """

    decision: Decision
    intent: Intent | None
    snapshot: Snapshot
    base: Decimal = ZERO
    opens: bool = False


def proposal(asked: TradeProposal, risk: Risk, snap: Snapshot, now_ns: int, cycle: int = 0) -> Judged:
    """Judge one strategy proposal on the running snapshot."""
    form = rules.schema_invalid(asked, risk.limits.max_stop_loss_pct)
    if not form[0].passed:
        return _malformed(asked, form, risk, snap, now_ns, cycle)
    usd, method = _requested(asked, risk, snap)
    quote = risk.quotes.get(asked.product_id)
    ask = _ask(asked.product_id, risk.tier(asked.product_id), asked.strategy, usd, (risk, snap, now_ns))
    ask = sizing.bumped(ask, snap.exposure.nav_usd, risk.limits)
    usd = ask.requested_usd if asked.side is Side.BUY else usd
    fits = _fits(ask, asked.side, snap, risk)
    case = _case(asked.product_id, asked.side, Purpose.ENTRY, usd, snap)
    case = replace(
        case, base=_base(usd, quote), size_usd=fits.usd or max(usd, fits.least_usd), form=form, caps=fits.verdicts
    )
    decision = _decision(asked.correlation, case, asked.strategy, rules.judge(case, risk, now_ns), fits, now_ns)
    decision = replace(decision, cycle=cycle, method=method if asked.side is Side.BUY else "")
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
        quote_ns=quote.fresh_ns,
        not_after_ns=now_ns + risk.limits.request_ns,
        quote_size=decision.approved_usd,
        strategy=asked.strategy,
        tier=ask.tier,
        confidence=asked.trigger.confidence,
        maker_only=risk.limits.canary_maker_only and CANARY in asked.tags,
        conviction=asked.conviction,
        targets=Targets(
            stop_loss_pct=asked.stop_loss_pct,
            take_profit_pct=asked.take_profit_pct,
            max_hold_s=asked.max_hold_s,
        ),
    )
    return _judged(decision, intent, case, risk, snap)


def operator(order: OperatorOrder, risk: Risk, snap: Snapshot, now_ns: int) -> Judged:
    """Judge an operator's (or a drill's) order: it is granted in full or not at all."""
    quote = risk.quotes.get(order.product_id)
    purpose = Purpose.DRILL if order.drill else Purpose.OPERATOR
    usd = _notional(order, quote)
    ask = _ask(order.product_id, risk.tier(order.product_id), _OPERATOR, usd, (risk, snap, now_ns))
    fits = _fits(replace(ask, drill=order.drill, whole=True), order.side, snap, risk)
    case = _case(order.product_id, order.side, purpose, usd, snap)
    case = replace(case, base=order.base_size or _base(usd, quote), caps=fits.verdicts)
    decision = _decision(order.correlation, case, _OPERATOR, rules.judge(case, risk, now_ns), fits, now_ns)
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
        quote_ns=quote.fresh_ns,
        not_after_ns=now_ns + (DRILL_REQUEST_NS if order.drill else risk.limits.request_ns),
        base_size=order.base_size,
        quote_size=order.quote_size,
        strategy=_OPERATOR,
        by=order.by,
    )
    return _judged(decision, intent, case, risk, snap)


def leave(wanted: ExitWanted, risk: Risk, now_ns: int) -> Judged:
    """Judge an exit: only what stops every sale may stop it. A new try replaces whatever the last one still held."""
    held = {k: r for k, r in risk.reserved.items() if k != name(Side.SELL, wanted.correlation)}
    risk = replace(risk, reserved=held)
    snap = gates_alone(risk, now_ns)
    usd = wanted.quantity * wanted.bid
    case = replace(_case(wanted.product_id, Side.SELL, Purpose.EXIT, usd, snap), base=wanted.quantity)
    verdicts = rules.judge(case, risk, now_ns)
    decision = _decision(wanted.correlation, case, wanted.strategy, verdicts, Grant(usd=usd), now_ns)
    limits = risk.limits
    last = limits.exit_at_market or wanted.step > limits.exit_retry_steps
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
        quote_ns=wanted.quote_ns,
        not_after_ns=now_ns + limits.request_ns,
        base_size=wanted.quantity,
        strategy=wanted.strategy,
        exit_code=wanted.code,
    )
    allowed = intent if decision.approved else None
    return Judged(decision=decision, intent=allowed, snapshot=snap, base=wanted.quantity)


# --- parts --------------------------------------------------------------------------------------------------------


def _malformed(
    asked: TradeProposal, form: tuple[Verdict, ...], risk: Risk, snap: Snapshot, now_ns: int, cycle: int
) -> Judged:
    """Of nonsense, what needs no size is judged all the same."""
    case = replace(_case(asked.product_id, asked.side, Purpose.ENTRY, ZERO, snap), form=form)
    verdicts = rules.judge(case, risk, now_ns)
    decision = _decision(asked.correlation, case, asked.strategy, verdicts, Grant(usd=ZERO), now_ns)
    return Judged(decision=replace(decision, cycle=cycle), intent=None, snapshot=snap)


def _requested(asked: TradeProposal, risk: Risk, snap: Snapshot) -> tuple[Decimal, str]:
    nav = snap.exposure.nav_usd or ZERO
    if asked.side is Side.SELL:
        return nav * asked.notional_pct / PCT, ""
    closed = risk.record.closed.get(asked.strategy, Closed())
    return methods.requested_usd(asked, nav, snap.regime, closed, risk.limits)


def _case(product: ProductId, side: Side, purpose: Purpose, usd: Decimal, snap: Snapshot) -> Case:
    return Case(
        product_id=product,
        side=side,
        purpose=purpose,
        usd=usd,
        size_usd=usd,
        base=ZERO,
        exposure=snap.exposure,
        slots=snap.slots,
        granted=snap.granted,
        opened=snap.opened,
        gates=snap.gates,
    )


def _ask(product: ProductId, tier: int, strategy: str, usd: Decimal, moment: tuple[Risk, Snapshot, int]) -> Ask:
    risk, snap, now_ns = moment
    return Ask(
        product_id=product,
        tier=tier,
        theme=risk.limits.theme(product),
        strategy=strategy,
        regime=snap.regime,
        requested_usd=usd,
        available_usd=_available(risk, product, now_ns),
        venue_min_usd=_venue_minimum(product, risk),
    )


def _venue_minimum(product: ProductId, risk: Risk) -> Decimal:
    """The smallest purchase that is still the venue's minimum after its size was cut to the grid (execution.md §3)."""
    known, quote = risk.rules.get(product), risk.quotes.get(product)
    if known is None or quote is None:
        return ZERO if known is None else known.quote_min_size
    return max(known.quote_min_size, known.base_min_size * quote.ask) + known.base_increment * quote.ask


def _available(risk: Risk, product: ProductId, now_ns: int) -> Decimal:
    """Money in the product's quote currency that nobody has spoken for (the venue's holds are taken out there)."""
    quote = product.partition("-")[2]
    balances = risk.view.balances if risk.view is not None else ()
    free = next((b.available for b in balances if b.currency == quote), ZERO)
    spoken_for = (r.left_usd for r in standing(risk, now_ns).values() if r.side is Side.BUY)
    return free - sum(spoken_for, ZERO)


def _fits(ask: Ask, side: Side, snap: Snapshot, risk: Risk) -> Grant:
    """What is granted of a purchase; no cap concerns a sale."""
    if side is Side.SELL:
        return Grant(usd=ask.requested_usd)
    return sizing.grant(ask, snap.exposure, risk.limits)


def _decision(
    correlation: str, case: Case, strategy: str, verdicts: tuple[Verdict, ...], fits: Grant, now_ns: int
) -> Decision:
    refused = rules.refusal(verdicts)
    decision = Decision(
        correlation=correlation,
        product_id=case.product_id,
        side=case.side,
        strategy=strategy,
        approved=refused is None,
        code=None if refused is None else refused.code,
        verdicts=verdicts,
        requested_usd=case.usd,
        approved_usd=fits.usd if refused is None else ZERO,
        degraded=refused is None and fits.usd < case.usd,
        at_ns=now_ns,
        purpose=case.purpose.value,
    )
    return _measured(decision, fits, case.exposure.nav_usd)


def _measured(decision: Decision, fits: Grant, nav_usd: Decimal | None) -> Decision:
    """The cap that refused, or else the tightest, in per cent of NAV (E1); it is named where it refused or cut."""
    refused = decision.refusal
    room = fits.room(None if refused is None else refused.cap)
    if room is None or not nav_usd:
        return decision
    bound = decision.degraded or (refused is not None and refused.cap is not None)
    return replace(
        decision,
        cap_type=room.cap if bound else None,
        current_pct=room.used_usd / nav_usd * PCT,
        proposed_pct=decision.requested_usd / nav_usd * PCT,
        limit_pct=room.cap_usd / nav_usd * PCT,
    )


def _judged(decision: Decision, intent: Intent, case: Case, risk: Risk, snap: Snapshot) -> Judged:
    """A purchase takes its room and its slot; a sale takes neither."""
    if case.side is Side.SELL:
        return Judged(decision=decision, intent=intent, snapshot=snap, base=case.base)
    granted = exposures.promised(case.product_id, decision.strategy, decision.approved_usd, risk.limits)
    entry = case.purpose is not Purpose.DRILL
    moved = after(snap, granted, entry=entry, limits=risk.limits)
    new = opens(case.product_id, snap.exposure, risk.limits.dust_usd)
    return Judged(decision=decision, intent=intent, snapshot=moved, base=case.base, opens=new)


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
