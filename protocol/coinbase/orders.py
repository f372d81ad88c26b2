"""Orders on the REST wire: configurations, place, preview, edit, cancel, listings, fills (rest.md §5 to §7)."""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from protocol.coinbase.wire import Request, Text, Wire

MAX_CANCEL_IDS = 100
MAX_PAGE = 250
MAX_CLIENT_ORDER_ID = 128

TERMINAL_STATUSES = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
"""Every other status, known or not, may still fill (pitfalls 15)."""
OPEN_STATUS = "OPEN"
QUEUED_STATUSES = ("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED")
"""Alive too, and never in one query with OPEN: a complete list takes two (rest.md §7)."""
STOP_UP = "STOP_DIRECTION_STOP_UP"
STOP_DOWN = "STOP_DIRECTION_STOP_DOWN"


class Sized(Request, frozen=True, kw_only=True):
    """Exactly one of `base_size` and `quote_size`. Stored orders echo the two flags."""

    base_size: Text = ""
    quote_size: Text = ""
    rfq_enabled: bool | UnsetType = UNSET
    rfq_disabled: bool | UnsetType = UNSET
    reduce_only: bool | UnsetType = UNSET


class Market(Sized, frozen=True, kw_only=True):
    """`market_market_ioc` (buy: either size, sell: base only) and `market_market_fok` (refused on spot)."""


class Limit(Sized, frozen=True, kw_only=True):
    """`sor_limit_ioc`, `limit_limit_fok`: never rests."""

    limit_price: Text = ""


class RestingLimit(Limit, frozen=True, kw_only=True):
    """`limit_limit_gtc`."""

    post_only: bool | UnsetType = UNSET


class DatedLimit(RestingLimit, frozen=True, kw_only=True):
    """`limit_limit_gtd`; `end_time` RFC 3339."""

    end_time: Text = ""


class StopLimit(Limit, frozen=True, kw_only=True):
    """`stop_limit_stop_limit_gtc`; `stop_direction` is STOP_UP or STOP_DOWN."""

    stop_price: Text = ""
    stop_direction: Text = ""


class DatedStopLimit(StopLimit, frozen=True, kw_only=True):
    """`stop_limit_stop_limit_gtd`."""

    end_time: Text = ""


class Bracket(Limit, frozen=True, kw_only=True):
    """`trigger_bracket_gtc`. On a sell `limit_price` takes profit and `stop_trigger_price` stops the loss."""

    stop_trigger_price: Text = ""


class DatedBracket(Bracket, frozen=True, kw_only=True):
    """`trigger_bracket_gtd`."""

    end_time: Text = ""


class Twap(Limit, frozen=True, kw_only=True):
    """`twap_limit_gtd`, the venue's own slicing."""

    start_time: Text = ""
    end_time: Text = ""
    number_buckets: Text = ""
    bucket_size: Text = ""
    bucket_duration: Text = ""


class Scaled(Sized, frozen=True, kw_only=True):
    """`scaled_limit_gtc`, a ladder of limits."""

    num_orders: int | UnsetType = UNSET
    min_price: Text = ""
    max_price: Text = ""
    price_distribution: Text = ""
    size_distribution: Text = ""
    size_diff: Text = ""
    size_ratio: Text = ""


Leg: TypeAlias = Market | Limit | StopLimit | Bracket | Twap | Scaled


class OrderConfiguration(Request, frozen=True, kw_only=True):
    """One key says what kind of order it is. A kind that we do not know leaves every member None."""

    market_market_ioc: Market | None = None
    market_market_fok: Market | None = None
    sor_limit_ioc: Limit | None = None
    limit_limit_gtc: RestingLimit | None = None
    limit_limit_gtd: DatedLimit | None = None
    limit_limit_fok: Limit | None = None
    stop_limit_stop_limit_gtc: StopLimit | None = None
    stop_limit_stop_limit_gtd: DatedStopLimit | None = None
    trigger_bracket_gtc: Bracket | None = None
    trigger_bracket_gtd: DatedBracket | None = None
    twap_limit_gtd: Twap | None = None
    scaled_limit_gtc: Scaled | None = None


