"""Weather from a seed: what goes wrong at the venue, what people ask for meanwhile, and when the desk dies."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from actors.venue.faults import Fault
from actors.venue.synthetic_plant import scenario_of
from protocol.ids import ClientOrderId, ProductId
from protocol.orders import CancelOrder, OrderUpdate, Side, Step, StepKind
from protocol.policy import Policy
from protocol.risk import OperatorOrder
from tests.support.invariants import at_rest, messages, unsealed
from tests.support.kernel_desk import Simulation, policy_for
from tests.support.order_lives import TOKEN_LIFE_S, quiet

STORM_S = 60
HEALED_S = 90
REST = (
    *("create_order", "create_order", "create_order", "cancel_orders", "cancel_orders", "orders"),
    *("get_order", "list_orders", "list_fills", "list_accounts", "*"),
)
ROOMS = ("", "", "recorder", "portfolio", "risk", "orders", "order", "cycle", "gateway", "user_feed", "feed", "market")
CHANNELS = ("user", "level2", "market_trades", "heartbeats", "*")
D = Decimal

Act = Callable[[Simulation], None]


def brisk(products: tuple[str, ...]) -> Policy:
    """The shipped policy without its pacing, and with a shorter token life: more happens in a minute."""
    policy = policy_for(products)
    risk = replace(
        policy.risk,
        max_trades_per_hour=1000,
        max_new_trades_per_hour=1000,
        loss_streak_trades=1000,
        spacing_s=1,
        symbol_spacing_s=1,
        cooldown_fill_s=1,
        cooldown_win_s=1,
        cooldown_loss_s=1,
        cooldown_failed_order_s=1,
    )
    breakers = replace(policy.breakers, rate_limit_cooldown_s=5)
    return replace(policy, risk=risk, breakers=breakers, auth=replace(policy.auth, order_token_life_s=TOKEN_LIFE_S))


class Storm:
    """One seed's minute of trouble and the calm after it. `faults`: what an invariant had to say."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"storm:{seed}")
        self.products = ("BTC-USD", *scenario_of(seed).planted[:2])
        self.simulation = Simulation(seed, self.products, policy=brisk(self.products))
        self.faults: list[str] = []
        self._asked = 0

    def live(self) -> None:
        """Storm, then calm."""
        simulation, random = self.simulation, self._random
        simulation.run(3.0)
        simulation.venue.faults.add([self._fault() for _ in range(random.randint(6, 16))], simulation.clock.now_ns())
        dies = {random.randrange(STORM_S) for _ in range(random.choice((0, 0, 1, 2)))}
        room, end = random.choice(ROOMS), random.randrange(30)  # below what its supervisor stands
        for second in range(STORM_S):
            self._second(act=random.random() < 0.6)
            if second in dies:
                simulation.again()
            if second % 30 == end:
                simulation.crash(room)
        simulation.venue.faults.clear()
        for _ in range(HEALED_S):
            self._second(act=False)
        simulation.tell("orders", CancelOrder(client_order_id=ClientOrderId("*"), reason="end"))
        for _ in range(HEALED_S):
            if quiet(simulation):
                break
            self._second(act=False)
        for _ in range(7):
            self._second(act=False)

    def seen(self) -> Counter[str]:
        """How often each fault struck and each order state was reached."""
        updates = (m for _, m in messages(unsealed(self.simulation)) if isinstance(m, OrderUpdate))
        states = {(m.state.client_order_id, m.state.status.value) for m in updates}
        return Counter(self.simulation.venue.faults.totals) + Counter(status for _, status in states)

    def _second(self, *, act: bool) -> None:
        if act:
            self._ask()
        self.simulation.run(1.0)
        self.faults += at_rest(self.simulation)

    def _ask(self) -> None:
        random, simulation = self._random, self.simulation
        if random.random() < 0.1:
            simulation.tell("orders", CancelOrder(client_order_id=ClientOrderId("*"), reason="operator"))
            return
        self._asked += 1
        product = ProductId(random.choice(self.products))
        bids, asks = simulation.venue.exchange.book(product, 1)
        side = random.choice((Side.BUY, Side.BUY, Side.SELL))
        price = bids[0][0] if side is Side.BUY else asks[0][0]
        steps = (
            Step(kind=StepKind.IOC, through_bps=D(50)),
            Step(kind=StepKind.LIMIT, limit_price=price, post_only=True),
        )
        size = D(random.randint(12, 60)) / price
        grid = simulation.venue.exchange.spec(product).base_increment
        simulation.tell(
            "risk",
            OperatorOrder(
                correlation=f"storm/{self._asked}",
                product_id=product,
                side=side,
                base_size=size // grid * grid,
                quote_size=None,
                steps=(random.choice(steps),),
                by="storm",
                drill=False,
                reply_to="control",
            ),
        )

    def _fault(self) -> Fault:
        random = self._random
        kind = random.choice(tuple(_KINDS))
        targets, parameters = _KINDS[kind]
        return Fault(
            kind=kind,
            at_s=random.uniform(0.0, STORM_S - 10.0),
            every=random.choice((None, 10.0)),
            for_s=random.uniform(1.0, 8.0),
            target=random.choice(targets),
            probability=random.choice((0.3, 1.0)),
            count=random.choice((1, 2, 5)),
            parameters=parameters(random),
        )


def _maybe(random: Random) -> dict[str, object]:
    return {"accepted": random.random() < 0.6}


def _nothing(_: Random) -> dict[str, object]:
    return {}


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Random], dict[str, object]]]] = {
    "delay": (REST, lambda random: {"ms": random.choice((50, 400, 2500, 6000)), "after": random.random() < 0.5}),
    "drop": (REST, _maybe),
    "reset": (REST, _maybe),
    "error": (REST, lambda random: {**_maybe(random), "status": random.choice((500, 502, 503, 504))}),
    "rate_limit": (REST, lambda random: {"retry_after_s": 1, "html": random.random() < 0.3}),
    "truncate": (REST, _nothing),
    "unauthorized": (("list_orders", "list_fills", "create_order"), _nothing),
    "maintenance": (REST, _nothing),
    "refuse_cancel": (("cancel_orders",), _nothing),
    "late_listing": (("*",), lambda _: {"ms": [500, 3000]}),
    "late_fills": (("*",), lambda _: {"ms": [500, 4000]}),
    "cancel_delay": (("*",), lambda _: {"ms": [200, 2000]}),
    "ws_close": (("user", "market", "*"), lambda random: {"code": random.choice((1001, 1006, 1011))}),
    "ws_refuse": (("*",), _nothing),
    "ws_gap": (CHANNELS, _nothing),
    "ws_duplicate": (CHANNELS, _nothing),
    "ws_reorder": (CHANNELS, _nothing),
    "ws_malformed": (CHANNELS, _nothing),
    "ws_mute": (("user", "level2", "heartbeats"), _nothing),
    "ws_silence": (CHANNELS, _nothing),
    "ws_delay": (("*",), lambda random: {"ms": random.choice((300, 2500))}),
}
