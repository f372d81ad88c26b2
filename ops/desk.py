"""Talking to a running installation: the desk's socket, the watchdog's, and what to say when nobody answers."""

import argparse
import getpass
import json
import socket
from pathlib import Path
from typing import Any

from actors.runtime.control_frames import ask
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table
from protocol.control import ControlRequest, Reply, View
from protocol.ids import ProductId
from protocol.symbols import product_of

ASK_S = 5.0


def who() -> str:
    """Who asks: user name at host, for the journal."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def product(text: str) -> ProductId:
    """The product that an argument names. Raises VerbError USAGE: it names none."""
    try:
        return product_of(text)
    except ValueError as exc:
        raise VerbError(str(exc), Exit.USAGE) from None


def run_facts(state: Path) -> dict[str, Any]:
    """What `run.json` says. Raises VerbError: this installation has never run, or its file is damaged."""
    try:
        facts: dict[str, Any] = json.loads((state / "run.json").read_text())
    except FileNotFoundError:
        raise VerbError(f"nothing runs under {state}: start it with `trader run`", Exit.NOT_RUNNING) from None
    except ValueError as exc:
        raise VerbError(f"{state / 'run.json'} is damaged: {exc}") from None
    return facts


def ask_desk(state: Path, request: ControlRequest, timeout_s: float = ASK_S) -> Reply:
    """Ask the desk. Raises VerbError NOT_RUNNING: nobody answers on its socket."""
    return _ask(state / "control.sock", request, timeout_s, f"the desk of {state}")


def ask_watchdog(state: Path, request: ControlRequest, timeout_s: float = ASK_S) -> Reply:
    """Ask the watchdog. Raises VerbError NOT_RUNNING: nobody answers on its socket."""
    return _ask(state / "watchdog.sock", request, timeout_s, f"the watchdog of {state}")


def _ask(path: Path, request: ControlRequest, timeout_s: float, whom: str) -> Reply:
    try:
        return ask(path, request, timeout_s)
    except TimeoutError:
        raise VerbError(f"{whom} did not answer within {timeout_s:g} s", Exit.TIMED_OUT) from None
    except (OSError, ValueError) as exc:
        raise VerbError(f"{whom} does not answer ({exc}): is it running?", Exit.NOT_RUNNING) from None


def data_of(reply: Reply) -> Any:
    """A reply's data. Raises VerbError: the reply is a refusal."""
    if reply.code:
        raise VerbError(reply.text, Exit(reply.code))
    return json.loads(reply.data)


def view(args: argparse.Namespace, what: str) -> Any:
    """One of the desk's views."""
    return data_of(ask_desk(args.state, View(by=who(), what=what)))


def show_rows(args: argparse.Namespace, what: str, columns: tuple[str, ...]) -> int:
    """Print a view that is a list: JSON, or a table of these columns."""
    rows = view(args, what)
    if args.json:
        print_json(rows)
    else:
        print_table(columns, ([row.get(name) for name in columns] for row in rows), title=what)
    return Exit.DONE


def say(reply: Reply, *, as_json: bool = False) -> int:
    """Print a reply: its data as JSON, or its words."""
    if as_json:
        print_json(json.loads(reply.data))
    elif reply.text:
        print(reply.text)
    return Exit(reply.code)
