"""Which gates are tripped, and what they make of the trading state (risk.md §7). The strictest state holds.

A gate without a mark of its own is as old as its announcement (`Risk.known`).
"""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk import staleness
from actors.risk.limits import Limits
from actors.risk.state import Mark, Record, Risk
from protocol.ids import ProductId
from protocol.instants import day_key, week_key
from protocol.money import PCT, ZERO
from protocol.portfolio import PortfolioView
from protocol.risk import Gate, Reason, TradingState
from protocol.strategy import Regime

_STOPS = frozenset({Reason.DAILY_STOP, Reason.WEEKLY_STOP, Reason.MAX_DRAWDOWN})
_NO_MARK = Mark(reason="loss limit", by="desk", since_ns=0)
"""Of a stop that an earlier version put on record without its time."""
_OFF_TWICE = 2
_SEVERITY = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED, TradingState.KILLED)


def tripped(risk: Risk, now_ns: int) -> tuple[Gate, ...]:
    """Every gate that is tripped now, in the order in which refusals name them."""
    found = (
        _killed(risk),
        *_stops(risk, now_ns),
        *_venue(risk, now_ns),
        _marked(risk.record.accounting, Reason.ACCOUNTING_MISMATCH, TradingState.HALTED),
        _store(risk, now_ns),
        _lanes(risk, now_ns),
        _clock(risk, now_ns),
        _watchdog(risk, now_ns),
        _unreconciled(risk, now_ns),
        _marked(risk.drift, Reason.CONFIG_DRIFT, TradingState.REDUCING),
        _crash(risk, now_ns),
        _universe(risk, now_ns),
        _market(risk, now_ns),
        _losses(risk, now_ns),
        _rejections(risk, now_ns),
        _exceptions(risk, now_ns),
        _marked(risk.record.paused, Reason.OPERATOR_PAUSE, TradingState.REDUCING),
        _governance(risk, now_ns),
    )
    return tuple(gate for gate in found if gate is not None)


def of_products(risk: Risk, now_ns: int) -> tuple[Gate, ...]:
    """The gates that concern one product each: its data went stale, or the venue does not trade it freely."""
    stale = (_stale(risk, ProductId(p), now_ns) for p in sorted(risk.held) if p != staleness.MARKET)
    return (*stale, *(_disabled(risk, p, now_ns) for p, rules in sorted(risk.rules.items()) if not rules.tradable))


def everything(risk: Risk, now_ns: int) -> tuple[Gate, ...]:
    """Gates of the desk and of products."""
    return (*tripped(risk, now_ns), *of_products(risk, now_ns))


def stopped(gates: tuple[Gate, ...]) -> bool:
    """Whether a loss limit is tripped, which also ends what is working on a purchase."""
    return any(g.code in _STOPS for g in gates)


def strictest(gates: tuple[Gate, ...]) -> TradingState:
    """The state that all tripped gates together demand."""
    return max((g.state for g in gates), key=_SEVERITY.index, default=TradingState.ACTIVE)


def name(code: Reason, product: str = "") -> str:
    """What makes a gate the same one at the next look: the key of `Risk.known`."""
    return f"{code.value}/{product}"


def _gate(risk: Risk, code: Reason, state: TradingState, now_ns: int, reason: str, product: str = "") -> Gate:
    known = risk.known.get(name(code, product))
    since_ns = now_ns if known is None else known.since_ns
    return Gate(code=code, state=state, since_ns=since_ns, reason=reason, by="desk", latched=False, product_id=product)


def _marked(mark: Mark | None, code: Reason, state: TradingState) -> Gate | None:
    if mark is None:
        return None
    return Gate(code=code, state=state, since_ns=mark.since_ns, reason=mark.reason, by=mark.by, latched=True)


def _killed(risk: Risk) -> Gate | None:
    return _marked(risk.record.killed, Reason.KILL_SWITCH, TradingState.KILLED)


