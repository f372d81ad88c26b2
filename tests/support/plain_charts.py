"""Candles of one product and the triggers on them, as plain formulas over whole lists (pipeline.md §5)."""

from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from math import sqrt
from statistics import fmean, pstdev, stdev
from types import SimpleNamespace as Thing
from typing import NamedTuple

from ops.simulate.world import SECOND_NS, START_NS
from protocol.strategy import Regime

HOUR_S, QUARTER_S, FIVE_S, MINUTE_S, KEPT = 3600, 900, 300, 60, 400


class Bar(NamedTuple):
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quiet: bool = False


def four(value):
    return Decimal(value).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def pct(start, end):
    return round((end - start) / start * 100, 10)


def smoothed(values, alpha, seed):
    """Exponential, begun with the mean of the first `seed` values."""
    level = fmean(values[:seed])
    for value in values[seed:]:
        level += alpha * (value - level)
    return level


def rsi(closes):
    moves = [b - a for a, b in pairwise(closes)]
    up, down = (smoothed([max(sign * move, 0.0) for move in moves], 1 / 14, 14) for sign in (1, -1))
    return 100 * up / (up + down) if up + down > 0 else 50.0


class Chart:
    """Candles of one product, and what triggers look at."""

    def __init__(self, market, product):
        self.bars, self.known, self.hourly = {}, 0, None
        for length, count in ((HOUR_S, 200), (QUARTER_S, 96), (FIVE_S, 60)):
            end, out = START_NS // SECOND_NS // length * length, []
            for c in market.history(product, length, end - count * length, end - length):
                while out and out[-1].start + length < c.start_s:
                    out.append(Bar(out[-1].start + length, *(out[-1].close,) * 4, 0.0, True))
                out.append(Bar(c.start_s, *map(float, (c.open, c.high, c.low, c.close, c.volume))))
            self.bars[length] = out
        now = START_NS // SECOND_NS // FIVE_S * FIVE_S
        self.running = market.history(product, MINUTE_S, now, now)  # the bar that is not over yet

    def closed(self, start, prices, volume):
        """Five minutes whose trades all happened in one of them; without any they stand at the last price."""
        for c in self.running:
            prices, volume = [*map(float, (c.open, c.high, c.low, c.close)), *prices], volume + float(c.volume)
        self.running = ()
        held = prices or [self.bars[FIVE_S][-1].close]
        five = Bar(start, held[0], max(held), min(held), held[-1], volume, not prices)
        self.bars[FIVE_S].append(five)
        for length in (length for length in (QUARTER_S, HOUR_S) if (start + FIVE_S) % length == 0):
            parts = self.bars[FIVE_S][-length // FIVE_S :]
            parts = [bar for bar in parts if not bar.quiet] or parts
            high, low = max(bar.high for bar in parts), min(bar.low for bar in parts)
            whole = (parts[0].open, high, low, parts[-1].close, sum(bar.volume for bar in parts), parts[0].quiet)
            self.bars[length].append(Bar(start + FIVE_S - length, *whole))
        for bars in self.bars.values():
            del bars[:-KEPT]

    def look(self):
        """Every figure of this moment; those of hours once an hour."""
        if self.bars[HOUR_S][-1].start != self.known:
            self.known, self.hourly = self.bars[HOUR_S][-1].start, self.of_hours(self.bars[HOUR_S])
        q, fives = [bar.close for bar in self.bars[QUARTER_S]], self.bars[FIVE_S]
        traded = sum(bar.volume for bar in fives[-12:])
        paid = sum((bar.high + bar.low + bar.close) / 3 * bar.volume for bar in fives[-12:])
        closes, bottom = [bar.close for bar in fives], min(bar.low for bar in fives[-36:])
        above, crossed = traded > 0 and closes[-1] > paid / traded, rsi(closes[-60:-1]) <= 50 < rsi(closes[-59:])
        self.hourly.signs = (above, self.hourly.higher, crossed, pct(bottom, closes[-1]) >= 0.6)
        self.hourly.fast = max((pct(q[-i - 2], q[-i - 1]) for i in range(4)), key=abs)
        self.hourly.slow = pct(q[-5], q[-1])
        return self.hourly

    def of_hours(self, hours):
        c, lows, v = ([getattr(bar, name) for bar in hours] for name in ("close", "low", "volume"))
        moves = [pct(a, b) for a, b in pairwise(c)]
        ranges = [max(b.high - b.low, abs(b.high - p), abs(b.low - p)) for p, b in zip(c, hours[1:], strict=False)]
        atrs = [fmean(ranges[i - 13 : i + 1]) / c[i + 1] * 100 for i in range(13, len(ranges))][-168:]
        mean, usual, spread, low = fmean(c[-21:-1]), fmean(v[-21:-1]), pstdev(c[-24:]), min(lows[-24:])
        ema, before = smoothed(c[-168:], 2 / 22, 21), smoothed(c[-171:-3], 2 / 22, 21)
        inner = range(2, len(lows) - 2)
        pivots = [i for i in inner if lows[i] <= min(lows[i - 2 : i]) and lows[i] < min(lows[i + 1 : i + 3])][-2:]
        return Thing(
            outlier=abs(c[-1] - mean) / mean * 100 > 10 and (usual <= 0 or v[-1] / usual < 0.1),
            atr=atrs[-1],
            atr_ratio=atrs[-1] / sorted(atrs)[len(atrs) // 2],
            volatility=min(pstdev(moves[-168:]) * sqrt(8760), 200.0),
            spike=v[-1] / fmean(v[-24:]) if any(v[-24:]) else 0.0,
            move=moves[-1],
            above=c[-1] > max(bar.high for bar in hours[-25:-1]) > min(lows[-25:-1]),
            rise=pct(min(lows[-25:-1]), c[-1]),
            recovery=pct(low, c[-1]),
            recovered=pct(low, c[-1]) > 5 and c[-1] <= low * 1.1 and pct(before, ema) / 3 >= 0.05,
            day=pct(c[-24], c[-1]),
            agreeing=sum(move * (c[-1] - c[-24]) > 0 for move in moves[-12:]) / 12,
            z=(c[-1] - fmean(c[-24:])) / spread if spread else 0.0,
            higher=len(pivots) == 2 and pivots[0] >= len(c) - 48 and lows[pivots[1]] > lows[pivots[0]],
        )


def reading(hours, lookback):
    """The regime by its table, and the volatility of the last `lookback` hours, per cent a year."""
    c = [bar.close for bar in hours]
    moves, trend = [(b / a - 1) * 100 for a, b in pairwise(c)], (c[-1] / c[-168] - 1) * 100
    vol, hot = (stdev(moves[-n:]) * sqrt(8760) for n in (167, lookback))
    found = Regime.BEAR if trend <= -5 else Regime.BULL if trend >= 10 and vol < 60 else Regime.CHOP
    return Regime.CRASH if trend < -10 or vol > 100 else found, hot


def strongest(kinds, x, asset, limits, row):
    """A product's best trigger among those that reach the least score and confidence; none: nothing."""
    (product, tier), (bounds, at, t), good = asset, limits, []
    fired = [signal(kind, x, tier.tier, bounds, at) for kind in kinds]
    for kind, strength, confidence, change in filter(None, fired):
        sure = min(max(round(confidence + row.signal_confidence_boost, 12), 0.0), 1.0)
        hidden = kind == "reversal" and x.above and "breakout" in kinds
        if round(strength * sure, 12) >= t.min_score and sure >= t.min_confidence and not hidden:
            good.append((strength * sure, kind, strength, sure, change))
    names = ("score", "kind", "strength", "sure", "change")
    return Thing(**dict(zip(names, max(good), strict=True)), product=product, x=x, tier=tier) if good else None


def signal(kind, x, tier, bounds, at):
    """Kind, strength, confidence and change in per cent of a trigger that fires."""
    if kind == "price_move":
        fast, slow = abs(x.fast) >= bounds[0], abs(x.slow) >= bounds[1]
        strength, sure = {(1, 1): (0.8, 0.85), (1, 0): (0.6, 0.70), (0, 1): (0.7, 0.75)}.get((fast, slow), (0, 0))
        return (kind, strength, sure, x.fast if fast else x.slow)
    if kind == "volume_spike" and x.spike >= at.volume_ratio:
        return (kind, min((x.spike - 1) / 3, 1.0), min(x.spike / 4, 1.0), x.move)
    if kind == "breakout" and x.above:
        return (kind, 0.7, 0.8, x.rise)
    if kind == "reversal" and x.recovered:
        return (kind, min(x.recovery / 20, 1.0), 0.6, x.recovery)
    if kind == "momentum" and abs(x.day) >= 2 and not (x.day > 0 and at.regime is Regime.BEAR):
        return (kind, min(abs(x.day) / 10, 1.0), x.agreeing, x.day)
    if kind == "mean_reversion" and tier == 1 and at.regime is Regime.CHOP and x.z <= -1.2:
        return (kind, min(abs(x.z) / 3, 1.0), 0.6, x.day)
    return None
