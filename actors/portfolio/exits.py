"""When and how to leave a position (execution.md §10). Judged on every quote, at the bid. Pure."""

from decimal import Decimal

from protocol.base import Value
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.market import Quote
from protocol.money import ONE, PCT
from protocol.orders import Targets
from protocol.portfolio import Position
from protocol.strategy import Regime

MAX_HOLD = "max_hold"


class ExitRules(Value, frozen=True, kw_only=True):
    """Which exits are on. `trailing_stop_pct` None: no trailing stop; `retry_ns` between two tries.

    `crash_stop_mult` scales stops, trailing ones too, while the market crashes; `bull_target_mult` targets in a bull.
    A level that an outlier crosses (more than `outlier_sigma`, or wider than `max_spread_bps`) has to be crossed
    again `confirm_ns` later. Positions of `bounded` products may fall only so far from their peak, and
    last only so long.
    """

    stop_loss: bool = True
    take_profit: bool = True
    max_hold: bool = True
    trailing_stop_pct: Decimal | None = None
    bounded: frozenset[ProductId] = frozenset()
    bounded_drawdown_pct: Decimal | None = None
    bounded_hold_ns: int | None = None
    retry_ns: int = 2 * SECOND_NS
    crash_stop_mult: Decimal = ONE
    bull_target_mult: Decimal = ONE
    outlier_sigma: Decimal = Decimal(6)
    max_spread_bps: Decimal = Decimal(80)
    confirm_ns: int = SECOND_NS // 4

    def outlier(self, quote: Quote) -> bool:
        """Whether one such book state alone is no reason to sell (requirements O1)."""
        return (quote.move_sigma or 0.0) > self.outlier_sigma or quote.spread_bps > self.max_spread_bps

    def trail_pct(self, product: ProductId) -> Decimal | None:
        """How far a position may fall from its peak: the nearer of the two bounds; None: as far as it likes."""
        own = self.bounded_drawdown_pct if product in self.bounded else None
        return min((pct for pct in (self.trailing_stop_pct, own) if pct is not None), default=None)

    def hold_ns(self, product: ProductId, targets: Targets) -> int:
        """How long a position lasts at most: by its targets, or by what bounds its product."""
        own, bound = targets.max_hold_s * SECOND_NS, self.bounded_hold_ns
        return own if bound is None or product not in self.bounded else min(own, bound)


class Doubt(Value, frozen=True, kw_only=True):
    """A level crossed by an outlier, waiting to be crossed again: since when, and in which book state.

    `venue_ns`: when that book state was, at the venue; a trade before it says nothing of it.
    """

    since_ns: int
    sequence: int
    venue_ns: int


class ExitRun(Value, frozen=True, kw_only=True):
    """An exit under way: the code that began it, the next try, and whether one is out."""

    code: str
    step: int
    sent_ns: int
    waiting: bool


def judge(position: Position, bid: Decimal, rules: ExitRules, regime: Regime, now_ns: int) -> str:
    """The code of the first exit rule that holds, in the order of their priority; empty if none does.

    Args:
        position: with its targets, and its `peak` already raised to `bid`.
        bid: what a seller gets now, quote per base.
        rules: which rules are on.
        regime: the market's; a crash tightens stops, a bull market widens targets.
        now_ns: UTC.
    """
    gain = bid / position.average_price - ONE
    targets = position.targets
    tighter = rules.crash_stop_mult if regime is Regime.CRASH else ONE
    if rules.stop_loss and gain <= -targets.stop_loss_pct * tighter / PCT:
        return "stop_loss"
    trail = rules.trail_pct(position.product_id)
    in_profit_once = position.peak >= position.average_price
    if trail is not None and in_profit_once and bid <= position.peak * (ONE - trail * tighter / PCT):
        return "trailing_stop"
    wider = rules.bull_target_mult if regime is Regime.BULL else ONE
    if rules.take_profit and gain >= targets.take_profit_pct * wider / PCT:
        return "take_profit"
    if rules.max_hold and now_ns - position.opened_ns >= rules.hold_ns(position.product_id, targets):
        return MAX_HOLD
    return ""
