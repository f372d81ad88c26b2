"""Takes secrets out of text and of structured values before they reach any sink (SEC1).

Three nets, each of which alone would catch a key: the name beside the value, the shape of the value, and the literal
values that `hide` was told. Over-redaction is accepted, under-redaction is not.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|credential|authorization|private_?-?key|api_?-?key|cb-access|bearer|jwt|(^|_|-)token$|(^|_|-)signature$|webhook|alert_urls?$",
    re.IGNORECASE,
)
_SHAPES = (
    # A PEM block, also one whose end was cut off, and with its line feeds escaped or not.
    re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
    # A JSON Web Token: its header always begins with the encoding of '{"'.
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"),
    re.compile(r"(?i)(?<=\bbearer )\S+"),
    re.compile(r"(?i)(?<=\bcb-access-)[a-z]+\W+\S+"),
    # name=value and name: value, as in query strings and headers.
    re.compile(
        r"(?i)(?<![a-z])(?:api_?-?key|api_?-?secret|secret|passw(?:or)?d|passphrase|private_?-?key)[\"']?\s*[=:]\s*[\"']?[^\s\"',;&}]+"
    ),
    # The user part of an address.
    re.compile(r"(?<=://)[^\s/@]+@"),
)
_RUN = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD_LENGTH = 20
"""Runs made of shorter words are paths, names and order ids, unless upper case and digits are mixed in."""
_SHORTEST_HIDDEN = 6

_hidden: set[str] = set()


def hide(*secrets: str) -> None:
    """Redacts these literal values everywhere from now on; whoever loads a secret calls this first.

    Shorter values than six characters are ignored: they would redact ordinary words.
    """
    for secret in secrets:
        forms = {secret, secret.replace("\n", "\\n"), secret.replace("\\n", "\n")}
        _hidden.update(form for form in forms if len(form) >= _SHORTEST_HIDDEN)
    _clean_name.cache_clear()


def redact(text: str) -> str:
    """Returns the text with everything that is or looks like a secret replaced."""
    for secret in _hidden:
        text = text.replace(secret, REDACTED)
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    return _RUN.sub(_judge_run, text)


def redact_value(value: Any) -> Any:
    """Redacts text anywhere inside nested mappings and sequences; by name as well as by shape.

    Numbers and None hold no secret and come back as they are. Bytes and other objects become redacted text.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {_clean_name(str(name)): _redact_named(str(name), inner) for name, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray | memoryview):
        return [redact_value(inner) for inner in value]
    return redact(str(value))


def _redact_named(name: str, value: Any) -> Any:
    # A count or a flag under a telling name (secret_age_days, token_ok) tells nothing.
    if value is None or isinstance(value, bool | int | float):
        return value
    return REDACTED if _tells_secret(name) else redact_value(value)


# Names come from the code, so there are few of them; judging one costs as much as a whole short value.
@lru_cache(maxsize=4096)
def _tells_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name))


@lru_cache(maxsize=4096)
def _clean_name(name: str) -> str:
    return redact(name)


def _judge_run(match: re.Match[str]) -> str:
    run = match.group()
    if _UUID.fullmatch(run):
        return run
    mixed = any(c.isupper() for c in run) and any(c.isdigit() for c in run)
    words = re.split(r"[/_-]", run)
    return REDACTED if mixed or max(map(len, words)) >= _WORD_LENGTH else run
