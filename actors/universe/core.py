"""The universe: product rules kept fresh, the regime, and who is eligible at this moment."""

from itertools import pairwise

from msgspec.structs import replace

from actors.universe import flags
from actors.universe.eligibility import Case, TierRules, judge, order_usd
from actors.universe.membership import build
from actors.universe.regime import LOOKBACK, Detector, Reading, change, detect, follow, realised_pct
from actors.universe.state import Record, Universe
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects, Message
from protocol.effects import Commit, LogLine, Note, SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.market import Bar, CandleClosed, CandleHistory, FactsWanted, ProductsKnown, Quote
from protocol.risk import Alert, VerbAnswered, VerbOutcome
from protocol.strategy import (
    Asset,
    Check,
    Exclusion,
    FlagProduct,
    HistoryWanted,
    Regime,
    UnflagProduct,
    UniverseView,
    UniverseWanted,
)
from protocol.venue import ListProducts, ProductsListed, QueryFailed, VenueHealth

BTC = ProductId("BTC-USD")
HOUR_S = 3600
RULE_READERS = ("orders", "portfolio", "risk", "control")
VIEWERS = ("cycle", "risk", "portfolio", "control")
STORE_PREFIX = "universe/"
RECORD_KEY = "universe/record"
NO_TIER = "no_tier"
_RETRY_NS = 2 * SECOND_NS


def step(state: Universe, message: Message, now_ns: int) -> tuple[Universe, Effects]:
    """Advance the universe by one message."""
    match message:
        case Quote():
            return replace(state, quotes={**state.quotes, message.product_id: message}), NO_EFFECTS
        case CandleHistory() if (message.product_id, message.granularity_s) == (BTC, HOUR_S):
            return _history(state, message.bars[-LOOKBACK:])
        case CandleClosed() if (message.product_id, message.granularity_s) == (BTC, HOUR_S):
            return _hour(state, message.bar)
        case UniverseWanted():
            return _decide(state, message, now_ns)
        case FlagProduct():
            return _flag(state, message, now_ns)
        case UnflagProduct():
            return _unflag(state, message)
        case ProductsListed():
            return _listed(state, message, now_ns)
        case VenueHealth() if message.clock_offset_ns is not None:
            return replace(state, clock_offset_ns=message.clock_offset_ns), NO_EFFECTS
        case QueryFailed():
            return state, (SetTimer(timer="products", due_ns=now_ns + _RETRY_NS),)
        case Recover():
            return _recover(state, message)
        case FactsWanted() if state.rules:
            return state, (Tell(to=message.reply_to, message=_known(state)),)
        case Wake(timer="products"):
            return state, (_ask_products(state),)
        case CommitFailed():
            return state, (_log("universe_not_kept", ("detail", message.detail)),)
    return state, NO_EFFECTS


def _log(event: str, *fields: tuple[str, str]) -> LogLine:
    return LogLine(level="warning", event=event, fields=fields)


# --- start, candles, product rules --------------------------------------------------------------------------------


def _recover(state: Universe, message: Recover) -> tuple[Universe, Effects]:
    """What was decided before still holds; an entry that cannot be read is dropped and said. Candles are told anew.

    What the start has found goes on record.
    """
    value = next((r.value for r in message.records if r.key == RECORD_KEY), None)
    record = state.record if value is None else codec.decode_value(value, Record)
    held, malformed = flags.read(message.records)
    state = replace(state, record=record, flags=held, detector=Detector(regime=record.regime))
    found = state.settings.found
    asks = (
        *(() if found is None else (Note(message=found),)),
        _ask_products(state),
        Tell(to=f"feed:{BTC}", message=HistoryWanted(product_id=BTC)),
        Tell(to="gateway", message=FactsWanted(reply_to="universe")),
    )
    if not malformed:
        return state, asks
    dropped = Commit(records=tuple(StoreRecord(key=key, value=None) for key in malformed))
    return state, (dropped, *asks, _log("red_flags_dropped", ("keys", ",".join(malformed))))


def _ask_products(state: Universe) -> Tell:
    ask = ListProducts(request_id="products", reply_to="universe", product_ids=state.settings.products())
    return Tell(to="gateway", message=ask)


def _history(state: Universe, hours: tuple[Bar, ...]) -> tuple[Universe, Effects]:
    """The venue's own hours as it tells them; hours that it has no candle of either are said, for a week is longer."""
    missing = sum(_between(before, after) for before, after in pairwise(hours))
    said = (_log("leader_hours_missing", ("product", BTC), ("hours", str(missing))),) if missing else NO_EFFECTS
    return replace(state, hours=hours), said


