"""The strategy host: keeps closed candles, and on each cycle runs triggers, strategies and aggregation.

It lives in the alpha process: whatever happens here, no order depends on it. Who may run is the registry's to say, that
lives in the desk and remembers; until it has spoken nobody runs.
"""

from decimal import Decimal

from msgspec import field
from msgspec.structs import replace

from actors.strategy.base import Bounds, Budget, MarketWindow, StrategyContext
from actors.strategy.deciding import Plan, decide
from actors.strategy.indicators.hours import Lookbacks
from actors.strategy.indicators.lens import Lens
from actors.strategy.overlay import Drought, configured, follow, laid_over, said
from actors.strategy.running import Shelf
from actors.strategy.triggers.scan import Candidate, Found, ScanRules, scan
from protocol.base import NO_EFFECTS, Effects, Message, Value
from protocol.effects import Count, LogLine, SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.market import CandleClosed, CandleHistory
from protocol.policy_strategy import CanaryPolicy
from protocol.policy_triggers import AutoTunePolicy
from protocol.strategy import (
    CycleOpened,
    EndAlpha,
    HistoryWanted,
    HostStarted,
    Overlay,
    ProposalsMade,
    Regime,
    StrategySwitches,
)

SKIPS = {"synthetic_minutes", "insufficient_candles", "data_unavailable:candles"}
PATIENCE_NS = 2 * SECOND_NS
"""How long after a start a cycle waits for what the desk knows: who may run, and the candles."""
HUNDRED = Decimal(100)


class EndedError(Exception):
    """The desk wants this host to begin anew."""


