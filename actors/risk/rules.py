"""One rule, one function, one reason of the canon (risk.md §2). Every rule is judged, every verdict is kept."""

from collections.abc import Callable
from decimal import Decimal

from actors.risk.exposure import Exposure
from actors.risk.reservations import standing
from actors.risk.state import Record, Risk
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import DAY_NS, HOUR_NS, SECOND_NS
from protocol.market import FeedStatus
from protocol.money import PCT, ZERO
from protocol.orders import MIGHT_REST, Purpose, Side, Status
from protocol.risk import Gate, Reason, TradingState, Verdict
from protocol.strategy import TradeProposal


class Case(Value, frozen=True, kw_only=True):
    """One request before the rules: what is wanted, and the running snapshot it is judged on.

    `usd` is the requested notional; `base` the requested base size of a sale. `slots` are the new positions that
    may still be opened in this batch.
    """

    product_id: ProductId
    side: Side
    purpose: Purpose
    usd: Decimal
    base: Decimal
    exposure: Exposure
    slots: int
    gates: tuple[Gate, ...]


Rule = Callable[[Case, Risk, int], Verdict]


def judge(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Every rule's verdict, in order: gates first, then the rules that concern this side and purpose."""
    return (*gates(case), *(rule(case, risk, now_ns) for rule in _rules_for(case)))


def refusal(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """The one reason a denied request carries: the first refusal in order. None approves."""
    return next((v for v in verdicts if not v.passed), None)


def _rules_for(case: Case) -> tuple[Rule, ...]:
    if case.side is Side.SELL:
        return EXIT_RULES if case.purpose is Purpose.EXIT else SELL_RULES
    return DRILL_RULES if case.purpose is Purpose.DRILL else ENTRY_RULES


def gates(case: Case) -> tuple[Verdict, ...]:
    """A gate refuses a purchase in every state but active, a sale only when nothing at all may be placed."""
    stops = {TradingState.HALTED, TradingState.KILLED}
    if case.side is Side.BUY:
        stops.add(TradingState.REDUCING)
    return tuple(
        Verdict(code=g.code, passed=g.state not in stops, value=None, limit=None, unit="state", detail=g.reason)
        for g in case.gates
    )


def _below(code: Reason, value: Decimal, limit: Decimal, unit: str, detail: str = "") -> Verdict:
    return Verdict(code=code, passed=value <= limit, value=value, limit=limit, unit=unit, detail=detail)


def _flag(code: Reason, passed: bool, detail: str) -> Verdict:
    return Verdict(code=code, passed=passed, value=None, limit=None, unit="flag", detail=detail)


def schema_invalid(asked: TradeProposal) -> Verdict:
    """A proposal is whole and inside the bounds of its form (R2); a number that is none fails every comparison."""
    checks = (
        ("tier", 1 <= asked.tier <= 3),
        ("conviction", 0 <= asked.conviction <= 1),
        ("stop_loss_pct", ZERO < asked.stop_loss_pct < PCT),
        ("take_profit_pct", asked.take_profit_pct > asked.stop_loss_pct),
        ("max_hold_s", asked.max_hold_s > 0),
    )
    broken = ",".join(name for name, good in checks if not good)
    return _flag(Reason.SCHEMA_INVALID, not broken, broken)


def stale_data(case: Case, risk: Risk, now_ns: int) -> Verdict:
    """The decision's quote is live and young enough (ST1)."""
    quote = risk.quotes.get(case.product_id)
    if quote is None:
        return _flag(Reason.STALE_DATA, False, "no quote")
    if risk.feeds.get(case.product_id) is not FeedStatus.LIVE:
        return _flag(Reason.STALE_DATA, False, "feed is not live")
    age = Decimal(now_ns - quote.fresh_ns) / SECOND_NS
    limit = Decimal(risk.limits.quote_age_ns) / SECOND_NS
    return _below(Reason.STALE_DATA, age, limit, "s")


def product_disabled(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """The venue's own state of the product; missing metadata refuses (EX1)."""
    rules = risk.rules.get(case.product_id)
    detail = "no metadata" if rules is None else rules.status
    return _flag(Reason.PRODUCT_DISABLED, rules is not None and rules.tradable, detail)


def wide_spread(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """A spread beyond the hard limit is no market to enter (O1)."""
    quote = risk.quotes.get(case.product_id)
    if quote is None:
        return _flag(Reason.OUTLIER, False, "no quote")
    return _below(Reason.OUTLIER, quote.spread_bps, risk.limits.max_spread_bps, "bps", "spread")


def thin_book(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """The book must show a multiple of the order within 20 bps; unknown depth refuses."""
    quote = risk.quotes.get(case.product_id)
    if quote is None:
        return _flag(Reason.OUTLIER, False, "no quote")
    depth = quote.ask_depth_usd if case.side is Side.BUY else quote.bid_depth_usd
    needed = case.usd * risk.limits.depth_multiple
    return Verdict(code=Reason.OUTLIER, passed=depth >= needed, value=depth, limit=needed, unit="usd", detail="depth")


def no_nav(case: Case, _risk: Risk, _now_ns: int) -> Verdict:
    """Without a net value nothing can be measured against it."""
    nav = case.exposure.nav_usd
    return _flag(Reason.NO_NAV, nav is not None and nav > ZERO, "net value unknown" if nav is None else "")


def total_at_risk(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """Nothing more is added once the whole is at its cap (E1, E2)."""
    pct = case.exposure.at_risk_pct
    if pct is None:
        return _flag(Reason.TOTAL_AT_RISK_CAP, False, "net value unknown")
    limit = risk.limits.max_total_at_risk_pct
    return Verdict(code=Reason.TOTAL_AT_RISK_CAP, passed=pct < limit, value=pct, limit=limit, unit="pct")


def trade_spacing(_case: Case, risk: Risk, now_ns: int) -> Verdict:
    """Time since the last entry of any product."""
    last = max((e.at_ns for e in risk.record.entries), default=0)
    return _waited(Reason.TRADE_SPACING, now_ns - last, risk.limits.spacing_ns, "any product")


def symbol_spacing(case: Case, risk: Risk, now_ns: int) -> Verdict:
    """Time since the last trade of this product."""
    last = risk.record.last_trade_ns.get(case.product_id, 0)
    return _waited(Reason.TRADE_SPACING, now_ns - last, risk.limits.symbol_spacing_ns, "this product")


def _waited(code: Reason, waited_ns: int, needed_ns: int, detail: str) -> Verdict:
    waited, needed = Decimal(waited_ns) / SECOND_NS, Decimal(needed_ns) / SECOND_NS
    return Verdict(code=code, passed=waited >= needed, value=waited, limit=needed, unit="s", detail=detail)


def daily_frequency(_case: Case, risk: Risk, now_ns: int) -> Verdict:
    """Entries of this UTC day."""
    count, limit = Decimal(entries_today(risk.record, now_ns)), Decimal(risk.limits.trades_per_day)
    return Verdict(code=Reason.TRADE_FREQUENCY_DAILY, passed=count < limit, value=count, limit=limit, unit="n")


def entries_today(record: Record, now_ns: int) -> int:
    """Entries since 00:00 UTC."""
    return sum(e.at_ns // DAY_NS == now_ns // DAY_NS for e in record.entries)


def hourly_frequency(_case: Case, risk: Risk, now_ns: int) -> Verdict:
    """New positions in the rolling hour."""
    recent = [e for e in risk.record.entries if now_ns - e.at_ns < HOUR_NS]
    count, limit = Decimal(sum(e.new for e in recent)), Decimal(risk.limits.new_per_hour)
    passed = count < limit and len(recent) < risk.limits.trades_per_hour
    return Verdict(code=Reason.TRADE_FREQUENCY_HOURLY, passed=passed, value=count, limit=limit, unit="n")


def cooldown(case: Case, risk: Risk, now_ns: int) -> Verdict:
    """Blocked while now < until; allowed at now = until (CD1)."""
    left = max(risk.record.cooldown_until_ns.get(case.product_id, 0) - now_ns, 0)
    return _below(Reason.COOLDOWN, Decimal(left) / SECOND_NS, ZERO, "s")


def unresolved(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """An order whose outcome is unknown blocks its product for entries."""
    doubt = any(o.spec.product_id == case.product_id and o.status is Status.UNRESOLVED for o in risk.orders.values())
    return _flag(Reason.PENDING_BUY_EXISTS, not doubt, "an order's outcome is unknown")


def pending_buy(case: Case, risk: Risk, now_ns: int) -> Verdict:
    """One purchase per product at a time."""
    pending = any(
        o.spec.product_id == case.product_id and o.spec.side is Side.BUY and o.status in MIGHT_REST
        for o in risk.orders.values()
    )
    reserved = any(r.product_id == case.product_id and r.side is Side.BUY for r in standing(risk, now_ns).values())
    return _flag(Reason.PENDING_BUY_EXISTS, not pending and not reserved, "a purchase is working")


def already_held(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """No adding to a position (pyramiding is off)."""
    held = case.exposure.of_product(case.product_id)
    return _below(Reason.ALREADY_HAVE_POSITION, held, risk.limits.dust_usd, "usd")


def open_slots(case: Case, risk: Risk, _now_ns: int) -> Verdict:
    """A free slot for a new position (risk.md §4)."""
    return Verdict(
        code=Reason.MAX_OPEN_POSITIONS,
        passed=case.slots > 0,
        value=Decimal(case.slots),
        limit=Decimal(1),
        unit="n",
        detail=f"of {risk.limits.max_open_positions}",
    )


def no_short(case: Case, risk: Risk, now_ns: int) -> Verdict:
    """Sell something, and at most what is held and neither sold nor being sold already (R1)."""
    positions = risk.view.positions if risk.view is not None else ()
    held = next((p.quantity for p in positions if p.product_id == case.product_id), ZERO)
    free = held - _selling(case.product_id, risk, now_ns)
    passed = ZERO < case.base <= free
    return Verdict(code=Reason.SHORTING_DISALLOWED, passed=passed, value=case.base, limit=free, unit="base")


def _selling(product: ProductId, risk: Risk, now_ns: int) -> Decimal:
    """Base units on their way out: by orders, by intents without an order yet, by fills that the view lacks."""
    orders = (o for o in risk.orders.values() if o.spec.product_id == product and o.spec.side is Side.SELL)
    asked = ((o.filled_size if o.terminal else o.spec.base_size or ZERO) - o.booked_size for o in orders)
    intents = (r.left_base for r in standing(risk, now_ns).values() if r.product_id == product)
    fills = (f.size for f in risk.unseen if f.product_id == product and not f.buy)
    return sum((max(size, ZERO) for size in (*asked, *intents, *fills)), ZERO)


ENTRY_RULES: tuple[Rule, ...] = (
    stale_data,
    product_disabled,
    wide_spread,
    thin_book,
    no_nav,
    total_at_risk,
    trade_spacing,
    daily_frequency,
    hourly_frequency,
    symbol_spacing,
    cooldown,
    unresolved,
    pending_buy,
    already_held,
    open_slots,
)
DRILL_RULES: tuple[Rule, ...] = (stale_data, product_disabled, no_nav, total_at_risk)
SELL_RULES: tuple[Rule, ...] = (stale_data, product_disabled, wide_spread, thin_book, no_short)
EXIT_RULES: tuple[Rule, ...] = (stale_data, product_disabled, no_short)
