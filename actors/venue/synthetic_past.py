"""A made-up past: hourly returns of correlated coins with clustered volatility, as blocks that end now.

Everything is in logarithms and hours until the last line. The newest hours come in quarter hours, so that what a
trigger looks at can be laid out exactly (`synthetic_plant`).
"""

from dataclasses import dataclass
from math import exp, log, pi, sin, sqrt
from random import Random
from statistics import fmean, stdev

from actors.venue.candles import HOUR_S, Bar, Block
from actors.venue.catalogue import Listing

HOURS = 240
FINE_HOURS = 3
"""So many of the newest full hours come in quarter hours."""
WEEK = 167
"""Hourly returns that the regime looks at (pipeline.md §4)."""
QUARTER_S = 900
YEAR_HOURS = 8760.0


@dataclass(slots=True)
class Piece:
    """A stretch of the past: its log return, how far its extremes lie outside open and close (log), USD traded."""

    start_s: int
    length_s: int
    ret: float
    up: float
    down: float
    usd: float


@dataclass(slots=True)
class Factors:
    """What all coins share, one value an hour: BTC's return, the alt-coin return, the volatility multiplier."""

    btc: list[float]
    alt: list[float]
    heat: list[float]


def clustered(random: Random, count: int, persistence: float, spread: float) -> list[float]:
    """Multipliers around 1 that come in clusters: the exponential of an autoregression with stationary `spread`."""
    kick, level, out = spread * sqrt(1.0 - persistence**2), random.gauss(0.0, spread), []
    for _ in range(count):
        level = persistence * level + random.gauss(0.0, kick)
        out.append(exp(level - spread * spread / 2.0))
    return out


def fat(random: Random) -> float:
    """A unit shock with fatter tails than the normal's."""
    return random.gauss(0.0, 1.0) * exp(random.gauss(0.0, 0.35) - 0.12)


def tuned(returns: list[float], vol_pct: float, drift: float) -> list[float]:
    """`returns`, straightened so that the last 167 have this annualised deviation (%) and this sum."""
    tail = returns[-WEEK:]
    mean, scale = fmean(tail), vol_pct / 100.0 / sqrt(YEAR_HOURS) / stdev(tail)
    return [(value - mean) * scale + drift / WEEK for value in returns]


def factors(random: Random, hours: int, btc_vol_pct: float, btc_trend: float) -> Factors:
    """The shared returns; BTC's last 167 hours have the volatility (%) and log trend asked for."""
    heat = clustered(random, hours, 0.97, 0.30)
    slow = clustered(random, hours, 0.95, 0.5)
    btc = [fat(random) * hot + 0.15 * (lean - 1.0) for hot, lean in zip(heat, slow, strict=True)]
    alt = [fat(random) * hot for hot in heat]
    return Factors(tuned(btc, btc_vol_pct, btc_trend), alt, heat)


def hourly_returns(listing: Listing, shared: Factors, random: Random, boost: float) -> list[float]:
    """One coin's hourly log returns; `boost` multiplies its own shocks of the last 14 hours."""
    if listing.product_id == "BTC-USD":
        return shared.btc
    hour = sqrt(YEAR_HOURS) * 100.0
    own = max(listing.vol_pct**2 - (listing.beta_btc * 52.0) ** 2 - (listing.beta_alt * 90.0) ** 2, 400.0)
    heat = clustered(random, len(shared.btc), 0.93, 0.35)
    heat[-14:] = [value * boost for value in heat[-14:]]
    raw = [
        listing.beta_btc * btc + (listing.beta_alt * 90.0 * alt + sqrt(own) * fat(random) * hot) / hour
        for btc, alt, hot in zip(shared.btc, shared.alt, heat, strict=True)
    ]
    vol_pct = listing.vol_pct * random.uniform(0.93, 1.07)
    return tuned(raw, vol_pct, max(-0.2, min(0.2, 0.5 * sum(raw[-WEEK:]))))


