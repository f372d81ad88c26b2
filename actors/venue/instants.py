"""RFC 3339 text and UTC nanoseconds, without a calendar library that could read a clock."""

import re

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
DAY_NS = 86_400 * SECOND_NS
ZERO_TIME = "0001-01-01T00:00:00Z"  # what the user channel shows for a time that is not set

_TEXT = re.compile(
    r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)[Tt ](?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)(?:\.(?P<f>\d{1,9})\d*)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<oh>\d\d):(?P<om>\d\d))"
)


def rfc3339(at_ns: int) -> str:
    """UTC text with `Z`, microseconds at most, trailing zeros cut, as the venue writes times."""
    days, rest = divmod(at_ns, DAY_NS)
    year, month, day = _civil(days)
    seconds, fraction = divmod(rest, SECOND_NS)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    decimals = f".{fraction // 1000:06d}".rstrip("0").rstrip(".")
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{decimals}Z"


def parse_rfc3339(text: str) -> int | None:
    """UTC nanoseconds of an RFC 3339 text; None where it is none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    g = found.groupdict()
    year, month, day = int(g["y"]), int(g["mo"]), int(g["d"])
    days = _days(year, month, day)
    hour, minute, second = int(g["h"]), int(g["mi"]), int(g["s"])
    if not 1 <= month <= 12 or _civil(days) != (year, month, day) or hour > 23 or minute > 59 or second > 60:
        return None
    offset = (int(g["oh"]) * 60 + int(g["om"])) * (-1 if g["sign"] == "-" else 1) if g["sign"] else 0
    fraction = int((g["f"] or "").ljust(9, "0"))
    return days * DAY_NS + ((hour * 60 + minute - offset) * 60 + second) * SECOND_NS + fraction


def _days(year: int, month: int, day: int) -> int:
    # Count years from March so that the leap day comes last; 400 years are 146 097 days (proleptic Gregorian).
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    march_month = (5 * of_year + 2) // 153
    month = march_month + 3 if march_month < 10 else march_month - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * march_month + 2) // 5 + 1
