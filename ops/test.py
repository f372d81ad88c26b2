"""Run the tests: everything not marked slow, on two cores.

What this verb does not know goes to pytest, so `trader test tests/unit -k launcher -x` does what it says.
No test reaches any address but this machine's own.
"""

import argparse
import contextlib
import io
import os
from pathlib import Path

import pytest

from ops.cli import ROOT, add_json
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table

PASSES_REST = True

REQUIREMENTS = (
    "U1", "U2", "U3", "STR1", "STR2", "STR3", "STR4", "S1", "R1", "R2",
    "K1", "E1", "E2", "ST1", "EX1", "O1", "CD1", "DD1",
    "X1", "X2", "X3", "C1", "M1", "SI1", "AL1", "OB1", "SCH1", "BT1", "BT2", "BT3",
    "SEC1", "SEC2", "TIME1", "RET1", "CB1",
)  # fmt: skip
"""Every requirement of the specification, in its order."""

FAST = ("-m", "not slow", "-n", "2", "--dist", "loadgroup")
SLOW = ("-m", "slow", "--timeout", "900", "--durations", "10")
# Made-up time passes alike on a busy machine. What starts whole process trees measures them: one at a time.
VIRTUAL = "tests/simulation"

EXIT_OF_PYTEST = {0: Exit.DONE, 4: Exit.USAGE, 5: Exit.USAGE}
NOTHING_COLLECTED = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `test`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--slow", action="store_true", help="run what is marked slow instead, processes one at a time")
    which.add_argument(
        "--matrix", action="store_true", help="print which tests stand for which requirement; exit 1 when one has none"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Runs the tests or prints the matrix."""
    rest = [_from_root(argument) for argument in args.rest]
    os.chdir(ROOT)
    if args.matrix:
        return print_matrix(collect_requirements(rest), as_json=args.json)
    if not args.slow:
        return _exit(_run(*FAST, *rest))
    if rest:
        return _exit(_run(*SLOW, *rest))
    return _rings()


def _rings() -> Exit:
    """Every ring, whatever became of the one before."""
    virtual = [(VIRTUAL, "-n", "2")] if Path(VIRTUAL).is_dir() else []
    codes = {_run(*SLOW, *ring) for ring in [*virtual, ("--ignore", VIRTUAL)]} - {NOTHING_COLLECTED}
    if not codes:
        note("trader: there are no slow tests")
    return max((_exit(code) for code in codes), default=Exit.DONE)


def _run(*arguments: str) -> int:
    return int(pytest.main([*arguments]))


def _exit(code: int) -> Exit:
    return EXIT_OF_PYTEST.get(code, Exit.FAILED)


class Collector:
    """A pytest plugin that keeps which collected tests carry which requirement."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Reads the `req` marks; parametrized cases of one test count once."""
        for item in items:
            name = item.nodeid.partition("[")[0]
            for requirement in {str(one) for mark in item.iter_markers("req") for one in mark.args}:
                known = self.tests.setdefault(requirement, [])
                if name not in known:
                    known.append(name)


def collect_requirements(arguments: list[str]) -> dict[str, list[str]]:
    """Collects every test without running it.

    Returns:
        Each requirement of `REQUIREMENTS` with the ids of its tests, empty where there is none.

    Raises:
        VerbError: collection failed, or a mark names a requirement that does not exist.
    """
    collector, printed = Collector(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = int(pytest.main(["--collect-only", "-q", *arguments], plugins=[collector]))
    if code not in (0, NOTHING_COLLECTED):
        note(printed.getvalue())
        raise VerbError("the tests cannot be collected")
    if unknown := sorted(collector.tests.keys() - set(REQUIREMENTS)):
        raise VerbError(f"tests name unknown requirements: {', '.join(unknown)}")
    return {requirement: collector.tests.get(requirement, []) for requirement in REQUIREMENTS}


def print_matrix(matrix: dict[str, list[str]], *, as_json: bool) -> int:
    """Prints the matrix; FAILED when a requirement has no test."""
    missing = [requirement for requirement, tests in matrix.items() if not tests]
    if as_json:
        print_json(matrix)
    else:
        print_table(
            ("requirement", "test"), [(name, test) for name, tests in matrix.items() for test in tests or ["(none)"]]
        )
    note(
        f"{len(matrix) - len(missing)} of {len(matrix)} requirements have tests"
        + (f"; without: {' '.join(missing)}" if missing else "")
    )
    return Exit.FAILED if missing else Exit.DONE


def _from_root(argument: str) -> str:
    """Makes a test path that is relative to the caller's directory absolute, since pytest runs at the root."""
    path, separator, test = argument.partition("::")
    here = Path.cwd()
    if argument.startswith("-") or here == ROOT or not (here / path).exists():
        return argument
    return f"{here / path}{separator}{test}"
