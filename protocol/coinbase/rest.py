"""REST answers beside orders: time, products, books, candles, trades, accounts, fees, keys, conversions, errors.

Members that nobody acts on may be null or missing; those that decisions stand on are checked in `border.py`.
Source: rest.md §2 to §4, §8, §9. Orders and fills: `orders.py`; paths: `endpoints.py`.
"""

from protocol.coinbase.wire import Request, Text, Wire

MAX_CANDLES = 300
MAX_ACCOUNTS = 250


class ServerTime(Wire, frozen=True, kw_only=True):
    """GET /time; digits as text."""

    iso: str
    epochSeconds: str  # noqa: N815 - the wire's spelling
    epochMillis: str  # noqa: N815 - the wire's spelling


class Money(Wire, frozen=True, kw_only=True):
    """An amount of a currency."""

    value: str
    currency: str


class Product(Wire, frozen=True, kw_only=True):
    """What may be traded, and how. Price grid: `price_increment`, not `quote_increment` (rest.md §4)."""

    product_id: str
    price: Text = ""
    price_percentage_change_24h: Text = ""
    volume_24h: Text = ""
    volume_percentage_change_24h: Text = ""
    base_increment: Text = ""
    quote_increment: Text = ""
    quote_min_size: Text = ""
    quote_max_size: Text = ""
    base_min_size: Text = ""
    base_max_size: Text = ""
    base_name: Text = ""
    quote_name: Text = ""
    watched: bool | None = False
    is_disabled: bool = False
    new: bool | None = False
    status: Text = ""
    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    trading_disabled: bool = False
    auction_mode: bool = False
    product_type: Text = ""
    quote_currency_id: Text = ""
    base_currency_id: Text = ""
    mid_market_price: Text = ""
    alias: Text = ""
    alias_to: tuple[str, ...] | None = None
    base_display_symbol: Text = ""
    quote_display_symbol: Text = ""
    view_only: bool = False
    price_increment: Text = ""
    display_name: Text = ""
    product_venue: Text = ""
    approximate_quote_24h_volume: Text = ""
    quote_volume_24h: Text = ""
    new_at: Text = None
    market_cap: Text = ""
    best_bid_price: Text = ""
    best_ask_price: Text = ""
    high_24h: Text = ""
    low_24h: Text = ""


class Pagination(Wire, frozen=True, kw_only=True):
    """Cursors of a product listing."""

    prev_cursor: Text = ""
    next_cursor: Text = ""
    has_next: bool = False
    has_prev: bool = False


class ProductsPage(Wire, frozen=True, kw_only=True):
    """GET /products."""

    products: tuple[Product, ...]
    num_products: int = 0
    pagination: Pagination | None = None


class Level(Wire, frozen=True, kw_only=True, gc=False):
    """A price level; size in base."""

    price: str
    size: str


class PriceBook(Wire, frozen=True, kw_only=True):
    """Levels best first: bids descending, asks ascending."""

    product_id: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time: Text = ""


class ProductBook(Wire, frozen=True, kw_only=True):
    """GET /product_book."""

    pricebook: PriceBook
    last: Text = ""
    mid_market: Text = ""
    spread_bps: Text = ""
    spread_absolute: Text = ""


class BestBidAsk(Wire, frozen=True, kw_only=True):
    """GET /best_bid_ask: one level a side, or none."""

    pricebooks: tuple[PriceBook, ...]


class Candle(Wire, frozen=True, kw_only=True, gc=False):
    """A bucket that had trades; `start` UNIX seconds as text, `volume` in base."""

    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str


class CandlesAnswer(Wire, frozen=True, kw_only=True):
    """GET …/candles, newest first; the newest may be unfinished."""

    candles: tuple[Candle, ...]


class PublicTrade(Wire, frozen=True, kw_only=True):
    """Somebody traded; `side` is the maker's."""

    trade_id: str
    product_id: str
    price: str
    size: str
    time: str
    side: str
    bid: Text = ""
    ask: Text = ""
    exchange: Text = ""


class TradesAnswer(Wire, frozen=True, kw_only=True):
    """GET …/ticker, newest first."""

    trades: tuple[PublicTrade, ...]
    best_bid: Text = ""
    best_ask: Text = ""


