"""Which of everything listed belongs to the universe, and to which tier (pipeline.md §3, dynamic discovery). Pure.

All products are ranked, whatever order they are listed in: by USD volume, then by name. From the top down each takes a
place in the first tier that has one left and whose floor its volume reaches.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from protocol.discovery import DiscoveryRules, LeftOut, Listing, Source, UniverseDiscovered
from protocol.ids import ProductId
from protocol.money import BPS


def discover(
    listings: Iterable[Listing], rules: DiscoveryRules, barred: frozenset[str], at_ns: int
) -> UniverseDiscovered:
    """Choose from a complete listing of USD products.

    Args:
        listings: in any order.
        rules: floors, limits, and what is chosen where nothing else can be.
        barred: what is never traded, or banned for a time.
        at_ns: when the listing was read.

    Returns:
        The tiers. Without any product of tier 1 the fallback stands in for all of them: of what is listed, if anything
        of it is.
    """
    listed = {listing.product_id: listing for listing in listings}
    out = {product: _unfit(listing, rules, barred) for product, listing in listed.items()}
    fit = [listed[product] for product, why in out.items() if why is None]
    tiers, unplaced = _placed(sorted(fit, key=_rank), rules)
    left_out = [*(why for why in out.values() if why is not None), *unplaced]
    found = UniverseDiscovered(
        at_ns=at_ns,
        source=Source.VENUE,
        detail="",
        tiers=(tuple(tiers[0]), tuple(tiers[1]), tuple(tiers[2])),
        left_out=tuple(sorted(left_out, key=lambda out: out.product_id)),
    )
    if found.tiers[0]:
        return found
    known = tuple(p for p in rules.fallback if p in listed)
    return _fallen_back(found, known or rules.fallback, rules, barred, "no product reaches tier 1")


def undiscovered(rules: DiscoveryRules, barred: frozenset[str], detail: str, at_ns: int) -> UniverseDiscovered:
    """The fallback where no listing could be read; `detail` says why."""
    nothing = UniverseDiscovered(at_ns=at_ns, source=Source.FALLBACK, detail="", tiers=((), (), ()), left_out=())
    return _fallen_back(nothing, rules.fallback, rules, barred, detail)


def _fallen_back(
    found: UniverseDiscovered,
    products: Iterable[ProductId],
    rules: DiscoveryRules,
    barred: frozenset[str],
    detail: str,
) -> UniverseDiscovered:
    most = min(rules.tiers[0].max_products, rules.max_products)
    first = tuple(product for product in products if product not in barred)[:most]
    return replace(found, source=Source.FALLBACK, detail=detail, tiers=(first, (), ()))


def _rank(listing: Listing) -> tuple[Decimal, ProductId]:
    return -(listing.volume_24h_usd or Decimal(0)), listing.product_id


def _unfit(listing: Listing, rules: DiscoveryRules, barred: frozenset[str]) -> LeftOut | None:
    """The first reason why a product is out, whatever its volume. Missing data is one; nothing is made up for it."""
    product, price, volume = listing.product_id, _positive(listing.price), listing.volume_24h_usd
    spread = _spread_bps(listing)
    if product in barred:
        return LeftOut(product_id=product, reason="excluded")
    if listing.base in rules.stable_coins:
        return LeftOut(product_id=product, reason="stable_coin")
    if not listing.tradable:
        return LeftOut(product_id=product, reason="product_disabled")
    if price is None or volume is None or spread is None:
        return LeftOut(product_id=product, reason="no_market_data")
    if price < rules.min_price_usd:
        return LeftOut(product_id=product, reason="price", value=price, limit=rules.min_price_usd)
    if spread > rules.max_spread_bps:
        return LeftOut(product_id=product, reason="spread", value=round(spread, 2), limit=rules.max_spread_bps)
    return None


def _positive(amount: Decimal | None) -> Decimal | None:
    return amount if amount is not None and amount > 0 else None


def _spread_bps(listing: Listing) -> Decimal | None:
    """Of both sides' best prices; None unless there are two that make a market."""
    bid, ask = _positive(listing.bid), _positive(listing.ask)
    if bid is None or ask is None or ask < bid:
        return None
    return (ask - bid) / ((ask + bid) / 2) * BPS


def _placed(ranked: list[Listing], rules: DiscoveryRules) -> tuple[list[list[ProductId]], list[LeftOut]]:
    """Tiers filled from the top of the ranking, and who found no place: too little volume, or none left."""
    tiers: list[list[ProductId]] = [[] for _ in rules.tiers]
    out: list[LeftOut] = []
    lowest = min((floor.min_volume_usd for floor in rules.tiers if floor.max_products), default=Decimal(0))
    for listing in ranked:
        volume = listing.volume_24h_usd or Decimal(0)
        places = (
            tier
            for tier, floor in zip(tiers, rules.tiers, strict=True)
            if len(tier) < floor.max_products and volume >= floor.min_volume_usd
        )
        place = next(places, None) if sum(map(len, tiers)) < rules.max_products else None
        if place is not None:
            place.append(listing.product_id)
        elif volume < lowest:
            out.append(LeftOut(product_id=listing.product_id, reason="volume", value=volume, limit=lowest))
        else:
            out.append(LeftOut(product_id=listing.product_id, reason="rank", value=volume))
    return tiers, out
