"""How fast messages move: our stepped actors beside `pykka.ThreadingActor` and `asyncio.Queue`, in one run.

Everything a live message has is on: envelope, lanes, clock, counters. Rates are messages per second through the whole
path, sending included; a pipeline's rate counts what comes out at its end.
"""

import asyncio
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pykka

from actors.runtime.address import Directory
from actors.runtime.clock import SystemClock
from actors.runtime.node import Node
from actors.runtime.pumps import ThreadLoop, ThreadPump
from actors.runtime.restarts import Child, Group
from actors.runtime.role import Role
from actors.runtime.tree import Member
from ops.bench.figures import Figure, at_least, at_most, p50, p99, told
from protocol.base import NO_EFFECTS, Effects, Lane, Message
from protocol.effects import Tell

BENCH = "messaging"
STAGES = 5
BATCH = 1000
SLOW_HANDLER_S = 0.0007  # a sleep overshoots: handlers stay at 1 ms or under


class Item(Message, frozen=True, kw_only=True, tag="bench.item"):
    """Something to pass on."""

    number: int


class Urgent(Message, frozen=True, kw_only=True, tag="bench.urgent"):
    """Something that must not wait: when it was sent."""

    lane: ClassVar[Lane] = Lane.CONTROL
    sent_ns: int


ITEM = Item(number=1)
Step = Callable[[int, Message, int], tuple[int, Effects]]


def sink(state: int, _message: Message, _now_ns: int) -> tuple[int, Effects]:
    """Takes and counts."""
    return state + 1, NO_EFFECTS


def passer(to: str) -> Step:
    """Passes on."""

    def step(state: int, message: Message, _now_ns: int) -> tuple[int, Effects]:
        return state, (Tell(to=to, message=message),)

    return step


def node_of(steps: dict[str, Step], dispatcher: Any) -> Node:
    """Actors by name on one dispatcher."""

    def role(name: str) -> Role[int]:
        return Role(steps[name], lambda: 0, (Item, Urgent), journaled=False)

    members = [Member(child=Child(name=name, group="bench"), role=role) for name in steps]
    return Node(SystemClock(), [Group(name="bench")], members, {"core": dispatcher}, journal=None)


def stepped_rate(stages: int, rounds: int) -> float:
    """Messages/s through `stages` stepped actors on one pump."""
    loop = ThreadLoop(SystemClock())
    steps = {f"a{n}": passer(f"a{n + 1}") for n in range(stages - 1)} | {f"a{stages - 1}": sink}
    node = node_of(steps, loop)
    node.tree.start()
    loop.run(lambda: not loop.ready)
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        _send(node.directory)
        loop.run(lambda: not loop.ready)
        rates.append(BATCH / (time.perf_counter() - begun))
    node.tree.stop("done")
    loop.run(lambda: not loop.ready)
    return statistics.median(rates)


def _send(directory: Directory) -> None:
    tell = directory.tell
    for _ in range(BATCH):
        tell("a0", ITEM)


class Threaded(pykka.ThreadingActor):
    """The same work as pykka does it."""

    use_daemon_thread = True

    def __init__(self, following: pykka.ActorRef[Any] | None, done: threading.Semaphore) -> None:
        super().__init__()
        self._following = following
        self._done = done
        self._count = 0

    def on_receive(self, message: Any) -> None:
        """Passes on, or counts."""
        if self._following is not None:
            self._following.tell(message)
            return
        self._count += 1
        if self._count % BATCH == 0:
            self._done.release()


def threaded_rate(stages: int, rounds: int) -> float:
    """Messages/s through `stages` threads."""
    done, refs = threading.Semaphore(0), []
    following: pykka.ActorRef[Any] | None = None
    for _ in range(stages):
        following = Threaded.start(following, done)
        refs.append(following)
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(BATCH):
            refs[-1].tell(ITEM)
        done.acquire()
        rates.append(BATCH / (time.perf_counter() - begun))
    for ref in refs:
        ref.stop()
    return statistics.median(rates)


