"""The strategy host: keeps closed candles, and on each cycle runs triggers, strategies and aggregation.

It lives in the alpha process: whatever happens here, no order depends on it.
"""

from collections.abc import Sequence

from msgspec import field
from msgspec.structs import replace

from actors.strategy.aggregate import aggregate
from actors.strategy.base import Budget, Ideas, MarketWindow, Strategy, StrategyContext
from actors.strategy.triggers.scan import ScanRules, scan
from protocol.base import NO_EFFECTS, Effects, Message, Value
from protocol.effects import LogLine, Tell
from protocol.ids import ProductId
from protocol.lifecycle import Recover
from protocol.market import Bar, CandleClosed, CandleHistory
from protocol.strategy import CycleOpened, HistoryWanted, Passed, ProposalsMade, TradeProposal

KEPT = {3600: 200, 900: 100, 300: 60}


class HostSettings(Value, frozen=True, kw_only=True):
    """The products followed, what the scan wants, each enabled strategy's budget, and which ones are switched off."""

    products: tuple[ProductId, ...]
    scan: ScanRules
    budgets: tuple[Budget, ...]
    max_total: int
    disabled: tuple[str, ...] = ()


class Host(Value, frozen=True, kw_only=True):
    """The host's state: series by product and granularity in seconds, oldest bar first."""

    settings: HostSettings
    series: dict[tuple[ProductId, int], tuple[Bar, ...]] = field(default_factory=dict)


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
                return _closed(host, message), NO_EFFECTS
            case CandleHistory():
                key = (message.product_id, message.granularity_s)
                bars = message.bars[-KEPT.get(message.granularity_s, 200) :]
                return replace(host, series={**host.series, key: bars}), NO_EFFECTS
            case CycleOpened():
                return host, self._decide(host, message, now_ns)
            case Recover():
                wanted = (HistoryWanted(product_id=p) for p in host.settings.products)
                return host, tuple(Tell(to=f"feed:{w.product_id}", message=w) for w in wanted)
        return host, NO_EFFECTS

    def _decide(self, host: Host, cycle: CycleOpened, now_ns: int) -> Effects:
        windows, missing = _windows(host, cycle)
        triggers, quiet = scan(windows, cycle.universe.regime, host.settings.scan)
        context = StrategyContext(
            cycle=cycle.cycle,
            now_ns=cycle.opened_ns,
            regime=cycle.universe.regime,
            assets=cycle.universe.eligible,
            triggers=triggers,
            windows=windows,
            held=cycle.held,
        )
        proposals: list[TradeProposal] = []
        passed = [*missing, *quiet]
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
            triggers=triggers,
            passed=(*passed, *cut),
            elapsed_us=(now_ns - cycle.opened_ns) // 1000,
        )
        return Tell(to="cycle", message=made), *logs


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


def _closed(host: Host, message: CandleClosed) -> Host:
    """Append a bar, or replace the one of the same start; what is older than the newest says nothing new."""
    key = (message.product_id, message.granularity_s)
    bars = host.series.get(key, ())
    if bars and bars[-1].start_s == message.bar.start_s:
        bars = bars[:-1]
    elif bars and bars[-1].start_s > message.bar.start_s:
        return host
    kept = (*bars, message.bar)[-KEPT.get(message.granularity_s, 200) :]
    return replace(host, series={**host.series, key: kept})


def _windows(host: Host, cycle: CycleOpened) -> tuple[tuple[MarketWindow, ...], list[Passed]]:
    windows, missing = [], []
    for asset in cycle.universe.eligible:
        product = asset.product_id
        hours = host.series.get((product, 3600), ())
        quarters = host.series.get((product, 900), ())
        if not hours or not quarters:
            code = "data_unavailable:candles"
            missing.append(Passed(product_id=product, stage="data", code=code, value=None, limit=None))
            continue
        fives = host.series.get((product, 300), ())
        windows.append(MarketWindow(product_id=product, hours=hours, quarters=quarters, fives=fives))
    return tuple(windows), missing
