"""The decision cycle's conductor (pipeline.md §1): reconcile, universe, strategies, risk; then a record, always.

One cycle is open at a time. Each stage is a question to one actor; an answer that does not come in time ends the
cycle with its reason. Nothing else depends on a cycle having traded: exits, stale orders
and telemetry have their own clocks.
"""

from decimal import Decimal

from msgspec.structs import replace

from actors.cycle import reasons
from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.decisions import NoTrade, is_no_trade, no_trade
from protocol.effects import ClearTimer, Count, LogLine, Note, SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS, is_weekend
from protocol.lifecycle import Recover, Wake
from protocol.money import PCT, ZERO
from protocol.orders import IntentTaken
from protocol.portfolio import PortfolioView, Reconcile, Reconciled
from protocol.risk import Alert, BatchJudged, ProposalBatch, RiskView
from protocol.strategy import (
    AlphaDown,
    AlphaUp,
    CycleOpened,
    CycleRecord,
    CycleView,
    EndAlpha,
    Overlay,
    Passed,
    ProposalsMade,
    Regime,
    UniverseView,
    UniverseWanted,
)

_MASK = (1 << 64) - 1
_KEPT_LATENCIES = 1000
_SHADOW = "shadow_dry_run"
_ASKING, _HOST = "strategies", "strategy:host"
_US = 1000


class Settings(Value, frozen=True, kw_only=True):
    """Interval, and jitter as a share of it (SCH1); back-off when a cycle used more than `busy_share` of it.

    `strategies_ns`: what triggers and strategies have (requirements §2); a strategy process that is away has
    `alpha_back_ns` to come back. An asset with a working purchase of `min_notional_usd` or more gets no second one
    (pipeline.md §1, step 10). Without `weekends` nothing is proposed on a Saturday and Sunday of a clock that is
    `offset_ns` ahead of UTC.
    """

    interval_ns: int
    jitter_share: float
    busy_share: float = 0.7
    backoff_ns: int = 15 * SECOND_NS
    stage_limit_ns: int = 15 * SECOND_NS
    strategies_ns: int = 10 * SECOND_NS
    alpha_back_ns: int = 4 * SECOND_NS
    seed: int = 0
    first_ns: int = 2 * SECOND_NS
    min_notional_usd: Decimal = ZERO
    weekends: bool = True
    offset_ns: int = 0


class Open(Value, frozen=True, kw_only=True):
    """The cycle under way: its stage, when that began, and what the stages before it answered.

    `dropped` are proposals for what is being bought already; `placing` the approved entries of which the desk has not
    spoken yet, `placed` those of which it made an order or a shadow of one, `approved` all of them. `alpha_ns`:
    when the strategies were asked last, or seen to be away.
    """

    number: int
    opened_ns: int
    stage: str
    stage_ns: int
    stages_us: tuple[tuple[str, int], ...] = ()
    universe: UniverseView | None = None
    made: ProposalsMade | None = None
    dropped: tuple[Passed, ...] = ()
    approved: int = 0
    placing: frozenset[str] = frozenset()
    alpha_ns: int = 0
    placed: int = 0


class Cycle(Value, frozen=True, kw_only=True):
    """The conductor's state. `alpha_up`: nobody has said that the strategies' process is away."""

    settings: Settings
    number: int = 0
    open: Open | None = None
    latencies_ms: tuple[float, ...] = ()
    portfolio: PortfolioView | None = None
    overlay: Overlay | None = None
    alpha_up: bool = True
    pending: tuple[tuple[ProductId, Decimal], ...] = ()


def step(state: Cycle, message: Message, now_ns: int) -> tuple[Cycle, Effects]:
    """Advance the conductor by one message."""
    match message:
        case Recover():
            return state, (SetTimer(timer="cycle", due_ns=now_ns + state.settings.first_ns),)
        case PortfolioView():
            return replace(state, portfolio=message), NO_EFFECTS
        case RiskView():
            return replace(state, pending=message.pending), NO_EFFECTS
        case AlphaUp() | AlphaDown():
            state = replace(state, alpha_up=isinstance(message, AlphaUp))
            if state.open is not None and state.open.stage == _ASKING:
                return _alpha(state, state.open, now_ns)
            return state, NO_EFFECTS
        case Wake(timer="cycle") if state.open is None:
            return _begin(state, now_ns)
    if state.open is None:
        return state, NO_EFFECTS
    return _during(state, state.open, message, now_ns)


