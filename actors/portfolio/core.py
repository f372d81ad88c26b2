"""The portfolio: books fills exactly once, values the account, reconciles with the venue, and calls for exits."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio import candidate, foreign, leaving, outside, requests, telling, transfers, valuation
from actors.portfolio.ledger import Ledger, as_totals, book, settle, without_dust
from actors.portfolio.reconcile import compare
from actors.portfolio.state import Asked, Portfolio
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message
from protocol.control import JudgeConfig
from protocol.effects import ClearTimer, Commit, SetTimer, Tell
from protocol.ids import ClientOrderId
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.market import FactsWanted, ProductsKnown, PublicTrade, Quote
from protocol.money import ZERO
from protocol.orders import (
    IN_DOUBT,
    IntentDone,
    OrderBooked,
    OrderReported,
    OrderState,
    OrderUpdate,
    Purpose,
    Side,
    Targets,
)
from protocol.portfolio import (
    FillApplied,
    Position,
    RebuildPositions,
    Reconcile,
    Reconciled,
    ResetPeak,
    Transferred,
)
from protocol.strategy import UniverseView
from protocol.venue import (
    AccountsListed,
    BookListed,
    FillRecord,
    FillsListed,
    ListAccounts,
    ListFills,
    ListOpenOrders,
    OpenOrdersListed,
    QueryFailed,
    UserStream,
    VenueHealth,
)

LEDGER_KEY = "portfolio/ledger"
FILL_KEY = "portfolio/fill/"
STORE_PREFIX = "portfolio/ledger"
_PARTS = ("accounts", "open_orders", "fills")


def step(state: Portfolio, message: Message, now_ns: int) -> tuple[Portfolio, Effects]:
    """Advance the portfolio by one message."""
    match message:
        case Quote():
            return leaving.quoted(state, message, now_ns)
        case OrderUpdate():
            return _order(state, message.state, now_ns)
        case FillsListed():
            return _fills(state, message, now_ns)
        case Wake():
            return _woken(state, message.timer, now_ns)
        case CommitFailed():
            return _not_booked(state, message, now_ns)
        case IntentDone() if message.purpose in {Purpose.EXIT, Purpose.FLATTEN}:
            return leaving.over(state, message), NO_EFFECTS
        case Reconcile():
            return _ask(state, message, now_ns)
        case ResetPeak():
            return _reset_peak(state, message, now_ns)
        case RebuildPositions():
            return requests.begin_rebuild(state, message)
        case AccountsListed():
            return _accounts(state, message, now_ns)
        case OpenOrdersListed():
            return _listed(state, message, now_ns)
        case QueryFailed():
            return _failed(state, message, now_ns)
        case Recover():
            return _recover(state, message, now_ns)
    return _fact(state, message, now_ns)


def _fact(state: Portfolio, message: Message, now_ns: int) -> tuple[Portfolio, Effects]:
    """What others know and the books only remember; and a question that changes nothing."""
    match message:
        case JudgeConfig():
            return state, (candidate.judged(state, message),)
        case ProductsKnown():
            return replace(state, rules={r.product_id: r for r in message.products}), NO_EFFECTS
        case PublicTrade():
            return leaving.traded(state, message, now_ns)
        case UniverseView():
            return replace(state, regime=message.regime), NO_EFFECTS
        case VenueHealth() if message.clock_offset_ns is not None:
            return replace(state, clock_offset_ns=message.clock_offset_ns), NO_EFFECTS
        case BookListed():
            return outside.listed(state, message, now_ns)
        case UserStream() if message.up:  # what happened while it was down is only in the lists
            return state, (_ask_fills(state, "fills/stream"),)
    return state, NO_EFFECTS


# --- start and time -----------------------------------------------------------------------------------------------


def _recover(state: Portfolio, message: Recover, now_ns: int) -> tuple[Portfolio, Effects]:
    value = next((r.value for r in message.records if r.key == LEDGER_KEY), None)
    if value is not None:
        state = replace(state, ledger=codec.decode_value(value, Ledger))
    state = replace(state, ledger=state.ledger.in_mode(state.settings.mode))
    if state.settings.notional_usd is not None:
        state = replace(state, ledger=replace(state.ledger, periods=None))
    wanted = FactsWanted(reply_to="portfolio")
    asks = (Tell(to=name, message=wanted) for name in ("universe", "gateway"))
    return state, (SetTimer(timer="view", due_ns=now_ns + state.settings.view_ns), *asks)


def _woken(state: Portfolio, timer: str, now_ns: int) -> tuple[Portfolio, Effects]:
    match timer.partition("/")[0]:
        case "view":
            again = SetTimer(timer="view", due_ns=now_ns + state.settings.view_ns)
            state, asks = outside.ask(_rolled(state, now_ns), now_ns)
            state, told = telling.written_off(state, now_ns)
            keep = (SetTimer(timer="keep", due_ns=now_ns),) if _unkept(state, now_ns) else NO_EFFECTS
            return state, (*told, *asks, *telling.view(state, now_ns), again, *keep)
        case "keep" if _unkept(state, now_ns):  # apart from the view, which a failing disk must not silence
            return replace(state, kept=state.ledger.periods, kept_ns=now_ns), (_stored(state),)
        case "book":
            return _book_next(state, now_ns)
        case "reconcile" if state.asked is not None:
            late = QueryFailed(request_id=state.asked.missing[0], kind="timeout", detail="no answer")
            return _failed(state, late, now_ns)
        case "fills":
            order = state.orders.get(timer.partition("/")[2])
            return (state, _chase(state, order, now_ns)) if order is not None else (state, NO_EFFECTS)
    return state, NO_EFFECTS


# --- orders and fills ---------------------------------------------------------------------------------------------


def _order(state: Portfolio, order: OrderState, now_ns: int) -> tuple[Portfolio, Effects]:
    """Remember an order while it is unsettled; whenever it filled more than is booked, fetch its fills."""
    venue_id = order.venue_order_id
    key = venue_id or order.client_order_id
    orders = {k: o for k, o in state.orders.items() if o.client_order_id != order.client_order_id}
    if order.settled:
        return _settled(replace(state, orders=orders), order), NO_EFFECTS
    state = replace(state, orders={**orders, key: order})
    return state, _chase(state, order, now_ns)


def _settled(state: Portfolio, order: OrderState) -> Portfolio:
    if order.venue_order_id is None:
        return state
    past = list({**state.past, order.venue_order_id: order}.items())[-state.settings.remember_orders :]
    product, ledger = order.spec.product_id, settle(state.ledger, order.venue_order_id)
    if order.spec.side is Side.SELL:
        ledger = without_dust(ledger, product, state.least(product))
    state = replace(state, past=dict(past), ledger=ledger)
    return state if ledger.position(product) is not None else leaving.gone(state, product)


def _chase(state: Portfolio, order: OrderState, now_ns: int) -> Effects:
    """Ask for the fills of an order until the ledger has what the stream said (fills lag the stream)."""
    venue_id = order.venue_order_id
    if venue_id is None:
        return NO_EFFECTS
    booked = state.ledger.booked_of(venue_id)
    told: Effects = ()
    if booked > order.booked_size:
        told = (_tell_booked(order.client_order_id, booked),)
    if order.filled_size <= booked:
        return told
    ask = ListFills(request_id=f"fills/{venue_id}", reply_to="portfolio", venue_order_id=venue_id)
    again = SetTimer(timer=f"fills/{venue_id}", due_ns=now_ns + state.settings.fill_retry_ns)
    return (*told, Tell(to="gateway", message=ask), again)


def _tell_booked(coid: ClientOrderId, size: Decimal) -> Tell:
    return Tell(to=f"order:{coid}", message=OrderBooked(client_order_id=coid, booked_size=size))


def _fills(state: Portfolio, message: FillsListed, now_ns: int) -> tuple[Portfolio, Effects]:
    if message.request_id == requests.FILLS:
        return requests.fills_told(state, message)
    waiting = {f.entry_id for f in state.queue} | state.seen.keys()
    news = tuple(f for f in message.fills if f.entry_id not in waiting and not _before_us(state, f))
    state = replace(state, queue=state.queue + news)
    effects: Effects = (SetTimer(timer="book", due_ns=now_ns),) if news else NO_EFFECTS
    if message.request_id == "fills":
        state, answered = _part(state, "fills", now_ns)
        effects = (*effects, *answered)
    return state, effects


def _before_us(state: Portfolio, fill: FillRecord) -> bool:
    """What others traded before the books were opened is in the balances that they were opened with."""
    ours = fill.venue_order_id in state.orders or fill.venue_order_id in state.past
    opened_ns = state.ledger.opened_ns
    return not ours and (opened_ns == 0 or fill.trade_ns < opened_ns) and not _in_doubt(state, fill)


def _book_next(state: Portfolio, now_ns: int) -> tuple[Portfolio, Effects]:
    """Book the first waiting fill in one transaction that fails if it was ever booked before."""
    if not state.queue:
        return state, NO_EFFECTS
    fill, rest = state.queue[0], state.queue[1:]
    again = SetTimer(timer="book", due_ns=now_ns)
    if fill.entry_id in state.seen:
        return replace(state, queue=rest), (again,)
    order = state.orders.get(fill.venue_order_id) or state.past.get(fill.venue_order_id)
    if order is None and _in_doubt(state, fill):  # it may be ours, acknowledged too late to be known by its id
        later = SetTimer(timer="book", due_ns=now_ns + state.settings.fill_retry_ns)
        return replace(state, queue=(*rest, fill)), (later,)
    before = state.ledger.position(fill.product_id)
    done = book(state.ledger, fill, order, state.least(fill.product_id), state.settings.fallback)
    seen = dict(list({**state.seen, fill.entry_id: None}.items())[-state.settings.remember :])
    state = replace(state, queue=rest, ledger=done.ledger, seen=seen)
    if done.closed:
        state = leaving.gone(state, fill.product_id)
    if fill.venue_order_id in state.past:
        state = replace(state, ledger=settle(state.ledger, fill.venue_order_id))
    applied = _applied(fill, order, done.net_usd, closed=done.closed)
    commit = Commit(
        records=(
            StoreRecord(key=FILL_KEY + fill.entry_id, value=codec.encode_value(fill)),
            StoreRecord(key=LEDGER_KEY, value=codec.encode_value(state.ledger)),
        ),
        journal=(applied,),
        fresh=(FILL_KEY + fill.entry_id,),
    )
    told: list[Effect] = [Tell(to=name, message=applied) for name in ("risk", "control")]
    if order is not None:
        told.append(_tell_booked(order.client_order_id, done.ledger.booked_of(fill.venue_order_id)))
    if done.oversold > ZERO:
        told.append(
            telling.alert("external_sell", fill.product_id, f"{done.oversold} sold beyond the position", now_ns)
        )
    if _without_targets(before, done.ledger.position(fill.product_id), order):
        text = f"the policy's targets hold: {_as_text(state.settings.fallback)}"
        told.append(telling.alert("targets_missing", fill.product_id, text, now_ns))
    return state, (commit, *told, *telling.view(state, now_ns), again)


def _without_targets(before: Position | None, after: Position | None, order: OrderState | None) -> bool:
    """Whether this fill opened a position whose purchase said nothing of when to leave it (execution.md §10)."""
    opened = after is not None and (before is None or before.opened_ns != after.opened_ns)
    return opened and order is not None and order.intent.targets is None


def _as_text(targets: Targets) -> str:
    hours = targets.max_hold_s / 3600
    return f"stop {targets.stop_loss_pct} %, target {targets.take_profit_pct} %, hold {hours:g} h"


def _in_doubt(state: Portfolio, fill: FillRecord) -> bool:
    """Whether an order of ours on that product has no venue id yet."""
    return any(
        o.venue_order_id is None and o.spec.product_id == fill.product_id and o.status in IN_DOUBT
        for o in state.orders.values()
    )


def _not_booked(state: Portfolio, message: CommitFailed, now_ns: int) -> tuple[Portfolio, Effects]:
    """The state is the one before: a duplicate is dropped for good, anything else is tried again."""
    if not message.duplicate or not state.queue:
        again = SetTimer(timer="book", due_ns=now_ns + SECOND_NS)
        failed, effects = _failed(
            state, QueryFailed(request_id="accounts", kind="store", detail=message.detail), now_ns
        )
        return failed, (*effects, again)
    seen = {**state.seen, state.queue[0].entry_id: None}
    return replace(state, queue=state.queue[1:], seen=seen), (SetTimer(timer="book", due_ns=now_ns),)


def _applied(fill: FillRecord, order: OrderState | None, net_usd: Decimal | None, *, closed: bool) -> FillApplied:
    intent = None if order is None else order.intent
    return FillApplied(
        entry_id=fill.entry_id,
        client_order_id=None if order is None else order.client_order_id,
        product_id=fill.product_id,
        buy=fill.side is Side.BUY,
        size=fill.size,
        price=fill.price,
        value=fill.value,
        fee=fill.fee,
        maker=fill.maker,
        trade_ns=fill.trade_ns,
        strategy="" if intent is None else intent.strategy,
        correlation="" if intent is None else intent.correlation,
        exit_code="" if intent is None else intent.exit_code,
        net_usd=net_usd,
        closed_position=closed,
    )


# --- reconciliation -----------------------------------------------------------------------------------------------


def _ask(state: Portfolio, request: Reconcile, now_ns: int) -> tuple[Portfolio, Effects]:
    """Read the complete picture: accounts, open orders, and fills since the cursor with an overlap.

    One picture is taken at a time; a question that comes meanwhile wants a newer one and waits its turn.
    """
    if state.asked is not None:
        return replace(state, queued=(*state.queued, request)), NO_EFFECTS
    state = replace(state, asked=Asked(request=request, missing=_PARTS))
    return state, (
        Tell(to="gateway", message=ListAccounts(request_id="accounts", reply_to="portfolio")),
        Tell(to="gateway", message=ListOpenOrders(request_id="open_orders", reply_to="portfolio")),
        _ask_fills(state, "fills"),
        SetTimer(timer="reconcile", due_ns=now_ns + state.settings.reconcile_ns),
    )


def _ask_fills(state: Portfolio, request_id: str) -> Tell:
    since_ns = max(0, state.ledger.cursor_ns - state.settings.overlap_ns)
    return Tell(to="gateway", message=ListFills(request_id=request_id, reply_to="portfolio", since_ns=since_ns))


def _reset_peak(state: Portfolio, asked: ResetPeak, now_ns: int) -> tuple[Portfolio, Effects]:
    nav = telling.nav_usd(state, now_ns)
    state, reset, answer = requests.reset_peak(state, asked, nav, now_ns)
    if reset is None:
        return state, (answer,)
    told = (Tell(to="risk", message=reset), *telling.view(state, now_ns), answer)
    return replace(state, kept=state.ledger.periods, kept_ns=now_ns), (_stored(state, reset), *told)


def _accounts(state: Portfolio, message: AccountsListed, now_ns: int) -> tuple[Portfolio, Effects]:
    if message.request_id == requests.ACCOUNTS:
        state, effects = requests.rebuilt(state, message, LEDGER_KEY, now_ns)
        return state, (*effects, *telling.view(state, now_ns))
    state, alerts, moved = _compared(replace(state, balances=message.balances), message, now_ns)
    state, answered = _part(state, "accounts", now_ns)
    return state, (_stored(state, *moved), *alerts, *answered)


def _compared(
    state: Portfolio, message: AccountsListed, now_ns: int
) -> tuple[Portfolio, Effects, tuple[Transferred, ...]]:
    """Hold the ledger against the venue, but only when nothing is in flight that could explain a difference.

    Returns what people hear of it, and the transfers that were found, which go on record with the ledger.
    """
    if not state.ledger.totals:  # the first look at this account: what is there is what we start from
        totals, opened_ns = as_totals({b.currency: b.total for b in message.balances}), message.asked_ns
        ledger = replace(state.ledger, totals=totals, cursor_ns=opened_ns, opened_ns=opened_ns)
        return replace(state, ledger=ledger), NO_EFFECTS, ()
    if state.queue or any(state.moving(order) for order in state.orders.values()):
        return replace(state, suspects=()), NO_EFFECTS, ()
    diff = compare(state.ledger.totals, message.balances, state.suspects, now_ns)
    diff = transfers.priced(state, diff)
    state = replace(state, suspects=diff.suspects)
    if not diff.transfers:
        return state, NO_EFFECTS, ()
    alerts = tuple(
        telling.alert("transfer", c.subject, f"ledger {c.ledger}, venue {c.venue}", now_ns) for c in diff.corrections
    )
    if state.asked is not None:
        found = (*state.asked.corrections, *diff.corrections)
        state = replace(state, asked=replace(state.asked, corrections=found))
    state, moved = transfers.transferred(state, diff.transfers, now_ns)
    return state, alerts, moved


def _listed(state: Portfolio, message: OpenOrdersListed, now_ns: int) -> tuple[Portfolio, Effects]:
    told = tuple(Tell(to="orders", message=OrderReported(order=o, source="list")) for o in message.orders)
    state = replace(state, foreign=foreign.purchases(message.orders, state.settings))
    state, answered = _part(state, "open_orders", now_ns)
    return state, (*told, *answered)


def _part(state: Portfolio, name: str, now_ns: int) -> tuple[Portfolio, Effects]:
    """One part of the picture is in; with the last one the question is answered."""
    if state.asked is None:
        return state, NO_EFFECTS
    missing = tuple(part for part in state.asked.missing if part != name)
    if missing:
        return replace(state, asked=replace(state.asked, missing=missing)), NO_EFFECTS
    answer = Reconciled(
        request_id=state.asked.request.request_id, ok=True, detail="", corrections=state.asked.corrections
    )
    told = Tell(to=state.asked.request.reply_to, message=answer)
    state, asked = _next_asked(replace(state, reconciled=True, unavailable=""), now_ns)
    return state, (ClearTimer(timer="reconcile"), told, *telling.view(state, now_ns), *asked)


def _next_asked(state: Portfolio, now_ns: int) -> tuple[Portfolio, Effects]:
    """The present question is answered; whoever waits is next."""
    waiting, state = state.queued, replace(state, asked=None, queued=())
    effects: Effects = NO_EFFECTS
    for request in waiting:
        state, asked = _ask(state, request, now_ns)
        effects = (*effects, *asked)
    return state, effects


def _failed(state: Portfolio, message: QueryFailed, now_ns: int) -> tuple[Portfolio, Effects]:
    """A part that could not be read makes the whole unavailable; single look-ups are retried by their timers."""
    if message.request_id in {requests.ACCOUNTS, requests.FILLS}:
        return requests.failed(state, message)
    if message.request_id.startswith(outside.QUESTION):
        return outside.failed(state, message, now_ns)
    if state.asked is None or message.request_id not in state.asked.missing:
        return state, NO_EFFECTS
    answer = Reconciled(
        request_id=state.asked.request.request_id,
        ok=False,
        detail=f"data_unavailable:{message.request_id}: {message.kind}",
        corrections=state.asked.corrections,
    )
    told = Tell(to=state.asked.request.reply_to, message=answer)
    state, asked = _next_asked(replace(state, unavailable=message.request_id), now_ns)
    return state, (ClearTimer(timer="reconcile"), told, *asked)


# --- saying it ----------------------------------------------------------------------------------------------------


def _rolled(state: Portfolio, now_ns: int) -> Portfolio:
    """Move the periods on to now; a fixed sum has none."""
    if state.settings.notional_usd is not None:
        return state
    nav = telling.nav_usd(state, now_ns)
    if nav is None:
        return state
    ledger = state.ledger
    periods = valuation.roll(ledger.periods, nav, now_ns)
    if ledger.periods is not None and ledger.periods.day != periods.day:
        ledger = replace(ledger, realised_today_usd=ZERO, fees_today_usd=ZERO)
    return replace(state, ledger=replace(ledger, periods=periods))


def _unkept(state: Portfolio, now_ns: int) -> bool:
    """A new day or week is durable at once, a peak that rises every few seconds: a restart forgets no drawdown."""
    periods, kept = state.ledger.periods, state.kept
    if periods is None or periods == kept:
        return False
    rises = kept is not None and replace(kept, peak_usd=periods.peak_usd) == periods
    return not rises or now_ns - state.kept_ns >= state.settings.peak_every_ns


def _stored(state: Portfolio, *journal: Message) -> Commit:
    return Commit(records=(StoreRecord(key=LEDGER_KEY, value=codec.encode_value(state.ledger)),), journal=journal)
