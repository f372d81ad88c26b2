"""Who may import whom: pure cores, rooms that do not know each other, one vocabulary, one sender."""

import ast
import re

import pytest

ALLOWED_IN_PURE = {
    *("__future__", "abc", "array", "base64", "binascii", "bisect", "calendar", "collections", "contextlib", "copy"),
    *("dataclasses",),
    *("decimal", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "itertools", "json", "math"),
    *("numbers", "operator", "re", "statistics", "string", "struct", "textwrap", "types", "typing", "zlib"),
    *("msgspec", "sortedcontainers"),
    *("actors", "protocol"),
}
"""Values and functions of their arguments. What is not listed is refused: clocks, threads, sockets, disk, chance."""
ALLOWED_IN_SIGNING = {"cryptography", "jwt", "urllib"}
"""What `protocol/coinbase` needs beside that: functions of a key, a time and a nonce that are handed in."""
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}

ALWAYS_PURE = re.compile(
    r"^actors/.*/(core|rules)\.py$|^actors/(core|rules)\.py$|^protocol/|^actors/strategy/(library|indicators|triggers)/"
)
SAYS_PURE = re.compile(r"\bPure\b|\bpure module\b")

MAY_NAME_SUBMIT = re.compile(
    r"^protocol/(effects|journal|codec)\.py$|^actors/order/core\.py$|^actors/(recorder|gateway)/"
)
"""Who may name a place request: its definition, the order core that decides it, the recorder that commits and
releases it, the gateway that sends it."""


def is_pure(tree, path):
    return bool(ALWAYS_PURE.search(path) or SAYS_PURE.search(ast.get_docstring(tree.parsed(path)) or ""))


def impurities(tree, path):
    """What a file imports or calls that a pure module may not."""
    allowed = ALLOWED_IN_PURE | (ALLOWED_IN_SIGNING if path.startswith("protocol/coinbase/") else set())
    imports = {name for name in tree.imports(path) if name.split(".")[0] not in allowed}
    calls = {n.func.id for n in ast.walk(tree.parsed(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return imports | (calls & IMPURE_CALLS)


def impure_closure(tree):
    """Pure modules that are not, by themselves or through what they import: `core.py <- helper.py: time`."""
    faults = set()
    for path in filter(lambda p: is_pure(tree, p), tree.sources):
        for reached in tree.closure(path):
            faults |= {f"{path} <- {reached}: {name}" for name in impurities(tree, reached)}
    return sorted(faults)


def room_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]).removesuffix(".py") if parts[0] == "actors" else parts[0].removesuffix(".py")


EXCEPTIONS = {
    # The one module of the venue that stands in the kernel instead of behind a wire: it carries what edges carry, so it
    # needs their effects and reports. Nothing of the served venue imports it (`test_the_served_venue_knows_no_kernel`).
    "actors/venue/in_kernel.py": (
        *("protocol.transport", "protocol.feed", "protocol.base", "actors.runtime.role", "actors.runtime.stream"),
    ),
}


def may_import(path, name):
    """True when the room of a file may import that project module."""
    if name in EXCEPTIONS.get(path, ()) or any(name.startswith(f"{one}.") for one in EXCEPTIONS.get(path, ())):
        return True
    room = room_of(path)
    own = room.replace("/", ".")
    allowed = {
        "actors/venue": ("protocol.coinbase", "actors.venue"),
        "actors/compose": ("protocol", "actors", "supervisor"),  # a process is put together where all rooms are known
        "protocol": ("protocol",),
        "config": ("config", "protocol"),
        "supervisor": ("supervisor", "actors", "config", "protocol"),
        "ops": ("ops", "supervisor", "actors", "config", "protocol"),
    }.get(room, ("protocol", "actors.runtime", own))
    return any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)


def strangers(tree):
    return sorted(
        f"{path} imports {name}"
        for path in tree.sources
        for name in tree.project_imports(path)
        if not may_import(path, name)
    )


