"""UTC instants as nanoseconds since the Unix epoch, to and from calendar fields. Pure integer arithmetic.

Source of the calendar algorithm: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (proleptic Gregorian).
"""

from protocol.base import Value

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
_SATURDAY = 5


class Calendar(Value, frozen=True, kw_only=True):
    """An instant taken apart, UTC."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int


def calendar(at_ns: int) -> Calendar:
    """Take an instant apart."""
    days, rest = divmod(at_ns, DAY_NS)
    year, month, day = _civil(days)
    seconds, nanosecond = divmod(rest, SECOND_NS)
    hour, seconds = divmod(seconds, 3600)
    minute, second = divmod(seconds, 60)
    return Calendar(year=year, month=month, day=day, hour=hour, minute=minute, second=second, nanosecond=nanosecond)


def _civil(days: int) -> tuple[int, int, int]:
    days += 719_468
    era, doe = divmod(days, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1


def compact(at_ns: int) -> str:
    """`YYYYMMDDtHHMMSSmmmz`, as client order ids carry it (execution.md §2)."""
    c = calendar(at_ns)
    ms = c.nanosecond // 1_000_000
    return f"{c.year:04}{c.month:02}{c.day:02}t{c.hour:02}{c.minute:02}{c.second:02}{ms:03}z"


def iso(at_ns: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, for people and records."""
    c = calendar(at_ns)
    ms = c.nanosecond // 1_000_000
    return f"{c.year:04}-{c.month:02}-{c.day:02}T{c.hour:02}:{c.minute:02}:{c.second:02}.{ms:03}Z"


def day_key(at_ns: int) -> str:
    """The UTC day, `YYYY-MM-DD`; it rolls over at 00:00."""
    return iso(at_ns)[:10]


def is_weekend(at_ns: int) -> bool:
    """Whether it is a Saturday or Sunday, UTC."""
    return (at_ns // DAY_NS + _EPOCH_WEEKDAY) % 7 >= _SATURDAY


def week_key(at_ns: int) -> str:
    """The UTC week, named by its Monday; it rolls over on Monday 00:00."""
    days = at_ns // DAY_NS
    return day_key((days - (days + _EPOCH_WEEKDAY) % 7) * DAY_NS)
