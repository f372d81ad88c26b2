"""The embedded venue inside the kernel: the server's exchange, routes, channels and faults in virtual time.

Two edges take the place of the gateway's HTTP session and the streams' sockets. What they carry travels with a latency
drawn from the seed, meets the same fault plan as on loopback, and is answered by the same handlers; only tokens of REST
calls are left out, for nobody listens in here. The venue goes on when the desk dies (`cut_off`): what was under way to
it still arrives, what was under way back reaches nobody.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from urllib.parse import parse_qsl

import msgspec
from multidict import MultiDict

from actors.runtime.role import Port
from actors.runtime.stream import CloseSocket, OpenSocket, SendSubscribe, TakeFrames
from actors.venue import http_app, http_faults, sockets
from actors.venue.catalogue import LISTINGS, specs
from actors.venue.core import Exchange
from actors.venue.faults import REFUSE, REST, Fault
from actors.venue.http_calls import Answer
from actors.venue.instants import MILLISECOND_NS, SECOND_NS
from actors.venue.lag import Unpleasantness
from actors.venue.market import Market
from actors.venue.server_connection import CUT, Session
from actors.venue.server_venue import Credential, Venue
from actors.venue.synthetic import SyntheticMarket
from actors.venue.synthetic_plant import Past, make_past
from protocol.base import Effect
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import VerifyingKey
from protocol.coinbase.websocket import Subscribe, Unsubscribe
from protocol.coinbase.wire import encode
from protocol.feed import FramesArrived, SocketClosed, SocketOpened
from protocol.transport import CallAnswered, CallBroken, HttpCall, SignWith

USER = "main"
ADDRESS = "kernel"
BATCH_FRAMES = 32
MOST_BACK_OFF_S = 30.0

Clock = Callable[[], int]
Fence = Callable[[HttpCall, Port], str]
"""Why a request may not leave now; empty: it may."""
Back = Callable[[int, Callable[[], None]], None]
"""Have something happen to a client at a time, if it still lives then."""
Ended = Callable[[CallAnswered | CallBroken], None]


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How far away the venue is, each way; how often its market moves, and how long after the start it first does."""

    latency_ms: tuple[int, int] = (8, 30)
    tick_ms: int = 100
    first_tick_ms: int = 0


class KernelVenue:
    """A venue and the network to it, as something that a kernel asks when it next wants to act.

    `log` of its `venue` holds every order-entry request that arrived; it and the exchange outlive every desk.
    """

    def __init__(self, venue: Venue, seed: int, habits: Habits | None = None) -> None:
        self.venue = venue
        self.habits = habits or Habits()
        self.on_arrival: Callable[[str], None] | None = None
        self.on_answer: Callable[[str, bytes], None] | None = None
        self._chance = Random(f"network:{seed}")  # noqa: S311 - chance that must repeat
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count().__next__
        self._tick_ns = venue.clock_ns() + self.habits.first_tick_ms * MILLISECOND_NS
        self._life = 0

    # --- time -----------------------------------------------------------------------------------------------------

    def urgent(self) -> bool:
        """Nothing out here waits for the kernel's own messages."""
        return False

    def next_due_ns(self) -> int:
        """When a message arrives, an order moves, or the market does."""
        dues = [self._tick_ns, self.venue.exchange.next_due_ns(), self._due[0][0] if self._due else None]
        return min(due for due in dues if due is not None)

    def poll(self, now_ns: int) -> None:
        """Let everything happen that is due."""
        while self._due and self._due[0][0] <= now_ns:
            heapq.heappop(self._due)[2]()
        moved_ns = self.venue.exchange.next_due_ns()
        if now_ns >= self._tick_ns or (moved_ns is not None and moved_ns <= now_ns):
            self.venue.tick()
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + self.habits.tick_ms * MILLISECOND_NS

    def at(self, due_ns: int, action: Callable[[], None]) -> None:
        """Act at `due_ns`; of equal times the one asked for first comes first."""
        heapq.heappush(self._due, (due_ns, self._order(), action))

    def back(self, due_ns: int, action: Callable[[], None]) -> None:
        """Act at `due_ns` towards the client, if it still lives then."""
        life = self._life
        self.at(due_ns, lambda: action() if self._life == life else None)

    def arrival_ns(self) -> int:
        """When what leaves now arrives at the other side."""
        low, high = self.habits.latency_ms
        return self.venue.clock_ns() + int(self._chance.uniform(low, high) * MILLISECOND_NS)

    def retry_s(self, attempt: int) -> float:
        """The wait after the `attempt`th failure in a row."""
        return 0.25 + self._chance.random() * min(MOST_BACK_OFF_S, 0.25 * 2.0**attempt)

    # --- the client -----------------------------------------------------------------------------------------------

    def http(self, fence: Fence) -> "HttpEdge":
        """An edge for the gateway."""
        return HttpEdge(self, fence)

    def ask(self, endpoint: Endpoint, query: str) -> tuple[int, bytes]:
        """One question before any client runs, answered at once: status and body. Raises ConnectionError: a fault."""
        route, parts = http_app.find(endpoint.method, endpoint.path())
        names = http_app.names_of(route, endpoint.method, endpoint.path())
        struck = self.venue.faults.strike(REST, names, self.venue.clock_ns())
        if not struck.keys().isdisjoint({"drop", "reset"}):
            raise ConnectionError("cut by a fault")
        if "error" in struck:
            return http_faults.failure(struck["error"]).status, b""
        asker = http_app.Asker(self.credential(), ADDRESS)
        told = http_app.perform(self.venue, route, parts, asker, (MultiDict(parse_qsl(query)), None))
        answer = http_faults.instead(struck) or http_faults.altered(struck, told)
        return answer.status, answer.body

    def line(self, back: Back) -> "Line":
        """A way to the REST side for another process than the desk."""
        return Line(self, back)

    def stream(self, sign: Callable[[], str] | None) -> "StreamEdge":
        """An edge for a market or user connection."""
        return StreamEdge(self, sign)

    def cut_off(self) -> None:
        """The client's process is gone: its connections end, no answer reaches it."""
        self._life += 1
        for session in list(self.venue.hub.connections):
            self.venue.hub.forget(session)

    def credential(self) -> Credential:
        """The one registered."""
        return next(iter(self.venue.credentials.values()))


