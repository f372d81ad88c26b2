"""Made-up candles and the figures kept of them, for the triggers' tests."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from actors.strategy.indicators.hours import Lookbacks
from actors.strategy.indicators.lens import FIVE_S, HOUR_S, QUARTER_S, Lens
from actors.strategy.triggers.fallback import FallbackRules
from actors.strategy.triggers.guards import GuardRules
from actors.strategy.triggers.modular import ModularRules
from actors.strategy.triggers.scan import Candidate, ScanRules
from actors.strategy.triggers.signals import Case, Thresholds, TriggerRules
from protocol.ids import ProductId
from protocol.market import Bar
from protocol.strategy import Regime

ALL = ("price_move", "volume_spike", "breakout", "reversal", "momentum", "mean_reversion")
RULES = TriggerRules(
    breakout_hours=24, slope_pct_h=0.05, bounce_pct=0.6, z_max=-1.2, z_hours=24, ema_hours=21, slope_hours=3
)
GUARDS = GuardRules(
    outlier=True,
    atr_filter=True,
    max_deviation_pct=10.0,
    min_volume_ratio=0.1,
    outlier_lookback=20,
    synthetic_max_pct=20.0,
)
FALLBACK = FallbackRules(enabled=False, min_streak=1, relax_share=0.3, max_new=1, allow_downside=True)
MODULAR = ModularRules(enabled=False, momentum_trending_pct=5.0, momentum_pct=8.0, deviation_pct=3.0)


def flat(count: int, price: float = 100.0) -> list[float]:
    """So many closes at one price."""
    return [price] * count


def bars(
    closes: Sequence[float],
    *,
    span: float = 0.5,
    volume: float = 100.0,
    seconds: int = HOUR_S,
    synthetic: Collection[int] = (),
    quiet: int = 0,
    start: int = 0,
    low: float | None = None,
) -> tuple[Bar, ...]:
    """Candles that close there, each opening at the close before; high and low stand `span` around.

    `start` counts candles; bars made with other granularities than they are read with are moved by `lens_of`.
    """
    opens = [closes[0], *closes[:-1]]
    return tuple(
        Bar(
            start_s=(start + i) * seconds,
            open=o,
            high=max(o, c) + span,
            low=min(o, c) - span if low is None else low,
            close=c,
            volume=volume,
            synthetic=i in synthetic,
            quiet_minutes=quiet,
        )
        for i, (o, c) in enumerate(zip(opens, closes, strict=True))
    )


def spiked(close: float, volume: float, *, usual: float = 100.0) -> list[Bar]:
    """Twenty quiet hours, and one that closes far away."""
    return [*bars(flat(20), volume=usual), *bars([100.0, close], start=19, volume=volume)[1:]]


def lens_of(hours: Iterable[Bar] = (), quarters: Iterable[Bar] = (), fives: Iterable[Bar] = ()) -> Lens:
    """A product that was told these candles."""
    lens = Lens(Lookbacks())
    for granularity_s, told in ((HOUR_S, hours), (QUARTER_S, quarters), (FIVE_S, fives)):
        for number, bar in enumerate(told):
            lens.closed(granularity_s, Bar(**{**_fields(bar), "start_s": number * granularity_s}))
    return lens


def _fields(bar: Bar) -> dict[str, Any]:
    return {name: getattr(bar, name) for name in bar.__struct_fields__}


def thresholds(**changes: Any) -> Thresholds:
    """Chop's shipped ones, without its penalty, everything allowed."""
    parts = {"move_15m_pct": 2.0, "move_60m_pct": 4.0, "volume_ratio": 1.9, "atr_min_mult": 0.0, "allowed": ALL}
    return Thresholds(**(parts | changes))


def case(
    hours: Iterable[Bar] = (),
    quarters: Iterable[Bar] = (),
    fives: Iterable[Bar] = (),
    *,
    tier: int = 1,
    regime: Regime = Regime.CHOP,
    **limits: Any,
) -> Case:
    """A product as a trigger sees it."""
    lens = lens_of(hours, quarters, fives)
    return Case(lens=lens, tier=tier, regime=regime, limits=thresholds(**limits), rules=RULES)


def scan_rules(*, limits: Thresholds | None = None, **changes: Any) -> ScanRules:
    """Rules of a scan, the same in every regime."""
    parts = {
        "regimes": {regime.value: limits or thresholds() for regime in Regime},
        "triggers": RULES,
        "guards": GUARDS,
        "fallback": FALLBACK,
        "modular": MODULAR,
        "only_upside": False,
        "min_score": 0.2,
        "min_confidence": 0.5,
        "max_triggers": 5,
    }
    return ScanRules(**(parts | changes))


def candidate(
    name: str = "BTC-USD",
    hours: Iterable[Bar] | None = None,
    quarters: Iterable[Bar] | None = None,
    *,
    tier: int = 1,
) -> Candidate:
    """An eligible product; quiet unless told otherwise."""
    lens = lens_of(
        bars(flat(60)) if hours is None else hours,
        bars(flat(64), seconds=QUARTER_S) if quarters is None else quarters,
    )
    return Candidate(product_id=ProductId(name), tier=tier, lens=lens)


def strong(name: str = "BTC-USD") -> Candidate:
    """A product whose quarters fire the strongest price move, score .68."""
    return candidate(name, quarters=bars([*flat(60), 102.0, 102.0, 102.0, 104.5], seconds=QUARTER_S))
