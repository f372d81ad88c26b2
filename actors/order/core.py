"""One order's state table (architecture §6). Pure: evidence in, new durable state and effects out.

The venue's word is cumulative and may come late, twice or out of order, from the stream, from lists and from
look-ups alike; folding it is monotone, so none of that matters. An unknown outcome is a state of its own: it is
looked up until the venue decides or the request's signature can no longer be accepted, and never sent again.
"""

from msgspec.structs import replace

from actors.order import plan
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.effects import ClearTimer, Commit, Count, Note, Retire, SetTimer, Submit, Tell
from protocol.lifecycle import CommitFailed, Recover, Stop, StoreRecord, Wake
from protocol.orders import (
    IN_DOUBT,
    CancelAnswered,
    CancelOrder,
    OrderBooked,
    OrderNotFound,
    OrderReported,
    OrderState,
    OrderUpdate,
    Place,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    Status,
    TimeInForce,
    VenueOrder,
)
from protocol.risk import Alert
from protocol.venue import LookUpOrder, QueryFailed, RequestCancel

LISTENERS = ("orders", "risk", "portfolio", "control")
OPEN_KEY = "order/"
CLOSED_KEY = "closed-order/"

_ENDED = {
    "FILLED": Status.FILLED,
    "DONE": Status.FILLED,
    "COMPLETED": Status.FILLED,
    "CANCELLED": Status.CANCELED,
    "CANCELED": Status.CANCELED,
    "EXPIRED": Status.EXPIRED,
    "REJECTED": Status.REJECTED,
    "FAILED": Status.FAILED,
    "ERROR": Status.FAILED,
}
_LIVE = frozenset({"OPEN", "PENDING", "QUEUED", "EDIT_QUEUED", "CANCEL_QUEUED"})


class Limits(Value, frozen=True, kw_only=True):
    """Times of an order's life, nanoseconds. `signature_ns`: token life plus 10 s of care for clocks."""

    answer_ns: int = 5_000_000_000
    signature_ns: int = 130_000_000_000
    lookup_ns: tuple[int, ...] = (300_000_000, 700_000_000, 1_500_000_000, 3_000_000_000)
    verify_ns: int = 10_000_000_000
    verify_ioc_ns: int = 1_000_000_000
    cancel_ns: tuple[int, ...] = (250_000_000, 500_000_000, 1_000_000_000)
    linger_ns: int = 5_000_000_000


class Life(Value, frozen=True, kw_only=True):
    """An order actor's state: the durable part, and how often it has asked the venue about it."""

    client_order_id: str
    limits: Limits = Limits()
    order: OrderState | None = None
    lookups: int = 0


def step(life: Life, message: Message, now_ns: int) -> tuple[Life, Effects]:
    """Advance one order by one message. Total: every (status, message) pair has an answer."""
    match message:
        case Recover():
            return _recover(life, message, now_ns)
        case Place() if life.order is None:
            return replace(life, order=message.state), (SetTimer(timer="submit", due_ns=now_ns),)
        case Stop():
            return life, (Retire(),)
    if life.order is None:
        return life, NO_EFFECTS
    if life.order.status is Status.INITIALIZED:
        return _unsent(life, life.order, message, now_ns)
    return _live(life, life.order, message, now_ns)


def _unsent(life: Life, order: OrderState, message: Message, now_ns: int) -> tuple[Life, Effects]:
    """Nothing left yet, so nothing can be true of it at the venue: what says otherwise is about somebody else's."""
    match message:
        case Wake(timer="submit"):
            return _submit(life, order, now_ns)
        case CancelOrder():  # overtaken: `submit` will see it and never send
            return replace(life, order=replace(order, cancel_wanted=order.cancel_wanted or message.reason)), NO_EFFECTS
        case CommitFailed():
            why = "its id was used before" if message.duplicate else message.detail
            return _announce(life, replace(order, status=Status.ABORTED, closed_ns=now_ns, error=why), now_ns)
        case PlaceAccepted() | OrderReported():
            ended = replace(order, status=Status.ABORTED, closed_ns=now_ns, error="the venue knows its id already")
            return _save(life, ended, now_ns, _illegal(order))
    return life, NO_EFFECTS


