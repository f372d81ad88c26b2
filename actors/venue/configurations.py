"""order_configuration: from the decoded JSON object to judged terms, and back to its echo."""

from decimal import Decimal
from typing import Any

import msgspec

from actors.venue.exact import parse_amount
from actors.venue.instants import parse_rfc3339
from actors.venue.refusals import by_preview, only_preview, past_preview
from actors.venue.wire import Configuration

MARKET, LIMIT, STOP_LIMIT, BRACKET = "MARKET", "LIMIT", "STOP_LIMIT", "BRACKET"
GTC, GTD, IOC, FOK = "GOOD_UNTIL_CANCELLED", "GOOD_UNTIL_DATE_TIME", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"
STOP_UP, STOP_DOWN = "STOP_DIRECTION_STOP_UP", "STOP_DIRECTION_STOP_DOWN"

# key -> (order type, time in force, members, the optional ones last); market fill-or-kill is for derivatives only.
_KINDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "market_market_ioc": (MARKET, IOC, ("quote_size", "base_size")),
    "sor_limit_ioc": (LIMIT, IOC, ("quote_size", "base_size", "limit_price")),
    "limit_limit_gtc": (LIMIT, GTC, ("quote_size", "base_size", "limit_price", "post_only")),
    "limit_limit_gtd": (LIMIT, GTD, ("quote_size", "base_size", "limit_price", "end_time", "post_only")),
    "limit_limit_fok": (LIMIT, FOK, ("quote_size", "base_size", "limit_price", "post_only")),
    "stop_limit_stop_limit_gtc": (STOP_LIMIT, GTC, ("base_size", "limit_price", "stop_price", "stop_direction")),
    "stop_limit_stop_limit_gtd": (
        STOP_LIMIT,
        GTD,
        ("base_size", "limit_price", "stop_price", "end_time", "stop_direction"),
    ),
    "trigger_bracket_gtc": (BRACKET, GTC, ("quote_size", "base_size", "limit_price", "stop_trigger_price")),
    "trigger_bracket_gtd": (
        BRACKET,
        GTD,
        ("quote_size", "base_size", "limit_price", "stop_trigger_price", "end_time"),
    ),
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order asks for, sizes and prices parsed but not yet judged against a product.

    Exactly one of `base_size` and `quote_size` is set. `stop_price` is the trigger of stop-limit and bracket orders.
    """

    order_type: str
    time_in_force: str
    configuration: Configuration
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_direction: str = ""
    end_time_ns: int | None = None
    post_only: bool = False


def parse(configuration: dict[str, Any] | None) -> Terms:
    """Terms of a configuration with exactly one known key. Raises RefusedError."""
    if not configuration or len(configuration) != 1:
        raise only_preview("PREVIEW_INVALID_ORDER_CONFIG", "order_configuration must have exactly one member")
    key, members = next(iter(configuration.items()))
    if key not in _KINDS:
        raise past_preview("UNSUPPORTED_ORDER_CONFIGURATION", f"{key} is not supported for this product")
    if not isinstance(members, dict):
        raise only_preview("PREVIEW_INVALID_ORDER_CONFIG", f"{key} must be an object")
    order_type, time_in_force, known = _KINDS[key]
    echo = {name: members[name] for name in known if members.get(name) not in (None, "")}
    _refuse_misfits(order_type, time_in_force, echo, members)
    return Terms(
        order_type=order_type,
        time_in_force=time_in_force,
        configuration={key: echo | _stored_extras(order_type, time_in_force, echo)},
        base_size=_size(echo, "base_size"),
        quote_size=_size(echo, "quote_size"),
        limit_price=_price(echo, "limit_price", "PREVIEW_INVALID_LIMIT_PRICE"),
        stop_price=_price(echo, "stop_trigger_price" if order_type == BRACKET else "stop_price", _STOP_INVALID),
        stop_direction=str(echo.get("stop_direction", "")),
        end_time_ns=_end_time(echo) if time_in_force == GTD else None,
        post_only=_flag(echo),
    )


def _stored_extras(order_type: str, time_in_force: str, echo: dict[str, Any]) -> dict[str, Any]:
    """Members that the venue stores with an order though nobody asked for them."""
    post_only = {"post_only": _flag(echo)} if order_type == LIMIT and time_in_force in {GTC, GTD} else {}
    return post_only | ({"rfq_enabled": False, "rfq_disabled": False} if order_type in {MARKET, LIMIT} else {})


_STOP_INVALID = "PREVIEW_INVALID_STOP_PRICE"


def _refuse_misfits(order_type: str, time_in_force: str, echo: dict[str, Any], members: dict[str, Any]) -> None:
    if order_type == MARKET and members.get("limit_price"):
        raise by_preview("PRICE_NOT_ALLOWED_FOR_MARKET_ORDERS", "market orders take no price")
    if order_type == BRACKET and "quote_size" in echo:
        raise by_preview("QUOTE_SIZE_NOT_ALLOWED_FOR_BRACKET", "bracket orders are sized in base")
    if time_in_force == FOK and _flag(echo):
        raise by_preview("POST_ONLY_NOT_ALLOWED_WITH_FOK", "post-only and fill-or-kill exclude each other")
    if members.get("reduce_only"):
        raise by_preview("REDUCE_ONLY_NOT_ALLOWED_ON_SPOT_PRODUCTS", "reduce_only is for derivatives")
    if ("base_size" in echo) == ("quote_size" in echo):
        raise only_preview("PREVIEW_INVALID_ORDER_CONFIG", "exactly one of base_size and quote_size is needed")


def _flag(echo: dict[str, Any]) -> bool:
    return str(echo.get("post_only", False)).lower() == "true"


def _size(echo: dict[str, Any], name: str) -> Decimal | None:
    if name not in echo:
        return None
    size = parse_amount(echo[name])
    if size is None:
        raise only_preview("PREVIEW_NON_NUMERIC_ORDER_SIZE", f"{name} is not a number")
    return size


def _price(echo: dict[str, Any], name: str, invalid: str) -> Decimal | None:
    if name not in echo:
        return None
    price = parse_amount(echo[name])
    if price is None:
        raise only_preview(invalid, f"{name} is not a number")
    return price


def _end_time(echo: dict[str, Any]) -> int:
    if "end_time" not in echo:
        raise by_preview("GTD_ORDERS_MUST_HAVE_END_TIME", "end_time is missing")
    end_time_ns = parse_rfc3339(str(echo["end_time"]))
    if end_time_ns is None:
        raise only_preview("PREVIEW_INVALID_END_TIME", "end_time is not an RFC 3339 time")
    return end_time_ns
