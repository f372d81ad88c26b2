"""A real market-data session, replayed frame by frame: books and candles agree with a plain computation."""

import gzip
import json
from collections import defaultdict, deque
from decimal import Decimal
from pathlib import Path

import pytest

from actors.feed import connection, core
from actors.feed.connection import Market, Route
from actors.feed.core import Feed
from protocol.effects import Tell
from protocol.feed import FramesArrived, SocketOpened
from protocol.ids import ProductId
from protocol.lifecycle import Recover, Wake
from protocol.market import Bar, CandleClosed, FeedState, FeedStatus, Quote
from protocol.venue import CandlesListed

RECORDING = Path(__file__).resolve().parents[2] / "../shared/data/feeds/coinbase_advanced_trade_ws_2026-08-09.jsonl.gz"
PRODUCTS = ("BTC-USD", "ETH-USD")
NEAR = 0.002
DEPTH_EVERY = 25
MINUTE_S = 60

pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason="the recorded session is not on this machine")


class Desk:
    """A connection and its feeds, wired as the tree wires them, without dispatcher or socket."""

    def __init__(self):
        self.market = Market(tuple(Route(product, (ProductId(product),)) for product in PRODUCTS))
        self.feeds = {f"feed:{product}": Feed(ProductId(product), "market:0") for product in PRODUCTS}
        self.said = defaultdict(list)

    def give(self, name, message, now_ns):
        mail = deque([(name, message)])
        while mail:
            to, body = mail.popleft()
            if to == "market:0":
                _, effects = connection.step(self.market, body, now_ns)
            elif to in self.feeds:
                _, effects = core.step(self.feeds[to], body, now_ns)
            else:
                self.said[to].append(body)
                continue
            mail.extend((effect.to, effect.message) for effect in effects if isinstance(effect, Tell))

    def heard(self, to, kind, product):
        return [body for body in self.said[to] if isinstance(body, kind) and body.product_id == product]


class PlainBooks:
    """The books as anybody would keep them: every level of the whole session in a dict."""

    def __init__(self):
        self.sides = {product: {"bid": {}, "offer": {}} for product in PRODUCTS}

    def apply(self, frame):
        changed = set()
        for event in frame["events"] if frame["channel"] == "l2_data" else ():
            sides = self.sides[event["product_id"]]
            changed.add(event["product_id"])
            if event["type"] == "snapshot":
                sides["bid"], sides["offer"] = {}, {}
            for update in event["updates"]:
                price, size = update["price_level"], update["new_quantity"]
                if float(size) == 0:
                    sides[update["side"]].pop(float(price), None)
                else:
                    sides[update["side"]][float(price)] = (Decimal(price), Decimal(size))
        return changed

    def top(self, product):
        bids, offers = self.sides[product]["bid"], self.sides[product]["offer"]
        return (*bids[max(bids)], *offers[min(offers)])

    def depth(self, product):
        bid, _, offer, _ = self.top(product)
        mid = (bid + offer) / 2
        low, high = mid * Decimal(str(1 - NEAR)), mid * Decimal(str(1 + NEAR))
        bids = sum(price * size for price, size in self.sides[product]["bid"].values() if price >= low)
        offers = sum(price * size for price, size in self.sides[product]["offer"].values() if price <= high)
        return bids, offers


