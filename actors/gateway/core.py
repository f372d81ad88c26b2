"""The gateway's queue: budgets, retries, and outcomes that are done, refused or unknown (CB1, faults C).

Cancels and exits go before entries and questions. A place request is released by the recorder alone and leaves at
most once per verdict: what might have arrived is unknown and is never sent again from here.
"""

from msgspec import field
from msgspec.structs import replace

from actors.gateway import calls, limiter, translate
from actors.gateway.calls import AskTime, CancelBatch, Work
from actors.gateway.limiter import Bucket, Lane
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.coinbase import border
from protocol.coinbase.wire import BadWire
from protocol.effects import Count, SetTimer, Tell
from protocol.instants import SECOND_NS
from protocol.journal import Released
from protocol.lifecycle import Recover, Wake
from protocol.market import FactsWanted
from protocol.orders import CancelAnswered, PlaceRefused, PlaceUnknown
from protocol.risk import ClockJumped, EpochChanged
from protocol.transport import CallAnswered, CallBroken, HttpCall, SignWith
from protocol.venue import LookUpOrder, Query, QueryFailed, RequestCancel, VenueHealth

MAX_TRIES = 3
CANCELS_PER_CALL = 100
_ORDER = (Lane.EXIT_CANCEL, Lane.PRIVATE, Lane.DRILL, Lane.PUBLIC)
_PLACE_AGAIN_NS = SECOND_NS // 5
_CLOCK_AGAIN_NS = 5 * SECOND_NS
_CLOCK_LIMIT_NS = 150_000_000  # TIME1
CLOCK_READERS = ("risk", "portfolio", "orders", "universe")
"""Who takes the age of a quote, whose stamps are the venue's."""
_PROBE_AFTER = 3
"""So many errors in a row, and the venue is asked whether it is there at all."""
_MASK = (1 << 64) - 1


class Settings(Value, frozen=True, kw_only=True):
    """Rates per second and bursts by lane; how long a 429 stops entries; how often the clock is measured."""

    public: tuple[float, float] = (10.0, 10.0)
    private: tuple[float, float] = (5.0, 10.0)
    exit_cancel: tuple[float, float] = (10.0, 10.0)
    drill: tuple[float, float] = (20.0, 20.0)
    rate_limit_pause_ns: int = 60 * SECOND_NS
    clock_ns: int = 60 * SECOND_NS
    epoch: int = 0


class Gateway(Value, frozen=True, kw_only=True):
    """The gateway's state: what waits per lane, what is on its way, and how the venue fares.

    `unsigned` waits for the venue's clock, to be signed again with it.
    """

    settings: Settings
    epoch: int
    buckets: dict[Lane, Bucket]
    waiting: dict[Lane, tuple[Work, ...]] = field(default_factory=lambda: dict.fromkeys(Lane, ()))
    cancels: tuple[RequestCancel, ...] = ()
    flying: dict[int, Work] = field(default_factory=dict)
    sleeping: dict[int, Work] = field(default_factory=dict)
    unsigned: tuple[Work, ...] = ()
    number: int = 0
    health: VenueHealth = VenueHealth(
        consecutive_errors=0, last_success_ns=0, rate_limited_until_ns=0, auth_failing=False, clock_offset_ns=None
    )


def initial(settings: Settings) -> Gateway:
    """A gateway with full buckets and nothing to do."""
    rates = {
        Lane.PUBLIC: settings.public,
        Lane.PRIVATE: settings.private,
        Lane.EXIT_CANCEL: settings.exit_cancel,
        Lane.DRILL: settings.drill,
    }
    buckets = {name: limiter.bucket(*rate) for name, rate in rates.items()}
    # The venue counts by address what our predecessor, a second ago perhaps, has spent: begin with next to nothing.
    buckets[Lane.PUBLIC] = limiter.bucket(*settings.public, tokens=2.0)
    return Gateway(settings=settings, epoch=settings.epoch, buckets=buckets)


