"""What the control actor knows: the newest view of everything, and the questions that wait for somebody's answer."""

from msgspec import field

from protocol.base import Value
from protocol.control import Pages, ProposeConfig, Rearm, TakeUpConfig, Veto
from protocol.discovery import UniverseDiscovered
from protocol.ids import ProductId
from protocol.market import ProductRules, Quote
from protocol.orders import OrderState
from protocol.portfolio import FillApplied, PortfolioView
from protocol.risk import BatchJudged, RiskView
from protocol.strategy import CycleRecord, CycleView, StrategyBoard, UniverseView


class Settings(Value, frozen=True, kw_only=True):
    """This run, as `status` shows it. `fixed`: what no change of configuration may touch (`launch.fixed`).

    `products` are traded, `fed_only` followed besides. `found`: what the start has found; None: that is configured.
    `market`: what the venue trades on; `cycle_s`: how often a cycle is to come.
    """

    bot: str
    mode: str
    venue: str
    profile: str
    epoch: int
    config_hash: str
    versions: tuple[tuple[str, str], ...]
    products: tuple[ProductId, ...] = ()
    fed_only: tuple[ProductId, ...] = ()
    found: UniverseDiscovered | None = None
    fixed: tuple[tuple[str, str], ...] = ()
    market: str = ""
    cycle_s: float = 60.0
    watchdog_limit_s: float = 2.0
    keep: int = 200


class Stopping(Value, frozen=True, kw_only=True):
    """A stop under way: who waits for it (0: nobody), and how many clean lists have been seen.

    `successor`: the configuration that the next desk is to load; None: there is no next one.
    """

    connection: int
    reason: str
    successor: TakeUpConfig | None = None
    drained: bool = False
    clean: int = 0


class Judging(Value, frozen=True, kw_only=True):
    """A configuration that is being judged: who asked, who has not answered yet, and what speaks against it so far."""

    name: str
    connection: int
    request: ProposeConfig
    missing: tuple[str, ...]
    vetoes: tuple[Veto, ...]


class Stretch(Value, frozen=True, kw_only=True):
    """How long this desk has run since it last put that on record, and how many cycles ended in it."""

    from_ns: int = 0
    cycles: int = 0


class Control(Value, frozen=True, kw_only=True):
    """The control actor's state. Nothing of it is durable: the views come again.

    `rearms` wait for a reconciliation, by its name; `rearming` for the watchdog, by connection.
    """

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
    rearming: dict[int, Rearm] = field(default_factory=dict)
    stretch: Stretch = Stretch()
    stopping: Stopping | None = None
    judging: Judging | None = None
    taking: TakeUpConfig | None = None
    drills: int = 0
