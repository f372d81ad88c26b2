"""From the exchange's memory to the wire's shapes."""

from decimal import Decimal

from actors.venue.book import BUY
from actors.venue.checks import MarketFacts
from actors.venue.configurations import LIMIT
from actors.venue.events import Traded
from actors.venue.exact import plain, quotient
from actors.venue.instants import ZERO_TIME, rfc3339
from actors.venue.ledger import Wallet
from actors.venue.orders import CANCEL_QUEUED, FILLED, Fill, Order
from actors.venue.products import ProductSpec
from actors.venue.wire import AccountView, Amount, ChannelOrder, FillView, OrderView, ProductView, TradeView

_CENT = Decimal("0.01")
_FIAT = {"USD", "EUR", "GBP", "SGD"}
_CHANNEL_TYPES = {"MARKET": "Market", "LIMIT": "Limit", "STOP_LIMIT": "Stop Limit", "BRACKET": "Bracket"}


def order_view(order: Order, user_id: str, portfolio_id: str) -> OrderView:
    """An order as REST shows it."""
    return OrderView(
        order_id=order.order_id,
        product_id=order.product.product_id,
        user_id=user_id,
        order_configuration=order.configuration,
        side=order.side,
        client_order_id=order.client_order_id,
        status=order.status,
        time_in_force=order.terms.time_in_force,
        created_time=rfc3339(order.created_ns),
        completion_percentage=_completion(order),
        filled_size=plain(order.filled_size),
        average_filled_price=plain(quotient(order.filled_value, order.filled_size)),
        fee="",
        number_of_fills=str(order.fill_count),
        filled_value=plain(order.filled_value),
        pending_cancel=order.status == CANCEL_QUEUED,
        size_in_quote=order.sized_in_quote,
        total_fees=plain(order.fees),
        size_inclusive_of_fees=order.sized_in_quote and order.terms.order_type != LIMIT,
        total_value_after_fees=plain(_after_fees(order)),
        trigger_status=order.trigger_status,
        order_type=order.terms.order_type,
        reject_reason=order.reject_reason,
        settled=order.terminal and order.filled_size > 0,
        product_type="SPOT",
        reject_message=order.reject_message,
        cancel_message=order.cancel_message,
        order_placement_source="RETAIL_ADVANCED",
        outstanding_hold_amount=plain(order.hold),
        is_liquidation=False,
        last_fill_time=None if order.last_fill_ns is None else rfc3339(order.last_fill_ns),
        edit_history=list(order.edits),
        leverage="",
        margin_type="UNKNOWN_MARGIN_TYPE",
        retail_portfolio_id=portfolio_id,
        originating_order_id="",
        attached_order_id="",
        attached_order_configuration=None,
        current_pending_replace=None,
        last_update_time=rfc3339(order.updated_ns),
    )


def channel_order(order: Order, portfolio_id: str) -> ChannelOrder:
    """An order as the user channel shows it: nothing is left of one that has ended."""
    return ChannelOrder(
        avg_price=plain(quotient(order.filled_value, order.filled_size)),
        cancel_reason=order.cancel_message,
        client_order_id=order.client_order_id,
        completion_percentage=_completion(order),
        contract_expiry_type="UNKNOWN_CONTRACT_EXPIRY_TYPE",
        cumulative_quantity=plain(order.filled_size),
        filled_value=plain(order.filled_value),
        leaves_quantity="0" if order.terminal else plain(order.leaves()),
        limit_price="" if order.limit_price is None else plain(order.limit_price),
        number_of_fills=str(order.fill_count),
        order_id=order.order_id,
        order_side=order.side,
        order_type=_CHANNEL_TYPES[order.terms.order_type],
        outstanding_hold_amount=plain(order.hold),
        post_only="true" if order.terms.post_only else "false",
        product_id=order.product.product_id,
        product_type="SPOT",
        reject_reason=order.reject_message,
        retail_portfolio_id=portfolio_id,
        risk_managed_by="UNKNOWN_RISK_MANAGEMENT_TYPE",
        status=order.status,
        stop_price="" if order.terms.stop_price is None else plain(order.terms.stop_price),
        time_in_force=order.terms.time_in_force,
        total_fees=plain(order.fees),
        total_value_after_fees=plain(_after_fees(order)),
        trigger_status=order.trigger_status,
        creation_time=rfc3339(order.created_ns),
        end_time=ZERO_TIME if order.terms.end_time_ns is None else rfc3339(order.terms.end_time_ns),
        start_time=ZERO_TIME,
    )


