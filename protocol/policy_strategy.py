"""What strategies are held to and given, resolved: switches and budgets, sizes, conviction, reversals and canaries."""

from decimal import Decimal

from protocol.base import Value
from protocol.strategy import Regime


class StrategyRow(Value, frozen=True, kw_only=True):
    """One strategy's switch and budget. `shadow`: it decides and never trades.

    `class_name` empty: one of `LIBRARY`; else a class in `path`, below the state directory's `strategies` (empty: the
    file of the strategy's name). `parameters` are what its constructor is given. `time_budget_s` is processor time of
    one decision.
    """

    name: str
    enabled: bool
    max_at_risk_pct: Decimal
    max_trades_per_cycle: int
    shadow: bool = False
    class_name: str = ""
    path: str = ""
    time_budget_s: float = 1.0
    parameters: tuple[tuple[str, Decimal], ...] = ()


LIBRARY = ("rules_engine", "momentum", "mean_reversion", "breakout")
"""The strategies that come with the program."""


class QualityBoosts(Value, frozen=True, kw_only=True):
    """What each sign beside a trigger, and tier 1, adds to conviction."""

    close_above_vwap: float
    higher_low: float
    rsi_cross_50: float
    bounce_confirmed: float
    tier_1: float


class CanaryPolicy(Value, frozen=True, kw_only=True):
    """A small purchase just below the threshold: conviction in [threshold - window, threshold), `tiers` alone.

    `maker_only`: its orders are post-only, whatever the plan says.
    """

    enabled: bool
    window: float
    tiers: tuple[int, ...]
    size_mult: Decimal
    min_depth_usd: tuple[Decimal, Decimal, Decimal]
    maker_only: bool = True


class WildMarket(Value, frozen=True, kw_only=True):
    """After a move of `move_pct` within `lookback_min` either way a size is multiplied."""

    lookback_min: int
    move_pct: float
    size_mult: Decimal


class ReversionTargets(Value, frozen=True, kw_only=True):
    """Stop and target of mean reversion in ATRs, and how long it is held."""

    stop_atr: Decimal
    take_profit_atr: Decimal
    max_hold_s: int


class RegimeConviction(Value, frozen=True, kw_only=True):
    """The threshold of one regime, where it has one of its own."""

    regime: Regime
    min_conviction: float


class StrategyPolicy(Value, frozen=True, kw_only=True):
    """Sizing and conviction of the rules strategy, and aggregation (pipeline.md §6, §8).

    `tier_base_pct` is the base size for tiers 1, 2, 3. Weights and conviction are 0 to 1. `reversal_signs`: how many
    signs a reversal needs; zero: none. A trigger of less than `min_score` is left alone. `clamp_small_trades`: what is
    proposed below the minimum is raised to it. `dedupe`: of several proposals of a product only the surest goes on.
    """

    strategies: tuple[StrategyRow, ...]
    max_total_proposals_per_cycle: int
    tier_base_pct: tuple[Decimal, Decimal, Decimal]
    risk_per_trade_pct: Decimal
    max_stop_loss_pct: Decimal
    min_notional_usd: Decimal
    min_conviction: float
    momentum_downside_reversal_pct: float
    conviction_base: float
    conviction_strength_weight: float
    conviction_confidence_weight: float
    boosts: QualityBoosts
    regime_convictions: tuple[RegimeConviction, ...]
    reversal_signs: int
    canary: CanaryPolicy
    wild: WildMarket
    reversion: ReversionTargets
    min_score: float
    clamp_small_trades: bool
    dedupe: bool

    def strategy(self, name: str) -> StrategyRow | None:
        """A strategy's row; None for one that is not configured."""
        return next((row for row in self.strategies if row.name == name), None)

    def threshold(self, regime: Regime) -> float:
        """The least conviction that is proposed in a regime."""
        own = (row.min_conviction for row in self.regime_convictions if row.regime is regime)
        return next(own, self.min_conviction)
