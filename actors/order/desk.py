"""The order desk: mints ids, spawns one actor per order, walks each intent through its plan, owns orphans.

Every order of ours has an owner until its terminal state; an order at the venue that carries our prefix and has
none is cancelled. Orders of others are never touched.
"""

from decimal import Decimal

from msgspec import field
from msgspec.structs import replace

from actors.order import candidate, plan, routing, shadow
from actors.order.core import CLOSED_KEY, OPEN_KEY
from actors.order.run import Run
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.control import JudgeConfig
from protocol.effects import Commit, Count, Note, SetTimer, Spawn, Tell
from protocol.ids import ClientOrderId, IntentId, ProductId, bot_prefix, client_order_id, intent_id
from protocol.instants import SECOND_NS, compact
from protocol.lifecycle import ActorExited, CommitFailed, Recover, StoreRecord, Wake
from protocol.market import FactsWanted, ProductRules, ProductsKnown, Quote
from protocol.orders import (
    CancelOrder,
    CancelStrategy,
    Drain,
    Drained,
    Intent,
    IntentDone,
    IntentTaken,
    OrderReported,
    OrderSpec,
    OrderState,
    OrderUpdate,
    Place,
    PlaceIntent,
    Purpose,
    Side,
    Status,
    StepKind,
    VenueOrder,
)
from protocol.risk import Alert, EpochChanged, RiskView, TradingState
from protocol.shadow import Moment, ShadowRules
from protocol.venue import RequestCancel, VenueHealth

COUNTER_KEY = "orders/counter"
STORE_PREFIX = "order"
ALL = ClientOrderId("*")
FOLLOWERS = ("risk", "portfolio")


class NoNumbersError(Exception):
    """The desk could not reserve numbers at its start: it knows nothing and must begin again."""


class Counter(Value, frozen=True, kw_only=True):
    """The durable high-water mark: no number up to `reserved` is ever minted again after a restart."""

    reserved: int


class Settings(Value, frozen=True, kw_only=True):
    """What the desk is told at its start.

    `block` ids are reserved per commit; lists lag by `lag_ns` at most. `shadow`: DRY_RUN, nothing
    is placed; what would have been is measured by it.
    """

    bot: str
    epoch: int
    shadow: ShadowRules | None = None
    expiry: routing.Expiry = routing.Expiry()
    partial_fill_min: Decimal = Decimal("0.25")
    quote_age_ns: int = 5 * SECOND_NS
    request_ns: int = 3 * SECOND_NS
    lag_ns: int = 10 * SECOND_NS
    block: int = 1000
    remember: int = 1000


class Desk(Value, frozen=True, kw_only=True):
    """The desk's state. `closed` remembers the last ended orders, so that a lagging list does not resurrect them.

    `clock_offset_ns`: the venue's clock minus ours, 0 while it was not measured.
    """

    settings: Settings
    minted: int = 0
    reserved: int = 0
    epoch: int = 0
    trading: TradingState = TradingState.HALTED
    watchdog_beats: bool = True
    draining: Drain | None = None
    runs: dict[IntentId, Run] = field(default_factory=dict)
    live: dict[ClientOrderId, IntentId] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    clock_offset_ns: int = 0


def step(desk: Desk, message: Message, now_ns: int) -> tuple[Desk, Effects]:
    """Advance the desk by one message."""
    match message:
        case OrderUpdate():
            return _updated(desk, message.state, now_ns)
        case OrderReported():
            return _reported(desk, message, now_ns)
        case PlaceIntent():
            return _start(desk, message.intent, now_ns)
        case Wake():
            return _woken(desk, message.timer, now_ns)
        case CancelOrder():
            return _cancel(desk, message.client_order_id, message.reason)
        case CancelStrategy():
            return _cancel_strategy(desk, message)
        case EpochChanged():
            desk = replace(desk, epoch=max(desk.epoch, message.epoch))
            return _killed(desk) if message.killed else (desk, NO_EFFECTS)
        case Drain():
            return _drain(desk, message)
        case Recover():
            return _recover(desk, message)
        case CommitFailed():
            return _not_reserved(desk, message, now_ns)
        case JudgeConfig():
            return desk, (candidate.judged(desk.runs.values(), message),)
        case ActorExited() if not message.normal:  # looked at behind all that it had told before
            return desk, (SetTimer(timer=f"lost/{message.name.removeprefix('order:')}", due_ns=now_ns),)
    return _fact(desk, message), NO_EFFECTS


