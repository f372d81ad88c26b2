"""What strategies are shown and what they may propose."""

from decimal import Decimal
from enum import Enum
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ProductId
from protocol.orders import Side


class Regime(Enum):
    """Market regime from BTC hourly candles (pipeline §4)."""

    BULL = "bull"
    CHOP = "chop"
    BEAR = "bear"
    CRASH = "crash"


class Check(Value, frozen=True, kw_only=True, array_like=True):
    """One bound that was evaluated: value against limit. None where there is no number, or none is known."""

    code: str
    passed: bool
    value: float | None
    limit: float | None
    unit: str = ""


class Asset(Value, frozen=True, kw_only=True):
    """One eligible product at decision time. Spread in bps, depth and volume in USD, allocation in per cent of NAV.

    `overrides` are the checks that a rule for near misses or the force list stood in for; `checks` all that was looked
    at, those included.
    """

    product_id: ProductId
    tier: int
    theme: str
    bid: Decimal
    ask: Decimal
    spread_bps: float
    depth_usd: float
    volume_24h_usd: float
    max_allocation_pct: Decimal = Decimal(100)
    overrides: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()


class Exclusion(Value, frozen=True, kw_only=True):
    """Why a followed product is not eligible now: the first bound it fails, value against limit; and all of them.

    Tier 0: it stands in none, and is followed for what is held of it, or for the regime.
    """

    product_id: ProductId
    tier: int
    reason: str
    value: float | None
    limit: float | None
    checks: tuple[Check, ...] = ()


class RedFlag(Value, frozen=True, kw_only=True):
    """A product banned for a time, whatever its market looks like; `by` is who said so."""

    product_id: ProductId
    reason: str
    by: str
    banned_ns: int
    expires_ns: int


class UniverseView(Message, frozen=True, kw_only=True, tag="strategy.universe"):
    """Who may be traded now, and who not and why. `regime_confidence` 0 to 1.

    An event: the batch that is judged on it must not overtake it.
    """

    at_ns: int
    regime: Regime
    regime_confidence: float
    trend_pct: float | None
    volatility_pct: float | None
    eligible: tuple[Asset, ...]
    excluded: tuple[Exclusion, ...]
    flags: tuple[RedFlag, ...] = ()
    volatility_24h_pct: float | None = None


class UniverseWanted(Message, frozen=True, kw_only=True, tag="strategy.universe_wanted"):
    """Cycle to the universe: who may be traded now? Answered by `UniverseView`. `nav_usd` None: not known."""

    cycle: int
    nav_usd: Decimal | None = None


class RegimeChanged(Message, frozen=True, kw_only=True, tag="strategy.regime_changed"):
    """Another row of the regime table holds from this cycle on, and what it makes of sizes, caps, slots and signals.

    `size_multiplier` scales base sizes and the position cap, `cap_multiplier` (never above 1) total, theme and
    strategy caps.
    """

    at_ns: int
    before: Regime
    after: Regime
    confidence: float
    trend_pct: float | None
    volatility_pct: float | None
    size_multiplier: Decimal
    cap_multiplier: Decimal
    max_positions: int
    allowed_signals: tuple[str, ...]
    signal_confidence_boost: float


class FlagProduct(Message, frozen=True, kw_only=True, tag="strategy.flag_product"):
    """Ban a product for the configured time; a ban that stands is replaced. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    product_id: ProductId
    reason: str
    by: str


class UnflagProduct(Message, frozen=True, kw_only=True, tag="strategy.unflag_product"):
    """End a product's ban before its time. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    product_id: ProductId
    by: str