def chosen(configuration: OrderConfiguration | None) -> tuple[str, Leg] | None:
    """The kind and its members where exactly one known kind is given, else None."""
    given = {name: leg for name, leg in _legs(configuration) if leg is not None}
    return next(iter(given.items())) if len(given) == 1 else None


def _legs(configuration: OrderConfiguration | None) -> list[tuple[str, Leg | None]]:
    return [] if configuration is None else list(msgspec.structs.asdict(configuration).items())


class CreateOrder(Request, frozen=True, kw_only=True):
    """POST /orders. `client_order_id` unique for ever, at most 128 characters; `side` BUY or SELL."""

    client_order_id: str
    product_id: str
    side: str
    order_configuration: OrderConfiguration
    leverage: Text = ""
    margin_type: Text = ""
    retail_portfolio_id: Text = ""
    preview_id: Text = ""
    attached_order_configuration: OrderConfiguration | None = None
    self_trade_prevention_id: Text = ""
    sor_preference: Text = ""


class PlacedOrder(Wire, frozen=True, kw_only=True):
    """The good part of a place answer; the only place to read the order id from (pitfalls 5)."""

    order_id: str
    product_id: str
    side: str
    client_order_id: str
    attached_order_id: Text = ""


class RefusedOrder(Wire, frozen=True, kw_only=True):
    """Why an order was refused. Any one of the reasons may be the only real one."""

    error: Text = ""
    message: Text = ""
    error_details: Text = ""
    preview_failure_reason: Text = ""
    new_order_failure_reason: Text = ""

    @property
    def reason(self) -> str:
        """The first reason that says something."""
        return first_reason(self.new_order_failure_reason, self.preview_failure_reason, self.error)


