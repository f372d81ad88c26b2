"""A desk in the kernel that is handled as people handle one, and what it has published about its refusals."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actors.runtime.clock import VirtualClock
from actors.runtime.journal_format import unseal
from actors.venue.faults import Fault
from actors.venue.in_kernel import USER, synthetic_venue
from actors.venue.server_venue import Venue
from actors.venue.synthetic_plant import scenario_of
from config.load import load
from ops.simulate.world import START_NS, Simulation, key
from protocol import codec
from protocol.control import Asked, PlaceByHand, Reply
from protocol.lifecycle import StoreRecord
from protocol.orders import Side
from protocol.policy import Mode
from protocol.policy_strategy import StrategyRow
from protocol.portfolio import PortfolioView
from protocol.risk import Decision, GateChanged, RiskView
from protocol.strategy import CycleRecord
from tests.support import ill_strategies

CONFIG = Path(__file__).resolve().parents[2] / "config"
MAJORS = ("BTC-USD", "ETH-USD", "SOL-USD")
MOVING_SEED = 2
"""Of this seed's market three coins have just moved enough to be proposed, in a chop; of seed 5's majors none has."""
MOVING = scenario_of(MOVING_SEED).planted


class RefusalDesk(Simulation):
    """A desk on the synthetic market of `products`, its policy loaded with an operator's `overrides`.

    `wallet`: what the account holds instead of its opening cash. `own`: the class of `ill_strategies` that decides
    instead of the shipped strategies. `live`: the mode is LIVE, by its name alone, and whether governance allows it.
    """

    def __init__(
        self,
        products: tuple[str, ...] = MAJORS,
        overrides: Mapping[str, str] | None = None,
        *,
        seed: int = 5,
        wallet: Mapping[str, Decimal] | None = None,
        own: str = "",
        live: bool | None = None,
        start_ns: int = START_NS,
    ) -> None:
        policy = load(CONFIG, profile="embedded", overrides={"app.mode": "PAPER", **(overrides or {})}).policy
        tiers = tuple(
            replace(row, products=tuple(p for p in row.products if p in products)) for row in policy.universe.tiers
        )
        policy = replace(policy, universe=replace(policy.universe, tiers=tiers))
        if live is not None:
            policy = replace(policy, mode=Mode.LIVE, read_only=False, live_trading_enabled=live)
        if own:
            policy = replace(policy, strategy=replace(policy.strategy, strategies=(_row(own),)))
        make = partial(_venue, seed=seed, products=products, wallet=wallet or {})
        super().__init__(seed, products, make=make, policy=policy, start_ns=start_ns)
        self._said: set[str] = set()
        self._next = 1

    # --- what people and the world do -----------------------------------------------------------------------------

    def ask(self, request: Any) -> Reply:
        """Ask as the command line does; the reply."""
        answers = self.desk.control.answers
        before = len(answers)
        self.tell("control", Asked(connection=7, request=request))
        self.until(lambda: len(answers) > before, 10)
        return answers[-1].reply

    def order(self, product: str, usd: int = 50, *, resting: bool = False) -> Reply:
        """Buy by hand: at once, or at the bid and no higher, a few per cent below the market."""
        limit = None
        if resting:
            limit = (self.mid(product) * Decimal("0.97")).quantize(Decimal("0.01"))
        return self.ask(
            PlaceByHand(
                by="ann@desk",
                product_id=product,
                side=Side.BUY,
                size=None,
                quote=Decimal(usd),
                limit=limit,
                post_only=resting,
            )
        )

    def sell(self, product: str, size: Decimal) -> Reply:
        """Sell by hand, at once."""
        return self.ask(
            PlaceByHand(
                by="ann@desk",
                product_id=product,
                side=Side.SELL,
                size=size,
                quote=None,
                limit=None,
                post_only=False,
            )
        )

    def buy(self, product: str, usd: int = 50) -> Decimal:
        """Buy by hand, and wait for the position; its size."""
        before = self.held(product)
        reply = self.order(product, usd)
        assert reply.code == 0, reply.text
        self.until(lambda: self.held(product) > before, 10)
        return self.held(product)

    def mid(self, product: str) -> Decimal:
        """The venue's mid."""
        bids, asks = self.venue.exchange.book(product, 1)
        return (bids[0][0] + asks[0][0]) / 2

    def fault(self, kind: Any, target: str = "*", **more: Any) -> None:
        """Something goes wrong at the venue from now on."""
        self.venue.faults.add([Fault(kind=kind, target=target, **more)], self.clock.now_ns())

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Somebody moves coins into the account."""
        self.venue.exchange.deposit(USER, currency, round(amount, 8), self.clock.now_ns())

    def rewrite(self, name: str, kind: type[Struct], change: Callable[[Any], Any]) -> None:
        """Stop the desk, change one of its stored values, start it again."""
        value = self.store.value(name)
        before = kind() if value is None else codec.decode_value(value, kind)
        self.desk.drop()
        with self.store.transaction() as written:
            written.put(StoreRecord(key=name, value=codec.encode_value(change(before))))
        self.desk = self.begin()

    # --- what the desk shows --------------------------------------------------------------------------------------

    def view(self) -> RiskView:
        """Trading state and gates, as the control room has been told them last."""
        found: RiskView = self.desk.node.tree.records["control"].shell.state.risk
        return found

    def portfolio(self) -> PortfolioView:
        """The books, likewise."""
        found: PortfolioView = self.desk.node.tree.records["control"].shell.state.portfolio
        return found

    def held(self, product: str) -> Decimal:
        """Base units of ours."""
        return sum((p.quantity for p in self.portfolio().positions if p.product_id == product), Decimal(0))

    def gates(self) -> set[str]:
        """Codes of the gates that are tripped now, those of single products included."""
        return {g.code.value for g in (*self.view().gates, *self.view().products)}

    def until(self, condition: Callable[[], bool], limit_s: int) -> None:
        """Let it live until that holds."""
        for _ in range(limit_s * 2):
            self.run(0.5)
            if condition():
                return
        raise AssertionError(f"not within {limit_s} s: gates {self.gates()}, told {sorted(self.published())}")

    def refuses(self, code: str, limit_s: int = 30) -> None:
        """Let it live until it has said `code`."""
        self.until(lambda: code in self.published(), limit_s)

    def published(self) -> set[str]:
        """Every code that decisions, cycles and gates of the journal bear so far, or the view showed when looked at."""
        for index, data in self.store.entries(self._next):
            self._next = index + 1
            self._said.update(_codes(codec.decode(unseal(index, data).entry.draft.body)))
        return self._said | self.gates()


def moving(overrides: Mapping[str, str] | None = None, *, coins: tuple[str, ...] = MOVING) -> RefusalDesk:
    """A desk whose strategy wants to buy these coins from its second cycle on."""
    return RefusalDesk((*MAJORS, *coins), overrides, seed=MOVING_SEED)


def _row(own: str) -> StrategyRow:
    return StrategyRow(
        name=own.lower(),
        class_name=own,
        path=str(Path(ill_strategies.__file__)),
        enabled=True,
        max_at_risk_pct=Decimal(5),
        max_trades_per_cycle=1,
    )


def _codes(message: object) -> Iterable[str]:
    match message:
        case Decision(code=code) if code is not None:
            return (code.value,)
        case CycleRecord(no_trade_reason=reason, passed=passed):
            return (reason.partition(":")[0], *(row.code.partition(":")[0] for row in passed))
        case GateChanged(gate=gate, tripped=True):
            return (gate.code.value,)
    return ()


def _venue(clock: VirtualClock, *, seed: int, products: tuple[str, ...], wallet: Mapping[str, Decimal]) -> Venue:
    venue = synthetic_venue(clock.now_ns, key().verifying(), seed=seed, products=products, slow=True)
    cash = Decimal(10_000) if wallet else Decimal(0)
    for currency, amount in (("USD", -cash), *wallet.items()):
        venue.exchange.deposit(USER, currency, amount, clock.now_ns())
    return venue
