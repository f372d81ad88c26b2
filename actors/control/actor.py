"""The control actor's role."""

from collections.abc import Callable
from functools import partial

from actors.control.core import step
from actors.control.state import Control, Settings
from actors.runtime.role import Edge, Role
from protocol.control import Asked, ConfigJudged, Pages, WatchdogAnswered
from protocol.market import ProductsKnown, Quote
from protocol.orders import Drained, OrderUpdate
from protocol.portfolio import FillApplied, PortfolioView, Reconciled
from protocol.risk import BatchJudged, OperatorOrderJudged, RiskView, VerbAnswered, WhatIfJudged
from protocol.strategy import CycleRecord, CycleView, StrategyBoard, UniverseView
from protocol.venue import OpenOrdersListed, QueryFailed


def role(settings: Settings, edge: Callable[[], Edge]) -> Role[Control]:
    """What operators talk to. `edge` is `edge.ControlEdge` in a process."""
    return Role(
        step=step,
        initial=partial(Control, settings=settings),
        accepts=(
            Asked,
            Pages,
            WatchdogAnswered,
            ConfigJudged,
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
            WhatIfJudged,
            CycleView,
            CycleRecord,
            UniverseView,
            StrategyBoard,
            VerbAnswered,
            OpenOrdersListed,
            QueryFailed,
        ),
        edge=edge,
    )
