"""One product's market makers and its flow of takers.

Makers keep a ladder on fixed prices around the fair price, best level first, thicker further out, and refill what was
eaten within seconds. Takers arrive at random with fat-tailed sizes; now and then one sweeps several levels.
"""

from math import ceil, exp, floor, sqrt
from random import Random

from actors.venue.catalogue import Listing
from actors.venue.market import Levels, Matching

LEVELS = 34
"""Levels a side."""
REFILL_S = 2.5
SWEEP_SHARE = 0.15
MAX_REACH_BPS = 25.0
"""No taker goes further than this from fair."""


class Side:
    """One side's ladder: lots by tick, best first when listed."""

    __slots__ = ("away", "base", "levels", "listing", "want")

    def __init__(self, listing: Listing, away: int) -> None:
        self.listing = listing
        self.away = away
        self.levels: dict[int, int] = {}
        self.want: dict[int, int] = {}
        self.base = 0.0

    def reprice(self, best: int, grid: int, base_lots: float, random: Random) -> None:
        """Keep what still stands on the new ladder from `best` outwards, add what is missing, drop the rest."""
        start = (best // grid if self.away < 0 else -(-best // grid)) * grid
        start += self.away * grid if start == best else 0
        ticks = [best, *(start + self.away * grid * i for i in range(LEVELS - 1))]
        ticks = [tick for tick in ticks if tick > 0]
        want = {}
        for rank, tick in enumerate(ticks):
            known = self.want.get(tick) if rank else None
            want[tick] = known or max(int(base_lots * _weight(rank) * exp(random.gauss(-0.06, 0.35))), 1)
        self.want = want
        self.levels = {tick: min(self.levels.get(tick, lots), lots) for tick, lots in want.items()}

    def refill(self, seconds: float, random: Random) -> bool:
        """Grow eaten levels back and let one level change its mind; True when anything changed."""
        changed = False
        for tick, lots in self.levels.items():
            want = self.want[tick]
            if lots < want:
                self.levels[tick] = min(want, lots + max(int(want * seconds / REFILL_S), 1))
                changed = True
        if self.want and random.random() < 0.8 * seconds:
            tick = random.choice(list(self.want))
            self.want[tick] = self.levels[tick] = max(int(self.want[tick] * exp(random.gauss(0.0, 0.2))), 1)
            return True
        return changed

    def eat(self, tick: int, lots: int) -> None:
        """Take note that `lots` at `tick` were traded away."""
        left = self.levels.get(tick)
        if left is not None:
            self.levels[tick] = max(left - lots, 0)

    def quoted(self) -> Levels:
        """Prices and sizes, best first, empty levels left out."""
        price, size = self.listing.price_increment, self.listing.base_increment
        return [(tick * price, lots * size) for tick, lots in self.levels.items() if lots > 0]


def _weight(rank: int) -> float:
    return min(0.2 + 0.2 * rank, 0.8) + 0.02 * rank


def grid_ticks(listing: Listing, mid: float) -> int:
    """Ticks between levels: about a quarter of the spread, at least a basis point and a tick."""
    return max(1, round(mid * max(1.0, listing.spread_bps / 4.0) / 1e4 / float(listing.price_increment)))


def base_lots(listing: Listing, mid: float, spread: float, grid: int) -> float:
    """Lots a level of weight 1 needs so that both sides hold the listed depth within 20 bps of mid."""
    inside = max(int((mid * 20e-4 - spread / 2.0) / (grid * float(listing.price_increment))), 1)
    weights = sum(_weight(rank) for rank in range(min(inside, LEVELS)))
    return listing.depth_usd / 2.0 / weights / mid / float(listing.base_increment)


class Maker:
    """Drives one product of the matching engine around a fair price."""

    def __init__(self, listing: Listing, random: Random) -> None:
        self.listing = listing
        self.activity = 1.0
        self._random = random
        self._bids, self._asks = Side(listing, -1), Side(listing, 1)
        self._tick = float(listing.price_increment)
        self._quoted_mid = 0.0
        self._jitter = 0.0

    def quote(self, venue: Matching, fair: float, heat: float, seconds: float, now_ns: int) -> None:
        """Show the book that belongs to a fair price; `heat` 1.0 is ordinary volatility. Trades with stale orders."""
        spread = fair / 1e4 * self.listing.spread_bps * min(max(0.7 + 0.3 * heat, 0.8), 2.2)
        kick = 0.7 * spread * sqrt(min(seconds, 4.0) / 4.0)
        self._jitter = self._jitter * exp(-seconds / 4.0) + self._random.gauss(0.0, kick)
        mid = fair + self._jitter
        refilled = self._bids.refill(seconds, self._random) | self._asks.refill(seconds, self._random)
        if abs(mid - self._quoted_mid) > 0.2 * spread:
            self._move(venue, mid, spread, now_ns)
        elif refilled:
            venue.quote_market(self.listing.product_id, self._bids.quoted(), self._asks.quoted(), now_ns)

    def _move(self, venue: Matching, mid: float, spread: float, now_ns: int) -> None:
        rising = mid > self._quoted_mid
        bid = max(floor((mid - spread / 2.0) / self._tick), 1)
        ask = max(ceil((mid + spread / 2.0) / self._tick), bid + 1)
        self._quoted_mid = mid
        grid = grid_ticks(self.listing, mid)
        base = base_lots(self.listing, mid, (ask - bid) * self._tick, grid)
        self._bids.reprice(bid, grid, base, self._random)
        self._asks.reprice(ask, grid, base, self._random)
        venue.quote_market(self.listing.product_id, self._bids.quoted(), self._asks.quoted(), now_ns)
        self._pick_off(venue, ask if rising else bid, rising, now_ns)

    def _pick_off(self, venue: Matching, best: int, rising: bool, now_ns: int) -> None:
        """Fair moved past somebody's resting order: a taker soon notices. Finds nothing when nobody is there."""
        if self._random.random() > 0.5:
            return
        usd = 5_000.0 * exp(self._random.gauss(0.0, 0.5))
        limit = best - 1 if rising else best + 1
        self._take(venue, "BUY" if rising else "SELL", usd, limit, now_ns)

    def flow(self, venue: Matching, seconds: float, tilt: float, now_ns: int) -> None:
        """Let takers come as they do in `seconds`; `tilt` from -1 (all sell) to 1 (all buy)."""
        dollars_a_s = self.listing.daily_volume_usd / 86_400.0 * self.activity
        rate = min(max(sqrt(dollars_a_s) / 18.0, 0.15), 4.0)
        for _ in range(min(_poisson(self._random, rate * seconds), 4)):
            side = "BUY" if self._random.random() < 0.5 + 0.4 * tilt else "SELL"
            self._take(venue, side, self._dollars(dollars_a_s / rate, side), self._reach(side), now_ns)

    def _dollars(self, mean_usd: float, side: str) -> float:
        random = self._random
        if random.random() < SWEEP_SHARE:
            lots = list((self._asks if side == "BUY" else self._bids).levels.values())[: random.randint(2, 3)]
            swept = 1.05 * sum(lots) * float(self.listing.base_increment) * self._quoted_mid
            if random.random() < 8.0 * mean_usd / max(swept, 1.0):
                return swept
        return float(mean_usd * 0.75 * exp(random.gauss(-0.72, 1.2)))

    def _reach(self, side: str) -> int:
        reach = self._quoted_mid * (MAX_REACH_BPS + self.listing.spread_bps / 2.0) / 1e4
        edge = self._quoted_mid + reach if side == "BUY" else self._quoted_mid - reach
        return max(round(edge / self._tick), 1)

    def _take(self, venue: Matching, side: str, usd: float, limit: int, now_ns: int) -> None:
        self.take(venue, side, max(int(usd / self._quoted_mid / float(self.listing.base_increment)), 1), limit, now_ns)

    def take(self, venue: Matching, side: str, lots: int, limit: int, now_ns: int) -> None:
        """One taker of `lots`, no further than the tick `limit`."""
        price, size = self.listing.price_increment, self.listing.base_increment
        eaten = self._asks if side == "BUY" else self._bids
        product_id = self.listing.product_id
        for trade in venue.market_order(product_id, side, lots * size, now_ns, limit * price):
            eaten.eat(int(trade.price / price), int(trade.size / size))


def _poisson(random: Random, mean: float) -> int:
    count, left = 0, exp(-mean)
    product = random.random()
    while product > left:
        count += 1
        product *= random.random()
    return count
