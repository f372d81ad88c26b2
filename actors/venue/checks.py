"""Whether an order may be placed on a product now: flags, grids, bounds, prices. Every refusal in the venue's words."""

from decimal import Decimal

import msgspec

from actors.venue.book import BUY, crosses
from actors.venue.configurations import BRACKET, FOK, GTD, IOC, LIMIT, MARKET, STOP_DOWN, STOP_LIMIT, STOP_UP, Terms
from actors.venue.exact import BPS, on_grid
from actors.venue.instants import DAY_NS
from actors.venue.products import ProductSpec
from actors.venue.refusals import RefusedError, by_preview, only_preview, past_preview


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the venue that are not a product's. The venue does not publish these; all are configurable.

    A marketable limit may reach at most `price_band_bps` through the market; a passive one may stand at most
    `far_from_market` times away from it (a buy under market / N, a sell over market x N is refused).
    Of ended orders the newest `kept_orders` are remembered with their fills, so that a venue may run for months.
    """

    price_band_bps: Decimal = Decimal(1000)
    far_from_market: Decimal = Decimal(10)
    longest_gtd_ns: int = 366 * DAY_NS
    open_orders_per_product: int = 500
    kept_orders: int = 100_000
    edits_per_order: int = 100


class MarketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks look at: best prices and the last trade of the book, None where there is none."""

    best_bid: Decimal | None
    best_ask: Decimal | None
    last: Decimal | None

    @property
    def reference(self) -> Decimal | None:
        """Mid price, else the last trade, else the one side there is."""
        if self.best_bid is not None and self.best_ask is not None:
            return (self.best_bid + self.best_ask) / 2
        return self.last or self.best_bid or self.best_ask

    def touch(self, side: str) -> Decimal | None:
        """The best price an aggressor of `side` would trade at."""
        return self.best_ask if side == BUY else self.best_bid


def check(spec: ProductSpec, side: str, terms: Terms, facts: MarketFacts, rules: VenueRules, now_ns: int) -> None:
    """Refuse what the venue refuses, funds apart. Raises RefusedError."""
    check_state(spec, terms)
    if terms.order_type == MARKET:
        _check_market(spec, side, terms, facts)
    else:
        _check_limit(spec, terms, rules, now_ns)
        _check_prices(spec, side, terms, facts, rules)


def check_state(spec: ProductSpec, terms: Terms) -> None:
    """Refuse by the product's flags and status, strongest first."""
    blocked = {
        "UNTRADABLE_PRODUCT": spec.is_disabled or spec.status == "delisted",
        "TRADING_DISABLED": spec.trading_disabled,
        "PRODUCT_TRADING_HALTED": spec.status == "offline",
    }
    for reason in (reason for reason, holds in blocked.items() if holds):
        raise by_preview(reason, f"{spec.product_id} cannot be traded")
    if spec.cancel_only:
        raise past_preview("ORDER_ENTRY_DISABLED", "only cancels are accepted")
    if spec.view_only:
        raise past_preview("INELIGIBLE_PAIR", "product is view-only for this account")
    immediate = terms.time_in_force in {IOC, FOK}
    if (spec.limit_only and terms.order_type == MARKET) or (spec.auction_mode and immediate):
        raise only_preview("PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", "order type not allowed in the current state")
    if spec.post_only and not (terms.order_type == LIMIT and terms.post_only):
        raise only_preview("PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", "only post-only limit orders are accepted")


def check_base(spec: ProductSpec, size: Decimal) -> None:
    """Refuse a base size off the grid or out of bounds."""
    if not on_grid(size, spec.base_increment):
        raise by_preview("INVALID_SIZE_PRECISION", f"base_size must be a multiple of {spec.base_increment}")
    if size <= 0 or size < spec.base_min_size:
        raise only_preview("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", f"base_size is below {spec.base_min_size}")
    if size > spec.base_max_size:
        raise only_preview("PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", f"base_size is above {spec.base_max_size}")


def check_notional(spec: ProductSpec, value: Decimal) -> None:
    """Refuse an order worth less or more than the product allows."""
    if value <= 0 or value < spec.quote_min_size:
        raise only_preview("PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", f"order value is below {spec.quote_min_size}")
    if value > spec.quote_max_size:
        raise only_preview("PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE", f"order value is above {spec.quote_max_size}")


def check_quote(spec: ProductSpec, size: Decimal) -> None:
    """Refuse a quote size off the grid or out of bounds."""
    if not on_grid(size, spec.quote_increment):
        raise RefusedError(
            "INVALID_SIZE_PRECISION",
            "PREVIEW_INVALID_QUOTE_SIZE_PRECISION",
            f"quote_size must be a multiple of {spec.quote_increment}",
        )
    check_notional(spec, size)


def limit_base(spec: ProductSpec, terms: Terms, price: Decimal) -> Decimal:
    """The base size of a limit order; one sized in quote buys as many whole increments as its limit affords."""
    if terms.base_size is not None:
        return terms.base_size
    assert terms.quote_size is not None  # parse() lets exactly one of the two through
    return terms.quote_size / price // spec.base_increment * spec.base_increment


def _check_market(spec: ProductSpec, side: str, terms: Terms, facts: MarketFacts) -> None:
    touch = facts.touch(side)
    if touch is None:
        raise by_preview("INVALID_NO_LIQUIDITY", "no liquidity on the other side of the book")
    if terms.quote_size is not None:
        if side != BUY:
            raise only_preview("PREVIEW_INVALID_ORDER_CONFIG", "market sells are sized in base")
        check_quote(spec, terms.quote_size)
    if terms.base_size is not None:
        check_base(spec, terms.base_size)
        check_notional(spec, terms.base_size * touch)


