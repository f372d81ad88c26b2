"""The start of a synthetic market: a past that leaves a few tier-2 coins just past a shipped trigger.

So that a desk started now has something to judge within its first cycles (pipeline.md §§4-5). Which coins, in which
regime and by how much follows from the seed; the others are held just below the trigger.
"""

from dataclasses import dataclass
from math import exp, log1p
from random import Random

from actors.venue.candles import HOUR_S, Block
from actors.venue.catalogue import LISTINGS, Listing
from actors.venue.synthetic_past import (
    HOURS,
    QUARTER_S,
    WEEK,
    Piece,
    blocks_of,
    factors,
    hourly_returns,
    pieces_of,
)

QUIET = 0.0085
"""No quarter hour of the newest five moves more (log), save the planted ones."""
ATR_HOURS = 14
ATR_RATIO = 1.34
"""Planted coins: newest ATR against its median of a week; the shipped filters ask 1.1 and 1.2."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the seed decided: regime, BTC's week, and the planted coins, the first of them breaking out."""

    bull: bool
    btc_vol_pct: float
    btc_trend: float
    planted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """The whole market's past up to the last full minute, and the prices (USD) it ends at."""

    scenario: Scenario
    blocks: dict[str, list[Block]]
    prices: dict[str, float]


def scenario_of(seed: int) -> Scenario:
    """Three to five tier-2 coins, BTC at 47 to 57 % a year, a week in chop or bull."""
    random = Random(f"scenario:{seed}")  # noqa: S311 - a market's noise, not a secret
    bull = random.random() < 0.3
    trend = random.uniform(0.125, 0.18) if bull else random.uniform(-0.015, 0.065)
    tier_2 = [listing.product_id for listing in LISTINGS.values() if listing.tier == 2]
    planted = tuple(random.sample(tier_2, random.randint(3, 5)))
    return Scenario(bull, random.uniform(47.0, 57.0), trend, planted)


def make_past(seed: int, now_s: int) -> Past:
    """The past of every listed product as of `now_s` (UTC seconds)."""
    scenario = scenario_of(seed)
    shared = factors(Random(f"factors:{seed}"), HOURS, scenario.btc_vol_pct, log1p(scenario.btc_trend))  # noqa: S311
    blocks: dict[str, list[Block]] = {}
    prices: dict[str, float] = {}
    for product_id, listing in LISTINGS.items():
        random = Random(f"past:{seed}:{product_id}")  # noqa: S311
        boost = 1.5 if product_id in scenario.planted else 1.0
        pieces = pieces_of(listing, hourly_returns(listing, shared, random, boost), now_s, random)
        _lay_out(listing, pieces, scenario, now_s, random)
        tick = float(listing.price_increment)
        prices[product_id] = round(listing.price_usd * exp(random.uniform(-0.04, 0.04)) / tick) * tick
        blocks[product_id] = blocks_of(listing, pieces, prices[product_id], random.getrandbits(40))
    return Past(scenario, blocks, prices)


def _lay_out(listing: Listing, pieces: list[Piece], scenario: Scenario, now_s: int, random: Random) -> None:
    if listing.tier <= 2 and listing.product_id != "BTC-USD":
        _quieten(pieces, now_s, listing.daily_volume_usd)
    if listing.product_id in scenario.planted:
        if listing.product_id == scenario.planted[0]:
            _break_out(pieces, now_s // HOUR_S * HOUR_S)
        _spike(pieces, scenario.bull, now_s, random)
        _stir(pieces, now_s // HOUR_S * HOUR_S)


def _closed_quarters(pieces: list[Piece], now_s: int) -> list[Piece]:
    return [piece for piece in pieces if piece.length_s == QUARTER_S and piece.start_s + QUARTER_S <= now_s]


def _quieten(pieces: list[Piece], now_s: int, daily_volume_usd: float) -> None:
    closed = _closed_quarters(pieces, now_s)
    for piece in closed:
        limit = QUIET if piece in closed[-5:] else 2.0 * QUIET
        piece.ret = max(-limit, min(limit, piece.ret))
        piece.usd = min(piece.usd, 1.5 * daily_volume_usd / 96.0)


def _spike(pieces: list[Piece], bull: bool, now_s: int, random: Random) -> None:
    target = random.choice(_closed_quarters(pieces, now_s)[-2:])
    target.ret = log1p(random.uniform(0.039, 0.048) if bull else random.uniform(0.023, 0.034))
    target.up = min(target.up, 0.002)
    target.usd *= 3.0


def _break_out(pieces: list[Piece], hour_end: int) -> None:
    """Tilt the day before the newest full hour until that hour closes above all of it."""
    for piece in pieces:
        if hour_end - HOUR_S <= piece.start_s < hour_end:
            piece.ret = 0.003
        elif hour_end - 3 * HOUR_S <= piece.start_s < hour_end - HOUR_S:
            piece.ret, piece.up = max(-0.002, min(0.002, piece.ret)), min(piece.up, 0.001)
    before = [piece for piece in pieces if hour_end - 25 * HOUR_S <= piece.start_s < hour_end - HOUR_S]
    tilt = _tilt(before, rise=4 * 0.003)
    for piece in before:
        piece.ret += tilt * piece.length_s / HOUR_S


def _tilt(before: list[Piece], rise: float) -> float:
    """Log return per hour that puts every high of `before` at least 0.2 % under a close `rise` above its end."""
    level, ago_h, tilt = 0.0, 0.0, 0.0
    for piece in reversed(before):
        top = max(level, level - piece.ret) + piece.up
        tilt = max(tilt, (top + 0.002 - rise) / max(ago_h, 0.25))
        level -= piece.ret
        ago_h += piece.length_s / HOUR_S
    return tilt


def _stir(pieces: list[Piece], hour_end: int) -> None:
    """Widen the newest full hours downwards until their ATR stands clear of the week's median."""
    recent = [p for p in pieces if hour_end - ATR_HOURS * HOUR_S <= p.start_s < hour_end]
    for _ in range(40):
        if _atr_ratio([p for p in pieces if p.start_s < hour_end]) >= ATR_RATIO:
            return
        for piece in recent:
            piece.down = 1.12 * piece.down + 0.0005


def _atr_ratio(pieces: list[Piece]) -> float:
    ranges = _true_ranges(pieces)[-(WEEK + ATR_HOURS) :]
    rolling = [sum(ranges[i : i + ATR_HOURS]) for i in range(len(ranges) - ATR_HOURS + 1)]
    return rolling[-1] / sorted(rolling)[len(rolling) // 2]


def _true_ranges(pieces: list[Piece]) -> list[float]:
    hours: dict[int, list[float]] = {}
    level = 0.0
    for piece in pieces:
        top, bottom = max(level, level + piece.ret) + piece.up, min(level, level + piece.ret) - piece.down
        hours.setdefault(piece.start_s // HOUR_S, []).extend((level, top, bottom))
        level += piece.ret
    return [max(values) - min(values) for values in hours.values()]
