"""Tapes: recordings played as if now, history before, made-up markets for what they lack."""

import csv
import gzip
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.venue.catalogue import specs
from actors.venue.core import Exchange
from actors.venue.events import Traded
from actors.venue.tape_market import listings_of, open_market
from actors.venue.tape_source import MarketSource, parse_market

NS = 10**9
FROM_S = 1_760_000_400  # a full minute
NOW_NS = 1_790_000_017 * NS
SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
TRADE_HEAD = ["ts_unix_us", "trade_id", "side", "price", "size", "product_id"]
BAR_HEAD = ["ts_unix_s", "open", "high", "low", "close", "volume", "product_id"]


class Played:
    """A market on a real exchange, with what it printed."""

    def __init__(self, text: str) -> None:
        source = parse_market(text)
        self.engine = Exchange(specs(listings_of(source)), Random(3), NOW_NS)
        self.market = open_market(source, self.engine, seed=3, now_ns=NOW_NS)
        self.prints: list[Traded] = []
        self._drain()

    def until(self, seconds: float) -> None:
        for tenth in range(1, int(seconds * 10) + 1):
            self.market.advance(NOW_NS + tenth * NS // 10)
            self._drain()

    def _drain(self) -> None:
        for event in self.engine.drain():
            if isinstance(event, Traded):
                self.market.observe(event)
                self.prints.append(event)

    def of(self, product: str) -> list[tuple[str, str, str]]:
        taker = {"BUY": "sell", "SELL": "buy"}
        return [(taker[p.maker_side], str(p.price), str(p.size)) for p in self.prints if p.product_id == product]


def trades(product: str = "DOGE-USD") -> list[list[str]]:
    """Three hours before FROM_S and one minute after, one every ten seconds, the first after exactly at it."""
    prices = ["0.25082", "0.25090", "0.25071"]
    return [
        [str((FROM_S + t) * 10**6), str(t), "buy" if t % 20 else "sell", prices[t // 10 % 3], "20.5", product]
        for t in range(-10_800, 60, 10)
    ]


def write(path: Path, head: list[str], rows: list[list[str]]) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as lines:
        csv.writer(lines).writerows([head, *rows])
    return path


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_trades_print_at_their_price_size_and_side_in_any_file_format(tmp_path, form):
    path = tmp_path / f"DOGE-USD.{form}"
    if form == "parquet":
        columns = dict(zip(TRADE_HEAD, zip(*trades(), strict=True), strict=True))
        typed = columns | {"ts_unix_us": [int(t) for t in columns["ts_unix_us"]]}
        pq.write_table(pa.table(typed), path)
    else:
        write(path, TRADE_HEAD, trades())
    played = Played(f"tape:{path},from={FROM_S}")
    played.until(61)
    recorded = [(row[2], row[3], row[4]) for row in trades() if int(row[0]) >= FROM_S * 10**6]
    assert played.of("DOGE-USD") == recorded
    assert not played.market.is_synthetic("DOGE-USD")
    assert played.market.is_synthetic("BTC-USDC")


def test_history_before_from_is_the_recording_and_before_that_made_up_history_joins_it(tmp_path):
    played = Played(f"tape:{write(tmp_path / 'DOGE-USD.csv', TRADE_HEAD, trades())},from={FROM_S}")
    now_s = NOW_NS // NS
    recorded = played.market.history("DOGE-USD", 60, now_s - 10_000, now_s)
    assert {bar.low for bar in recorded} == {Decimal("0.25071")}
    assert {bar.volume for bar in recorded[1:-1]} == {Decimal("123.0")}  # six prints a minute
    older = played.market.history("DOGE-USD", 3600, now_s - 9 * 86_400, now_s)
    assert len(older) >= 9 * 24 - 1
    for before, after in pairwise(older):
        assert abs(before.close / after.open - 1) < Decimal("0.005"), (before, after)


def test_speed_plays_recorded_seconds_faster_and_stamps_venue_time(tmp_path):
    played = Played(f"tape:{write(tmp_path / 'DOGE-USD.csv', TRADE_HEAD, trades())},from={FROM_S},speed=10")
    played.until(2)
    stamps = [p.at_ns for p in played.prints if p.product_id == "DOGE-USD"]
    assert [round((stamp - NOW_NS) / NS, 1) for stamp in stamps] == [0.1, 1.0, 2.0]


def bars(product: str, count: int = 300) -> list[list[str]]:
    random = Random(5)
    close, rows = 100.0, []
    for minute in range(-count, 30):
        opened, close = close, round(close * (1 + random.gauss(0, 0.001)), 2)
        high, low = round(max(opened, close) + 0.07, 2), round(min(opened, close) - 0.05, 2)
        rows.append([str(FROM_S + minute * 60), *map(str, (opened, high, low, close, 12.5)), product])
    return rows


def test_played_bars_read_back_as_they_were_recorded_and_a_quote_currency_maps(tmp_path):
    path = write(tmp_path / "LTC-USDT.csv.gz", BAR_HEAD, bars("LTC-USDT"))
    played = Played(f"tape:{path},from={FROM_S},as=USD")
    first_s = NOW_NS // NS // 60 * 60
    recorded = {int(row[0]) - FROM_S + first_s: tuple(map(Decimal, row[1:6])) for row in bars("LTC-USDT")}
    played.until(110)
    seen = played.market.history("LTC-USD", 60, first_s - 3600, first_s + 60)
    assert len(seen) == 62
    for bar in seen:
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == recorded[bar.start_s], bar


def test_the_book_stands_around_the_recorded_price_with_the_tiers_spread(tmp_path):
    played = Played(f"tape:{write(tmp_path / 'DOGE-USD.csv', TRADE_HEAD, trades())},from={FROM_S}")
    bids, asks = played.engine.book("DOGE-USD")
    mid = (bids[0][0] + asks[0][0]) / 2
    assert abs((asks[0][0] - bids[0][0]) / mid * 10_000 - 20) < 1
    assert sum(p * s for p, s in (*bids, *asks) if abs(p / mid - 1) <= Decimal("0.002")) > 80_000


def test_a_price_path_leads_a_recorded_product(tmp_path):
    played = Played(f"tape:{write(tmp_path / 'DOGE-USD.csv', TRADE_HEAD, trades())},from={FROM_S}")
    played.market.set_path("DOGE-USD", [(1.0, Decimal("0.2600"))])
    played.until(2)
    assert played.market.last_price("DOGE-USD") == Decimal("0.26")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tapes:x", "not one of"),
        ("tape:", "needs a path"),
        ("tape:x,speed=fast", "not a number"),
        ("tape:x,speed=0", "above 0"),
        ("tape:x,from=yesterday", "neither UTC seconds nor an ISO date"),
        ("tape:x,loop=1", "not one of from=TIME"),
        ("tape:x,as=USD,as=EUR", "given twice"),
    ],
)
def test_a_bad_market_text_says_what_is_wrong(text, said):
    with pytest.raises(ValueError, match=said):
        parse_market(text)


def test_market_text_reads_into_its_parts():
    assert parse_market("synthetic") == MarketSource(kind="synthetic")
    assert parse_market("tape:a/b.csv,from=2025-10-10T12:00:00Z,speed=60,as=usd") == MarketSource(
        kind="tape", path=Path("a/b.csv"), from_s=1_760_097_600.0, speed=60.0, as_quote="USD"
    )


def test_a_tape_that_cannot_play_says_why(tmp_path):
    with pytest.raises(ValueError, match="no recording at"):
        Played(f"tape:{tmp_path}")
    odd = write(tmp_path / "odd.csv", ["a", "b"], [["1", "2"]])
    with pytest.raises(ValueError, match="neither candles, trades nor quotes"):
        Played(f"tape:{odd}")
    odd.unlink()
    path = write(tmp_path / "DOGE-USD.csv", TRADE_HEAD, trades())
    with pytest.raises(ValueError, match="ends before"):
        Played(f"tape:{path},from={FROM_S + 86_400}")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared recordings are not beside this checkout")
@pytest.mark.parametrize(
    ("dataset", "start", "product"),
    [
        ("trades/gemini_2025-10-10", "2025-10-10T15:00:00Z", "BTC-USD"),
        ("candles/coinbase_2025-07_5m", "2025-07-20T00:00:00Z", "BTC-USD"),
        ("quotes/coinbase_lean_1m", "2018-04-05T00:00:00Z", "LTC-USD"),
    ],
)
def test_a_real_recording_plays(dataset, start, product):
    played = Played(f"tape:{SHARED / dataset},from={start},speed=30")
    played.until(20)
    assert not played.market.is_synthetic(product)
    assert played.market.stats_24h(product).volume_usd > 0
    bids, asks = played.engine.book(product)
    assert bids[0][0] < asks[0][0]
    assert len(played.market.history(product, 3600, NOW_NS // NS - 9 * 86_400, NOW_NS // NS)) > 200
