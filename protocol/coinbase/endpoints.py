"""Where each REST endpoint lives and what a key must be allowed to call it (rest.md §3)."""

import re
from enum import Enum
from urllib.parse import quote

import msgspec

API_HOST = "api.coinbase.com"
API_PREFIX = "/api/v3/brokerage"


class Scope(Enum):
    """The permission an endpoint needs; PUBLIC ones need no key and share the per-address rate limit."""

    PUBLIC = "public"
    VIEW = "view"
    TRADE = "trade"
    TRANSFER = "transfer"


class Route(msgspec.Struct, frozen=True):
    """Method, path template below `API_PREFIX`, permission."""

    method: str
    template: str
    scope: Scope


class Endpoint(Enum):
    """Every endpoint that client, limiter, metrics and venue name. Literal paths stand before templates."""

    TIME = Route("GET", "/time", Scope.PUBLIC)
    PUBLIC_PRODUCTS = Route("GET", "/market/products", Scope.PUBLIC)
    PUBLIC_PRODUCT = Route("GET", "/market/products/{product_id}", Scope.PUBLIC)
    PUBLIC_BOOK = Route("GET", "/market/product_book", Scope.PUBLIC)
    PUBLIC_CANDLES = Route("GET", "/market/products/{product_id}/candles", Scope.PUBLIC)
    PUBLIC_TRADES = Route("GET", "/market/products/{product_id}/ticker", Scope.PUBLIC)
    PRODUCTS = Route("GET", "/products", Scope.VIEW)
    PRODUCT = Route("GET", "/products/{product_id}", Scope.VIEW)
    BOOK = Route("GET", "/product_book", Scope.VIEW)
    BEST_BID_ASK = Route("GET", "/best_bid_ask", Scope.VIEW)
    CANDLES = Route("GET", "/products/{product_id}/candles", Scope.VIEW)
    TRADES = Route("GET", "/products/{product_id}/ticker", Scope.VIEW)
    ACCOUNTS = Route("GET", "/accounts", Scope.VIEW)
    ACCOUNT = Route("GET", "/accounts/{account_id}", Scope.VIEW)
    CREATE_ORDER = Route("POST", "/orders", Scope.TRADE)
    PREVIEW_ORDER = Route("POST", "/orders/preview", Scope.VIEW)
    EDIT_ORDER = Route("POST", "/orders/edit", Scope.TRADE)
    PREVIEW_EDIT = Route("POST", "/orders/edit_preview", Scope.VIEW)
    CANCEL_ORDERS = Route("POST", "/orders/batch_cancel", Scope.TRADE)
    CLOSE_POSITION = Route("POST", "/orders/close_position", Scope.TRADE)
    ORDERS = Route("GET", "/orders/historical/batch", Scope.VIEW)
    FILLS = Route("GET", "/orders/historical/fills", Scope.VIEW)
    ORDER = Route("GET", "/orders/historical/{order_id}", Scope.VIEW)
    TRANSACTION_SUMMARY = Route("GET", "/transaction_summary", Scope.VIEW)
    KEY_PERMISSIONS = Route("GET", "/key_permissions", Scope.VIEW)
    CONVERT_QUOTE = Route("POST", "/convert/quote", Scope.TRADE)
    CONVERT_COMMIT = Route("POST", "/convert/trade/{trade_id}", Scope.TRADE)
    CONVERT_TRADE = Route("GET", "/convert/trade/{trade_id}", Scope.VIEW)
    PORTFOLIOS = Route("GET", "/portfolios", Scope.VIEW)

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.value.method

    @property
    def template(self) -> str:
        """Full path with its parameters in braces; a label of bounded cardinality."""
        return API_PREFIX + self.value.template

    @property
    def scope(self) -> Scope:
        """The permission it needs."""
        return self.value.scope

    def path(self, **parameters: str) -> str:
        """The full path with its parameters filled in and quoted: what is requested and what is signed.

        Raises KeyError: a parameter of the template is missing.
        """
        return self.template.format_map({name: quote(value, safe="") for name, value in parameters.items()})


_PATTERNS = [
    (endpoint, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(endpoint.template))))
    for endpoint in Endpoint
]


def match(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """Which endpoint a request means, and its path parameters as they stand; None: no such route."""
    for endpoint, pattern in _PATTERNS:
        if endpoint.method == method and (found := pattern.fullmatch(path)):
            return endpoint, found.groupdict()
    return None
