"""From a configured strategy to one that can run: the library's by name, a user's own from its file.

A file is read, checked (`manners`), and run in a module of its own whose built-in names reach no file, no other module
and no text to run. Whatever is wrong with it comes back as words with file and line; it takes nobody along.
"""

import builtins
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from actors.strategy.base import Strategy
from actors.strategy.manners import FORBIDDEN_NAMES, faults, may_import
from actors.strategy.running import Refused
from protocol.policy_strategy import StrategyRow

MAX_BYTES = 1_000_000
_SHOWN = 3
_METHOD = "generate_proposals"

Made = Callable[[Mapping[str, Decimal]], Strategy]


class Loader:
    """Loads strategies by name, anew each time it is asked."""

    def __init__(self, rows: Sequence[StrategyRow], library: Mapping[str, Made], folder: Path) -> None:
        """Make one.

        Args:
            rows: every configured strategy.
            library: how those that come with the program are made from their parameters.
            folder: where files of users' own stand.
        """
        self._rows = {row.name: row for row in rows}
        self._library = library
        self._folder = folder

    def __call__(self, name: str) -> Strategy | Refused:
        """The strategy, or why there is none."""
        row = self._rows.get(name)
        if row is None:
            return Refused(detail=f"no strategy {name} is configured")
        if row.class_name:
            return _from_file(row, self._folder / (row.path or f"{name}.py"))
        try:
            return self._library[name](dict(row.parameters))
        except (TypeError, KeyError, ValueError) as error:
            return Refused(detail=f"{name} of the library with parameters {dict(row.parameters)}: {error}")


def _from_file(row: StrategyRow, file: Path) -> Strategy | Refused:
    try:
        source = _read(file)
    except (OSError, ValueError) as error:
        return Refused(detail=f"{file}: cannot be read: {error}")
    wrong = faults(source, str(file))
    if wrong:
        return Refused(detail="; ".join(wrong[:_SHOWN]))
    try:
        module = _run(source, row.name, file)
        made = _instance(module, row, file)
    except BaseException as error:  # noqa: BLE001 - whatever a user's file raises is its own failure alone
        return Refused(detail=f"{where(error, str(file))}: {type(error).__name__}: {error}")
    return made


def _read(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"a strategy's file has at most {MAX_BYTES} bytes")
    return file.read_text(encoding="utf-8")


def _run(source: str, name: str, file: Path) -> ModuleType:
    module = ModuleType(f"user_strategy_{name}")
    module.__dict__["__builtins__"] = _builtins()
    sys.modules[module.__name__] = module  # dataclasses look their own module up
    exec(compile(source, str(file), "exec"), module.__dict__)  # noqa: S102 - what a user wrote to be run, checked before
    return module


def _builtins() -> dict[str, Any]:
    kept = {name: value for name, value in vars(builtins).items() if name not in FORBIDDEN_NAMES}
    return kept | {"__import__": _import}


def _import(name: str, *rest: Any) -> ModuleType:
    """The import statement of a strategy's file; what may be imported is checked again where it happens."""
    names = rest[2] if len(rest) > 2 and rest[2] else ()
    if not may_import(name) and not all(may_import(f"{name}.{part}") for part in names or ("",)):
        raise ImportError(f"a strategy may not import {name}")
    return builtins.__import__(name, *rest)


def _instance(module: ModuleType, row: StrategyRow, file: Path) -> Strategy | Refused:
    kind = vars(module).get(row.class_name)
    if not isinstance(kind, type):
        return Refused(detail=f"{file}:1: there is no class {row.class_name}")
    line = _line_of(kind)
    made = kind(**dict(row.parameters))
    method = getattr(made, _METHOD, None)
    if not callable(method):
        return Refused(detail=f"{file}:{line}: {row.class_name} has no method {_METHOD}(context)")
    try:
        inspect.signature(method).bind(object())
    except TypeError as error:
        at = method.__code__.co_firstlineno if hasattr(method, "__code__") else line
        return Refused(detail=f"{file}:{at}: {_METHOD} must take one argument, the context: {error}")
    assert isinstance(made, Strategy)
    return made


def _line_of(kind: type) -> int:
    """Where a class begins: its first method's line is near enough where nothing else tells."""
    codes = [value.__code__.co_firstlineno for value in vars(kind).values() if hasattr(value, "__code__")]
    return min(codes, default=1)


def where(error: BaseException, file: str = "") -> str:
    """File and line of what was raised: the last place in `file`, else the last one there is."""
    places: list[tuple[str, int]] = []
    traceback = error.__traceback__
    while traceback is not None:
        places.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    own = [place for place in places if place[0] == file]
    name, line = (own or places or [(file, 1)])[-1]
    return f"{name}:{line}"
