"""What holds for every course of events at the embedded exchange."""

from decimal import Context, Decimal, localcontext
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.venue.core import Exchange
from actors.venue.events import AccountChanged, BookChanged, OrderChanged, Traded
from actors.venue.instants import rfc3339
from actors.venue.lag import Unpleasantness, calm
from actors.venue.orders import TERMINAL
from actors.venue.requests import EditRequest, FillQuery, OrderQuery, PlaceRequest
from tests.support.trading_floor import BTC, MS_NS, SECOND_NS, START_NS, d, product

USERS = ("ann", "bob")
OPENING = {"USD": d(2_000), "USDC": d(500), "BTC": d(12)}
NEXT = {
    "PENDING": {"PENDING", "OPEN", "CANCEL_QUEUED", "FAILED", "EXPIRED"},
    "OPEN": {"OPEN", "FILLED", "CANCEL_QUEUED", "CANCELLED", "EXPIRED", "FAILED"},
    "CANCEL_QUEUED": {"CANCEL_QUEUED", "FILLED", "CANCELLED", "EXPIRED", "FAILED"},
    "FILLED": {"FILLED"},  # told twice
    "CANCELLED": set(),
    "EXPIRED": set(),
    "FAILED": set(),
}

prices = st.integers(1900, 2100).map(lambda steps: d(steps) * d("0.05"))
sizes = st.integers(10, 4000).map(lambda lots: d(lots) * d("0.001"))
sides = st.sampled_from(["BUY", "SELL"])
users = st.sampled_from(USERS)
kinds = st.sampled_from(["market", "quote", "ioc", "gtc", "post", "gtd", "fok", "stop", "bracket"])
ladders = st.tuples(
    st.integers(1950, 2050),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
)


def configuration(kind, side, size, price, now_ns):
    base, limit = {"base_size": str(size)}, {"limit_price": str(price)}
    down, up = "STOP_DIRECTION_STOP_DOWN", "STOP_DIRECTION_STOP_UP"
    sign = 1 if side == "BUY" else -1
    return {
        "market": {"market_market_ioc": base},
        "quote": {"market_market_ioc": {"quote_size": str((size * price).quantize(d("0.01")))}},
        "ioc": {"sor_limit_ioc": base | limit},
        "gtc": {"limit_limit_gtc": base | limit},
        "post": {"limit_limit_gtc": base | limit | {"post_only": True}},
        "gtd": {"limit_limit_gtd": base | limit | {"end_time": rfc3339(now_ns + SECOND_NS)}},
        "fok": {"limit_limit_fok": base | limit},
        "stop": {
            "stop_limit_stop_limit_gtc": base
            | {"limit_price": str(price + sign), "stop_price": str(price)}
            | {"stop_direction": up if side == "BUY" else down}
        },
        "bracket": {
            "trigger_bracket_gtc": base
            | {"limit_price": str(price - sign), "stop_trigger_price": str(price + 2 * sign)}
        },
    }[kind]


def ladder(shape):
    middle, bids, asks = shape
    tick = d("0.05")
    return (
        [((middle - step - 1) * tick, d(size)) for step, size in enumerate(bids)],
        [((middle + step + 1) * tick, d(size)) for step, size in enumerate(asks)],
    )


