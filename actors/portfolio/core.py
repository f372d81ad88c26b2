"""The portfolio: books fills exactly once, values the account, reconciles with the venue, and calls for exits."""

from decimal import Decimal

from msgspec import field
from msgspec.structs import replace

from actors.portfolio import valuation
from actors.portfolio.exits import ExitRules, ExitRun, judge
from actors.portfolio.ledger import Ledger, as_totals, book, settle
from actors.portfolio.reconcile import Suspect, compare
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.effects import Commit, Note, SetTimer, Tell
from protocol.ids import ClientOrderId, ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.market import ProductRules, ProductsKnown, Quote
from protocol.money import ONE, ZERO
from protocol.orders import (
    IN_DOUBT,
    CancelOrder,
    IntentDone,
    OrderBooked,
    OrderReported,
    OrderState,
    OrderUpdate,
    Purpose,
    Side,
    Targets,
)
from protocol.portfolio import ExitWanted, FillApplied, LedgerTotal, PortfolioView, Position, Reconcile, Reconciled
from protocol.risk import Alert
from protocol.venue import (
    AccountsListed,
    Balance,
    FillRecord,
    FillsListed,
    ListAccounts,
    ListFills,
    ListOpenOrders,
    OpenOrdersListed,
    QueryFailed,
    UserStream,
)

LEDGER_KEY = "portfolio/ledger"
FILL_KEY = "portfolio/fill/"
STORE_PREFIX = "portfolio/ledger"
VIEWERS = ("risk", "cycle", "control", "metrics")
_PARTS = ("accounts", "open_orders", "fills")


class Settings(Value, frozen=True, kw_only=True):
    """What the portfolio is told at its start. Times in nanoseconds."""

    rules: ExitRules
    fallback: Targets
    overlap_ns: int = 60 * SECOND_NS
    fill_retry_ns: int = SECOND_NS // 4
    view_ns: int = SECOND_NS
    quote_age_ns: int = 5 * SECOND_NS
    remember: int = 10_000


class Asked(Value, frozen=True, kw_only=True):
    """A reconciliation under way: who waits for it, and which of its parts are missing."""

    request: Reconcile
    missing: tuple[str, ...]


class Portfolio(Value, frozen=True, kw_only=True):
    """The portfolio's state. Only `ledger` is durable; the rest is seen again after a restart."""

    settings: Settings
    ledger: Ledger = Ledger()
    balances: tuple[Balance, ...] | None = None
    suspects: tuple[Suspect, ...] = ()
    orders: dict[str, OrderState] = field(default_factory=dict)
    queue: tuple[FillRecord, ...] = ()
    seen: dict[str, None] = field(default_factory=dict)
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    exits: dict[ProductId, ExitRun] = field(default_factory=dict)
    asked: Asked | None = None
    queued: tuple[Reconcile, ...] = ()
    reconciled: bool = False
    unavailable: str = "accounts"


def step(state: Portfolio, message: Message, now_ns: int) -> tuple[Portfolio, Effects]:
    """Advance the portfolio by one message."""
    match message:
        case Quote():
            return _quoted(state, message, now_ns)
        case OrderUpdate():
            return _order(state, message.state, now_ns)
        case FillsListed():
            return _fills(state, message, now_ns)
        case Wake():
            return _woken(state, message.timer, now_ns)
        case CommitFailed():
            return _not_booked(state, message, now_ns)
        case IntentDone() if message.purpose in {Purpose.EXIT, Purpose.FLATTEN}:
            return _exit_over(state, message), NO_EFFECTS
        case Reconcile():
            return _ask(state, message)
        case AccountsListed():
            return _accounts(state, message, now_ns)
        case OpenOrdersListed():
            return _listed(state, message, now_ns)
        case QueryFailed():
            return _failed(state, message)
        case ProductsKnown():
            return replace(state, rules={r.product_id: r for r in message.products}), NO_EFFECTS
        case UserStream() if message.up:  # what happened while it was down is only in the lists
            return state, (_ask_fills(state, "fills/stream"),)
        case Recover():
            return _recover(state, message, now_ns)
    return state, NO_EFFECTS


# --- start and time -----------------------------------------------------------------------------------------------


def _recover(state: Portfolio, message: Recover, now_ns: int) -> tuple[Portfolio, Effects]:
    value = next((r.value for r in message.records if r.key == LEDGER_KEY), None)
    if value is not None:
        state = replace(state, ledger=codec.decode_value(value, Ledger))
    return state, (SetTimer(timer="view", due_ns=now_ns + state.settings.view_ns),)


