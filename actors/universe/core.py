"""The universe: product rules kept fresh, the regime, and who is eligible at this moment."""

from decimal import Decimal

from msgspec import field
from msgspec.structs import replace

from actors.universe.eligibility import Bounds, TierRules, judge
from actors.universe.regime import LOOKBACK, Detector, Reading, detect, follow
from protocol.base import NO_EFFECTS, Effects, Message, Value
from protocol.effects import LogLine, SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.market import Bar, CandleClosed, CandleHistory, ProductRules, ProductsKnown, Quote
from protocol.strategy import Asset, Exclusion, UniverseView, UniverseWanted
from protocol.venue import ListProducts, ProductsListed, QueryFailed

BTC = ProductId("BTC-USD")
HOUR_S = 3600
RULE_READERS = ("orders", "portfolio", "risk", "control")
VIEWERS = ("cycle", "risk", "portfolio", "control")
_RETRY_NS = 2 * SECOND_NS


class Settings(Value, frozen=True, kw_only=True):
    """Bounds, the regime table's size multipliers, and how long product rules are believed."""

    bounds: Bounds
    multipliers: dict[str, Decimal]
    products_ns: int = 300 * SECOND_NS

    def products(self) -> tuple[ProductId, ...]:
        """Every configured product."""
        return tuple(p for tier in self.bounds.tiers for p in tier.products)


class Universe(Value, frozen=True, kw_only=True):
    """The universe's state. `hours` are BTC's closed hourly bars."""

    settings: Settings
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    hours: tuple[Bar, ...] = ()
    detector: Detector = Detector()


def step(state: Universe, message: Message, now_ns: int) -> tuple[Universe, Effects]:
    """Advance the universe by one message."""
    match message:
        case Quote():
            return replace(state, quotes={**state.quotes, message.product_id: message}), NO_EFFECTS
        case CandleHistory() if (message.product_id, message.granularity_s) == (BTC, HOUR_S):
            return replace(state, hours=message.bars[-LOOKBACK:]), NO_EFFECTS
        case CandleClosed() if (message.product_id, message.granularity_s) == (BTC, HOUR_S):
            return replace(state, hours=_appended(state.hours, message.bar)), NO_EFFECTS
        case UniverseWanted():
            return _view(state, now_ns)
        case ProductsListed():
            return _listed(state, message, now_ns)
        case QueryFailed():
            return state, (SetTimer(timer="products", due_ns=now_ns + _RETRY_NS),)
        case Recover() | Wake(timer="products"):
            ask = ListProducts(request_id="products", reply_to="universe", product_ids=state.settings.products())
            return state, (Tell(to="gateway", message=ask),)
    return state, NO_EFFECTS


def _appended(hours: tuple[Bar, ...], bar: Bar) -> tuple[Bar, ...]:
    """With one hour more; one that is known already, or older, is not counted again."""
    return hours if hours and bar.start_s <= hours[-1].start_s else (*hours, bar)[-LOOKBACK:]


def _listed(state: Universe, message: ProductsListed, now_ns: int) -> tuple[Universe, Effects]:
    """Tell everybody the rules; a configured product that the venue does not know is said, not guessed."""
    known = {r.product_id: r for r in message.products}
    told = ProductsKnown(products=message.products, at_ns=now_ns)
    missing = sorted(set(state.settings.products()) - set(known))
    logs = (LogLine(level="warning", event="unknown_products", fields=(("products", ",".join(missing)),)),)
    again = SetTimer(timer="products", due_ns=now_ns + state.settings.products_ns)
    effects = (*(Tell(to=name, message=told) for name in RULE_READERS), again)
    return replace(state, rules=known), (*effects, *logs) if missing else effects


def _view(state: Universe, now_ns: int) -> tuple[Universe, Effects]:
    reading = detect([bar.close for bar in state.hours])
    state = replace(state, detector=follow(state.detector, reading))
    eligible: list[Asset] = []
    excluded: list[Exclusion] = []
    for tier in _tiers(state):
        for product in tier.products:
            outcome = judge(
                product,
                tier,
                state.settings.bounds,
                state.rules.get(product),
                state.quotes.get(product),
                now_ns,
            )
            if isinstance(outcome, Asset):
                eligible.append(outcome)
            else:
                excluded.append(outcome)
    view = _spoken(state, reading, eligible, excluded, now_ns)
    return state, tuple(Tell(to=name, message=view) for name in VIEWERS)


def _tiers(state: Universe) -> tuple[TierRules, ...]:
    """The tiers with the regime's multiplier: where it is zero nothing is eligible."""
    multiplier = state.settings.multipliers[state.detector.regime.value]
    return tuple(replace(t, multiplier=multiplier) for t in state.settings.bounds.tiers)


def _spoken(
    state: Universe, reading: Reading, eligible: list[Asset], excluded: list[Exclusion], now_ns: int
) -> UniverseView:
    return UniverseView(
        at_ns=now_ns,
        regime=state.detector.regime,
        regime_confidence=reading.confidence,
        trend_pct=reading.trend_pct,
        volatility_pct=reading.volatility_pct,
        eligible=tuple(eligible),
        excluded=tuple(excluded),
    )
