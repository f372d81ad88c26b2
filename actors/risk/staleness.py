"""How old what we know of a product is (requirements ST1), and how long a market that went stale is kept away from.

Ages are taken on the venue's clock. A product whose data grew too old is entered again only after two cycles in a row
have found it fresh; a sale needs a fresh quote and nothing else. The same holds for the market as a whole, which is
stale while the reference product is, or more than half of all products are.
"""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.state import Risk
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.market import FeedStatus, off_ns
from protocol.strategy import UniverseView

MARKET = ""
FRESH_CYCLES = 2


class Age(Value, frozen=True, kw_only=True):
    """What is measured of a product: seconds against their limit. `detail` names it; no number: there is none."""

    detail: str
    value_s: Decimal | None = None
    limit_s: Decimal | None = None

    @property
    def passed(self) -> bool:
        """Known, and young enough."""
        return self.value_s is not None and self.limit_s is not None and self.value_s <= self.limit_s


def ages(risk: Risk, product: ProductId, now_ns: int, *, candle: bool = True) -> tuple[Age, ...]:
    """Quote, transport and, with `candle`, newest closed minute. Nothing but data: the feed's own word comes first."""
    quote = risk.quotes.get(product)
    if quote is None:
        return (Age(detail="no quote"),)
    offset_ns, limits = offset(risk), risk.limits
    found = (
        _age("quote age", quote.age_ns(now_ns, offset_ns), limits.quote_age_ns),
        _age("transport lag", quote.age_ns(quote.received_ns, offset_ns), limits.transport_lag_ns),
    )
    if not candle:
        return found
    if quote.candle_ns is None:
        return (*found, Age(detail="no closed minute"))
    return (*found, _age("minute candle", now_ns + offset_ns - quote.candle_ns, limits.candle_age_ns))


def _age(detail: str, age_ns: int, limit_ns: int) -> Age:
    off, most = off_ns(age_ns, limit_ns)
    ahead = ", ahead of the venue's clock" if age_ns < 0 else ""
    return Age(detail=detail + ahead, value_s=Decimal(off) / SECOND_NS, limit_s=Decimal(most) / SECOND_NS)


def offset(risk: Risk) -> int:
    """The venue's clock minus ours, ns; zero while it has not been measured."""
    return (risk.health.clock_offset_ns or 0) if risk.health is not None else 0


def live(risk: Risk, product: ProductId) -> bool:
    """Whether the feed itself vouches for its book."""
    return risk.feeds.get(product) is FeedStatus.LIVE


def fresh(risk: Risk, product: ProductId, now_ns: int) -> bool:
    """Whether the feed vouches for its book and its quote is young; minute candles have a rule of their own."""
    return live(risk, product) and all(age.passed for age in ages(risk, product, now_ns, candle=False))


def young(risk: Risk, product: str, now_ns: int) -> bool:
    """Whether all ages are within their limits, whatever the feed says at this moment; `MARKET`: of enough of them."""
    if product != MARKET:
        return all(age.passed for age in ages(risk, ProductId(product), now_ns))
    old = [p for p in risk.feeds if not young(risk, p, now_ns)]
    return risk.limits.reference not in old and 2 * len(old) <= len(risk.feeds)


def waiting(risk: Risk, product: str) -> bool:
    """Whether it went stale, and has not yet been fresh for two cycles."""
    return product in risk.held


def looked(risk: Risk, now_ns: int) -> Risk:
    """Once a second: who has gone stale. What never was fresh cannot go stale: it is only not there yet."""
    good = frozenset(p for p in (MARKET, *risk.feeds) if young(risk, p, now_ns))
    gone = [p for p in risk.seen_fresh - good if p not in risk.held]
    if not gone and good <= risk.seen_fresh:
        return risk
    return replace(risk, seen_fresh=risk.seen_fresh | good, held={**risk.held, **dict.fromkeys(gone, 0)})


def cycled(risk: Risk, view: UniverseView) -> Risk:
    """A cycle looked at the market: count those that are fresh, begin anew with those that are not."""
    counts = {p: n + 1 if young(risk, p, view.at_ns) else 0 for p, n in risk.held.items()}
    return replace(risk, held={p: n for p, n in counts.items() if n < FRESH_CYCLES})