def _woken(state: Portfolio, timer: str, now_ns: int) -> tuple[Portfolio, Effects]:
    match timer.partition("/")[0]:
        case "view":
            again = SetTimer(timer="view", due_ns=now_ns + state.settings.view_ns)
            state = _rolled(state, now_ns)
            return state, (*_view(state, now_ns), again)
        case "book":
            return _book_next(state, now_ns)
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
        if venue_id is None:
            return replace(state, orders=orders), NO_EFFECTS
        return replace(state, orders=orders, ledger=settle(state.ledger, venue_id)), NO_EFFECTS
    state = replace(state, orders={**orders, key: order})
    return state, _chase(state, order, now_ns)


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
    waiting = {f.entry_id for f in state.queue} | state.seen.keys()
    news = tuple(f for f in message.fills if f.entry_id not in waiting)
    state = replace(state, queue=state.queue + news)
    effects: Effects = (SetTimer(timer="book", due_ns=now_ns),) if news else NO_EFFECTS
    if message.request_id == "fills":
        state, answered = _part(state, "fills", now_ns)
        effects = (*effects, *answered)
    return state, effects


def _book_next(state: Portfolio, now_ns: int) -> tuple[Portfolio, Effects]:
    """Book the first waiting fill in one transaction that fails if it was ever booked before."""
    if not state.queue:
        return state, NO_EFFECTS
    fill, rest = state.queue[0], state.queue[1:]
    again = SetTimer(timer="book", due_ns=now_ns)
    if fill.entry_id in state.seen:
        return replace(state, queue=rest), (again,)
    order = state.orders.get(fill.venue_order_id)
    if order is None and _in_doubt(state, fill):  # it may be ours, acknowledged too late to be known by its id
        later = SetTimer(timer="book", due_ns=now_ns + state.settings.fill_retry_ns)
        return replace(state, queue=(*rest, fill)), (later,)
    rules = state.rules.get(fill.product_id)
    increment = rules.base_increment if rules is not None else ZERO
    done = book(state.ledger, fill, order, increment, state.settings.fallback)
    seen = dict(list({**state.seen, fill.entry_id: None}.items())[-state.settings.remember :])
    state = replace(state, queue=rest, ledger=done.ledger, seen=seen)
    applied = _applied(fill, order, done.net_usd, closed=done.closed)
    commit = Commit(
        records=(
            StoreRecord(key=FILL_KEY + fill.entry_id, value=codec.encode_value(fill)),
            StoreRecord(key=LEDGER_KEY, value=codec.encode_value(done.ledger)),
        ),
        journal=(applied,),
        fresh=(FILL_KEY + fill.entry_id,),
    )
    told: list[Effect] = [Tell(to=name, message=applied) for name in ("risk", "control")]
    if order is not None:
        told.append(_tell_booked(order.client_order_id, done.ledger.booked_of(fill.venue_order_id)))
    if done.oversold > ZERO:
        told.append(_alert("external_sell", fill.product_id, f"{done.oversold} sold beyond the position", now_ns))
    return state, (commit, *told, *_view(state, now_ns), again)


def _in_doubt(state: Portfolio, fill: FillRecord) -> bool:
    """Whether an order of ours on that product has no venue id yet."""
    return any(
        o.venue_order_id is None and o.spec.product_id == fill.product_id and o.status in IN_DOUBT
        for o in state.orders.values()
    )


def _not_booked(state: Portfolio, message: CommitFailed, now_ns: int) -> tuple[Portfolio, Effects]:
    """The state is the one before: a duplicate is dropped for good, anything else is tried again."""
    if not message.duplicate or not state.queue:
        return state, (SetTimer(timer="book", due_ns=now_ns + SECOND_NS),)
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


def _ask(state: Portfolio, request: Reconcile) -> tuple[Portfolio, Effects]:
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
    )


def _ask_fills(state: Portfolio, request_id: str) -> Tell:
    since_ns = max(0, state.ledger.cursor_ns - state.settings.overlap_ns)
    return Tell(to="gateway", message=ListFills(request_id=request_id, reply_to="portfolio", since_ns=since_ns))


def _accounts(state: Portfolio, message: AccountsListed, now_ns: int) -> tuple[Portfolio, Effects]:
    state, notes = _compared(replace(state, balances=message.balances), message, now_ns)
    state, answered = _part(state, "accounts", now_ns)
    record = StoreRecord(key=LEDGER_KEY, value=codec.encode_value(state.ledger))
    return state, (Commit(records=(record,)), *notes, *answered)


