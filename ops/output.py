"""What verbs print: data on standard output, words about it on standard error, colour and boxes on a terminal only."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

T = TypeVar("T")


def note(text: str) -> None:
    """Prints one line about the work, on standard error, so that data stays parseable."""
    print(text, file=sys.stderr, flush=True)


def print_json(document: object) -> None:
    """Prints one indented JSON document; structs, Decimals (as strings) and times are encoded by msgspec."""
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Prints rows as a table on a terminal, else as tab-separated lines under a header line.

    Args:
        columns: heading of each column.
        rows: cells, as many per row as there are columns; None prints as a dash.
        title: a line above the table, on a terminal only.
    """
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns), *cells]:
            print("\t".join(line))
        return
    from rich.console import Console  # noqa: PLC0415 - loaded only where a person looks; it costs 50 ms
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, title=title or None)
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def tracked(items: Iterable[T], total: int, text: str) -> Iterator[T]:
    """Hands on each item as it comes; on a terminal with a bar and the time that is left."""
    if not sys.stderr.isatty():
        note(f"{text} ...")
        yield from items
        return
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import track  # noqa: PLC0415

    yield from track(items, description=text, total=total, console=Console(stderr=True))


@contextmanager
def working(text: str) -> Iterator[None]:
    """Shows a spinner on a terminal while the block runs, and one plain line elsewhere."""
    if not sys.stderr.isatty():
        note(text)
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - as above

    with Console(stderr=True).status(text):
        yield
