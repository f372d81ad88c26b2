"""Gauges and health from the newest views (operations.md §1, §3): what was useful, not what is alive. Pure."""

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from protocol.base import NO_EFFECTS, Effect, Effects, Message, Value
from protocol.effects import SetTimer
from protocol.instants import SECOND_NS, iso
from protocol.lifecycle import Recover, Wake
from protocol.portfolio import PortfolioView
from protocol.risk import BREAKERS, RiskView, TradingState
from protocol.strategy import CycleRecord, CycleView

_STALE_INTERVALS = 3

Labels = tuple[tuple[str, str], ...]


class Gauge(Value, frozen=True, kw_only=True):
    """One value of the exposition."""

    name: str
    value: float
    labels: Labels = ()


class Publish(Effect, frozen=True, kw_only=True, tag="metrics.publish"):
    """Show these gauges and this health document from now on."""

    gauges: tuple[Gauge, ...]
    health: bytes
    ok: bool


class Settings(Value, frozen=True, kw_only=True):
    """This run, as health shows it."""

    mode: str
    config_hash: str
    risk_profile: str
    interval_ns: int
    pace_ns: int = SECOND_NS


class Metrics(Value, frozen=True, kw_only=True):
    """The newest of everything."""

    settings: Settings
    portfolio: PortfolioView | None = None
    risk: RiskView | None = None
    cycle: CycleView | None = None
    record: CycleRecord | None = None


def step(state: Metrics, message: Message, now_ns: int) -> tuple[Metrics, Effects]:
    """Advance by one message; publish at the run's pace."""
    match message:
        case PortfolioView():
            return replace(state, portfolio=message), NO_EFFECTS
        case RiskView():
            return replace(state, risk=message), NO_EFFECTS
        case CycleView():
            return replace(state, cycle=message), NO_EFFECTS
        case CycleRecord():
            return replace(state, record=message), NO_EFFECTS
        case Recover() | Wake():
            again = SetTimer(timer="publish", due_ns=now_ns + state.settings.pace_ns)
            return state, (publish(state, now_ns), again)
    return state, NO_EFFECTS


def publish(state: Metrics, now_ns: int) -> Publish:
    """What scrapers and health checks see now."""
    issues = _issues(state, now_ns)
    return Publish(gauges=_gauges(state), health=_health(state, issues, now_ns), ok=not issues)


def _gauges(state: Metrics) -> tuple[Gauge, ...]:
    gauges = [
        Gauge(
            name="trader_config_info",
            value=1.0,
            labels=(
                ("hash", state.settings.config_hash),
                ("risk_profile", state.settings.risk_profile),
                ("mode", state.settings.mode),
            ),
        )
    ]
    return (*gauges, *_risk_gauges(state.risk), *_money_gauges(state.portfolio), *_cycle_gauges(state))


def _risk_gauges(risk: RiskView | None) -> list[Gauge]:
    if risk is None:
        return []
    tripped = {gate.code for gate in (*risk.gates, *risk.products)}
    return [
        *_maybe("trader_exposure_pct", risk.exposure_pct, (("type", "at_risk"),)),
        *([] if risk.starved_cells is None else [Gauge(name="trader_starved_cells", value=float(risk.starved_cells))]),
        Gauge(name="trader_trades_per_hour", value=float(risk.entries_1h)),
        *(
            Gauge(name="trader_circuit_breaker_state", value=float(c in tripped), labels=(("breaker", c.value),))
            for c in BREAKERS
        ),
        *(
            Gauge(name="trader_state", value=float(risk.state is state), labels=(("state", state.value),))
            for state in TradingState
        ),
    ]


def _money_gauges(view: PortfolioView | None) -> list[Gauge]:
    if view is None:
        return []
    return [
        *_maybe("trader_account_value_usd", view.nav_usd),
        *_maybe("trader_daily_pnl_usd", view.daily_pnl_usd),
        *_maybe("trader_max_drawdown_pct", view.drawdown_pct),
        Gauge(name="trader_open_positions", value=float(len(view.positions))),
        *(
            gauge
            for p in view.positions
            for gauge in _maybe("trader_position_value_usd", p.value_usd, (("symbol", p.product_id),))
        ),
    ]


def _cycle_gauges(state: Metrics) -> list[Gauge]:
    gauges = []
    if state.cycle is not None:
        gauges.append(Gauge(name="trader_last_cycle_timestamp_seconds", value=state.cycle.last_ns / SECOND_NS))
    if state.record is not None:
        gauges.append(Gauge(name="trader_triggers_detected", value=float(len(state.record.triggers))))
        gauges.append(Gauge(name="trader_proposals_generated", value=float(state.record.proposals)))
    return gauges


def _maybe(name: str, value: Decimal | None, labels: Labels = ()) -> list[Gauge]:
    """An unknown value has no sample; it is never shown as zero."""
    return [] if value is None else [Gauge(name=name, value=float(value), labels=labels)]


def _issues(state: Metrics, now_ns: int) -> list[str]:
    issues = []
    if state.risk is None:
        return ["no_view"]
    if state.risk.state is TradingState.KILLED:
        issues.append("kill_switch")
    issues += [f"breaker_{gate.code.value}" for gate in state.risk.gates if gate.state is TradingState.HALTED]
    if state.cycle is None or now_ns - state.cycle.last_ns > _STALE_INTERVALS * state.settings.interval_ns + SECOND_NS:
        issues.append("stale_cycle")
    return issues


def _health(state: Metrics, issues: list[str], now_ns: int) -> bytes:
    view, risk = state.portfolio, state.risk
    document = {
        "timestamp": iso(now_ns),
        "mode": state.settings.mode,
        "state": risk.state.value if risk is not None else None,
        "running": True,
        "regime": state.record.regime.value if state.record is not None else None,
        "cycle": None if state.record is None else _cycle(state.record),
        "kill_switch_active": risk is not None and risk.state is TradingState.KILLED,
        "portfolio": {
            "open_positions": len(view.positions) if view is not None else None,
            "account_value_usd": str(view.nav_usd) if view is not None and view.nav_usd is not None else None,
        },
        "issues": issues,
        "ok": not issues,
    }
    return msgspec.json.encode(document)


def _cycle(record: CycleRecord) -> dict[str, object]:
    return {
        "n": record.cycle,
        "status": record.status,
        "proposals": record.proposals,
        "approved": record.approved,
        "reason": record.no_trade_reason,
    }
