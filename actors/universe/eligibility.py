"""Who may be traded now (pipeline.md §3): checks in their order, the first that fails is the reason.

No data means not eligible; nothing is ever made up. Every bound that is evaluated stays as a row, also those that a
rule for near misses or the force list stands in for.
"""

from collections.abc import Iterable
from decimal import Decimal

from actors.universe.hysteresis import Standing
from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import DAY_NS, SECOND_NS
from protocol.market import ProductRules, Quote, off_ns
from protocol.money import ONE, PCT
from protocol.policy_universe import BandRow, NearMiss, VolumeSteps
from protocol.strategy import Asset, Check, Exclusion, RedFlag

FORCED, OVERRIDE_VOLUME, OVERRIDE_DEPTH = "force_eligible_core_asset", "override_volume", "override_depth"
_DEPTH_WITHIN_BPS = 20


class TierRules(Value, frozen=True, kw_only=True):
    """One tier: products and bounds, global floors included. Volume in USD per 24 h, depth in USD within 20 bps."""

    tier: int
    products: tuple[ProductId, ...]
    min_volume_usd: Decimal
    max_spread_bps: Decimal
    min_depth_usd: Decimal
    max_allocation_pct: Decimal
    forced: frozenset[ProductId] = frozenset()
    band: BandRow | None = None


class Bounds(Value, frozen=True, kw_only=True):
    """Everything that decides eligibility besides the market itself."""

    tiers: tuple[TierRules, ...]
    never: frozenset[str]
    quote_age_ns: int
    themes: dict[str, str]
    steps: VolumeSteps
    near: NearMiss | None = None


class Member(Value, frozen=True, kw_only=True):
    """What the last build says of a product: USD volume of 24 h, the floor it was held against, and its standing."""

    volume_usd: Decimal
    floor_usd: Decimal
    standing: Standing


class Case(Value, frozen=True, kw_only=True):
    """One product at this moment. `order_usd`: the size of an order of ours in it, None while NAV is unknown.

    `used` are the near misses of its tier that passed already; `clock_offset_ns` is the venue's clock minus ours.
    """

    product_id: ProductId
    multiplier: Decimal
    flag: RedFlag | None
    rules: ProductRules | None
    quote: Quote | None
    member: Member | None
    order_usd: Decimal | None
    used: int
    clock_offset_ns: int = 0


class Stage(Value, frozen=True, kw_only=True):
    """What one group of checks found. `reason` empty: passed, perhaps by an `override`; `near`: by a near miss."""

    rows: tuple[Check, ...]
    reason: str = ""
    override: str = ""
    near: bool = False


class Judged(Value, frozen=True, kw_only=True):
    """The outcome, and how many near misses it used."""

    outcome: Asset | Exclusion
    used: int = 0


def judge(case: Case, tier: TierRules, bounds: Bounds, now_ns: int) -> Judged:
    """All checks of one product; spread, depth and age are those of this moment."""
    barred = _barred(case, tier, bounds)
    known = Stage(rows=(), reason=barred.reason) if barred.reason else _known(case, bounds, now_ns)
    quote, member = case.quote, case.member
    if known.reason or quote is None or member is None:
        return Judged(outcome=_out(case, tier, known.reason, _kept((*barred.rows, *known.rows))))
    volume = _volume(case, quote, member, (tier, bounds), now_ns)
    spread = _one(_most("spread", quote.spread_bps, tier.max_spread_bps, "bps"))
    depth = _depth(case.used + volume.near, quote, tier, bounds.near)
    stages = (barred, known, volume, spread, depth)
    rows = _kept(row for stage in stages for row in stage.rows)
    reason = next((stage.reason for stage in stages if stage.reason), "")
    if reason:
        return Judged(outcome=_out(case, tier, reason, rows))
    overrides = tuple(stage.override for stage in stages if stage.override)
    asset = Asset(
        product_id=case.product_id,
        tier=tier.tier,
        theme=bounds.themes.get(case.product_id, "OTHER"),
        bid=quote.bid,
        ask=quote.ask,
        spread_bps=float(quote.spread_bps),
        depth_usd=float(_both_sides(quote)),
        volume_24h_usd=float(member.volume_usd),
        max_allocation_pct=tier.max_allocation_pct * case.multiplier,
        overrides=overrides,
        checks=rows,
    )
    return Judged(outcome=asset, used=volume.near + depth.near)