# --- REST ---------------------------------------------------------------------------------------------------------


class HttpEdge:
    """The gateway's: performs `HttpCall` on a line of its own, behind a fence."""

    def __init__(self, world: KernelVenue, fence: Fence) -> None:
        self._line = Line(world, world.back)
        self._fence = fence
        self._port: Port

    def bind(self, port: Port) -> None:
        """Learn whose edge this is."""
        self._port = port

    def perform(self, effect: Effect) -> None:
        """Send a call; the venue's clock is ours."""
        match effect:
            case HttpCall():
                self._send(effect)
            case SignWith():
                return
            case _:
                raise TypeError(f"not an effect of the gateway: {type(effect).__name__}")

    def close(self) -> None:
        """Nobody waits for what is under way any more."""
        self._line.close()

    def _send(self, call: HttpCall) -> None:
        port, cause = self._port, self._port.cause
        fenced = self._fence(call, port)
        if fenced:
            port.tell(port.name, CallBroken(call=call.call, kind="fenced", detail=fenced, sent=False), cause)
            return
        self._line.send(call, lambda outcome: port.tell(port.name, outcome, cause))


class Line:
    """One client's way to the REST side: every call ends once, in `CallAnswered` or `CallBroken`, while it is open."""

    def __init__(self, world: KernelVenue, back: Back) -> None:
        self._world = world
        self._back = back
        self._open: dict[int, Ended] = {}

    def send(self, call: HttpCall, ended: Ended) -> None:
        """Send a call, whose number none has that is under way."""
        world = self._world
        self._open[call.call] = ended
        late = CallBroken(call=call.call, kind="timeout", detail=f"after {call.timeout_s:g} s", sent=True)
        world.at(world.arrival_ns(), lambda: self._arrive(call))
        self._back(world.venue.clock_ns() + int(call.timeout_s * SECOND_NS), lambda: self._end(late))

    def close(self) -> None:
        """Nobody waits for what is under way any more."""
        self._open.clear()

    def _end(self, outcome: CallAnswered | CallBroken) -> None:
        ended = self._open.pop(outcome.call, None)
        if ended is not None:
            ended(outcome)

    def _arrive(self, call: HttpCall) -> None:
        """The request is at the venue's door: note it, let faults strike, act, answer."""
        venue, world = self._world.venue, self._world
        method = Endpoint[call.endpoint].method
        body, now_ns = http_app.read_json(call.body), venue.clock_ns()
        route, path = http_app.find(method, call.path)
        entry = None
        if route.name in http_app.ORDER_ENTRY:
            entry = venue.log.arrive(method, call.path, route.name, body, now_ns)
        struck = venue.faults.strike(REST, http_app.names_of(route, method, call.path), now_ns)
        if world.on_arrival is not None:
            world.on_arrival(route.name)

        def act() -> Answer:
            query = MultiDict(parse_qsl(call.query))
            asker = http_app.Asker(world.credential(), ADDRESS)
            answer = http_app.perform(venue, route, path, asker, (query, body))
            if entry is not None:
                http_app.note(entry, answer)
            return answer

        def answered(answer: Answer) -> None:
            if entry is not None:
                entry.faults = list(struck)
                entry.status, entry.answered_ns = answer.status, venue.clock_ns()
            self._answer(call, route.name, answer)

        self._through(call, struck, act, answered)

    def _through(
        self, call: HttpCall, struck: dict[str, Fault], act: Callable[[], Answer], answered: Callable[[Answer], None]
    ) -> None:
        """One request through the faults that struck it, as the server's `before`, `after` and `deliver` do."""
        world, now_ns = self._world, self._world.venue.clock_ns()
        broken = next((struck[kind] for kind in ("drop", "reset", "error") if kind in struck), None)
        delay, wait_ns = struck.get("delay"), 0
        if delay is not None:
            wait_ns = int(float(delay.parameters.get("ms", 1000)) * MILLISECOND_NS)
        first = delay is not None and not delay.parameters.get("after")

        def finish() -> None:
            refusal = http_faults.instead(struck)
            acted = refusal is None and (broken is None or broken.parameters.get("accepted", True))
            answer = act() if acted else refusal
            if broken is not None:
                self._break(call, broken, answered)
            elif answer is not None:
                altered = http_faults.altered(struck, answer) if acted else answer
                world.at(world.venue.clock_ns() + (0 if first else wait_ns), lambda: answered(altered))

        world.at(now_ns + (wait_ns if first else 0), finish)

    def _break(self, call: HttpCall, fault: Fault, answered: Callable[[Answer], None]) -> None:
        """500, a cut connection, or no answer until the client gives up."""
        if fault.kind == "error":
            answered(http_faults.failure(fault))
        elif fault.kind == "reset":
            cut = CallBroken(call=call.call, kind="connection", detail="reset", sent=True)
            self._back(self._world.arrival_ns(), lambda: self._end(cut))

    def _answer(self, call: HttpCall, route: str, answer: Answer) -> None:
        after = answer.headers.get("Retry-After", "")
        told = CallAnswered(
            call=call.call,
            status=answer.status,
            body=answer.body,
            retry_after_s=float(after) if after.isdigit() else 0.0,
        )

        def arrive() -> None:
            if self._world.on_answer is not None:
                self._world.on_answer(route, answer.body)
            self._end(told)

        self._back(self._world.arrival_ns(), arrive)


