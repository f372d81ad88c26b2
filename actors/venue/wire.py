"""The venue's answers in their wire shape: encode them with `msgspec.json.encode` as they are.

Kept apart from the structs our own client decodes with: what both got wrong in the same way no test would find.
Numbers are decimal text, times RFC 3339 text, members in the venue's spelling.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

Configuration = dict[str, dict[str, Any]]


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that leaves the venue."""


class Amount(Wire, frozen=True, kw_only=True):
    """An amount of a currency."""

    value: str
    currency: str


class AccountView(Wire, frozen=True, kw_only=True):
    """A wallet; total = available_balance + hold."""

    uuid: str
    name: str
    currency: str
    available_balance: Amount
    default: bool
    active: bool
    created_at: str
    updated_at: str
    deleted_at: str | None
    type: str
    ready: bool
    hold: Amount
    retail_portfolio_id: str
    platform: str


class AccountsPage(Wire, frozen=True, kw_only=True):
    """GET /accounts."""

    accounts: list[AccountView]
    has_next: bool
    cursor: str
    size: int


class EditRecord(Wire, frozen=True, kw_only=True):
    """One accepted edit of an order."""

    price: str
    size: str
    replace_accept_timestamp: str


class OrderView(Wire, frozen=True, kw_only=True):
    """An order as REST shows it (GET /orders/historical/…)."""

    order_id: str
    product_id: str
    user_id: str
    order_configuration: Configuration
    side: str
    client_order_id: str
    status: str
    time_in_force: str
    created_time: str
    completion_percentage: str
    filled_size: str
    average_filled_price: str
    fee: str
    number_of_fills: str
    filled_value: str
    pending_cancel: bool
    size_in_quote: bool
    total_fees: str
    size_inclusive_of_fees: bool
    total_value_after_fees: str
    trigger_status: str
    order_type: str
    reject_reason: str
    settled: bool
    product_type: str
    reject_message: str
    cancel_message: str
    order_placement_source: str
    outstanding_hold_amount: str
    is_liquidation: bool
    last_fill_time: str | None
    edit_history: list[EditRecord]
    leverage: str
    margin_type: str
    retail_portfolio_id: str
    originating_order_id: str
    attached_order_id: str
    attached_order_configuration: None
    current_pending_replace: None
    last_update_time: str


class ChannelOrder(Wire, frozen=True, kw_only=True, rename={"reject_reason": "reject_Reason"}):
    """An order as the WebSocket user channel shows it: cumulative, without trade ids."""

    avg_price: str
    cancel_reason: str
    client_order_id: str
    completion_percentage: str
    contract_expiry_type: str
    cumulative_quantity: str
    filled_value: str
    leaves_quantity: str
    limit_price: str
    number_of_fills: str
    order_id: str
    order_side: str
    order_type: str
    outstanding_hold_amount: str
    post_only: str
    product_id: str
    product_type: str
    reject_reason: str
    retail_portfolio_id: str
    risk_managed_by: str
    status: str
    stop_price: str
    time_in_force: str
    total_fees: str
    total_value_after_fees: str
    trigger_status: str
    creation_time: str
    end_time: str
    start_time: str


class OrdersPage(Wire, frozen=True, kw_only=True):
    """GET /orders/historical/batch, newest first."""

    orders: list[OrderView]
    sequence: str
    has_next: bool
    cursor: str
    proof_token_required: bool = False


class FillView(Wire, frozen=True, kw_only=True):
    """One fill. With `size_in_quote` the `size` is in quote currency."""

    entry_id: str
    trade_id: str
    order_id: str
    trade_time: str
    trade_type: str
    price: str
    size: str
    commission: str
    product_id: str
    sequence_timestamp: str
    liquidity_indicator: str
    size_in_quote: bool
    user_id: str
    side: str
    retail_portfolio_id: str


class FillsPage(Wire, frozen=True, kw_only=True):
    """GET /orders/historical/fills, newest first; the end is an empty page or an empty cursor."""

    fills: list[FillView]
    cursor: str
    proof_token_required: bool = False


class PlaceSuccess(Wire, frozen=True, kw_only=True):
    """The good part of a place answer."""

    order_id: str
    product_id: str
    side: str
    client_order_id: str
    attached_order_id: str = ""


class PlaceError(Wire, frozen=True, kw_only=True):
    """Why an order was refused. The real reason stands in at least one member; the others say UNKNOWN…."""

    error: str
    message: str
    error_details: str
    preview_failure_reason: str
    new_order_failure_reason: str


