"""The control actor: answers the operators' socket, watches epoch and watchdog, arms and ends the desk.

It decides nothing about trading: orders by hand go through risk, cancels through the desk, a kill is the watchdog's.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from actors.control import by_hand, candidate, drill, evidence, strategies, verbs, views
from actors.control.state import Control, Stopping
from protocol.base import NO_EFFECTS, Effect, Effects, Message
from protocol.control import (
    Answer,
    Arm,
    Asked,
    BanProduct,
    CancelByHand,
    ClearCooldownByHand,
    ConfigFollowed,
    ConfigJudged,
    DriftFound,
    DrillLoad,
    KillNow,
    Leave,
    Pages,
    PassOn,
    PauseEntries,
    PlaceByHand,
    ProposeConfig,
    Rearm,
    RebuildByHand,
    Reply,
    ResetPeakByHand,
    ResumeEntries,
    Shutdown,
    SupposeByHand,
    SwitchByHand,
    UnbanProduct,
    View,
    WatchdogAnswered,
    Why,
)
from protocol.effects import LogLine, Note, SetTimer, Tell
from protocol.ids import ClientOrderId, ProductId, bot_prefix
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.market import FactsWanted, ProductsKnown, Quote
from protocol.orders import CancelOrder, Drain, Drained, OrderState, OrderUpdate
from protocol.portfolio import FillApplied, PortfolioView, Reconcile, Reconciled
from protocol.risk import (
    BatchJudged,
    ClockJumped,
    ConfigDrift,
    Decision,
    EpochChanged,
    OperatorOrderJudged,
    Pause,
    Resume,
    RiskView,
    TradingState,
    VerbAnswered,
    WatchdogSeen,
    WhatIf,
    WhatIfJudged,
)
from protocol.strategy import CycleRecord, CycleView, StrategyBoard, UniverseView
from protocol.symbols import product_of
from protocol.venue import ListOpenOrders, OpenOrdersListed, QueryFailed

DONE, FAILED, NOT_FOUND, REFUSED = 0, 1, 2, 4
REVOKED = 75
_CLEAN_LISTS = 2
_CLOCK_JUMP_NS = 150_000_000  # TIME1's limit, within one look at the pages
_LIST_GAP_NS = SECOND_NS // 4
_FAREWELL_NS = SECOND_NS // 4
_MAKE_WAY_NS = 9 * SECOND_NS
"""After that a desk that makes way waits for no list: its successor recovers what is open, as after any death."""


def step(state: Control, message: Message, now_ns: int) -> tuple[Control, Effects]:
    """Advance the control actor by one message."""
    after, effects = _handled(state, message, now_ns)
    return after, evidence.at_the_end(state, after, effects, now_ns)


def _handled(state: Control, message: Message, now_ns: int) -> tuple[Control, Effects]:
    match message:
        case Asked():
            return _asked(state, message, now_ns)
        case Pages():
            return _pages(state, message, now_ns)
        case WatchdogAnswered():
            return evidence.answered(state, message)
        case OperatorOrderJudged():
            return _order_judged(state, message.decision, supposed=False)
        case WhatIfJudged():
            return _order_judged(state, message.decision, supposed=True)
        case VerbAnswered():
            return verbs.answered(state, message)
        case Reconciled():
            return _reconciled(state, message)
        case ConfigJudged():
            return candidate.answered(state, message)
        case Wake(timer=candidate.TIMER):
            return candidate.expired(state)
        case Wake(timer=evidence.TIMER):
            return evidence.hourly(state, now_ns)
        case Drained() | OpenOrdersListed() | QueryFailed() | Wake():
            return _ending(state, message, now_ns)
        case Recover():
            asks = Tell(to="universe", message=FactsWanted(reply_to="control"))
            settings = state.settings
            follows = ConfigFollowed(config_hash=settings.config_hash, profile=settings.profile, mode=settings.mode)
            state, due = evidence.begin(replace(state, started_ns=now_ns), now_ns)
            return state, (Note(message=follows), asks, due)
    return _seen(state, message)


# --- views --------------------------------------------------------------------------------------------------------


def _seen(state: Control, message: Message) -> tuple[Control, Effects]:
    """Keep the newest of everything that views are made of."""
    keep = state.settings.keep
    match message:
        case Quote():
            return replace(state, quotes={**state.quotes, message.product_id: message}), NO_EFFECTS
        case PortfolioView():
            return _armed(replace(state, portfolio=message))
        case RiskView():
            return _armed(replace(state, risk=message))
        case CycleView():
            return replace(state, cycle=message), NO_EFFECTS
        case UniverseView():
            return replace(state, universe=message), NO_EFFECTS
        case StrategyBoard():
            return replace(state, strategies=message), NO_EFFECTS
        case ProductsKnown():
            return replace(state, rules={r.product_id: r for r in message.products}), NO_EFFECTS
        case OrderUpdate():
            return replace(state, orders=_kept(state.orders, message.state, keep)), NO_EFFECTS
        case FillApplied():
            return replace(state, fills=(*state.fills, message)[-keep:]), NO_EFFECTS
        case CycleRecord():
            return evidence.counted(replace(state, records=(*state.records, message)[-keep:])), NO_EFFECTS
        case BatchJudged():
            return replace(state, judged=(*state.judged, message)[-keep:]), NO_EFFECTS
    return state, NO_EFFECTS


def _kept(orders: dict[str, OrderState], order: OrderState, keep: int) -> dict[str, OrderState]:
    """Every order that might rest, and the last ended ones."""
    orders = {**orders, order.client_order_id: order}
    ended = [coid for coid, o in orders.items() if o.terminal]
    for coid in ended[: max(0, len(ended) - keep)]:
        del orders[coid]
    return orders


def _armed(state: Control) -> tuple[Control, Effects]:
    """Armed: recovered, reconciled, and in a state that trades or at least leaves positions."""
    trading = state.risk is not None and state.risk.state in {TradingState.ACTIVE, TradingState.REDUCING}
    armed = trading and state.portfolio is not None and state.portfolio.reconciled and state.stopping is None
    if armed is state.armed:
        return state, NO_EFFECTS
    gates = ",".join(gate.code.value for gate in state.risk.gates) if state.risk is not None else ""
    log = LogLine(level="info", event="armed" if armed else "disarmed", fields=(("gates", gates),))
    return replace(state, armed=armed), (Arm(armed=armed), log)


# --- requests -----------------------------------------------------------------------------------------------------


def _asked(state: Control, asked: Asked, now_ns: int) -> tuple[Control, Effects]:
    connection, request = asked.connection, asked.request
    match request:
        case View():
            return state, (_view(state, connection, request.what, now_ns),)
        case Why():
            data = views.why(state, request.product_id, request.at_ns)
            return state, (_answer(connection, DONE, data["verdict"], data),)
        case KillNow():
            return state, (PassOn(connection=connection, request=request),)
        case Rearm():
            return _ask_reconcile(state, asked, request)
        case PauseEntries():
            told = Tell(to="risk", message=Pause(by=request.by, reason=request.reason))
            return state, (told, _answer(connection, DONE, "paused: no entries until resumed"))
        case ResumeEntries():
            return state, (Tell(to="risk", message=Resume(by=request.by)), _answer(connection, DONE, "resumed"))
        case (
            BanProduct() | UnbanProduct() | ResetPeakByHand() | RebuildByHand() | ClearCooldownByHand() | SwitchByHand()
        ):
            return verbs.ask(state, connection, request, now_ns)
        case PlaceByHand() | SupposeByHand():
            return _by_hand(state, connection, request, now_ns)
        case CancelByHand():
            return state, _cancel(state, connection, request.order)
        case DrillLoad():
            return _load(state, connection, request)
        case DriftFound():
            drift = ConfigDrift(running=request.running, found=request.found, at_ns=now_ns)
            return state, (Tell(to="risk", message=drift), _answer(connection, DONE, "risk knows"))
        case ProposeConfig():
            return candidate.begin(state, connection, request, now_ns)
        case Shutdown():
            return _stop(state, request, connection, now_ns)


def _view(state: Control, connection: int, what: str, now_ns: int) -> Answer:
    match what:
        case "status":
            return _answer(connection, DONE, "", views.status(state, now_ns))
        case "orders":
            return _answer(connection, DONE, "", views.orders(state))
        case "positions":
            return _answer(connection, DONE, "", views.positions(state))
        case "fills":
            return _answer(connection, DONE, "", views.fills(state))
        case "universe":
            return _answer(connection, DONE, "", views.universe(state))
        case "strategies":
            return _answer(connection, DONE, "", strategies.view(state.strategies))
        case "actors":
            return Answer(connection=connection, reply=Reply(code=DONE, text=""), with_actors=True)
    return _answer(connection, NOT_FOUND, f"there is no view {what!r}")


def _answer(connection: int, code: int, text: str, data: Any = None) -> Answer:
    return Answer(connection=connection, reply=Reply(code=code, text=text, data=msgspec.json.encode(data).decode()))


def _ask_reconcile(state: Control, asked: Asked, request: Rearm) -> tuple[Control, Effects]:
    """A rearm needs a clean picture first; the watchdog, who holds the latch, has the last word."""
    if state.pages is not None and state.pages.kill_file:
        text = "the file KILL_SWITCH is still there: remove it first"
        return state, (_answer(asked.connection, REFUSED, text),)
    name = f"rearm/{asked.connection}"
    ask = Reconcile(request_id=name, reply_to="control")
    state = replace(state, waiting={**state.waiting, name: asked.connection}, rearms={**state.rearms, name: request})
    return state, (Tell(to="portfolio", message=ask),)


def _reconciled(state: Control, message: Reconciled) -> tuple[Control, Effects]:
    name = message.request_id
    if name not in state.rearms:
        return state, NO_EFFECTS
    request, connection = state.rearms[name], state.waiting[name]
    state = replace(
        state,
        waiting={k: v for k, v in state.waiting.items() if k != name},
        rearms={k: v for k, v in state.rearms.items() if k != name},
    )
    if not message.ok:
        return state, (_answer(connection, REFUSED, f"not rearmed, reconciliation failed: {message.detail}"),)
    state = replace(state, rearming={**state.rearming, connection: request})
    return state, (PassOn(connection=connection, request=request),)


def _named(text: str) -> ProductId | None:
    try:
        return product_of(text)
    except ValueError:
        return None


def _unknown(connection: int, text: str) -> Answer:
    return _answer(connection, NOT_FOUND, f"{text} is not a product that we follow")


def _by_hand(
    state: Control, connection: int, request: PlaceByHand | SupposeByHand, now_ns: int
) -> tuple[Control, Effects]:
    """Hand an operator's order to risk: to be placed, or only to be judged."""
    product = _named(request.product_id)
    if product is None or product not in state.rules:
        return state, (_unknown(connection, product or request.product_id),)
    name = f"hand/{connection}/{now_ns}"
    order = by_hand.order(request, product, name)
    state = replace(state, waiting={**state.waiting, name: connection})
    message = order if isinstance(request, PlaceByHand) else WhatIf(order=order)
    return state, (Tell(to="risk", message=message),)


