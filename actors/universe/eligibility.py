"""Who may be traded now (pipeline.md §3). No data means not eligible; nothing is ever made up."""

from decimal import Decimal

from protocol.base import Value
from protocol.ids import ProductId
from protocol.market import ProductRules, Quote
from protocol.strategy import Asset, Exclusion


class TierRules(Value, frozen=True, kw_only=True):
    """One tier: products and bounds, global floors included. Volume in USD per 24 h, depth in USD within 20 bps."""

    tier: int
    products: tuple[ProductId, ...]
    min_volume_usd: Decimal
    max_spread_bps: Decimal
    min_depth_usd: Decimal
    multiplier: Decimal


class Bounds(Value, frozen=True, kw_only=True):
    """Everything that decides eligibility besides the market itself."""

    tiers: tuple[TierRules, ...]
    never: frozenset[str]
    quote_age_ns: int
    themes: dict[str, str]


def judge(
    product: ProductId,
    tier: TierRules,
    bounds: Bounds,
    rules: ProductRules | None,
    quote: Quote | None,
    now_ns: int,
) -> Asset | Exclusion:
    """The first check that fails is the reason; spread, depth and age are those of this moment."""
    if product in bounds.never:
        return _out(product, tier, "never_trade")
    if tier.multiplier <= 0:
        return _out(product, tier, "regime_tier_zero")
    if rules is None or quote is None or now_ns - quote.fresh_ns > bounds.quote_age_ns:
        return _out(product, tier, "no_market_data")
    if not rules.tradable:
        return _out(product, tier, "product_disabled")
    volume = rules.volume_24h_usd
    if volume is None:
        return _out(product, tier, "no_market_data")
    if volume < tier.min_volume_usd:
        return _out(product, tier, "volume", volume, tier.min_volume_usd)
    if quote.spread_bps > tier.max_spread_bps:
        return _out(product, tier, "spread", quote.spread_bps, tier.max_spread_bps)
    depth = quote.bid_depth_usd + quote.ask_depth_usd
    if depth < tier.min_depth_usd:
        return _out(product, tier, "depth", depth, tier.min_depth_usd)
    return Asset(
        product_id=product,
        tier=tier.tier,
        theme=bounds.themes.get(product, "OTHER"),
        bid=quote.bid,
        ask=quote.ask,
        spread_bps=float(quote.spread_bps),
        depth_usd=float(depth),
        volume_24h_usd=float(volume),
    )


def _out(
    product: ProductId, tier: TierRules, reason: str, value: Decimal | None = None, limit: Decimal | None = None
) -> Exclusion:
    return Exclusion(
        product_id=product,
        tier=tier.tier,
        reason=reason,
        value=None if value is None else float(value),
        limit=None if limit is None else float(limit),
    )