async def _queue_rate(stages: int, rounds: int) -> float:
    queues: list[asyncio.Queue[Item]] = [asyncio.Queue() for _ in range(stages + 1)]

    async def pass_on(taken: asyncio.Queue[Item], given: asyncio.Queue[Item]) -> None:
        while True:
            given.put_nowait(await taken.get())

    tasks = [asyncio.create_task(pass_on(a, b)) for a, b in itertools.pairwise(queues)]
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(BATCH):
            queues[0].put_nowait(ITEM)
        for _ in range(BATCH):
            await queues[-1].get()
        rates.append(BATCH / (time.perf_counter() - begun))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return statistics.median(rates)


def control_wait_ms(samples: int) -> list[float]:
    """How long a control message waits, in ms, behind a full event lane of handlers of up to 1 ms."""
    waits: list[float] = []
    heard = threading.Event()
    pump = ThreadPump("bench", SystemClock())

    def step(state: int, message: Message, now_ns: int) -> tuple[int, Effects]:
        if isinstance(message, Urgent):
            waits.append((now_ns - message.sent_ns) / 1e6)
            heard.set()
        else:
            time.sleep(SLOW_HANDLER_S)
        return state, NO_EFFECTS

    node = node_of({"a0": step, "a1": step}, pump)
    node.tree.start()
    for name in ("a0", "a1"):  # its own lane is full, and so is its neighbour's
        for _ in range(samples * 4):
            node.directory.tell(name, ITEM)
    pump.start()
    for _ in range(samples):
        heard.clear()
        node.directory.tell("a0", Urgent(sent_ns=node.clock.now_ns()))
        heard.wait(5)
    pump.stop()
    return waits


def hand_over_us(samples: int) -> float:
    """Median time in us from a tell on one thread to its handling on another that sleeps."""
    waits: list[float] = []
    heard = threading.Event()
    pump = ThreadPump("bench", SystemClock())

    def step(state: int, message: Message, now_ns: int) -> tuple[int, Effects]:
        if isinstance(message, Urgent):
            waits.append((now_ns - message.sent_ns) / 1e3)
            heard.set()
        return state, NO_EFFECTS

    node = node_of({"a0": step}, pump)
    node.tree.start()
    pump.start()
    for _ in range(samples):
        heard.clear()
        time.sleep(0.001)
        node.directory.tell("a0", Urgent(sent_ns=node.clock.now_ns()))
        heard.wait(5)
    pump.stop()
    return statistics.median(waits)


def run(rounds: int = 200, samples: int = 200) -> dict[str, float]:
    """All figures of this bench. `rounds` of 1000 messages each; about five seconds at the usual numbers."""
    waits = control_wait_ms(samples)
    return {
        "stepped_one_per_s": stepped_rate(1, rounds),
        "stepped_pipeline_of_5_per_s": stepped_rate(STAGES, rounds),
        "threading_one_per_s": threaded_rate(1, max(1, rounds // 4)),
        "threading_pipeline_of_5_per_s": threaded_rate(STAGES, max(1, rounds // 8)),
        "asyncio_queue_one_per_s": asyncio.run(_queue_rate(1, rounds)),
        "asyncio_queue_pipeline_of_5_per_s": asyncio.run(_queue_rate(STAGES, max(1, rounds // 4))),
        "control_wait_p50_ms": p50(waits),
        "control_wait_p99_ms": p99(waits),
        "thread_hand_over_p50_us": hand_over_us(samples),
    }


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bounds: a million a second, 0.3 million through five, 3 ms for control; peers as ratios of ours to theirs."""
    for path, least in (("one", 1_000_000), ("pipeline_of_5", 300_000)):
        rate = found[f"stepped_{path}_per_s"]
        yield at_least(told(BENCH, f"stepped_{path}", rate, "msg/s"), least)
        for peer in ("threading", "asyncio_queue"):
            yield told(BENCH, f"stepped_{path}_over_{peer}", rate / found[f"{peer}_{path}_per_s"], "x")
    yield told(BENCH, "control_wait_p50", found["control_wait_p50_ms"], "ms")
    yield at_most(told(BENCH, "control_wait_p99", found["control_wait_p99_ms"], "ms"), 3.0)
    yield told(BENCH, "thread_hand_over_p50", found["thread_hand_over_p50_us"], "us")