def pieces_of(listing: Listing, returns: list[float], now_s: int, random: Random) -> list[Piece]:
    """The past up to the last full minute: hours, then quarter hours, then the rest of the running quarter."""
    hour_end, quarter_end, minute_end = now_s // HOUR_S * HOUR_S, now_s // QUARTER_S * QUARTER_S, now_s // 60 * 60
    fine = hour_end - FINE_HOURS * HOUR_S
    deviation = listing.vol_pct / 100.0 / sqrt(YEAR_HOURS)
    first = hour_end - len(returns) * HOUR_S
    pieces = [
        _piece(listing, first + i * HOUR_S, HOUR_S, value, deviation, random)
        for i, value in enumerate(returns[:-FINE_HOURS])
    ]
    for i, value in enumerate(returns[-FINE_HOURS:]):
        quarters = _quarters(value, deviation, random)
        starts = range(fine + i * HOUR_S, fine + (i + 1) * HOUR_S, QUARTER_S)
        pieces += [
            _piece(listing, start, QUARTER_S, part, deviation, random)
            for start, part in zip(starts, quarters, strict=True)
        ]
    for start in range(hour_end, quarter_end, QUARTER_S):
        pieces.append(_piece(listing, start, QUARTER_S, random.gauss(0.0, deviation / 2.0), deviation, random))
    if minute_end > quarter_end:
        length_s = minute_end - quarter_end
        ret = random.gauss(0.0, 0.4 * deviation * sqrt(length_s / HOUR_S))
        pieces.append(_piece(listing, quarter_end, length_s, ret, deviation, random))
    return pieces


def _quarters(ret: float, deviation: float, random: Random) -> list[float]:
    noise = [random.gauss(0.0, deviation / 2.0) for _ in range(4)]
    return [ret / 4.0 + value - fmean(noise) for value in noise]


def _piece(listing: Listing, start_s: int, length_s: int, ret: float, deviation: float, random: Random) -> Piece:
    local = deviation * sqrt(length_s / HOUR_S)
    reach = 0.4 * (0.6 * local + 0.4 * abs(ret))
    up, down = (min(random.expovariate(1.0), 3.5) * reach for _ in range(2))
    daily = 1.0 + 0.35 * sin(2.0 * pi * (start_s % 86_400 - 32_400) / 86_400)
    burst = (0.6 + 0.5 * min(abs(ret) / local, 4.0)) * exp(random.gauss(-0.045, 0.3))
    return Piece(start_s, length_s, ret, up, down, listing.daily_volume_usd * length_s / 86_400 * daily * burst)


def blocks_of(listing: Listing, pieces: list[Piece], end_price: float, seed: int) -> list[Block]:
    """The pieces as blocks in ticks and lots; the last one closes at `end_price`."""
    tick, lot = float(listing.price_increment), float(listing.base_increment)
    level = log(end_price)
    closes: list[float] = []
    for piece in reversed(pieces):
        closes.append(level)
        level -= piece.ret
    opened = max(round(exp(level) / tick), 1)
    blocks: list[Block] = []
    for number, (piece, close) in enumerate(zip(pieces, reversed(closes), strict=True)):
        closed = max(round(exp(close) / tick), 1)
        high = max(opened, closed, round(max(opened, closed) * exp(piece.up)))
        low = max(min(opened, closed, round(min(opened, closed) * exp(-piece.down))), 1)
        lots = max(int(piece.usd / exp(close) / lot), piece.length_s // 60)
        blocks.append(Block(Bar(piece.start_s, opened, high, low, closed, lots), piece.length_s, seed * 1000 + number))
        opened = closed
    return blocks


def simple_past(listing: Listing, end_s: int, end_price: float, seed: int, hours: int = HOURS) -> list[Block]:
    """A past without anything planted, for one product alone: joins `end_price` at `end_s`."""
    random = Random(f"past:{seed}:{listing.product_id}")  # noqa: S311 - a market's noise, not a secret
    shared = factors(Random(f"factors:{seed}"), hours, 52.0, 0.02)  # noqa: S311
    pieces = pieces_of(listing, hourly_returns(listing, shared, random, 1.0), end_s, random)
    return blocks_of(listing, pieces, end_price, random.getrandbits(40))