# --- stages, in their order ---------------------------------------------------------------------------------------


def _barred(case: Case, tier: TierRules, bounds: Bounds) -> Stage:
    """Exclusion, and the tiers that a regime skips as a whole."""
    flagged = case.flag.reason if case.flag is not None else ""
    rows = (
        Check(code="never_trade", passed=case.product_id not in bounds.never, value=None, limit=None),
        Check(code="red_flag", passed=not flagged, value=None, limit=None, unit=flagged),
        Check(
            code="regime_tier_zero",
            passed=case.multiplier > 0,
            value=float(tier.max_allocation_pct * case.multiplier),
            limit=0.0,
            unit="pct",
        ),
    )
    return _first(rows)


def _known(case: Case, bounds: Bounds, now_ns: int) -> Stage:
    """Rules, a quote of this moment and a volume, all of the venue's own; and a product that may be traded freely."""
    if case.rules is None or case.quote is None:
        return _one(Check(code="no_market_data", passed=False, value=None, limit=None))
    off, most = off_ns(case.quote.age_ns(now_ns, case.clock_offset_ns), bounds.quote_age_ns)
    return _first(
        (
            _most("no_market_data", Decimal(off) / SECOND_NS, Decimal(most) / SECOND_NS, "s"),
            Check(code="product_disabled", passed=case.rules.tradable, value=None, limit=None, unit=case.rules.status),
            Check(code="no_market_data", passed=case.member is not None, value=None, limit=None, unit="volume"),
        )
    )


def _volume(case: Case, quote: Quote, member: Member, rules: tuple[TierRules, Bounds], now_ns: int) -> Stage:
    """Volume, with what may stand in for it: the force list, patience, tier 2's band, a near miss."""
    tier, bounds = rules
    row = _least("volume", member.volume_usd, member.floor_usd, "usd")
    if case.product_id in tier.forced:
        return Stage(rows=(row,), override="" if row.passed else FORCED)
    if member.standing.member:
        return Stage(rows=(row,) if row.passed else (row, _patience(member.standing, bounds.steps)))
    if tier.band is not None and member.floor_usd * tier.band.lower_mult <= member.volume_usd < member.floor_usd:
        return _banded(row, case, quote, tier.band, now_ns)
    if bounds.near is not None and member.volume_usd >= member.floor_usd * (ONE - bounds.near.tolerance_share):
        return _near(row, OVERRIDE_VOLUME, case.used, bounds.near)
    if not row.passed:
        return _one(row)
    waiting = _waiting(member.standing, bounds.steps)
    return Stage(rows=(row, waiting), reason=waiting.code)


def _waiting(standing: Standing, steps: VolumeSteps) -> Check:
    """Enough volume, but not yet for long enough."""
    return _least("volume_unconfirmed", Decimal(standing.builds), Decimal(steps.enter_builds), "builds")


def _patience(standing: Standing, steps: VolumeSteps) -> Check:
    """Too little volume, but not yet for long enough to leave."""
    left = Decimal(steps.exit_builds - 1)
    return _most("volume_kept", Decimal(standing.builds), left, "builds")