def _fact(desk: Desk, message: Message) -> Desk:
    """What others know and the desk only remembers."""
    match message:
        case Quote():
            return replace(desk, quotes={**desk.quotes, message.product_id: message})
        case ProductsKnown():
            return replace(desk, rules={r.product_id: r for r in message.products})
        case RiskView():
            absent = any(g.code.value == "watchdog_absent" for g in message.gates)
            return replace(desk, trading=message.state, watchdog_beats=not absent)
        case VenueHealth() if message.clock_offset_ns is not None:
            return replace(desk, clock_offset_ns=message.clock_offset_ns)
    return desk


# --- start --------------------------------------------------------------------------------------------------------


def _recover(desk: Desk, message: Recover) -> tuple[Desk, Effects]:
    """Own every open order again (its actor recovers from its own record) and reserve fresh numbers."""
    spawns: list[Effect] = []
    for record in message.records:
        if record.value is None:
            continue
        if record.key == COUNTER_KEY:
            desk = replace(desk, minted=codec.decode_value(record.value, Counter).reserved)
        elif record.key.startswith(OPEN_KEY):
            order = codec.decode_value(record.value, OrderState)
            desk = _forget(desk, order) if order.terminal else _owned(desk, order)
            spawns.append(_spawn(order))
    desk, commit = _reserve(replace(desk, epoch=max(desk.epoch, desk.settings.epoch)))
    wanted = FactsWanted(reply_to="orders")
    return desk, (commit, *spawns, *(Tell(to=name, message=wanted) for name in ("universe", "gateway")))


def _owned(desk: Desk, order: OrderState) -> Desk:
    run = desk.runs.get(order.intent_id) or Run(
        intent_id=order.intent_id,
        intent=order.intent,
        step=order.step,
        attempt=order.attempt,
        order=order,
        most_base=order.spec.base_size,
    )
    run = replace(run, order=order, attempt=max(run.attempt, order.attempt))
    return replace(
        desk,
        runs={**desk.runs, run.intent_id: run},
        live={**desk.live, order.client_order_id: run.intent_id},
    )


def _reserve(desk: Desk) -> tuple[Desk, Commit]:
    """A block of numbers becomes ours before the first of them is used."""
    reserved = desk.minted + desk.settings.block
    record = StoreRecord(key=COUNTER_KEY, value=codec.encode_value(Counter(reserved=reserved)))
    return replace(desk, reserved=reserved), Commit(records=(record,))


def _not_reserved(desk: Desk, message: CommitFailed, now_ns: int) -> tuple[Desk, Effects]:
    """Later the block is asked for again; at the start nothing is known without it, and the start is tried again."""
    if desk.reserved == 0:
        raise NoNumbersError(message.detail)
    return desk, (SetTimer(timer="reserve", due_ns=now_ns + SECOND_NS),)


# --- intents ------------------------------------------------------------------------------------------------------


def _start(desk: Desk, intent: Intent, now_ns: int) -> tuple[Desk, Effects]:
    if desk.minted >= desk.reserved:
        lost = Run(intent_id=IntentId(""), intent=intent, step=0, attempt=0, order=None)
        desk, effects = _refused(desk, lost, "no_numbers", now_ns)
        return desk, (*effects, *_taken(intent, effects))
    minted = desk.minted + 1
    desk = replace(desk, minted=minted)
    name = intent_id(desk.settings.bot, intent.product_id, compact(now_ns), desk.epoch, minted)
    run = Run(intent_id=name, intent=intent, step=0, attempt=0, order=None)
    desk, effects = _try_step(desk, run, now_ns)
    effects = (*effects, *_taken(intent, effects))
    if desk.reserved - desk.minted > desk.settings.block // 2:
        return desk, effects
    return desk, (*effects, SetTimer(timer="reserve", due_ns=now_ns))


def _taken(intent: Intent, effects: Effects) -> Effects:
    """The cycle hears at once whether its entry became an order: it closes on that word."""
    if intent.purpose is not Purpose.ENTRY:
        return NO_EFFECTS
    outcome = next(
        (e.message.outcome for e in effects if isinstance(e, Note) and isinstance(e.message, IntentDone)), ""
    )
    return (Tell(to="cycle", message=IntentTaken(correlation=intent.correlation, outcome=outcome)),)