class Venue(RuleBasedStateMachine):
    """Two customers, the market driver and the clock do as they please."""

    @initialize(seed=st.integers(0, 2**16), unpleasant=st.booleans(), shape=ladders)
    def begin(self, seed, unpleasant, shape):
        self.now_ns = START_NS
        self.exchange = Exchange(
            [product(alias_to=("BTC-USDC",)), product("BTC-USDC", alias=BTC)],
            Random(seed),
            START_NS,
            unpleasantness=Unpleasantness() if unpleasant else calm(),
        )
        for user in USERS:
            self.exchange.open_user(user, START_NS, OPENING)
        self.auction = False
        self.placed = {user: [] for user in USERS}
        self.book = {"bid": {}, "ask": {}}
        self.wallets = {}
        self.walks = {}
        self.trade_id = 0
        self.exchange.quote_market(BTC, *ladder(shape), self.now_ns)
        self.exchange.market_order(BTC, "BUY", d("0.001"), self.now_ns)

    @rule(user=users, kind=kinds, side=sides, size=sizes, price=prices, alias=st.booleans())
    def place(self, user, kind, side, size, price, alias):
        request = PlaceRequest(
            client_order_id=f"{user}-{len(self.placed[user])}",
            product_id="BTC-USDC" if alias else BTC,
            side=side,
            order_configuration=configuration(kind, side, size, price, self.now_ns),
        )
        answer = self.exchange.place(user, request, self.now_ns)
        if answer.success:
            self.placed[user].append((request, answer))

    @precondition(lambda self: any(self.placed.values()))
    @rule(user=users, pick=st.integers(0, 50))
    def place_again(self, user, pick):
        if not self.placed[user]:
            return
        request, answer = self.placed[user][pick % len(self.placed[user])]
        assert self.exchange.place(user, request, self.now_ns) == answer

    @rule(user=users, pick=st.integers(0, 50))
    def cancel(self, user, pick):
        ids = [answer.success_response.order_id for _, answer in self.placed[user]]
        self.exchange.cancel(user, ids[-1 - pick :][:2], self.now_ns)

    @rule(user=users, pick=st.integers(0, 50), size=sizes, price=prices)
    def edit(self, user, pick, size, price):
        ids = [answer.success_response.order_id for _, answer in self.placed[user]]
        for order_id in ids[-1 - pick :][:1]:
            request = EditRequest(order_id=order_id, price=str(price), size=str(size))
            self.exchange.edit(user, request, self.now_ns)

    @rule(shape=ladders, complete=st.booleans())
    def quote(self, shape, complete):
        self.exchange.quote_market(BTC, *ladder(shape), self.now_ns, complete=complete)

    @rule(side=sides, size=sizes, price=st.none() | prices)
    def aggress(self, side, size, price):
        self.exchange.market_order(BTC, side, size, self.now_ns, price)

    @rule(ms=st.sampled_from([1, 10, 100, 500, 3000]))
    def wait(self, ms):
        self.now_ns += ms * MS_NS
        self.exchange.advance(self.now_ns)
        due_ns = self.exchange.next_due_ns()
        assert due_ns is None or due_ns > self.now_ns

    @rule()
    def toggle_auction(self):
        self.auction = not self.auction
        self.exchange.set_product(BTC, self.now_ns, auction_mode=self.auction)

    @invariant()
    def events_tell_the_whole_story(self):
        for event in self.exchange.drain():
            if isinstance(event, BookChanged):
                for side, levels in (("bid", event.bids), ("ask", event.asks)):
                    self.book[side].update(levels)
            elif isinstance(event, AccountChanged):
                self.wallets[event.user, event.account.currency] = event.account
            elif isinstance(event, Traded):
                assert event.trade_id == self.trade_id + 1
                assert event.size > 0
                self.trade_id = event.trade_id
            else:
                self.follow(event)
        bids, asks = self.exchange.book(BTC)
        assert {price: size for price, size in self.book["bid"].items() if size} == dict(bids)
        assert {price: size for price, size in self.book["ask"].items() if size} == dict(asks)
        for user in USERS:
            for account in self.exchange.accounts(user).accounts:
                assert self.wallets[user, account.currency] == account

    def follow(self, event: OrderChanged):
        order = event.order
        before = self.walks.get(order.order_id)
        if before is not None:
            assert order.status in NEXT[before.status]
            assert d(order.filled_size) >= d(before.filled_size)
            assert d(order.total_fees) >= d(before.total_fees)
        self.walks[order.order_id] = order

    @invariant()
    def money_is_conserved(self):
        with localcontext(Context(prec=80)):
            for parts in self.exchange.trial_balance().values():
                assert sum(parts) == 0
                assert parts.fees >= 0

    @invariant()
    def balances_are_opening_plus_fills_and_hold_what_live_orders_need(self):
        with localcontext(Context(prec=80)):
            for user in USERS:
                held = {}
                for order in self.orders(user):
                    currency = order.product_id.split("-")[1 if order.side == "BUY" else 0]
                    held[currency] = held.get(currency, d(0)) + d(order.outstanding_hold_amount)
                    self.check(order)
                for account in self.exchange.accounts(user).accounts:
                    assert d(account.available_balance.value) >= 0
                    assert d(account.hold.value) == held.get(account.currency, 0)

    def orders(self, user):
        ids = [answer.success_response.order_id for _, answer in self.placed[user]]
        return [self.exchange.order(user, order_id, self.now_ns) for order_id in ids]

    def check(self, order):
        (members,) = order.order_configuration.values()
        if "base_size" in members:
            assert d(order.filled_size) <= d(members["base_size"])
        elif order.order_type == "MARKET":
            assert d(order.total_value_after_fees) <= d(members["quote_size"])
        if order.status in TERMINAL:
            assert order.outstanding_hold_amount == "0"
        if order.status == "FILLED" and "base_size" in members:
            assert d(order.filled_size) == d(members["base_size"])

    @invariant()
    def the_book_is_not_crossed(self):
        bids, asks = self.exchange.book(BTC, 1)
        if bids and asks and not self.auction:
            assert bids[0][0] < asks[0][0]

    def teardown(self):
        if not hasattr(self, "exchange"):
            return
        self.now_ns += 10 * SECOND_NS  # nothing lags any more
        with localcontext(Context(prec=80)):
            for user in USERS:
                self.replay(user)

    def replay(self, user):
        """Opening money and the fills list alone explain the balances; the order list shows every order once."""
        money = dict(OPENING)
        fills = self.exchange.list_fills(user, FillQuery(limit=1000), self.now_ns).fills
        by_order = {}
        for fill in fills:
            price, base = d(fill.price), d(fill.size)
            if fill.size_in_quote:
                base = (base / price).quantize(d("0.001"))
            quote = fill.product_id.split("-")[1]
            sign = 1 if fill.side == "BUY" else -1
            money["BTC"] += sign * base
            money[quote] -= sign * price * base + d(fill.commission)
            by_order[fill.order_id] = by_order.get(fill.order_id, d(0)) + base
        listed = self.exchange.list_orders(user, OrderQuery(limit=1000), self.now_ns).orders
        assert {order.order_id: d(order.filled_size) for order in listed if d(order.filled_size)} == by_order
        assert len(listed) == len({order.order_id for order in listed}) == len(self.placed[user])
        for account in self.exchange.accounts(user).accounts:
            assert d(account.available_balance.value) + d(account.hold.value) == money[account.currency]