def _during(state: Cycle, cycle: Open, message: Message, now_ns: int) -> tuple[Cycle, Effects]:
    match message:
        case Wake(timer="stage") if now_ns >= _due_ns(state, cycle):
            return _overdue(state, cycle, now_ns)
        case Reconciled() if cycle.stage == "reconcile" and message.request_id == _name(cycle.number):
            return _reconciled(state, cycle, message, now_ns)
        case UniverseView() if cycle.stage == "universe":
            return _universe(state, cycle, message, now_ns)
        case ProposalsMade() if cycle.stage == "strategies" and message.cycle == cycle.number:
            after, effects = _proposed(replace(state, overlay=message.overlay), cycle, message, now_ns)
            return after, (*_loosened(state.overlay, message.overlay, now_ns), *effects)
        case BatchJudged() if cycle.stage == "risk" and message.cycle == cycle.number:
            return _judged(state, cycle, message, now_ns)
        case IntentTaken() if cycle.stage == "execution" and message.correlation in cycle.placing:
            return _taken(state, cycle, message, now_ns)
    return state, NO_EFFECTS


def _overdue(state: Cycle, cycle: Open, now_ns: int) -> tuple[Cycle, Effects]:
    """An answer did not come; where the desk owes it, its orders are on record all the same."""
    if cycle.stage == "execution":
        return _close(state, cycle, "", now_ns)
    hangs = cycle.stage == _ASKING and state.alpha_up and now_ns - cycle.alpha_ns >= state.settings.strategies_ns
    state, effects = _close(state, cycle, no_trade(NoTrade.NO_DATA, cycle.stage), now_ns)
    end = EndAlpha(reason=f"cycle {cycle.number} had no answer from the strategies")
    return state, (Tell(to=_HOST, message=end), *effects) if hangs else effects


# --- stages -------------------------------------------------------------------------------------------------------


def _begin(state: Cycle, now_ns: int) -> tuple[Cycle, Effects]:
    number = state.number + 1
    cycle = Open(number=number, opened_ns=now_ns, stage="reconcile", stage_ns=now_ns)
    ask = Reconcile(request_id=_name(number), reply_to="cycle")
    state = replace(state, number=number, open=cycle)
    return state, (Tell(to="portfolio", message=ask), _limit(state, now_ns))


def _reconciled(state: Cycle, cycle: Open, message: Reconciled, now_ns: int) -> tuple[Cycle, Effects]:
    if not message.ok:
        reason = message.detail.partition(": ")[0]
        return _close(state, cycle, reason if is_no_trade(reason) else no_trade(NoTrade.NO_DATA, "reconcile"), now_ns)
    state, cycle = _stage(state, cycle, "universe", now_ns)
    nav = state.portfolio.nav_usd if state.portfolio is not None else None
    return state, (Tell(to="universe", message=UniverseWanted(cycle=cycle.number, nav_usd=nav)), _limit(state, now_ns))


def _universe(state: Cycle, cycle: Open, view: UniverseView, now_ns: int) -> tuple[Cycle, Effects]:
    cycle = replace(cycle, universe=view)
    if not view.eligible:
        return _close(state, cycle, no_trade(NoTrade.EMPTY_UNIVERSE), now_ns)
    if not state.settings.weekends and is_weekend(now_ns + state.settings.offset_ns):
        return _close(state, cycle, no_trade(NoTrade.WEEKEND), now_ns)
    state, cycle = _stage(state, cycle, _ASKING, now_ns)
    return _alpha(state, cycle, now_ns)


