"""Trading states, gates, verdicts and decision records."""

from decimal import Decimal
from enum import Enum
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ProductId
from protocol.orders import Side, Step
from protocol.strategy import TradeProposal


class TradingState(Enum):
    """The strictest state of all tripped gates holds (risk.md §7)."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"
    KILLED = "killed"


class Reason(Enum):
    """The canon of refusals (requirements §5); an unknown code is a type error."""

    KILL_SWITCH = "kill_switch"
    PRODUCT_DISABLED = "product_disabled"
    EXCHANGE_UNHEALTHY = "exchange_unhealthy"
    API_HEALTH = "api_health"
    RATE_LIMIT_COOLDOWN = "rate_limit_cooldown"
    STALE_DATA = "stale_data"
    OUTLIER = "outlier"
    REGIME_CRASH = "regime_crash"
    INSUFFICIENT_UNIVERSE = "insufficient_universe"
    DAILY_STOP = "daily_stop"
    WEEKLY_STOP = "weekly_stop"
    MAX_DRAWDOWN = "max_drawdown"
    STRATEGY_CAP = "strategy_cap"
    TOTAL_AT_RISK_CAP = "total_at_risk_cap"
    POSITION_CAP = "position_cap"
    THEME_CAP = "theme_cap"
    BELOW_MIN_AFTER_CAPS = "below_min_after_caps"
    POSITION_SIZE_TOO_SMALL = "position_size_too_small"
    NO_NAV = "no_nav"
    NON_POSITIVE_REQUEST = "non_positive_request"
    MAX_OPEN_POSITIONS = "max_open_positions"
    ADDS_BLOCKED_WHEN_OVER_CAP = "adds_blocked_when_over_cap"
    TRADE_SPACING = "trade_spacing"
    TRADE_FREQUENCY_DAILY = "trade_frequency_daily"
    TRADE_FREQUENCY_HOURLY = "trade_frequency_hourly"
    LOSS_STREAK_COOLDOWN = "loss_streak_cooldown"
    COOLDOWN = "cooldown"
    PENDING_BUY_EXISTS = "pending_buy_exists"
    ALREADY_HAVE_POSITION = "already_have_position"
    PYRAMID_COOLDOWN = "pyramid_cooldown"
    PYRAMID_DAILY_LIMIT = "pyramid_daily_limit"
    SHORTING_DISALLOWED = "shorting_disallowed"
    SCHEMA_INVALID = "schema_invalid"
    GOVERNANCE = "governance_live_trading_disabled"
    # Beyond the canon: gates of ours that it has no word for.
    OPERATOR_PAUSE = "operator_pause"
    ACCOUNTING_MISMATCH = "accounting_mismatch"
    STORE_FAILURE = "store_failure"
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    WATCHDOG_ABSENT = "watchdog_absent"
    EVENT_LANE = "event_lane"
    REJECTION_BURST = "order_rejection_burst"
    EXCEPTION_BURST = "exception_burst"
    NOT_RECONCILED = "not_reconciled"
    CONFIG_DRIFT = "config_drift"
    INSUFFICIENT_FUNDS = "insufficient_funds"


BREAKERS = (
    *(Reason.KILL_SWITCH, Reason.DAILY_STOP, Reason.WEEKLY_STOP, Reason.MAX_DRAWDOWN, Reason.RATE_LIMIT_COOLDOWN),
    *(Reason.API_HEALTH, Reason.EXCHANGE_UNHEALTHY, Reason.CREDENTIALS, Reason.ACCOUNTING_MISMATCH),
    *(Reason.STORE_FAILURE, Reason.EVENT_LANE, Reason.CLOCK, Reason.WATCHDOG_ABSENT, Reason.NOT_RECONCILED),
    *(Reason.CONFIG_DRIFT, Reason.REGIME_CRASH, Reason.INSUFFICIENT_UNIVERSE, Reason.STALE_DATA),
    *(Reason.PRODUCT_DISABLED, Reason.LOSS_STREAK_COOLDOWN, Reason.REJECTION_BURST, Reason.EXCEPTION_BURST),
    *(Reason.OPERATOR_PAUSE, Reason.GOVERNANCE),
)
"""Every code that a gate may have."""


class Bound(Enum):
    """How a verdict's value stands to its limit: at most, at least, or no number at all but a fact."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    FACT = "fact"


class CapType(Enum):
    """Which cap bounds a size (risk.md §3). `order`: the largest order there may be; `funds`: the money there is."""

    STRATEGY = "strategy"
    TOTAL = "total"
    POSITION = "position"
    ASSET = "asset"
    THEME = "theme"
    ORDER = "order"
    FUNDS = "funds"


