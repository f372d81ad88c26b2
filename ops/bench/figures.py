"""A measured figure, the bound it is held to, and the peers it stands beside."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run, or None and in `note` why there is none.

    `bound` is text for people; `holds` None where nothing is demanded of it.
    """

    bench: str
    name: str
    value: float | None
    unit: str
    bound: str = ""
    holds: bool | None = None
    note: str = ""


class Bench(Protocol):
    """What each module of this package offers."""

    def run(self) -> dict[str, Any]:
        """Measure; names carry units."""

    def figures(self, found: dict[str, Any]) -> Iterable[Figure]:
        """The figures of a measurement, bounds judged."""


def told(bench: str, name: str, value: float, unit: str) -> Figure:
    """A figure without a bound: a peer, or what explains another one."""
    return Figure(bench=bench, name=name, value=value, unit=unit)


def untold(bench: str, name: str, unit: str, why: str) -> Figure:
    """A figure that this machine could not measure: no number stands for it, and nothing is judged by it."""
    return Figure(bench=bench, name=name, value=None, unit=unit, note=why)


def at_least(figure: Figure, least: float, why: str = "") -> Figure:
    """Bounded from below."""
    return _bounded(figure, f">= {least:,.10g}{why}", holds=_number(figure) >= least)


def at_most(figure: Figure, most: float, why: str = "") -> Figure:
    """Bounded from above; `why` says where a bound that was measured itself comes from."""
    return _bounded(figure, f"<= {most:,.10g}{why}", holds=_number(figure) <= most)


def below(figure: Figure, bar: float) -> Figure:
    """Bounded from above, the bar itself too much."""
    return _bounded(figure, f"< {bar:,.10g}", holds=_number(figure) < bar)


def _number(figure: Figure) -> float:
    assert figure.value is not None, "a bound judges a number"
    return figure.value


def _bounded(figure: Figure, bound: str, *, holds: bool) -> Figure:
    return msgspec.structs.replace(figure, bound=bound, holds=holds)


def p50(samples: Sequence[float]) -> float:
    """The median."""
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    """The smallest sample that at most one in a hundred exceeds."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