def _live(life: Life, order: OrderState, message: Message, now_ns: int) -> tuple[Life, Effects]:
    match message:
        case Wake():
            return _woken(life, order, message.timer, now_ns)
        case CancelOrder() if order.terminal or order.cancel_wanted not in {"", *plan.PLANNED}:
            return life, NO_EFFECTS
        case CancelOrder():
            return _want_cancel(life, order, message.reason, now_ns)
        case CommitFailed() if not order.terminal:  # what was to be remembered is asked for again
            return life, (SetTimer(timer="verify", due_ns=now_ns + life.limits.verify_ioc_ns),)
        case PlaceAccepted():
            return _accepted(life, order, message, now_ns)
        case PlaceRefused():
            return _refused(life, order, message, now_ns)
        case PlaceUnknown() if order.status is Status.SUBMITTED:
            return _doubt(life, order, message.detail, now_ns)
        case OrderReported():
            return _reported(life, order, message.order, now_ns)
        case OrderBooked() if message.booked_size > order.booked_size:
            return _save(life, replace(order, booked_size=message.booked_size), now_ns)
        case OrderNotFound() if not order.terminal:
            return _not_found(life, order, message, now_ns)
        case CancelAnswered() if not order.terminal:
            return _cancel_answered(life, order, message, now_ns)
        case QueryFailed() if not order.terminal:
            return _ask_again(life, now_ns)
    return life, NO_EFFECTS


# --- birth and recovery -------------------------------------------------------------------------------------------


def _recover(life: Life, message: Recover, now_ns: int) -> tuple[Life, Effects]:
    """Adopt what disk knows. A request that may have left is old news: it is looked up, never sent again.

    One that has settled is told again: the word of it may have gone with the actor that wrote it. A late fill opens a
    settled one anew: what is open is the newer.
    """
    found = {record.key: record.value for record in message.records}
    value = found.get(OPEN_KEY + life.client_order_id) or found.get(CLOSED_KEY + life.client_order_id)
    if value is None:
        return life, NO_EFFECTS
    order = codec.decode_value(value, OrderState)
    if order.status is Status.SUBMITTED:
        return _doubt(life, order, "recovered without an answer", now_ns)
    life, told = _announce(life, order, now_ns)
    if order.terminal:
        return life, told
    life, effects = _adopt(life, order, now_ns)
    return life, (*told, *effects)


def _adopt(life: Life, order: OrderState, now_ns: int) -> tuple[Life, Effects]:
    if order.status is Status.UNRESOLVED:
        return life, (_look_up(order, now_ns), *_next_lookup(life, now_ns))
    return life, (_look_up(order, now_ns), *_resting_timers(life, order, now_ns))


def _submit(life: Life, order: OrderState, now_ns: int) -> tuple[Life, Effects]:
    """Commit the order and release its request; past `not_after` or when overtaken by a cancel it never leaves."""
    if order.cancel_wanted or now_ns > order.spec.not_after_ns:
        why = order.cancel_wanted or "too old to send"
        return _save(life, replace(order, status=Status.ABORTED, closed_ns=now_ns, error=why), now_ns)
    sent = replace(order, status=Status.SUBMITTED, requested_ns=now_ns)
    life, effects = _save(life, sent, now_ns, SetTimer(timer="answer", due_ns=now_ns + life.limits.answer_ns))
    return life, tuple(_released(effect, sent) if isinstance(effect, Commit) else effect for effect in effects)


def _released(commit: Commit, sent: OrderState) -> Commit:
    """The one commit that lets a request out; it fails where the id stands in the store already."""
    coid = sent.client_order_id
    request = Submit(client_order_id=coid, spec=sent.spec)
    return replace(commit, outbox=(request,), fresh=(OPEN_KEY + coid, CLOSED_KEY + coid))


def _illegal(order: OrderState) -> Count:
    return Count(metric="trader_illegal_transitions_total", labels=(("from", order.status.value),))


