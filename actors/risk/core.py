"""The risk actor: the only way from a wish to an order. Judges, sizes, reserves, latches, and tells the state."""

from collections.abc import Collection
from typing import TypeVar

from msgspec.structs import replace

from actors.risk import (
    account,
    announce,
    exposure,
    fees,
    gates,
    judgement,
    latches,
    reservations,
    rules,
    shadow,
    staleness,
    trades,
)
from actors.risk.exposure import Exposure
from actors.risk.judgement import Judged
from actors.risk.snapshot import snapshot
from actors.risk.state import Entry, Mark, Record, Reservation, Risk, pruned
from protocol import codec
from protocol.base import NO_EFFECTS, Effects, Message
from protocol.effects import Commit, Count, LogLine, Note, SetTimer, Tell
from protocol.ids import IntentId, ProductId
from protocol.instants import HOUR_NS, SECOND_NS
from protocol.journal import StoreTrouble
from protocol.lifecycle import ActorExited, Recover, StoreRecord, Wake
from protocol.market import FactsWanted, FeedState, ProductsKnown, Quote
from protocol.money import ZERO
from protocol.orders import (
    CancelOrder,
    Intent,
    IntentDone,
    OrderState,
    OrderUpdate,
    PlaceIntent,
    Purpose,
    Side,
    Status,
)
from protocol.portfolio import ExitWanted, FillApplied, PeakReset, PortfolioView, PositionsRebuilt
from protocol.risk import (
    Alert,
    BatchJudged,
    ClearCooldown,
    ClockJumped,
    ConfigDrift,
    Decision,
    EpochChanged,
    LaneLoad,
    OperatorOrder,
    OperatorOrderJudged,
    Pause,
    ProposalBatch,
    Reason,
    Resume,
    RiskView,
    VerbAnswered,
    VerbOutcome,
    WatchdogSeen,
    WhatIf,
    WhatIfJudged,
)
from protocol.strategy import Regime, TradeProposal, UniverseView
from protocol.symbols import asset_of
from protocol.venue import FeesKnown, GetFees, QueryFailed, VenueHealth

T = TypeVar("T")

RECORD_KEY = "risk/record"
STORE_PREFIX = "risk/"
VIEWERS = ("orders", "cycle", "control", "metrics")
_NO_GATES = frozenset({Quote, ExitWanted, ProposalBatch, OperatorOrder, WhatIf, IntentDone, Recover})
"""What moves no gate; a quote that grew old is found once a second."""
_POST_ONLY = "POST_ONLY"
_FEES_AGAIN_NS = 5 * SECOND_NS
_STOPS = frozenset({"stop_loss", "trailing_stop"})


def step(risk: Risk, message: Message, now_ns: int) -> tuple[Risk, Effects]:
    """Advance the risk actor by one message; whoever is concerned hears at once what it does to the gates."""
    nxt, effects = _handled(risk, message, now_ns)
    if type(message) in _NO_GATES:
        return nxt, effects
    nxt, told, desk = announce.changes(nxt, now_ns)
    viewed = _tell_view(nxt, now_ns) if desk and type(message) is not Wake else NO_EFFECTS
    return nxt, (*effects, *told, *viewed)


def _handled(risk: Risk, message: Message, now_ns: int) -> tuple[Risk, Effects]:
    match message:
        case Quote():
            return replace(risk, quotes={**risk.quotes, message.product_id: message}), NO_EFFECTS
        case PortfolioView():
            return _viewed(risk, message, now_ns)
        case OrderUpdate():
            return _order(risk, message.state, now_ns)
        case ExitWanted():
            return _exit(risk, message, now_ns)
        case ProposalBatch():
            return _batch(risk, message, now_ns)
        case OperatorOrder():
            return _operator(risk, message, now_ns)
        case WhatIf():
            return risk, _supposed(risk, message.order, now_ns)
        case FillApplied():
            return _filled(risk, message, now_ns)
        case IntentDone():
            key = reservations.name(message.side, message.correlation)
            return replace(risk, reserved=_without(risk.reserved, key)), NO_EFFECTS
        case EpochChanged():
            return _epoch(risk, message)
        case Recover():
            return _recover(risk, message, now_ns)
        case Wake():
            return _woken(risk, message.timer, now_ns)
    return _fact(risk, message, now_ns)


