"""A desk with resting orders and the watchdog beside it, on a market that moves only when told."""

from decimal import Decimal

from actors.venue.faults import Fault
from actors.venue.in_kernel import USER, Habits
from ops.simulate.journal import of_journal
from ops.simulate.lookback import of_watch
from ops.simulate.moment import at_rest
from ops.simulate.world import Simulation, brisk
from protocol.risk import TradingState
from tests.support.order_lives import BTC, quiet_venue, resting_order


class Watched(Simulation):
    """One simulation of it. `faults`: what the invariants of the moment had to say while it was lived through."""

    def __init__(self, orders: int = 3, *, seed: int = 1) -> None:
        """Armed, with `orders` resting."""
        habits = Habits(tick_ms=500)
        super().__init__(seed, (BTC,), make=quiet_venue, policy=brisk((BTC,)), habits=habits, watchdog=True)
        self.asked = 0
        self.faults: list[str] = []
        self.run(4.0)
        for _ in range(orders):
            self.ask_order()
            self.run(0.5)
        assert len(self.resting()) == orders

    def ask_order(self, *, drill: bool = True) -> None:
        """Another order is to rest, far below the market: a drill's, or an operator's, which is renewed."""
        self.asked += 1
        self.tell("risk", resting_order(self.asked, Decimal(99000 - self.asked), drill=drill))

    def resting(self) -> list[str]:
        """The venue's own list of ours."""
        return [order.client_order_id for order in self.venue.exchange.open_orders(USER)]

    def empty(self) -> bool:
        return not self.resting()

    def places(self) -> int:
        """How many place requests have reached the venue."""
        return sum(entry.route == "create_order" for entry in self.venue.log.entries())

    def state(self) -> TradingState:
        """The desk's, as its control actor knows it."""
        return self.desk.node.tree.records["control"].shell.state.risk.state

    def open_records(self) -> int:
        """How many orders the desk's store holds as open."""
        return len(self.store.records("order/"))

    def post(self, *plan: Fault) -> None:
        """This goes wrong from now on."""
        self.venue.faults.add(list(plan), self.clock.now_ns())

    def live(self, seconds: int, *, asking: bool = False) -> None:
        """Live with a root process, asking for an order each second; the invariants of the moment hold at each."""
        for _ in range(seconds):
            if asking:
                self.ask_order()
            self.watch(1.0)
            self.faults += at_rest(self)

    def found(self, available_ns: int = 0) -> list[str]:
        """What any invariant has to say of all of it. `available_ns`: venue and watchdog are there from then on."""
        return [*dict.fromkeys(self.faults), *at_rest(self), *of_journal(self), *of_watch(self, available_ns)]