# --- streams ------------------------------------------------------------------------------------------------------


class KernelSession(Session):
    """The venue's side of one connection: frames arrive in order, each after its latency."""

    def __init__(self, world: KernelVenue, edge: "StreamEdge", connection: int) -> None:
        super().__init__(world.venue.faults, world.venue.clock_ns)
        self.connection = connection
        self._world = world
        self._edge = edge
        self._last_ns = 0

    def put(self, text: str, due_ns: int) -> None:
        """Send a frame."""
        raw = text.encode()
        self._world.back(self._next_ns(due_ns), lambda: self._edge.arrived(self.connection, raw))

    def close(self, code: int) -> None:
        """Close; what was sent before still arrives first, unless the connection is cut."""
        self._world.venue.hub.forget(self)
        due_ns = self._world.venue.clock_ns() if code == CUT else self._next_ns(0)
        self._world.back(due_ns, lambda: self._edge.closed(self.connection, code, "closed by the venue"))

    def stalled(self, now_ns: int) -> bool:  # noqa: ARG002 - who reads in the kernel always reads
        """Never: the edge takes everything at once."""
        return False

    def _next_ns(self, due_ns: int) -> int:
        self._last_ns = max(self._last_ns, due_ns, self._world.arrival_ns())
        return self._last_ns


