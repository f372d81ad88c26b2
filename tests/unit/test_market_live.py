"""A synthetic market as it goes on: fills, books, volume, operator's paths, halts, pace."""

from decimal import Decimal
from random import Random
from time import process_time

import pytest

from actors.venue.catalogue import LISTINGS, specs
from actors.venue.core import Exchange
from actors.venue.events import Traded
from actors.venue.requests import PlaceRequest
from actors.venue.synthetic import SyntheticMarket
from actors.venue.synthetic_plant import scenario_of

NS = 10**9
START_NS = 1_790_001_234 * NS
HOT = [listing.product_id for listing in LISTINGS.values() if listing.tier <= 2]


class Running:
    """A market on a real exchange that somebody watches."""

    def __init__(self, seed: int, watched: list[str] = HOT) -> None:
        self.seed = seed
        self.now_ns = START_NS
        self.engine = Exchange(specs(LISTINGS.values()), Random(seed), self.now_ns)
        self.engine.open_user("u", self.now_ns, {"USD": Decimal(1_000_000)})
        self.market = SyntheticMarket(self.engine, seed, self.now_ns)
        self.market.watch(watched)
        self.prints: list[Traded] = []

    def tenth(self) -> None:
        self.now_ns += NS // 10
        self.engine.advance(self.now_ns)
        self.market.advance(self.now_ns)
        for event in self.engine.drain():
            if isinstance(event, Traded):
                self.market.observe(event)
                self.prints.append(event)

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.tenth()

    def bid(self, product: str, price: Decimal) -> str:
        """Rest a post-only bid of about 100 USD; its order id."""
        size = (Decimal(100) / price).quantize(LISTINGS[product].base_increment)
        terms = {"base_size": str(size), "limit_price": str(price), "post_only": True}
        request = PlaceRequest(
            client_order_id=f"{product}-{self.now_ns}",
            product_id=product,
            side="BUY",
            order_configuration={"limit_limit_gtc": terms},
        )
        answer = self.engine.place("u", request, self.now_ns)
        assert answer.success, answer
        return answer.success_response.order_id

    def filled(self, order_id: str) -> bool:
        return self.engine.order("u", order_id, self.now_ns).status == "FILLED"


def filled_share(seeds: range, rounds: int) -> float:
    """Of post-only bids one tick below the best in planted coins: the share filled within twenty seconds."""
    outcomes = []
    for seed in seeds:
        planted = list(scenario_of(seed).planted)
        running = Running(seed, planted)
        for _ in range(rounds):
            best = {product: running.engine.book(product, 1)[0][0][0] for product in planted}
            orders = [running.bid(name, price - LISTINGS[name].price_increment) for name, price in best.items()]
            running.run(20)
            outcomes += [running.filled(order) for order in orders]
    return sum(outcomes) / len(outcomes)


def test_bids_a_tick_below_the_best_mostly_fill_within_twenty_seconds_in_planted_coins():
    assert filled_share(range(1, 5), 1) >= 0.7  # sixteen bids: the exact share is for the longer test


@pytest.mark.slow
def test_bids_a_tick_below_the_best_fill_within_twenty_seconds_for_every_seed():
    assert filled_share(range(1, 21), 3) >= 0.8


def test_books_stay_deep_tight_and_uncrossed_while_watched():
    running = Running(7)
    for _ in range(40):
        running.run(0.5)
        for product in HOT:
            bids, asks = running.engine.book(product)
            mid = float(bids[0][0] + asks[0][0]) / 2
            depth = sum(float(p * s) for p, s in (*bids, *asks) if abs(float(p) / mid - 1) <= 0.002)
            assert bids[0][0] < asks[0][0]
            assert min(len(bids), len(asks)) >= 25
            assert depth >= 25_000, (product, depth)
            assert float(asks[0][0] - bids[0][0]) / mid * 1e4 <= 35, product


def test_eaten_depth_comes_back():
    running = Running(3)
    bids, _ = running.engine.book("XRP-USD")
    eaten = sum(size for _, size in bids[:20])
    running.engine.market_order("XRP-USD", "SELL", eaten, running.now_ns)
    running.run(10)
    assert sum(size for _, size in running.engine.book("XRP-USD")[0]) > eaten


def test_live_volume_is_that_of_the_listing():
    running = Running(11)
    running.run(30)
    for product in ("BTC-USD", "ETH-USD", "SOL-USD"):
        usd = sum(float(p.price * p.size) for p in running.prints if p.product_id == product)
        assert 0.2 <= usd * 2880 / LISTINGS[product].daily_volume_usd <= 5, (product, usd)


def test_the_same_seed_makes_the_same_prints_again():
    first, second = Running(5), Running(5)
    first.run(10)
    second.run(10)
    assert first.prints == second.prints
    assert first.prints


def test_an_alias_reads_its_books_market():
    running = Running(1)
    running.run(2)
    assert running.market.recent_trades("BTC-USDC", 5) == running.market.recent_trades("BTC-USD", 5)
    assert running.market.last_price("BTC-USDC") == running.market.last_price("BTC-USD")


def test_recent_trades_reach_back_before_the_start_in_order_of_time():
    running = Running(1)
    running.run(3)
    trades = running.market.recent_trades("SOL-USD", 200)
    assert len(trades) == 200
    assert [t.at_ns for t in trades] == sorted((t.at_ns for t in trades), reverse=True)
    assert len({t.trade_id for t in trades}) == 200


def test_an_operators_path_leads_prices_and_fills_what_rests_on_its_way():
    running = Running(2)
    price = running.market.last_price("ETH-USD")
    order = running.bid("ETH-USD", (price * Decimal("0.95")).quantize(Decimal("0.01")))
    running.market.set_path("ETH-USD", [(3.0, price * Decimal("0.94"))])
    running.run(4)
    assert running.filled(order)
    assert running.market.last_price("ETH-USD") < price * Decimal("0.945")


@pytest.mark.parametrize("points", [[], [(1.0, Decimal(0))], [(2.0, Decimal(1)), (1.0, Decimal(1))]])
def test_a_bad_path_is_refused(points):
    running = Running(2)
    with pytest.raises(ValueError, match="path"):
        running.market.set_path("ETH-USD", points)


def test_a_halted_product_stands_still_until_it_is_resumed():
    running = Running(4)
    running.run(2)
    running.market.halt("SOL-USD", True)
    book, seen = running.engine.book("SOL-USD"), len(running.prints)
    running.run(5)
    assert running.engine.book("SOL-USD") == book
    assert not [p for p in running.prints[seen:] if p.product_id == "SOL-USD"]
    running.market.halt("SOL-USD", False)
    running.run(5)
    assert running.engine.book("SOL-USD") != book


def test_ten_refreshes_a_second_of_fourteen_products_cost_little():
    running = Running(9)
    spent = 0.0
    for _ in range(100):
        running.now_ns += NS // 10
        before = process_time()
        running.market.advance(running.now_ns)
        spent += process_time() - before
        running.engine.drain()
    assert spent / 10 < 0.15, spent


def test_a_market_with_ten_days_of_history_opens_quickly():
    before = process_time()
    running = Running(1)
    assert process_time() - before < 1.5
    assert len(running.market.history("BTC-USD", 3600, 0, running.now_ns // NS)) >= 240