class Outcome(Enum):
    """What becomes of a request (risk.md §2): as asked, smaller, refused alone, or refused with its whole batch."""

    ALLOW = "ALLOW"
    SIZE = "SIZE"
    DROP = "DROP"
    HALT = "HALT"


class Verdict(Value, frozen=True, kw_only=True):
    """What one rule said. `limit` is the nearest passing value, in the same `unit` as `value`.

    `passed` is nothing but `value` against `limit` by `bound`, or a fact. `halts`: the rule concerns the whole batch.
    `cap` is the cap that it is about.
    """

    code: Reason
    passed: bool
    value: Decimal | None
    limit: Decimal | None
    unit: str
    detail: str = ""
    bound: Bound = Bound.FACT
    halts: bool = False
    cap: CapType | None = None


class Decision(Message, frozen=True, kw_only=True, tag="risk.decision"):
    """One request's whole judgement, kept for ever: every rule's verdict, and the first refusal as `code`.

    `cycle` 0: of no cycle (an operator's order, an exit). `purpose` is the intent's. `cap_type` is the cap that refused
    or cut it; `current_pct`, `proposed_pct` and `limit_pct` are that cap's use, the request and the cap itself in per
    cent of NAV, of the tightest cap where none bound. `method` says how the requested size was found (risk.md §9).
    """

    correlation: str
    product_id: ProductId
    side: Side
    strategy: str
    approved: bool
    code: Reason | None
    verdicts: tuple[Verdict, ...]
    requested_usd: Decimal
    approved_usd: Decimal
    degraded: bool
    at_ns: int
    cycle: int = 0
    purpose: str = ""
    cap_type: CapType | None = None
    current_pct: Decimal | None = None
    proposed_pct: Decimal | None = None
    limit_pct: Decimal | None = None
    method: str = ""

    @property
    def refusal(self) -> Verdict | None:
        """The first refusal, whose code the decision bears; None approves."""
        return next((v for v in self.verdicts if not v.passed), None)

    @property
    def outcome(self) -> Outcome:
        """What became of the request."""
        if self.approved:
            return Outcome.SIZE if self.degraded else Outcome.ALLOW
        return Outcome.HALT if self.refusal is not None and self.refusal.halts else Outcome.DROP


class ProposalBatch(Message, frozen=True, kw_only=True, tag="risk.batch"):
    """Cycle to risk: judge these together, on one running snapshot."""

    cycle: int
    regime: str
    proposals: tuple[TradeProposal, ...]


class BatchJudged(Message, frozen=True, kw_only=True, tag="risk.judged"):
    """Risk to cycle: every proposal's decision; approved ones are already on their way to the order desk."""

    cycle: int
    decisions: tuple[Decision, ...]


class OperatorOrder(Message, frozen=True, kw_only=True, tag="risk.operator_order"):
    """Control to risk: an operator's or a drill's order; same rules (a drill waives pacing and slots, not caps)."""

    correlation: str
    product_id: ProductId
    side: Side
    base_size: Decimal | None
    quote_size: Decimal | None
    steps: tuple[Step, ...]
    by: str
    drill: bool
    reply_to: str


class OperatorOrderJudged(Message, frozen=True, kw_only=True, tag="risk.operator_judged"):
    """The decision on it, to whoever asked."""

    decision: Decision


class WhatIf(Message, frozen=True, kw_only=True, tag="risk.what_if"):
    """Control to risk: judge this order as it would be judged, and do nothing. Answered by `WhatIfJudged`.

    A look at things as they are and no event of theirs: it is not journalled.
    """

    lane: ClassVar[Lane] = Lane.STATE
    order: OperatorOrder

    @property
    def key(self) -> str:
        """One per question."""
        return self.order.correlation


class WhatIfJudged(Message, frozen=True, kw_only=True, tag="risk.what_if_judged"):
    """The decision that an order would get now."""

    lane: ClassVar[Lane] = Lane.STATE
    decision: Decision

    @property
    def key(self) -> str:
        """One per question."""
        return self.decision.correlation


class Pause(Message, frozen=True, kw_only=True, tag="risk.pause"):
    """No entries (reducing) until `Resume`."""

    lane: ClassVar[Lane] = Lane.CONTROL
    by: str
    reason: str


class Resume(Message, frozen=True, kw_only=True, tag="risk.resume"):
    """End an operator's pause. Clears no latch but the operator's own."""

    lane: ClassVar[Lane] = Lane.CONTROL
    by: str


