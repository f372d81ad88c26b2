"""What a change of configuration means for risk, key by key."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum

from msgspec import inspect

from config.check import described, plain_type
from config.directions import Looser, direction
from config.files import FILES, Config
from config.layers import leaves
from config.origins import plain_trees
from protocol.base import Value
from protocol.money import plain

_LONGEST = 120
_MISSING = object()


class Effect(Enum):
    """What one change does."""

    LOOSENS = "LOOSENS"
    TIGHTENS = "tightens"
    NEUTRAL = "neutral"


class Difference(Value, frozen=True, kw_only=True):
    """One key that two configurations hold differently; `before` or `after` is a dash where it is missing."""

    file: str
    key: str
    before: str
    after: str
    unit: str
    effect: Effect
    meaning: str

    def __str__(self) -> str:
        change = f"{self.before} -> {self.after} ({self.unit})"
        return f"{self.file}.yaml {self.key}: {change} {self.effect.value}: {self.meaning}"


def differences(old: Config, new: Config) -> tuple[Difference, ...]:
    """Every effective value that differs, in the order of the files; whatever nobody can order loosens."""
    before, after = plain_trees(old), plain_trees(new)
    return tuple(
        found for which in FILES for found in _of_file(which, dict(leaves(before[which])), dict(leaves(after[which])))
    )


def loosening(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Those that need a person's word."""
    return tuple(one for one in found if one.effect is Effect.LOOSENS)


def _of_file(which: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[Difference]:
    keys = [*old, *(key for key in new if key not in old)]
    pairs = [(key, old.get(key, _MISSING), new.get(key, _MISSING)) for key in keys]
    return [_difference(which, key, before, after) for key, before, after in pairs if before != after]


def _difference(which: str, key: str, before: object, after: object) -> Difference:
    declared, said = _declared(which, key)
    return Difference(
        file=which,
        key=key,
        before=_text(before),
        after=_text(after),
        unit=str(said.get("x-unit", "name")),
        effect=_effect(before, after, declared, direction(which, key)),
        meaning=str(said.get("description", "")),
    )


def _declared(which: str, key: str) -> tuple[inspect.Type, Mapping[str, object]]:
    """A key's bare type, and what the schema says of it; nothing is known of a key that it does not spell out."""
    declared: inspect.Type = described(FILES[which])
    for part in key.split("."):
        bare, _ = plain_type(declared)
        if isinstance(bare, inspect.StructType):
            declared = next((f.type for f in bare.fields if f.encode_name == part), inspect.AnyType())
        elif isinstance(bare, inspect.DictType):
            declared = bare.value_type
        else:
            return inspect.AnyType(), {}
    said = declared.extra_json_schema if isinstance(declared, inspect.Metadata) else None
    return plain_type(declared)[0], said or {}


def _effect(before: object, after: object, declared: inspect.Type, way: Looser) -> Effect:
    if way is Looser.NEUTRAL:
        return Effect.NEUTRAL
    if before is _MISSING or after is _MISSING or way is Looser.EITHER:
        return Effect.LOOSENS
    rises = _rises(before, after, declared)
    if rises is None:
        return Effect.LOOSENS
    if rises == 0:
        return Effect.NEUTRAL
    return Effect.LOOSENS if (rises > 0) is (way is Looser.UP) else Effect.TIGHTENS


def _rises(before: object, after: object, declared: inspect.Type) -> int | None:
    """1: up, -1: down, 0: only written differently; None: nobody can say."""
    if isinstance(before, list) and isinstance(after, list):
        added, removed = set(after) - set(before), set(before) - set(after)
        return None if added and removed else bool(added) - bool(removed)
    if isinstance(declared, inspect.EnumType):
        words = [member.value for member in declared.cls]
        return _sign(words.index(after) - words.index(before))
    if isinstance(before, int | Decimal) and isinstance(after, int | Decimal):
        return _sign(Decimal(after) - Decimal(before))
    return None


def _sign(number: int | Decimal) -> int:
    return (number > 0) - (number < 0)


def _text(value: object) -> str:
    if value is _MISSING:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        text = ", ".join(map(_text, value)) or "none"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return plain(value) if isinstance(value, Decimal) else str(value)
