"""Exact decimal arithmetic and the text forms of numbers on the wire."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)

# 28 digits, Python's default, would round price x size x rate of the finest grids; money must add up to the last digit.
_EXACT = Context(prec=80)
_SHOWN = Decimal("1e-16")  # averages are quotients: the venue shows up to 16 decimals


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with enough decimal digits that no product or sum of amounts is ever rounded."""

    @wraps(function)
    def in_context(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(_EXACT):
            return function(*args, **kwargs)

    return in_context


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """The largest multiple of `increment` not above `value`."""
    return (value / increment).to_integral_value(rounding=ROUND_FLOOR) * increment


def ceil_to(value: Decimal, increment: Decimal) -> Decimal:
    """The smallest multiple of `increment` not below `value`."""
    return (value / increment).to_integral_value(rounding=ROUND_CEILING) * increment


def on_grid(value: Decimal, increment: Decimal) -> bool:
    """Whether `value` is a whole number of increments."""
    return value % increment == 0


def plain(value: Decimal) -> str:
    """Text without exponent and without trailing zeros: "83261", "0.7", "0"."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def quotient(part: Decimal, whole: Decimal) -> Decimal:
    """Part / whole as the venue shows it, 16 decimals; zero where there is nothing to divide by."""
    return (part / whole).quantize(_SHOWN) if whole else ZERO


def parse_amount(text: object) -> Decimal | None:
    """A finite decimal from wire text or number; None for what is no number at all."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
