"""What each actor does, as plain integers counted per turn; read by the `actors` view and by Prometheus.

Every order actor counts as `order`: labels come from closed sets, and orders come and go.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypedDict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from actors.runtime.mailbox import Mailbox, Tally

_NS = 1e9

Labels = tuple[tuple[str, str], ...]


class ActorRow(TypedDict):
    """One actor as the `actors` verb shows it. Ages in seconds; None where there is nothing to be old."""

    name: str
    parent: str
    kind: str
    alive: bool
    incarnation: int
    restarts: int
    mailbox_depth: int
    oldest_s: float | None
    last_message: str
    last_useful_age_s: float | None
    handled: int
    errors: int
    state: str


class Counters:
    """The counters that cores ask for (`Count`), by metric name and labels."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._lock = threading.Lock()  # several pumps count; a lost increment would be a wrong statement

    def count(self, metric: str, labels: Labels = (), by: float = 1.0) -> None:
        """Adds `by`."""
        with self._lock:
            self._values[(metric, labels)] = self._values.get((metric, labels), 0.0) + by

    def values(self) -> dict[tuple[str, Labels], float]:
        """All of them, now."""
        with self._lock:
            return dict(self._values)


def label(name: str) -> str:
    """The closed-set label of an actor's name."""
    return "order" if name.startswith("order:") else name


class Totals:
    """Counters of names that are gone, folded into their label, so that no total ever falls."""

    def __init__(self) -> None:
        self._gone: dict[str, Counter[str]] = {}
        self._types: dict[tuple[str, str], list[int]] = {}

    def fold(self, box: Mailbox) -> None:
        """Keeps what a mailbox had counted before it is forgotten."""
        self._gone.setdefault(label(box.name), Counter()).update(_counts(box))
        _add_types(self._types, label(box.name), box.tally)

    def now(self, boxes: Iterable[Mailbox]) -> tuple[dict[str, Counter[str]], dict[tuple[str, str], list[int]]]:
        """Counts by label, and handling [n, total ns] by label and message type."""
        counts = {name: Counter(values) for name, values in list(self._gone.items())}
        types = {key: list(row) for key, row in list(self._types.items())}
        for box in boxes:
            counts.setdefault(label(box.name), Counter()).update(_counts(box))
            _add_types(types, label(box.name), box.tally)
        return counts, types


class RuntimeCollector(Collector):
    """Everything above as Prometheus metrics. Register it with the process's registry."""

    def __init__(
        self, boxes: Callable[[], Iterable[Mailbox]], totals: Totals, counters: Counters, now_ns: Callable[[], int]
    ) -> None:
        self._boxes = boxes
        self._totals = totals
        self._counters = counters
        self._now_ns = now_ns

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """All families, read without stopping anybody."""
        counts, types = self._totals.now(self._boxes())
        for what in ("handled", "errors", "restarts", "conflated", "dead_letters"):
            family = CounterMetricFamily(f"trader_actor_{what}", f"Actors: {what.replace('_', ' ')}.", labels=["actor"])
            for name, values in sorted(counts.items()):
                family.add_metric([name], values[what])
            yield family
        yield from self._handling(types)
        yield from self._waiting()
        yield from self._asked()

    def _handling(self, types: dict[tuple[str, str], list[int]]) -> Iterator[CounterMetricFamily]:
        names = ["actor", "message"]
        number = CounterMetricFamily("trader_handled_messages", "Messages handled, by type.", labels=names)
        seconds = CounterMetricFamily("trader_handling_seconds", "Time spent handling, by type.", labels=names)
        for (name, kind), row in sorted(types.items()):
            number.add_metric([name, kind], row[0])
            seconds.add_metric([name, kind], row[1] / _NS)
        yield from (number, seconds)

    def _waiting(self) -> Iterator[GaugeMetricFamily]:
        now_ns = self._now_ns()
        depth: Counter[str] = Counter()
        oldest: dict[str, float] = {}
        useful: dict[str, float] = {}
        for box in self._boxes():
            name = label(box.name)
            depth[name] += box.depth()
            oldest[name] = max(oldest.get(name, 0.0), _age_s(box.oldest_ns(), now_ns) or 0.0)
            age = _age_s(box.tally.last_useful_ns or None, now_ns)
            if age is not None:
                useful[name] = min(useful.get(name, age), age)
        for metric, text, values in (
            ("trader_mailbox_depth", "Messages waiting.", dict(depth)),
            ("trader_mailbox_oldest_seconds", "Age of the longest waiting message.", oldest),
            ("trader_actor_last_useful_seconds", "Since the last message handled.", useful),
        ):
            family = GaugeMetricFamily(metric, text, labels=["actor"])
            for name, value in sorted(values.items()):
                family.add_metric([name], value)
            yield family

    def _asked(self) -> Iterator[CounterMetricFamily]:
        families: dict[str, CounterMetricFamily] = {}
        for (metric, labels), value in sorted(self._counters.values().items()):
            name = metric.removesuffix("_total")
            family = families.get(name)
            if family is None:
                family = CounterMetricFamily(name, name.replace("_", " "), labels=[key for key, _ in labels])
                families[name] = family
            family.add_metric([text for _, text in labels], value)
        yield from families.values()


def row(box: Mailbox, now_ns: int, *, parent: str, kind: str, alive: bool, state: str) -> ActorRow:
    """One actor's row in the `actors` view."""
    return ActorRow(
        name=box.name,
        parent=parent,
        kind=kind,
        alive=alive,
        incarnation=box.incarnation,
        restarts=box.tally.restarts,
        mailbox_depth=box.depth(),
        oldest_s=_age_s(box.oldest_ns(), now_ns),
        last_message=box.tally.last_message,
        last_useful_age_s=_age_s(box.tally.last_useful_ns or None, now_ns),
        handled=box.tally.handled,
        errors=box.tally.errors,
        state=state,
    )


def _age_s(then_ns: int | None, now_ns: int) -> float | None:
    return None if then_ns is None else max(0, now_ns - then_ns) / _NS


def _counts(box: Mailbox) -> dict[str, int]:
    tally = box.tally
    return {
        "handled": tally.handled,
        "errors": tally.errors,
        "restarts": tally.restarts,
        "conflated": box.conflated,
        "dead_letters": tally.dead_letters,
    }


def _add_types(types: dict[tuple[str, str], list[int]], name: str, tally: Tally) -> None:
    for kind, (number, total_ns) in list(tally.by_type.items()):
        found = types.setdefault((name, kind.__name__), [0, 0])
        found[0] += number
        found[1] += total_ns
