"""One recorded product's book: a fixed spread around the recorded price, and every print at exactly that price."""

from random import Random

from actors.venue.catalogue import Listing
from actors.venue.market import Matching
from actors.venue.synthetic_book import Side, base_lots, grid_ticks
from actors.venue.tape_play import TapeTick


class TapeMaker:
    """Shows a book around recorded prices and prints the recorded trades in it."""

    def __init__(self, listing: Listing, random: Random) -> None:
        self.listing = listing
        self._random = random
        self._bids, self._asks = Side(listing, -1), Side(listing, 1)
        self._tick = float(listing.price_increment)
        self._mid = 0

    def show(self, venue: Matching, price: int, now_ns: int, spread: int = 0) -> None:
        """Centre the book on `price` (ticks); `spread` in ticks where one is recorded."""
        self._centre(price, spread)
        venue.quote_market(self.listing.product_id, self._bids.quoted(), self._asks.quoted(), now_ns)

    def play(self, venue: Matching, tick: TapeTick, now_ns: int) -> None:
        """Do what was recorded: move the book, then let the taker trade at the recorded price.

        The maker of that trade is shown at the recorded price first, behind whoever already rests there.
        """
        if not tick.lots:
            self.show(venue, tick.price, now_ns, tick.spread)
            return
        self._centre(tick.price, tick.spread)
        price, size = self.listing.price_increment, self.listing.base_increment
        maker = (tick.price * price, tick.lots * size)
        bids, asks = self._bids.quoted(), self._asks.quoted()
        bids, asks = ([maker, *bids], asks) if tick.side == "SELL" else (bids, [maker, *asks])
        venue.quote_market(self.listing.product_id, bids, asks, now_ns)
        venue.market_order(self.listing.product_id, tick.side, maker[1], now_ns, maker[0])

    def lead(self, venue: Matching, price: int, now_ns: int) -> None:
        """Go to an operator's price with a small print there."""
        lots = max(int(200.0 / (price * self._tick) / float(self.listing.base_increment)), 1)
        self.play(venue, TapeTick(0.0, price, lots, "BUY" if price >= self._mid else "SELL"), now_ns)

    def refill(self, venue: Matching, seconds: float, now_ns: int) -> None:
        """Grow back what was eaten."""
        if self._bids.refill(seconds, self._random) | self._asks.refill(seconds, self._random):
            venue.quote_market(self.listing.product_id, self._bids.quoted(), self._asks.quoted(), now_ns)

    def _centre(self, price: int, spread: int) -> None:
        wide = spread or price * self.listing.spread_bps / 1e4
        half = max(round(wide / 2.0), 1)
        if price == self._mid and self._bids.levels and not spread:
            return
        self._mid = price
        grid = grid_ticks(self.listing, price * self._tick)
        base = base_lots(self.listing, price * self._tick, 2 * half * self._tick, grid)
        self._bids.reprice(max(price - half, 1), grid, base, self._random)
        self._asks.reprice(price + half, grid, base, self._random)
