"""Between the venue's wire and the desk's words: base and quote amounts kept apart, statuses and times as they are."""

from collections.abc import Iterable
from decimal import Decimal

from protocol.coinbase import orders as wire
from protocol.coinbase.border import decode_create_answer
from protocol.coinbase.orders import CreateOrder, DatedLimit, Limit, Market, OrderConfiguration, chosen, first_reason
from protocol.coinbase.rest import Account, Candle, Level, Product
from protocol.coinbase.wire import (
    BadWire,
    format_rfc3339,
    optional_decimal,
    parse_rfc3339,
    read_decimal,
    wire_decimal,
)
from protocol.ids import ClientOrderId, ProductId, VenueOrderId
from protocol.market import Bar, ProductRules
from protocol.money import BPS, ZERO
from protocol.orders import OrderSpec, PlaceAccepted, PlaceRefused, PlaceUnknown, Side, TimeInForce, VenueOrder
from protocol.venue import Balance, FillRecord

PREVIEW_ID = ClientOrderId("preview")  # a preview names no order

GRANULARITIES = {
    60: "ONE_MINUTE",
    300: "FIVE_MINUTE",
    900: "FIFTEEN_MINUTE",
    1800: "THIRTY_MINUTE",
    3600: "ONE_HOUR",
    7200: "TWO_HOUR",
    14_400: "FOUR_HOUR",
    21_600: "SIX_HOUR",
    86_400: "ONE_DAY",
}


def create_order(spec: OrderSpec) -> CreateOrder:
    """The request of an order; resting orders always carry their end (execution.md §8)."""
    return CreateOrder(
        client_order_id=spec.client_order_id,
        product_id=spec.product_id,
        side=spec.side.value,
        order_configuration=configuration(spec),
    )


def configuration(spec: OrderSpec) -> OrderConfiguration:
    """Exactly one member, by price and time in force."""
    base = wire_decimal(spec.base_size) if spec.base_size is not None else ""
    quote = wire_decimal(spec.quote_size) if spec.quote_size is not None else ""
    if spec.limit_price is None:
        return OrderConfiguration(market_market_ioc=Market(base_size=base, quote_size=quote))
    price = wire_decimal(spec.limit_price)
    if spec.time_in_force is TimeInForce.IOC:
        return OrderConfiguration(sor_limit_ioc=Limit(base_size=base, quote_size=quote, limit_price=price))
    return OrderConfiguration(
        limit_limit_gtd=DatedLimit(
            base_size=base,
            quote_size=quote,
            limit_price=price,
            post_only=spec.post_only,
            end_time=format_rfc3339(spec.expires_at_ns),
        )
    )


def placed(spec: OrderSpec, body: bytes) -> PlaceAccepted | PlaceRefused | PlaceUnknown:
    """The verdict in an answer to a place request. Unreadable, or about another order: unknown, never "refused"."""
    coid = spec.client_order_id
    try:
        answer = decode_create_answer(body)
    except BadWire as exc:
        return PlaceUnknown(client_order_id=coid, detail=f"unreadable answer: {exc}")
    if answer.success and answer.success_response is not None:
        echo = answer.success_response
        if (echo.product_id, echo.side, echo.client_order_id) != (spec.product_id, spec.side.value, coid):
            return PlaceUnknown(client_order_id=coid, detail="the answer is about another order")
        return PlaceAccepted(client_order_id=coid, venue_order_id=VenueOrderId(echo.order_id))
    refused = answer.error_response
    reason = (
        ""
        if refused is None
        else first_reason(refused.new_order_failure_reason, refused.preview_failure_reason, refused.error)
    )
    if reason == "DUPLICATE_CLIENT_ORDER_ID":
        return PlaceUnknown(client_order_id=coid, detail="already placed under this id")
    detail = "" if refused is None else (refused.error_details or refused.message or "")
    return PlaceRefused(client_order_id=coid, reason=f"{reason or 'UNKNOWN'} {detail}".strip())


