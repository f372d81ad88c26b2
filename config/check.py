"""Holds plain data against the schema and collects every mistake: unknown, missing, mistyped and out-of-range keys."""

import difflib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache

import msgspec
from msgspec import inspect

from config.files import FILES
from config.left_out import word
from config.problems import Problem, dotted, shown
from config.schema import Range
from config.secrets import hide
from protocol.policy import Mode

Places = Mapping[tuple[str, ...], tuple[int, int]]
SAFETY_KEYS: Mapping[str, object] = {
    "app.mode": "LIVE",
    "exchange.read_only": False,
    "governance.live_trading_enabled": True,
}
"""What opens the way to real money, and the value that does. Empty means missing; missing means the safest value."""
_BAD = object()


class Checked(msgspec.Struct, frozen=True):
    """Data with numbers and words in their final types, mistaken keys left out; and the mistakes."""

    data: dict[str, object]
    problems: tuple[Problem, ...]


def check(which: str, data: Mapping[str, object], *, file: str, places: Places | None = None, whole: bool) -> Checked:
    """Hold data against the schema of one of the five files.

    Args:
        which: the file's name without ending; `app`, `policy`, `universe`, `signals` or `strategies`.
        data: what was read.
        file: how problems call the place it was read from.
        places: line and column by key.
        whole: required keys must be there; an overlay, which changes some keys only, is not whole.
    """
    checker = _Checker(file, places or {}, whole=whole)
    found = checker.section(data, described(FILES[which]), ())
    return Checked(found, tuple(checker.problems))


@cache
def described(cls: type) -> inspect.StructType:
    """The schema of a section, field by field."""
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType), "sections are structs"
    return found


def plain_type(found: inspect.Type) -> tuple[inspect.Type, Mapping[str, object]]:
    """A key's bare type, and its unit and range."""
    if isinstance(found, inspect.Metadata):
        return found.type, found.extra or {}
    return found, {}


class _Checker:
    def __init__(self, file: str, places: Places, *, whole: bool) -> None:
        self.problems: list[Problem] = []
        self._file, self._places, self._whole = file, places, whole

    def section(
        self, data: Mapping[str, object], found: inspect.StructType, path: tuple[str, ...]
    ) -> dict[str, object]:
        fields = {f.encode_name: f for f in found.fields}
        for name in data:
            if name not in fields:
                self._refuse((*path, name), data[name], unknown(dotted((*path, name)), name, list(fields)))
        if self._whole:
            for name in (f.encode_name for f in found.fields if f.required and f.encode_name not in data):
                self._refuse((*path, name), "missing", "a required key is missing")
        kept = {name: self._value(data[name], fields[name].type, (*path, name)) for name in data if name in fields}
        return {name: value for name, value in kept.items() if value is not _BAD}

    def _value(self, value: object, declared: inspect.Type, path: tuple[str, ...]) -> object:
        bare, extra = plain_type(declared)
        if value is None and ".".join(path) in SAFETY_KEYS:
            return _BAD
        if isinstance(bare, inspect.StructType):
            return self._mapping(value, path, lambda found: self.section(found, bare, path))
        if isinstance(bare, inspect.DictType):
            return self._mapping(value, path, lambda found: self._entries(found, bare.value_type, path))
        if isinstance(bare, inspect.ListType):
            return self._list(value, bare.item_type, path)
        return self._leaf(value, bare, extra, path)

    def _mapping(
        self, value: object, path: tuple[str, ...], read: Callable[[Mapping[str, object]], dict[str, object]]
    ) -> object:
        if not isinstance(value, Mapping):
            return self._refuse(path, value, "wrong type: must be a mapping")
        return read(value)

    def _entries(self, data: Mapping[str, object], kind: inspect.Type, path: tuple[str, ...]) -> dict[str, object]:
        kept = {name: self._value(value, kind, (*path, name)) for name, value in data.items()}
        return {name: value for name, value in kept.items() if value is not _BAD}

    def _list(self, value: object, kind: inspect.Type, path: tuple[str, ...]) -> object:
        if not isinstance(value, list):
            return self._refuse(path, value, "wrong type: must be a list")
        kept = [self._value(item, kind, (*path, str(index))) for index, item in enumerate(value)]
        if len({str(item) for item in kept}) != len(kept) and isinstance(plain_type(kind)[0], inspect.StrType):
            return self._refuse(path, value, "the same entry stands twice")
        return _BAD if _BAD in kept else kept

    def _leaf(self, value: object, bare: inspect.Type, extra: Mapping[str, object], path: tuple[str, ...]) -> object:
        final, wrong = _typed(value, bare)
        if wrong:
            return self._refuse(path, value, f"{wrong} ({extra.get('unit', 'name')})")
        bounds = extra.get("range")
        if isinstance(bounds, Range) and isinstance(final, int | Decimal) and not bounds.holds(final):
            return self._refuse(path, value, f"out of range: must be {bounds} ({extra['unit']})")
        return final

    def _refuse(self, path: tuple[str, ...], value: object, rule: str) -> object:
        line, column = self._places.get(path, (0, 0))
        found = shown(hide(path[-1], value))
        self.problems.append(
            Problem(file=self._file, key=dotted(path), value=found, rule=rule, line=line, column=column)
        )
        return _BAD


