"""A worked example: a strategy of your own, from an empty file to its first trade.

1. Copy this file to `STATE/strategies/dip_buyer.py` (STATE is the state directory, `var/` unless told otherwise).
2. Name it in `config/strategies.yaml`; it decides on live data and trades nothing yet:

       dip_buyer:
         class: ExampleStrategy
         shadow: true
         parameters: {dip_pct: 3}
         risk_budgets: {max_at_risk_pct: 5, max_trades_per_cycle: 1}

3. `./ops/trader run`, then `./ops/trader strategy list` (is it loaded? if not: file, line and what is wrong) and
   `./ops/trader strategy report` (what it would have bought beside what was bought).
4. `enabled: true`, `shadow: false`. From now on it proposes; the risk rules decide, as for every other strategy.

The rules: the file may import `protocol`, `actors.strategy.base` and plain standard-library values (math, statistics,
decimal, dataclasses, ...), nothing that reads a clock, a file, a socket or chance. It is shown closed candles, eligible
products and triggers; it answers with a list. If it raises, changes what it is shown, or thinks longer than its time
budget, it is switched off, its working orders are cancelled, and the others trade on. After mending the file,
`./ops/trader strategy enable dip_buyer` loads it anew.
"""

from dataclasses import dataclass
from decimal import Decimal

from actors.strategy.base import StrategyContext, Thought, purchase
from protocol.strategy import TradeProposal


@dataclass(frozen=True)
class ExampleStrategy:
    """Buys what fell by `dip_pct` or more within a day and rose in the newest hour. Parameters come by their names."""

    dip_pct: Decimal = Decimal(3)

    def generate_proposals(self, context: StrategyContext) -> list[TradeProposal]:
        """Propose trades for this cycle; the same context must give the same list."""
        proposals = []
        for window in context.windows:
            if len(window.hours) < 25:
                continue
            before, last, now = window.hours[-25].close, window.hours[-2].close, window.hours[-1].close
            fall_pct = (1 - now / before) * 100
            if fall_pct < self.dip_pct or now <= last:
                continue
            thought = Thought(
                product_id=window.product_id,
                conviction=min(0.4 + fall_pct / 100, 0.6),  # below the configured minimum nothing is traded
                stop_loss_pct=Decimal(6),
                take_profit_pct=Decimal(9),
                max_hold_h=24,
                size=Decimal("0.5"),  # half of what is usual for the product's tier
                reason=f"fell {fall_pct:.1f} % in a day and turned",
            )
            proposal = purchase(context, thought)
            if proposal is not None:  # None: not eligible now, or the regime allows no entry
                proposals.append(proposal)
        return proposals
