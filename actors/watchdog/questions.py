"""What the watchdog asks of the venue, call by call, whoever carries the calls. Pure.

A question is a generator: it yields each call it needs, is sent the body of the answer or has `UnreachableError` thrown
into it, and returns what it found out. A call that got no answer is made again on the second connection.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from actors.watchdog.facts import Resting
from protocol.coinbase import border, queries
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.orders import (
    MAX_CANCEL_IDS,
    OPEN_STATUS,
    QUEUED_STATUSES,
    TERMINAL_STATUSES,
    CancelOrders,
    OrdersPage,
)
from protocol.coinbase.wire import BadWire, encode, format_rfc3339
from protocol.instants import DAY_NS, MINUTE_NS

CALL_S = 1.5
PAGE = 250
FIRST, SECOND = LINES = (0, 1)
_SLACK_S = 0.005

T = TypeVar("T")


class UnreachableError(Exception):
    """The venue did not answer, or not with what was asked for. Says which call and why.

    `status` is the HTTP status, 0 where nothing came back.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Ask(NamedTuple):
    """One call, on connection `line`."""

    endpoint: Endpoint
    query: str = ""
    body: bytes = b""
    line: int = FIRST


Question = Generator[Ask, bytes, T]


class Budget:
    """The kill lane's tokens. `clock_s`: seconds that never run backwards."""

    def __init__(self, clock_s: Callable[[], float], rate_per_s: float, burst: float) -> None:
        self._clock_s = clock_s
        self._rate, self._burst, self._tokens = rate_per_s, burst, burst
        self._at = clock_s()

    def wait_s(self) -> float:
        """Take a token: 0.0; or so long until there should be one."""
        now = self._clock_s()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self._rate + _SLACK_S
        self._tokens -= 1.0
        return 0.0


class Questions:
    """What one watchdog asks. `offset_ns`: the venue's clock minus ours, as last measured, for who signs."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        """`clock_ns`: UTC nanoseconds."""
        self._clock_ns = clock_ns
        self.offset_ns = 0

    def measure_clock(self) -> Question[None]:
        """Take the venue's clock over, and keep both connections warm. Raises UnreachableError."""
        for line in LINES:
            before = self._clock_ns()
            body = yield Ask(Endpoint.TIME, line=line)
            try:
                self.offset_ns = border.decode_time_ms(body) * 1_000_000 - (before + self._clock_ns()) // 2
            except BadWire as exc:
                raise UnreachableError(f"time: {exc}") from exc

    def complete_list(self, oldest_ns: int | None = None) -> Question[tuple[Resting, ...]]:
        """Every order that may still fill: all pages of OPEN, and of the states before and after it.

        Where the venue refuses the second question, all statuses from 10 minutes before `oldest_ns`, the birth of the
        oldest order not known terminal (None: nobody knows, then a day back).

        Raises UnreachableError: any page of it failed; half a list is none.
        """
        found = yield from self._read(queries.OrdersQuery(order_status=(OPEN_STATUS,), limit=PAGE))
        try:
            found |= yield from self._read(queries.OrdersQuery(order_status=QUEUED_STATUSES, limit=PAGE))
        except UnreachableError as error:
            if error.status != 400:
                raise
            since_ns = (self._clock_ns() - DAY_NS if oldest_ns is None else oldest_ns) - 10 * MINUTE_NS
            found |= yield from self._read(queries.OrdersQuery(start_date=format_rfc3339(since_ns), limit=PAGE))
        return tuple(found.values())

    def cancel(self, batch: tuple[str, ...]) -> Question[None]:
        """Ask for these, at most `MAX_CANCEL_IDS`, to be cancelled. Only a list says whether they were.

        Raises UnreachableError: it was not answered.
        """
        yield from self._call(Ask(Endpoint.CANCEL_ORDERS, body=encode(CancelOrders(order_ids=batch))))

    def _read(self, asked: queries.OrdersQuery) -> Question[dict[str, Resting]]:
        """All pages; what has ended is left out, every other status may still fill."""
        found: dict[str, Resting] = {}
        cursor = ""
        while True:
            page = yield from self._page(replace(asked, cursor=cursor))
            for order in page.orders:
                if order.status not in TERMINAL_STATUSES:
                    coid = order.client_order_id or ""
                    found[order.order_id] = Resting(client_order_id=coid, venue_order_id=order.order_id)
            if not (page.has_next and page.cursor):
                return found
            if page.cursor == cursor:
                raise UnreachableError("orders: a page that points to itself")
            cursor = page.cursor

    def _page(self, asked: queries.OrdersQuery) -> Question[OrdersPage]:
        body = yield from self._call(Ask(Endpoint.ORDERS, query=queries.encode_query(asked)))
        try:
            return border.decode_orders(body)
        except BadWire as exc:
            raise UnreachableError(f"orders: {exc}") from exc

    def _call(self, ask: Ask) -> Question[bytes]:
        try:
            return (yield ask)
        except UnreachableError as error:
            if error.status == 401:  # the clocks may have moved apart: the next try signs by the venue's
                yield from self.measure_clock()
            elif error.status:
                raise
        return (yield ask._replace(line=SECOND))


def batches(venue_order_ids: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What one cancel request may hold each."""
    return [venue_order_ids[at : at + MAX_CANCEL_IDS] for at in range(0, len(venue_order_ids), MAX_CANCEL_IDS)]