class HostSettings(Value, frozen=True, kw_only=True):
    """The products followed, what the scan wants, every strategy's budget, and what proposals are held to.

    What is below the minimum is raised to `clamp_usd`, and to `clamp_pct` of NAV; None: it is dropped. `dedupe`: one
    proposal a product. `live`: who trades as long as no registry is asked. `thresholds` and `multipliers` by regime.
    """

    products: tuple[ProductId, ...]
    scan: ScanRules
    look: Lookbacks
    tune: AutoTunePolicy
    min_conviction: float
    thresholds: dict[str, float]
    multipliers: dict[str, Decimal]
    tier_base_pct: tuple[Decimal, Decimal, Decimal]
    tier_cap_pct: tuple[Decimal, Decimal, Decimal]
    max_stop_pct: Decimal
    min_notional_usd: Decimal
    canary: CanaryPolicy
    clamp_usd: Decimal | None
    clamp_pct: Decimal
    dedupe: bool
    budgets: tuple[Budget, ...]
    max_total: int
    live: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every strategy there is."""
        return tuple(budget.name for budget in self.budgets)


class Host(Value, frozen=True, kw_only=True):
    """The host's state: each product's candles with their figures (mutable: only `step` touches them), and droughts.

    `switches` None: the registry has not spoken. `failed` are the strategies that this host will not run again by
    itself. `waiting` is a cycle that came before everything was there, until `ready_ns` at most.
    """

    settings: HostSettings
    lenses: dict[ProductId, Lens] = field(default_factory=dict)
    streak: int = 0
    drought: Drought = Drought()
    switches: StrategySwitches | None = None
    failed: frozenset[str] = frozenset()
    waiting: CycleOpened | None = None
    ready_ns: int = 0


class StepFunction:
    """`step(state, message, now_ns)` of a host with these strategies, which are pure functions themselves."""

    def __init__(self, shelf: Shelf, accused: str = "") -> None:
        """`accused`: the strategy that ran when the process before this one ended."""
        self._shelf = shelf
        self._accused = accused

    def __call__(self, host: Host, message: Message, now_ns: int) -> tuple[Host, Effects]:
        """Advance the host by one message."""
        match message:
            case CandleClosed():
                _lens(host, message.product_id).closed(message.granularity_s, message.bar)
            case CandleHistory():
                _lens(host, message.product_id).history(message.granularity_s, message.bars)
                return self._ready(host, now_ns)
            case CycleOpened():
                return self._opened(host, message, now_ns)
            case StrategySwitches():
                return self._switched(host, message, now_ns)
            case Wake(timer="patience") if host.waiting is not None:
                return self._decide(host, host.waiting, now_ns)
            case EndAlpha():
                raise EndedError(message.reason)
            case Recover():
                return self._started(host, now_ns)
        return host, NO_EFFECTS

    def _started(self, host: Host, now_ns: int) -> tuple[Host, Effects]:
        wanted = (HistoryWanted(product_id=p) for p in host.settings.products)
        told = tuple(Tell(to=f"feed:{w.product_id}", message=w) for w in wanted)
        asked = Tell(to="strategies", message=HostStarted(accused=self._accused))
        return replace(host, ready_ns=now_ns + PATIENCE_NS), (*told, asked)

    def _switched(self, host: Host, message: StrategySwitches, now_ns: int) -> tuple[Host, Effects]:
        """The registry's word counts from now on; who is on anew is loaded anew."""
        before = set(_running(host, "live")) | set(_running(host, "shadow"))
        for name in {*message.live, *message.shadow} - before:
            self._shelf.forget(name)
        return self._ready(replace(host, switches=message, failed=frozenset()), now_ns)

    def _opened(self, host: Host, cycle: CycleOpened, now_ns: int) -> tuple[Host, Effects]:
        if now_ns < host.ready_ns and not _complete(host, cycle):
            return replace(host, waiting=cycle), (SetTimer(timer="patience", due_ns=host.ready_ns),)
        return self._decide(host, cycle, now_ns)

    def _ready(self, host: Host, now_ns: int) -> tuple[Host, Effects]:
        if host.waiting is None or not _complete(host, host.waiting):
            return host, NO_EFFECTS
        return self._decide(host, host.waiting, now_ns)

    def _decide(self, host: Host, cycle: CycleOpened, now_ns: int) -> tuple[Host, Effects]:
        host = replace(host, waiting=None)
        overlay, settings = host.drought.overlay, host.settings
        found = scan(_candidates(host, cycle), cycle.universe.regime, laid_over(settings.scan, overlay), host.streak)
        context = _context(host, cycle, found, overlay)
        decided = decide(_plan(host, cycle), context, self._shelf)
        after = _counted(host, found)
        made = ProposalsMade(
            cycle=cycle.cycle,
            proposals=decided.proposals,
            triggers=found.triggers,
            passed=(*found.passed, *decided.passed),
            elapsed_us=(now_ns - cycle.opened_ns) // 1000,
            overlay=overlay,
        )
        failed = host.failed | {failure.name for failure in decided.failures}
        return replace(after, failed=failed), (
            Tell(to="cycle", message=made),
            *_skips(found),
            *said(host.drought, after.drought),
            *_skipped(host),
            *decided.logs,
            *(Tell(to="strategies", message=message) for message in (*decided.failures, *decided.shadows)),
            Tell(to="strategies", message=decided.ran),
        )


def _running(host: Host, which: str) -> tuple[str, ...]:
    """Who runs now. As configured only where nobody was asked; who was asked and has not answered allows nobody."""
    if host.switches is None:
        return host.settings.live if which == "live" and not host.ready_ns else ()
    names = host.switches.live if which == "live" else host.switches.shadow
    return tuple(name for name in names if name not in host.failed)


def _skipped(host: Host) -> Effects:
    on = {*_running(host, "live"), *_running(host, "shadow")}
    return tuple(
        LogLine(level="info", event="strategy_skipped", fields=(("strategy", name), ("reason", "disabled")))
        for name in host.settings.names
        if name not in on
    )


def _plan(host: Host, cycle: CycleOpened) -> Plan:
    rows = {budget.name: budget for budget in host.settings.budgets}
    return Plan(
        live=tuple(rows[name] for name in _running(host, "live") if name in rows),
        shadow=tuple(rows[name] for name in _running(host, "shadow") if name in rows),
        max_total=host.settings.max_total,
        used_pct=dict(cycle.used_pct),
        cap_mult=min(_multiplier(host, cycle.universe.regime), Decimal(1)),
        canary=host.settings.canary,
        dedupe=host.settings.dedupe,
    )


