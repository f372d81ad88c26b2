"""Measure this program on this machine, peers and the bare disk in the same run.

Without a NAME every bench runs, about three minutes. Each figure is told with its unit, the bound it is held to and
whether it holds; exit 1 when one does not. Medians unless the name says otherwise; a busy machine measures itself.
A figure that cannot be measured here has no number, and a line that says why.
"""

import argparse
import importlib

from ops.bench.figures import Bench, Figure
from ops.cli import add_json
from ops.exits import Exit
from ops.output import note, print_json, print_table, working

BENCHES = ("messaging", "ingest", "commit", "exit_path", "orders", "footprint", "triggers", "decision")
"""Every bench there is: a module of this package with `run()` and `figures(found)`."""

COLUMNS = ("bench", "figure", "value", "unit", "bound", "holds")
WORDS = {True: "yes", False: "NO", None: ""}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bench`."""
    parser.add_argument("name", nargs="?", choices=BENCHES, metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Measures and prints."""
    figures = [figure for name in ([args.name] if args.name else BENCHES) for figure in measured(name)]
    if args.json:
        print_json(figures)
    else:
        print_table(COLUMNS, [_row(figure) for figure in figures])
        for figure in filter(lambda one: one.note, figures):
            note(f"{figure.bench} {figure.name}: {figure.note}")
    return Exit.FAILED if any(figure.holds is False for figure in figures) else Exit.DONE


def measured(name: str) -> list[Figure]:
    """Runs one bench."""
    bench: Bench = importlib.import_module(f"ops.bench.{name}")
    with working(f"measuring {name} ..."):
        found = bench.run()
    return list(bench.figures(found))


def _row(figure: Figure) -> tuple[object, ...]:
    return figure.bench, figure.name, _text(figure.value), figure.unit, figure.bound, WORDS[figure.holds]


def _text(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