def venue_order(order: wire.Order) -> VenueOrder:
    """A REST order's cumulative word."""
    filled = read_decimal(order.filled_size or "0", "filled_size")
    value = optional_decimal(order.filled_value, "filled_value")
    if value is None:
        value = filled * read_decimal(order.average_filled_price or "0", "average_filled_price")
    leg = chosen(order.order_configuration)
    limit = optional_decimal(getattr(leg[1], "limit_price", None), "limit_price") if leg is not None else None
    base = optional_decimal(getattr(leg[1], "base_size", None), "base_size") if leg is not None else None
    quote = optional_decimal(getattr(leg[1], "quote_size", None), "quote_size") if leg is not None else None
    return VenueOrder(
        client_order_id=order.client_order_id or "",
        venue_order_id=VenueOrderId(order.order_id),
        product_id=ProductId(order.product_id),
        side=Side(order.side),
        status=order.status.upper(),
        filled_size=filled,
        filled_value=value,
        fees=read_decimal(order.total_fees or "0", "total_fees"),
        limit_price=limit,
        base_size=base,
        quote_size=quote,
        created_ns=parse_rfc3339(order.created_time) or 0,
        reason=first_reason(order.reject_reason, order.reject_message, order.cancel_message),
    )


def fill(row: wire.Fill) -> FillRecord:
    """A fill with base and quote amounts, whichever of them the wire gave as `size` (execution.md §6)."""
    price, size = read_decimal(row.price, "price"), read_decimal(row.size, "size")
    base, value = (size / price, size) if row.size_in_quote else (size, size * price)
    return FillRecord(
        entry_id=row.entry_id,
        venue_order_id=VenueOrderId(row.order_id),
        product_id=ProductId(row.product_id),
        side=Side(row.side),
        price=price,
        size=base,
        value=value,
        fee=read_decimal(row.commission or "0", "commission"),
        maker=row.liquidity_indicator == "MAKER",
        trade_ns=parse_rfc3339(row.trade_time) or 0,
    )


def balance(row: Account) -> Balance:
    """One wallet."""
    return Balance(currency=row.currency, available=Decimal(row.available_balance.value), hold=Decimal(row.hold.value))


def summed(wallets: Iterable[Balance]) -> tuple[Balance, ...]:
    """One row per currency, whichever pages its wallets stood on."""
    available: dict[str, Decimal] = {}
    hold: dict[str, Decimal] = {}
    for wallet in wallets:
        available[wallet.currency] = available.get(wallet.currency, ZERO) + wallet.available
        hold[wallet.currency] = hold.get(wallet.currency, ZERO) + wallet.hold
    return tuple(Balance(currency=name, available=available[name], hold=hold[name]) for name in sorted(available))


def product(row: Product) -> ProductRules:
    """The rules of one product; the volume is the quote-currency one, never the base one (M-07)."""
    return ProductRules(
        product_id=ProductId(row.product_id),
        base=row.base_currency_id or "",
        quote=row.quote_currency_id or "",
        price_increment=Decimal(row.price_increment or 0),
        base_increment=Decimal(row.base_increment or 0),
        quote_increment=Decimal(row.quote_increment or 0),
        base_min_size=Decimal(row.base_min_size or 0),
        quote_min_size=Decimal(row.quote_min_size or 0),
        base_max_size=Decimal(row.base_max_size or 0),
        quote_max_size=Decimal(row.quote_max_size or 0),
        status="offline" if row.is_disabled else (row.status or "").lower(),
        trading_disabled=row.trading_disabled,
        cancel_only=row.cancel_only,
        limit_only=row.limit_only,
        post_only=row.post_only,
        view_only=row.view_only,
        auction_mode=row.auction_mode,
        alias=row.alias or "",
        volume_24h_usd=optional_decimal(row.approximate_quote_24h_volume or row.quote_volume_24h, "volume"),
        listed_ns=_listed_ns(row),
    )


def _listed_ns(row: Product) -> int | None:
    """Since when it is listed. A date that is none is not known; the product can be traded all the same."""
    try:
        return parse_rfc3339(row.new_at)
    except BadWire:
        return None


def bars(rows: Iterable[Candle], granularity_s: int, now_ns: int) -> tuple[Bar, ...]:
    """Closed candles, oldest first: the newest bucket is unfinished and left out."""
    now_s = now_ns // 1_000_000_000
    closed = [
        Bar(
            start_s=int(row.start),
            open=float(row.open),
            high=float(row.high),
            low=float(row.low),
            close=float(row.close),
            volume=float(row.volume),
        )
        for row in rows
        if int(row.start) + granularity_s <= now_s
    ]
    return tuple(sorted(closed, key=lambda bar: bar.start_s))


def bps(rate: str) -> Decimal:
    """A fee rate given as a fraction, in basis points."""
    return Decimal(rate) * BPS


def best(levels: tuple[Level, ...]) -> tuple[Decimal, Decimal] | None:
    """Price and size of a side's best level; None of an empty side."""
    return (Decimal(levels[0].price), Decimal(levels[0].size)) if levels else None