def fill_view(fill: Fill, user_id: str, portfolio_id: str) -> FillView:
    """A fill as REST shows it; of an order sized in quote the size is in quote, too."""
    order = fill.order
    size = fill.size * fill.price if order.sized_in_quote else fill.size
    return FillView(
        entry_id=fill.entry_id,
        trade_id=fill.trade_id,
        order_id=order.order_id,
        trade_time=rfc3339(fill.at_ns),
        trade_type="FILL",
        price=plain(fill.price),
        size=plain(size),
        commission=plain(fill.commission),
        product_id=order.product.product_id,
        sequence_timestamp=rfc3339(fill.at_ns),
        liquidity_indicator=fill.liquidity,
        size_in_quote=order.sized_in_quote,
        user_id=user_id,
        side=order.side,
        retail_portfolio_id=portfolio_id,
    )


def account_view(wallet: Wallet, portfolio_id: str) -> AccountView:
    """A wallet as REST shows it."""
    fiat = wallet.currency in _FIAT
    return AccountView(
        uuid=wallet.uuid,
        name=f"Cash ({wallet.currency})" if fiat else f"{wallet.currency} Wallet",
        currency=wallet.currency,
        available_balance=Amount(value=plain(wallet.available), currency=wallet.currency),
        default=not fiat,
        active=True,
        created_at=rfc3339(wallet.created_ns),
        updated_at=rfc3339(wallet.updated_ns),
        deleted_at=None,
        type="ACCOUNT_TYPE_FIAT" if fiat else "ACCOUNT_TYPE_CRYPTO",
        ready=True,
        hold=Amount(value=plain(wallet.hold), currency=wallet.currency),
        retail_portfolio_id=portfolio_id,
        platform="ACCOUNT_PLATFORM_CONSUMER",
    )


def trade_view(trade: Traded, product_id: str) -> TradeView:
    """A public trade, labelled with the product that was asked for."""
    return TradeView(
        trade_id=str(trade.trade_id),
        product_id=product_id,
        price=plain(trade.price),
        size=plain(trade.size),
        time=rfc3339(trade.at_ns),
        side=trade.maker_side,
    )


def product_view(spec: ProductSpec, facts: MarketFacts, *, tradability: bool) -> ProductView:
    """A product object; what is not known, here the day's statistics, is ""."""
    price = facts.last if facts.last is not None else facts.reference
    both = facts.best_bid is not None and facts.best_ask is not None
    return ProductView(
        product_id=spec.product_id,
        price=_text(price),
        price_percentage_change_24h="",
        volume_24h="",
        volume_percentage_change_24h="",
        base_increment=plain(spec.base_increment),
        quote_increment=plain(spec.quote_increment),
        quote_min_size=plain(spec.quote_min_size),
        quote_max_size=plain(spec.quote_max_size),
        base_min_size=plain(spec.base_min_size),
        base_max_size=plain(spec.base_max_size),
        base_name=spec.base_name or spec.base,
        quote_name=spec.quote_name or spec.quote,
        watched=spec.watched,
        is_disabled=spec.is_disabled,
        new=spec.new,
        status=spec.status,
        cancel_only=spec.cancel_only,
        limit_only=spec.limit_only,
        post_only=spec.post_only,
        trading_disabled=spec.trading_disabled,
        auction_mode=spec.auction_mode,
        product_type="SPOT",
        quote_currency_id=spec.quote,
        base_currency_id=spec.base,
        fcm_trading_session_details=None,
        mid_market_price=_text(facts.reference) if both else "",
        alias=spec.alias,
        alias_to=list(spec.alias_to),
        base_display_symbol=spec.base,
        quote_display_symbol=spec.quote,
        view_only=tradability and spec.view_only,
        price_increment=plain(spec.price_increment),
        display_name=spec.product_id,
        product_venue="CBE",
        approximate_quote_24h_volume="",
        new_at=None,
        market_cap="",
        best_bid_price=_text(facts.best_bid),
        best_ask_price=_text(facts.best_ask),
        high_24h="",
        low_24h="",
    )


def _text(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def _after_fees(order: Order) -> Decimal:
    return order.filled_value + order.fees if order.side == BUY else order.filled_value - order.fees


def _completion(order: Order) -> str:
    if order.status == FILLED:
        return "100.00"
    if not order.filled_size:
        return "0"
    size, done = order.base_size, order.filled_size
    if size is None:
        size, done = order.terms.quote_size, _after_fees(order)
    assert size is not None
    return str((done * 100 / size).quantize(_CENT))