class Account(Wire, frozen=True, kw_only=True):
    """A wallet: total = available_balance + hold. `type` and `platform` are open sets."""

    uuid: str
    currency: str
    available_balance: Money
    hold: Money
    name: Text = ""
    default: bool = False
    active: bool = True
    created_at: Text = None
    updated_at: Text = None
    deleted_at: Text = None
    type: Text = ""
    ready: bool = True
    retail_portfolio_id: Text = ""
    platform: Text = ""


class AccountsPage(Wire, frozen=True, kw_only=True):
    """GET /accounts. The end: `has_next` false."""

    accounts: tuple[Account, ...]
    has_next: bool = False
    cursor: Text = ""
    size: int = 0


class AccountAnswer(Wire, frozen=True, kw_only=True):
    """GET /accounts/{uuid}."""

    account: Account


class FeeTier(Wire, frozen=True, kw_only=True):
    """The user's current tier; rates are fractions ("0.006" = 60 bps)."""

    pricing_tier: Text = ""
    usd_from: Text = ""
    usd_to: Text = ""
    taker_fee_rate: str
    maker_fee_rate: str
    aop_from: Text = ""
    aop_to: Text = ""


class TransactionSummary(Wire, frozen=True, kw_only=True):
    """GET /transaction_summary. The totals are JSON numbers, for show only; decisions use `fee_tier`."""

    fee_tier: FeeTier
    total_volume: float = 0
    total_fees: float = 0
    advanced_trade_only_volume: float = 0
    advanced_trade_only_fees: float = 0
    coinbase_pro_volume: float = 0
    coinbase_pro_fees: float = 0
    total_balance: Text = ""
    has_promo_fee: bool = False
    has_cost_plus_commission: bool = False


class KeyPermissions(Wire, frozen=True, kw_only=True):
    """GET /key_permissions. A missing permission is not granted."""

    can_view: bool = False
    can_trade: bool = False
    can_transfer: bool = False
    portfolio_uuid: str
    portfolio_type: Text = ""


class Portfolio(Wire, frozen=True, kw_only=True):
    """A portfolio; a key is bound to one."""

    name: Text = ""
    uuid: str
    type: Text = ""
    deleted: bool = False


class PortfoliosAnswer(Wire, frozen=True, kw_only=True):
    """GET /portfolios."""

    portfolios: tuple[Portfolio, ...]


class TradeIncentive(Request, frozen=True, kw_only=True):
    """A fee promotion of a conversion."""

    user_incentive_id: Text = ""
    code_val: Text = ""


class ConvertQuote(Request, frozen=True, kw_only=True):
    """POST /convert/quote; accounts are currency codes or account ids. Stable pairs only, expires in seconds."""

    from_account: str
    to_account: str
    amount: str
    trade_incentive_metadata: TradeIncentive | None = None


class ConvertCommit(Request, frozen=True, kw_only=True):
    """POST /convert/trade/{id}: accept the quote."""

    from_account: str
    to_account: str


class ConvertFee(Wire, frozen=True, kw_only=True):
    """One fee of a conversion."""

    title: Text = ""
    description: Text = ""
    amount: Money | None = None
    label: Text = ""


class ConvertTrade(Wire, frozen=True, kw_only=True):
    """A quoted or committed conversion. `status` is TRADE_STATUS_CREATED, …STARTED, …COMPLETED or …CANCELED."""

    id: str
    status: str
    user_entered_amount: Money | None = None
    amount: Money | None = None
    subtotal: Money | None = None
    total: Money | None = None
    fees: tuple[ConvertFee, ...] | None = None
    total_fee: ConvertFee | None = None
    exchange_rate: Money | None = None
    source_id: Text = ""
    target_id: Text = ""
    source_currency: Text = ""
    target_currency: Text = ""
    user_reference: Text = ""


class ConvertAnswer(Wire, frozen=True, kw_only=True):
    """POST /convert/quote, GET and POST /convert/trade/{id}."""

    trade: ConvertTrade


class ErrorItem(Wire, frozen=True, kw_only=True):
    """One entry of the rate limiter's body."""

    id: Text = ""
    message: Text = ""


class ErrorBody(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """An HTTP error's JSON body (rest.md §2). `code` is gRPC's (16: unauthenticated). 401 and 429 may be no JSON."""

    error: Text = ""
    error_details: Text = ""
    message: Text = ""
    code: int | None = None
    error_description: Text = ""
    errors: tuple[ErrorItem, ...] | None = None