def recorded():
    with gzip.open(RECORDING, "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["t"] == "recv":
                yield int(entry["ts"] * 1e9), entry["data"]


@pytest.fixture(scope="module")
def replay():
    """The desk after the session, with the comparisons made on the way: (message number, what, ours, plain)."""
    desk, plain, compared = Desk(), PlainBooks(), []
    frames = list(recorded())
    started_ns = frames[0][0]
    for name in (*desk.feeds, "market:0"):
        desk.give(name, Recover(), started_ns)
    desk.give("market:0", SocketOpened(connection=started_ns), started_ns)
    for number, (now_ns, raw) in enumerate(frames):
        desk.give("market:0", FramesArrived(connection=started_ns, frames=(raw.encode(),), received_ns=now_ns), now_ns)
        for product in plain.apply(json.loads(raw)):
            book = desk.feeds[f"feed:{product}"].book
            bid, ask = book.bids.best, book.asks.best
            ours = tuple(Decimal(t) for t in (bid.price_level, bid.new_quantity, ask.price_level, ask.new_quantity))
            compared.append((number, "top", ours, plain.top(product)))
            if number % DEPTH_EVERY == 0:
                compared.append((number, "depth", book.depth(), plain.depth(product)))
                book.touch()  # looking is telling: let the feed tell it again
    return desk, compared, frames


def test_top_of_book_agrees_after_every_message(replay):
    _, compared, _ = replay
    tops = [row for row in compared if row[1] == "top"]
    assert len(tops) == 775
    assert [row for row in tops if row[2] != row[3]] == []


def test_depth_within_20_bps_agrees_in_whole_units(replay):
    _, compared, _ = replay
    depths = [row for row in compared if row[1] == "depth"]
    assert len(depths) > 10
    slack = Decimal("0.01")  # floats against decimals, and the quote rounds down
    far = [row for row in depths if any(not -slack < b - a < 1 + slack for a, b in zip(row[2], row[3], strict=True))]
    assert far == []


@pytest.mark.parametrize("product", PRODUCTS)
def test_quotes_never_cross_and_are_vouched_for_once_heartbeats_come(replay, product):
    desk, _, frames = replay
    quotes = desk.heard("risk", Quote, product)
    assert len(quotes) > 25
    assert [quote for quote in quotes if quote.bid >= quote.ask or quote.fresh_ns < quote.venue_ns] == []
    assert [quote.sequence for quote in quotes] == sorted(quote.sequence for quote in quotes)
    assert frames[-1][0] - quotes[-1].fresh_ns < 2_000_000_000
    assert quotes == desk.heard("portfolio", Quote, product)


@pytest.mark.parametrize("product", PRODUCTS)
def test_feed_is_live_throughout(replay, product):
    desk, _, _ = replay
    states = [state.status for state in desk.heard("risk", FeedState, product)]
    assert states[-1] is FeedStatus.LIVE
    assert states.count(FeedStatus.LIVE) == 1


@pytest.mark.parametrize("product", PRODUCTS)
def test_minute_we_came_in_at_comes_from_rest_and_the_next_from_its_trades(replay, product):
    desk, _, frames = replay
    trades = {}
    for _, raw in frames:
        frame = json.loads(raw)
        for event in frame["events"] if frame["channel"] == "market_trades" else ():
            trades |= {int(t["trade_id"]): t for t in event["trades"] if t["product_id"] == product}
    last_s = frames[-1][0] // 10**9 // MINUTE_S * MINUTE_S
    minute = [trades[i] for i in sorted(trades) if trades[i]["time"].startswith("2026-08-09T21:06:")]
    prices = [float(t["price"]) for t in minute]
    name, first_s = f"feed:{product}", last_s - MINUTE_S
    closed_ns = (last_s + MINUTE_S + 2) * 10**9
    desk.give(name, Wake(timer=core.CLOSE, due_ns=closed_ns), closed_ns)
    assert desk.heard("strategy:host", CandleClosed, product) == []
    (asked,) = [m for m in desk.said["gateway"] if m.product_id == product and m.start_s == first_s]
    assert (asked.granularity_s, asked.end_s) == (MINUTE_S, first_s)  # the minute we came in at
    told = Bar(start_s=first_s, open=1.0, high=3.0, low=1.0, close=2.0, volume=5.0)
    answer = CandlesListed(request_id=asked.request_id, product_id=product, granularity_s=MINUTE_S, bars=(told,))
    desk.give(name, answer, closed_ns)
    first, second = [candle.bar for candle in desk.heard("strategy:host", CandleClosed, product)]
    assert first == told
    assert len(minute) > 5
    assert (second.start_s, second.synthetic) == (last_s, False)
    assert (second.open, second.high, second.low, second.close) == (prices[0], max(prices), min(prices), prices[-1])
    assert second.volume == pytest.approx(sum(float(t["size"]) for t in minute))