def _complete(host: Host, cycle: CycleOpened) -> bool:
    known = all(_known(host, asset.product_id) is not None for asset in cycle.universe.eligible)
    return host.switches is not None and known


def _multiplier(host: Host, regime: Regime) -> Decimal:
    return host.settings.multipliers.get(regime.value, Decimal(0))


def _context(host: Host, cycle: CycleOpened, found: Found, overlay: Overlay | None) -> StrategyContext:
    return StrategyContext(
        cycle=cycle.cycle,
        now_ns=cycle.opened_ns,
        regime=cycle.universe.regime,
        assets=cycle.universe.eligible,
        triggers=found.triggers,
        windows=_windows(host, cycle),
        held=cycle.held,
        bounds=_bounds(host, cycle, overlay),
        overlay=overlay,
    )


def _bounds(host: Host, cycle: CycleOpened, overlay: Overlay | None) -> Bounds:
    """Caps grow with a bull and do not shrink here: what a weaker regime leaves of them is risk's to say."""
    settings, regime = host.settings, cycle.universe.regime
    multiplier = _multiplier(host, regime)
    nav = cycle.nav_usd
    own = settings.thresholds.get(regime.value)
    usual = overlay.min_conviction if overlay is not None else settings.min_conviction
    grown = max(multiplier, Decimal(1))
    t1, t2, t3 = settings.tier_cap_pct
    return Bounds(
        tier_base_pct=settings.tier_base_pct,
        tier_cap_pct=(t1 * grown, t2 * grown, t3 * grown),
        max_stop_loss_pct=settings.max_stop_pct,
        min_conviction=usual if own is None else own,
        size_mult=multiplier,
        least_pct=settings.min_notional_usd / nav * HUNDRED if nav is not None and nav > 0 else None,
        clamp_pct=_clamp_pct(settings, nav),
    )


def _clamp_pct(settings: HostSettings, nav: Decimal | None) -> Decimal | None:
    if settings.clamp_usd is None or nav is None or nav <= 0:
        return None
    return max(settings.clamp_usd / nav * HUNDRED, settings.clamp_pct)


def _lens(host: Host, product: ProductId) -> Lens:
    lens = host.lenses.get(product)
    if lens is None:
        lens = host.lenses[product] = Lens(host.settings.look)
    return lens


def _known(host: Host, product: ProductId) -> Lens | None:
    """What is known of a product once both its hours and its quarters are."""
    lens = host.lenses.get(product)
    return lens if lens is not None and lens.hours.bars and lens.quarters.bars else None


def _candidates(host: Host, cycle: CycleOpened) -> list[Candidate]:
    return [
        Candidate(product_id=asset.product_id, tier=asset.tier, lens=_known(host, asset.product_id))
        for asset in cycle.universe.eligible
    ]


def _windows(host: Host, cycle: CycleOpened) -> tuple[MarketWindow, ...]:
    known = ((asset.product_id, _known(host, asset.product_id)) for asset in cycle.universe.eligible)
    return tuple(
        MarketWindow(
            product_id=product,
            hours=lens.hours.window(),
            quarters=lens.quarters.window(),
            fives=lens.fives.window(),
        )
        for product, lens in known
        if lens is not None
    )


def _counted(host: Host, found: Found) -> Host:
    """The host after a scan: droughts are counted, and what is configured is never changed."""
    settings = host.settings
    base = configured(settings.scan, settings.min_conviction)
    drought = follow(host.drought, len(found.triggers), base, settings.tune)
    return replace(host, streak=found.streak, drought=drought)


def _skips(found: Found) -> Effects:
    """Products that were not judged for want of trades or candles are counted (requirements ST1)."""
    skipped = {(row.product_id, row.code) for row in found.passed if row.code in SKIPS}
    return tuple(Count(metric="trigger_skips", labels=(("code", code),)) for _, code in sorted(skipped))