# --- answers ------------------------------------------------------------------------------------------------------


def _accepted(life: Life, order: OrderState, message: PlaceAccepted, now_ns: int) -> tuple[Life, Effects]:
    known = replace(order, venue_order_id=order.venue_order_id or message.venue_order_id, acknowledged=True)
    if order.status not in IN_DOUBT:  # the stream was faster, or the order is over: only the id may be news
        return (life, NO_EFFECTS) if known == order else _save(life, known, now_ns)
    known = replace(known, status=Status.ACCEPTED)
    if known.cancel_wanted:
        return _request_cancel(life, known, now_ns)
    return _save(life, known, now_ns, ClearTimer(timer="answer"), *_resting_timers(life, known, now_ns))


def _refused(life: Life, order: OrderState, message: PlaceRefused, now_ns: int) -> tuple[Life, Effects]:
    """A refusal ends an order that never rested; for one known to have rested it is a contradiction: ask."""
    if order.status in IN_DOUBT and not order.acknowledged:
        ended = replace(order, status=Status.REJECTED, closed_ns=now_ns, error=message.reason)
        return _save(life, ended, now_ns)
    if order.terminal:
        return life, NO_EFFECTS
    return _doubt(life, order, f"refused after it rested: {message.reason}", now_ns)


def _doubt(life: Life, order: OrderState, detail: str, now_ns: int) -> tuple[Life, Effects]:
    unresolved = replace(order, status=Status.UNRESOLVED, error=detail)
    life = replace(life, lookups=0)
    return _save(life, unresolved, now_ns, _look_up(unresolved, now_ns), *_next_lookup(life, now_ns))


def _reported(life: Life, order: OrderState, seen: VenueOrder, now_ns: int) -> tuple[Life, Effects]:
    """Fold the venue's cumulative word: figures never fall, terminal states absorb."""
    figures = replace(
        order,
        venue_order_id=order.venue_order_id or seen.venue_order_id,
        acknowledged=True,
        filled_size=max(order.filled_size, seen.filled_size),
        filled_value=max(order.filled_value, seen.filled_value),
        fees=max(order.fees, seen.fees),
    )
    if order.terminal:
        return _late(life, order, figures, now_ns)
    nxt = _advance(figures, seen, now_ns)
    if nxt == order:
        return life, NO_EFFECTS
    if nxt.cancel_wanted and nxt.status is not Status.PENDING_CANCEL and not nxt.terminal:
        return _request_cancel(life, nxt, now_ns)
    timers = () if nxt.terminal or nxt.status is order.status else _resting_timers(life, nxt, now_ns)
    return _save(life, nxt, now_ns, *timers, *_unheard_of(seen, now_ns))


def _unheard_of(seen: VenueOrder, now_ns: int) -> Effects:
    """A person is told of a status that this program does not know; it counts as live until then."""
    if seen.status in _ENDED or seen.status in _LIVE:
        return NO_EFFECTS
    alert = Alert(
        kind="unknown_order_status",
        severity="WARNING",
        subject=seen.client_order_id,
        message="the venue gave an order a status that is not known; it is taken as live",
        context=(("status", seen.status),),
        at_ns=now_ns,
    )
    return (Note(message=alert),)


def _advance(order: OrderState, seen: VenueOrder, now_ns: int) -> OrderState:
    ended = _ENDED.get(seen.status)
    if ended is not None:
        return replace(order, status=ended, closed_ns=now_ns, error=seen.reason or order.error)
    if seen.status == "CANCEL_QUEUED" or order.status is Status.PENDING_CANCEL:
        return replace(order, status=Status.PENDING_CANCEL)
    # An unknown word is taken as live, for "live" is the answer that keeps it counted and asked about.
    return replace(order, status=Status.PARTIALLY_FILLED if order.filled_size else Status.ACCEPTED)


