"""The strategy host: keeps closed candles, and on each cycle runs triggers, strategies and aggregation.

It lives in the alpha process: whatever happens here, no order depends on it.
"""

from collections.abc import Sequence

from msgspec import field
from msgspec.structs import replace

from actors.strategy.aggregate import aggregate
from actors.strategy.base import Budget, Ideas, MarketWindow, Strategy, StrategyContext
from actors.strategy.indicators.hours import Lookbacks
from actors.strategy.indicators.lens import Lens
from actors.strategy.overlay import Drought, configured, follow, laid_over, said
from actors.strategy.triggers.scan import Candidate, Found, ScanRules, scan
from protocol.base import NO_EFFECTS, Effects, Message, Value
from protocol.effects import Count, LogLine, Tell
from protocol.ids import ProductId
from protocol.lifecycle import Recover
from protocol.market import CandleClosed, CandleHistory
from protocol.policy import AutoTunePolicy
from protocol.strategy import CycleOpened, HistoryWanted, Passed, ProposalsMade, TradeProposal

SKIPS = {"synthetic_minutes", "insufficient_candles", "data_unavailable:candles"}


class HostSettings(Value, frozen=True, kw_only=True):
    """The products followed, what the scan wants, each enabled strategy's budget, and which ones are switched off."""

    products: tuple[ProductId, ...]
    scan: ScanRules
    look: Lookbacks
    tune: AutoTunePolicy
    min_conviction: float
    budgets: tuple[Budget, ...]
    max_total: int
    disabled: tuple[str, ...] = ()


class Host(Value, frozen=True, kw_only=True):
    """The host's state: each product's candles with their figures (mutable: only `step` touches them), and droughts."""

    settings: HostSettings
    lenses: dict[ProductId, Lens] = field(default_factory=dict)
    streak: int = 0
    drought: Drought = Drought()


def make_step(strategies: Sequence[Strategy]) -> "StepFunction":
    """The host's step, closed over its strategies, which are pure functions themselves."""
    return StepFunction(tuple(strategies))


class StepFunction:
    """`step(state, message, now_ns)` of a host with these strategies."""

    def __init__(self, strategies: tuple[Strategy, ...]) -> None:
        self._strategies = strategies

    def __call__(self, host: Host, message: Message, now_ns: int) -> tuple[Host, Effects]:
        """Advance the host by one message."""
        match message:
            case CandleClosed():
                _lens(host, message.product_id).closed(message.granularity_s, message.bar)
            case CandleHistory():
                _lens(host, message.product_id).history(message.granularity_s, message.bars)
            case CycleOpened():
                return self._decide(host, message, now_ns)
            case Recover():
                wanted = (HistoryWanted(product_id=p) for p in host.settings.products)
                return host, tuple(Tell(to=f"feed:{w.product_id}", message=w) for w in wanted)
        return host, NO_EFFECTS

    def _decide(self, host: Host, cycle: CycleOpened, now_ns: int) -> tuple[Host, Effects]:
        overlay = host.drought.overlay
        rules = laid_over(host.settings.scan, overlay)
        found = scan(_candidates(host, cycle), cycle.universe.regime, rules, host.streak)
        after = _counted(host, found)
        context = StrategyContext(
            cycle=cycle.cycle,
            now_ns=cycle.opened_ns,
            regime=cycle.universe.regime,
            assets=cycle.universe.eligible,
            triggers=found.triggers,
            windows=_windows(host, cycle),
            held=cycle.held,
            overlay=overlay,
        )
        proposals: list[TradeProposal] = []
        passed = [*found.passed]
        logs = [_skipped(name) for name in host.settings.disabled]
        for strategy in self._strategies:
            ideas, log = _ran(strategy, context)
            proposals += ideas.proposals
            passed += ideas.passed
            logs.append(log)
        kept, cut = aggregate(proposals, host.settings.budgets, host.settings.max_total)
        made = ProposalsMade(
            cycle=cycle.cycle,
            proposals=kept,
            triggers=found.triggers,
            passed=(*passed, *cut),
            elapsed_us=(now_ns - cycle.opened_ns) // 1000,
            overlay=overlay,
        )
        return after, (
            Tell(to="cycle", message=made),
            *_skips(found),
            *said(host.drought, after.drought),
            *logs,
        )


def _skipped(name: str) -> LogLine:
    return LogLine(level="info", event="strategy_skipped", fields=(("strategy", name), ("reason", "disabled")))


def _ran(strategy: Strategy, context: StrategyContext) -> tuple[Ideas, LogLine]:
    """One strategy's ideas. One that fails has none, and takes no other along (pipeline.md §8)."""
    try:
        ideas = strategy.generate_proposals(context)
    except Exception as exc:  # noqa: BLE001 - whatever a strategy raises is its own failure alone
        fields = (("strategy", strategy.name), ("error", f"{type(exc).__name__}: {exc}"))
        failed = Passed(
            product_id=ProductId(""),
            stage="strategy",
            code=f"exception:{type(exc).__name__}",
            value=None,
            limit=None,
            detail=strategy.name,
        )
        return Ideas(passed=(failed,)), LogLine(level="error", event="strategy_failed", fields=fields)
    fields = (("strategy", strategy.name), ("proposals_count", str(len(ideas.proposals))))
    return ideas, LogLine(level="info", event="strategy_ran", fields=fields)


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