class Trigger(Value, frozen=True, kw_only=True):
    """A signal on closed candles. `change_pct` signed; strength and confidence 0 to 1.

    `qualifiers` are the signs that hold beside it (pipeline.md §5.3).
    """

    product_id: ProductId
    kind: str
    strength: float
    confidence: float
    change_pct: float
    price: float
    volatility_pct: float
    metrics: tuple[tuple[str, float], ...]
    qualifiers: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Strength times confidence."""
        return self.strength * self.confidence


class Passed(Value, frozen=True, kw_only=True):
    """Why nothing was proposed for a product: the rule that ended it, value against limit."""

    product_id: ProductId
    stage: str
    code: str
    value: float | None
    limit: float | None
    detail: str = ""


CANARY = "canary"
"""The tag of a small purchase just below the threshold."""


class TradeProposal(Value, frozen=True, kw_only=True):
    """What a strategy wants. Percentages of NAV and of price; `conviction` 0 to 1. Immutable (R2).

    `metadata` are the figures behind it, by name: what conviction is made of, the threshold it was held against.
    `size_share`, above 0 and up to 1, is what caution of its own left of its usual size (a canary, a wild market). It
    is in `notional_pct` already; a method of sizing that does not start from there takes it into account.
    Correlation, strategy, tier, theme, regime and time are the host's to say: it overwrites what a strategy put there.
    """

    correlation: str
    product_id: ProductId
    side: Side
    notional_pct: Decimal
    stop_loss_pct: Decimal
    take_profit_pct: Decimal
    max_hold_s: int
    conviction: float
    strategy: str
    tier: int
    theme: str
    regime: Regime
    trigger: Trigger
    reason: str
    tags: tuple[str, ...]
    created_ns: int
    metadata: tuple[tuple[str, float], ...] = ()
    size_share: Decimal = Decimal(1)


class Overlay(Value, frozen=True, kw_only=True):
    """Thresholds laid over the configured ones in a drought of triggers: chop's moves in per cent, and conviction."""

    move_15m_pct: float
    move_60m_pct: float
    min_conviction: float


class CycleOpened(Message, frozen=True, kw_only=True, tag="strategy.cycle"):
    """Cycle to the strategy host: decide on what is closed now. `held`: products with a position.

    `used_pct`: what each strategy's positions are worth, per cent of NAV. `nav_usd` None: not known.
    """

    cycle: int
    opened_ns: int
    universe: UniverseView
    held: tuple[ProductId, ...]
    nav_usd: Decimal | None = None
    used_pct: tuple[tuple[str, Decimal], ...] = ()


class ProposalsMade(Message, frozen=True, kw_only=True, tag="strategy.proposals"):
    """The host's answer: merged and cut proposals, the triggers behind them, and why the rest was passed over.

    `overlay`: what was laid over the configured thresholds; None: nothing.
    """

    cycle: int
    proposals: tuple[TradeProposal, ...]
    triggers: tuple[Trigger, ...]
    passed: tuple[Passed, ...]
    elapsed_us: int
    overlay: Overlay | None = None


class AlphaDown(Message, frozen=True, kw_only=True, tag="strategy.alpha_down"):
    """The process in which strategies run went away (bridge to registry to cycle); `AlphaUp` when it is back."""

    detail: str


class AlphaUp(Message, frozen=True, kw_only=True, tag="strategy.alpha_up"):
    """The strategy process is connected: send it what it needs to know again."""


class EndAlpha(Message, frozen=True, kw_only=True, tag="strategy.end_alpha"):
    """The strategy process does not answer: it is killed where it stands. Performed by the desk's end of the bridge."""

    reason: str


class HostStarted(Message, frozen=True, kw_only=True, tag="strategy.host_started"):
    """Host to registry: who may run? `accused`: the strategy that ran when the process before this one ended."""

    accused: str = ""


class StrategySwitches(Message, frozen=True, kw_only=True, tag="strategy.switches"):
    """Registry to host: who trades, and who decides in the shadow; everybody else is off."""

    live: tuple[str, ...]
    shadow: tuple[str, ...]


class Failure(Enum):
    """Why a strategy is off without anybody having switched it off."""

    REFUSED = "refused"
    RAISED = "raised"
    OVER_TIME = "over_time"


class StrategyFailed(Message, frozen=True, kw_only=True, tag="strategy.failed"):
    """Host to registry: this strategy could not be loaded, or raised. `detail` names file and line where known."""

    name: str
    failure: Failure
    detail: str


class Pick(Value, frozen=True, kw_only=True):
    """A proposal in short: `notional_pct` of NAV."""

    product_id: ProductId
    side: Side
    conviction: float
    notional_pct: Decimal