def _late(life: Life, order: OrderState, figures: OrderState, now_ns: int) -> tuple[Life, Effects]:
    if figures.filled_size <= order.filled_size:
        return life, NO_EFFECTS
    alert = Alert(
        kind="late_fill",
        severity="WARNING",
        subject=order.client_order_id,
        message=f"fill after {order.status.value}",
        context=(("filled", str(figures.filled_size)), ("was", str(order.filled_size))),
        at_ns=now_ns,
    )
    return _save(life, figures, now_ns, Note(message=alert))


def _not_found(life: Life, order: OrderState, message: OrderNotFound, now_ns: int) -> tuple[Life, Effects]:
    """Nothing closes on silence, until the request's signature can no longer be accepted."""
    if order.status in IN_DOUBT and message.asked_ns > order.requested_ns + life.limits.signature_ns:
        status = Status.FAILED if order.acknowledged else Status.REJECTED
        ended = replace(order, status=status, closed_ns=now_ns, error="unknown to the venue after its signature died")
        return _save(life, ended, now_ns, *(_vanished(order, now_ns) if order.acknowledged else NO_EFFECTS))
    if order.status in IN_DOUBT:
        return _ask_again(life, now_ns)
    return _doubt(life, order, "the venue does not list it", now_ns)


def _vanished(order: OrderState, now_ns: int) -> Effects:
    alert = Alert(
        kind="order_vanished",
        severity="CRITICAL",
        subject=order.client_order_id,
        message="the venue acknowledged this order and does not know it any more",
        context=(("filled", str(order.filled_size)),),
        at_ns=now_ns,
    )
    return (Note(message=alert),)


# --- cancelling ---------------------------------------------------------------------------------------------------


def _want_cancel(life: Life, order: OrderState, reason: str, now_ns: int) -> tuple[Life, Effects]:
    """Ask for it, or only note the weightier reason: what the plan cancels by itself, it would try again."""
    wanted = replace(order, cancel_wanted=reason)
    asked = order.status is Status.PENDING_CANCEL and order.cancel_tries > 0
    if asked or order.venue_order_id is None:  # without an id: the acceptance will trigger it
        return _save(life, wanted, now_ns)
    return _request_cancel(life, wanted, now_ns)


def _request_cancel(life: Life, order: OrderState, now_ns: int) -> tuple[Life, Effects]:
    pending = replace(order, status=Status.PENDING_CANCEL, cancel_tries=order.cancel_tries + 1)
    return _save(life, pending, now_ns, *_cancel_effects(life, pending, now_ns))


def _cancel_effects(life: Life, order: OrderState, now_ns: int) -> Effects:
    assert order.venue_order_id is not None, "a cancel needs the venue's id"
    waits = life.limits.cancel_ns
    ask = RequestCancel(
        client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, reply_to=_name(order)
    )
    due_ns = now_ns + 4 * waits[min(order.cancel_tries, len(waits)) - 1]
    return Tell(to="gateway", message=ask), SetTimer(timer="cancel", due_ns=due_ns)


def _cancel_answered(life: Life, order: OrderState, message: CancelAnswered, now_ns: int) -> tuple[Life, Effects]:
    """Success means the request was taken, not that nothing rests: the venue is asked. Refused: try again soon."""
    waits = life.limits.cancel_ns
    if message.success:
        return life, (SetTimer(timer="verify", due_ns=now_ns + waits[0]),)
    again = SetTimer(timer="cancel", due_ns=now_ns + waits[min(order.cancel_tries, len(waits)) - 1])
    return life, (_look_up(order, now_ns), again)


def _retry_cancel(life: Life, order: OrderState, now_ns: int) -> tuple[Life, Effects]:
    tried = replace(order, cancel_tries=order.cancel_tries + 1)
    effects = (_look_up(tried, now_ns), *_cancel_effects(life, tried, now_ns))
    if tried.cancel_tries != len(life.limits.cancel_ns) + 1:
        return replace(life, order=tried), effects
    alert = Alert(
        kind="cancel_failed",
        severity="CRITICAL",
        subject=order.client_order_id,
        message="a cancel was not confirmed; it is retried until it is",
        context=(("tries", str(order.cancel_tries)),),
        at_ns=now_ns,
    )
    return replace(life, order=tried), (*effects, Note(message=alert))