def _typed(value: object, bare: inspect.Type) -> tuple[object, str]:
    """The value in its final type, and what is wrong with it; empty if nothing is."""
    match bare:
        case inspect.BoolType():
            return value, "" if isinstance(value, bool) else "wrong type: must be true or false"
        case inspect.IntType():
            return value, "" if isinstance(value, int) and not isinstance(
                value, bool
            ) else "wrong type: must be a whole number"
        case inspect.DecimalType():
            return _decimal(value)
        case inspect.StrType(pattern=pattern):
            matches = isinstance(value, str) and (pattern is None or re.fullmatch(pattern, value) is not None)
            return value, "" if matches else f"must be text of the form {(pattern or '^(?:any)$')[4:-2]}"
        case inspect.EnumType(cls=cls):
            return _word(value, [str(member.value) for member in cls], fold=cls is Mode)
        case inspect.LiteralType(values=values):
            return _word(value, [str(v) for v in values], fold=False)
    raise AssertionError(f"the schema uses a type that nothing checks: {bare}")


def _decimal(value: object) -> tuple[object, str]:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value, "wrong type: must be a number"
    return Decimal(value), ""


def _word(value: object, words: list[str], *, fold: bool) -> tuple[object, str]:
    text = value.upper().replace("-", "_") if fold and isinstance(value, str) else value
    return text, "" if text in words else f"not allowed: must be one of {', '.join(words)}"


def unknown(path: str, name: str, siblings: list[str]) -> str:
    """What to say of a key that the schema does not have."""
    said = word(path)
    if said:
        return said
    near = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    elsewhere = [full for full in known_keys() if full.rpartition(".")[2] == name]
    return f"unknown key; it belongs at {elsewhere[0]}" if elsewhere else "unknown key; nothing reads it"


@cache
def known_keys() -> tuple[str, ...]:
    """Every key of the schema as `file:section.key`; entries of mappings are written `*`."""
    return tuple(f"{name}.yaml:{key}" for name, cls in FILES.items() for key in _keys(described(cls), ""))


def _keys(found: inspect.StructType, prefix: str) -> list[str]:
    keys: list[str] = []
    for f in found.fields:
        path = f"{prefix}{f.encode_name}"
        bare, _ = plain_type(f.type)
        if isinstance(bare, inspect.DictType):
            path, bare = f"{path}.*", plain_type(bare.value_type)[0]
        keys += _keys(bare, f"{path}.") if isinstance(bare, inspect.StructType) else [path]
    return keys
