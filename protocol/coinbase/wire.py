"""What every wire struct has in common: decimal text, RFC 3339 text, tolerant decoding, one kind of refusal.

Numbers stay text in the structs, as the venue sends them: "" means absent, nothing is rounded on the way through, and
what is read is what would be written. `protocol/coinbase/border.py` turns them into checked `Decimal`s.
"""

import re
from calendar import monthrange
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

from protocol.instants import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, calendar

T = TypeVar("T")

Text: TypeAlias = str | None
"""A member that may be missing: absent, "" and null mean the same (rest.md §1). A number in it is decimal text."""

ZERO_TIME = "0001-01-01T00:00:00Z"
"""How the WebSocket channels write "never"."""

_MAX_REASON = 200
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:[Zz]|\+00:00)", re.ASCII
)


class BadWire(ValueError):  # noqa: N818 - the house's word for what the border refuses
    """The venue sent something we refuse to act on. Carries the reason, cut to 200 characters, not the payload."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:_MAX_REASON])


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base of answers and frames. Unknown members are ignored: the venue adds some at any time."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of requests. What has its default (absent) is not sent."""


def decode(raw: bytes | str, kind: type[T]) -> T:
    """Decode JSON into `kind`. Raises BadWire: no JSON, wrong shape, nested without end."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise BadWire(f"{kind.__name__}: {exc}") from exc


_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """JSON bytes of a wire struct."""
    return _encoder.encode(message)


def wire_decimal(value: Decimal) -> str:
    """Decimal text for the wire: plain digits, never an exponent. Raises ValueError: not a finite number."""
    if not value.is_finite():
        raise ValueError(f"{value} cannot go on the wire")
    return format(abs(value) if value.is_zero() else value, "f")


def read_decimal(text: Text, what: str) -> Decimal:
    """The number in a member that must have one. Raises BadWire: absent, not a number, NaN, infinite."""
    if not text or _NUMBER.fullmatch(text) is None:
        raise BadWire(f"{what} is not a number")
    return Decimal(text)


def optional_decimal(text: Text, what: str) -> Decimal | None:
    """The number in a member that may be absent. Raises BadWire: present and not a finite number."""
    return read_decimal(text, what) if text else None


def parse_rfc3339(text: Text) -> int | None:
    """UTC nanoseconds since the epoch, exact for 0 to 9 fraction digits; None: absent or the zero time.

    Raises BadWire: not RFC 3339 in UTC, or no such day. A leap second is refused (the venue smears them).
    """
    if not text or text == ZERO_TIME:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadWire("not an RFC 3339 time in UTC")
    year, month, day, hour, minute, second, fraction = found.groups()
    return (
        _day_ns(int(year), int(month), int(day))
        + int(hour) * HOUR_NS
        + int(minute) * MINUTE_NS
        + int(second) * SECOND_NS
        + int((fraction or "").ljust(9, "0"))
    )


@lru_cache(maxsize=64)
def _day_ns(year: int, month: int, day: int) -> int:
    if not (year and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]):
        raise BadWire("no such day")
    # Days of the years before, counted from March so that the leap day comes last (Hinnant, days_from_civil).
    y = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return (365 * y + y // 4 - y // 100 + y // 400 + day_of_year - 719_468) * DAY_NS


def format_rfc3339(at_ns: int) -> str:
    """RFC 3339 with `Z`, up to nanoseconds, trailing zeros cut as the venue cuts them."""
    c = calendar(at_ns)
    fraction = f".{c.nanosecond:09}".rstrip("0").rstrip(".")
    return f"{c.year:04}-{c.month:02}-{c.day:02}T{c.hour:02}:{c.minute:02}:{c.second:02}{fraction}Z"


def convert(value: Any, kind: type[T]) -> T:
    """Decode already parsed data, such as a query string's members, numbers and booleans given as text.

    Raises BadWire: wrong shape.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise BadWire(f"{kind.__name__}: {exc}") from exc