def _stops(risk: Risk, now_ns: int) -> tuple[Gate | None, ...]:
    """Daily and weekly stop hold until their roll-over, the drawdown latch until an operator resets the peak."""
    state = TradingState.REDUCING if risk.limits.protective_exits_when_halted else TradingState.HALTED
    record = risk.record
    day = _marked(record.daily or _NO_MARK, Reason.DAILY_STOP, state)
    week = _marked(record.weekly or _NO_MARK, Reason.WEEKLY_STOP, state)
    return (
        day if record.stopped_day == day_key(now_ns) else None,
        week if record.stopped_week == week_key(now_ns) else None,
        _marked(record.drawdown, Reason.MAX_DRAWDOWN, state),
    )


def _store(risk: Risk, now_ns: int) -> Gate | None:
    if not risk.store_trouble:
        return None
    state = TradingState.HALTED if risk.store_trouble == "failed" else TradingState.REDUCING
    return _gate(risk, Reason.STORE_FAILURE, state, now_ns, f"store {risk.store_trouble}")


def _lanes(risk: Risk, now_ns: int) -> Gate | None:
    """Events pile up somewhere: nothing new until they are worked off."""
    if not risk.lanes:
        return None
    state = TradingState.HALTED if any(risk.lanes.values()) else TradingState.REDUCING
    return _gate(risk, Reason.EVENT_LANE, state, now_ns, ",".join(sorted(risk.lanes)))


def _venue(risk: Risk, now_ns: int) -> tuple[Gate | None, ...]:
    health = risk.health
    if health is None:
        return ()
    limited = health.rate_limited_until_ns > now_ns
    found = (
        (limited, Reason.RATE_LIMIT_COOLDOWN, TradingState.REDUCING, "429 from the venue"),
        (risk.api_down, Reason.API_HEALTH, TradingState.REDUCING, f"{health.consecutive_errors} errors in a row"),
        (risk.api_down and health.probe_failed, Reason.EXCHANGE_UNHEALTHY, TradingState.HALTED, "no good probe"),
        (health.auth_failing, Reason.CREDENTIALS, TradingState.HALTED, "401 persists"),
    )
    return tuple(_gate(risk, code, state, now_ns, reason) if on else None for on, code, state, reason in found)


def _clock(risk: Risk, now_ns: int) -> Gate | None:
    """Our clock is off, twice measured, or the wall clock was set and the venue's has not been held against ours."""
    if risk.off_clock < _OFF_TWICE and not risk.jumped_ns:
        return None
    reason = "the wall clock was set" if risk.jumped_ns else f"off by {staleness.offset(risk) // 1_000_000} ms"
    return _gate(risk, Reason.CLOCK, TradingState.REDUCING, now_ns, reason)


def _watchdog(risk: Risk, now_ns: int) -> Gate | None:
    if risk.watchdog_alive:
        return None
    return _gate(risk, Reason.WATCHDOG_ABSENT, TradingState.REDUCING, now_ns, "no beat from the watchdog")


def _unreconciled(risk: Risk, now_ns: int) -> Gate | None:
    """Nothing is placed before the kill latch is known and the first picture is complete (execution.md §7)."""
    if not risk.latch_heard:
        return _gate(risk, Reason.NOT_RECONCILED, TradingState.HALTED, now_ns, "the watchdog has not been heard yet")
    if risk.view is not None and risk.view.reconciled:
        return None
    return _gate(risk, Reason.NOT_RECONCILED, TradingState.HALTED, now_ns, "not reconciled with the venue yet")


def _crash(risk: Risk, now_ns: int) -> Gate | None:
    """The universe leaves a crash after two cycles by itself; volatility is held to the same here."""
    wild = risk.calm_cycles is not None
    if risk.regime is not Regime.CRASH and not wild:
        return None
    reason = "crash regime" if not wild else f"volatility {risk.volatility_pct or 0.0:.0f} %"
    return _gate(risk, Reason.REGIME_CRASH, TradingState.REDUCING, now_ns, reason)


def _governance(risk: Risk, now_ns: int) -> Gate | None:
    """People took their second hand off the switch to real money while it was under way: positions are only left."""
    if risk.limits.live_enabled:
        return None
    reason = "governance.live_trading_enabled is false"
    return _gate(risk, Reason.GOVERNANCE, TradingState.REDUCING, now_ns, reason)


