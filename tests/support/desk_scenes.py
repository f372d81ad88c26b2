"""Builders for tests of the risk and portfolio rooms, with round numbers: NAV 10,000 USD, every mid 100 USD."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from actors.risk.actor import limits as risk_limits
from actors.risk.limits import Limits
from config.load import load
from protocol.base import Effects, Message
from protocol.effects import Commit, Note, Tell
from protocol.ids import ClientOrderId, IntentId, ProductId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.lifecycle import StoreRecord
from protocol.market import ProductRules, ProductsKnown, Quote
from protocol.orders import (
    Intent,
    IntentDone,
    OrderSpec,
    OrderState,
    Purpose,
    Side,
    Status,
    Step,
    StepKind,
    Targets,
    TimeInForce,
)
from protocol.policy import Policy
from protocol.portfolio import ExitWanted, FillApplied, PnlPeriods, PortfolioView, Position
from protocol.risk import Alert, EpochChanged, Gate, OperatorOrder, RiskView, TradingState
from protocol.strategy import Asset, Regime, TradeProposal, Trigger, UniverseView
from protocol.venue import AccountsListed, Balance, FillRecord, FillsListed, VenueHealth

M = TypeVar("M", bound=Message)
D = Decimal

NOON_NS = 1_795_003_200 * SECOND_NS  # Wednesday 2026-11-18, 12:00 UTC
DAY, WEEK = "2026-11-18", "2026-11-16"
BTC, ETH, SOL = ProductId("BTC-USD"), ProductId("ETH-USD"), ProductId("SOL-USD")
DOGE, XRP, LINK = ProductId("DOGE-USD"), ProductId("XRP-USD"), ProductId("LINK-USD")
PRODUCTS = (BTC, ETH, SOL, DOGE, XRP, LINK)
TARGETS = Targets(stop_loss_pct=D(10), take_profit_pct=D(12), max_hold_s=72 * 3600)


@cache
def policy() -> Policy:
    """The shipped policy of the embedded profile on PAPER, by the real loader."""
    return load(
        Path(__file__).resolve().parents[2] / "config", profile="embedded", overrides={"app.mode": "PAPER"}
    ).policy


def limits(**changes: Any) -> Limits:
    return replace(risk_limits(policy()), **changes)


# --- parts --------------------------------------------------------------------------------------------------------


def quote(product: str = BTC, bid: str = "99.99", ask: str = "100.01", **changes: Any) -> Quote:
    at = changes.pop("at", NOON_NS)
    parts = Quote(
        product_id=ProductId(product),
        bid=D(bid),
        bid_size=D(10_000),
        ask=D(ask),
        ask_size=D(10_000),
        bid_depth_usd=D(1_000_000),
        ask_depth_usd=D(1_000_000),
        venue_ns=at,
        fresh_ns=at,
        received_ns=at,
        sequence=1,
        candle_ns=at,
    )
    return replace(parts, **changes)


def asset(product: str = BTC, **changes: Any) -> Asset:
    """An eligible product; the majors are tier 1."""
    parts = Asset(
        product_id=ProductId(product),
        tier=1 if product in {BTC, ETH, SOL} else 2,
        theme="OTHER",
        bid=D("99.99"),
        ask=D("100.01"),
        spread_bps=2.0,
        depth_usd=2_000_000.0,
        volume_24h_usd=100_000_000.0,
    )
    return replace(parts, **changes)


def universe_view(**changes: Any) -> UniverseView:
    parts = UniverseView(
        at_ns=NOON_NS,
        regime=Regime.CHOP,
        regime_confidence=0.8,
        trend_pct=0.0,
        volatility_pct=50.0,
        eligible=tuple(asset(product) for product in PRODUCTS),
        excluded=(),
    )
    return replace(parts, **changes)


def product_rules(product: str = BTC, **changes: Any) -> ProductRules:
    base, _, quoted = product.partition("-")
    parts = ProductRules(
        product_id=ProductId(product),
        base=base,
        quote=quoted,
        price_increment=D("0.01"),
        base_increment=D("0.00000001"),
        quote_increment=D("0.01"),
        base_min_size=D("0.00000001"),
        quote_min_size=D(1),
        base_max_size=D(1_000_000),
        quote_max_size=D(50_000_000),
        status="online",
        trading_disabled=False,
        cancel_only=False,
        limit_only=False,
        post_only=False,
        view_only=False,
        auction_mode=False,
        alias="",
        volume_24h_usd=D(100_000_000),
    )
    return replace(parts, **changes)


def products_known(*rules: ProductRules) -> ProductsKnown:
    return ProductsKnown(products=rules or tuple(product_rules(p) for p in PRODUCTS), at_ns=NOON_NS)


def intent(product: str = BTC, side: Side = Side.BUY, **changes: Any) -> Intent:
    parts = Intent(
        correlation=f"c-{product}",
        product_id=ProductId(product),
        side=side,
        purpose=Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
        steps=(Step(kind=StepKind.MAKER, ttl_s=20.0),),
        bid=D("99.99"),
        ask=D("100.01"),
        not_after_ns=NOON_NS + 3 * SECOND_NS,
        quote_size=D(100) if side is Side.BUY else None,
        base_size=D(1) if side is Side.SELL else None,
        strategy="rules_engine",
        tier=1,
        targets=TARGETS,
    )
    return replace(parts, **changes)


def order(
    product: str = BTC,
    side: Side = Side.BUY,
    *,
    size: Any = 1,
    limit: Any = 100,
    status: Status = Status.ACCEPTED,
    name: str = "",
    **changes: Any,
) -> OrderState:
    """An order of one unit at 100 USD that rests; `name` makes its ids, `intent` may be given whole."""
    name = name or f"{product}-{side.value}"
    meant = changes.pop("intent", None) or intent(product, side)
    spec = OrderSpec(
        client_order_id=ClientOrderId(f"c-{name}"),
        product_id=ProductId(product),
        side=side,
        time_in_force=TimeInForce.GTD,
        base_size=D(size),
        quote_size=None,
        limit_price=None if limit is None else D(limit),
        post_only=True,
        expires_at_ns=NOON_NS + 60 * SECOND_NS,
        not_after_ns=NOON_NS + 3 * SECOND_NS,
    )
    parts = OrderState(
        intent_id=IntentId(f"i-{name}"),
        attempt=1,
        step=0,
        ttl_ns=20 * SECOND_NS,
        intent=meant,
        spec=spec,
        status=status,
        venue_order_id=VenueOrderId(f"v-{name}"),
        created_ns=NOON_NS,
        requested_ns=NOON_NS,
    )
    return replace(parts, **changes)


def position(product: str = BTC, quantity: Any = 1, price: Any = 100, **changes: Any) -> Position:
    parts = Position(
        product_id=ProductId(product),
        strategy="rules_engine",
        quantity=D(quantity),
        unbooked=D(0),
        average_price=D(price),
        entry_fees=D(0),
        opened_ns=NOON_NS,
        targets=TARGETS,
        peak=D(price),
        mark=D(price),
        realised_usd=D(0),
        correlation=f"c-{product}",
    )
    return replace(parts, **changes)


def periods(day: Any = 10_000, week: Any = 10_000, peak: Any = 10_000, **changes: Any) -> PnlPeriods:
    parts = PnlPeriods(day=DAY, day_open_usd=D(day), week=WEEK, week_open_usd=D(week), peak_usd=D(peak))
    return replace(parts, **changes)


def view(nav: Any = 10_000, positions: tuple[Position, ...] = (), **changes: Any) -> PortfolioView:
    parts = PortfolioView(
        at_ns=NOON_NS,
        nav_usd=None if nav is None else D(nav),
        cash_usd=D(10_000),
        balances=(Balance(currency="USD", available=D(10_000), hold=D(0)),),
        positions=positions,
        external=(),
        periods=periods(),
        realised_today_usd=D(0),
        fees_today_usd=D(0),
        ledger=(),
        reconciled=True,
    )
    return replace(parts, **changes)


def risk_view(*gates: Gate, **changes: Any) -> RiskView:
    parts = RiskView(
        at_ns=NOON_NS,
        state=TradingState.ACTIVE,
        gates=gates,
        exposure_pct=None,
        pending_usd=D(0),
        entries_1h=0,
        entries_today=0,
        loss_streak=0,
        cooldowns=(),
    )
    return replace(parts, **changes)


def health(**changes: Any) -> VenueHealth:
    parts = VenueHealth(
        consecutive_errors=0,
        last_success_ns=NOON_NS,
        rate_limited_until_ns=0,
        auth_failing=False,
        clock_offset_ns=0,
    )
    return replace(parts, **changes)


def epoch(*, killed: bool = False, number: int = 1) -> EpochChanged:
    return EpochChanged(epoch=number, killed=killed, reason="drill" if killed else "", by="operator", at_ns=NOON_NS)


def proposal(product: str = BTC, pct: Any = 1, conviction: float = 0.5, **changes: Any) -> TradeProposal:
    tier = 1 if product in {BTC, ETH, SOL} else 2
    trigger = Trigger(
        product_id=ProductId(product),
        kind="momentum",
        strength=0.8,
        confidence=0.8,
        change_pct=3.0,
        price=100.0,
        volatility_pct=40.0,
        metrics=(),
    )
    parts = TradeProposal(
        correlation=f"p-{product}",
        product_id=ProductId(product),
        side=Side.BUY,
        notional_pct=D(pct),
        stop_loss_pct=D(10),
        take_profit_pct=D(12),
        max_hold_s=72 * 3600,
        conviction=conviction,
        strategy="rules_engine",
        tier=tier,
        theme="",
        regime=Regime.CHOP,
        trigger=trigger,
        reason="",
        tags=(),
        created_ns=NOON_NS,
    )
    return replace(parts, **changes)


def operator_order(product: str = BTC, side: Side = Side.BUY, **changes: Any) -> OperatorOrder:
    sized = "base_size" in changes or "quote_size" in changes
    parts = OperatorOrder(
        correlation=f"op-{product}-{side.value}",
        product_id=ProductId(product),
        side=side,
        base_size=None if sized else D(1),
        quote_size=None,
        steps=(Step(kind=StepKind.IOC),),
        by="operator",
        drill=False,
        reply_to="control",
    )
    return replace(parts, **changes)


def fill_record(
    product: str = BTC, side: Side = Side.BUY, size: Any = 1, price: Any = 100, **changes: Any
) -> FillRecord:
    name = changes.pop("of", f"{product}-{side.value}")
    parts = FillRecord(
        entry_id=f"e-{name}",
        venue_order_id=VenueOrderId(f"v-{name}"),
        product_id=ProductId(product),
        side=side,
        price=D(price),
        size=D(size),
        value=D(size) * D(price),
        fee=D(0),
        maker=True,
        trade_ns=NOON_NS,
    )
    return replace(parts, **changes)


def listed(*fills: FillRecord, request_id: str = "fills/v-BTC-USD-BUY") -> FillsListed:
    return FillsListed(request_id=request_id, fills=fills)


def accounts(*held: tuple[str, Any], at: int = NOON_NS) -> AccountsListed:
    balances = tuple(Balance(currency=name, available=D(total), hold=D(0)) for name, total in held)
    return AccountsListed(request_id="accounts", asked_ns=at, balances=balances)


def fill_applied(product: str = BTC, *, buy: bool = True, net: Any = None, **changes: Any) -> FillApplied:
    name = f"{product}-{'BUY' if buy else 'SELL'}"
    parts = FillApplied(
        entry_id=f"e-{name}",
        client_order_id=ClientOrderId(f"c-{name}"),
        product_id=ProductId(product),
        buy=buy,
        size=D(1),
        price=D(100),
        value=D(100),
        fee=D(0),
        maker=True,
        trade_ns=NOON_NS,
        strategy="rules_engine",
        correlation=f"c-{product}",
        exit_code="",
        net_usd=None if net is None else D(net),
        closed_position=net is not None,
    )
    return replace(parts, **changes)


def intent_done(
    product: str = BTC, side: Side = Side.SELL, outcome: str = "plan_exhausted", **changes: Any
) -> IntentDone:
    parts = IntentDone(
        correlation=f"c-{product}",
        intent_id=IntentId("i"),
        product_id=ProductId(product),
        side=side,
        purpose=Purpose.EXIT if side is Side.SELL else Purpose.ENTRY,
        filled_size=D(0),
        filled_value=D(0),
        outcome=outcome,
    )
    return replace(parts, **changes)


def exit_wanted(**changes: Any) -> ExitWanted:
    """A stop of the whole BTC position."""
    parts = ExitWanted(
        product_id=BTC,
        code="stop_loss",
        quantity=D(1),
        bid=D("99.99"),
        ask=D("100.01"),
        quote_ns=NOON_NS,
        step=0,
        strategy="rules_engine",
        correlation="c-BTC-USD",
    )
    return replace(parts, **changes)


# --- reading effects ----------------------------------------------------------------------------------------------


def told(effects: Effects, kind: type[M], to: str | None = None) -> list[M]:
    """Messages of one kind that were sent, optionally to one address."""
    return [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, kind) and to in {None, e.to}]


def noted(effects: Effects, kind: type[M]) -> list[M]:
    return [e.message for e in effects if isinstance(e, Note) and isinstance(e.message, kind)]


def alerts(effects: Effects) -> list[tuple[str, str]]:
    """Kind and severity of every alert raised."""
    return [(a.kind, a.severity) for a in noted(effects, Alert)]


def records(effects: Effects) -> tuple[StoreRecord, ...]:
    """Everything that the effects make durable."""
    return tuple(record for e in effects if isinstance(e, Commit) for record in e.records)