def step(state: Gateway, message: Message, now_ns: int) -> tuple[Gateway, Effects]:
    """Advance the gateway by one message, then send what the budgets allow."""
    state, effects = _handle(state, message, now_ns)
    state, sent = _pump(state, now_ns)
    return state, (*effects, *sent)


def _handle(state: Gateway, message: Message, now_ns: int) -> tuple[Gateway, Effects]:
    match message:
        case Released():
            return _queue(state, Work(asked=message, begun_ns=now_ns)), NO_EFFECTS
        case RequestCancel():
            return replace(state, cancels=(*state.cancels, message)), NO_EFFECTS
        case Query():
            return _queue(state, Work(asked=message, begun_ns=now_ns)), NO_EFFECTS
        case CallAnswered() if message.call in state.flying:
            return _answered(*_landed(state, message.call), message, now_ns)
        case CallBroken() if message.call in state.flying:
            return _broken(*_landed(state, message.call), message, now_ns)
        case Wake():
            return _woken(state, message.timer, now_ns)
        case Recover():
            return _ask_time(state, now_ns)
        case FactsWanted() if state.health.clock_offset_ns is not None:
            return state, (Tell(to=message.reply_to, message=state.health),)
        case ClockJumped():
            return _ask_time(state, now_ns)
        case EpochChanged() if not message.killed:
            return replace(state, epoch=message.epoch), NO_EFFECTS
    return state, NO_EFFECTS


# --- queue and budgets --------------------------------------------------------------------------------------------


def _queue(state: Gateway, work: Work, *, again: bool = False) -> Gateway:
    """What acts goes before questions; each in the order of its coming, what was begun already (`again`) first."""
    lane = calls.lane(work.asked)
    asking = [w for w in state.waiting[lane] if isinstance(w.asked, Query)]
    acting = [w for w in state.waiting[lane] if not isinstance(w.asked, Query)]
    kind = asking if isinstance(work.asked, Query) else acting
    kind.insert(0 if again else len(kind), work)
    return replace(state, waiting={**state.waiting, lane: (*acting, *asking)})


def _pump(state: Gateway, now_ns: int) -> tuple[Gateway, Effects]:
    """Send while there are tokens, the most urgent lane first; wake up when the next token is due."""
    effects: list[Effect] = []
    wake = 0
    for lane in _ORDER:
        while state.waiting[lane] or (lane is Lane.EXIT_CANCEL and state.cancels):
            bucket, granted = limiter.take(state.buckets[lane], now_ns)
            state = replace(state, buckets={**state.buckets, lane: bucket})
            if not granted:
                ready = limiter.ready_ns(bucket, now_ns)
                wake = min(wake or ready, ready)
                break
            if lane is Lane.EXIT_CANCEL and state.cancels:
                state = _batched(state, now_ns)
            state, call = _send(state, lane, now_ns)
            effects += call
    if wake:
        effects.append(SetTimer(timer="pump", due_ns=wake))
    return state, tuple(effects)


def _batched(state: Gateway, now_ns: int) -> Gateway:
    """Cancels that waited for the same token go together, before everything else; an order is named once."""
    named = dict.fromkeys(c.venue_order_id for c in state.cancels)
    chosen = frozenset(list(named)[:CANCELS_PER_CALL])
    batch = CancelBatch(cancels=tuple(c for c in state.cancels if c.venue_order_id in chosen))
    state = replace(state, cancels=tuple(c for c in state.cancels if c.venue_order_id not in chosen))
    return _queue(state, Work(asked=batch, begun_ns=now_ns), again=True)


def _send(state: Gateway, lane: Lane, now_ns: int) -> tuple[Gateway, Effects]:
    work, *rest = state.waiting[lane]
    number = state.number + 1
    begun_ns = work.begun_ns if work.part or work.cursor else now_ns  # a list is as old as its first page
    work = replace(work, tries=work.tries + 1, begun_ns=begun_ns)
    state = replace(
        state,
        number=number,
        waiting={**state.waiting, lane: tuple(rest)},
        flying={**state.flying, number: work},
    )
    wanted = calls.request(work)
    fence_ns = work.asked.submit.spec.not_after_ns if isinstance(work.asked, Released) else 0
    call = HttpCall(
        call=number,
        endpoint=wanted.endpoint.name,
        path=wanted.path,
        query=wanted.query,
        body=wanted.body,
        timeout_s=wanted.timeout_s,
        fence_ns=fence_ns,
        epoch=state.epoch,
    )
    return state, (call,)


