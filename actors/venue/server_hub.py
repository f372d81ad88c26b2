"""Who listens to what, and the way from an event to its listeners."""

from collections.abc import Iterable

from actors.venue import server_frames as frames
from actors.venue.catalogue import book_of
from actors.venue.events import BookChanged, OrderChanged, Traded, VenueEvent
from actors.venue.exact import exact
from actors.venue.faults import CLOSE, DEEP, FaultPlan
from actors.venue.market import Market
from actors.venue.server_channels import BY_PRODUCT, HEARTBEATS, LEVEL2, STATUS, USER, Channels
from actors.venue.server_connection import CUT, Session
from actors.venue.server_data import MarketData
from actors.venue.server_frames import Frame

USER_BATCH = 50
MOST_LEVEL2 = 16
EVERYTHING = "*"
"""Stands for the product of a status subscription without products, and of heartbeats."""
DEADLINE_CODE = 1008
GOING_AWAY = 1001


class Hub:
    """All connections, and for each (channel, book) those that listen."""

    def __init__(self, data: MarketData, channels: Channels, faults: FaultPlan) -> None:
        self._data = data
        self._channels = channels
        self._faults = faults
        self._listeners: dict[tuple[str, str], dict[Session, None]] = {}
        self.connections: dict[Session, None] = {}
        self._beats = 0

    # -- listening -------------------------------------------------------------------------------------------------

    def listen(self, connection: Session, channel: str, names: Iterable[str]) -> None:
        """Add a connection to the listeners of products (user channel: of its user)."""
        for name in names:
            self._listeners.setdefault((channel, _key(channel, name)), {})[connection] = None

    def leave(self, connection: Session, channel: str, names: Iterable[str]) -> None:
        """Take it out; another product on the same book keeps it in."""
        kept = {_key(channel, name) for name in connection.subscribed.get(channel, ())}
        for key in {(channel, _key(channel, name)) for name in names if _key(channel, name) not in kept}:
            listeners = self._listeners.get(key, {})
            listeners.pop(connection, None)
            if not listeners:
                self._listeners.pop(key, None)

    def forget(self, connection: Session) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        for key in [key for key, listeners in self._listeners.items() if connection in listeners]:
            del self._listeners[key][connection]
            if not self._listeners[key]:
                del self._listeners[key]

    def listened_books(self) -> set[str]:
        """Books that some market channel listens to."""
        return {book for channel, book in self._listeners if channel in BY_PRODUCT}

    # -- telling ---------------------------------------------------------------------------------------------------

    def take(self, event: VenueEvent, market: Market) -> None:
        """Take an event of the exchange."""
        if isinstance(event, BookChanged):
            self._channels.book_changed(event)
        elif isinstance(event, Traded):
            market.observe(event)
            self._channels.traded(event)
        elif isinstance(event, OrderChanged):
            self._tell(USER, event.user, frames.user("update", event.at_ns, [event.channel]))

    @exact
    def cut(self, now_ns: int) -> None:
        """Send the market frames that are due."""
        for channel, book, frame in self._channels.cut(now_ns, set(self._listeners)):
            self._tell(channel, book, frame)
        if self._faults.entries():
            self._close_struck(now_ns)

    @exact
    def beat(self, now_ns: int, up_ns: int) -> None:
        """Once a second: heartbeats, and connections whose time is over."""
        self._beats += 1
        self._tell(HEARTBEATS, EVERYTHING, frames.heartbeat(now_ns, self._beats + 20_000, up_ns))
        for connection in [one for one in self.connections if one.expired(now_ns)]:
            connection.close(DEADLINE_CODE)
        for connection in [one for one in self.connections if one.stalled(now_ns)]:
            connection.close(CUT)

    def product_changed(self, product_id: str, now_ns: int) -> None:
        """A product's state changed."""
        frame = self._channels.status("update", [product_id], now_ns)
        for name in (product_id, EVERYTHING):
            self._tell(STATUS, name, frame)

    @exact
    def snapshots(self, channel: str, names: list[str], now_ns: int) -> list[Frame]:
        """What a new subscription gets before its updates."""
        if channel == USER:
            return self._user_snapshots(names[0], now_ns)
        if channel == STATUS:
            products = self._data.exchange.product_ids() if names == [EVERYTHING] else names
            return [self._channels.status("snapshot", products, now_ns)]
        if channel not in BY_PRODUCT:
            return []
        books = dict.fromkeys(map(book_of, names))
        deep = self._faults.strike(DEEP, books, now_ns).get("ws_deep") if channel == LEVEL2 else None
        extra = 0 if deep is None else int(deep.parameters.get("levels", 25_000))
        found = (self._channels.snapshot(channel, book, now_ns, extra_levels=extra) for book in books)
        return [frame for frame in found if frame is not None]

    def close_all(self) -> None:
        """The venue goes away."""
        for connection in list(self.connections):
            connection.close(GOING_AWAY)

    def _user_snapshots(self, user: str, now_ns: int) -> list[Frame]:
        orders = self._data.exchange.open_orders(user)
        starts = range(0, len(orders) + 1, USER_BATCH)
        return [frames.user("snapshot", now_ns, orders[start : start + USER_BATCH]) for start in starts]

    def _tell(self, channel: str, key: str, frame: Frame) -> None:
        for connection in self._listeners.get((channel, key), ()):
            connection.send(frame)

    def _close_struck(self, now_ns: int) -> None:
        for one in self._faults.active(CLOSE, now_ns):
            for connection in list(self.connections):
                early = connection.opened_ns <= one.began_ns or one.fault.for_s is not None
                if early and one.key not in connection.closed_by and one.fault.aims_at(_names(connection)):
                    connection.closed_by.add(one.key)
                    if self._faults.chance(one.fault):
                        connection.close(int(one.fault.parameters.get("code", GOING_AWAY)))


def _key(channel: str, name: str) -> str:
    return book_of(name) if channel in BY_PRODUCT else name


def _names(connection: Session) -> list[str]:
    return [*connection.subscribed, *([] if connection.user else ["market"])]