def _order_judged(state: Control, decision: Decision, *, supposed: bool) -> tuple[Control, Effects]:
    connection = state.waiting.get(decision.correlation)
    if connection is None:
        return state, NO_EFFECTS
    waiting = {k: v for k, v in state.waiting.items() if k != decision.correlation}
    state = replace(state, waiting=waiting)
    text, data = by_hand.supposed(decision) if supposed else by_hand.told(decision)
    return state, (_answer(connection, DONE if supposed or decision.approved else REFUSED, text, data),)


def _cancel(state: Control, connection: int, which: str) -> Effects:
    live = [o for o in state.orders.values() if not o.terminal]
    chosen = live if which == "*" else [o for o in live if which in {o.client_order_id, o.venue_order_id}]
    if not chosen and which != "*":
        return (_answer(connection, NOT_FOUND, f"no live order {which}"),)
    told = tuple(
        Tell(to="orders", message=CancelOrder(client_order_id=o.client_order_id, reason="operator")) for o in chosen
    )
    return (*told, _answer(connection, DONE, f"cancelling {len(chosen)}", [o.client_order_id for o in chosen]))


def _load(state: Control, connection: int, request: DrillLoad) -> tuple[Control, Effects]:
    """Rest many small orders far from the market, each through risk, desk, recorder and gateway."""
    if state.settings.mode != "PAPER":
        return state, (_answer(connection, REFUSED, "a load drill runs in PAPER only"),)
    if not state.armed:
        return state, (_answer(connection, REFUSED, "not armed"),)
    asked = drill.orders(request, state.quotes, state.rules, state.drills)
    if isinstance(asked, str):
        return state, (_answer(connection, REFUSED, asked),)
    state = replace(state, drills=state.drills + len(asked))
    told = tuple(Tell(to="risk", message=order) for order in asked)
    return state, (*told, _answer(connection, DONE, f"{len(asked)} orders asked for", len(asked)))