class EpochChanged(Message, frozen=True, kw_only=True, tag="risk.epoch"):
    """The kill epoch moved (watchdog, command line, or this desk): everything is killed or fenced from here on."""

    lane: ClassVar[Lane] = Lane.CONTROL
    epoch: int
    killed: bool
    reason: str
    by: str
    at_ns: int


class WatchdogSeen(Message, frozen=True, kw_only=True, tag="risk.watchdog"):
    """Whether the watchdog beats; without it the state is reducing."""

    lane: ClassVar[Lane] = Lane.CONTROL
    alive: bool
    beat_age_s: float


class LaneLoad(Message, frozen=True, kw_only=True, tag="risk.lane_load"):
    """Runtime to risk: an actor's event lane passed half of its bound, or all of it, or is well below both again."""

    lane: ClassVar[Lane] = Lane.CONTROL
    actor: str
    waiting: int
    bound: int


class ConfigDrift(Message, frozen=True, kw_only=True, tag="risk.config_drift"):
    """The configuration on disk is not the one that runs, and no `config apply` made it so. Only a restart ends that.

    `running` and `found` are the two hashes. Said again at every look for as long as it lasts.
    """

    lane: ClassVar[Lane] = Lane.CONTROL
    running: str
    found: str
    at_ns: int


class ClockJumped(Message, frozen=True, kw_only=True, tag="risk.clock_jumped"):
    """The wall clock was set: it moved by `by_ns` against the desk's own, which never jumps."""

    lane: ClassVar[Lane] = Lane.CONTROL
    by_ns: int
    at_ns: int


class ClearCooldown(Message, frozen=True, kw_only=True, tag="risk.clear_cooldown"):
    """Control to risk: let entries in a product be judged without its cooldown. Answered by `VerbAnswered`."""

    request_id: str
    reply_to: str
    product_id: ProductId
    by: str


class VerbOutcome(Enum):
    """What became of an operator's request."""

    DONE = "done"
    NOT_FOUND = "not_found"
    REFUSED = "refused"


class VerbAnswered(Message, frozen=True, kw_only=True, tag="risk.verb_answered"):
    """The answer to an operator's request; whatever it changed is durable before this is said."""

    request_id: str
    outcome: VerbOutcome
    text: str


class Gate(Value, frozen=True, kw_only=True):
    """A tripped gate: which, since when, why, by whom, what state it demands, and whether only people clear it.

    `product_id` empty: it concerns the whole desk; else only what is wanted of that product is refused.
    """

    code: Reason
    state: TradingState
    since_ns: int
    reason: str
    by: str
    latched: bool
    product_id: str = ""


class GateChanged(Message, frozen=True, kw_only=True, tag="risk.gate_changed"):
    """A gate tripped or cleared; kept in the journal."""

    gate: Gate
    tripped: bool
    at_ns: int


class RiskView(Message, frozen=True, kw_only=True, tag="risk.view"):
    """Trading state and exposure as of `at_ns`, for control, cycle, portfolio and metrics. Percentages of NAV.

    `pending` is the worst case of working purchases by product, USD. `products` are the gates of single products.
    `starved_cells`: in how many tiers and regimes the smallest entries are not worth their fees; None: NAV is unknown.
    """

    lane: ClassVar[Lane] = Lane.STATE
    at_ns: int
    state: TradingState
    gates: tuple[Gate, ...]
    exposure_pct: Decimal | None
    pending_usd: Decimal
    entries_1h: int
    entries_today: int
    loss_streak: int
    cooldowns: tuple[tuple[ProductId, int], ...]
    pending: tuple[tuple[ProductId, Decimal], ...] = ()
    products: tuple[Gate, ...] = ()
    starved_cells: int | None = None


class Alert(Message, frozen=True, kw_only=True, tag="risk.alert"):
    """Something a person must know. `kind` and `subject` identify it; numbers live in `context`."""

    kind: str
    severity: str
    subject: str
    message: str
    context: tuple[tuple[str, str], ...]
    at_ns: int


RiskMessage = (
    Decision
    | ProposalBatch
    | BatchJudged
    | OperatorOrder
    | OperatorOrderJudged
    | WhatIf
    | WhatIfJudged
    | Pause
    | Resume
    | EpochChanged
    | WatchdogSeen
    | LaneLoad
    | ConfigDrift
    | ClockJumped
    | ClearCooldown
    | VerbAnswered
    | GateChanged
    | RiskView
    | Alert
)
