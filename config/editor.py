"""The JSON Schema of the files for editors: numbers as YAML has them; unit, range and what loosens where people read.

`x-unit` and `x-looser` say the same to programs.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from config.check import described, plain_type
from config.directions import Looser, direction
from config.files import FILES, Config

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Field = tuple[str, str]
"""A section's class and a key in it."""


def editor_schema(which: str | None = None) -> dict[str, Any]:
    """The schema of one of the five files, or of all under their names."""
    exported = msgspec.json.schema(FILES[which] if which else Config)
    ways = dict(_ways())
    for section, defined in exported["$defs"].items():
        keys = defined.get("properties", {})
        defined["properties"] = {name: _told(node, ways.get((section, name))) for name, node in keys.items()}
    found: dict[str, Any] = _numbers(exported)
    return {"$schema": DRAFT, **found}


def _ways() -> Iterator[tuple[Field, Looser]]:
    for which, cls in FILES.items():
        yield from _of_section(which, described(cls), ())


def _of_section(which: str, section: inspect.StructType, path: tuple[str, ...]) -> Iterator[tuple[Field, Looser]]:
    for field in section.fields:
        here = (*path, field.encode_name)
        bare, _ = plain_type(field.type)
        while isinstance(bare, inspect.DictType):
            here, bare = (*here, "*"), plain_type(bare.value_type)[0]
        if isinstance(bare, inspect.StructType):
            yield from _of_section(which, bare, here)
        else:
            yield (section.cls.__name__, field.encode_name), direction(which, ".".join(here))


def _told(node: dict[str, Any], way: Looser | None) -> dict[str, Any]:
    """A key's reason with everything else a person needs to choose its value."""
    inner = node.get("additionalProperties")
    if isinstance(inner, dict) and "x-unit" in inner:
        return {**node, "additionalProperties": _told(inner, way)}
    if "x-unit" not in node or way is None:
        return node
    loosens = f"; {way.value}" if way in {Looser.UP, Looser.DOWN} else ""
    said = f"{node['description']} ({node['x-unit']}{_bounds(node)}{loosens})"
    return {**node, "description": said, "x-looser": way.value}


def _bounds(node: dict[str, Any]) -> str:
    if "maximum" not in node:
        return ""
    least = f"> {node['exclusiveMinimum']:g}" if "exclusiveMinimum" in node else f"≥ {node['minimum']:g}"
    return f", {least} and ≤ {node['maximum']:g}"


def _numbers(node: Any) -> Any:
    """A decimal travels as text in JSON; in the files it is a number."""
    if isinstance(node, list):
        return [_numbers(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: _numbers(item) for name, item in node.items()}
    if found.get("format") != "decimal":
        return found
    number = {name: item for name, item in found.items() if name != "format"} | {"type": "number"}
    return number | {"default": float(number["default"])} if "default" in number else number