def _universe(risk: Risk, now_ns: int) -> Gate | None:
    if risk.eligible is None or risk.eligible >= risk.limits.min_eligible:
        return None
    reason = f"{risk.eligible} eligible products"
    return _gate(risk, Reason.INSUFFICIENT_UNIVERSE, TradingState.REDUCING, now_ns, reason)


def _market(risk: Risk, now_ns: int) -> Gate | None:
    """The reference or most products went stale: nobody knows the market well enough to enter it anywhere."""
    if not staleness.waiting(risk, staleness.MARKET):
        return None
    return _gate(risk, Reason.STALE_DATA, TradingState.REDUCING, now_ns, "the reference or most products went stale")


def _stale(risk: Risk, product: ProductId, now_ns: int) -> Gate:
    old = next((age for age in staleness.ages(risk, product, now_ns) if not age.passed), None)
    reason = "fresh again, for fewer than two cycles" if old is None else f"{old.detail} {old.value_s or ''}".strip()
    return _gate(risk, Reason.STALE_DATA, TradingState.REDUCING, now_ns, reason, product)


def _disabled(risk: Risk, product: ProductId, now_ns: int) -> Gate:
    return _gate(risk, Reason.PRODUCT_DISABLED, TradingState.HALTED, now_ns, risk.rules[product].status, product)


def _losses(risk: Risk, now_ns: int) -> Gate | None:
    streak = risk.record.loss_streak >= risk.limits.loss_streak
    if not streak or now_ns >= risk.record.last_loss_ns + risk.limits.loss_pause_ns:
        return None
    return _gate(risk, Reason.LOSS_STREAK_COOLDOWN, TradingState.REDUCING, now_ns, "losses in a row")


def _rejections(risk: Risk, now_ns: int) -> Gate | None:
    recent = [t for t in risk.record.rejections_ns if now_ns - t < risk.limits.reject_window_ns]
    if len(recent) < risk.limits.reject_burst:
        return None
    return _gate(risk, Reason.REJECTION_BURST, TradingState.REDUCING, now_ns, f"{len(recent)} rejections")


def _exceptions(risk: Risk, now_ns: int) -> Gate | None:
    recent = [t for t in risk.record.crashes_ns if now_ns - t < risk.limits.crash_window_ns]
    if len(recent) < risk.limits.crash_burst:
        return None
    return _gate(risk, Reason.EXCEPTION_BURST, TradingState.REDUCING, now_ns, f"{len(recent)} unexpected exceptions")


def with_stops(record: Record, view: PortfolioView, limits: Limits, now_ns: int) -> Record:
    """Latch daily and weekly stop and drawdown on equity change; each limit itself already trips.

    A stop belongs to the period that was measured: late news of yesterday's loss does not stop today.
    """
    periods, nav = view.periods, view.nav_usd
    if periods is None or nav is None:
        return record
    if _lost(nav, periods.day_open_usd, limits.daily_stop_pct):
        mark = Mark(reason=f"daily loss limit {limits.daily_stop_pct} %", by="desk", since_ns=now_ns)
        mark = mark if record.stopped_day != periods.day else record.daily or mark
        record = replace(record, stopped_day=periods.day, daily=mark)
    if _lost(nav, periods.week_open_usd, limits.weekly_stop_pct):
        mark = Mark(reason=f"weekly loss limit {limits.weekly_stop_pct} %", by="desk", since_ns=now_ns)
        mark = mark if record.stopped_week != periods.week else record.weekly or mark
        record = replace(record, stopped_week=periods.week, weekly=mark)
    drawdown = view.drawdown_pct
    if record.drawdown is None and drawdown is not None and drawdown >= limits.max_drawdown_pct:
        record = replace(record, drawdown=Mark(reason=f"drawdown {drawdown:.2f} %", by="desk", since_ns=now_ns))
    return record


def _lost(nav: Decimal, opened: Decimal, stop_pct: Decimal) -> bool:
    return opened > ZERO and period_pct(nav, opened) <= stop_pct


def period_pct(now_usd: Decimal, opened_usd: Decimal) -> Decimal:
    """Equity change since a period's opening, per cent of the opening."""
    return (now_usd - opened_usd) / opened_usd * PCT
