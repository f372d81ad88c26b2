"""One rule, one function, one reason of the canon (risk.md §2). Every rule is judged, every verdict is kept."""

import math
from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from actors.risk import staleness
from actors.risk.exposure import Exposure
from actors.risk.latches import NO_MARKET_DATA
from actors.risk.reservations import standing
from actors.risk.state import Record, Risk
from actors.risk.trades import is_add, is_position, opens
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import DAY_NS, HOUR_NS, SECOND_NS
from protocol.money import ONE, PCT, ZERO
from protocol.orders import MIGHT_REST, Purpose, Side, Status
from protocol.risk import Bound, Gate, Reason, TradingState, Verdict
from protocol.strategy import TradeProposal


class Case(Value, frozen=True, kw_only=True):
    """One request before the rules: what is wanted, and the running snapshot it is judged on.

    `usd` is the requested notional, `size_usd` what of it would be sent; `base` the requested base size of a sale.
    `slots` are the new positions that may still be opened in this batch, `granted` and `opened` the entries and the new
    positions that it was granted so far. `form` is
    the word about a proposal's form, `caps` what sizing says.
    """

    product_id: ProductId
    side: Side
    purpose: Purpose
    usd: Decimal
    size_usd: Decimal
    base: Decimal
    exposure: Exposure
    slots: int
    granted: int
    opened: int
    gates: tuple[Gate, ...]
    form: tuple[Verdict, ...] = ()
    caps: tuple[Verdict, ...] = ()


_DEPTH_BPS = 20
Rule = Callable[[Case, Risk, int], tuple[Verdict, ...]]