def _try_step(desk: Desk, run: Run, now_ns: int) -> tuple[Desk, Effects]:
    """Make the next order of the plan, or end the intent with the reason why there is none."""
    blocked = _blocked(desk, run, now_ns)
    if blocked:
        return _refused(desk, run, blocked, now_ns)
    product = run.intent.product_id
    attempt = run.attempt + 1
    step_ = run.intent.steps[run.step]
    left = plan.remaining(run.intent, run.filled_size, run.filled_value)
    spec = routing.build(
        client_order_id(run.intent_id, attempt),
        _still_fresh(desk, run.intent, run.attempt, now_ns),
        routing.Try(step=step_, remaining=left, extra_ticks=run.extra_ticks, most_base=run.left_base),
        (desk.rules[product], _quote(desk, run.intent) or desk.quotes[product]),
        (now_ns, desk.settings.expiry),
    )
    if isinstance(spec, routing.Refused):
        return _refused(desk, run, spec.code, now_ns)
    if desk.settings.shadow is not None:
        return _ended_in_shadow(desk, run, spec, now_ns)
    order = OrderState(
        intent_id=run.intent_id,
        attempt=attempt,
        step=run.step,
        ttl_ns=int(step_.ttl_s * SECOND_NS),
        intent=run.intent,
        spec=spec,
        created_ns=now_ns,
    )
    desk = replace(desk, runs={**desk.runs, run.intent_id: run})
    return _owned(desk, order), (replace(_spawn(order), fresh=True),)


def _refused(desk: Desk, run: Run, reason: str, now_ns: int) -> tuple[Desk, Effects]:
    """No order is made of it."""
    if desk.settings.shadow is None:
        return _finish(desk, run, reason)
    return _ended_in_shadow(desk, run, reason, now_ns)


def _ended_in_shadow(desk: Desk, run: Run, end: OrderSpec | str, now_ns: int) -> tuple[Desk, Effects]:
    """DRY_RUN: put on record what would have been placed, or why nothing was, and end there."""
    assert desk.settings.shadow is not None
    quote = _quote(desk, run.intent)
    moment = Moment(quote=quote, now_ns=now_ns, clock_offset_ns=desk.clock_offset_ns)
    note = Note(message=shadow.record(run, end, moment, desk.settings.shadow))
    desk, effects = _finish(desk, run, end if isinstance(end, str) else shadow.DONE)
    return desk, (note, *effects)


def _still_fresh(desk: Desk, intent: Intent, attempts: int, now_ns: int) -> Intent:
    """The first request keeps the decision's own deadline; each later one is a new decision on a fresh quote."""
    return replace(intent, not_after_ns=now_ns + desk.settings.request_ns) if attempts else intent


def _quote(desk: Desk, intent: Intent) -> Quote | None:
    """The newest quote: the decision's own where that has overtaken it on its way here, as an exit's may."""
    quote = desk.quotes.get(intent.product_id)
    if quote is None or quote.fresh_ns >= intent.quote_ns:
        return quote
    return replace(quote, bid=intent.bid, ask=intent.ask, fresh_ns=intent.quote_ns)


def _blocked(desk: Desk, run: Run, now_ns: int) -> str:
    """Why no order may be made now; empty if it may. Gates are read again before every order (execution §12)."""
    intent = run.intent
    quote = _quote(desk, intent)
    if desk.draining is not None:
        return "stopping"
    if desk.trading in {TradingState.HALTED, TradingState.KILLED}:
        return f"state_{desk.trading.value}"
    if desk.trading is TradingState.REDUCING and intent.side is Side.BUY:
        return "state_reducing"
    rules = desk.rules.get(intent.product_id)
    if rules is None or not rules.tradable:
        return "product_disabled"
    if quote is None or not quote.young(now_ns, desk.clock_offset_ns, desk.settings.quote_age_ns):
        return "stale_data"
    return ""


def _finish(desk: Desk, run: Run, outcome: str) -> tuple[Desk, Effects]:
    done = IntentDone(
        correlation=run.intent.correlation,
        intent_id=run.intent_id,
        product_id=run.intent.product_id,
        side=run.intent.side,
        purpose=run.intent.purpose,
        filled_size=run.filled_size,
        filled_value=run.filled_value,
        outcome=outcome,
    )
    runs = {name: other for name, other in desk.runs.items() if name != run.intent_id}
    return replace(desk, runs=runs), (Note(message=done), *(Tell(to=name, message=done) for name in FOLLOWERS))