Venue.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestVenue = Venue.TestCase


@settings(max_examples=60, deadline=None)
@given(
    side=sides,
    orders=st.lists(st.tuples(st.integers(0, 3), sizes), min_size=2, max_size=8),
    takes=st.lists(sizes, min_size=1, max_size=6),
    shown=st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_price_then_time_decides_who_is_filled(side, orders, takes, shown):
    exchange = Exchange([product(quote_min_size=d("0.1"))], Random(1), START_NS, unpleasantness=calm())
    exchange.open_user("ann", START_NS, {"USD": d(1_000_000), "BTC": d(1_000)})
    sign = -1 if side == "BUY" else 1
    prices_by_rank = [d(100) + sign * rank * d("0.05") for rank in range(4)]
    market = list(zip(prices_by_rank, map(d, shown), strict=True))
    exchange.quote_market(BTC, *((market, []) if side == "BUY" else ([], market)), START_NS)
    queue = []
    for number, (rank, size) in enumerate(orders):
        request = PlaceRequest(
            client_order_id=str(number),
            product_id=BTC,
            side=side,
            order_configuration={"limit_limit_gtc": {"base_size": str(size), "limit_price": str(prices_by_rank[rank])}},
        )
        queue.append((rank, number, exchange.place("ann", request, START_NS).success_response.order_id))
    for size in takes:
        exchange.market_order(BTC, "SELL" if side == "BUY" else "BUY", size, START_NS)
    views = [exchange.order("ann", order_id, START_NS) for _, _, order_id in sorted(queue)]
    # Sorted by price and time: complete ones first, then at most one partial, then untouched ones.
    done = [
        Decimal(view.filled_size) / Decimal(view.order_configuration["limit_limit_gtc"]["base_size"]) for view in views
    ]
    assert done == sorted(done, reverse=True)
    assert len([share for share in done if 0 < share < 1]) <= 1
    expected = 0
    for rank, _, order_id in sorted(queue):
        ahead = sum(shown[: rank + 1]) + expected
        view = exchange.order("ann", order_id, START_NS)
        size = Decimal(view.order_configuration["limit_limit_gtc"]["base_size"])
        assert Decimal(view.filled_size) == max(Decimal(0), min(size, sum(takes) - ahead))
        expected += size


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_calls_and_seed_give_the_same_events(seed):
    def run():
        rng = Random(seed)
        machine = Venue()
        machine.begin(seed, True, (2000, [3] * 5, [3] * 5))
        events = []
        for _ in range(60):
            kind = rng.choice(["market", "ioc", "gtc", "gtd", "post"])
            price = d(rng.randrange(1980, 2020)) * d("0.05")
            machine.place(rng.choice(USERS), kind, rng.choice(["BUY", "SELL"]), d("0.5"), price, rng.random() < 0.3)
            machine.aggress(rng.choice(["BUY", "SELL"]), d(1), None)
            machine.cancel(rng.choice(USERS), rng.randrange(5))
            machine.now_ns += rng.randrange(100) * MS_NS
            events += machine.exchange.drain()
        return events

    first = run()
    assert len(first) > 100
    assert first == run()
