"""What one closed candle costs: figures brought up to date and every trigger and guard evaluated, at three lookbacks.

Every rolling length (breakout, outlier, ATR median, volatility, z-score, moving averages) is set to the lookback; what
a candle costs must not depend on it.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from actors.strategy.actor import scan_rules
from actors.strategy.indicators.hours import Lookbacks
from actors.strategy.indicators.lens import HOUR_S, QUARTER_S, Lens
from actors.strategy.triggers.scan import Candidate, ScanRules, scan
from config.load import load
from ops.bench.figures import Figure, at_most, p50, p99, told
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

BENCH = "triggers"
ROOT = Path(__file__).resolve().parents[2]
LOOKBACKS = (100, 1_000, 10_000)
CANDLES = 2_000
ROUNDS = 3
BAR_US = 100.0
BAR_RATIO = 2.0
PRODUCT = ProductId("BTC-USD")


def bars(count: int, seconds: int, seed: int = 42) -> list[Bar]:
    """A random walk of closed candles."""
    chance, price, out = random.Random(seed), 100.0, []  # noqa: S311 - a repeatable tape, no secret
    for number in range(count):
        start, price = price, price * (1 + chance.gauss(0, 0.004))
        high, low = max(start, price) * (1 + chance.random() / 500), min(start, price) * (1 - chance.random() / 500)
        volume = chance.expovariate(0.01)
        out.append(Bar(start_s=number * seconds, open=start, high=high, low=low, close=price, volume=volume))
    return out


def lookbacks(length: int) -> Lookbacks:
    """Every length that is configured, the same."""
    return Lookbacks(breakout=length, outlier=length, z_score=length, week=length)


def costs(length: int, rules: ScanRules, candles: int) -> list[float]:
    """Microseconds of each of the last `candles` hourly candles, with windows full before the first of them."""
    lens, hours = Lens(lookbacks(length)), bars(length + 50 + candles, HOUR_S)
    lens.history(QUARTER_S, bars(100, QUARTER_S))
    lens.history(HOUR_S, hours[:-candles])
    seen, out = [Candidate(product_id=PRODUCT, tier=1, lens=lens)], []
    for bar in hours[-candles:]:
        began = time.perf_counter_ns()
        lens.closed(HOUR_S, bar)
        scan(seen, Regime.CHOP, rules)
        out.append((time.perf_counter_ns() - began) / 1000)
    return out


def run(lengths: Sequence[int] = LOOKBACKS, candles: int = CANDLES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Microseconds per candle by lookback, the best of a few rounds: noise only ever adds."""
    rules = scan_rules(load(ROOT / "config", profile="embedded").policy)
    found: dict[str, Any] = {}
    for length in lengths:
        samples = [costs(length, rules, candles) for _ in range(rounds)]
        found[str(length)] = {"p50_us": min(map(p50, samples)), "p99_us": min(map(p99, samples))}
    found["ratio"] = found[str(lengths[-1])]["p50_us"] / found[str(lengths[0])]["p50_us"]
    return found


def figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The bound of a candle at each lookback, and the longest against the shortest."""
    lengths = [name for name in found if name != "ratio"]
    for name in lengths:
        yield at_most(told(BENCH, f"candle_p50_at_{name}", found[name]["p50_us"], "us"), BAR_US)
        yield told(BENCH, f"candle_p99_at_{name}", found[name]["p99_us"], "us")
    yield at_most(told(BENCH, f"{lengths[-1]}_over_{lengths[0]}", found["ratio"], "x"), BAR_RATIO)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