def _banded(volume: Check, case: Case, quote: Quote, band: BandRow, now_ns: int) -> Stage:
    """Just below the floor: cheap, not new, and deep enough for our own order (3a). What is not known fails."""
    listed = case.rules.listed_ns if case.rules is not None else None
    age = None if listed is None else Decimal(now_ns - listed) / DAY_NS
    depth = None if not case.order_usd else _both_sides(quote) / case.order_usd
    rows = (
        _most("override_spread", quote.spread_bps, band.max_spread_bps, "bps"),
        _least("override_listing_age", age, Decimal(band.min_listing_age_s) * SECOND_NS / DAY_NS, "days"),
        _least("override_depth_multiple", depth, band.require_depth_mult, "x"),
        _most("override_slippage", _slippage_bps(quote, case.order_usd), band.slippage_budget_bps, "bps"),
    )
    found = _first(rows)
    return Stage(rows=(volume, *rows), reason=found.reason, override="" if found.reason else OVERRIDE_VOLUME)


def _slippage_bps(quote: Quote, order_usd: Decimal | None) -> Decimal | None:
    """What a purchase of this size costs from the mid, its part of the ask depth taken evenly; None where unknown.

    An order beyond what rests within 20 bps has no known cost.
    """
    if order_usd is None or order_usd > quote.ask_depth_usd or not quote.ask_depth_usd:
        return None
    return quote.spread_bps / 2 + _DEPTH_WITHIN_BPS * order_usd / quote.ask_depth_usd


def _depth(used: int, quote: Quote, tier: TierRules, near: NearMiss | None) -> Stage:
    depth = _both_sides(quote)
    row = _least("depth", depth, tier.min_depth_usd, "usd")
    if row.passed or near is None or depth < tier.min_depth_usd * (ONE - near.tolerance_share):
        return _one(row)
    return _near(row, OVERRIDE_DEPTH, used, near)


def _near(row: Check, code: str, used: int, near: NearMiss) -> Stage:
    """A near miss passes while its tier has room for one more (3b)."""
    if used >= near.max_per_tier:
        full = Check(code=code, passed=False, value=float(used), limit=float(near.max_per_tier), unit="products")
        return Stage(rows=(row, full), reason=code if row.passed else row.code)
    room = Check(code=code, passed=True, value=float(used + 1), limit=float(near.max_per_tier), unit="products")
    return Stage(rows=(row, room), override=code, near=True)


# --- rows ---------------------------------------------------------------------------------------------------------


def _both_sides(quote: Quote) -> Decimal:
    return quote.bid_depth_usd + quote.ask_depth_usd


def _least(code: str, value: Decimal | None, limit: Decimal, unit: str) -> Check:
    passed = value is not None and value >= limit
    return Check(code=code, passed=passed, value=None if value is None else float(value), limit=float(limit), unit=unit)


def _most(code: str, value: Decimal | None, limit: Decimal, unit: str) -> Check:
    passed = value is not None and value <= limit
    return Check(code=code, passed=passed, value=None if value is None else float(value), limit=float(limit), unit=unit)


def _one(row: Check) -> Stage:
    return Stage(rows=(row,), reason="" if row.passed else row.code)


def _kept(rows: Iterable[Check]) -> tuple[Check, ...]:
    """The rows that say something: every bound with a number, and whatever failed."""
    return tuple(row for row in rows if row.limit is not None or not row.passed)


def _first(rows: tuple[Check, ...]) -> Stage:
    return Stage(rows=rows, reason=next((row.code for row in rows if not row.passed), ""))


def _out(case: Case, tier: TierRules, reason: str, rows: tuple[Check, ...]) -> Exclusion:
    failed = next((row for row in rows if row.code == reason and not row.passed), None)
    return Exclusion(
        product_id=case.product_id,
        tier=tier.tier,
        reason=reason,
        value=failed.value if failed is not None else None,
        limit=failed.limit if failed is not None else None,
        checks=rows,
    )


def order_usd(nav_usd: Decimal | None, base_pct: Decimal, multiplier: Decimal) -> Decimal | None:
    """The size of an order of ours: the tier's base size in this regime."""
    return None if nav_usd is None else nav_usd * base_pct * multiplier / PCT