class PlaceAnswer(Wire, frozen=True, kw_only=True):
    """POST /orders: status 200 whether it succeeded or not."""

    success: bool
    success_response: PlaceSuccess | UnsetType = UNSET
    error_response: PlaceError | UnsetType = UNSET
    order_configuration: Configuration | None


class CancelResult(Wire, frozen=True, kw_only=True):
    """One entry of batch_cancel's results; `success` means request accepted, not cancelled."""

    success: bool
    failure_reason: str
    order_id: str


class EditError(Wire, frozen=True, kw_only=True):
    """Why an edit was refused."""

    edit_failure_reason: str
    preview_failure_reason: str


class EditAnswer(Wire, frozen=True, kw_only=True):
    """POST /orders/edit."""

    success: bool
    errors: list[EditError]


class CommissionDetail(Wire, frozen=True, kw_only=True):
    """Where a previewed commission goes."""

    total_commission: str
    gst_commission: str = ""
    withholding_commission: str = ""
    client_commission: str = ""
    venue_commission: str = ""


class PreviewAnswer(Wire, frozen=True, kw_only=True):
    """POST /orders/preview; a preview that would fail has `errs`."""

    order_total: str
    commission_total: str
    errs: list[str]
    warning: list[str]
    quote_size: str
    base_size: str
    best_bid: str
    best_ask: str
    is_max: bool
    order_margin_total: str
    leverage: str
    long_leverage: str
    short_leverage: str
    slippage: str
    preview_id: str
    est_average_filled_price: str
    commission_detail_total: CommissionDetail
    pnl_configuration: None = None
    twap_bucket_metadata: None = None
    scaled_metadata: None = None
    compliance_limit_data: None = None


class FeeTierView(Wire, frozen=True, kw_only=True):
    """The user's current tier; rates are fractions."""

    pricing_tier: str
    usd_from: str
    usd_to: str
    taker_fee_rate: str
    maker_fee_rate: str
    aop_from: str = ""
    aop_to: str = ""


class TransactionSummary(Wire, frozen=True, kw_only=True):
    """GET /transaction_summary; the totals are JSON numbers on the wire, for show only."""

    total_volume: float
    total_fees: float
    fee_tier: FeeTierView
    margin_rate: None
    goods_and_services_tax: None
    advanced_trade_only_volume: float
    advanced_trade_only_fees: float
    coinbase_pro_volume: float
    coinbase_pro_fees: float
    total_balance: str
    has_promo_fee: bool
    volume_breakdown: list[dict[str, str | float]]
    has_cost_plus_commission: bool


class Level(Wire, frozen=True, kw_only=True):
    """One price level."""

    price: str
    size: str


class PriceBook(Wire, frozen=True, kw_only=True):
    """A book's levels, best first."""

    product_id: str
    bids: list[Level]
    asks: list[Level]
    time: str


class ProductBook(Wire, frozen=True, kw_only=True):
    """GET /product_book."""

    pricebook: PriceBook
    last: str
    mid_market: str
    spread_bps: str
    spread_absolute: str


class TradeView(Wire, frozen=True, kw_only=True):
    """A public trade; `side` is the maker's."""

    trade_id: str
    product_id: str
    price: str
    size: str
    time: str
    side: str
    bid: str = ""
    ask: str = ""


class ProductView(Wire, frozen=True, kw_only=True):
    """A product object. Numbers without a value are "" as in production."""

    product_id: str
    price: str
    price_percentage_change_24h: str
    volume_24h: str
    volume_percentage_change_24h: str
    base_increment: str
    quote_increment: str
    quote_min_size: str
    quote_max_size: str
    base_min_size: str
    base_max_size: str
    base_name: str
    quote_name: str
    watched: bool
    is_disabled: bool
    new: bool
    status: str
    cancel_only: bool
    limit_only: bool
    post_only: bool
    trading_disabled: bool
    auction_mode: bool
    product_type: str
    quote_currency_id: str
    base_currency_id: str
    fcm_trading_session_details: None
    mid_market_price: str
    alias: str
    alias_to: list[str]
    base_display_symbol: str
    quote_display_symbol: str
    view_only: bool
    price_increment: str
    display_name: str
    product_venue: str
    approximate_quote_24h_volume: str
    new_at: str | None
    market_cap: str
    best_bid_price: str
    best_ask_price: str
    high_24h: str
    low_24h: str
