"""Where fair prices go from now on: two shared factors, own shocks, clustered volatility, pulses, a way home.

Steps of a fixed length with one generator, whatever anybody watches: the same seed and the same steps give the same
prices.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import exp, log, sqrt
from random import Random

from actors.venue.catalogue import Listing

YEAR_S = 365 * 86_400
HOME_S = 14 * 3600.0
"""Own moves fade with this time constant, so that no coin wanders off for good."""
BTC_HOME_S = 5 * 86_400.0
PULSE_EVERY_S = {1: 9.0 * 3600, 2: 2.2 * 3600, 3: 5.0 * 3600}
"""By tier: mean time between moves large enough for a trigger."""
HEAT_FADE_S = 5400.0


class Coin:
    """One product's fair price."""

    __slots__ = ("alt", "btc", "heat", "log_price", "own", "own_move", "path", "pulse", "pulse_s", "tier")

    def __init__(self, listing: Listing, price: float, heat: float) -> None:
        self.log_price = log(price)
        self.btc, self.alt = listing.beta_btc, listing.beta_alt * 0.90 * 0.75
        own = (listing.vol_pct**2 - (listing.beta_btc * 52.0) ** 2 - (listing.beta_alt * 90.0) ** 2) / 1e4
        self.own = 0.0 if listing.product_id == "BTC-USD" else 0.75 * sqrt(max(own, 0.04))
        self.heat = heat
        self.own_move = 0.0
        self.pulse, self.pulse_s = 0.0, 0.0
        self.path: Path | None = None
        self.tier = listing.tier

    @property
    def price(self) -> float:
        """Fair price in quote."""
        return exp(self.log_price)


class Path:
    """An operator's price path from one time on."""

    def __init__(self, points: Sequence[tuple[float, float]], start_price: float) -> None:
        first = points[0][0]
        self._points = [*points] if first <= 0 else [(0.0, start_price), *points]
        self._times = [time for time, _ in self._points]
        self._age_s = 0.0

    def step(self, seconds: float) -> tuple[float, bool]:
        """The price `seconds` later, and whether the path ends there."""
        self._age_s += seconds
        at = bisect_right(self._times, self._age_s)
        if at >= len(self._points):
            return self._points[-1][1], True
        (t0, p0), (t1, p1) = self._points[max(at - 1, 0)], self._points[max(at, 1)]
        return p0 + (p1 - p0) * (self._age_s - t0) / (t1 - t0), False


def checked_path(points: Sequence[tuple[float, float]]) -> None:
    """Raises ValueError: no points, times that do not rise, a price that is not positive."""
    if not points:
        raise ValueError("a price path needs at least one point")
    if any(later[0] <= earlier[0] for earlier, later in pairwise(points)):
        raise ValueError("the times of a price path must rise")
    if any(price <= 0 for _, price in points):
        raise ValueError("the prices of a price path must be positive")


class PriceModel:
    """All fair prices together."""

    def __init__(self, coins: Iterable[tuple[str, Coin]], seed: int) -> None:
        self.coins = dict(coins)
        self._random = Random(f"prices:{seed}")  # noqa: S311 - a market's noise, not a secret
        self._heat = 1.0
        self._btc_move = 0.0
        self._until_heat_s = 0.0

    def step(self, seconds: float) -> None:
        """Move every price by one step of `seconds`."""
        random = self._random
        self._until_heat_s -= seconds
        if self._until_heat_s <= 0:
            self._stir(max(1.0, seconds))
        scale = sqrt(seconds / YEAR_S) * self._heat
        btc = random.gauss(0.0, 0.52 * scale) - self._btc_move * seconds / BTC_HOME_S
        self._btc_move += btc
        alt = random.gauss(0.0, scale)
        for coin in self.coins.values():
            own = random.gauss(0.0, coin.own * coin.heat * scale) - coin.own_move * seconds / HOME_S
            if coin.pulse_s > 0.0:
                own += coin.pulse * seconds
                coin.pulse_s -= seconds
            coin.own_move += own
            coin.log_price += coin.btc * btc + coin.alt * alt + own
            if coin.path is not None:
                _follow(coin, coin.path, seconds)

    def _stir(self, seconds: float) -> None:
        """Once a second: let volatility cluster and fade, and let pulses begin."""
        random = self._random
        self._until_heat_s = seconds
        fade = seconds / HEAT_FADE_S
        self._heat = _wander(random, self._heat, fade, 0.25)
        for coin in self.coins.values():
            coin.heat = _wander(random, coin.heat, fade, 0.30)
            if coin.pulse_s <= 0.0 and random.random() < seconds / PULSE_EVERY_S[coin.tier]:
                _begin_pulse(random, coin)


def _follow(coin: Coin, path: Path, seconds: float) -> None:
    price, over = path.step(seconds)
    coin.log_price = log(price)
    if over:
        coin.path = None


def _wander(random: Random, heat: float, fade: float, spread: float) -> float:
    level = log(heat)
    return exp(level - level * fade + random.gauss(0.0, spread * sqrt(2.0 * fade)))


def _begin_pulse(random: Random, coin: Coin) -> None:
    size = random.uniform(0.028, 0.042) * (1.0 if coin.tier == 2 else 0.35 if coin.tier == 1 else 0.7)
    coin.pulse_s = random.uniform(300.0, 540.0)
    coin.pulse = (size if random.random() < 0.6 else -size) / coin.pulse_s
