"""YAML as configuration needs it: decimals stay exact, words stay words, nothing is guessed or built.

Only the plain core is read: mappings with text keys, lists, text, whole and decimal numbers, `true`, `false` and
`null`. So `yes`, `on`, `1:30`, `010` and `2026-01-01` are text, which the schema then refuses where it wants something
else. Duplicate keys, tags, aliases and a second document are refused.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml

from config.problems import Problem, dotted, shown
from config.secrets import hide
from protocol.base import Value

_LOADER: type = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TEXT_TAG = "tag:yaml.org,2002:str"
_LARGEST_BYTES = 1_000_000

Keys = tuple[str, ...]


class Document(Value, frozen=True, kw_only=True):
    """What one file holds. `places` are line and column of every key, from 1; `problems` what could not be read."""

    file: str
    data: Mapping[str, object]
    places: Mapping[Keys, tuple[int, int]]
    problems: tuple[Problem, ...]
    text: str = ""


def read(path: Path, name: str) -> Document:
    """Read one file. Whatever is wrong with it comes back as problems that call it `name`; nothing is raised."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return _broken(name, "(file)", f"cannot be read: {error.strerror or error}")
    if len(raw) > _LARGEST_BYTES:
        return _broken(name, "(file)", f"a configuration file has at most {_LARGEST_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _broken(name, "(file)", f"not UTF-8 text: byte {error.start}")
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """Read YAML text; see `read`."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return _broken(name, "(syntax)", ", ".join(filter(None, (error.context, error.problem))), place, text)
    except (yaml.YAMLError, RecursionError) as error:
        return _broken(name, "(syntax)", shown(f"not YAML: {error}"), text=text)
    if not isinstance(node, yaml.MappingNode):
        return _broken(name, "(root)", "a mapping must stand at the root", text=text)
    walk = _Walk(name)
    data = walk.mapping(node, ())
    return Document(file=name, data=data, places=walk.places, problems=tuple(walk.problems), text=text)


def scalar(text: str) -> object:
    """Read one value as the file would: what an environment variable or an operator gives."""
    document = parse(f"value: {text}", "")
    return text if document.problems else document.data.get("value")


def _broken(name: str, key: str, rule: str, place: tuple[int, int] = (0, 0), text: str = "") -> Document:
    problem = Problem(file=name, key=key, value="unreadable", rule=rule, line=place[0], column=place[1])
    return Document(file=name, data={}, places={}, problems=(problem,), text=text)


class _Walk:
    """Turns nodes into values, noting where each key stands and what may not stand there."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Keys, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()

    def mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(compound key)"
            here = (*path, key)
            if key in found:
                self._refuse(key_node, here, "this key stands twice in one mapping")
            self.places[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = self.value(value_node, here)
        return found

    def value(self, node: yaml.Node, path: Keys) -> object:
        if id(node) in self._seen:
            self._refuse(node, path, "aliases are not read; write the value out")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Keys) -> object:
        text = str(node.value)
        if node.tag not in {_TEXT_TAG, "!", "", None}:
            self._refuse(node, path, f"tags are not read: {shown(node.tag)}")
            return None
        if getattr(node, "style", None):
            return text
        return _plain(text)

    def _refuse(self, node: yaml.Node, path: Keys, rule: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        key = dotted(path)
        value = shown(hide(path[-1], node.value) if isinstance(node, yaml.ScalarNode) else "…")
        self.problems.append(Problem(file=self.file, key=key, value=value, rule=rule, line=line, column=column))


def _plain(text: str) -> object:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _DECIMAL.fullmatch(text) or re.match(r"[-+]?0[0-9]", text):
        return text
    try:
        return Decimal(text)
    except InvalidOperation:
        return text
