"""What callers ask of the exchange. Unknown request members are ignored, as the venue does."""

from typing import Any

import msgspec


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /orders and /orders/preview. `order_configuration` is the decoded JSON object, not yet judged."""

    client_order_id: str = ""
    product_id: str = ""
    side: str = ""
    order_configuration: dict[str, Any] | None = None


class EditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /orders/edit. A missing price or size counts as "0"; `size` is the order's new total size."""

    order_id: str = ""
    price: str = "0"
    size: str = "0"
    stop_price: str = ""


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of GET /orders/historical/batch; an empty filter matches everything.

    `start_ns` is inclusive, `end_ns` exclusive, both on the creation time. OPEN cannot stand beside other statuses.
    """

    order_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    time_in_forces: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    side: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    sort_by: str = ""
    limit: int = 250
    cursor: str = ""


class FillQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of GET /orders/historical/fills. `order_ids` and `product_ids` together are refused.

    `start_ns` is inclusive, `end_ns` exclusive, both on the sequence timestamp.
    """

    order_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    side: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    sort_by: str = ""
    limit: int = 100
    cursor: str = ""


class QueryError(Exception):
    """A request the venue answers with an HTTP error.

    Attributes:
        status: HTTP status.
        code: the `error` member, such as INVALID_ARGUMENT.
        message: the text of `error_details` and `message`.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