def _fact(risk: Risk, message: Message, now_ns: int) -> tuple[Risk, Effects]:
    """Facts of the moment, and what people and the runtime say."""
    match message:
        case FeedState():
            nxt = replace(risk, feeds={**risk.feeds, message.product_id: message.status})
        case ProductsKnown():
            nxt = replace(risk, rules={r.product_id: r for r in message.products})
        case VenueHealth():
            nxt = latches.health(risk, message, now_ns)
        case WatchdogSeen():
            nxt = replace(risk, watchdog_alive=message.alive, watchdog_age_s=message.beat_age_s)
        case StoreTrouble():
            nxt = replace(risk, store_trouble="" if message.ok else message.kind)
        case LaneLoad():
            nxt = latches.lanes(risk, message)
        case UniverseView():
            nxt = latches.cycle(risk, message)
        case ClockJumped():
            nxt = latches.jumped(risk, message)
        case ConfigDrift():
            nxt = latches.drifted(risk, message)
        case FeesKnown():
            return _fees(risk, message, now_ns)
        case QueryFailed() if message.request_id == "fees":
            return risk, (SetTimer(timer="fees", due_ns=now_ns + _FEES_AGAIN_NS),)
        case _:
            return _people(risk, message, now_ns)
    return nxt, NO_EFFECTS


def _people(risk: Risk, message: Message, now_ns: int) -> tuple[Risk, Effects]:
    """What people and the supervisor have to say goes on record."""
    match message:
        case Pause():
            mark = Mark(reason=message.reason, by=message.by, since_ns=now_ns)
            return _keep(risk, replace(risk.record, paused=mark))
        case Resume():
            return _keep(risk, replace(risk.record, paused=None))
        case ActorExited():
            return _keep(risk, latches.crashed(risk.record, message, now_ns))
        case PeakReset():
            return _keep(risk, replace(risk.record, drawdown=None))
        case PositionsRebuilt():
            return _keep(risk, replace(risk.record, accounting=None))
        case ClearCooldown():
            return _uncooled(risk, message)
    return risk, NO_EFFECTS


def _uncooled(risk: Risk, asked: ClearCooldown) -> tuple[Risk, Effects]:
    product = asked.product_id
    found = product in risk.record.cooldown_until_ns
    text = f"{product} has no cooldown any more" if found else f"{product} has no cooldown"
    outcome = VerbOutcome.DONE if found else VerbOutcome.NOT_FOUND
    told = Tell(to=asked.reply_to, message=VerbAnswered(request_id=asked.request_id, outcome=outcome, text=text))
    if not found:
        return risk, (told,)
    left = {p: until for p, until in risk.record.cooldown_until_ns.items() if p != product}
    record = replace(risk.record, cooldown_until_ns=left)
    log = LogLine(level="info", event="cooldown_cleared", fields=(("product", product), ("by", asked.by)))
    risk, kept = _keep(risk, record)
    return risk, (*kept, told, log)


# --- start and time -----------------------------------------------------------------------------------------------


def _recover(risk: Risk, message: Recover, now_ns: int) -> tuple[Risk, Effects]:
    value = next((r.value for r in message.records if r.key == RECORD_KEY), None)
    if value is not None:
        risk = replace(risk, record=codec.decode_value(value, Record))
    risk = announce.quietly(risk, now_ns)
    view = SetTimer(timer="view", due_ns=now_ns + risk.pace_ns)
    return risk, (*_tell_view(risk, now_ns), view, *_ask_fees(now_ns), *_ask_facts(risk))


