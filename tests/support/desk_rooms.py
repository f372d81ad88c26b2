"""The risk and portfolio rooms, each driven by messages alone, as its shell would.

`Books` also plays the recorder: what a step returns counts only when its commit is adopted.
"""

from typing import Any

from msgspec.structs import replace

from actors.portfolio.actor import settings as portfolio_settings
from actors.portfolio.core import step as portfolio_step
from actors.portfolio.state import Portfolio
from actors.risk.core import step as risk_step
from actors.risk.state import Risk
from protocol.base import Effects, Message
from protocol.effects import Commit, SetTimer, Tell
from protocol.instants import SECOND_NS
from protocol.lifecycle import CommitFailed, Recover, StoreRecord, Wake
from protocol.market import FeedState, FeedStatus
from protocol.orders import OrderState, OrderUpdate
from protocol.portfolio import PortfolioView, Reconcile
from protocol.risk import Decision, OperatorOrder, ProposalBatch, RiskView
from protocol.strategy import Regime, TradeProposal
from protocol.venue import FillRecord, OpenOrdersListed
from tests.support.desk_scenes import (
    NOON_NS,
    PRODUCTS,
    accounts,
    epoch,
    health,
    intent_done,
    limits,
    listed,
    noted,
    periods,
    policy,
    products_known,
    proposal,
    quote,
    records,
    told,
    universe_view,
    view,
)


class RiskDesk:
    """The risk room, ready to trade: latch heard, reconciled, all quotes fresh, all products eligible."""

    def __init__(self, *, ready: bool = True, **changes: Any) -> None:
        self.now, self.state = NOON_NS, Risk(limits=limits(**changes))
        self.durable: dict[str, StoreRecord] = {}
        self.tell(Recover())
        if ready:
            self.get_ready()

    def get_ready(self, *, quoted: bool = True, nav: Any = 10_000) -> None:
        account = view(nav, periods=periods(nav, nav, nav))
        self.tell(epoch(), products_known(), health(), account, universe_view(at_ns=self.now))
        if quoted:
            self.fresh()

    def fresh(self) -> None:
        """Every product's feed is live and its quote is of this moment."""
        for product in PRODUCTS:
            live = FeedState(product_id=product, status=FeedStatus.LIVE, detail="", at_ns=self.now)
            self.tell(live, quote(product, at=self.now))

    def tell(self, *messages: Message | OrderState) -> Effects:
        """Hand over messages one by one (an order stands for news of it); what the last one caused."""
        effects: Effects = ()
        for news in messages:
            message = OrderUpdate(state=news) if isinstance(news, OrderState) else news
            self.state, effects = risk_step(self.state, message, self.now)
            self.durable |= {record.key: record for record in records(effects)}
        return effects

    def later(self, seconds: float) -> "RiskDesk":
        """Let time pass; quotes stay fresh."""
        self.now += int(seconds * SECOND_NS)
        self.fresh()
        return self

    def restart(self) -> None:
        """A new incarnation over the records of the old one."""
        self.state = Risk(limits=self.state.limits)
        self.tell(Recover(records=tuple(self.durable[key] for key in sorted(self.durable))))

    def ask(self, *proposals: TradeProposal, regime: Regime = Regime.CHOP) -> Effects:
        return self.tell(ProposalBatch(cycle=1, regime=regime.value, proposals=proposals))

    def decide(self, *proposals: TradeProposal, regime: Regime = Regime.CHOP) -> dict[str, Decision]:
        """Decisions on one batch, by product."""
        return {d.product_id: d for d in noted(self.ask(*proposals, regime=regime), Decision)}

    def code(self, asked: TradeProposal | None = None) -> str:
        """The refusal that a proposal meets now; "approved" if none. The desk itself is left as it was."""
        before = self.state, dict(self.durable)
        (decision,) = noted(self.ask(asked or proposal()), Decision)
        self.state, self.durable = before
        return "approved" if decision.code is None else decision.code.value

    def finish(self) -> None:
        """The order desk has had its last word on all that was approved: nothing was filled."""
        for key, held in self.state.reserved.items():
            self.tell(intent_done(held.product_id, held.side, correlation=key.partition("/")[2]))

    def operate(self, asked: OperatorOrder) -> Decision:
        (decision,) = noted(self.tell(asked), Decision)
        return decision

    def seen(self) -> RiskView:
        """What it tells of itself at its next look."""
        return told(self.tell(Wake(timer="view", due_ns=self.now)), RiskView)[0]


class Books:
    """The portfolio room over a recorder that remembers keys: a step with a refused commit never happened."""

    def __init__(self, **changes: Any) -> None:
        self.settings = replace(portfolio_settings(policy(), "c"), **changes)
        self.now, self.state = NOON_NS, Portfolio(settings=self.settings)
        self.durable: dict[str, StoreRecord] = {}
        self.disk_fails = False
        self.heard: list[Any] = []
        self.tell(Recover(), products_known())

    def tell(self, *messages: Message) -> Effects:
        """Hand over messages one by one, then book what waits at this moment; all that this caused."""
        caused: Effects = ()
        for message in messages:
            pending: list[Message] = [message]
            while pending:
                effects = self._turn(pending.pop(0))
                caused += effects
                due = (e for e in effects if isinstance(e, SetTimer) and e.due_ns <= self.now)
                pending += [Wake(timer=timer.timer, due_ns=timer.due_ns) for timer in due]
        self.heard += [e.message for e in caused if isinstance(e, Tell)]
        return caused

    def _turn(self, message: Message) -> Effects:
        nxt, effects = portfolio_step(self.state, message, self.now)
        commit = next((e for e in effects if isinstance(e, Commit)), None)
        if commit is None:
            self.state = nxt
            return effects
        duplicate = any(key in self.durable for key in commit.fresh)
        if duplicate or self.disk_fails:
            failed = CommitFailed(number=1, detail="store", duplicate=duplicate)
            self.state, effects = portfolio_step(self.state, failed, self.now)
            return effects
        self.state = nxt
        self.durable |= {record.key: record for record in commit.records}
        return effects

    def later(self, seconds: float) -> "Books":
        self.now += int(seconds * SECOND_NS)
        return self

    def restart(self) -> None:
        """A new incarnation over the ledger of the old one."""
        self.state = Portfolio(settings=self.settings)
        kept = tuple(r for key, r in sorted(self.durable.items()) if key.startswith("portfolio/ledger"))
        self.tell(Recover(records=kept), products_known())

    def know(self, *orders: OrderState) -> Effects:
        return self.tell(*(OrderUpdate(state=o) for o in orders))

    def reconcile(self, *balances: tuple[str, Any], fills: tuple[FillRecord, ...] = (), name: str = "r") -> Effects:
        """One whole reconciliation with an account that holds these (10,000 USD if none is named)."""
        held = balances or (("USD", 10_000),)
        return self.tell(
            Reconcile(request_id=name, reply_to="cycle"),
            accounts(*held, at=self.now),
            OpenOrdersListed(request_id="open_orders", asked_ns=self.now, orders=()),
            listed(*fills, request_id="fills"),
        )

    def seen(self) -> PortfolioView:
        """What it tells of itself at its next look."""
        return told(self.tell(Wake(timer="view", due_ns=self.now)), PortfolioView, "risk")[-1]