def _alpha(state: Cycle, cycle: Open, now_ns: int) -> tuple[Cycle, Effects]:
    """Ask the strategies, and again when their process is new: what its predecessor was asked died with it.

    One that is away is waited for, but never for long: it comes back in two seconds or not in this cycle.
    """
    state = replace(state, open=replace(cycle, alpha_ns=now_ns))
    assert cycle.universe is not None, "strategies are asked about a universe"
    limit = SetTimer(timer="stage", due_ns=_due_ns(state, replace(cycle, alpha_ns=now_ns)))
    if not state.alpha_up:
        return state, (limit,)
    portfolio = state.portfolio
    ask = CycleOpened(
        cycle=cycle.number,
        opened_ns=cycle.opened_ns,
        universe=cycle.universe,
        held=tuple(p.product_id for p in portfolio.positions) if portfolio is not None else (),
        nav_usd=portfolio.nav_usd if portfolio is not None else None,
        used_pct=_used_pct(portfolio),
    )
    return state, (Tell(to=_HOST, message=ask), limit)


def _used_pct(portfolio: PortfolioView | None) -> tuple[tuple[str, Decimal], ...]:
    """What each strategy's positions are worth, per cent of NAV; what has no price is judged by risk alone."""
    if portfolio is None or not portfolio.nav_usd:
        return ()
    used: dict[str, Decimal] = {}
    for held in portfolio.positions:
        used[held.strategy] = used.get(held.strategy, ZERO) + (held.value_usd or ZERO)
    return tuple((name, usd / portfolio.nav_usd * PCT) for name, usd in sorted(used.items()))


def _loosened(before: Overlay | None, laid: Overlay | None, now_ns: int) -> Effects:
    """A person hears when thresholds are loosened in a drought of triggers (pipeline.md §9)."""
    if before is not None or laid is None:
        return NO_EFFECTS
    text = f"no triggers for long: chop moves {laid.move_15m_pct:g} and {laid.move_60m_pct:g} %"
    alert = Alert(
        kind="auto_tune",
        severity="WARNING",
        subject="strategy",
        message=f"{text}, conviction {laid.min_conviction:g}, until one comes back",
        context=(),
        at_ns=now_ns,
    )
    return (Note(message=alert),)


def _proposed(state: Cycle, cycle: Open, made: ProposalsMade, now_ns: int) -> tuple[Cycle, Effects]:
    cycle = replace(cycle, made=made)
    if not made.proposals:
        return _close(state, cycle, reasons.unproposed(made), now_ns)
    wanted, dropped = reasons.without_pending(made.proposals, state.pending, state.settings.min_notional_usd)
    cycle = replace(cycle, dropped=dropped)
    if not wanted:
        return _close(state, cycle, no_trade(NoTrade.ORDERS_PENDING), now_ns)
    state, cycle = _stage(state, cycle, "risk", now_ns)
    batch = ProposalBatch(cycle=cycle.number, regime=_regime(cycle).value, proposals=wanted)
    return state, (Tell(to="risk", message=batch), _limit(state, now_ns))


def _judged(state: Cycle, cycle: Open, judged: BatchJudged, now_ns: int) -> tuple[Cycle, Effects]:
    told = Tell(to="control", message=judged)
    approved = tuple(d for d in judged.decisions if d.approved)
    if not approved:
        state, effects = _close(state, cycle, reasons.refused(judged.decisions), now_ns)
        return state, (told, *effects)
    cycle = replace(cycle, approved=len(approved), placing=frozenset(d.correlation for d in approved))
    state, cycle = _stage(state, cycle, "execution", now_ns)
    return state, (told, _limit(state, now_ns))


def _taken(state: Cycle, cycle: Open, taken: IntentTaken, now_ns: int) -> tuple[Cycle, Effects]:
    """The desk spoke of one of our entries; after the last of them the cycle is over."""
    made = taken.outcome in {"", _SHADOW}
    cycle = replace(cycle, placing=cycle.placing - {taken.correlation}, placed=cycle.placed + made)
    if cycle.placing:
        return replace(state, open=cycle), NO_EFFECTS
    return _close(state, cycle, "" if cycle.placed else no_trade(NoTrade.NOTHING_PLACED), now_ns)


