"""How much of a request fits (risk.md §3). One function computes the room for sizing and for the final check alike."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.exposure import Exposure
from actors.risk.limits import Limits
from protocol.base import Value
from protocol.ids import ProductId
from protocol.money import ONE, PCT, ZERO, bps_of
from protocol.risk import Bound, CapType, Reason, Verdict
from protocol.strategy import Regime
from protocol.symbols import asset_of

_AIR = Decimal("0.99")  # where money is what bounds a purchase, the price may move a little before it is sent


class Ask(Value, frozen=True, kw_only=True):
    """What somebody wants to buy: USD, and everything that decides which caps apply.

    `drill`: small on purpose, so that only the venue's minimum counts; the caps are the same. `whole`: all or nothing.
    """

    product_id: ProductId
    tier: int
    theme: str
    strategy: str
    regime: Regime
    requested_usd: Decimal
    available_usd: Decimal
    venue_min_usd: Decimal
    drill: bool = False
    whole: bool = False


class Room(Value, frozen=True, kw_only=True):
    """What one cap leaves, USD. Below zero: it is exceeded already."""

    cap: CapType
    code: Reason
    cap_usd: Decimal
    used_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        """What may still be added."""
        return self.cap_usd - self.used_usd


class Grant(Value, frozen=True, kw_only=True):
    """The answer: how much fits (zero: refused), the least that is worth sending, what every cap leaves and says."""

    usd: Decimal
    least_usd: Decimal = ZERO
    verdicts: tuple[Verdict, ...] = ()
    rooms: tuple[Room, ...] = ()

    def room(self, cap: CapType | None) -> Room | None:
        """The room of a cap, or the tightest one; None where none could be computed."""
        about = [room for room in self.rooms if cap is None or room.cap is cap]
        return min(about, key=lambda room: room.left_usd, default=None)


def caps_pct(ask: Ask, limits: Limits) -> tuple[tuple[CapType, Reason, Decimal], ...]:
    """Every cap that holds for this request, per cent of NAV, regime applied (U3).

    A position's cap moves with the regime; those of strategy, whole, asset and theme are never raised by it. An asset
    has its tier's allocation besides.
    """
    row = limits.row(ask.regime)
    hard = min(ONE, row.multiplier)
    budget = dict(limits.strategy_budgets_pct).get(ask.strategy, limits.max_total_at_risk_pct)
    position = min(limits.tier_caps_pct[ask.tier - 1], limits.max_position_size_pct)
    return (
        (CapType.STRATEGY, Reason.STRATEGY_CAP, budget * hard),
        (CapType.TOTAL, Reason.TOTAL_AT_RISK_CAP, limits.max_total_at_risk_pct * hard),
        (CapType.POSITION, Reason.POSITION_CAP, position * row.multiplier),
        (CapType.ASSET, Reason.POSITION_CAP, min(limits.max_per_asset_pct * hard, row.allocations_pct[ask.tier - 1])),
        (CapType.THEME, Reason.THEME_CAP, limits.theme_cap_pct(ask.theme) * hard),
    )


def rooms(ask: Ask, exposure: Exposure, nav_usd: Decimal, limits: Limits) -> tuple[Room, ...]:
    """What every cap leaves for this request, and the largest order, and the money."""
    used = {
        CapType.STRATEGY: exposure.of_strategy(ask.strategy),
        CapType.TOTAL: exposure.total_usd,
        CapType.POSITION: exposure.of_product(ask.product_id),
        CapType.ASSET: exposure.of_asset(asset_of(ask.product_id)),
        CapType.THEME: exposure.of_theme(ask.theme),
    }
    return (
        *(
            Room(cap=cap, code=code, cap_usd=nav_usd * pct / PCT, used_usd=used[cap])
            for cap, code, pct in caps_pct(ask, limits)
        ),
        Room(cap=CapType.ORDER, code=Reason.POSITION_CAP, cap_usd=limits.max_order_usd, used_usd=ZERO),
        Room(cap=CapType.FUNDS, code=Reason.INSUFFICIENT_FUNDS, cap_usd=_affordable(ask, limits), used_usd=ZERO),
    )


def _affordable(ask: Ask, limits: Limits) -> Decimal:
    """What the money buys, its fee included; with a little air where it is not enough for all that is wanted."""
    usd = ask.available_usd / (ONE + bps_of(ONE, limits.taker_fee_bps))
    return usd if ask.whole or ask.requested_usd <= usd else usd * _AIR


def minimum_usd(limits: Limits, venue_min_usd: Decimal = ZERO) -> Decimal:
    """The smallest purchase that is worth sending: the largest minimum, grossed up by the maker fee (X3)."""
    floor = max(venue_min_usd, limits.min_notional_usd, limits.min_order_usd)
    return floor / (ONE - bps_of(ONE, limits.maker_fee_bps))


def least_usd(ask: Ask, nav_usd: Decimal, limits: Limits) -> Decimal:
    """The smallest purchase that is a position worth its slot."""
    smallest = ZERO if ask.drill else nav_usd * limits.min_position_size_pct / PCT
    return max(minimum_usd(limits, ask.venue_min_usd), smallest)


def bumped(ask: Ask, nav_usd: Decimal | None, limits: Limits) -> Ask:
    """The request itself, or the least that is worth sending where the policy lifts smaller ones to it."""
    if nav_usd is None or not limits.bump_to_min or ask.requested_usd <= ZERO or ask.whole:
        return ask
    return replace(ask, requested_usd=max(ask.requested_usd, least_usd(ask, nav_usd, limits)))


def grant(ask: Ask, exposure: Exposure, limits: Limits) -> Grant:
    """Size a request to the tightest cap and to the money there is; nothing where what fits is not worth sending."""
    nav = exposure.nav_usd
    if nav is None or nav <= ZERO:
        return Grant(usd=ZERO)
    found = rooms(ask, exposure, nav, limits)
    least = least_usd(ask, nav, limits)
    wanted = max(ask.requested_usd, least) if ask.whole else least
    verdicts = (_worth(ask, least, limits), *check(found, wanted, whole=ask.whole))
    if not all(v.passed for v in verdicts):
        return Grant(usd=ZERO, least_usd=least, verdicts=verdicts, rooms=found)
    usd = min(ask.requested_usd, *(room.left_usd for room in found))
    final = check(found, usd, whole=ask.whole)
    return Grant(usd=usd, least_usd=least, verdicts=(verdicts[0], *final), rooms=found)


def _worth(ask: Ask, least: Decimal, limits: Limits) -> Verdict:
    """A request under the smallest order says so as one that the caps have cut to it; one under a position's worth."""
    code = Reason.POSITION_SIZE_TOO_SMALL
    if ask.requested_usd < minimum_usd(limits, ask.venue_min_usd):
        code = Reason.BELOW_MIN_AFTER_CAPS if ask.requested_usd > ZERO else Reason.NON_POSITIVE_REQUEST
    return Verdict(
        code=code,
        passed=ask.requested_usd >= least,
        value=ask.requested_usd,
        limit=least,
        unit="usd",
        detail="request",
        bound=Bound.AT_LEAST,
    )


def check(found: tuple[Room, ...], usd: Decimal, *, whole: bool) -> tuple[Verdict, ...]:
    """Whether a purchase of so much fits every cap: the one check, before sizing and after it."""
    return tuple(_fits(room, usd, whole=whole) for room in found)


def _fits(room: Room, usd: Decimal, *, whole: bool) -> Verdict:
    """A cap without any room has its own code; one with too little for what is worth sending names the minimum."""
    left = room.left_usd
    partly = ZERO < left < usd and not whole and room.cap is not CapType.FUNDS
    return Verdict(
        code=Reason.BELOW_MIN_AFTER_CAPS if partly else room.code,
        passed=left >= usd,
        value=left,
        limit=usd,
        unit="usd",
        detail=f"{'no_capacity: ' if left <= ZERO else ''}room of {room.cap.value}",
        bound=Bound.AT_LEAST,
        halts=room.cap is CapType.TOTAL and left <= ZERO,
        cap=room.cap,
    )