def judge(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Every rule's verdict in the order of risk.md §2: gates first, then the rules for this side and purpose.

    What is too small after the caps is said last: the caps are judged before slots and pacing, viability after them.
    """
    verdicts = (*gates(case), *(v for rule in _rules_for(case) for v in rule(case, risk, now_ns)))
    return tuple(sorted(verdicts, key=lambda v: v.code is Reason.BELOW_MIN_AFTER_CAPS))


def refusal(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """The one reason a denied request carries: the first refusal in order. None approves."""
    return next((v for v in verdicts if not v.passed), None)


def _rules_for(case: Case) -> tuple[Rule, ...]:
    if case.side is Side.SELL:
        return EXIT_RULES if case.purpose is Purpose.EXIT else SELL_RULES
    match case.purpose:
        case Purpose.DRILL:
            return DRILL_RULES
        case Purpose.OPERATOR:
            return OPERATOR_RULES
    return ENTRY_RULES


# --- gates --------------------------------------------------------------------------------------------------------

_LATE_GATES = frozenset({Reason.LOSS_STREAK_COOLDOWN})
"""Gates that are told in their place among the pacing rules."""


def gates(case: Case) -> tuple[Verdict, ...]:
    """A gate refuses a purchase in every state but active, a sale only when nothing at all may be placed."""
    return tuple(_gate(case, gate) for gate in case.gates if gate.code not in _LATE_GATES)


def loss_streak(case: Case, _risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """The pause after losses in a row."""
    return tuple(_gate(case, gate) for gate in case.gates if gate.code in _LATE_GATES)


def _gate(case: Case, gate: Gate) -> Verdict:
    stops = {TradingState.HALTED, TradingState.KILLED}
    if case.side is Side.BUY:
        stops.add(TradingState.REDUCING)
    passed = gate.state not in stops
    return Verdict(code=gate.code, passed=passed, value=None, limit=None, unit="state", detail=gate.reason, halts=True)


# --- verdicts -----------------------------------------------------------------------------------------------------


def _at_most(
    code: Reason, value: Decimal, limit: Decimal, unit: str, detail: str = "", *, halts: bool = False
) -> tuple[Verdict]:
    known = Verdict(code=code, passed=value <= limit, value=value, limit=limit, unit=unit, detail=detail, halts=halts)
    return (replace(known, bound=Bound.AT_MOST),)


def _at_least(
    code: Reason, value: Decimal, limit: Decimal, unit: str, detail: str = "", *, halts: bool = False
) -> tuple[Verdict]:
    known = Verdict(code=code, passed=value >= limit, value=value, limit=limit, unit=unit, detail=detail, halts=halts)
    return (replace(known, bound=Bound.AT_LEAST),)


def _fact(code: Reason, passed: bool, detail: str, *, halts: bool = False) -> tuple[Verdict]:
    return (Verdict(code=code, passed=passed, value=None, limit=None, unit="flag", detail=detail, halts=halts),)


# --- the market ---------------------------------------------------------------------------------------------------


def stale_data(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """The decision's data is live and young enough (ST1); what went stale is entered after two fresh cycles again."""
    product = case.product_id
    entry = case.side is Side.BUY and case.purpose is not Purpose.DRILL
    ages = staleness.ages(risk, product, now_ns, candle=entry)
    unknown = next((age.detail for age in ages if age.value_s is None), "")
    if product in risk.quotes and not staleness.live(risk, product):
        return _fact(Reason.STALE_DATA, False, "feed is not live")
    if unknown:
        return _fact(Reason.STALE_DATA, False, unknown)
    if entry and staleness.waiting(risk, product):
        return _fact(Reason.STALE_DATA, False, "went stale and has not been fresh for two cycles")
    shown = next((age for age in ages if not age.passed), ages[0])
    return _at_most(Reason.STALE_DATA, shown.value_s or ZERO, shown.limit_s or ZERO, "s", shown.detail)


def stale_market(_case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """No batch on a market that is not seen: the reference product, and at least half of all, must be fresh."""
    stale = [product for product in risk.feeds if not staleness.fresh(risk, product, now_ns)]
    reference = ProductId(risk.limits.reference)
    most = Decimal(len(risk.feeds) // 2)
    return (
        *_fact(Reason.STALE_DATA, reference not in stale, f"reference {reference}", halts=True),
        *_at_most(Reason.STALE_DATA, Decimal(len(stale)), most, "products", "stale products", halts=True),
    )


def product_disabled(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """The venue's own state of the product; missing metadata refuses (EX1)."""
    rules = risk.rules.get(case.product_id)
    detail = "no metadata" if rules is None else rules.status
    return _fact(Reason.PRODUCT_DISABLED, rules is not None and rules.tradable, detail)


def not_eligible(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """Nothing is bought of what the universe excludes (pipeline.md §3), whoever asks; what it never saw is excluded.

    People do not ask within a cycle: that the last one saw no market is no word about this moment's, which was judged.
    """
    known = risk.listed.get(case.product_id)
    why = "not in the universe" if known is None else known.excluded
    if case.purpose is Purpose.OPERATOR and why == NO_MARKET_DATA:
        why = ""
    return _fact(Reason.PRODUCT_DISABLED, not why, f"not eligible: {why}" if why else "eligible")


def wide_spread(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """A spread beyond the hard limit is no market to enter (O1)."""
    quote = risk.quotes.get(case.product_id)
    if quote is None:
        return ()
    return _at_most(Reason.OUTLIER, quote.spread_bps, risk.limits.max_spread_bps, "bps", "spread")


def sudden_move(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """A mid that jumped within 60 s is nothing to enter at (O1); silent while there are too few returns to say."""
    quote = risk.quotes.get(case.product_id)
    if quote is None or quote.move_sigma is None:
        return ()
    if not math.isfinite(quote.move_sigma):
        return _fact(Reason.OUTLIER, False, "move over 60 s is no number")
    move = Decimal(repr(quote.move_sigma))
    return _at_most(Reason.OUTLIER, move, risk.limits.max_move_sigma, "sigma", "move over 60 s")


def thin_book(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """The book must show a multiple of the order within 20 bps; unknown depth refuses."""
    quote = risk.quotes.get(case.product_id)
    if quote is None:
        return ()
    depth = quote.ask_depth_usd if case.side is Side.BUY else quote.bid_depth_usd
    return _at_least(Reason.OUTLIER, depth, case.size_usd * risk.limits.depth_multiple, "usd", "depth")


def slippage(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """What a purchase would cost from the mid if it had to take, its part of the ask depth taken evenly.

    Where nothing rests within 20 bps the book is too thin for anything.
    """
    quote = risk.quotes.get(case.product_id)
    if quote is None or case.side is Side.SELL or not quote.ask_depth_usd:
        return ()
    slipped = quote.spread_bps / 2 + _DEPTH_BPS * case.size_usd / quote.ask_depth_usd
    return _at_most(Reason.OUTLIER, slipped, risk.limits.max_slippage_bps, "bps", "expected slippage")


# --- the request --------------------------------------------------------------------------------------------------


def form(case: Case, _risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """A proposal's form, judged before anything could be computed from it; an operator's order has none."""
    return case.form


def schema_invalid(asked: TradeProposal, max_stop_pct: Decimal) -> tuple[Verdict, ...]:
    """A proposal is whole and inside the bounds of its form (R2); a number that is none fails every comparison."""
    checks = (
        ("notional_pct", asked.notional_pct.is_finite()),
        ("size_share", asked.size_share.is_finite() and ZERO < asked.size_share <= ONE),
        ("tier", 1 <= asked.tier <= 3),
        ("conviction", 0 <= asked.conviction <= 1),
        ("stop_loss_pct", asked.stop_loss_pct.is_finite() and ZERO < asked.stop_loss_pct <= min(max_stop_pct, PCT - 1)),
        ("take_profit_pct", asked.take_profit_pct.is_finite() and asked.take_profit_pct > asked.stop_loss_pct),
        ("max_hold_s", asked.max_hold_s > 0),
    )
    broken = ",".join(name for name, good in checks if not good)
    return _fact(Reason.SCHEMA_INVALID, not broken, broken)


def no_short(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Sell something, and at most what is held and neither sold nor being sold already (R1)."""
    positions = risk.view.positions if risk.view is not None else ()
    held = sum((p.quantity for p in positions if p.product_id == case.product_id), ZERO)
    free = held - _selling(case.product_id, risk, now_ns)
    if case.base <= ZERO:
        return _fact(Reason.SHORTING_DISALLOWED, False, "nothing to sell was named")
    if free <= ZERO:
        return _fact(Reason.SHORTING_DISALLOWED, False, "nothing is held that is not being sold")
    return _at_most(Reason.SHORTING_DISALLOWED, case.base, free, "base", "size")


def _selling(product: ProductId, risk: Risk, now_ns: int) -> Decimal:
    """Base units on their way out: by orders, by intents without an order yet, by fills that the view lacks."""
    orders = (o for o in risk.orders.values() if o.spec.product_id == product and o.spec.side is Side.SELL)
    asked = ((o.filled_size if o.terminal else o.spec.base_size or ZERO) - o.booked_size for o in orders)
    reserved = (r for r in standing(risk, now_ns).values() if r.side is Side.SELL and r.product_id == product)
    intents = (r.left_base for r in reserved)
    fills = (f.size for f in risk.unseen if f.product_id == product and not f.buy)
    return sum((max(size, ZERO) for size in (*asked, *intents, *fills)), ZERO)


# --- caps ---------------------------------------------------------------------------------------------------------


def no_nav(case: Case, _risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """Without a net value nothing can be measured against it."""
    nav = case.exposure.nav_usd
    return _fact(Reason.NO_NAV, nav is not None and nav > ZERO, "net value unknown" if nav is None else "net value")


def too_small(_case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """Nothing is entered with an account in which no position can be worth its fees (configuration.md §7, rule 25)."""
    found = risk.weighed
    if found is None:
        return ()
    return _at_least(
        Reason.POSITION_SIZE_TOO_SMALL, found.nav_usd, found.needed_usd, "usd", "net value for any position", halts=True
    )


_EARLY_CAPS = frozenset({Reason.STRATEGY_CAP, Reason.TOTAL_AT_RISK_CAP})


def batch_caps(case: Case, _risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """The caps of strategy and whole, which no other proposal of them can pass either."""
    return tuple(v for v in case.caps if v.code in _EARLY_CAPS)


def own_caps(case: Case, _risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """The caps of position, asset, theme and money, and the least that is worth sending."""
    return tuple(v for v in case.caps if v.code not in _EARLY_CAPS)


# --- pacing -------------------------------------------------------------------------------------------------------


def trade_spacing(_case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Time since the last entry of any product."""
    last = max((e.at_ns for e in risk.record.entries), default=None)
    return _waited(last, risk.limits.spacing_ns, now_ns, "any product", halts=True)


def symbol_spacing(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Time since the last trade of this product."""
    last = risk.record.last_trade_ns.get(case.product_id)
    return _waited(last, risk.limits.symbol_spacing_ns, now_ns, "this product", halts=False)


def _waited(last_ns: int | None, needed_ns: int, now_ns: int, detail: str, *, halts: bool) -> tuple[Verdict, ...]:
    if last_ns is None:
        return _fact(Reason.TRADE_SPACING, True, f"{detail}: no trade yet")
    waited, needed = Decimal(now_ns - last_ns) / SECOND_NS, Decimal(needed_ns) / SECOND_NS
    return _at_least(Reason.TRADE_SPACING, waited, needed, "s", detail, halts=halts)


def daily_frequency(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Entries of this UTC day, those of this batch included."""
    count = entries_today(risk.record, now_ns) + case.granted
    return _room_for_one(Reason.TRADE_FREQUENCY_DAILY, count, risk.limits.trades_per_day, "entries today")


def entries_today(record: Record, now_ns: int) -> int:
    """Entries since 00:00 UTC."""
    return sum(e.at_ns // DAY_NS == now_ns // DAY_NS for e in record.entries)


def hourly_frequency(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Entries in the rolling hour; of those that open a position fewer are allowed."""
    recent = [e for e in risk.record.entries if now_ns - e.at_ns < HOUR_NS]
    code, limits = Reason.TRADE_FREQUENCY_HOURLY, risk.limits
    total = _room_for_one(code, len(recent) + case.granted, limits.trades_per_hour, "entries in an hour")
    if not opens(case.product_id, case.exposure, limits.dust_usd):
        return total
    new = sum(e.new for e in recent) + case.opened
    return (*_room_for_one(code, new, limits.new_per_hour, "new positions in an hour"), *total)


def _room_for_one(code: Reason, count: int, limit: int, detail: str) -> tuple[Verdict, ...]:
    return _at_most(code, Decimal(count), Decimal(limit - 1), "n", detail, halts=True)


def cooldown(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """Blocked while now < until; allowed at now = until (CD1)."""
    left = max(risk.record.cooldown_until_ns.get(case.product_id, 0) - now_ns, 0)
    return _at_most(Reason.COOLDOWN, Decimal(left) / SECOND_NS, ZERO, "s", "left to wait")


# --- positions ----------------------------------------------------------------------------------------------------


def unresolved(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """An order whose outcome is unknown blocks its product for entries."""
    doubt = any(o.spec.product_id == case.product_id and o.status is Status.UNRESOLVED for o in risk.orders.values())
    return _fact(Reason.PENDING_BUY_EXISTS, not doubt, "an order's outcome is unknown")


def pending_buy(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """One purchase per product at a time."""
    pending = any(
        o.spec.product_id == case.product_id and o.spec.side is Side.BUY and o.status in MIGHT_REST
        for o in risk.orders.values()
    )
    reserved = any(r.product_id == case.product_id and r.side is Side.BUY for r in standing(risk, now_ns).values())
    return _fact(Reason.PENDING_BUY_EXISTS, not pending and not reserved, "a purchase is working")


def already_held(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """Adding to a position is pyramiding, and that has to be allowed (risk.md §6)."""
    if risk.limits.pyramiding:
        return ()
    held, dust = case.exposure.held(case.product_id), risk.limits.dust_usd
    counted = held if is_position(held, dust) else ZERO
    return _at_most(Reason.ALREADY_HAVE_POSITION, counted, ZERO, "usd", f"held, less than {dust} left out")


def pyramiding(case: Case, risk: Risk, now_ns: int) -> tuple[Verdict, ...]:
    """An add waits after the last purchase of its product; there are only so many in 24 hours, and in all."""
    dust = risk.limits.dust_usd
    if not risk.limits.pyramiding or not is_position(case.exposure.held(case.product_id), dust):
        return ()
    bought = [b for b in risk.record.bought if b.product_id == case.product_id]
    added = sum(b.add and now_ns - b.at_ns < DAY_NS for b in bought)
    most = Decimal(risk.limits.max_adds_per_day - 1)
    others = sum(p != case.product_id and is_position(case.exposure.held(p), dust) for p in risk.record.added)
    daily = (
        *_at_most(Reason.PYRAMID_DAILY_LIMIT, Decimal(added), most, "n", "adds in 24 h"),
        *_at_most(
            Reason.ADDS_BLOCKED_WHEN_OVER_CAP,
            Decimal(others),
            Decimal(risk.limits.max_pyramids - 1),
            "n",
            "other positions that were added to",
        ),
    )
    if not bought:
        return daily
    waited = Decimal(now_ns - max(b.at_ns for b in bought)) / SECOND_NS
    needed = Decimal(risk.limits.pyramid_cooldown_ns) / SECOND_NS
    return (*_at_least(Reason.PYRAMID_COOLDOWN, waited, needed, "s", "since the last purchase"), *daily)


def open_slots(case: Case, risk: Risk, _now_ns: int) -> tuple[Verdict, ...]:
    """A free slot (risk.md §4): for a new position always, for an add unless adds may pass a full house."""
    detail = f"free slots of {risk.limits.max_open_positions}"
    free = Decimal(case.slots)
    if not is_add(case.product_id, case.exposure):
        return _at_least(Reason.MAX_OPEN_POSITIONS, free, Decimal(1), "n", detail)
    if risk.limits.adds_when_full:
        return _fact(Reason.ADDS_BLOCKED_WHEN_OVER_CAP, True, "adds pass a full house")
    return _at_least(Reason.ADDS_BLOCKED_WHEN_OVER_CAP, free, Decimal(1), "n", detail)


_MARKET: tuple[Rule, ...] = (stale_data, product_disabled, wide_spread, sudden_move, thin_book, slippage)
_PACING: tuple[Rule, ...] = (
    *(trade_spacing, daily_frequency, hourly_frequency, loss_streak, symbol_spacing, cooldown),
    *(open_slots, unresolved, pending_buy, already_held, pyramiding),
)
ENTRY_RULES: tuple[Rule, ...] = (
    *(stale_market, *_MARKET, not_eligible, form, no_nav, batch_caps),
    *(*_PACING, too_small, own_caps),
)
OPERATOR_RULES: tuple[Rule, ...] = (*_MARKET, not_eligible, no_nav, batch_caps, *_PACING, own_caps)
DRILL_RULES: tuple[Rule, ...] = (stale_data, product_disabled, no_nav, batch_caps, loss_streak, own_caps)
SELL_RULES: tuple[Rule, ...] = (*_MARKET, form, loss_streak, no_short)
EXIT_RULES: tuple[Rule, ...] = (stale_data, product_disabled, loss_streak, no_short)
