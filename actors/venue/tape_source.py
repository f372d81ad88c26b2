"""Which market a run asked for: the text behind `--market`, read into a struct."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

FORMS = "synthetic, mirror or tape:PATH[,from=TIME][,speed=N][,as=USD]"


class MarketSource(msgspec.Struct, frozen=True, kw_only=True):
    """A market to open.

    For a tape: `path` a file or directory, `from_s` the recorded time (UTC seconds) that becomes now (None: the
    recording's beginning), `speed` recorded seconds per second, `as_quote` the currency its quotes stand for.
    """

    kind: Literal["synthetic", "tape", "mirror"]
    path: Path = Path()
    from_s: float | None = None
    speed: float = 1.0
    as_quote: str | None = None


def parse_market(text: str) -> MarketSource:
    """Read what follows `--market`. Raises ValueError that says what was wrong and what is allowed."""
    if text in ("synthetic", "mirror"):
        return MarketSource(kind="synthetic" if text == "synthetic" else "mirror")
    if not text.startswith("tape:"):
        raise ValueError(f"market {text!r} is not one of {FORMS}")
    path, *options = text.removeprefix("tape:").split(",")
    if not path:
        raise ValueError(f"a tape needs a path: {FORMS}")
    named = _options(options)
    return MarketSource(
        kind="tape",
        path=Path(path).expanduser(),
        from_s=_time(named["from"]) if "from" in named else None,
        speed=_speed(named.get("speed", "1")),
        as_quote=_quote(named["as"]) if "as" in named else None,
    )


def _options(options: list[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if name not in ("from", "speed", "as") or not equals or not value:
            raise ValueError(f"tape option {option!r} is not one of from=TIME, speed=N, as=USD")
        if name in named:
            raise ValueError(f"tape option {name!r} is given twice")
        named[name] = value
    return named


def _time(text: str) -> float:
    if text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"from={text!r} is neither UTC seconds nor an ISO date and time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        raise ValueError(f"speed={text!r} is not a number") from None
    if not 0 < speed <= 100_000:
        raise ValueError(f"speed must be above 0 and at most 100000, got {text}")
    return speed


def _quote(text: str) -> str:
    if not text.isalnum():
        raise ValueError(f"as={text!r} is not a currency code")
    return text.upper()
