"""Which gates are tripped, and what they make of the trading state (risk.md §7). The strictest state holds."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.limits import Limits
from actors.risk.state import Mark, Record, Risk
from protocol.instants import day_key, week_key
from protocol.money import PCT, ZERO
from protocol.portfolio import PortfolioView
from protocol.risk import Gate, Reason, TradingState
from protocol.strategy import Regime

_STOPS = frozenset({Reason.DAILY_STOP, Reason.WEEKLY_STOP, Reason.MAX_DRAWDOWN})
_SEVERITY = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED, TradingState.KILLED)


def tripped(risk: Risk, now_ns: int) -> tuple[Gate, ...]:
    """Every gate that is tripped now, in the order in which refusals name them."""
    found = (
        _killed(risk),
        *_stops(risk, now_ns),
        _marked(risk.record.accounting, Reason.ACCOUNTING_MISMATCH, TradingState.HALTED),
        _store(risk, now_ns),
        _lanes(risk, now_ns),
        *_venue(risk, now_ns),
        _watchdog(risk, now_ns),
        _unreconciled(risk, now_ns),
        _crash(risk, now_ns),
        _universe(risk, now_ns),
        _losses(risk, now_ns),
        _rejections(risk, now_ns),
        _marked(risk.record.paused, Reason.OPERATOR_PAUSE, TradingState.REDUCING),
    )
    return tuple(gate for gate in found if gate is not None)


def stopped(gates: tuple[Gate, ...]) -> bool:
    """Whether a loss limit is tripped, which also ends what is working on a purchase."""
    return any(g.code in _STOPS for g in gates)


def strictest(gates: tuple[Gate, ...]) -> TradingState:
    """The state that all tripped gates together demand."""
    return max((g.state for g in gates), key=_SEVERITY.index, default=TradingState.ACTIVE)


def _gate(code: Reason, state: TradingState, since_ns: int, reason: str, *, latched: bool = False) -> Gate:
    return Gate(code=code, state=state, since_ns=since_ns, reason=reason, by="desk", latched=latched)


def _marked(mark: Mark | None, code: Reason, state: TradingState) -> Gate | None:
    if mark is None:
        return None
    return Gate(code=code, state=state, since_ns=mark.since_ns, reason=mark.reason, by=mark.by, latched=True)


def _killed(risk: Risk) -> Gate | None:
    return _marked(risk.record.killed, Reason.KILL_SWITCH, TradingState.KILLED)


def _stops(risk: Risk, now_ns: int) -> tuple[Gate | None, ...]:
    """Daily and weekly stop hold until their roll-over, the drawdown latch until an operator resets the peak."""
    state = TradingState.REDUCING if risk.limits.protective_exits_when_halted else TradingState.HALTED
    day = risk.record.stopped_day == day_key(now_ns)
    week = risk.record.stopped_week == week_key(now_ns)
    return (
        _gate(Reason.DAILY_STOP, state, now_ns, "daily loss limit", latched=True) if day else None,
        _gate(Reason.WEEKLY_STOP, state, now_ns, "weekly loss limit", latched=True) if week else None,
        _marked(risk.record.drawdown, Reason.MAX_DRAWDOWN, state),
    )


def _store(risk: Risk, now_ns: int) -> Gate | None:
    if not risk.store_trouble:
        return None
    state = TradingState.REDUCING if risk.store_trouble == "full" else TradingState.HALTED
    return _gate(Reason.STORE_FAILURE, state, now_ns, f"store {risk.store_trouble}")


def _lanes(risk: Risk, now_ns: int) -> Gate | None:
    """Events pile up somewhere: nothing new until they are worked off."""
    if not risk.full_lanes:
        return None
    return _gate(Reason.EVENT_LANE, TradingState.HALTED, now_ns, ",".join(sorted(risk.full_lanes)))


def _venue(risk: Risk, now_ns: int) -> tuple[Gate | None, ...]:
    health = risk.health
    if health is None:
        return ()
    failing = health.consecutive_errors >= risk.limits.max_api_errors
    return (
        _gate(Reason.CREDENTIALS, TradingState.HALTED, now_ns, "401 persists") if health.auth_failing else None,
        _gate(Reason.RATE_LIMIT_COOLDOWN, TradingState.REDUCING, now_ns, "429 from the venue")
        if health.rate_limited_until_ns > now_ns
        else None,
        _gate(Reason.API_HEALTH, TradingState.REDUCING, now_ns, f"{health.consecutive_errors} errors in a row")
        if failing
        else None,
    )


def _watchdog(risk: Risk, now_ns: int) -> Gate | None:
    if risk.watchdog_alive:
        return None
    return _gate(Reason.WATCHDOG_ABSENT, TradingState.REDUCING, now_ns, "no beat from the watchdog")


def _unreconciled(risk: Risk, now_ns: int) -> Gate | None:
    """Nothing is placed before the kill latch is known and the first picture is complete (execution.md §7)."""
    if not risk.latch_heard:
        return _gate(Reason.NOT_RECONCILED, TradingState.HALTED, now_ns, "the watchdog has not been heard yet")
    if risk.view is not None and risk.view.reconciled:
        return None
    return _gate(Reason.NOT_RECONCILED, TradingState.HALTED, now_ns, "not reconciled with the venue yet")


def _crash(risk: Risk, now_ns: int) -> Gate | None:
    if risk.regime is not Regime.CRASH:
        return None
    return _gate(Reason.REGIME_CRASH, TradingState.REDUCING, now_ns, "crash regime")


def _universe(risk: Risk, now_ns: int) -> Gate | None:
    if risk.eligible is None or risk.eligible >= risk.limits.min_eligible:
        return None
    return _gate(Reason.INSUFFICIENT_UNIVERSE, TradingState.REDUCING, now_ns, f"{risk.eligible} eligible products")


def _losses(risk: Risk, now_ns: int) -> Gate | None:
    streak = risk.record.loss_streak >= risk.limits.loss_streak
    if not streak or now_ns >= risk.record.last_loss_ns + risk.limits.loss_pause_ns:
        return None
    return _gate(Reason.LOSS_STREAK_COOLDOWN, TradingState.REDUCING, risk.record.last_loss_ns, "losses in a row")


def _rejections(risk: Risk, now_ns: int) -> Gate | None:
    recent = [t for t in risk.record.rejections_ns if now_ns - t < risk.limits.reject_window_ns]
    if len(recent) < risk.limits.reject_burst:
        return None
    return _gate(Reason.REJECTION_BURST, TradingState.REDUCING, recent[0], f"{len(recent)} rejections")


def with_stops(record: Record, view: PortfolioView, limits: Limits, now_ns: int) -> Record:
    """Latch daily and weekly stop and drawdown on equity change; each limit itself already trips.

    A stop belongs to the period that was measured: late news of yesterday's loss does not stop today.
    """
    periods, nav = view.periods, view.nav_usd
    if periods is None or nav is None:
        return record
    if _lost(nav, periods.day_open_usd, limits.daily_stop_pct):
        record = replace(record, stopped_day=periods.day)
    if _lost(nav, periods.week_open_usd, limits.weekly_stop_pct):
        record = replace(record, stopped_week=periods.week)
    drawdown = view.drawdown_pct
    if record.drawdown is None and drawdown is not None and drawdown >= limits.max_drawdown_pct:
        record = replace(record, drawdown=Mark(reason=f"drawdown {drawdown:.2f} %", by="desk", since_ns=now_ns))
    return record


def _lost(nav: Decimal, opened: Decimal, stop_pct: Decimal) -> bool:
    return opened > ZERO and period_pct(nav, opened) <= stop_pct


def period_pct(now_usd: Decimal, opened_usd: Decimal) -> Decimal:
    """Equity change since a period's opening, per cent of the opening."""
    return (now_usd - opened_usd) / opened_usd * PCT
