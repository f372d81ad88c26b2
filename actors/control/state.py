"""What the control actor knows: the newest view of everything, and the questions that wait for somebody's answer."""

from msgspec import field

from protocol.base import Value
from protocol.control import Pages, Rearm
from protocol.ids import ProductId
from protocol.market import ProductRules, Quote
from protocol.orders import OrderState
from protocol.portfolio import FillApplied, PortfolioView
from protocol.risk import BatchJudged, RiskView
from protocol.strategy import CycleRecord, CycleView, StrategyBoard, UniverseView


class Settings(Value, frozen=True, kw_only=True):
    """This run, as `status` shows it."""

    bot: str
    mode: str
    venue: str
    profile: str
    epoch: int
    config_hash: str
    versions: tuple[tuple[str, str], ...]
    watchdog_limit_s: float = 2.0
    keep: int = 200


class Stopping(Value, frozen=True, kw_only=True):
    """A stop under way: who waits for it (0: nobody), and how many clean lists have been seen."""

    connection: int
    reason: str
    drained: bool = False
    clean: int = 0


class Control(Value, frozen=True, kw_only=True):
    """The control actor's state. Nothing of it is durable: the views come again."""

    settings: Settings
    started_ns: int = 0
    armed: bool = False
    watchdog_alive: bool = True
    pages: Pages | None = None
    portfolio: PortfolioView | None = None
    risk: RiskView | None = None
    cycle: CycleView | None = None
    universe: UniverseView | None = None
    strategies: StrategyBoard | None = None
    quotes: dict[ProductId, Quote] = field(default_factory=dict)
    rules: dict[ProductId, ProductRules] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    fills: tuple[FillApplied, ...] = ()
    records: tuple[CycleRecord, ...] = ()
    judged: tuple[BatchJudged, ...] = ()
    waiting: dict[str, int] = field(default_factory=dict)
    rearms: dict[str, Rearm] = field(default_factory=dict)
    stopping: Stopping | None = None
    drills: int = 0