def _ask_facts(risk: Risk) -> Effects:
    """Those who tell it once told it to another incarnation."""
    tellers = ("universe", "gateway", *(f"feed:{product}" for product, _ in risk.limits.themes))
    return tuple(Tell(to=name, message=FactsWanted(reply_to="risk")) for name in tellers)


def _ask_fees(now_ns: int) -> Effects:
    ask = GetFees(request_id="fees", reply_to="risk")
    return Tell(to="gateway", message=ask), SetTimer(timer="fees", due_ns=now_ns + HOUR_NS)


def _fees(risk: Risk, message: FeesKnown, now_ns: int) -> tuple[Risk, Effects]:
    nxt = replace(risk, limits=fees.learned(risk.limits, message), fees=message)
    if not fees.changed(risk.fees, message, risk.limits):
        return nxt, NO_EFFECTS
    text = f"the venue's fees are {message.maker_bps} bps as maker, {message.taker_bps} bps as taker"
    said = Alert(kind="fee_change", severity="WARNING", subject="desk", message=text, context=(), at_ns=now_ns)
    return nxt, (Note(message=said),)


def _woken(risk: Risk, timer: str, now_ns: int) -> tuple[Risk, Effects]:
    if timer == "fees":
        return risk, _ask_fees(now_ns)
    again = SetTimer(timer="view", due_ns=now_ns + risk.pace_ns)
    risk = replace(risk, record=pruned(risk.record, now_ns), reserved=reservations.standing(risk, now_ns))
    risk, told = account.breached(staleness.looked(risk, now_ns), _book(risk), now_ns)
    return risk, (*told, *_tell_view(risk, now_ns), again)


# --- requests -----------------------------------------------------------------------------------------------------


def _batch(risk: Risk, batch: ProposalBatch, now_ns: int) -> tuple[Risk, Effects]:
    """Judge a batch, strongest conviction first, on one running snapshot; approvals reserve in the same step."""
    snap = snapshot(risk, Regime(batch.regime), now_ns)
    decided: dict[int, Decision] = {}
    records: dict[int, Effects] = {}
    approved: list[Judged] = []
    held = {a.product_id for a in batch.proposals if trades.is_add(a.product_id, snap.exposure)}
    for place, asked in sorted(enumerate(batch.proposals), key=lambda numbered: _rank(numbered[1], risk, held)):
        judged = judgement.proposal(asked, risk, snap, now_ns, batch.cycle)
        snap, decided[place] = judged.snapshot, judged.decision
        records[place] = (*_recorded(judged.decision), *shadow.refused(asked, judged.decision, risk, now_ns))
        if judged.intent is not None:
            risk = _reserved(risk, judged, judged.intent, now_ns)
            approved.append(judged)
    decisions = tuple(decided[place] for place in range(len(batch.proposals)))  # the order in which they were asked
    answer = Tell(to="cycle", message=BatchJudged(cycle=batch.cycle, decisions=decisions))
    told = (*(effect for place in range(len(decisions)) for effect in records[place]), answer)
    return _placed(risk, tuple(approved), told, now_ns)


def _recorded(decision: Decision) -> Effects:
    """A proposal's decision record, and what people and metrics hear of a refusal."""
    if decision.code is None:
        return (Note(message=decision),)
    count = Count(metric="trader_risk_rejections_total", labels=(("reason", decision.code.value),))
    malformed = [v.detail for v in decision.verdicts if v.code is Reason.SCHEMA_INVALID and not v.passed]
    fields = (("correlation", decision.correlation), ("strategy", decision.strategy), ("fields", ",".join(malformed)))
    log = (LogLine(level="error", event="schema_invalid", fields=fields),) if malformed else ()
    return Note(message=decision), count, *log