def _check_limit(spec: ProductSpec, terms: Terms, rules: VenueRules, now_ns: int) -> None:
    price = terms.limit_price
    if price is None or price <= 0:
        raise by_preview("INVALID_LIMIT_PRICE", "limit_price must be positive")
    if not on_grid(price, spec.price_increment):
        raise by_preview("INVALID_PRICE_PRECISION", f"limit_price must be a multiple of {spec.price_increment}")
    if terms.quote_size is not None:
        check_quote(spec, terms.quote_size)
    base = limit_base(spec, terms, price)
    check_base(spec, base)
    if terms.quote_size is None:
        check_notional(spec, base * price)
    if terms.time_in_force == GTD:
        _check_end_time(terms.end_time_ns or 0, rules, now_ns)


def _check_end_time(end_time_ns: int, rules: VenueRules, now_ns: int) -> None:
    if end_time_ns <= now_ns:
        raise by_preview("END_TIME_IS_IN_THE_PAST", "end_time must lie in the future")
    if end_time_ns > now_ns + rules.longest_gtd_ns:
        raise by_preview("END_TIME_TOO_FAR_IN_FUTURE", "end_time is too far in the future")


def _check_prices(spec: ProductSpec, side: str, terms: Terms, facts: MarketFacts, rules: VenueRules) -> None:
    if terms.order_type == STOP_LIMIT:
        _check_stop(spec, side, terms, facts)
    elif terms.order_type == BRACKET:
        _check_bracket(spec, side, terms, facts, rules)
    else:
        _check_band(side, terms, facts, rules)


def _check_band(side: str, terms: Terms, facts: MarketFacts, rules: VenueRules) -> None:
    price, market, touch = terms.limit_price, facts.reference, facts.touch(side)
    if price is None or market is None:
        return
    band = rules.price_band_bps / BPS
    if side == BUY and price > market * (1 + band):
        raise by_preview("LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_BUY", "limit_price is too far above the market")
    if side != BUY and price < market * (1 - band):
        raise by_preview("LIMIT_ORDER_PRICE_EXCEEDS_PRICE_BAND_ON_SELL", "limit_price is too far below the market")
    if price * rules.far_from_market < market or price > market * rules.far_from_market:
        raise by_preview("LIMIT_PRICE_TOO_FAR_FROM_MARKET", "limit_price is too far from the market")
    if terms.post_only and touch is not None and crosses(side, price, touch):
        raise by_preview("INVALID_LIMIT_PRICE_POST_ONLY", "Invalid limit price for post-only order")


def _check_stop(spec: ProductSpec, side: str, terms: Terms, facts: MarketFacts) -> None:
    stop, limit, last = terms.stop_price, terms.limit_price, facts.last
    assert limit is not None  # _check_limit ran before
    if stop is None or stop <= 0 or terms.stop_direction not in {STOP_UP, STOP_DOWN}:
        raise only_preview("PREVIEW_INVALID_STOP_PRICE", "stop_price and stop_direction are needed")
    if not on_grid(stop, spec.price_increment):
        raise only_preview("PREVIEW_INVALID_STOP_PRICE_PRECISION", f"not a multiple of {spec.price_increment}")
    if last is None:
        raise by_preview("MISSING_MARKET_TRADE_DATA", "there is no last trade to compare the stop with")
    if side == BUY and stop > limit:
        raise only_preview("PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE", "a buy stop must not be above its limit")
    if side != BUY and stop < limit:
        raise only_preview("PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE", "a sell stop must not be below its limit")
    if terms.stop_direction == STOP_UP and stop <= last:
        raise RefusedError(
            "STOP_ALREADY_TRIGGERED", "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE", "a stop upwards must be above last"
        )
    if terms.stop_direction == STOP_DOWN and stop >= last:
        raise RefusedError(
            "STOP_ALREADY_TRIGGERED", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE", "a stop downwards must be below last"
        )


def _check_bracket(spec: ProductSpec, side: str, terms: Terms, facts: MarketFacts, rules: VenueRules) -> None:
    target, trigger, market = terms.limit_price, terms.stop_price, facts.reference
    assert target is not None  # _check_limit ran before
    if trigger is None or trigger <= 0:
        raise by_preview("INVALID_BRACKET_STOP_TRIGGER_PRICE", "stop_trigger_price must be positive")
    if not on_grid(trigger, spec.price_increment):
        raise RefusedError(
            "INVALID_PRICE_PRECISION",
            "PREVIEW_INVALID_STOP_TRIGGER_PRICE_PRECISION",
            f"stop_trigger_price must be a multiple of {spec.price_increment}",
        )
    if market is None:
        raise by_preview("MISSING_MARKET_TRADE_DATA", "there is no market to compare the bracket with")
    above, below = (trigger, target) if side == BUY else (target, trigger)
    if above <= below:
        raise by_preview("INVALID_BRACKET_PRICES", "target and stop must stand on either side of the market")
    if (target >= market) if side == BUY else (target <= market):
        raise by_preview("INVALID_BRACKET_LIMIT_PRICE", "the target is on the wrong side of the market")
    if (trigger <= market) if side == BUY else (trigger >= market):
        raise by_preview("INVALID_BRACKET_STOP_TRIGGER_PRICE", "the stop is on the wrong side of the market")
    _check_bracket_bounds(target, trigger, market, rules)


def _check_bracket_bounds(target: Decimal, trigger: Decimal, market: Decimal, rules: VenueRules) -> None:
    far = rules.far_from_market
    if not market / far <= target <= market * far:
        raise by_preview("BRACKET_LIMIT_PRICE_OUT_OF_BOUNDS", "the target is too far from the market")
    if not market / far <= trigger <= market * far:
        raise by_preview("STOP_TRIGGER_PRICE_OUT_OF_BOUNDS", "the stop is too far from the market")
