"""Finds secrets that stand in the clear: they belong into the environment, never into a file (requirements SEC1)."""

import re
from collections.abc import Iterator, Mapping

from config.problems import Problem, dotted

_NAME = re.compile(
    r"secret|password|passwd|passphrase|private_?key|api_?key|token(?!_life)|credential|webhook", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"\$\{[A-Z][A-Z0-9_]*\}")
_SHAPES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"organizations/[^/\s]+/apiKeys/", re.IGNORECASE),
    re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\."),
    re.compile(
        r"(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*[0-9])[A-Za-z0-9+/_-]{40,}={0,2}"
    ),
)
RULE = "rule 24: a literal secret; take it out of the file, have it revoked, and give the new one by the environment"
HIDDEN = "(hidden)"


def looks_secret(text: str) -> bool:
    """Whether a text has the form of a key, a token or an address with a password in it."""
    return any(shape.search(text) for shape in _SHAPES)


def names_secret(key: str, value: object) -> bool:
    """Whether a key that is called after a secret holds one, not the name of an environment variable."""
    return bool(_NAME.search(key)) and isinstance(value, str) and not _PLACEHOLDER.fullmatch(value)


def hide(key: str, value: object) -> object:
    """The value, or a word in its place where it is or may be a secret."""
    return HIDDEN if names_secret(key, value) or looks_secret(str(value)) else value


def literal(file: str, data: Mapping[str, object], text: str) -> tuple[Problem, ...]:
    """Every literal secret in a file, comments included. Its value is never shown."""
    lines = enumerate(text.splitlines(), 1)
    shapes = [
        Problem(file=file, key="(text)", value=HIDDEN, rule=RULE, line=number, column=1)
        for number, line in lines
        if looks_secret(line)
    ]
    return (*_named(file, data, ()), *shapes)


def _named(file: str, node: object, path: tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _named(file, value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from _named(file, value, path)
    elif names_secret(path[-1], node):
        yield Problem(file=file, key=dotted(path), value=HIDDEN, rule=RULE)
