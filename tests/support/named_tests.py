"""Whether the tests that a table names are there."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def listed(table: Mapping[object, Iterable[str]]) -> list[str]:
    """Every test that a table names, once."""
    return sorted({test for tests in table.values() for test in tests})


def exists(test: str) -> bool:
    """Whether `path::name` is a function, or a test case made under that name."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and bool(re.search(rf"^(def {name}\(|{name},)", file.read_text(), re.MULTILINE))
