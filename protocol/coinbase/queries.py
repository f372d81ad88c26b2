"""Query strings of the listing endpoints, written by the client and read by a venue (rest.md §1, §3, §7)."""

from typing import TypeVar
from urllib.parse import parse_qs, urlencode

import msgspec

from protocol.coinbase.wire import Request, convert

Q = TypeVar("Q", bound="Query")


class Query(Request, frozen=True, kw_only=True):
    """Base: a member that has its default is not sent; a list repeats its name."""


class ProductsQuery(Query, frozen=True, kw_only=True):
    """GET /products. `get_tradability_status` fills `view_only`, on the signed endpoint only."""

    limit: int = 0
    offset: int = 0
    product_type: str = ""
    product_ids: tuple[str, ...] = ()
    get_tradability_status: bool = False
    get_all_products: bool = False
    cursor: str = ""


class BookQuery(Query, frozen=True, kw_only=True):
    """GET /product_book."""

    product_id: str
    limit: int = 0
    aggregation_price_increment: str = ""


class BestBidAskQuery(Query, frozen=True, kw_only=True):
    """GET /best_bid_ask; none: all."""

    product_ids: tuple[str, ...] = ()


class CandlesQuery(Query, frozen=True, kw_only=True):
    """GET …/candles. UNIX seconds, both inclusive; ask at most MAX_CANDLES buckets: `end - start = (n-1) * g`."""

    start: int
    end: int
    granularity: str
    limit: int = 0


class TradesQuery(Query, frozen=True, kw_only=True):
    """GET …/ticker. UNIX seconds."""

    limit: int
    start: int = 0
    end: int = 0


class AccountsQuery(Query, frozen=True, kw_only=True):
    """GET /accounts."""

    limit: int = 0
    cursor: str = ""
    retail_portfolio_id: str = ""


class OrdersQuery(Query, frozen=True, kw_only=True):
    """GET /orders/historical/batch. Dates RFC 3339, start inclusive, end exclusive; OPEN stands alone."""

    order_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    product_type: str = ""
    order_status: tuple[str, ...] = ()
    time_in_forces: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    order_side: str = ""
    start_date: str = ""
    end_date: str = ""
    order_placement_source: str = ""
    retail_portfolio_id: str = ""
    limit: int = 0
    cursor: str = ""
    sort_by: str = ""


class FillsQuery(Query, frozen=True, kw_only=True):
    """GET /orders/historical/fills. Timestamps RFC 3339."""

    order_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    start_sequence_timestamp: str = ""
    end_sequence_timestamp: str = ""
    order_types: tuple[str, ...] = ()
    order_side: str = ""
    product_types: tuple[str, ...] = ()
    limit: int = 0
    cursor: str = ""
    sort_by: str = ""


class SummaryQuery(Query, frozen=True, kw_only=True):
    """GET /transaction_summary."""

    product_type: str = ""
    contract_expiry_type: str = ""
    product_venue: str = ""


class ConvertQuery(Query, frozen=True, kw_only=True):
    """GET /convert/trade/{id}."""

    from_account: str
    to_account: str


def encode_query(query: Query) -> str:
    """The query string, without its question mark; "" where nothing is asked."""
    members = msgspec.to_builtins(query)
    return urlencode({name: _text(value) for name, value in members.items()}, doseq=True)


def _text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


_SINGULARS = {"product_ids": "product_id", "order_ids": "order_id", "trade_ids": "trade_id"}


def decode_query(text: str, kind: type[Q]) -> Q:
    """Read a query string; unknown names are ignored, an old singular name stands for its list.

    Raises BadWire: a required member is missing, or a number or boolean is none.
    """
    lists = {field.name for field in msgspec.structs.fields(kind) if field.type == tuple[str, ...]}
    given = parse_qs(text)
    members: dict[str, str | list[str]] = {name: values[-1] for name, values in given.items()}
    for name in lists:
        members[name] = given.get(name, []) + given.get(_SINGULARS.get(name, ""), [])
    return convert(members, kind)
