"""What is wrong with a configuration, said so that a person can mend it."""

from collections.abc import Iterable

from protocol.base import Value

_LONGEST = 80


class Problem(Value, frozen=True, kw_only=True):
    """One mistake: where it stands, which key, the value found there, and the rule it breaks.

    `line` and `column` count from 1; 0 means the mistake stands on no line, as a missing key does.
    """

    file: str
    key: str
    value: str
    rule: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.key} = {self.value}: {self.rule}"


class ConfigError(Exception):
    """A configuration that nothing may start with; `problems` holds every mistake found, one line each when printed."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: object) -> str:
    """A value as a problem shows it: short, on one line, as the file has it."""
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind} of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).encode("unicode_escape").decode("ascii") or "''"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def dotted(path: Iterable[str]) -> str:
    """A key's path as people write it."""
    return ".".join(map(shown, path))
