"""Decimal helpers. Every rounding says its direction; nothing here touches a binary float."""

from decimal import Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)
PCT = Decimal(100)


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """The largest multiple of `increment` that is not above `value`. Raises ValueError: increment not positive."""
    units = _units(value, increment)
    return (units - 1 if units * increment > value else units) * increment


def ceil_to(value: Decimal, increment: Decimal) -> Decimal:
    """The smallest multiple of `increment` that is not below `value`. Raises ValueError: increment not positive."""
    units = _units(value, increment)
    return (units + 1 if units * increment < value else units) * increment


def _units(value: Decimal, increment: Decimal) -> Decimal:
    """How many whole increments, towards zero: exact, where a quotient would be rounded to the context's digits."""
    if not increment > 0:
        raise ValueError(f"increment must be positive, got {increment}")
    return value // increment


def bps_of(value: Decimal, bps: Decimal) -> Decimal:
    """`bps` basis points of `value`, exact."""
    return value * bps / BPS


def pct_of(part: Decimal, whole: Decimal) -> Decimal:
    """`part` as per cent of `whole`. Raises ZeroDivisionError: `whole` is zero, for there is no such share."""
    return part / whole * PCT


def plain(value: Decimal) -> str:
    """Text without exponent and without trailing zeros, as the wire and people want it."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