class StreamEdge:
    """One streaming connection after the other, for a `market:<n>` or the `user_feed` actor."""

    def __init__(self, world: KernelVenue, sign: Callable[[], str] | None) -> None:
        self._world = world
        self._sign = sign
        self._port: Port
        self._connection = 0
        self._attempt = 1
        self._last_ns = 0
        self._session: KernelSession | None = None
        self._waiting: deque[bytes] = deque()
        self._taken = False

    def bind(self, port: Port) -> None:
        """Learn whose edge this is."""
        self._port = port

    def perform(self, effect: Effect) -> None:
        """Carry out one of the session's effects."""
        match effect:
            case OpenSocket():
                self._open(effect)
            case SendSubscribe() if effect.connection == self._connection:
                self._subscribe(effect)
            case CloseSocket() if effect.connection == self._connection:
                self.closed(effect.connection, CUT, effect.reason)
            case TakeFrames() if effect.connection == self._connection:
                self._taken = True
                self._hand_over()

    def close(self) -> None:
        """Let go of the connection."""
        self._forget()

    def arrived(self, connection: int, raw: bytes) -> None:
        """A frame came in."""
        if connection == self._connection and self._session is not None:
            self._waiting.append(raw)
            self._hand_over()

    def closed(self, connection: int, code: int, reason: str) -> None:
        """The connection ended; said once."""
        if connection != self._connection:
            return
        self._forget()
        told = SocketClosed(connection=connection, code=code, reason=reason, retry_s=self._world.retry_s(self._attempt))
        self._port.tell(self._port.name, told)

    def _open(self, effect: OpenSocket) -> None:
        world = self._world
        self._forget()
        self._connection, self._attempt, self._taken = effect.connection, effect.attempt, False
        world.at(world.arrival_ns(), lambda: self._knock(effect.connection))

    def _knock(self, connection: int) -> None:
        """At the venue's door: let in, or refused."""
        world, venue = self._world, self._world.venue
        now_ns = venue.clock_ns()
        if connection != self._connection or not self._port.valid():
            return
        refused = venue.faults.strike(REFUSE, ("ws",), now_ns)
        if refused or not venue.limits.connections.take(ADDRESS, now_ns).allowed:
            world.back(world.arrival_ns(), lambda: self.closed(connection, CUT, "refused"))
            return
        self._session = KernelSession(world, self, connection)
        venue.hub.connections[self._session] = None
        world.back(world.arrival_ns(), lambda: self._opened(connection))

    def _opened(self, connection: int) -> None:
        if connection == self._connection:
            self._port.tell(self._port.name, SocketOpened(connection=connection))
            self._taken = True
            self._hand_over()

    def _subscribe(self, effect: SendSubscribe) -> None:
        kind = Subscribe if effect.subscribe else Unsubscribe
        token = self._sign() if self._sign is not None else ""
        text = encode(kind(product_ids=effect.product_ids, channel=effect.channel, jwt=token))
        world = self._world
        # Messages on one socket never overtake each other, however long each takes.
        self._last_ns = max(self._last_ns, world.arrival_ns())
        world.back(self._last_ns, lambda: self._heard(effect.connection, text))

    def _heard(self, connection: int, text: bytes) -> None:
        if self._session is not None and self._session.connection == connection:
            sockets.hear(self._world.venue, self._session, text, ADDRESS)

    def _hand_over(self) -> None:
        if not self._taken or not self._waiting:
            return
        batch = tuple(self._waiting.popleft() for _ in range(min(BATCH_FRAMES, len(self._waiting))))
        self._taken = False
        frames = FramesArrived(connection=self._connection, frames=batch, received_ns=self._port.now_ns())
        self._port.tell(self._port.name, frames)

    def _forget(self) -> None:
        self._connection, self._waiting = 0, deque()
        if self._session is not None:
            self._world.venue.hub.forget(self._session)
            self._session = None


# --- putting one together -----------------------------------------------------------------------------------------


class SlowMarket(SyntheticMarket):
    """The synthetic market with every product cold: it moves each two seconds, at a twentieth of the work."""

    def watch(self, products: Iterable[str]) -> None:
        """Whoever listens, nothing becomes hot."""


def open_venue(
    exchange: Exchange, market: Market, clock_ns: Clock, key: VerifyingKey, *, seed: int, usual: Unpleasantness
) -> Venue:
    """A venue whose one user has `key`."""
    venue = Venue(exchange, market, clock_ns, seed=seed, usual=usual)
    venue.credentials[key.name] = Credential(key=key, user=USER)
    return venue


def synthetic_venue(
    clock_ns: Clock,
    key: VerifyingKey,
    *,
    seed: int,
    products: Iterable[str] = (),
    usual: Unpleasantness | None = None,
    slow: bool = False,
) -> Venue:
    """The embedded venue with the synthetic market; `products`: only these of its listings; `slow`: `SlowMarket`."""
    now_ns, usual = clock_ns(), usual or Unpleasantness()
    wanted = set(products) or set(LISTINGS)
    past = make_past(seed, now_ns // SECOND_NS)
    past = Past(past.scenario, {name: blocks for name, blocks in past.blocks.items() if name in wanted}, past.prices)
    listings = tuple(LISTINGS[name] for name in past.blocks)
    exchange = Exchange(specs(listings), Random(seed), now_ns, unpleasantness=usual)  # noqa: S311 - must repeat
    exchange.open_user(USER, now_ns)
    market = (SlowMarket if slow else SyntheticMarket)(exchange, seed, now_ns, past)
    return open_venue(exchange, market, clock_ns, key, seed=seed, usual=usual)
