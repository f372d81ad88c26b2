"""The control actor's role."""

from functools import partial

from actors.control.core import step
from actors.control.edge import ControlEdge, Hooks
from actors.control.state import Control, Settings
from actors.runtime.role import Context, Role
from protocol.control import Asked, Pages, WatchdogAnswered
from protocol.market import ProductsKnown, Quote
from protocol.orders import Drained, OrderUpdate
from protocol.portfolio import FillApplied, PortfolioView, Reconciled
from protocol.risk import BatchJudged, OperatorOrderJudged, RiskView
from protocol.strategy import CycleRecord, CycleView, UniverseView
from protocol.venue import OpenOrdersListed, QueryFailed

__all__ = ["Hooks", "role"]


def role(_context: Context, settings: Settings, hooks: Hooks) -> Role[Control]:
    """What operators talk to."""
    return Role(
        step=step,
        initial=partial(Control, settings=settings),
        accepts=(
            Asked,
            Pages,
            WatchdogAnswered,
            Quote,
            ProductsKnown,
            OrderUpdate,
            Drained,
            PortfolioView,
            FillApplied,
            Reconciled,
            RiskView,
            BatchJudged,
            OperatorOrderJudged,
            CycleView,
            CycleRecord,
            UniverseView,
            OpenOrdersListed,
            QueryFailed,
        ),
        edge=lambda: ControlEdge(hooks),
    )
