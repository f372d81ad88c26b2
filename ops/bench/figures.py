"""A measured figure, the bound it is held to, and the peers it stands beside."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run. `bound` is text for people; `holds` None where nothing is demanded of it."""

    bench: str
    name: str
    value: float
    unit: str
    bound: str = ""
    holds: bool | None = None


class Bench(Protocol):
    """What each module of this package offers."""

    def run(self) -> dict[str, Any]:
        """Measure; names carry units."""

    def figures(self, found: dict[str, Any]) -> Iterable[Figure]:
        """The figures of a measurement, bounds judged."""


def told(bench: str, name: str, value: float, unit: str) -> Figure:
    """A figure without a bound: a peer, or what explains another one."""
    return Figure(bench=bench, name=name, value=value, unit=unit)


def at_least(figure: Figure, least: float, why: str = "") -> Figure:
    """Bounded from below."""
    return _bounded(figure, f">= {least:,.10g}{why}", holds=figure.value >= least)


def at_most(figure: Figure, most: float, why: str = "") -> Figure:
    """Bounded from above; `why` says where a bound that was measured itself comes from."""
    return _bounded(figure, f"<= {most:,.10g}{why}", holds=figure.value <= most)


def _bounded(figure: Figure, bound: str, *, holds: bool) -> Figure:
    return msgspec.structs.replace(figure, bound=bound, holds=holds)


def p50(samples: Sequence[float]) -> float:
    """The median."""
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    """The smallest sample that at most one in a hundred exceeds."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
