"""What a strategy's file may not do, found by reading it: no clock, chance, file, socket, and no way around (STR1).

It keeps honest code honest; it is no wall against malice. That is what the strategies' own process is for: whatever
happens in it, no order depends on it.
"""

import ast
import importlib
from collections.abc import Iterator
from types import ModuleType

STANDARD = frozenset(
    {
        *("__future__", "abc", "bisect", "collections", "collections.abc", "dataclasses", "decimal", "enum"),
        *("fractions", "functools", "heapq", "itertools", "math", "numbers", "operator", "re", "statistics", "typing"),
    }
)
"""Values and functions of their arguments."""
OURS = frozenset(
    {
        *("actors.strategy.base", "protocol.ids", "protocol.instants", "protocol.market", "protocol.money"),
        *("protocol.orders", "protocol.strategy"),
    }
)
"""The contract, and the vocabulary it speaks."""
FORBIDDEN_NAMES = frozenset(
    {
        *("__import__", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals"),
        *("input", "locals", "memoryview", "open", "print", "quit", "setattr", "vars"),
    }
)
FORBIDDEN_ATTRIBUTES = frozenset(
    {
        *("sys", "os", "io", "builtins", "importlib", "subprocess", "socket", "threading", "ctypes", "signal"),
        *("attrgetter", "methodcaller", "get_type_hints", "ForwardRef", "make_dataclass"),
    }
)
"""Doors from a harmless module to another one, and functions that run text."""
_DUNDERS = frozenset({"__init__", "__post_init__", "__name__", "__class__", "__doc__", "__slots__", "__call__"})


def faults(source: str, file: str) -> list[str]:
    """Every offence as `file:line: what is wrong`; a file that is no Python is one offence."""
    try:
        tree = ast.parse(source, filename=file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        return [f"{file}:{line}: {getattr(error, 'msg', None) or error}"]
    modules = _bound_modules(tree)
    found = ((node, text) for node in ast.walk(tree) for text in _offences(node, modules))
    return [f"{file}:{getattr(node, 'lineno', 1)}: {text}" for node, text in found]


def may_import(name: str) -> bool:
    """Whether a strategy may import this module."""
    return name in STANDARD or name in OURS


def _offences(node: ast.AST, modules: dict[str, ModuleType]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (_import_said(a.name) for a in names if not may_import(a.name))
        case ast.ImportFrom(module=module, names=names, level=level):
            yield from _from(module or "", [a.name for a in names], level)
        case ast.Name(id=name) if name in FORBIDDEN_NAMES or _private(name):
            yield f"{name} is not for strategies: they only look at their context and answer"
        case ast.Attribute(attr=attr) if attr in FORBIDDEN_ATTRIBUTES or _private(attr):
            yield f".{attr} is not for strategies"
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in modules:
            if isinstance(vars(modules[name]).get(attr), ModuleType) and not may_import(
                f"{modules[name].__name__}.{attr}"
            ):
                yield f"{name}.{attr} is another module: import what you need"
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield "a strategy waits for nothing: no async"


def _from(module: str, names: list[str], level: int) -> Iterator[str]:
    if level:
        yield "a strategy is one file: no relative imports"
        return
    package = [name for name in names if may_import(f"{module}.{name}")]
    if not may_import(module):
        yield from (_import_said(f"{module}.{name}") for name in names if name not in package)
        return
    held = vars(importlib.import_module(module))
    for name in names:
        if name == "*" or name in FORBIDDEN_ATTRIBUTES or _private(name):
            yield f"from {module} import {name}: not for strategies"
        elif isinstance(held.get(name), ModuleType) and name not in package:
            yield _import_said(f"{module}.{name}")


def _import_said(name: str) -> str:
    known = ", ".join(sorted(STANDARD - {"__future__", "collections.abc"}))
    return f"import of {name}: a strategy may import {', '.join(sorted(OURS))}; and {known}"


def _private(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in _DUNDERS


def _bound_modules(tree: ast.Module) -> dict[str, ModuleType]:
    """Names that stand for a module which may be imported."""
    found: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in filter(lambda a: may_import(a.name), node.names):
                bound = alias.asname or alias.name.partition(".")[0]
                found[bound] = importlib.import_module(alias.name if alias.asname else bound)
    return found