def desk_rooms_behind_watchdog(tree):
    """Files of the desk that the watchdog would load: none, so that what breaks the desk cannot break it too."""
    faults = set()
    for path in filter(lambda p: p.startswith("actors/watchdog/"), tree.sources):
        rooms = {room_of(reached) for reached in tree.closure(path) if reached != "actors/__init__.py"}
        faults |= {f"{path} loads {room}" for room in rooms - {"actors/watchdog", "actors/runtime", "protocol"}}
    return sorted(faults)


def names_in(module):
    return {getattr(n, "id", getattr(n, "attr", getattr(n, "name", None))) for n in ast.walk(module)}


def strange_senders(tree):
    """Files that name `Submit` though they may not: nobody else sends a place request."""
    named = (
        path for path in tree.sources if "Submit" in tree.sources[path] and "Submit" in names_in(tree.parsed(path))
    )
    return sorted(path for path in named if not MAY_NAME_SUBMIT.search(path))


@pytest.mark.req("STR1")
def test_pure_modules_are_pure(tree):
    assert impure_closure(tree) == []


def test_rooms_import_the_vocabulary_and_themselves_only(tree):
    assert strangers(tree) == []


def test_the_served_venue_knows_no_kernel(tree):
    assert "actors/venue/in_kernel.py" not in tree.closure("actors/venue/__main__.py")


def test_watchdog_loads_nothing_of_the_desk(tree):
    assert desk_rooms_behind_watchdog(tree) == []


def test_only_the_committed_outbox_sends(tree):
    assert strange_senders(tree) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import time", "actors/order/core.py <- actors/order/core.py: time"),
        ("from datetime import UTC", "actors/order/core.py <- actors/order/core.py: datetime"),
        ("from actors.order import helper", "actors/order/core.py <- actors/order/helper.py: random"),
        ("from . import helper", "actors/order/core.py <- actors/order/helper.py: random"),
        ("def f():\n    open('x')", "actors/order/core.py <- actors/order/core.py: open"),
    ],
)
def test_impurity_is_found(made_up, source, fault):
    tree = made_up({"actors/order/core.py": source, "actors/order/helper.py": "import random"})
    assert impure_closure(tree) == [fault]


def test_a_module_that_says_it_is_pure_is_held_to_it(made_up):
    tree = made_up({"actors/order/sums.py": '"""Sums. Pure."""\nimport os', "actors/order/shell.py": "import os"})
    assert impure_closure(tree) == ["actors/order/sums.py <- actors/order/sums.py: os"]


@pytest.mark.parametrize(
    ("path", "source", "fine"),
    [
        ("actors/order/core.py", "from protocol import orders", True),
        ("actors/order/actor.py", "from actors.runtime import shell", True),
        ("actors/order/actor.py", "from actors.risk import core", False),
        ("actors/order/actor.py", "import config.load", False),
        ("actors/runtime/shell.py", "from actors.order import core", False),
        ("actors/venue/server.py", "from protocol.coinbase import rest", True),
        ("actors/venue/server.py", "from protocol import orders", False),
        ("actors/venue/server.py", "from actors.runtime import clock", False),
        ("actors/venue/in_kernel.py", "from actors.runtime.role import Port", True),
        ("actors/venue/in_kernel.py", "from actors.runtime.kernel import Kernel", False),
        ("protocol/orders.py", "from config import schema", False),
        ("config/load.py", "from actors.runtime import clock", False),
        ("supervisor.py", "from ops import cli", False),
        ("ops/run.py", "import supervisor", True),
    ],
)
def test_strangers_are_found(made_up, path, source, fine):
    assert (strangers(made_up({path: source})) == []) is fine


def test_desk_behind_watchdog_is_found(made_up):
    tree = made_up(
        {
            "actors/__init__.py": "",
            "actors/watchdog/sweep.py": "from actors.runtime import edge",
            "actors/runtime/edge.py": "import actors.gateway.core",
            "actors/gateway/core.py": "",
        }
    )
    assert desk_rooms_behind_watchdog(tree) == ["actors/watchdog/sweep.py loads actors/gateway"]


def test_strange_sender_is_found(made_up):
    tree = made_up(
        {
            "actors/recorder/outbox.py": "from protocol.effects import Submit",
            "actors/risk/core.py": "x = effects.Submit(order=o)",
        }
    )
    assert strange_senders(tree) == ["actors/risk/core.py"]