# --- orders -------------------------------------------------------------------------------------------------------


def _updated(desk: Desk, order: OrderState, now_ns: int) -> tuple[Desk, Effects]:
    run = desk.runs.get(order.intent_id)
    if run is None and not order.terminal:  # its actor outlived the desk that made it: it is owned again
        desk = _owned(desk, order)
        return desk, _cancels(desk, order.client_order_id, desk.draining.reason) if desk.draining else NO_EFFECTS
    if run is None or run.order is None or run.order.client_order_id != order.client_order_id:
        return _afterwards(desk, run, order)
    if not order.terminal:
        desk = _owned(desk, order)
        return desk, _renewal(desk, order)
    run = replace(run, order=None, ended=run.with_figures(order))
    desk = _forget(replace(desk, runs={**desk.runs, run.intent_id: run}), order)
    desk, effects = _next(desk, run, order, now_ns)
    desk, drained = _drained(desk)
    return desk, (*effects, *drained)


def _afterwards(desk: Desk, run: Run | None, order: OrderState) -> tuple[Desk, Effects]:
    """News of an order that is not the current one: a late fill leaves less for the orders to come."""
    if not order.terminal:
        return desk, NO_EFFECTS
    if run is not None:
        desk = replace(desk, runs={**desk.runs, run.intent_id: replace(run, ended=run.with_figures(order))})
    return _drained(_forget(desk, order))


def _next(desk: Desk, run: Run, order: OrderState, now_ns: int) -> tuple[Desk, Effects]:
    verdict = plan.after(run.intent, order, run.filled_size, run.filled_value, desk.settings.partial_fill_min)
    match verdict:
        case plan.Done(outcome=outcome):
            return _finish(desk, run, outcome)
        case plan.Again(delay_ns=delay_ns, extra_ticks=ticks) if run.extra_ticks + ticks <= 1:
            run = replace(run, attempt=order.attempt, extra_ticks=run.extra_ticks + ticks)
            desk = replace(desk, runs={**desk.runs, run.intent_id: run})
            return desk, (SetTimer(timer=f"again/{run.intent_id}", due_ns=now_ns + delay_ns),)
    run = replace(run, attempt=order.attempt, step=order.step + 1, extra_ticks=0)
    if run.step >= len(run.intent.steps):
        return _finish(desk, run, "plan_exhausted")
    return _try_step(desk, run, now_ns)


def _forget(desk: Desk, order: OrderState) -> Desk:
    live = {coid: owner for coid, owner in desk.live.items() if coid != order.client_order_id}
    closed = {**desk.closed, order.client_order_id: order.closed_ns}
    if len(closed) > 2 * desk.settings.remember:
        closed = dict(list(closed.items())[-desk.settings.remember :])
    return replace(desk, live=live, closed=closed)


def _renewal(desk: Desk, order: OrderState) -> Effects:
    """An operator's resting order is renewed at half its life, while desk and watchdog beat (execution §8)."""
    rests = order.intent.steps[order.step].kind is StepKind.LIMIT
    works = order.status in {Status.ACCEPTED, Status.PARTIALLY_FILLED}
    if order.intent.purpose is not Purpose.OPERATOR or not rests or not works:
        return NO_EFFECTS
    due_ns = order.created_ns + desk.settings.expiry.operator_ns // 2
    return (SetTimer(timer=f"renew/{order.client_order_id}", due_ns=due_ns),)


def _woken(desk: Desk, timer: str, now_ns: int) -> tuple[Desk, Effects]:
    kind, _, name = timer.partition("/")
    if kind == "reserve":
        desk, commit = _reserve(desk)
        return desk, (commit,)
    if kind == "renew" and desk.watchdog_beats and desk.draining is None:
        return desk, _cancels(desk, ClientOrderId(name), plan.RENEW)
    if kind == "lost":
        return desk, _given_up(desk, ClientOrderId(name))
    run = desk.runs.get(IntentId(name))
    if kind == "again" and run is not None and run.order is None:
        return _try_step(desk, run, now_ns)
    return desk, NO_EFFECTS


def _given_up(desk: Desk, coid: ClientOrderId) -> Effects:
    """An order's actor died, perhaps with what it was asked and had not committed: its successor ends what is not sent.

    One that finds the order on disk, or its first `Place` in the mail, has no use for another.
    """
    run = desk.runs.get(desk.live.get(coid, IntentId("")))
    if run is None or not run.unheard or run.order is None or run.order.client_order_id != coid:
        return NO_EFFECTS
    return (Tell(to=f"order:{coid}", message=Place(state=replace(run.order, cancel_wanted=plan.LOST))),)