def _compared(state: Portfolio, message: AccountsListed, now_ns: int) -> tuple[Portfolio, Effects]:
    """Hold the ledger against the venue, but only when nothing is in flight that could explain a difference."""
    if not state.ledger.totals:  # the first look at this account: what is there is what we start from
        totals = as_totals({b.currency: b.total for b in message.balances})
        return replace(state, ledger=replace(state.ledger, totals=totals, cursor_ns=message.asked_ns)), NO_EFFECTS
    if state.queue or any(_moving(state, order) for order in state.orders.values()):
        return replace(state, suspects=()), NO_EFFECTS
    diff = compare(state.ledger.totals, message.balances, state.suspects, now_ns)
    state = replace(state, suspects=diff.suspects)
    if not diff.transfers:
        return state, NO_EFFECTS
    notes = tuple(
        _alert("transfer", c.subject, f"ledger {c.ledger}, venue {c.venue}", now_ns) for c in diff.corrections
    )
    return _transferred(state, diff.transfers), notes


def _transferred(state: Portfolio, transfers: tuple[LedgerTotal, ...]) -> Portfolio:
    totals = {t.currency: t.total for t in state.ledger.totals}
    amount = ZERO
    for moved in transfers:
        totals[moved.currency] = totals.get(moved.currency, ZERO) + moved.total
        price = ONE if moved.currency in valuation.CASH else valuation.price(moved.currency, state.quotes)
        amount += moved.total * (price or ZERO)
    periods = valuation.transferred(state.ledger.periods, amount)
    return replace(state, ledger=replace(state.ledger, totals=as_totals(totals), periods=periods))


def _moving(state: Portfolio, order: OrderState) -> bool:
    """Whether an order may move balances that the ledger does not have yet."""
    booked = state.ledger.booked_of(order.venue_order_id or "")
    return order.status in IN_DOUBT or order.filled_size > booked


def _listed(state: Portfolio, message: OpenOrdersListed, now_ns: int) -> tuple[Portfolio, Effects]:
    told = tuple(Tell(to="orders", message=OrderReported(order=o, source="list")) for o in message.orders)
    state, answered = _part(state, "open_orders", now_ns)
    return state, (*told, *answered)


def _part(state: Portfolio, name: str, now_ns: int) -> tuple[Portfolio, Effects]:
    """One part of the picture is in; with the last one the question is answered."""
    if state.asked is None:
        return state, NO_EFFECTS
    missing = tuple(part for part in state.asked.missing if part != name)
    if missing:
        return replace(state, asked=replace(state.asked, missing=missing)), NO_EFFECTS
    answer = Reconciled(request_id=state.asked.request.request_id, ok=True, detail="", corrections=())
    told = Tell(to=state.asked.request.reply_to, message=answer)
    state, asked = _next_asked(replace(state, reconciled=True, unavailable=""))
    return state, (told, *_view(state, now_ns), *asked)


def _next_asked(state: Portfolio) -> tuple[Portfolio, Effects]:
    """The present question is answered; whoever waits is next."""
    waiting, state = state.queued, replace(state, asked=None, queued=())
    effects: Effects = NO_EFFECTS
    for request in waiting:
        state, asked = _ask(state, request)
        effects = (*effects, *asked)
    return state, effects


def _failed(state: Portfolio, message: QueryFailed) -> tuple[Portfolio, Effects]:
    """A part that could not be read makes the whole unavailable; single look-ups are retried by their timers."""
    if state.asked is None or message.request_id not in state.asked.missing:
        return state, NO_EFFECTS
    answer = Reconciled(
        request_id=state.asked.request.request_id,
        ok=False,
        detail=f"data_unavailable:{message.request_id}: {message.kind}",
        corrections=(),
    )
    told = Tell(to=state.asked.request.reply_to, message=answer)
    state, asked = _next_asked(replace(state, unavailable=message.request_id))
    return state, (told, *asked)


# --- marks and exits ----------------------------------------------------------------------------------------------


def _quoted(state: Portfolio, quote: Quote, now_ns: int) -> tuple[Portfolio, Effects]:
    state = replace(state, quotes={**state.quotes, quote.product_id: quote})
    position = state.ledger.position(quote.product_id)
    if position is None:
        return state, NO_EFFECTS
    position = replace(position, peak=max(position.peak, quote.bid), mark=quote.bid)
    positions = tuple(position if p.product_id == quote.product_id else p for p in state.ledger.positions)
    state = replace(state, ledger=replace(state.ledger, positions=positions))
    return _exit(state, position, quote, now_ns)


