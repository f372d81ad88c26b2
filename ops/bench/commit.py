"""What a commit costs on this disk: alone, in a group, beside a bare sync, and what a start costs after many."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from actors.recorder.disk import LmdbStore
from actors.recorder.edge import RecorderEdge, take_snapshot
from actors.recorder.effects import Write
from actors.recorder.recovery import check_start
from ops.bench.figures import Figure, told
from protocol import codec
from protocol.base import Message
from protocol.journal import CommitRequest, Draft, EntryKind
from protocol.lifecycle import Beat, StoreRecord

BENCH = "commit"
VALUE_BYTES = 2048
GROUP = 50
ROUNDS = 200


class Port:
    """Takes what the recorder sends and counts it."""

    name, incarnation, cause = "recorder", 1, 0

    def __init__(self) -> None:
        self.sent = 0

    def now_ns(self) -> int:
        """Elapsed time is all that matters here."""
        return time.monotonic_ns()

    def valid(self) -> bool:
        """Nobody takes over."""
        return True

    def tell(self, to: str, message: Message, cause: int = 0) -> None:
        """Count it."""
        del to, message, cause
        self.sent += 1

    def failed(self, error: BaseException) -> None:
        """Nothing may fail."""
        raise error


def run(folder: Path | None = None, rounds: int = ROUNDS) -> dict[str, float]:
    """Measures in a folder of its own below `folder` (default: the working directory, hence that disk).

    Returns:
        Medians and 99th percentiles in microseconds, and a start's time in milliseconds with its journal's entries.
    """
    with tempfile.TemporaryDirectory(dir=folder or Path.cwd(), prefix=".bench-") as made:
        store = LmdbStore(Path(made) / "store")
        try:
            return {**_commits(store, rounds), **_sync(Path(made) / "plain", rounds), **_start(store)}
        finally:
            store.close()


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """Commits beside a bare sync; a start of this journal with and without snapshot."""
    for name in ("commit", f"group_of_{GROUP}", "bare_fdatasync"):
        for part in ("p50", "p99"):
            yield told(BENCH, f"{name}_{part}", found[f"{name}_{part}_us"], "us")
    yield told(BENCH, "commit_over_bare_fdatasync", found["commit_p50_us"] / found["bare_fdatasync_p50_us"], "x")
    for how in ("with", "without"):
        name = f"start_{how}_snapshot"
        yield told(BENCH, f"{name}_of_{found['start_entries']:.0f}_entries", found[f"{name}_ms"], "ms")


def _commits(store: LmdbStore, rounds: int) -> dict[str, float]:
    edge = RecorderEdge(store, None, background=False)
    edge.bind(Port())
    single = _timed(rounds, lambda n: edge.perform(Write(requests=(_request(n),))))
    group = _timed(rounds, lambda n: edge.perform(Write(requests=tuple(_request(n * GROUP + g) for g in range(GROUP)))))
    return {**_figures("commit", single), **_figures(f"group_of_{GROUP}", group)}


def _sync(path: Path, rounds: int) -> dict[str, float]:
    with path.open("wb", buffering=0) as file:

        def append(_: int) -> None:
            file.write(bytes(VALUE_BYTES))
            os.fdatasync(file.fileno())

        return _figures("bare_fdatasync", _timed(rounds, append))


def _start(store: LmdbStore) -> dict[str, float]:
    entries = store.head().index
    whole_s = _timed(1, lambda _: check_start(store, store.shelf))[0]
    take_snapshot(store)
    quick_s = _timed(1, lambda _: check_start(store, store.shelf))[0]
    return {
        "start_entries": float(entries),
        "start_without_snapshot_ms": round(whole_s * 1e3, 1),
        "start_with_snapshot_ms": round(quick_s * 1e3, 1),
    }


def _timed(rounds: int, act: Callable[[int], object]) -> list[float]:
    took = []
    for n in range(rounds):
        began = time.perf_counter()
        act(n)
        took.append(time.perf_counter() - began)
    return took


def _figures(name: str, took_s: list[float]) -> dict[str, float]:
    ordered = sorted(took_s)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return {f"{name}_p50_us": round(statistics.median(ordered) * 1e6, 1), f"{name}_p99_us": round(p99 * 1e6, 1)}


def _request(number: int) -> CommitRequest:
    draft = Draft(
        kind=EntryKind.HANDLED,
        actor="bench",
        incarnation=1,
        sender="bench",
        seq=number,
        cause=0,
        at_ns=0,
        body=codec.encode(Beat(number=number)),
    )
    record = StoreRecord(key=f"bench/{number % 500}", value=bytes(VALUE_BYTES))
    return CommitRequest(reply_to="bench", number=number, drafts=(draft,), records=(record,), outbox=(), fresh=())