# --- pages: epoch, latch, watchdog --------------------------------------------------------------------------------


def _pages(state: Control, pages: Pages, now_ns: int) -> tuple[Control, Effects]:
    """A moved epoch ends this desk: its successor starts under the new one and learns from the latch what holds."""
    alive = pages.watchdog_age_s <= state.settings.watchdog_limit_s
    effects: list[Effect] = []
    if pages.latch is not None and (state.pages is None or state.pages.latch != pages.latch):
        latch = pages.latch
        change = EpochChanged(
            epoch=state.settings.epoch,
            killed=latch.killed,
            reason=latch.reason,
            by=latch.by,
            at_ns=latch.at_ns,
        )
        effects += [Tell(to=name, message=change) for name in ("risk", "orders", "gateway")]
    if alive is not state.watchdog_alive or state.pages is None:
        seen = WatchdogSeen(alive=alive, beat_age_s=pages.watchdog_age_s)
        effects.append(Tell(to="risk", message=seen))
    moved_ns = pages.wall_ahead_ns - state.pages.wall_ahead_ns if state.pages is not None else 0
    if abs(moved_ns) > _CLOCK_JUMP_NS:
        jump = ClockJumped(by_ns=moved_ns, at_ns=now_ns)
        effects += [Tell(to=name, message=jump) for name in ("risk", "gateway")]
    if pages.epoch != state.settings.epoch and (state.pages is None or state.pages.epoch == state.settings.epoch):
        effects.append(LogLine(level="warning", event="epoch_revoked", fields=(("epoch", str(pages.epoch)),)))
        effects.append(SetTimer(timer=evidence.LEAVE, due_ns=now_ns + _FAREWELL_NS))
    return replace(state, pages=pages, watchdog_alive=alive), tuple(effects)


