"""Recorded market data on disk, read row by row: CSV, gzipped CSV and Parquet with candles, trades or quotes.

Columns: candles `ts_unix_s, open, high, low, close, volume`; trades `ts_unix_us, side, price, size` (the taker's
side); quotes `ts_unix_s, bid_close, ask_close`. A column `product_id` names the product, else the file's name does.
`timestamp` may stand for `ts_unix_s`.
"""

import csv
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pyarrow import parquet

Kind = Literal["candles", "trades", "quotes"]
SUFFIXES = (".csv", ".csv.gz", ".parquet")
_COLUMNS: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("candles", frozenset({"open", "high", "low", "close", "volume"})),
    ("trades", frozenset({"side", "price", "size"})),
    ("quotes", frozenset({"bid_close", "ask_close"})),
)
_VALUES: dict[Kind, tuple[str, ...]] = {
    "candles": ("open", "high", "low", "close", "volume"),
    "trades": ("price", "size", "side"),
    "quotes": ("bid_close", "ask_close"),
}


class TapeRow(NamedTuple):
    """One record. `at_s` UTC seconds: of a trade or of a bar's opening; `values` in the order of the kind.

    candles: open, high, low, close, volume · trades: price, size, 1.0 for a buying and -1.0 for a selling taker ·
    quotes: bid, ask at the bar's end.
    """

    at_s: float
    values: tuple[float, ...]


class TapeFile(NamedTuple):
    """One recording of one product: its first time, a bar's length (0.0: trades), and the decimals of its prices."""

    path: Path
    kind: Kind
    product_id: str
    first_s: float
    bar_s: float
    decimals: int


def tape_files(path: Path) -> tuple[TapeFile, ...]:
    """The recordings at `path` (a file, or a directory searched to its bottom), by product and time.

    Raises:
        ValueError: nothing there, or a file that cannot be read as any of the formats.
    """
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
    if not found:
        raise ValueError(f"no recording at {path}: expected {', '.join(SUFFIXES)}")
    return tuple(sorted(map(_described, found), key=lambda file: (file.product_id, file.kind, file.first_s)))


def _described(path: Path) -> TapeFile:
    columns, every = _table(path)
    head = list(islice(every, 200))
    if not head:
        raise ValueError(f"{path} holds no rows")
    kind = _kind(path, columns)
    read = _reader(kind, columns)
    gaps = [b.at_s - a.at_s for a, b in pairwise(map(read, head)) if b.at_s > a.at_s]
    bar_s = 0.0 if kind == "trades" else min(gaps, default=60.0)
    product_id = str(head[0][columns.index("product_id")]) if "product_id" in columns else path.name.split(".")[0]
    price = columns.index({"candles": "close", "trades": "price", "quotes": "bid_close"}[kind])
    decimals = max(len(f"{float(raw[price]):.8f}".rstrip("0").partition(".")[2]) for raw in head)
    return TapeFile(path, kind, product_id, read(head[0]).at_s, bar_s, decimals)


def _kind(path: Path, columns: Sequence[str]) -> Kind:
    for kind, needed in _COLUMNS:
        if needed <= set(columns):
            return kind
    raise ValueError(f"{path} has the columns {', '.join(columns)}: neither candles, trades nor quotes")


def rows(files: Iterable[TapeFile]) -> Iterator[TapeRow]:
    """The rows of recordings of one kind and product, one file after the other; times before the last are dropped.

    Raises ValueError: a row that cannot be read, with its file.
    """
    newest = 0.0
    for row in chain.from_iterable(map(_rows_of, files)):
        if row.at_s >= newest:
            newest = row.at_s
            yield row


def _rows_of(file: TapeFile) -> Iterator[TapeRow]:
    columns, every = _table(file.path)
    read = _reader(file.kind, columns)
    for raw in every:
        try:
            row = read(raw)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file.path}: unreadable row {list(raw)}: {error}") from error
        yield row


def _reader(kind: Kind, columns: Sequence[str]) -> Callable[[Sequence[Any]], TapeRow]:
    time = next(name for name in ("ts_unix_us", "ts_unix_s", "timestamp") if name in columns)
    at, scale = columns.index(time), 1e6 if time == "ts_unix_us" else 1.0
    pick = itemgetter(*map(columns.index, _VALUES[kind]))
    if kind != "trades":
        return lambda raw: TapeRow(float(raw[at]) / scale, tuple(map(float, pick(raw))))
    return lambda raw: TapeRow(float(raw[at]) / scale, _trade(*pick(raw)))


def _trade(price: Any, size: Any, side: Any) -> tuple[float, ...]:
    return float(price), float(size), {"buy": 1.0, "sell": -1.0}[str(side).lower()]


def _table(path: Path) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    if path.suffix == ".parquet":
        file = parquet.ParquetFile(path)
        batches = file.iter_batches(batch_size=4096)
        return file.schema_arrow.names, (
            row for batch in batches for row in zip(*batch.to_pydict().values(), strict=True)
        )
    lines = csv.reader(_lines(path))
    return next(lines, []), lines


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        yield from lines