def _stage(state: Cycle, cycle: Open, name: str, now_ns: int) -> tuple[Cycle, Open]:
    took = (cycle.stage, (now_ns - cycle.stage_ns) // _US)
    cycle = replace(cycle, stage=name, stage_ns=now_ns, stages_us=(*cycle.stages_us, took))
    return replace(state, open=cycle), cycle


def _due_ns(state: Cycle, cycle: Open) -> int:
    """When the stage under way must have been answered."""
    settings = state.settings
    if cycle.stage != _ASKING:
        return cycle.stage_ns + settings.stage_limit_ns
    due_ns = cycle.alpha_ns + (settings.strategies_ns if state.alpha_up else settings.alpha_back_ns)
    return min(due_ns, cycle.stage_ns + settings.stage_limit_ns)  # also when it dies again and again


def _limit(state: Cycle, now_ns: int) -> SetTimer:
    return SetTimer(timer="stage", due_ns=now_ns + state.settings.stage_limit_ns)


# --- the end of a cycle -------------------------------------------------------------------------------------------


def _close(state: Cycle, cycle: Open, reason: str, now_ns: int) -> tuple[Cycle, Effects]:
    state, cycle = _stage(state, cycle, "closed", now_ns)
    elapsed_ns = now_ns - cycle.opened_ns
    latencies = (*state.latencies_ms, elapsed_ns / 1e6)[-_KEPT_LATENCIES:]
    state = replace(state, open=None, latencies_ms=latencies)
    record = _record(cycle, reason, now_ns)
    effects: list[Effect] = [
        Note(message=record),
        ClearTimer(timer="stage"),
        SetTimer(timer="cycle", due_ns=now_ns + wait_ns(state.settings, cycle.number, elapsed_ns)),
        Tell(to="control", message=record),
        Tell(to="control", message=_view(state, now_ns)),
        Tell(to="metrics", message=_view(state, now_ns)),
        Tell(to="metrics", message=record),
        Count(metric="trader_cycle_total", labels=(("status", record.status),)),
        LogLine(
            level="info",
            event="cycle",
            fields=(("cycle", str(cycle.number)), ("status", record.status), ("reason", reason)),
        ),
    ]
    if reason:
        effects.append(Count(metric="trader_no_trade_total", labels=(("reason", reason.partition(":")[0]),)))
    return state, tuple(effects)


def _record(cycle: Open, reason: str, now_ns: int) -> CycleRecord:
    made, view = cycle.made, cycle.universe
    status = "EXECUTED" if not reason else "NO_TRADE" if made is not None and made.proposals else "NO_OPPORTUNITIES"
    return CycleRecord(
        cycle=cycle.number,
        status=status,
        no_trade_reason=reason,
        regime=_regime(cycle),
        eligible=len(view.eligible) if view is not None else 0,
        triggers=made.triggers if made is not None else (),
        passed=(*(made.passed if made is not None else ()), *cycle.dropped),
        proposals=len(made.proposals) if made is not None else 0,
        approved=cycle.approved,
        excluded=view.excluded if view is not None else (),
        stages_us=cycle.stages_us,
        at_ns=now_ns,
        overlay=made.overlay if made is not None else None,
    )


def _regime(cycle: Open) -> Regime:
    return cycle.universe.regime if cycle.universe is not None else Regime.CHOP


def _view(state: Cycle, now_ns: int) -> CycleView:
    ordered = sorted(state.latencies_ms)
    return CycleView(
        n=state.number,
        last_ms=state.latencies_ms[-1],
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
        last_ns=now_ns,
    )


def percentile(ordered: list[float], share: float) -> float:
    """Linear interpolation at k = (n - 1) * share of ascending values (operations.md §4). At least one value."""
    position = (len(ordered) - 1) * share
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def wait_ns(settings: Settings, number: int, elapsed_ns: int) -> int:
    """Until the next cycle: max(1 s, interval - elapsed + jitter), longer when the last one was busy."""
    jitter = int(_share(settings.seed, number) * settings.jitter_share * settings.interval_ns)
    busy = settings.backoff_ns if elapsed_ns > settings.busy_share * settings.interval_ns else 0
    return max(SECOND_NS, settings.interval_ns - elapsed_ns + jitter) + busy


def _share(seed: int, number: int) -> float:
    """A uniform share in [0, 1) for a cycle: a core draws no randomness, so it is derived from seed and number.

    Source: S. Vigna, splitmix64.
    """
    z = (seed + number * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def _name(number: int) -> str:
    return f"cycle-{number}"