# --- cancelling and orphans ---------------------------------------------------------------------------------------


def _cancel(desk: Desk, which: ClientOrderId, reason: str) -> tuple[Desk, Effects]:
    """Cancel one or all, for good: also an intent that is between two orders, or has gone on to its next one."""
    intent = IntentId(which.rpartition("-a")[0])
    chosen = [run for run in desk.runs.values() if which in {ALL, run.intent_id} or run.intent_id == intent]
    effects = _cancels(desk, which, reason) if which == ALL else ()
    for run in chosen:
        if run.order is None:
            desk, told = _finish(desk, run, f"canceled:{reason}")
            effects = (*effects, *told)
        elif which != ALL:
            effects = (*effects, *_cancels(desk, run.order.client_order_id, reason))
    return desk, effects


def _cancel_strategy(desk: Desk, message: CancelStrategy) -> tuple[Desk, Effects]:
    """A strategy was switched off: its entries end, its positions keep their exits."""
    effects: Effects = ()
    for run in list(desk.runs.values()):
        if run.intent.strategy == message.strategy and run.intent.purpose is Purpose.ENTRY:
            desk, told = _cancel(desk, ClientOrderId(run.intent_id), message.reason)
            effects = (*effects, *told)
    return desk, effects


def _killed(desk: Desk) -> tuple[Desk, Effects]:
    """Nothing is placed from here on, whatever view of the past is still under way."""
    return _cancel(replace(desk, trading=TradingState.KILLED), ALL, "kill")


def _cancels(desk: Desk, which: ClientOrderId, reason: str) -> Effects:
    ids = sorted(desk.live) if which == ALL else [which] if which in desk.live else []
    return tuple(Tell(to=f"order:{coid}", message=CancelOrder(client_order_id=coid, reason=reason)) for coid in ids)


def _drain(desk: Desk, message: Drain) -> tuple[Desk, Effects]:
    desk = replace(desk, draining=message)
    desk, drained = _drained(desk)
    return desk, (*_cancels(desk, ALL, message.reason), *drained)


def _drained(desk: Desk) -> tuple[Desk, Effects]:
    if desk.draining is None or desk.live:
        return desk, NO_EFFECTS
    return desk, (Tell(to=desk.draining.reply_to, message=Drained(reason=desk.draining.reason)),)


def _reported(desk: Desk, message: OrderReported, now_ns: int) -> tuple[Desk, Effects]:
    """Evidence goes to the order's owner; an order of ours that nobody owns is cancelled, others' are left alone."""
    seen = message.order
    coid = ClientOrderId(seen.client_order_id)
    if coid in desk.live:
        return desk, (Tell(to=f"order:{coid}", message=message),)
    if not coid.startswith(bot_prefix(desk.settings.bot)):
        return desk, (Count(metric="trader_external_orders_total"),)
    ended_ns = desk.closed.get(coid)
    if ended_ns is not None and (now_ns - ended_ns < desk.settings.lag_ns or not plan.may_rest(seen.status)):
        # Its actor folds a late fill while it lingers; a lagging list says nothing.
        return desk, (Tell(to=f"order:{coid}", message=message),) if seen.filled_size else NO_EFFECTS
    return desk, _orphan(seen, now_ns) if plan.may_rest(seen.status) else NO_EFFECTS


def _orphan(seen: VenueOrder, now_ns: int) -> Effects:
    ask = RequestCancel(
        client_order_id=ClientOrderId(seen.client_order_id),
        venue_order_id=seen.venue_order_id,
        reply_to="orders",
    )
    alert = Alert(
        kind="orphan_order",
        severity="CRITICAL",
        subject=seen.client_order_id,
        message="an order of ours without a record rested at the venue; it is cancelled",
        context=(("product", seen.product_id), ("status", seen.status)),
        at_ns=now_ns,
    )
    return Tell(to="gateway", message=ask), Note(message=alert)


def _spawn(order: OrderState) -> Spawn:
    return Spawn(name=f"order:{order.client_order_id}", kind="order", first=Place(state=order))


__all__ = ["CLOSED_KEY", "STORE_PREFIX", "Desk", "Settings", "step"]