def _rank(asked: TradeProposal, risk: Risk, held: Collection[ProductId]) -> tuple[float, bool, int, str, str]:
    """Strongest conviction first, then adds, then the better tier (risk.md §4); names end every tie.

    A conviction that is no number comes last: it is refused anyway, and must not disturb the order of the others.
    """
    conviction = asked.conviction if asked.conviction == asked.conviction else float("-inf")
    add = risk.limits.adds_first and asked.product_id in held
    return -conviction, not add, risk.tier(asked.product_id), asked.product_id, asked.correlation


def _placed(risk: Risk, approved: tuple[Judged, ...], effects: Effects, now_ns: int) -> tuple[Risk, Effects]:
    """Put the entries on record for the pacing rules, and only then let the desk try what was approved."""
    intents = tuple(judged.intent for judged in approved if judged.intent is not None)
    places = tuple(Tell(to="orders", message=PlaceIntent(intent=i)) for i in intents)
    entries = tuple(Entry(at_ns=now_ns, new=judged.opens) for judged in approved if _is_entry(judged))
    if not entries:
        return risk, (*effects, *places)
    record = pruned(risk.record, now_ns)
    record = replace(record, entries=(*record.entries, *entries))
    return replace(risk, record=record), (_commit(record), *effects, *places)


def _is_entry(judged: Judged) -> bool:
    """A purchase by a strategy or by hand; a drill's is none."""
    intent = judged.intent
    return intent is not None and intent.purpose is not Purpose.DRILL and intent.side is Side.BUY


def _reserved(risk: Risk, judged: Judged, intent: Intent, now_ns: int) -> Risk:
    held = Reservation(
        product_id=intent.product_id,
        strategy=intent.strategy,
        side=intent.side,
        usd=judged.decision.approved_usd,
        base=judged.base,
        since_ns=now_ns,
    )
    return replace(risk, reserved={**risk.reserved, reservations.name(intent.side, intent.correlation): held})


def _operator(risk: Risk, order: OperatorOrder, now_ns: int) -> tuple[Risk, Effects]:
    judged = judgement.operator(order, risk, snapshot(risk, risk.regime, now_ns), now_ns)
    answer = Tell(to=order.reply_to, message=OperatorOrderJudged(decision=judged.decision))
    told = (Note(message=judged.decision), *shadow.refused(order, judged.decision, risk, now_ns), answer)
    if judged.intent is None:
        return risk, told
    return _placed(_reserved(risk, judged, judged.intent, now_ns), (judged,), told, now_ns)


def _supposed(risk: Risk, order: OperatorOrder, now_ns: int) -> Effects:
    """What would become of an order: the judgement of a real one on the book as it is, and nothing else."""
    judged = judgement.operator(order, risk, snapshot(risk, risk.regime, now_ns), now_ns)
    return (Tell(to=order.reply_to, message=WhatIfJudged(decision=judged.decision)),)


def _exit(risk: Risk, wanted: ExitWanted, now_ns: int) -> tuple[Risk, Effects]:
    """An exit goes straight on: no commit of risk's own stands in its way."""
    judged = judgement.leave(wanted, risk, now_ns)
    note = Note(message=judged.decision)
    if judged.intent is not None:
        place = Tell(to="orders", message=PlaceIntent(intent=judged.intent))
        return _reserved(risk, judged, judged.intent, now_ns), (place, note)
    code = judged.decision.code
    refused = IntentDone(
        correlation=wanted.correlation,
        intent_id=IntentId(""),
        product_id=wanted.product_id,
        side=Side.SELL,
        purpose=Purpose.EXIT,
        filled_size=ZERO,
        filled_value=ZERO,
        outcome=f"refused:{code.value if code is not None else ''}",
    )
    return risk, (Tell(to="portfolio", message=refused), note)


# --- evidence -----------------------------------------------------------------------------------------------------