def _hour(state: Universe, bar: Bar) -> tuple[Universe, Effects]:
    """One hour more; one that is known already, or older, is not counted again.

    After a hole neither the week nor that one return would be what it is taken for: the venue is asked for all hours,
    and what is known holds until it answers.
    """
    last = state.hours[-1] if state.hours else None
    if last is not None and bar.start_s <= last.start_s:
        return state, NO_EFFECTS
    if last is not None and _between(last, bar):
        return state, (Tell(to=f"feed:{BTC}", message=HistoryWanted(product_id=BTC)),)
    return replace(state, hours=(*state.hours, bar)[-LOOKBACK:]), NO_EFFECTS


def _between(before: Bar, after: Bar) -> int:
    """How many hours lie between two bars and are in neither."""
    return (after.start_s - before.start_s) // HOUR_S - 1


def _listed(state: Universe, message: ProductsListed, now_ns: int) -> tuple[Universe, Effects]:
    """Tell everybody the rules; a followed product that the venue does not know is said, not guessed."""
    state = replace(state, rules={r.product_id: r for r in message.products}, rules_ns=now_ns)
    missing = sorted(set(state.settings.products()) - set(state.rules))
    logs = (_log("unknown_products", ("products", ",".join(missing))),)
    again = SetTimer(timer="products", due_ns=now_ns + state.settings.products_ns)
    effects = (*(Tell(to=name, message=_known(state)) for name in RULE_READERS), again)
    return state, (*effects, *logs) if missing else effects


def _known(state: Universe) -> ProductsKnown:
    return ProductsKnown(products=tuple(state.rules.values()), at_ns=state.rules_ns)


# --- red flags ----------------------------------------------------------------------------------------------------


def _flag(state: Universe, message: FlagProduct, now_ns: int) -> tuple[Universe, Effects]:
    found = flags.asked(state, message, now_ns)
    if isinstance(found, VerbAnswered):
        return state, (Tell(to=message.reply_to, message=found),)
    commit = Commit(records=(flags.stored(found),))
    told = Tell(to=message.reply_to, message=flags.banned(message, found))
    return replace(state, flags={**state.flags, found.product_id: found}), (commit, told)


def _unflag(state: Universe, message: UnflagProduct) -> tuple[Universe, Effects]:
    product = message.product_id
    if product not in state.flags:
        none = flags.answer(message, VerbOutcome.NOT_FOUND, f"{product} is not banned")
        return state, (Tell(to=message.reply_to, message=none),)
    told = flags.answer(message, VerbOutcome.DONE, f"{product} is no longer banned")
    kept = {p: f for p, f in state.flags.items() if p != product}
    return replace(state, flags=kept), (
        Commit(records=(flags.gone(product),)),
        Tell(to=message.reply_to, message=told),
    )


# --- the decision -------------------------------------------------------------------------------------------------


def _decide(state: Universe, wanted: UniverseWanted, now_ns: int) -> tuple[Universe, Effects]:
    """The regime, then who is eligible in it; what changed on the way becomes durable before anybody hears of it."""
    before = state
    reading = detect([bar.close for bar in state.hours])
    detector = follow(state.detector, reading) if state.settings.detects else Detector()
    state = replace(state, detector=detector)
    regime = state.detector.regime
    expired = flags.over(state.flags, now_ns)
    state = replace(state, flags={p: f for p, f in state.flags.items() if p not in expired})
    state = build(state, regime, now_ns)
    if state.record.regime is not regime:
        state = replace(state, record=replace(state.record, regime=regime))
    outcomes = _outcomes(state, wanted, now_ns)
    view = _spoken(state, reading, outcomes, now_ns)
    state = replace(state, eligible=frozenset(a.product_id for a in view.eligible), short=_short(state, view))
    told = tuple(Tell(to=name, message=view) for name in VIEWERS)
    noted = (*_regime_notes(before, state, reading, now_ns), *_movements(before, view), *_alerts(before, state, view))
    return state, (*_kept(before, state, expired), *told, *noted)


def _outcomes(state: Universe, wanted: UniverseWanted, now_ns: int) -> list[Asset | Exclusion]:
    """Every followed product's, tier by tier, so that near misses are counted in a fixed order."""
    found: list[Asset | Exclusion] = []
    for tier in state.settings.bounds.tiers:
        used = 0
        for product in tier.products:
            case = _case(state, (product, tier), wanted, used)
            judged = judge(case, tier, state.settings.bounds, now_ns)
            used += judged.used
            found.append(judged.outcome)
    return [*found, *map(_no_tier, state.settings.fed_only)]


