"""Matching: who trades with whom, at which price, and what that does to orders and money."""

from collections.abc import Mapping
from decimal import Decimal

from actors.venue.book import BUY, OPPOSITE, SELL, Head, crosses
from actors.venue.configurations import BRACKET, FOK, IOC
from actors.venue.events import Traded
from actors.venue.lag import draw_id, draw_ns
from actors.venue.orders import (
    CANCELLED,
    FAILED,
    FILLED,
    STOP_TRIGGERED,
    Fill,
    Order,
    stop_out_price,
)
from actors.venue.state import Floor, State

MAKER, TAKER = "MAKER", "TAKER"
USD_LIKE = frozenset({"USD", "USDC"})
"""Quotes whose trades count towards the fee tier."""


class Stranger:
    """An anonymous aggressor: the market itself."""

    __slots__ = ("limit_price", "side", "size", "user")

    def __init__(self, side: str, size: Decimal, limit_price: Decimal | None) -> None:
        self.user = ""
        self.side = side
        self.size = size
        self.limit_price = limit_price

    def wants(self, price: Decimal) -> Decimal:  # noqa: ARG002 - same question as to an order, whose answer depends on it
        """Base it would still take."""
        return self.size


Taker = Stranger | Order


class Matcher:
    """Price-time priority over one queue of users' and market's liquidity.

    Self-trade prevention is *cancel newest*: an incoming order that meets a resting order of its own user trades
    up to it and is then cancelled; the resting order stays.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def market_order(self, floor: Floor, taker: Stranger) -> list[Traded]:
        """An anonymous aggressor takes what it can; nothing of it rests. In an auction nothing trades."""
        return [] if floor.auction else self._sweep(floor, taker)

    def quote(
        self, floor: Floor, bids: Mapping[Decimal, Decimal], asks: Mapping[Decimal, Decimal], *, complete: bool
    ) -> list[Traded]:
        """Bring the market's liquidity to the sizes given; new liquidity trades with users it crosses, then rests."""
        for side, targets in ((BUY, bids), (SELL, asks)):
            self._shrink(floor, side, targets, complete=complete)
        self._pull_crossed(floor, BUY, asks)
        self._pull_crossed(floor, SELL, bids)
        return self._grow(floor, BUY, bids) + self._grow(floor, SELL, asks)

    def enter(self, order: Order) -> None:
        """Bring an order to the book: trade what crosses, then rest, fill or end."""
        floor = self._state.floor(order.product.product_id)
        immediate = order.terms.time_in_force in {IOC, FOK}
        if floor.auction:
            return self.finish(order, CANCELLED, "book in auction") if immediate else self._rest(floor, order)
        if order.terms.post_only and self._next(floor, order) is not None:
            order.reject_message = "INVALID_LIMIT_PRICE_POST_ONLY"
            return self.finish(order, FAILED)
        if order.terms.time_in_force == FOK and not self._fillable(floor, order):
            return self.finish(order, CANCELLED, "fill-or-kill could not be filled")
        traded = self._sweep(floor, order)
        return self._conclude(floor, order, traded=bool(traded), immediate=immediate)

    def fire_stops(self, floor: Floor) -> None:
        """Send every order whose trigger the last trade reached to the book, and those that this triggers."""
        while not floor.auction and floor.tape.last is not None:
            order = floor.stops.pop_due(floor.tape.last)
            if order is None:
                return
            self._trigger(floor, order)

    def uncross(self, floor: Floor) -> None:
        """After an auction: the younger of two crossing orders becomes the aggressor, until nothing crosses."""
        book, orders = floor.book, self._state.orders
        while (bid := book.head(BUY)) and (ask := book.head(SELL)) and bid.price >= ask.price:
            users = [order for head in (bid, ask) if head.order_id and (order := orders.get(head.order_id))]
            if not users:
                book.thin_market(BUY, bid.price, Decimal(0))
                continue
            youngest = max(users, key=lambda order: order.seq)
            book.remove(youngest.order_id)
            self.enter(youngest)

    def rest_again(self, order: Order) -> None:
        """Rest an order that rested before a restart, behind what is shown at its price.

        Market liquidity that crosses it trades with it at the order's price: it is the market that came later.
        """
        floor = self._state.floor(order.product.product_id)
        other = OPPOSITE[order.side]
        size = Decimal(0)
        if not floor.auction:
            for price in floor.book.market_prices(other):
                if crosses(order.side, order.limit_price, price):
                    size += floor.book.market_size(other, price)
                    floor.book.thin_market(other, price, Decimal(0))
        self._rest(floor, order)
        if size > 0:
            self._sweep(floor, Stranger(other, size, order.limit_price))

    def finish(self, order: Order, status: str, message: str = "") -> None:
        """End an order: off the book, nothing held, told to its user."""
        state, floor = self._state, self._state.floor(order.product.product_id)
        floor.book.remove(order.order_id)
        floor.stops.remove(order)
        order.status = status
        order.cancel_message = message
        order.updated_ns = state.now_ns
        if status == FILLED and state.unpleasantness.repeat_filled:
            state.publish(order, hold=order.hold_before)
        self.set_hold(order, Decimal(0))
        state.orders.retire(order, state.rules.kept_orders)
        state.publish(order)

    def set_hold(self, order: Order, amount: Decimal) -> None:
        """Hold exactly `amount` for the order; the difference moves from or to what its user has available."""
        if amount != order.hold:
            change = amount - order.hold
            self._state.ledger.hold(order.user, order.hold_currency, change, self._state.now_ns)
            order.hold = amount

    # -- liquidity of the market ---------------------------------------------------------------------------------

    def _shrink(self, floor: Floor, side: str, targets: Mapping[Decimal, Decimal], *, complete: bool) -> None:
        book = floor.book
        if complete:
            for price in book.market_prices(side).difference(targets):
                book.thin_market(side, price, Decimal(0))
        for price, target in targets.items():
            if target < book.market_size(side, price):
                book.thin_market(side, price, target)

    def _pull_crossed(self, floor: Floor, side: str, opposite: Mapping[Decimal, Decimal]) -> None:
        """Market liquidity on `side` that new market liquidity opposite would cross gives way without a trade."""
        live = [price for price, size in opposite.items() if size > 0]
        best = floor.book.best(side)
        if not live or best is None:
            return
        limit = min(live) if side == BUY else max(live)
        if crosses(OPPOSITE[side], limit, best):
            for price in floor.book.market_prices(side):
                if crosses(OPPOSITE[side], limit, price):
                    floor.book.thin_market(side, price, Decimal(0))

    def _grow(self, floor: Floor, side: str, targets: Mapping[Decimal, Decimal]) -> list[Traded]:
        trades: list[Traded] = []
        for price, target in targets.items():
            stranger = Stranger(side, target - floor.book.market_size(side, price), price)
            if stranger.size > 0 and not floor.auction:
                trades += self._sweep(floor, stranger)
            if stranger.size > 0:
                floor.book.grow_market(side, price, stranger.size)
        return trades

    # -- one aggressor ---------------------------------------------------------------------------------------------

    def _sweep(self, floor: Floor, taker: Taker) -> list[Traded]:
        trades = []
        while (head := self._next(floor, taker)) is not None and not self._own(head, taker):
            trades.append(self._trade(floor, taker, head))
        return trades

    def _next(self, floor: Floor, taker: Taker) -> Head | None:
        head = floor.book.head(OPPOSITE[taker.side])
        if head is None or not crosses(taker.side, taker.limit_price, head.price):
            return None
        return head if taker.wants(head.price) > 0 else None

    def _own(self, head: Head, taker: Taker) -> bool:
        maker = self._state.orders.get(head.order_id) if head.order_id else None
        return maker is not None and maker.user == taker.user

    def _trade(self, floor: Floor, taker: Taker, head: Head) -> Traded:
        state, maker_side = self._state, OPPOSITE[taker.side]
        size = min(taker.wants(head.price), head.size)
        floor.book.take(maker_side, head, size)
        trade = floor.tape.record(state.now_ns, head.price, size, maker_side)
        state.events.append(trade)
        if isinstance(taker, Order):
            self._settle(taker, trade, TAKER)
        else:
            taker.size -= size
        maker = state.orders.get(head.order_id) if head.order_id else None
        if maker is not None:
            self._settle(maker, trade, MAKER)
            self._conclude_maker(maker)
        return trade

    def _conclude_maker(self, maker: Order) -> None:
        if maker.leaves() == 0:
            self.finish(maker, FILLED)
        else:
            self._state.publish(maker)

    def _conclude(self, floor: Floor, order: Order, *, traded: bool, immediate: bool) -> None:
        if self._complete(floor, order):
            self.finish(order, FILLED)
        elif self._next(floor, order) is not None:
            self.finish(order, CANCELLED, "self-trade prevention")
        elif immediate:
            self.finish(order, CANCELLED, "remainder of an immediate order")
        else:
            self._rest(floor, order)
            if traded:
                self._state.publish(order)

    def _complete(self, floor: Floor, order: Order) -> bool:
        """Nothing left to fill; an order sized in quote is complete when its rest affords no further increment."""
        if order.base_size is not None:
            return order.leaves() == 0
        head = floor.book.head(OPPOSITE[order.side])
        price = head.price if head else floor.tape.last
        return order.filled_size > 0 and price is not None and order.wants(price) == 0

    def _rest(self, floor: Floor, order: Order) -> None:
        assert order.limit_price is not None  # market orders are immediate
        floor.book.rest(order.side, order.limit_price, order.leaves(), order.order_id)

    def _fillable(self, floor: Floor, order: Order) -> bool:
        missing = order.leaves()
        for head in floor.book.queued(OPPOSITE[order.side]):
            if missing <= 0 or not crosses(order.side, order.limit_price, head.price) or self._own(head, order):
                break
            missing -= head.size
        return missing <= 0

    def _trigger(self, floor: Floor, order: Order) -> None:
        order.trigger_status = STOP_TRIGGERED
        order.updated_ns = self._state.now_ns
        if order.terms.order_type == BRACKET:
            floor.book.remove(order.order_id)
            order.limit_price = stop_out_price(order.product, order.side, order.terms)
            self.set_hold(order, order.hold_needed())
        self._state.publish(order)
        self.enter(order)

    # -- money -----------------------------------------------------------------------------------------------------

    def _settle(self, order: Order, trade: Traded, liquidity: str) -> None:
        state = self._state
        value = trade.price * trade.size
        fee = value * (order.maker_rate if liquidity == MAKER else order.taker_rate)
        self._move_money(order, trade.size, value, fee)
        order.hold_before = order.hold
        order.hold -= value + fee if order.side == BUY else trade.size
        order.filled_size += trade.size
        order.filled_value += value
        order.fees += fee
        order.fill_count += 1
        order.last_fill_ns = order.updated_ns = state.now_ns
        self.set_hold(order, order.hold_needed())
        if order.product.quote in USD_LIKE:
            state.users[order.user].volume.add(state.now_ns, value, fee)
        state.orders.add_fill(self._fill(order, trade, fee, liquidity))

    def _move_money(self, order: Order, size: Decimal, value: Decimal, fee: Decimal) -> None:
        ledger, now_ns = self._state.ledger, self._state.now_ns
        base, quote = order.product.base, order.product.quote
        if order.side == BUY:
            ledger.pay_market(order.user, quote, value + fee, now_ns)
            ledger.pay_user(order.user, base, size, now_ns)
        else:
            ledger.pay_market(order.user, base, size, now_ns)
            ledger.pay_user(order.user, quote, value - fee, now_ns)
        ledger.collect_fee(quote, fee)

    def _fill(self, order: Order, trade: Traded, fee: Decimal, liquidity: str) -> Fill:
        state = self._state
        return Fill(
            seq=state.orders.next_fill(),
            entry_id=f"{state.rng.getrandbits(256):064x}",
            trade_id=draw_id(state.rng),
            order=order,
            at_ns=state.now_ns,
            visible_ns=state.now_ns + draw_ns(state.rng, state.unpleasantness.fill_ms),
            price=trade.price,
            size=trade.size,
            commission=fee,
            liquidity=liquidity,
        )