def _order(risk: Risk, order: OrderState, now_ns: int) -> tuple[Risk, Effects]:
    coid = order.client_order_id
    known = risk.orders.get(coid)
    orders = {k: o for k, o in risk.orders.items() if k != coid}
    if not order.settled:
        orders[coid] = order
    risk = replace(risk, orders=orders, reserved=reservations.with_order(risk.reserved, order, now_ns))
    if not latches.overfilled(order) or coid in risk.record.mismatched:
        return _ended(risk, order, known, now_ns)
    marked = replace(risk, record=latches.mismatch(risk.record, order, now_ns))
    nxt, effects = _ended(marked, order, known, now_ns)
    return nxt, effects if nxt.record != marked.record else (_commit(nxt.record), *effects)


def _ended(risk: Risk, order: OrderState, known: OrderState | None, now_ns: int) -> tuple[Risk, Effects]:
    """What an order's end teaches, once; and what of those that work must not."""
    coid = order.client_order_id
    if _refused(order) and (known is None or not known.terminal):
        return _rejected(risk, order, now_ns)
    if order.settled and order.spec.side is Side.SELL and coid in risk.record.nets:
        return _outcome(risk, order, now_ns)
    if _late_purchase(risk, order, now_ns):
        return risk, (Tell(to="orders", message=CancelOrder(client_order_id=coid, reason="stop")),)
    return risk, NO_EFFECTS


def _refused(order: OrderState) -> bool:
    """A failed placement; refusing to take as a maker is none (risk.md §7)."""
    return order.status is Status.FAILED or (order.status is Status.REJECTED and _POST_ONLY not in order.error)


def _late_purchase(risk: Risk, order: OrderState, now_ns: int) -> bool:
    """A purchase that was on its way when a loss limit tripped, and is heard of only now."""
    working = order.spec.side is Side.BUY and not order.terminal and not order.cancel_wanted
    return working and gates.stopped(gates.tripped(risk, now_ns))


def _rejected(risk: Risk, order: OrderState, now_ns: int) -> tuple[Risk, Effects]:
    """A failed order cools its base down, in whatever is paid for it (risk.md §5)."""
    product = order.spec.product_id
    record = replace(risk.record, rejections_ns=(*risk.record.rejections_ns, now_ns))
    for each in sorted({product, *(p for p in risk.rules if asset_of(p) == asset_of(product))}):
        record = _cooled(record, each, now_ns + risk.limits.cooldown_failed_ns)
    return _keep(risk, record)


def _outcome(risk: Risk, order: OrderState, now_ns: int) -> tuple[Risk, Effects]:
    """A sale is settled: once per order it is a win or a loss, and sets its cooldown (CD1)."""
    net, limits = risk.record.nets[order.client_order_id], risk.limits
    wait = limits.cooldown_win_ns if net > ZERO else limits.cooldown_loss_ns
    if order.intent.exit_code in _STOPS:
        wait = max(wait, limits.cooldown_stop_ns)
    record = _cooled(risk.record, order.spec.product_id, now_ns + wait)
    record = replace(record, nets=_without(record.nets, order.client_order_id))
    if net > ZERO:
        record = replace(record, loss_streak=0)
    elif net < ZERO:
        record = replace(record, loss_streak=record.loss_streak + 1, last_loss_ns=now_ns)
    return _keep(risk, record)


def _filled(risk: Risk, fill: FillApplied, now_ns: int) -> tuple[Risk, Effects]:
    """Any fill of ours cools its product down and counts as its last trade."""
    if fill.client_order_id is None or trades.known(risk.record, fill):
        return risk, NO_EFFECTS
    held_usd = _book(_without_order(risk, fill.client_order_id)).held(fill.product_id)
    risk = replace(risk, unseen=(*risk.unseen, fill))
    record = trades.with_fill(risk.record, fill, held_usd=held_usd, dust_usd=risk.limits.dust_usd, now_ns=now_ns)
    record = _cooled(record, fill.product_id, now_ns + risk.limits.cooldown_fill_ns)
    record = replace(record, last_trade_ns={**record.last_trade_ns, fill.product_id: now_ns})
    if fill.net_usd is not None:
        total = record.nets.get(fill.client_order_id, ZERO) + fill.net_usd
        record = replace(record, nets={**record.nets, fill.client_order_id: total})
    risk, effects = _keep(risk, record)
    side = "BUY" if fill.buy else "SELL"
    ask = _ask_fees(now_ns) if fees.disagrees(risk.fees, fill) else NO_EFFECTS
    return risk, (*effects, *ask, Count(metric="trader_fills_total", labels=(("side", side),)))