def _no_tier(product: ProductId) -> Exclusion:
    """Followed for what is held of it, or for the regime."""
    row = Check(code=NO_TIER, passed=False, value=None, limit=None)
    return Exclusion(product_id=product, tier=0, reason=NO_TIER, value=None, limit=None, checks=(row,))


def _case(state: Universe, where: tuple[ProductId, TierRules], wanted: UniverseWanted, used: int) -> Case:
    (product, tier), settings, regime = where, state.settings, state.detector.regime
    snapshot = state.snapshots.get(regime)
    base_pct = settings.tier_base_pct[tier.tier - 1]
    return Case(
        product_id=product,
        multiplier=settings.scale(regime).allocation_mults[tier.tier - 1],
        flag=state.flags.get(product),
        rules=state.rules.get(product),
        quote=state.quotes.get(product),
        member=snapshot.members.get(product) if snapshot is not None else None,
        order_usd=order_usd(wanted.nav_usd, base_pct, settings.row(regime).position_size_multiplier),
        used=used,
        clock_offset_ns=state.clock_offset_ns,
    )


def _spoken(state: Universe, reading: Reading, outcomes: list[Asset | Exclusion], now_ns: int) -> UniverseView:
    return UniverseView(
        at_ns=now_ns,
        regime=state.detector.regime,
        regime_confidence=state.detector.confidence,
        trend_pct=reading.trend_pct,
        volatility_pct=reading.volatility_pct,
        eligible=tuple(o for o in outcomes if isinstance(o, Asset)),
        excluded=tuple(o for o in outcomes if isinstance(o, Exclusion)),
        flags=tuple(flag for _, flag in sorted(state.flags.items())),
        volatility_24h_pct=realised_pct([bar.close for bar in state.hours], state.settings.volatility_h),
    )


def _kept(before: Universe, state: Universe, expired: tuple[ProductId, ...]) -> Effects:
    """One transaction of what changed; nothing changed, nothing written."""
    records = [flags.gone(product) for product in expired]
    if state.record != before.record:
        records.append(StoreRecord(key=RECORD_KEY, value=codec.encode_value(state.record)))
    return (Commit(records=tuple(records)),) if records else NO_EFFECTS


# --- what is said about it ----------------------------------------------------------------------------------------


def _regime_notes(before: Universe, state: Universe, reading: Reading, now_ns: int) -> Effects:
    if before.detector.regime is state.detector.regime:
        return NO_EFFECTS
    row = state.settings.row(state.detector.regime)
    changed = change(before.detector, state.detector, reading, row, now_ns)
    line = LogLine(
        level="warning" if Regime.CRASH in {changed.before, changed.after} else "info",
        event="regime_changed",
        fields=(
            ("before", changed.before.value),
            ("after", changed.after.value),
            ("confidence", f"{changed.confidence:.2f}"),
            ("size_multiplier", str(changed.size_multiplier)),
            ("cap_multiplier", str(changed.cap_multiplier)),
            ("max_positions", str(changed.max_positions)),
        ),
    )
    return Note(message=changed), line


def _movements(before: Universe, view: UniverseView) -> Effects:
    """A line for whoever has just dropped out, and why, and for whoever came (back) in (U1)."""
    left = (
        LogLine(
            level="info",
            event="product_excluded",
            fields=(("symbol", x.product_id), ("tier", str(x.tier)), ("exclusion_reason", x.reason)),
        )
        for x in view.excluded
        if x.product_id in before.eligible
    )
    came = (
        LogLine(level="info", event="product_eligible", fields=(("symbol", a.product_id), ("tier", str(a.tier))))
        for a in view.eligible
        if a.product_id not in before.eligible
    )
    return (*left, *came)


def _short(state: Universe, view: UniverseView) -> bool:
    """Fewer eligible than must be. Before the venue has told its products there is nothing to count."""
    return bool(state.rules) and len(view.eligible) < state.settings.min_eligible


def _alerts(before: Universe, state: Universe, view: UniverseView) -> tuple[Effect, ...]:
    """A person hears it once, when it begins; risk holds entries back by its own gate as long as it lasts."""
    if not state.short or before.short:
        return NO_EFFECTS
    reasons = sorted({x.reason for x in view.excluded})
    alert = Alert(
        kind="empty_universe",
        severity="CRITICAL",
        subject="desk",
        message=f"{len(view.eligible)} eligible products, fewer than {state.settings.min_eligible}: no entries",
        context=(("regime", view.regime.value), ("reasons", ",".join(reasons))),
        at_ns=view.at_ns,
    )
    return (Note(message=alert),)