class StrategyRun(Value, frozen=True, kw_only=True):
    """One strategy in one cycle: what it proposed, what of that was well formed and within its budget, and how long."""

    name: str
    shadow: bool
    proposed: int
    kept: int
    elapsed_us: int


class StrategiesRan(Message, frozen=True, kw_only=True, tag="strategy.ran"):
    """Host to registry: how each strategy's run went."""

    cycle: int
    runs: tuple[StrategyRun, ...]


class ShadowDecided(Message, frozen=True, kw_only=True, tag="strategy.shadow"):
    """What a strategy would have proposed, had it traded; beside it what the live ones proposed together."""

    cycle: int
    strategy: str
    proposals: tuple[TradeProposal, ...]
    passed: tuple[Passed, ...]
    live: tuple[Pick, ...]
    at_ns: int


class SwitchStrategy(Message, frozen=True, kw_only=True, tag="strategy.switch"):
    """Control to registry: a strategy on or off from now on, over restarts. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    name: str
    on: bool
    by: str


class Switch(Value, frozen=True, kw_only=True):
    """A durable word on a strategy, stronger than the configuration's."""

    name: str
    on: bool
    by: str
    reason: str
    at_ns: int


class ShadowTally(Value, frozen=True, kw_only=True):
    """How a shadow strategy's decisions compare with those of the live ones since `since_ns`.

    `agreed`: proposals for a product that a live one wanted too; `alone`: for one that nobody else wanted;
    `missed`: what live ones wanted and it did not. `conviction_gap_sum` is over agreed ones, its own minus theirs.
    """

    name: str
    since_ns: int
    cycles: int = 0
    agreed: int = 0
    alone: int = 0
    missed: int = 0
    conviction_gap_sum: float = 0.0
    size_gap_pct_sum: Decimal = Decimal(0)


class BoardRow(Value, frozen=True, kw_only=True):
    """One strategy as an operator sees it. `state` is live, shadow or off; `switch` None: as configured."""

    name: str
    state: str
    reason: str
    switch: Switch | None
    last: StrategyRun | None
    tally: ShadowTally | None


class StrategyBoard(Message, frozen=True, kw_only=True, tag="strategy.board"):
    """Registry to control: every strategy there is."""

    lane: ClassVar[Lane] = Lane.STATE
    alpha_up: bool
    rows: tuple[BoardRow, ...]


class HistoryWanted(Message, frozen=True, kw_only=True, tag="strategy.history_wanted"):
    """Strategy host to a feed: tell me your candle history (again)."""

    product_id: ProductId


class CycleRecord(Message, frozen=True, kw_only=True, tag="strategy.cycle_record"):
    """One cycle's audit record. `status` EXECUTED, NO_TRADE or NO_OPPORTUNITIES; stage times in microseconds."""

    cycle: int
    status: str
    no_trade_reason: str
    regime: Regime
    eligible: int
    triggers: tuple[Trigger, ...]
    passed: tuple[Passed, ...]
    proposals: int
    approved: int
    excluded: tuple[Exclusion, ...]
    stages_us: tuple[tuple[str, int], ...]
    at_ns: int
    overlay: Overlay | None = None


class CycleView(Message, frozen=True, kw_only=True, tag="strategy.cycle_view"):
    """Counters of the cycle for status: `n` finished so far, latencies in ms over the last 1000."""

    lane: ClassVar[Lane] = Lane.STATE
    n: int
    last_ms: float
    p95_ms: float
    p99_ms: float
    last_ns: int


StrategyMessage = (
    UniverseView
    | UniverseWanted
    | RegimeChanged
    | FlagProduct
    | UnflagProduct
    | CycleOpened
    | ProposalsMade
    | AlphaDown
    | AlphaUp
    | EndAlpha
    | HostStarted
    | StrategySwitches
    | StrategyFailed
    | StrategiesRan
    | ShadowDecided
    | SwitchStrategy
    | StrategyBoard
    | HistoryWanted
    | CycleRecord
    | CycleView
)