def _landed(state: Gateway, call: int) -> tuple[Gateway, Work]:
    flying = {n: w for n, w in state.flying.items() if n != call}
    return replace(state, flying=flying), state.flying[call]


# --- outcomes -----------------------------------------------------------------------------------------------------


def _answered(state: Gateway, work: Work, message: CallAnswered, now_ns: int) -> tuple[Gateway, Effects]:
    """Classify by status before anything in the body is looked at."""
    status = message.status
    if status == 401 and _signed(work) and not work.resigned:
        return _resigned(state, work, now_ns)
    state, effects = _noted(state, work, status, now_ns)
    match work.asked:
        case Released():
            state, more = _placed(state, work, work.asked, message, now_ns)
        case CancelBatch():
            more = _cancelled(work.asked, message)
        case AskTime():
            state, more = _timed(state, work, message, now_ns)
        case _:
            state, more = _told(state, work, message, now_ns)
    return state, (*effects, *more)


def _told(state: Gateway, work: Work, message: CallAnswered, now_ns: int) -> tuple[Gateway, Effects]:
    assert isinstance(work.asked, Query), "only questions are told"
    if message.status == 404 and isinstance(work.asked, LookUpOrder) and work.asked.venue_order_id is not None:
        return state, (Tell(to=work.asked.reply_to, message=calls.not_found(work, work.asked)),)
    if message.status != 200:
        kind = _kind(message.status)
        if kind in {"rate_limit", "server"}:
            return _retried(state, work, kind, f"HTTP {message.status}", now_ns, message.retry_after_s)
        if message.status == 400 and (other := calls.elsewhere(work)) is not None:
            return _queue(state, other, again=True), NO_EFFECTS
        return state, (_failure(work, kind, f"HTTP {message.status} {border.decode_error(message.body).message}"),)
    try:
        outcome = calls.answer(work, message.body, now_ns)
    except BadWire as exc:
        return state, (_failure(work, "malformed", str(exc)), Count(metric="trader_wire_malformed_total"))
    if isinstance(outcome, Work):
        return _queue(state, replace(outcome, tries=0), again=True), NO_EFFECTS
    return state, (Tell(to=work.asked.reply_to, message=outcome),)


def _placed(state: Gateway, work: Work, asked: Released, message: CallAnswered, now_ns: int) -> tuple[Gateway, Effects]:
    spec = asked.submit.spec
    to = f"order:{spec.client_order_id}"
    if message.status == 200:
        return state, (Tell(to=to, message=translate.placed(spec, message.body)),)
    wait_ns = max(_PLACE_AGAIN_NS, int(message.retry_after_s * SECOND_NS))
    if message.status == 429 and work.tries == 1 and now_ns + wait_ns < spec.not_after_ns:  # definitely not placed
        return _again(state, work, wait_ns, now_ns)
    if not 400 <= message.status < 500:  # only a client error says for certain that nothing was placed
        detail = f"HTTP {message.status}"
        return state, (Tell(to=to, message=PlaceUnknown(client_order_id=spec.client_order_id, detail=detail)),)
    error = border.decode_error(message.body)
    reason = f"HTTP {message.status} {error.error or ''} {error.message or ''}".strip()
    return state, (Tell(to=to, message=PlaceRefused(client_order_id=spec.client_order_id, reason=reason)),)


def _cancelled(asked: CancelBatch, message: CallAnswered) -> Effects:
    if message.status != 200:
        return _uncancelled(asked, f"HTTP {message.status}")
    try:
        answer = border.decode_cancel_answer(message.body, asked.order_ids)
    except BadWire as exc:
        return _uncancelled(asked, str(exc))
    results = {r.order_id: r for r in answer.results}
    return tuple(
        Tell(
            to=c.reply_to,
            message=CancelAnswered(
                client_order_id=c.client_order_id,
                success=results[c.venue_order_id].success,
                reason=results[c.venue_order_id].failure_reason or "",
            ),
        )
        for c in asked.cancels
    )


