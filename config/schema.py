"""How the schema says a key: type, unit, range, reason and default in one place; and the five files together.

`msgspec.json.schema(Config)` exports it. A key stands here exactly when some code reads it.
"""

from decimal import Decimal

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything in a configuration file."""


def key(
    unit: str, reason: str, low: str = "", high: str = "", *, over: bool = False, pattern: str | None = None
) -> msgspec.Meta:
    """Describe one key.

    Args:
        unit: of its value, or what kind of thing it names.
        reason: why it exists, or what goes wrong with another value.
        low: smallest value allowed (with `over`: the bound itself is not).
        high: largest value allowed.
        over: the value must lie above `low`.
        pattern: what a text must match in full.
    """
    extra = {"unit": unit, "range": Range(low=low, high=high, over=over) if low else None}
    exported: dict[str, object] = {"x-unit": unit}
    if low:
        exported |= {"exclusiveMinimum" if over else "minimum": float(low), "maximum": float(high)}
    return msgspec.Meta(
        description=reason, extra=extra, extra_json_schema=exported, pattern=f"^(?:{pattern})$" if pattern else None
    )


class Range(msgspec.Struct, frozen=True):
    """Which numbers a key takes; the bounds belong to it, but the lower one when `over`."""

    low: str
    high: str
    over: bool = False

    def holds(self, value: int | Decimal) -> bool:
        """Whether a number lies in it."""
        above = value > Decimal(self.low) if self.over else value >= Decimal(self.low)
        return above and value <= Decimal(self.high)

    def __str__(self) -> str:
        return f"{'>' if self.over else '≥'} {self.low} and ≤ {self.high}"