def _cooled(record: Record, product: ProductId, until_ns: int) -> Record:
    """A later-expiring cooldown always wins."""
    until = max(until_ns, record.cooldown_until_ns.get(product, 0))
    return replace(record, cooldown_until_ns={**record.cooldown_until_ns, product: until})


# --- stops and latches --------------------------------------------------------------------------------------------


def _viewed(risk: Risk, view: PortfolioView, now_ns: int) -> tuple[Risk, Effects]:
    nxt, told = account.weighed(replace(risk, view=view, unseen=()), view.nav_usd, now_ns)
    record = gates.with_stops(risk.record, view, risk.limits, now_ns)
    if record == risk.record:
        return nxt, told
    nxt, kept = _keep(nxt, record)
    return nxt, (*kept, *told, *_cancel_buys(nxt, "stop"))


def _cancel_buys(risk: Risk, reason: str) -> Effects:
    buys = [o for o in risk.orders.values() if o.spec.side is Side.BUY and not o.terminal]
    return tuple(Tell(to="orders", message=CancelOrder(client_order_id=o.client_order_id, reason=reason)) for o in buys)


def _epoch(risk: Risk, message: EpochChanged) -> tuple[Risk, Effects]:
    if message.epoch < risk.record.epoch:
        return risk, NO_EFFECTS
    risk = replace(risk, latch_heard=True)
    mark = Mark(reason=message.reason, by=message.by, since_ns=message.at_ns) if message.killed else None
    record = replace(risk.record, epoch=message.epoch, killed=mark)
    return (risk, NO_EFFECTS) if record == risk.record else _keep(risk, record)


def _keep(risk: Risk, record: Record) -> tuple[Risk, Effects]:
    """Make a changed record durable."""
    return (replace(risk, record=record), (_commit(record),)) if record != risk.record else (risk, NO_EFFECTS)


def _commit(record: Record) -> Commit:
    return Commit(records=(StoreRecord(key=RECORD_KEY, value=codec.encode_value(record)),))


# --- saying it ----------------------------------------------------------------------------------------------------


def _tell_view(risk: Risk, now_ns: int) -> Effects:
    tripped = gates.tripped(risk, now_ns)
    book = _book(risk)
    working = {s.product_id for s in book.stakes if s.pending_usd > ZERO}
    view = RiskView(
        at_ns=now_ns,
        state=gates.strictest(tripped),
        gates=tripped,
        exposure_pct=book.at_risk_pct,
        pending_usd=sum((s.pending_usd for s in book.stakes), ZERO),
        entries_1h=judgement.recent_entries(risk, now_ns),
        entries_today=rules.entries_today(risk.record, now_ns),
        loss_streak=risk.record.loss_streak,
        cooldowns=tuple(sorted(risk.record.cooldown_until_ns.items())),
        pending=tuple((product, book.pending(product)) for product in sorted(working)),
        products=gates.of_products(risk, now_ns),
        starved_cells=None if risk.weighed is None else risk.weighed.starved,
    )
    return tuple(Tell(to=name, message=view) for name in VIEWERS)


def _book(risk: Risk) -> Exposure:
    return exposure.measure(risk.view, tuple(risk.orders.values()), risk.unseen, risk.limits)


def _without_order(risk: Risk, coid: str) -> Risk:
    """The state but for one order: what it has bought, and the books do not know yet, was not held before it."""
    return replace(risk, orders=_without(risk.orders, coid))


def _without(items: dict[str, T], key: str) -> dict[str, T]:
    return {k: v for k, v in items.items() if k != key}
