"""What the operator is shown, from the newest views: plain JSON values, money as decimal text. Pure."""

from decimal import Decimal
from typing import Any

import msgspec

from actors.control import explain
from actors.control.state import Control
from protocol.discovery import LeftOut
from protocol.instants import SECOND_NS, iso
from protocol.market import Quote
from protocol.money import plain
from protocol.orders import OrderState
from protocol.portfolio import FillApplied, Position
from protocol.risk import Gate, Reason, TradingState
from protocol.strategy import Asset, Check, Exclusion

Json = dict[str, Any]

_BY_SEVERITY = (TradingState.KILLED, TradingState.HALTED, TradingState.REDUCING)


def status(state: Control, now_ns: int) -> Json:
    """`status --json` of the command-line contract."""
    view, risk, cycle = state.portfolio, state.risk, state.cycle
    settings = state.settings
    return {
        "mode": settings.mode,
        "venue": settings.venue,
        "profile": settings.profile,
        "state": risk.state.value if risk is not None else TradingState.HALTED.value,
        "halt": halt(risk.gates if risk is not None else ()),
        "gates": [_gate(g) for g in risk.gates] if risk is not None else [],
        "epoch": settings.epoch,
        "armed": state.armed,
        "uptime_s": round((now_ns - state.started_ns) / SECOND_NS, 1),
        "equity_usd": _money(view.nav_usd if view is not None else None),
        "cash_usd": _money(view.cash_usd if view is not None else None),
        "daily_pnl_usd": _money(view.daily_pnl_usd if view is not None else None),
        "realised_today_usd": _money(view.realised_today_usd if view is not None else None),
        "fees_today_usd": _money(view.fees_today_usd if view is not None else None),
        "drawdown_pct": _pct(view.drawdown_pct if view is not None else None),
        "exposure_pct": _pct(risk.exposure_pct if risk is not None else None),
        "open_orders": sum(not o.terminal for o in state.orders.values()),
        "positions": len(view.positions) if view is not None else 0,
        "unavailable": view.unavailable if view is not None else "portfolio",
        "regime": state.universe.regime.value if state.universe is not None else None,
        "eligible": len(state.universe.eligible) if state.universe is not None else 0,
        "cycle": {
            "n": cycle.n if cycle is not None else 0,
            "last_ms": cycle.last_ms if cycle is not None else None,
            "p95_ms": cycle.p95_ms if cycle is not None else None,
            "p99_ms": cycle.p99_ms if cycle is not None else None,
        },
        "watchdog": {
            "alive": state.watchdog_alive,
            "beat_age_s": state.pages.watchdog_age_s if state.pages is not None else None,
        },
        "ledger": {t.currency: plain(t.total) for t in view.ledger} if view is not None else {},
        "config_hash": settings.config_hash,
        "versions": dict(settings.versions),
    }


def halt(gates: tuple[Gate, ...]) -> Json:
    """The gate that decides the state: reason, at, by; empty values when nothing is tripped."""
    for state in _BY_SEVERITY:
        gate = next((g for g in gates if g.state is state), None)
        if gate is not None:
            return {"reason": _reason(gate), "at": iso(gate.since_ns), "by": gate.by}
    return {"reason": None, "at": None, "by": None}


def _reason(gate: Gate) -> str:
    """A kill is shown with the operator's own words, everything else by its code first."""
    if gate.code is Reason.KILL_SWITCH:
        return gate.reason
    return f"{gate.code.value}: {gate.reason}" if gate.reason else gate.code.value


def _gate(gate: Gate) -> Json:
    return {
        "code": gate.code.value,
        "state": gate.state.value,
        "reason": gate.reason,
        "by": gate.by,
        "latched": gate.latched,
    }


def orders(state: Control) -> list[Json]:
    """Orders that might rest, then the last ended ones."""
    rows = sorted(state.orders.values(), key=lambda o: (o.terminal, -o.created_ns))
    return [_order(o) for o in rows]


def _order(order: OrderState) -> Json:
    spec = order.spec
    return {
        "client_order_id": order.client_order_id,
        "order_id": order.venue_order_id,
        "product_id": spec.product_id,
        "side": spec.side.value,
        "purpose": order.intent.purpose.value,
        "status": order.status.value,
        "size": _money(spec.base_size),
        "quote_size": _money(spec.quote_size),
        "limit_price": _money(spec.limit_price),
        "filled_size": plain(order.filled_size),
        "filled_value": plain(order.filled_value),
        "fees": plain(order.fees),
        "created_at": iso(order.created_ns),
        "error": order.error,
        "correlation": order.intent.correlation,
    }