def _uncancelled(asked: CancelBatch, reason: str) -> Effects:
    return tuple(
        Tell(
            to=c.reply_to,
            message=CancelAnswered(client_order_id=c.client_order_id, success=False, reason=reason),
        )
        for c in asked.cancels
    )


def _broken(state: Gateway, work: Work, message: CallBroken, now_ns: int) -> tuple[Gateway, Effects]:
    state, effects = _noted(state, work, 0, now_ns) if message.kind != "fenced" else (state, NO_EFFECTS)
    match work.asked:
        case Released():
            state, more = _unplaced(state, work, work.asked, message, now_ns)
        case CancelBatch():
            more = _uncancelled(work.asked, message.kind)
        case AskTime():
            state, more = _untimed(state, now_ns)
        case _:
            state, more = _retried(state, work, message.kind, message.detail, now_ns)
    return state, (*effects, *more)


def _unplaced(state: Gateway, work: Work, asked: Released, message: CallBroken, now_ns: int) -> tuple[Gateway, Effects]:
    spec = asked.submit.spec
    to, coid = f"order:{spec.client_order_id}", spec.client_order_id
    detail = f"{message.kind}: {message.detail}"
    if message.sent:
        return state, (Tell(to=to, message=PlaceUnknown(client_order_id=coid, detail=detail)),)
    in_time = now_ns + _PLACE_AGAIN_NS < spec.not_after_ns
    if message.kind == "connection" and work.tries < MAX_TRIES and in_time:
        return _again(state, work, _PLACE_AGAIN_NS, now_ns)
    return state, (Tell(to=to, message=PlaceRefused(client_order_id=coid, reason=detail, sent=False)),)


# --- retries ------------------------------------------------------------------------------------------------------


def _retried(
    state: Gateway, work: Work, kind: str, detail: str, now_ns: int, at_least_s: float = 0.0
) -> tuple[Gateway, Effects]:
    """Full jitter, three attempts in all (CB1); after the last one the question has failed."""
    if work.tries >= MAX_TRIES:
        return state, (_failure(work, kind, detail),)
    ceiling = min(30.0, 2.0 ** (work.tries - 1))
    wait_s = max(at_least_s, ceiling * _share(state.number + work.tries))
    return _again(state, work, int(wait_s * SECOND_NS), now_ns)


def _again(state: Gateway, work: Work, wait_ns: int, now_ns: int) -> tuple[Gateway, Effects]:
    number = state.number + 1
    state = replace(state, number=number, sleeping={**state.sleeping, number: work})
    return state, (SetTimer(timer=f"retry/{number}", due_ns=now_ns + wait_ns),)


def _resigned(state: Gateway, work: Work, now_ns: int) -> tuple[Gateway, Effects]:
    """A first 401 may be the clock: ask the venue for its own, and sign once more with that."""
    asking = bool(state.unsigned)
    state = replace(state, unsigned=(*state.unsigned, replace(work, resigned=True)))
    return (state, NO_EFFECTS) if asking else _ask_time(state, now_ns)


def _signed(work: Work) -> bool:
    return calls.lane(work.asked) is not Lane.PUBLIC


def _woken(state: Gateway, timer: str, now_ns: int) -> tuple[Gateway, Effects]:
    kind, _, number = timer.partition("/")
    if kind == "clock":
        return _ask_time(state, now_ns)
    if kind != "retry" or int(number) not in state.sleeping:
        return state, NO_EFFECTS
    work = state.sleeping[int(number)]
    state = replace(state, sleeping={n: w for n, w in state.sleeping.items() if n != int(number)})
    return _queue(state, work, again=True), NO_EFFECTS


def _failure(work: Work, kind: str, detail: str) -> Effect:
    assert isinstance(work.asked, Query), "only questions fail this way"
    failed = QueryFailed(request_id=work.asked.request_id, kind=kind, detail=detail)
    return Tell(to=work.asked.reply_to, message=failed)