# --- time ---------------------------------------------------------------------------------------------------------


def _woken(life: Life, order: OrderState, timer: str, now_ns: int) -> tuple[Life, Effects]:
    match timer:
        case "retire" if order.settled:
            return life, (Retire(),)
        case "answer" if order.status is Status.SUBMITTED:
            return _doubt(life, order, "no answer in time", now_ns)
        case "lookup" if order.status in IN_DOUBT:
            life = replace(life, lookups=life.lookups + 1)
            return life, (_look_up(order, now_ns), *_next_lookup(life, now_ns))
        case "ttl" if not order.terminal and not order.cancel_wanted:
            return _want_cancel(life, order, plan.TTL, now_ns)
        case "cancel" if order.status is Status.PENDING_CANCEL:
            return _retry_cancel(life, order, now_ns)
        case "verify" if not order.terminal:
            return life, (_look_up(order, now_ns), _verify_timer(life, order, now_ns))
    return life, NO_EFFECTS


def _ask_again(life: Life, now_ns: int) -> tuple[Life, Effects]:
    return life, _next_lookup(life, now_ns)


def _next_lookup(life: Life, now_ns: int) -> Effects:
    waits = life.limits.lookup_ns
    return (SetTimer(timer="lookup", due_ns=now_ns + waits[min(life.lookups, len(waits) - 1)]),)


def _resting_timers(life: Life, order: OrderState, now_ns: int) -> Effects:
    """TTL and, since the stream may be silent, a look-up now and then."""
    timers: tuple[Effect, ...] = (_verify_timer(life, order, now_ns),)
    if order.status is Status.PENDING_CANCEL and order.venue_order_id is not None:
        return (*timers, *_cancel_effects(life, order, now_ns))
    if order.ttl_ns:
        timers = (*timers, SetTimer(timer="ttl", due_ns=order.requested_ns + order.ttl_ns))
    return timers


def _verify_timer(life: Life, order: OrderState, now_ns: int) -> SetTimer:
    soon = order.spec.time_in_force is TimeInForce.IOC or order.status is Status.PENDING_CANCEL
    return SetTimer(timer="verify", due_ns=now_ns + (life.limits.verify_ioc_ns if soon else life.limits.verify_ns))


# --- saying it ----------------------------------------------------------------------------------------------------


def _look_up(order: OrderState, now_ns: int) -> Tell:
    ask = LookUpOrder(
        request_id=f"{order.client_order_id}@{now_ns}",
        reply_to=_name(order),
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        product_id=order.spec.product_id,
        since_ns=order.requested_ns,
    )
    return Tell(to="gateway", message=ask)


def _save(life: Life, order: OrderState, now_ns: int, *effects: Effect) -> tuple[Life, Effects]:
    """Make the state durable and, once it is, tell it. A settled order moves to the closed ones."""
    value = codec.encode_value(order)
    if order.settled:
        gone = StoreRecord(key=OPEN_KEY + order.client_order_id, value=None)
        records = [gone, StoreRecord(key=CLOSED_KEY + order.client_order_id, value=value)]
    else:
        records = [StoreRecord(key=OPEN_KEY + order.client_order_id, value=value)]
    life, told = _announce(life, order, now_ns)
    return life, (Commit(records=tuple(records), journal=(OrderUpdate(state=order),)), *effects, *told)


def _announce(life: Life, order: OrderState, now_ns: int) -> tuple[Life, Effects]:
    update = OrderUpdate(state=order)
    told: tuple[Effect, ...] = tuple(Tell(to=name, message=update) for name in LISTENERS)
    if order.settled:
        ended = Count(metric="trader_orders_ended_total", labels=(("status", order.status.value),))
        told = (*told, ended, SetTimer(timer="retire", due_ns=now_ns + life.limits.linger_ns))
    return replace(life, order=order), told


def _name(order: OrderState) -> str:
    return f"order:{order.client_order_id}"