def positions(state: Control) -> list[Json]:
    """Open positions with what they are worth and how they will be left."""
    return [_position(p, state.quotes.get(p.product_id)) for p in state.portfolio.positions] if state.portfolio else []


def _position(position: Position, quote: Quote | None) -> Json:
    average, targets = position.average_price, position.targets
    stop = average * (1 - targets.stop_loss_pct / 100)
    target = average * (1 + targets.take_profit_pct / 100)
    return {
        "product_id": position.product_id,
        "strategy": position.strategy,
        "quantity": plain(position.quantity),
        "unbooked": plain(position.unbooked),
        "average_price": plain(average),
        "mark": _money(position.mark if position.mark is not None else quote.bid if quote is not None else None),
        "value_usd": _money(position.value_usd),
        "unrealised_usd": _money(position.unrealised_usd),
        "stop_price": plain(stop),
        "target_price": plain(target),
        "opened_at": iso(position.opened_ns),
        "leave_by": iso(position.opened_ns + targets.max_hold_s * SECOND_NS),
        "correlation": position.correlation,
    }


def fills(state: Control) -> list[Json]:
    """The last fills, newest first."""
    return [_fill(f) for f in reversed(state.fills)]


def _fill(fill: FillApplied) -> Json:
    return {
        "entry_id": fill.entry_id,
        "client_order_id": fill.client_order_id,
        "product_id": fill.product_id,
        "side": "BUY" if fill.buy else "SELL",
        "price": plain(fill.price),
        "size": plain(fill.size),
        "value_usd": plain(fill.value),
        "fee_usd": plain(fill.fee),
        "liquidity": "maker" if fill.maker else "taker",
        "at": iso(fill.trade_ns),
        "net_usd": _money(fill.net_usd),
        "exit_code": fill.exit_code,
        "correlation": fill.correlation,
    }


def universe(state: Control) -> Json:
    """Who is eligible, who is not and why."""
    view = state.universe
    if view is None:
        return {"regime": None, "eligible": [], "excluded": [], "flags": [], "discovery": _discovery(state)}
    return {
        "regime": view.regime.value,
        "regime_confidence": view.regime_confidence,
        "trend_pct": view.trend_pct,
        "volatility_pct": view.volatility_pct,
        "eligible": [_asset(a) for a in view.eligible],
        "excluded": [_exclusion(x) for x in view.excluded],
        "flags": [
            {
                "product_id": flag.product_id,
                "reason": flag.reason,
                "by": flag.by,
                "banned_at": iso(flag.banned_ns),
                "expires_at": iso(flag.expires_ns),
            }
            for flag in view.flags
        ],
        "discovery": _discovery(state),
    }


def _discovery(state: Control) -> Json | None:
    """What the start has found; None: the tiers are configured."""
    found = state.settings.found
    if found is None:
        return None
    return {
        "at": iso(found.at_ns),
        "source": found.source.value,
        "detail": found.detail,
        "tiers": {str(number): list(products) for number, products in enumerate(found.tiers, start=1)},
        "left_out": [_left_out(out) for out in found.left_out],
        "unread": list(found.unread),
    }


def _left_out(out: LeftOut) -> Json:
    limit = None if out.limit is None else float(out.limit)
    value = None if out.value is None else float(out.value)
    return {"product_id": out.product_id, "reason": out.reason, "value": value, "limit": limit}


def _asset(asset: Asset) -> Json:
    plain_asset: Json = msgspec.to_builtins(asset)
    return plain_asset | {"max_allocation_pct": plain(asset.max_allocation_pct), "checks": _checks(asset.checks)}


def _exclusion(out: Exclusion) -> Json:
    return {
        "product_id": out.product_id,
        "tier": out.tier,
        "reason": out.reason,
        "value": out.value,
        "limit": out.limit,
        "checks": _checks(out.checks),
    }


def _checks(checks: tuple[Check, ...]) -> list[Json]:
    return [{"code": c.code, "passed": c.passed, "value": c.value, "limit": c.limit, "unit": c.unit} for c in checks]


def why(state: Control, product: str, at_ns: int | None) -> Json:
    """What the last cycle (at or before `at_ns`) decided about a product, rule by rule; and what stops it now."""
    decisions = tuple((judged.cycle, decision) for judged in state.judged for decision in judged.decisions)
    told = explain.why(state.records, decisions, product, at_ns)
    return told | {"gates": [_gate(g) for g in state.risk.gates] if state.risk is not None else []}


def _money(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _pct(value: Decimal | None) -> float | None:
    return None if value is None else float(round(value, 4))