def _share(number: int) -> float:
    """A share in [0, 1) that differs from call to call; a core draws no randomness."""
    return ((number * 0x9E3779B97F4A7C15) & _MASK) / (1 << 64)


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit"
    if status == 401:
        return "auth"
    return "server" if status >= 500 else "client"


# --- clock and health ---------------------------------------------------------------------------------------------


def _ask_time(state: Gateway, now_ns: int) -> tuple[Gateway, Effects]:
    state = _queue(state, Work(asked=AskTime(), begun_ns=now_ns))
    return state, (SetTimer(timer="clock", due_ns=now_ns + state.settings.clock_ns),)


def _timed(state: Gateway, work: Work, message: CallAnswered, now_ns: int) -> tuple[Gateway, Effects]:
    """Half the round trip is taken off: the answer was written somewhere in its middle."""
    if message.status != 200:
        return _untimed(state, now_ns)
    try:
        venue_ns = border.decode_time_ms(message.body) * 1_000_000
    except BadWire:
        state, effects = _untimed(state, now_ns)
        return state, (*effects, Count(metric="trader_wire_malformed_total"))
    offset_ns, error_ns = venue_ns - (work.begun_ns + now_ns) // 2, (now_ns - work.begun_ns) // 2
    health = replace(
        state.health, clock_offset_ns=offset_ns, clock_error_ns=error_ns, clock_ns=now_ns, probe_failed=False
    )
    state = _unparked(replace(state, health=health))
    off = abs(offset_ns) - error_ns > _CLOCK_LIMIT_NS
    again = (SetTimer(timer="clock", due_ns=now_ns + _again_ns(state)),) if off else NO_EFFECTS
    told = tuple(Tell(to=name, message=health) for name in CLOCK_READERS)
    return state, (SignWith(offset_ns=offset_ns), *told, *again)


def _untimed(state: Gateway, now_ns: int) -> tuple[Gateway, Effects]:
    """The venue's clock was not heard: ask again soon, and sign what waits for it with what is known."""
    news = not state.health.probe_failed
    state = replace(state, health=replace(state.health, probe_failed=True))
    told = (Tell(to="risk", message=state.health),) if news else NO_EFFECTS
    return _unparked(state), (SetTimer(timer="clock", due_ns=now_ns + _again_ns(state)), *told)


def _again_ns(state: Gateway) -> int:
    """When the next probe follows one that was no good."""
    return min(state.settings.clock_ns, _CLOCK_AGAIN_NS)


def _unparked(state: Gateway) -> Gateway:
    waiting = state.unsigned
    state = replace(state, unsigned=())
    for work in reversed(waiting):
        state = _queue(state, work, again=True)
    return state


def _noted(state: Gateway, work: Work, status: int, now_ns: int) -> tuple[Gateway, Effects]:
    """Keep the venue's health, and tell risk when it changed. 0: no answer at all. Other 4xx are answers too.

    Only a signed call says anything about the credentials, and only its 429 is about orders: market data has a
    budget of its own at the venue.
    """
    health, before = state.health, state.health
    signed = _signed(work)
    if status == 429 and signed:
        health = replace(health, rate_limited_until_ns=now_ns + state.settings.rate_limit_pause_ns)
    if status == 0 or status >= 500 or status == 429:
        health = replace(health, consecutive_errors=health.consecutive_errors + 1)
    elif status == 401 and signed:
        health = replace(health, auth_failing=True)
    else:
        failing = health.auth_failing and not signed
        health = replace(health, consecutive_errors=0, auth_failing=failing, last_success_ns=now_ns)
    told = replace(health, last_success_ns=0) != replace(before, last_success_ns=0)
    state = replace(state, health=health)
    effects: Effects = (Tell(to="risk", message=health),) if told else NO_EFFECTS
    if health.consecutive_errors == _PROBE_AFTER and not isinstance(work.asked, AskTime):
        state, asked = _ask_time(state, now_ns)
        effects = (*effects, *asked)
    return state, effects
