"""Facts that trip and clear gates: what the venue, the runtime, the clock and people say. Pure."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk import staleness
from actors.risk.state import Listed, Mark, Record, Risk
from protocol.ids import ProductId
from protocol.lifecycle import ActorExited
from protocol.money import ZERO
from protocol.orders import OrderState, Side
from protocol.risk import ClockJumped, ConfigDrift, LaneLoad
from protocol.strategy import UniverseView
from protocol.venue import VenueHealth

_FILL_SLACK, _FILL_SLACK_USD = Decimal("1.05"), Decimal("0.20")  # execution.md §6
_REMEMBERED = 50
CALM_CYCLES = 2
NO_MARKET_DATA = "no_market_data"


def health(risk: Risk, news: VenueHealth, now_ns: int) -> Risk:
    """Take the venue's health over: errors in a row within their window, and where our clock stands."""
    return _erred(_clocked(risk, news), news, now_ns)


def _erred(risk: Risk, news: VenueHealth, now_ns: int) -> Risk:
    """Enough errors in a row within the window, and only a success ends it: time alone heals nothing."""
    if not news.consecutive_errors:
        return replace(risk, health=news, errors_ns=(), api_down=False)
    before = risk.health.consecutive_errors if risk.health is not None else 0
    more = news.consecutive_errors - before if news.consecutive_errors >= before else news.consecutive_errors
    kept = risk.errors_ns if news.consecutive_errors >= before else ()
    recent = tuple(t for t in (*kept, *(now_ns,) * more) if now_ns - t < risk.limits.api_error_window_ns)
    down = risk.api_down or len(recent) >= risk.limits.max_api_errors
    return replace(risk, health=news, errors_ns=recent, api_down=down)


def _clocked(risk: Risk, news: VenueHealth) -> Risk:
    """A measurement counts once. It finds our clock off only where its own error cannot explain the difference."""
    known = risk.health.clock_ns if risk.health is not None else 0
    if news.clock_offset_ns is None or (news.clock_ns <= risk.jumped_ns and risk.jumped_ns):
        return risk
    off = abs(news.clock_offset_ns) - news.clock_error_ns > risk.limits.clock_limit_ns
    if not off:
        return replace(risk, off_clock=0, jumped_ns=0)
    return replace(risk, off_clock=risk.off_clock + (news.clock_ns != known or not risk.off_clock))


def jumped(risk: Risk, news: ClockJumped) -> Risk:
    """The wall clock was set: nothing is entered until the venue's clock has been held against ours again."""
    return replace(risk, jumped_ns=max(news.at_ns, 1))


def lanes(risk: Risk, news: LaneLoad) -> Risk:
    """From half of the bound on; what was full stays full until less than a quarter waits."""
    if news.waiting * 4 < news.bound:
        return replace(risk, lanes={a: full for a, full in risk.lanes.items() if a != news.actor})
    full = news.waiting >= news.bound or risk.lanes.get(news.actor, False)
    if not full and news.waiting * 2 < news.bound and news.actor not in risk.lanes:
        return risk
    return replace(risk, lanes={**risk.lanes, news.actor: full})


def cycle(risk: Risk, view: UniverseView) -> Risk:
    """What a cycle found: regime, who is eligible, volatility, and who is fresh."""
    wild = view.volatility_24h_pct is not None and view.volatility_24h_pct > risk.limits.max_volatility_pct
    calm = risk.calm_cycles
    if wild:
        calm = 0
    elif calm is not None and view.volatility_24h_pct is not None:
        calm = calm + 1 if calm + 1 < CALM_CYCLES else None
    eligible = None if risk.eligible is None and _unseen(risk, view) else len(view.eligible)
    risk = replace(risk, regime=view.regime, eligible=eligible, calm_cycles=calm, listed=_listed(view))
    return staleness.cycled(replace(risk, volatility_pct=view.volatility_24h_pct), view)


def _listed(view: UniverseView) -> dict[ProductId, Listed]:
    """Every product of a tier, and what the universe found. Who stands in none is in nobody's universe."""
    found = {asset.product_id: Listed(tier=asset.tier) for asset in view.eligible}
    return found | {x.product_id: Listed(tier=x.tier, excluded=x.reason) for x in view.excluded if x.tier}


def _unseen(risk: Risk, view: UniverseView) -> bool:
    """A desk that starts has not seen enough products yet to tell how many there are: that is no small universe."""
    unseen = sum(x.reason == NO_MARKET_DATA for x in view.excluded)
    return len(view.eligible) < risk.limits.min_eligible <= len(view.eligible) + unseen


def drifted(risk: Risk, news: ConfigDrift) -> Risk:
    """Another configuration lies there than the one that runs; a desk that starts anew knows nothing of it."""
    if risk.drift is not None:
        return risk
    reason = f"configuration {news.found} on disk, {news.running} runs"
    return replace(risk, drift=Mark(reason=reason, by="desk", since_ns=news.at_ns))


def crashed(record: Record, news: ActorExited, now_ns: int) -> Record:
    """An actor ended of which nobody had asked it."""
    return record if news.normal else replace(record, crashes_ns=(*record.crashes_ns, now_ns))


def overfilled(order: OrderState) -> bool:
    """Filled for more than was ordered, beyond what prices explain (execution.md §6)."""
    spec = order.spec
    price = spec.limit_price or order.intent.ask
    if spec.side is Side.SELL:  # a sale may well bring in more than its limit
        price = max(price, order.intent.ask)
    ordered = spec.quote_size if spec.base_size is None else spec.base_size * price
    return order.filled_value > (ordered or ZERO) * _FILL_SLACK + _FILL_SLACK_USD


def mismatch(record: Record, order: OrderState, now_ns: int) -> Record:
    """The ledger cannot be believed until people have had it rebuilt. An order says so once."""
    reason = f"{order.client_order_id} filled for {order.filled_value}, more than was ordered"
    named = (*record.mismatched, order.client_order_id)[-_REMEMBERED:]
    mark = record.accounting or Mark(reason=reason, by="desk", since_ns=now_ns)
    return replace(record, accounting=mark, mismatched=named)