class CreateOrderAnswer(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """POST /orders, HTTP 200 either way."""

    success: bool
    success_response: PlacedOrder | None = None
    error_response: RefusedOrder | None = None
    order_configuration: OrderConfiguration | None = None


UNKNOWN_REASON = "UNKNOWN_FAILURE_REASON"


def first_reason(*reasons: Text) -> str:
    """The first reason that is neither absent nor "UNKNOWN…", verbatim; UNKNOWN_FAILURE_REASON where none is."""
    return next((r for r in reasons if r and not r.upper().startswith("UNKNOWN")), UNKNOWN_REASON)


class PreviewOrder(Request, frozen=True, kw_only=True):
    """POST /orders/preview."""

    product_id: str
    side: str
    order_configuration: OrderConfiguration
    leverage: Text = ""
    margin_type: Text = ""
    retail_portfolio_id: Text = ""
    attached_order_configuration: OrderConfiguration | None = None


class CommissionDetail(Wire, frozen=True, kw_only=True):
    """How a commission adds up."""

    total_commission: Text = ""
    gst_commission: Text = ""
    withholding_commission: Text = ""
    client_commission: Text = ""
    venue_commission: Text = ""


class PreviewAnswer(Wire, frozen=True, kw_only=True):
    """What an order would cost; HTTP 200 with `errs` where it would be refused. `warning` is an open set."""

    order_total: Text = ""
    commission_total: Text = ""
    errs: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    quote_size: Text = ""
    base_size: Text = ""
    best_bid: Text = ""
    best_ask: Text = ""
    is_max: bool = False
    slippage: Text = ""
    preview_id: Text = ""
    est_average_filled_price: Text = ""
    commission_detail_total: CommissionDetail | None = None


class EditOrder(Request, frozen=True, kw_only=True):
    """POST /orders/edit and /orders/edit_preview. A size that is left out counts as 0 at the venue: give both."""

    order_id: str
    price: Text = ""
    size: Text = ""
    stop_price: Text = ""
    attached_order_configuration: OrderConfiguration | None = None
    cancel_attached_order: bool = False


class EditError(Wire, frozen=True, kw_only=True):
    """One reason against an edit."""

    edit_failure_reason: Text = ""
    preview_failure_reason: Text = ""


class OldEditError(Wire, frozen=True, kw_only=True):
    """The older shape."""

    error_details: Text = ""
    edit_order_failure_reason: Text = ""


class EditAnswer(Wire, frozen=True, kw_only=True):
    """POST /orders/edit. `errors` has been seen as a list and as one object."""

    success: bool
    errors: tuple[EditError, ...] | EditError | None = None
    error_response: OldEditError | None = None

    @property
    def reason(self) -> str:
        """The first reason that says something."""
        errors = self.errors if isinstance(self.errors, tuple) else (self.errors,) if self.errors else ()
        texts = [text for e in errors for text in (e.edit_failure_reason, e.preview_failure_reason)]
        old = self.error_response.edit_order_failure_reason if self.error_response else ""
        return first_reason(*texts, old)


class EditPreviewAnswer(Wire, frozen=True, kw_only=True):
    """POST /orders/edit_preview."""

    errors: tuple[EditError, ...] = ()
    slippage: Text = ""
    order_total: Text = ""
    commission_total: Text = ""
    quote_size: Text = ""
    base_size: Text = ""
    best_bid: Text = ""
    best_ask: Text = ""
    average_filled_price: Text = ""


class CancelOrders(Request, frozen=True, kw_only=True):
    """POST /orders/batch_cancel, at most MAX_CANCEL_IDS."""

    order_ids: tuple[str, ...]


class CancelResult(Wire, frozen=True, kw_only=True):
    """`success`: the cancel was taken, not done. `failure_reason` means nothing when it is true."""

    success: bool
    failure_reason: Text = ""
    order_id: str


class CancelAnswer(Wire, frozen=True, kw_only=True):
    """One result per id, in the order asked."""

    results: tuple[CancelResult, ...]


class EditRecord(Wire, frozen=True, kw_only=True):
    """One accepted edit."""

    price: Text = ""
    size: Text = ""
    replace_accept_timestamp: Text = ""


class Order(Wire, frozen=True, kw_only=True):
    """An order as REST tells it. `status` is an open set; filled figures are cumulative; fees in quote currency."""

    order_id: str
    product_id: str
    side: str
    status: str
    client_order_id: Text = ""
    user_id: Text = ""
    order_configuration: OrderConfiguration | None = None
    time_in_force: Text = ""
    created_time: Text = ""
    completion_percentage: Text = ""
    filled_size: Text = ""
    average_filled_price: Text = ""
    fee: Text = ""
    number_of_fills: Text = ""
    filled_value: Text = ""
    pending_cancel: bool = False
    size_in_quote: bool = False
    total_fees: Text = ""
    size_inclusive_of_fees: bool = False
    total_value_after_fees: Text = ""
    trigger_status: Text = ""
    order_type: Text = ""
    reject_reason: Text = ""
    settled: bool = False
    product_type: Text = ""
    reject_message: Text = ""
    cancel_message: Text = ""
    order_placement_source: Text = ""
    outstanding_hold_amount: Text = ""
    is_liquidation: bool = False
    last_fill_time: Text = None
    edit_history: tuple[EditRecord, ...] | None = None
    leverage: Text = ""
    margin_type: Text = ""
    retail_portfolio_id: Text = ""
    originating_order_id: Text = ""
    attached_order_id: Text = ""
    attached_order_configuration: OrderConfiguration | None = None
    last_update_time: Text = None


class OrderAnswer(Wire, frozen=True, kw_only=True):
    """GET /orders/historical/{order_id}."""

    order: Order


class OrdersPage(Wire, frozen=True, kw_only=True):
    """GET /orders/historical/batch, newest first. The end: `has_next` false or `cursor` empty."""

    orders: tuple[Order, ...]
    sequence: Text = "0"
    has_next: bool = False
    cursor: Text = ""
    proof_token_required: bool = False


class Fill(Wire, frozen=True, kw_only=True):
    """One execution. `entry_id` is unique; with `size_in_quote` the size is in quote currency."""

    entry_id: str
    order_id: str
    product_id: str
    side: str
    price: str
    size: str
    trade_time: str
    trade_id: Text = ""
    trade_type: Text = ""
    commission: Text = ""
    sequence_timestamp: Text = ""
    liquidity_indicator: Text = ""
    size_in_quote: bool = False
    user_id: Text = ""
    retail_portfolio_id: Text = ""
    commission_detail_total: CommissionDetail | None = None


class FillsPage(Wire, frozen=True, kw_only=True):
    """GET /orders/historical/fills. The end: an empty page or an empty cursor."""

    fills: tuple[Fill, ...]
    cursor: Text = ""
    proof_token_required: bool = False
