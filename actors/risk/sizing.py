"""How much of a request fits (risk.md §3). One function computes the room for sizing and for the final check alike."""

from decimal import Decimal

from actors.risk.exposure import Exposure
from actors.risk.limits import Limits
from protocol.base import Value
from protocol.ids import ProductId
from protocol.money import ONE, PCT, ZERO, bps_of
from protocol.risk import Reason
from protocol.strategy import Regime
from protocol.symbols import asset_of


class Ask(Value, frozen=True, kw_only=True):
    """What somebody wants to buy: USD, and everything that decides which caps apply.

    `drill`: small on purpose, so that only the venue's minimum counts; the caps are the same.
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


class Room(Value, frozen=True, kw_only=True):
    """What one cap leaves, USD."""

    code: Reason
    cap_usd: Decimal
    used_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        """Never below zero."""
        return max(self.cap_usd - self.used_usd, ZERO)


class Grant(Value, frozen=True, kw_only=True):
    """The answer: `usd` zero with a `code`, or what fits; `binding` is the tightest cap."""

    usd: Decimal
    code: Reason | None
    binding: Room
    minimum_usd: Decimal


def rooms(ask: Ask, exposure: Exposure, nav_usd: Decimal, limits: Limits) -> tuple[Room, ...]:
    """What every cap leaves for this request, regime applied (U3: bull never raises a portfolio cap)."""
    row = limits.row(ask.regime)
    m = row.multiplier
    hard = min(ONE, m)
    asset = asset_of(ask.product_id)
    position_pct = min(limits.tier_caps_pct[ask.tier - 1], limits.max_position_size_pct) * m
    asset_pct = min(limits.max_per_asset_pct * hard, row.allocations_pct[ask.tier - 1])
    budget_pct = dict(limits.strategy_budgets_pct).get(ask.strategy, limits.max_total_at_risk_pct)

    def room(code: Reason, pct: Decimal, used: Decimal) -> Room:
        return Room(code=code, cap_usd=nav_usd * pct / PCT, used_usd=used)

    return (
        room(Reason.STRATEGY_CAP, budget_pct * hard, exposure.of_strategy(ask.strategy)),
        room(Reason.TOTAL_AT_RISK_CAP, limits.max_total_at_risk_pct * hard, exposure.total_usd),
        room(Reason.POSITION_CAP, position_pct, exposure.of_product(ask.product_id)),
        room(Reason.POSITION_CAP, asset_pct, exposure.of_asset(asset)),
        room(Reason.THEME_CAP, limits.theme_cap_pct(ask.theme) * hard, exposure.of_theme(ask.theme)),
    )


def minimum_usd(ask: Ask, limits: Limits) -> Decimal:
    """The smallest purchase that is worth sending: the larger minimum, grossed up by the maker fee (X3)."""
    floor = max(ask.venue_min_usd, limits.min_notional_usd)
    return floor / (ONE - bps_of(ONE, limits.maker_fee_bps))


def grant(ask: Ask, exposure: Exposure, limits: Limits) -> Grant:
    """Size a request to the tightest cap and to the money there is; refuse with the code of what stops it."""
    nothing = Room(code=Reason.NO_NAV, cap_usd=ZERO, used_usd=ZERO)
    minimum = minimum_usd(ask, limits)
    nav = exposure.nav_usd
    if nav is None or nav <= ZERO:
        return Grant(usd=ZERO, code=Reason.NO_NAV, binding=nothing, minimum_usd=minimum)
    if ask.requested_usd <= ZERO:
        return Grant(usd=ZERO, code=Reason.NON_POSITIVE_REQUEST, binding=nothing, minimum_usd=minimum)
    tightest = min(rooms(ask, exposure, nav, limits), key=lambda room: room.left_usd)
    if tightest.left_usd <= ZERO:
        return Grant(usd=ZERO, code=tightest.code, binding=tightest, minimum_usd=minimum)
    smallest = ZERO if ask.drill else nav * limits.min_position_size_pct / PCT
    too_small = max(minimum, smallest)
    if ask.requested_usd < too_small:
        return Grant(usd=ZERO, code=Reason.POSITION_SIZE_TOO_SMALL, binding=tightest, minimum_usd=too_small)
    usd = min(ask.requested_usd, tightest.left_usd)
    if usd < minimum:
        return Grant(usd=ZERO, code=Reason.BELOW_MIN_AFTER_CAPS, binding=tightest, minimum_usd=minimum)
    affordable = ask.available_usd / (ONE + bps_of(ONE, limits.taker_fee_bps))
    if usd <= affordable:
        return Grant(usd=usd, code=None, binding=tightest, minimum_usd=minimum)
    money = Room(code=Reason.INSUFFICIENT_FUNDS, cap_usd=affordable, used_usd=ZERO)
    usd = affordable * Decimal("0.99")
    if usd < minimum:
        return Grant(usd=ZERO, code=Reason.INSUFFICIENT_FUNDS, binding=money, minimum_usd=minimum)
    return Grant(usd=usd, code=None, binding=money, minimum_usd=minimum)