def _exit(state: Portfolio, position: Position, quote: Quote, now_ns: int) -> tuple[Portfolio, Effects]:
    """Call for an exit, or for its next try: one is out at a time, and a try waits for a fresh quote."""
    product, rules = position.product_id, state.settings.rules
    run = state.exits.get(product)
    code = run.code if run is not None else judge(position, quote.bid, rules, now_ns)
    if not code or now_ns - quote.fresh_ns > state.settings.quote_age_ns:
        return state, NO_EFFECTS
    if run is not None and (run.waiting or now_ns - run.sent_ns < rules.retry_ns):
        return state, NO_EFFECTS
    available = position.quantity - _selling(state, product)
    minimum = state.rules[product].base_min_size if product in state.rules else ZERO
    if available < max(minimum, ZERO) or available <= ZERO:
        return state, NO_EFFECTS
    number = 0 if run is None else run.step + 1
    run = ExitRun(code=code, step=number, sent_ns=now_ns, waiting=True)
    wanted = ExitWanted(
        product_id=product,
        code=code,
        quantity=available,
        bid=quote.bid,
        ask=quote.ask,
        quote_ns=quote.fresh_ns,
        step=number,
        strategy=position.strategy,
        correlation=position.correlation,
    )
    buys = _working(state, product, Side.BUY)
    cancels = tuple(
        Tell(to="orders", message=CancelOrder(client_order_id=o.client_order_id, reason=code)) for o in buys
    )
    return replace(state, exits={**state.exits, product: run}), (Tell(to="risk", message=wanted), *cancels)


def _exit_over(state: Portfolio, done: IntentDone) -> Portfolio:
    """A try ended. If the position is still there the next quote starts the next try, else the exit is over."""
    run = state.exits.get(done.product_id)
    if run is None:
        return state
    others = {product: r for product, r in state.exits.items() if product != done.product_id}
    if done.outcome == "filled" or state.ledger.position(done.product_id) is None:
        return replace(state, exits=others)
    return replace(state, exits={**others, done.product_id: replace(run, waiting=False)})


def _working(state: Portfolio, product: ProductId, side: Side) -> tuple[OrderState, ...]:
    return tuple(
        o for o in state.orders.values() if o.spec.product_id == product and o.spec.side is side and not o.terminal
    )


def _selling(state: Portfolio, product: ProductId) -> Decimal:
    """Base units that working sells, or sells not booked yet, will take."""
    sells = (o for o in state.orders.values() if o.spec.product_id == product and o.spec.side is Side.SELL)
    total = ZERO
    for order in sells:
        asked = order.filled_size if order.terminal else (order.spec.base_size or ZERO)
        total += max(asked - state.ledger.booked_of(order.venue_order_id or ""), ZERO)
    return total


# --- saying it ----------------------------------------------------------------------------------------------------


def _rolled(state: Portfolio, now_ns: int) -> Portfolio:
    """Move the periods on to now; durable with the next reconciliation, and found again from NAV if that is lost."""
    nav = None if state.balances is None else _worth(state).nav_usd
    if nav is None:
        return state
    ledger = state.ledger
    periods = valuation.roll(ledger.periods, nav, now_ns)
    if ledger.periods is not None and ledger.periods.day != periods.day:
        ledger = replace(ledger, realised_today_usd=ZERO, fees_today_usd=ZERO)
    return replace(state, ledger=replace(ledger, periods=periods))


def _worth(state: Portfolio) -> valuation.Worth:
    return valuation.value(state.balances or (), state.ledger.positions, state.quotes)


def _view(state: Portfolio, now_ns: int) -> Effects:
    positions = tuple(_with_unbooked(state, p) for p in state.ledger.positions)
    worth = _worth(state)
    view = PortfolioView(
        at_ns=now_ns,
        nav_usd=worth.nav_usd if state.balances is not None else None,
        cash_usd=worth.cash_usd,
        balances=state.balances or (),
        positions=positions,
        external=worth.external,
        periods=state.ledger.periods,
        realised_today_usd=state.ledger.realised_today_usd,
        fees_today_usd=state.ledger.fees_today_usd,
        ledger=state.ledger.totals,
        reconciled=state.reconciled,
        unavailable=state.unavailable or (f"price:{','.join(worth.unpriced)}" if worth.unpriced else ""),
    )
    return tuple(Tell(to=name, message=view) for name in VIEWERS)


def _with_unbooked(state: Portfolio, position: Position) -> Position:
    unbooked = ZERO
    for order in state.orders.values():
        if order.spec.product_id == position.product_id:
            missing = order.filled_size - state.ledger.booked_of(order.venue_order_id or "")
            unbooked += missing if order.spec.side is Side.BUY else -missing
    return replace(position, unbooked=unbooked)


def _alert(kind: str, subject: str, message: str, now_ns: int) -> Note:
    return Note(
        message=Alert(kind=kind, severity="WARNING", subject=subject, message=message, context=(), at_ns=now_ns)
    )