# --- the end ------------------------------------------------------------------------------------------------------


def _stop(state: Control, request: Shutdown, connection: int, now_ns: int) -> tuple[Control, Effects]:
    """No new work, cancel everything, and leave when two complete lists hold nothing of ours (execution §13)."""
    if state.stopping is not None:
        return state, (_answer(connection, DONE, "already stopping"),) if connection else NO_EFFECTS
    stopping = Stopping(connection=connection, reason=request.reason, successor=state.taking)
    state, effects = _armed(replace(state, stopping=stopping))
    drain = Tell(to="orders", message=Drain(reason=request.reason, reply_to="control"))
    bound = (SetTimer(timer="make_way", due_ns=now_ns + _MAKE_WAY_NS),) if state.taking is not None else NO_EFFECTS
    return state, (*effects, drain, *bound)


def _ending(state: Control, message: Message, now_ns: int) -> tuple[Control, Effects]:
    match message:
        case Wake(timer=evidence.LEAVE):
            return state, (Leave(code=REVOKED),)
        case Wake(timer="make_way") if state.taking is not None:
            return candidate.last_look(state, state.taking, now_ns)
        case Drained() if state.stopping is not None and not state.stopping.drained:
            state = replace(state, stopping=replace(state.stopping, drained=True))
            return state, (_list_open(),)
        case OpenOrdersListed() if state.stopping is not None:
            return _listed(state, state.stopping, message, now_ns)
        case QueryFailed() | Wake(timer="list") if state.stopping is not None and state.stopping.drained:
            return state, (_list_open(),)
    return state, NO_EFFECTS


def _list_open() -> Tell:
    return Tell(to="gateway", message=ListOpenOrders(request_id="stop", reply_to="control"))


def _listed(state: Control, stopping: Stopping, message: OpenOrdersListed, now_ns: int) -> tuple[Control, Effects]:
    ours = [o for o in message.orders if o.client_order_id.startswith(bot_prefix(state.settings.bot))]
    again = SetTimer(timer="list", due_ns=now_ns + _LIST_GAP_NS)
    if ours:
        told = tuple(
            Tell(
                to="orders",
                message=CancelOrder(client_order_id=ClientOrderId(o.client_order_id), reason="stop"),
            )
            for o in ours
        )
        return replace(state, stopping=replace(stopping, clean=0)), (*told, again)
    clean = stopping.clean + 1
    state = replace(state, stopping=replace(stopping, clean=clean))
    if clean < _CLEAN_LISTS:
        return state, (again,)
    farewell = (_answer(stopping.connection, DONE, "stopped, nothing rests"),) if stopping.connection else ()
    done = LogLine(level="info", event="stopped", fields=(("reason", stopping.reason),))
    if stopping.successor is None:
        return state, (*farewell, done, Leave(code=0))
    state, asked = candidate.last_look(state, stopping.successor, now_ns)
    return state, (*farewell, done, *asked)
